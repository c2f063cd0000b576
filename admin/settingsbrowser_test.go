package admin_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"deskbridge/bridge"
	"deskbridge/browsertest"
	"deskbridge/staff"
)

// TestOpeningHoursInABrowser: an admin with a phone says that nobody is there and
// what the app shall say, and a device reads it over its API.
func TestOpeningHoursInABrowser(t *testing.T) {
	w := oneWorld(t)
	w.connect(w.north, func(s *bridge.RegionSettings) { s.Percentage = 100 })
	phone := w.stranger()
	const chat = "/api/v3/north/de/chat/a-phone-of-a-test/"
	phone.do(http.MethodPost, chat, url.Values{"message": {"Hallo"}}, nil).is(http.StatusOK)
	away := func() string {
		t.Helper()
		var state struct {
			Chat struct {
				Away string `json:"away"`
			} `json:"chat"`
		}
		if err := json.Unmarshal([]byte(phone.get(chat).is(http.StatusOK).body), &state); err != nil {
			t.Fatal(err)
		}
		return state.Chat.Away
	}
	if text := away(); text != "" {
		t.Fatalf("away before anything was set: %q", text)
	}
	p := w.gateTab(w.person("hanna", staff.RegionAdmin, w.north))
	narrow := func(name string) {
		t.Helper()
		if !p.Is(`document.documentElement.scrollWidth <= innerWidth`) {
			t.Errorf("%s is wider than a phone", name)
		}
		p.Pictures(name)
	}
	p.Do(chromedp.Navigate(w.origin + northSettings))
	narrow("settings")
	p.Do(chromedp.Click(browsertest.Inside(`a[href$="settings/hours/"]`)))
	p.Shows("h1", "Opening hours")
	for id, keys := range map[string]string{"f-reception.time_zone": "Europe/Berlin", "f-day.mo": "8-12"} {
		p.Do(chromedp.Evaluate[chromedp.Void](`document.getElementById("` + id + `").focus()`))
		p.Press(keys)
	}
	p.Enter()
	p.Shows(".problem", "Not saved yet")
	p.Shows(".wrong .error", "cannot be understood")
	narrow("settings-wrong")
	if !p.Is(`document.getElementById("f-day.mo").value === "8-12" && document.getElementById("f-reception.time_zone").value === "Europe/Berlin"`) {
		t.Error("what was typed is gone")
	}
	p.Do(chromedp.Evaluate[chromedp.Void](`document.getElementById("f-day.mo").select()`))
	p.Do(chromedp.Evaluate[chromedp.Void](`document.getElementById("f-day.mo").focus()`))
	p.Press("08:00-12:00, 13:00-17:00")
	p.Do(chromedp.Evaluate[chromedp.Void](`document.getElementById("f-reception.away_now").click()`))
	p.Do(chromedp.Click(browsertest.Inside("main form .actions button")))
	p.Shows("[role=status]", "Saved.")
	documented(p, "hours", 740, 1280)

	p.Do(chromedp.Navigate(w.origin + northSettings + "texts/"))
	p.Do(chromedp.Evaluate[chromedp.Void](`document.getElementById("f-reception.texts.de.away").focus()`))
	p.Press("Wir sind morgen wieder da <b>!</b>")
	p.Do(chromedp.Click(browsertest.Inside("button[name=preview]")))
	p.Shows("section.card p", "Wir sind morgen wieder da <b>!</b>")
	if text := away(); text == "" || strings.Contains(text, "morgen") {
		t.Errorf("the preview was saved, or nobody is away: %q", text)
	}
	p.Do(chromedp.Click(browsertest.Inside("main form .actions button")))
	p.Shows("[role=status]", "Saved.")
	narrow("settings-texts")
	if text := away(); text != "Wir sind morgen wieder da <b>!</b>" {
		t.Errorf("the device reads %q", text)
	}
	if hours := w.kept(w.north).Settings.Reception.Hours; len(hours) != 2 || hours[1].String() != "mo 13:00-17:00" {
		t.Errorf("%v", hours)
	}
}
