package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"deskbridge/bridge"
	"deskbridge/server"
	"deskbridge/zammad"
)

// checks are what /readyz looks at. Only the database makes an instance unready:
// a Zammad that is away is what the outbox is for.
func (a *App) checks() []server.Check {
	checks := []server.Check{
		{Name: "database", Required: true, Probe: func(ctx context.Context) (map[string]any, error) { return nil, a.Store.Ping(ctx) }},
		{Name: "outbox", Probe: a.outboxReport},
		{Name: "zammad", Probe: a.calls.report},
	}
	if a.bus != nil {
		checks = append(checks, server.Check{Name: "redis", Probe: func(ctx context.Context) (map[string]any, error) { return nil, a.bus.Ping(ctx) }})
	}
	return checks
}

// outboxReport tells how much waits for a Zammad.
func (a *App) outboxReport(ctx context.Context) (map[string]any, error) {
	counts, err := a.Store.ChatCounts(ctx)
	if err != nil {
		return nil, err
	}
	queued, failed, oldest := 0, 0, 0.0
	for _, c := range counts {
		queued += c.Queued
		failed += c.Failed
		if !c.OldestQueued.IsZero() {
			oldest = max(oldest, a.now().Sub(c.OldestQueued).Seconds())
		}
	}
	return map[string]any{"queued": queued, "failed": failed, "oldest_seconds": int(oldest)}, nil
}

// deskCalls remembers whether the last call to each Zammad was answered, as the
// bridge's own work shows it: nothing is called to find out.
type deskCalls struct {
	now func() time.Time

	mu     sync.Mutex
	silent map[string]time.Time // by address, since when; zero: answers
}

var errSilentZammad = errors.New("a Zammad did not answer the last call")

// note takes the outcome of one call.
func (d *deskCalls) note(c zammad.Call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.silent == nil {
		d.silent = make(map[string]time.Time)
	}
	switch since, known := d.silent[c.BaseURL]; {
	case c.Status != 0 && c.Status < 500:
		d.silent[c.BaseURL] = time.Time{}
	case !known || since.IsZero():
		d.silent[c.BaseURL] = d.now()
	}
}

// silentSince says since when a region's Zammad has not answered; the zero time
// if it does. It says false for one that was not called yet.
func (d *deskCalls) silentSince(r *bridge.Region) (since time.Time, called bool) {
	url, err := zammad.NormalizeURL(r.Settings.ZammadURL)
	if err != nil {
		return time.Time{}, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	since, called = d.silent[url]
	return since, called
}

// report counts the Zammads that were called and those that are silent. Their
// addresses stay out, since everybody may read the report.
func (d *deskCalls) report(context.Context) (map[string]any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	silent, longest := 0, time.Duration(0)
	for _, since := range d.silent {
		if !since.IsZero() {
			silent++
			longest = max(longest, d.now().Sub(since))
		}
	}
	figures := map[string]any{"called": len(d.silent), "silent": silent, "silent_seconds": int(longest.Seconds())}
	if silent > 0 {
		return figures, errSilentZammad
	}
	return figures, nil
}
