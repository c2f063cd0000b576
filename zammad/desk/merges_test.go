package desk

import (
	"testing"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

func TestAbsorbedTellsWhenTheLastMergeWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b, c := w.open("a").Ticket.ID, w.open("b").Ticket.ID, w.open("c").Ticket.ID
	when := func(id bridge.TicketID) (changed bridge.Ticket) {
		t.Helper()
		ticket, err := w.desk.Ticket(w.ctx, w.region, id)
		w.must(err)
		return ticket
	}
	w.wantCalls("GET /links", func() {
		if at, err := w.desk.Absorbed(w.ctx, w.region, c); err != nil || !at.IsZero() {
			t.Errorf("never merged: %v, %v", at, err)
		}
	})
	w.merge(a, c)
	w.merge(b, c)
	at, err := w.desk.Absorbed(w.ctx, w.region, c)
	w.must(err)
	if want := when(b).ChangedAt; !at.Equal(want) {
		t.Errorf("last merge at %v, want %v", at, want)
	}
	if at, err := w.desk.Absorbed(w.ctx, w.region, a); err != nil || !at.IsZero() {
		t.Errorf("a merged ticket has absorbed none: %v, %v", at, err)
	}
	note := w.note(c, "after the merges")
	if !note.CreatedAt.After(at) {
		t.Fatalf("the simulated clock gives %v after %v", note.CreatedAt, at)
	}
	// A child that is gone may have been merged at any time.
	w.must(w.admin.Tickets.Delete(w.ctx, zammad.TicketID(a)))
	if late, err := w.desk.Absorbed(w.ctx, w.region, c); err != nil || late.Before(at) {
		t.Errorf("with a deleted child: %v, %v", late, err)
	}
}
