package bridge

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// How work is tried again. All rests get up to half of themselves on top, so
// that many lanes don't come back at once.
const (
	restFirst    = time.Second      // after the first failure; doubles with each
	restLongest  = 5 * time.Minute  // ticket out of sight, no access, refused
	restDown     = time.Minute      // longest while the desk does not answer; its limiter keeps calls away meanwhile
	restDoubt    = 15 * time.Second // longest pause between two looks while in doubt
	restRegion   = 30 * time.Second // region without a usable desk
	warnEvery    = 12               // tries without access: about an hour between two warnings
	triesRefused = 6                // with a reason: about a minute, for an administrator's quick mend
	triesMasked  = 10               // without one: about a quarter of an hour, since it may be a deadlock or load
	triesUnheard = 12               // cut off, and not there when the horizon is over, although Zammad answers: about an hour
)

// do carries one piece of work to the desk and says what became of it.
func (p *Pump) do(ctx context.Context, w *Work) Outcome {
	region, ok := p.Regions.ByID(w.Chat.Region)
	if !ok || region.Settings.ZammadURL == "" || region.ZammadToken == "" {
		return p.rest(w, Retry{Due: p.Now().Add(restRegion), Doubt: w.InDoubt(), Reason: "the region has no Zammad"})
	}
	switch w.Kind {
	case WorkLabel:
		return p.label(ctx, region, w)
	case WorkNote:
		return p.note(ctx, region, w)
	default:
		return p.message(ctx, region, w)
	}
}

// message brings a message into its ticket.
func (p *Pump) message(ctx context.Context, r *Region, w *Work) Outcome {
	if w.InDoubt() {
		return p.settle(ctx, r, w)
	}
	if w.Chat.Ticket == 0 {
		posted, err := begin(ctx, p, w, func(ctx context.Context) (Posted, error) {
			return p.Desk.Open(ctx, r, Opening{
				UUID: w.UUID, Text: w.Text, Files: w.Files, Alias: w.Chat.Alias, Language: w.Chat.Language, Consent: w.Chat.Consent,
			})
		})
		return p.posted(ctx, r, w, posted, err)
	}
	if w.Chat.TicketState == TicketMerged {
		return p.follow(ctx, r, w)
	}
	reopen := w.Chat.TicketState == TicketClosed
	if reopen {
		ticket, allowed, err := p.Desk.Reopens(ctx, r, w.Chat.Ticket)
		switch {
		case err != nil:
			return p.failed(w, err)
		case ticket.State != TicketClosed:
			// To open it now could undo a merge.
			return p.rest(w, Retry{Due: p.Now(), State: ticket.State, Reason: "the ticket is not closed any more"})
		case !allowed:
			return p.rest(w, Retry{Due: p.Now(), Detach: true, Reason: "the group's rule wants a new ticket"})
		}
	}
	known, err := p.Lanes.Articles(ctx, w.Chat.ID)
	if err != nil {
		return p.rest(w, Retry{Due: p.Now().Add(restFirst), Reason: err.Error()})
	}
	posted, err := begin(ctx, p, w, func(ctx context.Context) (Posted, error) {
		return p.Desk.Post(ctx, r, Post{
			UUID: w.UUID, Text: w.Text, Files: w.Files, Ticket: w.Chat.Ticket, Customer: w.Chat.Customer, Reopen: reopen, Known: known,
		})
	})
	return p.posted(ctx, r, w, posted, err)
}

// begin begins a write only in the first half of the horizon since its work was
// taken, waiting for the desk's limiter included; the second half is for its
// end. A process that stood still (SIGSTOP, a frozen machine) may have lost its
// lane, and whoever has it now looks for the write no longer than the horizon.
func begin[T any](ctx context.Context, p *Pump, w *Work, call func(context.Context) (T, error)) (T, error) {
	passed := p.Now().Round(0).Sub(w.TakenAt.Round(0)) // by the wall clock: the other one stops with a frozen machine
	if passed > p.Horizon/2 {
		var none T
		return none, &DeskError{Kind: DeskUnavailable, Reason: "too much time has passed to begin the write"}
	}
	ctx, cancel := context.WithTimeout(ctx, p.Horizon/2)
	defer cancel()
	return call(ctx)
}

// posted looks at the desk's answer to a message.
func (p *Pump) posted(ctx context.Context, r *Region, w *Work, posted Posted, err error) Outcome {
	if err != nil {
		return p.failed(w, err)
	}
	switch posted.Ticket.State {
	case TicketClosed: // closed in the same moment: the message must not rest there
		reopened, err := begin(ctx, p, w, func(ctx context.Context) (Ticket, error) { return p.Desk.Reopen(ctx, r, posted.Ticket.ID) })
		kind := KindOf(err)
		switch {
		case err == nil:
			posted.Ticket = reopened
		case kind == DeskRefused || lastRefusal(w, err):
			p.Log.WarnContext(ctx, "a message met a ticket just closed, and it may not be reopened; the next message will ask the group's rule", "chat", w.Chat.ID, "error", err)
		default: // in doubt: it is found next time, and its ticket reopened then
			return p.rest(w, Retry{
				Due: p.Now().Add(backoff(w.Attempts, longest(err))), Doubt: true, Attempt: true, Refused: kind == DeskMasked, Reason: err.Error(),
			})
		}
	case TicketMerged: // merged in the same moment: the successor must have it too
		return p.follow(ctx, r, w)
	}
	return Outcome{Work: w.ID, Sent: &Sent{
		Ticket: posted.Ticket.ID, State: posted.Ticket.State, StateAt: posted.Ticket.ChangedAt, Customer: posted.Customer, Article: posted.Article,
	}}
}

// settle finds out whether an earlier try of a message had arrived.
func (p *Pump) settle(ctx context.Context, r *Region, w *Work) Outcome {
	posted, found, err := p.Desk.Find(ctx, r, w.UUID)
	now := p.Now()
	switch {
	case err != nil:
		return p.unsettled(w, err)
	// What is in the shell of a merge that the chat has left says nothing about
	// the try that came after.
	case found && (posted.Ticket.State != TicketMerged || posted.Ticket.ID == w.Chat.Ticket):
		return p.found(ctx, r, w, posted)
	case now.Before(w.StartedAt.Add(p.Horizon)):
		return p.rest(w, Retry{Due: now.Add(backoff(w.Attempts, restDoubt)), Doubt: true, Attempt: true, Reason: "the write may still be running"})
	case w.Chat.Ticket != 0:
		// What is out of sight is not found although it may be there.
		if _, err := p.Desk.Ticket(ctx, r, w.Chat.Ticket); err != nil && KindOf(err) != DeskGone {
			return p.unsettled(w, err)
		}
	}
	// Something on the way may cut off this one message each time, such as a proxy
	// that does not like its size or its words. Others must not wait for ever.
	if w.Refusals+1 >= triesUnheard {
		return setAside(w, &DeskError{Kind: DeskAmbiguous, Reason: "it was cut off each time and never arrived", Files: len(w.Files) > 0})
	}
	return p.rest(w, Retry{Due: now, Refused: true, Reason: "the write did not arrive"})
}

// found looks at where a message in doubt has arrived. A ticket that took others
// in may be somebody else's, with the message's own ticket merged into it. In one
// that was not known here until now agents may have answered long ago: their
// deliveries were for an unknown ticket, and reconciliation has gone past it, so
// nobody but this would read them.
func (p *Pump) found(ctx context.Context, r *Region, w *Work, posted Posted) Outcome {
	if posted.Ticket.ID == w.Chat.Ticket {
		return p.posted(ctx, r, w, posted, nil)
	}
	merged, err := p.Desk.Absorbed(ctx, r, posted.Ticket.ID)
	if err != nil {
		return p.unsettled(w, err)
	}
	out := Outcome{Work: w.ID, Sent: &Sent{}}
	if merged.IsZero() {
		out = p.posted(ctx, r, w, posted, nil)
		if out.Sent == nil || w.Chat.Ticket != 0 || len(posted.Ticket.Articles) < 2 {
			return out // nobody else has written there, or the chat's own ticket is another one
		}
		posted.Ticket.State = out.Sent.State // it may have been reopened
	}
	if err := p.Receiver.adopt(ctx, r, w.Chat, posted.Ticket); err != nil {
		return p.unsettled(w, err)
	}
	return out
}

// unsettled keeps work in doubt after a look that failed.
func (p *Pump) unsettled(w *Work, err error) Outcome {
	return p.rest(w, Retry{Due: p.Now().Add(backoff(w.Attempts, longest(err))), Doubt: true, Attempt: true, Reason: err.Error()})
}

// follow moves the chat to the ticket that took its ticket in.
func (p *Pump) follow(ctx context.Context, r *Region, w *Work) Outcome {
	ticket, err := p.Desk.Ticket(ctx, r, w.Chat.Ticket)
	if err != nil {
		return p.failed(w, err)
	}
	if ticket.State != TicketMerged {
		return p.rest(w, Retry{Due: p.Now(), State: ticket.State, Reason: "the ticket is not merged any more"})
	}
	successor, err := p.Receiver.Follow(ctx, r, w.Chat, ticket)
	if d := (*DeskError)(nil); errors.As(err, &d) {
		return p.failed(w, err)
	} else if err != nil {
		return p.rest(w, Retry{Due: p.Now().Add(restFirst), Reason: err.Error()})
	}
	return p.rest(w, Retry{Due: p.Now(), Detach: successor == 0, Reason: "the ticket was merged"})
}

// label lets title, tag and consent follow. It can be repeated, so doubt needs
// no look; only an erasure must know that a title with the alias may still come.
func (p *Pump) label(ctx context.Context, r *Region, w *Work) Outcome {
	if w.Chat.Ticket == 0 {
		return Outcome{Work: w.ID} // the ticket will be opened with the right label
	}
	_, err := begin(ctx, p, w, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, p.Desk.Relabel(ctx, r, Label{
			Ticket: w.Chat.Ticket, Alias: w.Chat.Alias, Language: w.Chat.Language, Previous: w.Previous, Consent: w.Chat.Consent,
		})
	})
	if err == nil {
		return Outcome{Work: w.ID}
	}
	switch KindOf(err) {
	case DeskGone, DeskRefused, DeskMasked:
		// A title is not worth holding messages up for.
		p.Log.WarnContext(ctx, "the label of a ticket could not follow its chat", "chat", w.Chat.ID, "error", err)
		return Outcome{Work: w.ID}
	}
	return p.rest(w, Retry{
		Due: p.Now().Add(backoff(w.Attempts, longest(err))), Attempt: true, Reason: err.Error(),
		Doubt: w.InDoubt() || KindOf(err) == DeskAmbiguous,
	})
}

// lastRefusal says whether a refusal is one too many.
func lastRefusal(w *Work, err error) bool {
	switch KindOf(err) {
	case DeskRefused:
		return w.Refusals+1 >= triesRefused
	case DeskMasked:
		return w.Refusals+1 >= triesMasked
	default:
		return false
	}
}

// note tells the agents of a message that was set aside. Its UUID comes from the
// message's, and it is looked for before it is written: one note for a message,
// even if the message is tried and refused again.
func (p *Pump) note(ctx context.Context, r *Region, w *Work) Outcome {
	switch {
	case w.Chat.Ticket == 0:
		return Outcome{Work: w.ID} // there is no ticket to write it into
	case w.Chat.TicketState == TicketMerged:
		return p.follow(ctx, r, w)
	}
	uuid := noteUUID("refused/" + string(w.UUID))
	_, found, err := p.Desk.Find(ctx, r, uuid)
	now := p.Now()
	switch {
	case err != nil:
		return p.unnoted(ctx, w, err, w.InDoubt())
	case found:
		return Outcome{Work: w.ID}
	case w.InDoubt() && now.Before(w.StartedAt.Add(p.Horizon)):
		return p.rest(w, Retry{Due: now.Add(backoff(w.Attempts, restDoubt)), Doubt: true, Attempt: true, Reason: "the write may still be running"})
	case w.InDoubt():
		return p.rest(w, Retry{Due: now, Reason: "the note did not arrive"})
	}
	_, err = begin(ctx, p, w, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, p.Desk.Note(ctx, r, Note{UUID: uuid, Ticket: w.Chat.Ticket, Text: refusedNote(w.Cause)})
	})
	if err != nil {
		return p.unnoted(ctx, w, err, KindOf(err) == DeskAmbiguous)
	}
	return Outcome{Work: w.ID}
}

// unnoted decides what a failed call means for a note. Messages do not wait for
// one that cannot be written.
func (p *Pump) unnoted(ctx context.Context, w *Work, err error, doubt bool) Outcome {
	kind := KindOf(err)
	if kind == DeskGone || kind == DeskRefused || kind == DeskMasked && w.Refusals+1 >= triesRefused {
		p.Log.WarnContext(ctx, "the agents could not be told of a message that was set aside", "chat", w.Chat.ID, "error", err)
		return Outcome{Work: w.ID}
	}
	return p.rest(w, Retry{
		Due: p.Now().Add(backoff(w.Attempts, longest(err))), Doubt: doubt, Attempt: true, Refused: kind == DeskMasked, Reason: err.Error(),
	})
}

// failed decides what a failed call means for the work.
func (p *Pump) failed(w *Work, err error) Outcome {
	retry := Retry{Due: p.Now().Add(backoff(w.Attempts, longest(err))), Attempt: true, Reason: err.Error()}
	switch KindOf(err) {
	case DeskAmbiguous:
		retry.Doubt = true
		retry.Due = p.Now().Add(backoff(0, restDoubt))
	case DeskGone:
		retry.Due = p.Now()
		retry.Detach = true
	case DeskDenied, DeskHidden:
		if w.Attempts%warnEvery == 0 {
			p.Log.Warn("messages wait until somebody gives Deskbridge access again", "chat", w.Chat.ID, "region", w.Chat.Region, "reason", err)
		}
	case DeskRefused, DeskMasked:
		if lastRefusal(w, err) {
			return setAside(w, err)
		}
		retry.Refused = true
		retry.Due = p.Now().Add(backoff(w.Refusals, restLongest))
	}
	return p.rest(w, retry)
}

func (p *Pump) rest(w *Work, r Retry) Outcome { return Outcome{Work: w.ID, Retry: &r} }

// setAside makes a dead letter of a message. The lane goes on with the next one:
// to wait for ever would lose that one too.
func setAside(w *Work, err error) Outcome {
	f := &Failed{Code: FailRefused, Reason: err.Error()}
	var d *DeskError
	if errors.As(err, &d) {
		f.ErrorID = d.ErrorID
		if d.Files {
			f.Code = FailAttachment
		}
	}
	return Outcome{Work: w.ID, Failed: f}
}

// longest is the longest rest after a failed call.
func longest(err error) time.Duration {
	if KindOf(err) == DeskUnavailable {
		return restDown
	}
	return restLongest
}

// backoff gives the rest after a number of failed tries, with jitter.
func backoff(attempts int, most time.Duration) time.Duration {
	rest := most
	if attempts < 20 {
		rest = min(restFirst<<attempts, most)
	}
	return rest + rand.N(rest/2+1)
}
