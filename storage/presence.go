package storage

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"deskbridge/bridge"
)

// newestRead finds a device, its newest message and what was read.
const newestRead = "SELECT d.id, c.last_message_at, d.read_seq, (SELECT COALESCE(MAX(m.seq), 0) FROM messages m WHERE m.device_id = d.id)" +
	" FROM devices d JOIN chats c ON c.id = d.current_chat_id WHERE d.region_id = ? AND d.device_hash = ?"

// MarkRead moves the mark of what was read; see bridge.ChatStore. It stops at
// the newest message and not at the device's sequence, which the mark itself
// raises: a client that marks what it is told would never come to rest.
func (s chats) MarkRead(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, seq bridge.Seq, now time.Time) ([]bridge.Change, error) {
	var (
		id, last     int64
		read, newest bridge.Seq
	)
	err := one(s.read.WithContext(ctx), newestRead, []any{r.ID, d[:]}, &id, &last, &read, &newest)
	switch {
	case none(err), err == nil && !alive(r, moment(last), now):
		return nil, bridge.ErrChatNotFound
	case err != nil:
		return nil, failure(fmt.Errorf("read mark: %w", err))
	}
	if seq = min(seq, newest); seq <= read {
		return nil, nil // as of a repeat
	}
	var changes []bridge.Change
	err = s.write(ctx, func(tx *gorm.DB) error {
		changes = nil
		held, err := s.lockDevice(tx, "d.id = ?", id)
		if none(err) {
			return bridge.ErrChatNotFound
		}
		if err != nil || seq <= held.read {
			return err
		}
		if _, err := exec(tx, "UPDATE devices SET read_seq = ?, seq = ?, changed_at = ? WHERE id = ?", seq, held.seq+1, milli(now), id); err != nil {
			return fmt.Errorf("save mark: %w", err)
		}
		changes = []bridge.Change{{Region: held.region, Device: held.hash, Seq: bridge.Seq(held.seq + 1)}}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return changes, nil
}

// ClaimTyping takes the right to one note; see bridge.ChatStore. It is no part
// of the device's history, so it holds the chat's row alone.
func (s chats) ClaimTyping(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, now, since time.Time) (bridge.TicketID, bool, error) {
	var (
		id, ticket int64
		open       = []any{string(bridge.TicketOpen), milli(since), milli(now.Add(-r.Retention()))}
	)
	const claimable = "ticket_id IS NOT NULL AND ticket_state = ? AND typed_at <= ? AND last_message_at > ?"
	err := one(s.read.WithContext(ctx), "SELECT c.id, c.ticket_id FROM chats c"+
		" WHERE c.id = (SELECT d.current_chat_id FROM devices d WHERE d.region_id = ? AND d.device_hash = ?) AND "+claimable, append([]any{r.ID, d[:]}, open...), &id, &ticket)
	if none(err) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, failure(fmt.Errorf("look for an open ticket: %w", err))
	}
	claimed := false
	err = s.write(ctx, func(tx *gorm.DB) error {
		n, err := exec(tx, "UPDATE chats SET typed_at = ? WHERE id = ? AND ticket_id = ? AND "+claimable, append([]any{milli(now), id, ticket}, open...)...)
		claimed = n == 1
		return err
	})
	if err != nil {
		return 0, false, err
	}
	return bridge.TicketID(ticket), claimed, nil
}
