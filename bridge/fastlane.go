package bridge

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Times of the fast lane.
const (
	// lateAfter is the age from which an answer counts as one that its webhook
	// should have brought: Zammad calls after 0 to 4 s (contract 00, "what a
	// Zammad costs"). Both clocks are compared, so a Zammad whose clock is
	// further behind is looked at without need.
	lateAfter = 15 * time.Second
	// lateFor is how long a region's webhooks are mistrusted after that. One
	// that comes in time ends it.
	lateFor = 10 * time.Minute
	// hastenEvery is the pause between two looks of the fast lane.
	//
	// Failure policy: what one look misses the next one finds, or the job
	// reconcile, which does the same.
	hastenEvery = 3 * time.Second
)

// punctuality remembers the regions whose webhooks were seen to be late or
// missing.
type punctuality struct {
	mu   sync.Mutex
	late map[RegionID]time.Time // when it was seen
}

// saw notes how old an agent's answer was when it was first heard of, and
// whether a webhook brought it.
func (p *punctuality) saw(r RegionID, age time.Duration, hook bool, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case age > lateAfter:
		if p.late == nil {
			p.late = make(map[RegionID]time.Time)
		}
		p.late[r] = now
	case hook:
		delete(p.late, r)
	}
}

// isLate says whether a region's webhooks are mistrusted.
func (p *punctuality) isLate(r RegionID, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen, late := p.late[r]
	return late && now.Sub(seen) < lateFor
}

// FastLaneDeps is what the fast lane needs.
type FastLaneDeps struct {
	Receiver *Receiver
	Watchers interface {
		// Watchers lists the devices of a region that are connected here.
		Watchers(r RegionID) []DeviceHash
	}
	Waiting WaitingStore
	Log     *slog.Logger
	Now     func() time.Time
}

// FastLane looks for answers more often than the job reconcile does, and in the
// same way: every three seconds, for regions whose webhooks were seen to be late
// or missing, while a device that is connected here waits for an answer. While
// webhooks work it makes no call and asks no store; otherwise it costs a Zammad
// one search a look, and one call for each ticket that changed.
type FastLane struct{ FastLaneDeps }

// NewFastLane puts a FastLane together.
func NewFastLane(deps FastLaneDeps) *FastLane { return &FastLane{deps} }

// Run looks until ctx ends.
func (f *FastLane) Run(ctx context.Context) error {
	tick := time.NewTicker(hastenEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			f.look(ctx)
		}
	}
}

// look searches each Zammad at most once.
func (f *FastLane) look(ctx context.Context) {
	looked := make(map[access]bool)
	for _, region := range f.Receiver.Regions.All() {
		key := access{region.Desk, region.ZammadToken}
		if !region.Served() || looked[key] || !f.Receiver.punctuality.isLate(region.ID, f.Now()) {
			continue
		}
		devices := f.Watchers.Watchers(region.ID)
		if len(devices) == 0 {
			continue
		}
		waiting, err := f.Waiting.Waiting(ctx, region.ID, devices)
		if err == nil && waiting {
			looked[key] = true
			err = f.Receiver.hasten(ctx, region)
		}
		if err != nil && ctx.Err() == nil {
			f.Log.WarnContext(ctx, "a look for answers that no webhook brought failed; the next one comes soon", "region", region.Slug, "error", err)
		}
	}
}
