package bridge_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"deskbridge/bridge"
)

// openTicket is a desk with one ticket, number 101, whose articles are known.
type openTicket struct {
	bridge.Desk // anything else is a bug of the test

	ticket bridge.Ticket
	inside []bridge.Article
	reads  int
	notes  []bridge.Note
	fails  error // of a note; it is written nevertheless
	now    bridge.TicketState
}

func (d *openTicket) ReadDelivery([]byte) (bridge.Ticket, error) { return d.ticket, nil }

func (d *openTicket) Articles(context.Context, *bridge.Region, bridge.TicketID) ([]bridge.Article, error) {
	d.reads++
	return d.inside, nil
}

func (d *openTicket) Ticket(_ context.Context, _ *bridge.Region, id bridge.TicketID) (bridge.Ticket, error) {
	return bridge.Ticket{ID: id, State: cmp.Or(d.now, bridge.TicketOpen)}, nil
}

func (d *openTicket) Absorbed(context.Context, *bridge.Region, bridge.TicketID) (time.Time, error) {
	return time.Time{}, nil
}

func (d *openTicket) Changed(context.Context, *bridge.Region, time.Time) ([]bridge.Ticket, error) {
	return []bridge.Ticket{d.ticket}, nil
}

func (d *openTicket) Note(_ context.Context, _ *bridge.Region, n bridge.Note) error {
	d.notes = append(d.notes, n)
	d.inside = append(d.inside, bridge.Article{ID: bridge.ArticleID(len(d.inside) + 1), Ticket: n.Ticket, Header: n.UUID.Header()})
	return d.fails
}

// abandoned is a chat that was carried into ticket 101, grew old and was pruned.
// Now an agent answers.
func abandoned(t *testing.T) (*lanes, *openTicket, *bridge.Receiver) {
	t.Helper()
	l := newLanes(t)
	l.send("one")
	l.step(0)
	var header string
	for uuid := range l.desk.articles {
		header = uuid.Header()
	}
	answer := bridge.Article{ID: 2, Ticket: 101, Public: true, Text: "at last"}
	d := &openTicket{
		ticket: bridge.Ticket{ID: 101, State: bridge.TicketOpen, Login: "app-0123456789abcdef", Articles: []bridge.ArticleID{1, 2}, Included: []bridge.Article{answer}},
		inside: []bridge.Article{{ID: 1, Ticket: 101, Header: header, Public: true, FromUser: true, CreatedAt: l.now}, answer},
	}
	l.now = l.now.Add(l.region.Retention() + time.Hour)
	l.prune()
	regions, err := bridge.NewRegions(t.Context(), l.store, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return l, d, bridge.NewReceiver(bridge.ReceiverDeps{
		Tickets: l.store, Desk: d, Regions: regions, Publisher: nobody{}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return l.now },
	})
}

func (l *lanes) prune() {
	l.t.Helper()
	cutoffs := bridge.PruneCutoffs{Regions: map[bridge.RegionID]time.Time{l.region.ID: l.now.Add(-l.region.Retention())}}
	if counts, _, err := l.store.Prune(l.t.Context(), cutoffs, false); err != nil || counts["chats"] != 1 {
		l.t.Fatal(counts, err)
	}
}

// deliver brings a delivery at its last try for an unknown ticket.
func deliver(t *testing.T, l *lanes, r *bridge.Receiver, hint bool) {
	t.Helper()
	outcome, err := r.Deliver(t.Context(), bridge.Delivery{Region: l.region.ID, Attempts: 3, Hint: hint})
	if err != nil || outcome != bridge.DeliveryUnknownTicket {
		t.Fatalf("outcome %q, %v", outcome, err)
	}
}

func TestTheAgentsAreToldOnceThatAChatIsGone(t *testing.T) {
	for name, fails := range map[string]error{"fine": nil, "in doubt": failing(bridge.DeskAmbiguous)} {
		t.Run(name, func(t *testing.T) {
			l, d, r := abandoned(t)
			d.fails = fails
			if _, err := r.Deliver(t.Context(), bridge.Delivery{Region: l.region.ID}); err == nil || d.reads != 0 {
				t.Fatalf("the first try must wait for news of the ticket: %v, %d reads", err, d.reads)
			}
			for range 3 {
				deliver(t, l, r, false)
			}
			if len(d.notes) != 1 || d.reads != 3 {
				t.Fatalf("%d notes, %d reads", len(d.notes), d.reads)
			}
			if d.notes[0].Ticket != 101 || d.notes[0].Text == "" {
				t.Errorf("%+v", d.notes[0])
			}
		})
	}
}

func TestNoteAboutAGoneChatOnlyWhereItIsTrue(t *testing.T) {
	for name, c := range map[string]struct {
		change func(l *lanes, d *openTicket)
		reads  int
	}{
		"somebody else's customer":  {func(_ *lanes, d *openTicket) { d.ticket.Login = "erika" }, 0},
		"no article":                {func(_ *lanes, d *openTicket) { d.ticket.Included = nil }, 0},
		"an internal note":          {func(_ *lanes, d *openTicket) { d.ticket.Included[0].Public = false }, 0},
		"the customer's own words":  {func(_ *lanes, d *openTicket) { d.ticket.Included[0].FromUser = true }, 0},
		"a machine":                 {func(_ *lanes, d *openTicket) { d.ticket.Included[0].Automatic = true }, 0},
		"nothing of ours inside":    {func(_ *lanes, d *openTicket) { d.inside = d.inside[1:] }, 1},
		"not old: it is on its way": {func(l *lanes, d *openTicket) { d.inside[0].CreatedAt = l.now.Add(-time.Minute) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			l, d, r := abandoned(t)
			c.change(l, d)
			deliver(t, l, r, false)
			if len(d.notes) != 0 || d.reads != c.reads {
				t.Errorf("%d notes, %d reads", len(d.notes), d.reads)
			}
		})
	}
	t.Run("a delivery that nobody vouches for", func(t *testing.T) {
		l, d, r := abandoned(t)
		deliver(t, l, r, true)
		if len(d.notes) != 0 || d.reads != 0 {
			t.Errorf("%d notes, %d reads", len(d.notes), d.reads)
		}
	})
}

// A chat that is past its retention but not yet pruned comes back with an answer.
func TestAnAnswerRevivesAnExpiredChat(t *testing.T) {
	l := newLanes(t)
	l.send("one")
	l.step(0)
	l.now = l.now.Add(l.region.Retention() + time.Hour)
	if _, err := l.chats.History(t.Context(), l.region, device, 0); err == nil {
		t.Fatal("the chat is not expired")
	}
	known, err := l.store.KnownTicket(t.Context(), l.region.Desk, 101)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.store.Record(t.Context(), bridge.Receipt{
		Chat: known.Chat.ID, Now: l.now, Articles: []bridge.Article{{ID: 50, Ticket: 101, Public: true, Text: "at last", CreatedAt: l.now}},
	}); err != nil {
		t.Fatal(err)
	}
	h, err := l.chats.History(t.Context(), l.region, device, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(h.Messages[0].Text, ", ", h.Messages[1].Text); got != "one, at last" {
		t.Errorf("the device sees %q", got)
	}
}

// An agent merges the ticket after reconciliation has found it and before it has
// read its articles, which have moved on then: they were not deleted.
func TestAMergeWhileATicketIsReadTakesNothingBack(t *testing.T) {
	l, d, r := abandoned(t)
	l.send("again") // a new chat, in ticket 102
	l.step(0)
	answer := bridge.Article{ID: 61, Ticket: 102, Public: true, Text: "answer", CreatedAt: l.now}
	read := func(shown bool, articles ...bridge.Article) error {
		t.Helper()
		l.now = l.now.Add(time.Minute)
		d.inside = articles
		d.ticket = bridge.Ticket{ID: 102, State: bridge.TicketOpen, ChangedAt: l.now}
		_, err := r.Reconcile(t.Context(), false)
		h, failed := l.chats.History(t.Context(), l.region, device, 0)
		if failed != nil {
			t.Fatal(failed)
		}
		if last := h.Messages[len(h.Messages)-1].Text; (last == "answer") != shown {
			t.Errorf("the last message is %q", last)
		}
		return err
	}
	if err := read(true, answer); err != nil {
		t.Fatal(err)
	}
	d.now = bridge.TicketMerged
	if err := read(true); err == nil {
		t.Error("half of a merge was taken for the whole")
	}
	d.now = bridge.TicketOpen
	if err := read(false); err != nil {
		t.Error(err)
	}
}

// An agent merges the ticket while a message is on its way into it. That it was
// seen in the merged ticket does not mean that it has arrived.
func TestAMessageInAMergedTicketHasNotArrived(t *testing.T) {
	l, d, r := abandoned(t)
	d.ticket = bridge.Ticket{}
	l.send("again") // a new chat, in ticket 102
	l.step(0)
	accepted, err := l.chats.Send(t.Context(), l.region, bridge.Sending{Device: device, Language: "de", Text: "two"})
	if err != nil {
		t.Fatal(err)
	}
	late := bridge.Article{ID: 60, Ticket: 102, Header: accepted.Message.UUID.Header(), Public: true, FromUser: true}
	d.inside = nil
	d.ticket = bridge.Ticket{ID: 102, State: bridge.TicketMerged, Successor: 103, Articles: []bridge.ArticleID{60}, Included: []bridge.Article{late}, ChangedAt: l.now}
	if outcome, err := r.Deliver(t.Context(), bridge.Delivery{Region: l.region.ID}); err != nil || outcome != bridge.DeliveryRelayed {
		t.Fatal(outcome, err)
	}
	l.wantStatus(bridge.StatusSent, bridge.StatusQueued)
	if known, err := l.store.KnownTicket(t.Context(), l.region.Desk, 103); err != nil || known.Chat.ID == 0 {
		t.Fatalf("the chat did not follow: %v", err)
	}
	l.step(time.Second)
	l.wantStatus(bridge.StatusSent, bridge.StatusSent)
	l.wantTexts("one", "again", "two")
}
