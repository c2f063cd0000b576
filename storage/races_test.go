package storage_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
)

// eachPair runs a test with two stores on one database, as two instances have
// it.
func eachPair(t *testing.T, test func(w *world, stores [2]*storage.Store)) {
	t.Helper()
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		stores := [2]*storage.Store{storagetest.OpenURL(t, url), storagetest.OpenURL(t, url)}
		test(newWorld(t, stores[0]), stores)
	})
}

// together runs n functions at once and fails with their first error.
func together(t testing.TB, n int, do func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, n)
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-begin
			errs[i] = do(i)
		})
	}
	close(begin)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestManySendAtOnce(t *testing.T) {
	eachPair(t, func(w *world, stores [2]*storage.Store) {
		const senders, each = 64, 5
		together(w, senders, func(i int) error {
			for n := range each {
				s := w.submission(fmt.Sprint("device", i%8), fmt.Sprint(i, "-", n))
				s.ForceNew = false
				if _, err := stores[i%2].Accept(w.ctx, s); err != nil {
					return err
				}
			}
			return nil
		})
		for d := range 8 {
			h := w.history(fmt.Sprint("device", d), 0)
			equal(w, "messages", len(h.Messages), senders/8*each)
			equal(w, "seq", int(h.Seq), len(h.Messages))
			seen := make(map[string]bool)
			for i, m := range h.Messages {
				equal(w, "seq of message", int(m.Seq), i+1)
				equal(w, "chat", m.Chat, h.Chat.ID)
				if i > 0 && !m.CreatedAt.After(h.Messages[i-1].CreatedAt) {
					w.Fatalf("message %d is not younger than the one before", m.ID)
				}
				seen[m.Text] = true
			}
			equal(w, "texts", len(seen), senders/8*each)
		}
		equal(w, "lanes", len(w.claims()), 8)
	})
}

func TestManySendTheSameKey(t *testing.T) {
	eachPair(t, func(w *world, stores [2]*storage.Store) {
		var stored atomic.Int32
		ids := make([]bridge.MessageID, 64)
		together(w, len(ids), func(i int) error {
			s := w.submission("a", "hello")
			s.ClientKey = "one key"
			a, err := stores[i%2].Accept(w.ctx, s)
			if !a.Duplicate {
				stored.Add(1)
			}
			ids[i] = a.Message.ID
			return err
		})
		equal(w, "stored", stored.Load(), 1)
		equal(w, "history", show(w.history("a", 0)), "user:hello:queued")
		for _, id := range ids {
			equal(w, "id", id, ids[0])
		}
	})
}

func TestLanesAreClaimedOnce(t *testing.T) {
	eachPair(t, func(w *world, stores [2]*storage.Store) {
		for i := range 40 {
			w.send(fmt.Sprint("device", i), "hello")
		}
		var mu sync.Mutex
		claimed := make(map[bridge.ChatID]int)
		together(w, 16, func(i int) error {
			for range 4 {
				claims, err := stores[i%2].ClaimLanes(w.ctx, w.region.Desk, w.now, w.now.Add(time.Minute), 3)
				if err != nil {
					return err
				}
				mu.Lock()
				for _, c := range claims {
					claimed[c.Chat]++
				}
				mu.Unlock()
			}
			return nil
		})
		for chat, n := range claimed {
			if n != 1 {
				w.Fatalf("lane %d was claimed %d times", chat, n)
			}
		}
		for _, c := range w.claims() { // what the racers left
			claimed[c.Chat]++
		}
		equal(w, "lanes", len(claimed), 40)
	})
}

// While lanes are emptied, devices go on sending: no message may be left in a
// lane that nobody looks at.
func TestNoWorkIsLeftBehind(t *testing.T) {
	eachPair(t, func(w *world, stores [2]*storage.Store) {
		const senders, each = 6, 15
		var article atomic.Int64
		var sent atomic.Int64
		drain := func(s *storage.Store) error {
			claims, err := s.ClaimLanes(w.ctx, w.region.Desk, w.now, w.now.Add(time.Minute), 100)
			if err != nil {
				return err
			}
			for _, c := range claims {
				for {
					work, err := s.Start(w.ctx, c, w.now)
					if err != nil || work == nil {
						if err != nil {
							return err
						}
						break
					}
					o := bridge.Outcome{Work: work.ID, Sent: &bridge.Sent{
						Ticket: bridge.TicketID(work.Chat.ID), State: bridge.TicketOpen, Article: bridge.ArticleID(article.Add(1)),
					}}
					if _, err := s.Finish(w.ctx, c, o, w.now); err != nil {
						return err
					}
					sent.Add(1)
				}
			}
			return nil
		}
		var sending atomic.Int32
		sending.Store(senders)
		together(w, senders+4, func(i int) error {
			if i < senders {
				defer sending.Add(-1)
				for n := range each {
					if _, err := stores[i%2].Accept(w.ctx, w.submission(fmt.Sprint(i%3), fmt.Sprint(i, n))); err != nil {
						return err
					}
				}
				return nil
			}
			for sending.Load() > 0 {
				if err := drain(stores[i%2]); err != nil {
					return err
				}
			}
			return nil
		})
		w.ok(drain(stores[0]))
		n, err := w.Sweep(w.ctx, w.now, true)
		w.ok(err)
		equal(w, "lanes without a due time", n, 0)
		equal(w, "sent", sent.Load(), senders*each)
	})
}

func TestOneChatWhateverRaces(t *testing.T) {
	eachPair(t, func(w *world, stores [2]*storage.Store) {
		together(w, 32, func(i int) error {
			_, err := stores[i%2].Accept(w.ctx, w.submission("a", fmt.Sprint(i)))
			return err
		})
		counts, err := w.ChatCounts(w.ctx)
		w.ok(err)
		equal(w, "chats", counts[0].Chats, 1)
		equal(w, "messages", counts[0].Messages, 32)
		together(w, 16, func(i int) error {
			s := w.submission("a", fmt.Sprint("new", i))
			s.ForceNew = true
			_, err := stores[i%2].Accept(w.ctx, s)
			return err
		})
		a := w.send("a", "last")
		equal(w, "chat", a.Message.Chat, w.history("a", 0).Chat.ID)
	})
}

func TestReceiptsAndSendsOfOneDevice(t *testing.T) {
	eachPair(t, func(w *world, stores [2]*storage.Store) {
		var article bridge.ArticleID
		w.send("a", "question")
		w.deliver(7, &article)
		chat := w.history("a", 0).Chat.ID
		together(w, 24, func(i int) error {
			s := stores[i%2]
			if i%3 == 0 {
				_, err := s.Accept(w.ctx, w.submission("a", fmt.Sprint("more", i)))
				return err
			}
			// Each article comes from several deliveries at once.
			_, err := s.Record(w.ctx, bridge.Receipt{Chat: chat, Now: w.now, Articles: []bridge.Article{w.agent(bridge.ArticleID(100+i%4), 7, fmt.Sprint("answer", i%4))}})
			return err
		})
		seen, answers := make(map[bridge.Seq]bool), make(map[string]int)
		h := w.history("a", 0)
		for i, m := range h.Messages {
			if seen[m.Seq] || m.Seq > h.Seq {
				w.Fatalf("seq %d of message %d is not its own", m.Seq, m.ID)
			}
			seen[m.Seq] = true
			if m.Author == bridge.AuthorAgent {
				answers[m.Text]++
			}
			if i > 0 && !m.CreatedAt.After(h.Messages[i-1].CreatedAt) {
				w.Fatalf("message %d is not younger than the one before", m.ID)
			}
		}
		equal(w, "messages", len(h.Messages), 1+8+len(answers))
		for text, n := range answers {
			if n != 1 {
				w.Fatalf("%s came %d times", text, n)
			}
		}
	})
}

func TestLeaseHasOneHolder(t *testing.T) {
	eachPair(t, func(w *world, stores [2]*storage.Store) {
		var holders atomic.Int32
		together(w, 16, func(i int) error {
			ours, err := stores[i%2].Lease(w.ctx, "prune", fmt.Sprint(i), w.now, w.now.Add(time.Minute))
			if ours {
				holders.Add(1)
			}
			return err
		})
		equal(w, "holders", holders.Load(), 1)
		later := w.now.Add(time.Minute)
		for _, step := range []struct {
			holder string
			now    time.Time
			want   bool
		}{{"x", w.now, false}, {"x", later, true}, {"x", later, true}, {"y", later, false}} {
			ours, err := w.Lease(w.ctx, "prune", step.holder, step.now, step.now.Add(time.Minute))
			w.ok(err)
			equal(w, "lease of "+step.holder, ours, step.want)
		}
	})
}

// TestAHistoryIsOfOneMoment: whoever reads while others write sees no message
// that is newer than the state of the chat beside it.
func TestAHistoryIsOfOneMoment(t *testing.T) {
	eachPair(t, func(w *world, stores [2]*storage.Store) {
		const writes = 200
		w.send("device", "first")
		written := make(chan struct{})
		together(w, 2, func(i int) error {
			if i == 0 {
				defer close(written)
				for n := range writes {
					s := w.submission("device", fmt.Sprint("message ", n))
					if _, err := stores[0].Accept(w.ctx, s); err != nil {
						return err
					}
				}
				return nil
			}
			for done := false; !done; {
				select {
				case <-written:
					done = true
				default:
				}
				h, err := stores[1].History(w.ctx, w.region, device("device"), 0, w.now)
				if err != nil {
					return err
				}
				for _, m := range h.Messages {
					if m.Seq > h.Seq || int(h.Seq) != len(h.Messages) {
						return fmt.Errorf("at %d there are %d messages, one of %d", h.Seq, len(h.Messages), m.Seq)
					}
				}
			}
			return nil
		})
		equal(w, "messages", len(w.history("device", 0).Messages), writes+1)
	})
}
