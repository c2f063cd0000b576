package reliability_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"deskbridge/bridge"
	"deskbridge/zammad/simulator"
)

// erased is what came of erasing a phone.
type erased struct {
	receipt string
	at      time.Time // on Zammad's clock
}

// erased says whether a ticket began with a message of somebody who was erased.
func (t *ticket) erased() bool { return t.opener != nil && t.opener.erased != nil }

// stepErase lets the user of a phone erase everything, when nothing of it is
// under way: what a request that has no answer yet becomes is anybody's guess.
// The same device begins anew.
func (w *world) stepErase(s step) {
	at := s.a % len(w.phones)
	p, in := w.phones[at], w.anyone()
	if in == nil || p.asking.Load() > 0 {
		return
	}
	receipt := fmt.Sprintf("receipt-%d", len(w.former)+1)
	for range 1 + s.b%2 { // the app may ask again
		w.eraseOnce(in, p, receipt)
		if in = w.anyone(); in == nil {
			break
		}
	}
	ctx := context.Background()
	if _, err := w.raw.ErasureReport(ctx, p.place.region.ID, bridge.HashReceipt(receipt)); err != nil {
		w.note("  %s was not erased: %v", p.name, err)
		return
	}
	w.note("  %s is erased", p.name)
	if _, err := w.raw.History(ctx, p.place.region, p.hash, 0, w.clock.now()); !errors.Is(err, bridge.ErrChatNotFound) {
		w.broke("%s was erased, and its history is there: %v", p.name, err)
	}
	w.succeed(at, receipt)
}

// eraseOnce lets one instance erase a phone, and waits until it has answered or
// is dead.
func (w *world) eraseOnce(in *instance, p *phone, receipt string) {
	answer := make(chan error, 1)
	go func() {
		defer close(answer)
		answer <- in.eraser.Erase(context.Background(), p.place.region, p.hash, receipt)
	}()
	err, answered := <-answer
	if !answered {
		w.note("  no answer to the erasure of %s", p.name)
		return
	}
	known := slices.ContainsFunc(p.sendings, func(s *sending) bool { return s.acked })
	switch _, report := w.raw.ErasureReport(context.Background(), p.place.region.ID, bridge.HashReceipt(receipt)); {
	case err == nil && report != nil:
		w.broke("%s has a receipt that nobody knows: %v", p.name, report)
	case errors.Is(err, bridge.ErrChatNotFound) && known:
		w.broke("%s has written, and there is nothing to erase", p.name)
	case err != nil && !errors.Is(err, bridge.ErrChatNotFound) && !errors.Is(err, bridge.ErrStorage):
		w.broke("%s could not be erased: %v", p.name, err)
	}
}

// succeed puts a new phone with the same device id in the place of an erased
// one, whose tickets are a stranger's from now on.
func (w *world) succeed(at int, receipt string) {
	w.discover()
	p := w.phones[at]
	p.erased = &erased{receipt, w.sim.State().Now}
	w.former = append(w.former, p)
	w.phones[at] = &phone{name: p.name + "x", place: p.place, hash: p.hash, memory: newMemory()}
	for _, t := range w.tickets {
		delete(t.people, p)
		if t.owner == p {
			t.owner, t.heirless = nil, t.heirless || len(t.people) > 0
		}
	}
}

// beyond says whether a ticket of the phone went into one that its region does not
// see, so that nobody there can be told.
func (w *world) beyond(p *phone) bool {
	for _, t := range w.tickets {
		for last := t; t.opener == p && last != nil; last = last.into {
			if !last.gone && last.group != p.place.group {
				return true
			}
		}
	}
	return false
}

// untilErased waits until every erasure is done or has failed, and for the daily
// try of one that has.
func (w *world) untilErased() error {
	for range 40 {
		counts, err := w.raw.Unerased(context.Background())
		if err != nil {
			return err
		}
		failed, waiting := false, false
		for _, n := range counts {
			failed, waiting = failed || n.Failed > 0, waiting || n.Pending > n.Failed
		}
		switch {
		case waiting:
			w.clock.jump(5 * time.Minute)
			<-time.After(6 * time.Second)
			continue
		case failed:
			w.clock.jump(25 * time.Hour)
			<-time.After(5 * time.Minute)
		}
		return nil
	}
	return nil // checkErased tells
}

// checkErased: every erasure comes to its end, after which nothing in Zammad
// names the device and nothing of it arrives.
func (w *world) checkErased(state simulator.State) {
	for _, p := range w.former {
		report, err := w.raw.ErasureReport(context.Background(), p.place.region.ID, bridge.HashReceipt(p.erased.receipt))
		if err != nil || report.State != bridge.ErasureDone && !(report.State == bridge.ErasureFailed && w.beyond(p)) {
			w.broke("the erasure of %s is %q (%v)", p.name, report.State, err)
		}
	}
	for _, t := range state.Tickets {
		known := w.tickets[t.ID]
		if known == nil || !known.erased() || known.away || known.merged {
			continue
		}
		if !strings.HasPrefix(t.Customer, "erased-") || !strings.HasSuffix(t.Title, ": erased") {
			w.broke("ticket %d of %s, who was erased, is %q of %q", t.ID, known.opener.name, t.Title, t.Customer)
		}
	}
	for _, a := range state.Articles {
		s := w.sent[a.Body]
		if s != nil && s.phone.erased != nil && a.CreatedAt.After(s.phone.erased.at.Add(horizon)) {
			w.broke("%q came %v after its device was erased", s.text, a.CreatedAt.Sub(s.phone.erased.at))
		}
	}
}
