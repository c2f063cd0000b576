package app

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

// What happens to a chat: a test for each sentence of docs/zammad.md that has
// none in scenario_test.go.

// follow sets the chat group's rule for messages to closed tickets.
func (w *world) follow(rule string, days int) {
	w.t.Helper()
	groups, err := w.admin.Groups.List(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, g := range groups {
		if g.Name != w.access.Group {
			continue
		}
		if _, err := w.admin.Groups.Update(w.t.Context(), g.ID, zammad.Changes{"follow_up_possible": rule, "reopen_time_in_days": days}); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	w.t.Fatal("no group")
}

// stateIs waits until a ticket has a state.
func (w *world) stateIs(id zammad.TicketID, want string) {
	w.t.Helper()
	waitFor(w.t, func() error {
		ticket, err := w.admin.Tickets.Get(w.t.Context(), id)
		if err == nil && string(ticket.State) != want {
			err = fmt.Errorf("the ticket is %s, want %s", ticket.State, want)
		}
		return err
	})
}

// knownState waits until the bridge has learned a ticket's state, and has read
// the ticket as it is now: a reading that began before the change and is recorded
// after it would tell the state from before.
func (w *world) knownState(id zammad.TicketID, want bridge.TicketState) {
	w.t.Helper()
	waitFor(w.t, func() error {
		ticket, err := w.admin.Tickets.Get(w.t.Context(), id)
		if err != nil {
			return err
		}
		known, err := w.bridge.app.Store.KnownTicket(w.t.Context(), 1, bridgeTicket(id))
		switch {
		case err != nil:
			return err
		case known.Chat.TicketState != want:
			return fmt.Errorf("the bridge takes the ticket for %s, want %s", known.Chat.TicketState, want)
		case known.CheckedAt.Before(ticket.UpdatedAt):
			return fmt.Errorf("the bridge has read the ticket of %v, it is of %v", known.CheckedAt, ticket.UpdatedAt)
		}
		return nil
	})
}

func TestTheGroupsRuleDecidesAboutClosedTickets(t *testing.T) {
	for name, c := range map[string]struct {
		rule   string
		days   int
		reopen bool
	}{
		"reopen":             {zammad.FollowUpYes, 0, true},
		"new ticket":         {zammad.FollowUpNewTicket, 0, false},
		"within its days":    {zammad.FollowUpForAWhile, 1, true},
		"after all its days": {zammad.FollowUpForAWhile, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachDatabase(t, func(t *testing.T, w *world) {
				w.follow(c.rule, c.days)
				p := w.phone("phone-1")
				p.send("one")
				first := w.ticket(1).ID
				w.holds(first, "Customer: one")
				w.setState(first, "closed")
				w.knownState(first, bridge.TicketClosed)
				p.send("two")
				if c.reopen {
					w.holds(first, "Customer: one", "Customer: two")
					w.stateIs(first, "open")
					return
				}
				second := w.ticket(2)
				w.holds(second.ID, "Customer: two")
				w.holds(first, "Customer: one")
				if second.CustomerID != w.ticket(1).CustomerID {
					t.Error("the new ticket has another customer")
				}
				// What is still said in the old ticket arrives, and so does what comes next.
				w.answer(first, "one more thing", false)
				p.sees("user: one", "user: two", "agent: one more thing")
				w.answer(second.ID, "here we go", false)
				p.sees("user: one", "user: two", "agent: one more thing", "agent: here we go")
				p.send("three")
				w.holds(second.ID, "Customer: two", "Agent: here we go", "Customer: three")
			})
		})
	}
}

// beforeThePut lets something happen in Zammad in the moment before a message
// reaches its ticket.
func (w *world) beforeThePut(happens func()) {
	var once sync.Once
	w.line.set(func(r *http.Request) fault {
		if r.Method == http.MethodPut {
			once.Do(happens)
		}
		return pass
	})
}

// The ticket stays where it was moved to; the bridge gets the right to see it.
func TestARightThatComesBack(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p := w.phone("phone-1")
		p.send("one")
		ticket := w.ticket(1).ID
		w.holds(ticket, "Customer: one")
		if _, err := w.agent.Tickets.Update(t.Context(), ticket, zammad.TicketUpdate{Group: otherGroup}); err != nil {
			t.Fatal(err)
		}
		w.waits(p, "two")
		w.answer(ticket, "from over there", false)
		w.bridgeUser(zammad.Changes{"groups": map[string][]string{w.access.Group: {"full"}, otherGroup: {"read", "create", "change"}}})
		w.holds(ticket, "Customer: one", "Agent: from over there", "Customer: two", "Customer: behind it")
		waitFor(t, func() error { // no trigger looks at that group: it is found by search
			if texts := p.read().texts(); !slices.Contains(texts, "agent: from over there") || len(texts) != 4 {
				return fmt.Errorf("the device sees %q", texts)
			}
			return nil
		})
	})
}

func TestAMessageThatMeetsATicketClosedInTheSameMoment(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		w.follow(zammad.FollowUpNewTicket, 0) // it was written while the ticket was open
		p := w.phone("phone-1")
		p.send("one")
		ticket := w.ticket(1).ID
		w.holds(ticket, "Customer: one")
		w.beforeThePut(func() { w.setState(ticket, "closed") })
		p.send("two")
		w.holds(ticket, "Customer: one", "Customer: two")
		w.stateIs(ticket, "open")
	})
}

// stranger makes a ticket of somebody who has no app.
func (w *world) stranger(login string) zammad.Ticket {
	w.t.Helper()
	ticket, err := w.agent.Tickets.Create(w.t.Context(), zammad.NewTicket{
		Title: login, Group: w.access.Group, Customer: &zammad.Customer{Login: login, Firstname: "Some", Lastname: "Body 1"},
		Article: &zammad.NewArticle{Type: zammad.TypeNote, Body: "by phone"},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return ticket
}

func (w *world) merge(from zammad.TicketID, into zammad.Ticket) {
	w.t.Helper()
	if err := w.agent.Tickets.Merge(w.t.Context(), from, into.Number); err != nil {
		w.t.Error(err)
	}
}

func TestMergesAreFollowedTwiceAndInACircle(t *testing.T) {
	for name, c := range map[string]struct {
		merge func(w *world, first, second, third zammad.Ticket)
		into  int // the ticket that takes the message
	}{
		"twice": {func(w *world, first, second, third zammad.Ticket) {
			w.merge(first.ID, second)
			w.merge(second.ID, third)
		}, 3},
		"there and back": {func(w *world, first, second, _ zammad.Ticket) {
			w.merge(first.ID, second)
			w.setState(first.ID, "open")
			w.merge(second.ID, first)
		}, 1},
	} {
		for when, meanwhile := range map[string]bool{"before": false, "in the same moment": true} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				eachDatabase(t, func(t *testing.T, w *world) {
					p := w.phone("phone-1")
					p.send("one")
					tickets := []zammad.Ticket{w.ticket(1), {}, {}}
					w.holds(tickets[0].ID, "Customer: one")
					tickets[1], tickets[2] = w.stranger("second"), w.stranger("third")
					happens := func() { c.merge(w, tickets[0], tickets[1], tickets[2]) }
					if meanwhile {
						w.beforeThePut(happens)
					} else {
						happens()
					}
					p.send("two")
					w.answer(w.arrived("two", tickets[c.into-1].ID), "answer", false)
					p.sees("user: one", "user: two", "agent: answer")
				})
			})
		}
	}
}

// arrived waits until a message is in a ticket, once, and nowhere else but in
// tickets that were merged: what met a merge in the same moment stays there too.
// It gives the ticket.
func (w *world) arrived(text string, ticket zammad.TicketID) zammad.TicketID {
	w.t.Helper()
	waitFor(w.t, func() error {
		var in []zammad.TicketID
		for _, t := range w.tickets() {
			if t.State == "merged" {
				continue
			}
			articles, err := w.admin.Articles.OfTicket(w.t.Context(), t.ID)
			if err != nil {
				return err
			}
			for _, a := range articles {
				if a.Body == text {
					in = append(in, t.ID)
				}
			}
		}
		if len(in) != 1 || in[0] != ticket {
			return fmt.Errorf("%q is in the tickets %v, want %d", text, in, ticket)
		}
		return nil
	})
	return ticket
}

func TestACustomerMayBeRenamedOrErased(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p := w.phone("phone-1")
		p.send("one")
		first := w.ticket(1)
		w.holds(first.ID, "Customer: one")
		if _, err := w.admin.Users.Update(t.Context(), first.CustomerID, zammad.Changes{"login": "erika", "firstname": "Erika"}); err != nil {
			t.Fatal(err)
		}
		p.send("two")
		w.holds(first.ID, "Customer: one", "Customer: two")
		if status, _ := p.do(http.MethodPost, "de", "", map[string][]string{"message": {"three"}, "force_new": {"true"}}); status != http.StatusOK {
			t.Fatal(status)
		}
		second := w.ticket(2)
		w.holds(second.ID, "Customer: three")
		if second.CustomerID == first.CustomerID {
			t.Error("the login was changed, and yet it was found")
		}
		// Erased with all tickets, as by a data privacy task.
		if err := w.admin.Tickets.Delete(t.Context(), second.ID); err != nil {
			t.Fatal(err)
		}
		if err := w.admin.Users.Delete(t.Context(), second.CustomerID); err != nil {
			t.Fatal(err)
		}
		p.send("four")
		waitFor(t, func() error {
			all := w.tickets()
			if last := all[len(all)-1]; last.ID == second.ID || last.ID == first.ID {
				return fmt.Errorf("no new ticket yet")
			}
			return nil
		})
		w.holds(w.ticket(2).ID, "Customer: four")
		p.sees("user: one", "user: two", "user: three", "user: four")
	})
}

// tried waits until the bridge has asked Zammad in vain since n calls.
func (w *world) tried(calls int) {
	w.t.Helper()
	waitFor(w.t, func() error {
		w.line.mu.Lock()
		defer w.line.mu.Unlock()
		for _, call := range w.line.calls[calls:] {
			if strings.HasPrefix(call, "POST ") && strings.HasSuffix(call, "/tickets") || strings.HasPrefix(call, "PUT ") {
				return nil
			}
		}
		return fmt.Errorf("it was not tried")
	})
}

func (w *world) callsSoFar() int {
	w.line.mu.Lock()
	defer w.line.mu.Unlock()
	return len(w.line.calls)
}

// setting changes one of Zammad's settings.
func (w *world) setting(name string, value any) {
	w.t.Helper()
	settings, err := w.admin.Settings.List(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range settings {
		if s.Name == name {
			if _, err := w.admin.Settings.Update(w.t.Context(), s.ID, zammad.Changes{"state_current": zammad.SettingValue{Value: value}}); err != nil {
				w.t.Fatal(err)
			}
			return
		}
	}
	w.t.Fatalf("no setting %s", name)
}

// bridgeUser changes Deskbridge's user in Zammad.
func (w *world) bridgeUser(changes zammad.Changes) {
	w.t.Helper()
	found, err := w.admin.Users.Search(w.t.Context(), bridgeLogin, 10)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, user := range found {
		if string(user.Login) != bridgeLogin {
			continue
		}
		if _, err := w.admin.Users.Update(w.t.Context(), user.ID, changes); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	w.t.Fatal("no such user")
}

// Revoked, expired and switched-off tokens and maintenance are nobody's
// message's fault: it waits.
func TestMessagesWaitWhileZammadLetsNobodyIn(t *testing.T) {
	for name, toggle := range map[string]func(w *world, out bool){
		"maintenance":         func(w *world, out bool) { w.setting("maintenance_mode", out) },
		"user inactive":       func(w *world, out bool) { w.bridgeUser(zammad.Changes{"active": !out}) },
		"tokens switched off": func(w *world, out bool) { w.setting("api_token_access", !out) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachDatabase(t, func(t *testing.T, w *world) {
				p := w.phone("phone-1")
				p.send("one")
				ticket := w.ticket(1).ID
				w.holds(ticket, "Customer: one")
				toggle(w, true)
				w.waits(p, "two")
				toggle(w, false)
				w.holds(ticket, "Customer: one", "Customer: two", "Customer: behind it")
			})
		})
	}
	t.Run("token revoked, and a new one given", func(t *testing.T) {
		t.Parallel()
		eachDatabase(t, func(t *testing.T, w *world) {
			p := w.phone("phone-1")
			p.send("one")
			ticket := w.ticket(1).ID
			w.holds(ticket, "Customer: one")
			giveToken(t, w, "revoked")
			w.waits(p, "two")
			giveToken(t, w, w.access.BridgeToken)
			w.holds(ticket, "Customer: one", "Customer: two", "Customer: behind it")
		})
	})
}

// waits sends two messages that must stay queued although they were tried.
func (w *world) waits(p *phone, text string) {
	w.t.Helper()
	before := w.callsSoFar()
	p.send(text)
	w.tried(before)
	p.send("behind it")
	for _, m := range p.read().Messages[1:] {
		if m.Status != "queued" {
			w.t.Errorf("%q is %s", m.Text, m.Status)
		}
	}
}

func giveToken(t *testing.T, w *world, token string) {
	t.Helper()
	region, ok := w.bridge.app.Regions.BySlug(demoRegion)
	if !ok {
		t.Fatal("no region")
	}
	changed := *region
	changed.ZammadToken = bridge.Secret(token)
	if err := w.bridge.app.Store.SaveRegion(t.Context(), &changed); err != nil {
		t.Fatal(err)
	}
	if err := w.bridge.app.Regions.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// rig is an installation in front of a real (simulated) Zammad whose pump runs
// by hand, with a clock that the test moves: giving up takes a quarter of an hour.
type rig struct {
	*world
	app    *App
	region *bridge.Region
	pump   *bridge.Pump
	device bridge.DeviceHash
	ahead  time.Duration
}

func newRig(t *testing.T, w *world) *rig {
	t.Helper()
	w.bridge.stop()
	r := &rig{world: w, app: w.open("by-hand"), device: bridge.DeviceHash{1}}
	t.Cleanup(func() {
		if err := r.app.Close(); err != nil {
			t.Error(err)
		}
	})
	r.region, _ = r.app.Regions.BySlug(demoRegion)
	r.pump = bridge.NewPump(bridge.PumpDeps{
		Lanes: r.app.Store, Desk: r.app.Desk, Regions: r.app.Regions, Receiver: r.app.receiver,
		Publisher: r.app.watermarks, Log: r.app.log, Now: func() time.Time { return time.Now().Add(r.ahead) },
	})
	return r
}

func (r *rig) send(text string) {
	r.t.Helper()
	if _, err := r.app.chats.Send(r.t.Context(), r.region, bridge.Sending{Device: r.device, Language: "de", Text: text}); err != nil {
		r.t.Fatal(err)
	}
}

// pass lets time go by in small steps.
func (r *rig) pass(span time.Duration) {
	for end := r.ahead + span; r.ahead < end; r.ahead += 10 * time.Second {
		r.pump.Step(r.t.Context())
	}
}

func (r *rig) history() []bridge.Message {
	r.t.Helper()
	h, err := r.app.chats.History(r.t.Context(), r.region, r.device, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	return h.Messages
}

func (r *rig) wantStatus(want ...bridge.Status) {
	r.t.Helper()
	var got []bridge.Status
	for _, m := range r.history() {
		got = append(got, m.Status)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Fatalf("status %v, want %v", got, want)
	}
}

// mandatory makes a ticket attribute that agents must fill in, also in Zammad's
// forms for what is there already.
func (r *rig) mandatory() {
	r.t.Helper()
	must := map[string]any{"ticket.agent": map[string]any{"shown": true, "required": true}}
	_, err := r.admin.Attributes.Create(r.t.Context(), zammad.Attribute{
		Object: "Ticket", Name: "cause", Display: "Cause", DataType: "input", Active: true, Position: 1600,
		DataOption: map[string]any{"type": "text", "maxlength": 120, "null": true},
		Screens:    map[string]any{"create_middle": must, "edit": must},
	})
	if err == nil {
		err = r.admin.ExecuteMigrations(r.t.Context())
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) fillIn(id zammad.TicketID) {
	r.t.Helper()
	if _, err := r.admin.Tickets.Update(r.t.Context(), id, zammad.TicketUpdate{Attributes: map[string]any{"cause": "asked"}}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) letters() []bridge.Letter {
	r.t.Helper()
	letters, err := r.app.Store.Letters(r.t.Context(), bridge.LetterQuery{})
	if err != nil {
		r.t.Fatal(err)
	}
	return letters
}

// notes gives a ticket's internal notes.
func (r *rig) notes(id zammad.TicketID) []zammad.Article {
	r.t.Helper()
	articles, err := r.admin.Articles.OfTicket(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	var notes []zammad.Article
	for _, a := range articles {
		if a.Internal {
			notes = append(notes, a)
		}
	}
	return notes
}

func TestAMandatoryAttributeMakesDeadLetters(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		r := newRig(t, w)
		r.send("one")
		r.pass(0)
		r.pump.Step(t.Context())
		ticket := w.ticket(1).ID
		w.holds(ticket, "Customer: one")

		r.mandatory()
		r.send("my secret")
		r.pass(10 * time.Minute)
		r.wantStatus(bridge.StatusSent, bridge.StatusQueued)
		r.pass(20 * time.Minute)
		r.wantStatus(bridge.StatusSent, bridge.StatusFailed)
		letters := r.letters()
		if len(letters) != 1 || letters[0].ErrorID == "" || letters[0].Ticket != bridgeTicket(ticket) {
			t.Fatalf("letters %+v", letters)
		}
		notes := r.notes(ticket)
		if len(notes) != 1 || !strings.Contains(notes[0].Body, "Error ID "+letters[0].ErrorID) || strings.Contains(notes[0].Body, "secret") {
			t.Fatalf("notes %+v", notes)
		}
		r.reads()
		r.wantStatus(bridge.StatusSent, bridge.StatusFailed)

		r.fillIn(ticket) // the administrator mends it
		if _, err := r.app.Store.RetryLetters(t.Context(), 0, []bridge.WorkID{letters[0].ID}, time.Now().Add(r.ahead)); err != nil {
			t.Fatal(err)
		}
		r.wantStatus(bridge.StatusSent, bridge.StatusQueued)
		r.pump.Step(t.Context())
		r.wantStatus(bridge.StatusSent, bridge.StatusSent)
		w.arrived("my secret", ticket)
		if len(r.letters()) != 0 || len(r.notes(ticket)) != 1 {
			t.Errorf("letters %+v, %d notes", r.letters(), len(r.notes(ticket)))
		}
	})
}

// reads lets the bridge read what changed in Zammad.
func (r *rig) reads() {
	r.t.Helper()
	if _, err := r.app.receiver.Reconcile(context.Background(), false); err != nil {
		r.t.Fatal(err)
	}
}

func TestABodyThatIsRefused(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		r := newRig(t, w)
		// More than Zammad takes, once it is escaped. The first message of a chat:
		// the next one opens the ticket.
		changed := *r.region
		changed.Settings.MaxText = 400_000
		r.region = &changed
		r.send(strings.Repeat("&", 300_001))
		r.send("short")
		r.pass(3 * time.Minute)
		r.wantStatus(bridge.StatusFailed, bridge.StatusSent)
		w.holds(w.ticket(1).ID, "Customer: short", r.notes(w.ticket(1).ID)[0].Sender+": "+r.notes(w.ticket(1).ID)[0].Body)
		if letters := r.letters(); len(letters) != 1 || letters[0].Reason == "" || letters[0].Attempts != 6 {
			t.Errorf("letters %+v", letters)
		}
		if messages := r.history(); messages[0].FailCode != bridge.FailRefused {
			t.Errorf("the device sees %q", messages[0].FailCode)
		}
	})
}
