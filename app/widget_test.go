package app

import (
	"encoding/json"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"deskbridge/bridge"
	"deskbridge/browsertest"
	"deskbridge/zammad"
)

// city is the web site of a city, on another origin than the bridge, with a
// strict policy and the widget on its pages.
type city struct {
	*world
	t    *testing.T
	page string
}

// languages are those that the widget speaks.
var languages = []string{"ar", "de", "en", "fa", "fr", "ru", "tr", "uk"}

func newCity(t *testing.T) *city {
	t.Helper()
	browsertest.Chromium(t) // skips before anything is started
	w := newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "bridge.db"))
	known, _ := w.bridge.app.Regions.BySlug(demoRegion)
	region := *known
	region.Settings.Languages = nil
	for _, code := range languages {
		region.Settings.Languages = append(region.Settings.Languages, bridge.Language{Code: code, NativeName: code})
	}
	region.Settings.Document.PrivacyPolicy = "https://example.org/privacy"
	if err := w.bridge.app.Store.SaveRegion(t.Context(), &region); err != nil {
		t.Fatal(err)
	}
	if err := w.bridge.app.Regions.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &city{w, t, sitePage(t, w.bridge.origin)}
}

// sitePage serves pages with the widget of a bridge; the query gives its
// attributes. It gives their address.
func sitePage(t *testing.T, bridge string) string {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var attributes strings.Builder
		for name, values := range r.URL.Query() {
			fmt.Fprintf(&attributes, ` %s="%s"`, name, html.EscapeString(values[0]))
		}
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src "+bridge+"; connect-src "+bridge+"; img-src blob:; require-trusted-types-for 'script'; trusted-types deskbridge-chat")
		h.Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>A city</title><script defer src="%s/widget/deskbridge-chat.js"></script>
<h1>A city</h1><p><a href="#">A link before</a></p>
<deskbridge-chat%s></deskbridge-chat>`, bridge, &attributes)
	}))
	t.Cleanup(site.Close)
	return site.URL
}

// visit opens a page with the widget; attributes are a query.
func (c *city) visit(t *testing.T, p tab, attributes string) {
	t.Helper()
	p.Do(chromedp.Navigate(c.page + "/?region=" + demoRegion + "&" + attributes))
	p.Wait(`one(".panel")`)
	if !strings.Contains(attributes, "launcher") {
		p.Wait(`one("#title").textContent === "Testland"`)
	}
}

func TestWidgetOnACitysPage(t *testing.T) {
	c := newCity(t)
	s := &stage{browser: browsertest.New(t)}
	for _, test := range []struct {
		name string
		run  func(*testing.T, *city, *stage)
	}{
		{"two tabs send once", twoTabs},
		{"an answer comes without a question, over a cut network", withoutPolling},
		{"the people behind the chat", peopleBehindTheChat},
		{"the button and its panel, by keyboard", launcherByKeyboard},
		{"what a screen reader is told", screenReader},
		{"zoomed to 200 percent", zoomed},
		{"right to left", widgetRightToLeft},
		{"in all its languages", allLanguages},
		{"high contrast, dark, without motion", otherLooks},
		{"lines with Shift and Enter", severalLines},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, c, s)
		})
	}
}

// TestWidgetOutlivesARestart stops the bridge in mid-conversation, and starts
// it again at the same address with the same database.
func TestWidgetOutlivesARestart(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	p := newTab(t, browsertest.New(t))
	c.visit(t, p, "language=en")
	p.write("before the restart")
	p.status("before the restart", "delivered")
	ticket := c.ticket(1)

	address := strings.TrimPrefix(c.bridge.origin, "http://")
	c.bridge.stop()
	p.write("while it was away")
	p.status("while it was away", "waiting to be sent")
	p.Shows("#notice", "No connection.")
	answer := c.answer(ticket.ID, "an answer in between", false)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c.bridge = c.serve(c.open("one"), listener)

	p.status("while it was away", "delivered")
	p.Shows(".message:not(.mine)", answer.Body)
	p.Wait(`one("#notice").textContent === ""`)
	c.answer(ticket.ID, "and one after it", false)
	p.Shows(".message:not(.mine)", "and one after it")
	if n := p.Count(".message", ""); n != "4" {
		t.Errorf("the page shows %s messages, want 4", n)
	}
	c.holds(ticket.ID, "Customer: before the restart", "Agent: an answer in between", "Customer: while it was away", "Agent: and one after it")
}

func twoTabs(t *testing.T, c *city, s *stage) {
	person := browsertest.Person(t, s.browser)
	one, two := newTab(t, person), newTab(t, person)
	c.visit(t, one, "language=en")
	one.write("from the first tab")
	one.status("from the first tab", "delivered")
	one.Offline(true)
	one.write("offline in the first")
	one.Shows("#notice", "No connection.") // it tries, and so it is the one that sends
	c.visit(t, two, "language=en")
	two.Shows(".message.mine", "from the first tab")
	two.status("offline in the first", "waiting to be sent")
	two.Offline(true)
	two.write("offline in the second")
	one.Shows(".message.mine", "offline in the second")
	for _, p := range []tab{one, two} { // no message leaves the screen while it changes from waiting to arrived
		p.Do(chromedp.Evaluate[chromedp.Void](`{ window.gone = 0;
			new MutationObserver((all) => { for (const m of all) gone += [...m.removedNodes].filter((n) => !n.isConnected).length; }).observe(one("#messages"), {childList: true}); }`))
	}
	// The first sends for both; the second hears nothing of it yet but that they wait no more.
	one.Offline(false)
	one.status("offline in the second", "delivered")
	two.status("offline in the second", "received")
	two.Offline(false)
	for _, p := range []tab{one, two} {
		for _, text := range []string{"from the first tab", "offline in the first", "offline in the second"} {
			p.status(text, "delivered")
			if n := p.Count(".message", text); n != "1" {
				t.Errorf("%q is shown %s times", text, n)
			}
		}
	}
	for _, p := range []tab{one, two} {
		if n := p.Read("gone"); n != "0" {
			t.Errorf("%s messages have left the screen in between", n)
		}
	}
	if n := two.Read(`JSON.parse(localStorage.getItem(Object.keys(localStorage).find((k) => k.endsWith(" waiting")))).length`); n != "0" {
		t.Errorf("%s messages are still kept as waiting", n)
	}
	for _, ticket := range c.tickets() {
		articles, err := c.admin.Articles.OfTicket(t.Context(), ticket.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(articles) > 0 && articles[0].Body == "from the first tab" {
			if len(articles) != 3 || articles[1].Body != "offline in the first" || articles[2].Body != "offline in the second" {
				t.Errorf("the ticket has %d articles, want the three in their order", len(articles))
			}
			return
		}
	}
	t.Error("no ticket has the message")
}

// withoutPolling: two windows of one device, one of them cut off in between.
func withoutPolling(t *testing.T, c *city, s *stage) {
	person := browsertest.Person(t, s.browser)
	one, two := newTab(t, person), newTab(t, person)
	for _, p := range []tab{one, two} {
		c.visit(t, p, "language=fr")
	}
	one.write("sans question")
	one.status("sans question", "remis")
	two.status("sans question", "remis")
	var ticket zammad.TicketID
	for _, found := range c.tickets() {
		if strings.HasPrefix(found.Title, "[FR]") {
			ticket = found.ID
		}
	}
	const questions = `performance.getEntriesByType("resource").filter((e) => /\/chat\/[^/]+\/\?since/.test(e.name)).length`
	for _, p := range []tab{one, two} {
		p.Do(chromedp.Evaluate[chromedp.Void]("performance.clearResourceTimings()"))
	}
	c.answer(ticket, "réponse", false)
	for _, p := range []tab{one, two} {
		p.Shows(".message:not(.mine)", "réponse")
		if n := p.Read(questions); n != "0" {
			t.Errorf("the answer took %s questions", n)
		}
	}
	two.Offline(true)
	two.Shows("#notice", "Pas de connexion")
	c.answer(ticket, "pendant la coupure", false)
	one.Shows(".message:not(.mine)", "pendant la coupure")
	two.Offline(false)
	two.Shows(".message:not(.mine)", "pendant la coupure")
	two.Wait(`one("#notice").textContent === ""`)
	for _, p := range []tab{one, two} {
		if n := p.Count(".message", ""); n != "3" {
			t.Errorf("a window shows %s messages, want 3", n)
		}
	}
}

func peopleBehindTheChat(t *testing.T, c *city, s *stage) {
	p := newTab(t, browsertest.Person(t, s.browser))
	c.visit(t, p, "language=tr")
	p.write("Merhaba")
	p.status("Merhaba", "iletildi")
	var ticket zammad.TicketID
	for _, found := range c.tickets() {
		if strings.HasPrefix(found.Title, "[TR]") {
			ticket = found.ID
		}
	}
	c.answer(ticket, "Hoş geldiniz", false)
	p.Shows(".message:not(.mine)", "Hoş geldiniz")
	p.Shows("#typing", "yazıyor") // who has just answered often has more to say
	device, token := p.kept(" device"), p.kept(" token")
	waitFor(t, func() error {
		var state struct{ Read, Seq int64 }
		_, body := c.chatOf(t, device, token)
		if err := json.Unmarshal(body, &state); err != nil || state.Read == 0 {
			return fmt.Errorf("read up to %d of %d (%v)", state.Read, state.Seq, err)
		}
		return nil
	})
	p.Wait(`one("#away").textContent === ""`)
	c.setState(ticket, "closed")
	p.Wait(`one("#away").textContent !== ""`)
	p.Picture("11-closed")
}

func launcherByKeyboard(t *testing.T, c *city, s *stage) {
	p := newTab(t, browsertest.Person(t, s.browser))
	c.visit(t, p, "language=en&launcher=")
	if kept := p.Read(`Object.keys(localStorage).filter((k) => k.endsWith("device")).length`); kept != "0" {
		t.Error("who only passes by got a device id")
	}
	p.Picture("6-launcher")
	p.TabTo("#launcher")
	p.Enter()
	p.Wait(`one("#title").textContent === "Testland"`)
	p.Wait(`focused().id === "text"`)
	p.Press("May I ask something?")
	p.Enter()
	p.status("May I ask something?", "delivered")
	p.Pictures("6-launcher-open")
	p.Press(kb.Escape)
	p.Wait(`one(".panel").hidden && focused().id === "launcher"`)
	if p.Read(`one("#launcher").ariaExpanded`) != "false" {
		t.Error("the button says that the panel is open")
	}
	p.Enter()
	p.Wait(`!one(".panel").hidden && focused().id === "text"`)
	for _, selector := range []string{"#send", "#log", "#languages", "#new", "#close", "#attach"} {
		if selector == "#send" {
			p.Press("x") // it can be used only when there is something to send
		}
		p.TabTo(selector)
	}
	p.TabTo("#close")
	p.Enter()
	p.Wait(`one(".panel").hidden && focused().id === "launcher"`)
}

// screenReader looks at what a screen reader knows of the page.
func screenReader(t *testing.T, c *city, s *stage) {
	p := newTab(t, browsertest.Person(t, s.browser))
	c.visit(t, p, "language=de")
	p.write("Guten Tag")
	p.status("Guten Tag", "zugestellt")
	tree, err := chromedp.Call(p.Ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		t.Fatal(err)
	}
	value := func(v *accessibility.Value) string {
		var text string
		if v != nil {
			_ = json.Unmarshal(v.Value, &text) // roles and names are strings
		}
		return text
	}
	have := map[string]bool{}
	for _, node := range tree.Nodes {
		if !node.Ignored {
			have[value(node.Role)+": "+value(node.Name)] = true
		}
	}
	for _, want := range []string{
		"region: Testland", "heading: Testland", "log: Nachrichten", "textbox: Ihre Nachricht", "button: Senden",
		"button: Dateien hinzufügen", "combobox: Sprache des Chats", "button: Neuer Chat",
	} {
		if !have[want] {
			t.Errorf("a screen reader is not told of %q; it knows %v", want, have)
		}
	}
	for name, want := range map[string]string{"aria-live": "polite", "aria-relevant": "additions"} {
		if got := p.Read(`one("#log").getAttribute(` + quote(name) + `)`); got != want {
			t.Errorf("%s of the log is %q, want %q", name, got, want)
		}
	}
	// A changed state is no new element: it would be read again.
	p.Do(chromedp.Evaluate[chromedp.Void](`{ window.added = 0;
		new MutationObserver((all) => { for (const m of all) added += [...m.addedNodes].filter((n) => n.nodeType === 1).length; }).observe(one("#messages"), {childList: true, subtree: true}); }`))
	for _, ticket := range c.tickets() {
		if strings.Contains(ticket.Title, "[DE]") {
			c.answer(ticket.ID, "Guten Tag!", false)
		}
	}
	p.status("Guten Tag", "gesehen")
	p.Shows(".message:not(.mine)", "Guten Tag!")
	if n := p.Read(`all(".message.mine").length + " " + (added > 0)`); n != "1 true" {
		t.Errorf("own messages and whether something was added: %s", n)
	}
	if p.Is(`all(".message.mine .about").length !== 1 || all(".message.mine time").length !== 1`) {
		t.Error("the own message was drawn anew")
	}
}

// zoomed looks at the page as browsers lay it out at 200 percent: half as many
// pixels in both directions.
func zoomed(t *testing.T, c *city, s *stage) {
	p := newTab(t, browsertest.Person(t, s.browser))
	c.visit(t, p, "language=de&launcher=")
	p.Do(chromedp.Click(browsertest.Inside("#launcher")))
	p.write("Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen und noch vieles mehr")
	for _, size := range []struct {
		name          string
		width, height int64
	}{{"desktop", 640, 400}, {"phone", 195, 422}} {
		p.Do(chromedp.EmulateViewport(size.width, size.height, chromedp.EmulateScale(2)))
		p.Wait(`innerWidth === ` + fmt.Sprint(size.width))
		if p.Is(`document.documentElement.scrollWidth > innerWidth || one("#log").scrollWidth > one("#log").clientWidth || one(".panel").scrollWidth > one(".panel").clientWidth`) {
			t.Errorf("%s: the page scrolls sideways", size.name)
		}
		for _, selector := range []string{"#text", "#send", "#close", "#languages"} {
			if !p.Is(`(() => { const r = one(` + quote(selector) + `).getBoundingClientRect(); return r.left >= 0 && r.top >= 0 && r.right <= innerWidth && r.bottom <= innerHeight && r.width > 40; })()`) {
				t.Errorf("%s: %s is not on the screen: %s", size.name, selector, p.Read(`JSON.stringify(one(`+quote(selector)+`).getBoundingClientRect())`))
			}
		}
		if p.Is(`one("#log").clientHeight < 60`) {
			t.Errorf("%s: the messages have no room", size.name)
		}
		p.Picture("7-zoom-" + size.name)
	}
}

func widgetRightToLeft(t *testing.T, c *city, s *stage) {
	for code, question := range map[string]string{"ar": "مرحبا، أحتاج إلى مساعدة من فضلك", "fa": "سلام، به کمک نیاز دارم"} {
		p := newTab(t, browsertest.Person(t, s.browser))
		c.visit(t, p, "language="+code)
		p.write(question)
		p.write("Deutsch dazwischen")
		p.Wait(`all(".message.mine").length === 2`)
		if p.Read(`getComputedStyle(one(".panel")).direction`) != "rtl" {
			t.Errorf("%s is not laid out from right to left", code)
		}
		// Own messages stand at the end, which is left here; the button to send too.
		if !p.Is(`one(".message.mine").getBoundingClientRect().left < 60 && one("#send").getBoundingClientRect().left < 60`) {
			t.Errorf("%s: own messages or the button are on the wrong side", code)
		}
		if p.Is(`document.documentElement.scrollWidth > innerWidth`) {
			t.Errorf("%s: the page scrolls sideways", code)
		}
		p.Pictures("8-" + code)
	}
}

// allLanguages looks whether every text is there, and fits.
func allLanguages(t *testing.T, c *city, s *stage) {
	p := newTab(t, browsertest.Person(t, s.browser))
	seen := map[string]string{}
	for _, code := range languages {
		c.visit(t, p, "language="+code)
		p.Wait(`one(".panel").lang === ` + quote(code))
		words := p.Read(`[one("#empty").innerText, one("#label").textContent, one("#send").title, one("#attach").title].join(" | ")`)
		if strings.Contains(words, "undefined") || seen[words] != "" {
			t.Errorf("%s says %q as %s does", code, words, seen[words])
		}
		seen[words] = code
		if p.Is(`document.documentElement.scrollWidth > innerWidth`) {
			t.Errorf("%s: the page scrolls sideways", code)
		}
	}
	c.visit(t, p, "language=de-si")
	p.Wait(`one(".panel").lang === "de"`)
}

func otherLooks(t *testing.T, c *city, s *stage) {
	p := newTab(t, browsertest.Person(t, s.browser))
	c.visit(t, p, "language=en")
	p.write("Can you see me?")
	p.status("Can you see me?", "delivered")
	media := func(name, value string) {
		_, err := chromedp.Call(p.Ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: name, Value: value}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	background := `getComputedStyle(one(".panel")).backgroundColor`
	light := p.Read(background)
	media("prefers-color-scheme", "dark")
	if p.Read(background) == light {
		t.Error("it is as light in the dark")
	}
	media("forced-colors", "active")
	if p.Read(`getComputedStyle(one(".message .body")).borderTopStyle`) != "solid" {
		t.Error("with forced colours, nothing shows where a message ends")
	}
	p.Picture("9-forced-colors")
	media("prefers-contrast", "more")
	if !p.Is(`getComputedStyle(one(".about")).color === getComputedStyle(one(".panel")).color`) {
		t.Error("with more contrast, small print is still faint")
	}
	media("prefers-reduced-motion", "reduce")
	if p.Read(`getComputedStyle(one(".message")).animationName`) != "none" {
		t.Error("with reduced motion, messages still move")
	}
}

func severalLines(t *testing.T, c *city, s *stage) {
	p := newTab(t, browsertest.Person(t, s.browser))
	c.visit(t, p, "language=en")
	p.Do(chromedp.Focus(browsertest.Inside("#text")))
	p.Press("first")
	p.Do(chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(chromedp.ModifierShift))) // Shift
	p.Press("second")
	p.Enter()
	p.Wait(`one(".message.mine .body")?.textContent === "first\nsecond"`)
	p.status("first", "delivered")
}

// TestWidgetChangesWithItsAttributes: a page may set them at any time, as
// frameworks do, and the token's function before the script has come.
func TestWidgetChangesWithItsAttributes(t *testing.T) {
	t.Parallel()
	s := newStrange(t)
	s.state = stateOf(4, fromAgent(1, 4, "for everybody"))
	p := newTab(t, browsertest.New(t))
	p.Do(chromedp.Navigate(sitePage(t, s.URL) + "/?language=en"))
	p.Wait(`customElements.get("deskbridge-chat")`)
	if p.Is(`one(".panel")`) {
		t.Error("there is a chat of no region")
	}
	p.Do(chromedp.Evaluate[chromedp.Void](`document.querySelector("deskbridge-chat").setAttribute("region", "testland")`))
	p.Shows(".message", "for everybody")
	p.Do(chromedp.Evaluate[chromedp.Void](`document.querySelector("deskbridge-chat").setAttribute("heading", "Ask us")`))
	p.Shows("#title", "Ask us")
	p.Do(chromedp.Evaluate[chromedp.Void](`document.querySelector("deskbridge-chat").setAttribute("device", "mine")`))
	eventually(t, "it asks as the device of the page", func() bool { return s.asked("GET") > 1 && s.device("mine") })
	// Taken out of the page it is silent, and put back it is there again.
	p.Do(chromedp.Evaluate[chromedp.Void](`{ window.chat = document.querySelector("deskbridge-chat"); chat.remove(); document.body.append(chat); }`))
	p.Shows(".message", "for everybody")
	if n := p.Read(`all(".panel").length`); n != "1" {
		t.Errorf("there are %s chats", n)
	}
}
