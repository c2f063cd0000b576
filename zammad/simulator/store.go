package simulator

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// row is one database row. Its values are nil, bool, int, float64, string, stamp,
// []any and map[string]any, which is what JSON needs. A row never changes once it is in a
// table: writers put a changed copy, so answers may be encoded without holding the lock.
type row map[string]any

// stamp is a time as Zammad renders it: UTC with milliseconds (contract 2).
type stamp time.Time

const stampLayout = "2006-01-02T15:04:05.000Z"

// MarshalJSON renders the time with milliseconds.
func (s stamp) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Time(s).UTC().Format(stampLayout))
}

func (r row) id() int { return r.num("id") }

func (r row) num(key string) int {
	switch v := r[key].(type) {
	case int:
		return v
	case float64:
		return int(v)
	case string:
		n, _ := strconv.Atoi(v)
		return n
	}
	return 0
}

func (r row) str(key string) string {
	s, _ := r[key].(string)
	return s
}

func (r row) flag(key string) bool {
	b, _ := r[key].(bool)
	return b
}

func (r row) time(key string) time.Time {
	s, _ := r[key].(stamp)
	return time.Time(s)
}

func (r row) object(key string) map[string]any {
	m, _ := r[key].(map[string]any)
	return m
}

func (r row) ints(key string) []int {
	list, _ := r[key].([]any)
	out := make([]int, 0, len(list))
	for _, v := range list {
		out = append(out, row{"v": v}.num("v"))
	}
	return out
}

// with returns a copy of the row in which the given values are set.
func (r row) with(changes row) row {
	c := maps.Clone(r)
	maps.Copy(c, changes)
	return c
}

// table holds the rows of one kind by id. Ids are handed out like those of a PostgreSQL
// sequence: a refused insert uses one up for good (recordings/README, "ids jump").
type table struct {
	name  string // as Zammad names the class in "Couldn't find …"
	rows  map[int]row
	next  int
	index map[string]map[any]map[int]bool // ids by column and value, for the indexed columns
}

func newTable(name string, next int, indexed ...string) *table {
	t := &table{name: name, rows: map[int]row{}, next: next, index: map[string]map[any]map[int]bool{}}
	for _, column := range indexed {
		t.index[column] = map[any]map[int]bool{}
	}
	return t
}

// set makes r the row with the id; nil removes it.
func (t *table) set(id int, r row) {
	old, had := t.rows[id]
	for column, values := range t.index {
		if had {
			delete(values[old[column]], id)
			if len(values[old[column]]) == 0 {
				delete(values, old[column])
			}
		}
		if r != nil {
			if values[r[column]] == nil {
				values[r[column]] = map[int]bool{}
			}
			values[r[column]][id] = true
		}
	}
	if r == nil {
		delete(t.rows, id)
		return
	}
	t.rows[id] = r
}

// tx collects how to take back what one request wrote, and the events that triggers see.
type tx struct {
	undo   []func()
	events []*event
}

func (x *tx) rollback() {
	for _, f := range slices.Backward(x.undo) {
		f()
	}
	x.undo, x.events = nil, nil
}

// insert stores r under the next id and returns the stored row.
func (t *table) insert(x *tx, r row) row {
	r["id"] = t.next
	t.next++
	t.put(x, r)
	return r
}

// put stores r under its id, new or instead of an older version.
func (t *table) put(x *tx, r row) {
	id, old := r.id(), t.rows[r.id()]
	x.undo = append(x.undo, func() { t.set(id, old) })
	t.set(id, r)
}

func (t *table) remove(x *tx, id int) {
	if old, had := t.rows[id]; had {
		x.undo = append(x.undo, func() { t.set(id, old) })
		t.set(id, nil)
	}
}

// find returns the row with the id or Zammad's 404.
func (t *table) find(id int) (row, error) {
	if r, ok := t.rows[id]; ok {
		return r, nil
	}
	return nil, notFound(fmt.Sprintf("Couldn't find %s with 'id'=%d", t.name, id))
}

// all returns the rows that match (all if match is nil), sorted by id.
func (t *table) all(match func(row) bool) []row {
	var out []row
	for _, r := range t.rows {
		if match == nil || match(r) {
			out = append(out, r)
		}
	}
	return sortByID(out)
}

func sortByID(rows []row) []row {
	slices.SortFunc(rows, func(a, b row) int { return a.id() - b.id() })
	return rows
}

// where returns the rows whose column has the value, sorted by id.
func (t *table) where(column string, value any) []row {
	ids, indexed := t.index[column]
	if !indexed {
		return t.all(func(r row) bool { return r[column] == value })
	}
	var out []row
	for id := range ids[value] {
		out = append(out, t.rows[id])
	}
	return sortByID(out)
}

// by returns the oldest row whose text column equals value.
func (t *table) by(column, value string) (row, bool) {
	if found := t.where(column, value); len(found) > 0 {
		return found[0], true
	}
	return nil, false
}

//go:embed assets/seed.json
var seedJSON []byte

// seedData is what a new Zammad comes with, as recorded from a fresh 6.1.
type seedData struct {
	Permissions, States, Priorities, Attributes, Settings, Roles, Triggers []row
	ArticleTypes                                                           []string       `json:"article_types"`
	Senders                                                                []string       `json:"senders"`
	StateTypes                                                             []string       `json:"state_types"`
	AgentPreferences                                                       map[string]any `json:"agent_preferences"`
	Welcome                                                                string         `json:"welcome"`
}

// UnmarshalJSON reads a row with the value types that rows hold.
func (r *row) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return err
	}
	if m != nil {
		*r = row(plain(m).(map[string]any))
	}
	return nil
}

// database is everything that the simulated Zammad stores.
type database struct {
	users, roles, groups, tokens, tickets, articles *table
	files, links, mentions, history, privacyTasks   *table
	webhooks, triggers, jobs, overviews, attributes *table
	settings, states, priorities, organizations     *table
	permissions                                     []row
	tags                                            map[int][]string // by ticket
	ticketsMade                                     int              // for ticket numbers
	blobs                                           map[int][]byte   // by store_file_id
	blobIDs                                         map[string]int   // by content hash
	articleTypes, senders, stateTypes               []string
	agentPreferences                                map[string]any
	buried                                          map[int]row // deleted articles, for the ground truth only
}

// newDatabase fills a database with the seed of a new system. The next ids are those of the
// recorded system.
func newDatabase(cfg Config, now time.Time) *database {
	var seed seedData
	if err := json.Unmarshal(seedJSON, &seed); err != nil {
		panic("zammad simulator: broken embedded seed: " + err.Error()) // part of the program, held by tests
	}
	db := &database{
		users: newTable("User", 4, "login", "email"), roles: newTable("Role", 4), groups: newTable("Group", 2),
		tokens: newTable("Token", 1, "token"), tickets: newTable("Ticket", 2, "number", "customer_id"), articles: newTable("Ticket::Article", 2, "ticket_id"),
		files: newTable("Store", 1, "article_id"), links: newTable("Link", 1, "source_id", "target_id"), mentions: newTable("Mention", 1, "mentionable_id"),
		history: newTable("History", 1, "ticket_id"), privacyTasks: newTable("DataPrivacyTask", 1),
		webhooks: newTable("Webhook", 1), triggers: newTable("Trigger", 4), jobs: newTable("Job", 1),
		overviews: newTable("Overview", 11), attributes: newTable("ObjectManager::Attribute", 54),
		settings: newTable("Setting", 200, "name"), states: newTable("Ticket::State", 8),
		priorities: newTable("Ticket::Priority", 4), organizations: newTable("Organization", 2),
		permissions: seed.Permissions, tags: map[int][]string{}, ticketsMade: 1,
		blobs: map[int][]byte{}, blobIDs: map[string]int{},
		articleTypes: seed.ArticleTypes, senders: seed.Senders, stateTypes: seed.StateTypes,
		agentPreferences: seed.AgentPreferences, buried: map[int]row{},
	}
	made := row{"created_by_id": 1, "updated_by_id": 1, "created_at": stamp(now), "updated_at": stamp(now)}
	fill := func(t *table, rows []row) {
		for _, r := range rows {
			t.set(r.id(), r.with(made))
		}
	}
	fill(db.roles, seed.Roles)
	fill(db.states, seed.States)
	fill(db.priorities, seed.Priorities)
	fill(db.attributes, seed.Attributes)
	fill(db.settings, seed.Settings)
	fill(db.triggers, seed.Triggers)
	for i, p := range db.permissions {
		db.permissions[i] = p.with(row{"created_at": stamp(now), "updated_at": stamp(now)})
	}
	if cfg.FQDN != "" {
		configure(db, "fqdn", cfg.FQDN)
	}
	if cfg.HTTPType != "" {
		configure(db, "http_type", cfg.HTTPType)
	}
	fill(db.groups, []row{{"id": 1, "signature_id": 1, "email_address_id": nil, "name": "Users",
		"assignment_timeout": nil, "follow_up_possible": "yes", "reopen_time_in_days": nil,
		"follow_up_assignment": true, "active": true, "shared_drafts": true,
		"note": "Standard Group/Pool for Tickets."}})
	fill(db.organizations, []row{{"id": 1, "name": "Zammad Foundation", "shared": true, "domain": "",
		"domain_assignment": false, "active": true, "note": ""}})
	seedUsers(db, cfg, made)
	seedWelcome(db, seed.Welcome, made)
	return db
}

func configure(db *database, name string, value any) {
	if r, ok := db.settings.by("name", name); ok {
		db.settings.set(r.id(), r.with(row{"state_current": map[string]any{"value": value}}))
	}
}

// setting returns the current value of a setting.
func (db *database) setting(name string) any {
	r, ok := db.settings.by("name", name)
	if !ok {
		return nil
	}
	return r.object("state_current")["value"]
}

func seedUsers(db *database, cfg Config, made row) {
	blank := row{"address": "", "department": ""}
	db.users.set(1, userDefaults().with(made).with(blank).with(row{"id": 1, "login": "-", "firstname": "-",
		"lastname": "", "active": false}))
	db.users.set(2, userDefaults().with(made).with(blank).with(row{"id": 2, "login": "nicole.braun@zammad.org",
		"firstname": "Nicole", "lastname": "Braun", "email": "nicole.braun@zammad.org",
		"organization_id": 1, "role_ids": []any{3}, "updated_by_id": 2}))
	db.users.set(3, userDefaults().with(made).with(row{"id": 3, "login": cfg.AdminLogin, "email": cfg.AdminLogin,
		"firstname": "Ada", "lastname": "Admin", "role_ids": []any{1, 2}, "password": cfg.AdminPassword,
		"group_ids": map[string]any{"1": []any{"full"}}, "preferences": maps.Clone(db.agentPreferences),
		"last_login": made["created_at"]}))
	if cfg.AdminToken != "" {
		db.tokens.insert(&tx{}, row{"user_id": 3, "name": "admin", "action": "api", "token": cfg.AdminToken,
			"preferences":  map[string]any{"permission": []any{"admin", "ticket.agent"}},
			"last_used_at": nil, "expires_at": nil, "created_at": made["created_at"], "updated_at": made["updated_at"]})
	}
}

func seedWelcome(db *database, body string, made row) {
	at := made["created_at"]
	byNicole := row{"created_by_id": 2, "updated_by_id": 2, "created_at": at, "updated_at": at}
	db.tickets.set(1, ticketDefaults().with(byNicole).with(row{"id": 1, "number": "37001", "group_id": 1,
		"title": "Welcome to Zammad!", "customer_id": 2, "organization_id": 1, "article_count": 1,
		"create_article_type_id": 5, "create_article_sender_id": 2,
		"last_contact_at": at, "last_contact_customer_at": at}))
	db.articles.set(1, articleDefaults().with(byNicole).with(row{"id": 1, "ticket_id": 1, "type_id": 5,
		"sender_id": 2, "from": "Nicole Braun <nicole.braun@zammad.org>", "body": body, "content_type": "text/plain"}))
}

func userDefaults() row {
	r := row{"organization_id": nil, "login": "", "firstname": "", "lastname": "", "email": "", "image": nil,
		"image_source": nil, "web": "", "phone": "", "fax": "", "mobile": "", "department": nil, "street": "",
		"zip": "", "city": "", "country": "", "address": nil, "vip": false, "verified": false, "active": true,
		"note": "", "last_login": nil, "source": nil, "login_failed": 0, "out_of_office": false,
		"out_of_office_start_at": nil, "out_of_office_end_at": nil, "out_of_office_replacement_id": nil,
		"preferences": map[string]any{}, "role_ids": []any{}, "group_ids": map[string]any{}, "password": ""}
	for _, list := range []string{"two_factor_preference_ids", "organization_ids", "authorization_ids", "overview_sorting_ids"} {
		r[list] = []any{}
	}
	return r
}

func ticketDefaults() row {
	r := row{"priority_id": 2, "state_id": 1, "owner_id": 1, "article_count": nil, "preferences": map[string]any{}}
	for _, column := range []string{"group_id", "organization_id", "number", "title", "customer_id", "note",
		"first_response_at", "first_response_escalation_at", "first_response_in_min", "first_response_diff_in_min",
		"close_at", "close_escalation_at", "close_in_min", "close_diff_in_min", "update_escalation_at",
		"update_in_min", "update_diff_in_min", "last_close_at", "last_contact_at", "last_contact_agent_at",
		"last_contact_customer_at", "last_owner_update_at", "create_article_type_id", "create_article_sender_id",
		"escalation_at", "pending_time", "type", "time_unit"} {
		r[column] = nil
	}
	return r
}

func articleDefaults() row {
	return row{"ticket_id": nil, "type_id": 10, "sender_id": 1, "from": nil, "to": nil, "cc": nil, "subject": nil,
		"reply_to": nil, "message_id": nil, "message_id_md5": nil, "in_reply_to": nil, "content_type": "text/plain",
		"references": nil, "body": "", "internal": false, "preferences": map[string]any{}, "origin_by_id": nil}
}
