package storage_test

import (
	"math"
	"sync/atomic"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/storage"
)

func (w *world) mark(d string, seq bridge.Seq) []bridge.Change {
	w.Helper()
	changes, err := w.MarkRead(w.ctx, w.region, device(d), seq, w.now)
	w.ok(err)
	return changes
}

// TestMarkRead: the mark only goes forward, no further than the newest message,
// belongs to one device of one region, and a repeat is no change.
func TestMarkRead(t *testing.T) {
	eachWorld(t, func(w *world) {
		other := w.addRegion("other", "https://zammad.example.test")
		_, err := w.MarkRead(w.ctx, w.region, device("d1"), 1, w.now)
		w.wants(err, bridge.ErrChatNotFound)
		w.send("d1", "one")
		w.send("d1", "two")
		w.send("d2", "one")
		w.send("d2", "two")
		for _, c := range []struct {
			what      string
			seq       bridge.Seq
			read, now bridge.Seq // the mark and the device's sequence afterwards
		}{
			{"nothing", 0, 0, 2},
			{"the first", 1, 1, 3},
			{"the first again", 1, 1, 3},
			{"back", 0, 1, 3},
			{"what never was", math.MaxInt64, 2, 4},
			{"its own mark", 4, 2, 4}, // else a client that marks what it is told would go on for ever
			{"far back", math.MinInt64, 2, 4},
		} {
			before := w.history("d1", 0).Seq
			changes := w.mark("d1", c.seq)
			h := w.history("d1", 0)
			if h.Read != c.read || h.Seq != c.now {
				w.Fatalf("%s: read %d at %d, want %d at %d", c.what, h.Read, h.Seq, c.read, c.now)
			}
			if moved := h.Seq != before; moved != (len(changes) == 1) || moved && changes[0] != (bridge.Change{Region: w.region.ID, Device: device("d1"), Seq: h.Seq}) {
				w.Fatalf("%s: told %v at %d", c.what, changes, h.Seq)
			}
		}
		equal(t, "mark of the other device", w.history("d2", 0).Read, 0)
		_, err = w.MarkRead(w.ctx, other, device("d1"), 1, w.now)
		w.wants(err, bridge.ErrChatNotFound)

		w.tick()
		equal(t, "mark after a message", w.send("d1", "three").History.Read, 2)
		changed, err := w.ChangedSince(w.ctx, w.tick())
		w.ok(err)
		w.mark("d1", 2) // a repeat
		again, err := w.ChangedSince(w.ctx, w.now)
		w.ok(err)
		if len(changed) != 0 || len(again) != 0 {
			w.Fatalf("a repeat is told to other instances: %v", again)
		}
		w.mark("d1", 9)
		if again, err = w.ChangedSince(w.ctx, w.now); err != nil || len(again) != 1 {
			w.Fatalf("a mark is not told to other instances: %v, %v", again, err)
		}
		w.now = w.now.Add(w.region.Retention() + time.Hour)
		_, err = w.MarkRead(w.ctx, w.region, device("d1"), 9, w.now)
		w.wants(err, bridge.ErrChatNotFound)
	})
}

// TestManyMarkAtOnce: tabs on two instances; the furthest wins, and each change
// of the mark is one of the sequence.
func TestManyMarkAtOnce(t *testing.T) {
	eachPair(t, func(w *world, stores [2]*storage.Store) {
		const n = 30
		for range n {
			w.send("d1", "text")
		}
		var told atomic.Int64
		together(w, 2*n, func(i int) error {
			changes, err := stores[i%2].MarkRead(w.ctx, w.region, device("d1"), bridge.Seq(i/2+1), w.now)
			told.Add(int64(len(changes)))
			return err
		})
		h := w.history("d1", 0)
		equal(t, "mark", h.Read, n)
		equal(t, "sequence", h.Seq, n+bridge.Seq(told.Load()))
		equal(t, "messages", len(h.Messages), n)
	})
}

// TestClosedAndReopenedAreChanges: what the app shows of the ticket's state is
// part of the history; what it does not show is not.
func TestClosedAndReopenedAreChanges(t *testing.T) {
	eachWorld(t, func(w *world) {
		var article bridge.ArticleID
		w.send("d1", "one")
		w.deliver(7, &article)
		chat := w.history("d1", 0).Chat.ID
		seq := w.history("d1", 0).Seq
		step := func(what string, state bridge.TicketState, closed, reopened, news bool, articles ...bridge.Article) {
			w.Helper()
			w.record(bridge.Receipt{Chat: chat, State: state, StateAt: w.tick(), Articles: articles})
			h := w.history("d1", 0)
			if (h.Chat.TicketState == bridge.TicketClosed) != closed || h.Chat.Reopened != reopened || (h.Seq > seq) != news {
				w.Fatalf("%s: %s, reopened %v, seq %d after %d", what, h.Chat.TicketState, h.Chat.Reopened, h.Seq, seq)
			}
			seq = h.Seq
		}
		step("open as before", bridge.TicketOpen, false, false, false)
		step("closed", bridge.TicketClosed, true, false, true)
		step("closed again", bridge.TicketClosed, true, false, false)
		step("a reading without a state", bridge.TicketNone, true, false, false)
		step("reopened", bridge.TicketOpen, false, true, true)
		step("a machine says something", bridge.TicketOpen, false, true, true, bridge.Article{ID: 90, Ticket: 7, Public: true, Automatic: true, Text: "hm", CreatedAt: w.now})
		step("an internal note", bridge.TicketOpen, false, true, false, bridge.Article{ID: 91, Ticket: 7, CreatedAt: w.now})
		step("somebody answers", bridge.TicketOpen, false, false, true, w.agent(92, 7, "there you are"))
		step("closed", bridge.TicketClosed, true, false, true)

		// The user's own message opens it again.
		w.tick()
		w.send("d1", "two")
		if h := w.history("d1", 0); h.Chat.TicketState != bridge.TicketClosed {
			w.Fatalf("open before the desk knows: %+v", h.Chat)
		}
		c := w.claim()
		w.finish(c, bridge.Outcome{Work: w.start(c).ID, Sent: &bridge.Sent{Ticket: 7, State: bridge.TicketOpen, StateAt: w.now, Article: 93}})
		if h := w.history("d1", 0); !h.Chat.Reopened {
			w.Fatalf("the user's message did not reopen: %+v", h.Chat)
		}

		// A new chat is neither, and what becomes of the old one is not seen.
		w.tick()
		fresh := w.submission("d1", "three")
		fresh.ForceNew = true
		accepted, err := w.Accept(w.ctx, fresh)
		w.ok(err)
		h := w.history("d1", 0)
		if h.Chat.Reopened || h.Chat.TicketState != bridge.TicketNone || h.Seq != accepted.Seq || accepted.History.Seq != accepted.Seq {
			w.Fatalf("a new chat: %+v at %d, told as %d", h.Chat, h.Seq, accepted.Seq)
		}
		w.record(bridge.Receipt{Chat: chat, State: bridge.TicketClosed, StateAt: w.tick()})
		equal(t, "sequence after an older chat was closed", w.history("d1", 0).Seq, accepted.Seq)
	})
}

// TestANewTicketForAClosedOneIsAChange: the group's rule wants another ticket,
// so the device's chat is open from now on.
func TestANewTicketForAClosedOneIsAChange(t *testing.T) {
	eachWorld(t, func(w *world) {
		var article bridge.ArticleID
		w.send("d1", "one")
		w.deliver(7, &article)
		chat := w.history("d1", 0).Chat.ID
		w.record(bridge.Receipt{Chat: chat, State: bridge.TicketClosed, StateAt: w.tick()})
		w.tick()
		w.send("d1", "two")
		before := w.history("d1", 0)
		c := w.claim()
		changes := w.finish(c, bridge.Outcome{Work: w.start(c).ID, Retry: &bridge.Retry{Due: w.now, Detach: true}})
		after := w.history("d1", 0)
		if len(changes) != 1 || after.Seq <= before.Seq || after.Chat.ID == chat || after.Chat.TicketState == bridge.TicketClosed || after.Chat.Reopened {
			w.Fatalf("told %v; %+v at %d after %d", changes, after.Chat, after.Seq, before.Seq)
		}
		if !after.Chat.AskedAt.Equal(before.Chat.AskedAt) || before.Chat.AskedAt.IsZero() {
			w.Fatalf("asked at %s, before %s", after.Chat.AskedAt, before.Chat.AskedAt)
		}
	})
}

func TestWhenSomebodyLastWrote(t *testing.T) {
	eachWorld(t, func(w *world) {
		var article bridge.ArticleID
		a := w.send("d1", "one")
		equal(t, "asked, as the POST answers", a.History.Chat.AskedAt, w.now)
		w.deliver(7, &article)
		chat := w.history("d1", 0).Chat
		wants := func(what string, asked, answered time.Time) {
			w.Helper()
			c := w.history("d1", 0).Chat
			if !c.AskedAt.Equal(asked) || !c.AnsweredAt.Equal(answered) {
				w.Fatalf("%s: asked %s, answered %s", what, c.AskedAt, c.AnsweredAt)
			}
		}
		asked := w.now
		w.tick()
		w.record(bridge.Receipt{Chat: chat.ID, Articles: []bridge.Article{{ID: 80, Ticket: 7, CreatedAt: w.now}}})
		wants("an internal note", asked, time.Time{})
		answer := w.agent(81, 7, "hello")
		w.record(bridge.Receipt{Chat: chat.ID, Articles: []bridge.Article{answer}})
		wants("an answer", asked, answer.CreatedAt)
		late := w.agent(82, 7, "lost for a while")
		late.CreatedAt = answer.CreatedAt.Add(-time.Minute)
		w.record(bridge.Receipt{Chat: chat.ID, Articles: []bridge.Article{late}})
		wants("an older answer that came late", asked, answer.CreatedAt)
		w.record(bridge.Receipt{Chat: chat.ID, Articles: []bridge.Article{{ID: 83, Ticket: 7, Public: true, Automatic: true, Text: "a bot", CreatedAt: w.tick()}}})
		wants("a machine's answer", time.Time{}, answer.CreatedAt)
		ahead := w.agent(84, 7, "from a clock that is ahead")
		ahead.CreatedAt = w.now.Add(time.Hour)
		w.record(bridge.Receipt{Chat: chat.ID, Articles: []bridge.Article{ahead}})
		wants("an answer of the future", time.Time{}, w.now)
		w.tick()
		w.send("d1", "two")
		wants("asked again", w.now, w.now.Add(-time.Second))
	})
}

// TestTypingIsClaimedOnce: of two instances that hear the same device, one tells
// the agents, once in a while, and only where there is somebody to tell.
func TestTypingIsClaimedOnce(t *testing.T) {
	eachPair(t, func(w *world, stores [2]*storage.Store) {
		const every = 10 * time.Minute
		claims := func(d string) (n int64) {
			w.Helper()
			var got atomic.Int64
			together(w, 16, func(i int) error {
				ticket, claimed, err := stores[i%2].ClaimTyping(w.ctx, w.region, device(d), w.now, w.now.Add(-every))
				if claimed {
					got.Add(1)
				}
				if claimed && ticket != 7 {
					w.Errorf("the ticket is %d", ticket)
				}
				return err
			})
			return got.Load()
		}
		var article bridge.ArticleID
		equal(t, "without a chat", claims("d1"), 0)
		w.send("d1", "one")
		equal(t, "without a ticket", claims("d1"), 0)
		w.deliver(7, &article)
		chat := w.history("d1", 0).Chat.ID
		seq := w.history("d1", 0).Seq
		equal(t, "of many", claims("d1"), 1)
		w.now = w.now.Add(every - time.Millisecond)
		equal(t, "too soon", claims("d1"), 0)
		w.record(bridge.Receipt{Chat: chat, Articles: []bridge.Article{w.agent(50, 7, "hello")}}) // saves the chat
		equal(t, "too soon after a change of the chat", claims("d1"), 0)
		w.now = w.now.Add(time.Millisecond)
		equal(t, "of many, later", claims("d1"), 1)
		equal(t, "sequence", w.history("d1", 0).Seq, seq+2) // the answer, and the message seen

		w.now = w.now.Add(every)
		w.record(bridge.Receipt{Chat: chat, State: bridge.TicketClosed, StateAt: w.now})
		equal(t, "in a closed ticket", claims("d1"), 0)
		w.record(bridge.Receipt{Chat: chat, State: bridge.TicketOpen, StateAt: w.tick()})
		other := w.addRegion("other", "https://other.example.test")
		if _, claimed, err := w.ClaimTyping(w.ctx, other, device("d1"), w.now, w.now.Add(-every)); claimed || err != nil {
			w.Fatalf("claimed in another region: %v, %v", claimed, err)
		}
		w.now = w.now.Add(w.region.Retention())
		equal(t, "in an expired chat", claims("d1"), 0)
	})
}

// TestAnsweredBeforeItWasKnownToHaveArrived: the outcome of a slow write, or of
// one in doubt, is known after the agent's answer to it.
func TestAnsweredBeforeItWasKnownToHaveArrived(t *testing.T) {
	eachWorld(t, func(w *world) {
		var article bridge.ArticleID
		w.send("d1", "one")
		w.deliver(7, &article)
		chat := w.history("d1", 0).Chat.ID
		w.tick()
		second := w.send("d1", "two").Message
		third := w.send("d1", "three").Message
		fourth := w.send("d1", "four").Message
		c := w.claim()
		work := w.start(c)
		w.record(bridge.Receipt{Chat: chat, Articles: []bridge.Article{w.agent(30, 7, "an answer to two and three")}})
		w.finish(c, bridge.Outcome{Work: work.ID, Sent: &bridge.Sent{Ticket: 7, State: bridge.TicketOpen, Article: 20}})
		w.record(bridge.Receipt{Chat: chat, Articles: []bridge.Article{
			{ID: 21, Ticket: 7, Header: third.UUID.Header(), Public: true, FromUser: true},
			{ID: 31, Ticket: 7, Header: fourth.UUID.Header(), Public: true, FromUser: true},
		}})
		got := map[bridge.MessageID]bridge.Status{}
		for _, m := range w.history("d1", 0).Messages {
			got[m.ID] = m.Status
		}
		equal(t, "the write that ended late", got[second.ID], bridge.StatusSeen)
		equal(t, "the one found in its ticket", got[third.ID], bridge.StatusSeen)
		equal(t, "the one written after the answer", got[fourth.ID], bridge.StatusSent)
	})
}

// TestAnsweredBeforeItWasWritten: an answer that came into the ticket together
// with a message, so that nobody knows yet which article is whose, is older than
// the message and has not seen it.
func TestAnsweredBeforeItWasWritten(t *testing.T) {
	eachWorld(t, func(w *world) {
		var article bridge.ArticleID
		w.send("d1", "one")
		w.deliver(7, &article)
		chat := w.history("d1", 0).Chat.ID
		between := w.tick()
		w.tick()
		second := w.send("d1", "two").Message
		c := w.claim()
		work := w.start(c)
		w.finish(c, bridge.Outcome{Work: work.ID, Sent: &bridge.Sent{Ticket: 7, State: bridge.TicketOpen}})
		status := func() bridge.Status {
			for _, m := range w.history("d1", 0).Messages {
				if m.ID == second.ID {
					return m.Status
				}
			}
			return ""
		}
		earlier, later := w.agent(20, 7, "in between"), w.agent(30, 7, "after it")
		earlier.CreatedAt, later.CreatedAt = between, w.tick()
		w.record(bridge.Receipt{Chat: chat, Articles: []bridge.Article{earlier}})
		equal(t, "after the older answer", status(), bridge.StatusSent)
		w.record(bridge.Receipt{Chat: chat, Articles: []bridge.Article{later}})
		equal(t, "after the newer one", status(), bridge.StatusSeen)
	})
}
