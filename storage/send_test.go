package storage_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
	"deskbridge/gate"
)

func TestAcceptStoresWhatHistoryReads(t *testing.T) {
	eachWorld(t, func(w *world) {
		const text = "Grüße <b>\n\u200fשלום 👩‍👩‍👧 e\u0301 ﬁ \t ende "
		s := w.submission("a", text)
		s.ClientKey = "key-1"
		a, err := w.Accept(w.ctx, s)
		w.ok(err)
		equal(w, "seq", a.Seq, 1)
		h := w.history("a", 0)
		if d := cmp.Diff(h, a.History); d != "" {
			w.Errorf("the history that Accept gives is another: %s", d)
		}
		want := bridge.Message{
			ID: a.Message.ID, Seq: 1, Chat: h.Chat.ID, UUID: s.UUID, Author: bridge.AuthorUser, Text: text,
			HTML: "Grüße &lt;b&gt;<br>\u200fשלום 👩‍👩‍👧 e\u0301 ﬁ \t ende ", Status: bridge.StatusQueued, ClientKey: "key-1", CreatedAt: start,
		}
		if d := cmp.Diff([]bridge.Message{want}, h.Messages); d != "" {
			w.Fatal(d)
		}
		if d := cmp.Diff(want, a.Message); d != "" {
			w.Fatal(d)
		}
		equal(w, "history's seq", h.Seq, 1)
		equal(w, "alias", h.Chat.Alias, "alias-a")
		equal(w, "device", h.Chat.Device, device("a"))
		equal(w, "all with the second", show(w.send("a", "again").History), show(w.history("a", 0)))
		s = w.submission("a", "news only")
		s.Since = 2
		a, err = w.Accept(w.ctx, s)
		w.ok(err)
		if d := cmp.Diff(w.history("a", 2), a.History); d != "" || len(a.History.Messages) != 1 {
			w.Errorf("since: %s", d)
		}
		s = w.submission("a", "cursor of the future")
		s.Since = 4 // the new message's own; the store was restored from a backup
		a, err = w.Accept(w.ctx, s)
		w.ok(err)
		if !a.History.Anew || len(a.History.Messages) != 4 {
			w.Errorf("since of the future: anew %t, %s", a.History.Anew, show(a.History))
		}
		equal(w, "since", show(w.history("a", 1)), "user:again:queued user:news only:queued user:cursor of the future:queued")
		equal(w, "nothing new", show(w.history("a", 4)), "")
		equal(w, "ahead of the store", show(w.history("a", 99)), "user:"+text+":queued user:again:queued user:news only:queued user:cursor of the future:queued")
		_, err = w.History(w.ctx, w.region, device("b"), 0, w.now)
		w.wants(err, bridge.ErrChatNotFound)
	})
}

func TestAcceptKeys(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.submission("a", "hello")
		s.ClientKey = "k"
		first, err := w.Accept(w.ctx, s)
		w.ok(err)
		s.UUID, s.Now = "other", w.tick()
		again, err := w.Accept(w.ctx, s)
		w.ok(err)
		equal(w, "duplicate", again.Duplicate, true)
		equal(w, "message", again.Message.ID, first.Message.ID)
		equal(w, "seq", again.Seq, first.Seq)
		s.Text = "hello "
		_, err = w.Accept(w.ctx, s)
		w.wants(err, bridge.ErrKeyReused)
		seq, err := w.seq(w.region.ID, device("a"))
		w.ok(err)
		equal(w, "seq", seq, 1)
		other := w.submission("b", "mine")
		other.ClientKey = "k"
		b, err := w.Accept(w.ctx, other)
		w.ok(err)
		equal(w, "another device's key", b.Duplicate, false)
		equal(w, "works", len(w.claims()), 2)
	})
}

func TestAcceptOpensOnlyWithLeave(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.submission("a", "hello")
		s.Admit = nil
		_, err := w.Accept(w.ctx, s)
		w.wants(err, bridge.ErrNotServed)
		_, err = w.History(w.ctx, w.region, device("a"), 0, w.now)
		w.wants(err, bridge.ErrChatNotFound)
		chat := w.send("a", "one").Message.Chat
		s.Text, s.Now = "two", w.tick()
		a, err := w.Accept(w.ctx, s)
		w.ok(err)
		equal(w, "chat", a.Message.Chat, chat)
		s.ForceNew = true
		_, err = w.Accept(w.ctx, s)
		w.wants(err, bridge.ErrNotServed)
		s.ForceNew, s.Now = false, w.now.Add(w.region.Retention())
		_, err = w.Accept(w.ctx, s)
		w.wants(err, bridge.ErrNotServed) // it has expired
		_, err = w.History(w.ctx, w.region, device("a"), 0, s.Now)
		w.wants(err, bridge.ErrChatNotFound)
		s.ForceNew, s.Admit, s.Now = true, func(bridge.Standing) bool { return true }, w.now
		s.UUID = "three"
		a, err = w.Accept(w.ctx, s)
		w.ok(err)
		if a.Message.Chat == chat {
			w.Fatal("force_new went on with the old chat")
		}
		h := w.history("a", 0)
		equal(w, "current chat", h.Chat.ID, a.Message.Chat)
		equal(w, "messages of all chats", show(h), "user:one:queued user:two:queued user:two:queued")
	})
}

func TestTimesRise(t *testing.T) {
	eachWorld(t, func(w *world) {
		for range 5 {
			w.send("a", "same moment")
		}
		w.now = w.now.Add(-time.Hour) // the clock was put back
		w.send("a", "earlier")
		var last time.Time
		for i, m := range w.history("a", 0).Messages {
			if !m.CreatedAt.After(last) {
				w.Fatalf("message %d at %v is not after %v", i, m.CreatedAt, last)
			}
			last = m.CreatedAt
		}
		if most := start.Add(6 * time.Millisecond); last.After(most) {
			w.Fatalf("last message at %v, want at most %v", last, most)
		}
	})
}

func TestConsent(t *testing.T) {
	eachWorld(t, func(w *world) {
		yes, no := true, false
		s := w.submission("a", "")
		s.Consent = &yes
		_, err := w.Accept(w.ctx, s)
		w.wants(err, bridge.ErrChatNotFound)
		var article bridge.ArticleID
		w.send("a", "hello")
		w.deliver(7, &article)
		before := w.history("a", 0).Seq
		a, err := w.Accept(w.ctx, s)
		w.ok(err)
		equal(w, "seq", a.Seq, before+1)
		equal(w, "consent", *w.history("a", 0).Chat.Consent, true)
		c := w.claim()
		work := w.start(c)
		equal(w, "kind", work.Kind, bridge.WorkLabel)
		equal(w, "consent in work", *work.Chat.Consent, true)
		equal(w, "previous", work.Previous, "")
		w.finish(c, bridge.Outcome{Work: work.ID})
		if w.start(c) != nil {
			w.Fatal("there is more work than the label")
		}
		again, err := w.Accept(w.ctx, s)
		w.ok(err)
		equal(w, "the same consent again", again.Seq, a.Seq)
		equal(w, "lanes", len(w.claims()), 0)
		with := w.submission("a", "text and consent")
		with.Consent = &no
		_, err = w.Accept(w.ctx, with)
		w.ok(err)
		equal(w, "consent", *w.history("a", 0).Chat.Consent, false)
	})
}

func TestLanguageChangeRelabelsFirst(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.send("a", "hallo")
		s := w.submission("a", "hello")
		s.Language = "en"
		_, err := w.Accept(w.ctx, s)
		w.ok(err)
		c := w.claim()
		var got []string
		for work := w.start(c); work != nil; work = w.start(c) {
			got = append(got, string(work.Kind)+":"+work.Previous+":"+work.Text)
			w.finish(c, bridge.Outcome{Work: work.ID})
		}
		if d := cmp.Diff([]string{"message::hallo", "label:de:", "message::hello"}, got); d != "" {
			w.Fatal(d)
		}
		equal(w, "language", w.history("a", 0).Chat.Language, "en")
	})
}

func TestStanding(t *testing.T) {
	eachWorld(t, func(w *world) {
		standing := func(at time.Time) bridge.Standing {
			st, err := w.Standing(w.ctx, w.region, device("a"), at)
			w.ok(err)
			return st
		}
		equal(w, "stranger", standing(w.now), bridge.Standing{})
		w.ok(w.SetTesters(w.ctx, w.region.ID, bridge.Tester{Device: device("a"), Override: gate.OverrideOut, SetAt: w.now}))
		equal(w, "tester", standing(w.now), bridge.Standing{Override: gate.OverrideOut})
		w.ok(w.SetTesters(w.ctx, w.region.ID, bridge.Tester{Device: device("a"), Override: gate.OverrideIn, SetAt: w.now}))
		w.send("a", "hello")
		equal(w, "running", standing(w.now), bridge.Standing{Override: gate.OverrideIn, Running: true, Sticky: true})
		equal(w, "expired", standing(w.now.Add(w.region.Retention())), bridge.Standing{Override: gate.OverrideIn, Sticky: true})
	})
}
