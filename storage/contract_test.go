package storage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"deskbridge/bridge"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
)

// start is the time at which the tests' days begin.
var start = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// world is a store with a region, and the words in which the tests speak.
type world struct {
	*testing.T
	*storage.Store
	ctx    context.Context
	region *bridge.Region
	now    time.Time
}

func newWorld(t *testing.T, s *storage.Store) *world {
	t.Helper()
	w := &world{T: t, Store: s, ctx: context.Background(), now: start}
	w.region = w.addRegion("augsburg", "https://zammad.example.test")
	return w
}

func (w *world) addRegion(slug, url string) *bridge.Region {
	w.Helper()
	r := &bridge.Region{Slug: slug, Name: strings.ToUpper(slug), Enabled: true, ZammadToken: "token-" + bridge.Secret(slug)}
	r.Settings.ZammadURL = url
	r.Settings = r.Settings.WithDefaults()
	w.ok(w.AddRegion(w.ctx, r))
	return r
}

// eachWorld runs a test in a fresh world of every dialect.
func eachWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Parallel()
	storagetest.Each(t, func(t *testing.T, s *storage.Store) { test(newWorld(t, s)) })
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// wants fails unless err is the wanted error.
func (w *world) wants(err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Fatalf("error = %v, want %v", err, want)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s = %v, want %v", what, got, want)
	}
}

// device makes the hash of a device.
func device(name string) bridge.DeviceHash { return bridge.NewHasher([]byte("key")).Hash(name) }

// tick lets a second pass.
func (w *world) tick() time.Time {
	w.now = w.now.Add(time.Second)
	return w.now
}

// submission is a message that the gate lets through.
func (w *world) submission(d, text string) bridge.Submission {
	return bridge.Submission{
		Region: w.region, Device: device(d), Language: "de", UUID: bridge.MessageUUID(uuid.NewString()),
		Text: text, Admit: func(bridge.Standing) bool { return true }, Alias: "alias-" + d, Now: w.now,
	}
}

// send stores a message.
func (w *world) send(d, text string) bridge.Accepted {
	w.Helper()
	a, err := w.Accept(w.ctx, w.submission(d, text))
	w.ok(err)
	return a
}

func (w *world) history(d string, since bridge.Seq) bridge.History {
	w.Helper()
	h, err := w.History(w.ctx, w.region, device(d), since, w.now)
	w.ok(err)
	return h
}

// show gives a history as words: "author:text:status".
func show(h bridge.History) string {
	var parts []string
	for _, m := range h.Messages {
		s := fmt.Sprintf("%s:%s:%s", m.Author, m.Text, m.Status)
		if m.Retracted {
			s += ":retracted"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " ")
}

// claim takes all due lanes of the region's desk.
func (w *world) claims() []bridge.Claim {
	w.Helper()
	c, err := w.ClaimLanes(w.ctx, w.region.Desk, w.now, w.now.Add(time.Minute), 100)
	w.ok(err)
	return c
}

func (w *world) claim() bridge.Claim {
	w.Helper()
	c := w.claims()
	if len(c) != 1 {
		w.Fatalf("%d lanes are due, want 1", len(c))
	}
	return c[0]
}

func (w *world) start(c bridge.Claim) *bridge.Work {
	w.Helper()
	work, err := w.Start(w.ctx, c, w.now)
	w.ok(err)
	return work
}

func (w *world) finish(c bridge.Claim, o bridge.Outcome) []bridge.Change {
	w.Helper()
	changes, err := w.Finish(w.ctx, c, o, w.now)
	w.ok(err)
	return changes
}

// deliver carries everything that is due into a ticket.
func (w *world) deliver(ticket bridge.TicketID, article *bridge.ArticleID) {
	w.Helper()
	for claims := w.claims(); len(claims) > 0; claims = w.claims() {
		for _, c := range claims {
			for work := w.start(c); work != nil; work = w.start(c) {
				o := bridge.Outcome{Work: work.ID}
				if work.Kind == bridge.WorkMessage {
					*article++
					o.Sent = &bridge.Sent{Ticket: ticket, State: bridge.TicketOpen, Customer: 3, Article: *article}
				}
				w.finish(c, o)
			}
		}
	}
}

func (w *world) record(r bridge.Receipt) []bridge.Change {
	w.Helper()
	r.Now = w.now
	changes, err := w.Record(w.ctx, r)
	w.ok(err)
	return changes
}

func (w *world) known(ticket bridge.TicketID) bridge.KnownTicket {
	w.Helper()
	k, err := w.KnownTicket(w.ctx, w.region.Desk, ticket)
	w.ok(err)
	return k
}

// agent makes an agent's public article.
func (w *world) agent(id bridge.ArticleID, ticket bridge.TicketID, text string) bridge.Article {
	return bridge.Article{ID: id, Ticket: ticket, Public: true, Name: "Ada", HTML: "<p>" + text + "</p>", Text: text, CreatedAt: w.now}
}

// seq gives a device's sequence; 0 if it is unknown here.
func (w *world) seq(r bridge.RegionID, d bridge.DeviceHash) (bridge.Seq, error) {
	changes, err := w.ChangedSince(w.ctx, time.Time{})
	for _, c := range changes {
		if c.Region == r && c.Device == d {
			return c.Seq, err
		}
	}
	return 0, err
}
