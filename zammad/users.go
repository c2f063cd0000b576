package zammad

import (
	"context"
	"net/http"
	"strconv"
)

// Users are the calls about users.
type Users struct{ wire *wire }

// NewUser is a user to be created. Zero fields are left out. Zammad wants a
// login that does not begin with "auto-", or a name, a phone or an e-mail
// (contract 2.2).
type NewUser struct {
	Login     string              `json:"login,omitzero"`
	Firstname string              `json:"firstname,omitzero"`
	Lastname  string              `json:"lastname,omitzero"`
	Email     string              `json:"email,omitzero"`
	Password  string              `json:"password,omitzero"`
	Note      string              `json:"note,omitzero"`
	Active    *bool               `json:"active,omitzero"`
	Roles     []string            `json:"roles,omitempty"`  // names; needs admin.user
	Groups    map[string][]string `json:"groups,omitempty"` // rights by group name; needs admin.user
}

// Changes are attributes by name with their new values; what is not named
// stays.
type Changes map[string]any

// Me is the user the credentials belong to, with roles and groups: the probe
// that tells whether the token works (contract 2.1).
func (u Users) Me(ctx context.Context) (User, error) {
	var answer User
	err := u.wire.read(ctx, &answer, map[string]string{"expand": "true"}, "/users/me")
	return answer, err
}

// Get reads a user.
func (u Users) Get(ctx context.Context, id UserID) (User, error) {
	var answer User
	err := u.wire.read(ctx, &answer, nil, "/users/{id}", id)
	return answer, err
}

// Create makes a user. A login that is taken is no error: Zammad appends a
// number to it, so read Login of the answer (contract 2.2).
func (u Users) Create(ctx context.Context, user NewUser) (User, error) {
	var answer User
	err := u.wire.write(ctx, &answer, http.MethodPost, user, "/users")
	return answer, err
}

// Update changes a user. "groups" and "group_ids" replace all groups.
func (u Users) Update(ctx context.Context, id UserID, changes Changes) (User, error) {
	var answer User
	err := u.wire.write(ctx, &answer, http.MethodPut, changes, "/users/{id}", id)
	return answer, err
}

// Delete removes a user without tickets; with tickets it is ErrInvalid, and a
// data privacy task is needed (contract 00.8).
func (u Users) Delete(ctx context.Context, id UserID) error {
	return u.wire.write(ctx, nil, http.MethodDelete, nil, "/users/{id}", id)
}

// Search finds users by a part of login, name or e-mail. Where Zammad has a
// search engine the text is a query to it and the index may lag behind; compare
// what is found (contract 2.2). A limit of 0 leaves it to Zammad.
func (u Users) Search(ctx context.Context, text string, limit int) ([]User, error) {
	var answer []User
	query := map[string]string{"query": text}
	if limit > 0 {
		query["limit"] = strconv.Itoa(limit)
	}
	err := u.wire.read(ctx, &answer, query, "/users/search")
	return answer, err
}

// Tags are the calls about tags of tickets.
type Tags struct{ wire *wire }

// List reads the tags of a ticket.
func (t Tags) List(ctx context.Context, ticket TicketID) ([]string, error) {
	var answer struct {
		Tags []string `json:"tags"`
	}
	err := t.wire.read(ctx, &answer, tagOf(ticket), "/tags")
	return answer.Tags, err
}

// Add puts a tag on a ticket. A newer Zammad may refuse tags that do not exist
// yet, with ErrForbidden (contract 2.6).
func (t Tags) Add(ctx context.Context, ticket TicketID, tag string) error {
	return t.wire.write(ctx, nil, http.MethodPost, tagBody{"Ticket", ticket, tag}, "/tags/add")
}

// Remove takes a tag off a ticket.
func (t Tags) Remove(ctx context.Context, ticket TicketID, tag string) error {
	// As a query: a body of a DELETE does not pass every proxy.
	r := newRequest(http.MethodDelete, "/tags/remove")
	r.write = true
	r.query = tagOf(ticket)
	r.query["item"] = tag
	return t.wire.call(ctx, r, nil)
}

type tagBody struct {
	Object string   `json:"object"`
	ID     TicketID `json:"o_id"`
	Item   string   `json:"item"`
}

func tagOf(ticket TicketID) map[string]string {
	return map[string]string{"object": "Ticket", "o_id": strconv.FormatInt(int64(ticket), 10)}
}
