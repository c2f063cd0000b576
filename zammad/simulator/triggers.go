package simulator

import (
	"fmt"
	"html"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// event is what triggers see of one request for one ticket (contract 4.4).
type event struct {
	ticket  int
	kind    string // create, update, update.merged_into, update.received_merge
	changes map[string]bool
	article row // the last one written, if any
}

func (c *call) eventFor(ticket int) *event {
	for _, e := range c.events {
		if e.ticket == ticket {
			return e
		}
	}
	e := &event{ticket: ticket, kind: "update", changes: map[string]bool{}}
	c.events = append(c.events, e)
	return e
}

func (c *call) created(t row) { c.eventFor(t.id()).kind = "create" }
func (c *call) wrote(a row)   { c.eventFor(a.num("ticket_id")).article = a }

func (c *call) markMerge(source, target int) {
	c.eventFor(source).kind = "update.merged_into"
	c.eventFor(target).kind = "update.received_merge"
}

// unseen are the columns whose changes raise no event.
var unseen = []string{"updated_at", "updated_by_id", "article_count", "create_article_type_id", "create_article_sender_id"}

// changes lists the columns in which two versions of a row differ.
func changes(old, now row) []string {
	var out []string
	for k, v := range now {
		if !slices.Contains(unseen, k) && !reflect.DeepEqual(old[k], v) {
			out = append(out, k)
		}
	}
	return out
}

// changed notes an update of a ticket; a ticket made in the same request has none.
func (c *call) changed(old, t row) {
	columns := changes(old, t)
	if len(columns) == 0 {
		return
	}
	e := c.eventFor(t.id())
	if e.kind == "create" {
		return
	}
	for _, k := range columns {
		e.changes[k] = true
	}
	if from, to := old.num("state_id"), t.num("state_id"); from != to {
		c.noteHistory(t.id(), "Ticket", t.id(), row{"type": "updated", "attribute": "state", "id_from": from, "id_to": to,
			"value_from": c.states.rows[from]["name"], "value_to": c.states.rows[to]["name"]})
	}
}

// fireTriggers runs the triggers over the events of the request, in the order of their names.
// What they write themselves raises no further event: Zammad stops at the second round.
func fireTriggers(c *call) {
	events := c.events
	c.events = nil
	triggers := c.triggers.all(func(t row) bool { return t.flag("active") && t.str("activator") == "action" })
	slices.SortStableFunc(triggers, func(a, b row) int {
		return strings.Compare(strings.ToLower(a.str("name")), strings.ToLower(b.str("name")))
	})
	for _, e := range events {
		c.enqueueCount(c.tickets.rows[e.ticket].num("customer_id"), c.user.id())
		for _, t := range triggers {
			ticket, ok := c.tickets.rows[e.ticket]
			if !ok {
				break
			}
			if !selected(t, e) {
				continue
			}
			hit, err := matches(c, t.object("condition"), subject{ticket: ticket, article: e.article, event: e})
			if err != nil {
				c.log.Warn("trigger condition cannot be evaluated", "trigger", t.id(), "error", err)
				continue
			}
			if hit {
				perform(c, t, e)
			}
		}
	}
	c.events = nil
}

// selected is the selective mode: an update counts only with a new article or with a change
// of a column that the condition names.
func selected(trigger row, e *event) bool {
	if e.kind == "create" || e.article != nil || trigger.str("execution_condition_mode") != "selective" {
		return true
	}
	names := conditionNames(trigger.object("condition"))
	for column := range e.changes {
		if slices.Contains(names, "ticket."+column) {
			return true
		}
	}
	return false
}

func conditionNames(condition map[string]any) []string {
	parts, tree := condition["conditions"].([]any)
	if !tree {
		return slices.Collect(maps.Keys(condition))
	}
	var names []string
	for _, p := range parts {
		node, _ := p.(map[string]any)
		if name, leaf := node["name"].(string); leaf {
			names = append(names, name)
		} else {
			names = append(names, conditionNames(node)...)
		}
	}
	return names
}

// perform does what a trigger says. Mail is not sent.
func perform(c *call, trigger row, e *event) {
	actions := trigger.object("perform")
	columns := row{}
	for _, name := range slices.Sorted(maps.Keys(actions)) {
		fields, _ := actions[name].(map[string]any)
		column, ofTicket := strings.CutPrefix(name, "ticket.")
		switch {
		case name == "notification.webhook":
			c.enqueue(&delivery{id: uuid.NewString(), trigger: trigger.id(), name: trigger.str("name"),
				webhook: row(fields).num("webhook_id"), ticket: e.ticket, article: e.article.id()})
		case name == "article.note":
			writeNote(c, e, row(fields))
		case name == "ticket.action" && asText(fields["value"]) == "delete":
			c.dropTicket(&c.tx, e.ticket)
			return
		case name == "ticket.tags":
			performTags(c, e.ticket, row(fields))
		case ofTicket && strings.HasSuffix(column, "_id"):
			columns[column] = row(fields).num("value")
		case ofTicket:
			columns[column] = fields["value"]
		}
	}
	if len(columns) == 0 {
		return
	}
	old := c.tickets.rows[e.ticket]
	t := old.with(columns).with(row{"updated_by_id": 1})
	setCloseTimes(c, old, t)
	saveTicket(c, t)
}

func performTags(c *call, ticket int, fields row) {
	for tag := range strings.SplitSeq(asText(fields["value"]), ",") {
		if fields.str("operator") == "remove" {
			c.untag(ticket, strings.TrimSpace(tag))
		} else {
			c.tag(ticket, strings.TrimSpace(tag))
		}
	}
}

// writeNote adds the note of a trigger: sender System, by nobody (user 1).
func writeNote(c *call, e *event, fields row) {
	nobody := *c
	nobody.user, nobody.token, nobody.events = c.users.rows[1], nil, nil
	at := c.stamp()
	body := fillPlaceholders(c, fields.str("body"), e)
	a := articleDefaults().with(row{"ticket_id": e.ticket, "type_id": typeNote, "sender_id": senderSystem,
		"subject": fillPlaceholders(c, fields.str("subject"), e), "content_type": "text/html", "body": body,
		"internal": castBool(fields["internal"]) == true, "from": "- ",
		"created_by_id": 1, "updated_by_id": 1, "created_at": at, "updated_at": at})
	a = c.articles.insert(&c.tx, a)
	nobody.tx = c.tx
	afterArticle(&nobody, a)
	c.undo = nobody.undo
}

var placeholder = regexp.MustCompile(`#\{\s*([a-z_]+(?:\.[a-z_0-9]+)*)\s*\}`)

// fillPlaceholders replaces #{ticket.customer.firstname} and the like, escaped for HTML.
func fillPlaceholders(c *call, text string, e *event) string {
	return placeholder.ReplaceAllStringFunc(text, func(match string) string {
		path := strings.Split(placeholder.FindStringSubmatch(match)[1], ".")
		return html.EscapeString(lookUp(c, path, e))
	})
}

func lookUp(c *call, path []string, e *event) string {
	r := map[string]row{"ticket": c.tickets.rows[e.ticket], "article": e.article}[path[0]]
	if r == nil {
		return fmt.Sprintf("#{%s / no such object}", path[0])
	}
	for _, step := range path[1 : len(path)-1] {
		tables := map[string]*table{"customer": c.users, "owner": c.users, "created_by": c.users, "updated_by": c.users,
			"group": c.groups, "state": c.states, "priority": c.priorities}
		t, ok := tables[step]
		if !ok {
			return fmt.Sprintf("#{%s / no such method}", strings.Join(path, "."))
		}
		r = t.rows[r.num(step+"_id")]
	}
	return asText(r[path[len(path)-1]])
}
