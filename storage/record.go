package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"deskbridge/bridge"
)

// article is what is stored of an article: whose it is, and the message that it
// became.
type article struct {
	chat      int64
	device    int64
	ticket    bridge.TicketID
	message   int64 // 0: it was never shown
	barred    bool  // never to be shown here
	author    bridge.Author
	retracted bool
}

// Record stores what was read of a ticket; see bridge.TicketStore. The error is
// bridge.ErrTicketUnknown if the chat is gone.
func (s tickets) Record(ctx context.Context, r bridge.Receipt) ([]bridge.Change, error) {
	var changes []bridge.Change
	err := s.write(ctx, func(tx *gorm.DB) error {
		changes = nil
		h, err := s.hold(tx, r.Chat, r.Now)
		if none(err) {
			return bridge.ErrTicketUnknown
		}
		if err != nil {
			return fmt.Errorf("hold chat: %w", err)
		}
		if err := record(h, &r); err != nil {
			return fmt.Errorf("record ticket: %w", err)
		}
		changes, err = h.save()
		return err
	})
	if err != nil {
		return nil, err
	}
	return changes, nil
}

func record(h *held, r *bridge.Receipt) error {
	ticket := h.c.Ticket
	if len(r.Articles) > 0 && r.Articles[0].Ticket != 0 {
		ticket = r.Articles[0].Ticket
	}
	if old, err := outdated(h, r, ticket); old || err != nil {
		return err
	}
	before := ticket // where the chat's articles are known to be
	if r.Follow != 0 {
		before = r.Merged
	}
	known, err := knownArticles(h, before, r.Articles)
	if err != nil {
		return err
	}
	ours, err := ownMessages(h, r.Articles)
	if err != nil {
		return err
	}
	if r.Follow != 0 && anothers(h, known, ours, r.Articles) {
		if mine, err := isOwn(h, r.Follow); err != nil || !mine {
			h.detach() // as takeTicket does where the other chat has it already
			return errors.Join(err, leave(h, known, ours, r.Articles))
		}
	}
	foreign := foreignUpTo(h, known, ours, r.Articles)
	for _, a := range r.Articles {
		if a.Ticket == 0 {
			a.Ticket = ticket
		}
		a.Foreign = a.Foreign || a.ID <= foreign
		if err := recordArticle(h, a, known, ours); err != nil {
			return err
		}
	}
	if r.Complete || r.Follow != 0 && len(r.Articles) > 0 {
		if err := retractMissing(h, before, known, r.Articles); err != nil {
			return err
		}
	}
	if r.Follow != 0 {
		return moveTo(h, r.Follow, r.State)
	}
	if ticket != h.c.Ticket || ticket == 0 {
		return nil // read of a ticket that the chat has left since
	}
	h.learn(r.State, r.StateAt)
	h.c.checkedAt = max(h.c.checkedAt, milli(r.CheckedAt))
	return nil
}

// recordArticle records one article of the chat's ticket.
func recordArticle(h *held, a bridge.Article, known map[bridge.ArticleID]article, ours map[bridge.MessageUUID]owner) error {
	k, stored := known[a.ID]
	name, own := bridge.ParseHeader(a.Header)
	owner, found := ours[name]
	switch {
	case own && owner.device == h.d.id:
		return linkOwn(h, a, owner.id)
	case own && found, stored && k.device != h.d.id:
		return bar(h, a)
	case own && !stored: // pruned, or by another installation
		return hide(h, a)
	case own, k.barred:
		return nil
	}
	return recordOther(h, a, k)
}

// outdated says whether a receipt tells nothing new: the chat has left its
// ticket, or the recorded reading of the whole ticket is newer. The error is
// bridge.ErrTicketRead where it must be decided anew.
func outdated(h *held, r *bridge.Receipt, ticket bridge.TicketID) (bool, error) {
	if r.Known != nil && milli(*r.Known) != h.c.checkedAt {
		return true, bridge.ErrTicketRead
	}
	if r.Follow != 0 {
		return h.c.Ticket != r.Merged, nil
	}
	return r.Complete && ticket == h.c.Ticket && milli(r.CheckedAt) < h.c.checkedAt, nil
}

// knownArticles reads what is stored of a ticket's articles: those that the
// chat has from it, and those of the receipt wherever they are.
func knownArticles(h *held, ticket bridge.TicketID, articles []bridge.Article) (map[bridge.ArticleID]article, error) {
	known := make(map[bridge.ArticleID]article)
	const columns = "SELECT a.article_id, a.chat_id, c.device_id, a.ticket_id, a.message_id, a.barred, m.author, m.retracted" +
		" FROM articles a JOIN chats c ON c.id = a.chat_id LEFT JOIN messages m ON m.id = a.message_id WHERE a.desk_id = ? AND "
	read := func(where string, args ...any) error {
		return each(h.tx, columns+where, append([]any{h.c.Desk}, args...), func(scan func(...any) error) error {
			var (
				id        bridge.ArticleID
				k         article
				message   sql.Null[int64]
				author    sql.NullString
				retracted sql.Null[bool]
			)
			if err := scan(&id, &k.chat, &k.device, &k.ticket, &message, &k.barred, &author, &retracted); err != nil {
				return err
			}
			k.message, k.author, k.retracted = message.V, bridge.Author(author.String), retracted.V
			known[id] = k
			return nil
		})
	}
	if err := read("a.chat_id = ? AND a.ticket_id = ?", h.c.ID, ticket); err != nil {
		return nil, err
	}
	for rest := articles; len(rest) > 0; {
		n := min(len(rest), ticketsAtOnce)
		var unseen []bridge.ArticleID
		for _, a := range rest[:n] {
			if _, ok := known[a.ID]; !ok {
				unseen = append(unseen, a.ID)
			}
		}
		if rest = rest[n:]; len(unseen) == 0 {
			continue
		}
		list, args := in(unseen)
		if err := read("a.article_id IN "+list, args...); err != nil {
			return nil, err
		}
	}
	return known, nil
}

// owner is a message that Deskbridge wrote into a ticket.
type owner struct{ id, device int64 }

// ownMessages finds the messages that articles name in their headers.
func ownMessages(h *held, articles []bridge.Article) (map[bridge.MessageUUID]owner, error) {
	var names []string
	for _, a := range articles {
		if name, ok := bridge.ParseHeader(a.Header); ok {
			names = append(names, string(name))
		}
	}
	ours := make(map[bridge.MessageUUID]owner)
	for len(names) > 0 {
		n := min(len(names), ticketsAtOnce)
		list, args := in(names[:n])
		err := each(h.tx, "SELECT uuid, id, device_id FROM messages WHERE uuid IN "+list, args, func(scan func(...any) error) error {
			var (
				name bridge.MessageUUID
				o    owner
			)
			err := scan(&name, &o.id, &o.device)
			ours[name] = o
			return err
		})
		if err != nil {
			return nil, err
		}
		names = names[n:]
	}
	return ours, nil
}

// linkOwn recognises the device's own message: it has arrived, whatever its try
// said.
func linkOwn(h *held, a bridge.Article, message int64) error {
	if err := link(h, a, message); err != nil {
		return err
	}
	if err := confirmUploads(h, a, message); err != nil {
		return err
	}
	return h.arrived(message, a.ID)
}

// recordOther stores an article that Deskbridge did not write. One of which
// nobody can say whose it is (Foreign) is remembered and not shown.
func recordOther(h *held, a bridge.Article, k article) error {
	switch {
	case k.author == bridge.AuthorUser:
		return nil // linked when it was sent
	case k.message != 0:
		if err := move(h, a, k); err != nil {
			return err
		}
		if a.Public == !k.retracted {
			return nil
		}
		return retell(h, a, k.message)
	case a.Foreign:
		return bar(h, a)
	case !a.Public || a.FromUser:
		if k.chat != 0 {
			return move(h, a, k)
		}
		return hide(h, a)
	}
	return show(h, a)
}

// link writes which message an article is.
func link(h *held, a bridge.Article, message int64) error {
	return place(h, a, message, false)
}

// hide remembers an article that is not shown, unless it is made public later.
func hide(h *held, a bridge.Article) error {
	a.Public = false
	return place(h, a, 0, false)
}

// bar remembers an article that is never shown in this chat. Where it was
// another chat's it stays a message there, but is no longer followed.
func bar(h *held, a bridge.Article) error {
	a.Public = false
	return place(h, a, 0, true)
}

// place writes what an article is, in the chat that has its ticket now.
func place(h *held, a bridge.Article, message int64, barred bool) error {
	n, err := exec(h.tx, "UPDATE articles SET chat_id = ?, ticket_id = ?, message_id = ?, visible = ?, barred = ? WHERE desk_id = ? AND article_id = ?",
		h.c.ID, a.Ticket, orNull(message), a.Public, barred, h.c.Desk, a.ID)
	if err == nil && n == 0 {
		_, err = exec(h.tx, "INSERT INTO articles (desk_id, article_id, ticket_id, chat_id, message_id, visible, barred) VALUES (?, ?, ?, ?, ?, ?, ?)",
			h.c.Desk, a.ID, a.Ticket, h.c.ID, orNull(message), a.Public, barred)
	}
	if err != nil {
		return fmt.Errorf("store article: %w", err)
	}
	return nil
}

// move lets an article follow its ticket to another chat of the device.
func move(h *held, a bridge.Article, k article) error {
	if k.chat == int64(h.c.ID) && k.ticket == a.Ticket {
		return nil
	}
	_, err := exec(h.tx, "UPDATE articles SET chat_id = ?, ticket_id = ? WHERE desk_id = ? AND article_id = ?", h.c.ID, a.Ticket, h.c.Desk, a.ID)
	return err
}

// show makes a message of an article. What the user wrote before it is seen now,
// unless a machine wrote it.
func show(h *held, a bridge.Article) error {
	h.d.seq++
	m := bridge.Message{
		Seq: bridge.Seq(h.d.seq), Chat: h.c.ID, UUID: bridge.MessageUUID(uuid.NewString()), Author: bridge.AuthorAgent,
		Name: a.Name, HTML: a.HTML, Text: a.Text, Automatic: a.Automatic, Status: bridge.StatusSent,
		CreatedAt: moment(h.createdAt(a.CreatedAt)),
	}
	if err := storeShown(h, &m, a); err != nil {
		return err
	}
	if err := link(h, a, int64(m.ID)); err != nil {
		return err
	}
	h.answered(a)
	if a.Automatic {
		return nil
	}
	h.wait = decided
	// Of a message that came into the ticket together with other articles it is not
	// known yet which is its own; then times decide.
	sent, err := list[int64](h.tx, "SELECT m.id FROM messages m LEFT JOIN articles a ON a.message_id = m.id"+
		" WHERE m.chat_id = ? AND m.status = ? AND m.author = ? AND (a.article_id < ? OR a.article_id IS NULL AND m.created_at <= ?) ORDER BY m.id",
		h.c.ID, string(bridge.StatusSent), string(bridge.AuthorUser), a.ID, milli(a.CreatedAt))
	if err != nil {
		return err
	}
	for _, id := range sent {
		if err := h.setStatus(id, bridge.StatusSeen, "", bridge.StatusSent); err != nil {
			return err
		}
	}
	return nil
}

// retell takes a message back, or brings it again with the article's content. A
// message that was taken back is not kept: its row says only that it was there.
func retell(h *held, a bridge.Article, message int64) error {
	if !a.Public {
		a.Name, a.HTML, a.Text, a.Files = "", "", "", nil
	}
	h.d.seq++
	_, err := exec(h.tx, "UPDATE messages SET retracted = ?, name = ?, html = ?, text = ?, files = ?, seq = ? WHERE id = ?",
		!a.Public, a.Name, a.HTML, a.Text, len(a.Files), h.d.seq, message)
	if err == nil {
		_, err = exec(h.tx, "DELETE FROM attachments WHERE message_id = ?", message)
	}
	if err == nil {
		err = attachFiles(h, a, message)
	}
	if err == nil {
		_, err = exec(h.tx, "UPDATE articles SET visible = ? WHERE desk_id = ? AND article_id = ?", a.Public, h.c.Desk, a.ID)
	}
	return err
}
