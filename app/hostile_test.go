package app

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"deskbridge/bridge"
	"deskbridge/gate"
	"deskbridge/zammad"
)

// hostileTexts are what people and their devices may send, and what the door
// makes of it.
func hostileTexts(t *testing.T) (sent, want []string) {
	t.Helper()
	raw, err := os.ReadFile("../zammad/desk/testdata/hostile_texts.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Text   string
		Repeat int
		Clean  *string
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 60 {
		t.Fatalf("only %d texts", len(all))
	}
	for _, h := range all {
		text := strings.Repeat(h.Text, max(1, h.Repeat))
		sent = append(sent, text)
		if h.Clean != nil {
			text = *h.Clean
		}
		want = append(want, text)
	}
	return sent, want
}

// Whatever is written on one side is read on the other, character for character.
func TestHostileTextsGoFromDeviceToZammadAndBack(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		sent, want := hostileTexts(t)
		p := w.phone("phone-1")
		for _, text := range sent {
			p.send(text)
		}
		var articles []zammad.Article
		waitFor(t, func() (err error) {
			if articles, err = w.admin.Articles.OfTicket(t.Context(), w.ticket(1).ID); err == nil && len(articles) < len(want) {
				err = fmt.Errorf("%d of %d messages are in Zammad", len(articles), len(want))
			}
			return err
		})
		history := p.read().Messages
		for i, text := range want {
			if got := history[i].Text; got != text {
				t.Errorf("on the device %q became %q", text, got)
			}
			if shown := html.UnescapeString(strings.ReplaceAll(articles[i].Body, "<br>", "\n")); !sameButForLinks(shown, text) {
				t.Errorf("in Zammad %q became %q", text, articles[i].Body)
			}
		}
	})
}

// sameButForLinks compares texts, of which Zammad may have made addresses of web
// pages to links.
func sameButForLinks(shown, text string) bool {
	return shown == text || strings.Contains(text, "://") && strings.Contains(shown, "<a href=")
}

func TestHostileTextsGoFromAgentToDevice(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		_, want := hostileTexts(t)
		// Zammad cuts and folds some of them itself, in plain text as a person types it.
		want = slices.DeleteFunc(want, func(text string) bool { return strings.TrimSpace(text) != text || strings.ContainsRune(text, '\r') })
		p := w.phone("phone-1")
		p.send("question")
		ticket := w.ticket(1).ID
		for _, text := range want {
			w.answer(ticket, text, false)
		}
		waitFor(t, func() error {
			if n := len(p.read().Messages) - 1; n != len(want) {
				return fmt.Errorf("%d of %d answers are on the device", n, len(want))
			}
			return nil
		})
		for i, m := range p.read().Messages[1:] {
			if m.Text != want[i] {
				t.Errorf("%q became %q", want[i], m.Text)
			}
			if lower := strings.ToLower(m.Content); strings.Contains(lower, "<script") || strings.Contains(lower, "<iframe") || strings.Contains(lower, "<img") {
				t.Errorf("%q is shown as %q", want[i], m.Content)
			}
		}
	})
}

// What an admin says of a device holds at once on a running instance.
func TestTestersAndPercentageHoldAtOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		a, ctx := w.bridge.app, t.Context()
		region, _ := a.Regions.BySlug(demoRegion)
		none := *region
		none.Settings.Percentage = 0
		if err := a.Store.SaveRegion(ctx, &none); err != nil {
			t.Fatal(err)
		}
		message := url.Values{"message": {"hello"}}
		waitFor(t, func() error { // the regions are read again every second
			if r, _ := a.Regions.BySlug(demoRegion); r.Settings.Percentage != 0 {
				return fmt.Errorf("still %g %%", r.Settings.Percentage)
			}
			return nil
		})
		p := w.phone("tester")
		if status, state := p.do(http.MethodPost, "de", "", message); status != http.StatusForbidden || state.Code != "device_not_served" {
			t.Fatalf("at 0 %%: %d %s", status, state.Code)
		}
		set := func(device string, o gate.Override) {
			t.Helper()
			if err := a.Store.SetTesters(ctx, region.ID, bridge.Tester{Device: a.Hasher.Hash(device), Override: o, SetAt: a.now()}); err != nil {
				t.Fatal(err)
			}
		}
		set("tester", gate.OverrideIn)
		if status, state := p.do(http.MethodPost, "de", "", message); status != http.StatusOK {
			t.Fatalf("as a tester: %d %s", status, state.Code)
		}
		set("tester", gate.OverrideNone)
		if status, _ := p.do(http.MethodPost, "de", "", url.Values{"message": {"again"}}); status != http.StatusOK {
			t.Fatalf("a running chat was cut: %d", status)
		}
		decision, err := bridge.Decide(ctx, a.Store, &none, a.Hasher.Hash("tester"), "de", "", a.now())
		if err != nil || !decision.Served || decision.Reason != gate.ReasonRunningChat {
			t.Fatalf("decision %+v, %v", decision, err)
		}
	})
}
