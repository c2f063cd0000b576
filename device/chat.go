package device

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
)

// read answers a poll. It writes nothing anywhere.
func (d *Door) read(c *gin.Context) error {
	who, err := d.caller(c)
	if err != nil {
		if errors.Is(err, bridge.ErrDeviceID) && c.Param("device") == "" {
			// The app asks once with an empty id before it has made one.
			return bridge.ErrChatNotFound
		}
		return err
	}
	q, err := parseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	since, condition := q.since, c.Request.Header["If-None-Match"]
	if q.wait > 0 && c.Request.Method == http.MethodGet && (q.given || len(condition) > 0) {
		return d.await(c, who, q, condition)
	}
	if len(condition) > 0 {
		if seq, known := d.Watermarks.Seq(who.region.ID, who.device); known {
			if tag, holds := newStateTag(who.region, seq, since).holds(condition, d.Now()); holds {
				return notModified(c, tag)
			}
		}
	}
	history, err := d.Chats.History(c.Request.Context(), who.region, who.device, since)
	if err != nil {
		return err
	}
	if d.tokens.outdated(&who, &history) {
		return challenge(c, bridge.ErrChatToken)
	}
	d.Watermarks.Learn(bridge.Change{Region: who.region.ID, Device: who.device, Seq: history.Seq})
	return d.answerState(c, who, history, since, "")
}

// await answers a poll as soon as there is something newer than its since or its
// tag, and when its time is over.
func (d *Door) await(c *gin.Context, who caller, q query, condition []string) error {
	stopping, done, err := d.place(c, &who)
	if err != nil {
		return err
	}
	defer done()
	news, stop := d.Watermarks.Watch(who.region.ID, who.device)
	defer stop()
	over := time.NewTimer(who.within(q.wait, d.Now()))
	defer over.Stop()
	for last := false; ; {
		history, err := d.Chats.History(c.Request.Context(), who.region, who.device, q.since)
		absent := errors.Is(err, bridge.ErrChatNotFound) && q.since == 0 && len(condition) == 0 // a chat may yet begin
		if err != nil && (!absent || last) {
			return err
		}
		if d.tokens.outdated(&who, &history) {
			return challenge(c, bridge.ErrChatToken)
		}
		p := d.presence(who.region, who.language, history)
		state := newStateTag(who.region, history.Seq, q.since)
		tag := state.until(p.Until)
		_, known := state.holds(condition, d.Now())
		known = known || tag.in(condition) // a star
		if fresh := !absent && !known && (len(condition) > 0 || history.Seq != q.since); fresh || last {
			if known {
				return notModified(c, tag)
			}
			return d.answerState(c, who, history, q.since, "")
		}
		var turn <-chan time.Time
		if !absent && !p.Until.IsZero() {
			turn = time.After(p.Until.Sub(d.Now()))
		}
		select {
		case <-c.Request.Context().Done():
			return nil // nobody is there to answer
		case <-turn: // somebody stopped typing, or went home
			last = true
		case <-news:
		case <-stopping:
			last = true
		case <-over.C:
			last = true
		}
		if err := d.still(&who); err != nil {
			return challenge(c, err)
		}
	}
}

// send stores a message, a consent or both, and answers with the same document
// as a poll. What it answers with 200 is durable; it never waits for the desk.
func (d *Door) send(c *gin.Context) error {
	who, err := d.caller(c)
	if err != nil {
		return err
	}
	if err := d.Limits.write(c, who); err != nil {
		return err
	}
	q, err := parseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	since := q.since
	in := d.intake(c, who.region)
	defer in.close()
	sending, err := readSending(c.Request, cmp.Or(who.region.Settings.MaxText, bridge.DefaultMaxText), in)
	if err != nil {
		return err
	}
	sending.Device, sending.Language, sending.Since, sending.Proved = who.device, who.language, since, who.token
	sending.AppVersion = c.Request.Header.Get(headerAppVersion)
	token, err := d.tokens.wanted(c, who, &sending)
	if err != nil {
		return err
	}
	if err := d.opening(c, who, sending); err != nil {
		return err
	}

	accepted, err := d.Chats.Send(c.Request.Context(), who.region, sending)
	if err != nil {
		return challenge(c, err)
	}
	history := accepted.History
	if history.Seq != 0 { // so that neither the next message nor the next poll need ask
		d.tokens.put(deviceKey{who.region.ID, who.device}, tokenAt{history.Token, history.Seq})
		d.Watermarks.Learn(bridge.Change{Region: who.region.ID, Device: who.device, Seq: history.Seq})
	} else { // consent alone, or a message that was there already
		if history, err = d.Chats.History(c.Request.Context(), who.region, who.device, since); err != nil {
			return err
		}
	}
	if accepted.Token != sending.Token {
		token = "" // of a message that was there before its device had one
	}
	return d.answerState(c, who, history, since, token)
}

// state is the answer to every chat call, reading or writing.
type state struct {
	Messages          []message `json:"messages"`
	EvaluationConsent bool      `json:"evaluation_consent"`
	ChatbotTyping     bool      `json:"chatbot_typing"`
	TicketURL         string    `json:"ticket_url"`      // always there, because apps need the key
	Seq               int64     `json:"seq"`             // of the device; what it hands back as since
	Reset             bool      `json:"reset,omitempty"` // since could not be kept: this is everything
	Chat              chatState `json:"chat"`
	Read              int64     `json:"read"` // messages up to this seq were read on the device
	ChatToken         string    `json:"chat_token,omitempty"`
}

// message is a message on the wire. The keys up to content are those of the
// app's first server.
type message struct {
	ID              int64        `json:"id"`
	CreatedAt       string       `json:"created_at"`
	Role            string       `json:"role"`
	UserIsAuthor    bool         `json:"user_is_author"`
	AutomaticAnswer bool         `json:"automatic_answer"`
	Content         string       `json:"content"`
	Seq             int64        `json:"seq"`
	Text            string       `json:"text"`
	Author          string       `json:"author"`
	Name            string       `json:"name,omitempty"` // of an agent, as far as the region shows it
	Status          string       `json:"status"`
	Attachments     []attachment `json:"attachments"`
	ClientID        string       `json:"client_id,omitempty"`
	Error           string       `json:"error,omitempty"`     // stable code, of a failed message
	Retracted       bool         `json:"retracted,omitempty"` // taken back: remove it from the screen
}

// The roles of the app's first server; author says it more finely.
const (
	roleUser  = "user"
	roleAgent = "agent"
)

// timeFormat is RFC 3339 with milliseconds; times are UTC. One time that is no
// ISO 8601 would break an app's whole answer.
const timeFormat = "2006-01-02T15:04:05.000Z"

func wireMessage(r *bridge.Region, language string, m *bridge.Message) message {
	out := message{
		ID:              int64(m.ID),
		CreatedAt:       m.CreatedAt.UTC().Format(timeFormat),
		Role:            roleAgent,
		UserIsAuthor:    m.Author == bridge.AuthorUser,
		AutomaticAnswer: m.Automatic,
		Content:         m.HTML,
		Seq:             int64(m.Seq),
		Text:            m.Text,
		Author:          string(m.Author),
		Status:          string(m.Status),
		Attachments:     wireAttachments(m.Attachments),
		ClientID:        m.ClientKey,
		Retracted:       m.Retracted,
	}
	if out.UserIsAuthor {
		out.Role = roleUser
	}
	if m.Author == bridge.AuthorAgent && !m.Automatic && !m.Retracted {
		out.Name = r.Settings.Reception.Shown(m.Name, language)
	}
	if m.Status == bridge.StatusFailed {
		out.Error = m.FailCode
	}
	return out
}

// answerState answers a reading with 304 where the client's tag still holds, and
// all else with the state.
func (d *Door) answerState(c *gin.Context, who caller, h bridge.History, since bridge.Seq, token string) error {
	p := d.presence(who.region, who.language, h)
	tag := newStateTag(who.region, h.Seq, since).until(p.Until)
	if c.Request.Method != http.MethodPost && tag.in(c.Request.Header["If-None-Match"]) {
		return notModified(c, tag)
	}
	out := state{
		Messages: make([]message, len(h.Messages)), Seq: int64(h.Seq), Read: int64(h.Read),
		Reset: h.Anew, Chat: wireChat(p), ChatbotTyping: p.BotTyping, ChatToken: token,
	}
	for i := range h.Messages {
		out.Messages[i] = wireMessage(who.region, who.language, &h.Messages[i])
	}
	if h.Chat.Consent != nil {
		out.EvaluationConsent = *h.Chat.Consent
	}
	if who.region.Settings.RevealTicketURL && h.Chat.Ticket != 0 {
		out.TicketURL = d.TicketURL(who.region, h.Chat.Ticket)
	}
	return d.answerJSON(c, tag, &out)
}
