package storage_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
)

// conversation is a world in which device a has a chat in ticket 7 with article
// 1 by the user.
func conversation(t *testing.T, test func(w *world)) {
	eachWorld(t, func(w *world) {
		var article bridge.ArticleID
		w.send("a", "question")
		w.deliver(7, &article)
		w.tick()
		test(w)
	})
}

func (w *world) receipt(articles ...bridge.Article) bridge.Receipt {
	return bridge.Receipt{Chat: w.history("a", 0).Chat.ID, State: bridge.TicketOpen, Articles: articles}
}

func TestRecordBringsAnswers(t *testing.T) {
	conversation(t, func(w *world) {
		r := w.receipt(w.agent(2, 7, "answer"))
		changes := w.record(r)
		equal(w, "changes", len(changes), 1)
		h := w.history("a", 2)
		equal(w, "new", show(h), "user:question:seen agent:answer:sent")
		equal(w, "seq", changes[0].Seq, h.Seq)
		equal(w, "name", h.Messages[1].Name, "Ada")
		equal(w, "html", h.Messages[1].HTML, "<p>answer</p>")
		for range 3 { // webhooks repeat
			equal(w, "changes of a repeat", len(w.record(r)), 0)
		}
		if d := cmp.Diff(map[bridge.ArticleID]bool{1: true, 2: true}, w.known(7).Articles); d != "" {
			w.Fatal(d)
		}
	})
}

func TestRecordKeepsToItsTimes(t *testing.T) {
	conversation(t, func(w *world) {
		early, late := w.agent(2, 7, "early"), w.agent(3, 7, "late")
		early.CreatedAt = w.now.Add(-time.Hour)
		late.CreatedAt = w.now.Add(time.Hour)
		w.record(w.receipt(early, late))
		m := w.history("a", 0).Messages
		equal(w, "early", m[1].CreatedAt, m[0].CreatedAt.Add(time.Millisecond))
		equal(w, "late", m[2].CreatedAt, w.now)
	})
}

func TestRecordShowsOnlyWhatIsPublic(t *testing.T) {
	conversation(t, func(w *world) {
		note, copied, trigger := w.agent(2, 7, "note"), w.agent(3, 7, "by the customer"), w.agent(4, 7, "welcome")
		note.Public, copied.FromUser, trigger.Automatic = false, true, true
		foreign := w.agent(5, 7, "of another installation")
		foreign.Header = bridge.MessageUUID("unknown").Header()
		w.record(w.receipt(note, copied, trigger, foreign))
		h := w.history("a", 2)
		equal(w, "shown", show(h), "agent:welcome:sent") // a machine's word is no sign that somebody saw the question
		equal(w, "automatic", h.Messages[0].Automatic, true)
		equal(w, "known articles", len(w.known(7).Articles), 5)
		note.Public = true
		w.record(w.receipt(note))
		equal(w, "made public", show(w.history("a", h.Seq)), "user:question:seen agent:note:sent")
	})
}

func TestRecordTakesBack(t *testing.T) {
	conversation(t, func(w *world) {
		answer := w.agent(2, 7, "answer")
		w.record(w.receipt(answer))
		seq := w.history("a", 0).Seq
		answer.Public = false
		equal(w, "changes", len(w.record(w.receipt(answer))), 1)
		equal(w, "all", show(w.history("a", 0)), "user:question:seen")
		equal(w, "since", show(w.history("a", seq)), "agent::sent:retracted")
		equal(w, "name", w.history("a", seq).Messages[0].Name, "")
		equal(w, "changes of a repeat", len(w.record(w.receipt(answer))), 0)
		answer.Public, answer.Text = true, "better answer"
		w.record(w.receipt(answer))
		equal(w, "back", show(w.history("a", seq)), "agent:better answer:sent")

		whole := w.receipt()
		whole.Complete, whole.CheckedAt = true, w.now
		seq = w.history("a", 0).Seq
		w.record(whole) // all articles were deleted; the user's own message stays
		equal(w, "deleted", show(w.history("a", seq)), "agent::sent:retracted")
		equal(w, "left", show(w.history("a", 0)), "user:question:seen")
		equal(w, "checked at", w.known(7).CheckedAt, w.now)
		equal(w, "changes of a repeat", len(w.record(whole)), 0)
	})
}

func TestCompleteSaysNothingOfOtherTickets(t *testing.T) {
	conversation(t, func(w *world) {
		w.record(w.receipt(w.agent(2, 7, "answer")))
		w.send("a", "again")
		c := w.claim()
		work := w.start(c)
		w.finish(c, bridge.Outcome{Work: work.ID, Retry: &bridge.Retry{Due: w.now, Detach: true}})
		article := bridge.ArticleID(10)
		w.deliver(8, &article)
		r := w.receipt(w.agent(12, 8, "new ticket"))
		r.Complete = true
		w.record(r)
		equal(w, "history", show(w.history("a", 0)), "user:question:seen agent:answer:sent user:again:seen agent:new ticket:sent")
		old := w.receipt(w.agent(2, 7, "answer"))
		old.State, old.CheckedAt = bridge.TicketClosed, w.now
		w.record(old)
		equal(w, "state", w.known(8).Chat.TicketState, bridge.TicketOpen)
	})
}

func TestRecordRecognisesOurOwn(t *testing.T) {
	conversation(t, func(w *world) {
		a := w.send("a", "second")
		c := w.claim()
		w.start(c)
		article := w.agent(2, 7, "second")
		article.Header, article.FromUser = a.Message.UUID.Header(), true
		w.record(w.receipt(article))
		equal(w, "history", show(w.history("a", 0)), "user:question:sent user:second:sent")
		w.now = w.now.Add(time.Minute)
		c = w.claim()
		work := w.start(c)
		equal(w, "in doubt", work.InDoubt(), true)
		w.finish(c, bridge.Outcome{Work: work.ID, Retry: &bridge.Retry{Due: w.now}})
		if work := w.start(w.claim()); work != nil {
			w.Fatalf("a message that is in its ticket is to be sent again: %+v", work)
		}
	})
}

func TestMergeOfTwoDevices(t *testing.T) {
	conversation(t, func(w *world) {
		w.record(w.receipt(w.agent(2, 7, "answer to a")))
		article := bridge.ArticleID(10)
		b := w.send("b", "from b")
		w.deliver(8, &article)
		chatB := b.Message.Chat
		// An agent merges a's ticket 7 into b's ticket 8; the articles move.
		var moved []bridge.Article
		own := w.agent(1, 8, "question")
		own.FromUser, own.Header = true, w.history("a", 0).Messages[0].UUID.Header()
		moved = append(moved, own, w.agent(2, 8, "answer to a"), w.agent(3, 8, "unread answer to a"))
		late := w.agent(4, 8, "a's message that nobody saw")
		late.FromUser, late.Header = true, w.send("a", "x").Message.UUID.Header()
		mine := w.agent(11, 8, "from b")
		mine.FromUser, mine.Header = true, b.Message.UUID.Header()
		moved = append(moved, late, mine, w.agent(12, 8, "answer to b"))
		whole := bridge.Receipt{Chat: chatB, Articles: moved, Complete: true, State: bridge.TicketOpen}
		w.record(whole)
		const want = "user:from b:seen agent:answer to b:sent"
		equal(w, "b", show(w.history("b", 0)), want)
		equal(w, "articles of 8", len(w.known(8).Articles), 6)
		r := w.receipt()
		r.Follow, r.Merged = 8, 7
		w.record(r)
		equal(w, "a's ticket", w.history("a", 0).Chat.Ticket, 0)
		equal(w, "a", show(w.history("a", 0)), "user:question:seen agent:answer to a:sent user:x:queued")
		equal(w, "owner of 8", w.known(8).Chat.ID, chatB)
		equal(w, "changes of a repeat", len(w.record(whole)), 0)
		// Long after, when a is pruned, nothing of a's may appear at b.
		w.now = w.now.Add(time.Hour)
		w.send("b", "later")
		_, _, err := w.Prune(w.ctx, bridge.PruneCutoffs{Regions: map[bridge.RegionID]time.Time{w.region.ID: w.now}}, false)
		w.ok(err)
		w.record(whole)
		equal(w, "b after a is gone", show(w.history("b", 0)), want+" user:later:queued")
	})
}

func TestMergeOfTwoTicketsOfADevice(t *testing.T) {
	conversation(t, func(w *world) {
		w.record(w.receipt(w.agent(2, 7, "answer")))
		older := w.history("a", 0).Chat.ID
		s := w.submission("a", "new chat")
		s.ForceNew = true
		_, err := w.Accept(w.ctx, s)
		w.ok(err)
		article := bridge.ArticleID(10)
		w.deliver(8, &article)
		w.record(bridge.Receipt{Chat: older, Follow: 8, Merged: 7, State: bridge.TicketOpen})
		newer := w.history("a", 0).Chat.ID
		equal(w, "chat of 8", w.known(8).Chat.ID, newer)
		r := w.receipt(w.agent(2, 8, "answer"))
		r.Complete = true
		equal(w, "changes", len(w.record(r)), 0)
		equal(w, "articles", len(w.known(8).Articles), 3)
		gone := r
		gone.Articles = nil // and now it is deleted there
		w.record(gone)
		equal(w, "history", show(w.history("a", 0)), "user:question:seen user:new chat:sent")
		w.record(r)
		equal(w, "history", show(w.history("a", 0)), "user:question:seen agent:answer:sent user:new chat:sent")
		w.now = w.now.Add(time.Hour)
		w.send("a", "later")
		// The older chat is pruned; its answer, still in the ticket, is not news.
		_, _, err = w.Prune(w.ctx, bridge.PruneCutoffs{Regions: map[bridge.RegionID]time.Time{w.region.ID: w.now}}, false)
		w.ok(err)
		w.record(r)
		equal(w, "after the prune", show(w.history("a", 0)), "user:new chat:sent user:later:queued")
	})
}

// Two who read a ticket at once may write in the other order: what was read
// first must not bring back what was taken back since.
func TestAnOlderReadingChangesNothing(t *testing.T) {
	conversation(t, func(w *world) {
		before := w.known(7).CheckedAt
		public := w.receipt(w.agent(2, 7, "answer"))
		public.Complete, public.CheckedAt = true, w.now.Add(time.Second)
		w.record(public)
		internal := w.receipt(w.agent(2, 7, "answer"))
		internal.Articles[0].Public = false
		internal.Complete, internal.CheckedAt = true, w.now.Add(2*time.Second)
		w.record(internal)
		w.record(public)
		for _, m := range w.history("a", 0).Messages {
			if m.Author == bridge.AuthorAgent {
				w.Fatalf("an older reading brought %q back", m.Text)
			}
		}
		late := w.receipt(w.agent(3, 7, "late"))
		late.Known = &before
		_, err := w.Record(w.ctx, late)
		w.wants(err, bridge.ErrTicketRead)
		now := w.known(7).CheckedAt
		late.Known = &now
		w.record(late)
	})
}

func TestFollow(t *testing.T) {
	conversation(t, func(w *world) {
		r := w.receipt(w.agent(2, 7, "answer"))
		r.Follow, r.Merged, r.State, r.CheckedAt = 9, 7, bridge.TicketOpen, w.now
		w.record(r)
		_, err := w.KnownTicket(w.ctx, w.region.Desk, 7)
		w.wants(err, bridge.ErrTicketUnknown)
		k := w.known(9)
		equal(w, "chat", k.Chat.ID, r.Chat)
		equal(w, "checked", k.CheckedAt.IsZero(), true)
		all, err := w.KnownTickets(w.ctx, w.region.Desk, []bridge.TicketID{1, 7, 9})
		w.ok(err)
		equal(w, "known tickets", len(all), 1)
		whole := w.receipt() // in ticket 9 all is deleted
		whole.Complete = true
		w.record(whole)
		equal(w, "history", show(w.history("a", 0)), "user:question:seen")
	})
}

func TestRecordOfAChatThatIsGone(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, err := w.Record(w.ctx, bridge.Receipt{Chat: 99, Now: w.now})
		w.wants(err, bridge.ErrTicketUnknown)
	})
}

func TestMarks(t *testing.T) {
	eachWorld(t, func(w *world) {
		at, err := w.Mark(w.ctx, "reconcile/1")
		w.ok(err)
		equal(w, "fresh", at.IsZero(), true)
		for _, want := range []time.Time{start, start.Add(time.Millisecond)} {
			w.ok(w.SetMark(w.ctx, "reconcile/1", want))
			at, err = w.Mark(w.ctx, "reconcile/1")
			w.ok(err)
			equal(w, "mark", at, want)
		}
		w.ok(w.Ping(w.ctx))
	})
}

func TestChangedSince(t *testing.T) {
	conversation(t, func(w *world) {
		w.send("b", "hello")
		changes, err := w.ChangedSince(w.ctx, w.now)
		w.ok(err)
		if d := cmp.Diff([]bridge.Change{{Region: w.region.ID, Device: device("b"), Seq: 1}}, changes); d != "" {
			w.Fatal(d)
		}
		changes, err = w.ChangedSince(w.ctx, start)
		w.ok(err)
		equal(w, "all", len(changes), 2)
	})
}
