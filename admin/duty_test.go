package admin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/staff"
)

const dutyPath = "/admin/account/factor/"

// duty is the setting that says who must have a second factor.
func duty(who string) string { return "DESKBRIDGE_CONSOLE_REQUIRE_SECOND_FACTOR=" + who }

// Who must have a second factor and has none gets to no other page, changes
// nothing, and is where he was once it is set up.
func TestADueSecondFactorComesBeforeAnythingElse(t *testing.T) {
	w := newWalk(t, duty("all"))
	id := w.addPerson("due", staff.Operator)
	before := w.state()
	tried := 0
	for _, e := range table {
		if e.need == anybody || strings.HasPrefix(e.route, dutyPath) {
			continue
		}
		b := w.stranger()
		b.signIn(id)
		a := b.try(e.method, w.address(e, w.north.Slug))
		if to := a.header.Get("Location"); a.status != http.StatusSeeOther || to != dutyPath {
			t.Errorf("%s %s answers %d to %q", e.method, e.route, a.status, to)
		}
		part := b.do(e.method, w.address(e, w.north.Slug), nil, http.Header{"Hx-Request": {"true"}, "Origin": {w.origin}, "Sec-Fetch-Site": {"same-origin"}})
		if part.status != http.StatusUnauthorized || part.header.Get("Hx-Redirect") != dutyPath || part.body != "" {
			t.Errorf("%s %s answers %d %v to a part of a page", e.method, e.route, part.status, part.header)
		}
		if w.state() != before {
			t.Fatalf("%s %s has changed something", e.method, e.route)
		}
		tried++
	}
	if tried < 70 {
		t.Fatalf("only %d addresses were tried", tried)
	}

	b := w.stranger().english()
	b.enter("due", goodPassword).leads("/admin/")
	b.get("/admin/").leads(dutyPath)
	page := b.get(dutyPath).is(http.StatusOK).says("must be protected by a code").lacks(`href="/admin/account/"`, `href="/admin/jobs/"`, "<nav")
	secret := bridge.Secret(between(t, page.body, `<code class="code">`, "</code>"))
	b.post(dutyPath, url.Values{"password": {goodPassword}, "code": {w.codeNow(bridge.Secret(strings.ReplaceAll(string(secret), " ", "")))}}).leads("/admin/account/?done=factor")
	b.get("/admin/").is(http.StatusOK)
	b.get("/admin/jobs/").is(http.StatusOK)
	b.post(dutyPath+"remove/", url.Values{"password": {goodPassword}}).is(http.StatusSeeOther)
	b.get("/admin/jobs/").leads(dutyPath)
	b.post("/admin/sign-out/", nil).leads("/admin/sign-in/?done=out")
}

// between gives what stands between two marks.
func between(t *testing.T, text, begin, end string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, begin)
	inner, _, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("nothing stands between %q and %q", begin, end)
	}
	return inner
}

// Whom the duty does not mean goes on as ever: other roles, who has no password,
// who has the factor, and programs.
func TestWhomTheDutyDoesNotMean(t *testing.T) {
	for who, led := range map[string]map[staff.Role]bool{
		"none": {}, "operators": {staff.Operator: true}, "all": {staff.Operator: true, staff.RegionAdmin: true, staff.Viewer: true},
	} {
		w := oneWorld(t, duty(who))
		for _, role := range []staff.Role{staff.Operator, staff.RegionAdmin, staff.Viewer} {
			id := w.addPerson("password-"+string(role), role, w.north)
			b := w.stranger()
			b.signIn(id)
			if led[role] {
				b.get("/admin/").leads(dutyPath)
			} else {
				b.isIn()
			}
			w.factor(id, "password-"+string(role))
			b.signIn(id)
			b.isIn()
			w.person("provider-"+string(role), role, w.north).isIn()
		}
		program, _ := w.token("program", time.Time{}, staff.ReadRegions)
		w.stranger().do(http.MethodGet, "/api/v3/settings/regions/north/", nil, program).is(http.StatusOK)
	}
}
