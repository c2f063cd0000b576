package bridge_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/gate"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
)

// asker is a device with what it always asks.
type asker struct {
	id                   bridge.DeviceHash
	language, appVersion string
}

// crowd is a region whose devices ask, chat and are set by admins, all by a seed.
type crowd struct {
	*testing.T
	store  *storage.Store
	region *bridge.Region
	chats  *bridge.Chats
	now    time.Time
	askers []asker
}

func newCrowd(t *testing.T, store *storage.Store, devices int) *crowd {
	t.Helper()
	w := &crowd{T: t, store: store, region: served(40), now: monday}
	w.region.Settings.Languages = []bridge.Language{{Code: "de"}, {Code: "ar"}}
	w.region.Settings = w.region.Settings.WithDefaults()
	w.must(store.AddRegion(t.Context(), w.region))
	exposures := bridge.NewExposures(store, slog.New(slog.DiscardHandler))
	w.chats = bridge.NewChats(bridge.ChatsDeps{Store: store, Publisher: nobody{}, Exposures: exposures, Wake: func() {}, Now: func() time.Time { return w.now }})
	random := rand.New(rand.NewPCG(20261130, 1))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	var overrides []bridge.Tester
	for i := range devices {
		a := asker{id: bridge.NewHasher([]byte("key")).Hash(fmt.Sprint(i)), language: pick("", "de", "de", "ar"), appVersion: pick("", "1.0", "3.0", "3.0")}
		w.askers = append(w.askers, a)
		if i%10 == 0 {
			overrides = append(overrides, bridge.Tester{Device: a.id, Override: gate.Override(pick("in", "out")), SetAt: w.now, ExpiresAt: w.now.Add(time.Duration(random.IntN(3)) * time.Hour)})
		}
	}
	for i := range overrides {
		if overrides[i].ExpiresAt.Equal(w.now) {
			overrides[i].ExpiresAt = time.Time{}
		}
	}
	w.must(store.SetTesters(t.Context(), w.region.ID, overrides...))
	for i, a := range w.askers {
		if w.ask(w.region, a).Served && i%3 == 0 {
			language := a.language
			if language == "" {
				language = "de"
			}
			_, err := w.chats.Send(t.Context(), w.region, bridge.Sending{Device: a.id, Language: language, AppVersion: a.appVersion, Text: "hello"})
			w.must(err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	w.must(exposures.Run(ended)) // stores what was noted
	w.now = w.now.Add(90 * time.Minute)
	return w
}

func (w *crowd) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// ask is what the device API does.
func (w *crowd) ask(r *bridge.Region, a asker) gate.Decision {
	w.Helper()
	d, err := w.chats.Decide(w.Context(), r, a.id, a.language, a.appVersion)
	w.must(err)
	return d
}

// TestPreviewIsWhatHappens: after a change each device gets the answer that the
// preview has counted.
func TestPreviewIsWhatHappens(t *testing.T) {
	t.Parallel()
	storagetest.Each(t, func(t *testing.T, store *storage.Store) {
		w := newCrowd(t, store, 300)
		var kept bridge.Preview
		for name, change := range map[string]func(*bridge.RegionSettings){
			"nothing":           func(*bridge.RegionSettings) {},
			"more":              func(s *bridge.RegionSettings) { s.Percentage = 70 },
			"fewer":             func(s *bridge.RegionSettings) { s.Percentage = 5 },
			"nobody":            func(s *bridge.RegionSettings) { s.Percentage = 0 },
			"only German":       func(s *bridge.RegionSettings) { s.GateLanguages = []string{"de"} },
			"new apps":          func(s *bridge.RegionSettings) { s.MinAppVersion = "2.0" },
			"all, but new apps": func(s *bridge.RegionSettings) { s.Percentage, s.MinAppVersion = 100, "2.0" },
			"a step that comes": func(s *bridge.RegionSettings) { s.Ramp = []bridge.RampStep{{At: w.now, Percentage: 90}} },
		} {
			then := *w.region
			change(&then.Settings)
			got, err := bridge.PreviewRules(t.Context(), store, w.region, w.region.GateRules(w.now), then.GateRules(w.now), w.now)
			w.must(err)
			want := bridge.Preview{Known: len(w.askers)}
			for _, a := range w.askers {
				before, after := w.ask(w.region, a), w.ask(&then, a)
				if before.Served {
					want.ServedNow++
				}
				if after.Served {
					want.ServedThen++
				}
				if after.Served && !before.Served {
					want.In++
				}
				if before.Served && !after.Served {
					want.Out++
				}
				stranger := gate.Subject{Device: a.id, Language: a.language, AppVersion: a.appVersion}
				if before.Served != after.Served || gate.Decide(w.region.GateRules(w.now), stranger).Served == gate.Decide(then.GateRules(w.now), stranger).Served {
					continue
				}
				switch after.Reason {
				case gate.ReasonOverride:
					want.KeptByOverride++
				case gate.ReasonRunningChat:
					want.KeptByChat++
				}
			}
			if got != want {
				t.Errorf("%s: the preview says\n%+v, what happens is\n%+v", name, got, want)
			}
			if name == "more" && got.Out != 0 {
				t.Errorf("a higher percentage takes the chat away from %d devices", got.Out)
			}
			kept.KeptByOverride, kept.KeptByChat, kept.In, kept.Out = max(kept.KeptByOverride, got.KeptByOverride), max(kept.KeptByChat, got.KeptByChat), max(kept.In, got.In), max(kept.Out, got.Out)
		}
		if kept.KeptByOverride == 0 || kept.KeptByChat == 0 || kept.In == 0 || kept.Out == 0 {
			t.Errorf("the crowd is too much alike to prove anything: %+v", kept)
		}
		// When all chats are over, those who had one are still served.
		w.now = w.now.Add(20 * 24 * time.Hour)
		w.region.Settings.RetentionDays = 7
		nobody := *w.region
		nobody.Settings.Percentage = 0
		got, err := bridge.PreviewRules(t.Context(), store, w.region, w.region.GateRules(w.now), nobody.GateRules(w.now), w.now)
		w.must(err)
		if got.KeptBySticky == 0 || got.KeptByChat != 0 || got.Known != len(w.askers) {
			t.Errorf("after the chats: %+v", got)
		}
		w.now = w.now.Add(20 * 24 * time.Hour)
		if got, err = bridge.PreviewRules(t.Context(), store, w.region, w.region.GateRules(w.now), nobody.GateRules(w.now), w.now); err != nil || got != (bridge.Preview{}) {
			t.Errorf("devices that were not seen for a month are counted: %+v, %v", got, err)
		}
	})
}
