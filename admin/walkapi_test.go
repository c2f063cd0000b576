package admin_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// apiTable is every address of the settings API, with the scope that it needs.
var apiTable = []struct {
	method, route string
	scope         staff.Scope
	status        int // for a token that may
}{
	{http.MethodGet, "/api/v3/settings/regions/", staff.ReadRegions, http.StatusOK},
	{http.MethodHead, "/api/v3/settings/regions/", staff.ReadRegions, http.StatusOK},
	{http.MethodGet, "/api/v3/settings/regions/:region/", staff.ReadRegions, http.StatusOK},
	{http.MethodHead, "/api/v3/settings/regions/:region/", staff.ReadRegions, http.StatusOK},
	{http.MethodPatch, "/api/v3/settings/regions/:region/", staff.WriteRegions, http.StatusPreconditionRequired},
}

func TestTheTableHasEveryAddressOfTheSettingsAPI(t *testing.T) {
	w := oneWorld(t)
	var have, want []string
	for _, r := range w.engine.Routes() {
		if strings.HasPrefix(r.Path, "/api/v3/settings/") {
			have = append(have, r.Method+" "+r.Path)
		}
	}
	for _, e := range apiTable {
		want = append(want, e.method+" "+e.route)
	}
	slices.Sort(have)
	slices.Sort(want)
	if d := cmp.Diff(want, have); d != "" {
		t.Errorf("the addresses of the settings API (+) are not those of the table (-):\n%s", d)
	}
}

// token makes a token of the settings API, and gives the header in which it comes.
func (w *world) token(name string, expires time.Time, scope staff.Scope, regions ...bridge.RegionID) (http.Header, int64) {
	w.Helper()
	secret := staff.NewToken()
	hash, _ := staff.HashToken(secret)
	token := staff.APIToken{Name: name, Scopes: []staff.Scope{scope}, Regions: regions, Expires: expires}
	if err := w.app.Store.AddAPIToken(w.Context(), &token, hash); err != nil {
		w.Fatal(err)
	}
	return http.Header{"Authorization": {"Bearer " + secret}}, token.ID
}

// Every program, and everybody who is none, at every address of the settings API.
func TestEveryTokenAtTheSettingsAPI(t *testing.T) {
	w := newWalk(t)
	north := w.north.ID
	type caller struct {
		name    string
		header  http.Header
		scope   staff.Scope // empty: it is none
		regions []bridge.RegionID
		session bool // an operator's browser
	}
	var callers []caller
	add := func(name string, scope staff.Scope, regions ...bridge.RegionID) {
		header, _ := w.token(name, time.Time{}, scope, regions...)
		callers = append(callers, caller{name: name, header: header, scope: scope, regions: regions})
	}
	add("reads all", staff.ReadRegions)
	add("writes all", staff.WriteRegions)
	add("reads north", staff.ReadRegions, north)
	add("writes north", staff.WriteRegions, north)
	expired, _ := w.token("expired", time.Now().Add(time.Second), staff.WriteRegions)
	revoked, id := w.token("revoked", time.Time{}, staff.WriteRegions)
	if err := w.app.Store.RevokeAPIToken(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := w.db.Exec("UPDATE api_tokens SET expires = 1 WHERE name = 'expired'"); err != nil {
		t.Fatal(err)
	}
	good := callers[1].header.Get("Authorization")
	callers = append(callers,
		caller{name: "nobody"}, caller{name: "expired", header: expired}, caller{name: "revoked", header: revoked},
		caller{name: "a guess", header: http.Header{"Authorization": {"Bearer " + staff.NewToken()}}},
		caller{name: "basic", header: http.Header{"Authorization": {strings.Replace(good, "Bearer", "Basic", 1)}}},
		caller{name: "cut off", header: http.Header{"Authorization": {good[:len(good)-1]}}},
		caller{name: "in a cookie", header: http.Header{"Cookie": {"token=" + good}}},
		caller{name: "an operator's browser", session: true},
	)
	for _, e := range apiTable {
		for _, region := range []*bridge.Region{w.north, w.south} {
			for _, c := range callers {
				want := e.status
				switch {
				case c.scope == "":
					want = http.StatusUnauthorized
				case e.scope == staff.WriteRegions && c.scope != staff.WriteRegions:
					want = http.StatusForbidden
				case strings.Contains(e.route, ":region") && c.regions != nil && !slices.Contains(c.regions, region.ID):
					want = http.StatusNotFound
				}
				b := w.stranger()
				if c.session {
					b = w.as(w.people[0])
				}
				before := w.state()
				path := strings.ReplaceAll(e.route, ":region", region.Slug)
				a := b.do(e.method, path, nil, c.header)
				if a.status != want {
					t.Errorf("%s: %s %s answers %d, want %d", c.name, e.method, path, a.status, want)
				}
				if w.state() != before {
					t.Errorf("%s: %s %s has changed something", c.name, e.method, path)
				}
				if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" || len(a.header.Values("Set-Cookie")) > 0 || a.header.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s: %s %s has the headers %v", c.name, e.method, path, a.header)
				}
				if e.method == http.MethodGet && !strings.Contains(e.route, ":region") && a.status == http.StatusOK && c.regions != nil && strings.Contains(a.body, `"south"`) {
					t.Errorf("%s sees the other region:\n%s", c.name, a.body)
				}
				if want == http.StatusUnauthorized && a.header.Get("WWW-Authenticate") != "Bearer" {
					t.Errorf("%s: WWW-Authenticate is %q", c.name, a.header.Get("WWW-Authenticate"))
				}
			}
		}
	}
	// A region by its number, or by a way around, is none.
	for _, name := range []string{fmt.Sprint(north), fmt.Sprint(w.south.ID), "NORTH", "north%2F..%2Fsouth", "north%20", "%00"} {
		a := w.stranger().do(http.MethodGet, "/api/v3/settings/regions/"+name+"/", nil, callers[2].header)
		if a.status != http.StatusNotFound {
			t.Errorf("the region %q answers %d", name, a.status)
		}
	}
}
