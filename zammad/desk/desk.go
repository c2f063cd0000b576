// Package desk translates between the words of the heart and those of Zammad:
// it is what the heart asks for as bridge.Desk, for all regions at once.
//
// It holds what is known about Zammad's habits: how a customer, a ticket and a
// message become one call, what a refusal means, which articles a device may
// see, and how text becomes HTML and HTML becomes text. Facts about Zammad are
// cited as "contract N", which is section N of docs/zammad-facts.md.
package desk

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

var _ bridge.Desk = (*Desk)(nil)

// defaultConcurrency is the number of calls at a time towards one Zammad: a
// small one (2 cores, one web process) gets slower with more (contract 00,
// "what a Zammad costs").
const defaultConcurrency = 4

// Config says how to talk to the Zammads of all regions. Addresses and tokens
// come with each region. The zero value is usable.
type Config struct {
	// Concurrency bounds the calls in flight to one Zammad, over all regions
	// that have it; default 4.
	Concurrency int
	// ReadTimeout and WriteTimeout limit one call; defaults are those of
	// zammad.Config (20 s and 90 s).
	ReadTimeout, WriteTimeout time.Duration
	// UserAgent is sent as it is; default "deskbridge".
	UserAgent string
	// Transport carries the requests, see zammad.Config; nil: one for each
	// Zammad and token.
	Transport http.RoundTripper
	// OnCall is told about every attempt of every call; nil: nobody is told.
	OnCall func(zammad.Call)
	// Log takes what is worth knowing and no error; nil: nothing is logged.
	Log *slog.Logger
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Desk implements bridge.Desk. It keeps one client for each Zammad and token,
// and one limiter for each Zammad, so that regions that share a Zammad share
// its patience too. It is safe for concurrent use.
//
// Open, Post, Reopen, Reopens, Find and Article are calls that a person waits
// for; Relabel, Ticket, Articles, Changed and OpenFile let those go first.
type Desk struct {
	cfg Config

	mu       sync.Mutex
	sites    map[access]*site
	limiters map[string]*zammad.Limiter
}

// access is what makes two regions use the same client.
type access struct{ url, token string }

// site is one Zammad as one token sees it.
type site struct {
	*zammad.Client
	states *states
	heavy  chan struct{} // the one message with files that is on its way
	loads  chan struct{} // files that wait for their first byte
}

// New makes a Desk; it does not connect.
func New(cfg Config) *Desk {
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = defaultConcurrency
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Desk{cfg: cfg, sites: make(map[access]*site), limiters: make(map[string]*zammad.Limiter)}
}

// site gives the client of a region. A region whose address or token cannot be
// used is denied: all its calls wait until an administrator has mended it.
func (d *Desk) site(r *bridge.Region) (*site, error) { return d.siteFor(r, r.ZammadToken) }

// siteFor is the same with another token of the region.
func (d *Desk) siteFor(r *bridge.Region, token bridge.Secret) (*site, error) {
	url, err := zammad.NormalizeURL(r.Settings.ZammadURL)
	if err != nil {
		return nil, &bridge.DeskError{Kind: bridge.DeskDenied, Reason: err.Error(), Err: err}
	}
	key := access{url, string(token)}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.sites[key]; s != nil {
		return s, nil
	}
	limiter := d.limiters[url]
	if limiter == nil {
		limiter = zammad.NewLimiter(d.cfg.Concurrency, d.cfg.Now)
		d.limiters[url] = limiter
	}
	client, err := zammad.New(zammad.Config{
		URL: url, Token: key.token, UserAgent: d.cfg.UserAgent,
		ReadTimeout: d.cfg.ReadTimeout, WriteTimeout: d.cfg.WriteTimeout,
		Transport: d.cfg.Transport, Limiter: limiter, OnCall: d.cfg.OnCall,
	})
	if err != nil {
		return nil, &bridge.DeskError{Kind: bridge.DeskDenied, Reason: err.Error(), Err: err}
	}
	s := &site{Client: client, states: newStates(client, d.cfg.Now), heavy: make(chan struct{}, 1), loads: make(chan struct{}, loadsAtOnce)}
	d.sites[key] = s
	return s, nil
}

// TicketURL is the address of the ticket in Zammad's agent screen; "" if the
// region has no usable address.
func (d *Desk) TicketURL(r *bridge.Region, id bridge.TicketID) string {
	url, err := zammad.NormalizeURL(r.Settings.ZammadURL)
	if err != nil {
		return ""
	}
	return url + "/#ticket/zoom/" + strconv.FormatInt(int64(id), 10)
}

// Reopens says whether a message may reopen this closed ticket, and gives the
// ticket as it is now: one call, and one more if its state is not known yet. The
// rule of the group is enforced by Zammad for customers only (contract 3.2), so
// it is applied here. A group that the token does not see allows it, which is
// Zammad's own default.
func (d *Desk) Reopens(ctx context.Context, r *bridge.Region, id bridge.TicketID) (bridge.Ticket, bool, error) {
	s, err := d.site(r)
	if err != nil {
		return bridge.Ticket{}, false, err
	}
	found, err := s.Tickets.GetAll(ctx, zammad.TicketID(id))
	if err != nil {
		return bridge.Ticket{}, false, s.failed(ctx, err, ofRecord)
	}
	ticket, err := s.ticket(ctx, found.Ticket)
	if err != nil {
		return bridge.Ticket{}, false, err
	}
	group := found.Groups[found.Ticket.GroupID]
	switch group.FollowUpPossible {
	case zammad.FollowUpNewTicket:
		return ticket, false, nil
	case zammad.FollowUpForAWhile:
		closed := found.Ticket.LastCloseAt
		if closed.IsZero() {
			closed = found.Ticket.CloseAt
		}
		if closed.IsZero() {
			closed = found.Ticket.UpdatedAt
		}
		return ticket, d.cfg.Now().Before(closed.AddDate(0, 0, group.ReopenTimeInDays)), nil
	default:
		return ticket, true, nil
	}
}

// ticket translates a ticket whose state has to be looked up.
func (s *site) ticket(ctx context.Context, t zammad.Ticket) (bridge.Ticket, error) {
	state, err := s.states.of(ctx, t.StateID)
	return ticket(t, state), err
}

// ticket translates a ticket. Included and Successor are left to the caller.
func ticket(t zammad.Ticket, state bridge.TicketState) bridge.Ticket {
	out := bridge.Ticket{
		ID: bridge.TicketID(t.ID), State: state, Customer: bridge.CustomerID(t.CustomerID), Login: string(t.Customer),
		Articles: make([]bridge.ArticleID, len(t.ArticleIDs)), ChangedAt: t.UpdatedAt,
	}
	for i, id := range t.ArticleIDs {
		out.Articles[i] = bridge.ArticleID(id)
	}
	return out
}

// refused is a failure that was found here.
func refused(kind bridge.DeskErrorKind, format string, args ...any) error {
	return &bridge.DeskError{Kind: kind, Reason: fmt.Sprintf(format, args...)}
}
