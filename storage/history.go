package storage

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"deskbridge/bridge"
	"deskbridge/gate"
)

// History reads a device's messages; see bridge.ChatStore. A since that is
// ahead of the store (which a backup brought back), or from before what was
// pruned, reads everything.
//
// The chat and its messages are two queries without a transaction, which would
// be two more ways to the database. Where a message is newer than its chat,
// something was written between them, and both are read again.
func (s chats) History(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, since bridge.Seq, now time.Time) (bridge.History, error) {
	for {
		h, err := s.readHistory(ctx, r, d, since, now)
		if err != nil || !slices.ContainsFunc(h.Messages, func(m bridge.Message) bool { return m.Seq > h.Seq }) {
			return h, err
		}
	}
}

func (s chats) readHistory(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, since bridge.Seq, now time.Time) (bridge.History, error) {
	if err := ctx.Err(); err != nil {
		return bridge.History{}, err
	}
	tx := s.read.WithContext(s.quick(ctx))
	var (
		h      bridge.History
		c      chat
		pruned bridge.Seq
		token  []byte
		found  bool
	)
	err := each(tx, "SELECT "+chatColumns+", d.alias, d.seq, d.pruned_seq, d.read_seq, d.token_hash FROM devices d JOIN chats c ON c.id = d.current_chat_id WHERE d.region_id = ? AND d.device_hash = ?",
		[]any{r.ID, d[:]}, func(scan func(...any) error) error {
			found = true
			return scanChat(scan, &c, &c.Alias, &h.Seq, &pruned, &h.Read, &token)
		})
	if err != nil {
		return bridge.History{}, failure(fmt.Errorf("read chat: %w", err))
	}
	if !found || !alive(r, c.LastMessageAt, now) {
		return bridge.History{}, bridge.ErrChatNotFound
	}
	h.Chat = c.Chat
	h.Chat.Device, h.Token = d, tokenHash(token)
	if err := readMessages(tx, c.device, since, pruned, &h); err != nil {
		return bridge.History{}, failure(err)
	}
	return h, nil
}

// readMessages reads what changed after since into a history whose Seq is set.
// A message that is in it already is new to every client, whatever since says,
// and is read again with the others. Their order is made here: sorting a few
// messages costs the database more than finding them.
func readMessages(tx *gorm.DB, device int64, since, pruned bridge.Seq, h *bridge.History) error {
	query, args := "m.device_id = ? AND m.seq > ?", []any{device, since}
	switch {
	case since == h.Seq && len(h.Messages) == 0:
		return nil
	case since <= 0 || since >= h.Seq || since < pruned:
		h.Anew = since > 0
		query, args = "m.device_id = ? AND m.retracted = 0", args[:1]
	}
	h.Messages = make([]bridge.Message, 0, 16)
	var with []bridge.MessageID // those with attachments
	err := each(tx, messageColumns+query, args, func(scan func(...any) error) error {
		h.Messages = append(h.Messages, bridge.Message{})
		m := &h.Messages[len(h.Messages)-1]
		files, err := scanMessage(scan, m)
		if files > 0 {
			with = append(with, m.ID)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read messages: %w", err)
	}
	slices.SortFunc(h.Messages, func(a, b bridge.Message) int { return cmp.Compare(a.ID, b.ID) })
	if len(with) == 0 {
		return nil
	}
	return readAttachments(tx, with, h.Messages)
}

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

// Token gives a device's chat token; see bridge.ChatStore.
func (s chats) Token(ctx context.Context, r *bridge.Region, d bridge.DeviceHash) (bridge.TokenHash, bridge.Seq, error) {
	var (
		token []byte
		seq   bridge.Seq
	)
	err := one(s.read.WithContext(s.quick(ctx)), "SELECT token_hash, seq FROM devices WHERE region_id = ? AND device_hash = ?", []any{r.ID, d[:]}, &token, &seq)
	if err != nil && !none(err) {
		return bridge.TokenHash{}, 0, failure(fmt.Errorf("read chat token: %w", err))
	}
	return tokenHash(token), seq, nil
}

// Standing tells what the gate must know; see bridge.ChatStore.
func (s chats) Standing(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, now time.Time) (bridge.Standing, error) {
	var (
		override       string
		opened, lastAt int64
	)
	err := one(s.read.WithContext(ctx), "SELECT COALESCE(t.override, ''), COALESCE(d.opened_at, 0), COALESCE(c.last_message_at, 0) FROM (SELECT 1 AS one) AS x"+
		" LEFT JOIN testers t ON t.region_id = ? AND t.device_hash = ? AND "+notEnded+
		" LEFT JOIN devices d ON d.region_id = ? AND d.device_hash = ?"+
		" LEFT JOIN chats c ON c.id = d.current_chat_id", []any{r.ID, d[:], milli(now), r.ID, d[:]}, &override, &opened, &lastAt)
	if err != nil {
		return bridge.Standing{}, failure(fmt.Errorf("read standing: %w", err))
	}
	return bridge.Standing{
		Override: gate.Override(override),
		Running:  lastAt != 0 && alive(r, moment(lastAt), now),
		Sticky:   opened != 0,
	}, nil
}

// exposure is a row of exposures.
type exposure struct {
	RegionID   int64  `gorm:"primaryKey;autoIncrement:false"`
	DeviceHash []byte `gorm:"primaryKey"`
	Day        string `gorm:"primaryKey"`
	Served     bool
	Reason     string
	ToldAt     int64
	Language   string
	AppVersion string
	Percentage int64 // hundredths of a percent
}

// RecordExposures stores decisions; see bridge.ChatStore.
func (s chats) RecordExposures(ctx context.Context, exposures []bridge.Exposure) error {
	if len(exposures) == 0 {
		return nil
	}
	rows := make([]exposure, len(exposures))
	for i, e := range exposures {
		rows[i] = exposure{int64(e.Region), e.Device[:], e.Day, e.Served, string(e.Reason), milli(e.At), e.Language, e.AppVersion, int64(math.Round(e.Percentage * 100))}
	}
	return s.write(ctx, func(tx *gorm.DB) error {
		// A region that was just removed takes its exposures along.
		known, err := list[int64](tx, "SELECT id FROM regions")
		if err != nil {
			return err
		}
		exists := make(map[int64]bool, len(known))
		for _, id := range known {
			exists[id] = true
		}
		var kept []exposure
		for _, row := range rows {
			if exists[row.RegionID] {
				kept = append(kept, row)
			}
		}
		if len(kept) == 0 {
			return nil
		}
		return tx.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(kept, 200).Error
	})
}

// ChangedSince lists devices whose history changed, and feeds of the staff's
// rooms; see bridge.ChangeStore.
func (s chats) ChangedSince(ctx context.Context, since time.Time) ([]bridge.Change, error) {
	var changes []bridge.Change
	err := each(s.read.WithContext(ctx), "SELECT region_id, device_hash, seq FROM devices WHERE changed_at >= ?", []any{milli(since)}, func(scan func(...any) error) error {
		var (
			c    bridge.Change
			hash []byte
		)
		if err := scan(&c.Region, &hash, &c.Seq); err != nil {
			return err
		}
		copy(c.Device[:], hash)
		changes = append(changes, c)
		return nil
	})
	if err == nil {
		changes, err = roomsChangedSince(s.read.WithContext(ctx), since, changes)
	}
	return changes, failure(err)
}

// Waiting says whether one of the devices waits for an answer; see
// bridge.WaitingStore.
func (s chats) Waiting(ctx context.Context, r bridge.RegionID, devices []bridge.DeviceHash) (bool, error) {
	tx := s.read.WithContext(ctx)
	for part := range slices.Chunk(devices, ticketsAtOnce) {
		hashes := make([][]byte, len(part))
		for i := range part {
			hashes[i] = part[i][:]
		}
		list, args := in(hashes)
		var n int
		err := one(tx, "SELECT COUNT(*) FROM devices d WHERE d.region_id = ? AND d.device_hash IN "+list+
			" AND EXISTS (SELECT 1 FROM messages m WHERE m.chat_id = d.current_chat_id AND m.status = 'sent' AND m.author = 'user')",
			append([]any{r}, args...), &n)
		if err != nil || n > 0 {
			return n > 0, failure(err)
		}
	}
	return false, nil
}
