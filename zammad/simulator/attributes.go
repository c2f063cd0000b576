package simulator

import (
	"regexp"
	"slices"
	"strings"
)

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
