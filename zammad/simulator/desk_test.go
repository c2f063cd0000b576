package simulator

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestDeskPageInABrowser works as an agent by keyboard in a real browser.
func TestDeskPageInABrowser(t *testing.T) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium here")
	}
	w := newWorld(t, Config{})
	ticket := w.openChat("[DE] Testland: kind <owl>", "Hallo <b>du</b>")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.Flag("accept-lang", "de"))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	do := func(steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(selector, want string) {
		t.Helper()
		got, err := chromedp.Run(ctx, chromedp.Text(selector))
		if err != nil || !strings.Contains(got, want) {
			t.Errorf("%s shows %q, want %q (%v)", selector, got, want, err)
		}
	}
	do(chromedp.Navigate(w.server.URL + "/desk/#group=App%20Chat&token=" + w.agentToken))
	ctx, cancel = context.WithTimeout(ctx, time.Minute) // not on the first call: it would end the browser
	t.Cleanup(cancel)

	do(chromedp.WaitVisible(`[data-test=ticket-row]`))
	expect(`[data-test=ticket-row]`, "kind <owl>")
	do(chromedp.Focus(`[data-test=ticket-row]`), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(`[data-test=article]`))
	expect(`[data-test=article] .body`, "Hallo <b>du</b>")
	do(chromedp.Focus(`#language`), chromedp.SendKeys(`#language`, "English"))
	expect(`[data-test=reply-kind]`, "Public")
	do(chromedp.SendKeys(`[data-test=reply-text]`, "a public <answer>\nline 2"),
		chromedp.Focus(`[data-test=reply-send]`), chromedp.KeyEvent(kb.Enter),
		chromedp.WaitVisible(`[data-test=article][data-internal=false]:nth-child(2)`))
	do(chromedp.Focus(`[data-test=reply-public]`), chromedp.KeyEvent(" "),
		chromedp.SendKeys(`[data-test=reply-text]`, "only for us"), chromedp.Click(`[data-test=reply-send]`),
		chromedp.WaitVisible(`[data-test=article][data-internal=true]:nth-child(3)`))
	expect(`[data-test=reply-kind]`, "Internal")
	do(chromedp.Click(`[data-test=article]:nth-child(3) [data-test=article-delete]`),
		chromedp.WaitVisible(`[data-test=confirm-yes]`), chromedp.Click(`[data-test=confirm-yes]`),
		chromedp.WaitNotPresent(`[data-test=article]:nth-child(3)`))
	do(chromedp.Click(`[data-test=close]`), chromedp.WaitVisible(`[data-test=reopen]`))
	expect(`[data-test=ticket-state]`, "closed")
	articles := w.articles(ticket)
	if len(articles) != 2 || articles[1]["body"] != "a public &lt;answer&gt;<br>line 2" {
		t.Errorf("articles after the visit: %v", articles)
	}
}

func TestDeskPageAllowsNoForeignSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	for _, path := range []string{"/desk/", "/desk/desk.js", "/desk/texts.js", "/desk/desk.css"} {
		resp, err := http.Get(w.server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 || !strings.Contains(resp.Header.Get("Content-Security-Policy"), "script-src 'self'") {
			t.Errorf("%s: %d, policy %q", path, resp.StatusCode, resp.Header.Get("Content-Security-Policy"))
		}
	}
}
