package admin_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"deskbridge/browsertest"
	"deskbridge/staff"
)

// TestSettingAlerts is what docs/admin.md walks through: an admin says who shall
// hear of it when somebody waits, and tries it.
func TestSettingAlerts(t *testing.T) {
	w := oneWorld(t, "DESKBRIDGE_EGRESS_ALLOW=127.0.0.1")
	address, got := hooks(t)
	p := w.gateTab(w.person("nora", staff.RegionAdmin, w.north))
	p.Do(chromedp.Navigate(w.origin + northAlerts))
	p.TabTo("#f-emails")
	p.Press("team@town.example")
	p.TabTo("#f-webhook_url")
	p.Press(address + "/hook")
	p.TabTo("#f-webhook_secret")
	p.Press("hunter2")
	p.Do(chromedp.Evaluate[chromedp.Void](`one("#f-minutes").value = "30"`))
	p.Enter()
	p.Shows("[role=status]", "Saved.")
	p.Do(chromedp.Click(browsertest.Inside(`form[action$="alerts/test/"] button`)))
	p.Shows("section[role=status] li", "Webhook: has arrived")
	if got.Load() != 1 || p.Is(`document.documentElement.outerHTML.includes("hunter2")`) {
		t.Errorf("%d test notices, or the key stands on the page", got.Load())
	}
	// Every field has its label, for those who hear the page.
	if p.Is(`[...document.querySelectorAll("main input:not([type=hidden]), main select, main textarea")].some(f => !f.labels || f.labels.length === 0)`) {
		t.Error("a field has no label")
	}
	documented(p, "alerts", 820, 1500)
}
