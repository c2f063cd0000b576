package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// The statements of a work, as storage has them.
const (
	claimLane  = "UPDATE chats SET claim_id = ?, claimed_until = ? WHERE id = ? AND lane_due <= ? AND claimed_until <= ?"
	nextWork   = "SELECT o.id, o.kind, o.message_id, o.previous, o.attempts, o.refusals, o.started_at, m.uuid, m.text, m.status FROM outbox o LEFT JOIN messages m ON m.id = o.message_id WHERE o.chat_id = ? AND o.dead = 0 ORDER BY o.id LIMIT 1"
	startWork  = "UPDATE outbox SET started_at = ? WHERE id = ?"
	itsMessage = "SELECT message_id FROM outbox WHERE id = ? AND chat_id = ? AND dead = 0"
	setSent    = "UPDATE messages SET status = 'sent', seq = ? WHERE id = ? AND device_id = ? AND status IN ('queued', 'failed')"
	moveIt     = "UPDATE articles SET chat_id = ?, ticket_id = ?, message_id = ?, visible = 1, barred = 0 WHERE desk_id = ? AND article_id = ?"
	linkIt     = "INSERT INTO articles (desk_id, article_id, ticket_id, chat_id, message_id, visible, barred) VALUES (?, ?, ?, ?, ?, 1, 0)"
	whose      = "SELECT id, device_id FROM chats WHERE desk_id = ? AND ticket_id = ?"
	endWork    = "DELETE FROM outbox WHERE id = ?"
	allLanes   = "SELECT id, device_id FROM chats WHERE lane_due IS NOT NULL ORDER BY id"
	deviceByID = "SELECT d.seq, d.current_chat_id, d.last_message_at, d.device_hash FROM devices d WHERE d.id = ?"
)

// loop is a bare pump: lanes, calls and commits by hand.
type loop struct {
	*bare
	box    *mailbox
	client *http.Client
	device uint32
	made   atomic.Int64
}

func newLoop(ctx context.Context, path string) (*loop, error) {
	box, err := openMailbox(ctx)
	if err != nil {
		return nil, err
	}
	db, err := openBareSQLite(ctx, path, append(acceptQueries(),
		claimLane, nextWork, startWork, itsMessage, setSent, moveIt, linkIt, whose, endWork, allLanes, deviceByID)...)
	if err != nil {
		return nil, err
	}
	return &loop{bare: db, box: box, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: laneWorkers}}}, nil
}

// empty is the same as pumped's.
func (l *loop) empty(ctx context.Context) (float64, error) {
	now := time.Now().UnixMilli()
	for range lanes {
		l.device++
		device := make([]byte, 32)
		device[0], device[1], device[2] = byte(l.device), byte(l.device>>8), byte(l.device>>16)
		for range messagesPerLane {
			if err := l.change(ctx, func(do doer) error { _, err := acceptRows(do, device, text, now); return err }); err != nil {
				return 0, err
			}
		}
	}
	began := time.Now()
	due := make(chan [2]int64, lanes)
	if err := l.change(ctx, func(do doer) error { return listLanes(do, due) }); err != nil {
		return 0, err
	}
	close(due)
	var (
		workers sync.WaitGroup
		failed  = make(chan error, laneWorkers)
	)
	for range laneWorkers {
		workers.Go(func() {
			for lane := range due {
				if err := l.work(ctx, lane[0], lane[1]); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	workers.Wait()
	took := time.Since(began)
	select {
	case err := <-failed:
		return 0, err
	default:
		return lanes * messagesPerLane / took.Seconds(), l.box.holds(int(l.device) * messagesPerLane)
	}
}

func listLanes(do doer, due chan<- [2]int64) error {
	rows, err := do(allLanes).Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var chat, device int64
		if err := rows.Scan(&chat, &device); err != nil {
			return err
		}
		due <- [2]int64{chat, device}
	}
	return rows.Err()
}

// work empties one lane.
func (l *loop) work(ctx context.Context, chat, device int64) error {
	claim := uuid.NewString()
	err := l.change(ctx, func(do doer) error {
		now := time.Now().UnixMilli()
		_, err := do(claimLane).Exec(claim, now+15_000, chat, now, now)
		return err
	})
	for more := err == nil; more && err == nil; {
		more, err = l.carry(ctx, chat, device, claim)
	}
	return err
}

// carry brings one message into its ticket; false says that the lane is empty.
func (l *loop) carry(ctx context.Context, chat, device int64, claim string) (more bool, err error) {
	var (
		row     bareRow
		work    int64
		message int64
		id      string
		words   string
	)
	err = l.change(ctx, func(do doer) error {
		if err := holdRows(do, &row, chat, device); err != nil {
			return err
		}
		var kind, previous, status string
		var attempts, refusals, started int64
		err := do(nextWork).QueryRow(chat).Scan(&work, &kind, &message, &previous, &attempts, &refusals, &started, &id, &words, &status)
		if errors.Is(err, sql.ErrNoRows) {
			row.claim, row.until, row.due = "", 0, sql.Null[int64]{}
			return row.saveChat(do)
		}
		if err == nil {
			_, err = do(startWork).Exec(time.Now().UnixMilli(), work)
		}
		return err
	})
	if err != nil || work == 0 {
		return false, err
	}
	known := row.ticket.V
	ticket, article, err := l.post(ctx, known, id, words)
	if err != nil {
		return false, err
	}
	return true, l.finish(ctx, work, message, arrival{chat, device, known, ticket, article, claim})
}

// arrival is where a message has arrived.
type arrival struct {
	chat, device, known, ticket, article int64
	claim                                string
}

// finish commits that a message has arrived.
func (l *loop) finish(ctx context.Context, work, message int64, a arrival) error {
	var row bareRow
	return l.change(ctx, func(do doer) error {
		if err := holdRows(do, &row, a.chat, a.device); err != nil {
			return err
		}
		if err := do(itsMessage).QueryRow(work, a.chat).Scan(&message); err != nil {
			return err
		}
		row.seq++
		if _, err := do(setSent).Exec(row.seq, message, a.device); err != nil {
			return err
		}
		if _, err := do(moveIt).Exec(a.chat, a.ticket, message, row.desk, a.article); err != nil {
			return err
		}
		if _, err := do(linkIt).Exec(row.desk, a.article, a.ticket, a.chat, message); err != nil {
			return err
		}
		if a.known == 0 {
			var other, owner int64
			if err := do(whose).QueryRow(row.desk, a.ticket).Scan(&other, &owner); !errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("ticket %d: %w", a.ticket, err)
			}
		}
		if _, err := do(endWork).Exec(work); err != nil {
			return err
		}
		row.ticket, row.state, row.claim = sql.Null[int64]{V: a.ticket, Valid: true}, "open", a.claim
		if err := row.saveChat(do); err != nil {
			return err
		}
		_, err := do(updateDevice).Exec(row.seq, time.Now().UnixMilli(), row.chat, row.last, a.device)
		return err
	})
}

func holdRows(do doer, row *bareRow, chat, device int64) error {
	if err := do(deviceByID).QueryRow(device).Scan(&row.seq, &row.chat, &row.last, &row.hash); err != nil {
		return err
	}
	return row.readChat(do, chat)
}

// post makes the call of a message: a new ticket, or a change of a known one.
func (l *loop) post(ctx context.Context, ticket int64, id, words string) (made, article int64, err error) {
	content := map[string]any{"type": "chat", "content_type": "text/html", "body": words, "message_id": "<" + id + "@deskbridge>"}
	method, path, body := http.MethodPut, "/api/v1/tickets/"+strconv.FormatInt(ticket, 10), map[string]any{"article": content}
	if ticket == 0 {
		login := "app-" + strconv.FormatInt(l.made.Add(1), 10)
		content["origin_by"] = login
		method, path = http.MethodPost, "/api/v1/tickets"
		body = map[string]any{
			"title": "[DE] Testland: bench", "group": "App Chat", "tags": "lang-de", "article": content,
			"customer": map[string]any{"login": login, "firstname": "App", "lastname": "User 1"},
		}
	} else {
		content["sender"] = "Customer"
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, 0, err
	}
	request, err := http.NewRequestWithContext(ctx, method, l.box.origin+path, bytes.NewReader(raw))
	if err != nil {
		return 0, 0, err
	}
	request.Header.Set("Authorization", "Token token="+l.box.token)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	answer, err := l.client.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer answer.Body.Close()
	var got struct {
		ID         int64   `json:"id"`
		ArticleIDs []int64 `json:"article_ids"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
		return 0, 0, err
	}
	if answer.StatusCode/100 != 2 || len(got.ArticleIDs) == 0 {
		return 0, 0, fmt.Errorf("%s %s: %s", method, path, answer.Status)
	}
	return got.ID, got.ArticleIDs[len(got.ArticleIDs)-1], nil
}
