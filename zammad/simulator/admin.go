package simulator

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// kind is a sort of objects that admins manage by plain create, read, update and delete
// (contract 5).
type kind struct {
	path     string
	table    func(*database) *table
	needs    []string // to write, and to read unless reads says otherwise
	reads    []string
	defaults row // the columns a caller may set
	unique   bool
	fixed    bool // cannot be deleted
	check    func(*call, row) error
	render   func(*call, row) row
}

var kinds = []kind{
	{path: "groups", table: func(d *database) *table { return d.groups }, needs: []string{"admin.group"},
		unique: true, fixed: true, render: renderGroup,
		defaults: row{"signature_id": nil, "email_address_id": nil, "name": nil, "assignment_timeout": nil,
			"follow_up_possible": "yes", "reopen_time_in_days": nil, "follow_up_assignment": true,
			"active": true, "shared_drafts": true, "note": nil}},
	{path: "roles", table: func(d *database) *table { return d.roles }, needs: []string{"admin.role"}, unique: true, fixed: true,
		defaults: row{"name": nil, "preferences": map[string]any{}, "default_at_signup": false, "active": true,
			"note": nil, "permissions": []any{}, "group_ids": map[string]any{}}},
	{path: "webhooks", table: func(d *database) *table { return d.webhooks }, needs: []string{"admin.webhook"}, check: checkWebhook,
		defaults: row{"name": nil, "endpoint": nil, "signature_token": nil, "ssl_verify": true,
			"basic_auth_username": nil, "basic_auth_password": nil, "note": nil, "pre_defined_webhook_type": nil,
			"customized_payload": false, "custom_payload": nil, "preferences": map[string]any{}, "active": true}},
	{path: "triggers", table: func(d *database) *table { return d.triggers }, needs: []string{"admin.trigger"}, unique: true, check: checkTrigger,
		defaults: row{"name": nil, "condition": map[string]any{}, "perform": map[string]any{}, "disable_notification": true,
			"note": nil, "activator": "action", "execution_condition_mode": "selective", "active": true}},
	{path: "jobs", table: func(d *database) *table { return d.jobs }, needs: []string{"admin.scheduler"}, unique: true,
		defaults: row{"name": nil, "timeplan": map[string]any{}, "condition": map[string]any{}, "perform": map[string]any{},
			"disable_notification": true, "last_run_at": nil, "next_run_at": nil, "running": false, "processed": 0,
			"matching": 0, "pid": nil, "note": nil, "active": false}},
	{path: "overviews", table: func(d *database) *table { return d.overviews }, needs: []string{"admin.overview"}, check: fillOverview,
		defaults: row{"name": nil, "link": nil, "prio": nil, "condition": map[string]any{}, "order": map[string]any{},
			"group_by": nil, "group_direction": nil, "organization_shared": false, "out_of_office": false,
			"view": map[string]any{}, "active": true, "role_ids": []any{}, "user_ids": []any{}}},
	{path: "ticket_states", table: func(d *database) *table { return d.states }, needs: []string{"admin.object"}, reads: ticketRights,
		unique: true, render: renderState,
		defaults: row{"state_type_id": nil, "name": nil, "next_state_id": nil, "ignore_escalation": false,
			"default_create": false, "default_follow_up": false, "note": nil, "active": true}},
	{path: "ticket_priorities", table: func(d *database) *table { return d.priorities }, needs: []string{"admin.object"},
		reads: ticketRights, unique: true,
		defaults: row{"name": nil, "default_create": false, "ui_icon": nil, "ui_color": nil, "note": nil, "active": true}},
}

var ticketRights = []string{"ticket.agent", "ticket.customer"}

func (k kind) routes(v1 string) []route {
	reads := k.reads
	if reads == nil {
		reads = k.needs
	}
	one := v1 + "/" + k.path + "/{id}"
	list := []route{
		{pattern: "GET " + v1 + "/" + k.path, handle: k.list, needs: reads},
		{pattern: "GET " + one, handle: k.get, needs: reads},
		{pattern: "POST " + v1 + "/" + k.path, handle: k.create, needs: k.needs},
		{pattern: "PUT " + one, handle: k.update, needs: k.needs},
	}
	if !k.fixed {
		list = append(list, route{pattern: "DELETE " + one, handle: k.remove, needs: k.needs})
	}
	return list
}

func (k kind) show(c *call, r row) row {
	if k.render != nil {
		return k.render(c, r)
	}
	return r
}

func (k kind) list(c *call) (any, error) {
	all := k.table(c.database).all(nil)
	from, to := c.page(len(all), 500, 1000)
	out := []row{}
	for _, r := range all[from:to] {
		out = append(out, k.show(c, r))
	}
	return out, nil
}

func (k kind) get(c *call) (any, error) {
	r, err := k.table(c.database).find(c.pathID("id"))
	if err != nil {
		return nil, err
	}
	return k.show(c, r), nil
}

// take copies what the caller may set, cast to the type of the column.
func (k kind) take(c *call, into row) row {
	changes := row{"updated_by_id": c.user.id(), "updated_at": c.stamp()}
	for column, standard := range k.defaults {
		v, given := c.params[column]
		if !given {
			continue
		}
		if _, boolean := standard.(bool); boolean {
			v = castBool(v)
		}
		if s, ok := v.(string); ok {
			v = strings.ReplaceAll(s, "\x00", "")
		}
		changes[column] = v
	}
	return into.with(changes)
}

func (k kind) create(c *call) (any, error) {
	r := k.take(c, k.defaults.with(row{"created_by_id": c.user.id(), "created_at": c.stamp()}))
	if k.check != nil {
		if err := k.check(c, r); err != nil {
			return nil, err
		}
	}
	if err := k.constraints(c, r); err != nil {
		k.table(c.database).next++ // the sequence has moved although the row was refused
		return nil, err
	}
	return answer{status: 201, body: k.show(c, k.table(c.database).insert(&c.tx, r))}, nil
}

// constraints are those of the database, which are asked last and use an id up.
func (k kind) constraints(c *call, r row) error {
	if k.path == "triggers" && len(r.object("condition")) == 0 {
		return invalid(`Attribute 'condition" of relation "triggers' required!`)
	}
	if old, taken := k.table(c.database).by("name", r.str("name")); k.unique && taken && old.id() != r.id() {
		return invalid("This object already exists.")
	}
	return nil
}

func (k kind) update(c *call) (any, error) {
	old, err := k.table(c.database).find(c.pathID("id"))
	if err != nil {
		return nil, err
	}
	r := k.take(c, old)
	if k.check != nil {
		if err := k.check(c, r); err != nil {
			return nil, err
		}
	}
	if err := k.constraints(c, r); err != nil {
		return nil, err
	}
	k.table(c.database).put(&c.tx, r)
	return k.show(c, r), nil
}

func (k kind) remove(c *call) (any, error) {
	r, err := k.table(c.database).find(c.pathID("id"))
	if err != nil {
		return nil, err
	}
	if k.path == "webhooks" {
		if err := unreferenced(c, r.id()); err != nil {
			return nil, err
		}
	}
	k.table(c.database).remove(&c.tx, r.id())
	return row{}, nil
}

// unreferenced refuses to delete a webhook that triggers call.
func unreferenced(c *call, webhook int) error {
	var users []string
	for _, t := range c.triggers.all(nil) {
		hook, _ := t.object("perform")["notification.webhook"].(map[string]any)
		if hook != nil && row(hook).num("webhook_id") == webhook {
			users = append(users, fmt.Sprintf("%s (#%d)", t.str("name"), t.id()))
		}
	}
	if users == nil {
		return nil
	}
	return invalid("Cannot delete! This webhook is referenced by Trigger: " + strings.Join(users, ", "))
}

func checkWebhook(_ *call, r row) error {
	u, err := url.Parse(r.str("endpoint"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return invalid("Endpoint The provided endpoint is invalid.")
	}
	r["endpoint"] = cut(r.str("endpoint"), 300)
	return nil
}

// checkTrigger looks at the actions only: 6.1 accepts unknown columns and webhooks
// (contract 00.9).
func checkTrigger(_ *call, r row) error {
	for action, v := range r.object("perform") {
		fields, _ := v.(map[string]any)
		var needed []string
		switch action {
		case "article.note":
			needed = []string{"subject", "body", "internal"}
		case "notification.webhook":
			needed = []string{"webhook_id"}
		case "notification.email":
			needed = []string{"subject", "body", "recipient"}
		}
		for _, n := range needed {
			if v := fields[n]; v == nil || v == "" || v == false { // a JSON false counts as blank
				return invalid(fmt.Sprintf("The required 'perform' value for %s, %s is missing!", action, n))
			}
		}
	}
	return nil
}

var notLinkable = regexp.MustCompile(`[^a-z0-9]+`)

func fillOverview(c *call, r row) error {
	if r["link"] == nil {
		r["link"] = strings.Trim(notLinkable.ReplaceAllString(strings.ToLower(r.str("name")), "_"), "_")
	}
	if r["prio"] == nil {
		r["prio"] = 1190 + c.overviews.next
	}
	return nil
}

var (
	attributeName   = regexp.MustCompile(`^[a-z0-9_]+$`)
	reservedColumns = []string{"id", "true", "false", "select", "type", "destroy", "group", "state", "priority", "owner", "customer"}
	objectLookup    = map[string]int{"Ticket": 1, "TicketArticle": 2, "User": 3, "Organization": 4, "Group": 5}
)

// listAttributes shows the attributes of objects. Of the built-in ones only one is there.
func listAttributes(c *call) (any, error) {
	out := []row{}
	for _, r := range c.attributes.all(nil) {
		r = r.with(row{"deletable": true})
		if r["object"] == nil {
			for name, id := range objectLookup {
				if id == r.num("object_lookup_id") {
					r["object"] = name
				}
			}
		}
		delete(r, "object_lookup_id")
		out = append(out, r)
	}
	return out, nil
}

func createAttribute(c *call) (any, error) {
	name := c.params.str("name")
	if err := checkAttributeName(name); err != nil {
		return nil, err
	}
	lookup, ok := objectLookup[c.params.str("object")]
	if !ok {
		return nil, invalid("Validation failed: Object must exist")
	}
	for _, old := range c.attributes.all(nil) {
		if old.str("name") == name && (old.num("object_lookup_id") == lookup || objectLookup[old.str("object")] == lookup) {
			return nil, invalid("This object already exists.")
		}
	}
	r := row{"object_lookup_id": lookup, "name": name, "data_option_new": map[string]any{}, "editable": true,
		"to_create": true, "to_migrate": true, "to_delete": false, "to_config": false,
		"created_by_id": c.user.id(), "created_at": c.stamp()}
	takeAttribute(c, r)
	r["data_option"] = completeOptions(c.params)
	return answer{status: 201, body: c.attributes.insert(&c.tx, r)}, nil
}

func checkAttributeName(name string) error {
	var wrong []string
	if strings.HasSuffix(name, "_id") || strings.HasSuffix(name, "_ids") {
		wrong = append(wrong, "Name can't be used because *_id and *_ids are not allowed")
	}
	if strings.ContainsAny(name, " \t\n") {
		wrong = append(wrong, "Name spaces are not allowed")
	}
	if !attributeName.MatchString(name) {
		wrong = append(wrong, "Name only lowercase letters, numbers, and '_' are allowed")
	}
	if slices.Contains(reservedColumns, name) {
		wrong = append(wrong, "Name "+name+" is a reserved word")
	}
	if wrong == nil {
		return nil
	}
	return invalid("Validation failed: " + strings.Join(wrong, ", "))
}

// takeAttribute copies what the caller sent besides name and options.
func takeAttribute(c *call, r row) {
	for _, key := range []string{"display", "data_type", "active", "screens", "position"} {
		if v, given := c.params[key]; given {
			r[key] = v
		} else if r[key] == nil {
			r[key] = map[string]any{"active": true, "screens": map[string]any{}, "position": 1550}[key]
		}
	}
	r["updated_by_id"], r["updated_at"] = c.user.id(), c.stamp()
}

// completeOptions adds the keys that Zammad adds by data type.
func completeOptions(params row) map[string]any {
	out := map[string]any{}
	for k, v := range params.object("data_option") {
		out[k] = v
	}
	if _, given := out["options"]; !given {
		out["options"] = map[string]any{}
	}
	if _, given := out["relation"]; !given {
		out["relation"] = ""
	}
	if _, given := out["default"]; !given {
		out["default"] = nil
	}
	return out
}

// updateAttribute finds the attribute by object and name in the body, whatever the id says
// (contract 5). Changed options wait for the migration.
func updateAttribute(c *call) (any, error) {
	lookup := objectLookup[c.params.str("object")]
	for _, old := range c.attributes.all(nil) {
		if old.str("name") != c.params.str("name") || old.num("object_lookup_id") != lookup {
			continue
		}
		r := old.with(nil)
		takeAttribute(c, r)
		if _, given := c.params["data_option"]; given {
			r["data_option_new"], r["to_config"] = completeOptions(c.params), true
		}
		c.attributes.put(&c.tx, r)
		return r, nil
	}
	return nil, notFound("Couldn't find ObjectManager::Attribute")
}

// migrateAttributes makes the new ticket columns real: booleans get their default everywhere, texts
// stay null on tickets that exist already.
func migrateAttributes(c *call) (any, error) {
	for _, r := range c.attributes.all(nil) {
		if r.flag("to_config") {
			r = r.with(row{"data_option": r["data_option_new"], "data_option_new": map[string]any{}, "to_config": false})
		}
		created := r.flag("to_create")
		r = r.with(row{"to_create": false, "to_migrate": false})
		c.attributes.put(&c.tx, r)
		if !created || r.num("object_lookup_id") != objectLookup["Ticket"] {
			continue
		}
		var value any
		if r.str("data_type") == "boolean" {
			value = r.object("data_option")["default"]
		}
		for _, t := range c.tickets.all(nil) {
			c.tickets.put(&c.tx, t.with(row{r.str("name"): value}))
		}
	}
	return row{}, nil
}

// ticketAttributes are the migrated custom columns of tickets.
func (db *database) ticketAttributes() []row {
	return db.attributes.all(func(r row) bool {
		return r.num("object_lookup_id") == objectLookup["Ticket"] && !r.flag("to_create")
	})
}

// requiredMissing returns the first custom attribute that the screen demands of agents and
// the ticket does not have.
func requiredMissing(c *call, ticket row, screen string) string {
	for _, a := range c.ticketAttributes() {
		views, _ := a.object("screens")[screen].(map[string]any)
		for role, v := range views {
			rules, _ := v.(map[string]any)
			if row(rules).flag("required") && asText(ticket[a.str("name")]) == "" && (role == "-all-" || c.may(role)) {
				return a.str("name")
			}
		}
	}
	return ""
}
