package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// regionsEvery is how often the regions are read again. A change by a command
// or by another instance is obeyed after at most this time.
//
// Failure policy: a failed read is logged and the last regions stay in force.
const regionsEvery = time.Second

// Regions holds all regions in memory, so that no request asks the store for
// them.
type Regions struct {
	store interface {
		Regions(ctx context.Context) ([]*Region, error)
	}
	log     *slog.Logger
	current atomic.Pointer[regionIndex]
}

type regionIndex struct {
	all    []*Region
	bySlug map[string]*Region
	byID   map[RegionID]*Region
}

// NewRegions reads the regions for the first time. The error is the store's.
func NewRegions(ctx context.Context, store interface {
	Regions(ctx context.Context) ([]*Region, error)
}, log *slog.Logger) (*Regions, error) {
	r := &Regions{store: store, log: log}
	if err := r.Reload(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Reload reads the regions now.
func (r *Regions) Reload(ctx context.Context) error {
	all, err := r.store.Regions(ctx)
	if err != nil {
		return fmt.Errorf("read regions: %w", err)
	}
	index := &regionIndex{all: all, bySlug: make(map[string]*Region, len(all)), byID: make(map[RegionID]*Region, len(all))}
	for _, region := range all {
		index.bySlug[region.Slug] = region
		index.byID[region.ID] = region
	}
	r.current.Store(index)
	return nil
}

// Run reads the regions again every second until ctx ends.
func (r *Regions) Run(ctx context.Context) error {
	tick := time.NewTicker(regionsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := r.Reload(ctx); err != nil && ctx.Err() == nil {
				r.log.WarnContext(ctx, "regions could not be read again; the last ones stay in force", "error", err)
			}
		}
	}
}

// BySlug finds a region by the name that paths use.
func (r *Regions) BySlug(slug string) (*Region, bool) {
	region, ok := r.current.Load().bySlug[slug]
	return region, ok
}

// ByID finds a region.
func (r *Regions) ByID(id RegionID) (*Region, bool) {
	region, ok := r.current.Load().byID[id]
	return region, ok
}

// All lists the regions, ordered by slug.
func (r *Regions) All() []*Region { return r.current.Load().all }
