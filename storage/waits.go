package storage

import (
	"fmt"
	"time"

	"deskbridge/bridge"
)

// asks takes that the user has written: from now on somebody waits.
func (h *held) asks(at time.Time) {
	if h.c.waiting == 0 {
		h.c.waiting = milli(at)
	}
}

// unasked is why waiting_since may not be true any more.
type unasked int

const (
	asBefore unasked = iota
	lapsed           // a message failed, or is tried again
	decided          // a person has answered, or closed the ticket
)

// judgeWait notes that a message has got a status by which the wait may end.
func (h *held) judgeWait(status bridge.Status) {
	switch status {
	case bridge.StatusSeen:
		h.wait = decided
	case bridge.StatusFailed, bridge.StatusQueued:
		h.wait = max(h.wait, lapsed)
	}
}

// settleWait brings waiting_since up to date before the chat is saved. A closed
// ticket ends the wait of what is in it, also after it was opened again. As long
// as nobody has decided the time stays, although the message that began the wait
// has failed: it is still one wait.
func (h *held) settleWait() error {
	if h.c.TicketState == bridge.TicketClosed && h.c.waiting > 0 {
		h.wait = decided // only what is still on its way opens it again
	}
	if h.wait == asBefore {
		return nil
	}
	unanswered := []bridge.Status{bridge.StatusQueued}
	if h.c.waiting > 0 && h.c.TicketState != bridge.TicketClosed {
		unanswered = append(unanswered, bridge.StatusSent)
	}
	list, args := in(unanswered)
	var oldest int64
	err := one(h.tx, "SELECT COALESCE(MIN(created_at), 0) FROM messages WHERE chat_id = ? AND author = 'user' AND created_at >= ? AND status IN "+list,
		append([]any{h.c.ID, h.c.waiting}, args...), &oldest)
	if err != nil {
		return fmt.Errorf("find oldest unanswered message: %w", err)
	}
	if h.wait == decided || oldest == 0 || h.c.waiting == 0 {
		h.c.waiting = oldest
	}
	return nil
}
