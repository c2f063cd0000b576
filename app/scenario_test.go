package app

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"deskbridge/zammad"
)

func TestAChatGoesThereAndBack(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p := w.phone("phone-1")
		if status, state := p.do(http.MethodGet, "de", "", nil); status != http.StatusNotFound || state.Code != "chat_not_found" {
			t.Fatalf("before the first message: %d %s", status, state.Code)
		}
		p.send("Hallo <b>Welt</b>\n  zweite & letzte Zeile")
		ticket := w.ticket(1)
		w.holds(ticket.ID, "Customer: Hallo &lt;b&gt;Welt&lt;/b&gt;<br>  zweite &amp; letzte Zeile")
		if !strings.HasPrefix(ticket.Title, "[DE] Testland: ") || strings.Contains(ticket.Title, p.id) {
			t.Errorf("title %q", ticket.Title)
		}
		w.answer(ticket.ID, "internal remark", true)
		w.answer(ticket.ID, "Guten Tag", false)
		state := p.sees("user: Hallo <b>Welt</b>\n  zweite & letzte Zeile", "agent: Guten Tag")
		if state.Messages[0].Status != "seen" {
			t.Errorf("the question is %s after the answer", state.Messages[0].Status)
		}
		p.send("Danke")
		w.answer(ticket.ID, "Gerne", false)
		p.sees("user: Hallo <b>Welt</b>\n  zweite & letzte Zeile", "agent: Guten Tag", "user: Danke", "agent: Gerne")
		if all := w.tickets(); len(all) != 1 {
			t.Errorf("%d tickets for one chat", len(all))
		}
	})
}

func TestVisibilityFollowsTheAgents(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p := w.phone("phone-1")
		p.send("Frage")
		ticket := w.ticket(1).ID
		note := w.answer(ticket, "first internal", true)
		second := w.answer(ticket, "too early", false)
		p.sees("user: Frage", "agent: too early")
		before := p.read().Seq
		if err := setInternal(t, w, note.ID, false); err != nil {
			t.Fatal(err)
		}
		p.sees("user: Frage", "agent: too early", "agent: first internal")
		if err := setInternal(t, w, second.ID, true); err != nil {
			t.Fatal(err)
		}
		p.sees("user: Frage", "agent: first internal")
		_, since := p.do(http.MethodGet, "de", fmt.Sprintf("?since=%d", before), nil)
		retracted := false
		for _, m := range since.Messages {
			retracted = retracted || m.Retracted
			if m.Retracted && (m.Text != "" || m.Content != "") {
				t.Errorf("a retracted message still has its text")
			}
		}
		if !retracted {
			t.Errorf("since=%d does not tell of the retraction: %+v", before, since)
		}
		if err := setInternal(t, w, second.ID, false); err != nil {
			t.Fatal(err)
		}
		p.sees("user: Frage", "agent: too early", "agent: first internal")
		if err := w.agent.Articles.Delete(t.Context(), note.ID); err != nil {
			t.Fatal(err)
		}
		p.sees("user: Frage", "agent: too early")
	})
}

func setInternal(t *testing.T, w *world, id zammad.ArticleID, internal bool) error {
	t.Helper()
	_, err := w.agent.Articles.SetInternal(t.Context(), id, internal)
	return err
}

func TestAClosedTicketIsReopenedWithTheMessage(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p := w.phone("phone-1")
		p.send("one")
		ticket := w.ticket(1).ID
		w.holds(ticket, "Customer: one")
		w.setState(ticket, "closed")
		p.send("two")
		w.holds(ticket, "Customer: one", "Customer: two")
		waitFor(t, func() error {
			if state := w.ticket(1).State; state != "open" {
				return fmt.Errorf("the ticket is %s with a new message in it", state)
			}
			return nil
		})
	})
}

func TestAMergeIsFollowed(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p := w.phone("phone-1")
		p.send("one")
		source := w.ticket(1)
		w.holds(source.ID, "Customer: one")
		target, err := w.agent.Tickets.Create(t.Context(), zammad.NewTicket{
			Title: "already known", Group: w.access.Group, Customer: &zammad.Customer{Login: "somebody", Firstname: "Some", Lastname: "Body 1"},
			Article: &zammad.NewArticle{Type: zammad.TypeNote, Body: "by phone"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.agent.Tickets.Merge(t.Context(), source.ID, target.Number); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() error {
			for _, id := range []zammad.TicketID{source.ID, target.ID} {
				known, err := w.bridge.app.Store.KnownTicket(t.Context(), 1, bridgeTicket(id))
				if err == nil && known.Chat.Ticket == bridgeTicket(target.ID) {
					return nil
				}
			}
			return fmt.Errorf("the chat has not followed")
		})
		p.send("two")
		w.answer(target.ID, "answer", false)
		state := p.sees("user: one", "user: two", "agent: answer")
		for _, m := range state.Messages {
			if m.Text == "merged" || m.Text == "by phone" {
				t.Errorf("%q must not leave", m.Text)
			}
		}
	})
}

func TestADeletedTicketGivesWayToANewOne(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p := w.phone("phone-1")
		p.send("one")
		first := w.ticket(1).ID
		w.holds(first, "Customer: one")
		w.answer(first, "answer", false)
		p.sees("user: one", "agent: answer")
		if err := w.admin.Tickets.Delete(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		p.send("two")
		waitFor(t, func() error {
			if all := w.tickets(); len(all) != 1 || all[0].ID == first {
				return fmt.Errorf("tickets: %+v", all)
			}
			return nil
		})
		w.holds(w.ticket(1).ID, "Customer: two")
		p.sees("user: one", "agent: answer", "user: two")
	})
}

func TestAMessageWaitsWhileTheTicketIsOutOfSight(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p := w.phone("phone-1")
		p.send("one")
		ticket := w.ticket(1).ID
		w.holds(ticket, "Customer: one")
		if _, err := w.agent.Tickets.Update(t.Context(), ticket, zammad.TicketUpdate{Group: otherGroup}); err != nil {
			t.Fatal(err)
		}
		p.send("two")
		other := w.phone("phone-2")
		other.send("not held up")
		w.holds(w.ticket(2).ID, "Customer: not held up")
		if state := p.read(); state.Messages[1].Status != "queued" {
			t.Errorf("the message is %s although the ticket cannot be seen", state.Messages[1].Status)
		}
		if _, err := w.agent.Tickets.Update(t.Context(), ticket, zammad.TicketUpdate{Group: w.access.Group}); err != nil {
			t.Fatal(err)
		}
		w.holds(ticket, "Customer: one", "Customer: two")
	})
}

func TestLanguageAndConsentFollow(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p := w.phone("phone-1")
		if status, state := p.do(http.MethodPost, "de", "", url.Values{"evaluation_consent": {"true"}}); status != http.StatusNotFound || state.Code != "chat_not_found" {
			t.Errorf("consent without a chat: %d %s", status, state.Code)
		}
		p.send("eins")
		w.ticket(1)
		if status, _ := p.do(http.MethodPost, "en", "", url.Values{"message": {"two"}}); status != http.StatusOK {
			t.Fatalf("in English: %d", status)
		}
		waitFor(t, func() error {
			ticket := w.ticket(1)
			tags, err := w.admin.Tags.List(t.Context(), ticket.ID)
			if err != nil {
				return err
			}
			if !strings.HasPrefix(ticket.Title, "[EN] ") || !slices.Equal(tags, []string{"lang-en"}) {
				return fmt.Errorf("title %q, tags %q", ticket.Title, tags)
			}
			return nil
		})
	})
}

func TestForceNewOpensAnotherTicket(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p := w.phone("phone-1")
		p.send("one")
		w.holds(w.ticket(1).ID, "Customer: one")
		if status, _ := p.do(http.MethodPost, "de", "", url.Values{"message": {"two"}, "force_new": {"true"}}); status != http.StatusOK {
			t.Fatalf("force_new: %d", status)
		}
		w.holds(w.ticket(2).ID, "Customer: two")
		if one, two := w.ticket(1), w.ticket(2); one.CustomerID != two.CustomerID {
			t.Errorf("the chats of one device have the customers %d and %d", one.CustomerID, two.CustomerID)
		}
	})
}

// An agent merges a stranger's ticket into the device's: what was said to the
// stranger stays between agent and stranger.
func TestAStrangersConversationStaysOut(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p := w.phone("phone-1")
		p.send("one")
		ours := w.ticket(1)
		w.holds(ours.ID, "Customer: one")
		stranger, err := w.agent.Tickets.Create(t.Context(), zammad.NewTicket{
			Title: "somebody else", Group: w.access.Group, Customer: &zammad.Customer{Login: "stranger", Firstname: "Some", Lastname: "Body 2"},
			Article: &zammad.NewArticle{Type: zammad.TypeNote, Body: "said to the stranger"},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.answer(stranger.ID, "also to the stranger", false)
		if err := w.agent.Tickets.Merge(t.Context(), stranger.ID, ours.Number); err != nil {
			t.Fatal(err)
		}
		w.answer(ours.ID, "to both", false)
		p.sees("user: one", "agent: to both")
		// Not even when the ticket is read whole again and again.
		note := w.answer(ours.ID, "internal", true)
		if err := setInternal(t, w, note.ID, false); err != nil {
			t.Fatal(err)
		}
		p.sees("user: one", "agent: to both", "agent: internal")
	})
}

// Two devices' tickets are merged: the one that was taken in keeps its history
// and opens a new ticket; nobody sees the other's words.
func TestMergedDevicesStayApart(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		one, two := w.phone("phone-1"), w.phone("phone-2")
		one.send("from one")
		first := w.ticket(1)
		two.send("from two")
		second := w.ticket(2)
		w.answer(first.ID, "to one", false)
		w.answer(second.ID, "to two", false)
		one.sees("user: from one", "agent: to one")
		two.sees("user: from two", "agent: to two")
		if err := w.agent.Tickets.Merge(t.Context(), first.ID, second.Number); err != nil {
			t.Fatal(err)
		}
		w.answer(second.ID, "after the merge", false)
		two.sees("user: from two", "agent: to two", "agent: after the merge")
		waitFor(t, func() error {
			if known, err := w.bridge.app.Store.KnownTicket(t.Context(), 1, bridgeTicket(first.ID)); err == nil {
				return fmt.Errorf("chat %d still has the merged ticket", known.Chat.ID)
			}
			return nil
		})
		one.send("again")
		w.holds(w.ticket(3).ID, "Customer: again")
		one.sees("user: from one", "agent: to one", "user: again")
		two.sees("user: from two", "agent: to two", "agent: after the merge")
	})
}
