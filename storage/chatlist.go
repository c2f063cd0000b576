package storage

import (
	"context"
	"fmt"
	"math"
	"time"

	"gorm.io/gorm"

	"deskbridge/bridge"
)

// chatList implements bridge.ChatListStore.
type chatList struct{ *database }

// entryColumns are what a list shows of a chat, from a FROM that begins with c.
const entryColumns = "SELECT c.id, c.language, c.ticket_state, COALESCE(c.ticket_id, 0), c.created_at, c.last_message_at, c.waiting_since," +
	" (SELECT COALESCE(MIN(o.created_at), 0) FROM outbox o WHERE o.chat_id = c.id AND o.dead = 0 AND o.kind = 'message')," +
	" (SELECT COUNT(*) FROM messages m WHERE m.chat_id = c.id AND m.status = 'failed')," +
	" (SELECT COALESCE(MAX(m.fail_code), '') FROM messages m WHERE m.chat_id = c.id AND m.status = 'failed') FROM "

// ChatEntries reads a page; see bridge.ChatListStore. Pages begin behind a key,
// which an index finds, and not after so many rows, which have to be read.
func (s chatList) ChatEntries(ctx context.Context, q bridge.ChatQuery) ([]bridge.ChatEntry, error) {
	at, id := milli(q.After.At), int64(q.After.ID)
	first := q.After == (bridge.ChatKey{})
	if first { // most go from the newest down
		at, id = math.MaxInt64, math.MaxInt64
	}
	var (
		where string
		args  []any
	)
	switch {
	case q.Device != nil:
		where = "devices d JOIN chats c ON c.device_id = d.id WHERE d.region_id = ? AND d.device_hash = ? AND c.id < ? ORDER BY c.id DESC LIMIT ?"
		args = []any{q.Region, q.Device[:], id}
	case q.Filter == bridge.ChatsWaiting:
		if first {
			at, id = 1, 0
		}
		where = "chats c WHERE c.region_id = ? AND c.waiting_since >= ? AND (c.waiting_since > ? OR c.id > ?) ORDER BY c.waiting_since, c.id LIMIT ?"
		args = []any{q.Region, at, at, id}
	case q.Filter == bridge.ChatsInTrouble:
		where = "chats c JOIN (SELECT DISTINCT o.chat_id FROM outbox o JOIN chats x ON x.id = o.chat_id" +
			" WHERE o.kind = 'message' AND o.chat_id < ? AND (o.dead = 1 OR o.created_at <= ?) AND x.region_id = ?" +
			" ORDER BY o.chat_id DESC LIMIT ?) AS t ON t.chat_id = c.id ORDER BY c.id DESC"
		args = []any{id, milli(q.Now.Add(-bridge.TroubleAfter)), q.Region}
	default:
		where = "chats c" + s.through("chats_opened") + " WHERE c.region_id = ? AND c.created_at <= ? AND (c.created_at < ? OR c.id < ?) ORDER BY c.created_at DESC, c.id DESC LIMIT ?"
		args = []any{q.Region, at, at, id}
	}
	var entries []bridge.ChatEntry
	err := each(s.read.WithContext(ctx), entryColumns+where, append(args, q.Limit), func(scan func(...any) error) error {
		var (
			e                             bridge.ChatEntry
			opened, last, waiting, queued int64
		)
		if err := scan(&e.ID, &e.Language, &e.TicketState, &e.Ticket, &opened, &last, &waiting, &queued, &e.Failed, &e.FailCode); err != nil {
			return err
		}
		e.OpenedAt, e.LastMessageAt, e.WaitingSince, e.QueuedSince = moment(opened), moment(last), moment(waiting), moment(queued)
		e.Key = bridge.ChatKey{At: e.OpenedAt, ID: e.ID}
		if q.Filter == bridge.ChatsWaiting {
			e.Key.At = e.WaitingSince
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		return nil, failure(fmt.Errorf("list chats: %w", err))
	}
	return entries, nil
}

// Chat finds a chat; see bridge.ChatListStore.
func (s chatList) Chat(ctx context.Context, r bridge.RegionID, id bridge.ChatID) (bridge.Chat, error) {
	var (
		c    chat
		hash []byte
	)
	found := false
	err := each(s.read.WithContext(ctx), "SELECT "+chatColumns+", d.device_hash, d.alias FROM chats c JOIN devices d ON d.id = c.device_id WHERE c.id = ? AND c.region_id = ?",
		[]any{id, r}, func(scan func(...any) error) error {
			found = true
			return scanChat(scan, &c, &hash, &c.Alias)
		})
	if err != nil {
		return bridge.Chat{}, failure(fmt.Errorf("find chat: %w", err))
	}
	if !found {
		return bridge.Chat{}, bridge.ErrChatNotFound
	}
	copy(c.Device[:], hash)
	return c.Chat, nil
}

// CloseChat takes that a ticket was closed; see bridge.ChatListStore.
func (s chatList) CloseChat(ctx context.Context, c bridge.Chat, closed bridge.Ticket, now time.Time) ([]bridge.Change, error) {
	var changes []bridge.Change
	err := s.write(ctx, func(tx *gorm.DB) error {
		changes = nil
		h, err := s.hold(tx, c.ID, now)
		switch {
		case none(err), err == nil && h.c.Region != c.Region:
			return bridge.ErrChatNotFound
		case err != nil:
			return fmt.Errorf("hold chat: %w", err)
		case h.c.Ticket != c.Ticket:
			return bridge.ErrTicketRead
		case h.c.Ticket == 0 && h.c.laneDue.Valid:
			return bridge.ErrNoTicket
		}
		before := h.c.TicketState
		if h.c.Ticket == 0 {
			h.c.waiting = 0
		}
		h.learn(closed.State, closed.ChangedAt)
		if changes, err = h.save(); err != nil {
			return err
		}
		return s.note(ctx, tx, bridge.AuditEntry{
			Region: c.Region, Action: "chat.close", Subject: fmt.Sprintf("chat %d", c.ID),
			Changes: []bridge.FieldChange{{Field: "state", From: string(before), To: string(bridge.TicketClosed)}},
		})
	})
	if err != nil {
		return nil, err
	}
	return changes, nil
}
