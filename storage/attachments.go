package storage

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"

	"deskbridge/bridge"
)

// files implements bridge.FileStore.
type files struct{ *database }

// Sizes of the steps in which contents are stored and removed. Each is a
// transaction of its own, and messages are stored between them.
const (
	pieceSize    = 256 << 10 // bytes; far below the smallest max_allowed_packet
	piecesAtOnce = 4
	pruneFiles   = 8
)

// KeepContent stores a content; see bridge.FileStore.
func (s files) KeepContent(ctx context.Context, f *bridge.File, now time.Time) error {
	err := s.write(ctx, func(tx *gorm.DB) error {
		id, err := insert(tx, "INSERT INTO contents (created_at) VALUES (?)", milli(now))
		f.Stored = bridge.ContentID(id)
		return err
	})
	if err != nil {
		f.Stored = 0
		return err
	}
	room := make([]byte, pieceSize*piecesAtOnce)
	for at := int64(0); at < f.Size; at += int64(len(room)) {
		n := min(int64(len(room)), f.Size-at)
		if read, err := f.Content.ReadAt(room[:n], at); int64(read) < n {
			return fmt.Errorf("read content: %w", err)
		}
		err := s.write(ctx, func(tx *gorm.DB) error {
			place := at / pieceSize
			for piece := range slices.Chunk(room[:n], pieceSize) {
				if _, err := exec(tx, "INSERT INTO pieces (content_id, place, data) VALUES (?, ?, ?)", f.Stored, place, piece); err != nil {
					return fmt.Errorf("store piece: %w", err)
				}
				place++
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// DropContents removes contents without a message; see bridge.FileStore.
func (s files) DropContents(ctx context.Context, all []bridge.File) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		for _, f := range all {
			if _, err := s.dropUnclaimed(tx, int64(f.Stored)); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropUnclaimed removes a content that no message has. It holds the content's
// row first: a message that takes it in the same moment comes before or fails.
func (db *database) dropUnclaimed(tx *gorm.DB, id int64) (int, error) {
	held, err := list[int64](tx, "SELECT id FROM contents WHERE id = ?"+db.lock, id)
	if err != nil || len(held) == 0 {
		return 0, err
	}
	taken, err := list[int64](tx, "SELECT id FROM attachments WHERE content_id = ?", id)
	if err != nil || len(taken) > 0 {
		return 0, err
	}
	return 1, removeContent(tx, id)
}

func removeContent(tx *gorm.DB, id int64) error {
	if _, err := exec(tx, "DELETE FROM pieces WHERE content_id = ?", id); err != nil {
		return fmt.Errorf("remove pieces: %w", err)
	}
	if _, err := exec(tx, "DELETE FROM contents WHERE id = ?", id); err != nil {
		return fmt.Errorf("remove content: %w", err)
	}
	return nil
}

// content reads a stored content piece by piece and keeps the last one.
type content struct {
	db   *database
	ctx  context.Context // of the request or work that it was opened for: io.ReaderAt knows none
	file int64
	size int64

	mu    sync.Mutex
	place int64
	piece []byte // nil: none yet
}

// ReadAt implements io.ReaderAt. The error is io.ErrUnexpectedEOF if the content
// was removed.
func (c *content) ReadAt(p []byte, at int64) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(p) {
		if at+int64(n) >= c.size {
			return n, io.EOF
		}
		place, inside := (at+int64(n))/pieceSize, (at+int64(n))%pieceSize
		if c.piece == nil || place != c.place {
			c.piece = nil
			err := one(c.db.read.WithContext(c.db.quick(c.ctx)), "SELECT data FROM pieces WHERE content_id = ? AND place = ?", []any{c.file, place}, &c.piece)
			if none(err) {
				return n, io.ErrUnexpectedEOF
			}
			if err != nil {
				return n, failure(fmt.Errorf("read piece: %w", err))
			}
			c.place = place
		}
		if inside >= int64(len(c.piece)) {
			return n, io.ErrUnexpectedEOF
		}
		n += copy(p[n:], c.piece[inside:])
	}
	return n, nil
}

// attachUploads gives a message its user's files.
func attachUploads(tx *gorm.DB, message bridge.MessageID, all []bridge.File) error {
	for place, f := range all {
		_, err := exec(tx, "INSERT INTO attachments (public_id, message_id, place, name, media_type, size, in_text, digest, content_id, desk_file, article_id, known_at)"+
			" VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, 0, 0, 0)", string(f.ID), message, place, f.Name, f.Type, f.Size, f.Digest[:], f.Stored)
		if err != nil {
			return fmt.Errorf("insert attachment: %w", err)
		}
	}
	return nil
}

// sameFiles says whether a message has exactly these files of its user.
func sameFiles(tx *gorm.DB, message bridge.MessageID, all []bridge.File) (bool, error) {
	stored, err := list[[]byte](tx, "SELECT digest FROM attachments WHERE message_id = ? ORDER BY place", message)
	if err != nil {
		return false, fmt.Errorf("read digests: %w", err)
	}
	return slices.EqualFunc(stored, all, func(digest []byte, f bridge.File) bool { return bytes.Equal(digest, f.Digest[:]) }), nil
}

// storeShown inserts the message of an article with its files.
func storeShown(h *held, m *bridge.Message, a bridge.Article) error {
	for _, f := range a.Files {
		m.Attachments = append(m.Attachments, f.Attachment)
	}
	if err := store(h, m); err != nil {
		return err
	}
	return attachFiles(h, a, int64(m.ID))
}

// attachFiles gives a message the files of its article.
func attachFiles(h *held, a bridge.Article, message int64) error {
	for place, f := range a.Files {
		_, err := exec(h.tx, "INSERT INTO attachments (public_id, message_id, place, name, media_type, size, in_text, digest, content_id, desk_file, article_id, known_at)"+
			" VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, ?, ?, ?)", string(f.ID), message, place, f.Name, f.Type, f.Size, f.Inline, f.File, a.ID, milli(h.now))
		if err != nil {
			return fmt.Errorf("insert attachment: %w", err)
		}
	}
	return nil
}

// confirmUploads notes that the desk has shown the files of a user's message:
// from now on they can be had from there. Files that are not all there, each
// with its size, stay here.
func confirmUploads(h *held, a bridge.Article, message int64) error {
	if len(a.Files) == 0 {
		return nil
	}
	sizes, err := list[int64](h.tx, "SELECT size FROM attachments WHERE message_id = ? AND desk_file = 0 ORDER BY place", message)
	if err != nil {
		return fmt.Errorf("read uploads: %w", err)
	}
	shown := slices.SortedFunc(slices.Values(a.Files), func(x, y bridge.DeskFile) int { return cmp.Compare(x.File, y.File) })
	if !slices.EqualFunc(sizes, shown, func(size int64, f bridge.DeskFile) bool { return size == f.Size }) {
		return nil
	}
	for place, f := range shown {
		if _, err := exec(h.tx, "UPDATE attachments SET desk_file = ?, article_id = ?, known_at = ? WHERE message_id = ? AND place = ?",
			f.File, a.ID, milli(h.now), message, place); err != nil {
			return fmt.Errorf("confirm upload: %w", err)
		}
	}
	return nil
}

// readAttachments fills in the attachments of messages, which are ordered by id.
func readAttachments(tx *gorm.DB, with []bridge.MessageID, messages []bridge.Message) error {
	for ids := range slices.Chunk(with, ticketsAtOnce) {
		list, args := in(ids)
		err := each(tx, "SELECT message_id, public_id, name, media_type, size, in_text FROM attachments WHERE message_id IN "+list+" ORDER BY message_id, place", args,
			func(scan func(...any) error) error {
				var (
					id bridge.MessageID
					a  bridge.Attachment
				)
				if err := scan(&id, &a.ID, &a.Name, &a.Type, &a.Size, &a.Inline); err != nil {
					return err
				}
				i, found := slices.BinarySearchFunc(messages, id, func(m bridge.Message, id bridge.MessageID) int { return cmp.Compare(m.ID, id) })
				if found {
					messages[i].Attachments = append(messages[i].Attachments, a)
				}
				return nil
			})
		if err != nil {
			return fmt.Errorf("read attachments: %w", err)
		}
	}
	return nil
}

// uploads reads the files of a user's message with their contents.
func (db *database) uploads(ctx context.Context, tx *gorm.DB, message bridge.MessageID) ([]bridge.File, error) {
	var all []bridge.File
	err := each(tx, "SELECT public_id, name, media_type, size, content_id FROM attachments WHERE message_id = ? AND content_id IS NOT NULL ORDER BY place", []any{message},
		func(scan func(...any) error) error {
			var f bridge.File
			if err := scan(&f.ID, &f.Name, &f.Type, &f.Size, &f.Stored); err != nil {
				return err
			}
			f.Content = &content{db: db, ctx: ctx, file: int64(f.Stored), size: f.Size}
			all = append(all, f)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("read uploads: %w", err)
	}
	return all, nil
}

const storedColumns = "SELECT a.message_id, a.public_id, a.name, a.media_type, a.size, a.in_text, a.content_id, a.desk_file, COALESCE(r.desk_id, 0), COALESCE(r.ticket_id, 0), a.article_id" +
	" FROM attachments a JOIN messages m ON m.id = a.message_id JOIN devices d ON d.id = m.device_id JOIN chats c ON c.id = d.current_chat_id" +
	" LEFT JOIN articles r ON r.message_id = m.id AND r.article_id = a.article_id WHERE d.region_id = ? AND d.device_hash = ? AND m.retracted = 0"

// scanStored reads storedColumns. A file whose article is not the message's any
// more cannot be had from the desk.
func (db *database) scanStored(ctx context.Context, scan func(...any) error) (message bridge.MessageID, a bridge.StoredAttachment, err error) {
	var file sql.Null[int64]
	err = scan(&message, &a.ID, &a.Name, &a.Type, &a.Size, &a.Inline, &file, &a.File, &a.Desk, &a.Ticket, &a.Article)
	if file.Valid {
		a.Content = &content{db: db, ctx: ctx, file: file.V, size: a.Size}
	}
	if a.Ticket == 0 {
		a.File = 0
	}
	return message, a, err
}

// Attachment finds a file; see bridge.FileStore.
func (s files) Attachment(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, id bridge.AttachmentID, now time.Time) (bridge.StoredAttachment, error) {
	var found *bridge.StoredAttachment
	err := each(s.read.WithContext(ctx), storedColumns+" AND a.public_id = ? AND c.last_message_at > ?", []any{r.ID, d[:], string(id), milli(now.Add(-r.Retention()))},
		func(scan func(...any) error) error {
			_, a, err := s.scanStored(ctx, scan)
			found = &a
			return err
		})
	if err != nil {
		return bridge.StoredAttachment{}, failure(fmt.Errorf("read attachment: %w", err))
	}
	if found == nil {
		return bridge.StoredAttachment{}, bridge.ErrAttachmentNotFound
	}
	return *found, nil
}

// Attachments lists the files of a device; see bridge.FileStore.
func (s files) Attachments(ctx context.Context, r bridge.RegionID, d bridge.DeviceHash) (map[bridge.MessageID][]bridge.StoredAttachment, error) {
	all := make(map[bridge.MessageID][]bridge.StoredAttachment)
	err := each(s.read.WithContext(ctx), storedColumns+" ORDER BY a.message_id, a.place", []any{r, d[:]}, func(scan func(...any) error) error {
		message, a, err := s.scanStored(ctx, scan)
		all[message] = append(all[message], a)
		return err
	})
	if err != nil {
		return nil, failure(fmt.Errorf("read attachments: %w", err))
	}
	return all, nil
}

// removeAttachments removes the attachments of a chat's messages and gives their
// number.
func removeAttachments(tx *gorm.DB, chat bridge.ChatID) (int, error) {
	const ofChat = "message_id IN (SELECT id FROM messages WHERE chat_id = ? AND files > 0)"
	contents, err := list[int64](tx, "SELECT content_id FROM attachments WHERE content_id IS NOT NULL AND "+ofChat, chat)
	if err != nil {
		return 0, fmt.Errorf("find contents: %w", err)
	}
	n, err := exec(tx, "DELETE FROM attachments WHERE "+ofChat, chat)
	if err != nil {
		return 0, fmt.Errorf("remove attachments: %w", err)
	}
	for _, id := range contents {
		if err := removeContent(tx, id); err != nil {
			return 0, err
		}
	}
	return int(n), nil
}

// pruneFiles removes contents that the desk has, and those that no message took;
// a dry run counts them.
func (s jobs) pruneFiles(ctx context.Context, c bridge.PruneCutoffs, dryRun bool) (int, error) {
	const unclaimed = " FROM contents f LEFT JOIN attachments a ON a.content_id = f.id WHERE a.id IS NULL AND f.created_at < ?"
	total, err := s.pruneContents(ctx, unclaimed, []any{milli(c.Unclaimed)}, dryRun)
	for _, region := range slices.Sorted(maps.Keys(c.Files)) {
		if err != nil {
			break
		}
		var n int
		n, err = s.pruneContents(ctx, " FROM contents f JOIN attachments a ON a.content_id = f.id JOIN messages m ON m.id = a.message_id JOIN chats c ON c.id = m.chat_id"+
			" WHERE c.region_id = ? AND a.desk_file > 0 AND a.known_at < ?", []any{region, milli(c.Files[region])}, dryRun)
		total += n
	}
	return total, failure(err)
}

// pruneContents removes the contents f that a query finds, in steps.
func (s jobs) pruneContents(ctx context.Context, from string, args []any, dryRun bool) (total int, err error) {
	if dryRun {
		err = one(s.read.WithContext(ctx), "SELECT COUNT(*)"+from, args, &total)
		return total, err
	}
	for {
		old, err := list[int64](s.read.WithContext(ctx), "SELECT f.id"+from+" ORDER BY f.id LIMIT ?", append(slices.Clone(args), pruneFiles)...)
		if err != nil || len(old) == 0 {
			return total, err
		}
		removed := 0
		err = s.write(ctx, func(tx *gorm.DB) error {
			removed = 0
			for _, id := range old {
				if _, err := exec(tx, "UPDATE attachments SET content_id = NULL WHERE content_id = ? AND desk_file > 0", id); err != nil {
					return fmt.Errorf("let go of content: %w", err)
				}
				n, err := s.dropUnclaimed(tx, id)
				if err != nil {
					return err
				}
				removed += n
			}
			return nil
		})
		total += removed
		if err != nil || removed == 0 {
			return total, err
		}
	}
}
