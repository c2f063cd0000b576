package app

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"deskbridge/zammad"
)

// chromium finds the browser, or skips the test where there is none.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("DESKBRIDGE_TEST_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("DESKBRIDGE_TEST_REQUIRED") != "" {
		t.Fatal("there is no Chromium, but the full suite is required; DESKBRIDGE_TEST_CHROMIUM may name it")
	}
	t.Skip("install Chromium, or let DESKBRIDGE_TEST_CHROMIUM name it, to run this test")
	return ""
}

// stage is a demo with a browser in front of it.
type stage struct {
	ready   demoReady
	browser context.Context
	agent   *zammad.Client
}

func newStage(t *testing.T) *stage {
	t.Helper()
	browser := newBrowser(t)
	ready, _ := startDemo(t, "")
	return &stage{ready, browser, zammadAs(t, ready.Zammad, ready.Zammad.AgentToken)}
}

// newBrowser starts Chromium with a profile of its own.
func newBrowser(t *testing.T) context.Context {
	t.Helper()
	path := chromium(t)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("no-proxy-server", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // the sandbox refuses to run as root
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	browser, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	return browser
}

// person is somebody with a browser profile of their own.
func (s *stage) person(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(s.browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// phone opens the page of an app user, in a language ("" leaves it to the page).
func (s *stage) phone(t *testing.T, person context.Context, language string) tab {
	t.Helper()
	p := newTab(t, person)
	address := s.ready.Pages.Phone
	if language != "" {
		address += "&language=" + language
	}
	p.do(chromedp.Navigate(address))
	p.wait(`one("#title")?.textContent === "Testland"`)
	return p
}

// desk opens the agent's page, which is signed in by its address.
func (s *stage) desk(t *testing.T, person context.Context) tab {
	t.Helper()
	p := newTab(t, person)
	p.do(chromedp.Navigate(s.ready.Pages.Desk))
	p.wait(`document.querySelector("[data-test=who]").textContent.includes("Cora")`)
	return p
}

// tab is an open page.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// newTab opens a tab whose page has all, one and focused, which look into the
// widget where there is one, and which at its end must have had no script errors and no
// violation of the content security policy.
func newTab(t *testing.T, person context.Context) tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(person)
	t.Cleanup(cancel)
	p := tab{t, ctx}
	p.do(chromedp.EmulateViewport(390, 844))
	_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `
		window.wrong = [];
		window.all = (selector) => [...(document.querySelector("deskbridge-chat")?.shadowRoot ?? document).querySelectorAll(selector)];
		window.one = (selector) => all(selector)[0] ?? null;
		window.focused = () => document.activeElement?.shadowRoot?.activeElement ?? document.activeElement;
		addEventListener("error", (e) => wrong.push(String(e.message)));
		addEventListener("unhandledrejection", (e) => wrong.push(String(e.reason)));
		addEventListener("securitypolicyviolation", (e) => wrong.push(e.violatedDirective + " " + e.blockedURI));`})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if wrong, err := chromedp.Run(ctx, chromedp.Evaluate[[]string]("window.wrong ?? []")); err != nil || len(wrong) > 0 {
			t.Errorf("the page went wrong: %q (%v)", wrong, err)
		}
	})
	return p
}

func (p tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// is evaluates a condition in the page.
func (p tab) is(condition string) bool {
	p.t.Helper()
	yes, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("Boolean("+condition+")"))
	if err != nil {
		p.t.Fatalf("%s: %v", condition, err)
	}
	return yes
}

// read evaluates an expression that gives text.
func (p tab) read(expression string) string {
	p.t.Helper()
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return text
}

func (p tab) wait(condition string) {
	p.t.Helper()
	deadline := time.After(20 * time.Second)
	for !p.is(condition) {
		select {
		case <-deadline:
			p.t.Fatalf("still not after 20 s: %s\nthe page says:\n%s", condition, p.read(`document.body.innerText + "\n" + (one(".panel")?.innerText ?? "")`))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// shows waits for text inside of what the selector finds.
func (p tab) shows(selector, text string) {
	p.t.Helper()
	p.wait(`all(` + quote(selector) + `).some((e) => e.innerText.includes(` + quote(text) + `))`)
}

func (p tab) count(selector, text string) string {
	p.t.Helper()
	return p.read(`all(` + quote(selector) + `).filter((e) => e.innerText.includes(` + quote(text) + `)).length`)
}

// inside finds an element of the widget, or of a page without one.
func inside(selector string) chromedp.JSPath {
	return chromedp.JSPath(`one(` + quote(selector) + `)`)
}

func (p tab) press(keys string) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(keys))
}

// enter presses Enter as a keyboard does: the page may keep it from typing.
func (p tab) enter() {
	p.t.Helper()
	for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
		key := input.DispatchKeyEventParams{Type: kind, Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13}
		if kind == input.DispatchKeyEventTypeKeyDown {
			key.Text = "\r"
		}
		if _, err := chromedp.Call(p.ctx, input.DispatchKeyEvent, key); err != nil {
			p.t.Fatal(err)
		}
	}
}

// tabTo presses Tab until the focus is on what the selector finds, and looks
// whether the focus is visible.
func (p tab) tabTo(selector string) {
	p.t.Helper()
	for range 60 {
		if p.is(`focused().matches(` + quote(selector) + `)`) {
			if p.is(`getComputedStyle(focused()).outlineStyle === "none"`) {
				p.t.Errorf("the focus on %s cannot be seen", selector)
			}
			return
		}
		p.press(kb.Tab)
	}
	p.t.Fatalf("60 times Tab does not reach %s", selector)
}

// write writes a message on the phone with mouse and keys.
func (p tab) write(text string) {
	p.t.Helper()
	p.do(chromedp.SendKeys(inside("#text"), text), chromedp.Click(inside("#send")))
	p.shows(".message.mine .body", text)
}

// status waits until the user's message with this text has this status.
func (p tab) status(text, status string) {
	p.t.Helper()
	p.shows(".message.mine", text)
	p.wait(`all(".message.mine").filter((e) => e.innerText.includes(` + quote(text) + `)).at(-1).querySelector(".about").innerText.includes(` + quote(status) + `)`)
}

// openTicket opens the ticket that holds the text, on the desk.
func (s *stage) openTicket(desk tab, text string) {
	desk.t.Helper()
	var row string
	eventually(desk.t, "a ticket holds "+text, func() bool {
		for _, ticket := range ticketsOf(desk.t, s.agent) {
			for _, a := range articlesOf(desk.t, s.agent, ticket.ID) {
				if strings.Contains(a.Body, text) {
					row = fmt.Sprintf("[data-ticket-id='%d'][data-test=ticket-row]", ticket.ID)
				}
			}
		}
		return row != ""
	})
	desk.do(chromedp.Click(chromedp.CSS(row)))
	desk.shows("[data-test=article]", text)
}

func (p tab) offline(cut bool) {
	p.t.Helper()
	speed := network.Conditions{DownloadThroughput: -1, UploadThroughput: -1, Offline: cut}
	if _, err := chromedp.Call(p.ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: []*network.Conditions{&speed}}); err != nil {
		p.t.Fatal(err)
	}
	if _, err := chromedp.Call(p.ctx, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: cut, DownloadThroughput: -1, UploadThroughput: -1}); err != nil {
		p.t.Fatal(err)
	}
}

// dark switches between the light and the dark colours.
func (p tab) dark(on bool) {
	p.t.Helper()
	value := map[bool]string{true: "dark", false: "light"}[on]
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// picture writes a screenshot where somebody wants to look at it.
func (p tab) picture(name string) {
	p.t.Helper()
	folder := os.Getenv("DESKBRIDGE_TEST_SCREENSHOTS")
	if folder == "" {
		return
	}
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name+".png"), png, 0o600)
	}
	if err != nil {
		p.t.Error(err)
	}
}

// pictures takes the page in all its looks.
func (p tab) pictures(name string) {
	p.t.Helper()
	if os.Getenv("DESKBRIDGE_TEST_SCREENSHOTS") == "" {
		return
	}
	for _, dark := range []bool{false, true} {
		p.dark(dark)
		look := map[bool]string{false: "-light", true: "-dark"}[dark]
		p.do(chromedp.EmulateViewport(1280, 800))
		p.picture(name + "-desktop" + look)
		p.do(chromedp.EmulateViewport(390, 844))
		p.picture(name + "-phone" + look)
	}
	p.dark(false)
}

// ticketWith finds the ticket that holds an article with the text.
func (s *stage) ticketWith(t *testing.T, text string) (zammad.Ticket, []zammad.Article) {
	t.Helper()
	for _, ticket := range ticketsOf(t, s.agent) {
		articles := articlesOf(t, s.agent, ticket.ID)
		for _, a := range articles {
			if strings.Contains(a.Body, text) {
				return ticket, articles
			}
		}
	}
	t.Fatalf("no ticket holds %q", text)
	return zammad.Ticket{}, nil
}

func TestInTheBrowser(t *testing.T) {
	s := newStage(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, *stage)
	}{
		{"from the phone to the desk and back", fromPhoneToDeskAndBack},
		{"by keyboard alone, in English", func(t *testing.T, s *stage) { byKeyboard(t, s, "en") }},
		{"by keyboard alone, in German", func(t *testing.T, s *stage) { byKeyboard(t, s, "de") }},
		{"the language is the browser's, then the user's", languageOfThePhone},
		{"a cut network loses nothing", cutNetwork},
		{"a lost answer doubles nothing", lostAnswer},
		{"a new chat", newChat},
		{"what the server refuses", refused},
		{"a server that is busy", busyServer},
		{"the length of a message", lengthOfAMessage},
		{"right to left", rightToLeft},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, s)
		})
	}
}

func fromPhoneToDeskAndBack(t *testing.T, s *stage) {
	person := s.person(t)
	phone := s.phone(t, person, "de")
	phone.shows("#empty", "Schreiben Sie uns.")
	phone.pictures("1-phone-empty")
	phone.write("Guten Tag, <b>ich</b> brauche Hilfe")
	desk := s.desk(t, person)
	s.openTicket(desk, "brauche Hilfe")
	desk.shows("[data-test=article]", "Guten Tag, <b>ich</b> brauche Hilfe")
	phone.status("ich</b> brauche Hilfe", "zugestellt")

	desk.do(chromedp.Click("[data-test=reply-public]"), chromedp.SendKeys("[data-test=reply-text]", "nur unter uns"), chromedp.Click("[data-test=reply-send]"))
	desk.shows("[data-test=article][data-internal=true]", "nur unter uns")
	desk.do(chromedp.Click("[data-test=reply-public]"), chromedp.SendKeys("[data-test=reply-text]", "Gern, worum geht es?"), chromedp.Click("[data-test=reply-send]"))
	desk.shows("[data-test=article][data-internal=false]", "Gern, worum geht es?")
	phone.shows(".message:not(.mine) .body", "Gern, worum geht es?")
	phone.status("ich</b> brauche Hilfe", "gesehen")
	if n := phone.count(".message", ""); n != "2" {
		t.Errorf("the phone shows %s messages, want the question and the answer", n)
	}
	desk.pictures("2-desk-chat")

	phone.write("Zweite Frage")
	desk.shows("[data-test=article]", "Zweite Frage")
	phone.status("Zweite Frage", "zugestellt")
	phone.pictures("2-phone-chat")
	// What was public is made internal again: it leaves the phone.
	desk.do(chromedp.Click("[data-test=article][data-internal=false]:nth-child(3) [data-test=article-toggle]"))
	phone.wait(`!one("#messages").innerText.includes("worum geht es")`)
}

// byKeyboard uses no mouse on either page.
func byKeyboard(t *testing.T, s *stage, language string) {
	words := map[string]struct{ question, answer, delivered, seen, kind string }{
		"en": {"May I ask something?", "Of course.", "delivered", "seen", "Public: the app user will read this."},
		"de": {"Darf ich etwas fragen?", "Natürlich.", "zugestellt", "gesehen", "Öffentlich: Die Person in der App liest das."},
	}[language]
	person := s.person(t)
	phone := s.phone(t, person, "")
	phone.tabTo("#languages")
	phone.press(map[string]string{"en": "E", "de": "D"}[language]) // English, Deutsch
	phone.wait(`one(".panel").lang === ` + quote(language))
	phone.tabTo("#text")
	phone.press(words.question)
	phone.enter()
	phone.status(words.question, words.delivered)
	if !phone.is(`focused().id === "text" && focused().value === ""`) {
		t.Error("after sending, the focus is not in the empty text field")
	}

	desk := s.desk(t, person)
	desk.tabTo("[data-test=language]")
	desk.press(language[:1]) // Deutsch, English
	desk.wait(`document.documentElement.lang === ` + quote(language))
	ticket, _ := s.ticketWith(t, words.question)
	desk.tabTo(fmt.Sprintf("[data-ticket-id='%d']", ticket.ID))
	desk.enter()
	desk.shows("[data-test=article]", words.question)
	desk.shows("[data-test=reply-kind]", words.kind)
	desk.tabTo("[data-test=reply-text]")
	desk.press(words.answer)
	desk.tabTo("[data-test=reply-send]")
	desk.enter()
	phone.shows(".message:not(.mine) .body", words.answer)
	phone.status(words.question, words.seen)
	if language == "en" {
		phone.tabTo("#log") // it can be scrolled with the keys
	}
}

func languageOfThePhone(t *testing.T, s *stage) {
	person := s.person(t)
	p := newTab(t, person)
	agent := p.read("navigator.userAgent")
	_, err := chromedp.Call(p.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: "ar,de-AT"})
	if err != nil {
		t.Fatal(err)
	}
	p.do(chromedp.Navigate(s.ready.Pages.Phone))
	p.wait(`one("#send")?.title === "Senden"`)
	p.write("auf Deutsch")
	p.status("auf Deutsch", "zugestellt")
	if ticket, _ := s.ticketWith(t, "auf Deutsch"); !strings.HasPrefix(ticket.Title, "[DE] Testland: ") {
		t.Errorf("the ticket is %q, want a German one", ticket.Title)
	}
	p.do(chromedp.Evaluate[chromedp.Void](`{ const e = one("#languages"); e.value = "en"; e.dispatchEvent(new Event("change")); }`))
	p.wait(`one("#send").title === "Send"`)
	p.status("auf Deutsch", "delivered")
	p.write("in English")
	p.status("in English", "delivered")
	eventually(t, "the ticket's title follows the language", func() bool {
		ticket, _ := s.ticketWith(t, "in English")
		return strings.HasPrefix(ticket.Title, "[EN] Testland: ")
	})
	p.do(chromedp.Reload())
	p.wait(`one("#send")?.title === "Send"`)
	p.shows(".message.mine", "auf Deutsch")
}

func cutNetwork(t *testing.T, s *stage) {
	person := s.person(t)
	phone := s.phone(t, person, "en")
	phone.write("before the tunnel")
	phone.status("before the tunnel", "delivered")
	phone.offline(true)
	phone.write("first in the tunnel")
	phone.write("second in the tunnel")
	phone.status("second in the tunnel", "waiting to be sent")
	phone.shows("#notice", "No connection.")
	phone.pictures("3-phone-offline")
	phone.offline(false)
	phone.status("first in the tunnel", "delivered")
	phone.status("second in the tunnel", "delivered")
	phone.wait(`one("#notice").textContent === ""`)

	// The page is closed before the network is back.
	phone.offline(true)
	phone.write("third in the tunnel")
	phone.status("third in the tunnel", "waiting to be sent")
	phone.do(chromedp.Navigate("about:blank"))
	phone.offline(false)
	again := s.phone(t, person, "en")
	again.status("third in the tunnel", "delivered")
	_, articles := s.ticketWith(t, "before the tunnel")
	want := []string{"before the tunnel", "first in the tunnel", "second in the tunnel", "third in the tunnel"}
	if len(articles) != len(want) {
		t.Fatalf("the ticket has %d articles, want %d", len(articles), len(want))
	}
	for i := range want {
		if !strings.Contains(articles[i].Body, want[i]) {
			t.Errorf("article %d is %q, want %q", i, articles[i].Body, want[i])
		}
	}
	if n := again.count(".message", "tunnel"); n != "4" {
		t.Errorf("the phone shows %s messages, want 4", n)
	}
}

func lostAnswer(t *testing.T, s *stage) {
	phone := s.phone(t, s.person(t), "en")
	phone.do(chromedp.Evaluate[chromedp.Void](`{
		const real = window.fetch;
		window.posts = 0;
		window.fetch = async (url, options) => {
			const answer = await real(url, options);
			if (options?.method === "POST" && !/(typing|read)\/$/.test(url) && ++window.posts === 1) throw new TypeError("the answer is lost");
			return answer;
		};
	}`))
	phone.write("only once")
	phone.status("only once", "delivered")
	phone.wait("window.posts === 2")
	if _, articles := s.ticketWith(t, "only once"); len(articles) != 1 {
		t.Errorf("the ticket has %d articles, want 1", len(articles))
	}
	if n := phone.count(".message", "only once"); n != "1" {
		t.Errorf("the phone shows it %s times, want once", n)
	}
}

func newChat(t *testing.T, s *stage) {
	phone := s.phone(t, s.person(t), "en")
	if !phone.is(`one("#new").hidden`) {
		t.Error("a new chat is offered before there is one")
	}
	phone.write("about my flat")
	phone.status("about my flat", "delivered")
	phone.do(chromedp.Click(inside("#new")))
	phone.shows("#notice", "Your next message opens a new chat.")
	phone.write("about my school")
	phone.status("about my school", "delivered")
	phone.write("about my books")
	phone.status("about my books", "delivered")
	flat, _ := s.ticketWith(t, "about my flat")
	school, articles := s.ticketWith(t, "about my school")
	if flat.ID == school.ID || len(articles) != 2 {
		t.Errorf("tickets %d and %d, the second with %d articles; want two tickets, the second with 2", flat.ID, school.ID, len(articles))
	}
}

func refused(t *testing.T, s *stage) {
	phone := s.phone(t, s.person(t), "en")
	phone.do(chromedp.Evaluate[chromedp.Void](`{
		window.real = window.fetch;
		window.fetch = async (url, options) => options?.method !== "POST" ? window.real(url, options) :
			new Response(JSON.stringify({error: "x", code: "device_not_served", retryable: false}), {status: 403});
	}`))
	phone.write("let me in")
	phone.status("let me in", "not delivered. The chat is not available on this device yet.")
	phone.write("or not")
	phone.status("or not", "not delivered")
	phone.pictures("4-phone-refused")
	phone.do(chromedp.Click(inside(".message.mine:last-child .more button:last-child")))
	phone.wait(`!one("#messages").innerText.includes("or not")`)
	phone.do(chromedp.Evaluate[chromedp.Void]("window.fetch = window.real"))
	phone.do(chromedp.Click(inside(".message.mine .more button")))
	phone.status("let me in", "delivered")
	if n := phone.count(".message", ""); n != "1" {
		t.Errorf("the phone shows %s messages, want 1", n)
	}
}

// busyServer refuses for a while: what is written waits, and reading goes on.
func busyServer(t *testing.T, s *stage) {
	phone := s.phone(t, s.person(t), "en")
	phone.write("in good time")
	phone.status("in good time", "delivered")
	phone.do(chromedp.Evaluate[chromedp.Void](`{
		window.real = window.fetch;
		window.posts = 0;
		window.fetch = async (url, options) => options?.method !== "POST" || /(typing|read)\/$/.test(url) || ++window.posts > 1 ? window.real(url, options) :
			new Response(JSON.stringify({error: "x", code: "rate_limited", retryable: true}), {status: 429, headers: {"Retry-After": "4"}});
	}`))
	phone.write("too soon")
	phone.shows("#notice", "That was too much at once.")
	phone.status("too soon", "waiting to be sent")
	ticket, _ := s.ticketWith(t, "in good time")
	if _, err := s.agent.Articles.Create(t.Context(), zammad.NewArticle{TicketID: ticket.ID, Type: "note", Body: "meanwhile"}); err != nil {
		t.Fatal(err)
	}
	phone.do(chromedp.Evaluate[chromedp.Void](`dispatchEvent(new Event("online"))`)) // no reason to come before the time
	phone.shows(".message:not(.mine)", "meanwhile")
	if !phone.is("window.posts === 1") {
		t.Error("it did not wait as long as the server asked for")
	}
	phone.status("too soon", "delivered")
	phone.wait(`one("#notice").textContent === ""`)
}

func lengthOfAMessage(t *testing.T, s *stage) {
	phone := s.phone(t, s.person(t), "en")
	fill := func(expression string) {
		phone.do(chromedp.Evaluate[chromedp.Void](`{ const e = one("#text"); e.value = ` + expression + `; e.dispatchEvent(new Event("input")); }`))
	}
	for _, c := range []struct{ text, counter, sendable string }{
		{`"a"`, "", "true"},
		{`" \n "`, "", "false"},
		{`"a".repeat(9600)`, "400 characters left", "true"},
		{`"\u{1F989}".repeat(10000)`, "0 characters left", "true"}, // two UTF-16 units each
		{`"\u{1F989}".repeat(10001)`, "1 characters too many", "false"},
	} {
		fill(c.text)
		counter, sendable := phone.read(`one("#counter").textContent`), phone.read(`!one("#send").disabled`)
		if counter != c.counter || sendable != c.sendable {
			t.Errorf("%s: counter %q and can be sent: %s, want %q and %s", c.text, counter, sendable, c.counter, c.sendable)
		}
	}
	fill(`"\u{1F989}".repeat(10000)`)
	phone.do(chromedp.Click(inside("#send")))
	phone.status("\U0001F989", "delivered")
}

func rightToLeft(t *testing.T, s *stage) {
	person := s.person(t)
	phone := s.phone(t, person, "de")
	phone.write("مرحبا، أحتاج إلى مساعدة من فضلك. رقمي 0123-456.")
	phone.status("مرحبا", "zugestellt")
	ticket, _ := s.ticketWith(t, "مرحبا")
	_, err := s.agent.Articles.Create(t.Context(), zammad.NewArticle{TicketID: ticket.ID, Type: "note", ContentType: "text/html",
		Body: `<p>أهلاً وسهلاً! كيف يمكنني مساعدتك؟</p><ul><li>السكن</li><li>المدرسة</li></ul><p>Mehr: <a href="https://example.org/wohnen">example.org/wohnen</a></p>`})
	if err != nil {
		t.Fatal(err)
	}
	phone.shows(".message:not(.mine)", "السكن")
	for _, selector := range []string{".message.mine .body > *", ".message:not(.mine) .body > *"} {
		if !phone.is(`getComputedStyle(one(` + quote(selector) + `)).direction === "rtl"`) {
			t.Errorf("%s is not written from right to left", selector)
		}
	}
	phone.pictures("5-phone-arabic")
	desk := s.desk(t, person)
	s.openTicket(desk, "مرحبا")
	desk.pictures("5-desk-arabic")
}

// The demo's addresses need no more than one click: nothing is to be typed in.
func TestDeskAddressSignsIn(t *testing.T) {
	access := zammadAccess{URL: "http://127.0.0.1:8090", AgentToken: "a-b_c", Group: "App Chat"}
	parsed, err := url.Parse(deskPage(access))
	if err != nil {
		t.Fatal(err)
	}
	values, err := url.ParseQuery(parsed.EscapedFragment())
	if err != nil || cmp.Or(parsed.RawQuery, parsed.Path) != "/desk/" || values.Get("token") != "a-b_c" || values.Get("group") != "App Chat" {
		t.Errorf("the address is %s (%v)", parsed, err)
	}
}
