// Package realtime knows how far each device's history has come, so that a
// device which asks for news gets its answer without a query when there are
// none. It is a hint: the database is the log, and what is not known here is
// read there.
package realtime

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"deskbridge/bridge"
)

// Times and bounds of the watermarks.
const (
	// lookEvery is how often the database is asked for changes that other
	// processes made. It is the age that an answer may have with several
	// instances and without a bus.
	//
	// Failure policy: after staleAfter without a successful look nothing is
	// known any more, and every question goes to the database.
	lookEvery  = 500 * time.Millisecond
	staleAfter = 2 * time.Second
	// overlap is how far each look reaches back: a change is stamped before it
	// is committed, and the clocks of instances differ by a little.
	overlap = 2 * time.Second
	// generationAge and generationSize bound what is remembered: an entry that
	// was not read from the database for one to two ages is forgotten.
	generationAge  = 30 * time.Second
	generationSize = 50_000 // about 5 MB
)

type device struct {
	region bridge.RegionID
	hash   bridge.DeviceHash
}

// Deps is what Watermarks needs.
type Deps struct {
	Store interface {
		ChangedSince(ctx context.Context, since time.Time) ([]bridge.Change, error)
	}
	Bus *Bus // nil: no bus between instances
	Log *slog.Logger
	Now func() time.Time
}

// Watermarks remembers the newest Seq of devices that asked lately.
type Watermarks struct {
	Deps
	looked atomic.Int64 // when the database was last looked at, Unix milliseconds

	mu       sync.RWMutex
	young    map[device]bridge.Seq
	old      map[device]bridge.Seq
	turnedAt time.Time
	watched  map[device]*watched
}

// NewWatermarks makes an empty memory; it trusts itself only while Run works.
func NewWatermarks(deps Deps) *Watermarks {
	return &Watermarks{Deps: deps, young: make(map[device]bridge.Seq), watched: make(map[device]*watched), turnedAt: deps.Now()}
}

// Seq gives the newest Seq of a device; false says that only the database knows.
func (w *Watermarks) Seq(r bridge.RegionID, d bridge.DeviceHash) (bridge.Seq, bool) {
	if w.Now().UnixMilli()-w.looked.Load() > staleAfter.Milliseconds() {
		return 0, false
	}
	key := device{r, d}
	w.mu.RLock()
	defer w.mu.RUnlock()
	if seq, ok := w.young[key]; ok {
		return seq, true
	}
	seq, ok := w.old[key]
	return seq, ok
}

// Learn remembers a Seq that was just read from the database.
func (w *Watermarks) Learn(c bridge.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := device{c.Region, c.Device}
	if max(w.young[key], w.old[key]) > c.Seq {
		return // a change came in between
	}
	if len(w.young) >= generationSize {
		w.turn()
	}
	w.young[key] = c.Seq
}

// Publish takes changes that this process committed, and passes them on.
func (w *Watermarks) Publish(changes ...bridge.Change) {
	w.apply(changes)
	if w.Bus != nil {
		w.Bus.Send(changes)
	}
}

// apply moves what is remembered on, and tells who watches. Devices that did not
// ask are not remembered: they cost memory and nobody wants to know.
func (w *Watermarks) apply(changes []bridge.Change) {
	if len(changes) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range changes {
		w.tell(c)
		key := device{c.Region, c.Device}
		for _, generation := range []map[device]bridge.Seq{w.young, w.old} {
			seq, known := generation[key]
			switch {
			case !known:
			case c.Seq == 0:
				delete(generation, key)
			case c.Seq > seq:
				generation[key] = c.Seq
			}
		}
	}
}

// turn forgets the old generation.
func (w *Watermarks) turn() {
	w.old, w.young = w.young, make(map[device]bridge.Seq)
	w.turnedAt = w.Now()
}

// Run looks at the database, and listens to the bus if there is one, until ctx
// ends.
func (w *Watermarks) Run(ctx context.Context) error {
	if w.Bus != nil {
		var listening sync.WaitGroup
		defer listening.Wait()
		listening.Go(func() { w.Bus.Run(ctx, w.apply) })
	}
	w.look(ctx)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			w.look(ctx)
		}
	}
}

// look asks the database for changes since the last look.
func (w *Watermarks) look(ctx context.Context) {
	began := w.Now()
	since := time.UnixMilli(w.looked.Load())
	paused := began.Sub(since) > generationAge
	if paused {
		// After a pause (or at the start) nothing remembered is trusted.
		w.mu.Lock()
		w.turn()
		w.turn()
		w.mu.Unlock()
		since = began
	}
	changes, err := w.Store.ChangedSince(ctx, since.Add(-overlap))
	if err != nil {
		if ctx.Err() == nil {
			w.Log.WarnContext(ctx, "changes of other instances could not be read; polls ask the database themselves", "error", err)
		}
		return
	}
	w.apply(changes)
	w.mu.Lock()
	if paused {
		w.tellAll()
	}
	if began.Sub(w.turnedAt) > generationAge {
		w.turn()
	}
	w.mu.Unlock()
	w.looked.Store(began.UnixMilli())
}
