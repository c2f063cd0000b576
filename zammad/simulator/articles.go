package simulator

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"deskbridge/zammad/simulator/sanitizer"
)

const (
	senderAgent, senderCustomer, senderSystem = 1, 2, 3
	typeEmail, typePhone, typeNote, typeWeb   = 1, 5, 10, 11

	maxBody = 1_500_000 // characters
)

// ticketArticles returns the articles of a ticket, oldest first.
func (db *database) ticketArticles(ticket int) []row {
	return db.articles.where("ticket_id", ticket)
}

func createArticle(c *call) (any, error) {
	ticket, err := c.ticketFor(c.params.num("ticket_id"), "create")
	if err != nil {
		return nil, err
	}
	a, err := newArticle(c, ticket.id(), c.params)
	if err != nil {
		return nil, err
	}
	if c.wants("full") { // the article is written all the same (contract 00, "full=true")
		fireTriggers(c)
		c.tx = tx{}
		return nil, notFound("Couldn't find Ticket::Article without an ID")
	}
	return answer{status: 201, body: c.renderArticle(a)}, nil
}

// newArticle writes an article with all its effects on the ticket (contract 3.1 to 3.3).
func newArticle(c *call, ticketID int, fields row) (row, error) {
	body := strings.ReplaceAll(asText(fields["body"]), "\x00", "")
	if strings.TrimSpace(body) == "" {
		return nil, invalid("Need at least an 'article body' field.")
	}
	at := c.stamp()
	a := articleDefaults().with(row{"ticket_id": ticketID, "created_by_id": c.user.id(), "updated_by_id": c.user.id(),
		"created_at": at, "updated_at": at})
	if err := takeArticle(c, a, fields); err != nil {
		return nil, err
	}
	if n := utf8.RuneCountInString(body); n > maxBody {
		return nil, invalid(fmt.Sprintf("body of article is too large, %d chars - only %d allowed", n, maxBody))
	}
	files, err := readFiles(fields["attachments"])
	if err != nil {
		return nil, err
	}
	ticket := c.tickets.rows[ticketID]
	setAuthor(c, a, ticket)
	if a.num("type_id") == typeEmail && a.num("sender_id") == senderAgent && c.groups.rows[ticket.num("group_id")]["email_address_id"] == nil {
		return nil, broken("No email address found for group '" + c.groups.rows[ticket.num("group_id")].str("name") + "'")
	}
	if err := mentionAgents(c, ticket, body); err != nil {
		return nil, err
	}
	a["body"] = body
	var pictures []file
	if isHTML(a) {
		a["body"], pictures = inlinePictures(c, ticketID, body)
		a["body"] = sanitizer.Clean(a.str("body"))
	}
	a = c.articles.insert(&c.tx, a)
	if err := storeFiles(c, a.id(), append(pictures, files...)); err != nil {
		return nil, err
	}
	c.noteHistory(ticketID, "Ticket::Article", a.id(), row{"type": "created"})
	afterArticle(c, a)
	return a, nil
}

func isHTML(a row) bool { return strings.Contains(strings.ToLower(a.str("content_type")), "html") }

// takeArticle reads the settable columns; what customers may not choose is overruled.
func takeArticle(c *call, a, fields row) error {
	if err := takeLookup(c, a, fields, "type", c.articleTypes); err != nil {
		return err
	}
	if err := takeLookup(c, a, fields, "sender", c.senders); err != nil {
		return err
	}
	if fields["sender"] == nil && fields["sender_id"] == nil && !c.isAgent() {
		a["sender_id"] = senderCustomer
	}
	for _, k := range []string{"from", "to", "cc", "subject", "reply_to", "message_id", "in_reply_to", "references"} {
		if v, given := fields[k]; given && v != nil {
			a[k] = cut(asText(v), 3000)
		}
	}
	if a["subject"] != nil {
		a["subject"] = oneLine(a.str("subject"))
	}
	if s := a.str("message_id"); s != "" {
		sum := md5.Sum([]byte(s))
		a["message_id_md5"] = hex.EncodeToString(sum[:])
	}
	if s := asText(fields["content_type"]); s != "" {
		a["content_type"] = cut(s, 20)
	}
	a["internal"] = castBool(fields["internal"]) == true
	if p := fields.object("preferences"); p != nil {
		a["preferences"] = p
	}
	if !c.isAgent() {
		if t := a.num("type_id"); t != typeWeb && t != typeNote {
			a["type_id"] = typeNote
		}
		a["sender_id"], a["internal"] = senderCustomer, false
		return nil
	}
	return takeOrigin(c, a, fields)
}

func takeLookup(c *call, a, fields row, key string, names []string) error {
	if name := asText(fields[key]); name != "" {
		i := slices.Index(names, name)
		if i < 0 {
			return noLookup(key, name)
		}
		a[key+"_id"] = i + 1
	} else if v := fields[key+"_id"]; v != nil {
		id := fields.num(key + "_id")
		if id < 1 || id > len(names) {
			return invalid(fmt.Sprintf("Invalid value for param '%s_id': %v", key, v))
		}
		a[key+"_id"] = id
	}
	return nil
}

func takeOrigin(c *call, a, fields row) error {
	if login := asText(fields["origin_by"]); login != "" {
		u, ok := c.users.by("login", login)
		if !ok {
			u, ok = c.users.by("email", login)
		}
		if !ok {
			return noLookup("origin_by", login)
		}
		a["origin_by_id"] = u.id()
	} else if v := fields["origin_by_id"]; v != nil {
		id := fields.num("origin_by_id")
		if _, ok := c.users.rows[id]; !ok {
			return invalid(fmt.Sprintf("Invalid value for param 'origin_by_id': %v", v))
		}
		a["origin_by_id"] = id
	}
	return nil
}

// setAuthor fills origin, sender and from (contract 00.1 and 3.1).
func setAuthor(c *call, a, ticket row) {
	kind := a.num("type_id")
	direct := kind == typePhone || kind == typeNote || kind == typeWeb
	if a["origin_by_id"] != nil {
		a["sender_id"] = senderCustomer
	} else if a.num("sender_id") == senderCustomer && direct {
		a["origin_by_id"] = ticket["customer_id"]
	}
	author := c.users.rows[a.num("created_by_id")]
	if a["origin_by_id"] != nil {
		author = c.users.rows[a.num("origin_by_id")]
	}
	name := author.str("firstname") + " " + author.str("lastname")
	switch c.articleTypes[kind-1] {
	case "note", "chat", "fax":
		a["from"] = name
	case "web", "phone":
		a["from"] = name
		if a.num("sender_id") == senderCustomer {
			a["from"] = addressLine(name, author.str("email"))
		}
	}
}

// addressLine is "First Last <mail>"; without an address nothing is left of it.
func addressLine(name, email string) string {
	if email == "" {
		return ""
	}
	if strings.ContainsAny(name, `()<>@,;:\".[]`) {
		name = `"` + strings.ReplaceAll(name, `"`, `\"`) + `"`
	}
	return name + " <" + email + ">"
}

// afterArticle moves the ticket: state, contact times, counters.
func afterArticle(c *call, a row) {
	t := maps.Clone(c.tickets.rows[a.num("ticket_id")])
	communication := a.num("type_id") != typeNote
	if communication && !a.flag("internal") {
		at, sender := a["created_at"], a.num("sender_id")
		if sender == senderAgent {
			if c.states.rows[t.num("state_id")].flag("default_create") {
				if open := c.states.all(func(s row) bool { return s.flag("default_follow_up") }); len(open) > 0 {
					t["state_id"] = open[0].id()
				}
			}
			t["last_contact_agent_at"], t["last_contact_at"] = at, at
			if t["first_response_at"] == nil {
				t["first_response_at"] = at
			}
		}
		// repeated messages of a customer do not count until an agent has answered
		answered := t["last_contact_agent_at"] != nil && t.time("last_contact_agent_at").After(t.time("last_contact_customer_at"))
		if sender == senderCustomer && (t["last_contact_customer_at"] == nil || answered) {
			t["last_contact_customer_at"], t["last_contact_at"] = at, at
		}
	}
	t["updated_by_id"] = a["created_by_id"]
	saveTicket(c, recount(c, t))
	c.wrote(a)
}

// recount sets what a ticket knows about its articles.
func recount(c *call, t row) row {
	n := 0
	articles := c.ticketArticles(t.id())
	for _, a := range articles {
		if a.num("sender_id") != senderSystem {
			n++
		}
	}
	t["article_count"] = n
	if len(articles) > 0 {
		t["create_article_type_id"], t["create_article_sender_id"] = articles[0]["type_id"], articles[0]["sender_id"]
	}
	return t
}

// articleFor returns an article that the caller may see; customers see no internal ones.
func articleFor(c *call, id int, right string) (row, row, error) {
	a, err := c.articles.find(id)
	if err != nil {
		return nil, nil, err
	}
	t, err := c.ticketFor(a.num("ticket_id"), right)
	if err == nil && a.flag("internal") && !seesInternal(c, t) {
		err = forbidden("Not authorized")
	}
	return a, t, err
}

func seesInternal(c *call, t row) bool {
	return c.isAgent() && (t.num("owner_id") == c.user.id() || c.groupAccess(c.user, t.num("group_id"), "read"))
}

func getArticle(c *call) (any, error) {
	a, _, err := articleFor(c, c.pathID("id"), "read")
	if err != nil {
		return nil, err
	}
	return c.renderArticle(a), nil
}

func listArticles(c *call) (any, error) {
	t, err := c.ticketFor(c.pathID("id"), "read")
	if err != nil {
		return nil, err
	}
	out := []row{}
	for _, a := range c.ticketArticles(t.id()) {
		if !a.flag("internal") || seesInternal(c, t) {
			out = append(out, c.renderArticle(a))
		}
	}
	return out, nil
}

// updateArticle changes visibility and the highlights, nothing else. It causes no event; only
// the ticket's updated_at moves (contract 00.18).
func updateArticle(c *call) (any, error) {
	old, _, err := articleFor(c, c.pathID("id"), "change")
	if err != nil {
		return nil, err
	}
	if !c.isAgent() {
		return nil, forbidden("Not authorized")
	}
	a := old.with(row{"updated_by_id": c.user.id()})
	if v, given := c.params["internal"]; given {
		a["internal"] = castBool(v) == true
	}
	if highlight, given := c.params.object("preferences")["highlight"]; given {
		p := maps.Clone(old.object("preferences"))
		p["highlight"] = highlight
		a["preferences"] = p
	}
	if len(changes(old, a)) > 0 || old["updated_by_id"] != a["updated_by_id"] {
		a["updated_at"] = c.stamp()
		c.articles.put(&c.tx, a)
		touchTicket(c, a.num("ticket_id"))
	}
	return c.renderArticle(a), nil
}

// touchTicket moves updated_at of a ticket without an event.
func touchTicket(c *call, ticket int) {
	c.tickets.put(&c.tx, c.tickets.rows[ticket].with(row{"updated_at": c.stamp()}))
}

// deleteArticle lets agents delete their own young notes only.
func deleteArticle(c *call) (any, error) {
	a, t, err := articleFor(c, c.pathID("id"), "read")
	if err != nil {
		return nil, err
	}
	if !c.may("admin") {
		age := c.now.Sub(a.time("created_at")).Seconds()
		limit := row{"v": c.setting("ui_ticket_zoom_article_delete_timeframe")}.num("v")
		switch {
		case !c.may("ticket.agent") || a.num("created_by_id") != c.user.id():
			return nil, forbidden("Not authorized (you can only delete your own notes)!")
		case a.num("type_id") != typeNote:
			return nil, forbidden("Not authorized (communication articles cannot be deleted)!")
		case limit > 0 && age > float64(limit):
			return nil, forbidden("Not authorized (note is too old to be deleted)!")
		}
	}
	c.dropArticle(&c.tx, a.id())
	c.tickets.put(&c.tx, recount(c, t.with(row{"updated_at": c.stamp()})))
	return row{}, nil
}

func (db *database) dropArticle(x *tx, id int) {
	for _, f := range db.articleFiles(id) {
		db.files.remove(x, f.id())
	}
	x.undo = append(x.undo, func() { delete(db.buried, id) })
	db.buried[id] = db.articles.rows[id]
	db.articles.remove(x, id)
}
