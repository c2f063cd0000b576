package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"

	"deskbridge/bridge"
)

// The relay's times and amounts.
const (
	// tick is how often the relay looks for deliveries that became due, or that
	// another instance stored and did not finish. A delivery that this
	// instance stores wakes it at once.
	tick = time.Second

	// lease is how long a claimed delivery belongs to this instance.
	// Failure policy: after a crash, or where a lane was too full, the delivery
	// is due again when the lease ends.
	lease = time.Minute

	// leaseMargin is how long before the lease's end a delivery's work is
	// broken off, so that its result can still be written.
	leaseMargin = 5 * time.Second

	// leaseNeeded is the shortest rest of a lease with which work is begun.
	// Failure policy: a delivery that waited longer is left until its lease
	// ends and is claimed again.
	leaseNeeded = 20 * time.Second

	// batch is how many deliveries are claimed in one step.
	batch = 32

	// regionWorkers is how many deliveries of one region are worked at once: a
	// region whose Zammad answers slowly keeps no more than these waiting, and
	// delays no other. More would only queue at the Zammad's limiter.
	regionWorkers = 4

	// regionWaiting is how many claimed deliveries of a region may wait in
	// memory. Typical ones have 8 KB.
	regionWaiting = 256

	// backoffFirst and backoffMax bound the pauses between the tries of one
	// delivery: they double from the first to the last.
	backoffFirst = time.Second
	backoffMax   = 5 * time.Minute

	// maxAttempts and maxAge end the tries of a delivery, about an hour after
	// it came unless the relay stood still.
	// Failure policy: its outcome is "failed", and reconciliation, which reads
	// every ticket that changed, repairs what it would have brought.
	maxAttempts = 20
	maxAge      = 24 * time.Hour

	// stopGrace is how long running work may go on after the relay was told to
	// stop. Failure policy: then it is broken off and put back, due at once.
	stopGrace = 10 * time.Second

	// recordTimeout bounds the writing of a result, which is not broken off by
	// a stop.
	recordTimeout = 10 * time.Second
)

// lane is what a region has in hand. Regions get theirs when a delivery comes
// and lose it when the last one is done.
type lane struct {
	running int
	waiting []claimed
}

// claimed is a delivery that this instance holds until a time.
type claimed struct {
	bridge.Delivery
	claim string
	until time.Time
}

// relay is one run of the door's second half.
type relay struct {
	*Door
	stop context.Context // ends when the relay is told to stop
	work context.Context // ends stopGrace later: what running work sees

	mu    sync.Mutex
	lanes map[bridge.RegionID]*lane
	done  sync.WaitGroup
}

// Run relays stored deliveries to the receiver until ctx ends. Then it claims
// no more, lets the running ones finish (stopGrace), puts back what still
// waits, and returns nil. Several instances may run on one inbox. A storage
// that fails is asked again every tick, so Run returns no other error.
func (d *Door) Run(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	r := &relay{Door: d, stop: ctx, work: work, lanes: map[bridge.RegionID]*lane{}}
	defer context.AfterFunc(ctx, func() {
		grace := time.NewTimer(stopGrace)
		defer grace.Stop()
		select {
		case <-grace.C:
			cancel()
		case <-work.Done():
		}
	})()

	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	healthy := true
	for ctx.Err() == nil {
		err := r.claimAll()
		if err != nil && ctx.Err() == nil && healthy {
			d.deps.Log.Error("the relay cannot read its inbox and keeps trying", "error", err)
		}
		if err == nil && !healthy {
			d.deps.Log.Info("the relay reads its inbox again")
		}
		healthy = err == nil
		select {
		case <-ctx.Done():
		case <-d.wake:
		case <-ticker.C:
		}
	}
	r.done.Wait()
	return nil
}

// claimAll claims what is due, batch by batch. A full lane ends it until the
// next tick: claiming on would only take deliveries out of reach.
func (r *relay) claimAll() error {
	for r.stop.Err() == nil {
		claim := uuid.NewString()
		now := r.deps.Now()
		until := now.Add(lease)
		deliveries, err := r.deps.Inbox.ClaimDeliveries(r.stop, claim, now, until, batch)
		if err != nil {
			return fmt.Errorf("claim deliveries: %w", err)
		}
		room := true
		for _, d := range deliveries {
			room = r.hand(claimed{d, claim, until}) && room
		}
		if len(deliveries) < batch || !room {
			return nil
		}
	}
	return nil
}

// hand gives a delivery to its region's lane. It says false if the lane is
// full: then the delivery rests until its lease ends.
func (r *relay) hand(d claimed) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lanes[d.Region]
	if l == nil {
		l = &lane{}
		r.lanes[d.Region] = l
	}
	switch {
	case l.running < regionWorkers:
		l.running++
		r.done.Go(func() { r.workLane(l, d) })
	case len(l.waiting) < regionWaiting:
		l.waiting = append(l.waiting, d)
	default:
		return false
	}
	return true
}

// workLane works a delivery and then what waits in its lane.
func (r *relay) workLane(l *lane, d claimed) {
	for more := true; more; d, more = r.next(l, d.Region) {
		r.workOne(d)
	}
}

// next takes the longest waiting delivery of a lane, or gives the worker up.
func (r *relay) next(l *lane, region bridge.RegionID) (claimed, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(l.waiting) > 0 {
		d := l.waiting[0]
		l.waiting[0] = claimed{} // frees the body
		l.waiting = l.waiting[1:]
		if len(l.waiting) == regionWaiting/2 {
			r.wakeRelay() // room for what claimAll had to leave
		}
		return d, true
	}
	if l.running--; l.running == 0 {
		delete(r.lanes, region)
	}
	return claimed{}, false
}

// workOne hands one delivery to the receiver and writes what became of it.
func (r *relay) workOne(d claimed) {
	rest := d.until.Sub(r.deps.Now())
	if r.stop.Err() != nil {
		r.putBack(d, 0, "stopped before it was its turn")
		return
	}
	if rest < leaseNeeded {
		return
	}
	ctx, cancel := context.WithTimeout(r.work, rest-leaseMargin)
	defer cancel()
	outcome, err := r.deliver(ctx, d.Delivery)
	if err == nil {
		r.finish(d, outcome)
		return
	}
	log := r.deps.Log.With("delivery", d.ID, "region", d.Region, "attempt", d.Attempts+1)
	switch {
	case r.work.Err() != nil:
		r.putBack(d, 0, "broken off by a stop")
	case d.Attempts+1 >= maxAttempts, r.deps.Now().Sub(d.Received) >= maxAge:
		log.Error("a delivery was given up; reconciliation will repair it", "error", err)
		r.finish(d, bridge.DeliveryFailed)
	default:
		pause := backoff(d.Attempts)
		level := slog.LevelWarn
		if errors.Is(err, bridge.ErrTicketUnknown) || errors.Is(err, bridge.ErrTicketRead) {
			level = slog.LevelDebug // as for every ticket of the group that is no chat, and where two readings meet
		}
		log.Log(r.work, level, "a delivery could not be relayed and is tried again", "pause", pause, "error", err)
		r.putBack(d, pause, err.Error())
	}
}

// deliver calls the receiver. A panic is an error of this delivery: it must not
// end the process, which would meet the same delivery again after its start.
func (r *relay) deliver(ctx context.Context, d bridge.Delivery) (outcome bridge.DeliveryOutcome, err error) {
	defer func() {
		if v := recover(); v != nil {
			r.deps.Log.Error("relaying a delivery panicked", "delivery", d.ID, "panic", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return r.deps.Receiver.Deliver(ctx, d)
}

// finish records an outcome. If that fails, or the claim is lost, the delivery
// is worked once more, which changes nothing.
func (r *relay) finish(d claimed, o bridge.DeliveryOutcome) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.work), recordTimeout)
	defer cancel()
	if err := r.deps.Inbox.FinishDelivery(ctx, d.claim, d.ID, o, r.deps.Now()); err != nil {
		r.deps.Log.Warn("the outcome of a delivery was not recorded", "delivery", d.ID, "outcome", o, "error", err)
	}
}

// putBack lets a delivery rest for a pause. If that cannot be written, it rests
// until its lease ends.
func (r *relay) putBack(d claimed, pause time.Duration, reason string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.work), recordTimeout)
	defer cancel()
	if err := r.deps.Inbox.RetryDelivery(ctx, d.claim, d.ID, r.deps.Now().Add(pause), reason); err != nil {
		r.deps.Log.Warn("a delivery was not put back", "delivery", d.ID, "error", err)
	}
}

// backoff gives the pause after a failed try, of which attempts were made
// before: half of it fixed and half of it random, so that deliveries that
// failed together do not come back together.
func backoff(attempts int) time.Duration {
	full := backoffMax
	if attempts < 20 { // 2^20 s is far above the bound
		full = min(backoffMax, backoffFirst<<attempts)
	}
	return full/2 + rand.N(full/2+1)
}
