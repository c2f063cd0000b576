package bridge

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"deskbridge/gate"
)

// Chats is what devices may do: send, read, and ask whether they are served.
type Chats struct{ ChatsDeps }

// ChatsDeps is what Chats needs.
type ChatsDeps struct {
	Store     ChatStore
	Publisher Publisher
	Exposures *Exposures
	Typist    *Typist // nil: agents are not told that somebody is writing
	Wake      func()  // tells the pump that there is work; must not block
	Now       func() time.Time
}

// NewChats puts Chats together.
func NewChats(deps ChatsDeps) *Chats { return &Chats{deps} }

// Sending is what a device sends. Text has passed CleanText, or is empty where
// there are only files, or only the consent is told.
type Sending struct {
	Device     DeviceHash
	Language   string
	AppVersion string
	Text       string
	Files      []File
	ClientKey  string
	Consent    *bool
	ForceNew   bool
	Since      Seq       // for Accepted.History
	Token      TokenHash // chat token that the device shall have from now on; zero: leave it
	Proved     TokenHash // chat token that the sender has shown; zero: none
}

// Send stores a message. When it returns without error the message is durable:
// it reaches the desk whatever happens to this process. It never waits for the
// desk.
//
// Errors: ErrRegionOff, ErrNotServed, ErrKeyReused, ErrChatNotFound (consent
// alone without a chat), ErrChatToken, or the store's.
func (c *Chats) Send(ctx context.Context, r *Region, s Sending) (Accepted, error) {
	if !r.Served() {
		return Accepted{}, ErrRegionOff
	}
	sub := Submission{
		Region: r, Device: s.Device, Language: s.Language,
		UUID: MessageUUID(uuid.NewString()), Text: s.Text, ClientKey: s.ClientKey, Since: s.Since,
		Consent: s.Consent, ForceNew: s.ForceNew, Alias: newAlias(), Token: s.Token, Proved: s.Proved, Now: c.Now(),
	}
	var forget func()
	if len(s.Files) > 0 {
		var err error
		if forget, err = c.keep(ctx, s.Files); err != nil {
			return Accepted{}, err
		}
		sub.Files = s.Files
	}
	var asked *gate.Decision
	sub.Admit = func(standing Standing) bool {
		decision := decide(r, s.Device, standing, s.Language, s.AppVersion, sub.Now)
		asked = &decision
		return decision.Served
	}
	accepted, err := c.Store.Accept(ctx, sub)
	if asked != nil {
		c.note(r, s.Device, *asked, s.Language, s.AppVersion, sub.Now)
	}
	if forget != nil && (err != nil || accepted.Duplicate) {
		forget() // an answer of COMMIT that was lost is no harm: what a message has taken stays
	}
	if err != nil {
		return Accepted{}, err
	}
	if !accepted.Duplicate {
		c.Publisher.Publish(Change{Region: r.ID, Device: s.Device, Seq: accepted.Seq})
		c.Wake()
	}
	return accepted, nil
}

// History reads what changed for a device after since; 0 reads everything.
// Errors: ErrRegionOff, ErrChatNotFound, or the store's.
func (c *Chats) History(ctx context.Context, r *Region, d DeviceHash, since Seq) (History, error) {
	if !r.Served() {
		return History{}, ErrRegionOff
	}
	return c.Store.History(ctx, r, d, since, c.Now())
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

// Token gives the chat token of a device, and the Seq at which it was read.
func (c *Chats) Token(ctx context.Context, r *Region, d DeviceHash) (TokenHash, Seq, error) {
	return c.Store.Token(ctx, r, d)
}

// Running says whether a device has a chat that its next message continues.
func (c *Chats) Running(ctx context.Context, r *Region, d DeviceHash) (bool, error) {
	standing, err := c.Store.Standing(ctx, r, d, c.Now())
	return standing.Running, err
}

// Decide asks the gate for a device, and notes that the device was told.
func (c *Chats) Decide(ctx context.Context, r *Region, d DeviceHash, language, appVersion string) (gate.Decision, error) {
	now := c.Now()
	decision, err := Decide(ctx, c.Store, r, d, language, appVersion, now)
	if err != nil {
		return gate.Decision{}, err
	}
	c.note(r, d, decision, language, appVersion, now)
	return decision, nil
}

// maxAppVersion is the longest version that is kept with a decision, in bytes.
const maxAppVersion = 40

// note remembers what a device was told. What the gate cannot read as a version
// has no part in the decision, and is not kept.
func (c *Chats) note(r *Region, d DeviceHash, decision gate.Decision, language, appVersion string, now time.Time) {
	if len(appVersion) > maxAppVersion || !gate.ValidVersion(appVersion) {
		appVersion = ""
	}
	c.Exposures.Note(Exposure{
		Region: r.ID, Device: d, Day: now.UTC().Format(time.DateOnly), Served: decision.Served, Reason: decision.Reason, At: now,
		Language: language, AppVersion: appVersion, Percentage: r.PercentageAt(now),
	})
}

// Decide asks the gate for a device without leaving a trace, as an admin does
// who wants to know why.
func Decide(ctx context.Context, store interface {
	Standing(ctx context.Context, r *Region, d DeviceHash, now time.Time) (Standing, error)
}, r *Region, d DeviceHash, language, appVersion string, now time.Time) (gate.Decision, error) {
	standing, err := store.Standing(ctx, r, d, now)
	if err != nil {
		return gate.Decision{}, err
	}
	return decide(r, d, standing, language, appVersion, now), nil
}

func decide(r *Region, d DeviceHash, standing Standing, language, appVersion string, now time.Time) gate.Decision {
	return gate.Decide(r.GateRules(now), subject(d, standing, language, appVersion))
}

// subject is the device that asks, as the gate sees it.
func subject(d DeviceHash, standing Standing, language, appVersion string) gate.Subject {
	return gate.Subject{
		Device: d, Override: standing.Override, Running: standing.Running, Sticky: standing.Sticky,
		Language: language, AppVersion: appVersion,
	}
}

// newAlias makes the name under which a device appears in tickets: 80 random
// bits, so that two devices never share a customer, in letters that agents can
// read out.
func newAlias() string {
	var b [10]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// Times and bounds of the notes that somebody is writing.
const (
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
