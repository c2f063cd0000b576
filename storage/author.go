package storage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"deskbridge/author"
	"deskbridge/bridge"
	"deskbridge/staff"
)

// rooms implements author.Store.
type rooms struct{ *database }

// Author gives the part of the store that keeps the staff's own chat.
func (s *Store) Author() author.Store { return rooms{s.database} }

const roomColumns = "SELECT r.id, r.kind, r.region_id, r.first_id, r.second_id, r.seq, r.pruned_seq FROM author_rooms r WHERE "

func roomFields(r *author.Room) []any {
	return []any{&r.ID, &r.Kind, &r.Region, &r.Thread.First, &r.Thread.Second, &r.Seq, &r.Pruned}
}

// oneRoom reads a room; the error is author.ErrRoomNotFound if there is none.
func oneRoom(tx *gorm.DB, lock, where string, args ...any) (author.Room, error) {
	var r author.Room
	err := one(tx, roomColumns+where+lock, args, roomFields(&r)...)
	if none(err) {
		err = author.ErrRoomNotFound
	}
	return r, err
}

// Room gives a room; see author.Store.
func (s rooms) Room(ctx context.Context, id author.RoomID) (author.Room, error) {
	r, err := oneRoom(s.read.WithContext(ctx), "", "r.id = ?", id)
	return r, failure(err)
}

// addRoom makes a room.
func addRoom(tx *gorm.DB, r author.Room, now time.Time) (author.Room, error) {
	id, err := insert(tx, "INSERT INTO author_rooms (kind, region_id, first_id, second_id, seq, pruned_seq, changed_at) VALUES (?, ?, ?, ?, 0, 0, ?)",
		string(r.Kind), r.Region, r.Thread.First, r.Thread.Second, milli(now))
	r.ID = author.RoomID(id)
	return r, err
}

// raise counts a change of a room that the transaction holds.
func raise(tx *gorm.DB, r *author.Room, now time.Time) error {
	r.Seq++
	_, err := exec(tx, "UPDATE author_rooms SET seq = ?, changed_at = ? WHERE id = ?", r.Seq, milli(now), r.ID)
	return err
}

// Views lists the rooms of a person; see author.Store.
func (s rooms) Views(ctx context.Context, who staff.ID, regions []bridge.RegionID, since, now time.Time) ([]author.View, error) {
	views, err := s.views(ctx, who, regions, since)
	if err != nil {
		return nil, failure(err)
	}
	if made, err := s.makeMissing(ctx, views, regions, now); err != nil {
		return nil, err
	} else if made {
		if views, err = s.views(ctx, who, regions, since); err != nil {
			return nil, failure(err)
		}
	}
	return views, failure(s.countUnread(ctx, views, who, since))
}

// viewsQuery reads the rooms of a person.
func viewsQuery(who staff.ID, regions []bridge.RegionID, since time.Time) (string, []any) {
	mine := "SELECT id FROM author_rooms WHERE kind = 'all' UNION ALL SELECT id FROM author_rooms WHERE first_id = ? UNION ALL SELECT id FROM author_rooms WHERE second_id = ?"
	args := []any{milli(since), who, who, who, who}
	if len(regions) > 0 {
		marks, ids := in(regions)
		mine += " UNION ALL SELECT id FROM author_rooms WHERE kind = 'region' AND region_id IN " + marks
		args = append(args, ids...)
	}
	return "SELECT r.id, r.kind, r.region_id, r.first_id, r.second_id, r.seq, r.pruned_seq," +
		" COALESCE((SELECT m.created_at FROM author_messages m WHERE m.room_id = r.id AND m.deleted = 0 AND m.created_at >= ? ORDER BY m.seq DESC LIMIT 1), 0) AS newest," +
		" COALESCE(a.seq, 0), COALESCE(p.id, 0), COALESCE(CASE WHEN p.name = '' THEN p.login ELSE p.name END, ''), COALESCE(p.disabled, 1)" +
		" FROM author_rooms r LEFT JOIN author_reads a ON a.room_id = r.id AND a.person_id = ?" +
		" LEFT JOIN staff p ON p.id = CASE WHEN r.first_id = ? THEN r.second_id ELSE r.first_id END" +
		" JOIN (" + mine + ") x ON x.id = r.id ORDER BY newest DESC, r.id DESC", args
}

func (s rooms) views(ctx context.Context, who staff.ID, regions []bridge.RegionID, since time.Time) ([]author.View, error) {
	query, args := viewsQuery(who, regions, since)
	var views []author.View
	err := each(s.read.WithContext(ctx), query, args, func(scan func(...any) error) error {
		var (
			v    author.View
			last int64
		)
		if err := scan(append(roomFields(&v.Room), &last, &v.Read, &v.Other.ID, &v.Other.Name, &v.Other.Disabled)...); err != nil {
			return err
		}
		v.LastMessageAt = moment(last)
		views = append(views, v)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read rooms: %w", err)
	}
	return views, nil
}

// makeMissing makes the rooms of all and of regions that are not among views.
func (s rooms) makeMissing(ctx context.Context, views []author.View, regions []bridge.RegionID, now time.Time) (made bool, err error) {
	missing := []author.Room{{Kind: author.KindAll}}
	for _, id := range regions {
		missing = append(missing, author.Room{Kind: author.KindRegion, Region: id})
	}
	missing = slices.DeleteFunc(missing, func(r author.Room) bool {
		return slices.ContainsFunc(views, func(v author.View) bool { return v.Kind == r.Kind && v.Region == r.Region })
	})
	if len(missing) == 0 {
		return false, nil
	}
	err = s.write(ctx, func(tx *gorm.DB) error {
		made = false
		for _, r := range missing {
			if r.Kind == author.KindRegion { // held, so that it is not removed meanwhile
				there, err := list[bridge.RegionID](tx, "SELECT id FROM regions WHERE id = ?"+s.share, r.Region)
				if err != nil {
					return err
				}
				if len(there) == 0 {
					continue
				}
			}
			_, err := oneRoom(tx, "", "r.kind = ? AND r.region_id = ? AND r.first_id = 0 AND r.second_id = 0", string(r.Kind), r.Region)
			if err != author.ErrRoomNotFound { //nolint:errorlint // oneRoom gives it as it is
				made = made || err == nil
				if err != nil {
					return err
				}
				continue
			}
			if _, err := addRoom(tx, r, now); err != nil {
				return fmt.Errorf("make room: %w", err)
			}
			made = true
		}
		return nil
	})
	return made, err
}

// unreadStep is how many rooms one query counts.
const unreadStep = 32

// countUnread counts in each room what others wrote after the person's mark.
func (s rooms) countUnread(ctx context.Context, views []author.View, who staff.ID, since time.Time) error {
	at := make(map[author.RoomID]*author.View)
	for i := range views {
		if v := &views[i]; v.Seq > v.Read && !v.LastMessageAt.IsZero() {
			at[v.ID] = v
		}
	}
	const count = "SELECT ?, COUNT(*) FROM (SELECT 1 FROM author_messages WHERE room_id = ? AND seq > ? AND author_id <> ? AND deleted = 0 AND created_at >= ? LIMIT ?) x"
	for some := range slices.Chunk(slices.Sorted(maps.Keys(at)), unreadStep) {
		for n := len(some); n&(n-1) != 0; n++ { // as in() does
			some = append(some, some[n-1])
		}
		var args []any
		for _, id := range some {
			args = append(args, id, id, at[id].Read, who, milli(since), author.MaxUnread)
		}
		query := strings.TrimSuffix(strings.Repeat(count+" UNION ALL ", len(some)), " UNION ALL ")
		err := each(s.read.WithContext(ctx), query, args, func(scan func(...any) error) error {
			var (
				id author.RoomID
				n  int
			)
			err := scan(&id, &n)
			if err == nil {
				at[id].Unread = n
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("count unread: %w", err)
		}
	}
	return nil
}

// OpenThread gives the thread of two persons; see author.Store.
func (s rooms) OpenThread(ctx context.Context, t author.Thread, now time.Time) (author.Room, error) {
	var r author.Room
	err := s.write(ctx, func(tx *gorm.DB) (err error) {
		r, err = oneRoom(tx, s.lock, "r.kind = 'thread' AND r.region_id = 0 AND r.first_id = ? AND r.second_id = ?", t.First, t.Second)
		switch {
		case err == nil: // dated anew, so that prune does not take it from under who opens it
			_, err = exec(tx, "UPDATE author_rooms SET changed_at = ? WHERE id = ?", milli(now), r.ID)
			return err
		case err != author.ErrRoomNotFound: //nolint:errorlint // oneRoom gives it as it is
			return err
		}
		if both, err := present(tx, t, s.share); err != nil || !both {
			return orElse(err, author.ErrPersonNotFound)
		}
		r, err = addRoom(tx, author.Room{Kind: author.KindThread, Thread: t}, now)
		return err
	})
	return r, err
}

// orElse gives err, or the other error where there is none.
func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// present says whether both of a thread are there and may sign in. With a lock
// they stay so until the commit: nobody is removed who has a thread.
func present(tx *gorm.DB, t author.Thread, lock string) (bool, error) {
	var n int
	err := one(tx, "SELECT COUNT(*) FROM staff WHERE id IN (?, ?) AND disabled = 0"+lock, []any{t.First, t.Second}, &n)
	return n == 2, err
}

// writable says whether something may be changed in a room: the error is
// author.ErrReadOnly if not.
func writable(tx *gorm.DB, r *author.Room) error {
	if r.Kind != author.KindThread {
		return nil
	}
	both, err := present(tx, r.Thread, "")
	if err == nil && !both {
		err = author.ErrReadOnly
	}
	return err
}

// Colleagues lists who may sign in; see author.Store.
func (s rooms) Colleagues(ctx context.Context) ([]author.Colleague, error) {
	var all []author.Colleague
	err := each(s.read.WithContext(ctx), "SELECT id, CASE WHEN name = '' THEN login ELSE name END AS shown FROM staff WHERE disabled = 0 ORDER BY shown, id", nil, func(scan func(...any) error) error {
		var c author.Colleague
		if err := scan(&c.ID, &c.Name); err != nil {
			return err
		}
		all = append(all, c)
		return nil
	})
	return all, failure(err)
}

// roomsChangedSince adds the feeds of rooms that changed.
func roomsChangedSince(tx *gorm.DB, since time.Time, changes []bridge.Change) ([]bridge.Change, error) {
	err := each(tx, roomColumns+"r.changed_at >= ?", []any{milli(since)}, func(scan func(...any) error) error {
		var r author.Room
		if err := scan(roomFields(&r)...); err != nil {
			return err
		}
		changes = append(changes, r.News()...)
		return nil
	})
	return changes, err
}
