package storage

import (
	"database/sql"
	"fmt"
	"time"

	"gorm.io/gorm"

	"deskbridge/bridge"
)

// device is the row that locks and counts the history of a device in a region.
type device struct {
	id       int64
	region   bridge.RegionID
	hash     bridge.DeviceHash
	alias    string
	seq      int64
	current  int64 // chat
	last     int64 // created_at of the newest message
	pruned   int64 // highest seq that is not stored any more
	openedAt int64
	read     bridge.Seq
	token    []byte // hash of the chat token; empty: none
}

// chat is a chat with its lane.
type chat struct {
	bridge.Chat
	device       int64
	consentAt    int64
	checkedAt    int64
	stateAt      int64           // by the desk's clock
	laneDue      sql.Null[int64] // invalid: the lane is empty
	claim        string
	claimedUntil int64
	waiting      int64 // since when the user waits for a person; 0: does not
}

// held is a device, and one of its chats, that a transaction holds: nobody else
// changes either until it ends.
type held struct {
	tx  *gorm.DB
	now time.Time
	d   device
	c   chat
	was int64              // the device's seq before
	saw outward            // by the device before
	had bridge.TicketState // of the chat before

	wait unasked // what has happened to the user's wait
}

// outward is what a device sees of its current chat's ticket.
type outward struct{ closed, reopened bool }

func (h *held) outward() outward {
	if h.d.current != int64(h.c.ID) {
		return outward{} // of a new chat; what an older one is nobody sees
	}
	return outward{h.c.TicketState == bridge.TicketClosed, h.c.Reopened}
}

const deviceColumns = "SELECT d.id, d.region_id, d.device_hash, d.alias, d.seq, d.current_chat_id, d.last_message_at, d.opened_at, d.pruned_seq, d.read_seq, d.token_hash FROM devices d WHERE "

// lockDevice reads a device and holds it. The error is sql.ErrNoRows if there
// is none.
func (db *database) lockDevice(tx *gorm.DB, where string, args ...any) (device, error) {
	var d device
	var hash []byte
	err := one(tx, deviceColumns+where+db.lock, args, &d.id, &d.region, &hash, &d.alias, &d.seq, &d.current, &d.last, &d.openedAt, &d.pruned, &d.read, &d.token)
	copy(d.hash[:], hash)
	return d, err
}

const chatColumns = "c.id, c.region_id, c.device_id, c.language, c.consent, c.consent_at, c.desk_id, c.ticket_id, c.customer_id, c.ticket_state," +
	" c.reopened, c.answered_at, c.asked_at, c.checked_at, c.state_at, c.created_at, c.last_message_at, c.lane_due, c.claim_id, c.claimed_until, c.waiting_since"

// scanChat reads chatColumns, and more into the rest.
func scanChat(scan func(...any) error, c *chat, rest ...any) error {
	var (
		consent         sql.Null[bool]
		ticket          sql.Null[int64]
		created, last   int64
		answered, asked int64
	)
	into := [25]any{&c.ID, &c.Region, &c.device, &c.Language, &consent, &c.consentAt, &c.Desk, &ticket, &c.Customer, &c.TicketState,
		&c.Reopened, &answered, &asked, &c.checkedAt, &c.stateAt, &created, &last, &c.laneDue, &c.claim, &c.claimedUntil, &c.waiting}
	if err := scan(append(into[:21], rest...)...); err != nil {
		return err
	}
	if consent.Valid {
		c.Consent = &consent.V
	}
	c.Ticket = bridge.TicketID(ticket.V)
	c.CreatedAt, c.LastMessageAt = moment(created), moment(last)
	c.AnsweredAt, c.AskedAt = moment(answered), moment(asked)
	return nil
}

// lockChat reads a chat and holds it. The error is sql.ErrNoRows if there is none.
func (db *database) lockChat(tx *gorm.DB, id int64) (chat, error) {
	var c chat
	found := false
	err := each(tx, "SELECT "+chatColumns+" FROM chats c WHERE c.id = ?"+db.lock, []any{id}, func(scan func(...any) error) error {
		found = true
		return scanChat(scan, &c)
	})
	if err == nil && !found {
		err = sql.ErrNoRows
	}
	return c, err
}

// hold takes a chat and its device, always the device first, so that two
// transactions never wait for each other. The error is sql.ErrNoRows if there is
// no such chat.
func (db *database) hold(tx *gorm.DB, id bridge.ChatID, now time.Time) (*held, error) {
	d, err := db.lockDevice(tx, "d.id = (SELECT c.device_id FROM chats c WHERE c.id = ?)", id)
	if err != nil {
		return nil, err
	}
	c, err := db.lockChat(tx, int64(id))
	if err != nil {
		return nil, err
	}
	c.Device, c.Alias = d.hash, d.alias
	h := &held{tx: tx, now: now, d: d, c: c, was: d.seq, had: c.TicketState}
	h.saw = h.outward()
	return h, nil
}

// alive says whether a chat is younger than the region's retention.
func alive(r *bridge.Region, last, now time.Time) bool {
	return now.Sub(last) < r.Retention()
}

// createdAt gives a new message its time: the wanted one, but not in the future
// and later than every other message of the device, since apps sort by it.
func (h *held) createdAt(wanted time.Time) int64 {
	h.d.last = max(min(milli(wanted), milli(h.now)), h.d.last+1)
	if last := moment(h.d.last); last.After(h.c.LastMessageAt) {
		h.c.LastMessageAt = last
	}
	return h.d.last
}

// enqueue adds work to the chat's lane. A lane that rests keeps its rest: its
// desk is not to be asked sooner because a device writes on.
func (h *held) enqueue(kind bridge.WorkKind, message int64, previous string) error {
	_, err := exec(h.tx, "INSERT INTO outbox (chat_id, kind, message_id, previous, attempts, started_at, dead, reason, error_id, created_at) VALUES (?, ?, ?, ?, 0, 0, 0, '', '', ?)",
		h.c.ID, string(kind), orNull(message), previous, milli(h.now))
	if err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	if !h.c.laneDue.Valid {
		h.c.laneDue = sql.Null[int64]{V: milli(h.now), Valid: true}
	}
	return nil
}

// setStatus changes a message's status if it is one of those named now.
func (h *held) setStatus(message int64, to bridge.Status, code string, from ...bridge.Status) error {
	list, args := in(from)
	args = append([]any{string(to), code, h.d.seq + 1, message, h.d.id}, args...)
	n, err := exec(h.tx, "UPDATE messages SET status = ?, fail_code = ?, seq = ? WHERE id = ? AND device_id = ? AND status IN "+list, args...)
	if err != nil {
		return fmt.Errorf("set status: %w", err)
	}
	if h.d.seq += n; n > 0 {
		h.judgeWait(to)
	}
	return nil
}

// arrived records that a message is in its ticket as an article (0: it is not
// known which). If an agent has answered after it already, it is seen.
func (h *held) arrived(message int64, article bridge.ArticleID) error {
	before := h.d.seq
	if err := h.setStatus(message, bridge.StatusSent, "", bridge.StatusQueued, bridge.StatusFailed); err != nil || h.d.seq == before || article == 0 {
		return err
	}
	var answers int
	err := one(h.tx, "SELECT COUNT(*) FROM articles a JOIN messages m ON m.id = a.message_id"+
		" WHERE a.chat_id = ? AND a.article_id > ? AND m.author = ? AND m.automatic = 0 AND m.retracted = 0",
		[]any{h.c.ID, article, string(bridge.AuthorAgent)}, &answers)
	if err != nil || answers == 0 {
		return err
	}
	return h.setStatus(message, bridge.StatusSeen, "", bridge.StatusSent)
}

// answered takes that a public article has come: a machine's ends what the user
// asked of machines; after a person's nobody needs to hear that the chat goes on.
func (h *held) answered(a bridge.Article) {
	if a.Automatic {
		h.c.AskedAt = time.Time{}
		return
	}
	h.c.Reopened = false
	if wrote := moment(min(milli(a.CreatedAt), milli(h.now))); wrote.After(h.c.AnsweredAt) {
		h.c.AnsweredAt = wrote
	}
}

// endClaim gives the lane free; it is looked at again at due, or never while it
// is empty.
func (h *held) endClaim(due sql.Null[int64]) {
	h.c.claim, h.c.claimedUntil, h.c.laneDue = "", 0, due
}

// detach takes the ticket off the chat: its next message opens another.
func (h *held) detach() {
	h.c.Ticket, h.c.TicketState, h.c.Customer, h.c.checkedAt, h.c.stateAt = 0, bridge.TicketNone, 0, 0, 0
}

// learn takes a state of the chat's ticket, unless a later one is known: a
// reading may have begun before a delivery and end after it.
func (h *held) learn(state bridge.TicketState, at time.Time) {
	if state == bridge.TicketNone || milli(at) < h.c.stateAt {
		return
	}
	h.c.TicketState, h.c.stateAt = state, milli(at)
}

// renew moves what was not sent yet to a new chat without a ticket, and makes it
// due. The old chat keeps its ticket, and with it whatever agents still write
// there; notes about it stay too.
func (h *held) renew(due int64) error {
	var consent any
	if h.c.Consent != nil {
		consent = *h.c.Consent
	}
	id, err := insert(h.tx, "INSERT INTO chats (region_id, device_id, language, consent, consent_at, desk_id, ticket_id, customer_id, ticket_state, checked_at, asked_at, created_at, last_message_at, lane_due, claim_id, claimed_until)"+
		" VALUES (?, ?, ?, ?, ?, ?, NULL, 0, '', 0, ?, ?, ?, ?, '', 0)",
		h.c.Region, h.d.id, h.c.Language, consent, h.c.consentAt, h.c.Desk, milli(h.c.AskedAt), milli(h.now), milli(h.c.LastMessageAt), due)
	if err != nil {
		return fmt.Errorf("insert chat: %w", err)
	}
	old := int64(h.c.ID)
	for _, move := range []struct {
		query string
		args  []any
	}{
		{"UPDATE messages SET chat_id = ? WHERE chat_id = ? AND status = 'queued'", []any{id, old}},
		{"UPDATE outbox SET chat_id = ? WHERE chat_id = ? AND dead = 0 AND kind <> 'note'", []any{id, old}},
		{"UPDATE devices SET current_chat_id = ? WHERE id = ? AND current_chat_id = ?", []any{id, h.d.id, old}},
		{"UPDATE chats SET waiting_since = (SELECT COALESCE(MIN(created_at), 0) FROM messages WHERE chat_id = ? AND author = 'user' AND status = 'queued') WHERE id = ?", []any{id, id}},
	} {
		if _, err := exec(h.tx, move.query, move.args...); err != nil {
			return fmt.Errorf("renew chat: %w", err)
		}
	}
	if h.d.current == old {
		h.d.current = id
	}
	h.c.waiting = 0 // for the new chat's answer
	var notes int
	if err := one(h.tx, "SELECT COUNT(*) FROM outbox WHERE chat_id = ? AND dead = 0", []any{old}, &notes); err != nil {
		return fmt.Errorf("count notes: %w", err)
	}
	h.endClaim(sql.Null[int64]{V: due, Valid: notes > 0})
	return nil
}

// takeTicket makes a ticket the chat's. If it is the ticket of an older chat of
// the same device it moves; if it is that of a newer one, or of another device,
// it stays there and this chat has none: a message in a new ticket is better
// than one in a stranger's.
func (h *held) takeTicket(ticket bridge.TicketID, state bridge.TicketState, at time.Time) error {
	if h.c.Ticket != ticket {
		var other, device, waiting int64
		err := one(h.tx, "SELECT id, device_id, waiting_since FROM chats WHERE desk_id = ? AND ticket_id = ?", []any{h.c.Desk, ticket}, &other, &device, &waiting)
		switch {
		case none(err):
		case err != nil:
			return fmt.Errorf("find owner of ticket: %w", err)
		case device != h.d.id || other > int64(h.c.ID):
			h.detach()
			return nil
		default:
			if _, err := exec(h.tx, "UPDATE chats SET ticket_id = NULL, ticket_state = '', customer_id = 0, checked_at = 0, state_at = 0, waiting_since = 0 WHERE id = ?", other); err != nil {
				return fmt.Errorf("move ticket: %w", err)
			}
			// With what was known of it: one that was deleted there is not shown by
			// the ticket any more.
			if _, err := exec(h.tx, "UPDATE articles SET chat_id = ? WHERE desk_id = ? AND ticket_id = ? AND chat_id = ?", h.c.ID, h.c.Desk, ticket, other); err != nil {
				return fmt.Errorf("move articles: %w", err)
			}
			if waiting > 0 && (h.c.waiting == 0 || waiting < h.c.waiting) {
				h.c.waiting = waiting // an answer in the ticket ends both
			}
		}
		h.c.Ticket, h.c.checkedAt, h.c.stateAt = ticket, 0, 0
	}
	h.learn(state, at)
	return nil
}

// save writes chat and device back and tells what changed for the device.
func (h *held) save() ([]bridge.Change, error) {
	c := &h.c
	switch {
	case c.TicketState == bridge.TicketClosed:
		c.Reopened = false
	case c.TicketState == bridge.TicketOpen && h.had == bridge.TicketClosed:
		c.Reopened = true
	}
	if err := h.settleWait(); err != nil {
		return nil, err
	}
	if h.outward() != h.saw {
		h.d.seq++ // the device's history says whether its chat is closed
	}
	var consent any
	if c.Consent != nil {
		consent = *c.Consent
	}
	var due any
	if c.laneDue.Valid {
		due = c.laneDue.V
	}
	_, err := exec(h.tx, "UPDATE chats SET language = ?, consent = ?, consent_at = ?, ticket_id = ?, customer_id = ?, ticket_state = ?, reopened = ?, answered_at = ?, asked_at = ?,"+
		" checked_at = ?, state_at = ?, last_message_at = ?, lane_due = ?, claim_id = ?, claimed_until = ?, waiting_since = ? WHERE id = ?",
		c.Language, consent, c.consentAt, orNull(int64(c.Ticket)), c.Customer, string(c.TicketState), c.Reopened, milli(c.AnsweredAt), milli(c.AskedAt),
		c.checkedAt, c.stateAt, milli(c.LastMessageAt), due, c.claim, c.claimedUntil, c.waiting, c.ID)
	if err != nil {
		return nil, fmt.Errorf("save chat: %w", err)
	}
	if h.d.seq == h.was {
		return nil, nil
	}
	_, err = exec(h.tx, "UPDATE devices SET seq = ?, changed_at = ?, current_chat_id = ?, last_message_at = ? WHERE id = ?",
		h.d.seq, milli(h.now), h.d.current, h.d.last, h.d.id)
	if err != nil {
		return nil, fmt.Errorf("save device: %w", err)
	}
	return []bridge.Change{{Region: h.d.region, Device: h.d.hash, Seq: bridge.Seq(h.d.seq)}}, nil
}
