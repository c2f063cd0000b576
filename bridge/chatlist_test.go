package bridge_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"deskbridge/bridge"
)

// closingDesk is a desk with one ticket.
type closingDesk struct {
	*scriptedDesk
	ticket bridge.Ticket
	refuse error
	closes int
}

func (d *closingDesk) Ticket(_ context.Context, _ *bridge.Region, id bridge.TicketID) (bridge.Ticket, error) {
	d.ticket.ID = id
	return d.ticket, d.refuse
}

func (d *closingDesk) Close(_ context.Context, _ *bridge.Region, id bridge.TicketID) (bridge.Ticket, error) {
	d.closes++
	d.ticket.State, d.ticket.ChangedAt = bridge.TicketClosed, d.ticket.ChangedAt.Add(time.Second)
	return d.ticket, d.refuse
}

func TestAChatIsClosedByHand(t *testing.T) {
	l := newLanes(t)
	l.send("one")
	l.step(0)
	desk := &closingDesk{l.desk, bridge.Ticket{State: bridge.TicketOpen, ChangedAt: l.now}, nil, 0}
	told := &listener{}
	closer := bridge.NewCloser(bridge.CloserDeps{Store: l.store, Desk: desk, Publisher: told, Now: func() time.Time { return l.now }})
	ctx := bridge.WithActor(t.Context(), bridge.Actor{Kind: bridge.ActorPerson, ID: 7, Name: "ada"})
	entries := func() []bridge.ChatEntry {
		t.Helper()
		all, err := l.store.ChatEntries(ctx, bridge.ChatQuery{Region: l.region.ID, Filter: bridge.ChatsAll, Limit: 10, Now: l.now})
		if err != nil || len(all) != 1 {
			t.Fatalf("%v, %v", all, err)
		}
		return all
	}
	chat := entries()[0].ID

	if err := closer.Close(ctx, &bridge.Region{ID: l.region.ID + 1}, chat); !errors.Is(err, bridge.ErrChatNotFound) {
		t.Errorf("another region's: %v", err)
	}
	desk.ticket.State = bridge.TicketMerged
	if err := closer.Close(ctx, l.region, chat); !errors.Is(err, bridge.ErrTicketRead) {
		t.Errorf("merged: %v", err)
	}
	desk.ticket.State, desk.refuse = bridge.TicketOpen, failing(bridge.DeskUnavailable)
	if err := closer.Close(ctx, l.region, chat); bridge.KindOf(err) != bridge.DeskUnavailable {
		t.Errorf("away: %v", err)
	}
	if desk.closes != 0 || entries()[0].TicketState != bridge.TicketOpen {
		t.Errorf("closed %d times, %+v", desk.closes, entries())
	}
	desk.refuse = nil
	for range 2 { // somebody presses twice
		if err := closer.Close(ctx, l.region, chat); err != nil {
			t.Fatal(err)
		}
	}
	if e := entries()[0]; desk.closes != 1 || e.TicketState != bridge.TicketClosed || !e.WaitingSince.IsZero() || len(told.changes) != 1 {
		t.Errorf("closed %d times, %+v, told %v", desk.closes, e, told.changes)
	}
	audit, err := l.store.Audit(ctx, bridge.AuditQuery{Action: "chat.", Limit: 10})
	if err != nil || len(audit) != 1 || audit[0].Actor.Name != "ada" || audit[0].Region != l.region.ID {
		t.Errorf("%+v, %v", audit, err)
	}
}

type listener struct{ changes []bridge.Change }

func (l *listener) Publish(changes ...bridge.Change) { l.changes = append(l.changes, changes...) }
