package reliability_test

import (
	"context"
	"maps"
	"reflect"
	"slices"

	"deskbridge/bridge"
	"deskbridge/zammad/simulator"
)

// check holds the end of a run against the promises.
func (w *world) check() {
	state := w.discover()
	shown := make(map[*phone][]bridge.Message)
	for _, p := range w.phones {
		w.poll(p)
		h, err := w.raw.History(context.Background(), p.place.region, p.hash, 0, w.clock.now())
		if err != nil {
			if slices.ContainsFunc(p.sendings, func(s *sending) bool { return s.acked }) {
				w.broke("%s: the history cannot be read: %v", p.name, err)
			}
			continue
		}
		shown[p] = h.Messages
		w.checkReplica(p, h)
		w.checkOwn(p, h.Messages)
		w.checkAnswers(p, h.Messages)
	}
	w.checkZammad(state, shown)
	w.checkChats(state)
	w.checkFiles(state, shown)
	w.checkErased(state)
}

// checkReplica: what a phone put together from news alone is the history.
func (w *world) checkReplica(p *phone, h bridge.History) {
	there := make(map[bridge.MessageID]bool)
	for i, m := range h.Messages {
		there[m.ID] = true
		w.look(p, m)
		if got := p.replica[m.ID]; !reflect.DeepEqual(got, m) {
			w.broke("%s: from its news it has %+v, the history has %+v", p.name, got, m)
		}
		if i > 0 && !m.CreatedAt.After(h.Messages[i-1].CreatedAt) {
			w.broke("%s: the times of %q and %q do not rise", p.name, h.Messages[i-1].Text, m.Text)
		}
	}
	for id, m := range p.replica {
		if !there[id] && !m.Retracted {
			w.broke("%s: nobody told it that %q is gone", p.name, m.Text)
		}
	}
}

// checkOwn: every acknowledged message is shown once and in order, and none
// waits any more.
func (w *world) checkOwn(p *phone, messages []bridge.Message) {
	count := make(map[string]int)
	var acked []string
	for _, m := range messages {
		if m.Author != bridge.AuthorUser {
			continue
		}
		count[m.Text]++
		if w.sent[m.Text].acked {
			acked = append(acked, m.Text)
		}
		if m.Status == bridge.StatusQueued && !w.hidden(p) {
			w.broke("%s: %q still waits", p.name, m.Text)
		}
	}
	p.sort()
	var want []string
	for _, s := range p.sendings {
		if s.acked {
			want = append(want, s.text)
		}
		if count[s.text] > 1 {
			w.broke("%s: %q is shown %d times", p.name, s.text, count[s.text])
		}
	}
	if !slices.Equal(acked, want) {
		w.broke("%s: acknowledged %q, shown %q", p.name, want, acked)
	}
}

// checkAnswers: every public answer is shown once, in the ticket's order, and
// nothing that was taken back.
func (w *world) checkAnswers(p *phone, messages []bridge.Message) {
	count := make(map[*answer]int)
	newest := make(map[*ticket]*answer)
	for _, m := range messages {
		a := w.answers[m.Text]
		if m.Author == bridge.AuthorUser || a == nil {
			continue
		}
		count[a]++
		if last := newest[a.at]; last != nil && last.id > a.id && !a.late && !a.excused {
			w.broke("%s: %q is shown after %q", p.name, a.text, last.text)
		}
		if !a.late {
			newest[a.at] = a
		}
	}
	for _, text := range slices.Sorted(maps.Keys(w.answers)) {
		a := w.answers[text]
		switch n := count[a]; {
		case a.owner != p:
		case n > 1:
			w.broke("%s: %q is shown %d times", p.name, text, n)
		case n == 1 && (!a.public || a.gone) && !a.stranded && a.at.group == p.place.group: // out of sight nobody sees that it was taken back
			w.broke("%s: %q is shown although it was taken back", p.name, text)
		case n == 0 && a.public && !a.gone && !a.excused && !w.missed(a.at):
			w.broke("%s: the answer %q in ticket %d never came", p.name, text, a.at.id)
		}
	}
}

// checkZammad: every acknowledged message is in Zammad once and in order, and
// rests in no closed ticket.
func (w *world) checkZammad(state simulator.State, shown map[*phone][]bridge.Message) {
	states := make(map[int]string)
	for _, t := range state.Tickets {
		states[t.ID] = t.State
	}
	alive, dead, shell := make(map[string]int), make(map[string]int), make(map[string]int)
	first := make(map[string]int)
	blind := make(map[string]bool) // opened a ticket that went out of sight, or is there still: whether it had arrived could not be seen
	for _, a := range state.Articles {
		s := w.sent[a.Body]
		switch {
		case s == nil && a.Sender == "Customer" && a.MessageID != "":
			w.broke("ticket %d holds %q, which nobody sent", a.Ticket, a.Body)
			continue
		case s == nil:
			continue
		case a.Deleted:
			dead[a.Body]++
		case states[a.Ticket] == "merged":
			// The shell of a merge: a message that met it at that moment is in
			// the successor too, or in a new ticket.
			shell[a.Body]++
		default:
			alive[a.Body]++
			if t := w.tickets[a.Ticket]; t != nil && states[a.Ticket] == "closed" && a.CreatedAt.After(t.closed) && !t.erased() {
				w.broke("%q rests in the closed ticket %d", a.Body, a.Ticket)
			}
			if t := w.tickets[a.Ticket]; t != nil && !t.moved && t.owner != s.phone && t.opener != s.phone {
				w.broke("%q of %s is in ticket %d of %v", a.Body, s.phone.name, a.Ticket, t.owner)
			}
		}
		if _, ok := first[a.Body]; !ok {
			first[a.Body] = a.ID
		}
		was, is := w.opened[a.ID], w.tickets[a.Ticket]
		if was != nil && was.away || is != nil && is.group != s.phone.place.group {
			blind[a.Body] = true
		}
	}
	for _, p := range slices.Concat(w.phones, w.former) {
		p.sort()
		status := make(map[string]bridge.Message)
		for _, m := range shown[p] {
			status[m.Text] = m
		}
		newest := make(map[bridge.ChatID]*sending)
		for _, s := range p.sendings {
			m := status[s.text]
			switch {
			case alive[s.text] > 1 && !blind[s.text]:
				w.broke("%q is %d times in Zammad", s.text, alive[s.text])
			case m.Status == bridge.StatusFailed && alive[s.text] > 0:
				w.broke("%q is said to have failed (%s), and is in Zammad", s.text, m.FailCode)
			case w.hidden(p), p.erased != nil: // what was not sent yet is erased too
			case shell[s.text] > 0 && alive[s.text]+dead[s.text] == 0:
				w.broke("%q rests in the shell of a merged ticket", s.text)
			case s.acked && m.Status != bridge.StatusFailed && alive[s.text]+dead[s.text] == 0:
				w.broke("%q (%s) is not in Zammad", s.text, m.Status)
			}
			if !s.acked || first[s.text] == 0 {
				continue
			}
			if last := newest[m.Chat]; last != nil && first[last.text] > first[s.text] {
				w.broke("%q is in Zammad before %q", s.text, last.text)
			}
			newest[m.Chat] = s
		}
	}
}

// checkChats: a chat has one ticket, unless something gave it another.
func (w *world) checkChats(state simulator.State) {
	where := make(map[bridge.ChatID]int)
	for _, a := range state.Articles {
		s := w.sent[a.Body]
		if s == nil || !s.acked || s.phone.erased != nil {
			continue
		}
		t := w.tickets[a.Ticket]
		if t == nil || t.moved || w.missed(t) {
			continue
		}
		if other, ok := where[s.got.Chat]; ok && other != a.Ticket {
			w.broke("chat %d of %s has the tickets %d and %d", s.got.Chat, s.phone.name, other, a.Ticket)
		}
		where[s.got.Chat] = a.Ticket
	}
}

// sort brings the messages of a phone into the order in which they were
// accepted, which a second try with the same key can change.
func (p *phone) sort() {
	slices.SortStableFunc(p.sendings, func(a, b *sending) int { return int(a.got.ID - b.got.ID) })
}
