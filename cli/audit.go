package cli

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"deskbridge/admin"
	"deskbridge/app"
	"deskbridge/bridge"
)

type auditCmd struct {
	List   auditListCmd   `cmd:"" help:"List the newest changes."`
	Export auditExportCmd `cmd:"" help:"Print all changes, the newest first."`
}

// auditFilter says which entries are wanted.
type auditFilter struct {
	Region string    `help:"Only of this region." placeholder:"SLUG"`
	Action string    `help:"Only actions that begin so, such as letter." placeholder:"PREFIX"`
	Actor  string    `help:"Only of whoever had this name." placeholder:"NAME"`
	Since  time.Time `help:"Only from then on, such as 2026-11-26T00:00:00Z." placeholder:"TIME"`
	Until  time.Time `help:"Only before then." placeholder:"TIME"`
}

func (f auditFilter) query(a *app.App) (bridge.AuditQuery, error) {
	q := bridge.AuditQuery{Action: f.Action, Actor: f.Actor, Since: f.Since, Until: f.Until}
	region, err := regionID(a, f.Region)
	if region != 0 {
		q.Regions = []bridge.RegionID{region}
	}
	return q, err
}

// slugs gives the slugs of regions.
func slugs(a *app.App) func(bridge.RegionID) (string, bool) {
	return func(id bridge.RegionID) (string, bool) {
		r, known := a.Regions.ByID(id)
		if !known {
			return "", false
		}
		return r.Slug, true
	}
}

type auditListCmd struct {
	auditFilter
	Before int64 `help:"Only entries that are older than this one." placeholder:"ID"`
	Limit  int   `help:"How many at most." default:"50"`
}

// Run lists entries.
func (c *auditListCmd) Run(s *invocation) error {
	return s.withApp(func(a *app.App) error {
		q, err := c.query(a)
		if err != nil {
			return err
		}
		q.Before, q.Limit = c.Before, c.Limit
		entries, err := a.Store.Audit(s.ctx, q)
		if err != nil {
			return fmt.Errorf("read audit: %w", err)
		}
		region := slugs(a)
		t := s.table("ID", "TIME", "WHO", "REGION", "ACTION", "SUBJECT", "CHANGES")
		for _, e := range entries {
			slug, _ := region(e.Region)
			t.row(strconv.FormatInt(e.ID, 10), moment(e.At), printable(e.Actor.Name), cmp.Or(slug, "-"), e.Action, printable(e.Subject), printable(admin.ChangesText(e.Changes)))
		}
		return t.flush()
	})
}

type auditExportCmd struct {
	auditFilter
	Format string `help:"csv for spreadsheets, jsonl (a JSON object in each line) for programs." enum:"csv,jsonl" default:"csv"`
}

// Run exports entries.
func (c *auditExportCmd) Run(s *invocation) error {
	return s.withApp(func(a *app.App) error {
		q, err := c.query(a)
		if err != nil {
			return err
		}
		return admin.ExportAudit(s.ctx, s.Stdout, admin.AuditFormat(c.Format), "en", a.Store, slugs(a), q)
	})
}
