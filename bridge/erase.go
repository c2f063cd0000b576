package bridge

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// How erasures are carried to the desk. They are housekeeping: nobody waits for
// one, so they let everybody's messages go first.
const (
	// eraseEvery is how often erasures that are due are looked for without being
	// woken, and erasuresAtOnce how many of them one instance takes at a time.
	eraseEvery     = 5 * time.Second
	erasuresAtOnce = 4
	// restTask is how long a data privacy task is left alone before it is looked
	// at again; Zammad runs them every ten minutes.
	restTask = time.Minute
	// TriesErasure is after how many refusals an erasure counts as failed: about
	// half an hour. restFailed is how soon a failed one is tried again.
	//
	// Failure policy: it is tried for ever; the receipt and doctor say `failed`.
	TriesErasure = 10
	restFailed   = 24 * time.Hour
)

// EraserDeps is what the Eraser needs.
type EraserDeps struct {
	Store     RightsStore
	Chats     ChatListStore
	Desk      Desk
	Regions   *Regions
	Exposures *Exposures
	Publisher Publisher
	Log       *slog.Logger
	Now       func() time.Time
	Horizon   time.Duration // zero: DefaultWriteHorizon
}

// Eraser gives users what is stored of them, erases it here, and carries the
// erasure to the desk.
type Eraser struct {
	EraserDeps
	wake chan struct{}
}

// NewEraser makes an Eraser; Run lets it work.
func NewEraser(deps EraserDeps) *Eraser {
	if deps.Horizon == 0 {
		deps.Horizon = DefaultWriteHorizon
	}
	return &Eraser{EraserDeps: deps, wake: make(chan struct{}, 1)}
}

// Erase removes everything of a device here. When it returns without error that
// is durable, and the desk follows. The error is ErrChatNotFound if nothing is
// stored of the device and no erasure has this receipt.
func (e *Eraser) Erase(ctx context.Context, r *Region, d DeviceHash, receipt string) error {
	return e.erase(ctx, r, d, receipt, "")
}

// EraseChat is Erase for the device of a chat, as its user has asked the staff
// to; the context's actor is noted. The error is ErrChatNotFound if the region
// has no such chat.
func (e *Eraser) EraseChat(ctx context.Context, r *Region, id ChatID, receipt string) error {
	chat, err := e.Chats.Chat(ctx, r.ID, id)
	if err != nil {
		return err
	}
	return e.erase(ctx, r, chat.Device, receipt, fmt.Sprintf("chat %d", id))
}

func (e *Eraser) erase(ctx context.Context, r *Region, d DeviceHash, receipt, subject string) error {
	e.Exposures.Forget(r.ID, d)
	var random [10]byte
	rand.Read(random[:]) // never fails (crypto/rand)
	err := e.Store.Erase(ctx, Erasing{
		Region: r, Device: d, Receipt: HashReceipt(receipt), Horizon: e.Horizon, Subject: subject, Now: e.Now(),
		Neutral: "erased-" + strings.ToLower(base32.StdEncoding.EncodeToString(random[:])),
	})
	if err != nil {
		return err
	}
	e.Publisher.Publish(Change{Region: r.ID, Device: d})
	select {
	case e.wake <- struct{}{}:
	default: // it is about to look anyway
	}
	return nil
}

// Report tells of a receipt; the error is ErrReceiptUnknown.
func (e *Eraser) Report(ctx context.Context, r *Region, receipt string) (ErasureReport, error) {
	return e.Store.ErasureReport(ctx, r.ID, HashReceipt(receipt))
}

// Export reads what is stored of a device but its messages; the error is
// ErrChatNotFound if that is nothing.
func (e *Eraser) Export(ctx context.Context, r *Region, d DeviceHash) (Export, error) {
	return e.Store.Export(ctx, r, d)
}

// ExportMessages reads a page of a device's messages, the oldest first.
func (e *Eraser) ExportMessages(ctx context.Context, r *Region, d DeviceHash, after MessageID, limit int) ([]Message, error) {
	return e.Store.ExportMessages(ctx, r, d, after, limit)
}

// Run carries erasures to the desks until ctx ends.
func (e *Eraser) Run(ctx context.Context) error {
	tick := time.NewTicker(eraseEvery)
	defer tick.Stop()
	for {
		e.Step(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		case <-tick.C:
		}
	}
}

// Step tries every erasure that is due once.
func (e *Eraser) Step(ctx context.Context) {
	// A try takes no longer than the horizon, and what it was writing last may
	// run as long again: only then somebody else may take the erasure.
	now := e.Now()
	claims, err := e.Store.ClaimErasures(ctx, now, now.Add(2*e.Horizon), erasuresAtOnce)
	if err != nil {
		if ctx.Err() == nil {
			e.Log.ErrorContext(ctx, "erasures could not be read; trying again", "error", err)
		}
		return
	}
	var wg sync.WaitGroup
	for _, claim := range claims {
		wg.Go(func() { e.carry(ctx, claim) })
	}
	wg.Wait()
}

// carry tries one erasure and stores what became of it.
func (e *Eraser) carry(ctx context.Context, w Erasure) {
	log := e.Log.With("erasure", w.ID, "rule", w.Rule)
	outcome := e.try(ctx, w)
	if ctx.Err() != nil && !outcome.Done {
		outcome = ErasureOutcome{Due: e.Now().Add(e.Horizon), Reason: "the instance was stopped"}
	}
	if err := e.Store.FinishErasure(context.WithoutCancel(ctx), w, outcome, e.Now()); err != nil {
		log.ErrorContext(ctx, "the outcome of an erasure could not be stored; it is done again", "error", err)
		return
	}
	switch {
	case outcome.Done:
		log.InfoContext(ctx, "an erasure is done in Zammad")
	case outcome.Refused && w.Refusals+1 >= TriesErasure:
		log.ErrorContext(ctx, "an erasure is refused by Zammad; it is tried again tomorrow", "reason", outcome.Reason)
	default:
		log.InfoContext(ctx, "an erasure waits", "reason", outcome.Reason, "until", outcome.Due)
	}
}

// try does all steps of an erasure once. Every step may be repeated.
func (e *Eraser) try(ctx context.Context, w Erasure) ErasureOutcome {
	ctx, cancel := context.WithTimeout(ctx, e.Horizon)
	defer cancel()
	began := e.Now()
	region, ok := e.Regions.ByID(w.Region)
	if !ok || region.Desk != w.Desk || region.Settings.ZammadURL == "" || region.ZammadToken == "" {
		return e.again(w, &DeskError{Kind: DeskRefused, Reason: "the region does not have the Zammad any more in which the chat was"})
	}
	gone, err := (&erasing{e, region, &w}).steps(ctx)
	switch {
	case err != nil:
		return e.again(w, err)
	case began.Before(w.SettledAt):
		return ErasureOutcome{Due: w.SettledAt, Reason: "a write may still be running"}
	case !gone:
		return ErasureOutcome{Due: e.Now().Add(restTask), Reason: "the data privacy task is not completed"}
	}
	return ErasureOutcome{Done: true}
}

// again says when an erasure that met an error is tried again.
func (e *Eraser) again(w Erasure, err error) ErasureOutcome {
	now := e.Now()
	o := ErasureOutcome{Due: now.Add(backoff(w.Attempts, restLongest)), Reason: err.Error()}
	switch KindOf(err) {
	case DeskAmbiguous: // what was cut off may still be running
		o.Due = now.Add(e.Horizon)
	case DeskRefused, DeskMasked, DeskHidden: // out of sight it may be for ever: somebody must know
		o.Refused = true
		if w.Refusals+1 >= TriesErasure {
			o.Due = now.Add(restFailed)
		}
	}
	return o
}

// erasing is one try of an erasure.
type erasing struct {
	*Eraser
	region *Region
	w      *Erasure
}

// steps looks for messages that arrived late and then goes through tickets and
// customers. gone is false while a customer that is to be deleted is there.
func (e *erasing) steps(ctx context.Context) (gone bool, err error) {
	t := &e.w.Traces
	for _, uuid := range t.Messages {
		posted, found, err := e.Desk.Find(ctx, e.region, uuid)
		if err != nil {
			return false, fmt.Errorf("look for a message in doubt: %w", err)
		}
		if found {
			t.Tickets = with(t.Tickets, posted.Ticket.ID)
			if posted.Customer != 0 {
				t.Customers = with(t.Customers, posted.Customer)
			}
		}
	}
	var failed []error
	for i := 0; i < len(t.Tickets); i++ { // a merged one adds its successor
		if err := e.ticket(ctx, t.Tickets[i]); err != nil && KindOf(err) != DeskGone {
			failed = append(failed, err)
		}
	}
	gone = true
	for _, customer := range t.Customers {
		there, err := e.customer(ctx, customer)
		if err != nil && KindOf(err) != DeskGone {
			failed = append(failed, err)
		}
		gone = gone && !there
	}
	if len(failed) > 0 {
		return false, failed[0] // the others are met again
	}
	return gone, nil
}

// ticket takes one ticket's names away as far as the rule wants, and tells its
// agents. One of somebody else, into which an agent has merged ours, is only
// told of: there the words of two people stand.
func (e *erasing) ticket(ctx context.Context, id TicketID) error {
	ticket, err := e.Desk.Ticket(ctx, e.region, id)
	if err != nil {
		return fmt.Errorf("read ticket: %w", err)
	}
	ours := slices.Contains(e.w.Traces.Customers, ticket.Customer)
	if !ours && e.w.Alias != "" && strings.Contains(ticket.Login, strings.ToLower(e.w.Alias)) {
		// The chat had left this ticket when it was merged.
		ours, e.w.Traces.Customers = true, append(e.w.Traces.Customers, ticket.Customer)
	}
	if ticket.State == TicketMerged && ticket.Successor != 0 {
		e.w.Traces.Tickets = with(e.w.Traces.Tickets, ticket.Successor)
	} else if !ours || e.w.Rule != EraseDelete {
		if err := e.note(ctx, id, ours); err != nil {
			return err
		}
	}
	if !ours || e.w.Rule != EraseAnonymise {
		return nil
	}
	return e.Desk.Anonymise(ctx, e.region, Anonymity{Ticket: id, Close: ticket.State == TicketOpen})
}

// note tells the agents once. It is looked for first, since an earlier try may
// have been cut off.
func (e *erasing) note(ctx context.Context, id TicketID, ours bool) error {
	uuid := noteUUID(fmt.Sprintf("erased/%d", id))
	articles, err := e.Desk.Articles(ctx, e.region, id)
	if err != nil {
		return fmt.Errorf("look for the note: %w", err)
	}
	if slices.ContainsFunc(articles, func(a Article) bool { return a.Header == uuid.Header() }) {
		return nil
	}
	return e.Desk.Note(ctx, e.region, Note{UUID: uuid, Ticket: id, Text: erasedNote(e.w.Rule, ours)})
}

// customer renames or deletes a customer who is this device's alone, which the
// alias in the login proves; the desk looks.
func (e *erasing) customer(ctx context.Context, id CustomerID) (there bool, err error) {
	person := Person{Customer: id, Alias: e.w.Alias, Neutral: e.w.Neutral}
	switch e.w.Rule {
	case EraseAnonymise:
		return false, e.Desk.Rename(ctx, e.region, person)
	case EraseDelete:
		return e.Desk.Delete(ctx, e.region, person)
	}
	return false, nil
}

// with adds a value to a list that does not have it.
func with[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}
