package storage_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/gate"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
)

const horizon = 5 * time.Minute

func (w *world) erasing(d, receipt string) bridge.Erasing {
	return bridge.Erasing{
		Region: w.region, Device: device(d), Receipt: bridge.HashReceipt(receipt), Neutral: "erased-x", Horizon: horizon, Now: w.now,
	}
}

func (w *world) report(receipt string) bridge.ErasureReport {
	w.Helper()
	r, err := w.ErasureReport(w.ctx, w.region.ID, bridge.HashReceipt(receipt))
	w.ok(err)
	return r
}

func (w *world) erasures() []bridge.Erasure {
	w.Helper()
	e, err := w.ClaimErasures(w.ctx, w.now, w.now.Add(2*horizon), 10)
	w.ok(err)
	return e
}

func (w *world) exposed(d string) {
	w.Helper()
	w.ok(w.RecordExposures(w.ctx, []bridge.Exposure{{Region: w.region.ID, Device: device(d), Day: "2026-11-23", Served: true, Reason: "bucket", At: w.now}}))
}

// left lists the tables that still have rows, but for what no device owns.
func left(t *testing.T, url string) (tables []string) {
	t.Helper()
	db := raw(t, url)
	for _, table := range []string{"devices", "chats", "messages", "articles", "outbox", "exposures", "testers"} {
		var n int
		if err := db.QueryRow("SELECT COUNT(*) FROM " + table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			tables = append(tables, table)
		}
	}
	return tables
}

func TestEraseLeavesNothingOfTheDevice(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(t, storagetest.OpenURL(t, url))
		w.wants(w.Erase(w.ctx, w.erasing("a", "none")), bridge.ErrChatNotFound)
		// A first chat in a ticket with an answer, a second one with a dead letter,
		// a label, and two messages of which one is being written.
		var article bridge.ArticleID
		w.send("a", "one")
		w.deliver(7, &article)
		w.record(bridge.Receipt{Chat: w.known(7).Chat.ID, State: bridge.TicketOpen, Articles: []bridge.Article{w.agent(9, 7, "answer")}})
		s := w.submission("a", "two")
		s.ForceNew = true
		_, err := w.Accept(w.ctx, s)
		w.ok(err)
		c := w.claim()
		w.finish(c, bridge.Outcome{Work: w.start(c).ID, Failed: &bridge.Failed{Code: "refused", Reason: "no"}})
		w.send("a", "three")
		four := w.submission("a", "four")
		four.Language = "en"
		_, err = w.Accept(w.ctx, four)
		w.ok(err)
		running := w.start(c)
		w.exposed("a")
		w.ok(w.SetTesters(w.ctx, w.region.ID, bridge.Tester{Device: device("a"), Override: gate.OverrideIn, SetAt: w.now}))

		w.ok(w.Erase(w.ctx, w.erasing("a", "r1")))
		if rest := left(t, url); len(rest) > 0 {
			t.Errorf("after the erasure there are rows in %v", rest)
		}
		_, err = w.History(w.ctx, w.region, device("a"), 0, w.now)
		w.wants(err, bridge.ErrChatNotFound)
		// The pump that was at work finds its claim lost.
		_, err = w.Finish(w.ctx, c, bridge.Outcome{Work: running.ID, Sent: &bridge.Sent{Ticket: 8, State: bridge.TicketOpen}}, w.now)
		w.wants(err, bridge.ErrClaimLost)
		// A reading of the ticket that comes late brings nothing back.
		if _, err := w.KnownTicket(w.ctx, w.region.Desk, 7); !errors.Is(err, bridge.ErrTicketUnknown) {
			t.Errorf("the ticket is still known: %v", err)
		}
		letters, err := w.Letters(w.ctx, bridge.LetterQuery{})
		w.ok(err)
		equal(t, "letters", len(letters), 0)

		if got := w.report("r1"); got.State != bridge.ErasurePending || got.Rule != bridge.EraseAnonymise || !got.ErasedAt.Equal(w.now) {
			t.Errorf("%+v", got)
		}
		e := w.erasures()
		equal(t, "erasures", len(e), 1)
		if tr := e[0].Traces; !slices.Equal(tr.Tickets, []bridge.TicketID{7}) || !slices.Equal(tr.Customers, []bridge.CustomerID{3}) || len(tr.Messages) > 1 {
			t.Errorf("traces %+v", tr)
		}
		if e[0].Alias != "alias-a" || e[0].Neutral != "erased-x" || !e[0].SettledAt.Equal(w.now.Add(horizon)) {
			t.Errorf("%+v", e[0])
		}
		equal(t, "erasures that another instance gets", len(w.erasures()), 0)
		// A retried request changes nothing; one with another key finds nothing.
		w.ok(w.Erase(w.ctx, w.erasing("a", "r1")))
		w.wants(w.Erase(w.ctx, w.erasing("a", "r2")), bridge.ErrChatNotFound)

		// A try that fails is due later; a crash gives the erasure back.
		w.ok(w.FinishErasure(w.ctx, e[0], bridge.ErasureOutcome{Due: w.now.Add(time.Minute), Refused: true, Reason: "no"}, w.now))
		w.wants(w.FinishErasure(w.ctx, e[0], bridge.ErasureOutcome{Done: true}, w.now), bridge.ErrClaimLost)
		equal(t, "erasures before they are due", len(w.erasures()), 0)
		w.now = w.now.Add(time.Minute)
		first := w.erasures()
		equal(t, "refusals", first[0].Refusals, 1)
		w.now = w.now.Add(2*horizon + time.Second)
		again := w.erasures()
		equal(t, "erasures after a crash", len(again), 1)
		w.wants(w.FinishErasure(w.ctx, first[0], bridge.ErasureOutcome{Done: true}, w.now), bridge.ErrClaimLost)
		w.ok(w.FinishErasure(w.ctx, again[0], bridge.ErasureOutcome{Done: true}, w.now))
		if got := w.report("r1"); got.State != bridge.ErasureDone || !got.FinishedAt.Equal(w.now) {
			t.Errorf("%+v", got)
		}
		// What is done says nothing of whom it was.
		var row string
		if err := raw(t, url).QueryRow("SELECT CONCAT(alias, neutral, traces, reason) FROM erasures").Scan(&row); err != nil || row != "{}" {
			t.Errorf("of the finished erasure there is %q, %v", row, err)
		}
		_, err = w.ErasureReport(w.ctx, w.region.ID+1, bridge.HashReceipt("r1"))
		w.wants(err, bridge.ErrReceiptUnknown)
	})
}

func TestAFailedErasureIsTriedAgainAndKept(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.region.Settings.Erasure = bridge.EraseDelete
		w.send("a", "one")
		w.ok(w.Erase(w.ctx, w.erasing("a", "r1")))
		for range bridge.TriesErasure {
			e := w.erasures()
			equal(w.T, "erasures", len(e), 1)
			w.ok(w.FinishErasure(w.ctx, e[0], bridge.ErasureOutcome{Due: w.now.Add(time.Second), Refused: true, Reason: "no"}, w.now))
			w.tick()
		}
		if got := w.report("r1"); got.State != bridge.ErasureFailed || got.Rule != bridge.EraseDelete {
			w.Errorf("%+v", got)
		}
		counts, err := w.Unerased(w.ctx)
		w.ok(err)
		equal(w.T, "failed", counts[w.region.ID], bridge.ErasureCounts{Pending: 1, Failed: 1})
		// It outlives every retention; a finished one goes with its own.
		far := w.now.AddDate(1, 0, 0)
		removed, _, err := w.Prune(w.ctx, bridge.PruneCutoffs{Erasures: far}, false)
		w.ok(err)
		equal(w.T, "pruned", removed["erasures"], 0)
		e := w.erasures()
		w.ok(w.FinishErasure(w.ctx, e[0], bridge.ErasureOutcome{Done: true}, w.now))
		removed, _, err = w.Prune(w.ctx, bridge.PruneCutoffs{Erasures: far}, true)
		w.ok(err)
		equal(w.T, "would be pruned", removed["erasures"], 1)
		removed, _, err = w.Prune(w.ctx, bridge.PruneCutoffs{Erasures: far}, false)
		w.ok(err)
		equal(w.T, "pruned", removed["erasures"], 1)
		_, err = w.ErasureReport(w.ctx, w.region.ID, bridge.HashReceipt("r1"))
		w.wants(err, bridge.ErrReceiptUnknown)
		// A region goes with its erasures.
		w.send("b", "one")
		w.ok(w.Erase(w.ctx, w.erasing("b", "r2")))
		w.ok(w.RemoveRegion(w.ctx, w.region.ID))
	})
}

func TestADeviceThatOnlyAskedMayBeErased(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.exposed("a")
		w.exposed("b")
		w.ok(w.Erase(w.ctx, w.erasing("a", "r1")))
		w.wants(w.Erase(w.ctx, w.erasing("a", "r2")), bridge.ErrChatNotFound)
		_, err := w.Export(w.ctx, w.region, device("a"))
		w.wants(err, bridge.ErrChatNotFound)
		export, err := w.Export(w.ctx, w.region, device("b"))
		w.ok(err)
		if len(export.Exposures) != 1 || !export.Exposures[0].Served || export.Exposures[0].Reason != "bucket" {
			w.Errorf("%+v", export)
		}
	})
}

// Two instances send, carry, read and erase the same devices at once, next to a
// device in another region that nobody may touch.
func TestErasingAmidEverything(t *testing.T) {
	eachPair(t, func(w *world, stores [2]*storage.Store) {
		other := w.addRegion("fulda", "https://zammad.example.test")
		here := w.region
		w.region = other
		w.send("d0", "elsewhere")
		w.region = here
		ctx, stop := context.WithTimeout(w.ctx, time.Minute)
		defer stop()
		var ticket bridge.TicketID
		tickets := make(chan bridge.TicketID, 1000)
		for ticket = 1; ticket < 1000; ticket++ {
			tickets <- ticket
		}
		carry := func(s *storage.Store) error {
			claims, err := s.ClaimLanes(ctx, here.Desk, start.Add(time.Hour), start.Add(2*time.Hour), 5)
			if err != nil {
				return err
			}
			for _, c := range claims {
				work, err := s.Start(ctx, c, start.Add(time.Hour))
				if errors.Is(err, bridge.ErrClaimLost) || err == nil && work == nil {
					continue
				}
				if err != nil {
					return err
				}
				o := bridge.Outcome{Work: work.ID}
				if work.Kind == bridge.WorkMessage {
					n := <-tickets
					o.Sent = &bridge.Sent{Ticket: n, State: bridge.TicketOpen, Customer: bridge.CustomerID(n), Article: bridge.ArticleID(n)}
					if work.Chat.Ticket != 0 {
						o.Sent.Ticket = work.Chat.Ticket
					}
				}
				if _, err := s.Finish(ctx, c, o, start.Add(time.Hour)); err != nil && !errors.Is(err, bridge.ErrClaimLost) {
					return err
				}
				if err := s.Release(ctx, c, start); err != nil && !errors.Is(err, bridge.ErrClaimLost) {
					return err
				}
			}
			return nil
		}
		together(w, 12, func(i int) error {
			s := stores[i%2]
			for n := range 12 {
				d := fmt.Sprint("d", (i+n)%3)
				var err error
				switch i % 4 {
				case 0, 1:
					_, err = s.Accept(ctx, w.submission(d, fmt.Sprint(i, "-", n)))
				case 2:
					err = carry(s)
				case 3:
					err = s.Erase(ctx, w.erasing(d, fmt.Sprint(i, "-", n)))
				}
				if err != nil && !errors.Is(err, bridge.ErrChatNotFound) {
					return fmt.Errorf("%d-%d: %w", i, n, err)
				}
			}
			return nil
		})
		for i := range 3 {
			if err := w.Erase(w.ctx, w.erasing(fmt.Sprint("d", i), fmt.Sprint("last", i))); err != nil && !errors.Is(err, bridge.ErrChatNotFound) {
				w.Fatal(err)
			}
		}
		// Every ticket that a chat ever had is in some erasure.
		counts, err := w.ChatCounts(w.ctx)
		w.ok(err)
		for _, c := range counts {
			if want := map[string]int{"fulda": 1}[c.Slug]; c.Messages != want {
				w.Errorf("%s has %d messages, want %d", c.Slug, c.Messages, want)
			}
		}
		w.region = other
		if got := show(w.history("d0", 0)); !strings.Contains(got, "elsewhere") {
			w.Errorf("the other region has %q", got)
		}
	})
}

func TestChatTokens(t *testing.T) {
	eachWorld(t, func(w *world) {
		token := func(d string) bridge.TokenHash {
			w.Helper()
			hash, seq, err := w.Token(w.ctx, w.region, device(d))
			w.ok(err)
			if at, err := w.seq(w.region.ID, device(d)); err != nil || at != seq {
				w.Errorf("the token is of %d, the device at %d", seq, at)
			}
			return hash
		}
		none, one, two := bridge.TokenHash{}, bridge.TokenHash{1}, bridge.TokenHash{2}
		equal(w.T, "token of nobody", token("a"), none)
		s := w.submission("a", "hello")
		s.Token, s.ClientKey = one, "k"
		a, err := w.Accept(w.ctx, s)
		w.ok(err)
		equal(w.T, "answered", a.Token, one)
		equal(w.T, "stored", token("a"), one)
		a, err = w.Accept(w.ctx, s)
		w.ok(err)
		equal(w.T, "repeated", a.Token, one)
		s = w.submission("a", "again")
		s.Token, s.ClientKey = two, "k2"
		_, err = w.Accept(w.ctx, s)
		w.wants(err, bridge.ErrChatToken)
		s.Token = none
		_, err = w.Accept(w.ctx, s) // as by somebody who was let in before there was a token
		w.wants(err, bridge.ErrChatToken)
		s.Proved = two
		_, err = w.Accept(w.ctx, s)
		w.wants(err, bridge.ErrChatToken)
		equal(w.T, "refused messages", show(w.history("a", 0)), "user:hello:queued")
		s.Proved = one
		a, err = w.Accept(w.ctx, s)
		w.ok(err)
		equal(w.T, "left alone", a.Token, one)
		equal(w.T, "stored", token("a"), one)
		equal(w.T, "another device", token("b"), none)
		// A refused opening leaves no token.
		s = w.submission("c", "hello")
		s.Token, s.Admit = one, func(bridge.Standing) bool { return false }
		_, err = w.Accept(w.ctx, s)
		w.wants(err, bridge.ErrNotServed)
		equal(w.T, "not served", token("c"), none)
		// Erasing frees the device.
		w.ok(w.Erase(w.ctx, w.erasing("a", "r")))
		w.send("a", "anew")
		equal(w.T, "after the erasure", token("a"), none)
	})
}

func TestARelayedDeliveryLosesItsWords(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(t, storagetest.OpenURL(t, url))
		_, err := w.StoreDelivery(w.ctx, bridge.Delivery{Region: w.region.ID, Key: "k", Body: []byte(`{"secret":1}`), Received: w.now})
		w.ok(err)
		d, err := w.ClaimDeliveries(w.ctx, "me", w.now, w.now.Add(time.Minute), 1)
		w.ok(err)
		w.ok(w.FinishDelivery(w.ctx, "me", d[0].ID, bridge.DeliveryRelayed, w.now))
		var body []byte
		if err := raw(t, url).QueryRow("SELECT body FROM deliveries").Scan(&body); err != nil || len(body) > 0 {
			t.Errorf("the body is %q, %v", body, err)
		}
		again, err := w.StoreDelivery(w.ctx, bridge.Delivery{Region: w.region.ID, Key: "k", Body: []byte(`{}`), Received: w.now})
		w.ok(err)
		equal(t, "stored again", again, false)
	})
}
