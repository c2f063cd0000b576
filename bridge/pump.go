package bridge

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Times and bounds of the pump. PumpDeps can shorten those that tests need.
const (
	// DefaultWriteHorizon is how long a write whose connection was cut may
	// still be running in the desk: web servers in front of Zammad allow 180 to
	// 300 s (contract 00.3).
	//
	// Failure policy: until it is over, an article that is not found is looked
	// for again, never sent again.
	DefaultWriteHorizon = 300 * time.Second
	// lease is how long a lane is held without a sign of life. It is longer
	// than the longest call to a desk, so only a dead or paused process loses it.
	//
	// Failure policy: whoever takes the lane over finds the started work in
	// doubt and looks before it sends.
	lease = 5 * time.Minute
	// tenure is how long one worker keeps a lane before it gives it back: with
	// the longest call (90 s) on top it stays within the lease.
	tenure = 2 * time.Minute
	// pumpEvery is how often the pump looks for lanes without being woken: for
	// lanes whose rest is over and for work that another instance stored.
	pumpEvery = time.Second
	// lanesPerDesk bounds how many lanes of one desk are worked on at once, so
	// that a dead desk holds only its own workers.
	lanesPerDesk = 8
	// stopGrace is how long running calls may take after a stop was asked for.
	//
	// Failure policy: a call that is cut off then is in doubt at the next start.
	stopGrace = 15 * time.Second
)

// PumpDeps is what the pump needs.
type PumpDeps struct {
	Lanes     LaneStore
	Tickets   TicketStore
	Desk      Desk
	Regions   *Regions
	Receiver  *Receiver // follows merges
	Publisher Publisher
	Log       *slog.Logger
	Now       func() time.Time
	Horizon   time.Duration // zero: DefaultWriteHorizon
}

// Pump carries messages from the lanes to the desks: each lane in order, one
// call at a time, many lanes at once.
type Pump struct {
	PumpDeps
	wake chan struct{}

	mu      sync.Mutex
	running map[DeskID]int
	workers sync.WaitGroup
}

// NewPump makes a pump; Run lets it work.
func NewPump(deps PumpDeps) *Pump {
	if deps.Horizon == 0 {
		deps.Horizon = DefaultWriteHorizon
	}
	return &Pump{PumpDeps: deps, wake: make(chan struct{}, 1), running: make(map[DeskID]int)}
}

// Wake tells the pump that there is work. It never blocks.
func (p *Pump) Wake() {
	select {
	case p.wake <- struct{}{}:
	default: // it is about to look anyway
	}
}

// Run works until ctx ends, then lets running calls finish.
func (p *Pump) Run(ctx context.Context) error {
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	tick := time.NewTicker(pumpEvery)
	defer tick.Stop()
	for {
		p.dispatch(ctx, work)
		select {
		case <-ctx.Done():
			patience := time.AfterFunc(stopGrace, cut)
			p.workers.Wait()
			patience.Stop()
			return nil
		case <-p.wake:
		case <-tick.C:
		}
	}
}

// Step works off every lane that is due and returns when they rest or are
// empty. It is Run for those who own the time: tests and one-shot commands.
func (p *Pump) Step(ctx context.Context) {
	for p.dispatch(ctx, ctx) > 0 {
		p.workers.Wait()
	}
}

// dispatch claims due lanes of every desk that has free workers, and gives
// their number.
func (p *Pump) dispatch(ctx, work context.Context) (claimed int) {
	desks, err := p.Lanes.DueDesks(ctx, p.Now())
	if err != nil {
		if ctx.Err() == nil {
			p.Log.ErrorContext(ctx, "lanes could not be read; trying again", "error", err)
		}
		return 0
	}
	for _, desk := range desks {
		free := lanesPerDesk - p.busy(desk, 0)
		if free <= 0 {
			continue
		}
		now := p.Now()
		claims, err := p.Lanes.ClaimLanes(ctx, desk, now, now.Add(lease), free)
		if err != nil {
			p.Log.ErrorContext(ctx, "lanes could not be claimed; trying again", "desk", desk, "error", err)
			continue
		}
		claimed += len(claims)
		for _, claim := range claims {
			p.busy(desk, +1)
			p.workers.Go(func() {
				p.workLane(work, claim)
				p.busy(desk, -1)
				p.Wake() // its place is free for another lane
			})
		}
	}
	return claimed
}

// busy changes and gives the number of lanes of a desk that are worked on.
func (p *Pump) busy(desk DeskID, by int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running[desk] += by
	return p.running[desk]
}

// workLane does the works of one lane in order until it is empty, has to rest,
// or was held long enough.
func (p *Pump) workLane(ctx context.Context, claim Claim) {
	log := p.Log.With("chat", claim.Chat)
	began := p.Now()
	for {
		if p.Now().Sub(began) > tenure || ctx.Err() != nil {
			if err := p.Lanes.Release(context.WithoutCancel(ctx), claim, p.Now()); err != nil {
				log.WarnContext(ctx, "lane could not be released; its lease ends by itself", "error", err)
			}
			return
		}
		work, err := p.Lanes.Start(ctx, claim, p.Now())
		if err != nil {
			log.WarnContext(ctx, "lane left: its next work could not be started", "error", err)
			return
		}
		if work == nil {
			return
		}
		outcome := p.do(ctx, work)
		// What the desk did is true even if we are told to stop now.
		if !p.finish(context.WithoutCancel(ctx), claim, outcome) {
			return
		}
	}
}

// finish writes an outcome and says whether the lane goes on.
func (p *Pump) finish(ctx context.Context, claim Claim, o Outcome) bool {
	log := p.Log.With("chat", claim.Chat, "work", o.Work)
	changes, err := p.Lanes.Finish(ctx, claim, o, p.Now())
	if err != nil {
		// The work stays started, so the next one to take it looks first.
		log.ErrorContext(ctx, "outcome could not be stored; the work is in doubt", "error", err)
		return false
	}
	p.Publisher.Publish(changes...)
	switch {
	case o.Retry != nil:
		log.InfoContext(ctx, "lane rests", "reason", o.Retry.Reason, "doubt", o.Retry.Doubt, "until", o.Retry.Due)
		return false
	case o.Failed != nil:
		log.ErrorContext(ctx, "work set aside: it cannot succeed", "code", o.Failed.Code, "reason", o.Failed.Reason, "zammad_error_id", o.Failed.ErrorID)
	}
	return true
}

// NewClaimID makes a claim id that nobody else has.
func NewClaimID() string { return uuid.NewString() }
