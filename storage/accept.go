package storage

import (
	"context"
	"database/sql"
	"fmt"
	"html"
	"strings"

	"gorm.io/gorm"

	"deskbridge/bridge"
	"deskbridge/gate"
)

// chats implements bridge.ChatStore and bridge.ChangeStore.
type chats struct{ *database }

// Accept stores a submission; see bridge.ChatStore.
func (s chats) Accept(ctx context.Context, sub bridge.Submission) (bridge.Accepted, error) {
	var accepted bridge.Accepted
	err := s.write(ctx, func(tx *gorm.DB) (err error) {
		accepted, err = s.accept(tx, &sub)
		return err
	})
	if err != nil {
		return bridge.Accepted{}, err
	}
	return accepted, nil
}

func (s chats) accept(tx *gorm.DB, sub *bridge.Submission) (bridge.Accepted, error) {
	h := &held{tx: tx, now: sub.Now}
	var err error
	h.d, err = s.lockDevice(tx, "d.region_id = ? AND d.device_hash = ?", sub.Region.ID, sub.Device[:])
	if err != nil && !none(err) {
		return bridge.Accepted{}, fmt.Errorf("lock device: %w", err)
	}
	h.was = h.d.seq
	if t := tokenHash(h.d.token); len(h.d.token) > 0 && t != sub.Proved && t != sub.Token {
		return bridge.Accepted{}, bridge.ErrChatToken
	}
	if h.d.id != 0 && sub.ClientKey != "" {
		if again, err := repeated(h, sub); again != nil || err != nil {
			return bridge.Accepted{Message: again.message(), Seq: bridge.Seq(h.d.seq), Duplicate: true, Token: tokenHash(h.d.token)}, err
		}
	}
	live := false
	if h.d.current != 0 {
		if h.c, err = s.lockChat(tx, h.d.current); err != nil {
			return bridge.Accepted{}, fmt.Errorf("lock chat: %w", err)
		}
		live = alive(sub.Region, h.c.LastMessageAt, sub.Now)
	}
	h.saw, h.had = h.outward(), h.c.TicketState
	if sub.Text == "" && len(sub.Files) == 0 {
		return consent(h, sub, live)
	}
	if !live || sub.ForceNew {
		if err := admitted(h, sub, live); err != nil {
			return bridge.Accepted{}, err
		}
		if err := s.open(h, sub); err != nil {
			return bridge.Accepted{}, err
		}
		h.saw, h.had = h.outward(), h.c.TicketState
	}
	return add(h, sub)
}

// admitted asks the gate whether the device may open a chat. The error is
// bridge.ErrNotServed if not.
func admitted(h *held, sub *bridge.Submission, live bool) error {
	var override string
	err := one(h.tx, "SELECT t.override FROM testers t WHERE t.region_id = ? AND t.device_hash = ? AND "+notEnded, []any{sub.Region.ID, sub.Device[:], milli(sub.Now)}, &override)
	if err != nil && !none(err) {
		return fmt.Errorf("read override: %w", err)
	}
	standing := bridge.Standing{Override: gate.Override(override), Running: live, Sticky: h.d.openedAt != 0}
	if sub.Admit == nil || !sub.Admit(standing) {
		return bridge.ErrNotServed
	}
	return nil
}

// found is a stored message, or nil.
type found struct{ bridge.Message }

func (f *found) message() bridge.Message {
	if f == nil {
		return bridge.Message{}
	}
	return f.Message
}

// repeated finds the message that the device sent with the same key.
func repeated(h *held, sub *bridge.Submission) (*found, error) {
	var (
		f     *found
		files int
	)
	err := each(h.tx, messageColumns+"m.device_id = ? AND m.client_key = ?", []any{h.d.id, sub.ClientKey}, func(scan func(...any) error) (err error) {
		f = &found{}
		files, err = scanMessage(scan, &f.Message)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for key: %w", err)
	}
	if f == nil {
		return nil, nil
	}
	same := f.Text == sub.Text && files == len(sub.Files)
	if same && files > 0 {
		if same, err = sameFiles(h.tx, f.ID, sub.Files); err != nil {
			return nil, err
		}
	}
	if !same {
		return nil, bridge.ErrKeyReused
	}
	return f, nil
}

// consent stores what a device says about evaluation without a message.
func consent(h *held, sub *bridge.Submission, live bool) (bridge.Accepted, error) {
	if !live {
		return bridge.Accepted{}, bridge.ErrChatNotFound
	}
	if follow(h, "", sub.Consent) {
		h.d.seq++
		if err := relabel(h, ""); err != nil {
			return bridge.Accepted{}, err
		}
		if _, err := h.save(); err != nil {
			return bridge.Accepted{}, err
		}
	}
	return bridge.Accepted{Seq: bridge.Seq(h.d.seq)}, nil
}

// follow lets the chat have the device's newest language and consent, and says
// whether anything changed.
func follow(h *held, language string, consent *bool) bool {
	changed := false
	if language != "" && language != h.c.Language {
		h.c.Language, changed = language, true
	}
	if consent != nil && (h.c.Consent == nil || *h.c.Consent != *consent) {
		value := *consent
		h.c.Consent, h.c.consentAt, changed = &value, milli(h.now), true
	}
	return changed
}

// relabel lets the ticket follow the chat, if there is one or one may be on its
// way with the old label.
func relabel(h *held, previous string) error {
	if h.c.Ticket == 0 && !h.c.laneDue.Valid {
		return nil
	}
	return h.enqueue(bridge.WorkLabel, 0, previous)
}

// open begins a chat, and the device with its first. The desk is read anew: the
// caller's region may be a second old, and a chat with a former desk would never
// get its answers.
func (s chats) open(h *held, sub *bridge.Submission) error {
	now := milli(sub.Now)
	var (
		desk  bridge.DeskID
		floor int64
	)
	if err := one(h.tx, "SELECT desk_id, seq_floor FROM regions WHERE id = ?"+s.share, []any{sub.Region.ID}, &desk, &floor); err != nil {
		if none(err) {
			return bridge.ErrRegionNotFound
		}
		return fmt.Errorf("read desk: %w", err)
	}
	if h.d.id == 0 {
		h.d = device{region: sub.Region.ID, hash: sub.Device, alias: sub.Alias, seq: floor, pruned: floor + 1, openedAt: now}
		var err error
		h.d.id, err = insert(h.tx, "INSERT INTO devices (region_id, device_hash, alias, seq, changed_at, current_chat_id, last_message_at, opened_at, pruned_seq) VALUES (?, ?, ?, ?, ?, 0, 0, ?, ?)",
			sub.Region.ID, sub.Device[:], sub.Alias, floor, now, now, h.d.pruned)
		if err != nil {
			return fmt.Errorf("insert device: %w", err)
		}
	}
	h.c = chat{device: h.d.id, Chat: bridge.Chat{
		Region: sub.Region.ID, Language: sub.Language, Desk: desk, CreatedAt: sub.Now,
	}}
	id, err := insert(h.tx, "INSERT INTO chats (region_id, device_id, language, consent, consent_at, desk_id, ticket_id, customer_id, ticket_state, checked_at, created_at, last_message_at, lane_due, claim_id, claimed_until)"+
		" VALUES (?, ?, ?, NULL, 0, ?, NULL, 0, '', 0, ?, ?, NULL, '', 0)",
		sub.Region.ID, h.d.id, sub.Language, desk, now, now)
	if err != nil {
		return fmt.Errorf("insert chat: %w", err)
	}
	h.c.ID, h.d.current = bridge.ChatID(id), id
	return nil
}

// add stores the message and its work.
func add(h *held, sub *bridge.Submission) (bridge.Accepted, error) {
	previous := h.c.Language
	if follow(h, sub.Language, sub.Consent) {
		if previous == h.c.Language {
			previous = ""
		}
		if err := relabel(h, previous); err != nil {
			return bridge.Accepted{}, err
		}
	}
	h.d.seq++
	m := bridge.Message{
		Seq: bridge.Seq(h.d.seq), Chat: h.c.ID, UUID: sub.UUID, Author: bridge.AuthorUser,
		HTML: asHTML(sub.Text), Text: sub.Text, Status: bridge.StatusQueued, ClientKey: sub.ClientKey,
		CreatedAt: moment(h.createdAt(sub.Now)),
	}
	h.c.AskedAt = sub.Now
	h.asks(m.CreatedAt)
	for _, f := range sub.Files {
		m.Attachments = append(m.Attachments, f.Attachment)
	}
	if err := store(h, &m); err != nil {
		return bridge.Accepted{}, err
	}
	if err := attachUploads(h.tx, m.ID, sub.Files); err != nil {
		return bridge.Accepted{}, err
	}
	if err := h.enqueue(bridge.WorkMessage, int64(m.ID), ""); err != nil {
		return bridge.Accepted{}, err
	}
	if err := guard(h, sub); err != nil {
		return bridge.Accepted{}, err
	}
	if _, err := h.save(); err != nil {
		return bridge.Accepted{}, err
	}
	history := bridge.History{Token: tokenHash(h.d.token), Chat: h.c.Chat, Seq: m.Seq, Read: h.d.read, Anew: sub.Since > 0, Messages: []bridge.Message{m}}
	history.Chat.Device, history.Chat.Alias = h.d.hash, h.d.alias
	if h.was > 0 { // there was something before
		history.Anew = false
		if err := readMessages(h.tx, h.d.id, sub.Since, bridge.Seq(h.d.pruned), &history); err != nil {
			return bridge.Accepted{}, err
		}
	}
	return bridge.Accepted{Message: m, Seq: m.Seq, History: history, Token: tokenHash(h.d.token)}, nil
}

// guard gives the device a chat token, if the submission asks for one and the
// device has none yet. The message that came along has raised its sequence.
func guard(h *held, sub *bridge.Submission) error {
	if sub.Token == (bridge.TokenHash{}) || len(h.d.token) > 0 {
		return nil
	}
	h.d.token = sub.Token[:]
	if _, err := exec(h.tx, "UPDATE devices SET token_hash = ? WHERE id = ?", h.d.token, h.d.id); err != nil {
		return fmt.Errorf("store chat token: %w", err)
	}
	return nil
}

// tokenHash gives a stored chat token.
func tokenHash(stored []byte) (h bridge.TokenHash) {
	copy(h[:], stored)
	return h
}

// store inserts a message and gives it its id. Its attachments are counted here
// and stored by whoever knows what they are.
func store(h *held, m *bridge.Message) error {
	id, err := insert(h.tx, "INSERT INTO messages (device_id, chat_id, seq, uuid, author, name, html, text, automatic, status, fail_code, client_key, created_at, retracted, files)"+
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?, 0, ?)",
		h.d.id, m.Chat, m.Seq, string(m.UUID), string(m.Author), m.Name, m.HTML, m.Text, m.Automatic, string(m.Status), orNull(m.ClientKey), milli(m.CreatedAt), len(m.Attachments))
	if err != nil {
		return fmt.Errorf("insert message: %w", err)
	}
	m.ID = bridge.MessageID(id)
	return nil
}

// asHTML shows plain text as HTML, character for character.
func asHTML(text string) string {
	return strings.ReplaceAll(html.EscapeString(text), "\n", "<br>")
}

const messageColumns = "SELECT m.id, m.seq, m.chat_id, m.uuid, m.author, m.name, m.html, m.text, m.automatic, m.status, m.fail_code, m.client_key, m.created_at, m.retracted, m.files FROM messages m WHERE "

// scanMessage reads messageColumns and gives the number of attachments.
func scanMessage(scan func(...any) error, m *bridge.Message) (files int, err error) {
	var (
		key     sql.NullString
		created int64
	)
	err = scan(&m.ID, &m.Seq, &m.Chat, &m.UUID, &m.Author, &m.Name, &m.HTML, &m.Text, &m.Automatic, &m.Status, &m.FailCode, &key, &created, &m.Retracted, &files)
	m.ClientKey, m.CreatedAt = key.String, moment(created)
	return files, err
}
