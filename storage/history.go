package storage

import (
	"cmp"
	"context"
	"fmt"
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
func (s chats) History(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, since bridge.Seq, now time.Time) (bridge.History, error) {
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
	err := each(tx, "SELECT "+chatColumns+", d.alias, d.seq, d.pruned_seq, d.token_hash FROM devices d JOIN chats c ON c.id = d.current_chat_id WHERE d.region_id = ? AND d.device_hash = ?",
		[]any{r.ID, d[:]}, func(scan func(...any) error) error {
			found = true
			return scanChat(scan, &c, &c.Alias, &h.Seq, &pruned, &token)
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
// Their order is made here: sorting a few messages costs the database more than
// finding them.
func readMessages(tx *gorm.DB, device int64, since, pruned bridge.Seq, h *bridge.History) error {
	query, args := "m.device_id = ? AND m.seq > ?", []any{device, since}
	switch {
	case since == h.Seq:
		h.Messages = nil
		return nil
	case since <= 0 || since > h.Seq || since < pruned:
		h.Anew = since > 0
		query, args = "m.device_id = ? AND m.retracted = 0", args[:1]
	}
	h.Messages = make([]bridge.Message, 0, 16)
	err := each(tx, messageColumns+query, args, func(scan func(...any) error) error {
		h.Messages = append(h.Messages, bridge.Message{})
		return scanMessage(scan, &h.Messages[len(h.Messages)-1])
	})
	if err != nil {
		return fmt.Errorf("read messages: %w", err)
	}
	slices.SortFunc(h.Messages, func(a, b bridge.Message) int { return cmp.Compare(a.ID, b.ID) })
	return nil
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
		" LEFT JOIN testers t ON t.region_id = ? AND t.device_hash = ?"+
		" LEFT JOIN devices d ON d.region_id = ? AND d.device_hash = ?"+
		" LEFT JOIN chats c ON c.id = d.current_chat_id", []any{r.ID, d[:], r.ID, d[:]}, &override, &opened, &lastAt)
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
}

// RecordExposures stores decisions; see bridge.ChatStore.
func (s chats) RecordExposures(ctx context.Context, exposures []bridge.Exposure) error {
	if len(exposures) == 0 {
		return nil
	}
	rows := make([]exposure, len(exposures))
	for i, e := range exposures {
		rows[i] = exposure{int64(e.Region), e.Device[:], e.Day, e.Served, string(e.Reason), milli(e.At)}
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

// ChangedSince lists devices whose history changed; see bridge.ChangeStore.
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
