package desk

import (
	"context"
	"errors"
	"slices"
	"strings"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

// aliasShown is the number of characters of an alias in titles and names:
// enough to tell the chats of a day apart. Logins take the whole alias, since
// they must be unique for ever.
const aliasShown = 6

// Open makes customer, ticket and first article: one call (contract 00.2). The
// customer has no e-mail, so that no default trigger and no reply button writes
// mail to it (contract 2.2, 3.5).
//
// A 403 of a token that works means that it may not create tickets in the
// region's group, which concerns every new chat: DeskDenied.
func (d *Desk) Open(ctx context.Context, r *bridge.Region, o bridge.Opening) (bridge.Posted, error) {
	s, err := d.site(r)
	if err != nil {
		return bridge.Posted{}, err
	}
	set := r.Settings.WithDefaults()
	// Zammad stores logins in lower case, and looks the origin up exactly.
	login := strings.ToLower(strings.ReplaceAll(set.CustomerLogin, "{alias}", o.Alias))
	customer := zammad.Customer{Login: login}
	customer.Firstname, customer.Lastname = names(fill(set.CustomerName, r, o.Alias, o.Language))
	article := newArticle(set.ArticleType, o.UUID, bodyOf(o.Text, o.Files))
	release, err := s.load(ctx, &article, o.Files)
	if err != nil {
		return bridge.Posted{}, err
	}
	defer release()
	if article.Sender == "" {
		article.OriginBy = login
	}
	answer, err := s.Tickets.Create(ctx, zammad.NewTicket{
		Title: fill(set.TitlePattern, r, o.Alias, o.Language), Group: set.ZammadGroup, Customer: &customer,
		Tags: tag(set.TagPattern, r, o.Language), Article: &article, Attributes: consent(set, o.Consent),
	})
	if err != nil {
		err = forFiles(s.failed(ctx, err, ofAll), o.Files)
		if denied, ok := errors.AsType[*bridge.DeskError](err); ok && denied.Kind == bridge.DeskDenied && errors.Is(err, zammad.ErrForbidden) {
			denied.Reason = "the token may not create tickets in the group " + set.ZammadGroup + ": " + denied.Reason
		}
		return bridge.Posted{}, withoutText(err, o.Text)
	}
	posted := bridge.Posted{Ticket: ticket(answer, s.states.bear(answer.StateID)), Customer: bridge.CustomerID(answer.CustomerID)}
	if len(posted.Ticket.Articles) > 0 {
		// Triggers may have added notes in the same transaction, but later.
		posted.Article = slices.Min(posted.Ticket.Articles)
	}
	return posted, nil
}

// Post adds a message to a ticket: one call, whose answer shows the ticket's
// state at once (contract 00.16); one more after it if that state is not known
// yet, and one before it if p.Reopen needs the list of states. With p.Reopen
// the state changes in the same transaction. Article of the answer is set if exactly one of the ticket's
// articles is not among p.Known.
func (d *Desk) Post(ctx context.Context, r *bridge.Region, p bridge.Post) (bridge.Posted, error) {
	s, err := d.site(r)
	if err != nil {
		return bridge.Posted{}, err
	}
	article := newArticle(r.Settings.WithDefaults().ArticleType, p.UUID, bodyOf(p.Text, p.Files))
	release, err := s.load(ctx, &article, p.Files)
	if err != nil {
		return bridge.Posted{}, err
	}
	defer release()
	switch {
	case article.Sender != "":
	case p.Customer != 0:
		article.OriginByID = zammad.UserID(p.Customer)
	default:
		article.Sender = zammad.SenderCustomer // the right side at least, though with our name
	}
	change := zammad.TicketUpdate{Article: &article}
	if p.Reopen {
		if change.StateID, err = s.states.opened(ctx); err != nil {
			return bridge.Posted{}, err
		}
	}
	answer, err := s.Tickets.Update(ctx, zammad.TicketID(p.Ticket), change)
	if err != nil {
		return bridge.Posted{}, withoutText(forFiles(s.failed(ctx, err, ofRecord), p.Files), p.Text)
	}
	posted := bridge.Posted{Customer: p.Customer}
	if posted.Ticket, err = s.ticket(ctx, answer); err != nil {
		// It is written, perhaps into a closed or merged ticket, so it is looked for.
		return bridge.Posted{}, &bridge.DeskError{Kind: bridge.DeskAmbiguous, Reason: "the state of the ticket is not known", Err: err}
	}
	if posted.Customer == 0 {
		posted.Customer = bridge.CustomerID(answer.CustomerID)
	}
	unknown := slices.DeleteFunc(slices.Clone(posted.Ticket.Articles), func(id bridge.ArticleID) bool {
		return slices.Contains(p.Known, id)
	})
	if len(unknown) == 1 {
		posted.Article = unknown[0]
	}
	return posted, nil
}

// Reopen sets a closed ticket open again: one call.
func (d *Desk) Reopen(ctx context.Context, r *bridge.Region, id bridge.TicketID) (bridge.Ticket, error) {
	s, err := d.site(r)
	if err != nil {
		return bridge.Ticket{}, err
	}
	state, err := s.states.opened(ctx)
	if err != nil {
		return bridge.Ticket{}, err
	}
	answer, err := s.Tickets.Update(ctx, zammad.TicketID(id), zammad.TicketUpdate{StateID: state})
	if err != nil {
		return bridge.Ticket{}, s.failed(ctx, err, ofRecord)
	}
	return ticket(answer, bridge.TicketOpen), nil
}

// Close closes a ticket: one call, and one more if the list of states is not
// known yet.
func (d *Desk) Close(ctx context.Context, r *bridge.Region, id bridge.TicketID) (bridge.Ticket, error) {
	s, err := d.site(r)
	if err != nil {
		return bridge.Ticket{}, err
	}
	state, err := s.states.closed(ctx)
	if err != nil {
		return bridge.Ticket{}, err
	}
	answer, err := s.Tickets.Update(ctx, zammad.TicketID(id), zammad.TicketUpdate{StateID: state})
	if err != nil {
		return bridge.Ticket{}, s.failed(ctx, err, ofRecord)
	}
	return ticket(answer, bridge.TicketClosed), nil
}

// Note writes an internal note: one call. It goes as an article alone, since a
// ticket that refuses a change for want of a mandatory attribute takes one all
// the same; without a transaction its failure proves nothing (contract 2.4).
func (d *Desk) Note(ctx context.Context, r *bridge.Region, n bridge.Note) error {
	s, err := d.site(r)
	if err != nil {
		return err
	}
	internal := true
	_, err = s.Articles.Create(zammad.Housekeeping(ctx), zammad.NewArticle{
		TicketID: zammad.TicketID(n.Ticket), Type: zammad.TypeNote, Sender: zammad.SenderAgent, Internal: &internal,
		Body: toHTML(n.Text), ContentType: zammad.ContentHTML, MessageID: n.UUID.Header(),
	})
	if err != nil {
		return s.failed(ctx, err, ofRecord)
	}
	return nil
}

// Relabel lets title and consent attribute follow: one call. If the language
// changed, and the region's tag names it, the tag follows too: two more. A tag
// that Zammad refuses is no error: newer ones may forbid new tags (contract
// 2.6). All of it may be repeated without harm.
func (d *Desk) Relabel(ctx context.Context, r *bridge.Region, l bridge.Label) error {
	s, err := d.site(r)
	if err != nil {
		return err
	}
	ctx = zammad.Housekeeping(ctx)
	set := r.Settings.WithDefaults()
	id := zammad.TicketID(l.Ticket)
	change := zammad.TicketUpdate{Title: fill(set.TitlePattern, r, l.Alias, l.Language), Attributes: consent(set, l.Consent)}
	if _, err := s.Tickets.Update(ctx, id, change); err != nil {
		return s.failed(ctx, err, ofRecord)
	}
	if l.Previous == "" {
		return nil
	}
	before, after := tag(set.TagPattern, r, l.Previous), tag(set.TagPattern, r, l.Language)
	if before == after {
		return nil
	}
	return errors.Join(
		d.tolerate(ctx, s, l.Ticket, s.Tags.Remove(ctx, id, before)),
		d.tolerate(ctx, s, l.Ticket, s.Tags.Add(ctx, id, after)),
	)
}

// tolerate lets the refusal of a tag pass, but not a Zammad that did not answer.
func (d *Desk) tolerate(ctx context.Context, s *site, ticket bridge.TicketID, err error) error {
	for _, kind := range []error{zammad.ErrForbidden, zammad.ErrInvalid, zammad.ErrMasked, zammad.ErrServer, zammad.ErrNotFound} {
		if errors.Is(err, kind) {
			d.cfg.Log.InfoContext(ctx, "a tag of a ticket was refused; the ticket goes on without", "ticket", ticket, "error", err)
			return nil
		}
	}
	if err != nil {
		return s.failed(ctx, err, ofRecord)
	}
	return nil
}

// newArticle is a message of a device. Its sender is left empty where the
// customer has to be named as its origin, which makes it the customer's. For
// web, phone and note Zammad does this by itself for the sender Customer, at
// the price of an empty or machine-like author (contract 00.1).
func newArticle(kind string, uuid bridge.MessageUUID, text string) zammad.NewArticle {
	article := zammad.NewArticle{
		Type: kind, ContentType: zammad.ContentHTML, Body: toHTML(text), MessageID: uuid.Header(),
	}
	switch kind {
	case zammad.TypeWeb, zammad.TypePhone, zammad.TypeNote:
		article.Sender = zammad.SenderCustomer
	}
	return article
}

// fill puts a region's pattern together.
func fill(pattern string, r *bridge.Region, alias, language string) string {
	return strings.NewReplacer(
		"{LANG}", strings.ToUpper(language), "{lang}", language,
		"{region}", r.Name, "{alias}", alias[:min(len(alias), aliasShown)],
	).Replace(pattern)
}

// names splits a name at its first space. Zammad keeps both parts as they are
// if they have a digit or mixed case (contract 2.2).
func names(name string) (first, last string) {
	first, last, _ = strings.Cut(strings.TrimSpace(name), " ")
	return first, last
}

// tag is a ticket's language tag, "" for none. Zammad splits tags at commas.
func tag(pattern string, r *bridge.Region, language string) string {
	if pattern == "-" {
		return ""
	}
	return strings.TrimSpace(strings.ReplaceAll(fill(pattern, r, "", language), ",", " "))
}

// consent is the custom attribute that shows the evaluation consent to agents.
func consent(set bridge.RegionSettings, given *bool) map[string]any {
	if set.ConsentAttribute == "" || given == nil {
		return nil
	}
	return map[string]any{set.ConsentAttribute: *given}
}
