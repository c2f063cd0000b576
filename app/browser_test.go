package app

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"deskbridge/browsertest"
	"deskbridge/zammad"
)

// stage is a demo with a browser in front of it.
type stage struct {
	ready   demoReady
	browser context.Context
	agent   *zammad.Client
}

func newStage(t *testing.T) *stage {
	t.Helper()
	browser := browsertest.New(t)
	ready, _ := startDemo(t, "")
	return &stage{ready, browser, zammadAs(t, ready.Zammad, ready.Zammad.AgentToken)}
}

// phone opens the page of an app user, in a language ("" leaves it to the page).
func (s *stage) phone(t *testing.T, person context.Context, language string) tab {
	t.Helper()
	p := newTab(t, person)
	address := s.ready.Pages.Phone
	if language != "" {
		address += "&language=" + language
	}
	p.Do(chromedp.Navigate(address))
	p.Wait(`one("#title")?.textContent === "Testland"`)
	return p
}

// desk opens the agent's page, which is signed in by its address.
func (s *stage) desk(t *testing.T, person context.Context) tab {
	t.Helper()
	p := newTab(t, person)
	p.Do(chromedp.Navigate(s.ready.Pages.Desk))
	p.Wait(`document.querySelector("[data-test=who]").textContent.includes("Cora")`)
	return p
}

// tab is a page with the widget on it.
type tab struct{ browsertest.Tab }

func newTab(t *testing.T, person context.Context) tab {
	t.Helper()
	return tab{browsertest.NewTab(t, person)}
}

// write writes a message on the phone with mouse and keys.
func (p tab) write(text string) {
	p.T.Helper()
	p.Do(chromedp.SendKeys(browsertest.Inside("#text"), text), chromedp.Click(browsertest.Inside("#send")))
	p.Shows(".message.mine .body", text)
}

// status waits until the user's message with this text has this status.
func (p tab) status(text, status string) {
	p.T.Helper()
	p.Shows(".message.mine", text)
	p.Wait(`all(".message.mine").filter((e) => e.innerText.includes(` + quote(text) + `)).at(-1).querySelector(".about").innerText.includes(` + quote(status) + `)`)
}

// openTicket opens the ticket that holds the text, on the desk.
func (s *stage) openTicket(desk tab, text string) {
	desk.T.Helper()
	var row string
	eventually(desk.T, "a ticket holds "+text, func() bool {
		for _, ticket := range ticketsOf(desk.T, s.agent) {
			for _, a := range articlesOf(desk.T, s.agent, ticket.ID) {
				if strings.Contains(a.Body, text) {
					row = fmt.Sprintf("[data-ticket-id='%d'][data-test=ticket-row]", ticket.ID)
				}
			}
		}
		return row != ""
	})
	desk.Do(chromedp.Click(chromedp.CSS(row)))
	desk.Shows("[data-test=article]", text)
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
	person := browsertest.Person(t, s.browser)
	phone := s.phone(t, person, "de")
	phone.Shows("#empty", "Schreiben Sie uns.")
	phone.Pictures("1-phone-empty")
	phone.write("Guten Tag, <b>ich</b> brauche Hilfe")
	desk := s.desk(t, person)
	s.openTicket(desk, "brauche Hilfe")
	desk.Shows("[data-test=article]", "Guten Tag, <b>ich</b> brauche Hilfe")
	phone.status("ich</b> brauche Hilfe", "zugestellt")

	desk.Do(chromedp.Click("[data-test=reply-public]"), chromedp.SendKeys("[data-test=reply-text]", "nur unter uns"), chromedp.Click("[data-test=reply-send]"))
	desk.Shows("[data-test=article][data-internal=true]", "nur unter uns")
	desk.Do(chromedp.Click("[data-test=reply-public]"), chromedp.SendKeys("[data-test=reply-text]", "Gern, worum geht es?"), chromedp.Click("[data-test=reply-send]"))
	desk.Shows("[data-test=article][data-internal=false]", "Gern, worum geht es?")
	phone.Shows(".message:not(.mine) .body", "Gern, worum geht es?")
	phone.status("ich</b> brauche Hilfe", "gesehen")
	if n := phone.Count(".message", ""); n != "2" {
		t.Errorf("the phone shows %s messages, want the question and the answer", n)
	}
	desk.Pictures("2-desk-chat")

	phone.write("Zweite Frage")
	desk.Shows("[data-test=article]", "Zweite Frage")
	phone.status("Zweite Frage", "zugestellt")
	phone.Pictures("2-phone-chat")
	// What was public is made internal again: it leaves the phone.
	desk.Do(chromedp.Click("[data-test=article][data-internal=false]:nth-child(3) [data-test=article-toggle]"))
	phone.Wait(`!one("#messages").innerText.includes("worum geht es")`)
}

// byKeyboard uses no mouse on either page.
func byKeyboard(t *testing.T, s *stage, language string) {
	words := map[string]struct{ question, answer, delivered, seen, kind string }{
		"en": {"May I ask something?", "Of course.", "delivered", "seen", "Public: the app user will read this."},
		"de": {"Darf ich etwas fragen?", "Natürlich.", "zugestellt", "gesehen", "Öffentlich: Die Person in der App liest das."},
	}[language]
	person := browsertest.Person(t, s.browser)
	phone := s.phone(t, person, "")
	phone.TabTo("#languages")
	phone.Press(map[string]string{"en": "E", "de": "D"}[language]) // English, Deutsch
	phone.Wait(`one(".panel").lang === ` + quote(language))
	phone.TabTo("#text")
	phone.Press(words.question)
	phone.Enter()
	phone.status(words.question, words.delivered)
	if !phone.Is(`focused().id === "text" && focused().value === ""`) {
		t.Error("after sending, the focus is not in the empty text field")
	}

	desk := s.desk(t, person)
	desk.TabTo("[data-test=language]")
	desk.Press(language[:1]) // Deutsch, English
	desk.Wait(`document.documentElement.lang === ` + quote(language))
	ticket, _ := s.ticketWith(t, words.question)
	desk.TabTo(fmt.Sprintf("[data-ticket-id='%d']", ticket.ID))
	desk.Enter()
	desk.Shows("[data-test=article]", words.question)
	desk.Shows("[data-test=reply-kind]", words.kind)
	desk.TabTo("[data-test=reply-text]")
	desk.Press(words.answer)
	desk.TabTo("[data-test=reply-send]")
	desk.Enter()
	phone.Shows(".message:not(.mine) .body", words.answer)
	phone.status(words.question, words.seen)
	if language == "en" {
		phone.TabTo("#log") // it can be scrolled with the keys
	}
}

func languageOfThePhone(t *testing.T, s *stage) {
	person := browsertest.Person(t, s.browser)
	p := newTab(t, person)
	agent := p.Read("navigator.userAgent")
	_, err := chromedp.Call(p.Ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: "ar,de-AT"})
	if err != nil {
		t.Fatal(err)
	}
	p.Do(chromedp.Navigate(s.ready.Pages.Phone))
	p.Wait(`one("#send")?.title === "Senden"`)
	p.write("auf Deutsch")
	p.status("auf Deutsch", "zugestellt")
	if ticket, _ := s.ticketWith(t, "auf Deutsch"); !strings.HasPrefix(ticket.Title, "[DE] Testland: ") {
		t.Errorf("the ticket is %q, want a German one", ticket.Title)
	}
	p.Do(chromedp.Evaluate[chromedp.Void](`{ const e = one("#languages"); e.value = "en"; e.dispatchEvent(new Event("change")); }`))
	p.Wait(`one("#send").title === "Send"`)
	p.status("auf Deutsch", "delivered")
	p.write("in English")
	p.status("in English", "delivered")
	eventually(t, "the ticket's title follows the language", func() bool {
		ticket, _ := s.ticketWith(t, "in English")
		return strings.HasPrefix(ticket.Title, "[EN] Testland: ")
	})
	p.Do(chromedp.Reload())
	p.Wait(`one("#send")?.title === "Send"`)
	p.Shows(".message.mine", "auf Deutsch")
}

func cutNetwork(t *testing.T, s *stage) {
	person := browsertest.Person(t, s.browser)
	phone := s.phone(t, person, "en")
	phone.write("before the tunnel")
	phone.status("before the tunnel", "delivered")
	phone.Offline(true)
	phone.write("first in the tunnel")
	phone.write("second in the tunnel")
	phone.status("second in the tunnel", "waiting to be sent")
	phone.Shows("#notice", "No connection.")
	phone.Pictures("3-phone-offline")
	phone.Offline(false)
	phone.status("first in the tunnel", "delivered")
	phone.status("second in the tunnel", "delivered")
	phone.Wait(`one("#notice").textContent === ""`)

	// The page is closed before the network is back.
	phone.Offline(true)
	phone.write("third in the tunnel")
	phone.status("third in the tunnel", "waiting to be sent")
	phone.Do(chromedp.Navigate("about:blank"))
	phone.Offline(false)
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
	if n := again.Count(".message", "tunnel"); n != "4" {
		t.Errorf("the phone shows %s messages, want 4", n)
	}
}

func lostAnswer(t *testing.T, s *stage) {
	phone := s.phone(t, browsertest.Person(t, s.browser), "en")
	phone.Do(chromedp.Evaluate[chromedp.Void](`{
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
	phone.Wait("window.posts === 2")
	if _, articles := s.ticketWith(t, "only once"); len(articles) != 1 {
		t.Errorf("the ticket has %d articles, want 1", len(articles))
	}
	if n := phone.Count(".message", "only once"); n != "1" {
		t.Errorf("the phone shows it %s times, want once", n)
	}
}

func newChat(t *testing.T, s *stage) {
	phone := s.phone(t, browsertest.Person(t, s.browser), "en")
	if !phone.Is(`one("#new").hidden`) {
		t.Error("a new chat is offered before there is one")
	}
	phone.write("about my flat")
	phone.status("about my flat", "delivered")
	phone.Do(chromedp.Click(browsertest.Inside("#new")))
	phone.Shows("#notice", "Your next message opens a new chat.")
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
	phone := s.phone(t, browsertest.Person(t, s.browser), "en")
	phone.Do(chromedp.Evaluate[chromedp.Void](`{
		window.real = window.fetch;
		window.fetch = async (url, options) => options?.method !== "POST" ? window.real(url, options) :
			new Response(JSON.stringify({error: "x", code: "device_not_served", retryable: false}), {status: 403});
	}`))
	phone.write("let me in")
	phone.status("let me in", "not delivered. The chat is not available on this device yet.")
	phone.write("or not")
	phone.status("or not", "not delivered")
	phone.Pictures("4-phone-refused")
	phone.Do(chromedp.Click(browsertest.Inside(".message.mine:last-child .more button:last-child")))
	phone.Wait(`!one("#messages").innerText.includes("or not")`)
	phone.Do(chromedp.Evaluate[chromedp.Void]("window.fetch = window.real"))
	phone.Do(chromedp.Click(browsertest.Inside(".message.mine .more button")))
	phone.status("let me in", "delivered")
	if n := phone.Count(".message", ""); n != "1" {
		t.Errorf("the phone shows %s messages, want 1", n)
	}
}

// busyServer refuses for a while: what is written waits, and reading goes on.
func busyServer(t *testing.T, s *stage) {
	phone := s.phone(t, browsertest.Person(t, s.browser), "en")
	phone.write("in good time")
	phone.status("in good time", "delivered")
	phone.Do(chromedp.Evaluate[chromedp.Void](`{
		window.real = window.fetch;
		window.posts = 0;
		window.fetch = async (url, options) => options?.method !== "POST" || /(typing|read)\/$/.test(url) || ++window.posts > 1 ? window.real(url, options) :
			new Response(JSON.stringify({error: "x", code: "rate_limited", retryable: true}), {status: 429, headers: {"Retry-After": "4"}});
	}`))
	phone.write("too soon")
	phone.Shows("#notice", "That was too much at once.")
	phone.status("too soon", "waiting to be sent")
	ticket, _ := s.ticketWith(t, "in good time")
	if _, err := s.agent.Articles.Create(t.Context(), zammad.NewArticle{TicketID: ticket.ID, Type: "note", Body: "meanwhile"}); err != nil {
		t.Fatal(err)
	}
	phone.Do(chromedp.Evaluate[chromedp.Void](`dispatchEvent(new Event("online"))`)) // no reason to come before the time
	phone.Shows(".message:not(.mine)", "meanwhile")
	if !phone.Is("window.posts === 1") {
		t.Error("it did not wait as long as the server asked for")
	}
	phone.status("too soon", "delivered")
	phone.Wait(`one("#notice").textContent === ""`)
}

func lengthOfAMessage(t *testing.T, s *stage) {
	phone := s.phone(t, browsertest.Person(t, s.browser), "en")
	fill := func(expression string) {
		phone.Do(chromedp.Evaluate[chromedp.Void](`{ const e = one("#text"); e.value = ` + expression + `; e.dispatchEvent(new Event("input")); }`))
	}
	for _, c := range []struct{ text, counter, sendable string }{
		{`"a"`, "", "true"},
		{`" \n "`, "", "false"},
		{`"a".repeat(9600)`, "400 characters left", "true"},
		{`"\u{1F989}".repeat(10000)`, "0 characters left", "true"}, // two UTF-16 units each
		{`"\u{1F989}".repeat(10001)`, "1 characters too many", "false"},
	} {
		fill(c.text)
		counter, sendable := phone.Read(`one("#counter").textContent`), phone.Read(`!one("#send").disabled`)
		if counter != c.counter || sendable != c.sendable {
			t.Errorf("%s: counter %q and can be sent: %s, want %q and %s", c.text, counter, sendable, c.counter, c.sendable)
		}
	}
	fill(`"\u{1F989}".repeat(10000)`)
	phone.Do(chromedp.Click(browsertest.Inside("#send")))
	phone.status("\U0001F989", "delivered")
}

func rightToLeft(t *testing.T, s *stage) {
	person := browsertest.Person(t, s.browser)
	phone := s.phone(t, person, "de")
	phone.write("مرحبا، أحتاج إلى مساعدة من فضلك. رقمي 0123-456.")
	phone.status("مرحبا", "zugestellt")
	ticket, _ := s.ticketWith(t, "مرحبا")
	_, err := s.agent.Articles.Create(t.Context(), zammad.NewArticle{TicketID: ticket.ID, Type: "note", ContentType: "text/html",
		Body: `<p>أهلاً وسهلاً! كيف يمكنني مساعدتك؟</p><ul><li>السكن</li><li>المدرسة</li></ul><p>Mehr: <a href="https://example.org/wohnen">example.org/wohnen</a></p>`})
	if err != nil {
		t.Fatal(err)
	}
	phone.Shows(".message:not(.mine)", "السكن")
	for _, selector := range []string{".message.mine .body > *", ".message:not(.mine) .body > *"} {
		if !phone.Is(`getComputedStyle(one(` + quote(selector) + `)).direction === "rtl"`) {
			t.Errorf("%s is not written from right to left", selector)
		}
	}
	phone.Pictures("5-phone-arabic")
	desk := s.desk(t, person)
	s.openTicket(desk, "مرحبا")
	desk.Pictures("5-desk-arabic")
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
