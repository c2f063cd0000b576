package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// unknownTries is how often a delivery for a ticket that no chat has is tried
// again before it counts as somebody else's: the answer that tells us the
// ticket's number may still be on its way.
//
// Failure policy: if it takes longer, reconciliation finds the ticket.
const unknownTries = 3

// wholeTicketFrom is the number of unknown articles from which one call for the
// whole ticket is cheaper than one call for each.
const wholeTicketFrom = 4

// ReceiverDeps is what the Receiver needs.
type ReceiverDeps struct {
	Tickets   TicketStore
	Desk      Desk
	Regions   *Regions
	Publisher Publisher
	Log       *slog.Logger
	Now       func() time.Time
}

// Receiver brings what agents write to the devices. Webhook deliveries and
// reconciliation go through it alike.
type Receiver struct{ ReceiverDeps }

// NewReceiver puts a Receiver together.
func NewReceiver(deps ReceiverDeps) *Receiver { return &Receiver{deps} }

// Deliver relays a stored webhook delivery. An error means that it should be
// tried again later; everything that is nobody's fault is an outcome.
func (r *Receiver) Deliver(ctx context.Context, d Delivery) (DeliveryOutcome, error) {
	region, ok := r.Regions.ByID(d.Region)
	if !ok {
		return DeliveryUnknownTicket, nil
	}
	ticket, err := r.Desk.ReadDelivery(d.Body)
	if err != nil {
		return DeliveryFailed, nil // the door checked it: a newer version of us would have to read it
	}
	known, err := r.Tickets.KnownTicket(ctx, region.Desk, ticket.ID)
	if errors.Is(err, ErrTicketUnknown) {
		if d.Attempts < unknownTries {
			return "", err
		}
		return DeliveryUnknownTicket, nil
	}
	if err != nil {
		return "", err
	}
	if known.Chat.Region != region.ID {
		return DeliveryOtherRegion, nil
	}
	if d.Hint {
		if ticket, err = r.Desk.Ticket(ctx, region, ticket.ID); err != nil {
			return r.unreadable(err)
		}
		return r.outcome(r.readWhole(ctx, region, ticket, known))
	}
	return r.outcome(r.receive(ctx, region, ticket, known))
}

func (r *Receiver) outcome(err error) (DeliveryOutcome, error) {
	if err != nil {
		return r.unreadable(err)
	}
	return DeliveryRelayed, nil
}

// unreadable says what a failed read means for a delivery: a ticket that is
// gone has nothing more to tell, all else is tried again.
func (r *Receiver) unreadable(err error) (DeliveryOutcome, error) {
	if KindOf(err) == DeskGone {
		return DeliveryUnknownTicket, nil
	}
	return "", err
}

// receive records what a trustworthy delivery says. Only articles that are
// unknown here are taken from it: it may be old, and must not bring back what
// was retracted since. The common case, one new article, makes no call.
func (r *Receiver) receive(ctx context.Context, region *Region, t Ticket, known KnownTicket) error {
	var fresh []Article
	included := make(map[ArticleID]Article, len(t.Included))
	for _, a := range t.Included {
		included[a.ID] = a
	}
	var missing []ArticleID
	for _, id := range t.Articles {
		if known.Articles[id] {
			continue
		}
		if a, ok := included[id]; ok {
			fresh = append(fresh, a)
		} else {
			missing = append(missing, id)
		}
	}
	if len(missing) >= wholeTicketFrom {
		return r.readWhole(ctx, region, t, known)
	}
	for _, id := range missing {
		a, err := r.Desk.Article(ctx, region, id)
		if err != nil {
			if KindOf(err) == DeskGone {
				continue // deleted since
			}
			return fmt.Errorf("read article: %w", err)
		}
		if a.Ticket == t.ID {
			fresh = append(fresh, a)
		}
	}
	receipt := Receipt{Chat: known.Chat.ID, Articles: fresh}
	if !t.ChangedAt.Before(known.CheckedAt) {
		receipt.State = t.State
	}
	return r.record(ctx, region, t, receipt)
}

// readWhole reads all articles of a ticket and compares visibility too.
func (r *Receiver) readWhole(ctx context.Context, region *Region, t Ticket, known KnownTicket) error {
	articles, err := r.Desk.Articles(ctx, region, t.ID)
	if err != nil {
		return fmt.Errorf("read articles: %w", err)
	}
	return r.record(ctx, region, t, Receipt{
		Chat: known.Chat.ID, Articles: articles, State: t.State, Complete: true, CheckedAt: t.ChangedAt,
	})
}

// record stores a receipt, in the order of the desk, and tells who watches.
func (r *Receiver) record(ctx context.Context, region *Region, t Ticket, receipt Receipt) error {
	if t.State == TicketMerged {
		successor := t.Successor
		if successor == 0 {
			whole, err := r.Desk.Ticket(ctx, region, t.ID)
			if err != nil {
				return fmt.Errorf("follow merge: %w", err)
			}
			successor = whole.Successor
		}
		if receipt.Follow = successor; successor != 0 {
			receipt.State = TicketOpen // of the successor; the next answer tells if it is another
		}
		// The articles have moved to the successor, so this ticket's list says
		// nothing about what was deleted.
		receipt.Complete = false
	}
	slices.SortFunc(receipt.Articles, func(a, b Article) int { return int(a.ID - b.ID) })
	receipt.Now = r.Now()
	changes, err := r.Tickets.Record(ctx, receipt)
	if err != nil {
		return fmt.Errorf("record ticket: %w", err)
	}
	r.Publisher.Publish(changes...)
	return nil
}
