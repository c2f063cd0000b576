package simulator

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// ticketRelations are the keys by which a ticket names other rows, by id or by name.
var ticketRelations = []struct {
	name, column string
	table        func(*database) *table
	by           []string
	checked      bool // an unknown id is refused at once (contract 0.6)
}{
	{"group", "group_id", func(d *database) *table { return d.groups }, []string{"name"}, false},
	{"state", "state_id", func(d *database) *table { return d.states }, []string{"name"}, true},
	{"priority", "priority_id", func(d *database) *table { return d.priorities }, []string{"name"}, true},
	{"owner", "owner_id", func(d *database) *table { return d.users }, []string{"login", "email"}, true},
	{"customer", "customer_id", func(d *database) *table { return d.users }, []string{"login", "email"}, true},
}

// takeTicket reads the settable columns of a ticket from the parameters into t.
func takeTicket(c *call, t row) error {
	for _, rel := range ticketRelations {
		rows := rel.table(c.database)
		if name, ok := c.params[rel.name].(string); ok && name != "" {
			found, ok := row(nil), false
			for _, column := range rel.by {
				if found, ok = rows.by(column, name); ok {
					break
				}
			}
			if !ok {
				return noLookup(rel.name, name)
			}
			t[rel.column] = found.id()
		} else if v, given := c.params[rel.column]; given && v != nil {
			id := c.params.num(rel.column)
			if _, ok := rows.rows[id]; !ok && rel.checked {
				return invalid(fmt.Sprintf("Invalid value for param '%s': %v", rel.column, v))
			}
			t[rel.column] = id
		}
	}
	if v, given := c.params["title"]; given {
		t["title"] = strings.TrimSpace(cut(oneLine(asText(v)), 250))
	}
	if v, given := c.params["note"]; given {
		t["note"] = cut(asText(v), 250)
	}
	if v, given := c.params["type"]; given {
		t["type"] = v
	}
	if p := c.params.object("preferences"); p != nil && c.isAgent() {
		merged := maps.Clone(t.object("preferences")) // merged on the top level only
		maps.Copy(merged, p)
		t["preferences"] = merged
	}
	if v, given := c.params["pending_time"]; given {
		t["pending_time"] = nil
		if at, err := time.Parse(time.RFC3339, asText(v)); err == nil {
			t["pending_time"] = stamp(at)
		}
	}
	for _, a := range c.ticketAttributes() {
		if v, given := c.params[a.str("name")]; given {
			t[a.str("name")] = castAttribute(a, v)
		}
	}
	return nil
}

func castAttribute(attribute row, v any) any {
	switch attribute.str("data_type") {
	case "boolean":
		return castBool(v)
	case "integer":
		if v == nil || v == "" {
			return nil
		}
		return row{"v": v}.num("v")
	}
	if s, ok := v.(string); ok {
		limit := row(attribute.object("data_option")).num("maxlength")
		if limit <= 0 {
			limit = 255
		}
		return cut(s, limit)
	}
	return v
}

// createTicket makes ticket, customer and first article in one transaction (contract 2.3).
func createTicket(c *call) (any, error) {
	if err := resolveCustomer(c); err != nil {
		return nil, err
	}
	t := ticketDefaults()
	for _, a := range c.ticketAttributes() {
		t[a.str("name")] = a.object("data_option")["default"]
	}
	if err := takeTicket(c, t); err != nil {
		return nil, err
	}
	if err := mayCreate(c, t); err != nil {
		return nil, err
	}
	at := c.stamp()
	t = t.with(row{"created_by_id": c.user.id(), "updated_by_id": c.user.id(), "created_at": at, "updated_at": at,
		"number": fmt.Sprintf("37%03d", c.ticketsMade+1)})
	if customer := c.users.rows[t.num("customer_id")]; customer["organization_id"] != nil {
		t["organization_id"] = customer["organization_id"]
	}
	setCloseTimes(c, nil, t)
	t = c.tickets.insert(&c.tx, t)
	c.ticketsMade++
	c.undo = append(c.undo, func() { c.ticketsMade-- }) // the number is rolled back, the id is not
	c.noteHistory(t.id(), "Ticket", t.id(), row{"type": "created"})
	c.created(t)
	if err := embeddedArticle(c, t.id()); err != nil {
		return nil, err
	}
	for tag := range strings.SplitSeq(asText(c.params["tags"]), ",") {
		c.tag(t.id(), tag)
	}
	return answer{status: 201, body: showTicket(c, c.tickets.rows[t.id()])}, nil
}

// resolveCustomer turns "guess:<address>" and a customer object into a customer_id. A caller
// who is no agent is the customer himself.
func resolveCustomer(c *call) error {
	if !c.may("ticket.agent") {
		delete(c.params, "customer")
		c.params["customer_id"] = c.user.id()
		return nil
	}
	if guess, ok := c.params["customer_id"].(string); ok && strings.HasPrefix(guess, "guess:") {
		email := strings.ToLower(strings.TrimSpace(strings.TrimPrefix(guess, "guess:")))
		u, known := c.users.by("email", email)
		if !known {
			if name, host, ok := strings.Cut(email, "@"); !ok || name == "" || host == "" || strings.ContainsAny(email, " ,;") {
				return &failure{status: 422, text: "Invalid email '" + email + "' of customer", short: true}
			}
			var err error
			if u, err = newUser(c, row{"email": email}); err != nil {
				return err
			}
		}
		c.params["customer_id"] = u.id()
	}
	wanted := row(c.params.object("customer"))
	if wanted == nil {
		return nil
	}
	delete(c.params, "customer")
	u, known := c.users.rows[wanted.num("id")]
	for _, k := range []string{"email", "login"} {
		if v := strings.ToLower(wanted.str(k)); !known && v != "" {
			u, known = c.users.by(k, v)
		}
	}
	if !known {
		var err error
		if u, err = newUser(c, wanted); err != nil {
			return err
		}
	}
	c.params["customer_id"] = u.id()
	return nil
}

func mayCreate(c *call, t row) error {
	if t["group_id"] == nil {
		return invalid("The required value 'group_id' is missing.")
	}
	if _, ok := c.groups.rows[t.num("group_id")]; !ok {
		return broken("undefined method `active?' for nil:NilClass")
	}
	customer := t.num("customer_id") == c.user.id() && c.may("ticket.customer")
	if !customer && !(c.may("ticket.agent") && c.groupAccess(c.user, t.num("group_id"), "create")) {
		return forbidden("Not authorized")
	}
	for _, k := range []string{"title", "customer_id"} {
		if asText(t[k]) == "" {
			return refused("Missing required value for field '" + k + "'!")
		}
	}
	if name := requiredMissing(c, t, "create_middle"); name != "" {
		return refused("Missing required value for field '" + name + "'!")
	}
	return checkState(c, nil, t)
}

// checkState holds the rules of the workflow: no way back to new, none to merged, pending
// states need a time (contract 2.3).
func checkState(c *call, old, t row) error {
	if old != nil && old.num("state_id") == t.num("state_id") {
		return nil
	}
	kind := c.stateType(t.num("state_id"))
	if kind == "merged" || kind == "removed" || kind == "new" && old != nil {
		return refused(fmt.Sprintf("Invalid value '%d' for field 'state_id'!", t.num("state_id")))
	}
	if strings.HasPrefix(kind, "pending") && t["pending_time"] == nil {
		return refused("Missing required value for field 'pending_time'!")
	}
	return nil
}

func setCloseTimes(c *call, old, t row) {
	kind := c.stateType(t.num("state_id"))
	if !strings.HasPrefix(kind, "pending") {
		t["pending_time"] = nil
	}
	if kind != "closed" || old != nil && c.stateType(old.num("state_id")) == "closed" {
		return
	}
	if t["close_at"] == nil {
		t["close_at"] = c.stamp()
	}
	t["last_close_at"] = c.stamp()
}

// saveTicket stores t with the columns that every save touches, and notes what changed.
func saveTicket(c *call, t row) row {
	old := c.tickets.rows[t.id()]
	if c.stateType(t.num("state_id")) == "open" {
		t["last_owner_update_at"] = c.stamp()
	} else {
		t["last_owner_update_at"] = nil
	}
	t["updated_at"] = c.stamp()
	c.tickets.put(&c.tx, t)
	c.changed(old, t)
	return t
}

func embeddedArticle(c *call, ticket int) error {
	v, given := c.params["article"]
	if !given || v == nil {
		return nil
	}
	fields, _ := v.(map[string]any)
	_, err := newArticle(c, ticket, row(fields))
	return err
}

// updateTicket changes columns and may add an article; both are one transaction and one
// event for the triggers.
func updateTicket(c *call) (any, error) {
	old, err := c.ticketFor(c.pathID("id"), "change")
	if err != nil {
		return nil, err
	}
	if err := followUp(c, old); err != nil {
		return nil, err
	}
	t := maps.Clone(old)
	if err := takeTicket(c, t); err != nil {
		return nil, err
	}
	if t.str("title") == "" {
		return nil, refused("Missing required value for field 'title'!")
	}
	if err := checkState(c, old, t); err != nil {
		return nil, err
	}
	if name := requiredMissing(c, t, "edit"); name != "" {
		return nil, refused("Missing required value for field '" + name + "'!")
	}
	if err := checkOwner(c, old, t); err != nil {
		return nil, err
	}
	setCloseTimes(c, old, t)
	t["updated_by_id"] = c.user.id()
	if len(changes(old, t)) > 0 || old["updated_by_id"] != t["updated_by_id"] {
		t = saveTicket(c, t)
	}
	if err := embeddedArticle(c, t.id()); err != nil {
		return nil, err
	}
	return showTicket(c, c.tickets.rows[t.id()]), nil
}

// checkOwner wants full access of a new owner; one who lost it by a move is reset.
func checkOwner(c *call, old, t row) error {
	owner := t.num("owner_id")
	if owner == 1 || c.groupAccess(c.users.rows[owner], t.num("group_id"), "full") {
		return nil
	}
	if owner != old.num("owner_id") {
		return refused(fmt.Sprintf("Invalid value '%d' for field 'owner_id'!", owner))
	}
	t["owner_id"] = 1
	return nil
}

func getTicket(c *call) (any, error) {
	t, err := c.ticketFor(c.pathID("id"), "read")
	if err != nil {
		return nil, err
	}
	if c.wants("all") {
		return wholeTicket(c, t), nil
	}
	if !c.wants("expand") && !c.wants("full") {
		return t, nil
	}
	return showTicket(c, t), nil
}

func listTickets(c *call) (any, error) {
	all := c.tickets.all(func(t row) bool { return c.ticketAccess(t, "read") })
	from, to := c.page(len(all), 100, 100)
	out := []row{}
	for _, t := range all[from:to] {
		if c.wants("expand") {
			t = expandTicket(c, t)
		}
		out = append(out, t)
	}
	return out, nil
}

// deleteTicket asks for the permission admin, not for access to the group (contract 00.8).
func deleteTicket(c *call) (any, error) {
	t, err := c.tickets.find(c.pathID("id"))
	if err != nil {
		return nil, err
	}
	if !c.may("admin") {
		return nil, forbidden("Not authorized (admin permission required)!")
	}
	c.dropTicket(&c.tx, t.id())
	return answer{status: 200}, nil
}

func (db *database) dropTicket(x *tx, id int) {
	for _, a := range db.ticketArticles(id) {
		db.dropArticle(x, a.id())
	}
	for _, l := range append(db.links.where("source_id", id), db.links.where("target_id", id)...) {
		db.links.remove(x, l.id())
	}
	for _, m := range db.mentions.where("mentionable_id", id) {
		db.mentions.remove(x, m.id())
	}
	tags := db.tags[id]
	x.undo = append(x.undo, func() { db.tags[id] = tags })
	delete(db.tags, id)
	db.tickets.remove(x, id)
}

// mergeTickets moves the articles of the source to the target and leaves a closed shell with
// a public note behind (contract 3.6). The target is named by number.
func mergeTickets(c *call) (any, error) {
	source, err := c.ticketFor(c.pathID("source"), "change")
	if err != nil {
		return nil, err
	}
	target, ok := c.tickets.by("number", c.r.PathValue("target"))
	if !ok {
		return row{"result": "failed", "message": "No such master ticket number!"}, nil
	}
	if !c.ticketAccess(target, "change") {
		return nil, forbidden("Not authorized")
	}
	if target.id() == source.id() {
		return nil, invalid("A ticket cannot be merged into itself.")
	}
	if c.stateType(target.num("state_id")) == "merged" {
		return nil, invalid("It is not possible to merge into an already merged ticket.")
	}
	c.markMerge(source.id(), target.id())
	for _, a := range c.ticketArticles(source.id()) {
		c.articles.put(&c.tx, a.with(row{"ticket_id": target.id(), "updated_at": c.stamp()}))
	}
	if _, err := newArticle(c, source.id(), row{"type": "note", "sender": "Agent", "internal": false, "body": "merged",
		"content_type": "text/plain"}); err != nil {
		return nil, err
	}
	c.links.insert(&c.tx, row{"source_id": target.id(), "target_id": source.id(), "type": "parent"})
	c.noteHistory(source.id(), "Ticket", source.id(), row{"type": "merged_into", "id_from": source.id(), "id_to": target.id()})
	c.noteHistory(target.id(), "Ticket", target.id(), row{"type": "received_merge", "id_from": source.id(), "id_to": target.id()})
	saveTicket(c, c.tickets.rows[source.id()].with(row{"state_id": 5, "owner_id": 1, "updated_by_id": c.user.id()}))
	saveTicket(c, recount(c, c.tickets.rows[target.id()].with(row{"updated_by_id": c.user.id()})))
	return row{"result": "success", "success": nil,
		"target_ticket": c.tickets.rows[target.id()], "source_ticket": c.tickets.rows[source.id()]}, nil
}
