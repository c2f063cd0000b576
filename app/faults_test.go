package app

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

func bridgeTicket(id zammad.TicketID) bridge.TicketID { return bridge.TicketID(id) }

// Whatever happens to a write on its way, the message is in Zammad once.
func TestEveryMessageArrivesOnce(t *testing.T) {
	for name, happens := range map[string]fault{"web server down": down, "cut before": cutBefore, "cut after": cutAfter, "late": lateWork} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachDatabase(t, func(t *testing.T, w *world) {
				p := w.phone("phone-1")
				w.line.once(happens)
				p.send("first")          // opens the ticket
				ticket := w.ticket(1).ID // what is late has begun before
				w.line.late.Wait()
				w.holds(ticket, "Customer: first")
				w.line.once(happens)
				p.send("second")
				p.send("third")
				w.holds(ticket, "Customer: first", "Customer: second", "Customer: third")
				waitFor(t, func() error {
					for _, m := range p.read().Messages {
						if m.Status != "sent" {
							return fmt.Errorf("%q is %s", m.Text, m.Status)
						}
					}
					return nil
				})
				w.line.late.Wait()
				w.holds(ticket, "Customer: first", "Customer: second", "Customer: third")
				if all := w.tickets(); len(all) != 1 {
					t.Errorf("%d tickets", len(all))
				}
			})
		})
	}
}

func TestAnOutageLosesNothingAndKeepsTheOrder(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		w.line.set(func(*http.Request) fault { return down })
		p := w.phone("phone-1")
		var want []string
		for n := range 20 {
			p.send(fmt.Sprintf("message %d", n))
			want = append(want, fmt.Sprintf("Customer: message %d", n))
		}
		w.line.set(nil)
		w.holds(w.ticket(1).ID, want...)
	})
}

func TestALostWebhookCostsOnlyTime(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p := w.phone("phone-1")
		p.send("question")
		ticket := w.ticket(1).ID
		w.holds(ticket, "Customer: question")
		hooks, err := w.admin.Webhooks.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.admin.Webhooks.Update(t.Context(), hooks[0].ID, zammad.Changes{"active": false}); err != nil {
			t.Fatal(err)
		}
		w.answer(ticket, "nobody is told", false)
		p.sees("user: question", "agent: nobody is told")
	})
}

func TestARestartGoesOnWhereItStopped(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		w.line.set(func(*http.Request) fault { return down })
		p := w.phone("phone-1")
		p.send("one")
		p.send("two")
		w.bridge.stop()
		w.line.set(nil)
		w.bridge = w.another("two")
		p = w.phone("phone-1")
		w.holds(w.ticket(1).ID, "Customer: one", "Customer: two")
		p.sees("user: one", "user: two")
	})
}

func TestTwoInstancesShareTheWork(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		second := w.another("two")
		const devices, messages = 6, 5
		var wg sync.WaitGroup
		for d := range devices {
			wg.Go(func() {
				for n := range messages {
					origin := w.bridge.origin
					if n%2 == 1 {
						origin = second.origin
					}
					p := &phone{w, origin, fmt.Sprintf("phone-%d", d)}
					// The same message at both, as a client that tries again elsewhere.
					fields := url.Values{"message": {fmt.Sprintf("%d", n)}, "client_id": {fmt.Sprintf("key-%d", n)}}
					for range 2 {
						if status, state := p.do(http.MethodPost, "de", "", fields); status != http.StatusOK {
							t.Errorf("device %d, message %d: %d %s", d, n, status, state.Code)
						}
						p.origin = second.origin
					}
				}
			})
		}
		wg.Wait()
		var want []string
		for n := range messages {
			want = append(want, fmt.Sprintf("Customer: %d", n))
		}
		w.ticket(devices)
		for _, ticket := range w.tickets() {
			w.holds(ticket.ID, want...)
		}
		if n := len(w.tickets()); n != devices {
			t.Errorf("%d tickets for %d devices", n, devices)
		}
		// An answer that reaches one instance is seen at the other.
		first := w.tickets()[0]
		w.answer(first.ID, "answer", false)
		waitFor(t, func() error {
			for d := range devices {
				p := &phone{w, second.origin, fmt.Sprintf("phone-%d", d)}
				if texts := p.read().texts(); strings.HasSuffix(texts[len(texts)-1], "agent: answer") {
					return nil
				}
			}
			return fmt.Errorf("no device of the other instance sees the answer")
		})
	})
}
