package zammad

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Name is a related record by its name. In answers to calls it is a string (a
// group's name, a user's login), in webhook deliveries an object or {}
// (contract 4.2): of an object the login or the name is kept.
type Name string

// UnmarshalJSON reads a string, an object with login or name, {} or null.
func (n *Name) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '{' {
		return json.Unmarshal(data, (*string)(n))
	}
	var record struct {
		Login string `json:"login"`
		Name  string `json:"name"`
	}
	if err := json.Unmarshal(data, &record); err != nil {
		return err
	}
	*n = Name(record.Name)
	if record.Login != "" {
		*n = Name(record.Login)
	}
	return nil
}

// Size is a number of bytes. Zammad sends it as a string (contract 2).
type Size int64

// UnmarshalJSON reads "73", 73, "" or null.
func (s *Size) UnmarshalJSON(data []byte) error {
	text := strings.Trim(string(data), `"`)
	if text == "" || text == "null" {
		*s = 0
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	*s = Size(n)
	return err
}

// MarshalJSON writes it the way Zammad does.
func (s Size) MarshalJSON() ([]byte, error) {
	return []byte(strconv.Quote(strconv.FormatInt(int64(s), 10))), nil
}

// Ticket as in answers and deliveries. The bare form has neither ArticleIDs
// nor names: ask for Tickets.Get (contract 2.3). Zero times were null.
type Ticket struct {
	ID             TicketID       `json:"id"`
	Number         string         `json:"number"` // what people see; not the id
	Title          string         `json:"title"`
	GroupID        GroupID        `json:"group_id"`
	Group          Name           `json:"group"`
	StateID        StateID        `json:"state_id"`
	State          Name           `json:"state"` // editable by administrators: decide by State.Type
	PriorityID     PriorityID     `json:"priority_id"`
	Priority       Name           `json:"priority"`
	OwnerID        UserID         `json:"owner_id"` // 1 is nobody
	Owner          Name           `json:"owner"`    // login
	CustomerID     UserID         `json:"customer_id"`
	Customer       Name           `json:"customer"` // login
	OrganizationID OrganizationID `json:"organization_id"`
	ArticleIDs     []ArticleID    `json:"article_ids"` // in no certain order
	ArticleCount   int            `json:"article_count"`
	Note           string         `json:"note"`
	Preferences    map[string]any `json:"preferences"`
	CreatedByID    UserID         `json:"created_by_id"`
	CreatedBy      Name           `json:"created_by"` // login
	UpdatedByID    UserID         `json:"updated_by_id"`
	UpdatedBy      Name           `json:"updated_by"` // login
	CreatedAt      time.Time      `json:"created_at"`
	UpdatedAt      time.Time      `json:"updated_at"`
	CloseAt        time.Time      `json:"close_at"`
	LastCloseAt    time.Time      `json:"last_close_at"`
	PendingTime    time.Time      `json:"pending_time"`
	// LastContactAt and its two parts move with public communication only
	// (contract 3.3).
	LastContactAt         time.Time `json:"last_contact_at"`
	LastContactAgentAt    time.Time `json:"last_contact_agent_at"`
	LastContactCustomerAt time.Time `json:"last_contact_customer_at"`
	// Attributes are all keys that have no field here, the custom attributes
	// among them.
	Attributes map[string]any `json:"-"`
}

// plainTicket is a Ticket that is read without its Attributes.
type plainTicket Ticket

// UnmarshalJSON reads the fields and keeps every other key in Attributes.
func (t *Ticket) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, (*plainTicket)(t)); err != nil {
		return err
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil || keys == nil {
		return err
	}
	t.Attributes = make(map[string]any, len(keys))
	for key, raw := range keys {
		if ticketFields[key] {
			continue
		}
		var value any
		if err := json.Unmarshal(raw, &value); err != nil {
			return err
		}
		t.Attributes[key] = value
	}
	return nil
}

// blank tells an answer that is no ticket, although it is JSON.
func (t *Ticket) blank() bool { return t.ID == 0 }

// ticketFields are the keys of Ticket's own fields.
var ticketFields = fieldsOf(reflect.TypeFor[Ticket]())

func fieldsOf(t reflect.Type) map[string]bool {
	names := make(map[string]bool, t.NumField())
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names[name] = true
	}
	return names
}

// Article as in answers and deliveries.
type Article struct {
	ID          ArticleID      `json:"id"`
	TicketID    TicketID       `json:"ticket_id"` // changes when tickets are merged (contract 3.6)
	Type        string         `json:"type"`      // note, chat, web, phone, email, …
	Sender      string         `json:"sender"`    // Agent, Customer or System
	Internal    bool           `json:"internal"`  // never for the customer's eyes; true unless the answer says false
	From        string         `json:"from"`      // the author's name
	To          string         `json:"to"`
	Cc          string         `json:"cc"`
	Subject     string         `json:"subject"`
	Body        string         `json:"body"`
	ContentType string         `json:"content_type"`
	MessageID   string         `json:"message_id"`
	InReplyTo   string         `json:"in_reply_to"`
	Preferences map[string]any `json:"preferences"`
	Attachments []Attachment   `json:"attachments"`
	CreatedByID UserID         `json:"created_by_id"`
	CreatedBy   Name           `json:"created_by"` // login
	UpdatedByID UserID         `json:"updated_by_id"`
	UpdatedBy   Name           `json:"updated_by"` // login
	OriginByID  UserID         `json:"origin_by_id"`
	OriginBy    Name           `json:"origin_by"` // login, if it was written for somebody else
	CreatedAt   time.Time      `json:"created_at"`
	UpdatedAt   time.Time      `json:"updated_at"`
}

// UnmarshalJSON reads an article. One that does not say whether it is internal
// counts as internal: what is missing must not be what makes it public.
func (a *Article) UnmarshalJSON(data []byte) error {
	type plain Article
	read := plain{Internal: true}
	if err := json.Unmarshal(data, &read); err != nil {
		return err
	}
	*a = Article(read)
	return nil
}

func (a *Article) blank() bool { return a.ID == 0 }

// Attachment is a file of an article, without its content. Pictures inside a
// body are listed too, with a Content-ID among the preferences (contract 2.4).
type Attachment struct {
	ID          AttachmentID   `json:"id"`
	StoreFileID int64          `json:"store_file_id"`
	Filename    string         `json:"filename"`
	Size        Size           `json:"size"`
	Preferences map[string]any `json:"preferences"`
	URL         string         `json:"url,omitzero"` // only in deliveries; needs credentials
}

// MimeType is what the sender of the file claimed it to be, or "".
func (a Attachment) MimeType() string {
	for _, key := range []string{"Mime-Type", "Content-Type"} {
		if kind, ok := a.Preferences[key].(string); ok && kind != "" {
			return kind
		}
	}
	return ""
}

// ContentID is set for a picture inside the body, otherwise "".
func (a Attachment) ContentID() string {
	id, _ := a.Preferences["Content-ID"].(string)
	return id
}

// User as in answers and deliveries; deliveries leave out the groups.
type User struct {
	ID             UserID               `json:"id"`
	Login          string               `json:"login"`
	Firstname      string               `json:"firstname"`
	Lastname       string               `json:"lastname"`
	Email          string               `json:"email"`
	Note           string               `json:"note"`
	Active         bool                 `json:"active"`
	OrganizationID OrganizationID       `json:"organization_id"`
	RoleIDs        []RoleID             `json:"role_ids"`
	Roles          []string             `json:"roles"`     // names; with Users.Me and in deliveries
	GroupIDs       map[GroupID][]string `json:"group_ids"` // rights such as "full" by group
	Groups         map[string][]string  `json:"groups"`    // the same by name; with Users.Me
	Preferences    map[string]any       `json:"preferences"`
	CreatedAt      time.Time            `json:"created_at"`
	UpdatedAt      time.Time            `json:"updated_at"`
}

func (u *User) blank() bool { return u.ID == 0 }

// The values of Group.FollowUpPossible (contract 3.2).
const (
	FollowUpYes       = "yes"
	FollowUpNewTicket = "new_ticket"
	FollowUpForAWhile = "new_ticket_after_certain_time"
)

// Group of agents, to which tickets belong.
type Group struct {
	ID               GroupID   `json:"id,omitzero"`
	Name             string    `json:"name"`
	Active           bool      `json:"active"`
	FollowUpPossible string    `json:"follow_up_possible,omitzero"`  // what a customer's message does to a closed ticket
	ReopenTimeInDays int       `json:"reopen_time_in_days,omitzero"` // for FollowUpForAWhile
	FollowUpAssigned *bool     `json:"follow_up_assignment,omitzero"`
	EmailAddressID   int64     `json:"email_address_id,omitzero"`
	Note             string    `json:"note,omitzero"`
	CreatedAt        time.Time `json:"created_at,omitzero"`
	UpdatedAt        time.Time `json:"updated_at,omitzero"`
}

// The values of State.Type that matter. Only open, closed and the two pending
// types may be set on a ticket (contract 2.3).
const (
	StateNew             = "new"
	StateOpen            = "open"
	StatePendingReminder = "pending reminder"
	StatePendingAction   = "pending action"
	StateClosed          = "closed"
	StateMerged          = "merged"
)

// State a ticket can be in. Names can be changed by administrators, types not.
type State struct {
	ID              StateID `json:"id,omitzero"`
	Name            string  `json:"name"`
	Type            string  `json:"state_type,omitzero"`
	TypeID          int64   `json:"state_type_id,omitzero"`
	Active          bool    `json:"active"`
	DefaultCreate   bool    `json:"default_create"`    // the state of new tickets
	DefaultFollowUp bool    `json:"default_follow_up"` // the state a follow-up puts a ticket in
}

// Link between two tickets, seen from one of them.
type Link struct {
	Type   string   `json:"link_type"`         // "parent": the other one took this one's articles over; "child": the reverse
	Object string   `json:"link_object"`       // "Ticket"
	ID     TicketID `json:"link_object_value"` // the other one
}
