package bridge_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/gate"
	"deskbridge/reception"
	"deskbridge/storage/storagetest"
)

// TestWhyInWords reads what an admin reads, step by step, of a device in a real store.
func TestWhyInWords(t *testing.T) {
	t.Parallel()
	store := storagetest.Open(t)
	berlin, err := reception.ParseZone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	r := served(50, step(24, 60), step(48, 100))
	r.Settings.Reception.Zone = berlin
	r.Settings.GateLanguages, r.Settings.MinAppVersion = []string{"de", "en"}, "2026.8"
	anna := bridge.WithActor(t.Context(), bridge.Actor{Kind: bridge.ActorPerson, Name: "anna"})
	if err := store.AddRegion(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	r.Settings.Ramp = []bridge.RampStep{step(24, 60), step(48, 100)} // which the store settles by the real clock
	r.Settings.Percentage = 50
	r.Salt = "salt" // of the draw that is told below
	hash := func(b byte) bridge.DeviceHash { return bridge.DeviceHash{b} }
	high, low := byte(0), byte(0) // devices that 50 % do not reach, and do
	for b := byte(1); high == 0 || low == 0; b++ {
		if gate.Bucket("salt", hash(b)) >= 6000 {
			high = b
		} else if gate.Bucket("salt", hash(b)) < 5000 {
			low = b
		}
	}
	why := func(device byte, language, version string) bridge.Why {
		t.Helper()
		w, err := bridge.AskWhy(t.Context(), store, r, hash(device), language, version, monday)
		if err != nil {
			t.Fatal(err)
		}
		if d, err := bridge.Decide(t.Context(), store, r, hash(device), language, version, monday); err != nil || d != w.Decision {
			t.Fatalf("why says %+v, the gate %+v, %v", w.Decision, d, err)
		}
		return w
	}
	check := func(w bridge.Why, reason gate.Reason, wants ...string) {
		t.Helper()
		if w.Decision.Reason != reason {
			t.Errorf("decided by %s, want %s", w.Decision.Reason, reason)
		}
		var all string
		for _, language := range []string{"de", "en"} {
			for _, step := range w.Steps {
				text := w.Say(step, language)
				if (text == "") != (step.Verdict == gate.NotAsked && step.Reason != gate.ReasonBucket) || strings.Contains(text, "%!") {
					t.Errorf("%+v in %s: %q", step, language, text)
				}
				all += text + "\n"
			}
		}
		for _, want := range wants {
			if !strings.Contains(all, want) {
				t.Errorf("no %q in\n%s", want, all)
			}
		}
	}
	check(why(high, "de", "2026.9"), gate.ReasonBucket, "The region's chat is switched on.", "Für dieses Gerät hat niemand etwas festgelegt.",
		"The version 2026.9 of the app is new enough (at least 2026.8).", "Die Sprache de wird bedient (de, en).", "now it is 50 %: out. By the plan it is in from 2 December 2026, 09:00 CET on.", "nicht dabei. Nach dem Plan ist es ab 02.12.2026, 09:00 CET dabei.")
	check(why(low, "", "x"), gate.ReasonBucket, "told no version that can be read", "Die Frage nannte keine Sprache", "jetzt sind es 50 %: dabei.")
	check(why(low, "ar", ""), gate.ReasonLanguage, "The language ar is not one that is served (de, en).", "Wird nicht mehr gefragt. Bei der Auslosung")
	check(why(low, "ar", "2026.7"), gate.ReasonAppVersion, "Die Version 2026.7 der App ist älter als 2026.8")
	set := func(ctx context.Context, device byte, o gate.Override, until time.Time) {
		t.Helper()
		if err := store.SetTesters(ctx, r.ID, bridge.Tester{Device: hash(device), Override: o, SetAt: monday, ExpiresAt: until}); err != nil {
			t.Fatal(err)
		}
	}
	set(anna, high, gate.OverrideIn, monday.Add(time.Hour))
	set(t.Context(), low, gate.OverrideOut, time.Time{})
	check(why(high, "de", ""), gate.ReasonOverride, "anna took this device in on 30 November 2026, 09:00 CET, until 30 November 2026, 10:00 CET.", "anna hat dieses Gerät am 30.11.2026, 09:00 CET hereingenommen, bis 30.11.2026, 10:00 CET.", "Not asked any more. In the draw")
	check(why(low, "de", ""), gate.ReasonOverride, "deskbridge kept this device out on 30 November 2026, 09:00 CET, without an end.")
	chatting := bridge.Submission{Region: r, Device: hash(9), Language: "de", UUID: "u", Text: "hello", Alias: "alias", Admit: func(bridge.Standing) bool { return true }, Now: monday}
	if _, err := store.Accept(t.Context(), chatting); err != nil {
		t.Fatal(err)
	}
	check(why(9, "ar", "1"), gate.ReasonRunningChat, "Ein Gespräch wird nie abgebrochen.")
	chatting.Device, chatting.UUID, chatting.Alias, chatting.Now = hash(10), "v", "other", monday.Add(-r.Retention())
	if _, err := store.Accept(t.Context(), chatting); err != nil {
		t.Fatal(err)
	}
	check(why(10, "ar", "1"), gate.ReasonSticky, "has opened a chat here before, and keeps it")
	r.Enabled = false
	w := why(high, "de", "")
	check(w, gate.ReasonRegionOff, "nobody gets the chat", "Niemand bekommt den Chat")
	if slices.ContainsFunc(w.Steps, func(s gate.Step) bool { return s.Verdict == gate.Passed }) {
		t.Errorf("%+v", w.Steps)
	}
}
