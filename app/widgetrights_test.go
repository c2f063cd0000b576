package app

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"deskbridge/browsertest"
	"deskbridge/zammad"
)

// TestWidgetGivesPeopleTheirRights: a person may have a copy of everything, and
// everything erased, with mouse, keys and a screen reader.
func TestWidgetGivesPeopleTheirRights(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	s := &stage{browser: browsertest.New(t)}
	for _, test := range []struct {
		name string
		run  func(*testing.T, *city, *stage)
	}{
		{"everything is erased, by keyboard, in all tabs", erasedInAllTabs},
		{"what cannot be erased now is erased later, once", erasedAtLast},
		{"a page's own device keeps its id, and gets no token", erasedOwnDevice},
		{"a copy of everything", copyOfEverything},
		{"in all languages, on narrow screens", rightsFit},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, c, s)
		})
	}
}

// kept reads what the browser keeps under a name that ends so; "null" without it.
func (p tab) kept(end string) string {
	p.T.Helper()
	return p.Read(`JSON.parse(localStorage.getItem(Object.keys(localStorage).find((k) => k.endsWith(` + quote(end) + `))))`)
}

// chatOf asks the bridge for the chat of a device.
func (c *city) chatOf(t *testing.T, device, token string) (status int, body []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.bridge.origin+"/api/v3/"+demoRegion+"/en/chat/"+device+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Chat-Token", token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err = io.ReadAll(answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, body
}

func (c *city) ticketTitled(t *testing.T, prefix string) (found zammad.Ticket) {
	t.Helper()
	for _, ticket := range c.tickets() {
		if strings.HasPrefix(ticket.Title, prefix) {
			found = ticket
		}
	}
	if found.ID == 0 {
		t.Fatalf("no ticket begins with %q", prefix)
	}
	return found
}

func erasedInAllTabs(t *testing.T, c *city, s *stage) {
	person := browsertest.Person(t, s.browser)
	p, other := newTab(t, person), newTab(t, person)
	c.visit(t, p, "language=en&launcher=")
	p.Do(chromedp.Click(browsertest.Inside("#launcher")))
	p.write("nobody shall know")
	p.status("nobody shall know", "delivered")
	c.visit(t, other, "language=en")
	other.Shows(".message.mine", "nobody shall know")
	device, token := p.kept(" device"), p.kept(" token")
	ticket := c.ticketTitled(t, "[EN]")
	if status, _ := c.chatOf(t, device, ""); status != http.StatusUnauthorized {
		t.Errorf("who knows the device id gets the chat: %d", status)
	}

	p.TabTo("#data")
	p.Enter()
	p.Wait(`focused().id === "copy" && one("#data").ariaExpanded === "true"`)
	p.TabTo("#erase")
	p.Enter()
	p.Wait(`focused().id === "no" && one("#sure").innerText.startsWith("Erase all messages")`)
	if described := p.Read(`[one("#no"), one("#yes")].map((b) => one("#" + b.getAttribute("aria-describedby")).id)`); described != "sure,sure" {
		t.Errorf("who decides is not told about what: %s", described)
	}
	p.Picture("12-erase")
	p.Press(kb.Escape)
	p.Wait(`one("#rights").hidden && !one(".panel").hidden && focused().id === "data"`)
	if status, _ := c.chatOf(t, device, token); status != http.StatusOK {
		t.Fatalf("it is gone before anybody said yes: %d", status)
	}
	p.Enter()
	p.TabTo("#erase")
	p.Enter()
	p.Wait(`focused().id === "no"`)
	p.Do(chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(chromedp.ModifierShift)))
	p.Wait(`focused().id === "yes"`)
	p.Enter()
	p.Shows("#erasure", "Receipt: ")
	p.Wait(`all(".message").length === 0 && one("#sure").hidden`)
	if status, _ := c.chatOf(t, device, ""); status != http.StatusNotFound {
		t.Errorf("the bridge still has the chat: %d", status)
	}
	if p.Is(`Object.keys(localStorage).some((k) => k.includes(` + quote(device) + `))`) {
		t.Errorf("the browser still has something of the device")
	}
	p.Shows("#erasure", "the counseling has done its part") // asked again by itself
	if title := c.ticketOf(t, ticket.ID).Title; !strings.HasSuffix(title, ": erased") {
		t.Errorf("the ticket is called %q", title)
	}
	p.Picture("12-erased")

	// It goes on as somebody new, in the other tab too.
	other.Wait(`all(".message").length === 0`)
	other.write("somebody new")
	other.status("somebody new", "delivered")
	p.Shows(".message.mine", "somebody new")
	if now := p.kept(" device"); now == device || now != other.kept(" device") {
		t.Error("the device has the same id as before")
	}
}

func (c *city) ticketOf(t *testing.T, id zammad.TicketID) zammad.Ticket {
	t.Helper()
	ticket, err := c.agent.Tickets.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

// erasedAtLast: the answer is lost, and what waits is not sent meanwhile.
func erasedAtLast(t *testing.T, c *city, s *stage) {
	p := newTab(t, browsertest.Person(t, s.browser))
	c.visit(t, p, "language=de")
	p.write("weg damit")
	p.status("weg damit", "zugestellt")
	ticket := c.ticketTitled(t, "[DE]")
	p.Do(chromedp.Evaluate[chromedp.Void](`{
		const real = window.fetch;
		window.keys = [];
		window.fetch = async (url, options) => {
			const answer = await real(url, options);
			if (options?.method !== "DELETE") return answer;
			keys.push(options.headers["Idempotency-Key"]);
			if (keys.length === 1) throw new TypeError("the answer is lost");
			return answer;
		};
	}`))
	for _, id := range []string{"#data", "#erase", "#yes"} {
		p.Do(chromedp.Click(browsertest.Inside(id)))
	}
	p.Shows("#erasure", "Etwas ist schiefgegangen")
	p.Wait(`!one("#yes").hidden && !one("#yes").disabled && !one("#composer").inert`)
	p.Do(chromedp.Click(browsertest.Inside("#yes")))
	p.Shows("#erasure", "Beleg: ")
	if !p.Is(`keys.length === 2 && keys[0] === keys[1]`) {
		t.Errorf("the keys are %s", p.Read("keys"))
	}
	p.Shows("#erasure", "die Beratung hat ihren Teil getan")
	if title := c.ticketOf(t, ticket.ID).Title; !strings.HasSuffix(title, ": erased") {
		t.Errorf("the ticket is called %q", title)
	}

	// What waits when everything is erased is never sent.
	p.write("und noch etwas")
	p.status("und noch etwas", "zugestellt")
	p.Offline(true)
	p.write("nie gesendet")
	p.status("nie gesendet", "wartet auf Versand")
	for _, id := range []string{"#erase", "#yes"} {
		p.Do(chromedp.Click(browsertest.Inside(id)))
	}
	p.Shows("#erasure", "Etwas ist schiefgegangen")
	p.Wait(`!one("#messages").innerText.includes("nie gesendet")`)
	p.Offline(false)
	p.Do(chromedp.Click(browsertest.Inside("#yes")))
	p.Shows("#erasure", "Beleg: ")
	p.Wait(`all(".message").length === 0`)
	p.write("ganz neu")
	p.status("ganz neu", "zugestellt")
	for _, found := range c.tickets() {
		articles, err := c.agent.Articles.OfTicket(t.Context(), found.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range articles {
			if strings.Contains(a.Body, "nie gesendet") {
				t.Error("what was erased before it was sent has arrived")
			}
		}
	}
}

func erasedOwnDevice(t *testing.T, c *city, s *stage) {
	p := newTab(t, browsertest.Person(t, s.browser))
	c.visit(t, p, "language=uk&device=of-the-page")
	p.write("до")
	p.status("до", "доставлено")
	if status, _ := c.chatOf(t, "of-the-page", ""); status != http.StatusOK {
		t.Errorf("another browser with this device id cannot read any more: %d", status)
	}
	for _, id := range []string{"#data", "#erase", "#yes"} {
		p.Do(chromedp.Click(browsertest.Inside(id)))
	}
	p.Shows("#erasure", "Квитанція: ")
	p.Wait(`all(".message").length === 0`)
	if status, _ := c.chatOf(t, "of-the-page", ""); status != http.StatusNotFound {
		t.Errorf("it is not erased: %d", status)
	}
	p.write("після")
	p.status("після", "доставлено")
	if status, _ := c.chatOf(t, "of-the-page", ""); status != http.StatusOK {
		t.Errorf("it did not begin anew: %d", status)
	}
}

func copyOfEverything(t *testing.T, c *city, s *stage) {
	p := newTab(t, browsertest.Person(t, s.browser))
	c.visit(t, p, "language=fr")
	p.write("gardez-moi")
	p.status("gardez-moi", "remis")
	p.Do(chromedp.Evaluate[chromedp.Void](`{
		const real = URL.createObjectURL.bind(URL);
		URL.createObjectURL = (blob) => {
			blob.text().then((text) => (window.saved = text));
			return real(blob);
		};
	}`))
	for _, id := range []string{"#data", "#copy"} {
		p.Do(chromedp.Click(browsertest.Inside(id)))
	}
	p.Wait("window.saved")
	var saved struct {
		Region   string
		Messages []struct{ Text string }
	}
	if err := json.Unmarshal([]byte(p.Read("window.saved")), &saved); err != nil {
		t.Fatal(err)
	}
	if saved.Region != demoRegion || len(saved.Messages) != 1 || saved.Messages[0].Text != "gardez-moi" {
		t.Errorf("the copy has %+v", saved)
	}
	// A bridge that does not answer is said so.
	p.Offline(true)
	p.Do(chromedp.Click(browsertest.Inside("#copy")))
	p.Shows("#erasure", "Un problème est survenu")
}

func rightsFit(t *testing.T, c *city, s *stage) {
	p := newTab(t, browsertest.Person(t, s.browser))
	seen := map[string]string{}
	for _, code := range languages {
		p.Do(chromedp.EmulateViewport(320, 568))
		c.visit(t, p, "language="+code)
		p.Wait(`one(".panel").lang === ` + quote(code))
		p.Do(chromedp.Click(browsertest.Inside("#data")), chromedp.Click(browsertest.Inside("#erase")))
		words := p.Read(`["#data", "#copy", "#erase", "#yes", "#no", "#sure"].map((id) => one(id).title || one(id).textContent).join(" | ")`)
		if strings.Contains(words, "undefined") || seen[words] != "" {
			t.Errorf("%s says %q as %s does", code, words, seen[words])
		}
		seen[words] = code
		if p.Is(`document.documentElement.scrollWidth > innerWidth || one(".panel").scrollWidth > one(".panel").clientWidth`) {
			t.Errorf("%s: the page scrolls sideways", code)
		}
		if !p.Is(`one("#log").clientHeight >= 60 && one("#text").getBoundingClientRect().bottom <= one(".panel").getBoundingClientRect().bottom`) {
			t.Errorf("%s: nothing else has room", code)
		}
		right := map[bool]string{true: "rtl", false: "ltr"}[code == "ar" || code == "fa"]
		if got := p.Read(`getComputedStyle(one("#rights")).direction`); got != right {
			t.Errorf("%s runs %s", code, got)
		}
		if code == "ar" {
			p.Pictures("12-erase-ar")
		}
	}
}
