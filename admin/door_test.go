package admin_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"deskbridge/staff"
)

// TestHomeListsOwnRegions: everybody sees their own regions and no other.
func TestHomeListsOwnRegions(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.person("operator", staff.Operator).get("/admin/").is(http.StatusOK).says("North", "South")
		w.person("admin", staff.RegionAdmin, w.north).get("/admin/").is(http.StatusOK).says("North").lacks("South")
		w.person("new", staff.Viewer).get("/admin/").is(http.StatusOK).says("does not belong to a region yet").lacks("North", "South")
		w.stranger().get("/admin/").leads("/admin/sign-in/?next=%2Fadmin%2F")
	})
}

// TestSessionsEnd: a cookie is worth nothing once its person is disabled, or
// their sessions have ended.
func TestSessionsEnd(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.person("operator", staff.Operator)
		disabled, ended := w.person("disabled", staff.Operator), w.person("ended", staff.Operator)
		disabled.get("/admin/").is(http.StatusOK)
		changed := *disabled.person
		changed.Disabled = true
		if err := w.app.Accounts.Change(t.Context(), *disabled.person, changed); err != nil {
			t.Fatal(err)
		}
		if _, err := w.app.Store.EndSessions(t.Context(), ended.person.ID); err != nil {
			t.Fatal(err)
		}
		for _, b := range []*browser{disabled, ended} {
			b.get("/admin/").is(http.StatusSeeOther)
		}
	})
}

// TestHeaders: every answer of the console keeps scripts, frames, caches and
// foreign pages out.
func TestHeaders(t *testing.T) {
	w := oneWorld(t)
	foreign := http.Header{"Origin": {"https://app.example.org"}}
	if got := w.stranger().do(http.MethodGet, "/api/v3/regions/", nil, foreign).header.Get("Access-Control-Allow-Origin"); got != "*" {
		t.Fatalf("the device API lets %q read it: then this test shows nothing", got)
	}
	for _, a := range []answer{w.person("operator", staff.Operator).do(http.MethodGet, "/admin/", nil, foreign), w.stranger().do(http.MethodGet, "/admin/none/", nil, foreign)} {
		if got := a.header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("pages of %q may read the console", got)
		}
	}
	for _, a := range []answer{w.person("other", staff.Operator).get("/admin/"), w.stranger().get("/admin/"), w.person("viewer", staff.Viewer, w.north).get("/admin/regions/south/")} {
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
		} {
			if got := a.header.Get(name); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %q", name, got)
			}
		}
		if csp := a.header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("policy %q", csp)
		}
	}
}

// TestLanguage: signed in, the person's; else what the browser asks for.
func TestLanguage(t *testing.T) {
	w := oneWorld(t)
	for asked, want := range map[string]string{"en-GB,en;q=0.9": `lang="en"`, "de-AT": `lang="de"`, "fr": `lang="de"`, "": `lang="de"`} {
		a := w.stranger().do(http.MethodGet, "/admin/none/", nil, http.Header{"Accept-Language": {asked}})
		if a.is(http.StatusNotFound); !strings.Contains(a.body, want) {
			t.Errorf("%q is answered without %s", asked, want)
		}
	}
	w.person("english", staff.Operator).do(http.MethodGet, "/admin/", nil, http.Header{"Accept-Language": {"de"}}).says("Your regions")
}

// TestFiles: the console's own files are there, for ever under their address, and
// nothing beside them.
func TestFiles(t *testing.T) {
	w := oneWorld(t)
	for _, name := range []string{"console.css", "htmx.min.js", "uplot.min.js"} {
		a := w.stranger().get("/admin/static/" + name).is(http.StatusOK)
		if !strings.Contains(a.header.Get("Cache-Control"), "immutable") || a.body == "" {
			t.Errorf("%s: %v", name, a.header)
		}
	}
	for _, name := range []string{"..%2Ftemplates%2Flayout.html", "none.js", url.PathEscape("../door.go")} {
		w.stranger().get("/admin/static/" + name).is(http.StatusNotFound)
	}
}

// TestRefusedRequestsAreLogged: with whose they were, and without what nobody is to
// know of.
func TestRefusedRequestsAreLogged(t *testing.T) {
	w := oneWorld(t, idleProvider...)
	viewer := w.person("nora", staff.Viewer, w.north)
	id := fmt.Sprint(viewer.person.ID)
	for name, c := range map[string]struct {
		ask  func()
		want string
	}{
		"another right": {func() { viewer.get("/admin/jobs/").is(http.StatusForbidden) }, `staff=` + id + ` method=GET route=/admin/jobs/ reason="this needs another right"`},
		"a right in the region": {
			func() { viewer.post("/admin/regions/north/gate/", nil).is(http.StatusForbidden) },
			`staff=` + id + ` method=POST route=/admin/regions/:region/gate/ reason="this needs another right"`,
		},
		"another region": {
			func() { viewer.get("/admin/regions/south/chats/").is(http.StatusNotFound) },
			`staff=` + id + ` method=GET route=/admin/regions/:region/chats/ reason="there is no such page: the region is none of this account"`,
		},
		"another origin": {
			func() {
				viewer.do(http.MethodPost, "/admin/account/sessions/", nil, http.Header{"Sec-Fetch-Site": {"cross-site"}}).is(http.StatusForbidden)
			},
			`staff=0 method=POST route=/admin/account/sessions/ reason="this needs another right: the request came from a page of another origin"`,
		},
	} {
		w.log.take()
		c.ask()
		log := w.log.take()
		if !strings.Contains(log, `level=INFO msg="a request was refused" `+c.want) || strings.Contains(log, "south") || strings.Contains(log, "nora") {
			t.Errorf("%s: the log lacks %s or says too much:\n%s", name, c.want, log)
		}
	}
	w.log.take()
	viewer.get("/admin/").is(http.StatusOK)
	viewer.get("/admin/nowhere/").is(http.StatusNotFound)
	w.stranger().get("/admin/").is(http.StatusSeeOther)
	if log := w.log.take(); strings.Contains(log, "was refused") {
		t.Errorf("nobody was refused:\n%s", log)
	}
	w.stranger().get("/admin/oidc/").is(http.StatusUnprocessableEntity)
	if log := w.log.take(); !strings.Contains(log, `msg="a sign-in by OpenID Connect was refused"`) {
		t.Errorf("a forged answer of a provider is not logged:\n%s", log)
	}
}

// TestSessionTokensAreRandom: 256 bits, and another token for each.
func TestSessionTokensAreRandom(t *testing.T) {
	w := oneWorld(t)
	seen := map[string]bool{}
	for _, name := range []string{"anna", "berta", "clara"} {
		cookies := w.person(name, staff.Viewer).cookies()
		if len(cookies) != 1 {
			t.Fatalf("cookies %v", cookies)
		}
		token, err := base64.RawURLEncoding.DecodeString(cookies[0].Value)
		if err != nil || len(token) != 32 || seen[string(token)] {
			t.Errorf("the token %q (%v)", cookies[0].Value, err)
		}
		seen[string(token)] = true
	}
}

// TestWrongAddressesAndMethodsArePages: whoever opens what cannot be opened gets a
// page in their language, signed in or not, with all that guards a page; what is
// beside the console is answered as before.
func TestWrongAddressesAndMethodsArePages(t *testing.T) {
	w := oneWorld(t)
	id, err := w.app.Store.AddStaff(t.Context(), staff.Person{Login: "gerda", Name: "Gerda", Role: staff.Operator, Language: "de"}, "")
	if err != nil {
		t.Fatal(err)
	}
	german := w.stranger()
	german.signIn(id)
	english := w.person("english", staff.Operator)
	same := http.Header{"Origin": {w.origin}, "Sec-Fetch-Site": {"same-origin"}, "Accept-Language": {"en"}}
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{http.MethodGet, "/admin/none/", http.StatusNotFound, ""},
		{http.MethodGet, "/admin/regions/north/none/", http.StatusNotFound, ""},
		{http.MethodGet, "/admin/team/rooms/99999/", http.StatusNotFound, ""},
		{http.MethodGet, "/admin/sign-out/", http.StatusMethodNotAllowed, "POST"},
		{http.MethodGet, "/admin/regions/north/alerts/test/", http.StatusMethodNotAllowed, "POST"},
		{http.MethodGet, "/admin/regions/%3Cscript%3E/alerts/test/", http.StatusMethodNotAllowed, "POST"},
		{http.MethodDelete, "/admin/", http.StatusMethodNotAllowed, "GET"},
		{http.MethodPost, "/admin", http.StatusMethodNotAllowed, "GET"},
		{http.MethodPut, "/admin/static/console.css", http.StatusMethodNotAllowed, "GET"},
	} {
		words := map[int][2]string{
			http.StatusNotFound:         {"Diese Seite gibt es nicht", "There is no such page"},
			http.StatusMethodNotAllowed: {"Diese Adresse ist nicht zum Öffnen da", "This address is not there to be opened"},
		}[c.status]
		for i, b := range []*browser{german, english, w.stranger()} {
			if i == 2 && strings.Contains(c.path, "rooms") {
				continue // to the sign-in
			}
			a := b.do(c.method, c.path, nil, same).is(c.status).says(words[min(i, 1)]).lacks("path_not_found", "method_not_allowed", "<script>")
			a.guarded(c.path)
			if kind := a.header.Get("Content-Type"); kind != "text/html; charset=utf-8" || a.header.Get("Allow") != c.allow {
				t.Errorf("%s %s: %s, allows %q", c.method, c.path, kind, a.header.Get("Allow"))
			}
			if lang := [...]string{"de", "en", "en"}[i]; !strings.Contains(a.body, `<html lang="`+lang+`"`) {
				t.Errorf("%s %s is not in %s", c.method, c.path, lang)
			}
		}
	}
	for _, path := range []string{"/administration/", "/api/v3/none/"} {
		if a := w.stranger().get(path).is(http.StatusNotFound); !strings.HasPrefix(a.body, "{") {
			t.Errorf("%s is no page of the console: %s", path, a.body)
		}
	}
}
