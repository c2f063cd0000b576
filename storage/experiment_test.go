package storage_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
	"deskbridge/gate"
	"deskbridge/storage/storagetest"
)

// Devices belong to the day and the decision of their first question; those for
// which no lot was drawn are apart; what was before or after the span is not in
// it.
func TestCohorts(t *testing.T) {
	eachWorld(t, func(w *world) {
		percentage := 29.0 // as a fraction, 0.29 times 100 is less than 29
		tell := func(region *bridge.Region, d string, hours int, served bool, reason gate.Reason) {
			at := start.Add(time.Duration(hours) * time.Hour)
			w.ok(w.RecordExposures(w.ctx, []bridge.Exposure{{
				Region: region.ID, Device: device(d), Day: at.Format(time.DateOnly), Served: served, Reason: reason, At: at, Percentage: percentage,
			}}))
		}
		other := w.addRegion("fulda", "https://other.example.test")
		tell(w.region, "before", -24, true, gate.ReasonBucket)
		tell(w.region, "before", 1, true, gate.ReasonBucket)
		tell(w.region, "in", 0, true, gate.ReasonBucket)
		tell(w.region, "quiet", 0, true, gate.ReasonBucket)
		tell(w.region, "out", 0, false, gate.ReasonBucket)
		percentage = 0.07
		tell(w.region, "out", 24, true, gate.ReasonBucket) // the share was raised meanwhile
		tell(w.region, "tester", 0, true, gate.ReasonOverride)
		tell(w.region, "late", 24, false, gate.ReasonBucket)
		tell(w.region, "after", 48, true, gate.ReasonBucket)
		tell(other, "in", 0, false, gate.ReasonBucket)

		article := bridge.ArticleID(0)
		say := func(d string, minutes int, ticket bridge.TicketID) {
			w.now = start.Add(time.Duration(minutes) * time.Minute)
			w.send(d, "text")
			w.deliver(ticket, &article)
		}
		say("in", 10, 1)
		say("in", 20, 1)
		say("before", 70, 2)
		say("tester", 80, 3)
		w.now = start.Add(100 * time.Minute)
		w.reply(1, w.agent(100, 1, "an answer"))
		s := w.submission("in", "a second chat")
		s.ForceNew = true
		_, err := w.Accept(w.ctx, s)
		w.ok(err)
		w.deliver(4, &article)
		say("out", 25*60, 5)
		w.reply(4, w.agent(150, 4, "late, but an answer"))
		say("in", 49*60, 4) // after the span

		got, err := w.Cohorts(w.ctx, w.region.ID, start, start.Add(48*time.Hour))
		w.ok(err)
		want := []bridge.Cohort{
			{
				Day: "2026-11-23", Apart: 1,
				Served: bridge.Arm{
					Asked: 2, Opened: 1, Messages: 3, Chats: 2, Answered: 2,
					FirstAnswers: []time.Duration{90 * time.Minute, 25*time.Hour - 100*time.Minute - time.Millisecond},
				},
				Unserved: bridge.Arm{Asked: 1, Opened: 1, Messages: 1, Chats: 1},
				Drawn:    []bridge.Drawn{{Percentage: 29, In: 2, Of: 3}},
			},
			{Day: "2026-11-24", Unserved: bridge.Arm{Asked: 1}, Drawn: []bridge.Drawn{{Percentage: 0.07, Of: 1}}},
		}
		if d := cmp.Diff(want, got); d != "" {
			w.Fatal(d)
		}
		none, err := w.Cohorts(w.ctx, w.region.ID, start.AddDate(1, 0, 0), start.AddDate(2, 0, 0))
		w.ok(err)
		equal(w, "days of another year", len(none), 0)
	})
}

// A device counts with the percentage by which it was drawn when it asked first:
// also if it changed within the day, and later by a plan. Where an earlier version
// told the device, nothing is made up.
func TestCohortsKnowThePercentageOfTheirTime(t *testing.T) {
	storagetest.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(t, storagetest.OpenURL(t, url))
		told := func(name string, hours int, percentage float64, served bool) bridge.Exposure {
			at := start.Add(time.Duration(hours) * time.Hour)
			return bridge.Exposure{Region: w.region.ID, Device: device(name), Day: at.Format(time.DateOnly), Served: served, Reason: gate.ReasonBucket, At: at, Percentage: percentage}
		}
		w.ok(w.RecordExposures(w.ctx, []bridge.Exposure{
			told("old", 0, 0, true),
			told("a", 1, 12.5, true), told("b", 2, 12.5, false), told("c", 3, 12.5, false),
			told("d", 4, 50, true), told("e", 5, 50, false),
			told("b", 25, 100, true), // was told before
			told("f", 26, 100, true),
		}))
		old := device("old")
		if _, err := raw(t, url).Exec("UPDATE exposures SET percentage = NULL WHERE device_hash = ?", old[:]); err != nil {
			t.Fatal(err)
		}
		got, err := w.Cohorts(w.ctx, w.region.ID, start, start.Add(48*time.Hour))
		w.ok(err)
		want := []bridge.Cohort{
			{
				Day: "2026-11-23", Served: bridge.Arm{Asked: 3}, Unserved: bridge.Arm{Asked: 3},
				Drawn: []bridge.Drawn{{Percentage: 12.5, In: 1, Of: 3}, {Percentage: 50, In: 1, Of: 2}},
			},
			{Day: "2026-11-24", Served: bridge.Arm{Asked: 1}, Drawn: []bridge.Drawn{{Percentage: 100, In: 1, Of: 1}}},
		}
		if d := cmp.Diff(want, got); d != "" {
			w.Fatal(d)
		}
	})
}
