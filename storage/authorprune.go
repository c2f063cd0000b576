package storage

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"deskbridge/author"
	"deskbridge/bridge"
)

// forEver is later than every time that is stored.
const forEver = 1 << 52

// Prune removes what is old; see author.Store. On an error the counts are those
// of the steps that were done.
func (s rooms) Prune(ctx context.Context, before time.Time, dryRun bool) (messages, threads int, err error) {
	if dryRun {
		tx := s.read.WithContext(ctx)
		if err := one(tx, "SELECT COUNT(*) FROM author_messages WHERE created_at < ?", []any{milli(before)}, &messages); err != nil {
			return 0, 0, failure(err)
		}
		err := one(tx, "SELECT COUNT(*) FROM author_rooms r WHERE r.kind = 'thread' AND r.changed_at < ? AND NOT EXISTS (SELECT 1 FROM author_messages m WHERE m.room_id = r.id AND m.created_at >= ?)",
			[]any{milli(before), milli(before)}, &threads)
		return messages, threads, failure(err)
	}
	for {
		old, err := list[author.RoomID](s.read.WithContext(ctx), "SELECT room_id FROM author_messages WHERE created_at < ? ORDER BY created_at LIMIT 1", milli(before))
		if err != nil {
			return messages, 0, failure(err)
		}
		if len(old) == 0 {
			break
		}
		n, err := s.removeMessages(ctx, old[0], milli(before))
		messages += n
		if err != nil {
			return messages, 0, err
		}
	}
	threads, err = s.removeThreads(ctx, before)
	return messages, threads, err
}

// removeMessages removes one step of a room's messages from before a time.
func (db *database) removeMessages(ctx context.Context, id author.RoomID, before int64) (n int, err error) {
	err = db.write(ctx, func(tx *gorm.DB) error {
		n = 0
		r, err := oneRoom(tx, db.lock, "r.id = ?", id)
		if errors.Is(err, author.ErrRoomNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		old, err := roomMessages(tx, "m.room_id = ? AND m.created_at < ? ORDER BY m.seq LIMIT ?", id, before, pruneRows)
		if err != nil || len(old) == 0 {
			return err
		}
		ids := make([]author.MessageID, len(old))
		for i, m := range old {
			ids[i] = m.ID
		}
		marks, args := in(ids)
		if _, err := exec(tx, "DELETE FROM author_messages WHERE id IN "+marks, args...); err != nil {
			return err
		}
		n = len(old)
		_, err = exec(tx, "UPDATE author_rooms SET pruned_seq = ? WHERE id = ?", max(r.Pruned, old[n-1].Seq), id)
		return err
	})
	if err != nil {
		n = 0
	}
	return n, err
}

// removeThreads removes threads that are empty and were not changed since.
func (s rooms) removeThreads(ctx context.Context, before time.Time) (int, error) {
	removed := 0
	for {
		old, err := list[author.RoomID](s.read.WithContext(ctx), "SELECT r.id FROM author_rooms r WHERE r.kind = 'thread' AND r.changed_at < ?"+
			" AND NOT EXISTS (SELECT 1 FROM author_messages m WHERE m.room_id = r.id) ORDER BY r.id LIMIT ?", milli(before), pruneRows)
		if err != nil || len(old) == 0 {
			return removed, failure(err)
		}
		for _, id := range old {
			gone := false
			err := s.write(ctx, func(tx *gorm.DB) (err error) {
				gone, err = s.removeEmpty(tx, id, before)
				return err
			})
			if err != nil {
				return removed, err
			}
			if gone {
				removed++
			}
		}
	}
}

// removeEmpty removes a thread, unless it was opened or written in meanwhile.
func (s rooms) removeEmpty(tx *gorm.DB, id author.RoomID, before time.Time) (bool, error) {
	_, err := oneRoom(tx, s.lock, "r.id = ? AND r.changed_at < ?", id, milli(before))
	if errors.Is(err, author.ErrRoomNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, removeRoom(tx, id)
}

// removeRoom removes a room that has no messages.
func removeRoom(tx *gorm.DB, id author.RoomID) error {
	if _, err := exec(tx, "DELETE FROM author_reads WHERE room_id = ?", id); err != nil {
		return err
	}
	_, err := exec(tx, "DELETE FROM author_rooms WHERE id = ?", id)
	return err
}

// emptyRegionRoom removes the messages of a region's room in small steps.
func (db *database) emptyRegionRoom(ctx context.Context, region bridge.RegionID) error {
	found, err := list[author.RoomID](db.read.WithContext(ctx), "SELECT id FROM author_rooms WHERE kind = 'region' AND region_id = ?", region)
	for n := 1; err == nil && len(found) > 0 && n > 0; {
		n, err = db.removeMessages(ctx, found[0], forEver)
	}
	return failure(err)
}

// removeRegionRoom removes the room of a region that the transaction has
// removed, with what was written in it just now.
func removeRegionRoom(tx *gorm.DB, region bridge.RegionID) error {
	found, err := list[author.RoomID](tx, "SELECT id FROM author_rooms WHERE kind = 'region' AND region_id = ?", region)
	if err != nil || len(found) == 0 {
		return err
	}
	if _, err := exec(tx, "DELETE FROM author_messages WHERE room_id = ?", found[0]); err != nil {
		return err
	}
	return removeRoom(tx, found[0])
}
