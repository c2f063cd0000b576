package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

// What a person may have erased and shown: a test for each sentence of
// docs/client.md and docs/zammad.md about it.

// ask sends a request of the device to a path below its chat, or to another one
// of the API if it begins with a slash.
func (p *phone) ask(method, path, key string, header ...string) (int, []byte) {
	p.w.t.Helper()
	url := p.origin + path
	if !strings.HasPrefix(path, "/") {
		url = p.origin + "/api/v3/" + demoRegion + "/de/chat/" + p.id + "/" + path
	}
	var body io.Reader
	if method == http.MethodPost {
		body, header = strings.NewReader("message=Hallo"), append(header, "Content-Type", "application/x-www-form-urlencoded")
	}
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		p.w.t.Fatal(err)
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		p.w.t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		p.w.t.Fatal(err)
	}
	return answer.StatusCode, raw
}

// erase erases the device and gives the receipt.
func (p *phone) erase(key string) string {
	p.w.t.Helper()
	status, raw := p.ask(http.MethodDelete, "", key)
	var answer struct{ Receipt string }
	if err := json.Unmarshal(raw, &answer); err != nil || status != http.StatusAccepted || len(answer.Receipt) < 40 {
		p.w.t.Fatalf("erasing: %d %s", status, raw)
	}
	return answer.Receipt
}

// report gives what the receipt tells.
func (p *phone) report(receipt string) (state struct{ State, Zammad, Code string }) {
	p.w.t.Helper()
	_, raw := p.ask(http.MethodGet, "/api/v3/"+demoRegion+"/erasures/"+receipt+"/", "")
	if err := json.Unmarshal(raw, &state); err != nil {
		p.w.t.Fatalf("%v: %s", err, raw)
	}
	return state
}

// erased waits until the erasure is done.
func (p *phone) erased(receipt string) {
	p.w.t.Helper()
	waitFor(p.w.t, func() error {
		if got := p.report(receipt); got.State != "done" {
			return fmt.Errorf("the erasure is %+v", got)
		}
		return nil
	})
}

// gone fails if the device still has anything here.
func (p *phone) gone() {
	p.w.t.Helper()
	if status, state := p.do(http.MethodGet, "de", "", nil); status != http.StatusNotFound || state.Code != "chat_not_found" {
		p.w.t.Errorf("after the erasure the device reads %d %+v", status, state)
	}
}

// change changes the region while the bridge runs.
func (w *world) change(change func(*bridge.Region)) {
	w.t.Helper()
	region, ok := w.bridge.app.Regions.BySlug(demoRegion)
	if !ok {
		w.t.Fatal("no region")
	}
	changed := *region
	change(&changed)
	if err := w.bridge.app.Store.SaveRegion(w.t.Context(), &changed); err != nil {
		w.t.Fatal(err)
	}
	if err := w.bridge.app.Regions.Reload(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// notes gives the bodies of a ticket's internal notes.
func (w *world) notes(id zammad.TicketID) (bodies []string) {
	w.t.Helper()
	articles, err := w.admin.Articles.OfTicket(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range articles {
		if a.Internal {
			bodies = append(bodies, a.Body)
		}
	}
	return bodies
}

// nameless fails unless ticket and customer name nobody, the ticket is closed,
// and its agents were told once.
func (w *world) nameless(id zammad.TicketID, alias string) {
	w.t.Helper()
	ticket, err := w.admin.Tickets.Get(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	customer, err := w.admin.Users.Get(w.t.Context(), ticket.CustomerID)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, text := range []string{ticket.Title, customer.Login, customer.Firstname, customer.Lastname} {
		if strings.Contains(text, alias[:6]) {
			w.t.Errorf("%q still has the alias %s", text, alias)
		}
	}
	if ticket.State != "closed" {
		w.t.Errorf("the ticket is %s", ticket.State)
	}
	if notes := w.notes(id); len(notes) != 1 || !strings.Contains(notes[0], "Löschung") {
		w.t.Errorf("the agents were told %q, want one note", notes)
	}
}

// aliasOf waits for a ticket's customer and gives the device's alias.
func (w *world) aliasOf(id zammad.TicketID) string {
	w.t.Helper()
	ticket, err := w.admin.Tickets.Get(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimPrefix(string(ticket.Customer), "app-")
}

func TestAnErasedChatNamesNobody(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p, other := w.phone("phone-1"), w.phone("phone-2")
		p.send("a secret")
		first := w.ticket(1).ID
		w.holds(first, "Customer: a secret")
		w.answer(first, "an answer", false)
		p.sees("user: a secret", "agent: an answer")
		other.send("stays")
		second := w.ticket(2)
		alias := w.aliasOf(first)

		receipt := p.erase("key-1")
		p.gone()
		p.erased(receipt)
		w.nameless(first, alias)
		if again := p.erase("key-1"); again != receipt {
			t.Errorf("the repeated request gets the receipt %s, want %s", again, receipt)
		}
		if status, raw := p.ask(http.MethodDelete, "", "key-2"); status != http.StatusNotFound || !strings.Contains(string(raw), "chat_not_found") {
			t.Errorf("nothing is left to erase, but: %d %s", status, raw)
		}
		if got := p.report(receipt + "x"); got.Code != "receipt_not_found" {
			t.Errorf("an unknown receipt: %+v", got)
		}

		// Late answers bring nothing back and need no second note.
		w.answer(first, "too late", false)
		if err := w.receiveAll(); err != nil {
			t.Fatal(err)
		}
		p.gone()
		if notes := w.notes(first); len(notes) != 1 {
			t.Errorf("notes after a late answer: %q", notes)
		}
		// The other device is untouched, and the erased one may begin anew.
		other.sees("user: stays")
		if ticket := w.ticket(2); ticket.Title != second.Title || ticket.State == "closed" {
			t.Errorf("the other device's ticket is %q, %s", ticket.Title, ticket.State)
		}
		p.send("anew")
		third := w.ticket(3)
		w.holds(third.ID, "Customer: anew")
		p.sees("user: anew")
		if w.aliasOf(third.ID) == alias {
			t.Error("the new chat has the old alias")
		}
	})
}

// receiveAll waits until every stored delivery was looked at.
func (w *world) receiveAll() error {
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		now := time.Now().Add(time.Hour)
		claims, err := w.bridge.app.Store.ClaimDeliveries(context.Background(), "nobody", now.Add(-2*time.Hour), now.Add(-2*time.Hour), 1)
		if err != nil {
			return err
		}
		if len(claims) == 0 {
			return nil
		}
	}
	return fmt.Errorf("deliveries are still waiting")
}

func TestErasingBeforeAnythingWasSent(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		w.line.set(func(*http.Request) fault { return down })
		p := w.phone("phone-1")
		p.send("queued")
		receipt := p.erase("")
		p.gone()
		w.line.set(nil)
		p.erased(receipt)
		if all := w.tickets(); len(all) > 0 {
			t.Errorf("an erased message was sent: %+v", all)
		}
	})
}

// The write is cut off, the device is erased, and only then Zammad does it.
func TestErasingAMessageInDoubt(t *testing.T) {
	for name, answered := range map[string]bool{"the chat's first": false, "in its ticket": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachDatabase(t, func(t *testing.T, w *world) {
				p := w.phone("phone-1")
				if answered {
					p.send("before")
					w.holds(w.ticket(1).ID, "Customer: before")
				}
				before := len(w.line.made())
				w.line.once(lateWork)
				p.send("in doubt")
				waitFor(t, func() error {
					if !slices.ContainsFunc(w.line.made()[before:], func(c string) bool { return strings.HasPrefix(c, "PUT ") || c == "POST /api/v1/tickets" }) {
						return fmt.Errorf("the message is not on its way")
					}
					return nil
				})
				receipt := p.erase("")
				p.gone()
				p.erased(receipt)
				ticket := w.ticket(1)
				articles, err := w.admin.Articles.OfTicket(t.Context(), ticket.ID)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.ContainsFunc(articles, func(a zammad.Article) bool { return a.Body == "in doubt" }) {
					t.Fatal("the message did not arrive late: this tests nothing")
				}
				customer, err := w.admin.Users.Get(t.Context(), ticket.CustomerID)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(customer.Login, "erased-") || customer.Firstname != "Erased" || ticket.Title != "Testland: erased" || ticket.State != "closed" {
					t.Errorf("ticket %q (%s) of %s %s (%s)", ticket.Title, ticket.State, customer.Firstname, customer.Lastname, customer.Login)
				}
				if notes := w.notes(ticket.ID); len(notes) != 1 {
					t.Errorf("notes: %q", notes)
				}
				if all := w.tickets(); len(all) != 1 {
					t.Errorf("%d tickets", len(all))
				}
				p.gone()
			})
		})
	}
}

func (l *line) made() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.calls)
}

func TestErasureWaitsForZammad(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p := w.phone("phone-1")
		p.send("one")
		ticket := w.ticket(1).ID
		w.holds(ticket, "Customer: one")
		waitFor(t, func() error {
			if state := p.read(); state.Messages[0].Status != "sent" {
				return fmt.Errorf("the message is %s", state.Messages[0].Status)
			}
			return nil
		})
		alias := w.aliasOf(ticket)
		w.setState(ticket, "closed")
		w.line.set(func(*http.Request) fault { return down })
		receipt := p.erase("")
		p.gone()
		if got := p.report(receipt); got.State != "pending" || got.Zammad != "anonymise" {
			t.Errorf("while Zammad is away the receipt says %+v", got)
		}
		// The instance ends, and another one takes over what is left.
		w.bridge.stop()
		w.bridge = w.another("two")
		p.origin = w.bridge.origin
		third := w.another("three")
		w.line.once(cutAfter) // each step may be cut off and is done again
		p.erased(receipt)
		w.nameless(ticket, alias)
		p.origin = third.origin
		if got := p.report(receipt); got.State != "done" {
			t.Errorf("another instance says %+v", got)
		}
	})
}

// An agent has merged the chat into the ticket of a person without an app: that
// person keeps name and ticket, and the agents are told.
func TestErasingAMergedChatLeavesOthersAlone(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p := w.phone("phone-1")
		p.send("one")
		source := w.ticket(1)
		w.holds(source.ID, "Customer: one")
		target := w.stranger("somebody")
		w.merge(source.ID, target)
		receipt := p.erase("")
		p.erased(receipt)
		kept, err := w.admin.Tickets.Get(t.Context(), target.ID)
		if err != nil {
			t.Fatal(err)
		}
		if kept.Title != "somebody" || kept.Customer != "somebody" || kept.State == "closed" {
			t.Errorf("the other person's ticket is %q of %s, %s", kept.Title, kept.Customer, kept.State)
		}
		if notes := w.notes(target.ID); len(notes) != 1 {
			t.Errorf("notes: %q", notes)
		}
		user, err := w.admin.Users.Get(t.Context(), source.CustomerID)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(user.Login, "erased-") {
			t.Errorf("the customer is still %s", user.Login)
		}
	})
}

// An agent has merged the chats of two devices: the other one goes on.
func TestErasingOneOfTwoMergedDevices(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		one, two := w.phone("phone-1"), w.phone("phone-2")
		one.send("from one")
		first := w.ticket(1)
		two.send("from two")
		second := w.ticket(2)
		w.answer(first.ID, "to one", false)
		one.sees("user: from one", "agent: to one")
		w.holds(second.ID, "Customer: from two")
		w.merge(first.ID, second)
		waitFor(t, func() error {
			if known, err := w.bridge.app.Store.KnownTicket(t.Context(), 1, bridgeTicket(first.ID)); err == nil {
				return fmt.Errorf("chat %d still has the merged ticket", known.Chat.ID)
			}
			return nil
		})
		one.erased(one.erase(""))
		shell, err := w.admin.Tickets.Get(t.Context(), first.ID)
		if err != nil {
			t.Fatal(err)
		}
		user, err := w.admin.Users.Get(t.Context(), first.CustomerID)
		if err != nil {
			t.Fatal(err)
		}
		if shell.Title != "Testland: erased" || shell.State != "merged" || !strings.HasPrefix(user.Login, "erased-") {
			t.Errorf("the merged ticket is %q, %s, of %s", shell.Title, shell.State, user.Login)
		}
		kept := w.ticket(2)
		if kept.Title != second.Title || kept.State == "closed" || kept.Customer != second.Customer {
			t.Errorf("the other device's ticket is %q, %s, of %s", kept.Title, kept.State, kept.Customer)
		}
		if notes := w.notes(second.ID); len(notes) != 1 || strings.Contains(notes[0], "Antworten in diesem Ticket erreichen die App nicht mehr") {
			t.Errorf("notes: %q", notes)
		}
		w.answer(second.ID, "to two", false)
		two.sees("user: from two", "agent: to two")
		one.gone()
	})
}

func TestErasingByNoteAlone(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		w.change(func(r *bridge.Region) { r.Settings.Erasure = bridge.EraseNote })
		p := w.phone("phone-1")
		p.send("one")
		before := w.ticket(1)
		w.holds(before.ID, "Customer: one")
		p.erased(p.erase(""))
		after := w.ticket(1)
		if after.Title != before.Title || after.State != before.State || after.Customer != before.Customer {
			t.Errorf("the ticket was %q %s of %s and is %q %s of %s", before.Title, before.State, before.Customer, after.Title, after.State, after.Customer)
		}
		if notes := w.notes(before.ID); len(notes) != 1 || !strings.Contains(notes[0], "by your rules") {
			t.Errorf("notes: %q", notes)
		}
		// A late answer gets no second one, although the customer looks like ours.
		w.answer(before.ID, "too late", false)
		if err := w.receiveAll(); err != nil {
			t.Fatal(err)
		}
		if notes := w.notes(before.ID); len(notes) != 1 {
			t.Errorf("notes after a late answer: %q", notes)
		}
	})
}

func TestErasingByDataPrivacyTask(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		w.change(func(r *bridge.Region) {
			r.Settings.Erasure, r.PrivacyToken = bridge.EraseDelete, bridge.Secret(w.access.AdminToken)
		})
		p := w.phone("phone-1")
		p.send("one")
		ticket := w.ticket(1)
		w.holds(ticket.ID, "Customer: one")
		receipt := p.erase("")
		waitFor(t, func() error {
			if tasks, err := w.admin.Erasures.List(t.Context()); err != nil || len(tasks) != 1 || tasks[0].DeletableID != ticket.CustomerID {
				return fmt.Errorf("tasks %+v, %w", tasks, err)
			}
			return nil
		})
		if got := p.report(receipt); got.State != "pending" || got.Zammad != "delete" {
			t.Errorf("the receipt says %+v", got)
		}
	})
}

func TestExportIsWholeAndOnlyOnes(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p, other := w.phone("phone-1"), w.phone("phone-2")
		if status, _ := p.ask(http.MethodGet, "export/", ""); status != http.StatusNotFound {
			t.Errorf("nothing to export: %d", status)
		}
		var want []string
		for i := range 450 { // more than two pages
			text := fmt.Sprintf("text %d", i)
			p.send(text)
			want = append(want, "user: "+text)
		}
		other.send("somebody else's")
		status, raw := p.ask(http.MethodGet, "export/", "")
		var got struct {
			Region   string
			Chats    []struct{ Chat int }
			Messages []struct {
				Chat         int
				Author, Text string
				Status       string
				CreatedAt    time.Time `json:"created_at"`
			}
		}
		if err := json.Unmarshal(raw, &got); err != nil || status != http.StatusOK {
			t.Fatalf("%d %v", status, err)
		}
		var texts []string
		for _, m := range got.Messages {
			texts = append(texts, m.Author+": "+m.Text)
			if m.Chat != 1 || m.Status == "" || m.CreatedAt.IsZero() {
				t.Fatalf("message %+v", m)
			}
		}
		if !slices.Equal(texts, want) || len(got.Chats) != 1 || got.Region != demoRegion {
			t.Errorf("%d messages in %d chats of %s", len(texts), len(got.Chats), got.Region)
		}
		for _, secret := range []string{"somebody else", "ticket_id", "customer", p.id, "\"alias\""} {
			if strings.Contains(string(raw), secret) {
				t.Errorf("the export has %q", secret)
			}
		}
	})
}

// A region that is switched off serves no chat, but nobody has to wait for its
// return to get or erase what is theirs.
func TestARegionThatIsOffStillErases(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p := w.phone("phone-1")
		p.send("Hallo")
		w.holds(w.ticket(1).ID, "Customer: Hallo")
		region, _ := w.bridge.app.Regions.BySlug(demoRegion)
		off := *region
		off.Enabled = false
		if err := w.bridge.app.Store.SaveRegion(t.Context(), &off); err != nil {
			t.Fatal(err)
		}
		if err := w.bridge.app.Regions.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if status, state := p.do(http.MethodGet, "de", "", nil); status != http.StatusServiceUnavailable || state.Code != "chat_disabled" {
			t.Errorf("a region that is off answers %d %+v", status, state)
		}
		if status, raw := p.ask(http.MethodGet, "export/", ""); status != http.StatusOK || !strings.Contains(string(raw), "Hallo") {
			t.Errorf("the export: %d %s", status, raw)
		}
		p.erased(p.erase(""))
	})
}

// What one instance remembers of a chat token locks nobody out of a chat that
// began anew on another one.
func TestAnErasedDeviceBeginsAnewOnAnotherInstance(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		here := w.phone("phone-1")
		there := &phone{w, w.another("two").origin, here.id}
		status, raw := here.ask(http.MethodPost, "", "k", "X-Chat-Token", "new")
		var answer struct {
			ChatToken string `json:"chat_token"`
		}
		if err := json.Unmarshal(raw, &answer); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s", status, raw)
		}
		for range 3 {
			if status, raw = there.ask(http.MethodGet, "", "", "X-Chat-Token", answer.ChatToken); status != http.StatusOK {
				t.Fatalf("%d %s", status, raw)
			}
		}
		if status, raw = there.ask(http.MethodGet, "", ""); status != http.StatusUnauthorized {
			t.Fatalf("with the id alone on the other instance: %d %s", status, raw)
		}
		if status, raw = here.ask(http.MethodDelete, "", "e", "X-Chat-Token", answer.ChatToken); status != http.StatusAccepted {
			t.Fatalf("%d %s", status, raw)
		}
		if status, raw = there.ask(http.MethodPost, "", "k2"); status != http.StatusOK {
			t.Fatalf("anew, without a token: %d %s", status, raw)
		}
		if got := there.read().texts(); !slices.Equal(got, []string{"user: Hallo"}) {
			t.Errorf("%q", got)
		}
	})
}
