package storage_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"deskbridge/bridge"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
)

// waits gives since when people wait, as seconds after the start.
func (w *world) waits() string {
	w.Helper()
	all, err := w.Waits(w.ctx, w.region.ID, time.Time{}, w.now.Add(time.Hour), 100)
	w.ok(err)
	var seconds []string
	for _, wait := range all {
		seconds = append(seconds, fmt.Sprint(wait.Since.Sub(start).Seconds()))
	}
	return strings.Join(seconds, " ")
}

func TestSinceWhenSomebodyWaits(t *testing.T) {
	eachWorld(t, func(w *world) {
		var article bridge.ArticleID
		equal(w, "nobody", w.waits(), "")
		chat := w.send("a", "one").Message.Chat
		w.now = start.Add(10 * time.Second)
		w.send("a", "two")
		equal(w, "queued", w.waits(), "0")
		w.deliver(7, &article)
		equal(w, "sent", w.waits(), "0")

		say := func(state bridge.TicketState, articles ...bridge.Article) {
			w.Helper()
			w.record(bridge.Receipt{Chat: chat, State: state, StateAt: w.tick(), Articles: articles})
		}
		say(bridge.TicketOpen, bridge.Article{ID: 50, Ticket: 7, Public: true, Automatic: true, Text: "a machine", CreatedAt: w.now})
		say(bridge.TicketOpen, bridge.Article{ID: 51, Ticket: 7, Text: "an internal note", CreatedAt: w.now})
		equal(w, "machines and notes are no answer", w.waits(), "0")
		say(bridge.TicketOpen, w.agent(52, 7, "an answer"))
		equal(w, "answered", w.waits(), "")
		say(bridge.TicketOpen, w.agent(53, 7, "one more"))
		equal(w, "answered twice", w.waits(), "")

		// What was still on its way when the answer was written waits on.
		w.now = start.Add(100 * time.Second)
		w.send("a", "three")
		say(bridge.TicketOpen, w.agent(54, 7, "an answer to what was before"))
		equal(w, "still on its way", w.waits(), "100")
		article = 60
		w.deliver(7, &article)
		equal(w, "arrived", w.waits(), "100")

		// Closing decides it, and what was left unanswered stays so.
		say(bridge.TicketClosed)
		equal(w, "closed", w.waits(), "")
		say(bridge.TicketOpen)
		equal(w, "opened again by agents", w.waits(), "")
		say(bridge.TicketClosed)
		w.now = start.Add(200 * time.Second)
		w.send("a", "four")
		equal(w, "written into a closed ticket", w.waits(), "200")
		c := w.claim()
		w.finish(c, bridge.Outcome{Work: w.start(c).ID, Sent: &bridge.Sent{Ticket: 7, State: bridge.TicketOpen, StateAt: w.tick(), Article: 70}})
		w.ok(w.Release(w.ctx, c, w.now))
		equal(w, "opened again by the user", w.waits(), "200")
		w.now = start.Add(210 * time.Second)
		w.send("b", "another device")
		equal(w, "two people", w.waits(), "200 210")
		limited, err := w.Waits(w.ctx, w.region.ID, start.Add(201*time.Second), start.Add(210*time.Second), 1)
		w.ok(err)
		equal(w, "from and until", len(limited), 1)
		none, err := w.Waits(w.ctx, w.region.ID+1, time.Time{}, w.now, 1)
		w.ok(err)
		equal(w, "of another region", len(none), 0)
	})
}

func TestWaitOfAMessageThatFails(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.send("a", "one")
		w.refuse()
		equal(w, "failed", w.waits(), "")
		letters, err := w.Letters(w.ctx, bridge.LetterQuery{Limit: 10})
		w.ok(err)
		w.now = start.Add(30 * time.Second)
		_, err = w.RetryLetters(w.ctx, w.region.ID, []bridge.WorkID{letters[0].ID}, w.now)
		w.ok(err)
		equal(w, "tried again", w.waits(), "0")
		w.send("a", "two")
		c := w.claim()
		w.finish(c, bridge.Outcome{Work: w.start(c).ID, Failed: &bridge.Failed{Code: bridge.FailRefused, Reason: "no"}})
		equal(w, "the other one waits on", w.waits(), "0") // one wait, although its first message failed
	})
}

func TestWaitGoesAlongToANewTicket(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.send("a", "one")
		c := w.claim()
		w.finish(c, bridge.Outcome{Work: w.start(c).ID, Retry: &bridge.Retry{Due: w.now, Detach: true}})
		equal(w, "in the new chat", w.waits(), "0")
		var article bridge.ArticleID
		w.deliver(9, &article)
		chat := w.history("a", 0).Chat.ID
		w.record(bridge.Receipt{Chat: chat, State: bridge.TicketOpen, StateAt: w.tick(), Articles: []bridge.Article{w.agent(50, 9, "an answer")}})
		equal(w, "answered", w.waits(), "")
	})
}

// alert makes an alert of the first wait.
func (w *world) alert() bridge.Alert {
	w.Helper()
	all, err := w.Waits(w.ctx, w.region.ID, time.Time{}, w.now, 1)
	w.ok(err)
	equal(w, "waits", len(all), 1)
	return bridge.Alert{
		Region: w.region.ID, Chat: all[0].Chat, Since: all[0].Since, Key: "key", CreatedAt: w.now,
		Channels: []bridge.AlertChannel{{Kind: bridge.AlertEmail, To: "a@b.example", State: bridge.AlertPending}, {Kind: bridge.AlertNtfy, State: bridge.AlertPending}},
	}
}

func (w *world) claimAlerts() []bridge.Alert {
	w.Helper()
	all, err := w.ClaimAlerts(w.ctx, w.now, w.now.Add(time.Minute), 10)
	w.ok(err)
	return all
}

func TestAlerts(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.send("a", "one")
		alert := w.alert()
		for i, want := range []bool{true, false} {
			added, err := w.AddAlert(w.ctx, alert)
			w.ok(err)
			equal(w, fmt.Sprint("added, time ", i), added, want)
		}
		equal(w, "waits without an alert", w.waits(), "")

		mine := w.claimAlerts()
		equal(w, "claimed", len(mine), 1)
		equal(w, "waiting", mine[0].Waiting, true)
		equal(w, "claimed twice", len(w.claimAlerts()), 0)
		mine[0].Channels[0].State = bridge.AlertSent
		w.ok(w.KeepAlert(w.ctx, mine[0]))

		// The holder dies; another one knows what it has done.
		w.now = w.now.Add(time.Minute)
		others := w.claimAlerts()
		equal(w, "claimed after the claim's end", len(others), 1)
		equal(w, "known", others[0].Channels[0].State, bridge.AlertSent)
		w.wants(w.KeepAlert(w.ctx, mine[0]), bridge.ErrClaimLost)
		w.wants(w.FinishAlert(w.ctx, mine[0], time.Time{}), bridge.ErrClaimLost)
		others[0].Attempts++
		w.ok(w.FinishAlert(w.ctx, others[0], w.now.Add(time.Hour)))
		equal(w, "not due", len(w.claimAlerts()), 0)

		// The ticket is known in the meantime, and somebody answers.
		var article bridge.ArticleID
		w.deliver(7, &article)
		listed, err := w.Alerts(w.ctx, w.region.ID, 10)
		w.ok(err)
		equal(w, "listed", len(listed), 1)
		equal(w, "ticket", listed[0].Ticket, 7)
		equal(w, "attempts", listed[0].Attempts, 1)
		equal(w, "done", listed[0].Done, false)
		w.record(bridge.Receipt{Chat: alert.Chat, State: bridge.TicketOpen, StateAt: w.tick(), Articles: []bridge.Article{w.agent(50, 7, "here")}})
		w.now = w.now.Add(time.Hour)
		last := w.claimAlerts()
		equal(w, "due again", len(last), 1)
		equal(w, "waiting", last[0].Waiting, false)
		last[0].Channels[1].State, last[0].Channels[1].Reason = bridge.AlertFailed, "no"
		w.ok(w.FinishAlert(w.ctx, last[0], time.Time{}))
		listed, err = w.Alerts(w.ctx, w.region.ID, 10)
		w.ok(err)
		equal(w, "done", listed[0].Done, true)
		noted, err := w.Audit(w.ctx, bridge.AuditQuery{Action: "alert.", Limit: 10})
		w.ok(err)
		equal(w, "noted", len(noted), 1)
		equal(w, "subject", noted[0].Subject, "ntfy")

		// A new wait makes a new one, but not one that is answered already.
		w.send("a", "two")
		alert = w.alert()
		article = 60
		w.deliver(7, &article)
		w.record(bridge.Receipt{Chat: alert.Chat, State: bridge.TicketOpen, StateAt: w.tick(), Articles: []bridge.Article{w.agent(70, 7, "here again")}})
		added, err := w.AddAlert(w.ctx, alert)
		w.ok(err)
		equal(w, "added after the answer", added, false)
	})
}

func TestAlertsGo(t *testing.T) {
	eachWorld(t, func(w *world) {
		for _, d := range []string{"a", "b"} {
			w.send(d, "one")
			w.tick()
			_, err := w.AddAlert(w.ctx, w.alert())
			w.ok(err)
		}
		w.ok(w.Erase(w.ctx, w.erasing("a", "receipt")))
		listed, err := w.Alerts(w.ctx, w.region.ID, 10)
		w.ok(err)
		equal(w, "after an erasure", len(listed), 1)
		counts, _, err := w.Prune(w.ctx, bridge.PruneCutoffs{Alerts: w.now.Add(time.Hour)}, false)
		w.ok(err)
		equal(w, "pruned", counts["alerts"], 1)
		w.send("c", "one")
		_, err = w.AddAlert(w.ctx, w.alert())
		w.ok(err)
		w.ok(w.RemoveRegion(w.ctx, w.region.ID))
	})
}

func TestOneAlertWhateverRaces(t *testing.T) {
	eachPair(t, func(w *world, stores [2]*storage.Store) {
		w.send("a", "one")
		alert := w.alert()
		var added, claimed atomic.Int64
		together(w, 16, func(i int) error {
			mine, err := stores[i%2].AddAlert(w.ctx, alert)
			if mine {
				added.Add(1)
			}
			return err
		})
		equal(w, "added", added.Load(), 1)
		together(w, 16, func(i int) error {
			all, err := stores[i%2].ClaimAlerts(w.ctx, w.now, w.now.Add(time.Minute), 10)
			claimed.Add(int64(len(all)))
			return err
		})
		equal(w, "claimed", claimed.Load(), 1)
	})
}

// TestWaitIsThatOfTheMessages: whatever happens, a chat waits exactly if a
// message of the user waits for a person, unless the agents closed it.
func TestWaitIsThatOfTheMessages(t *testing.T) {
	t.Parallel()
	url := storagetest.SQLite(t)
	w, db := newWorld(t, storagetest.OpenURL(t, url)), raw(t, url)
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		d := fmt.Sprint("device", n)
		article := bridge.ArticleID(n * 1000)
		ticket := bridge.TicketID(n)
		w.tick()
		chat := w.send(d, "hello").Message.Chat
		r.Repeat(map[string]func(*rapid.T){
			"send":    func(*rapid.T) { w.tick(); w.send(d, "more") },
			"deliver": func(*rapid.T) { w.tick(); w.deliver(ticket, &article) },
			"reopen": func(*rapid.T) {
				w.record(bridge.Receipt{Chat: chat, State: bridge.TicketOpen, StateAt: w.tick()})
			},
			"answer": func(*rapid.T) {
				if article++; article > bridge.ArticleID(n*1000+1) {
					w.record(bridge.Receipt{Chat: chat, StateAt: w.tick(), Articles: []bridge.Article{w.agent(article, ticket, "answer")}})
				}
			},
			"close": func(*rapid.T) {
				w.record(bridge.Receipt{Chat: chat, State: bridge.TicketClosed, StateAt: w.tick()})
			},
			"": func(r *rapid.T) { checkWait(r, db, int64(chat)) },
		})
	})
}

// checkWait holds waiting_since against the messages.
func checkWait(r *rapid.T, db *sql.DB, chat int64) {
	var (
		since, queued, unanswered int64
		state                     string
	)
	err := errors.Join(
		db.QueryRowContext(context.Background(), "SELECT waiting_since, ticket_state FROM chats WHERE id = ?", chat).Scan(&since, &state),
		db.QueryRowContext(context.Background(), "SELECT COUNT(*) FROM messages WHERE chat_id = ? AND author = 'user' AND status = 'queued'", chat).Scan(&queued),
		db.QueryRowContext(context.Background(), "SELECT COUNT(*) FROM messages WHERE chat_id = ? AND author = 'user' AND status IN ('queued', 'sent')", chat).Scan(&unanswered),
	)
	switch {
	case err != nil:
		r.Fatal(err)
	case queued > 0 && since == 0, since > 0 && unanswered == 0, state == "closed" && queued == 0 && since > 0:
		r.Fatalf("waits since %d with %d queued of %d unanswered, ticket %q", since, queued, unanswered, state)
	}
}

// TestWaitsNeedNoScan: the query that runs every minute is answered by indexes.
func TestWaitsNeedNoScan(t *testing.T) {
	t.Parallel()
	const query = "SELECT c.id, c.waiting_since FROM chats c WHERE c.region_id = 1 AND c.waiting_since >= 1 AND c.waiting_since <= 2" +
		" AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.device_id = c.device_id AND a.waiting_since = c.waiting_since) ORDER BY c.waiting_since LIMIT 20"
	storagetest.EachURL(t, func(t *testing.T, url string) {
		storagetest.OpenURL(t, url)
		db := raw(t, url)
		rows, err := db.QueryContext(t.Context(), map[bool]string{true: "EXPLAIN QUERY PLAN ", false: "EXPLAIN FORMAT=JSON "}[strings.HasPrefix(url, "sqlite")]+query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		names, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		var plan strings.Builder
		for rows.Next() {
			cells := make([]any, len(names))
			for i := range cells {
				cells[i] = new(sql.NullString)
			}
			if err := rows.Scan(cells...); err != nil {
				t.Fatal(err)
			}
			plan.WriteString(cells[len(cells)-1].(*sql.NullString).String + "\n")
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(plan.String(), "chats_waiting") || strings.Contains(plan.String(), "SCAN") || strings.Contains(plan.String(), `"ALL"`) {
			t.Errorf("the plan is\n%s", plan.String())
		}
	})
}
