package admin_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/pquerna/otp/totp"

	"deskbridge/bridge"
	"deskbridge/browsertest"
	"deskbridge/staff"
)

// TestSigningInWithACode goes the way of somebody who protects the own account,
// in a real browser and by keyboard alone: sign in, set up the code, sign out,
// sign in with a wrong and with the right code, sign out.
func TestSigningInWithACode(t *testing.T) {
	w := oneWorld(t)
	w.addPerson("anna@example.org", staff.RegionAdmin, w.north)
	p := browsertest.NewTab(t, browsertest.Person(t, browsertest.New(t)))
	fits := func(page string) {
		t.Helper()
		if !p.Is(`document.documentElement.scrollWidth <= innerWidth`) {
			t.Errorf("%s is wider than a phone", page)
		}
	}
	into := func(name, text string) {
		t.Helper()
		p.TabTo("#f-" + name)
		p.Do(chromedp.SendKeys(chromedp.CSS("#f-"+name), text))
	}
	signIn := func(password string) {
		t.Helper()
		p.Shows("h1", "Sign in")
		into("login", "anna@example.org")
		into("password", password)
		p.Enter()
	}

	override := emulation.SetUserAgentOverrideParams{UserAgent: p.Read("navigator.userAgent"), AcceptLanguage: "en"}
	if _, err := chromedp.Call(p.Ctx, emulation.SetUserAgentOverride, override); err != nil {
		t.Fatal(err)
	}
	p.Do(chromedp.Navigate(w.origin + "/admin/account/factor/"))
	fits("sign-in")
	p.Pictures("sign-in")
	signIn(otherPassword)
	p.Shows("[role=alert]", "is not right")
	if p.Is(`one("#f-password").value !== ""`) || p.Is(`one("#f-login").value === ""`) {
		t.Error("after a mistake the login stays and the password does not")
	}
	into("password", goodPassword)
	p.Enter()

	p.Shows("h1", "Code at sign-in") // where the person wanted to go
	p.Wait(`one("img.qr").complete && one("img.qr").naturalWidth === 264`)
	fits("setting up the code")
	p.Pictures("second-factor")
	secret := bridge.Secret(p.Read(`one("code.code").innerText.replaceAll(" ", "")`))
	into("code", w.codeNow(secret))
	into("password", goodPassword)
	p.Enter()
	p.Shows("[role=status]", "The code is set up.")
	fits("own account")
	p.Pictures("own-account")
	signOut := func() {
		t.Helper()
		p.TabTo("form[action='/admin/sign-out/'] button")
		p.Enter()
		p.Shows("[role=status]", "You are signed out.")
	}
	signOut()

	signIn(goodPassword)
	p.Shows("h1", "Enter the code")
	into("code", "000000")
	p.Enter()
	p.Shows(".error", "This code is not right")
	if !p.Is(`one("#f-code").getAttribute("aria-invalid") === "true" && one("#f-code").getAttribute("aria-describedby").includes("e-code")`) {
		t.Error("the field does not say that it is wrong")
	}
	fits("the code")
	p.Pictures("code")
	// The code that set the factor up is not taken again; that of half a minute
	// later is, as of a phone whose clock is fast.
	next, err := totp.GenerateCode(string(secret), time.Now().Add(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	into("code", next)
	p.Enter()
	p.Shows("h1", "Your regions")
	signOut()
	// Nothing is kept of what was shown: the way back leads to the sign-in again.
	p.Is(`setTimeout(() => history.back())`)
	p.Wait(`location.search.includes("next=")`)
	p.Shows("h1", "Sign in")
}

// TestPasswordsAreShownAndJudged: by keyboard, a password can be looked at before
// it is sent, and a new one is judged while it is typed.
func TestPasswordsAreShownAndJudged(t *testing.T) {
	w := oneWorld(t)
	token, err := w.app.Accounts.Link(t.Context(), w.addPerson("anna@example.org", staff.RegionAdmin, w.north))
	if err != nil {
		t.Fatal(err)
	}
	path := "/admin/link/" + string(token)
	if body := w.stranger().english().get(path).body; !regexp.MustCompile(`<button [^>]*data-shows="f-password"[^>]* hidden>`).MatchString(body) || !regexp.MustCompile(`<p [^>]*data-judges="f-password" hidden>`).MatchString(body) {
		t.Error("without scripts there is a button that does nothing")
	}
	p := browsertest.NewTab(t, browsertest.Person(t, browsertest.New(t)))
	override := emulation.SetUserAgentOverrideParams{UserAgent: p.Read("navigator.userAgent"), AcceptLanguage: "en"}
	if _, err := chromedp.Call(p.Ctx, emulation.SetUserAgentOverride, override); err != nil {
		t.Fatal(err)
	}
	p.Do(chromedp.Navigate(w.origin + path))
	p.Shows("h1", "Set a password")
	for _, c := range []struct{ typed, level, says string }{
		{"short", "0", "too short"}, {"aabbaabbaabbaabb", "1", "characters are the same"}, {"zwölf Zeich.", "2", "One more word"},
		{"vier Wörter im Tal", "3", "Good"}, {"staple in the morning", "4", "Very good"},
	} {
		p.TabTo("#f-password")
		p.Is(`one("#f-password").select()`) // what is typed takes the place of what is there
		p.Do(chromedp.SendKeys(chromedp.CSS("#f-password"), c.typed))
		p.Wait(`one("[data-judges] meter").value === ` + c.level)
		p.Shows("[data-judges] [role=status]", c.says)
	}
	if !p.Is(`document.documentElement.scrollWidth <= innerWidth`) {
		t.Error("the page is wider than a phone")
	}
	p.TabTo("[data-shows=f-password]")
	if name := p.Read(`focused().textContent`); name != "Show: New password" {
		t.Errorf("the button is called %q", name)
	}
	p.Enter()
	p.Wait(`one("#f-password").type === "text" && one("[data-shows=f-password]").getAttribute("aria-pressed") === "true" && one("#f-again").type === "password"`)
	p.Pictures("new-password")
	p.Press(" ")
	p.Wait(`one("#f-password").type === "password" && one("[data-shows=f-password]").getAttribute("aria-pressed") === "false"`)
	p.Enter()
	p.Is(`addEventListener("submit", (event) => { event.preventDefault(); window.sent = one("#f-password").type; })`)
	p.TabTo("#f-again")
	p.Do(chromedp.SendKeys(chromedp.CSS("#f-again"), otherPassword))
	p.Enter()
	p.Wait(`window.sent === "password"`) // no browser takes it for a text to remember
}
