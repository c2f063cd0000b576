// Package bridge is the heart of Deskbridge: chats, messages, lanes and the
// rules by which they move between a device and a helpdesk.
//
// It knows no HTTP, no SQL and no Zammad. What it needs of the outside it
// declares as small interfaces (Store, Desk, Publisher), which the walls
// implement. File names tell the direction of a message: send.go is from the
// device to the desk, pump.go carries it there, receive.go is the way back.
package bridge

import (
	"cmp"
	"time"
)

// Author says who a message is by.
type Author string

// The authors of messages.
const (
	AuthorUser   Author = "user"
	AuthorAgent  Author = "agent"
	AuthorBot    Author = "bot"
	AuthorSystem Author = "system"
)

// Status is the delivery state of a user's message. Messages of others have
// StatusSent.
type Status string

// The states of a message: queued (safe here, not yet in Zammad), sent (in
// Zammad), seen (an agent has answered after it), failed (set aside; FailCode
// says why, and the user may send again).
const (
	StatusQueued Status = "queued"
	StatusSent   Status = "sent"
	StatusSeen   Status = "seen"
	StatusFailed Status = "failed"
)

// The FailCodes of a message that the desk refused again and again; devices must
// take others like FailRefused.
const (
	FailRefused    = "refused"
	FailAttachment = "attachment_refused" // because of its files: without them it may go
)

// TicketState is what the heart knows of a ticket's state.
type TicketState string

// The ticket states that make a difference. Pending tickets count as open.
const (
	TicketNone   TicketState = ""       // no ticket yet
	TicketOpen   TicketState = "open"   // takes messages
	TicketClosed TicketState = "closed" // takes a message together with a reopening
	TicketMerged TicketState = "merged" // its successor takes messages
)

// Chat is one conversation of a device in a region.
type Chat struct {
	ID       ChatID
	Region   RegionID
	Device   DeviceHash
	Alias    string // random name of the device in tickets: 16 characters, says nothing about the device
	Language string // language of the last message
	Consent  *bool  // evaluation consent; nil: never asked

	Desk        DeskID
	Ticket      TicketID // 0: not opened yet
	Customer    CustomerID
	TicketState TicketState
	Reopened    bool // the ticket was closed, and nobody has answered since it is open again

	AnsweredAt time.Time // when a person last wrote to the device; zero: never
	AskedAt    time.Time // of the user's last message, while no machine has answered it; else zero

	CreatedAt     time.Time
	LastMessageAt time.Time
}

// Message is one utterance as devices see it.
type Message struct {
	ID        MessageID
	Seq       Seq // of its last change
	Chat      ChatID
	UUID      MessageUUID
	Author    Author
	Name      string // display name of an agent; empty for others
	HTML      string // sanitised, always HTML
	Text      string // plain
	Automatic bool   // written by a machine (a trigger, a bot)
	Status    Status
	FailCode  string // why it failed, stable code
	ClientKey string // the device's own idempotency key
	CreatedAt time.Time
	Retracted bool // taken back by the agents: content is empty

	Attachments []Attachment // in order; nil for most
}

// Change tells that a device's history in a region has reached Seq; Seq 0 says
// that the device was removed. It carries nothing else: who wants to know more reads the store.
//
// Region 0, which no region has, stands for the staff's own chat: there a key
// made by the room author takes the device's place, so that one hub, one bus and
// one look at the database serve both.
type Change struct {
	Region RegionID
	Device DeviceHash
	Seq    Seq
}

// Publisher is told of changes after they are committed. Publish must not
// block; a lost notice costs latency, never a message.
type Publisher interface {
	Publish(changes ...Change)
}

// History is what a device may read.
type History struct {
	Token    TokenHash // of the device's chat token; zero: none
	Chat     Chat      // the current chat
	Seq      Seq       // the device's sequence; every change up to it is in Messages
	Anew     bool      // since could not be kept: Messages is everything, and what the device has is to be forgotten
	Read     Seq       // messages up to it were read on the device
	Messages []Message
}

// agentWrites is how long after an agent's answer the agent counts as writing:
// whoever has just answered often has more to say.
const agentWrites = 30 * time.Second

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
