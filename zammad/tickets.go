package zammad

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Tickets are the calls about tickets.
type Tickets struct{ wire *wire }

// NewTicket is a ticket to be created. Title, a group and a customer are
// required; zero fields are left out.
type NewTicket struct {
	Title       string         `json:"title"`
	Group       string         `json:"group,omitzero"` // name
	GroupID     GroupID        `json:"group_id,omitzero"`
	Customer    *Customer      `json:"customer,omitzero"`
	CustomerID  UserID         `json:"customer_id,omitzero"`
	State       string         `json:"state,omitzero"` // name; default is the state for new tickets
	StateID     StateID        `json:"state_id,omitzero"`
	PriorityID  PriorityID     `json:"priority_id,omitzero"`
	OwnerID     UserID         `json:"owner_id,omitzero"`
	Tags        string         `json:"tags,omitzero"` // "a,b"; not trimmed
	Note        string         `json:"note,omitzero"`
	Preferences map[string]any `json:"preferences,omitzero"`
	Article     *NewArticle    `json:"article,omitzero"`
	// Attributes are further keys, most of all custom attributes. A key that is
	// a field above must not be among them.
	Attributes map[string]any `json:"-"`
}

// Customer names the customer of a new ticket. Zammad looks for the id, then
// the e-mail, then the login, and creates a user if there is none, which makes
// the first message of a chat one call (contract 00.2).
type Customer struct {
	ID        UserID `json:"id,omitzero"`
	Login     string `json:"login,omitzero"`
	Firstname string `json:"firstname,omitzero"`
	Lastname  string `json:"lastname,omitzero"`
	Email     string `json:"email,omitzero"`
}

// TicketUpdate is a change of a ticket. Zero fields are left out and stay as
// they are. Preferences are merged on their top level. Ticket and article are
// changed in one transaction and cause one trigger event (contract 2.3).
type TicketUpdate struct {
	Title       string         `json:"title,omitzero"`
	Group       string         `json:"group,omitzero"` // name
	GroupID     GroupID        `json:"group_id,omitzero"`
	State       string         `json:"state,omitzero"` // name; neither new nor merged
	StateID     StateID        `json:"state_id,omitzero"`
	PendingTime time.Time      `json:"pending_time,omitzero"` // required by the pending states
	PriorityID  PriorityID     `json:"priority_id,omitzero"`
	OwnerID     UserID         `json:"owner_id,omitzero"`
	CustomerID  UserID         `json:"customer_id,omitzero"`
	Preferences map[string]any `json:"preferences,omitzero"`
	Article     *NewArticle    `json:"article,omitzero"`
	// Attributes are further keys, most of all custom attributes; a value of
	// false or nil is sent. A key that is a field above must not be among them.
	Attributes map[string]any `json:"-"`
}

// MarshalJSON puts the attributes next to the fields.
func (t NewTicket) MarshalJSON() ([]byte, error) {
	type plain NewTicket
	return withAttributes(plain(t), t.Attributes)
}

// MarshalJSON puts the attributes next to the fields.
func (t TicketUpdate) MarshalJSON() ([]byte, error) {
	type plain TicketUpdate
	return withAttributes(plain(t), t.Attributes)
}

func withAttributes(fields any, attributes map[string]any) ([]byte, error) {
	head, err := json.Marshal(fields)
	if err != nil || len(attributes) == 0 {
		return head, err
	}
	tail, err := json.Marshal(attributes)
	if err != nil {
		return nil, err
	}
	head = bytes.TrimSuffix(head, []byte("}"))
	if len(head) > 1 {
		head = append(head, ',')
	}
	return append(head, tail[1:]...), nil
}

// Create makes a ticket with its first article. It is not idempotent: sent
// again, it makes a second ticket (contract 00.2). The answer has ids and
// ArticleIDs but no names.
func (t Tickets) Create(ctx context.Context, ticket NewTicket) (Ticket, error) {
	var answer Ticket
	err := t.wire.write(ctx, &answer, http.MethodPost, ticket, "/tickets")
	return answer, err
}

// Get reads a ticket with ArticleIDs and names.
func (t Tickets) Get(ctx context.Context, id TicketID) (Ticket, error) {
	var answer Ticket
	err := t.wire.read(ctx, &answer, map[string]string{"expand": "true"}, "/tickets/{id}", id)
	return answer, err
}

// TicketContext is a ticket with what surrounds it.
type TicketContext struct {
	Ticket     Ticket // without names and ArticleIDs
	ArticleIDs []ArticleID
	// Groups are the ticket's own and others: the only way for an agent's token
	// to a group's follow-up rule (contract 00.4).
	Groups map[GroupID]Group
	Users  map[UserID]User
	Links  []Link
	Tags   []string
}

// GetAll reads a ticket with its group and links. It is dearer than Get.
func (t Tickets) GetAll(ctx context.Context, id TicketID) (TicketContext, error) {
	var answer struct {
		ArticleIDs []ArticleID `json:"ticket_article_ids"`
		Assets     struct {
			Ticket map[TicketID]Ticket
			Group  map[GroupID]Group
			User   map[UserID]User
		} `json:"assets"`
		Links []Link   `json:"links"`
		Tags  []string `json:"tags"`
	}
	err := t.wire.read(ctx, &answer, map[string]string{"all": "true"}, "/tickets/{id}", id)
	return TicketContext{
		Ticket: answer.Assets.Ticket[id], ArticleIDs: answer.ArticleIDs, Groups: answer.Assets.Group,
		Users: answer.Assets.User, Links: answer.Links, Tags: answer.Tags,
	}, err
}

// Update changes a ticket and may add an article. The answer has the state id
// and ArticleIDs after the change (contract 00.16).
func (t Tickets) Update(ctx context.Context, id TicketID, change TicketUpdate) (Ticket, error) {
	var answer Ticket
	err := t.wire.write(ctx, &answer, http.MethodPut, change, "/tickets/{id}", id)
	return answer, err
}

// Delete removes a ticket with its articles. It needs the permission admin,
// and no webhook tells about it (contract 00.8).
func (t Tickets) Delete(ctx context.Context, id TicketID) error {
	return t.wire.write(ctx, nil, http.MethodDelete, nil, "/tickets/{id}", id)
}

// Condition is one comparison of a search, a trigger or a job.
type Condition struct {
	Operator string `json:"operator"` // such as "is", "has changed", "after (absolute)"
	Value    any    `json:"value,omitempty"`
	Range    string `json:"range,omitzero"` // unit for relative times, such as "month"
}

// Conditions are values of Condition by "object.attribute", all of which must
// hold. Read from Zammad they are plain JSON values, and may be a tree with
// "operator" and "conditions" that somebody else has made (contract 5).
type Conditions map[string]any

// Search asks for tickets by condition, which reads the database and not the
// search engine (contract 2.3).
type Search struct {
	Conditions Conditions
	SortBy     string // attribute; default is Zammad's choice
	Descending bool
	Limit      int // tickets a page; default 50, at most 200
	Page       int // from 1; 0 means the first
}

// Search finds tickets, with ArticleIDs and names. A page shorter than Limit is
// the last. That nothing is found proves nothing about a write that may still
// be running (contract 00.3).
func (t Tickets) Search(ctx context.Context, search Search) ([]Ticket, error) {
	body := struct {
		Conditions Conditions `json:"condition"`
		SortBy     string     `json:"sort_by,omitzero"`
		OrderBy    string     `json:"order_by,omitzero"`
		Limit      int        `json:"limit,omitzero"`
		PerPage    int        `json:"per_page,omitzero"`
		Page       int        `json:"page,omitzero"`
		Expand     bool       `json:"expand"`
	}{Conditions: search.Conditions, SortBy: search.SortBy, Expand: true}
	if search.SortBy != "" {
		body.OrderBy = "asc"
		if search.Descending {
			body.OrderBy = "desc"
		}
	}
	if search.Page > 0 {
		body.Page, body.PerPage = search.Page, search.Limit
	} else {
		body.Limit = search.Limit
	}
	r := newRequest(http.MethodPost, "/tickets/search")
	if err := r.encode(body); err != nil {
		return nil, err
	}
	var answer []Ticket
	err := t.wire.call(ctx, r, &answer)
	return answer, err
}

// Links lists the links of a ticket.
func (t Tickets) Links(ctx context.Context, id TicketID) ([]Link, error) {
	var answer struct {
		Links []Link `json:"links"`
	}
	query := map[string]string{"link_object": "Ticket", "link_object_value": strconv.FormatInt(int64(id), 10)}
	err := t.wire.read(ctx, &answer, query, "/links")
	return answer.Links, err
}

// Parents lists the tickets that took over the articles of a merged one; most
// often one, and of several the one that is not merged itself is the successor
// (contract 2.6).
func (t Tickets) Parents(ctx context.Context, id TicketID) ([]TicketID, error) {
	links, err := t.Links(ctx, id)
	var parents []TicketID
	for _, link := range links {
		if link.Type == "parent" && link.Object == "Ticket" {
			parents = append(parents, link.ID)
		}
	}
	return parents, err
}

// Merge moves the articles of a ticket to another one, given by its number. It
// is the call of the agents' screen. Zammad reports a refusal with status 200,
// which becomes ErrInvalid.
func (t Tickets) Merge(ctx context.Context, source TicketID, targetNumber string) error {
	var answer struct {
		Result  string `json:"result"`
		Message string `json:"message"`
	}
	number, err := strconv.ParseInt(targetNumber, 10, 64)
	if err != nil {
		return &Error{Kind: ErrInvalid, Method: http.MethodPut, Path: "/api/v1/ticket_merge", Message: "a ticket number has digits only"}
	}
	if err := t.wire.write(ctx, &answer, http.MethodPut, nil, "/ticket_merge/{id}/{id}", source, number); err != nil {
		return err
	}
	if answer.Result != "success" {
		return &Error{
			Kind: ErrInvalid, Status: http.StatusOK, Message: clip(answer.Message),
			Method: http.MethodPut, Path: "/api/v1/ticket_merge/" + strconv.FormatInt(int64(source), 10) + "/" + targetNumber,
		}
	}
	return nil
}
