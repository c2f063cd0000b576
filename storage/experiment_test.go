package storage_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
	"deskbridge/gate"
)

// Devices belong to the day and the decision of their first question; those for
// which no lot was drawn are apart; what was before or after the span is not in
// it.
func TestCohorts(t *testing.T) {
	eachWorld(t, func(w *world) {
		tell := func(region *bridge.Region, d string, hours int, served bool, reason gate.Reason) {
			at := start.Add(time.Duration(hours) * time.Hour)
			w.ok(w.RecordExposures(w.ctx, []bridge.Exposure{{Region: region.ID, Device: device(d), Day: at.Format(time.DateOnly), Served: served, Reason: reason, At: at}}))
		}
		other := w.addRegion("fulda", "https://other.example.test")
		tell(w.region, "before", -24, true, gate.ReasonBucket)
		tell(w.region, "before", 1, true, gate.ReasonBucket)
		tell(w.region, "in", 0, true, gate.ReasonBucket)
		tell(w.region, "quiet", 0, true, gate.ReasonBucket)
		tell(w.region, "out", 0, false, gate.ReasonBucket)
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
			},
			{Day: "2026-11-24", Unserved: bridge.Arm{Asked: 1}},
		}
		if d := cmp.Diff(want, got); d != "" {
			w.Fatal(d)
		}
		none, err := w.Cohorts(w.ctx, w.region.ID, start.AddDate(1, 0, 0), start.AddDate(2, 0, 0))
		w.ok(err)
		equal(w, "days of another year", len(none), 0)
	})
}
