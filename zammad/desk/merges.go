package desk

import (
	"context"
	"time"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

// maxMerges bounds how many tickets are looked at to find the successor of a
// merged one.
//
// Failure policy: the successor counts as not known.
const maxMerges = 16

// successor follows the parent links of a merged ticket to the first one that
// is not merged itself (contract 2.6); 0 if there is none, as after a merge in
// a circle or into a ticket that was deleted. It also gives the time of the last
// merge on the way.
func (s *site) successor(ctx context.Context, merged zammad.Ticket) (id bridge.TicketID, at time.Time, err error) {
	seen := map[zammad.TicketID]bool{merged.ID: true}
	for queue := []zammad.Ticket{merged}; len(queue) > 0; queue = queue[1:] {
		parents, err := s.Tickets.Parents(ctx, queue[0].ID)
		if err != nil {
			if failure := s.failed(ctx, err, ofRecord); !absent(failure) {
				return 0, at, failure
			}
			continue
		}
		then, err := s.mergedAt(ctx, queue[0])
		if err != nil {
			return 0, at, err
		}
		if then.After(at) {
			at = then
		}
		for _, parent := range parents {
			if seen[parent] || len(seen) > maxMerges {
				continue
			}
			seen[parent] = true
			ticket, err := s.Tickets.Get(ctx, parent)
			if err != nil {
				failure := s.failed(ctx, err, ofRecord)
				switch {
				case bridge.KindOf(failure) == bridge.DeskHidden:
					return bridge.TicketID(parent), at, nil
				case !absent(failure):
					return 0, at, failure
				}
				continue
			}
			state, err := s.states.of(ctx, ticket.StateID)
			switch {
			case err != nil:
				return 0, at, err
			case state != bridge.TicketMerged:
				return bridge.TicketID(parent), at, nil
			}
			queue = append(queue, ticket)
		}
	}
	return 0, at, nil
}

// mergedAt gives the time at which a ticket was merged into another: Zammad
// writes its note then. The ticket's own time would not do, since a message may
// come into the shell later. One call.
func (s *site) mergedAt(ctx context.Context, merged zammad.Ticket) (time.Time, error) {
	articles, err := s.Articles.OfTicket(ctx, merged.ID)
	if err != nil {
		failure := s.failed(ctx, err, ofRecord)
		if kind := bridge.KindOf(failure); kind != bridge.DeskGone && kind != bridge.DeskHidden {
			return time.Time{}, failure
		}
	}
	at := merged.UpdatedAt
	for _, a := range articles {
		if looksLikeMergeNote(a) {
			at = a.CreatedAt // the last one: it may have been merged before, and opened again
		}
	}
	return at, nil
}

// linked says whether a ticket has a parent or child ticket, as every ticket
// has that took part in a merge (contract 3.6), or is merged now. Neither would
// do alone: a merged ticket can be opened again, and its note moves on with a
// second merge; and when the other ticket is deleted, it takes the link along.
// One call, and one more if there is no link.
func (s *site) linked(ctx context.Context, id zammad.TicketID) (bool, error) {
	links, err := s.Tickets.Links(ctx, id)
	if err != nil {
		return false, s.failed(ctx, err, ofRecord)
	}
	for _, l := range links {
		if l.Object == "Ticket" && (l.Type == "parent" || l.Type == "child") {
			return true, nil
		}
	}
	ticket, err := s.Tickets.Get(ctx, id)
	if err != nil {
		return false, s.failed(ctx, err, ofRecord)
	}
	state, err := s.states.of(ctx, ticket.StateID)
	return state == bridge.TicketMerged, err
}

// Absorbed gives the time of the last merge into a ticket: a merged ticket is
// linked as its child, with a note from the merge (contract 3.6). One call, and
// two more for each child. A child that is gone or out of sight may have been
// merged at any time, so the answer is in the future: tomorrow, since Zammad's
// clock may be ahead of ours.
func (d *Desk) Absorbed(ctx context.Context, r *bridge.Region, id bridge.TicketID) (time.Time, error) {
	s, err := d.site(r)
	if err != nil {
		return time.Time{}, err
	}
	ctx = zammad.Housekeeping(ctx)
	links, err := s.Tickets.Links(ctx, zammad.TicketID(id))
	if err != nil {
		return time.Time{}, s.failed(ctx, err, ofRecord)
	}
	var last time.Time
	for _, link := range links {
		if link.Object != "Ticket" || link.Type != "child" {
			continue
		}
		child, err := s.Tickets.Get(ctx, link.ID)
		var at time.Time
		if err != nil {
			failure := s.failed(ctx, err, ofRecord)
			if kind := bridge.KindOf(failure); kind != bridge.DeskGone && kind != bridge.DeskHidden {
				return time.Time{}, failure
			}
			at = d.cfg.Now().AddDate(0, 0, 1)
		} else if state, err := s.states.of(ctx, child.StateID); err != nil {
			return time.Time{}, err
		} else if state != bridge.TicketMerged {
			continue // linked by hand
		} else if at, err = s.mergedAt(ctx, child); err != nil {
			return time.Time{}, err
		}
		if at.After(last) {
			last = at
		}
	}
	return last, nil
}
