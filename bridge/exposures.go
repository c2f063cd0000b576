package bridge

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// Bounds of the exposure buffer.
const (
	// exposuresEvery is how often noted exposures are stored.
	//
	// Failure policy: what could not be stored is tried again with the next
	// ones; what a crash takes is lost, it is a statistic and no message.
	exposuresEvery = time.Second
	// maxPendingExposures bounds what waits for the store: a flood of invented
	// device ids costs memory and rows only up to here in each second.
	maxPendingExposures = 2_000
	// maxSeenExposures bounds the memory of what was stored today already; when
	// it is full it starts anew, and the store's unique key does the rest.
	maxSeenExposures = 100_000
)

// Exposures notes which devices were told which decision, once a device and
// day, without a write in the request that asked.
type Exposures struct {
	store interface {
		RecordExposures(ctx context.Context, exposures []Exposure) error
	}
	log *slog.Logger

	mu      sync.Mutex
	seen    map[exposureKey]struct{}
	pending []Exposure
}

type exposureKey struct {
	region RegionID
	device DeviceHash
	day    string
}

// NewExposures makes an empty buffer.
func NewExposures(store interface {
	RecordExposures(ctx context.Context, exposures []Exposure) error
}, log *slog.Logger) *Exposures {
	return &Exposures{store: store, log: log, seen: make(map[exposureKey]struct{})}
}

// Note remembers an exposure until it is stored. It never blocks.
func (e *Exposures) Note(x Exposure) {
	key := exposureKey{x.Region, x.Device, x.Day}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.seen[key]; known || len(e.pending) >= maxPendingExposures {
		return
	}
	if len(e.seen) >= maxSeenExposures {
		clear(e.seen)
	}
	e.seen[key] = struct{}{}
	e.pending = append(e.pending, x)
}

// Forget drops what waits of a device, because it is being erased.
func (e *Exposures) Forget(r RegionID, d DeviceHash) {
	e.mu.Lock()
	defer e.mu.Unlock()
	of := func(region RegionID, device DeviceHash) bool { return region == r && device == d }
	e.pending = slices.DeleteFunc(e.pending, func(x Exposure) bool { return of(x.Region, x.Device) })
	maps.DeleteFunc(e.seen, func(k exposureKey, _ struct{}) bool { return of(k.region, k.device) })
}

// Run stores what was noted, every second and once more at the end.
func (e *Exposures) Run(ctx context.Context) error {
	tick := time.NewTicker(exposuresEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			e.flush(context.WithoutCancel(ctx))
			return nil
		case <-tick.C:
			e.flush(ctx)
		}
	}
}

func (e *Exposures) flush(ctx context.Context) {
	e.mu.Lock()
	batch := e.pending
	e.pending = nil
	e.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	if err := e.store.RecordExposures(ctx, batch); err != nil {
		e.log.WarnContext(ctx, "exposures wait: they could not be stored", "count", len(batch), "error", err)
		e.mu.Lock()
		e.pending = append(batch, e.pending...)
		e.mu.Unlock()
	}
}
