package desk

import (
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

func (w *world) user(id bridge.CustomerID) zammad.User {
	w.t.Helper()
	user, err := w.admin.Users.Get(w.ctx, zammad.UserID(id))
	w.must(err)
	return user
}

func TestAnonymiseCanBeRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	posted := w.open("hello")
	person := bridge.Person{Customer: posted.Customer, Alias: alias, Neutral: "erased-xyz"}
	for range 2 {
		w.must(w.desk.Anonymise(w.ctx, w.region, bridge.Anonymity{Ticket: posted.Ticket.ID, Close: true}))
		w.must(w.desk.Rename(w.ctx, w.region, person))
	}
	ticket, err := w.desk.Ticket(w.ctx, w.region, posted.Ticket.ID)
	w.must(err)
	found, err := w.agent.Tickets.Get(w.ctx, zammad.TicketID(posted.Ticket.ID))
	w.must(err)
	user := w.user(posted.Customer)
	if ticket.State != bridge.TicketClosed || ticket.Customer != posted.Customer || found.Title != "Testland: erased" {
		t.Errorf("%+v, title %q", ticket, found.Title)
	}
	if user.Login != "erased-xyz" || user.Firstname != "Erased" || user.Lastname != "User 1" {
		t.Errorf("%+v", user)
	}
	// The same device begins anew: somebody else.
	again := w.open("anew")
	if again.Customer == posted.Customer {
		t.Error("the erased customer got a new ticket")
	}
}

// A customer whose login has not the alias may be many people.
func TestASharedCustomerIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.region.Settings.CustomerLogin = "everybody"
	posted := w.open("hello")
	before := w.user(posted.Customer)
	person := bridge.Person{Customer: posted.Customer, Alias: alias, Neutral: "erased-xyz"}
	w.must(w.desk.Rename(w.ctx, w.region, person))
	w.region.PrivacyToken = "admin-token"
	if there, err := w.desk.Delete(w.ctx, w.region, person); bridge.KindOf(err) != bridge.DeskRefused || !there {
		t.Errorf("deleting everybody: %v, %v", there, err)
	}
	if after := w.user(posted.Customer); after.Login != before.Login || after.Firstname != before.Firstname {
		t.Errorf("%+v", after)
	}
	if tasks, err := w.admin.Erasures.List(w.ctx); err != nil || len(tasks) > 0 {
		t.Errorf("%+v, %v", tasks, err)
	}
	// An empty alias is in every login.
	if there, err := w.desk.Delete(w.ctx, w.region, bridge.Person{Customer: posted.Customer}); err == nil || !there {
		t.Errorf("without an alias: %v, %v", there, err)
	}
}

func TestDeleteWaitsForTheTask(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	posted := w.open("hello")
	person := bridge.Person{Customer: posted.Customer, Alias: alias, Neutral: "erased-xyz"}
	if there, err := w.desk.Delete(w.ctx, w.region, person); bridge.KindOf(err) != bridge.DeskRefused || !there {
		t.Errorf("without a second token: %v, %v", there, err)
	}
	w.region.PrivacyToken = w.agentToken // of an agent
	if there, err := w.desk.Delete(w.ctx, w.region, person); bridge.KindOf(err) != bridge.DeskDenied || !there {
		t.Errorf("without the right: %v, %v", there, err)
	}
	w.region.PrivacyToken = "admin-token"
	for range 2 { // queued, and found queued
		if there, err := w.desk.Delete(w.ctx, w.region, person); err != nil || !there {
			t.Errorf("%v, %v", there, err)
		}
	}
	if tasks, err := w.admin.Erasures.List(w.ctx); err != nil || len(tasks) != 1 {
		t.Errorf("%+v, %v", tasks, err)
	}
	w.clock.advance(11 * time.Minute)
	if there, err := w.desk.Delete(w.ctx, w.region, person); err != nil || there {
		t.Errorf("after the task: %v, %v", there, err)
	}
	if _, err := w.desk.Ticket(w.ctx, w.region, posted.Ticket.ID); bridge.KindOf(err) != bridge.DeskGone {
		t.Errorf("the ticket: %v", err)
	}
	w.must(w.desk.Rename(w.ctx, w.region, person)) // one who is gone needs no other name
}

func TestErasingMeetsARefusal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	posted := w.open("hello")
	person := bridge.Person{Customer: posted.Customer, Alias: alias, Neutral: "erased-xyz"}
	w.answering("PUT /users/", jsonAnswer(422, `{"error":"no"}`))
	if err := w.desk.Rename(w.ctx, w.region, person); bridge.KindOf(err) != bridge.DeskRefused {
		t.Errorf("rename: %v", err)
	}
	w.answering("PUT /tickets/", jsonAnswer(422, `{"error":"Error ID abc: Please contact your administrator."}`))
	if err := w.desk.Anonymise(w.ctx, w.region, bridge.Anonymity{Ticket: posted.Ticket.ID, Close: true}); bridge.KindOf(err) != bridge.DeskMasked {
		t.Errorf("anonymise: %v", err)
	}
	w.region.PrivacyToken = "admin-token"
	w.answering("POST /data_privacy_tasks", jsonAnswer(422, `{"error":"Deletable is invalid"}`))
	if there, err := w.desk.Delete(w.ctx, w.region, person); bridge.KindOf(err) != bridge.DeskRefused || !there {
		t.Errorf("delete: %v, %v", there, err)
	}
}
