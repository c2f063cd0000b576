package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"html"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"deskbridge/bridge"
)

// messagesPerDevice is how many messages a device sends before the next one
// comes, with a chat of its own.
const messagesPerDevice = 10

const text = "Guten Tag, ich habe einen Brief vom Amt bekommen und verstehe ihn nicht. Können Sie mir helfen?"

// posts gives the requests of devices that write: a form as apps send it.
func posts() func(client, n int) []byte {
	const boundary = "----FormBoundary7MA4YWxkTrZu0gW"
	body := "--" + boundary + "\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\n" + text + "\r\n--" + boundary + "--\r\n"
	rest := "Host: bench\r\nContent-Type: multipart/form-data; boundary=" + boundary + fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n", len(body)) + body
	var sent [clients]int // each is used by its client only
	return func(client, _ int) []byte {
		device := sent[client] / messagesPerDevice
		sent[client]++
		return fmt.Appendf(nil, "POST /api/v3/%s/%s/chat/device-%d-%d/ HTTP/1.1\r\n%s", slug, language, client, device, rest)
	}
}

// acceptSQLite measures how fast messages are made durable in a file.
func acceptSQLite(ctx context.Context, p *places) (contest, error) {
	first, second := p.sqlite(), p.sqlite()
	ours, err := newStack(ctx, "sqlite:"+first)
	if err != nil {
		return contest{}, err
	}
	// The bare handler's file has the same schema and the same region.
	model, err := newStack(ctx, "sqlite:"+second)
	if err != nil {
		return contest{}, err
	}
	if err := model.close(); err != nil {
		return contest{}, err
	}
	other, err := openBareSQLite(ctx, second, acceptQueries()...)
	if err != nil {
		return contest{}, err
	}
	return accept("accept-sqlite", ours, other), nil
}

// acceptMySQL measures the same on a server.
func acceptMySQL(ctx context.Context, p *places) (contest, error) {
	first, err := p.database()
	if err != nil {
		return contest{}, err
	}
	second, err := p.database()
	if err != nil {
		return contest{}, err
	}
	ours, err := newStack(ctx, first)
	if err != nil {
		return contest{}, err
	}
	model, err := newStack(ctx, second)
	if err != nil {
		return contest{}, err
	}
	if err := model.close(); err != nil {
		return contest{}, err
	}
	other, err := openBareMySQL(ctx, second, acceptQueries()...)
	if err != nil {
		return contest{}, err
	}
	return accept("accept-mysql", ours, other), nil
}

func accept(name string, ours *stack, other *bare) contest {
	return contest{
		name: name, want: 0.7, status: http.StatusOK,
		ours:  side{ours.handler, posts()},
		bare:  side{http.HandlerFunc(other.accept), posts()},
		close: func() error { return errors.Join(ours.close(), other.close()) },
	}
}

// The statements of a message, as storage has them; a test compares the rows
// that both leave.
const (
	selectDevice = "SELECT d.id, d.region_id, d.device_hash, d.alias, d.seq, d.current_chat_id, d.last_message_at, d.opened_at, d.pruned_seq, d.read_seq, d.token_hash" +
		" FROM devices d WHERE d.region_id = ? AND d.device_hash = ?"
	selectChat = "SELECT c.id, c.region_id, c.device_id, c.language, c.consent, c.consent_at, c.desk_id, c.ticket_id, c.customer_id, c.ticket_state," +
		" c.reopened, c.answered_at, c.asked_at, c.checked_at, c.state_at, c.created_at, c.last_message_at, c.lane_due, c.claim_id, c.claimed_until, c.waiting_since FROM chats c WHERE c.id = ?"
	insertDevice = "INSERT INTO devices (region_id, device_hash, alias, seq, changed_at, current_chat_id, last_message_at, opened_at, pruned_seq) VALUES (?, ?, ?, 0, ?, 0, 0, ?, 1)"
	insertChat   = "INSERT INTO chats (region_id, device_id, language, consent, consent_at, desk_id, ticket_id, customer_id, ticket_state, checked_at, created_at, last_message_at, lane_due, claim_id, claimed_until)" +
		" VALUES (?, ?, ?, NULL, 0, ?, NULL, 0, '', 0, ?, ?, NULL, '', 0)"
	insertMessage = "INSERT INTO messages (device_id, chat_id, seq, uuid, author, name, html, text, automatic, status, fail_code, client_key, created_at, retracted, files)" +
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?, 0, ?)"
	insertWork = "INSERT INTO outbox (chat_id, kind, message_id, previous, attempts, started_at, dead, reason, error_id, created_at) VALUES (?, ?, ?, ?, 0, 0, 0, '', '', ?)"
	updateChat = "UPDATE chats SET language = ?, consent = ?, consent_at = ?, ticket_id = ?, customer_id = ?, ticket_state = ?, reopened = ?, answered_at = ?, asked_at = ?," +
		" checked_at = ?, state_at = ?, last_message_at = ?, lane_due = ?, claim_id = ?, claimed_until = ?, waiting_since = ? WHERE id = ?"
	updateDevice = "UPDATE devices SET seq = ?, changed_at = ?, current_chat_id = ?, last_message_at = ? WHERE id = ?"
)

func acceptQueries() []string {
	return []string{selectDevice, selectChat, insertDevice, insertChat, insertMessage, insertWork, updateChat, updateDevice}
}

// accept is the bare handler: it reads the form, commits the rows and answers.
func (b *bare) accept(w http.ResponseWriter, r *http.Request) {
	message := r.FormValue("message")
	device := bareDevice(r)
	now := time.Now().UnixMilli()
	var seq int64
	err := b.change(r.Context(), func(do doer) (err error) {
		seq, err = acceptRows(do, device[:], message, now)
		return err
	})
	if err != nil {
		failBare(w, err)
		return
	}
	answerBare(w, fmt.Appendf(nil, `{"seq":%d,"status":"queued"}`+"\n", seq))
}

// bareRow is what the bare handler must remember of a device and its chat.
type bareRow struct {
	id, region, seq, chat, last, opened, pruned, read int64
	hash, token                                       []byte
	alias                                             string

	language, state, claim                                  string
	consentAt, desk, customer, checked, stateAt, lastInChat int64
	until, created, owner, answered, asked, waiting         int64
	reopened                                                bool
	consent                                                 sql.Null[bool]
	ticket, due                                             sql.Null[int64]
}

func (d *bareRow) readChat(do doer, chat int64) error {
	return do(selectChat).QueryRow(chat).Scan(&d.chat, &d.region, &d.owner, &d.language, &d.consent, &d.consentAt, &d.desk, &d.ticket, &d.customer, &d.state,
		&d.reopened, &d.answered, &d.asked, &d.checked, &d.stateAt, &d.created, &d.lastInChat, &d.due, &d.claim, &d.until, &d.waiting)
}

func (d *bareRow) saveChat(do doer) error {
	_, err := do(updateChat).Exec(d.language, d.consent, d.consentAt, d.ticket, d.customer, d.state, d.reopened, d.answered, d.asked,
		d.checked, d.stateAt, d.lastInChat, d.due, d.claim, d.until, d.waiting, d.chat)
	return err
}

func acceptRows(do doer, device []byte, message string, now int64) (int64, error) {
	d := bareRow{region: 1, language: language}
	err := do(selectDevice).QueryRow(d.region, device).Scan(&d.id, &d.region, &d.hash, &d.alias, &d.seq, &d.chat, &d.last, &d.opened, &d.pruned, &d.read, &d.token)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		err = openRows(do, &d, device, now)
	case err == nil:
		err = d.readChat(do, d.chat)
	}
	if err != nil {
		return 0, err
	}
	d.seq++
	d.last = max(now, d.last+1)
	d.lastInChat, d.asked = d.last, now
	if d.waiting == 0 {
		d.waiting = d.last
	}
	markup := strings.ReplaceAll(html.EscapeString(message), "\n", "<br>")
	result, err := do(insertMessage).Exec(d.id, d.chat, d.seq, uuid.NewString(), string(bridge.AuthorUser), "", markup, message, false, string(bridge.StatusQueued), nil, d.last, 0)
	if err != nil {
		return 0, err
	}
	id, err := result.LastInsertId()
	if err != nil {
		return 0, err
	}
	if _, err := do(insertWork).Exec(d.chat, string(bridge.WorkMessage), id, "", now); err != nil {
		return 0, err
	}
	if !d.due.Valid {
		d.due = sql.Null[int64]{V: now, Valid: true}
	}
	if err := d.saveChat(do); err != nil {
		return 0, err
	}
	_, err = do(updateDevice).Exec(d.seq, now, d.chat, d.last, d.id)
	return d.seq, err
}

// openRows makes a device with its first chat.
func openRows(do doer, d *bareRow, device []byte, now int64) error {
	result, err := do(insertDevice).Exec(d.region, device, uuid.NewString()[:16], now, now)
	if err != nil {
		return err
	}
	if d.id, err = result.LastInsertId(); err != nil {
		return err
	}
	if result, err = do(insertChat).Exec(d.region, d.id, d.language, 1, now, now); err != nil {
		return err
	}
	d.chat, err = result.LastInsertId()
	return err
}
