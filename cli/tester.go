package cli

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"deskbridge/app"
	"deskbridge/bridge"
	"deskbridge/gate"
)

type testerCmd struct {
	In     testerInCmd     `cmd:"" help:"Let a device always in."`
	Out    testerOutCmd    `cmd:"" help:"Keep a device always out."`
	Clear  testerClearCmd  `cmd:"" help:"Let the gate decide again."`
	Import testerImportCmd `cmd:"" help:"Set many devices by a file, all or none of them."`
	List   testerListCmd   `cmd:"" help:"List the devices that are set. Their ids are not kept, only hashes."`
	Why    testerWhyCmd    `cmd:"" help:"Say what the gate says to a device, and why."`
}

// deviceArgs name a device in a region.
type deviceArgs struct {
	Region string `arg:"" help:"The region."`
	Device string `arg:"" help:"The device id, as the app sends it."`
}

// with opens the installation and finds region and device.
func (d deviceArgs) with(s *invocation, use func(*app.App, *bridge.Region, bridge.DeviceHash) error) error {
	if err := bridge.CheckDeviceID(d.Device); err != nil {
		return invalid("the device id is not valid: 1 to %d letters, digits and -_.~:@+=", bridge.MaxDeviceID)
	}
	return s.withRegion(d.Region, func(a *app.App, r *bridge.Region) error { return use(a, r, a.Hasher.Hash(d.Device)) })
}

// overrideFlags are what may be said about an override.
type overrideFlags struct {
	Until string `help:"When it ends: a date (it is over at midnight), '2026-12-31 18:00' in the region's time zone, or RFC 3339. Empty: never." placeholder:"TIME"`
	Note  string `help:"Why, for colleagues; up to 200 characters." placeholder:"TEXT"`
}

// tester makes the override, without its device.
func (f overrideFlags) tester(r *bridge.Region, o gate.Override, now time.Time) (bridge.Tester, error) {
	t := bridge.Tester{Override: o, SetAt: now}
	var ok bool
	if t.Note, ok = bridge.CleanNote(f.Note); !ok {
		return t, invalid("--note: at most %d characters, as UTF-8", bridge.MaxTesterNote)
	}
	if f.Until == "" {
		return t, nil
	}
	if t.ExpiresAt, ok = bridge.ParseExpiry(f.Until, r.Settings.Reception.Zone.Location()); !ok {
		return t, invalid("--until: %q is no time such as 2026-12-31 or '2026-12-31 18:00'", f.Until)
	}
	if !t.ExpiresAt.After(now) {
		return t, invalid("--until: %q is over", f.Until)
	}
	return t, nil
}

type testerInCmd struct {
	deviceArgs
	overrideFlags
}

// Run lets a device in. A running serve obeys at the next question.
func (c *testerInCmd) Run(s *invocation) error {
	return c.store(s, gate.OverrideIn, c.overrideFlags)
}

type testerOutCmd struct {
	deviceArgs
	overrideFlags
}

// Run keeps a device out.
func (c *testerOutCmd) Run(s *invocation) error {
	return c.store(s, gate.OverrideOut, c.overrideFlags)
}

type testerClearCmd struct{ deviceArgs }

// Run takes the override away.
func (c *testerClearCmd) Run(s *invocation) error {
	return c.store(s, gate.OverrideNone, overrideFlags{})
}

func (d deviceArgs) store(s *invocation, override gate.Override, flags overrideFlags) error {
	return d.with(s, func(a *app.App, r *bridge.Region, device bridge.DeviceHash) error {
		t, err := flags.tester(r, override, time.Now())
		if err != nil {
			return err
		}
		t.Device = device
		if err := a.Store.SetTesters(s.ctx, r.ID, t); err != nil {
			return fmt.Errorf("set tester: %w", err)
		}
		end := ""
		if !t.ExpiresAt.IsZero() {
			end = ", until " + t.ExpiresAt.Format(time.RFC3339)
		}
		s.printf("%s %s: %s%s\n", r.Slug, device, cmp.Or(string(override), "the gate decides"), end)
		return nil
	})
}

type testerImportCmd struct {
	Region string `arg:"" help:"The region."`
	File   string `arg:"" help:"One device id per line, and if wanted in, out or draw, an expiry date and a note after it, with commas or semicolons; -: standard input."`
	Out    bool   `help:"Lines that say neither in nor out are kept out; without it they are let in."`
	overrideFlags
}

// Run sets what the file says. With a bad line nothing is set.
func (c *testerImportCmd) Run(s *invocation) error {
	return s.withRegion(c.Region, func(a *app.App, r *bridge.Region) error {
		content, err := s.readInput(c.File)
		if err != nil {
			return invalid("%w", err)
		}
		otherwise := gate.OverrideIn
		if c.Out {
			otherwise = gate.OverrideOut
		}
		t, err := c.tester(r, otherwise, time.Now())
		if err != nil {
			return err
		}
		file := bridge.TesterFile{Hasher: a.Hasher, Now: t.SetAt, Zone: r.Settings.Reception.Zone.Location(), Otherwise: t}
		set, problems := file.Parse(content)
		if len(problems) > 0 {
			lines := make([]string, len(problems))
			for i, p := range problems {
				lines[i] = p.Say("en")
			}
			return invalid("nothing was set:\n%s", strings.Join(lines, "\n"))
		}
		if err := a.Store.SetTesters(s.ctx, r.ID, set...); err != nil {
			return fmt.Errorf("set testers: %w", err)
		}
		s.printf("%s: %d devices are set\n", r.Slug, len(set))
		return nil
	})
}

type testerListCmd struct {
	Region string `arg:"" help:"The region."`
	JSON   bool   `name:"json" help:"Print as JSON."`
}

// testersPage is how many overrides are read at once.
const testersPage = 1000

// Run lists the overrides of a region that count, the newest first.
func (c *testerListCmd) Run(s *invocation) error {
	type view struct {
		Device    string        `json:"device_hash"`
		Override  gate.Override `json:"override"`
		SetAt     time.Time     `json:"set_at"`
		SetBy     string        `json:"set_by"`
		ExpiresAt time.Time     `json:"expires_at,omitzero"`
		Note      string        `json:"note,omitempty"`
	}
	return s.withRegion(c.Region, func(a *app.App, r *bridge.Region) error {
		views := []view{}
		query := bridge.TesterQuery{Region: r.ID, Now: time.Now(), Limit: testersPage}
		for {
			page, err := a.Store.Testers(s.ctx, query)
			if err != nil {
				return fmt.Errorf("testers: %w", err)
			}
			for _, t := range page {
				views = append(views, view{hex.EncodeToString(t.Device[:]), t.Override, t.SetAt, t.SetBy, t.ExpiresAt, t.Note})
			}
			if len(page) < testersPage {
				break
			}
			query.Before = page[len(page)-1].ID
		}
		if c.JSON {
			return s.printJSON(views)
		}
		out := s.table("DEVICE (HASH)", "OVERRIDE", "SET AT", "BY", "UNTIL", "NOTE")
		for _, v := range views {
			until := "-"
			if !v.ExpiresAt.IsZero() {
				until = v.ExpiresAt.Format(time.RFC3339)
			}
			out.row(v.Device[:8], string(v.Override), v.SetAt.UTC().Format(time.RFC3339), v.SetBy, until, v.Note)
		}
		return out.flush()
	})
}

type testerWhyCmd struct {
	deviceArgs
	Language   string `help:"Language of the question; empty: as if it were one that is served." placeholder:"CODE"`
	AppVersion string `help:"Version that the app tells; empty: none." placeholder:"X.Y"`
	JSON       bool   `name:"json" help:"Print as JSON."`
}

// Run asks the gate without leaving a trace.
func (c *testerWhyCmd) Run(s *invocation) error {
	return c.with(s, func(a *app.App, r *bridge.Region, device bridge.DeviceHash) error {
		why, err := bridge.AskWhy(s.ctx, a.Store, r, device, c.Language, c.AppVersion, time.Now())
		if err != nil {
			return fmt.Errorf("ask the gate: %w", err)
		}
		d := why.Decision
		if c.JSON {
			return s.printJSON(map[string]any{
				"region": r.Slug, "served": d.Served, "reason": d.Reason, "percentage": why.Rules.Percentage, "bucket": d.Bucket,
			})
		}
		word := map[bool]string{true: "served", false: "not served"}[d.Served]
		s.printf("%s %s: %s, because of %s\n", r.Slug, device, word, d.Reason)
		for i, step := range why.Steps {
			if text := why.Say(step, "en"); text != "" {
				s.printf("%d. %s\n", i+1, text)
			}
		}
		return nil
	})
}
