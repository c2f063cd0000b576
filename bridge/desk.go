package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Desk is what the heart asks of a region's helpdesk. Every call makes as few
// calls to the helpdesk as its comment says: the helpdesk is the slowest part
// of every installation (contract 00, "what a Zammad costs").
//
// All errors are or wrap a *DeskError.
type Desk interface {
	// Open makes customer, ticket and first article: one call.
	Open(ctx context.Context, r *Region, o Opening) (Posted, error)
	// Post adds a message to a ticket: one call. Where p.Reopen is set, the
	// ticket's state changes in the same call.
	Post(ctx context.Context, r *Region, p Post) (Posted, error)
	// Find settles doubt: it says whether an article with this message id
	// exists in any ticket that the token sees. Not finding it proves nothing
	// while the write may still be running (contract 00.3).
	Find(ctx context.Context, r *Region, uuid MessageUUID) (p Posted, found bool, err error)
	// Relabel lets title, tag and consent attribute of a ticket follow the chat.
	Relabel(ctx context.Context, r *Region, l Label) error
	// Ticket reads one ticket; where it is merged, Successor is the ticket
	// that took it in, with chains followed.
	Ticket(ctx context.Context, r *Region, id TicketID) (Ticket, error)
	// Absorbed gives the time at which another ticket was last merged into this
	// one, by the desk's clock; the zero time if none ever was. One call, and two
	// more for each linked ticket.
	Absorbed(ctx context.Context, r *Region, id TicketID) (time.Time, error)
	// Articles reads all articles of a ticket, in order: one call.
	Articles(ctx context.Context, r *Region, id TicketID) ([]Article, error)
	// Article reads one article: one call.
	Article(ctx context.Context, r *Region, id ArticleID) (Article, error)
	// Changed lists the tickets that changed at or after since, oldest first:
	// one search, and one more for each further page.
	Changed(ctx context.Context, r *Region, since time.Time) ([]Ticket, error)
	// ReadDelivery translates the body of a webhook: no call. The error is
	// ErrWebhookBody for anything that is not a delivery.
	ReadDelivery(body []byte) (Ticket, error)
	// Reopens says whether a message may reopen this closed ticket, by the
	// rule of the ticket's group, and gives the ticket as it is now: one call.
	Reopens(ctx context.Context, r *Region, id TicketID) (t Ticket, allowed bool, err error)
	// Reopen sets a closed ticket open again, as an agent may whatever the
	// group's rule says: one call. It is for a message that met a ticket which
	// was closed in the same moment. It gives the ticket as it is then.
	Reopen(ctx context.Context, r *Region, id TicketID) (Ticket, error)
	// Close closes a ticket by the hand of somebody who may, and gives the
	// ticket as it is then: one call.
	Close(ctx context.Context, r *Region, id TicketID) (Ticket, error)
	// Note writes an internal note for the agents: one call. Its message id is
	// the UUID's, so Find settles doubt about it too.
	Note(ctx context.Context, r *Region, n Note) error
	// OpenFile begins to load a file of an article: one call, after those that a
	// message waits for.
	OpenFile(ctx context.Context, r *Region, t TicketID, a ArticleID, f FileID) (io.ReadCloser, error)
	// Anonymise takes the alias out of a ticket's title and closes the ticket if
	// asked to: one call.
	Anonymise(ctx context.Context, r *Region, a Anonymity) error
	// Rename gives a customer whose login has the device's alias a neutral login
	// and name; another one stays as it is. Two calls.
	Rename(ctx context.Context, r *Region, p Person) error
	// Delete asks the desk to erase such a customer with all tickets, and says
	// whether the customer is still there. Two calls; the desk takes minutes.
	Delete(ctx context.Context, r *Region, p Person) (there bool, err error)
	// TicketURL is the address at which agents see the ticket.
	TicketURL(r *Region, id TicketID) string
}

// Opening asks for a new ticket.
type Opening struct {
	UUID     MessageUUID
	Text     string // plain; the desk escapes it; may be empty where there are files
	Files    []File
	Alias    string
	Language string
	Consent  *bool
}

// Post asks for a message in a known ticket.
type Post struct {
	UUID     MessageUUID
	Text     string
	Files    []File
	Ticket   TicketID
	Customer CustomerID
	Reopen   bool
	Known    []ArticleID // articles of the ticket that are known here: what the answer shows beyond them is new
}

// Note is a remark of Deskbridge for the agents of a ticket.
type Note struct {
	UUID   MessageUUID
	Ticket TicketID
	Text   string // plain; the desk escapes it
}

// Label is what title, tag and attributes of a ticket are made from.
type Label struct {
	Ticket   TicketID
	Alias    string
	Language string
	Previous string // language whose tag is taken off; empty: none
	Consent  *bool
}

// Anonymity asks for a ticket that names nobody.
type Anonymity struct {
	Ticket TicketID
	Close  bool
}

// Person is the customer that the desk made for a device.
type Person struct {
	Customer CustomerID
	Alias    string // of the device; a login without it is not this device's alone
	Neutral  string // takes its place
}

// Posted is what is known after a message is in the desk.
type Posted struct {
	Ticket   Ticket
	Customer CustomerID
	Article  ArticleID // 0 where the answer did not tell which of its unknown articles it is
}

// Ticket is a ticket as one answer or one delivery of the desk shows it.
type Ticket struct {
	ID        TicketID
	State     TicketState
	Successor TicketID    // of a merged ticket; 0 if not known
	MergedAt  time.Time   // the last merge on the way to Successor, by the desk's clock
	Articles  []ArticleID // ids of all articles, internal ones too, in no order
	Included  []Article   // articles whose content came along
	Login     string      // of the customer, where the answer or delivery tells it
	Customer  CustomerID  // 0 where a delivery does not tell it
	ChangedAt time.Time   // the desk's own clock; moves with every change, also of an article's visibility
}

// Article is an article of a ticket in the heart's words.
type Article struct {
	ID        ArticleID
	Ticket    TicketID
	Header    string // message_id
	Public    bool   // may be shown to the device: not internal, and not the desk's own note about a merge
	FromUser  bool   // the customer wrote it
	Automatic bool   // a machine wrote it
	Foreign   bool   // came to this ticket by a merge and may be another person's: never shown; the Receiver decides
	Name      string // the author's display name
	HTML      string // sanitised
	Text      string // plain twin
	Files     []DeskFile
	CreatedAt time.Time
}

// answers says whether an article is what an agent says to the user.
func (a Article) answers() bool {
	_, own := ParseHeader(a.Header)
	return a.Public && !a.FromUser && !a.Automatic && !own
}

// DeskErrorKind says what a failed call to the desk means for the work.
type DeskErrorKind string

// What can be wrong with a call to the desk.
const (
	// DeskUnavailable: nothing was carried out; try again later.
	DeskUnavailable DeskErrorKind = "unavailable"
	// DeskAmbiguous: the write may have been carried out, or may still be running.
	DeskAmbiguous DeskErrorKind = "ambiguous"
	// DeskDenied: the token, tokens in general, or the whole desk (maintenance)
	// is refused: all calls of the region wait.
	DeskDenied DeskErrorKind = "denied"
	// DeskHidden: this ticket only is out of the token's sight: its lane waits.
	DeskHidden DeskErrorKind = "hidden"
	// DeskGone: the ticket or article does not exist any more.
	DeskGone DeskErrorKind = "gone"
	// DeskRefused: the desk gave a reason; trying the same again is useless.
	DeskRefused DeskErrorKind = "refused"
	// DeskMasked: refused or failed without a readable reason; it may be a
	// deadlock, so it is tried again a few times (contract 0.3, 0.4).
	DeskMasked DeskErrorKind = "masked"
)

// DeskError is the error of every call to the desk.
type DeskError struct {
	Kind    DeskErrorKind
	Reason  string // the desk's own words, without message text
	ErrorID string // under which the desk's administrator finds the reason of a masked error
	Files   bool   // it was refused for its files
	Err     error
}

// Error gives kind and reason.
func (e *DeskError) Error() string {
	s := "desk " + string(e.Kind)
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.Err != nil && e.Reason == "" {
		s = fmt.Sprintf("%s: %v", s, e.Err)
	}
	return s
}

// Unwrap gives the cause.
func (e *DeskError) Unwrap() error { return e.Err }

// KindOf gives the kind of a desk call's error; an error that is none of the
// desk's counts as ambiguous, since nothing is known about it.
func KindOf(err error) DeskErrorKind {
	var d *DeskError
	if errors.As(err, &d) {
		return d.Kind
	}
	return DeskAmbiguous
}
