// Package browsertest lets tests act as people in front of a real Chromium.
package browsertest

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Chromium finds the browser, or skips the test where there is none.
func Chromium(t *testing.T) string {
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

// New starts Chromium with a profile of its own.
func New(t *testing.T) context.Context {
	t.Helper()
	path := Chromium(t)
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

// Person is somebody with a browser profile of their own.
func Person(t *testing.T, browser context.Context) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// Tab is an open page.
type Tab struct {
	T   *testing.T
	Ctx context.Context
}

// NewTab opens a tab whose page has all, one and focused, which look into the
// widget where there is one, and which at its end must have had no script errors and no
// violation of the content security policy.
func NewTab(t *testing.T, person context.Context) Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(person)
	t.Cleanup(cancel)
	p := Tab{t, ctx}
	p.Do(chromedp.EmulateViewport(390, 844))
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

// Do does steps.
func (p Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	p.T.Helper()
	if err := chromedp.Do(p.Ctx, steps...); err != nil {
		p.T.Fatal(err)
	}
}

// Is evaluates a condition in the page.
func (p Tab) Is(condition string) bool {
	p.T.Helper()
	yes, err := chromedp.Run(p.Ctx, chromedp.Evaluate[bool]("Boolean("+condition+")"))
	if err != nil {
		p.T.Fatalf("%s: %v", condition, err)
	}
	return yes
}

// Read evaluates an expression that gives text.
func (p Tab) Read(expression string) string {
	p.T.Helper()
	text, err := chromedp.Run(p.Ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		p.T.Fatalf("%s: %v", expression, err)
	}
	return text
}

// Wait waits until a condition holds in the page, for at most 20 s.
func (p Tab) Wait(condition string) {
	p.T.Helper()
	deadline := time.After(20 * time.Second)
	for !p.Is(condition) {
		select {
		case <-deadline:
			p.T.Fatalf("still not after 20 s: %s\nthe page says:\n%s", condition, p.Read(`document.body.innerText + "\n" + (one(".panel")?.innerText ?? "")`))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Shows waits for text inside of what the selector finds.
func (p Tab) Shows(selector, text string) {
	p.T.Helper()
	p.Wait(`all(` + Quote(selector) + `).some((e) => e.innerText.includes(` + Quote(text) + `))`)
}

// Count counts what the selector finds that has the text.
func (p Tab) Count(selector, text string) string {
	p.T.Helper()
	return p.Read(`all(` + Quote(selector) + `).filter((e) => e.innerText.includes(` + Quote(text) + `)).length`)
}

// Inside finds an element of the widget, or of a page without one.
func Inside(selector string) chromedp.JSPath {
	return chromedp.JSPath(`one(` + Quote(selector) + `)`)
}

// Press types keys.
func (p Tab) Press(keys string) {
	p.T.Helper()
	p.Do(chromedp.KeyEvent(keys))
}

// Enter presses Enter as a keyboard does: the page may keep it from typing.
func (p Tab) Enter() {
	p.T.Helper()
	for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
		key := input.DispatchKeyEventParams{Type: kind, Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13}
		if kind == input.DispatchKeyEventTypeKeyDown {
			key.Text = "\r"
		}
		if _, err := chromedp.Call(p.Ctx, input.DispatchKeyEvent, key); err != nil {
			p.T.Fatal(err)
		}
	}
}

// TabTo presses Tab until the focus is on what the selector finds, and looks
// whether the focus is visible.
func (p Tab) TabTo(selector string) {
	p.T.Helper()
	for range 60 {
		if p.Is(`focused().matches(` + Quote(selector) + `)`) {
			if p.Is(`getComputedStyle(focused()).outlineStyle === "none"`) {
				p.T.Errorf("the focus on %s cannot be seen", selector)
			}
			return
		}
		p.Press(kb.Tab)
	}
	p.T.Fatalf("60 times Tab does not reach %s", selector)
}

// Offline cuts the page's network, or mends it.
func (p Tab) Offline(cut bool) {
	p.T.Helper()
	speed := network.Conditions{DownloadThroughput: -1, UploadThroughput: -1, Offline: cut}
	if _, err := chromedp.Call(p.Ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: []*network.Conditions{&speed}}); err != nil {
		p.T.Fatal(err)
	}
	if _, err := chromedp.Call(p.Ctx, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: cut, DownloadThroughput: -1, UploadThroughput: -1}); err != nil {
		p.T.Fatal(err)
	}
}

// Dark switches between the light and the dark colours.
func (p Tab) Dark(on bool) {
	p.T.Helper()
	value := map[bool]string{true: "dark", false: "light"}[on]
	_, err := chromedp.Call(p.Ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
	})
	if err != nil {
		p.T.Fatal(err)
	}
}

// Picture writes a screenshot where somebody wants to look at it.
func (p Tab) Picture(name string) {
	p.T.Helper()
	folder := os.Getenv("DESKBRIDGE_TEST_SCREENSHOTS")
	if folder == "" {
		return
	}
	png, err := chromedp.Run(p.Ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name+".png"), png, 0o600)
	}
	if err != nil {
		p.T.Error(err)
	}
}

// Pictures takes the page in all its looks.
func (p Tab) Pictures(name string) {
	p.T.Helper()
	if os.Getenv("DESKBRIDGE_TEST_SCREENSHOTS") == "" {
		return
	}
	for _, dark := range []bool{false, true} {
		p.Dark(dark)
		look := map[bool]string{false: "-light", true: "-dark"}[dark]
		p.Do(chromedp.EmulateViewport(1280, 800))
		p.Picture(name + "-desktop" + look)
		p.Do(chromedp.EmulateViewport(390, 844))
		p.Picture(name + "-phone" + look)
	}
	p.Dark(false)
}

// Quote gives text as a string of JavaScript.
func Quote(text string) string {
	quoted, _ := json.Marshal(text) // a string can always be encoded
	return string(quoted)
}
