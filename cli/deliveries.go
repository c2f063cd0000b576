package cli

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"deskbridge/app"
	"deskbridge/bridge"
)

type deliveriesCmd struct {
	List  deliveriesListCmd  `cmd:"" help:"List them, the newest first; never what they say."`
	Retry deliveriesRetryCmd `cmd:"" help:"Relay waiting ones at once."`
	Drop  deliveriesDropCmd  `cmd:"" help:"Try them no more. What they would have brought is read from Zammad by reconciliation."`
}

type deliveriesListCmd struct {
	Region string            `help:"Only of this region." placeholder:"SLUG"`
	State  string            `help:"waiting, failed or all." enum:"waiting,failed,all" default:"all"`
	Before bridge.DeliveryID `help:"Only those that are older than this one." placeholder:"ID"`
	Limit  int               `help:"How many at most." default:"50"`
	JSON   bool              `name:"json" help:"Print as JSON."`
}

// Run lists deliveries.
func (c *deliveriesListCmd) Run(s *invocation) error {
	return s.withApp(func(a *app.App) error {
		q := bridge.DeliveryQuery{Before: c.Before, Limit: c.Limit}
		switch c.State {
		case "waiting":
			q.Outcomes = []bridge.DeliveryOutcome{bridge.DeliveryWaiting}
		case "failed":
			q.Outcomes = []bridge.DeliveryOutcome{bridge.DeliveryFailed}
		}
		var err error
		if q.Region, err = regionID(a, c.Region); err != nil {
			return err
		}
		list, err := a.Store.Deliveries(s.ctx, q)
		if err != nil {
			return fmt.Errorf("read deliveries: %w", err)
		}
		if c.JSON {
			if list == nil {
				list = []bridge.DeliveryRecord{}
			}
			return s.printJSON(list)
		}
		t := s.table("ID", "REGION", "RECEIVED", "OUTCOME", "TRIES", "DUE", "REASON")
		for _, d := range list {
			due := "-"
			if d.Outcome == bridge.DeliveryWaiting {
				due = moment(d.Due)
			}
			t.row(strconv.FormatInt(int64(d.ID), 10), d.Region, moment(d.Received), cmp.Or(string(d.Outcome), "waiting"), strconv.Itoa(d.Attempts), due, printable(d.Reason))
		}
		return t.flush()
	})
}

type deliveriesRetryCmd struct {
	ID []bridge.DeliveryID `arg:"" help:"The deliveries, as the list numbers them."`
}

// Run makes deliveries due.
func (c *deliveriesRetryCmd) Run(s *invocation) error {
	return s.withApp(func(a *app.App) error {
		due, err := inSteps(c.ID, bridge.ErrDeliveryUnknown, func(ids []bridge.DeliveryID) (int, error) {
			return a.Store.RelayNow(s.ctx, 0, ids, time.Now())
		})
		s.printf("%d of %d due now.\n", due, len(c.ID))
		return missing(err, due < len(c.ID), bridge.ErrDeliveryUnknown)
	})
}

type deliveriesDropCmd struct {
	ID []bridge.DeliveryID `arg:"" help:"The deliveries, as the list numbers them."`
}

// Run ends deliveries.
func (c *deliveriesDropCmd) Run(s *invocation) error {
	return s.withApp(func(a *app.App) error {
		dropped, err := inSteps(c.ID, bridge.ErrDeliveryUnknown, func(ids []bridge.DeliveryID) (int, error) {
			return a.Store.DropDeliveries(s.ctx, 0, ids, time.Now())
		})
		s.printf("%d of %d dropped.\n", dropped, len(c.ID))
		return missing(err, dropped < len(c.ID), bridge.ErrDeliveryUnknown)
	})
}
