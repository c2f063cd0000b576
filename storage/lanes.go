package storage

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"gorm.io/gorm"

	"deskbridge/bridge"
)

// lanes implements bridge.LaneStore and, in letters.go, bridge.LetterStore.
type lanes struct{ *database }

// DueDesks lists desks with due lanes; see bridge.LaneStore.
func (s lanes) DueDesks(ctx context.Context, now time.Time) ([]bridge.DeskID, error) {
	at := milli(now)
	desks, err := list[bridge.DeskID](s.read.WithContext(ctx), "SELECT d.id FROM desks d WHERE EXISTS"+
		" (SELECT 1 FROM chats c WHERE c.desk_id = d.id AND c.lane_due <= ? AND c.claimed_until <= ?) ORDER BY d.id", at, at)
	return desks, failure(err)
}

// ClaimLanes takes due lanes; see bridge.LaneStore.
func (s lanes) ClaimLanes(ctx context.Context, desk bridge.DeskID, now, until time.Time, limit int) ([]bridge.Claim, error) {
	at := milli(now)
	due, err := list[int64](s.read.WithContext(ctx), "SELECT id FROM chats WHERE desk_id = ? AND lane_due <= ? AND claimed_until <= ? ORDER BY lane_due, id LIMIT ?", desk, at, at, limit)
	if err != nil || len(due) == 0 {
		return nil, failure(err)
	}
	var claims []bridge.Claim
	err = s.write(ctx, func(tx *gorm.DB) error {
		claims = nil
		id := bridge.NewClaimID()
		for _, chat := range due { // in order: the longest waiting first
			n, err := exec(tx, "UPDATE chats SET claim_id = ?, claimed_until = ? WHERE id = ? AND desk_id = ? AND lane_due <= ? AND claimed_until <= ?",
				id, milli(until), chat, desk, at, at)
			if err != nil {
				return err
			}
			if n == 1 {
				claims = append(claims, bridge.Claim{ID: id, Chat: bridge.ChatID(chat), Until: until})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claims, nil
}

// Renew prolongs claims; see bridge.LaneStore.
func (s lanes) Renew(ctx context.Context, claims []bridge.Claim, now, until time.Time) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		for _, c := range claims {
			if _, err := exec(tx, "UPDATE chats SET claimed_until = ? WHERE id = ? AND claim_id = ? AND claimed_until > ?",
				milli(until), c.Chat, c.ID, milli(now)); err != nil {
				return fmt.Errorf("renew claim: %w", err)
			}
		}
		return nil
	})
}

// claimed takes chat and device of a claim that still holds.
func (s lanes) claimed(tx *gorm.DB, c bridge.Claim, now time.Time) (*held, error) {
	h, err := s.hold(tx, c.Chat, now)
	if none(err) || err == nil && (h.c.claim != c.ID || h.c.claimedUntil <= milli(now)) {
		return nil, bridge.ErrClaimLost
	}
	return h, err
}

// Start takes the lane's next work; see bridge.LaneStore.
func (s lanes) Start(ctx context.Context, c bridge.Claim, now time.Time) (*bridge.Work, error) {
	var work *bridge.Work
	err := s.write(ctx, func(tx *gorm.DB) error {
		work = nil
		h, err := s.claimed(tx, c, now)
		if err != nil {
			return err
		}
		next, err := s.nextWork(ctx, h)
		if err != nil {
			return err
		}
		if next == nil {
			// Whoever adds work holds this row: it is either seen above, or
			// finds the lane empty and makes it due.
			h.endClaim(sql.Null[int64]{})
			_, err := h.save()
			return err
		}
		if !next.InDoubt() {
			if _, err := exec(tx, "UPDATE outbox SET started_at = ? WHERE id = ?", milli(now), next.ID); err != nil {
				return err
			}
		}
		next.Chat = h.c.Chat
		work = next
		return nil
	})
	if err != nil {
		return nil, err
	}
	return work, nil
}

// nextWork finds the oldest work that can still be done. A message that was
// recognised in its ticket meanwhile needs none, nor a note about one that is
// not set aside any more.
func (s lanes) nextWork(ctx context.Context, h *held) (*bridge.Work, error) {
	for {
		var (
			w       bridge.Work
			started int64
			message sql.Null[int64]
			uuid    sql.NullString
			text    sql.NullString
			status  sql.NullString
			files   sql.Null[int]
		)
		err := one(h.tx, "SELECT o.id, o.kind, o.message_id, o.previous, o.attempts, o.refusals, o.started_at, m.uuid, m.text, m.status, m.files"+
			" FROM outbox o LEFT JOIN messages m ON m.id = o.message_id WHERE o.chat_id = ? AND o.dead = 0 ORDER BY o.id LIMIT 1",
			[]any{h.c.ID}, &w.ID, &w.Kind, &message, &w.Previous, &w.Attempts, &w.Refusals, &started, &uuid, &text, &status, &files)
		if none(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read work: %w", err)
		}
		done := w.Kind == bridge.WorkMessage && status.String != string(bridge.StatusQueued) ||
			w.Kind == bridge.WorkNote && status.String != string(bridge.StatusFailed)
		if done && started == 0 {
			if _, err := exec(h.tx, "DELETE FROM outbox WHERE id = ?", w.ID); err != nil {
				return nil, err
			}
			continue
		}
		w.Message, w.UUID, w.StartedAt = bridge.MessageID(message.V), bridge.MessageUUID(uuid.String), moment(started)
		switch w.Kind {
		case bridge.WorkMessage:
			w.Text = text.String
			if files.V > 0 {
				if w.Files, err = s.uploads(ctx, h.tx, w.Message); err != nil {
					return nil, err
				}
			}
		case bridge.WorkNote:
			if w.Cause, err = cause(h, w.Message); err != nil {
				return nil, err
			}
		}
		return &w, nil
	}
}

// Articles lists a chat's articles; see bridge.LaneStore.
func (s lanes) Articles(ctx context.Context, id bridge.ChatID) ([]bridge.ArticleID, error) {
	known, err := list[bridge.ArticleID](s.read.WithContext(ctx), "SELECT article_id FROM articles WHERE chat_id = ?", id)
	return known, failure(err)
}

// Finish writes what became of a work; see bridge.LaneStore.
func (s lanes) Finish(ctx context.Context, c bridge.Claim, o bridge.Outcome, now time.Time) ([]bridge.Change, error) {
	var changes []bridge.Change
	err := s.write(ctx, func(tx *gorm.DB) error {
		changes = nil
		h, err := s.claimed(tx, c, now)
		if err != nil {
			return err
		}
		var message sql.Null[int64]
		err = one(tx, "SELECT message_id FROM outbox WHERE id = ? AND chat_id = ? AND dead = 0", []any{o.Work, c.Chat}, &message)
		if none(err) {
			return bridge.ErrClaimLost // it is finished already
		}
		if err != nil {
			return err
		}
		switch {
		case o.Retry != nil:
			err = retry(h, o.Work, o.Retry)
		case o.Failed != nil:
			err = fail(h, o.Work, message.V, o.Failed)
		default:
			if o.Sent != nil {
				err = sent(h, message.V, o.Sent)
			}
			if err == nil {
				_, err = exec(tx, "DELETE FROM outbox WHERE id = ?", o.Work)
			}
		}
		if err != nil {
			return err
		}
		changes, err = h.save()
		return err
	})
	if err != nil {
		return nil, err
	}
	return changes, nil
}

// sent records that a message is in a ticket.
func sent(h *held, message int64, o *bridge.Sent) error {
	if err := h.arrived(message, o.Article); err != nil {
		return err
	}
	if o.Article != 0 {
		if err := link(h, bridge.Article{ID: o.Article, Ticket: o.Ticket, Public: true}, message); err != nil {
			return err
		}
	}
	if o.Ticket == 0 {
		return nil
	}
	if err := h.takeTicket(o.Ticket, o.State, o.StateAt); err != nil {
		return err
	}
	if h.c.Ticket != 0 && o.Customer != 0 {
		h.c.Customer = o.Customer
	}
	return nil
}

// retry puts work back and lets its lane rest.
func retry(h *held, work bridge.WorkID, o *bridge.Retry) error {
	query := "UPDATE outbox SET attempts = attempts + ?, refusals = refusals + ?, reason = ?, started_at = 0 WHERE id = ?"
	if o.Doubt {
		query = "UPDATE outbox SET attempts = attempts + ?, refusals = refusals + ?, reason = ? WHERE id = ?"
	}
	if _, err := exec(h.tx, query, count(o.Attempt), count(o.Refused), o.Reason, work); err != nil {
		return fmt.Errorf("put work back: %w", err)
	}
	if h.c.Ticket != 0 {
		if o.Detach {
			return h.renew(milli(o.Due))
		}
		h.learn(o.State, moment(h.c.stateAt))
	}
	h.endClaim(sql.Null[int64]{V: milli(o.Due), Valid: true})
	return nil
}

func count(one bool) int {
	if one {
		return 1
	}
	return 0
}

// fail sets work aside; it stays for operators until its chat is pruned. The
// agents are told by a note, behind what already waits.
func fail(h *held, work bridge.WorkID, message int64, o *bridge.Failed) error {
	if _, err := exec(h.tx, "UPDATE outbox SET dead = 1, attempts = attempts + 1, reason = ?, error_id = ?, started_at = 0 WHERE id = ?", o.Reason, o.ErrorID, work); err != nil {
		return fmt.Errorf("set work aside: %w", err)
	}
	if message == 0 {
		return nil
	}
	if err := h.setStatus(message, bridge.StatusFailed, o.Code, bridge.StatusQueued); err != nil {
		return err
	}
	return h.enqueue(bridge.WorkNote, message, "")
}

// cause reads why a message was set aside; nothing if its letter was dropped.
func cause(h *held, message bridge.MessageID) (bridge.Failed, error) {
	var f bridge.Failed
	err := one(h.tx, "SELECT reason, error_id FROM outbox WHERE message_id = ? AND dead = 1", []any{message}, &f.Reason, &f.ErrorID)
	if err != nil && !none(err) {
		return f, fmt.Errorf("read cause: %w", err)
	}
	return f, nil
}

// Release gives a lane back; see bridge.LaneStore.
func (s lanes) Release(ctx context.Context, c bridge.Claim, due time.Time) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		n, err := exec(tx, "UPDATE chats SET claim_id = '', claimed_until = 0, lane_due = ? WHERE id = ? AND claim_id = ?", milli(due), c.Chat, c.ID)
		if err == nil && n == 0 {
			err = bridge.ErrClaimLost
		}
		return err
	})
}

// Sweep makes lanes due that have work and no due time; see bridge.LaneStore.
func (s lanes) Sweep(ctx context.Context, now time.Time, dryRun bool) (int, error) {
	lost, err := list[int64](s.read.WithContext(ctx), "SELECT DISTINCT c.id FROM outbox o JOIN chats c ON c.id = o.chat_id WHERE o.dead = 0 AND c.lane_due IS NULL")
	if err != nil || dryRun || len(lost) == 0 {
		return len(lost), failure(err)
	}
	var mended int64
	err = s.write(ctx, func(tx *gorm.DB) error {
		mended = 0
		for _, chat := range lost {
			n, err := exec(tx, "UPDATE chats SET lane_due = ? WHERE id = ? AND lane_due IS NULL", milli(now), chat)
			if err != nil {
				return err
			}
			mended += n
		}
		return nil
	})
	return int(mended), err
}
