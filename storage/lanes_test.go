package storage_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
)

func TestLaneIsWorkedInOrder(t *testing.T) {
	eachWorld(t, func(w *world) {
		one := w.send("a", "one")
		w.send("a", "two")
		desks, err := w.DueDesks(w.ctx, w.now)
		w.ok(err)
		if d := cmp.Diff([]bridge.DeskID{w.region.Desk}, desks); d != "" {
			w.Fatal(d)
		}
		c := w.claim()
		equal(w, "lanes for others", len(w.claims()), 0)
		work := w.start(c)
		equal(w, "text", work.Text, "one")
		equal(w, "uuid", work.UUID, one.Message.UUID)
		equal(w, "alias", work.Chat.Alias, "alias-a")
		equal(w, "in doubt", work.InDoubt(), false)
		changes := w.finish(c, bridge.Outcome{Work: work.ID, Sent: &bridge.Sent{Ticket: 7, State: bridge.TicketOpen, Customer: 3, Article: 70}})
		if d := cmp.Diff([]bridge.Change{{Region: w.region.ID, Device: device("a"), Seq: 3}}, changes); d != "" {
			w.Fatal(d)
		}
		work = w.start(c)
		equal(w, "text", work.Text, "two")
		equal(w, "ticket", work.Chat.Ticket, 7)
		equal(w, "customer", work.Chat.Customer, 3)
		w.finish(c, bridge.Outcome{Work: work.ID, Failed: &bridge.Failed{Code: "refused", Reason: "no", ErrorID: "E1"}})
		work = w.start(c)
		equal(w, "next", work.Kind, bridge.WorkNote)
		equal(w, "about", work.Message, 2)
		equal(w, "cause", work.Cause, bridge.Failed{Reason: "no", ErrorID: "E1"})
		w.finish(c, bridge.Outcome{Work: work.ID})
		if w.start(c) != nil {
			w.Fatal("the lane is not empty")
		}
		h := w.history("a", 2)
		equal(w, "changed", show(h), "user:one:sent user:two:failed")
		equal(w, "code", h.Messages[1].FailCode, "refused")
		equal(w, "due lanes", len(w.claims()), 0)
		n, err := w.Sweep(w.ctx, w.now, false)
		w.ok(err)
		equal(w, "swept", n, 0)
		w.send("a", "three")
		equal(w, "next", w.start(w.claim()).Text, "three")
	})
}

func TestStartedWorkIsInDoubt(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.send("a", "one")
		c := w.claim()
		began := w.now
		equal(w, "fresh", w.start(c).InDoubt(), false)
		w.now = w.now.Add(2 * time.Minute) // the process died; its lease is over
		c2 := w.claim()
		work := w.start(c2)
		equal(w, "started at", work.StartedAt, began)
		_, err := w.Finish(w.ctx, c, bridge.Outcome{Work: work.ID, Sent: &bridge.Sent{Ticket: 7}}, w.now)
		w.wants(err, bridge.ErrClaimLost)
		_, err = w.Start(w.ctx, c, w.now)
		w.wants(err, bridge.ErrClaimLost)
		w.wants(w.Release(w.ctx, c, w.now), bridge.ErrClaimLost)
		w.finish(c2, bridge.Outcome{Work: work.ID, Retry: &bridge.Retry{Due: w.now, Doubt: true, Attempt: true}})
		c = w.claim()
		work = w.start(c)
		equal(w, "still in doubt since", work.StartedAt, began)
		equal(w, "attempts", work.Attempts, 1)
		w.finish(c, bridge.Outcome{Work: work.ID, Retry: &bridge.Retry{Due: w.now}})
		work = w.start(w.claim())
		equal(w, "in doubt", work.InDoubt(), false)
		equal(w, "attempts", work.Attempts, 1)
		equal(w, "status", show(w.history("a", 0)), "user:one:queued")
	})
}

func TestClaimEndsWithItsLease(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.send("a", "one")
		c := w.claim()
		work := w.start(c)
		w.now = w.now.Add(time.Minute)
		_, err := w.Finish(w.ctx, c, bridge.Outcome{Work: work.ID, Sent: &bridge.Sent{Ticket: 7}}, w.now)
		w.wants(err, bridge.ErrClaimLost)
		equal(w, "status", show(w.history("a", 0)), "user:one:queued")
	})
}

func TestRestingLaneIsNotWoken(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.send("a", "one")
		w.send("b", "other device")
		for _, c := range w.claims() {
			work := w.start(c)
			w.finish(c, bridge.Outcome{Work: work.ID, Retry: &bridge.Retry{Due: w.now.Add(time.Minute), Reason: "down"}})
		}
		w.send("a", "two")
		w.tick()
		equal(w, "due during the rest", len(w.claims()), 0)
		w.now = w.now.Add(time.Minute)
		claims := w.claims()
		equal(w, "due after the rest", len(claims), 2)
		w.ok(w.Release(w.ctx, claims[0], w.now.Add(time.Second)))
		equal(w, "due after the release", len(w.claims()), 0)
		w.tick()
		equal(w, "due later", len(w.claims()), 1)
	})
}

func TestRetryMovesTheChat(t *testing.T) {
	eachWorld(t, func(w *world) {
		var article bridge.ArticleID
		w.send("a", "one")
		w.deliver(7, &article)
		w.send("b", "stranger")
		w.deliver(9, &article)
		for _, step := range []struct {
			name   string
			retry  bridge.Retry
			ticket bridge.TicketID
			state  bridge.TicketState
		}{
			{"state", bridge.Retry{State: bridge.TicketMerged}, 7, bridge.TicketMerged},
			{"detach", bridge.Retry{Detach: true}, 0, bridge.TicketNone},
		} {
			w.send("a", step.name)
			c := w.claim()
			work := w.start(c)
			step.retry.Due = w.now
			w.finish(c, bridge.Outcome{Work: work.ID, Retry: &step.retry})
			chat := w.history("a", 0).Chat
			equal(w, step.name+": ticket", chat.Ticket, step.ticket)
			equal(w, step.name+": state", chat.TicketState, step.state)
		}
		equal(w, "the stranger's ticket", w.known(9).Chat.Device, device("b"))
	})
}

func TestSentIntoATicketOfAnotherChat(t *testing.T) {
	eachWorld(t, func(w *world) {
		var article bridge.ArticleID
		w.send("a", "one")
		w.deliver(7, &article)
		s := w.submission("a", "two")
		s.ForceNew = true
		two, err := w.Accept(w.ctx, s)
		w.ok(err)
		w.deliver(7, &article) // the older chat of the same device loses it
		equal(w, "chat of the ticket", w.known(7).Chat.ID, two.Message.Chat)
		w.send("b", "stranger")
		w.deliver(7, &article)
		equal(w, "device of the ticket", w.known(7).Chat.Device, device("a"))
		equal(w, "stranger's ticket", w.history("b", 0).Chat.Ticket, 0)
		equal(w, "stranger's message", show(w.history("b", 0)), "user:stranger:sent")
	})
}

func TestNoDeskRests(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.region = w.addRegion("fulda", "")
		equal(w, "desk", w.region.Desk, 0)
		w.send("a", "one")
		desks, err := w.DueDesks(w.ctx, w.now)
		w.ok(err)
		equal(w, "desks", len(desks), 0)
		w.region.Settings.ZammadURL = "https://zammad.example.test"
		w.ok(w.SaveRegion(w.ctx, w.region))
		equal(w, "work", w.start(w.claim()).Text, "one")
	})
}

// A ticket's number means another ticket in another Zammad.
func TestAnotherDeskBeginsAnew(t *testing.T) {
	eachWorld(t, func(w *world) {
		var article bridge.ArticleID
		w.send("a", "one")
		w.deliver(7, &article)
		w.send("a", "two")
		c := w.claim()
		work := w.start(c)
		old, stale := w.region.Desk, *w.region
		w.region.Settings.ZammadURL = "https://other.example.test"
		w.ok(w.SaveRegion(w.ctx, w.region))
		if w.region.Desk == old {
			w.Fatal("the region kept its desk")
		}
		_, err := w.Finish(w.ctx, c, bridge.Outcome{Work: work.ID, Sent: &bridge.Sent{Ticket: 7, State: bridge.TicketOpen, Article: 90}}, w.now)
		w.wants(err, bridge.ErrClaimLost)
		_, err = w.KnownTicket(w.ctx, w.region.Desk, 7)
		w.wants(err, bridge.ErrTicketUnknown)
		c = w.claim()
		work = w.start(c)
		equal(w, "ticket", work.Chat.Ticket, 0)
		equal(w, "desk", work.Chat.Desk, w.region.Desk)
		equal(w, "in doubt", work.InDoubt(), true)
		s := w.submission("b", "taken while the change was not yet known everywhere")
		s.Region = &stale
		_, err = w.Accept(w.ctx, s)
		w.ok(err)
		equal(w, "desk of a new chat", w.history("b", 0).Chat.Desk, w.region.Desk)
		w.ok(w.RemoveRegion(w.ctx, w.region.ID))
		_, err = w.Accept(w.ctx, s)
		w.wants(err, bridge.ErrRegionNotFound)
	})
}

// refuse lets the device's next message be set aside and its note be written.
func (w *world) refuse() {
	w.Helper()
	c := w.claim()
	for work := w.start(c); work != nil; work = w.start(c) {
		o := bridge.Outcome{Work: work.ID}
		if work.Kind == bridge.WorkMessage {
			o.Failed = &bridge.Failed{Code: bridge.FailRefused, Reason: "no", ErrorID: "E1"}
		}
		w.finish(c, o)
	}
}

func TestLettersAreListedTriedAgainAndDropped(t *testing.T) {
	eachWorld(t, func(w *world) {
		none, err := w.Letters(w.ctx, bridge.LetterQuery{})
		w.ok(err)
		equal(w, "letters", len(none), 0)
		sentAt := w.now
		one := w.send("a", "one")
		w.tick()
		w.send("a", "two")
		w.refuse()
		letters, err := w.Letters(w.ctx, bridge.LetterQuery{})
		w.ok(err)
		equal(w, "letters", len(letters), 2)
		want := bridge.Letter{
			ID: letters[0].ID, Region: "augsburg", Chat: one.Message.Chat, Kind: bridge.WorkMessage,
			Code: bridge.FailRefused, Reason: "no", ErrorID: "E1", Attempts: 1, SentAt: sentAt,
		}
		if d := cmp.Diff(want, letters[0]); d != "" {
			w.Fatal(d)
		}

		w.send("a", "three") // waits already
		before := w.history("a", 0).Seq
		w.ok(w.retry(letters[0].ID))
		equal(w, "again", show(w.history("a", before)), "user:one:queued")
		equal(w, "code", w.history("a", before).Messages[0].FailCode, "")
		w.wants(w.retry(letters[0].ID), bridge.ErrLetterUnknown)
		w.ok(w.drop(letters[1].ID))
		w.wants(w.drop(letters[1].ID), bridge.ErrLetterUnknown)
		w.wants(w.retry(letters[1].ID), bridge.ErrLetterUnknown)
		letters, err = w.Letters(w.ctx, bridge.LetterQuery{})
		w.ok(err)
		equal(w, "letters", len(letters), 0)

		c := w.claim()
		for _, text := range []string{"three", "one"} { // the letter at the end
			work := w.start(c)
			equal(w, "work", work.Text, text)
			equal(w, "attempts", work.Attempts, 0)
			w.wants(w.retry(work.ID), bridge.ErrLetterUnknown)
			w.finish(c, bridge.Outcome{Work: work.ID, Sent: &bridge.Sent{Ticket: 7, State: bridge.TicketOpen}})
		}
		equal(w, "in the end", show(w.history("a", 0)), "user:one:sent user:two:failed user:three:sent")
	})
}

// A retried message wakes a lane that is empty, and keeps a pause that its desk needs.
func TestARetriedLetterMakesItsLaneDue(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.send("a", "one")
		w.refuse()
		equal(w, "due", len(w.claims()), 0)
		letters, err := w.Letters(w.ctx, bridge.LetterQuery{})
		w.ok(err)
		w.ok(w.retry(letters[0].ID))
		equal(w, "due", len(w.claims()), 1)
	})
}

// What was found in its ticket after all is no letter, and needs no note.
func TestARecognisedMessageIsNoLetter(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.send("a", "one")
		c := w.claim()
		work := w.start(c)
		w.finish(c, bridge.Outcome{Work: work.ID, Sent: &bridge.Sent{Ticket: 7, State: bridge.TicketOpen, Article: 70}})
		two := w.send("a", "two")
		work = w.start(c)
		w.finish(c, bridge.Outcome{Work: work.ID, Failed: &bridge.Failed{Code: bridge.FailRefused}})
		letters, err := w.Letters(w.ctx, bridge.LetterQuery{})
		w.ok(err)
		equal(w, "letters", len(letters), 1)
		_, err = w.Record(w.ctx, bridge.Receipt{Chat: two.Message.Chat, Now: w.now, Articles: []bridge.Article{
			{ID: 71, Ticket: 7, Header: two.Message.UUID.Header(), Public: true, FromUser: true, CreatedAt: w.now},
		}})
		w.ok(err)
		equal(w, "status", show(w.history("a", 0)), "user:one:sent user:two:sent")
		if work := w.start(c); work != nil {
			w.Fatalf("work %+v is left", work)
		}
		left, err := w.Letters(w.ctx, bridge.LetterQuery{})
		w.ok(err)
		equal(w, "letters", len(left), 0)
		w.wants(w.retry(letters[0].ID), bridge.ErrLetterUnknown)
	})
}

// The group's rule wants a new ticket, or the old one is gone: what waits moves
// to a new chat, and what agents write into the old ticket still arrives.
func TestDetachedWorkGetsAChatOfItsOwn(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.send("a", "one")
		c := w.claim()
		work := w.start(c)
		w.finish(c, bridge.Outcome{Work: work.ID, Sent: &bridge.Sent{Ticket: 7, State: bridge.TicketClosed, Customer: 3, Article: 70}})
		bad := w.send("a", "bad")
		work = w.start(c)
		w.finish(c, bridge.Outcome{Work: work.ID, Failed: &bridge.Failed{Code: bridge.FailRefused}}) // its note comes after "two"
		old := bad.Message.Chat
		work = w.start(c)
		equal(w, "kind", work.Kind, bridge.WorkNote)
		w.finish(c, bridge.Outcome{Work: work.ID, Retry: &bridge.Retry{Due: w.tick(), Attempt: true}})
		two := w.submission("a", "two")
		yes := true
		two.Consent = &yes
		_, err := w.Accept(w.ctx, two)
		w.ok(err)
		c = w.claim()
		w.finish(c, bridge.Outcome{Work: w.start(c).ID}) // the note
		work = w.start(c)
		equal(w, "kind", work.Kind, bridge.WorkLabel)
		w.finish(c, bridge.Outcome{Work: work.ID})
		work = w.start(c)
		equal(w, "text", work.Text, "two")
		w.finish(c, bridge.Outcome{Work: work.ID, Retry: &bridge.Retry{Due: w.now, Detach: true}})
		w.send("a", "three")

		c = w.claim()
		for _, text := range []string{"two", "three"} {
			work = w.start(c)
			equal(w, "text", work.Text, text)
			if work.Chat.ID == old || work.Chat.Language != "de" || work.Chat.Consent == nil || !*work.Chat.Consent || work.Chat.Customer != map[string]bridge.CustomerID{"two": 0, "three": 4}[text] {
				w.Fatalf("%s is in the chat %+v", text, work.Chat)
			}
			w.finish(c, bridge.Outcome{Work: work.ID, Sent: &bridge.Sent{Ticket: 8, State: bridge.TicketOpen, Customer: 4}})
		}
		if w.start(c) != nil {
			w.Fatal("work is left")
		}
		equal(w, "lanes", len(w.claims()), 0)
		equal(w, "chat of the old ticket", w.known(7).Chat.ID, old)
		_, err = w.Record(w.ctx, bridge.Receipt{Chat: old, Now: w.now, Articles: []bridge.Article{{ID: 71, Ticket: 7, Public: true, Text: "late", CreatedAt: w.now}}})
		w.ok(err)
		equal(w, "history", show(w.history("a", 0)), "user:one:seen user:bad:failed user:two:sent user:three:sent agent:late:sent")
		equal(w, "current ticket", w.history("a", 0).Chat.Ticket, 8)
	})
}
