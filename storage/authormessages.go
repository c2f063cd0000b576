package storage

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"deskbridge/author"
	"deskbridge/bridge"
	"deskbridge/staff"
)

const roomMessageColumns = "SELECT m.id, m.room_id, m.seq, m.author_id, m.author_name, m.text, m.created_at, m.deleted FROM author_messages m WHERE "

func scanRoomMessage(scan func(...any) error) (m author.Message, err error) {
	var created int64
	err = scan(&m.ID, &m.Room, &m.Seq, &m.Author, &m.AuthorName, &m.Text, &created, &m.Deleted)
	m.CreatedAt = moment(created)
	return m, err
}

// roomMessages reads messages of a room.
func roomMessages(tx *gorm.DB, where string, args ...any) ([]author.Message, error) {
	var all []author.Message
	err := each(tx, roomMessageColumns+where, args, func(scan func(...any) error) error {
		m, err := scanRoomMessage(scan)
		all = append(all, m)
		return err
	})
	return all, err
}

// Add writes a message; see author.Store.
func (s rooms) Add(ctx context.Context, d author.Draft) (author.Message, author.Room, error) {
	var (
		m author.Message
		r author.Room
	)
	err := s.write(ctx, func(tx *gorm.DB) (err error) {
		if r, err = oneRoom(tx, s.lock, "r.id = ?", d.Room); err != nil {
			return err
		}
		if d.Key != "" {
			again, err := roomMessages(tx, "m.room_id = ? AND m.author_id = ? AND m.client_key = ?", r.ID, d.By.ID, d.Key)
			switch {
			case err != nil:
				return err
			case len(again) > 0 && !again[0].Deleted && again[0].Text != d.Text:
				return bridge.ErrKeyReused
			case len(again) > 0:
				m = again[0]
				return nil
			}
		}
		if err := writable(tx, &r); err != nil {
			return err
		}
		if err := raise(tx, &r, d.Now); err != nil {
			return err
		}
		m = author.Message{Room: r.ID, Seq: r.Seq, Author: d.By.ID, AuthorName: d.By.Name, Text: d.Text, CreatedAt: moment(milli(d.Now))}
		id, err := insert(tx, "INSERT INTO author_messages (room_id, seq, author_id, author_name, client_key, text, created_at, deleted) VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
			r.ID, r.Seq, m.Author, m.AuthorName, orNull(d.Key), m.Text, milli(d.Now))
		m.ID = author.MessageID(id)
		return err
	})
	return m, r, err
}

// Delete empties a message; see author.Store.
func (s rooms) Delete(ctx context.Context, d author.Deletion) (author.Room, error) {
	var r author.Room
	err := s.write(ctx, func(tx *gorm.DB) (err error) {
		if r, err = oneRoom(tx, s.lock, "r.id = ?", d.Room); err != nil {
			return err
		}
		found, err := roomMessages(tx, "m.id = ? AND m.room_id = ?", d.Message, r.ID)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return author.ErrMessageNotFound
		}
		m := found[0]
		switch {
		case m.Author != d.By && !d.Others:
			return author.ErrNotYours
		case m.Deleted:
			return nil
		}
		if err := writable(tx, &r); err != nil {
			return err
		}
		if err := raise(tx, &r, d.Now); err != nil {
			return err
		}
		if _, err := exec(tx, "UPDATE author_messages SET text = '', deleted = 1, seq = ? WHERE id = ?", r.Seq, m.ID); err != nil {
			return err
		}
		if m.Author == d.By {
			return nil
		}
		return s.note(ctx, tx, bridge.AuditEntry{
			Region: r.Region, Action: "author.delete", Subject: fmt.Sprintf("message %d", m.ID),
			Changes: []bridge.FieldChange{{Field: "author", From: m.AuthorName}},
		})
	})
	return r, err
}

// Message gives a message; see author.Store.
func (s rooms) Message(ctx context.Context, room author.RoomID, id author.MessageID) (author.Message, error) {
	found, err := roomMessages(s.read.WithContext(ctx), "m.id = ? AND m.room_id = ? AND m.deleted = 0", id, room)
	if err != nil {
		return author.Message{}, failure(err)
	}
	if len(found) == 0 {
		return author.Message{}, author.ErrMessageNotFound
	}
	return found[0], nil
}

// History reads a page of a room; see author.Store.
func (s rooms) History(ctx context.Context, id author.RoomID, before bridge.Seq, since time.Time, limit int) ([]author.Message, error) {
	if before == 0 {
		before = 1 << 62
	}
	all, err := roomMessages(s.read.WithContext(ctx), "m.room_id = ? AND m.seq < ? AND m.deleted = 0 AND m.created_at >= ? ORDER BY m.seq DESC LIMIT ?", id, before, milli(since), limit)
	return all, failure(err)
}

// Changes reads what happened after a cursor; see author.Store. The room's Seq
// is read first: what counts after it is on its way with the next notice.
func (s rooms) Changes(ctx context.Context, id author.RoomID, after bridge.Seq, limit int) (author.Changes, error) {
	tx := s.read.WithContext(ctx)
	r, err := oneRoom(tx, "", "r.id = ?", id)
	if err != nil {
		return author.Changes{}, failure(err)
	}
	messages, err := roomMessages(tx, "m.room_id = ? AND m.seq > ? AND m.seq <= ? ORDER BY m.seq LIMIT ?", id, after, r.Seq, limit)
	if err != nil {
		return author.Changes{}, failure(err)
	}
	if len(messages) == limit {
		last := messages[limit-1].Seq
		return author.Changes{Messages: messages, Seq: last, More: last < r.Seq}, nil
	}
	return author.Changes{Messages: messages, Seq: r.Seq}, nil
}

// MarkRead moves a mark; see author.Store.
func (s rooms) MarkRead(ctx context.Context, id author.RoomID, who staff.ID, seq bridge.Seq) (moved bool, err error) {
	err = s.write(ctx, func(tx *gorm.DB) error {
		moved = false
		r, err := oneRoom(tx, s.share, "r.id = ?", id)
		if err != nil {
			return err
		}
		seq := min(seq, r.Seq)
		var stood bridge.Seq
		err = one(tx, "SELECT seq FROM author_reads WHERE room_id = ? AND person_id = ?"+s.lock, []any{id, who}, &stood)
		switch {
		case none(err) && seq > 0:
			_, err = exec(tx, "INSERT INTO author_reads (room_id, person_id, seq) VALUES (?, ?, ?)", id, who, seq)
		case err == nil && seq > stood:
			_, err = exec(tx, "UPDATE author_reads SET seq = ? WHERE room_id = ? AND person_id = ?", seq, id, who)
		case err == nil || none(err):
			return nil
		}
		moved = err == nil
		return err
	})
	return moved, err
}
