package desk

import (
	"context"
	"errors"
	"slices"
	"strings"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

// Anonymise gives a ticket a title without alias, and closes it if asked to:
// one call, and one more if the list of states is not known yet.
func (d *Desk) Anonymise(ctx context.Context, r *bridge.Region, a bridge.Anonymity) error {
	s, err := d.site(r)
	if err != nil {
		return err
	}
	ctx = zammad.Housekeeping(ctx)
	change := zammad.TicketUpdate{Title: r.Name + ": erased"}
	if a.Close {
		if change.StateID, err = s.states.closed(ctx); err != nil {
			return err
		}
	}
	if _, err := s.Tickets.Update(ctx, zammad.TicketID(a.Ticket), change); err != nil {
		return s.failed(ctx, err, ofRecord)
	}
	return nil
}

// Rename takes the alias out of a customer's login and name: two calls. An
// agent's token may do it, since the customer has no other role (contract 2.2).
// One who is gone needs no other name.
func (d *Desk) Rename(ctx context.Context, r *bridge.Region, p bridge.Person) error {
	s, err := d.site(r)
	if err != nil {
		return err
	}
	ctx = zammad.Housekeeping(ctx)
	user, alone, err := s.customer(ctx, p)
	if err != nil || !alone {
		return err
	}
	// Its digit keeps Zammad from changing the case of the name.
	changes := zammad.Changes{"login": p.Neutral, "firstname": "Erased", "lastname": "User 1"}
	if _, err := s.Users.Update(ctx, user.ID, changes); err != nil {
		return s.failed(ctx, err, ofRecord)
	}
	return nil
}

// Delete queues a data privacy task for a customer, with the token that may:
// two calls, and one more where a task may be queued already. Zammad does it
// within minutes (contract 00.8), so the next look finds the customer gone.
func (d *Desk) Delete(ctx context.Context, r *bridge.Region, p bridge.Person) (there bool, err error) {
	if r.PrivacyToken == "" {
		return true, refused(bridge.DeskRefused, "the region has no token for data privacy tasks")
	}
	s, err := d.site(r)
	if err != nil {
		return true, err
	}
	ctx = zammad.Housekeeping(ctx)
	user, alone, err := s.customer(ctx, p)
	switch {
	case err != nil || user.ID == 0:
		return false, err
	case !alone:
		return true, refused(bridge.DeskRefused, "customer %d may have tickets of other people: their login is not the one that Deskbridge made", p.Customer)
	}
	// By what the token may do: it is another user's.
	privacy, err := d.siteFor(r, r.PrivacyToken)
	if err != nil {
		return true, err
	}
	_, err = privacy.Erasures.Create(ctx, zammad.EraseUser(user.ID))
	if err == nil {
		return true, nil
	}
	if errors.Is(err, zammad.ErrInvalid) {
		queued, listing := privacy.Erasures.List(ctx)
		if listing == nil && slices.ContainsFunc(queued, func(t zammad.DataPrivacyTask) bool {
			return t.DeletableID == user.ID && t.State != zammad.TaskCompleted
		}) {
			return true, nil
		}
	}
	return true, privacy.failed(ctx, err, ofAll)
}

// customer reads a customer, and says whether they are one device's alone, which
// the alias in the login proves. One who is gone is the zero User.
func (s *site) customer(ctx context.Context, p bridge.Person) (user zammad.User, alone bool, err error) {
	user, err = s.Users.Get(ctx, zammad.UserID(p.Customer))
	if err != nil {
		if err = s.failed(ctx, err, ofRecord); absent(err) {
			err = nil
		}
		return zammad.User{}, false, err
	}
	return user, p.Alias != "" && strings.Contains(user.Login, strings.ToLower(p.Alias)), nil
}
