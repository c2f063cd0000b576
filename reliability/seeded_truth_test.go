package reliability_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"deskbridge/bridge"
	"deskbridge/zammad"
	"deskbridge/zammad/simulator"
)

// truth is what the test knows has happened.
type truth struct {
	phones  []*phone
	former  []*phone            // erased ones; another took the place of each
	sent    map[string]*sending // by text
	answers map[string]*answer  // by text
	tickets map[int]*ticket
	order   []int           // ids of tickets, as they became known
	opened  map[int]*ticket // by the article with which the bridge opened them
}

func newTruth() truth {
	return truth{sent: make(map[string]*sending), answers: make(map[string]*answer), tickets: make(map[int]*ticket), opened: make(map[int]*ticket)}
}

// phone is a device in one region.
type phone struct {
	name     string
	place    *place
	hash     bridge.DeviceHash
	sendings []*sending
	asking   atomic.Int32 // requests that have no answer yet
	erased   *erased      // what came of erasing it; nil: it was not

	memory
}

// memory is what a phone has of its chat.
type memory struct {
	cursor  bridge.Seq // what it asks for the next time
	replica map[bridge.MessageID]bridge.Message
	offered map[bridge.AttachmentID]bool // files that it was shown
}

func newMemory() memory {
	return memory{replica: make(map[bridge.MessageID]bridge.Message), offered: make(map[bridge.AttachmentID]bool)}
}

// sending is a message that a phone has sent.
type sending struct {
	phone *phone
	text  string
	key   string
	files []string // contents
	acked bool     // answered with success: from then on it counts
	got   bridge.Message
}

// ticket is a ticket of the chat groups.
type ticket struct {
	id      int
	number  string
	owner   *phone // whose chat it is; nil: a stranger's, or of one who was erased
	opener  *phone // with whose message it began; nil: a stranger's
	group   string // where it is now
	home    string
	closed  time.Time // last, on Zammad's clock
	merged  bool
	gone    bool
	moved   bool // a merge, a deletion or a rule may have given its chat another ticket
	into    *ticket
	away    bool // it was out of its region's sight once
	blurred bool // it took in a ticket that its region does not see, so nobody can tell when: answers that no webhook brings are withheld

	people   map[*phone]bool // whose messages merges have brought together
	heirless bool            // its device was erased when others' messages stood in it: whoever of them is seen first gets what is answered from then on
	unlearnt bool            // one of them came before any instance knew its ticket: nobody can say whose it is then
}

// learnt says whether an instance knows whose ticket this is.
func (w *world) learnt(t *ticket) bool {
	if t.owner == nil {
		return true
	}
	_, err := w.raw.KnownTicket(context.Background(), t.owner.place.region.Desk, bridge.TicketID(t.id))
	return err == nil
}

// missed says whether a ticket went out of sight before anybody could see that
// its opening had arrived: then the message was sent again, and nobody here
// knows this one.
func (w *world) missed(t *ticket) bool { return t.away && !w.learnt(t) }

// hidden says whether a chat of the phone went on where its region's token sees
// nothing: then its messages wait.
func (w *world) hidden(p *phone) bool {
	for _, t := range w.tickets {
		for last := t; t.owner == p && last != nil; last = last.into {
			if !last.gone && last.group != p.place.group {
				return true
			}
		}
	}
	return false
}

// answer is an article by an agent.
type answer struct {
	id       int
	text     string
	files    []string // contents
	at       *ticket  // where it is
	owner    *phone   // whose it was when it was written; nil: a stranger's
	public   bool     // now
	ever     bool     // it was public once
	late     bool     // it was internal once
	gone     bool     // deleted
	stranded bool     // in another's ticket, or in one that is deleted: its visibility is not followed
	shared   *phone   // made public in this one's ticket: meant for it
	heirless bool     // written into such a ticket
	excused  bool     // may be withheld: it stood in a merge before any device saw it
}

// discover learns of tickets that the bridge has opened.
func (w *world) discover() simulator.State {
	state := w.sim.State()
	tickets := make(map[int]simulator.TicketState, len(state.Tickets))
	for _, t := range state.Tickets {
		tickets[t.ID] = t
	}
	for _, a := range state.Articles {
		s := w.sent[a.Body]
		if s == nil || w.tickets[a.Ticket] != nil {
			continue
		}
		t, owner, people := tickets[a.Ticket], s.phone, map[*phone]bool{s.phone: true}
		if owner.erased != nil {
			owner, people = nil, make(map[*phone]bool)
		}
		w.tickets[a.Ticket] = &ticket{id: a.Ticket, number: t.Number, owner: owner, opener: s.phone, group: t.Group, home: s.phone.place.group, people: people}
		w.order = append(w.order, a.Ticket)
		w.opened[a.ID] = w.tickets[a.Ticket]
		w.note("ticket %d is %s's, with %q", a.Ticket, s.phone.name, s.text)
	}
	return state
}

// here lists the tickets that agents can work on.
func (w *world) here(fits func(*ticket) bool) []*ticket {
	var out []*ticket
	for _, id := range w.order {
		if t := w.tickets[id]; !t.gone && !t.merged && (fits == nil || fits(t)) {
			out = append(out, t)
		}
	}
	return out
}

// seen says whether a phone's history shows an answer now, by the database.
func (w *world) seen(p *phone, a *answer) bool {
	h, err := w.raw.History(context.Background(), p.place.region, p.hash, 0, w.clock.now())
	if err != nil {
		return false
	}
	return slices.ContainsFunc(h.Messages, func(m bridge.Message) bool { return m.Text == a.text && !m.Retracted })
}

// poll lets a phone ask for news, and looks at what it gets.
func (w *world) poll(p *phone) {
	in := w.anyone()
	if in == nil {
		return
	}
	got := make(chan bridge.History, 1)
	failed := make(chan error, 1)
	go func() {
		defer close(got)
		region, ok := in.regions.BySlug(p.place.slug)
		if !ok {
			failed <- errors.New("no region")
			return
		}
		h, err := in.chats.History(context.Background(), region, p.hash, p.cursor)
		if err != nil {
			failed <- err
			return
		}
		got <- h
	}()
	h, ok := <-got
	if !ok {
		return // died, or no chat yet
	}
	if h.Seq < p.cursor {
		w.broke("%s: the sequence fell from %d to %d", p.name, p.cursor, h.Seq)
	}
	for _, m := range h.Messages {
		p.replica[m.ID] = m
		w.look(p, m)
	}
	p.cursor = h.Seq
}

// look holds what a phone is shown against what it may see at any time.
func (w *world) look(p *phone, m bridge.Message) {
	if m.Author == bridge.AuthorUser {
		if s := w.sent[m.Text]; s == nil || s.phone != p {
			w.broke("%s is shown %q as its own message", p.name, m.Text)
			return
		}
		w.lookAtFiles(p, m, w.sent[m.Text].files)
		return
	}
	if m.Retracted {
		if m.Text != "" || m.HTML != "" || m.Name != "" {
			w.broke("%s: a message that was taken back still says %q", p.name, m.Text)
		}
		return
	}
	a := w.answers[m.Text]
	switch {
	case a == nil:
		w.broke("%s is shown %q, which no agent wrote", p.name, m.Text)
		return
	case a.owner != p && a.shared != p && !(a.heirless && a.at.people[p]):
		w.broke("%s is shown %q, which was for %v", p.name, m.Text, a.owner)
	case !a.ever:
		w.broke("%s is shown %q, which was never public", p.name, m.Text)
	}
	w.lookAtFiles(p, m, a.files)
}

func (p *phone) String() string {
	if p == nil {
		return "a stranger"
	}
	return p.name
}

// write lets an agent write into a ticket.
func (w *world) write(t *ticket, internal bool, close string) {
	text := fmt.Sprintf("agent-%d", len(w.answers)+1)
	a := &answer{text: text, at: t, owner: t.owner, public: !internal, ever: !internal, late: internal, heirless: t.heirless, excused: t.blurred || t.heirless}
	if len(w.answers)%3 == 0 {
		a.files = filesOf(text, 1+len(w.answers)%2)
	}
	w.answers[text] = a // before the webhook can come
	ctx := context.Background()
	if close == "" {
		made, err := w.agent.Articles.Create(ctx, zammad.NewArticle{TicketID: zammad.TicketID(t.id), Type: zammad.TypeNote, Body: text, Internal: &internal, Attachments: attached(a.files)})
		if err != nil {
			a.gone = true
			w.note("  refused: %v", err)
			return
		}
		a.id = int(made.ID)
		return
	}
	update := zammad.TicketUpdate{State: close, Article: &zammad.NewArticle{Type: zammad.TypeNote, Body: text, Internal: &internal, Attachments: attached(a.files)}}
	made, err := w.agent.Tickets.Update(ctx, zammad.TicketID(t.id), update)
	if err != nil {
		a.gone = true
		w.note("  refused: %v", err)
		return
	}
	a.id = int(slices.Max(made.ArticleIDs))
	if close == "closed" {
		t.closed = made.UpdatedAt
	}
}

// merge lets an agent merge one ticket into another.
func (w *world) merge(from, to *ticket) {
	for _, a := range w.answers {
		if a.at != from && a.at != to {
			continue
		}
		if a.owner == nil || !w.seen(a.owner, a) {
			a.excused = true
		}
	}
	unlearnt := !w.learnt(from) || !w.learnt(to)
	if err := w.agent.Tickets.Merge(context.Background(), zammad.TicketID(from.id), to.number); err != nil {
		w.note("  refused: %v", err)
		return
	}
	to.closed = w.sim.State().Now // what comes with a merge was not left there by us
	from.away = from.away || to.away || to.group != from.home
	from.merged, from.moved, to.moved, from.into = true, true, true, to
	to.unlearnt = to.unlearnt || from.unlearnt || unlearnt
	to.heirless = to.heirless || from.heirless
	maps.Copy(to.people, from.people)
	// Nobody can say whose it is, so neither device's chat takes it.
	nobodys := len(to.people) > 1 && (to.unlearnt || to.owner == nil)
	for _, a := range w.answers {
		if a.at == from || a.at == to && nobodys {
			a.at = to
			a.stranded = a.stranded || from.owner != to.owner && to.owner != nil || nobodys
		}
	}
	to.blurred = to.blurred || from.blurred || from.group != to.home || from.home != to.home || nobodys
	if to.owner == nil {
		to.owner = from.owner
	}
}

// erase lets an administrator delete a ticket.
func (w *world) erase(t *ticket) {
	if err := w.admin.Tickets.Delete(context.Background(), zammad.TicketID(t.id)); err != nil {
		w.note("  refused: %v", err)
		return
	}
	t.gone, t.moved = true, true
	for _, a := range w.answers {
		if a.at == t {
			a.stranded, a.excused = true, true
		}
	}
}
