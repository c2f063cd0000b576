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

// A message that met a merge stands in the merged ticket and in the successor:
// the latter counts, though it came later.
func TestFindPrefersATicketThatIsNotMerged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second, uuid := w.open("one"), w.open("two"), newUUID()
	w.must(w.agent.Tickets.Merge(w.ctx, zammad.TicketID(first.Ticket.ID), w.number(second.Ticket.ID)))
	for _, id := range []bridge.TicketID{first.Ticket.ID, second.Ticket.ID} {
		_, err := w.desk.Post(w.ctx, w.region, bridge.Post{UUID: uuid, Text: "late", Ticket: id, Customer: first.Customer})
		w.must(err)
	}
	found, ok, err := w.desk.Find(w.ctx, w.region, uuid)
	w.must(err)
	if !ok || found.Ticket.ID != second.Ticket.ID || found.Ticket.State != bridge.TicketOpen {
		t.Errorf("found %v %+v", ok, found)
	}
}

func (w *world) number(id bridge.TicketID) string {
	w.t.Helper()
	ticket, err := w.agent.Tickets.Get(w.ctx, zammad.TicketID(id))
	w.must(err)
	return ticket.Number
}
