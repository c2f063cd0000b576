package bridge

import (
	"context"
	"fmt"
	"time"
)

// ChatFilter says which chats a list shows.
type ChatFilter string

// The filters: every chat, the newest first; those in which somebody waits for
// an answer, the longest first; and those with messages that do not get to the
// desk, the newest first.
const (
	ChatsAll       ChatFilter = "all"
	ChatsWaiting   ChatFilter = "waiting"
	ChatsInTrouble ChatFilter = "trouble"
)

// TroubleAfter is how long a message may be queued before its chat counts as one
// in trouble: a Zammad that is restarted is no trouble yet.
const TroubleAfter = 2 * time.Minute

// ChatKey is where a page of a list ends; the next one begins behind it. The
// zero value is the beginning.
type ChatKey struct {
	At time.Time // by what the list is ordered
	ID ChatID
}

// ChatQuery asks for a page of a region's chats.
type ChatQuery struct {
	Region RegionID
	Filter ChatFilter
	Device *DeviceHash // only this device's chats, whatever Filter says; nil: of all
	After  ChatKey
	Limit  int
	Now    time.Time
}

// ChatEntry is a chat as a list shows it: everything but what was said, and by
// whom.
type ChatEntry struct {
	ID            ChatID
	Language      string
	TicketState   TicketState
	Ticket        TicketID // 0: none
	OpenedAt      time.Time
	LastMessageAt time.Time
	WaitingSince  time.Time // zero: nobody waits
	QueuedSince   time.Time // of the oldest message that is not in the desk; zero: none
	Failed        int       // messages that were set aside
	FailCode      string    // of one of them
	Key           ChatKey
}

// ChatListStore lists chats, never contents.
type ChatListStore interface {
	// ChatEntries reads a page.
	ChatEntries(ctx context.Context, q ChatQuery) ([]ChatEntry, error)
	// Chat finds a chat of a region; the error is ErrChatNotFound, also for one
	// of another region.
	Chat(ctx context.Context, r RegionID, id ChatID) (Chat, error)
	// CloseChat takes that a chat's ticket was closed by hand, and notes who did
	// it. A chat without ticket only waits no longer. Errors: ErrChatNotFound;
	// ErrTicketRead if it has another ticket now; ErrNoTicket if it is about to
	// get one.
	CloseChat(ctx context.Context, c Chat, closed Ticket, now time.Time) ([]Change, error)
}

// CloserDeps is what the Closer needs.
type CloserDeps struct {
	Store     ChatListStore
	Desk      Desk
	Publisher Publisher
	Now       func() time.Time
}

// Closer closes chats by hand, on behalf of the context's actor.
type Closer struct{ CloserDeps }

// NewCloser puts a Closer together.
func NewCloser(deps CloserDeps) *Closer { return &Closer{deps} }

// Close closes a chat: its ticket first, so that agents and device never see
// different things for long. Errors: ErrChatNotFound; ErrTicketRead if the
// ticket was merged and the chat has not followed yet; ErrNoTicket if the chat is
// about to get one; *DeskError.
func (c *Closer) Close(ctx context.Context, r *Region, id ChatID) error {
	chat, err := c.Store.Chat(ctx, r.ID, id)
	if err != nil {
		return err
	}
	var ticket Ticket
	if chat.Ticket != 0 {
		if ticket, err = c.Desk.Ticket(ctx, r, chat.Ticket); err != nil {
			return fmt.Errorf("read the ticket: %w", err)
		}
		switch ticket.State {
		case TicketMerged:
			return ErrTicketRead
		case TicketOpen:
			if ticket, err = c.Desk.Close(ctx, r, chat.Ticket); err != nil {
				return fmt.Errorf("close the ticket: %w", err)
			}
		}
	}
	changes, err := c.Store.CloseChat(ctx, chat, ticket, c.Now())
	if err != nil {
		return err
	}
	c.Publisher.Publish(changes...)
	return nil
}
