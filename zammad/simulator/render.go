package simulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"time"
)

// showTicket renders the answer to creating, changing and reading a ticket by the response
// switches (contract 2.3).
func showTicket(c *call, t row) row {
	switch {
	case c.wants("all"):
		return wholeTicket(c, t)
	case c.wants("full"):
		a := newAssets(c)
		a.ticket(t.id())
		return row{"id": t.id(), "assets": a.out}
	case c.wants("expand"):
		return expandTicket(c, t)
	}
	return t.with(row{"article_ids": c.articleIDs(t.id()), "ticket_time_accounting_ids": []any{}})
}

func (db *database) articleIDs(ticket int) []any {
	ids := []any{}
	for _, a := range db.ticketArticles(ticket) {
		ids = append(ids, a.id())
	}
	return ids
}

func expandTicket(c *call, t row) row {
	out := t.with(row{"article_ids": c.articleIDs(t.id()), "ticket_time_accounting_ids": []any{}, "ticket_time_accounting": []any{},
		"group": c.groups.rows[t.num("group_id")]["name"], "state": c.states.rows[t.num("state_id")]["name"],
		"priority": c.priorities.rows[t.num("priority_id")]["name"], "owner": c.login(t.num("owner_id")),
		"customer": c.login(t.num("customer_id")), "created_by": c.login(t.num("created_by_id")),
		"updated_by": c.login(t.num("updated_by_id"))})
	if o, ok := c.organizations.rows[t.num("organization_id")]; ok {
		out["organization"] = o["name"]
	}
	c.nameCreation(out)
	return out
}

// nameCreation adds type and sender of the first article, if there is one.
func (db *database) nameCreation(t row) {
	if n := t.num("create_article_type_id"); n > 0 {
		t["create_article_type"] = db.articleTypes[n-1]
	}
	if n := t.num("create_article_sender_id"); n > 0 {
		t["create_article_sender"] = db.senders[n-1]
	}
}

// wholeTicket is the answer to all=true. Its assets hold the group, and with it the follow-up
// rule that an agent cannot read elsewhere (contract 00.4).
func wholeTicket(c *call, t row) row {
	a := newAssets(c)
	a.ticket(t.id())
	for _, article := range c.ticketArticles(t.id()) {
		if !article.flag("internal") || seesInternal(c, t) {
			a.put("TicketArticle", article.id(), c.renderArticle(article))
		}
	}
	for _, p := range c.priorities.all(nil) {
		a.put("TicketPriority", p.id(), p)
	}
	for _, u := range c.members(t.num("group_id")) {
		a.user(u.id())
	}
	ids := []any{}
	for _, article := range c.ticketArticles(t.id()) {
		if !article.flag("internal") || seesInternal(c, t) {
			ids = append(ids, article.id())
		}
	}
	return row{"ticket_id": t.id(), "ticket_article_ids": ids, "assets": a.out, "links": c.ticketLinks(t.id()),
		"tags":     append([]string{}, c.tags[t.id()]...),
		"mentions": nonNil(c.mentions.where("mentionable_id", t.id())), "form_meta": row{}}
}

var contentID = regexp.MustCompile(`(?i)src="cid:([^"]+)"`)

// renderArticle shows an article as REST does; who wrote it is a login here.
func (db *database) renderArticle(a row) row {
	files := db.articleFiles(a.id())
	out := a.with(row{"attachments": db.renderFiles(files), "created_by": db.login(a.num("created_by_id")),
		"updated_by": db.login(a.num("updated_by_id")), "type": db.articleTypes[a.num("type_id")-1],
		"sender": db.senders[a.num("sender_id")-1], "time_unit": nil})
	if a["origin_by_id"] != nil {
		out["origin_by"] = db.login(a.num("origin_by_id"))
	}
	if !isHTML(a) {
		return out
	}
	out["body"] = contentID.ReplaceAllStringFunc(a.str("body"), func(match string) string {
		cid := contentID.FindStringSubmatch(match)[1]
		for _, f := range files {
			if f.object("preferences")["Content-ID"] == cid {
				return fmt.Sprintf(`src="%s?view=inline"`, filePath(a, f))
			}
		}
		return match
	})
	return out
}

func filePath(article, f row) string {
	return fmt.Sprintf("/api/v1/ticket_attachment/%d/%d/%d", article.num("ticket_id"), article.id(), f.id())
}

func (db *database) renderFiles(files []row) []row {
	out := []row{}
	for _, f := range files {
		f = maps.Clone(f)
		delete(f, "article_id")
		out = append(out, f)
	}
	return out
}

// assets collects rows that an answer refers to, by kind and id.
type assets struct {
	c   *call
	out map[string]map[string]any
}

func newAssets(c *call) *assets { return &assets{c: c, out: map[string]map[string]any{}} }

// put adds a row and tells whether it was new.
func (a *assets) put(kind string, id int, r row) bool {
	if a.out[kind] == nil {
		a.out[kind] = map[string]any{}
	}
	key := fmt.Sprint(id)
	if _, known := a.out[kind][key]; known {
		return false
	}
	a.out[kind][key] = r
	return true
}

func (a *assets) ticket(id int) {
	t, ok := a.c.tickets.rows[id]
	if !ok || !a.put("Ticket", id, t.with(row{"article_ids": a.c.articleIDs(id)})) {
		return
	}
	a.group(t.num("group_id"))
	for _, k := range []string{"owner_id", "customer_id", "created_by_id", "updated_by_id"} {
		a.user(t.num(k))
	}
}

func (a *assets) group(id int) {
	if g, ok := a.c.groups.rows[id]; ok {
		a.put("Group", id, renderGroup(a.c, g))
	}
}

func (a *assets) user(id int) {
	u, ok := a.c.users.rows[id]
	if !ok {
		return
	}
	shown := maps.Clone(u)
	delete(shown, "password")
	if !a.put("User", id, shown) {
		return
	}
	for _, role := range u.ints("role_ids") {
		a.put("Role", role, a.c.roles.rows[role])
	}
	for group := range u.object("group_ids") {
		a.group(row{"id": group}.num("id"))
	}
	a.user(u.num("created_by_id"))
	a.user(u.num("updated_by_id"))
}

// payload renders the default body of a webhook from what the database holds now, not from
// what it held at the event (contract 4.2).
func (db *database) payload(ticket, article row) row {
	t := db.showTicketObject(ticket)
	if article == nil {
		return row{"ticket": t, "article": row{}}
	}
	a := db.renderArticle(article).with(row{"created_by": db.userObject(article.num("created_by_id")),
		"updated_by": db.userObject(article.num("updated_by_id")), "accounted_time": json.RawMessage("0.0")})
	base := asText(db.setting("http_type")) + "://" + asText(db.setting("fqdn"))
	for i, f := range a["attachments"].([]row) {
		a["attachments"].([]row)[i] = f.with(row{"url": base + filePath(article, f)})
	}
	return row{"ticket": t, "article": a}
}

func (db *database) showTicketObject(ticket row) row {
	t := ticket.with(row{"article_ids": db.articleIDs(ticket.id()), "ticket_time_accounting_ids": []any{},
		"ticket_time_accounting": []any{}, "state": db.states.rows[ticket.num("state_id")]["name"],
		"owner": db.userObject(ticket.num("owner_id")), "customer": db.userObject(ticket.num("customer_id")),
		"created_by": db.userObject(ticket.num("created_by_id")), "updated_by": db.userObject(ticket.num("updated_by_id")),
		"organization": db.organizationObject(ticket.num("organization_id")),
		"priority":     db.named(db.priorities.rows[ticket.num("priority_id")]), "group": db.groupObject(ticket.num("group_id"))})
	db.nameCreation(t)
	return t
}

// named adds the logins of creator and updater.
func (db *database) named(r row) row {
	if r == nil {
		return row{}
	}
	return r.with(row{"created_by": db.login(r.num("created_by_id")), "updated_by": db.login(r.num("updated_by_id"))})
}

// userObject is a user in a webhook: without secrets, rights and preferences.
func (db *database) userObject(id int) row {
	u, ok := db.users.rows[id]
	if !ok {
		return row{}
	}
	out := db.named(u)
	for _, k := range []string{"last_login", "login_failed", "password", "preferences", "group_ids", "authorization_ids"} {
		delete(out, k)
	}
	roles := []any{}
	for _, r := range u.ints("role_ids") {
		roles = append(roles, db.roles.rows[r]["name"])
	}
	out["roles"] = roles
	for _, k := range []string{"organizations", "overview_sortings", "two_factor_preferences"} {
		out[k] = []any{}
	}
	if o, ok := db.organizations.rows[u.num("organization_id")]; ok {
		out["organization"] = o["name"]
	}
	return out
}

func (db *database) groupObject(id int) row {
	g, ok := db.groups.rows[id]
	if !ok {
		return row{}
	}
	ids, logins := []any{}, []any{}
	for _, u := range db.members(id) {
		ids, logins = append(ids, u.id()), append(logins, u["login"])
	}
	out := db.named(g).with(row{"user_ids": ids, "users": logins})
	if g["signature_id"] != nil {
		out["signature"] = "default"
	}
	return out
}

func (db *database) organizationObject(id int) row {
	o, ok := db.organizations.rows[id]
	if !ok {
		return row{}
	}
	ids, logins := []any{}, []any{}
	for _, u := range db.users.all(func(u row) bool { return u.num("organization_id") == id }) {
		ids, logins = append(ids, u.id()), append(logins, u["login"])
	}
	return db.named(o).with(row{"member_ids": ids, "members": logins, "secondary_member_ids": []any{}})
}

// previewWebhook shows the payload for the newest ticket; its times read differently from
// those of real deliveries, as recorded.
func previewWebhook(c *call) (any, error) {
	all := c.tickets.all(nil)
	if len(all) == 0 {
		return nil, notFound("Couldn't find Ticket")
	}
	t := all[len(all)-1]
	var article row
	if list := c.ticketArticles(t.id()); len(list) > 0 {
		article = list[len(list)-1]
	}
	return asPreview(map[string]any(c.payload(t, article))), nil
}

func asPreview(v any) any {
	switch v := v.(type) {
	case stamp:
		return time.Time(v).UTC().Format(time.DateTime) + " UTC"
	case row:
		return asPreview(map[string]any(v))
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = asPreview(v[k])
		}
		return out
	}
	return v
}

func renderGroup(c *call, r row) row {
	ids := []any{}
	for _, u := range c.members(r.id()) {
		ids = append(ids, u.id())
	}
	return r.with(row{"user_ids": ids})
}

// members returns the users with any right in the group.
func (db *database) members(group int) []row {
	key := fmt.Sprint(group)
	return db.users.all(func(u row) bool { return len(texts(u.object("group_ids")[key])) > 0 })
}

func renderState(c *call, r row) row {
	if !c.wants("expand") {
		return r
	}
	out := r.with(row{"created_by": c.login(r.num("created_by_id")), "updated_by": c.login(r.num("updated_by_id")),
		"state_type": c.stateType(r.id())})
	if next, ok := c.states.rows[r.num("next_state_id")]; ok {
		out["next_state"] = next["name"]
	}
	return out
}

// stateType returns the name of the type of a state.
func (db *database) stateType(state int) string {
	if n := db.states.rows[state].num("state_type_id"); n > 0 && n <= len(db.stateTypes) {
		return db.stateTypes[n-1]
	}
	return ""
}
