package storage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"deskbridge/bridge"
)

// isLetter says of "outbox o" and its "messages m" that they are a dead letter.
const isLetter = "o.dead = 1 AND m.status = 'failed'"

// Letters lists dead letters; see bridge.LetterStore.
func (s lanes) Letters(ctx context.Context, q bridge.LetterQuery) ([]bridge.Letter, error) {
	query := "SELECT o.id, r.slug, c.id, COALESCE(c.ticket_id, 0), o.kind, m.fail_code, o.reason, o.error_id, o.attempts, m.created_at" +
		" FROM outbox o JOIN messages m ON m.id = o.message_id JOIN chats c ON c.id = o.chat_id JOIN regions r ON r.id = c.region_id" +
		" WHERE " + isLetter + " AND o.id > ?"
	args := []any{q.After}
	if q.Region != 0 {
		query, args = query+" AND c.region_id = ?", append(args, q.Region)
	}
	query += " ORDER BY o.id"
	if q.Limit > 0 {
		query, args = query+" LIMIT ?", append(args, q.Limit)
	}
	var letters []bridge.Letter
	err := each(s.read.WithContext(ctx), query, args, func(scan func(...any) error) error {
		var (
			l    bridge.Letter
			sent int64
		)
		err := scan(&l.ID, &l.Region, &l.Chat, &l.Ticket, &l.Kind, &l.Code, &l.Reason, &l.ErrorID, &l.Attempts, &sent)
		l.SentAt = moment(sent)
		letters = append(letters, l)
		return err
	})
	if err != nil {
		return nil, failure(fmt.Errorf("read letters: %w", err))
	}
	return letters, nil
}

// LetterCounts counts dead letters by region; see bridge.LetterStore.
func (s lanes) LetterCounts(ctx context.Context) (map[bridge.RegionID]int, error) {
	counts := map[bridge.RegionID]int{}
	err := each(s.read.WithContext(ctx), "SELECT c.region_id, COUNT(*) FROM outbox o JOIN messages m ON m.id = o.message_id JOIN chats c ON c.id = o.chat_id"+
		" WHERE "+isLetter+" GROUP BY c.region_id", nil, func(scan func(...any) error) error {
		var (
			region bridge.RegionID
			n      int
		)
		err := scan(&region, &n)
		counts[region] = n
		return err
	})
	if err != nil {
		return nil, failure(fmt.Errorf("count letters: %w", err))
	}
	return counts, nil
}

// RetryLetters puts letters back; see bridge.LetterStore.
func (s lanes) RetryLetters(ctx context.Context, region bridge.RegionID, ids []bridge.WorkID, now time.Time) (int, error) {
	return s.letters(ctx, "letter.retry", region, ids, now, func(h *held, message int64) error {
		if err := h.setStatus(message, bridge.StatusQueued, "", bridge.StatusFailed); err != nil {
			return err
		}
		return h.enqueue(bridge.WorkMessage, message, "")
	})
}

// DropLetters forgets letters; see bridge.LetterStore.
func (s lanes) DropLetters(ctx context.Context, region bridge.RegionID, ids []bridge.WorkID, now time.Time) (int, error) {
	return s.letters(ctx, "letter.drop", region, ids, now, func(*held, int64) error { return nil })
}

// deadLetter is what is needed to take a letter away.
type deadLetter struct {
	id      bridge.WorkID
	region  bridge.RegionID
	chat    bridge.ChatID
	message int64
	code    string
}

// letters removes dead letters after something was done with their messages.
func (s lanes) letters(ctx context.Context, action string, region bridge.RegionID, ids []bridge.WorkID, now time.Time, handle func(h *held, message int64) error) (int, error) {
	done := 0
	err := s.write(ctx, func(tx *gorm.DB) error {
		found, err := findLetters(tx, region, ids)
		if err != nil {
			return err
		}
		handled := map[bridge.RegionID][]deadLetter{}
		done = 0
		for _, l := range found {
			ok, err := s.letter(tx, l, now, handle)
			if err != nil {
				return err
			}
			if ok {
				handled[l.region] = append(handled[l.region], l)
				done++
			}
		}
		if done == 0 {
			return bridge.ErrLetterUnknown
		}
		for _, id := range slices.Sorted(maps.Keys(handled)) {
			if err := s.noteLetters(ctx, tx, action, id, handled[id]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return done, nil
}

// findLetters finds those of the letters that there are, by device as everything
// is that takes several, and by age within one, so that they keep their order.
func findLetters(tx *gorm.DB, region bridge.RegionID, ids []bridge.WorkID) ([]deadLetter, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	marks, args := in(ids)
	query := "SELECT o.id, c.region_id, o.chat_id, o.message_id, m.fail_code FROM outbox o JOIN messages m ON m.id = o.message_id JOIN chats c ON c.id = o.chat_id" +
		" WHERE o.id IN " + marks + " AND " + isLetter
	if region != 0 {
		query, args = query+" AND c.region_id = ?", append(args, region)
	}
	var found []deadLetter
	err := each(tx, query+" ORDER BY c.device_id, o.id", args, func(scan func(...any) error) error {
		var l deadLetter
		err := scan(&l.id, &l.region, &l.chat, &l.message, &l.code)
		found = append(found, l)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find letters: %w", err)
	}
	return found, nil
}

// letter handles one letter; false if somebody else was faster, or its message was
// found in the ticket meanwhile.
func (s lanes) letter(tx *gorm.DB, l deadLetter, now time.Time, handle func(h *held, message int64) error) (bool, error) {
	h, err := s.hold(tx, l.chat, now)
	if none(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	n, err := exec(tx, "DELETE FROM outbox WHERE id = ? AND dead = 1 AND EXISTS (SELECT 1 FROM messages m WHERE m.id = outbox.message_id AND m.status = 'failed')", l.id)
	if err != nil {
		return false, fmt.Errorf("remove letter: %w", err)
	}
	if n == 0 {
		return false, nil
	}
	if err := handle(h, l.message); err != nil {
		return false, err
	}
	_, err = h.save()
	return err == nil, err
}

// noteLetters notes what was done with letters of one region.
func (s lanes) noteLetters(ctx context.Context, tx *gorm.DB, action string, region bridge.RegionID, letters []deadLetter) error {
	var ids, codes []string
	for _, l := range letters {
		ids = append(ids, strconv.FormatInt(int64(l.id), 10))
		if !slices.Contains(codes, l.code) {
			codes = append(codes, l.code)
		}
	}
	slices.Sort(codes)
	return s.note(ctx, tx, bridge.AuditEntry{Region: region, Action: action, Subject: numbered(ids), Changes: []bridge.FieldChange{
		{Field: "count", To: strconv.Itoa(len(letters))}, {Field: "reason", To: strings.Join(codes, ", ")},
	}})
}

// subjectsNamed is how many things an audit entry names.
const subjectsNamed = 20

// numbered names things by their numbers, as many as fit into an audit entry.
func numbered(ids []string) string {
	if len(ids) > subjectsNamed {
		return strings.Join(ids[:subjectsNamed], ", ") + ", …"
	}
	return strings.Join(ids, ", ")
}
