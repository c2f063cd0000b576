package simulator

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
)

// renderUser shows a user; with expand also the names of roles and groups, with full as an
// id and assets.
func renderUser(c *call, u row) row {
	if c.wants("full") {
		a := newAssets(c)
		a.user(u.id())
		return row{"id": u.id(), "assets": a.out}
	}
	out := maps.Clone(u)
	delete(out, "password")
	if !c.wants("expand") {
		return out
	}
	roles, groups := []any{}, map[string]any{}
	for _, id := range u.ints("role_ids") {
		roles = append(roles, c.roles.rows[id]["name"])
	}
	for id, rights := range u.object("group_ids") {
		groups[c.groups.rows[row{"id": id}.num("id")].str("name")] = rights
	}
	return out.with(row{"roles": roles, "groups": groups, "organizations": []any{}, "authorizations": []any{},
		"created_by": c.login(u.num("created_by_id")), "updated_by": c.login(u.num("updated_by_id"))})
}

func (db *database) login(user int) any {
	if u, ok := db.users.rows[user]; ok {
		return u["login"]
	}
	return nil
}

func userMe(c *call) (any, error) { return renderUser(c, c.user), nil }

func getUser(c *call) (any, error) {
	u, err := c.users.find(c.pathID("id"))
	if err != nil {
		return nil, err
	}
	if u.id() != c.user.id() && !c.may(userRights...) {
		return nil, forbidden("Not authorized")
	}
	return renderUser(c, u), nil
}

func listUsers(c *call) (any, error) {
	all := c.users.all(func(u row) bool { return u.id() == c.user.id() || c.may(userRights...) })
	return userPage(c, all, 500, 1000), nil
}

func userPage(c *call, all []row, standard, most int) []row {
	from, to := c.page(len(all), standard, most)
	out := []row{}
	for _, u := range all[from:to] {
		out = append(out, renderUser(c, u))
	}
	return out
}

// searchUsers is the search without a search engine: a substring of name, e-mail and login;
// field syntax finds nothing, no query at all breaks (contract 2.2).
func searchUsers(c *call) (any, error) {
	query, ok := c.params["query"].(string)
	if !ok {
		return nil, broken("undefined method `delete!' for nil:NilClass")
	}
	query = strings.ToLower(strings.Trim(query, "* "))
	found := c.users.all(func(u row) bool {
		return u.id() != 1 && slices.ContainsFunc([]string{"firstname", "lastname", "email", "login"}, func(k string) bool {
			return strings.Contains(strings.ToLower(u.str(k)), query)
		})
	})
	if !c.wants("full") {
		return userPage(c, found, 100, 1000), nil
	}
	from, to := c.page(len(found), 100, 1000)
	a := newAssets(c)
	ids := []int{}
	for _, u := range found[from:to] {
		ids = append(ids, u.id())
		a.user(u.id())
	}
	return row{"user_ids": ids, "assets": a.out}, nil
}

func createUser(c *call) (any, error) {
	u, err := newUser(c, c.params)
	if err != nil {
		return nil, err
	}
	return answer{status: 201, body: renderUser(c, u)}, nil
}

var userTexts = []string{"firstname", "lastname", "email", "login", "web", "phone", "fax", "mobile", "department",
	"street", "zip", "city", "country", "address", "note", "password"}

// newUser stores a user by the rules of contract 2.2: identity, lower-case login with a
// suffix where it is taken, roles only from those who manage users.
func newUser(c *call, params row) (row, error) {
	at := c.stamp()
	u := userDefaults().with(row{"created_by_id": c.user.id(), "updated_by_id": c.user.id(), "created_at": at, "updated_at": at})
	if err := takeUser(c, u, params); err != nil {
		return nil, err
	}
	nameUser(u)
	given := u.str("login") != "" && !strings.HasPrefix(u.str("login"), "auto-")
	if !given && u.str("email")+u.str("firstname")+u.str("lastname")+u.str("phone") == "" {
		return nil, invalid("At least one identifier (firstname, lastname, phone or email) for user is required.")
	}
	if err := freeEmail(c, u); err != nil {
		return nil, err
	}
	u["login"] = freeLogin(c, u)
	if len(u.ints("role_ids")) == 0 {
		u["role_ids"] = []any{3}
	}
	if c.userMay(u, "ticket.agent") {
		u["preferences"] = maps.Clone(c.agentPreferences)
	}
	return c.users.insert(&c.tx, u), nil
}

// takeUser copies what the caller may set into u.
func takeUser(c *call, u, params row) error {
	for _, k := range userTexts {
		if v, given := params[k]; given {
			u[k] = cut(asText(v), 255)
		}
	}
	for _, k := range []string{"email", "login"} {
		u[k] = strings.ToLower(strings.TrimSpace(u.str(k)))
	}
	for _, k := range []string{"active", "vip", "verified"} {
		if v, given := params[k]; given {
			u[k] = castBool(v)
		}
	}
	if p := params.object("preferences"); p != nil {
		merged := maps.Clone(u.object("preferences"))
		maps.Copy(merged, p)
		u["preferences"] = merged
	}
	if !c.may("admin.user") {
		return nil
	}
	return takeRights(c, u, params)
}

func takeRights(c *call, u, params row) error {
	if v, given := params["role_ids"]; given {
		ids := []any{}
		for _, id := range (row{"v": v}).ints("v") {
			ids = append(ids, id)
		}
		u["role_ids"] = ids
	} else if v, given := params["roles"]; given {
		ids := []any{}
		for _, name := range texts(v) {
			role, ok := c.roles.by("name", name)
			if !ok {
				return noLookup("roles", name)
			}
			ids = append(ids, role.id())
		}
		u["role_ids"] = ids
	}
	rights := map[string]any{}
	switch {
	case params.object("group_ids") != nil:
		for id, v := range params.object("group_ids") {
			rights[id] = list(v)
		}
	case params.object("groups") != nil:
		for name, v := range params.object("groups") {
			g, ok := c.groups.by("name", name)
			if !ok {
				return noLookup("groups", name)
			}
			rights[fmt.Sprint(g.id())] = list(v)
		}
	default:
		return nil
	}
	u["group_ids"] = rights
	return nil
}

func list(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

func noLookup(key, value string) error {
	return invalid(fmt.Sprintf("No lookup value found for '%s': %q", key, value))
}

// nameUser splits a lone first name and capitalises names of one case; names with digits
// stay as sent (contract 2.2).
func nameUser(u row) {
	if first, last, ok := strings.Cut(u.str("firstname"), " "); ok && u.str("lastname") == "" {
		u["firstname"], u["lastname"] = first, last
	}
	for _, k := range []string{"firstname", "lastname"} {
		name := u.str(k)
		if strings.ContainsFunc(name, unicode.IsDigit) || name != strings.ToLower(name) && name != strings.ToUpper(name) {
			continue
		}
		words := strings.Fields(strings.ToLower(name))
		for i, w := range words {
			r := []rune(w)
			words[i] = string(unicode.ToUpper(r[0])) + string(r[1:])
		}
		u[k] = strings.Join(words, " ")
	}
}

func freeEmail(c *call, u row) error {
	email := u.str("email")
	if several, _ := c.setting("user_email_multiple_use").(bool); several || email == "" {
		return nil
	}
	if old, taken := c.users.by("email", email); taken && old.id() != u.id() {
		return invalid("Email address '" + email + "' is already used for another user.")
	}
	return nil
}

func freeLogin(c *call, u row) string {
	login := u.str("login")
	if login == "" {
		login = u.str("email")
	}
	if login == "" {
		login = fmt.Sprintf("auto-%d-%d", c.now.Unix(), c.users.next)
	}
	try := login
	for i := 1; ; i++ {
		if old, taken := c.users.by("login", try); !taken || old.id() == u.id() {
			return try
		}
		if i > 20 {
			return login + uuid.NewString()
		}
		try = fmt.Sprint(login, i)
	}
}

// updateUser lets those who manage users edit everybody, agents only pure customers.
func updateUser(c *call) (any, error) {
	old, err := c.users.find(c.pathID("id"))
	if err != nil {
		return nil, err
	}
	pure := c.userMay(old, "ticket.customer") && !c.userMay(old, "ticket.agent") && !c.userMay(old, "admin.*")
	if !c.may("admin.user") && !(c.may("ticket.agent") && pure) {
		return nil, forbidden("Not authorized")
	}
	u := old.with(row{"updated_by_id": c.user.id(), "updated_at": c.stamp()})
	if err := takeUser(c, u, c.params); err != nil {
		return nil, err
	}
	if err := freeEmail(c, u); err != nil {
		return nil, err
	}
	u["login"] = freeLogin(c, u)
	c.users.put(&c.tx, u)
	return renderUser(c, u), nil
}

func deleteUser(c *call) (any, error) {
	u, err := c.users.find(c.pathID("id"))
	if err != nil {
		return nil, err
	}
	id := u.id()
	used := c.tickets.all(func(t row) bool {
		return t.num("customer_id") == id || t.num("owner_id") == id || t.num("created_by_id") == id
	})
	if len(used) > 0 {
		return nil, invalid("Can't delete, object has references.")
	}
	c.users.remove(&c.tx, id)
	return row{}, nil
}

func listTokens(c *call) (any, error) {
	tokens := []row{}
	for _, t := range c.tokens.where("user_id", c.user.id()) {
		t = maps.Clone(t)
		delete(t, "token")
		tokens = append(tokens, t)
	}
	permissions := []row{}
	for _, p := range c.permissions {
		name := p.str("name")
		parent, _ := p.object("preferences")["disabled"].(bool)
		if c.userMay(c.user, name) || parent && c.userMay(c.user, name+".*") {
			permissions = append(permissions, p)
		}
	}
	return row{"tokens": tokens, "permissions": permissions}, nil
}

// createToken shows the new token once. The names of permissions are not checked.
func createToken(c *call) (any, error) {
	var b [48]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	value := base64.RawURLEncoding.EncodeToString(b[:])
	name := c.params.str("name")
	if name == "" {
		name = c.params.str("label")
	}
	if name == "" {
		return nil, invalid("Need label!")
	}
	rights := []any{}
	for _, p := range texts(c.params["permission"]) {
		rights = append(rights, p)
	}
	c.tokens.insert(&c.tx, row{"user_id": c.user.id(), "name": name, "action": "api", "token": value,
		"preferences": map[string]any{"permission": rights}, "last_used_at": nil,
		"expires_at": c.params["expires_at"], "created_at": c.stamp(), "updated_at": c.stamp()})
	return row{"token": value}, nil
}

func deleteToken(c *call) (any, error) {
	t, err := c.tokens.find(c.pathID("id"))
	if err != nil || t.num("user_id") != c.user.id() {
		return nil, invalid("The API token could not be found.")
	}
	c.tokens.remove(&c.tx, t.id())
	return row{}, nil
}

// runScheduler works off data privacy tasks at its fixed times (contract 00.8).
func (s *Simulator) runScheduler(now time.Time) {
	due := int(now.Sub(s.started) / s.interval)
	if due <= s.runs {
		return
	}
	s.runs = due
	for _, task := range s.privacyTasks.all(func(t row) bool { return t.str("state") == "in process" }) {
		s.erase(&tx{}, task.num("deletable_id"))
		s.privacyTasks.set(task.id(), task.with(row{"state": "completed", "updated_at": stamp(now)}))
	}
}
