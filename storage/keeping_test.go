package storage_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
	"deskbridge/gate"
	"deskbridge/storage/storagetest"
)

// agedWorld has 60 devices whose two chats are old, one device that wrote again,
// one in another region, and three of everything that goes by age, a day apart.
func agedWorld(w *world) {
	old, other := w.region, w.addRegion("fulda", "https://other.example.test")
	fill := func(d string) {
		w.send(d, "one")
		s := w.submission(d, "two")
		s.ForceNew = true
		_, err := w.Accept(w.ctx, s)
		w.ok(err)
	}
	for i := range 60 {
		fill(fmt.Sprint("gone", i))
	}
	fill("stays")
	w.region = other
	fill("elsewhere")
	w.region = old
	var article bridge.ArticleID
	w.deliver(0, &article) // sent: there are articles
	day := w.now
	for i := range 3 {
		_, err := w.StoreDelivery(w.ctx, bridge.Delivery{Region: old.ID, Key: fmt.Sprint(i), Body: []byte("{}"), Received: day})
		w.ok(err)
		w.ok(w.RecordRun(w.ctx, bridge.JobRun{Job: "prune", Started: day, Ended: day}))
		w.ok(w.RecordExposures(w.ctx, []bridge.Exposure{{Region: old.ID, Device: device(fmt.Sprint(i)), Day: "2026-11-23", At: day}}))
		w.ok(w.SetTesters(w.ctx, old.ID, bridge.Tester{Device: device(fmt.Sprint(i)), Override: gate.OverrideIn, SetAt: day, ExpiresAt: day}))
		day = day.Add(24 * time.Hour)
	}
	w.now = start.Add(48 * time.Hour)
	w.send("stays", "three")
}

func TestPruneRemovesWhatTheDryRunCounted(t *testing.T) {
	eachWorld(t, func(w *world) {
		agedWorld(w)
		old := w.region
		before := w.history("stays", 0)

		cut := start.Add(24 * time.Hour)
		cutoffs := bridge.PruneCutoffs{Regions: map[bridge.RegionID]time.Time{old.ID: cut}, Deliveries: cut, Exposures: cut, JobRuns: cut, Expired: cut}
		want := map[string]int{"alerts": 0, "chats": 121, "messages": 121, "attachments": 0, "audit": 0, "files": 0, "devices": 60, "deliveries": 1, "erasures": 0, "exposures": 1, "job_runs": 1, "sessions": 0, "staff_links": 0, "statistics": 0, "testers": 1}
		counts, changes, err := w.Prune(w.ctx, cutoffs, true)
		w.ok(err)
		if d := cmp.Diff(want, counts); d != "" {
			w.Fatalf("dry run: %s", d)
		}
		equal(w, "changes of a dry run", len(changes), 0)
		counts, changes, err = w.Prune(w.ctx, cutoffs, false)
		w.ok(err)
		if d := cmp.Diff(want, counts); d != "" {
			w.Fatalf("real run: %s", d)
		}
		removed := 0
		for _, c := range changes {
			if c.Seq == 0 {
				removed++
			} else {
				equal(w, "kept device", c.Device, device("stays"))
			}
		}
		equal(w, "removed devices", removed, 60)
		h := w.history("stays", 0)
		equal(w, "history", show(h), "user:two:sent user:three:queued")
		equal(w, "seq", h.Seq, before.Seq+1)
		_, err = w.History(w.ctx, old, device("gone1"), 0, w.now)
		w.wants(err, bridge.ErrChatNotFound)
		counts, _, err = w.Prune(w.ctx, cutoffs, false)
		w.ok(err)
		for name, n := range counts {
			equal(w, name+" of the next run", n, 0)
		}
		all, err := w.ChatCounts(w.ctx)
		w.ok(err)
		equal(w, "chats elsewhere", all[1].Chats, 2)
	})
}

func TestRemoveRegionLeavesNothing(t *testing.T) {
	eachWorld(t, func(w *world) {
		var article bridge.ArticleID
		gone, stays := w.region, w.addRegion("fulda", "https://zammad.example.test")
		for i := range 3 {
			w.send(fmt.Sprint(i), "hello")
		}
		w.deliver(0, &article)
		w.ok(w.SetTesters(w.ctx, gone.ID, bridge.Tester{Device: device("1"), Override: gate.OverrideIn, SetAt: w.now}))
		_, err := w.StoreDelivery(w.ctx, bridge.Delivery{Region: gone.ID, Key: "k", Received: w.now})
		w.ok(err)
		x := bridge.Exposure{Region: gone.ID, Device: device("1"), Day: "2026-11-23", At: w.now}
		w.ok(w.RecordExposures(w.ctx, []bridge.Exposure{x}))
		w.region = stays
		w.send("1", "in another region")
		w.ok(w.RemoveRegion(w.ctx, gone.ID))
		w.ok(w.RecordExposures(w.ctx, []bridge.Exposure{x})) // noted before the region went
		equal(w, "the other region", show(w.history("1", 0)), "user:in another region:queued")
		all, err := w.Regions(w.ctx)
		w.ok(err)
		equal(w, "regions", len(all), 1)
		seq, err := w.seq(gone.ID, device("1"))
		w.ok(err)
		equal(w, "seq", seq, 0)
	})
}

func TestRegions(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.wants(w.AddRegion(w.ctx, &bridge.Region{Slug: "augsburg"}), bridge.ErrRegionExists)
		same := w.addRegion("aachen", w.region.Settings.ZammadURL)
		equal(w, "desk of the same address", same.Desk, w.region.Desk)
		other := w.addRegion("berlin", "https://other.example.test")
		if other.Desk == same.Desk || other.Salt == same.Salt || other.Salt == "" {
			w.Fatalf("regions share what is their own: %+v %+v", other, same)
		}
		same.WebhookSecret, same.WebhookToken, same.Name = "secret", "tok", "Aachen"
		same.Settings.Percentage = 12.5
		stale := *same
		w.ok(w.SaveRegion(w.ctx, same))
		equal(w, "version", same.Version, 2)
		w.wants(w.SaveRegion(w.ctx, &stale), bridge.ErrRegionChanged)
		stale = *other
		stale.Slug = "aachen"
		w.wants(w.SaveRegion(w.ctx, &stale), bridge.ErrRegionExists)
		all, err := w.Regions(w.ctx)
		w.ok(err)
		if d := cmp.Diff([]*bridge.Region{same, w.region, other}, all); d != "" {
			w.Fatal(d)
		}
	})
}

func TestInbox(t *testing.T) {
	eachWorld(t, func(w *world) {
		d := bridge.Delivery{Region: w.region.ID, Key: "k1", Body: []byte("\x00\xff{}"), Hint: true, Received: w.now}
		stored := func(want bool) {
			w.Helper()
			got, err := w.StoreDelivery(w.ctx, d)
			w.ok(err)
			equal(w, "stored "+d.Key, got, want)
		}
		stored(true)
		stored(false)
		d.Key = "k1 " // not the same
		stored(true)
		d.Key, d.Region = "k1", w.addRegion("fulda", "").ID
		stored(true)
		until := w.now.Add(time.Minute)
		first, err := w.ClaimDeliveries(w.ctx, "c1", w.now, until, 2)
		w.ok(err)
		want := bridge.Delivery{ID: first[0].ID, Region: w.region.ID, Key: "k1", Body: d.Body, Hint: true, Received: w.now}
		if d := cmp.Diff(want, first[0]); d != "" {
			w.Fatal(d)
		}
		rest, err := w.ClaimDeliveries(w.ctx, "c2", w.now, until, 10)
		w.ok(err)
		equal(w, "claimed", len(first)*10+len(rest), 21)
		w.ok(w.FinishDelivery(w.ctx, "c1", first[0].ID, bridge.DeliveryRelayed, w.now))
		w.wants(w.FinishDelivery(w.ctx, "c1", first[0].ID, bridge.DeliveryRelayed, w.now), bridge.ErrClaimLost)
		w.wants(w.RetryDelivery(w.ctx, "c2", first[1].ID, w.now, "no"), bridge.ErrClaimLost)
		w.ok(w.RetryDelivery(w.ctx, "c1", first[1].ID, until, "down"))
		w.wants(w.FinishDelivery(w.ctx, "c2", rest[0].ID, bridge.DeliveryRelayed, until), bridge.ErrClaimLost)
		again, err := w.ClaimDeliveries(w.ctx, "c3", until, until.Add(time.Minute), 10)
		w.ok(err)
		equal(w, "claimed again", len(again), 2)
		equal(w, "attempts", again[0].Attempts, 1)
		equal(w, "attempts of the lost claim", again[1].Attempts, 0)
		d.Key, d.Region = "k1", w.region.ID
		stored(false) // finished ones are still known
	})
}

func TestRunsAndCounts(t *testing.T) {
	eachWorld(t, func(w *world) {
		runs := []bridge.JobRun{
			{Job: "prune", Instance: "i", DryRun: true, Started: w.now, Ended: w.now.Add(time.Millisecond), Counts: map[string]int{"chats": 3}},
			{Job: "reconcile", Instance: "i", Started: w.now, Ended: w.now, Error: "desk unavailable"},
		}
		for _, r := range runs {
			w.ok(w.RecordRun(w.ctx, r))
		}
		got, err := w.Runs(w.ctx, bridge.RunQuery{Limit: 10})
		w.ok(err)
		for i := range got {
			equal(w, "id", got[i].ID, int64(2-i))
			got[i].ID = 0
		}
		if d := cmp.Diff([]bridge.JobRun{runs[1], runs[0]}, got); d != "" {
			w.Fatal(d)
		}
		var article bridge.ArticleID
		w.addRegion("zwickau", "")
		w.send("a", "one")
		w.deliver(7, &article)
		w.tick()
		w.send("b", "two")
		c := w.claim()
		w.finish(c, bridge.Outcome{Work: w.start(c).ID, Failed: &bridge.Failed{Code: "refused"}})
		w.send("b", "three")
		counts, err := w.ChatCounts(w.ctx)
		w.ok(err)
		want := []bridge.ChatCounts{
			{Region: w.region.ID, Slug: "augsburg", Chats: 2, Open: 1, Messages: 3, Queued: 1, Failed: 1, OldestQueued: w.now.Add(time.Millisecond), LastMessageAt: w.now.Add(time.Millisecond)},
			{Region: counts[1].Region, Slug: "zwickau"},
		}
		if d := cmp.Diff(want, counts); d != "" {
			w.Fatal(d)
		}
	})
}

func TestExposuresAreCountedOnceADay(t *testing.T) {
	eachWorld(t, func(w *world) {
		x := bridge.Exposure{Region: w.region.ID, Device: device("a"), Day: "2026-11-23", Served: true, Reason: gate.ReasonBucket, At: w.now}
		next := x
		next.Day, next.At = "2026-11-24", w.now.Add(24*time.Hour)
		w.ok(w.RecordExposures(w.ctx, nil))
		w.ok(w.RecordExposures(w.ctx, []bridge.Exposure{x, x, next}))
		w.ok(w.RecordExposures(w.ctx, []bridge.Exposure{x}))
		counts, _, err := w.Prune(w.ctx, bridge.PruneCutoffs{Exposures: w.now.Add(48 * time.Hour)}, true)
		w.ok(err)
		equal(w, "exposures", counts["exposures"], 2)
	})
}

// What was pruned is gone from the file, not only from the tables.
func TestPrunedTextIsOverwritten(t *testing.T) {
	t.Parallel()
	url := storagetest.SQLite(t)
	w := newWorld(t, storagetest.OpenURL(t, url))
	for i := range 30 {
		w.send("a", fmt.Sprint(strings.Repeat("pruned-words ", 40*i+1)))
	}
	w.now = w.now.Add(time.Hour)
	w.send("b", "kept-words")
	_, _, err := w.Prune(w.ctx, bridge.PruneCutoffs{Regions: map[bridge.RegionID]time.Time{w.region.ID: w.now}}, false)
	w.ok(err)
	w.ok(w.Close()) // moves the log into the file
	data, err := os.ReadFile(strings.TrimPrefix(url, "sqlite:"))
	w.ok(err)
	equal(t, "kept words in the file", bytes.Contains(data, []byte("kept-words")), true)
	equal(t, "pruned words in the file", bytes.Contains(data, []byte("pruned-words")), false)
}

// What was accepted is on the disk: a copy of the files, taken at that moment,
// has it.
func TestAcceptedIsDurable(t *testing.T) {
	t.Parallel()
	url := storagetest.SQLite(t)
	w := newWorld(t, storagetest.OpenURL(t, url))
	for i := range 5 {
		w.send("a", fmt.Sprint("message", i))
		copied := storagetest.SQLite(t)
		for _, file := range []string{"", "-wal"} {
			data, err := os.ReadFile(strings.TrimPrefix(url, "sqlite:") + file)
			w.ok(err)
			w.ok(os.WriteFile(strings.TrimPrefix(copied, "sqlite:")+file, data, 0o600))
		}
		after := &world{T: t, Store: storagetest.OpenURL(t, copied), ctx: w.ctx, region: w.region, now: w.now}
		h := after.history("a", 0)
		equal(t, "messages after the crash", len(h.Messages), i+1)
		equal(t, "last message after the crash", h.Messages[i].Text, fmt.Sprint("message", i))
		equal(t, "work after the crash", after.start(after.claim()).Text, "message0")
	}
}

// A message of an older chat that needs a new ticket gets a chat that is newer
// than the current one; when the oldest goes, the current one stays current.
func TestPruneKeepsTheCurrentChat(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.send("a", "one")
		c := w.claim()
		w.finish(c, bridge.Outcome{Work: w.start(c).ID, Sent: &bridge.Sent{Ticket: 7, State: bridge.TicketClosed}})
		w.send("a", "left behind")
		work := w.start(c)
		old := w.now
		w.now = w.now.Add(30 * time.Second)
		s := w.submission("a", "new")
		s.ForceNew = true
		current, err := w.Accept(w.ctx, s)
		w.ok(err)
		w.finish(c, bridge.Outcome{Work: work.ID, Retry: &bridge.Retry{Due: w.now, Detach: true}})
		for i, c := range w.claims() {
			ticket := bridge.TicketID(8 + i)
			w.finish(c, bridge.Outcome{Work: w.start(c).ID, Sent: &bridge.Sent{Ticket: ticket, State: bridge.TicketOpen}})
			_, err := w.Record(w.ctx, bridge.Receipt{Chat: c.Chat, Now: w.now, Articles: []bridge.Article{{ID: bridge.ArticleID(80 + i), Ticket: ticket, Public: true, Text: "answer", CreatedAt: w.now}}})
			w.ok(err)
		}
		equal(w, "current", w.history("a", 0).Chat.ID, current.Message.Chat)
		counts, _, err := w.Prune(w.ctx, bridge.PruneCutoffs{Regions: map[bridge.RegionID]time.Time{w.region.ID: old.Add(time.Second)}}, false)
		w.ok(err)
		equal(w, "pruned", counts["chats"], 1)
		equal(w, "current", w.history("a", 0).Chat.ID, current.Message.Chat)
	})
}
