package webhook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"deskbridge/bridge"
	"deskbridge/storage/storagetest"
)

// patience is how long a test waits for what must happen at once or with the
// next tick.
const patience = 20 * time.Second

// start runs the relay; the returned function stops it and waits for its end.
func start(t *testing.T, d *Door) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := receive(t, done, "the relay's end"); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// receive waits for a value.
func receive[T any](t *testing.T, from <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatalf("waited %s in vain for %s", patience, what)
	}
	return v
}

// journal is an inbox that tells what the relay wrote, after it was written.
type journal struct {
	bridge.InboxStore
	claimed  chan int
	finished chan finished
	retried  chan retried
}

type finished struct {
	id      bridge.DeliveryID
	outcome bridge.DeliveryOutcome
	err     error
}

type retried struct {
	id     bridge.DeliveryID
	due    time.Time
	reason string
	err    error
}

func (j *journal) ClaimDeliveries(ctx context.Context, claim string, now, until time.Time, limit int) ([]bridge.Delivery, error) {
	found, err := j.InboxStore.ClaimDeliveries(ctx, claim, now, until, limit)
	j.claimed <- len(found)
	return found, err
}

func (j *journal) FinishDelivery(ctx context.Context, claim string, id bridge.DeliveryID, o bridge.DeliveryOutcome, now time.Time) error {
	err := j.InboxStore.FinishDelivery(ctx, claim, id, o, now)
	j.finished <- finished{id, o, err}
	return err
}

func (j *journal) RetryDelivery(ctx context.Context, claim string, id bridge.DeliveryID, due time.Time, reason string) error {
	err := j.InboxStore.RetryDelivery(ctx, claim, id, due, reason)
	j.retried <- retried{id, due, reason, err}
	return err
}

// newJournal puts a journal before the door's inbox.
func newJournal(to **journal) func(*Deps) {
	return func(d *Deps) {
		*to = &journal{d.Inbox, make(chan int, 1000), make(chan finished, 1000), make(chan retried, 1000)}
		d.Inbox = *to
	}
}

func delivery(ticket int) []byte {
	return fmt.Appendf(nil, `{"ticket":{"id":%d},"article":{}}`, ticket)
}

func TestRelayHandsOnWhatIsStored(t *testing.T) {
	t.Parallel()
	got := make(chan bridge.Delivery, 1)
	var j *journal
	w := newWorld(t, func(_ context.Context, d bridge.Delivery) (bridge.DeliveryOutcome, error) {
		got <- d
		return bridge.DeliveryUnknownTicket, nil
	}, newJournal(&j))
	before := delivery(1)
	w.deliver(t, "testland", "before", before) // stored while no relay ran
	start(t, w.Door)
	if d := receive(t, got, "the delivery from before the start"); string(d.Body) != string(before) || d.Key != "before" || d.Attempts != 0 {
		t.Errorf("got %+v", d)
	}
	w.deliver(t, "otherland", "after", delivery(2))
	if d := receive(t, got, "the delivery after the start"); d.Key != "after" || d.Region != w.regions["otherland"].ID {
		t.Errorf("got %+v", d)
	}
	for range 2 {
		if f := receive(t, j.finished, "an outcome"); f.outcome != bridge.DeliveryUnknownTicket || f.err != nil {
			t.Errorf("recorded %+v", f)
		}
	}
	w.clock.advance(time.Hour)
	if left := w.stored(t); len(left) != 0 {
		t.Errorf("%d deliveries are still due", len(left))
	}
}

func TestRelayTriesAgainWithPauses(t *testing.T) {
	t.Parallel()
	var j *journal
	var tries atomic.Int32
	w := newWorld(t, func(_ context.Context, d bridge.Delivery) (bridge.DeliveryOutcome, error) {
		n := int(tries.Add(1))
		if d.Attempts != n-1 {
			t.Errorf("try %d says %d attempts", n, d.Attempts)
		}
		switch n {
		case 1:
			return "", errBroken
		case 2:
			panic("a poisoned delivery")
		}
		return bridge.DeliveryRelayed, nil
	}, newJournal(&j))
	start(t, w.Door)
	w.deliver(t, "testland", "one", small)
	for i, reason := range []string{errBroken.Error(), "panic: a poisoned delivery"} {
		r := receive(t, j.retried, "a pause")
		full := backoffFirst << i
		if pause := r.due.Sub(w.clock.now()); pause < full/2 || pause > full || r.reason != reason || r.err != nil {
			t.Errorf("pause %d is %s, want between %s and %s; reason %q, want %q; error %v", i, pause, full/2, full, r.reason, reason, r.err)
		}
		w.clock.advance(full)
		w.wakeRelay()
	}
	if f := receive(t, j.finished, "the outcome"); f.outcome != bridge.DeliveryRelayed || f.err != nil {
		t.Errorf("recorded %+v", f)
	}
}

func TestRelayGivesUpInTheEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		step  time.Duration // between two tries
		tries int
	}{
		{"after many tries", backoffMax, maxAttempts},
		{"after a long time", maxAge / 2, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var j *journal
			var tries atomic.Int32
			w := newWorld(t, func(context.Context, bridge.Delivery) (bridge.DeliveryOutcome, error) {
				tries.Add(1)
				return "", errBroken
			}, newJournal(&j))
			start(t, w.Door)
			w.deliver(t, "testland", "one", small)
			for range c.tries - 1 {
				receive(t, j.retried, "a pause")
				w.clock.advance(c.step)
				w.wakeRelay()
			}
			if f := receive(t, j.finished, "the outcome"); f.outcome != bridge.DeliveryFailed || int(tries.Load()) != c.tries {
				t.Errorf("%s after %d tries, want failed after %d", f.outcome, tries.Load(), c.tries)
			}
		})
	}
}

func TestASlowRegionDelaysNoOther(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	entered := make(chan struct{}, 100)
	other := make(chan bridge.Delivery, 1)
	var slow bridge.RegionID
	var running, most atomic.Int32
	var j *journal
	w := newWorld(t, func(_ context.Context, d bridge.Delivery) (bridge.DeliveryOutcome, error) {
		if d.Region != slow {
			other <- d
			return bridge.DeliveryRelayed, nil
		}
		n := running.Add(1)
		defer running.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		entered <- struct{}{}
		<-release
		return bridge.DeliveryRelayed, nil
	}, newJournal(&j))
	slow = w.regions["testland"].ID
	const many = 2*batch + 3
	for i := range many {
		w.deliver(t, "testland", fmt.Sprint(i), delivery(i+1))
	}
	start(t, w.Door)
	for range regionWorkers {
		receive(t, entered, "work in the slow region")
	}
	w.deliver(t, "otherland", "quick", small)
	receive(t, other, "the other region's delivery")
	close(release)
	for range many + 1 {
		if f := receive(t, j.finished, "an outcome"); f.err != nil {
			t.Error(f.err)
		}
	}
	if most.Load() != regionWorkers {
		t.Errorf("%d deliveries of one region were worked at once, want %d", most.Load(), regionWorkers)
	}
}

// What finds no room is not lost: it stays claimed, and is due when the lease ends.
func TestAFullLaneLeavesDeliveriesToTheirLease(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var worked sync.Map
	var j *journal
	w := newWorld(t, func(_ context.Context, d bridge.Delivery) (bridge.DeliveryOutcome, error) {
		<-release
		if _, again := worked.LoadOrStore(d.ID, true); again {
			t.Errorf("delivery %d was worked twice", d.ID)
		}
		return bridge.DeliveryRelayed, nil
	}, newJournal(&j))
	const room = regionWorkers + regionWaiting
	const many = (room/batch + 1) * batch // the last batch does not fit
	for i := range many {
		if _, err := w.inbox.StoreDelivery(t.Context(), bridge.Delivery{Region: w.regions["testland"].ID, Key: fmt.Sprint(i), Body: small, Received: w.clock.now()}); err != nil {
			t.Fatal(err)
		}
	}
	start(t, w.Door)
	for claimed := 0; claimed < many; {
		claimed += receive(t, j.claimed, "a batch")
	}
	receive(t, j.claimed, "the next look, after the last batch was handed out")
	close(release)
	for range room {
		receive(t, j.finished, "an outcome")
	}
	w.clock.advance(lease)
	w.wakeRelay()
	left := 0
	for left == 0 {
		left = receive(t, j.claimed, "what found no room")
	}
	if left != many-room {
		t.Errorf("%d deliveries were left to their lease, want %d", left, many-room)
	}
	for range many - room {
		receive(t, j.finished, "an outcome")
	}
}

func TestTwoRelaysShareAnInbox(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, database string) {
		const many = 5 * batch
		var mu sync.Mutex
		count := map[bridge.DeliveryID]int{}
		var j *journal
		w := newWorldOn(t, database, func(_ context.Context, d bridge.Delivery) (bridge.DeliveryOutcome, error) {
			mu.Lock()
			defer mu.Unlock()
			count[d.ID]++
			return bridge.DeliveryRelayed, nil
		}, newJournal(&j))
		start(t, w.Door)
		other := w.deps
		other.Inbox = &journal{storagetest.OpenURL(t, database), j.claimed, j.finished, j.retried}
		start(t, New(other))
		var group sync.WaitGroup
		for sender := range 4 {
			group.Go(func() {
				for i := range many / 4 {
					w.deliver(t, "testland", fmt.Sprintf("%d-%d", sender, i), delivery(i+1))
				}
			})
		}
		group.Wait()
		for range many {
			if f := receive(t, j.finished, "an outcome"); f.err != nil {
				t.Errorf("delivery %d: %v", f.id, f.err)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if len(count) != many {
			t.Errorf("%d deliveries were relayed, want %d", len(count), many)
		}
		for id, n := range count {
			if n != 1 {
				t.Errorf("delivery %d was relayed %d times", id, n)
			}
		}
	})
}

// An instance that hangs longer than its lease must not write over the result
// of the one that took over.
func TestALostClaimWritesNothing(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	entered := make(chan int32, 2)
	var calls atomic.Int32
	var j *journal
	w := newWorld(t, func(context.Context, bridge.Delivery) (bridge.DeliveryOutcome, error) {
		n := calls.Add(1)
		entered <- n
		if n == 1 {
			<-hang
			return bridge.DeliveryFailed, nil
		}
		return bridge.DeliveryRelayed, nil
	}, newJournal(&j))
	start(t, w.Door)
	w.deliver(t, "testland", "one", small)
	receive(t, entered, "the first instance's work")
	w.clock.advance(lease + time.Second)
	start(t, New(w.deps))
	receive(t, entered, "the second instance's work")
	if f := receive(t, j.finished, "the second's outcome"); f.outcome != bridge.DeliveryRelayed || f.err != nil {
		t.Errorf("recorded %+v", f)
	}
	close(hang)
	if f := receive(t, j.finished, "the first's outcome"); f.outcome != bridge.DeliveryFailed || !errors.Is(f.err, bridge.ErrClaimLost) {
		t.Errorf("the late outcome %q was written: %v", f.outcome, f.err)
	}
	w.clock.advance(lease)
	if left := w.stored(t); len(left) != 0 {
		t.Errorf("the delivery is due again")
	}
}

func TestStopLetsRunningWorkFinishAndPutsTheRestBack(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	entered := make(chan struct{}, 100)
	var j *journal
	w := newWorld(t, func(ctx context.Context, _ bridge.Delivery) (bridge.DeliveryOutcome, error) {
		entered <- struct{}{}
		<-release
		return bridge.DeliveryRelayed, ctx.Err()
	}, newJournal(&j))
	const many = regionWorkers + 6
	for i := range many {
		w.deliver(t, "testland", fmt.Sprint(i), delivery(i+1))
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	for range regionWorkers {
		receive(t, entered, "work")
	}
	cancel()
	select {
	case <-done:
		t.Fatal("Run ended while work was running")
	default:
	}
	close(release)
	if err := receive(t, done, "the relay's end"); err != nil {
		t.Errorf("Run: %v", err)
	}
	close(j.finished)
	for f := range j.finished {
		if f.outcome != bridge.DeliveryRelayed || f.err != nil {
			t.Errorf("recorded %+v", f)
		}
	}
	if left := w.stored(t); len(left) != many-regionWorkers {
		t.Errorf("%d deliveries are due at once, want %d", len(left), many-regionWorkers)
	}
}

// Work that does not end is broken off after the grace, and is due at once for
// the next instance.
func TestStopBreaksOffWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(ctx context.Context, _ bridge.Delivery) (bridge.DeliveryOutcome, error) {
		<-ctx.Done()
		return "", ctx.Err()
	})
	w.deliver(t, "testland", "one", small)
	synctest.Test(t, func(t *testing.T) {
		d := New(w.deps)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		<-time.After(tick / 2)
		synctest.Wait()
		before := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if waited := time.Since(before); waited < stopGrace || waited > stopGrace+time.Second {
			t.Errorf("the stop took %s, want %s", waited, stopGrace)
		}
	})
	if left := w.stored(t); len(left) != 1 || left[0].Attempts != 1 {
		t.Errorf("due at once: %+v, want the delivery after one attempt", left)
	}
}

// flaky is an inbox that cannot be read at first.
type flaky struct {
	bridge.InboxStore
	failures atomic.Int32
}

func (f *flaky) ClaimDeliveries(ctx context.Context, claim string, now, until time.Time, limit int) ([]bridge.Delivery, error) {
	if f.failures.Add(-1) >= 0 {
		return nil, errBroken
	}
	return f.InboxStore.ClaimDeliveries(ctx, claim, now, until, limit)
}

func TestRelayOutlivesABrokenInbox(t *testing.T) {
	t.Parallel()
	got := make(chan bridge.Delivery, 1)
	w := newWorld(t, func(_ context.Context, d bridge.Delivery) (bridge.DeliveryOutcome, error) {
		got <- d
		return bridge.DeliveryRelayed, nil
	}, func(d *Deps) {
		broken := &flaky{InboxStore: d.Inbox}
		broken.failures.Store(2)
		d.Inbox = broken
	})
	start(t, w.Door)
	w.deliver(t, "testland", "one", small)
	receive(t, got, "the delivery")
}

func TestBackoffGrowsToItsBound(t *testing.T) {
	t.Parallel()
	for attempts, full := range map[int]time.Duration{
		0: time.Second, 1: 2 * time.Second, 5: 32 * time.Second, 8: 256 * time.Second, 9: backoffMax, 19: backoffMax, 64: backoffMax, 1000: backoffMax,
	} {
		for range 100 {
			if got := backoff(attempts); got < full/2 || got > full {
				t.Errorf("after %d attempts: %s, want between %s and %s", attempts, got, full/2, full)
			}
		}
	}
}
