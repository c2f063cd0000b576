package admin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"deskbridge/bridge"
	"deskbridge/staff"
)

var hidden = regexp.MustCompile(`name="was" value="([0-9a-f]+)"`)

// was gives what the form of an account was made of.
func (a answer) was() string {
	a.w.Helper()
	match := hidden.FindStringSubmatch(a.body)
	if match == nil {
		a.w.Fatal("the form does not say what it was made of")
	}
	return match[1]
}

// linkOn finds the one-time link that a page shows.
func (a answer) linkOn() string {
	a.w.Helper()
	match := regexp.MustCompile(`https?://[^/<]+(/admin/link/[A-Za-z0-9_-]{43})`).FindStringSubmatch(a.body)
	if match == nil {
		a.w.Fatalf("no link on the page:\n%s", a.text())
	}
	return match[1]
}

func TestOnlyOperatorsCareForAccounts(t *testing.T) {
	w := oneWorld(t)
	id := w.addPerson("boss", staff.Operator)
	for _, b := range []*browser{w.person("admin", staff.RegionAdmin, w.north), w.person("viewer", staff.Viewer, w.north)} {
		for _, path := range []string{"/admin/staff/", "/admin/staff/new/", fmt.Sprintf("/admin/staff/%d/", id), fmt.Sprintf("/admin/staff/%d/link/", id), fmt.Sprintf("/admin/staff/%d/remove/", id)} {
			b.get(path).is(http.StatusForbidden).lacks("boss")
			if path != "/admin/staff/" {
				b.post(path, url.Values{"name": {"X"}, "role": {"operator"}, "login": {"x"}}).is(http.StatusForbidden)
			}
		}
		b.get("/admin/").lacks("/admin/staff/")
	}
	w.stranger().get("/admin/staff/").is(http.StatusSeeOther)
	all, err := w.app.Store.Staff(t.Context())
	if err != nil || len(all) != 3 {
		t.Fatalf("accounts: %d %v", len(all), err)
	}
}

func TestAccountsAreAdded(t *testing.T) {
	eachWorld(t, func(w *world) {
		boss := w.person("boss", staff.Operator)
		boss.get("/admin/staff/new/").is(http.StatusOK).says("Add an account", "Run regions", "North", "South")
		form := url.Values{"login": {"Zoe@Example.org"}, "name": {"<b>Zoë</b> 😀"}, "role": {"admin"}, "region": {"north", "none"}, "disabled": {"on"}, "password": {"x"}}
		boss.post("/admin/staff/new/", url.Values{"login": {"a b"}, "name": {"X"}, "role": {"operator"}}).is(http.StatusUnprocessableEntity).says("small letters")
		boss.post("/admin/staff/new/", url.Values{"login": {"a"}, "name": {""}, "role": {"operator"}}).is(http.StatusUnprocessableEntity).says("1 to 200 characters")
		boss.post("/admin/staff/new/", url.Values{"login": {"a"}, "name": {"X"}, "role": {"root"}}).is(http.StatusUnprocessableEntity).says("Please choose what")
		boss.post("/admin/staff/new/", url.Values{"login": {"a"}, "name": {"X"}, "role": {"viewer"}, "region": {"none"}}).is(http.StatusUnprocessableEntity).says("at least one region")
		boss.post("/admin/staff/new/", url.Values{"login": {"boss"}, "name": {"X"}, "role": {"operator"}}).is(http.StatusUnprocessableEntity).says("already an account")
		to := boss.post("/admin/staff/new/", form).is(http.StatusSeeOther).header.Get("Location")
		page := boss.get(to).is(http.StatusOK).says("The account is there.", "<b>Zoë</b> 😀", "shown only now").lacks("<b>Zoë")
		link := page.linkOn()
		boss.get(to).is(http.StatusOK).lacks("/admin/link/")
		c, err := w.app.Store.StaffByLogin(t.Context(), "zoe@example.org")
		if err != nil || c.Role != staff.RegionAdmin || len(c.Regions) != 1 || c.Regions[0] != w.north.ID || c.Disabled || c.HasPassword {
			t.Fatalf("account: %+v %v", c, err)
		}
		boss.get("/admin/staff/").says("<b>Zoë</b> 😀", "Run regions: North", "needs a link").lacks("<b>Zoë")

		zoe := w.stranger().english()
		zoe.get(link).is(http.StatusOK).says("<b>Zoë</b> 😀", "zoe@example.org").lacks("<b>Zoë")
		zoe.post(link, url.Values{"password": {goodPassword}, "again": {goodPassword}, "login": {"boss"}, "name": {"Other"}}).leads("/admin/sign-in/?done=password")
		zoe.get(link).is(http.StatusNotFound).says("void")
		zoe.enter("zoe@example.org", goodPassword).leads("/admin/")
		entries, err := w.app.Store.Audit(t.Context(), bridge.AuditQuery{Action: "staff.", Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, e := range entries {
			said = append(said, e.Actor.Name+" "+e.Action)
		}
		want := "zoe@example.org staff.sign-in, zoe@example.org staff.password, boss staff.link, boss staff.add, deskbridge staff.add"
		if got := strings.Join(said, ", "); got != want {
			t.Errorf("audit: %s", got)
		}
	})
}

func TestAccountsAreChanged(t *testing.T) {
	eachWorld(t, func(w *world) {
		boss, other := w.person("boss", staff.Operator), w.person("other", staff.Operator)
		anna := w.person("anna", staff.Viewer, w.north)
		path := fmt.Sprintf("/admin/staff/%d/", anna.person.ID)
		page := boss.get(path).is(http.StatusOK)
		stale := other.get(path).is(http.StatusOK)
		form := url.Values{"was": {page.was()}, "name": {"Anna"}, "role": {"viewer"}, "region": {"south"}, "login": {"boss"}, "id": {"1"}, "language": {"de"}}
		boss.post(path, form).leads(path + "?done=saved")
		anna.get("/admin/").is(http.StatusOK).says("South").lacks("North")
		c, err := w.app.Store.StaffByID(t.Context(), anna.person.ID)
		if err != nil || c.Login != "anna" || c.Language != "en" || c.Name != "Anna" {
			t.Fatalf("what the form does not have was changed: %+v %v", c, err)
		}
		form.Set("was", stale.was())
		form.Set("name", "Not Anna")
		other.post(path, form).is(http.StatusConflict).says("Somebody else has changed").lacks("Not Anna")
		form.Set("was", other.get(path).was())
		form.Set("role", "operator")
		other.post(path, form).leads(path + "?done=saved")
		anna.isOut() // another role

		anna.signIn(anna.person.ID)
		anna.get("/admin/staff/").is(http.StatusOK)
		form.Set("was", other.get(path).was())
		form.Set("disabled", "on")
		other.post(path, form).leads(path + "?done=saved")
		anna.isOut()
		boss.get("/admin/staff/").says("disabled")
		boss.get(path + "link/").is(http.StatusNotFound)
		boss.get("/admin/staff/4711/").is(http.StatusNotFound)
		boss.get("/admin/staff/x/").is(http.StatusNotFound)
		boss.get(path + "nothing/").is(http.StatusNotFound)
		boss.post(path+"factor/", nil).is(http.StatusNotFound) // there is none
	})
}

func TestTheLastOperatorStaysOne(t *testing.T) {
	w := oneWorld(t)
	id := w.addPerson("boss", staff.Operator)
	boss := w.stranger().english()
	boss.enter("boss", goodPassword).leads("/admin/")
	path := fmt.Sprintf("/admin/staff/%d/", id)
	form := url.Values{"was": {boss.get(path).was()}, "name": {"Boss"}, "role": {"viewer"}, "region": {"north"}}
	boss.post(path, form).is(http.StatusConflict).says("No other account that may operate")
	form = url.Values{"was": {boss.get(path).was()}, "name": {"Boss"}, "role": {"operator"}, "disabled": {"on"}}
	boss.post(path, form).is(http.StatusConflict).says("No other account that may operate")
	boss.get(path+"remove/").is(http.StatusOK).says("for ever", "Cancel")
	boss.post(path+"remove/", nil).is(http.StatusConflict).says("No other account that may operate")
	boss.isIn()
}

func TestStepsThatAreAskedAgain(t *testing.T) {
	w := oneWorld(t)
	boss := w.person("boss", staff.Operator)
	id := w.addPerson("anna", staff.Viewer, w.north)
	secret := w.factor(id, "anna")
	if err := w.app.Store.LinkSubject(t.Context(), id, "https://id.example.org|1"); err != nil {
		t.Fatal(err)
	}
	anna := w.stranger().english()
	anna.enter("anna", goodPassword).leads("/admin/sign-in/code/")
	anna.code(secret).leads("/admin/")
	path := fmt.Sprintf("/admin/staff/%d/", id)
	boss.get(path).says("Link for a new password", "Sign out everywhere", "Switch the code at sign-in off", "Unlink", "Remove the account")

	boss.get(path + "link/").is(http.StatusOK).says("Whoever has the link can sign in as this person")
	anna.isIn() // asking changes nothing
	boss.post(path+"link/", nil).leads(path)
	link := boss.get(path).linkOn()
	anna.isIn()
	reset := w.stranger().english()
	reset.post(link, url.Values{"password": {otherPassword}, "again": {otherPassword}}).leads("/admin/sign-in/?done=password")
	anna.isOut()
	reset.enter("anna", otherPassword).leads("/admin/sign-in/code/") // a link is no way around the code

	boss.post(path+"factor/", nil).leads(path + "?done=factor")
	anna.enter("anna", otherPassword).leads("/admin/")
	boss.post(path+"sessions/", nil).leads(path + "?done=sessions")
	anna.isOut()
	boss.post(path+"identity/", nil).leads(path + "?done=identity")
	boss.get(path).lacks("identity/", "factor/")
	anna.enter("anna", otherPassword).leads("/admin/")
	boss.post(path+"remove/", nil).leads("/admin/staff/?done=remove")
	boss.get("/admin/staff/?done=remove").says("The account is removed.").lacks("anna")
	boss.get(path).is(http.StatusNotFound)
	anna.isOut()
	anna.enter("anna", otherPassword).is(http.StatusUnprocessableEntity)
}

func TestListsOfAccountsArePaged(t *testing.T) {
	w := oneWorld(t)
	boss := w.person("boss", staff.Operator)
	for i := range 60 {
		if _, err := w.app.Store.AddStaff(t.Context(), staff.Person{Login: fmt.Sprintf("p%02d", i), Name: "N", Role: staff.Operator}, ""); err != nil {
			t.Fatal(err)
		}
	}
	boss.get("/admin/staff/").is(http.StatusOK).says("p00", "p48", "Next page").lacks("p49")
	boss.get("/admin/staff/?page=2").is(http.StatusOK).says("p49", "p59", "Previous page").lacks("p48")
	for _, page := range []string{"0", "3", "-1", "x", "9223372036854775807", "99999999999999999999"} {
		boss.get("/admin/staff/?page=" + page).is(http.StatusNotFound)
	}
}

func TestOwnAccount(t *testing.T) {
	w := oneWorld(t)
	w.addPerson("anna", staff.RegionAdmin, w.north)
	b := w.stranger().english()
	b.enter("anna", goodPassword).leads("/admin/")
	b.get("/admin/account/").is(http.StatusOK).says("Person anna", "Run regions: North", "Change the password")
	b.post("/admin/account/language/", url.Values{"language": {"de"}}).leads("/admin/account/?done=saved")
	b.get("/admin/account/?done=saved").says("Mein Konto", "Gespeichert.")
	b.post("/admin/account/language/", url.Values{"language": {"xx"}}).is(http.StatusBadRequest)
	b.post("/admin/account/language/", url.Values{"language": {""}, "role": {"operator"}}).leads("/admin/account/?done=saved")
	b.get("/admin/account/").says("My account")
	b.get("/admin/staff/").is(http.StatusForbidden)
	for _, path := range []string{"/admin/account/", "/admin/account/factor/"} {
		w.stranger().get(path).is(http.StatusSeeOther)
	}
	for _, path := range []string{"language/", "password/", "sessions/", "factor/", "factor/remove/"} {
		w.stranger().post("/admin/account/"+path, nil).is(http.StatusSeeOther)
	}
}

func TestSecondFactorIsSetUp(t *testing.T) {
	w := oneWorld(t)
	w.addPerson("anna", staff.Viewer, w.north)
	b := w.stranger().english()
	b.enter("anna", goodPassword).leads("/admin/")
	page := b.get("/admin/account/factor/").is(http.StatusOK).says("Let the app read this picture.")
	shown := regexp.MustCompile(`<code class="code">([A-Z2-7 ]+)</code>`).FindStringSubmatch(page.body)
	if shown == nil || !strings.Contains(page.body, `src="data:image/png;base64,`) {
		t.Fatal("the page shows no secret")
	}
	secret := bridge.Secret(strings.ReplaceAll(shown[1], " ", ""))
	if b.get("/admin/account/factor/").body != page.body {
		t.Error("the page shows another secret when it is loaded again")
	}
	b.post("/admin/account/factor/", url.Values{"code": {"000000"}, "password": {goodPassword}}).is(http.StatusUnprocessableEntity).says("This code is not right", "Let the app read")
	b.post("/admin/account/factor/", url.Values{"code": {w.codeNow(secret)}, "password": {otherPassword}}).is(http.StatusUnprocessableEntity).says("The password is not right.")
	other := w.person("ben", staff.Viewer, w.north) // has begun nothing
	other.post("/admin/account/factor/", url.Values{"code": {w.codeNow(secret)}, "password": {goodPassword}}).leads("/admin/account/factor/")
	elsewhere, thief := w.stranger().english(), b.thief()
	elsewhere.enter("anna", goodPassword).leads("/admin/")
	b.post("/admin/account/factor/", url.Values{"code": {w.codeNow(secret)}, "password": {goodPassword}}).leads("/admin/account/?done=factor")
	b.isIn()
	elsewhere.isOut()
	thief.isOut()
	b.get("/admin/account/factor/").is(http.StatusOK).lacks("data:image", string(secret), shown[1])
	w.stranger().english().enter("anna", goodPassword).leads("/admin/sign-in/code/")

	b.post("/admin/account/factor/", url.Values{"code": {w.codeNow(secret)}, "password": {goodPassword}}).leads("/admin/account/factor/") // an old page
	b.post("/admin/account/factor/remove/", url.Values{"password": {otherPassword}}).is(http.StatusUnprocessableEntity).says("The password is not right.")
	thief = b.thief()
	b.post("/admin/account/factor/remove/", url.Values{"password": {goodPassword}}).leads("/admin/account/?done=no_factor")
	b.isIn()
	thief.isOut()
	w.stranger().english().enter("anna", goodPassword).leads("/admin/")
	other.get("/admin/account/factor/").is(http.StatusOK).says("through the sign-in service").lacks("data:image")
}

// TestThePersonIsToldOfChanges: who signs in sees on the first page what was
// changed in between, by whomever, and finds all times on the page of the account.
func TestThePersonIsToldOfChanges(t *testing.T) {
	eachWorld(t, func(w *world) {
		id := w.addPerson("anna", staff.Viewer, w.north)
		b := w.stranger().english()
		b.enter("anna", goodPassword).leads("/admin/")
		b.get("/admin/").is(http.StatusOK).lacks("If it was not you")
		b.get("/admin/account/").says("Last sign-in").lacks("Sign-in before", "Password changed")

		form := url.Values{"old": {goodPassword}, "password": {otherPassword}, "again": {otherPassword}}
		b.post("/admin/account/password/", form).leads("/admin/account/?done=password")
		b.get("/admin/").is(http.StatusOK).lacks("If it was not you") // who did it knows
		b.get("/admin/account/").says("Password changed")
		if _, err := w.app.Store.SetTOTP(t.Context(), id, "", 0); err != nil { // an operator
			t.Fatal(err)
		}
		b.isOut()
		b.enter("anna", otherPassword).leads("/admin/")
		b.get("/admin/").is(http.StatusOK).says("your password was changed", "the code at sign-in was set up or switched off", "If it was not you").lacks("linked with the sign-in service")
		b.get("/admin/account/").says("Sign-in before", "Password changed", "Code at sign-in changed")
		again := w.stranger().english()
		again.enter("anna", otherPassword).leads("/admin/")
		again.get("/admin/").is(http.StatusOK).lacks("If it was not you")
	})
}
