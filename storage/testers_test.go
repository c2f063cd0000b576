package storage_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
	"deskbridge/gate"
	"deskbridge/storage/storagetest"
)

// set stores overrides on behalf of anna.
func (w *world) set(t ...bridge.Tester) {
	w.Helper()
	ctx := bridge.WithActor(w.ctx, bridge.Actor{Kind: bridge.ActorPerson, ID: 7, Name: "anna"})
	for i := range t {
		t[i].SetAt = w.now
	}
	w.ok(w.SetTesters(ctx, w.region.ID, t...))
}

// testers lists all overrides of the region as "override by until note".
func (w *world) testers() []string {
	w.Helper()
	page, err := w.Testers(w.ctx, bridge.TesterQuery{Region: w.region.ID, Now: w.now, Limit: 100})
	w.ok(err)
	var all []string
	for _, t := range page {
		until := "ever"
		if !t.ExpiresAt.IsZero() {
			until = t.ExpiresAt.Sub(start).String()
		}
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", t.Override, t.SetBy, until, t.Note)))
	}
	return all
}

// audited lists what the audit has of the region, the newest first.
func (w *world) audited(action string) []string {
	w.Helper()
	entries, err := w.Audit(w.ctx, bridge.AuditQuery{Regions: []bridge.RegionID{w.region.ID}, Action: action, Limit: 1000})
	w.ok(err)
	var all []string
	for _, e := range entries {
		text := fmt.Sprintf("%s %s %s:", e.Actor.Name, e.Action, e.Subject)
		for _, c := range e.Changes {
			text += fmt.Sprintf(" %s %q>%q", c.Field, c.From, c.To)
		}
		all = append(all, text)
	}
	return all
}

func (w *world) same(what string, got, want []string) {
	w.Helper()
	if d := cmp.Diff(want, got); d != "" {
		w.Fatalf("%s: %s", what, d)
	}
}

func TestOverridesAreKeptWithTheirStory(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.set(bridge.Tester{Device: device("a"), Override: gate.OverrideIn, ExpiresAt: w.now.Add(time.Hour), Note: "Öffnung <b>"})
		w.tick()
		w.set(bridge.Tester{Device: device("b"), Override: gate.OverrideOut})
		w.same("testers", w.testers(), []string{"out anna ever", "in anna 1h0m0s Öffnung <b>"})
		export, err := w.Export(w.ctx, w.region, device("a")) // all of it is the user's to know
		w.ok(err)
		if t := export.Tester; t == nil || t.Note != "Öffnung <b>" || !t.ExpiresAt.Equal(start.Add(time.Hour)) {
			w.Fatalf("%+v", export.Tester)
		}
		first, err := w.Tester(w.ctx, w.region.ID, device("a"), w.now)
		w.ok(err)
		w.set(bridge.Tester{Device: device("a"), Override: gate.OverrideOut})
		w.same("testers", w.testers(), []string{"out anna ever", "out anna ever"})
		// A page from before cannot take back what was set since.
		w.wants(w.ClearTester(w.ctx, w.region.ID, first.ID), bridge.ErrTesterUnknown)
		second, err := w.Tester(w.ctx, w.region.ID, device("a"), w.now)
		w.ok(err)
		if second.Device != device("a") || !second.SetAt.Equal(w.now) {
			w.Fatalf("%+v", second)
		}
		other := w.addRegion("munich", "https://zammad.example.test")
		w.wants(w.ClearTester(w.ctx, other.ID, second.ID), bridge.ErrTesterUnknown)
		_, err = w.Tester(w.ctx, other.ID, device("a"), w.now)
		w.wants(err, bridge.ErrTesterUnknown)
		w.ok(w.ClearTester(w.ctx, w.region.ID, second.ID))
		w.set(bridge.Tester{Device: device("b")})
		w.set(bridge.Tester{Device: device("b")}) // nothing changes: nothing to note
		w.same("testers", w.testers(), nil)
		w.same("audit", w.audited("tester."), []string{
			`anna tester.clear a device: override "out">""`,
			`deskbridge tester.clear a device: override "out">""`,
			`anna tester.set a device: override "in">"out" expires_at "2026-11-23T09:00:00Z">"" note "set">""`,
			`anna tester.set a device: override "">"out"`,
			`anna tester.set a device: override "">"in" expires_at "">"2026-11-23T09:00:00Z" note "">"set"`,
		})
	})
}

func TestEndedOverridesCountAsNone(t *testing.T) {
	eachWorld(t, func(w *world) {
		ends := w.now.Add(time.Minute)
		w.set(bridge.Tester{Device: device("a"), Override: gate.OverrideIn, ExpiresAt: ends},
			bridge.Tester{Device: device("b"), Override: gate.OverrideOut})
		told := func(at time.Time) (asked, accepted gate.Override) {
			w.Helper()
			standing, err := w.Standing(w.ctx, w.region, device("a"), at)
			w.ok(err)
			s := w.submission("a", "hello")
			s.Now = at
			s.Admit = func(st bridge.Standing) bool { accepted = st.Override; return false }
			_, err = w.Accept(w.ctx, s)
			w.wants(err, bridge.ErrNotServed)
			return standing.Override, accepted
		}
		for at, want := range map[time.Time]gate.Override{w.now: gate.OverrideIn, ends.Add(-time.Millisecond): gate.OverrideIn, ends: gate.OverrideNone, ends.Add(time.Hour): gate.OverrideNone} {
			if asked, accepted := told(at); asked != want || accepted != want {
				w.Errorf("%s after the start: asked %q, accepted with %q, want %q", at.Sub(start), asked, accepted, want)
			}
		}
		prune := func(at time.Time, dry bool) int {
			w.Helper()
			counts, _, err := w.Prune(w.ctx, bridge.PruneCutoffs{Expired: at}, dry)
			w.ok(err)
			return counts["testers"]
		}
		equal(w, "pruned before the end", prune(ends.Add(-time.Second), false), 0)
		w.now = ends
		w.same("testers", w.testers(), []string{"out anna ever"})
		_, err := w.Tester(w.ctx, w.region.ID, device("a"), ends)
		w.wants(err, bridge.ErrTesterUnknown)
		equal(w, "dry run", prune(ends.Add(time.Second), true), 1)
		equal(w, "pruned", prune(ends.Add(time.Second), false), 1)
		equal(w, "pruned again", prune(ends.Add(time.Second), false), 0)
		w.same("testers", w.testers(), []string{"out anna ever"})
		w.set(bridge.Tester{Device: device("a"), Override: gate.OverrideOut})
		w.same("audit", w.audited("tester.")[:1], []string{`anna tester.set a device: override "">"out"`})
	})
}

func TestManyOverridesAtOnceAreAllOrNone(t *testing.T) {
	eachWorld(t, func(w *world) {
		many := make([]bridge.Tester, 1000)
		for i := range many {
			many[i] = bridge.Tester{Device: device(fmt.Sprint(i)), Override: gate.OverrideIn, Note: "first"}
		}
		w.set(many...)
		for i := range many {
			many[i].Note = "second"
			if i%4 == 0 {
				many[i].Override = gate.OverrideNone
			}
		}
		w.set(many...)
		w.same("audit", w.audited("tester."), []string{
			`anna tester.set 1000 devices: in "">"750" draw "">"250"`, `anna tester.set 1000 devices: in "">"1000"`,
		})
		// The last of them cannot be stored: nothing of the rest is.
		for i := range many {
			many[i].Override, many[i].Note = gate.OverrideOut, "third"
		}
		many[999].Device = many[0].Device
		if err := w.SetTesters(w.ctx, w.region.ID, many...); err == nil {
			w.Fatal("a device twice was stored")
		}
		seen, pages, query := 0, 0, bridge.TesterQuery{Region: w.region.ID, Now: w.now, Limit: 300}
		for {
			page, err := w.Testers(w.ctx, query)
			w.ok(err)
			for i, one := range page {
				if one.Note != "second" || one.Override != gate.OverrideIn || i > 0 && one.ID >= page[i-1].ID {
					w.Fatalf("%+v", one)
				}
			}
			seen, pages = seen+len(page), pages+1
			if len(page) < query.Limit {
				break
			}
			query.Before = page[len(page)-1].ID
		}
		equal(w, "overrides", seen, 750)
		equal(w, "pages", pages, 3)
	})
}

// TestOverridesSetAtOnce: admins who set the same devices at once, one by one and
// by file, are all obeyed, and each device has one override.
func TestOverridesSetAtOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		const admins, devices = 6, 40
		many := make([]bridge.Tester, devices)
		for i := range many {
			many[i] = bridge.Tester{Device: device(fmt.Sprint(i)), Override: gate.OverrideIn, SetAt: w.now}
		}
		failed := make(chan error, admins)
		for n := range admins {
			go func() {
				set := slices.Clone(many)
				if n%2 == 0 {
					slices.Reverse(set)
					failed <- w.SetTesters(w.ctx, w.region.ID, set...)
					return
				}
				var errs error
				for _, one := range set[:devices/2] {
					one.Override = gate.OverrideOut
					errs = errors.Join(errs, w.SetTesters(w.ctx, w.region.ID, one))
				}
				failed <- errs
			}()
		}
		for range admins {
			w.ok(<-failed)
		}
		equal(w, "overrides", len(w.testers()), devices)
		equal(w, "imports noted", len(slices.DeleteFunc(w.audited("tester."), func(s string) bool { return !strings.Contains(s, "40 devices") })), admins/2)
	})
}

func TestKnownDevicesAreReadOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		expose := func(d, day, language, version string, at time.Time) {
			w.Helper()
			w.ok(w.RecordExposures(w.ctx, []bridge.Exposure{{Region: w.region.ID, Device: device(d), Day: day, Reason: gate.ReasonBucket, At: at, Language: language, AppVersion: version}}))
		}
		since := w.now
		expose("old", "2026-11-01", "de", "", since.Add(-time.Millisecond))
		expose("a", "2026-11-23", "de", "1.0", w.now)
		expose("a", "2026-11-24", "en", "2.0", w.tick())
		expose("b", "2026-11-23", "", "", w.tick())
		w.send("c", "hello")
		w.tick()
		w.send("a", "hello")
		w.set(bridge.Tester{Device: device("b"), Override: gate.OverrideOut, ExpiresAt: w.now.Add(time.Second)})
		other := w.addRegion("munich", "https://zammad.example.test")
		w.ok(w.RecordExposures(w.ctx, []bridge.Exposure{{Region: other.ID, Device: device("x"), Day: "2026-11-23", Reason: gate.ReasonBucket, At: w.now}}))
		known, more, err := w.KnownDevices(w.ctx, w.region, since, w.now, 10)
		w.ok(err)
		equal(w, "more", more, false)
		chatting := bridge.Standing{Running: true, Sticky: true}
		want := []bridge.KnownDevice{
			{Device: device("b"), Standing: bridge.Standing{Override: gate.OverrideOut}},
			{Device: device("a"), Standing: chatting, Language: "en", AppVersion: "2.0"},
			{Device: device("c"), Standing: chatting, Language: "de"},
		}
		if d := cmp.Diff(want, known); d != "" {
			w.Fatal(d)
		}
		// Later the override has ended, and much later the chats.
		known, _, err = w.KnownDevices(w.ctx, w.region, since, w.now.Add(w.region.Retention()), 10)
		w.ok(err)
		if known[0].Standing != (bridge.Standing{}) || known[1].Standing != (bridge.Standing{Sticky: true}) {
			w.Fatalf("%+v", known)
		}
		known, more, err = w.KnownDevices(w.ctx, w.region, since, w.now, 1)
		w.ok(err)
		if len(known) != 2 || !more { // the newest decision and the newest chat
			w.Fatalf("%d known, more %v", len(known), more)
		}
	})
}

// TestOverridesOutliveTheMigration goes the way of an installation that has
// overrides from before they had numbers.
func TestOverridesOutliveTheMigration(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(t, storagetest.OpenURL(t, url))
		d := device("a")
		// As an older process writes them, that is still running.
		if _, err := raw(t, url).Exec("INSERT INTO testers (region_id, device_hash, override, set_at) VALUES (?, ?, 'in', 1)", int64(w.region.ID), d[:]); err != nil {
			t.Fatal(err)
		}
		got, err := w.Tester(w.ctx, w.region.ID, d, w.now)
		w.ok(err)
		want := bridge.Tester{ID: got.ID, Device: d, Override: gate.OverrideIn, SetAt: time.UnixMilli(1).UTC()}
		if d := cmp.Diff(want, got); d != "" || got.ID == 0 {
			t.Fatal(d)
		}
	})
}

// TestRampsSettleInTheStore: a step that has come is the percentage, whoever reads.
func TestRampsSettleInTheStore(t *testing.T) {
	eachWorld(t, func(w *world) {
		past, future := time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond), time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
		r := *w.region
		r.Settings.Percentage = 5
		r.Settings.Ramp = []bridge.RampStep{{At: past, Percentage: 20}, {At: future, Percentage: 50}}
		w.ok(w.SaveRegion(w.ctx, &r))
		all, err := w.Regions(w.ctx)
		w.ok(err)
		for _, got := range []*bridge.Region{&r, all[0]} {
			if d := cmp.Diff([]bridge.RampStep{{At: future, Percentage: 50}}, got.Settings.Ramp); d != "" || got.Settings.Percentage != 20 {
				w.Fatalf("%g %%, %s", got.Settings.Percentage, d)
			}
		}
	})
}
