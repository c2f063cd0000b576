package bridge

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
)

const (
	// agentWrites is how long after an agent's answer the agent counts as
	// writing: whoever has just answered often has more to say.
	agentWrites = 30 * time.Second
	// typingEvery is the time in which the agents of a chat get no more than one
	// note that the person is writing.
	typingEvery = 10 * time.Minute
	// typingPatience is how long such a note may take to be written.
	//
	// Failure policy: then it is dropped, since it would not be true any more;
	// the next one comes typingEvery after the dropped one at the earliest.
	typingPatience = 15 * time.Second
	// typingQueue bounds the notes that wait; more are dropped.
	typingQueue = 64
)

// ChatState is what a device sees of its chat.
type ChatState string

// The states of a chat: none (the device has not written yet), open, closed (by
// the agents; the next message opens it again).
const (
	ChatNone   ChatState = "none"
	ChatOpen   ChatState = "open"
	ChatClosed ChatState = "closed"
)

// Presence is what a device sees of the people behind its chat at one moment.
type Presence struct {
	State       ChatState
	Notice      string // the chat was closed, or goes on after that; plain, in the user's language
	Away        string // nobody is there; plain, in the user's language; empty: somebody is
	AgentTyping bool
	BotTyping   bool
	// Until is when time alone may change any of this; zero: never.
	Until time.Time
}

// Presence says what a device sees of the people behind its chat; the zero chat
// is one that was not opened yet.
func (r *Region) Presence(c *Chat, language string, now time.Time) Presence {
	rules := &r.Settings.Reception
	p := Presence{State: ChatOpen}
	switch {
	case c.ID == 0:
		p.State = ChatNone
	case c.TicketState == TicketClosed:
		p.State, p.Notice = ChatClosed, rules.ClosedText(cmp.Or(language, c.Language))
	case c.Reopened:
		p.Notice = rules.ReopenedText(cmp.Or(language, c.Language))
	}
	var away bool
	if away, p.Until = rules.Away(now); away {
		p.Away = rules.AwayText(cmp.Or(language, c.Language))
	}
	if p.State == ChatOpen {
		p.AgentTyping = p.while(now, c.AnsweredAt, agentWrites)
		p.BotTyping = p.while(now, c.AskedAt, rules.BotTime())
	}
	return p
}

// while says whether what began at a time still goes on, and lets Until know.
func (p *Presence) while(now, began time.Time, long time.Duration) bool {
	end := began.Add(long)
	if began.IsZero() || !now.Before(end) {
		return false
	}
	if p.Until.IsZero() || end.Before(p.Until) {
		p.Until = end
	}
	return true
}

// MarkRead remembers that the messages of a device were read there up to seq. A
// seq beyond the newest message counts as that one, and one that goes back
// changes nothing. Errors: ErrRegionOff, ErrChatNotFound, or the store's.
func (c *Chats) MarkRead(ctx context.Context, r *Region, d DeviceHash, seq Seq) error {
	if !r.Served() {
		return ErrRegionOff
	}
	changes, err := c.Store.MarkRead(ctx, r, d, seq, c.Now())
	if err != nil {
		return err
	}
	c.Publisher.Publish(changes...)
	return nil
}

// Typing hears that the user of a device is writing. Unless the region wants its
// agents to know, it is forgotten at once. Errors: ErrRegionOff, or the store's.
func (c *Chats) Typing(ctx context.Context, r *Region, d DeviceHash) error {
	if !r.Served() {
		return ErrRegionOff
	}
	if !r.Settings.Reception.TypingNote || c.Typist == nil {
		return nil
	}
	now := c.Now()
	ticket, claimed, err := c.Store.ClaimTyping(ctx, r, d, now, now.Add(-typingEvery))
	if err != nil || !claimed {
		return err
	}
	c.Typist.tell(typing{region: r, ticket: ticket, until: now.Add(typingPatience)})
	return nil
}

// TypistDeps is what the Typist needs.
type TypistDeps struct {
	Desk Desk
	Log  *slog.Logger
	Now  func() time.Time
}

// Typist writes notes for agents that a person is writing. They are worth little
// and no message waits for one: each is tried once, soon or never.
type Typist struct {
	TypistDeps
	queue chan typing
}

// typing is a note that was claimed, so that no other instance writes it.
type typing struct {
	region *Region
	ticket TicketID
	until  time.Time
}

// NewTypist makes a Typist; Run lets it write.
func NewTypist(deps TypistDeps) *Typist {
	return &Typist{TypistDeps: deps, queue: make(chan typing, typingQueue)}
}

// tell takes a note. It never blocks.
func (t *Typist) tell(n typing) {
	select {
	case t.queue <- n:
	default: // dropped
	}
}

// Run writes notes until ctx ends; what waits then is dropped.
func (t *Typist) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case n := <-t.queue:
			t.write(ctx, n)
		}
	}
}

func (t *Typist) write(ctx context.Context, n typing) {
	left := n.until.Sub(t.Now())
	if left <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	note := Note{UUID: MessageUUID(uuid.NewString()), Ticket: n.ticket, Text: typingNote}
	if err := t.Desk.Note(ctx, n.region, note); err != nil {
		t.Log.InfoContext(ctx, "a note that a person is writing was dropped", "region", n.region.Slug, "ticket", n.ticket, "error", err)
	}
}
