package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"deskbridge/bridge"
)

// tickets implements bridge.TicketStore but for Record (record.go).
type tickets struct{ *database }

// ticketsAtOnce bounds the list of one query.
const ticketsAtOnce = 200

// KnownTicket finds a ticket; see bridge.TicketStore.
func (s tickets) KnownTicket(ctx context.Context, d bridge.DeskID, t bridge.TicketID) (bridge.KnownTicket, error) {
	known, err := s.KnownTickets(ctx, d, []bridge.TicketID{t})
	if err != nil {
		return bridge.KnownTicket{}, err
	}
	if k, ok := known[t]; ok {
		return k, nil
	}
	return bridge.KnownTicket{}, bridge.ErrTicketUnknown
}

// KnownTickets finds many tickets; see bridge.TicketStore.
func (s tickets) KnownTickets(ctx context.Context, d bridge.DeskID, t []bridge.TicketID) (map[bridge.TicketID]bridge.KnownTicket, error) {
	known := make(map[bridge.TicketID]bridge.KnownTicket)
	tx := s.read.WithContext(ctx)
	for len(t) > 0 {
		n := min(len(t), ticketsAtOnce)
		if err := knownTickets(tx, d, t[:n], known); err != nil {
			return nil, failure(fmt.Errorf("read tickets: %w", err))
		}
		t = t[n:]
	}
	return known, nil
}

func knownTickets(tx *gorm.DB, d bridge.DeskID, t []bridge.TicketID, known map[bridge.TicketID]bridge.KnownTicket) error {
	list, args := in(t)
	args = append([]any{d}, args...)
	which := "c.desk_id = ? AND c.ticket_id IN " + list
	err := each(tx, "SELECT "+chatColumns+", d.alias, d.device_hash FROM chats c JOIN devices d ON d.id = c.device_id WHERE "+which, args, func(scan func(...any) error) error {
		var (
			c    chat
			hash []byte
		)
		if err := scanChat(scan, &c, &c.Alias, &hash); err != nil {
			return err
		}
		copy(c.Device[:], hash)
		known[c.Ticket] = bridge.KnownTicket{Chat: c.Chat, Articles: make(map[bridge.ArticleID]bool), CheckedAt: moment(c.checkedAt)}
		return nil
	})
	if err != nil {
		return err
	}
	return each(tx, "SELECT c.ticket_id, a.article_id, a.visible AND a.ticket_id = c.ticket_id FROM chats c JOIN articles a ON a.chat_id = c.id AND a.desk_id = c.desk_id WHERE "+which, args, func(scan func(...any) error) error {
		var (
			ticket  bridge.TicketID
			article bridge.ArticleID
			shown   bool
		)
		if err := scan(&ticket, &article, &shown); err != nil {
			return err
		}
		if k, ok := known[ticket]; ok { // a chat may have got its ticket between the two queries
			k.Articles[article] = shown
		}
		return nil
	})
}

// Mark gives a mark; see bridge.TicketStore.
func (s tickets) Mark(ctx context.Context, name string) (time.Time, error) {
	var at int64
	err := one(s.read.WithContext(ctx), "SELECT read_at FROM marks WHERE name = ?", []any{name}, &at)
	if err != nil && !none(err) {
		return time.Time{}, failure(err)
	}
	return moment(at), nil
}

// SetMark sets a mark; see bridge.TicketStore.
func (s tickets) SetMark(ctx context.Context, name string, at time.Time) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		n, err := exec(tx, "UPDATE marks SET read_at = ? WHERE name = ?", milli(at), name)
		if err == nil && n == 0 {
			_, err = exec(tx, "INSERT INTO marks (name, read_at) VALUES (?, ?)", name, milli(at))
		}
		return err
	})
}

// moveTo lets the chat follow its ticket into the one that took it in. The
// articles of a merged ticket move along.
func moveTo(h *held, ticket bridge.TicketID, state bridge.TicketState) error {
	old := h.c.Ticket
	if err := h.takeTicket(ticket, state, time.Time{}); err != nil {
		return err
	}
	if old == 0 || old == ticket {
		return nil
	}
	chat := h.c.ID
	if h.c.Ticket != ticket { // perhaps a newer chat of the same device has it
		err := one(h.tx, "SELECT id FROM chats WHERE desk_id = ? AND ticket_id = ? AND device_id = ?", []any{h.c.Desk, ticket, h.d.id}, &chat)
		if none(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("find newer chat: %w", err)
		}
	}
	_, err := exec(h.tx, "UPDATE articles SET ticket_id = ?, chat_id = ? WHERE desk_id = ? AND ticket_id = ? AND chat_id = ?", ticket, chat, h.c.Desk, old, h.c.ID)
	return err
}

// retractMissing takes back what was deleted in the ticket.
func retractMissing(h *held, ticket bridge.TicketID, known map[bridge.ArticleID]article, present []bridge.Article) error {
	there := make(map[bridge.ArticleID]bool, len(present))
	for _, a := range present {
		there[a.ID] = true
	}
	var failed []error
	for id, k := range known {
		if !there[id] && k.device == h.d.id && k.ticket == ticket && k.message != 0 && k.author != bridge.AuthorUser && !k.retracted {
			failed = append(failed, retell(h, bridge.Article{ID: id}, k.message))
		}
	}
	return errors.Join(failed...)
}
