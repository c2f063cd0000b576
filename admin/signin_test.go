package admin_test

import (
	"database/sql"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"deskbridge/bridge"
	"deskbridge/staff"
	"deskbridge/staff/openidtest"
)

const (
	goodPassword  = "correct horse battery"
	otherPassword = "staple in the morning"
)

// addPerson adds an account with the good password, in English.
func (w *world) addPerson(login string, role staff.Role, regions ...*bridge.Region) staff.ID {
	w.Helper()
	p := staff.Person{Login: login, Name: "Person " + login, Role: role, Language: "en"}
	for _, r := range regions {
		p.Regions = append(p.Regions, r.ID)
	}
	id, err := w.app.Accounts.Add(w.Context(), p, goodPassword)
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// english is a stranger whose browser asks for English.
func (b *browser) english() *browser {
	b.client.Transport = speaks{http.DefaultTransport, "en"}
	return b
}

type speaks struct {
	http.RoundTripper
	language string
}

func (s speaks) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Accept-Language", s.language)
	return s.RoundTripper.RoundTrip(r)
}

// enter signs in through the page.
func (b *browser) enter(login, password string) answer {
	b.w.Helper()
	return b.post("/admin/sign-in/", url.Values{"login": {login}, "password": {password}})
}

// cookies gives what the browser would send.
func (b *browser) cookies() []*http.Cookie {
	origin, _ := url.Parse(b.w.origin)
	return b.client.Jar.Cookies(origin)
}

// thief is another browser with the same cookies.
func (b *browser) thief() *browser {
	b.w.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.w.Fatal(err)
	}
	origin, _ := url.Parse(b.w.origin)
	jar.SetCookies(origin, b.cookies())
	other := b.w.stranger().english()
	other.client.Jar = jar
	return other
}

// isIn fails unless the browser is signed in.
func (b *browser) isIn() {
	b.w.Helper()
	b.get("/admin/").is(http.StatusOK)
}

// isOut fails if it is.
func (b *browser) isOut() {
	b.w.Helper()
	b.get("/admin/").leads("/admin/sign-in/?next=%2Fadmin%2F")
}

func TestSignInAndOut(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.addPerson("anna@example.org", staff.RegionAdmin, w.north)
		b := w.stranger().english()
		page := b.get("/admin/sign-in/?next=/admin/regions/north/").is(http.StatusOK).says("Sign in", "Login or e-mail address").lacks("oidc", "sign-in/provider")
		if !strings.Contains(page.body, `autocomplete="current-password"`) || !strings.Contains(page.body, `value="/admin/regions/north/"`) {
			t.Error("the form lacks what it must have")
		}
		if len(b.cookies()) != 0 {
			t.Error("a stranger gets a cookie")
		}
		wrong := b.enter("anna@example.org", otherPassword).is(http.StatusUnprocessableEntity).says("is not right")
		unknown := b.enter("nobody@example.org", otherPassword).is(http.StatusUnprocessableEntity)
		if strings.ReplaceAll(wrong.body, "anna", "nobody") != unknown.body {
			t.Error("the answers tell which login there is")
		}
		wrong.lacks(otherPassword)
		b.isOut()

		done := b.post("/admin/sign-in/", url.Values{"login": {"Anna@example.org "}, "password": {goodPassword}, "next": {"/admin/regions/north/"}})
		done.leads("/admin/regions/north/")
		cookie := done.header.Get("Set-Cookie")
		for _, want := range []string{"deskbridge=", "HttpOnly", "SameSite=Lax", "Path=/"} {
			if !strings.Contains(cookie, want) {
				t.Errorf("cookie %q", cookie)
			}
		}
		b.isIn()
		b.get("/admin/sign-in/").leads("/admin/")
		thief := b.thief()
		thief.isIn()
		b.post("/admin/sign-out/", nil).leads("/admin/sign-in/?done=out")
		b.get("/admin/sign-in/?done=out").is(http.StatusOK).says("You are signed out.")
		b.isOut()
		thief.isOut()
		thief.isOut() // nor does asking bring it back
	})
}

// TestSecureCookie: away from the machine itself the cookie is for TLS only, and
// for this host only.
func TestSecureCookie(t *testing.T) {
	w := oneWorld(t)
	w.addPerson("anna", staff.Operator)
	a := w.stranger().do(http.MethodPost, "/admin/sign-in/", url.Values{"login": {"anna"}, "password": {goodPassword}}, http.Header{"X-Forwarded-Proto": {"https"}})
	a.leads("/admin/")
	if cookie := a.header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "__Host-deskbridge=") || !strings.Contains(cookie, "Secure") {
		t.Errorf("cookie %q", cookie)
	}
}

func TestNextLeadsNowhereElse(t *testing.T) {
	w := oneWorld(t)
	w.addPerson("anna", staff.Operator)
	for _, next := range []string{"https://evil.example/", "//evil.example/admin/", "/\\evil.example", "javascript:alert(1)", "/api/v3/", ""} {
		w.stranger().post("/admin/sign-in/", url.Values{"login": {"anna"}, "password": {goodPassword}, "next": {next}}).leads("/admin/")
	}
}

// TestForeignPagesDoNotSignAnybodyIn: nor out, nor do they ask for a password.
func TestForeignPagesDoNotSignAnybodyIn(t *testing.T) {
	w := oneWorld(t)
	w.addPerson("anna", staff.Operator)
	in := w.stranger().english()
	in.enter("anna", goodPassword).leads("/admin/")
	for _, header := range []http.Header{
		{"Origin": {"https://evil.example"}}, {"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}, "Origin": {"http://evil.localhost"}}, {"Origin": {"null"}},
	} {
		for _, path := range []string{"/admin/sign-in/", "/admin/sign-out/", "/admin/account/sessions/", "/admin/account/password/", "/admin/staff/new/"} {
			in.do(http.MethodPost, path, url.Values{"login": {"anna"}, "password": {goodPassword}}, header).is(http.StatusForbidden)
		}
	}
	in.isIn()
}

// TestSessionFixation: a cookie that somebody planted before the sign-in is
// worth nothing after it.
func TestSessionFixation(t *testing.T) {
	w := oneWorld(t)
	id := w.addPerson("anna", staff.Operator)
	origin, _ := url.Parse(w.origin)
	victim := w.stranger().english()
	victim.client.Jar.SetCookies(origin, []*http.Cookie{{Name: "deskbridge", Value: strings.Repeat("A", 43), Path: "/"}})
	planted := victim.thief()
	victim.enter("anna", goodPassword).leads("/admin/")
	victim.isIn()
	planted.isOut()

	// A session that the server itself made, of the attacker's own account.
	attacker := w.person("mallory", staff.Viewer, w.north)
	attacker.client.Transport = speaks{http.DefaultTransport, "en"}
	victim = attacker.thief()
	victim.enter("anna", goodPassword).leads("/admin/")
	victim.get("/admin/").says("Person anna")
	attacker.isOut()

	// Nor is one from between password and code.
	secret := w.factor(id, "anna")
	victim = w.stranger().english()
	victim.enter("anna", goodPassword).leads("/admin/sign-in/code/")
	attacker = victim.thief()
	attacker.isOut()
	victim.code(secret).leads("/admin/")
	victim.isIn()
	attacker.isOut()
	attacker.get("/admin/sign-in/code/").leads("/admin/sign-in/")
}

// factor gives an account a second factor, which was confirmed a while ago.
func (w *world) factor(id staff.ID, login string) bridge.Secret {
	w.Helper()
	f, err := staff.NewFactor(&staff.Person{Login: login}, "")
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.app.Store.SetTOTP(w.Context(), id, f.Secret, 1); err != nil {
		w.Fatal(err)
	}
	return f.Secret
}

// codeNow is the code that the app shows.
func (w *world) codeNow(secret bridge.Secret) string {
	w.Helper()
	code, err := totp.GenerateCode(string(secret), time.Now())
	if err != nil {
		w.Fatal(err)
	}
	return code
}

// code enters the code of now.
func (b *browser) code(secret bridge.Secret) answer {
	b.w.Helper()
	return b.post("/admin/sign-in/code/", url.Values{"code": {b.w.codeNow(secret)}})
}

func TestCodeStep(t *testing.T) {
	w := oneWorld(t)
	secret := w.factor(w.addPerson("anna", staff.Operator), "anna")
	b := w.stranger().english()
	b.get("/admin/sign-in/code/").leads("/admin/sign-in/")
	b.code(secret).leads("/admin/sign-in/?done=again")
	b.post("/admin/sign-in/", url.Values{"login": {"anna"}, "password": {goodPassword}, "next": {"/admin/account/"}}).leads("/admin/sign-in/code/")
	b.get("/admin/sign-in/code/").is(http.StatusOK).says("six digits")
	b.isOut()
	b.post("/admin/sign-in/code/", url.Values{"code": {"000000"}}).is(http.StatusUnprocessableEntity).says("This code is not right")
	thief, code := b.thief(), url.Values{"code": {w.codeNow(secret)}}
	b.post("/admin/sign-in/code/", code).leads("/admin/account/")
	b.isIn()
	thief.isOut()

	// The same code again is no good, however often.
	again := w.stranger().english()
	again.enter("anna", goodPassword).leads("/admin/sign-in/code/")
	for range staff.LockAfter {
		again.post("/admin/sign-in/code/", code).is(http.StatusUnprocessableEntity).says("was used already")
	}
	again.code(secret).is(http.StatusUnprocessableEntity).says("too many tries")
	again.isOut()
	b.isIn() // a lockout ends no session
	w.stranger().english().enter("anna", goodPassword).is(http.StatusUnprocessableEntity)
}

func TestPasswordChangeEndsOtherSessions(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.addPerson("anna", staff.Operator)
		b, elsewhere := w.stranger().english(), w.stranger().english()
		b.enter("anna", goodPassword).leads("/admin/")
		elsewhere.enter("anna", goodPassword).leads("/admin/")
		thief := b.thief()
		form := url.Values{"old": {otherPassword}, "password": {otherPassword}, "again": {otherPassword}}
		b.post("/admin/account/password/", form).is(http.StatusUnprocessableEntity).says("The password is not right.").lacks(otherPassword)
		form.Set("old", goodPassword)
		form.Set("again", "x")
		b.post("/admin/account/password/", form).is(http.StatusUnprocessableEntity).says("not the same")
		for password, words := range map[string]string{"short": "at least 12", "password1234": "Many people", "anna": "at least 12", strings.Repeat("ab c", 51): "at most 128"} {
			form.Set("password", password)
			form.Set("again", password)
			b.post("/admin/account/password/", form).is(http.StatusUnprocessableEntity).says(words)
		}
		form.Set("password", otherPassword)
		form.Set("again", otherPassword)
		b.post("/admin/account/password/", form).leads("/admin/account/?done=password")
		b.get("/admin/account/?done=password").is(http.StatusOK).says("Everywhere else you are signed out.")
		elsewhere.isOut()
		thief.isOut()
		w.stranger().english().enter("anna", goodPassword).is(http.StatusUnprocessableEntity)
		w.stranger().english().enter("anna", otherPassword).leads("/admin/")
	})
}

func TestSignOutEverywhereElse(t *testing.T) {
	w := oneWorld(t)
	w.addPerson("anna", staff.Operator)
	b, elsewhere := w.stranger().english(), w.stranger().english()
	b.enter("anna", goodPassword).leads("/admin/")
	elsewhere.enter("anna", goodPassword).leads("/admin/")
	thief := b.thief()
	b.post("/admin/account/sessions/", nil).leads("/admin/account/?done=sessions")
	b.isIn()
	elsewhere.isOut()
	thief.isOut()
}

// TestOldSessions: one that has expired, or in which nothing was asked for, is
// over.
func TestOldSessions(t *testing.T) {
	database := t.TempDir() + "/deskbridge.db"
	w := newWorld(t, "sqlite:"+database, "DESKBRIDGE_CONSOLE_IDLE_MINUTES=5", "DESKBRIDGE_CONSOLE_SESSION_HOURS=1")
	w.addPerson("anna", staff.Operator)
	b := w.stranger().english()
	done := b.enter("anna", goodPassword)
	b.isIn()
	db, err := sql.Open("sqlite", database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var expires int64
	if err := db.QueryRow("SELECT expires FROM sessions").Scan(&expires); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(time.UnixMilli(expires)); left > 5*time.Minute || left < 4*time.Minute {
		t.Errorf("an idle session lives for %s", left)
	}
	if cookie, err := http.ParseSetCookie(done.header.Get("Set-Cookie")); err != nil || time.Until(cookie.Expires) > 5*time.Minute+time.Second {
		t.Errorf("cookie %v %v", cookie, err)
	}
	if _, err := db.Exec("UPDATE sessions SET expires = ?", time.Now().Add(-time.Second).UnixMilli()); err != nil {
		t.Fatal(err)
	}
	b.isOut()
	// Whoever writes the database can end sessions, and make none.
	b.enter("anna", goodPassword).leads("/admin/")
	if _, err := db.Exec("UPDATE sessions SET data = x'00'"); err != nil {
		t.Fatal(err)
	}
	b.isOut()
}

func TestFirstAccount(t *testing.T) {
	eachWorld(t, func(w *world) {
		token, err := w.app.Accounts.FirstLink(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		path := "/admin/link/" + string(token)
		b := w.stranger().english()
		b.get("/admin/link/guess").is(http.StatusNotFound).says("This link is void")
		b.post("/admin/link/guess", url.Values{"login": {"x"}, "name": {"X"}, "password": {goodPassword}, "again": {goodPassword}}).is(http.StatusNotFound)
		b.get(path).is(http.StatusOK).says("first account", "Login", "New password")
		form := url.Values{"login": {"Boss@Example.org"}, "name": {"The Boss"}, "password": {"short"}, "again": {"short"}, "role": {"viewer"}}
		b.post(path, form).is(http.StatusUnprocessableEntity).says("at least 12").lacks(`value="short"`)
		form.Set("password", goodPassword)
		b.post(path, form).is(http.StatusUnprocessableEntity).says("not the same")
		form.Set("again", goodPassword)
		form.Set("login", "<script>")
		b.post(path, form).is(http.StatusUnprocessableEntity).says("small letters").lacks("<script>alert", `value="<script>"`)
		form.Set("login", "Boss@Example.org")
		b.do(http.MethodPost, path, form, http.Header{"Sec-Fetch-Site": {"cross-site"}}).is(http.StatusForbidden)
		b.post(path, form).leads("/admin/sign-in/?done=password")
		b.isOut()
		b.get(path).is(http.StatusNotFound)
		b.post(path, form).is(http.StatusNotFound)
		b.enter("boss@example.org", goodPassword).leads("/admin/")
		b.get("/admin/staff/").is(http.StatusOK).says("The Boss")
	})
}

// provided is a world whose console signs in at an OpenID provider.
func provided(t *testing.T) (*world, *openidtest.Provider) {
	t.Helper()
	const origin = "https://chat.example.org"
	p := openidtest.New(t, origin+"/admin/oidc/", time.Now)
	w := oneWorld(t, "DESKBRIDGE_CONSOLE_URL="+origin, "DESKBRIDGE_CONSOLE_OIDC_ISSUER="+p.URL, "DESKBRIDGE_CONSOLE_OIDC_CLIENT_ID="+openidtest.ClientID,
		"DESKBRIDGE_CONSOLE_OIDC_CLIENT_SECRET="+openidtest.ClientSecret, "DESKBRIDGE_CONSOLE_OIDC_NAME=City <of> Example")
	return w, p
}

// visit goes to the provider and gives the path with which it sends back.
func (b *browser) visit(p *openidtest.Provider, next string) string {
	b.w.Helper()
	to := b.get("/admin/sign-in/provider/?next=" + url.QueryEscape(next)).is(http.StatusSeeOther).header.Get("Location")
	if !strings.HasPrefix(to, p.URL+"/authorize?") {
		b.w.Fatalf("it leads to %q", to)
	}
	return "/admin/oidc/?" + p.Visit(b.w.T, to).Encode()
}

func TestSignInAtAProvider(t *testing.T) {
	w, p := provided(t)
	b := w.stranger().english()
	b.get("/admin/sign-in/").says("Sign in with City <of> Example").lacks("<of>")
	b.get(b.visit(p, "/admin/")).is(http.StatusUnprocessableEntity).says("no account for you here")
	b.isOut()
	all, err := w.app.Store.Staff(t.Context())
	if err != nil || len(all) != 0 {
		t.Fatalf("accounts were made: %v %v", all, err)
	}
	id := w.addPerson("anna@example.org", staff.RegionAdmin, w.north)
	back := b.visit(p, "/admin/regions/north/")
	b.get(back).leads("/admin/regions/north/")
	b.get("/admin/").is(http.StatusOK).says("Person anna@example.org")
	w.stranger().english().get(back).is(http.StatusUnprocessableEntity).says("begin again") // the answer of another browser
	b.get(back).is(http.StatusUnprocessableEntity)                                          // and the same again
	b.isIn()

	out := w.stranger().english()
	out.get(out.visit(p, "https://evil.example/")).leads("/admin/")
	out.post("/admin/sign-out/", nil)
	p.Set(func() { p.Claims = map[string]any{"nonce": "another"} })
	out.get(out.visit(p, "")).is(http.StatusUnprocessableEntity).says("was not valid")
	p.Set(func() { p.Claims = map[string]any{"sub": "another"} })
	out.get(out.visit(p, "")).is(http.StatusUnprocessableEntity).says("no account for you here")
	p.Set(func() { p.Claims = nil })
	refused := out.visit(p, "")
	out.get(regexp.MustCompile(`code=[^&]*`).ReplaceAllString(refused, "error=access_denied")).is(http.StatusUnprocessableEntity).says("did not sign you in")
	back = out.visit(p, "")
	p.Set(func() { p.Down = true })
	out.get(back).is(http.StatusServiceUnavailable).says("cannot be reached")
	p.Set(func() { p.Down = false })
	out.isOut()

	secret := w.factor(id, "anna@example.org")
	out.get(out.visit(p, "/admin/account/")).leads("/admin/sign-in/code/")
	out.isOut()
	out.code(secret).leads("/admin/account/")
	out.isIn()
}

func TestWithoutAProviderThereIsNone(t *testing.T) {
	w := oneWorld(t)
	for _, path := range []string{"/admin/oidc/", "/admin/sign-in/provider/"} {
		w.stranger().get(path).is(http.StatusNotFound)
	}
}

// TestSprayedPasswords: one address cannot try a password at many accounts, nor
// fill the store with sign-ins that it only begins.
func TestSprayedPasswords(t *testing.T) {
	w := oneWorld(t, "DESKBRIDGE_LIMITS_EXEMPT_LOOPBACK=false", "DESKBRIDGE_TRUSTED_PROXIES=127.0.0.1/32")
	from := func(address, path string, form url.Values) answer {
		return w.stranger().english().do(http.MethodPost, path, form, http.Header{"X-Forwarded-For": {address}})
	}
	let := 0
	refused := false
	for !refused && let < 300 {
		a := from("192.0.2.1", "/admin/sign-in/code/", url.Values{"code": {"000000"}}) // what costs no time
		if a.status == http.StatusTooManyRequests {
			if a.header.Get("Retry-After") == "" {
				t.Error("it does not say when to try again")
			}
			a.says("too many sign-ins")
			refused = true
			continue
		}
		let++
	}
	if !refused || let < 60 {
		t.Fatalf("%d tries of one address", let)
	}
	from("192.0.2.1", "/admin/sign-in/", url.Values{"login": {"a"}, "password": {"b"}}).is(http.StatusTooManyRequests)
	from("192.0.2.1", "/admin/link/guess", url.Values{}).is(http.StatusTooManyRequests)
	from("192.0.2.2", "/admin/sign-in/", url.Values{"login": {"a"}, "password": {"b"}}).is(http.StatusUnprocessableEntity)
}
