package storage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"deskbridge/bridge"
)

// jobs implements bridge.JobStore (its leases and records are in runs.go) and
// bridge.OverviewStore.
type jobs struct{ *database }

// ChatCounts gives numbers by region, ordered by slug; see bridge.OverviewStore.
func (s jobs) ChatCounts(ctx context.Context) ([]bridge.ChatCounts, error) {
	tx := s.read.WithContext(ctx)
	var all []bridge.ChatCounts
	at := make(map[bridge.RegionID]int)
	err := each(tx, "SELECT r.id, r.slug, COUNT(c.id), COALESCE(SUM(CASE WHEN c.ticket_id IS NOT NULL AND c.ticket_state = 'open' THEN 1 ELSE 0 END), 0), COALESCE(MAX(c.last_message_at), 0)"+
		" FROM regions r LEFT JOIN chats c ON c.region_id = r.id GROUP BY r.id, r.slug ORDER BY r.slug", nil, func(scan func(...any) error) error {
		var (
			n    bridge.ChatCounts
			last int64
		)
		if err := scan(&n.Region, &n.Slug, &n.Chats, &n.Open, &last); err != nil {
			return err
		}
		n.LastMessageAt = moment(last)
		at[n.Region] = len(all)
		all = append(all, n)
		return nil
	})
	if err != nil {
		return nil, failure(fmt.Errorf("count chats: %w", err))
	}
	err = each(tx, "SELECT c.region_id, m.status, COUNT(*), MIN(m.created_at) FROM messages m JOIN chats c ON c.id = m.chat_id WHERE m.retracted = 0 GROUP BY c.region_id, m.status", nil, func(scan func(...any) error) error {
		var (
			region bridge.RegionID
			status bridge.Status
			count  int
			oldest int64
		)
		if err := scan(&region, &status, &count, &oldest); err != nil {
			return err
		}
		i, ok := at[region]
		if !ok {
			return nil
		}
		all[i].Messages += count
		switch status {
		case bridge.StatusQueued:
			all[i].Queued, all[i].OldestQueued = count, moment(oldest)
		case bridge.StatusFailed:
			all[i].Failed = count
		}
		return nil
	})
	if err != nil {
		return nil, failure(fmt.Errorf("count messages: %w", err))
	}
	return all, nil
}

// Sizes of the steps in which old rows go: each is a transaction of its own, and
// devices' messages are stored between them.
const (
	pruneChats = 50  // with all their messages
	pruneRows  = 500 // of everything else
)

// removed is what one step removed.
type removed struct {
	chats, messages, attachments, devices int
	floor                                 int64 // highest seq of a removed device
	changes                               []bridge.Change
}

// tell adds a device's change; of several to one device the last one stands.
func (r *removed) tell(c bridge.Change) {
	if n := len(r.changes); n > 0 && r.changes[n-1].Region == c.Region && r.changes[n-1].Device == c.Device {
		r.changes = r.changes[:n-1]
	}
	r.changes = append(r.changes, c)
}

// aged are the tables that go by age alone.
var aged = []struct {
	name, column string
	cutoff       func(c bridge.PruneCutoffs) time.Time
}{
	{"deliveries", "received_at", func(c bridge.PruneCutoffs) time.Time { return c.Deliveries }},
	{"exposures", "told_at", func(c bridge.PruneCutoffs) time.Time { return c.Exposures }},
	{"job_runs", "started_at", func(c bridge.PruneCutoffs) time.Time { return c.JobRuns }},
	{"alerts", "created_at", func(c bridge.PruneCutoffs) time.Time { return c.Alerts }},
	{"testers", "expires_at", func(c bridge.PruneCutoffs) time.Time { return c.Expired }},    // NULL, and kept, where they don't end
	{"erasures", "finished_at", func(c bridge.PruneCutoffs) time.Time { return c.Erasures }}, // NULL, and kept, until it is done
	{"audit", "at", func(c bridge.PruneCutoffs) time.Time { return c.Audit }},
	{"sessions", "expires", func(c bridge.PruneCutoffs) time.Time { return c.Expired }},
	{"staff_links", "expires", func(c bridge.PruneCutoffs) time.Time { return c.Expired }},
}

// Prune removes what is old; see bridge.JobStore. On an error the counts and
// changes are those of the steps that were done.
func (s jobs) Prune(ctx context.Context, c bridge.PruneCutoffs, dryRun bool) (map[string]int, []bridge.Change, error) {
	counts := map[string]int{"chats": 0, "messages": 0, "attachments": 0, "devices": 0}
	var changes []bridge.Change
	for _, id := range slices.Sorted(maps.Keys(c.Regions)) {
		if dryRun {
			if err := s.countChats(ctx, id, c.Regions[id], counts); err != nil {
				return counts, nil, failure(err)
			}
			continue
		}
		for {
			step, err := s.removeChats(ctx, id, c.Regions[id])
			if err != nil {
				return counts, changes, err
			}
			counts["chats"] += step.chats
			counts["messages"] += step.messages
			counts["attachments"] += step.attachments
			counts["devices"] += step.devices
			changes = append(changes, step.changes...)
			if step.chats == 0 {
				break
			}
		}
	}
	gone, err := s.pruneStatistics(ctx, c, dryRun)
	counts["statistics"] += gone
	if err != nil {
		return counts, changes, err
	}
	files, err := s.pruneFiles(ctx, c, dryRun)
	counts["files"] += files
	if err != nil {
		return counts, changes, err
	}
	for _, table := range aged {
		n, err := s.pruneAged(ctx, table.name, table.column, table.cutoff(c), dryRun)
		counts[table.name] += n
		if err != nil {
			return counts, changes, err
		}
	}
	return counts, changes, nil
}

// countChats counts what removeChats would remove.
func (s jobs) countChats(ctx context.Context, id bridge.RegionID, before time.Time, counts map[string]int) error {
	for name, query := range map[string]string{
		"chats":    "SELECT COUNT(*) FROM chats WHERE region_id = ? AND last_message_at < ?",
		"messages": "SELECT COUNT(*) FROM messages m JOIN chats c ON c.id = m.chat_id WHERE c.region_id = ? AND c.last_message_at < ?",
		"attachments": "SELECT COUNT(*) FROM attachments a JOIN messages m ON m.id = a.message_id JOIN chats c ON c.id = m.chat_id" +
			" WHERE c.region_id = ? AND c.last_message_at < ?",
		"devices": "SELECT COUNT(DISTINCT c.device_id) FROM chats c WHERE c.region_id = ? AND c.last_message_at < ?" +
			" AND NOT EXISTS (SELECT 1 FROM chats y WHERE y.device_id = c.device_id AND y.last_message_at >= ?)",
	} {
		args := []any{id, milli(before)}
		if name == "devices" {
			args = append(args, milli(before))
		}
		var n int
		if err := one(s.read.WithContext(ctx), query, args, &n); err != nil {
			return fmt.Errorf("count %s: %w", name, err)
		}
		counts[name] += n
	}
	return nil
}

// removeChats removes one step of a region's chats whose last message is older
// than before, and devices that have no other.
func (db *database) removeChats(ctx context.Context, id bridge.RegionID, before time.Time) (removed, error) {
	old, err := list[bridge.ChatID](db.read.WithContext(ctx), "SELECT id FROM chats WHERE region_id = ? AND last_message_at < ? ORDER BY device_id, id LIMIT ?", id, milli(before), pruneChats)
	if err != nil || len(old) == 0 {
		return removed{}, failure(err)
	}
	var step removed
	err = db.write(ctx, func(tx *gorm.DB) error {
		step = removed{}
		for _, chat := range old {
			if err := db.removeChat(tx, chat, before, &step); err != nil {
				return fmt.Errorf("remove chat: %w", err)
			}
		}
		return raiseFloor(tx, id, step.floor)
	})
	if err == nil && step.chats == 0 {
		return db.removeChats(ctx, id, before) // all of them were written in just now
	}
	return step, err
}

// raiseFloor lets a region's new devices begin above the seq of a removed one.
// It comes last in its transaction: who opens a chat holds the device, and then
// asks for the region.
func raiseFloor(tx *gorm.DB, region bridge.RegionID, seq int64) error {
	if seq == 0 {
		return nil
	}
	_, err := exec(tx, "UPDATE regions SET seq_floor = ? WHERE id = ? AND seq_floor < ?", seq, region, seq)
	return err
}

// removeChat removes a chat, unless it was written in meanwhile.
func (db *database) removeChat(tx *gorm.DB, id bridge.ChatID, before time.Time, step *removed) error {
	h, err := db.hold(tx, id, db.now())
	if none(err) || err == nil && !h.c.LastMessageAt.Before(before) {
		return nil
	}
	if err != nil {
		return err
	}
	// Articles that moved to a newer chat with a merge stay known there, so that
	// they are not taken for new ones.
	if _, err := exec(tx, "UPDATE articles SET message_id = NULL, visible = 0, barred = 1 WHERE chat_id <> ? AND message_id IN (SELECT id FROM messages WHERE chat_id = ?)", id, id); err != nil {
		return err
	}
	attachments, err := removeAttachments(tx, id)
	if err != nil {
		return err
	}
	step.attachments += attachments
	var messages, pruned int64
	if err := one(tx, "SELECT COALESCE(MAX(seq), 0) FROM messages WHERE chat_id = ?", []any{id}, &pruned); err != nil {
		return err
	}
	for _, table := range []string{"outbox", "articles", "messages"} {
		if messages, err = exec(tx, "DELETE FROM "+table+" WHERE chat_id = ?", id); err != nil {
			return err
		}
	}
	if _, err := exec(tx, "DELETE FROM chats WHERE id = ?", id); err != nil {
		return err
	}
	step.chats++
	step.messages += int(messages)
	var newest int64
	if err := one(tx, "SELECT COALESCE(MAX(id), 0) FROM chats WHERE device_id = ?", []any{h.d.id}, &newest); err != nil {
		return err
	}
	gone := bridge.Change{Region: h.d.region, Device: h.d.hash}
	if newest == 0 {
		step.devices++
		step.floor = max(step.floor, h.d.seq)
		step.tell(gone)
		_, err := exec(tx, "DELETE FROM devices WHERE id = ?", h.d.id)
		return err
	}
	if h.d.current != int64(id) {
		newest = h.d.current
	}
	gone.Seq = bridge.Seq(h.d.seq + 1)
	step.tell(gone)
	_, err = exec(tx, "UPDATE devices SET seq = ?, changed_at = ?, current_chat_id = ?, pruned_seq = ? WHERE id = ?", h.d.seq+1, milli(h.now), newest, max(h.d.pruned, pruned), h.d.id)
	return err
}

// pruneAged removes the rows of a table that are older than before, or counts them.
func (s jobs) pruneAged(ctx context.Context, table, column string, before time.Time, dryRun bool) (int, error) {
	if dryRun {
		var n int
		err := one(s.read.WithContext(ctx), "SELECT COUNT(*) FROM "+table+" WHERE "+column+" < ?", []any{milli(before)}, &n)
		return n, failure(err)
	}
	total := 0
	for {
		// The newest of the oldest rows bounds the step; rows of the same
		// millisecond go along.
		var until int64
		err := one(s.read.WithContext(ctx), "SELECT COALESCE(MAX(x.t), 0) FROM (SELECT "+column+" AS t FROM "+table+" WHERE "+column+" < ? ORDER BY "+column+" LIMIT ?) AS x",
			[]any{milli(before), pruneRows}, &until)
		if err != nil || until == 0 {
			return total, failure(err)
		}
		var n int64
		err = s.write(ctx, func(tx *gorm.DB) (err error) {
			n, err = exec(tx, "DELETE FROM "+table+" WHERE "+column+" <= ?", until)
			return err
		})
		if err != nil {
			return total, err
		}
		total += int(n)
	}
}
