package app

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"deskbridge/bridge"
	"deskbridge/reception"
	"deskbridge/zammad"
)

// settle changes the human side of the region and waits until an instance obeys.
func (w *world) settle(rules reception.Rules, instances ...*instance) {
	w.t.Helper()
	region, _ := w.bridge.app.Regions.BySlug(demoRegion)
	changed := *region
	changed.Settings.Reception = rules
	if err := w.bridge.app.Store.SaveRegion(w.t.Context(), &changed); err != nil {
		w.t.Fatal(err)
	}
	for _, i := range append(instances, w.bridge) {
		if err := i.app.Regions.Reload(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// tell posts what the user is doing.
func (p *phone) tell(call string, fields url.Values) error {
	answer, err := http.PostForm(p.origin+"/api/v3/"+demoRegion+"/de/chat/"+p.id+"/"+call+"/", fields)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		return fmt.Errorf("%s: %s", call, answer.Status)
	}
	return nil
}

// stands waits until the device is told a state and a notice.
func (p *phone) stands(state, notice string) wireState {
	p.w.t.Helper()
	var got wireState
	waitFor(p.w.t, func() error {
		if got = p.read(); got.Chat.State != state || got.Chat.Notice != notice {
			return fmt.Errorf("the chat stands %+v, want %s %q", got.Chat, state, notice)
		}
		return nil
	})
	return got
}

// TestClosedAndReopenedReachTheDevice: what an agent does to a ticket without a
// word is told on the device, in the user's language.
func TestClosedAndReopenedReachTheDevice(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		var plain reception.Rules
		w.settle(reception.Rules{Names: reception.NamesFirst})
		p := w.phone("phone-1")
		p.send("Hallo")
		ticket := w.ticket(1).ID
		p.stands("open", "")
		answer := w.answer(ticket, "Guten Tag", false)
		state := p.sees("user: Hallo", "agent: Guten Tag")
		if name := state.Messages[1].Name; name == "" || strings.Contains(answer.From, " ") && name != strings.Fields(answer.From)[0] {
			t.Errorf("%q is named %q", answer.From, name)
		}
		if !state.Chat.Typing {
			t.Error("nobody types right after an answer")
		}
		w.setState(ticket, "closed")
		closed := p.stands("closed", plain.ClosedText("de"))
		if closed.Chat.Typing || closed.Seq <= state.Seq {
			t.Errorf("closed: typing %v, seq %d after %d", closed.Chat.Typing, closed.Seq, state.Seq)
		}
		if _, english := p.do(http.MethodGet, "en", "", nil); english.Chat.Notice != plain.ClosedText("en") {
			t.Errorf("closed, in English: %q", english.Chat.Notice)
		}
		w.setState(ticket, "open")
		p.stands("open", plain.ReopenedText("de"))
		w.setState(ticket, "closed")
		p.stands("closed", plain.ClosedText("de"))
		p.send("Ich habe noch eine Frage")
		p.stands("open", plain.ReopenedText("de"))
		last := w.answer(ticket, "Ja?", false)
		p.stands("open", "")
		if err := setInternal(t, w, last.ID, true); err != nil {
			t.Fatal(err)
		}
		p.sees("user: Hallo", "agent: Guten Tag", "user: Ich habe noch eine Frage")
		p.stands("open", "")
	})
}

// TestWhatWasReadIsKnownOnEveryInstance: a mark is the device's, wherever it
// asks, and another device of the same instance has its own.
func TestWhatWasReadIsKnownOnEveryInstance(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p, stranger := w.phone("phone-1"), w.phone("phone-2")
		p.send("Hallo")
		stranger.send("Hallo")
		newest := p.read().Messages[0].Seq
		elsewhere := &phone{w, w.another("two").origin, p.id}
		before := elsewhere.read()
		if err := p.tell("read", url.Values{"seq": {fmt.Sprint(before.Seq + 100)}}); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() error {
			if got := elsewhere.read(); got.Read < newest || got.Seq <= before.Seq {
				return fmt.Errorf("the other instance knows read %d at %d", got.Read, got.Seq)
			}
			return nil
		})
		if got := stranger.read().Read; got != 0 {
			t.Errorf("the stranger's mark is %d", got)
		}
	})
}

// TestOneNoteWhilePeopleType: two instances hear a device type all the time. The
// agents find one note, the device never does, not even if an agent makes it
// public, and messages go on around it.
func TestOneNoteWhilePeopleType(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		two := w.another("two")
		p := w.phone("phone-1")
		elsewhere := &phone{w, two.origin, p.id}
		notes := func(id zammad.TicketID) []zammad.Article {
			t.Helper()
			articles, err := w.admin.Articles.OfTicket(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return slices.DeleteFunc(articles, func(a zammad.Article) bool { return !strings.Contains(a.Body, "is writing") })
		}
		types := func() {
			t.Helper()
			var all sync.WaitGroup
			for i := range 40 {
				from := []*phone{p, elsewhere}[i%2]
				all.Go(func() {
					if err := from.tell("typing", nil); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		}
		p.send("Hallo")
		ticket := w.ticket(1).ID
		w.holds(ticket, "Customer: Hallo")
		p.sees("user: Hallo")
		waitFor(t, func() error { return sent(p) })
		types() // without the setting
		w.settle(reception.Rules{TypingNote: true}, two)
		types()
		waitFor(t, func() error {
			if n := len(notes(ticket)); n != 1 {
				return fmt.Errorf("%d notes", n)
			}
			return nil
		})
		p.send("Da bin ich")
		types()
		w.answer(ticket, "Guten Tag", false)
		p.sees("user: Hallo", "user: Da bin ich", "agent: Guten Tag")
		all := notes(ticket)
		if len(all) != 1 || !all[0].Internal || all[0].Sender != zammad.SenderAgent {
			t.Fatalf("the notes are %+v", all)
		}
		if _, own := bridge.ParseHeader(all[0].MessageID); !own {
			t.Errorf("the note's message id is %q", all[0].MessageID)
		}
		if err := setInternal(t, w, all[0].ID, false); err != nil {
			t.Fatal(err)
		}
		w.answer(ticket, "Noch etwas", false)
		p.sees("user: Hallo", "user: Da bin ich", "agent: Guten Tag", "agent: Noch etwas")
		w.setState(ticket, "closed")
		p.stands("closed", new(reception.Rules).ClosedText("de"))
		types()
		if n := len(notes(ticket)); n != 1 {
			t.Errorf("%d notes in a closed ticket", n)
		}
		p.sees("user: Hallo", "user: Da bin ich", "agent: Guten Tag", "agent: Noch etwas")
	})
}

// sent says whether the first message has arrived, which is when the ticket is
// known here.
func sent(p *phone) error {
	if status := p.read().Messages[0].Status; status != "sent" {
		return fmt.Errorf("the message is %s", status)
	}
	return nil
}

// TestMessagesDontWaitForNotes: a note whose connection breaks is tried once,
// and messages go on around it.
func TestMessagesDontWaitForNotes(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		w.settle(reception.Rules{TypingNote: true})
		p := w.phone("phone-1")
		p.send("Hallo")
		ticket := w.ticket(1).ID
		waitFor(t, func() error { return sent(p) })
		var tried int // guarded by the line
		w.line.set(func(r *http.Request) fault {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/ticket_articles") {
				tried++
				return cutBefore
			}
			return pass
		})
		tries := func() int {
			w.line.mu.Lock()
			defer w.line.mu.Unlock()
			return tried
		}
		if err := p.tell("typing", nil); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() error {
			if tries() == 0 {
				return errors.New("the note was not tried")
			}
			return nil
		})
		p.send("Da bin ich")
		w.holds(ticket, "Customer: Hallo", "Customer: Da bin ich")
		w.answer(ticket, "Guten Tag", false)
		p.sees("user: Hallo", "user: Da bin ich", "agent: Guten Tag")
		if n := tries(); n != 1 {
			t.Errorf("the note was tried %d times", n)
		}
	})
}
