package storage_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"deskbridge/bridge"
)

// list reads all pages of a list.
func (w *world) list(q bridge.ChatQuery, size int) (all []bridge.ChatEntry) {
	w.Helper()
	q.Region, q.Limit, q.Now = w.region.ID, size, w.now
	for {
		page, err := w.ChatEntries(w.ctx, q)
		w.ok(err)
		all = append(all, page...)
		if len(page) < size {
			return all
		}
		q.After = page[len(page)-1].Key
	}
}

func ids(entries []bridge.ChatEntry) (ids []int) {
	for _, e := range entries {
		ids = append(ids, int(e.ID))
	}
	return ids
}

// Pages of whatever size, also of chats of the same moment, give the same list:
// each chat once, in order.
func TestChatsAreListedInPages(t *testing.T) {
	eachWorld(t, func(w *world) {
		other := w.addRegion("fulda", "https://other.example.test")
		article := bridge.ArticleID(0)
		for i := range 9 {
			w.send(fmt.Sprint(i), "one")
			w.deliver(bridge.TicketID(i+1), &article)
			if i%3 == 0 {
				w.tick()
			}
		}
		w.reply(4, w.agent(100, 4, "an answer"))
		mine := w.region
		w.region = other
		w.send("elsewhere", "one")
		w.region = mine
		for _, filter := range []bridge.ChatFilter{bridge.ChatsAll, bridge.ChatsWaiting, bridge.ChatsInTrouble} {
			whole := ids(w.list(bridge.ChatQuery{Filter: filter}, 100))
			for _, size := range []int{1, 2, 4} {
				if got := ids(w.list(bridge.ChatQuery{Filter: filter}, size)); !slices.Equal(got, whole) {
					w.Errorf("%s in pages of %d: %v, want %v", filter, size, got, whole)
				}
			}
			switch filter {
			case bridge.ChatsAll:
				if len(whole) != 9 || !slices.IsSortedFunc(whole, func(a, b int) int { return b - a }) {
					w.Errorf("all: %v", whole)
				}
			case bridge.ChatsWaiting:
				if len(whole) != 8 || !slices.IsSorted(whole) || slices.Contains(whole, 4) {
					w.Errorf("waiting: %v", whole)
				}
			default:
				equal(w, "in trouble", len(whole), 0)
			}
		}
	})
}

func TestChatsInTrouble(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.send("refused", "one")
		w.refuse()
		w.tick()
		w.send("queued", "one")
		w.send("queued", "two")
		w.now = w.now.Add(bridge.TroubleAfter)
		w.send("new", "one")
		found := w.list(bridge.ChatQuery{Filter: bridge.ChatsInTrouble}, 1)
		if len(found) != 2 || !found[0].QueuedSince.Equal(start.Add(time.Second)) || found[0].Failed != 0 ||
			found[1].Failed != 1 || found[1].FailCode != bridge.FailRefused || !found[1].QueuedSince.IsZero() {
			w.Errorf("%+v", found)
		}
		if all := w.list(bridge.ChatQuery{Filter: bridge.ChatsAll}, 10); len(all) != 3 {
			w.Errorf("%+v", all)
		}
	})
}

// A device is found by its id alone, and in its own region alone.
func TestChatsOfADevice(t *testing.T) {
	eachWorld(t, func(w *world) {
		other := w.addRegion("fulda", "https://other.example.test")
		w.send("a", "one")
		s := w.submission("a", "anew")
		s.ForceNew = true
		_, err := w.Accept(w.ctx, s)
		w.ok(err)
		w.send("b", "one")
		a := device("a")
		found := ids(w.list(bridge.ChatQuery{Device: &a}, 1))
		equal(w, "chats", len(found), 2)
		chat, err := w.Chat(w.ctx, w.region.ID, bridge.ChatID(found[0]))
		w.ok(err)
		equal(w, "device", chat.Device, a)
		_, err = w.Chat(w.ctx, other.ID, bridge.ChatID(found[0]))
		w.wants(err, bridge.ErrChatNotFound)
		w.region = other
		equal(w, "in another region", len(w.list(bridge.ChatQuery{Device: &a}, 10)), 0)
	})
}

// A chat whose ticket is another one by now is left alone.
func TestCloseChatMeetsAnotherTicket(t *testing.T) {
	conversation(t, func(w *world) {
		chat := w.history("a", 0).Chat
		stale := chat
		stale.Ticket = 6
		_, err := w.CloseChat(w.ctx, stale, bridge.Ticket{State: bridge.TicketClosed, ChangedAt: w.now}, w.now)
		w.wants(err, bridge.ErrTicketRead)
		changes, err := w.CloseChat(w.ctx, chat, bridge.Ticket{State: bridge.TicketClosed, ChangedAt: w.now}, w.now)
		w.ok(err)
		equal(w, "changes", len(changes), 1)
		equal(w, "state", w.history("a", 0).Chat.TicketState, bridge.TicketClosed)
		chat.ID = 999
		_, err = w.CloseChat(w.ctx, chat, bridge.Ticket{}, w.now)
		w.wants(err, bridge.ErrChatNotFound)
	})
}

// An erasure that staff asked for is in the audit, once, without a trace of the
// device; the user's own is not.
func TestErasureByStaffIsNoted(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.send("a", "one")
		w.send("b", "two")
		w.ok(w.Erase(w.ctx, w.erasing("a", "receipt a")))
		e := w.erasing("b", "receipt b")
		e.Subject = "chat 2"
		ctx := bridge.WithActor(w.ctx, bridge.Actor{Kind: bridge.ActorPerson, ID: 3, Name: "ada"})
		for range 2 {
			w.ok(w.Erase(ctx, e))
		}
		audit, err := w.Audit(w.ctx, bridge.AuditQuery{Action: "device.", Limit: 10})
		w.ok(err)
		if len(audit) != 1 || audit[0].Action != "device.erase" || audit[0].Subject != "chat 2" || audit[0].Actor.Name != "ada" || len(audit[0].Changes) != 0 {
			w.Errorf("%+v", audit)
		}
	})
}
