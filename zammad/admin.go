package zammad

import (
	"context"
	"net/http"
	"time"
)

// Collection is a kind of record with Zammad's uniform calls (contract 5).
// Reading needs other permissions for each kind; Roles have no Delete.
type Collection[T any, ID ~int64] struct {
	wire   *wire
	route  string
	expand bool // whether the list needs names of relations
}

// List reads all records, at most 500 (contract 5).
func (c Collection[T, ID]) List(ctx context.Context) ([]T, error) {
	var answer []T
	var query map[string]string
	if c.expand {
		query = map[string]string{"expand": "true"}
	}
	err := c.wire.read(ctx, &answer, query, c.route)
	return answer, err
}

// Get reads one record.
func (c Collection[T, ID]) Get(ctx context.Context, id ID) (T, error) {
	var answer T
	err := c.wire.read(ctx, &answer, nil, c.route+"/{id}", id)
	return answer, err
}

// Create makes a record. Not every kind refuses a name that exists, and Zammad
// accepts references to nothing: read back and compare (contract 00.9).
func (c Collection[T, ID]) Create(ctx context.Context, record T) (T, error) {
	var answer T
	err := c.wire.write(ctx, &answer, http.MethodPost, record, c.route)
	return answer, err
}

// Update changes the named attributes of a record.
func (c Collection[T, ID]) Update(ctx context.Context, id ID, changes Changes) (T, error) {
	var answer T
	err := c.wire.write(ctx, &answer, http.MethodPut, changes, c.route+"/{id}", id)
	return answer, err
}

// Delete removes a record; one that others refer to is ErrInvalid.
func (c Collection[T, ID]) Delete(ctx context.Context, id ID) error {
	return c.wire.write(ctx, nil, http.MethodDelete, nil, c.route+"/{id}", id)
}

// Role bundles permissions.
type Role struct {
	ID          RoleID               `json:"id,omitzero"`
	Name        string               `json:"name"`
	Active      bool                 `json:"active"`
	Permissions []string             `json:"permissions,omitempty"` // names
	GroupIDs    map[GroupID][]string `json:"group_ids,omitempty"`   // rights by group
	Note        string               `json:"note,omitzero"`
}

// Webhook is an address that triggers can call. Names are not unique.
type Webhook struct {
	ID                WebhookID `json:"id,omitzero"`
	Name              string    `json:"name"`
	Endpoint          string    `json:"endpoint"`                 // cut at 300 characters by 6.1
	SignatureToken    string    `json:"signature_token,omitzero"` // newer versions answer with a mask
	SSLVerify         bool      `json:"ssl_verify"`
	Active            bool      `json:"active"`
	BasicAuthUsername string    `json:"basic_auth_username,omitzero"`
	BasicAuthPassword string    `json:"basic_auth_password,omitzero"`
	CustomizedPayload bool      `json:"customized_payload"` // must stay false for ParseDelivery
	Note              string    `json:"note,omitzero"`
	CreatedAt         time.Time `json:"created_at,omitzero"`
	UpdatedAt         time.Time `json:"updated_at,omitzero"`
}

// Trigger does something when its condition becomes true.
type Trigger struct {
	ID                     TriggerID      `json:"id,omitzero"`
	Name                   string         `json:"name"` // unique
	Condition              Conditions     `json:"condition"`
	Perform                map[string]any `json:"perform"`                           // by action; booleans as strings (contract 5)
	Activator              string         `json:"activator,omitzero"`                // "action" or "time"
	ExecutionConditionMode string         `json:"execution_condition_mode,omitzero"` // "selective" or "always" (contract 4.4)
	Active                 bool           `json:"active"`
	DisableNotification    bool           `json:"disable_notification"`
	Note                   string         `json:"note,omitzero"`
	CreatedAt              time.Time      `json:"created_at,omitzero"`
	UpdatedAt              time.Time      `json:"updated_at,omitzero"`
}

// Job is something Zammad does at certain times with the tickets that match.
type Job struct {
	ID                  JobID          `json:"id,omitzero"`
	Name                string         `json:"name"`            // unique
	Object              string         `json:"object,omitzero"` // "Ticket", for versions after 6.1
	Timeplan            Timeplan       `json:"timeplan"`
	Condition           Conditions     `json:"condition"`
	Perform             map[string]any `json:"perform"`
	Active              bool           `json:"active"`
	DisableNotification bool           `json:"disable_notification"`
	Note                string         `json:"note,omitzero"`
}

// Timeplan names the times of a job: "Mon" to "Sun", "0" to "23", and "0", "10"
// to "50".
type Timeplan struct {
	Days    map[string]bool `json:"days"`
	Hours   map[string]bool `json:"hours"`
	Minutes map[string]bool `json:"minutes"`
}

// Overview is a list of tickets on the agents' screen. Names are not unique.
type Overview struct {
	ID        OverviewID          `json:"id,omitzero"`
	Name      string              `json:"name"`
	RoleIDs   []RoleID            `json:"role_ids"`
	Condition Conditions          `json:"condition"`
	Order     map[string]string   `json:"order"` // "by" and "direction"
	View      map[string][]string `json:"view"`  // columns under "s"
	Active    bool                `json:"active"`
}

// Attribute is a field of an object, most often a custom one of tickets. It
// becomes real with Client.ExecuteMigrations.
type Attribute struct {
	ID         AttributeID    `json:"id,omitzero"`
	Object     string         `json:"object,omitzero"` // "Ticket"
	Name       string         `json:"name"`            // [a-z0-9_], not ending in _id or _ids
	Display    string         `json:"display"`
	DataType   string         `json:"data_type"`   // "boolean", "input", "select", …
	DataOption map[string]any `json:"data_option"` // a boolean without a default is null
	Screens    map[string]any `json:"screens"`     // by screen, then by permission
	Position   int            `json:"position"`
	Active     bool           `json:"active"`
	Editable   bool           `json:"editable,omitzero"`
	ToCreate   bool           `json:"to_create,omitzero"` // waits for a migration
	ToMigrate  bool           `json:"to_migrate,omitzero"`
	ToDelete   bool           `json:"to_delete,omitzero"`
}

// Setting of the whole Zammad. Change it with
// Changes{"state_current": SettingValue{…}}.
type Setting struct {
	ID      SettingID    `json:"id"`
	Name    string       `json:"name"`
	Title   string       `json:"title"`
	Area    string       `json:"area"`
	Current SettingValue `json:"state_current"`
	Initial SettingValue `json:"state_initial"`
}

// SettingValue wraps the value of a setting.
type SettingValue struct {
	Value any `json:"value"`
}

// The values of DataPrivacyTask.State.
const (
	TaskInProcess = "in process"
	TaskCompleted = "completed"
)

// DataPrivacyTask erases a user with all tickets, within about ten minutes: ask
// again until State is TaskCompleted. It needs the permission
// admin.data_privacy. A second task for the same user is ErrInvalid (contract
// 00.8).
type DataPrivacyTask struct {
	ID            TaskID         `json:"id,omitzero"`
	State         string         `json:"state,omitzero"`
	DeletableType string         `json:"deletable_type"` // "User"
	DeletableID   UserID         `json:"deletable_id"`
	Preferences   map[string]any `json:"preferences"` // "sure": "DELETE" is demanded
	CreatedAt     time.Time      `json:"created_at,omitzero"`
	UpdatedAt     time.Time      `json:"updated_at,omitzero"`
}

// EraseUser is the task that erases a user with all tickets.
func EraseUser(id UserID) DataPrivacyTask {
	return DataPrivacyTask{DeletableType: "User", DeletableID: id, Preferences: map[string]any{"sure": "DELETE"}}
}

// Tokens are the calls about access tokens of the caller; with Client.As of
// another user.
type Tokens struct{ wire *wire }

// NewToken is an access token to be made. Permission names are not checked by
// Zammad.
type NewToken struct {
	Name        string   // shown in the user's profile; not unique
	Permissions []string // such as "ticket.agent"
	// ExpiresAt is the day on which the token dies; zero for never.
	ExpiresAt time.Time
}

// Create makes a token and answers it; it is never shown again (contract 5).
func (t Tokens) Create(ctx context.Context, token NewToken) (string, error) {
	body := map[string]any{"name": token.Name, "label": token.Name, "permission": token.Permissions, "expires_at": nil}
	if !token.ExpiresAt.IsZero() {
		body["expires_at"] = token.ExpiresAt.Format(time.DateOnly)
	}
	var answer struct {
		Token string `json:"token"`
	}
	err := t.wire.write(ctx, &answer, http.MethodPost, body, "/user_access_token")
	return answer.Token, err
}

// Token describes an access token without showing it.
type Token struct {
	ID          TokenID   `json:"id"`
	UserID      UserID    `json:"user_id"`
	Name        string    `json:"name"`
	LastUsedAt  time.Time `json:"last_used_at"`
	CreatedAt   time.Time `json:"created_at"`
	Preferences struct {
		Permission []string `json:"permission"`
	} `json:"preferences"`
}

// List describes the tokens of the user.
func (t Tokens) List(ctx context.Context) ([]Token, error) {
	var answer struct {
		Tokens []Token `json:"tokens"`
	}
	err := t.wire.read(ctx, &answer, nil, "/user_access_token")
	return answer.Tokens, err
}
