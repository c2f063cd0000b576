package storage_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"deskbridge/bridge"
	"deskbridge/storage"
)

func (w *world) retry(ids ...bridge.WorkID) error {
	_, err := w.RetryLetters(w.ctx, 0, ids, w.now)
	return err
}

func (w *world) drop(ids ...bridge.WorkID) error {
	_, err := w.DropLetters(w.ctx, 0, ids, w.now)
	return err
}

// refusedLetters lets messages of devices in a region be set aside, one each,
// and gives their letters.
func (w *world) refusedLetters(r *bridge.Region, devices ...string) (ids []bridge.WorkID) {
	w.Helper()
	was := w.region
	defer func() { w.region = was }()
	w.region = r
	for _, d := range devices {
		w.send(d, "text of "+d)
		w.refuse()
		w.tick()
	}
	letters, err := w.Letters(w.ctx, bridge.LetterQuery{Region: r.ID})
	w.ok(err)
	for _, l := range letters {
		ids = append(ids, l.ID)
	}
	return ids
}

// forget empties the audit of what a test began with.
func (w *world) forget() {
	w.Helper()
	_, _, err := w.Prune(w.ctx, bridge.PruneCutoffs{Audit: time.Now().Add(time.Hour)}, false)
	w.ok(err)
}

// noted gives the audit, the newest first, but for the regions that the world
// itself has added.
func (w *world) noted(q bridge.AuditQuery) []bridge.AuditEntry {
	w.Helper()
	q.Limit = 1000
	entries, err := w.Audit(w.ctx, q)
	w.ok(err)
	return slices.DeleteFunc(entries, func(e bridge.AuditEntry) bool { return e.Action == "region.add" })
}

// theSame compares entries without ids and times.
var theSame = cmpopts.IgnoreFields(bridge.AuditEntry{}, "ID", "At")

func TestLettersArePagedAndCountedByRegion(t *testing.T) {
	eachWorld(t, func(w *world) {
		ours, theirs := w.region, w.addRegion("fulda", "https://other.example.test")
		mine := w.refusedLetters(ours, "a", "b", "c")
		w.refusedLetters(theirs, "a")
		mine = append(mine, w.refusedLetters(ours, "d", "e")[3:]...)
		var paged []bridge.WorkID
		for q := (bridge.LetterQuery{Region: ours.ID, Limit: 2}); ; {
			letters, err := w.Letters(w.ctx, q)
			w.ok(err)
			for _, l := range letters {
				equal(w, "region", l.Region, "augsburg")
				paged = append(paged, l.ID)
				q.After = l.ID
			}
			if len(letters) < 2 {
				break
			}
		}
		if d := cmp.Diff(mine, paged); d != "" {
			w.Fatal(d)
		}
		counts, err := w.LetterCounts(w.ctx)
		w.ok(err)
		if d := cmp.Diff(map[bridge.RegionID]int{ours.ID: 5, theirs.ID: 1}, counts); d != "" {
			w.Fatal(d)
		}
	})
}

// Whoever may change one region can't touch another's letters by their ids.
func TestLettersOfAnotherRegionStayUntouched(t *testing.T) {
	eachWorld(t, func(w *world) {
		ours, theirs := w.region, w.addRegion("fulda", "https://other.example.test")
		mine, foreign := w.refusedLetters(ours, "a", "b"), w.refusedLetters(theirs, "c", "d")
		w.ctx = bridge.WithActor(w.ctx, bridge.Actor{Kind: bridge.ActorPerson, ID: 3, Name: "eva"})
		for _, change := range []func(bridge.RegionID, []bridge.WorkID) (int, error){
			func(r bridge.RegionID, ids []bridge.WorkID) (int, error) { return w.RetryLetters(w.ctx, r, ids, w.now) },
			func(r bridge.RegionID, ids []bridge.WorkID) (int, error) { return w.DropLetters(w.ctx, r, ids, w.now) },
		} {
			for _, ids := range [][]bridge.WorkID{foreign, nil, {0, -1, 1 << 62}} {
				_, err := change(ours.ID, ids)
				w.wants(err, bridge.ErrLetterUnknown)
			}
			_, err := change(1<<62, foreign)
			w.wants(err, bridge.ErrLetterUnknown)
			equal(w, "entries", len(w.noted(bridge.AuditQuery{})), 0)
		}
		n, err := w.DropLetters(w.ctx, ours.ID, []bridge.WorkID{mine[0], foreign[0], mine[0], foreign[1]}, w.now)
		w.ok(err)
		equal(w, "dropped", n, 1)
		left, err := w.Letters(w.ctx, bridge.LetterQuery{Region: theirs.ID})
		w.ok(err)
		equal(w, "foreign letters", len(left), 2)
		if d := cmp.Diff([]bridge.AuditEntry{{
			Actor: bridge.Actor{Kind: bridge.ActorPerson, ID: 3, Name: "eva"}, Region: ours.ID, Action: "letter.drop", Subject: fmt.Sprint(mine[0]),
			Changes: []bridge.FieldChange{{Field: "count", To: "1"}, {Field: "reason", To: "refused"}},
		}}, w.noted(bridge.AuditQuery{}), theSame); d != "" {
			w.Fatal(d)
		}
	})
}

// Many go in one step, each device's in their order, with one entry for a region.
func TestManyLettersAtOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		ours, theirs := w.region, w.addRegion("fulda", "https://other.example.test")
		var devices []string
		for i := range 30 {
			devices = append(devices, fmt.Sprint("d", i%10))
		}
		mine, foreign := w.refusedLetters(ours, devices...), w.refusedLetters(theirs, "x")
		equal(w, "letters", len(mine), 30)
		all := append(slices.Clone(mine), foreign...)
		slices.Reverse(all) // as somebody may have ticked them
		n, err := w.RetryLetters(w.ctx, 0, all, w.now)
		w.ok(err)
		equal(w, "queued", n, 31)
		for i, c := range w.claims() {
			var last bridge.MessageID
			works := 0
			for work := w.start(c); work != nil; work = w.start(c) {
				if work.Message < last {
					w.Errorf("message %d comes after %d", work.Message, last)
				}
				last = work.Message
				works++
				w.finish(c, bridge.Outcome{Work: work.ID, Sent: &bridge.Sent{Ticket: bridge.TicketID(i + 1), State: bridge.TicketOpen}})
			}
			equal(w, "messages of a device", works, 3)
		}
		var got []string
		for _, e := range w.noted(bridge.AuditQuery{Action: "letter."}) {
			got = append(got, fmt.Sprint(e.Region, e.Action, len(e.Subject) < 200, e.Changes[0].To))
		}
		if d := cmp.Diff([]string{fmt.Sprint(theirs.ID, "letter.retry", true, "1"), fmt.Sprint(ours.ID, "letter.retry", true, "30")}, got); d != "" {
			w.Fatal(d)
		}
	})
}

// Two people press the button at once, and devices write meanwhile: each letter
// is queued once, and counted once.
func TestLettersAreTakenOnce(t *testing.T) {
	eachPair(t, func(w *world, stores [2]*storage.Store) {
		var devices []string
		for i := range 12 {
			devices = append(devices, fmt.Sprint("d", i))
		}
		ids := w.refusedLetters(w.region, devices...)
		taken := make([]int, 6)
		together(w, 6, func(i int) error {
			mine := slices.Clone(ids)
			if i%2 == 1 {
				slices.Reverse(mine)
			}
			n, err := stores[i%2].RetryLetters(w.ctx, w.region.ID, mine, w.now)
			taken[i] = n
			if n == 0 {
				if err == nil {
					return fmt.Errorf("nothing was done without an error")
				}
				return nil
			}
			return err
		})
		sum := 0
		for _, n := range taken {
			sum += n
		}
		equal(w, "queued", sum, len(ids))
		counted := 0
		for _, e := range w.noted(bridge.AuditQuery{}) {
			var n int
			_, err := fmt.Sscan(e.Changes[0].To, &n)
			w.ok(err)
			counted += n
		}
		equal(w, "in the audit", counted, len(ids))
	})
}
