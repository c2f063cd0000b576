package simulator

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// grants tells whether a list of permissions gives want: a parent gives its children, and
// want may end in ".*" for any permission below it (contract 1).
func grants(list []string, want string) bool {
	if parent, any := strings.CutSuffix(want, ".*"); any {
		return slices.ContainsFunc(list, func(p string) bool {
			return p == parent || strings.HasPrefix(p, parent+".")
		})
	}
	return slices.ContainsFunc(list, func(p string) bool {
		return p == want || strings.HasPrefix(want, p+".")
	})
}

// userMay asks the roles of a user, whatever the token says.
func (db *database) userMay(user row, want string) bool {
	for _, id := range user.ints("role_ids") {
		role := db.roles.rows[id]
		if role.flag("active") && grants(texts(role["permissions"]), want) {
			return true
		}
	}
	return false
}

// may asks for one of the permissions: of the user and, unless it is impersonated, of the
// token too (contract 1).
func (c *call) may(wants ...string) bool {
	return slices.ContainsFunc(wants, func(want string) bool {
		return c.userMay(c.user, want) && (c.token == nil || grants(c.perms, want))
	})
}

// lacking is the 403 for a missing permission.
func (c *call) lacking() error {
	if c.token != nil {
		return forbidden("Not authorized (token)!")
	}
	return forbidden("Not authorized (user)!")
}

// texts reads a list of texts; a single text counts as a list of one.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		out := make([]string, len(v))
		for i := range v {
			out[i] = asText(v[i])
		}
		return out
	}
	return nil
}

// authenticate finds out who calls (contract 1), maintenance mode included.
func (c *call) authenticate() error {
	if c.open {
		return nil
	}
	header := c.r.Header.Get("Authorization")
	var err error
	switch {
	case strings.HasPrefix(header, "Basic "):
		err = c.byPassword()
	case strings.HasPrefix(header, "Token "):
		err = c.byToken(header)
	case strings.HasPrefix(header, "Bearer "):
		err = unauthorized("The provided token is invalid.") // no OAuth2 application exists here
	default:
		return forbidden("Authentication required")
	}
	if err != nil {
		return err
	}
	if err := c.impersonate(); err != nil {
		return err
	}
	c.lastActor = c.user.id()
	c.seesErrors = c.userMay(c.user, "admin")
	if on, _ := c.setting("maintenance_mode").(bool); on && !c.userMay(c.user, "admin.maintenance") {
		return forbidden("Maintenance mode enabled!")
	}
	return nil
}

func (c *call) byPassword() error {
	if on, _ := c.setting("api_password_access").(bool); !on {
		return forbidden("API password access disabled!")
	}
	login, password, _ := c.r.BasicAuth()
	login = strings.ToLower(strings.TrimSpace(login))
	user, ok := c.users.by("login", login)
	if !ok && login != "" {
		user, ok = c.users.by("email", login)
	}
	if ok && user.str("password") != password {
		// saved in the name of whoever used the server thread before
		c.users.set(user.id(), user.with(row{"login_failed": user.num("login_failed") + 1,
			"updated_by_id": c.lastActor, "updated_at": c.stamp()}))
	}
	if !ok || password == "" || user.str("password") != password || !user.flag("active") {
		return unauthorized("Invalid BasicAuth credentials")
	}
	c.user = user
	return nil
}

func (c *call) byToken(header string) error {
	if on, _ := c.setting("api_token_access").(bool); !on {
		return forbidden("API token access disabled!")
	}
	token, ok := c.tokens.by("token", tokenIn(header))
	if !ok {
		return unauthorized("Can't find User for Token")
	}
	if expired(token, c.now) {
		return unauthorized("Not authorized (token expired)!")
	}
	user, ok := c.users.rows[token.num("user_id")]
	if !ok {
		return unauthorized("Can't find User for Token")
	}
	if !user.flag("active") {
		return unauthorized("Login failed. Have you double-checked your credentials and completed the email verification step?")
	}
	c.user, c.token, c.perms = user, token, texts(token.object("preferences")["permission"])
	c.tokens.set(token.id(), token.with(row{"last_used_at": c.stamp()}))
	return nil
}

// tokenIn reads the token in an Authorization header; a space, which is no token, without one.
func tokenIn(header string) string {
	scheme, value, _ := strings.Cut(header, " ")
	value = strings.Trim(strings.TrimPrefix(strings.TrimSpace(value), "token="), `"`)
	if scheme != "Token" || value == "" {
		return " "
	}
	return value
}

// expired tells whether a token's last day is over.
func expired(token row, now time.Time) bool {
	day := token.str("expires_at")
	return day != "" && day[:min(10, len(day))] <= now.UTC().Format("2006-01-02")
}

// impersonate obeys From (or its older alias). The right is asked of the real user, not of
// the token; afterwards the token's list no longer applies (contract 1).
func (c *call) impersonate() error {
	name := c.r.Header.Get("From")
	if name == "" {
		name = c.r.Header.Get("X-On-Behalf-Of")
	}
	if name == "" {
		return nil
	}
	if !c.userMay(c.user, "admin.user") {
		return forbidden("Current user has no permission to use 'From'/'X-On-Behalf-Of'!")
	}
	name = strings.ToLower(strings.TrimSpace(name))
	user, ok := row(nil), false
	if id, err := strconv.Atoi(name); err == nil {
		user, ok = c.users.rows[id]
	}
	if !ok {
		user, ok = c.users.by("login", name)
	}
	if !ok {
		user, ok = c.users.by("email", name)
	}
	if !ok {
		return forbidden("No such user '" + name + "'")
	}
	c.user, c.token, c.perms = user, nil, nil
	return nil
}

// groupAccess tells whether the user has the right (read, create, change, delete, overview)
// in the group, by itself or by a role; an inactive group gives nobody anything.
func (db *database) groupAccess(user row, groupID int, right string) bool {
	if !db.groups.rows[groupID].flag("active") || !db.userMay(user, "ticket.agent") {
		return false
	}
	key := strconv.Itoa(groupID)
	holders := []row{user}
	for _, id := range user.ints("role_ids") {
		holders = append(holders, db.roles.rows[id])
	}
	return slices.ContainsFunc(holders, func(r row) bool {
		rights := texts(r.object("group_ids")[key])
		return slices.Contains(rights, "full") || slices.Contains(rights, right)
	})
}

// ticketAccess is the rule for one ticket: the owner always (6.1), agents by group,
// customers by being the customer.
func (c *call) ticketAccess(ticket row, right string) bool {
	agent := c.userMay(c.user, "ticket.agent")
	if agent && (ticket.num("owner_id") == c.user.id() || c.groupAccess(c.user, ticket.num("group_id"), right)) {
		return true
	}
	return c.userMay(c.user, "ticket.customer") && ticket.num("customer_id") == c.user.id() && right != "delete"
}

// ticketFor returns the ticket if the caller has the right to it.
func (c *call) ticketFor(id int, right string) (row, error) {
	t, err := c.tickets.find(id)
	if err != nil {
		return nil, err
	}
	if !c.ticketAccess(t, right) {
		return nil, forbidden("Not authorized")
	}
	return t, nil
}

// isAgent decides the rules for authors. It asks the user and ignores the token's list, as
// Zammad does (contract 1).
func (c *call) isAgent() bool { return c.userMay(c.user, "ticket.agent") }

// followUp is the group's rule for closed tickets; agents are exempt (contract 3.2).
func followUp(c *call, t row) error {
	if c.isAgent() || !slices.Contains([]string{"closed", "merged"}, c.stateType(t.num("state_id"))) {
		return nil
	}
	group := c.groups.rows[t.num("group_id")]
	rule := group.str("follow_up_possible")
	late := rule == "new_ticket_after_certain_time" && t["last_close_at"] != nil &&
		c.now.Sub(t.time("last_close_at")) > time.Duration(group.num("reopen_time_in_days"))*24*time.Hour
	if rule == "new_ticket" || late {
		return invalid("Cannot follow-up on a closed ticket. Please create a new ticket.")
	}
	return nil
}

func listSettings(c *call) (any, error) {
	return c.settings.all(func(r row) bool {
		rights := texts(r.object("preferences")["permission"])
		return len(rights) == 0 || slices.ContainsFunc(rights, func(p string) bool { return c.may(p) })
	}), nil
}

func updateSetting(c *call) (any, error) {
	r, err := c.settings.find(c.pathID("id"))
	if err != nil {
		return nil, err
	}
	if rights := texts(r.object("preferences")["permission"]); len(rights) > 0 && !c.may(rights...) {
		return nil, forbidden("Not authorized (required permission " + strings.Join(rights, ", ") + ")!")
	}
	state, ok := c.params["state_current"].(map[string]any)
	if !ok {
		return r, nil
	}
	r = r.with(row{"state_current": state, "updated_at": c.stamp()})
	c.settings.put(&c.tx, r)
	return r, nil
}
