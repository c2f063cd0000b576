package storage

import (
	"deskbridge/bridge"
)

// anothers says whether a ticket may be another device's: it holds a message of
// one that did not come along with what this chat has already seen.
func anothers(h *held, known map[bridge.ArticleID]article, ours map[bridge.MessageUUID]owner, articles []bridge.Article) bool {
	for _, a := range articles {
		name, _ := bridge.ParseHeader(a.Header)
		o, own := ours[name]
		if own && o.device != h.d.id && known[a.ID].chat != int64(h.c.ID) {
			return true
		}
	}
	return false
}

// isOwn says whether a ticket is that of a chat of the device.
func isOwn(h *held, ticket bridge.TicketID) (bool, error) {
	var n int
	err := one(h.tx, "SELECT COUNT(*) FROM chats WHERE desk_id = ? AND ticket_id = ? AND device_id = ?", []any{h.c.Desk, ticket, h.d.id}, &n)
	return n > 0, err
}

// leave records a ticket that the chat does not take: that the device's messages
// have arrived there, and which answers were taken back until now. What happens
// there later is not followed.
func leave(h *held, known map[bridge.ArticleID]article, ours map[bridge.MessageUUID]owner, articles []bridge.Article) error {
	for _, a := range articles {
		name, _ := bridge.ParseHeader(a.Header)
		o, own := ours[name]
		k := known[a.ID]
		var err error
		switch {
		case own && o.device == h.d.id:
			err = place(h, a, o.id, true)
		case !own && k.message != 0 && k.device == h.d.id && !k.retracted && !a.Public:
			err = retell(h, a, k.message)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// foreignUpTo gives the newest article that is another device's; 0 for none. Up
// to it the ticket holds what a merge brought from elsewhere, and nobody can say
// whose an unknown article among them is.
func foreignUpTo(h *held, known map[bridge.ArticleID]article, ours map[bridge.MessageUUID]owner, articles []bridge.Article) bridge.ArticleID {
	var newest bridge.ArticleID
	for id, k := range known {
		if k.device != h.d.id || k.barred {
			newest = max(newest, id)
		}
	}
	for _, a := range articles {
		name, own := bridge.ParseHeader(a.Header)
		if o, found := ours[name]; own && found && o.device != h.d.id {
			newest = max(newest, a.ID)
		}
	}
	return newest
}
