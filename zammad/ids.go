package zammad

// The ids of Zammad's records. Each kind has a type of its own, so that the
// compiler refuses a user where a ticket is meant. Zero means "none".
type (
	// TicketID is the id of a ticket, not the number that people see.
	TicketID int64
	// ArticleID is the id of an article; unique in a Zammad, not only in a ticket.
	ArticleID int64
	// AttachmentID is the id of a file of an article.
	AttachmentID int64
	// UserID is the id of a user; 1 is nobody or the system (contract 6).
	UserID int64
	// GroupID is the id of a group.
	GroupID int64
	// RoleID is the id of a role.
	RoleID int64
	// StateID is the id of a ticket state.
	StateID int64
	// PriorityID is the id of a ticket priority.
	PriorityID int64
	// OrganizationID is the id of an organisation.
	OrganizationID int64
	// WebhookID is the id of a webhook.
	WebhookID int64
	// TriggerID is the id of a trigger.
	TriggerID int64
	// JobID is the id of a scheduler job.
	JobID int64
	// OverviewID is the id of an overview.
	OverviewID int64
	// AttributeID is the id of an attribute of an object.
	AttributeID int64
	// SettingID is the id of a setting.
	SettingID int64
	// TokenID is the id of an access token, not the token itself.
	TokenID int64
	// TaskID is the id of a data privacy task.
	TaskID int64
)
