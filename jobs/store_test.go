package jobs

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"deskbridge/bridge"
)

type database struct {
	mu     sync.Mutex
	holder map[string]string
	until  map[string]time.Time
	runs   []bridge.JobRun
}

func newDatabase(testing.TB) *database {
	return &database{holder: map[string]string{}, until: map[string]time.Time{}}
}
func open(_ testing.TB, d *database) *database { return d }
func runs(_ testing.TB, d *database) []bridge.JobRun {
	out := slices.Clone(d.runs)
	slices.Reverse(out)
	return out
}
func (d *database) Lease(_ context.Context, name, holder string, now, until time.Time) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.holder[name] != holder && d.until[name].After(now) {
		return false, nil
	}
	d.holder[name], d.until[name] = holder, until
	return true, nil
}
func (d *database) RecordRun(_ context.Context, run bridge.JobRun) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.runs = append(d.runs, run)
	return nil
}
