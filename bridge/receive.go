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
// Failure policy: if it takes longer, reconciliation finds the ticket, or whoever
// finds the message that opened it reads the whole ticket.
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
type Receiver struct {
	ReceiverDeps
	punctuality punctuality
	ahead       ahead
}

// NewReceiver puts a Receiver together.
func NewReceiver(deps ReceiverDeps) *Receiver {
	return &Receiver{ReceiverDeps: deps, ahead: ahead{read: deps.Desk.ReadDelivery}}
}

// Expect begins to read the body of a delivery that is about to be stored, and
// that will come to Deliver if it is. It does not wait. The body must not change
// any more.
func (r *Receiver) Expect(body []byte) { r.ahead.begin(body, r.Now()) }

// Deliver relays a stored webhook delivery. An error means that it should be
// tried again later; everything that is nobody's fault is an outcome.
func (r *Receiver) Deliver(ctx context.Context, d Delivery) (DeliveryOutcome, error) {
	region, ok := r.Regions.ByID(d.Region)
	if !ok {
		return DeliveryUnknownTicket, nil
	}
	ticket, err := r.ahead.ticket(d.Body)
	if err != nil {
		return DeliveryFailed, nil // the door checked it: a newer version of us would have to read it
	}
	known, err := r.Tickets.KnownTicket(ctx, region.Desk, ticket.ID)
	if errors.Is(err, ErrTicketUnknown) {
		if d.Attempts < unknownTries {
			return "", err
		}
		if d.Hint {
			return DeliveryUnknownTicket, nil
		}
		return r.unknown(r.undeliverable(ctx, region, ticket))
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
	for _, a := range ticket.Included {
		if a.answers() {
			r.punctuality.saw(region.ID, d.Received.Sub(a.CreatedAt), true, r.Now())
		}
	}
	return r.outcome(r.receive(ctx, region, ticket, known))
}

func (r *Receiver) unknown(err error) (DeliveryOutcome, error) {
	if kind := KindOf(err); err != nil && (kind == DeskUnavailable || kind == DeskAmbiguous || kind == DeskMasked) {
		return "", err
	}
	return DeliveryUnknownTicket, nil
}

// undeliverable tells the agents of a ticket that what they answer does not
// reach the app any more: its chat was removed, which leaves nothing here, so
// that Zammad has to know it. It costs nothing for tickets of other people. For
// one whose customer looks like ours it costs one call, and if it is, and the
// user's last message is older than the retention, one more, once for a ticket.
//
// Failure policy: a note that may have been written is not written again; the
// next answer brings another chance.
func (r *Receiver) undeliverable(ctx context.Context, region *Region, t Ticket) error {
	answered := slices.ContainsFunc(t.Included, Article.answers)
	if !answered || !region.namesCustomer(t.Login) {
		return nil
	}
	articles, err := r.Desk.Articles(ctx, region, t.ID)
	if err != nil {
		return fmt.Errorf("read a ticket without chat: %w", err)
	}
	uuid := noteUUID(fmt.Sprintf("expired/%d", t.ID))
	var last time.Time
	for _, a := range articles {
		name, own := ParseHeader(a.Header)
		if name == uuid {
			return nil
		}
		if own && a.FromUser && a.CreatedAt.After(last) {
			last = a.CreatedAt
		}
	}
	if last.IsZero() || r.Now().Sub(last) < region.Retention() {
		return nil
	}
	if err := r.Desk.Note(ctx, region, Note{UUID: uuid, Ticket: t.ID, Text: expiredNote}); err != nil {
		r.Log.WarnContext(ctx, "the agents could not be told that a chat is gone", "region", region.Slug, "ticket", t.ID, "error", err)
	}
	return nil
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
		// What the ticket was read whole after the delivery has not shown is gone,
		// or somewhere else: it is asked for.
		if !t.ChangedAt.Before(known.CheckedAt) {
			included[a.ID] = a
		}
	}
	var missing []ArticleID
	for _, id := range t.Articles {
		if _, ok := known.Articles[id]; ok {
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
	var fetched []Article
	for _, id := range missing {
		a, err := r.Desk.Article(ctx, region, id)
		if err != nil {
			if KindOf(err) == DeskGone {
				continue // deleted since
			}
			return fmt.Errorf("read article: %w", err)
		}
		if a.Ticket == t.ID {
			fetched = append(fetched, a)
		}
	}
	if err := r.doubt(ctx, region, known, t.ID, fetched); err != nil {
		return err
	}
	return r.record(ctx, region, t, known, Receipt{
		Chat: known.Chat.ID, Articles: append(fresh, fetched...), State: t.State, StateAt: t.ChangedAt, Known: &known.CheckedAt,
	})
}

// readWhole reads all articles of a ticket and compares visibility too.
func (r *Receiver) readWhole(ctx context.Context, region *Region, t Ticket, known KnownTicket) error {
	articles, err := r.articles(ctx, region, t.ID, known.Articles)
	if err != nil && !(t.State == TicketMerged && errors.Is(err, errMovedOn)) {
		return fmt.Errorf("read articles: %w", err)
	}
	if err := r.doubt(ctx, region, known, t.ID, articles); err != nil {
		return err
	}
	for _, a := range articles {
		if _, old := known.Articles[a.ID]; !old && !a.Foreign && a.answers() {
			r.punctuality.saw(region.ID, r.Now().Sub(a.CreatedAt), false, r.Now())
		}
	}
	return r.record(ctx, region, t, known, Receipt{
		Chat: known.Chat.ID, Articles: articles, State: t.State, StateAt: t.ChangedAt, Complete: true, CheckedAt: t.ChangedAt,
	})
}

// errMovedOn says that a ticket was merged into another while it was read. It
// comes with what was read, and whoever did not know of the merge tries again.
var errMovedOn = errors.New("the ticket was merged while it was read")

// articles reads all articles of a ticket. One that is shown and not among them
// was deleted, or it has moved on with a merge: the ticket is asked which.
func (r *Receiver) articles(ctx context.Context, region *Region, id TicketID, known map[ArticleID]bool) ([]Article, error) {
	articles, err := r.Desk.Articles(ctx, region, id)
	if err != nil {
		return nil, err
	}
	there := make(map[ArticleID]bool, len(articles))
	for _, a := range articles {
		there[a.ID] = true
	}
	for article, shown := range known {
		if !shown || there[article] {
			continue
		}
		ticket, err := r.Desk.Ticket(ctx, region, id)
		if err == nil && ticket.State == TicketMerged {
			err = errMovedOn
		}
		return articles, err
	}
	return articles, nil
}

// doubt marks articles that may be another person's: an agent may have merged a
// stranger's ticket into this one, and then nobody can say whose an unknown
// article from before the merge is. Only articles that no delivery brought are
// looked at, and only if they would be shown, so in good times it costs no call.
func (r *Receiver) doubt(ctx context.Context, region *Region, known KnownTicket, ticket TicketID, articles []Article) error {
	news := func(a Article) bool {
		_, own := ParseHeader(a.Header)
		_, old := known.Articles[a.ID]
		return !own && a.Public && !a.FromUser && !old
	}
	if !slices.ContainsFunc(articles, news) {
		return nil
	}
	merged, err := r.Desk.Absorbed(ctx, region, ticket)
	if err != nil {
		return fmt.Errorf("look for merges: %w", err)
	}
	for i, a := range articles {
		articles[i].Foreign = news(a) && !a.CreatedAt.After(merged)
	}
	return nil
}

// record stores a receipt, in the order of the desk, and tells who watches. A
// merged ticket is followed.
func (r *Receiver) record(ctx context.Context, region *Region, t Ticket, known KnownTicket, receipt Receipt) error {
	merged := t.State == TicketMerged
	if merged {
		// The articles have moved to the successor, so this ticket's list says
		// nothing about what was deleted. A message that is still in it met the
		// merge on its way: nobody reads it there, so it has not arrived, and the
		// pump sends it to the successor.
		receipt.Complete = false
		receipt.Articles = slices.DeleteFunc(receipt.Articles, func(a Article) bool {
			_, own := ParseHeader(a.Header)
			return own
		})
	}
	if err := r.store(ctx, region, receipt); err != nil || !merged {
		return err
	}
	_, err := r.Follow(ctx, region, known.Chat, t)
	return err
}

// store records a receipt, with no more of agents' names than the region shows.
func (r *Receiver) store(ctx context.Context, region *Region, receipt Receipt) error {
	for i := range receipt.Articles {
		receipt.Articles[i].Name = region.Settings.Reception.Kept(receipt.Articles[i].Name)
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

// Follow moves a chat from its merged ticket to the one that took it in, and
// gives that one; 0 says that there is none. What stood in the successor before
// the merge may be another person's conversation, and is never shown. If the
// successor is another device's chat, this chat is left without a ticket, and
// its next message opens a new one.
func (r *Receiver) Follow(ctx context.Context, region *Region, chat Chat, merged Ticket) (TicketID, error) {
	if merged.Successor == 0 {
		var err error
		if merged, err = r.Desk.Ticket(ctx, region, merged.ID); err != nil {
			return 0, fmt.Errorf("follow merge: %w", err)
		}
		if merged.Successor == 0 {
			return 0, nil
		}
	}
	receipt := Receipt{
		Chat: chat.ID, Follow: merged.Successor, Merged: merged.ID,
		State: TicketOpen, // the desk's next answer tells if it is another
	}
	known, err := r.Tickets.KnownTickets(ctx, region.Desk, []TicketID{merged.ID, merged.Successor})
	if err != nil {
		return 0, err
	}
	before, after := known[merged.ID], known[merged.Successor]
	if after.Chat.ID == 0 || after.Chat.Region == chat.Region && after.Chat.Device == chat.Device {
		if receipt.Articles, err = r.articles(ctx, region, merged.Successor, before.Articles); err != nil {
			return 0, fmt.Errorf("read successor: %w", err)
		}
		last, err := r.Desk.Absorbed(ctx, region, merged.Successor) // another ticket may have come after this one
		if err != nil {
			return 0, fmt.Errorf("look for merges: %w", err)
		}
		if merged.MergedAt.After(last) {
			last = merged.MergedAt
		}
		for i, a := range receipt.Articles {
			_, left := before.Articles[a.ID]
			_, right := after.Articles[a.ID]
			receipt.Articles[i].Foreign = !left && !right && !a.CreatedAt.After(last)
		}
	}
	return merged.Successor, r.store(ctx, region, receipt)
}

// adopt gives a chat the ticket in which its message was found, with what agents
// have written there. Its own ticket may have been merged into this one before
// anybody here knew it: what stood in it before may be another person's
// conversation, and is never shown. If it holds another device's messages, nobody
// can say whose it is, and the chat is left without it.
func (r *Receiver) adopt(ctx context.Context, region *Region, chat Chat, ticket Ticket) error {
	articles, err := r.Desk.Articles(ctx, region, ticket.ID)
	if err != nil {
		return fmt.Errorf("read the ticket of a found message: %w", err)
	}
	merged, err := r.Desk.Absorbed(ctx, region, ticket.ID) // after reading: another ticket may have come just now
	if err != nil {
		return fmt.Errorf("look for merges: %w", err)
	}
	for i, a := range articles {
		articles[i].Foreign = !a.CreatedAt.After(merged)
	}
	return r.store(ctx, region, Receipt{Chat: chat.ID, Follow: ticket.ID, Merged: chat.Ticket, State: ticket.State, Articles: articles})
}
