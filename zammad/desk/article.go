package desk

import (
	"fmt"
	"net/mail"
	"strings"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

// automaticSubject marks what machines write with an agent's token in
// installations that come from the app's first server: bot answers,
// translations and welcome notes have it, and their triggers look for it.
const automaticSubject = "automatically generated message"

// ReadDelivery translates the body of a webhook: no call. An article is in
// Included unless it takes a look at the ticket's links to know whether it is
// Zammad's note about a merge; then it is only among Articles, and read like
// every other that is missing. State is TicketNone if an administrator renamed
// the state, since deliveries do not tell its type (contract 4.2).
func (d *Desk) ReadDelivery(body []byte) (bridge.Ticket, error) {
	delivery, err := zammad.ParseDelivery(body)
	if err != nil {
		return bridge.Ticket{}, fmt.Errorf("%w: %w", bridge.ErrWebhookBody, err)
	}
	t := delivery.Ticket
	out := bridge.Ticket{
		ID: bridge.TicketID(t.ID), State: stateOfName(t.State),
		Articles: make([]bridge.ArticleID, len(t.ArticleIDs)), Login: string(delivery.Customer.Login), ChangedAt: t.UpdatedAt,
	}
	for i, id := range t.ArticleIDs {
		out.Articles[i] = bridge.ArticleID(id)
	}
	if a := delivery.Article; a != nil {
		switch note := looksLikeMergeNote(*a); {
		case !note:
			out.Included = []bridge.Article{article(*a)}
		case out.State == bridge.TicketMerged:
			out.Included = []bridge.Article{hidden(*a)}
		}
	}
	return out, nil
}

// article translates an article. What the device must not see has no content,
// so that it cannot leave by any mistake further on; it comes again with
// content when it is made public.
//
// Not public are internal articles and e-mails by the sender System, which are
// the seeded auto reply and its like: written to a mailbox, with a mail's
// salutation and signature (contract 3.5). Public notes by the sender System
// are welcome notes and the like, written by triggers for the reader.
//
// Automatic is what the sender System wrote, and what has the subject of
// machines. Other articles by the bridge's own user are not: other software
// may hand on the words of people with the same token.
func article(a zammad.Article) bridge.Article {
	out := hidden(a)
	system := a.Sender == zammad.SenderSystem
	out.FromUser = a.Sender == zammad.SenderCustomer
	out.Automatic = system || strings.TrimSpace(a.Subject) == automaticSubject
	out.Public = !a.Internal && !(system && a.Type == zammad.TypeEmail)
	if !out.Public {
		return out
	}
	if a.Sender == zammad.SenderAgent && !out.Automatic {
		out.Name = displayName(a.From)
	}
	files := attachedTo(a)
	out.HTML, out.Text = content(a.Body, a.ContentType, files)
	out.Files = files.files
	return out
}

// hidden is an article without what the device may not see of it.
func hidden(a zammad.Article) bridge.Article {
	return bridge.Article{
		ID: bridge.ArticleID(a.ID), Ticket: bridge.TicketID(a.TicketID),
		Header: a.MessageID, CreatedAt: a.CreatedAt,
	}
}

// content gives a body as safe HTML and as plain text. Zammad treats everything
// as plain that does not call itself HTML (contract 2.4).
func content(body, contentType string, files *attached) (markup, text string) {
	if !strings.Contains(strings.ToLower(contentType), "html") {
		text = clean(body)
		return toHTML(text), text
	}
	markup = sanitise(body, files)
	return markup, toText(markup)
}

// looksLikeMergeNote says whether this may be the public note that Zammad
// leaves in a ticket that was merged into another (contract 00.7). Whether it
// is, the ticket tells. What people write in Zammad's screen is HTML, so their
// "merged" does not look like it.
func looksLikeMergeNote(a zammad.Article) bool {
	return a.Type == zammad.TypeNote && a.Sender == zammad.SenderAgent && !a.Internal &&
		a.Subject == "" && a.MessageID == "" && a.Body == "merged" &&
		strings.HasPrefix(a.ContentType, zammad.ContentPlain) && len(a.Attachments) == 0
}

// displayName takes the name out of an article's from, which for e-mails is an
// address line. An address is never shown.
func displayName(from string) string {
	from = strings.TrimSpace(from)
	if !strings.Contains(from, "@") {
		return clean(from)
	}
	if address, err := mail.ParseAddress(from); err == nil {
		if strings.Contains(address.Name, "@") {
			return ""
		}
		return clean(address.Name)
	}
	name, _, _ := strings.Cut(from, "<")
	if name = strings.Trim(name, `" `); strings.Contains(name, "@") {
		return ""
	}
	return clean(name)
}
