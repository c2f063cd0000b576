package admin_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"deskbridge/author"
	"deskbridge/browsertest"
	"deskbridge/staff"
)

// window is a window of a real browser, in which somebody is signed in.
type window struct{ browsertest.Tab }

func (w *world) window(chromium context.Context, b *browser) window {
	w.Helper()
	p := browsertest.NewTab(w.T, browsertest.Person(w.T, chromium))
	origin, err := url.Parse(w.origin)
	if err != nil {
		w.Fatal(err)
	}
	for _, cookie := range b.client.Jar.Cookies(origin) {
		if _, err := chromedp.Call(p.Ctx, network.SetCookie, network.SetCookieParams{Name: cookie.Name, Value: cookie.Value, URL: w.origin}); err != nil {
			w.Fatal(err)
		}
	}
	return window{p}
}

// write writes a message as a person does, and waits until it stands there.
func (p window) write(text string) {
	p.T.Helper()
	p.Do(chromedp.SendKeys(browsertest.Inside("#f-text"), text), chromedp.Click(browsertest.Inside("#end button")))
	p.Shows(".message.own .words", text)
	p.Wait(`one("#f-text").value === ""`)
}

// once fails unless a message stands in the window exactly once.
func (p window) once(text string) {
	p.T.Helper()
	p.Shows(".message .words", text)
	if n := p.Count(".message .words", text); n != "1" {
		p.T.Errorf("%q stands there %s times", text, n)
	}
}

const hostileWords = `<img src=x onerror=wrong.push("ran")><script>wrong.push("ran")</script></p></article> javascript:wrong.push(1) https://a.example/"onclick=wrong.push(2)//`

// TestTeamInTwoWindows: two people, each with a browser of their own.
func TestTeamInTwoWindows(t *testing.T) {
	chromium := browsertest.New(t)
	w := oneWorld(t)
	ann, bob := w.person("ann", staff.RegionAdmin, w.north), w.person("bob", staff.Viewer, w.north)
	address := w.origin + w.teamRoom(ann, author.KindRegion, w.north.ID)
	hers, his := w.window(chromium, ann), w.window(chromium, bob)
	list := window{browsertest.NewTab(t, his.Ctx)} // his second window
	list.Do(chromedp.Navigate(w.origin + "/admin/team/"))
	hers.Do(chromedp.Navigate(address))
	his.Do(chromedp.Navigate(w.origin + "/admin/account/"))

	hers.TabTo("#f-text")
	hers.Press("first, by keyboard")
	hers.TabTo("#end button")
	hers.Enter()
	hers.once("first, by keyboard")
	list.Wait(`one("[data-unread=all]").innerText.startsWith("1") && !one("[data-unread=all]").hidden`)

	his.Do(chromedp.Navigate(address))
	his.once("first, by keyboard")
	list.Wait(`one("[data-unread=all]").hidden`) // he has read it in the other window
	hers.write("at once")
	his.once("at once")
	if !his.Is(`all(".message").every((e) => !e.matches(".own")) && all(".message.own").length === 0`) || !hers.Is(`all(".message").every((e) => e.matches(".own"))`) {
		t.Error("own messages and those of others look alike")
	}
	his.write("answer")
	hers.once("answer")
	hers.Shows(".message:not(.own) .meta", "Person bob")
	documented(hers.Tab, "team-room", 900, 900)

	hers.write(hostileWords)
	for _, p := range []window{hers, his} { // live, and as the server makes the page
		p.once(hostileWords)
		p.Do(chromedp.Reload())
		p.once(hostileWords)
		if !p.Is(`all(".messages a").every((a) => a.protocol === "https:" || a.protocol === "http:") && !one(".messages script, .messages img, .messages [onclick], .messages [onerror]")`) {
			t.Error("a text became more than a text")
		}
	}

	his.Offline(true)
	his.Shows("[data-state]", "No connection")
	hers.write("while he was away")
	hers.write("and another")
	removeMessage(hers, "at once")
	his.Do(chromedp.SendKeys(browsertest.Inside("#f-text"), "from the tunnel"), chromedp.Click(browsertest.Inside("#end button")))
	his.Shows("[role=alert]", "was not sent")
	his.Offline(false)
	his.once("while he was away")
	his.once("and another")
	his.Wait(`!all(".message .words").some((e) => e.innerText === "at once")`)
	his.Wait(`one("[data-state]").innerText === ""`)
	his.Do(chromedp.Click(browsertest.Inside("#end button")))
	hers.once("from the tunnel")
	his.once("from the tunnel")
	if got, want := order(his), order(hers); got != want {
		t.Errorf("he sees %s, she sees %s", got, want)
	}

	removeMessage(hers, "from the tunnel") // of somebody else
	his.Wait(`!all(".message .words").some((e) => e.innerText === "from the tunnel")`)

	thread := w.teamThread(ann, bob)
	list.Shows(".rooms a", "Person ann") // the list knows it at once
	documented(list.Tab, "team", 900, 900)
	list.Do(chromedp.Click(browsertest.Inside(fmt.Sprintf("a[href=%q]", thread))))
	list.Wait(`one("#f-text")`)
	ann.post(thread, write("only you")).is(http.StatusSeeOther)
	list.once("only you")
}

// order gives the texts of a window in their order.
func order(p window) string {
	p.T.Helper()
	return p.Read(`JSON.stringify(all(".message .words").map((e) => e.innerText))`)
}

// removeMessage deletes a message by its link and the question behind it.
func removeMessage(p window, text string) {
	p.T.Helper()
	p.Do(chromedp.Evaluate[chromedp.Void](`all(".message").find((e) => e.innerText.includes(` + browsertest.Quote(text) + `)).querySelector(".act a").click()`))
	p.Wait(`location.pathname.endsWith("/delete/") && one(".danger")`)
	p.Do(chromedp.Click(browsertest.Inside(".danger")))
	p.Shows("[role=status]", "The message is deleted.")
}
