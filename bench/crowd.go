package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"deskbridge/bridge"
)

// How many rows the console is measured with.
const (
	crowdChats    = 100_000
	crowdMessages = 10 // of each chat
	crowdDays     = 170
	chatsAtOnce   = 50 // in one statement
)

// heap inserts rows of one table, many in a statement.
type heap struct {
	tx    *sql.Tx
	into  string // "INSERT INTO t (a, b) VALUES "
	width int
	args  []any
	err   error
}

func newHeap(tx *sql.Tx, table string, columns ...string) *heap {
	return &heap{tx: tx, into: "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES ", width: len(columns)}
}

func (h *heap) add(values ...any) {
	h.args = append(h.args, values...)
}

func (h *heap) flush() {
	if h.err != nil || len(h.args) == 0 {
		return
	}
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", h.width), ",") + "),"
	_, h.err = h.tx.Exec(h.into+strings.TrimSuffix(strings.Repeat(row, len(h.args)/h.width), ","), h.args...)
	h.args = h.args[:0]
}

// said tells who wrote a message of a chat, and what became of it.
func said(chat, message int) (author, status string) {
	switch {
	case message == 0 && chat%2000 == 1000:
		return "user", "failed" // a dead letter
	case message%3 == 2:
		return "agent", "sent"
	}
	return "user", "seen"
}

// crowd fills a region, past the store: 100,000 chats of as many devices with a
// million messages over half a year, what the gate told each device, and what
// Zammad delivered. Of the chats 1 in 100 waits; 100 have work or a letter, and
// their devices are testers.
func crowd(ctx context.Context, db *sql.DB, r *bridge.Region, now time.Time) (err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	devices := newHeap(tx, "devices", "id", "region_id", "device_hash", "alias", "seq", "changed_at", "current_chat_id", "last_message_at", "opened_at")
	chats := newHeap(tx, "chats", "id", "region_id", "device_id", "language", "consent_at", "desk_id", "ticket_id", "customer_id", "ticket_state",
		"checked_at", "created_at", "last_message_at", "claim_id", "claimed_until", "waiting_since")
	messages := newHeap(tx, "messages", "id", "device_id", "chat_id", "seq", "uuid", "author", "name", "html", "text", "automatic", "status", "fail_code", "created_at", "retracted")
	exposures := newHeap(tx, "exposures", "region_id", "device_hash", "day", "served", "reason", "told_at")
	deliveries := newHeap(tx, "deliveries", "region_id", "delivery_key", "body", "hint", "claim_id", "claimed_until", "due", "attempts", "outcome", "reason", "received_at", "finished_at")
	works := newHeap(tx, "outbox", "chat_id", "kind", "message_id", "previous", "attempts", "started_at", "dead", "reason", "error_id", "created_at")
	testers := newHeap(tx, "testers", "region_id", "device_hash", "override", "set_at", "set_by", "note")
	audit := newHeap(tx, "audit", "at", "actor_kind", "actor_id", "actor_name", "region_id", "action", "subject", "changes")
	begin, step := now.AddDate(0, 0, -crowdDays), crowdDays*24*time.Hour/crowdChats
	all := []*heap{devices, chats, messages, exposures, deliveries, works, testers, audit} // in the order of their references
	for i := range crowdChats {
		id, at := i+1, begin.Add(time.Duration(i)*step)
		ms := at.UnixMilli()
		hash := sha256.Sum256(fmt.Append(nil, i))
		state, waiting := "closed", int64(0)
		if i%100 == 0 {
			state, waiting = "open", ms
		}
		last := ms + int64(crowdMessages-1)*60_000
		devices.add(id, r.ID, hash[:], "abcdefghijklmnop", crowdMessages, last, id, last, ms)
		chats.add(id, r.ID, id, language, 0, r.Desk, id, 1, state, 0, ms, last, "", 0, waiting)
		for j := range crowdMessages {
			author, status := said(i, j)
			messages.add(i*crowdMessages+j+1, id, id, j+1, fmt.Sprintf("%d-%d", i, j), author, "", "a message of a usual length", "a message of a usual length", 0, status, "", ms+int64(j)*60_000, 0)
		}
		if at.After(now.AddDate(0, 0, -90)) {
			exposures.add(r.ID, hash[:], at.UTC().Format(time.DateOnly), i%2, "bucket", ms)
		}
		deliveries.add(r.ID, fmt.Sprint(i), []byte{}, 0, "", 0, 0, 0, "relayed", "", ms, ms)
		if i%1000 == 0 {
			works.add(id, "message", i*crowdMessages+1, "", 0, 0, i/1000%2, "refused", "", ms)
			testers.add(r.ID, hash[:], "in", ms, "bench", "a note")
			audit.add(ms, "person", 1, "Bench", r.ID, "region.changed", r.Slug, `[{"field":"percentage","from":"5","to":"20"}]`)
		}
		if i%chatsAtOnce == chatsAtOnce-1 {
			for _, h := range all {
				h.flush()
			}
		}
	}
	for _, h := range all {
		if h.flush(); h.err != nil {
			return fmt.Errorf("%s: %w", h.into, h.err)
		}
	}
	return tx.Commit()
}
