package reliability_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

// TestStories are what seeds have found, each reduced to what it takes.
func TestStories(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]func(w *world){
		"the other region's ticket takes one in, of a device with the same id": func(w *world) {
			north, south := w.says("north-0"), w.says("south-0")
			w.merge(north, south)
			w.wait(40 * time.Second)
			w.says("north-0")
		},
		"the ticket that took one in is deleted before anybody looked": func(w *world) {
			one, other := w.says("north-0"), w.says("north-1")
			w.net.set(&fault{kind: dropped, times: 9})
			w.merge(one, other)
			w.erase(other)
		},
		"a write is in doubt while its ticket is out of sight": func(w *world) {
			one := w.says("north-0")
			w.net.set(&fault{kind: cutAfter, only: "write", times: 1})
			w.sends("north-0")
			w.wait(time.Second / 2) // before the first look
			w.move(one, backoffice)
			w.wait(2 * horizon)
			w.net.set(&fault{kind: busy, only: "search", times: 60}) // reconciliation does not notice first
			w.move(one, one.home)
			w.wait(2 * horizon)
		},
		"news of a merge come when the chat has another ticket": func(w *world) {
			one, other := w.says("south-0"), w.says("south-1")
			w.net.set(&fault{kind: slow, only: "read", times: 1, delay: 10 * time.Second})
			w.merge(one, other)
			w.wait(time.Second) // the webhook is being read
			w.says("south-0")
			w.wait(15 * time.Second)
			w.says("south-0")
		},
		"a stranger's ticket is merged in unseen while Zammad's clock is ahead": func(w *world) {
			one := w.says("north-0")
			other := w.says("south-1")
			w.clock.jump(-time.Minute)
			w.net.set(&fault{kind: dropped, times: 9})
			w.write(other, false, "")
			w.merge(other, one)
			w.wait(time.Minute)
		},
		"a message meets a merge while Zammad does not list its states": func(w *world) {
			one, other := w.says("north-0"), w.says("north-1")
			w.net.set(&fault{kind: masked, only: "read", times: 1})
			w.net.set(&fault{kind: dropped, times: 9})
			w.merge(one, other)
			w.sends("north-0")
			w.wait(time.Second)
		},
		"an answer is deleted before its webhook is worked on": func(w *world) {
			one := w.says("north-0")
			w.net.set(&fault{kind: deferred, times: 9, delay: 2 * time.Minute})
			w.write(one, false, "")
			w.wait(10 * time.Second)
			a := w.answers["agent-1"]
			a.gone = w.agent.Articles.Delete(context.Background(), zammad.ArticleID(a.id)) == nil
			w.wait(3 * time.Minute)
		},
		"a ticket takes one in before its own device knows of it": func(w *world) {
			one := w.says("north-1")
			w.net.set(&fault{kind: cutAfter, only: "write", times: 1})
			w.sends("north-0")
			w.wait(time.Second / 2)
			w.discover()
			other := w.one(0, func(t *ticket) bool { return t != one })
			w.merge(one, other)
			w.wait(time.Millisecond)
			w.write(other, false, "")
		},
		"a message comes into the shell of a merge after an answer in the successor": func(w *world) {
			one, other := w.says("north-0"), w.says("north-1")
			w.net.set(&fault{kind: dropped, times: 9})
			w.merge(one, other)
			w.write(other, false, "")
			w.wait(10 * time.Millisecond)
			w.sends("north-0")
		},
		"merged twice, with an answer to the last one's own customer between": func(w *world) {
			one, two := w.says("north-0"), w.stranger("NORTH")
			three := w.stranger("NORTH")
			w.net.set(&fault{kind: dropped, times: 9})
			w.merge(one, two)
			w.write(three, false, "")
			w.wait(10 * time.Millisecond)
			w.merge(two, three)
		},
		"a new ticket is in doubt while a copy is in the shell of a merge": func(w *world) {
			one, other := w.says("north-0"), w.says("north-1")
			w.net.set(&fault{kind: dropped, times: 9})
			w.net.set(&fault{kind: late, only: "write", skip: 1, times: 1, delay: 20 * time.Second})
			w.merge(one, other)
			w.says("north-0")
		},
		"an answer is deleted, and its ticket merged into a newer one of the device": func(w *world) {
			one := w.says("north-0")
			w.write(one, false, "")
			w.wait(time.Second)
			a := w.answers["agent-1"]
			a.gone = w.agent.Articles.Delete(context.Background(), zammad.ArticleID(a.id)) == nil
			w.sends("north-0")
			w.merge(one, w.afresh("north-0"))
		},
		"the tickets of two devices are merged before anybody knew either": func(w *world) {
			one, other := w.unheard("south-0"), w.unheard("south-1")
			w.merge(one, other)
			w.write(other, false, "")
			w.wait(time.Second)
		},
		"a ticket is merged into a stranger's before its device knows of it": func(w *world) {
			one, other := w.unheard("south-1"), w.stranger("SOUTH")
			w.wait(time.Second / 4)
			w.merge(one, other)
			w.wait(time.Second)
		},
		"the tickets of two regions' devices go into a stranger's, one of them out of sight": func(w *world) {
			one, two, other := w.says("south-1"), w.says("north-1"), w.stranger("NORTH")
			w.merge(one, other)
			w.merge(two, other)
			w.says("south-1")
			w.write(other, false, "")
			w.wait(time.Second)
		},
		"a closed ticket is merged out of sight, and what took it in is deleted": func(w *world) {
			one, other := w.says("south-1"), w.says("south-0")
			w.close(one)
			w.move(one, "NORTH")
			w.wait(40 * time.Second)
			w.merge(one, other)
			w.erase(other)
			w.sends("south-1")
		},
		"an answer is written long before anybody here knows of its ticket": func(w *world) {
			other := w.says("north-1")
			w.net.set(&fault{kind: slow, only: "write", times: 1, delay: time.Second})
			w.sends("north-0")
			w.wait(time.Second / 4) // the ticket is being opened
			w.stepClock(step{a: 4}) // so the dead one keeps the lane for 40 minutes
			w.stepCrash(step{})
			w.wait(2 * time.Second)
			w.bury()
			w.stepStart(step{})
			w.discover()
			w.write(w.one(0, func(t *ticket) bool { return t != other }), false, "")
			w.wait(3 * time.Minute)
			w.write(other, false, "") // reconciliation does not look further back from now on
			w.wait(time.Minute)
		},
		"the pump still rests after searches that failed when an answer comes into a ticket unknown here": func(w *world) {
			other, one := w.says("north-1"), w.unheard("north-0")
			w.net.set(&fault{kind: masked, only: "search", times: 100_000})
			w.wait(390 * time.Second) // long enough to rest for minutes
			w.net.clear()
			w.write(one, false, "")
			w.wait(125 * time.Second)
			w.write(other, false, "")
			w.wait(20 * time.Second)
			w.write(other, false, "")
		},
		"a ticket goes into one that its region does not see, and its device is erased": func(w *world) {
			one, other := w.says("north-0"), w.stranger("SOUTH")
			w.merge(one, other)
			w.wait(time.Minute)
			w.stepErase(step{})
		},
		"a label is cut off and written later, and its device is erased meanwhile": func(w *world) {
			w.says("north-0")
			w.net.set(&fault{kind: late, only: "write", times: 1, delay: 30 * time.Second})
			w.stepSend(step{b: 7}) // in another language
			w.wait(time.Second / 2)
			w.stepErase(step{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if bad, diary := run(t, story); len(bad) > 0 {
				t.Errorf("broken:\n  %s\n\nThe story:\n%s", strings.Join(bad, "\n  "), strings.Join(diary, "\n"))
			}
		})
	}
}

// sends lets a phone send a message.
func (w *world) sends(name string) *phone {
	for i, p := range w.phones {
		if p.name == name {
			w.stepSend(step{a: i, b: 1})
			return p
		}
	}
	return nil
}

// says lets a phone send a message, and gives the ticket in which it arrives, or
// the phone's last one if it does not arrive within seconds.
func (w *world) says(name string) *ticket {
	p := w.sends(name)
	w.wait(3 * time.Second)
	w.discover()
	list := w.here(func(t *ticket) bool { return t.owner == p })
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

// unheard lets a phone send its first message, whose answer is lost, and gives
// the ticket that nobody here knows yet.
func (w *world) unheard(name string) *ticket {
	w.net.set(&fault{kind: cutAfter, only: "write", times: 1})
	p := w.sends(name)
	w.wait(time.Second / 4)
	w.discover()
	return w.one(0, func(t *ticket) bool { return t.owner == p })
}

// afresh lets a phone begin a new chat, and gives its ticket.
func (w *world) afresh(name string) *ticket {
	p := w.sends(name)
	m := &sending{phone: p, text: "afresh", key: "afresh"}
	p.sendings, w.sent[m.text] = append(p.sendings, m), m
	replies := make(chan reply, 1)
	w.request(m, bridge.Sending{Device: p.hash, Language: "de", Text: m.text, ClientKey: m.key, ForceNew: true}, replies)
	w.replied(m, <-replies, 1)
	w.wait(time.Second)
	w.discover()
	list := w.here(func(t *ticket) bool { return t.owner == p })
	return list[len(list)-1]
}

// close lets an agent close a ticket.
func (w *world) close(t *ticket) {
	made, err := w.agent.Tickets.Update(context.Background(), zammad.TicketID(t.id), zammad.TicketUpdate{State: "closed"})
	if err != nil {
		w.note("  refused: %v", err)
		return
	}
	t.closed = made.UpdatedAt
}

func (w *world) wait(d time.Duration) { <-time.After(d) }
