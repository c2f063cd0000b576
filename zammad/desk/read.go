package desk

import (
	"context"
	"slices"
	"time"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

const (
	// pageSize is the most tickets that one search gives (contract 2.3).
	pageSize = 200
	// maxPages bounds one call of Changed: 10,000 tickets.
	//
	// Failure policy: what was read until then is returned, and it is the
	// oldest part, so the next call goes on where this one ended.
	maxPages = 50
)

// Find looks for the article with this message id in every ticket that the
// token sees, which for merged tickets is the one that has the article now: one
// search, and if that ticket has several articles a second call to see which
// one it is. If the message was stored more than once, the oldest counts that is
// in no merged ticket: a message that met a merge is sent again to the successor.
func (d *Desk) Find(ctx context.Context, r *bridge.Region, uuid bridge.MessageUUID) (bridge.Posted, bool, error) {
	s, err := d.site(r)
	if err != nil {
		return bridge.Posted{}, false, err
	}
	tickets, err := s.Tickets.Search(ctx, zammad.Search{
		Conditions: zammad.Conditions{"article.message_id": zammad.Condition{Operator: "is", Value: uuid.Header()}},
		SortBy:     "id", Limit: 10,
	})
	if err != nil {
		return bridge.Posted{}, false, s.failed(ctx, err, ofAll)
	}
	if len(tickets) == 0 {
		return bridge.Posted{}, false, nil
	}
	slices.SortFunc(tickets, func(a, b zammad.Ticket) int { return int(a.ID - b.ID) })
	ticket := tickets[0]
	posted := bridge.Posted{}
	for i, t := range tickets {
		found, err := s.ticket(ctx, t)
		if err != nil {
			return bridge.Posted{}, false, err
		}
		if i == 0 || found.State != bridge.TicketMerged {
			ticket, posted.Ticket, posted.Customer = t, found, bridge.CustomerID(t.CustomerID)
		}
		if found.State != bridge.TicketMerged {
			break
		}
	}
	if len(ticket.ArticleIDs) == 1 {
		posted.Article = bridge.ArticleID(ticket.ArticleIDs[0])
		return posted, true, nil
	}
	articles, err := s.Articles.OfTicket(ctx, ticket.ID)
	if err != nil {
		return bridge.Posted{}, false, s.failed(ctx, err, ofRecord)
	}
	for _, a := range articles {
		if a.MessageID != uuid.Header() {
			continue
		}
		posted.Article = bridge.ArticleID(a.ID)
		if a.OriginByID != 0 { // after a merge the ticket's customer may be another one
			posted.Customer = bridge.CustomerID(a.OriginByID)
		}
		break
	}
	return posted, true, nil
}

// Ticket reads one ticket: one call, and for a merged one three more for each
// ticket of the chain. A successor out of the token's sight is returned
// nevertheless: it is the right one, and what to do about it is the same as for
// every hidden ticket.
func (d *Desk) Ticket(ctx context.Context, r *bridge.Region, id bridge.TicketID) (bridge.Ticket, error) {
	s, err := d.site(r)
	if err != nil {
		return bridge.Ticket{}, err
	}
	ctx = zammad.Housekeeping(ctx)
	found, err := s.Tickets.Get(ctx, zammad.TicketID(id))
	if err != nil {
		return bridge.Ticket{}, s.failed(ctx, err, ofRecord)
	}
	ticket, err := s.ticket(ctx, found)
	if err == nil && ticket.State == bridge.TicketMerged {
		ticket.Successor, ticket.MergedAt, err = s.successor(ctx, found)
	}
	return ticket, err
}

// absent says whether the failure is that the record does not exist.
func absent(err error) bool { return bridge.KindOf(err) == bridge.DeskGone }

// Articles reads all articles of a ticket in the order of their creation: one
// call, and one or two more if one of them may be Zammad's note about a merge.
func (d *Desk) Articles(ctx context.Context, r *bridge.Region, id bridge.TicketID) ([]bridge.Article, error) {
	s, err := d.site(r)
	if err != nil {
		return nil, err
	}
	ctx = zammad.Housekeeping(ctx)
	all, err := s.Articles.OfTicket(ctx, zammad.TicketID(id))
	if err != nil {
		return nil, s.failed(ctx, err, ofRecord)
	}
	linked := false
	if slices.ContainsFunc(all, looksLikeMergeNote) {
		if linked, err = s.linked(ctx, zammad.TicketID(id)); err != nil {
			return nil, err
		}
	}
	out := make([]bridge.Article, len(all))
	for i, a := range all {
		out[i] = article(a)
		if linked && looksLikeMergeNote(a) {
			out[i].Public = false
		}
	}
	return out, nil
}

// Article reads one article: one call, and one or two more if it may be Zammad's
// note about a merge.
func (d *Desk) Article(ctx context.Context, r *bridge.Region, id bridge.ArticleID) (bridge.Article, error) {
	s, err := d.site(r)
	if err != nil {
		return bridge.Article{}, err
	}
	found, err := s.Articles.Get(ctx, zammad.ArticleID(id))
	if err != nil {
		return bridge.Article{}, s.failed(ctx, err, ofRecord)
	}
	out := article(found)
	if looksLikeMergeNote(found) {
		linked, err := s.linked(ctx, found.TicketID)
		if err != nil {
			return bridge.Article{}, err
		}
		out.Public = out.Public && !linked
	}
	return out, nil
}

// Changed lists the tickets that changed at or after since, oldest first, and
// without following merges. It searches page by page, each from the change at
// which the one before it ended: with plain page numbers a ticket that changes
// meanwhile would move to the end and shift another one out of sight. It stops
// after 10,000 tickets; ask again from the last one's ChangedAt for the rest.
// Once an hour it also reads the list of ticket states, for everybody.
func (d *Desk) Changed(ctx context.Context, r *bridge.Region, since time.Time) ([]bridge.Ticket, error) {
	s, err := d.site(r)
	if err != nil {
		return nil, err
	}
	ctx = zammad.Housekeeping(ctx)
	if err := s.states.warm(ctx); err != nil {
		return nil, err
	}
	var out []bridge.Ticket
	seen := make(map[zammad.TicketID]time.Time)
	from, page := searchFrom(since), 1
	for range maxPages {
		found, err := s.Tickets.Search(ctx, zammad.Search{
			Conditions: zammad.Conditions{"ticket.updated_at": zammad.Condition{Operator: "after (absolute)", Value: from.Format(time.RFC3339)}},
			SortBy:     "updated_at", Limit: pageSize, Page: page,
		})
		if err != nil {
			return nil, s.failed(ctx, err, ofAll)
		}
		for _, t := range found {
			if last, known := seen[t.ID]; known && !t.UpdatedAt.After(last) || t.UpdatedAt.Before(since) {
				continue
			}
			ticket, err := s.ticket(ctx, t)
			if err != nil {
				return nil, err
			}
			seen[t.ID] = t.UpdatedAt
			out = append(out, ticket)
		}
		if len(found) < pageSize {
			break
		}
		// A full page within one second: the next one of the same second.
		if next := searchFrom(found[len(found)-1].UpdatedAt); next.After(from) {
			from, page = next, 1
		} else {
			page++
		}
	}
	// Of a ticket that changed again while we read, only the last is true.
	return slices.DeleteFunc(out, func(t bridge.Ticket) bool {
		return t.ChangedAt.Before(seen[zammad.TicketID(t.ID)])
	}), nil
}

// searchFrom is the time from which to search so that a change at t is found,
// whether Zammad means "after" to include the time itself or not. The search
// is told whole seconds.
func searchFrom(t time.Time) time.Time {
	return t.UTC().Truncate(time.Second).Add(-time.Second)
}
