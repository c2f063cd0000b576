package storage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"deskbridge/bridge"
	"deskbridge/storage/storagetest"
)

// lane is the model of one device's lane: the texts that must still reach the
// desk, in order, and those that have.
type lane struct {
	waiting, sent []string
}

// Whatever senders, workers, lost claims and failing desks do: every message
// reaches the desk once and in order or is set aside, work never lies in a lane
// that is not due, and devices see every change under a number of its own.
func TestLanesKeepTheirPromises(t *testing.T) {
	t.Parallel()
	store := storagetest.Open(t)
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		m := &machine{world: &world{T: t, Store: store, ctx: context.Background(), now: start}, lanes: make(map[string]*lane)}
		m.region = m.addRegion(fmt.Sprint("region", run), fmt.Sprintf("https://zammad%d.example.test", run))
		m.article = bridge.ArticleID(0)
		r.Repeat(map[string]func(*rapid.T){
			"send":   m.send,
			"claim":  m.take,
			"work":   m.work,
			"answer": m.answer,
			"time": func(r *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 90).Draw(r, "seconds")) * time.Second)
			},
			"": m.check,
		})
		m.drain(r)
	})
}

type machine struct {
	*world
	lanes   map[string]*lane
	held    []bridge.Claim
	article bridge.ArticleID
	sends   int
}

func (m *machine) send(r *rapid.T) {
	d := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "device")
	m.sends++
	s := m.submission(d, fmt.Sprint("text", m.sends))
	s.Language = rapid.SampledFrom([]string{"de", "en"}).Draw(r, "language")
	if _, err := m.Accept(m.ctx, s); err != nil {
		r.Fatal(err)
	}
	if m.lanes[d] == nil {
		m.lanes[d] = &lane{}
	}
	m.lanes[d].waiting = append(m.lanes[d].waiting, s.Text)
}

func (m *machine) take(*rapid.T) { m.held = append(m.held, m.claims()...) }

// lane finds the model's lane of a chat.
func (m *machine) lane(c bridge.Chat) *lane {
	for d, l := range m.lanes {
		if device(d) == c.Device {
			return l
		}
	}
	return nil
}

// work lets one of the workers, whose claim may have run out, do one piece.
func (m *machine) work(r *rapid.T) {
	if len(m.held) == 0 {
		r.Skip("nobody works")
	}
	i := rapid.IntRange(0, len(m.held)-1).Draw(r, "worker")
	c := m.held[i]
	drop := func() { m.held = append(m.held[:i:i], m.held[i+1:]...) }
	work, err := m.Start(m.ctx, c, m.now)
	switch {
	case errors.Is(err, bridge.ErrClaimLost):
		if m.now.Before(c.Until) {
			r.Fatal("a claim was lost before its time")
		}
		drop()
		return
	case err != nil:
		r.Fatal(err)
	case work == nil:
		drop()
		return
	}
	l := m.lane(work.Chat)
	if work.Kind == bridge.WorkMessage && work.Text != l.waiting[0] {
		r.Fatalf("work on %q while %q waits", work.Text, l.waiting[0])
	}
	o := bridge.Outcome{Work: work.ID}
	fate := rapid.SampledFrom([]string{"sent", "sent", "sent", "retry", "doubt", "detach", "failed", "died"}).Draw(r, "fate")
	switch {
	case fate == "died":
		drop() // its claim stays until it runs out
		return
	case fate == "retry", fate == "doubt", fate == "detach":
		due := m.now.Add(time.Duration(rapid.IntRange(0, 30).Draw(r, "rest")) * time.Second)
		o.Retry = &bridge.Retry{Due: due, Doubt: fate == "doubt", Attempt: true, Detach: fate == "detach"}
		drop()
	case work.Kind != bridge.WorkMessage: // done
	case fate == "failed":
		o.Failed = &bridge.Failed{Code: "refused"}
		l.waiting = l.waiting[1:]
	default:
		ticket := work.Chat.Ticket
		if ticket == 0 {
			ticket = bridge.TicketID(1000 + int(m.article))
		}
		m.article++
		o.Sent = &bridge.Sent{Ticket: ticket, State: bridge.TicketOpen, Customer: 1, Article: m.article}
		l.waiting, l.sent = l.waiting[1:], append(l.sent, work.Text)
	}
	if _, err := m.Finish(m.ctx, c, o, m.now); err != nil {
		r.Fatal(err)
	}
}

// answer lets an agent write to a device.
func (m *machine) answer(r *rapid.T) {
	d := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "device")
	h, err := m.History(m.ctx, m.region, device(d), 0, m.now)
	if err != nil || h.Chat.Ticket == 0 {
		r.Skip("no ticket")
	}
	m.article++
	receipt := bridge.Receipt{Chat: h.Chat.ID, Articles: []bridge.Article{m.agent(m.article, h.Chat.Ticket, "answer")}, Now: m.now}
	if _, err := m.Record(m.ctx, receipt); err != nil {
		r.Fatal(err)
	}
}

func (m *machine) check(r *rapid.T) {
	if n, err := m.Sweep(m.ctx, m.now, true); err != nil || n != 0 {
		r.Fatalf("%d lanes have work and are not due (%v)", n, err)
	}
	for d, l := range m.lanes {
		h := m.history(d, 0)
		var sent, queued int
		seen := make(map[bridge.Seq]bool)
		var last time.Time
		for _, msg := range h.Messages {
			if seen[msg.Seq] || msg.Seq > h.Seq || !msg.CreatedAt.After(last) {
				r.Fatalf("message %d of %s: seq %d of %d, created at %v after %v", msg.ID, d, msg.Seq, h.Seq, msg.CreatedAt, last)
			}
			seen[msg.Seq], last = true, msg.CreatedAt
			switch {
			case msg.Author != bridge.AuthorUser:
			case msg.Status == bridge.StatusQueued:
				if msg.Text != l.waiting[queued] {
					r.Fatalf("%q is queued, want %q", msg.Text, l.waiting[queued])
				}
				queued++
			case msg.Status != bridge.StatusFailed:
				if msg.Text != l.sent[sent] {
					r.Fatalf("%q is sent, want %q", msg.Text, l.sent[sent])
				}
				sent++
			}
		}
		if sent != len(l.sent) || queued != len(l.waiting) {
			r.Fatalf("%s: %d sent and %d queued, want %d and %d", d, sent, queued, len(l.sent), len(l.waiting))
		}
	}
}

// drain lets a healthy worker come after all leases and rests are over.
func (m *machine) drain(r *rapid.T) {
	m.now = m.now.Add(time.Hour)
	m.held = nil
	for _, c := range m.claims() {
		for work := m.start(c); work != nil; work = m.start(c) {
			o := bridge.Outcome{Work: work.ID}
			if work.Kind == bridge.WorkMessage {
				m.article++
				l := m.lane(work.Chat)
				o.Sent = &bridge.Sent{Ticket: bridge.TicketID(9000 + work.Chat.ID), State: bridge.TicketOpen, Article: m.article}
				l.sent, l.waiting = append(l.sent, work.Text), l.waiting[1:]
			}
			m.finish(c, o)
		}
	}
	for d, l := range m.lanes {
		if len(l.waiting) > 0 {
			r.Fatalf("%s: %v never reached the desk", d, l.waiting)
		}
	}
	m.check(r)
}
