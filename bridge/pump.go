package bridge

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
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
	// lease is how long a lane is held without a sign of life, and renewEvery how
	// often a living pump gives one. A crash delays a chat by no more than this.
	//
	// Failure policy: whoever takes the lane over finds the started work in
	// doubt and looks before it sends; a process that was only paused finds its
	// claim lost, and what it wanted to write is not written.
	lease      = 15 * time.Second
	renewEvery = 5 * time.Second
	// finishTries is how often the outcome of a call is tried to be stored, once
	// a second.
	//
	// Failure policy: then the lane's lease ends, and the work is in doubt.
	finishTries = 20
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
	held    map[ChatID]Claim
	workers sync.WaitGroup
}

// NewPump makes a pump; Run lets it work.
func NewPump(deps PumpDeps) *Pump {
	if deps.Horizon == 0 {
		deps.Horizon = DefaultWriteHorizon
	}
	return &Pump{PumpDeps: deps, wake: make(chan struct{}, 1), running: make(map[DeskID]int), held: make(map[ChatID]Claim)}
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
	var renewing sync.WaitGroup
	renewing.Go(func() { p.renew(work) })
	defer func() { cut(); renewing.Wait() }()
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
		free := lanesPerDesk - p.busy(desk)
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
			p.hold(desk, claim)
			p.workers.Go(func() {
				p.workLane(ctx, work, claim)
				p.drop(desk, claim)
				p.Wake() // its place is free for another lane
			})
		}
	}
	return claimed
}

// busy gives the number of lanes of a desk that are worked on.
func (p *Pump) busy(desk DeskID) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running[desk]
}

func (p *Pump) hold(desk DeskID, c Claim) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running[desk]++
	p.held[c.Chat] = c
}

func (p *Pump) drop(desk DeskID, c Claim) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running[desk]--
	if p.held[c.Chat].ID == c.ID {
		delete(p.held, c.Chat)
	}
}

// renew prolongs the claims of all lanes that are worked on, until ctx ends.
func (p *Pump) renew(ctx context.Context) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		claims := slices.Collect(maps.Values(p.held))
		p.mu.Unlock()
		if len(claims) == 0 {
			continue
		}
		now := p.Now()
		if err := p.Lanes.Renew(ctx, claims, now, now.Add(lease)); err != nil && ctx.Err() == nil {
			p.Log.WarnContext(ctx, "claims could not be prolonged; other instances may take the lanes over", "lanes", len(claims), "error", err)
		}
	}
}

// workLane does the works of one lane in order until it is empty, has to rest,
// or stop ends; work ends when calls are to be broken off too.
func (p *Pump) workLane(stop, work context.Context, claim Claim) {
	log := p.Log.With("chat", claim.Chat)
	for {
		if stop.Err() != nil {
			if err := p.Lanes.Release(context.WithoutCancel(work), claim, p.Now()); err != nil {
				log.WarnContext(work, "lane could not be released; its lease ends by itself", "error", err)
			}
			return
		}
		now := p.Now()
		next, err := p.Lanes.Start(work, claim, now)
		if err != nil {
			log.WarnContext(work, "lane left: its next work could not be started", "error", err)
			return
		}
		if next == nil {
			return
		}
		next.TakenAt = now
		if !p.finish(work, claim, p.do(work, next)) {
			return
		}
	}
}

// finish writes an outcome and says whether the lane goes on. What the desk did
// is true even if we are told to stop now.
func (p *Pump) finish(ctx context.Context, claim Claim, o Outcome) bool {
	log := p.Log.With("chat", claim.Chat, "work", o.Work)
	var changes []Change
	for try := 1; ; try++ {
		var err error
		if changes, err = p.Lanes.Finish(context.WithoutCancel(ctx), claim, o, p.Now()); err == nil {
			break
		}
		if errors.Is(err, ErrClaimLost) || try == finishTries || !pause(ctx, time.Second) {
			// The work stays started, so the next one to take it looks first.
			log.ErrorContext(ctx, "outcome could not be stored; the work is in doubt", "error", err)
			return false
		}
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

// pause waits, and says false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// NewClaimID makes a claim id that nobody else has.
func NewClaimID() string { return uuid.NewString() }
