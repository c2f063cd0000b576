package admin_test

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// need is who may use an address of the console.
type need int

const (
	anybody  need = iota
	signedIn      // anybody who is signed in
	reads         // who may see the region
	changes       // who may change the region
	member        // who may see the region of a room of the staff; nobody else learns that there is one
	operates      // operators
)

// walked is an address of the console with what it must answer. The table says
// that by itself: it does not ask the code whose rights it looks after.
type walked struct {
	method, route string
	need          need
	status        int    // for those who may, with an empty form
	at            string // the address where the route has more than :region in it; {name} is an object of the walk
	elsewhere     int    // with anybody: for those who are signed in; 0: the same
}

// table is every address of the console.
var table = []walked{
	{http.MethodGet, "/admin", anybody, http.StatusSeeOther, "", 0},
	{http.MethodGet, "/admin/", signedIn, http.StatusOK, "", 0},
	{http.MethodGet, "/admin/static/:file", anybody, http.StatusOK, "/admin/static/console.css", 0},

	{http.MethodGet, "/admin/sign-in/", anybody, http.StatusOK, "", http.StatusSeeOther},
	{http.MethodPost, "/admin/sign-in/", anybody, http.StatusUnprocessableEntity, "", 0},
	{http.MethodGet, "/admin/sign-in/code/", anybody, http.StatusSeeOther, "", 0},
	{http.MethodPost, "/admin/sign-in/code/", anybody, http.StatusSeeOther, "", 0},
	{http.MethodGet, "/admin/sign-in/provider/", anybody, http.StatusServiceUnavailable, "", 0},
	{http.MethodGet, "/admin/oidc/", anybody, http.StatusUnprocessableEntity, "", 0},
	{http.MethodPost, "/admin/sign-out/", anybody, http.StatusSeeOther, "", 0},
	{http.MethodGet, "/admin/link/:token", anybody, http.StatusNotFound, "/admin/link/nonsense", 0},
	{http.MethodPost, "/admin/link/:token", anybody, http.StatusNotFound, "/admin/link/nonsense", 0},

	{http.MethodGet, "/admin/account/", signedIn, http.StatusOK, "", 0},
	{http.MethodPost, "/admin/account/language/", signedIn, http.StatusSeeOther, "", 0},
	{http.MethodPost, "/admin/account/password/", signedIn, http.StatusUnprocessableEntity, "", 0},
	{http.MethodPost, "/admin/account/sessions/", signedIn, http.StatusSeeOther, "", 0},
	{http.MethodGet, "/admin/account/factor/", signedIn, http.StatusOK, "", 0},
	{http.MethodPost, "/admin/account/factor/", signedIn, http.StatusSeeOther, "", 0},
	{http.MethodPost, "/admin/account/factor/remove/", signedIn, http.StatusUnprocessableEntity, "", 0},

	{http.MethodGet, "/admin/staff/", operates, http.StatusOK, "", 0},
	{http.MethodGet, "/admin/staff/new/", operates, http.StatusOK, "", 0},
	{http.MethodPost, "/admin/staff/new/", operates, http.StatusUnprocessableEntity, "", 0},
	{http.MethodGet, "/admin/staff/:id/", operates, http.StatusOK, "/admin/staff/{victim}/", 0},
	{http.MethodPost, "/admin/staff/:id/", operates, http.StatusConflict, "/admin/staff/{victim}/", 0},
	{http.MethodGet, "/admin/staff/:id/:step/", operates, http.StatusOK, "/admin/staff/{victim}/remove/", 0},
	{http.MethodPost, "/admin/staff/:id/:step/", operates, http.StatusSeeOther, "/admin/staff/{victim}/sessions/", 0},

	{http.MethodGet, "/admin/regions/:region/gate/", reads, http.StatusOK, "", 0},
	{http.MethodPost, "/admin/regions/:region/gate/", changes, http.StatusUnprocessableEntity, "", 0},
	{http.MethodGet, "/admin/regions/:region/gate/preview/", reads, http.StatusSeeOther, "", 0},
	{http.MethodPost, "/admin/regions/:region/gate/preview/", changes, http.StatusOK, "", 0},
	{http.MethodGet, "/admin/regions/:region/testers/", reads, http.StatusOK, "", 0},
	{http.MethodGet, "/admin/regions/:region/testers/find/", reads, http.StatusSeeOther, "", 0},
	{http.MethodGet, "/admin/regions/:region/testers/set/", reads, http.StatusSeeOther, "", 0},
	{http.MethodGet, "/admin/regions/:region/testers/import/", reads, http.StatusSeeOther, "", 0},
	{http.MethodPost, "/admin/regions/:region/testers/find/", reads, http.StatusUnprocessableEntity, "", 0},
	{http.MethodPost, "/admin/regions/:region/testers/set/", changes, http.StatusUnprocessableEntity, "", 0},
	{http.MethodPost, "/admin/regions/:region/testers/clear/", changes, http.StatusSeeOther, "", 0},
	{http.MethodPost, "/admin/regions/:region/testers/import/", changes, http.StatusBadRequest, "", 0},
	{http.MethodGet, "/admin/regions/:region/why/", reads, http.StatusOK, "", 0},
	{http.MethodPost, "/admin/regions/:region/why/", reads, http.StatusUnprocessableEntity, "", 0},

	{http.MethodGet, "/admin/regions/:region/letters/", reads, http.StatusOK, "", 0},
	{http.MethodPost, "/admin/regions/:region/letters/retry/", changes, http.StatusUnprocessableEntity, "", 0},
	{http.MethodGet, "/admin/regions/:region/letters/drop/", changes, http.StatusUnprocessableEntity, "", 0},
	{http.MethodPost, "/admin/regions/:region/letters/drop/", changes, http.StatusUnprocessableEntity, "", 0},
	{http.MethodGet, "/admin/regions/:region/deliveries/", reads, http.StatusOK, "", 0},
	{http.MethodPost, "/admin/regions/:region/deliveries/retry/", changes, http.StatusUnprocessableEntity, "", 0},
	{http.MethodGet, "/admin/regions/:region/deliveries/drop/", changes, http.StatusUnprocessableEntity, "", 0},
	{http.MethodPost, "/admin/regions/:region/deliveries/drop/", changes, http.StatusUnprocessableEntity, "", 0},
	{http.MethodGet, "/admin/regions/:region/audit/", reads, http.StatusOK, "", 0},
	{http.MethodGet, "/admin/regions/:region/audit/export/", reads, http.StatusOK, "", 0},
	{http.MethodGet, "/admin/regions/:region/", reads, http.StatusOK, "", 0},
	{http.MethodGet, "/admin/regions/:region/experiment/", reads, http.StatusOK, "", 0},
	{http.MethodGet, "/admin/regions/:region/experiment/export.csv", reads, http.StatusOK, "", 0},
	{http.MethodGet, "/admin/regions/:region/chats/", reads, http.StatusOK, "", 0},
	{http.MethodPost, "/admin/regions/:region/chats/", reads, http.StatusUnprocessableEntity, "", 0},
	{http.MethodGet, "/admin/regions/:region/chats/:chat/close/", changes, http.StatusOK, "/admin/regions/:region/chats/{chat}/close/", 0},
	{http.MethodPost, "/admin/regions/:region/chats/:chat/close/", changes, http.StatusNotFound, "/admin/regions/:region/chats/{gone}/close/", 0},
	{http.MethodGet, "/admin/regions/:region/chats/:chat/erase/", changes, http.StatusOK, "/admin/regions/:region/chats/{chat}/erase/", 0},
	{http.MethodPost, "/admin/regions/:region/chats/:chat/erase/", changes, http.StatusNotFound, "/admin/regions/:region/chats/{gone}/erase/", 0},
	{http.MethodGet, "/admin/regions/:region/alerts/", reads, http.StatusOK, "", 0},
	{http.MethodPost, "/admin/regions/:region/alerts/", changes, http.StatusUnprocessableEntity, "", 0},
	{http.MethodPost, "/admin/regions/:region/alerts/test/", changes, http.StatusOK, "", 0},
	{http.MethodGet, "/admin/regions/:region/settings/", reads, http.StatusOK, "", 0},
	{http.MethodGet, "/admin/regions/:region/settings/:section/", reads, http.StatusOK, "/admin/regions/:region/settings/zammad/", 0},
	{http.MethodPost, "/admin/regions/:region/settings/:section/", changes, http.StatusConflict, "/admin/regions/:region/settings/zammad/", 0},
	{http.MethodPost, "/admin/regions/:region/settings/zammad/test/", changes, http.StatusOK, "", 0},
	{http.MethodPost, "/admin/regions/:region/settings/zammad/webhook-secret/", changes, http.StatusUnprocessableEntity, "", 0},
	{http.MethodPost, "/admin/regions/:region/settings/zammad/webhook-token/", changes, http.StatusUnprocessableEntity, "", 0},
	{http.MethodPost, "/admin/regions/:region/settings/take-back/", operates, http.StatusNotFound, "", 0},

	{http.MethodGet, "/admin/regions/", operates, http.StatusOK, "", 0},
	{http.MethodPost, "/admin/regions/", operates, http.StatusUnprocessableEntity, "", 0},
	{http.MethodGet, "/admin/tokens/", operates, http.StatusOK, "", 0},
	{http.MethodPost, "/admin/tokens/", operates, http.StatusUnprocessableEntity, "", 0},
	{http.MethodGet, "/admin/tokens/revoke/:id/", operates, http.StatusOK, "/admin/tokens/revoke/{token}/", 0},
	{http.MethodPost, "/admin/tokens/revoke/:id/", operates, http.StatusNotFound, "/admin/tokens/revoke/{gone}/", 0},

	{http.MethodGet, "/admin/team/", signedIn, http.StatusOK, "", 0},
	{http.MethodPost, "/admin/team/threads/", signedIn, http.StatusNotFound, "", 0},
	{http.MethodGet, "/admin/team/socket/", signedIn, http.StatusUpgradeRequired, "", 0},
	{http.MethodGet, "/admin/team/rooms/:room/", member, http.StatusOK, "/admin/team/rooms/{room}/", 0},
	{http.MethodPost, "/admin/team/rooms/:room/", member, http.StatusBadRequest, "/admin/team/rooms/{room}/", 0},
	{http.MethodPost, "/admin/team/rooms/:room/read/", member, http.StatusBadRequest, "/admin/team/rooms/{room}/read/", 0},
	{http.MethodGet, "/admin/team/rooms/:room/messages/:message/delete/", member, http.StatusNotFound, "/admin/team/rooms/{room}/messages/{gone}/delete/", 0},
	{http.MethodPost, "/admin/team/rooms/:room/messages/:message/delete/", member, http.StatusNotFound, "/admin/team/rooms/{room}/messages/{gone}/delete/", 0},

	{http.MethodGet, "/admin/audit/", signedIn, http.StatusOK, "", 0},
	{http.MethodGet, "/admin/audit/export/", signedIn, http.StatusOK, "", 0},
	{http.MethodGet, "/admin/jobs/", operates, http.StatusOK, "", 0},
	{http.MethodPost, "/admin/jobs/run/", operates, http.StatusNotFound, "", 0},
}

// idleProvider lets the console have an OpenID provider, at which nobody answers.
var idleProvider = []string{"DESKBRIDGE_CONSOLE_OIDC_ISSUER=http://127.0.0.1:1", "DESKBRIDGE_CONSOLE_OIDC_CLIENT_ID=console"}

// walk is a world with everybody who may come to its console.
type walk struct {
	*world
	db      *sql.DB
	tables  []string
	objects map[string]string // {name} of addresses
	people  []walker
}

// walker is somebody who tries an address.
type walker struct {
	name    string
	id      staff.ID // 0: nobody
	role    staff.Role
	regions []bridge.RegionID
	out     bool // not signed in, whatever the cookie says
	cookie  func(*browser)
}

func newWalk(t *testing.T, env ...string) *walk {
	t.Helper()
	w := &walk{world: oneWorld(t, slices.Concat(idleProvider, env)...)}
	db, err := sql.Open("sqlite", strings.TrimPrefix(w.database, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w.db = db
	rows, err := db.Query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		// What changes by itself: sessions that are looked at, and the clock.
		if !slices.Contains([]string{"sessions", "leases", "marks", "job_runs"}, name) {
			w.tables = append(w.tables, name)
		}
	}
	if err := rows.Err(); err != nil || len(w.tables) < 20 {
		t.Fatal(w.tables, err)
	}
	w.objects = map[string]string{}
	for _, p := range []struct {
		name    string
		role    staff.Role
		regions []*bridge.Region
	}{
		{"operator", staff.Operator, nil}, {"admin", staff.RegionAdmin, []*bridge.Region{w.north}}, {"viewer", staff.Viewer, []*bridge.Region{w.north}},
		{"foreign admin", staff.RegionAdmin, []*bridge.Region{w.south}}, {"foreign viewer", staff.Viewer, []*bridge.Region{w.south}}, {"new admin", staff.RegionAdmin, nil},
	} {
		b := w.person(strings.ReplaceAll(p.name, " ", "-"), p.role, p.regions...)
		id := b.person.ID
		w.people = append(w.people, walker{name: p.name, id: id, role: p.role, regions: b.person.Regions, cookie: func(b *browser) { b.signIn(id) }})
	}
	w.objects["{victim}"] = fmt.Sprint(w.person("victim", staff.Viewer, w.north).person.ID)
	_, token := w.token("program", time.Time{}, staff.ReadRegions)
	w.objects["{token}"], w.objects["{gone}"] = fmt.Sprint(token), "4711"
	w.refused(w.north, "no", 1)
	w.north.WebhookSecret = "a-secret-that-is-there"
	if err := w.app.Store.SaveRegion(t.Context(), w.north); err != nil {
		t.Fatal(err)
	}
	for name, query := range map[string]string{
		"{chat}": "SELECT MAX(id) FROM chats WHERE region_id = ?", "{room}": "SELECT id FROM author_rooms WHERE kind = 'region' AND region_id = ?",
	} {
		w.as(w.people[0]).get("/admin/team/").is(http.StatusOK) // makes the rooms
		w.objects[name] = w.number(query, w.north.ID)
	}
	w.people = append(w.people, w.shutOut()...)
	return w
}

// number reads a number from the database.
func (w *walk) number(query string, args ...any) string {
	w.Helper()
	var n int64
	if err := w.db.QueryRow(query, args...).Scan(&n); err != nil {
		w.Fatalf("%s: %v", query, err)
	}
	return fmt.Sprint(n)
}

// shutOut are those whose cookie is worth nothing, though they were operators.
func (w *walk) shutOut() []walker {
	w.Helper()
	origin, err := url.Parse(w.origin)
	if err != nil {
		w.Fatal(err)
	}
	kept := func(b *browser) func(*browser) { // the cookie as it was, such as a thief has it
		cookies := b.client.Jar.Cookies(origin)
		return func(thief *browser) { thief.client.Jar.SetCookies(origin, cookies) }
	}
	disabled, ended, expired := w.person("disabled", staff.Operator), w.person("ended", staff.Operator), w.person("expired", staff.Operator)
	all := []walker{
		{name: "nobody", out: true, cookie: func(*browser) {}},
		{name: "disabled", out: true, cookie: kept(disabled)},
		{name: "signed out", out: true, cookie: kept(ended)},
		{name: "expired", out: true, cookie: kept(expired)},
		{name: "forger", out: true, cookie: func(b *browser) {
			b.client.Jar.SetCookies(origin, []*http.Cookie{{Name: "deskbridge", Value: strings.Repeat("A", 43), Path: "/"}, {Name: "__Host-deskbridge", Value: strings.Repeat("A", 43), Path: "/", Secure: true}})
		}},
	}
	for _, b := range []*browser{disabled, ended, expired} {
		b.get("/admin/").is(http.StatusOK)
	}
	changed := *disabled.person
	changed.Disabled = true
	if err := w.app.Accounts.Change(w.Context(), *disabled.person, changed); err != nil {
		w.Fatal(err)
	}
	if _, err := w.app.Store.EndSessions(w.Context(), ended.person.ID); err != nil {
		w.Fatal(err)
	}
	if n, err := w.db.Exec("UPDATE sessions SET expires = 1"); err != nil {
		w.Fatal(n, err)
	}
	return all
}

// as gives a fresh browser of somebody.
func (w *walk) as(p walker) *browser {
	w.Helper()
	b := w.stranger()
	p.cookie(b)
	return b
}

// address fills in a route.
func (w *walk) address(e walked, region string) string {
	path := e.route
	if e.at != "" {
		path = e.at
	}
	for name, value := range w.objects {
		path = strings.ReplaceAll(path, name, value)
	}
	return strings.ReplaceAll(path, ":region", region)
}

// state is everything that is stored, in short.
func (w *walk) state() string {
	w.Helper()
	sum := sha256.New()
	for _, table := range w.tables {
		rows, err := w.db.Query("SELECT * FROM " + table + " ORDER BY 1, 2")
		if err != nil {
			w.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			w.Fatal(err)
		}
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				w.Fatal(err)
			}
			for i, column := range columns {
				if table+"."+column != "api_tokens.used_at" {
					fmt.Fprintf(sum, "%s.%s=%v\n", table, column, values[i])
				}
			}
		}
		if err := rows.Err(); err != nil {
			w.Fatal(err)
		}
		rows.Close()
	}
	return string(sum.Sum(nil))
}

// want is the status that somebody must get.
func (e walked) want(p walker, region bridge.RegionID) int {
	reading := p.role == staff.Operator || slices.Contains(p.regions, region)
	changing := p.role == staff.Operator || p.role == staff.RegionAdmin && reading
	switch {
	case e.need == anybody && !p.out && e.elsewhere != 0:
		return e.elsewhere
	case e.need == anybody:
		return e.status
	case p.out:
		return http.StatusSeeOther
	case (strings.Contains(e.route, "/:region/") || e.need == member) && !reading:
		return http.StatusNotFound
	case e.need == changes && !changing, e.need == operates && p.role != staff.Operator:
		return http.StatusForbidden
	default:
		return e.status
	}
}

// try asks for an address as a page of the console would, and looks at what every
// answer must have.
func (b *browser) try(method, path string) answer {
	b.w.Helper()
	a := b.do(method, path, nil, http.Header{"Origin": {b.w.origin}, "Sec-Fetch-Site": {"same-origin"}, "Content-Type": {"application/x-www-form-urlencoded"}})
	a.guarded(path)
	return a
}

// guarded fails unless an answer has the headers that keep others out.
func (a answer) guarded(path string) {
	a.w.Helper()
	want := map[string]string{
		"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin",
		"Referrer-Policy": "same-origin", "Cache-Control": "no-store", "Cross-Origin-Opener-Policy": "same-origin",
	}
	if strings.HasPrefix(path, "/admin/static/") && a.status == http.StatusOK {
		want = map[string]string{"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}
	} else {
		policy := a.header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(policy, part) {
				a.w.Errorf("%s: the policy %q lacks %s", path, policy, part)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			a.w.Errorf("%s: the policy %q is too wide", path, policy)
		}
	}
	for name, value := range want {
		if got := a.header.Get(name); got != value {
			a.w.Errorf("%s: %s is %q, want %q", path, name, got, value)
		}
	}
	for _, line := range a.header.Values("Set-Cookie") {
		cookie, err := http.ParseSetCookie(line)
		if err != nil || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode && cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Domain != "" {
			a.w.Errorf("%s sets the cookie %q (%v)", path, line, err)
		}
	}
}

func TestTheTableHasEveryAddress(t *testing.T) {
	w := oneWorld(t, idleProvider...)
	var have, want []string
	for _, r := range w.engine.Routes() {
		if strings.HasPrefix(r.Path+"/", "/admin/") {
			have = append(have, r.Method+" "+r.Path)
		}
	}
	for _, e := range table {
		want = append(want, e.method+" "+e.route)
	}
	slices.Sort(have)
	slices.Sort(want)
	if d := cmp.Diff(want, have); d != "" {
		t.Errorf("the console's addresses (+) are not those of the table (-), in which each must stand with who may use it:\n%s", d)
	}
}

// Everybody at every address: whoever may not gets the answer that says so and
// nothing else, and nothing is changed.
func TestEverybodyAtEveryAddress(t *testing.T) {
	w := newWalk(t)
	for _, e := range table {
		path := w.address(e, w.north.Slug)
		for _, p := range w.people {
			b, before := w.as(p), w.state()
			a := b.try(e.method, path)
			want := e.want(p, w.north.ID)
			if a.status != want {
				t.Errorf("%s: %s %s answers %d to %q, want %d", p.name, e.method, path, a.status, a.header.Get("Location"), want)
			}
			if e.need == anybody {
				continue
			}
			if to := a.header.Get("Location"); p.out && !strings.HasPrefix(to, "/admin/sign-in/?next=%2Fadmin%2F") {
				t.Errorf("%s: %s %s leads to %q", p.name, e.method, path, to)
			}
			if refused := p.out || want == http.StatusForbidden || want == http.StatusNotFound; refused && w.state() != before {
				t.Errorf("%s: %s %s was refused and has changed something", p.name, e.method, path)
			}
			if e.method == http.MethodGet && w.state() != before {
				t.Errorf("%s: %s %s has changed something", p.name, e.method, path)
			}
		}
	}
}

// Pages of other origins can let a browser send a form with the cookie of who is
// signed in. Not here.
func TestFormsOfOtherPagesChangeNothing(t *testing.T) {
	w := newWalk(t)
	host := strings.TrimPrefix(w.origin, "http://")
	for _, e := range table {
		if e.method == http.MethodGet {
			continue
		}
		for name, header := range map[string]http.Header{
			"another site":             {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}},
			"another site, our origin": {"Sec-Fetch-Site": {"cross-site"}, "Origin": {w.origin}},
			"a subdomain":              {"Sec-Fetch-Site": {"same-site"}, "Origin": {"http://sub." + host}},
			"an old browser":           {"Origin": {"https://evil.example"}},
			"an old browser, a frame":  {"Origin": {"null"}},
			"another port":             {"Origin": {"http://127.0.0.1:1"}},
			"a name that begins alike": {"Origin": {w.origin + ".evil.example"}},
		} {
			for _, p := range []walker{w.people[0], w.people[1], w.people[len(w.people)-1]} {
				b, before := w.as(p), w.state()
				a := b.do(e.method, w.address(e, w.north.Slug), pick[bridge.WorkID](1), header)
				a.guarded(e.route)
				if a.status != http.StatusForbidden {
					t.Errorf("%s: %s %s from %s answers %d", p.name, e.method, e.route, name, a.status)
				}
				if w.state() != before {
					t.Errorf("%s: %s %s from %s has changed something", p.name, e.method, e.route, name)
				}
			}
		}
	}
}

// A region is named by its slug and nothing else; and other methods do nothing.
func TestNoOtherNameLeadsToARegion(t *testing.T) {
	w := newWalk(t)
	operator, admin := w.people[0], w.people[1]
	for _, e := range table {
		for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete} {
			before := w.state()
			a := w.as(operator).do(method, w.address(e, w.north.Slug), nil, http.Header{"Origin": {w.origin}, "Sec-Fetch-Site": {"same-origin"}})
			if a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed || a.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s %s answers %d %v", method, e.route, a.status, a.header)
			}
			if w.state() != before {
				t.Errorf("%s %s has changed something", method, e.route)
			}
		}
		if !strings.Contains(e.route, "/:region/") {
			continue
		}
		for _, name := range []string{fmt.Sprint(w.north.ID), fmt.Sprint(w.south.ID), "south", "NORTH", "north%20", "north%00", "%6eorth%2F..%2Fsouth", "north%2Fx", "nowhere", ".", "..", "%2E%2E"} {
			before := w.state()
			a := w.as(admin).do(e.method, w.address(e, name), nil, http.Header{"Origin": {w.origin}, "Sec-Fetch-Site": {"same-origin"}})
			if a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed && (a.status < 300 || a.status > 399 || !strings.Contains(name, ".")) {
				t.Errorf("%s %s for the region %q answers %d", e.method, e.route, name, a.status)
			}
			if w.state() != before {
				t.Errorf("%s %s for the region %q has changed something", e.method, e.route, name)
			}
		}
	}
}

// An object of another region, named by its id under the own region's address, is
// not there.
func TestObjectsOfAnotherRegionAreNotThere(t *testing.T) {
	w := newWalk(t)
	letters := w.refused(w.south, "no", 2)
	south := map[string]string{
		"{chat}": w.number("SELECT MAX(id) FROM chats WHERE region_id = ?", w.south.ID),
		"{room}": w.number("SELECT id FROM author_rooms WHERE kind = 'region' AND region_id = ?", w.south.ID),
	}
	writer := w.as(w.people[3])
	writer.post("/admin/team/rooms/"+south["{room}"]+"/", url.Values{"text": {"words of the south"}, "key": {"a-key-of-the-south"}}).is(http.StatusSeeOther)
	south["{message}"] = w.number("SELECT MAX(id) FROM author_messages")
	thread := writer.post("/admin/team/threads/", url.Values{"person": {w.objects["{victim}"]}}).is(http.StatusSeeOther).header.Get("Location")
	for _, c := range []struct {
		method, path string
		form         url.Values
	}{
		{http.MethodPost, "letters/retry/", pick(letters...)},
		{http.MethodPost, "letters/drop/", pick(letters...)},
		{http.MethodPost, "deliveries/retry/", pick(w.delivery(w.south))},
		{http.MethodPost, "deliveries/drop/", pick(w.delivery(w.south))},
		{http.MethodGet, "chats/{chat}/close/", url.Values{}},
		{http.MethodPost, "chats/{chat}/close/", url.Values{}},
		{http.MethodGet, "chats/{chat}/erase/", url.Values{}},
		{http.MethodPost, "chats/{chat}/erase/", url.Values{}},
		{http.MethodGet, "/admin/team/rooms/{room}/", url.Values{}},
		{http.MethodPost, "/admin/team/rooms/{room}/", url.Values{"text": {"words"}, "key": {"a-key-of-the-north"}}},
		{http.MethodPost, "/admin/team/rooms/{room}/read/", url.Values{"seq": {"1"}}},
		{http.MethodGet, "/admin/team/rooms/{room}/messages/{message}/delete/", url.Values{}},
		{http.MethodPost, "/admin/team/rooms/{room}/messages/{message}/delete/", url.Values{}},
		{http.MethodPost, "/admin/team/rooms/{own room}/messages/{message}/delete/", url.Values{}},
		{http.MethodGet, thread, url.Values{}},
		{http.MethodPost, thread, url.Values{"text": {"words"}, "key": {"a-key-of-the-north"}}},
	} {
		path := "/admin/regions/north/" + c.path
		if strings.HasPrefix(c.path, "/") {
			path = strings.ReplaceAll(c.path, "{own room}", w.objects["{room}"])
		}
		for name, value := range south {
			path = strings.ReplaceAll(path, name, value)
		}
		for _, field := range []string{"", "region", "slug", "region_id"} { // mass assignment
			form := maps.Clone(c.form)
			if field != "" {
				form[field] = []string{map[bool]string{true: fmt.Sprint(w.south.ID), false: w.south.Slug}[field == "region_id"]}
			}
			before := w.state()
			a := w.as(w.people[1]).do(c.method, path+"?"+form.Encode(), form, http.Header{"Origin": {w.origin}, "Sec-Fetch-Site": {"same-origin"}})
			if a.lacks("words of the south"); a.status != http.StatusNotFound {
				t.Errorf("%s %s answers %d", c.method, path, a.status)
			}
			if w.state() != before {
				t.Errorf("%s %s has changed something", c.method, path)
			}
		}
	}
}

// delivery stores a delivery that nothing relays for a day.
func (w *world) delivery(r *bridge.Region) bridge.DeliveryID {
	w.Helper()
	ctx, later := w.Context(), time.Now().Add(24*time.Hour)
	if _, err := w.app.Store.StoreDelivery(ctx, bridge.Delivery{Region: r.ID, Key: fmt.Sprint("k", later.UnixNano()), Body: []byte("my secret"), Received: later}); err != nil {
		w.Fatal(err)
	}
	list, err := w.app.Store.Deliveries(ctx, bridge.DeliveryQuery{Region: r.ID, Limit: 1})
	if err != nil {
		w.Fatal(err)
	}
	return list[0].ID
}

// Over TLS the cookie is one that no other host can set and no plain connection
// shows.
func TestTheCookieIsSecureOverTLS(t *testing.T) {
	w := oneWorld(t)
	b := w.person("operator", staff.Operator)
	origin, err := url.Parse(w.origin)
	if err != nil {
		t.Fatal(err)
	}
	token := b.client.Jar.Cookies(origin)[0].Value
	for name, header := range map[string]http.Header{"a proxy with TLS": {"X-Forwarded-Proto": {"https"}}} {
		header.Set("Cookie", "__Host-deskbridge="+token)
		a := w.stranger().do(http.MethodGet, "/admin/", nil, header)
		if a.status != http.StatusOK {
			t.Errorf("%s: %d", name, a.status)
		}
		for _, line := range a.header.Values("Set-Cookie") {
			if cookie, err := http.ParseSetCookie(line); err != nil || !cookie.Secure || cookie.Name != "__Host-deskbridge" {
				t.Errorf("%s: %q", name, line)
			}
		}
		if len(a.header.Values("Set-Cookie")) == 0 {
			t.Errorf("%s: no cookie was set", name)
		}
		header.Set("Cookie", "deskbridge="+token)
		if a := w.stranger().do(http.MethodGet, "/admin/", nil, header); a.status != http.StatusSeeOther {
			t.Errorf("%s takes the cookie of a plain connection: %d", name, a.status)
		}
	}
}

// A part of a page for htmx is no way around: it says where to sign in.
func TestPartsOfPagesAskForSignIn(t *testing.T) {
	w := oneWorld(t)
	for _, e := range table {
		if e.need == anybody || e.method != http.MethodGet || e.at != "" {
			continue
		}
		a := w.stranger().do(e.method, strings.ReplaceAll(e.route, ":region", "north"), nil, http.Header{"Hx-Request": {"true"}})
		if a.status != http.StatusUnauthorized || !strings.HasPrefix(a.header.Get("Hx-Redirect"), "/admin/sign-in/?next=") || a.body != "" {
			t.Errorf("%s answers %d %v", e.route, a.status, a.header)
		}
	}
}
