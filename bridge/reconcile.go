package bridge

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// Times of reconciliation.
const (
	// reconcileOverlap is how far each search reaches back behind the newest
	// change that was read: a transaction of the desk may commit a little after
	// the time that it wrote.
	reconcileOverlap = 2 * time.Minute
	// reconcileFirst is how far the very first search of a desk reaches back by
	// our clock, which may be ahead of the desk's; all others go by the desk's.
	reconcileFirst = 24 * time.Hour
	// reconcilePatience bounds one desk's round, so that a dead desk does not
	// keep the others waiting for the next one.
	//
	// Failure policy: what was not read is read in the next round, since the
	// mark only moves on after success.
	reconcilePatience = 25 * time.Second
)

// Reconcile compares every desk with what is known here, and relays what no
// webhook told: lost deliveries, notes by triggers, changed visibility. It
// costs one search for each Zammad and one call for each ticket of ours that
// changed. A dry run only counts.
//
// It returns the number of changed and of repaired tickets. The error joins
// those of single desks.
func (r *Receiver) Reconcile(ctx context.Context, dryRun bool) (map[string]int, error) {
	desks := make(map[access]*Region)
	for _, region := range r.Regions.All() {
		if region.Settings.ZammadURL != "" && region.ZammadToken != "" {
			if key := (access{region.Desk, region.ZammadToken}); desks[key] == nil {
				desks[key] = region
			}
		}
	}
	var (
		mu     sync.Mutex
		wg     sync.WaitGroup
		counts = map[string]int{"tickets_changed": 0, "tickets_read": 0}
		failed []error
	)
	for _, region := range desks {
		wg.Go(func() {
			changed, read, err := r.reconcileDesk(ctx, region, dryRun)
			mu.Lock()
			defer mu.Unlock()
			counts["tickets_changed"] += changed
			counts["tickets_read"] += read
			if err != nil {
				failed = append(failed, fmt.Errorf("region %s: %w", region.Slug, err))
			}
		})
	}
	wg.Wait()
	return counts, errors.Join(failed...)
}

// access is what makes two regions see the same tickets.
type access struct {
	desk  DeskID
	token Secret
}

// hasten does a round of its own for the desk of one region.
func (r *Receiver) hasten(ctx context.Context, region *Region) error {
	_, _, err := r.reconcileDesk(ctx, region, false)
	return err
}

// reconcileDesk does one round with the token of one region.
func (r *Receiver) reconcileDesk(ctx context.Context, region *Region, dryRun bool) (changed, read int, err error) {
	ctx, cancel := context.WithTimeout(ctx, reconcilePatience)
	defer cancel()
	name := "reconcile/" + strconv.FormatInt(int64(region.Desk), 10) + "/" + strconv.FormatInt(int64(region.ID), 10)
	mark, err := r.Tickets.Mark(ctx, name)
	if err != nil {
		return 0, 0, err
	}
	if mark.IsZero() {
		mark = r.Now().Add(-reconcileFirst)
	}
	tickets, err := r.Desk.Changed(ctx, region, mark.Add(-reconcileOverlap))
	if err != nil {
		return 0, 0, err
	}
	numbers := make([]TicketID, len(tickets))
	for i, t := range tickets {
		numbers[i] = t.ID
	}
	known, err := r.Tickets.KnownTickets(ctx, region.Desk, numbers)
	if err != nil {
		return 0, 0, err
	}
	newest := mark
	for _, t := range tickets {
		if k, ours := known[t.ID]; ours && t.ChangedAt.After(k.CheckedAt) {
			changed++
			if !dryRun {
				if err := r.reconcileTicket(ctx, t, k); err != nil {
					return changed, read, errors.Join(err, r.mark(ctx, name, newest, mark))
				}
				read++
			}
		}
		if t.ChangedAt.After(newest) {
			newest = t.ChangedAt
		}
	}
	if dryRun {
		return changed, 0, nil
	}
	return changed, read, r.mark(ctx, name, newest, mark)
}

// mark moves a mark on, if there was anything newer.
func (r *Receiver) mark(ctx context.Context, name string, newest, old time.Time) error {
	if !newest.After(old) {
		return nil
	}
	return r.Tickets.SetMark(context.WithoutCancel(ctx), name, newest)
}

func (r *Receiver) reconcileTicket(ctx context.Context, t Ticket, known KnownTicket) error {
	region, ok := r.Regions.ByID(known.Chat.Region)
	if !ok {
		return nil
	}
	err := r.readWhole(ctx, region, t, known)
	if kind := KindOf(err); err != nil && (kind == DeskGone || kind == DeskHidden) {
		return nil // deleted or moved away since the search: nothing to read
	}
	return err
}
