package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
)

// scriptedDesk answers writes as it is told, and keeps what it was asked. What
// it has "carried out" is in articles.
type scriptedDesk struct {
	bridge.Desk // anything else is a bug of the test

	mu       sync.Mutex
	open     func(o bridge.Opening) error // before the work is done; nil: fine
	post     func(p bridge.Post) error
	note     func(n bridge.Note) error
	notes    []string
	closed   bool         // a message meets a closed ticket
	reopen   func() error // nil: fine
	reopened int
	reopens  bool
	finds    int
	opened   int
	labels   int
	articles map[bridge.MessageUUID]bridge.Posted
	texts    []string
	next     bridge.ArticleID
}

func (d *scriptedDesk) do(uuid bridge.MessageUUID, text string, ticket bridge.TicketID) bridge.Posted {
	d.next++
	d.texts = append(d.texts, text)
	p := bridge.Posted{Ticket: bridge.Ticket{ID: ticket, State: bridge.TicketOpen, Articles: []bridge.ArticleID{d.next}}, Customer: 9, Article: d.next}
	d.articles[uuid] = p
	return p
}

func (d *scriptedDesk) Open(_ context.Context, _ *bridge.Region, o bridge.Opening) (bridge.Posted, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open != nil {
		if err := d.open(o); err != nil {
			return bridge.Posted{}, err
		}
	}
	d.opened++
	return d.do(o.UUID, o.Text, bridge.TicketID(100+d.opened)), nil
}

func (d *scriptedDesk) Post(_ context.Context, _ *bridge.Region, p bridge.Post) (bridge.Posted, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.post != nil {
		if err := d.post(p); err != nil {
			return bridge.Posted{}, err
		}
	}
	posted := d.do(p.UUID, p.Text, p.Ticket)
	if d.closed {
		posted.Ticket.State = bridge.TicketClosed
	}
	return posted, nil
}

func (d *scriptedDesk) Find(_ context.Context, _ *bridge.Region, uuid bridge.MessageUUID) (bridge.Posted, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.finds++
	p, found := d.articles[uuid]
	if d.closed && d.reopened == 0 {
		p.Ticket.State = bridge.TicketClosed
	}
	return p, found, nil
}

func (d *scriptedDesk) Reopen(_ context.Context, _ *bridge.Region, id bridge.TicketID) (bridge.Ticket, error) {
	if d.reopen != nil {
		if err := d.reopen(); err != nil {
			return bridge.Ticket{}, err
		}
	}
	d.reopened++
	return bridge.Ticket{ID: id, State: bridge.TicketOpen}, nil
}

func (d *scriptedDesk) Ticket(_ context.Context, _ *bridge.Region, id bridge.TicketID) (bridge.Ticket, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := bridge.Ticket{ID: id, State: bridge.TicketOpen}
	for _, p := range d.articles {
		if p.Ticket.ID == id {
			t.Articles = append(t.Articles, p.Article)
		}
	}
	return t, nil
}

func (d *scriptedDesk) Relabel(context.Context, *bridge.Region, bridge.Label) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.labels++
	return nil
}

func (d *scriptedDesk) Absorbed(context.Context, *bridge.Region, bridge.TicketID) (time.Time, error) {
	return time.Time{}, nil
}

func (d *scriptedDesk) Note(_ context.Context, _ *bridge.Region, n bridge.Note) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.note != nil {
		if err := d.note(n); err != nil {
			return err
		}
	}
	d.writeNote(n)
	return nil
}

func (d *scriptedDesk) writeNote(n bridge.Note) {
	d.notes = append(d.notes, n.Text)
	d.articles[n.UUID] = bridge.Posted{Ticket: bridge.Ticket{ID: n.Ticket, State: bridge.TicketOpen}}
}

func (d *scriptedDesk) Reopens(_ context.Context, _ *bridge.Region, id bridge.TicketID) (bridge.Ticket, bool, error) {
	return bridge.Ticket{ID: id, State: bridge.TicketClosed}, d.reopens, nil
}

// lanes is a pump over a real store, with a clock that the test moves.
type lanes struct {
	t      *testing.T
	store  *storage.Store
	desk   *scriptedDesk
	region *bridge.Region
	pump   *bridge.Pump
	chats  *bridge.Chats
	now    time.Time
}

func newLanes(t *testing.T) *lanes {
	t.Helper()
	return newLanesOn(t, storagetest.Open(t))
}

func newLanesOn(t *testing.T, store *storage.Store) *lanes {
	t.Helper()
	l := &lanes{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), desk: &scriptedDesk{articles: make(map[bridge.MessageUUID]bridge.Posted)}}
	l.store = store
	l.region = &bridge.Region{
		Slug: "testland", Name: "Testland", Enabled: true, ZammadToken: "token",
		Settings: bridge.RegionSettings{Languages: []bridge.Language{{Code: "de"}}, Percentage: 100, ZammadURL: "https://zammad.example.org"}.WithDefaults(),
	}
	if err := l.store.AddRegion(t.Context(), l.region); err != nil {
		t.Fatal(err)
	}
	log, now := slog.New(slog.DiscardHandler), func() time.Time { return l.now }
	regions, err := bridge.NewRegions(t.Context(), l.store, log)
	if err != nil {
		t.Fatal(err)
	}
	l.pump = bridge.NewPump(bridge.PumpDeps{Lanes: l.store, Desk: l.desk, Regions: regions, Publisher: nobody{}, Log: log, Now: now})
	l.chats = bridge.NewChats(bridge.ChatsDeps{Store: l.store, Publisher: nobody{}, Exposures: bridge.NewExposures(l.store, log), Wake: func() {}, Now: now})
	return l
}

type nobody struct{}

func (nobody) Publish(...bridge.Change) {}

var device = bridge.DeviceHash{1}

func (l *lanes) send(text string) {
	l.t.Helper()
	if _, err := l.chats.Send(l.t.Context(), l.region, bridge.Sending{Device: device, Language: "de", Text: text}); err != nil {
		l.t.Fatal(err)
	}
}

// step moves the clock and lets the pump work off what is due.
func (l *lanes) step(by time.Duration) {
	l.now = l.now.Add(by)
	l.pump.Step(l.t.Context())
}

func (l *lanes) wantStatus(want ...bridge.Status) []bridge.Message {
	l.t.Helper()
	h, err := l.chats.History(l.t.Context(), l.region, device, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	var got []bridge.Status
	for _, m := range h.Messages {
		got = append(got, m.Status)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		l.t.Fatalf("status %v, want %v", got, want)
	}
	return h.Messages
}

func (l *lanes) wantTexts(want ...string) {
	l.t.Helper()
	if fmt.Sprint(l.desk.texts) != fmt.Sprint(want) {
		l.t.Fatalf("the desk has %q, want %q", l.desk.texts, want)
	}
}

func failing(kind bridge.DeskErrorKind) *bridge.DeskError {
	return &bridge.DeskError{Kind: kind, Reason: "as told", ErrorID: "x7"}
}

func TestDoubtIsSettledByReadingUntilTheHorizon(t *testing.T) {
	l := newLanes(t)
	tries := 0
	l.desk.open = func(bridge.Opening) error { tries++; return failing(bridge.DeskAmbiguous) }
	l.send("one")
	l.step(0)
	if tries != 1 {
		t.Fatalf("%d tries", tries)
	}
	for passed := time.Duration(0); passed < bridge.DefaultWriteHorizon-20*time.Second; passed += time.Second {
		l.step(time.Second)
	}
	if tries != 1 || l.desk.finds < 12 { // the longest pause between two looks is 22.5 s
		t.Fatalf("within the horizon it was sent %d times and looked for %d times", tries, l.desk.finds)
	}
	l.wantStatus(bridge.StatusQueued)
	l.desk.open = nil
	l.step(time.Minute)
	l.wantStatus(bridge.StatusSent)
	l.wantTexts("one")
}

func TestAWriteThatArrivedLateIsNotSentAgain(t *testing.T) {
	l := newLanes(t)
	var late bridge.Opening
	l.desk.open = func(o bridge.Opening) error { late = o; return failing(bridge.DeskAmbiguous) }
	l.send("one")
	l.send("two")
	l.step(0)
	l.step(time.Minute)
	l.desk.open = nil
	l.desk.do(late.UUID, late.Text, 7) // the cut-off write comes to its end
	l.step(time.Minute)
	l.wantStatus(bridge.StatusSent, bridge.StatusSent)
	l.wantTexts("one", "two")
	if l.desk.opened != 0 {
		t.Fatal("a second ticket was opened")
	}
}

func TestRefusedMessagesAreSetAsideAndTheLaneGoesOn(t *testing.T) {
	for kind, want := range map[bridge.DeskErrorKind]struct {
		tries int
		span  time.Duration // within which they are made
	}{
		bridge.DeskRefused: {6, 3 * time.Minute},
		bridge.DeskMasked:  {10, 45 * time.Minute},
	} {
		t.Run(string(kind), func(t *testing.T) {
			l := newLanes(t)
			l.send("fine")
			l.step(0)
			tries := 0
			l.desk.post = func(p bridge.Post) error {
				if p.Text != "bad" {
					return nil
				}
				tries++
				return failing(kind)
			}
			l.send("bad")
			l.send("good")
			for passed := time.Duration(0); passed < want.span; passed += 5 * time.Second {
				l.step(5 * time.Second)
			}
			if tries != want.tries {
				t.Fatalf("%d tries, want %d", tries, want.tries)
			}
			messages := l.wantStatus(bridge.StatusSent, bridge.StatusFailed, bridge.StatusSent)
			if messages[1].FailCode == "" {
				t.Error("the device is not told why")
			}
			l.wantTexts("fine", "good")
		})
	}
}

func TestWhatIsNobodysFaultWaitsForEver(t *testing.T) {
	for _, kind := range []bridge.DeskErrorKind{bridge.DeskUnavailable, bridge.DeskDenied, bridge.DeskHidden} {
		t.Run(string(kind), func(t *testing.T) {
			l := newLanes(t)
			tries := 0
			l.desk.open = func(bridge.Opening) error { tries++; return failing(kind) }
			l.send("one")
			l.send("two")
			for range 4 * 24 { // two days
				l.step(30 * time.Minute)
			}
			l.wantStatus(bridge.StatusQueued, bridge.StatusQueued)
			if tries < 4*24 {
				t.Fatalf("%d tries in two days", tries)
			}
			l.desk.open = nil
			l.step(10 * time.Minute)
			l.wantStatus(bridge.StatusSent, bridge.StatusSent)
			l.wantTexts("one", "two")
		})
	}
}

func TestAGoneTicketIsReplaced(t *testing.T) {
	l := newLanes(t)
	l.send("one")
	l.step(0)
	l.desk.post = func(bridge.Post) error { return failing(bridge.DeskGone) }
	l.send("two")
	l.step(time.Second)
	l.step(time.Second)
	l.wantStatus(bridge.StatusSent, bridge.StatusSent)
	if l.desk.opened != 2 {
		t.Fatalf("%d tickets were opened", l.desk.opened)
	}
}

// A process that dies in a call leaves the work started; the next one looks
// before it sends.
func TestStartedWorkIsInDoubtAfterACrash(t *testing.T) {
	l := newLanes(t)
	l.send("one")
	claims, err := l.store.ClaimLanes(t.Context(), l.region.Desk, l.now, l.now.Add(time.Minute), 1)
	if err != nil || len(claims) != 1 {
		t.Fatalf("claims %v, %v", claims, err)
	}
	work, err := l.store.Start(t.Context(), claims[0], l.now)
	if err != nil || work.InDoubt() {
		t.Fatalf("work %+v, %v", work, err)
	}
	l.desk.do(work.UUID, work.Text, 7) // and then the power went
	l.step(2 * time.Minute)
	l.wantStatus(bridge.StatusSent)
	l.wantTexts("one")
	if _, err := l.store.Finish(t.Context(), claims[0], bridge.Outcome{Work: work.ID, Sent: &bridge.Sent{Ticket: 8}}, l.now); !errors.Is(err, bridge.ErrClaimLost) {
		t.Fatalf("the dead process came back and wrote: %v", err)
	}
}

func TestTheGroupsRuleMayWantANewTicket(t *testing.T) {
	l := newLanes(t)
	l.send("one")
	l.step(0)
	known, err := l.store.KnownTicket(t.Context(), l.region.Desk, 101)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.store.Record(t.Context(), bridge.Receipt{Chat: known.Chat.ID, State: bridge.TicketClosed, Now: l.now}); err != nil {
		t.Fatal(err)
	}
	l.send("two")
	l.step(time.Second)
	l.step(time.Second)
	l.wantStatus(bridge.StatusSent, bridge.StatusSent)
	if l.desk.opened != 2 {
		t.Fatalf("%d tickets were opened", l.desk.opened)
	}
}

func TestRenewedClaimsHoldAndLostOnesStayLost(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, store *storage.Store) {
		l := newLanesOn(t, store)
		l.send("one")
		ctx := t.Context()
		claims, err := store.ClaimLanes(ctx, l.region.Desk, l.now, l.now.Add(15*time.Second), 1)
		if err != nil || len(claims) != 1 {
			t.Fatalf("claims %v, %v", claims, err)
		}
		l.now = l.now.Add(10 * time.Second)
		if err := store.Renew(ctx, claims, l.now, l.now.Add(15*time.Second)); err != nil {
			t.Fatal(err)
		}
		l.now = l.now.Add(10 * time.Second)
		if taken, err := store.ClaimLanes(ctx, l.region.Desk, l.now, l.now.Add(15*time.Second), 1); err != nil || len(taken) != 0 {
			t.Fatalf("a living pump's lane was taken over: %v, %v", taken, err)
		}
		l.now = l.now.Add(10 * time.Second) // silent for too long
		taken, err := store.ClaimLanes(ctx, l.region.Desk, l.now, l.now.Add(15*time.Second), 1)
		if err != nil || len(taken) != 1 {
			t.Fatalf("a dead pump's lane is not taken over: %v, %v", taken, err)
		}
		if err := store.Renew(ctx, claims, l.now, l.now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Start(ctx, claims[0], l.now); !errors.Is(err, bridge.ErrClaimLost) {
			t.Fatalf("a lost claim came back by being renewed: %v", err)
		}
		if work, err := store.Start(ctx, taken[0], l.now); err != nil || work == nil {
			t.Fatalf("the new claim does not work: %v, %v", work, err)
		}
	})
}
