package cli

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"time"

	"deskbridge/app"
	"deskbridge/bridge"
	"deskbridge/gate"
)

type testerCmd struct {
	Set   testerSetCmd   `cmd:"" help:"Let a device always in, or keep it always out."`
	Unset testerUnsetCmd `cmd:"" help:"Let the gate decide again."`
	List  testerListCmd  `cmd:"" help:"List the devices that are set. Their ids are not kept, only hashes."`
	Why   testerWhyCmd   `cmd:"" help:"Say what the gate says to a device, and why."`
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

type testerSetCmd struct {
	deviceArgs
	In  bool `xor:"way" required:"" help:"Always served."`
	Out bool `xor:"way" required:"" help:"Never served."`
}

// Run sets the override. A running serve obeys at the next question.
func (c *testerSetCmd) Run(s *invocation) error {
	override := gate.OverrideOut
	if c.In {
		override = gate.OverrideIn
	}
	return c.store(s, override)
}

func (d deviceArgs) store(s *invocation, override gate.Override) error {
	return d.with(s, func(a *app.App, r *bridge.Region, device bridge.DeviceHash) error {
		if err := a.Store.SetTester(s.ctx, r.ID, device, override, time.Now()); err != nil {
			return fmt.Errorf("set tester: %w", err)
		}
		s.printf("%s %s: %s\n", r.Slug, device, cmp.Or(string(override), "the gate decides"))
		return nil
	})
}

type testerUnsetCmd struct{ deviceArgs }

// Run takes the override away.
func (c *testerUnsetCmd) Run(s *invocation) error { return c.store(s, gate.OverrideNone) }

type testerListCmd struct {
	Region string `arg:"" help:"The region."`
	JSON   bool   `name:"json" help:"Print as JSON."`
}

// Run lists the overrides of a region.
func (c *testerListCmd) Run(s *invocation) error {
	type view struct {
		Device   string        `json:"device_hash"`
		Override gate.Override `json:"override"`
		SetAt    time.Time     `json:"set_at"`
	}
	return s.withRegion(c.Region, func(a *app.App, r *bridge.Region) error {
		testers, err := a.Store.Testers(s.ctx, r.ID)
		if err != nil {
			return fmt.Errorf("testers: %w", err)
		}
		views := make([]view, 0, len(testers))
		for _, t := range testers {
			views = append(views, view{hex.EncodeToString(t.Device[:]), t.Override, t.SetAt})
		}
		if c.JSON {
			return s.printJSON(views)
		}
		out := s.table("DEVICE (HASH)", "OVERRIDE", "SET AT")
		for _, v := range views {
			out.row(v.Device[:8], string(v.Override), v.SetAt.UTC().Format(time.RFC3339))
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
		d, err := bridge.Decide(s.ctx, a.Store, r, device, c.Language, c.AppVersion, time.Now())
		if err != nil {
			return fmt.Errorf("ask the gate: %w", err)
		}
		if c.JSON {
			return s.printJSON(map[string]any{
				"region": r.Slug, "served": d.Served, "reason": d.Reason, "percentage": r.Settings.Percentage, "bucket": d.Bucket,
			})
		}
		word := map[bool]string{true: "served", false: "not served"}[d.Served]
		s.printf("%s %s: %s, because of %s (bucket %d of %d, %g %% are served)\n", r.Slug, device, word, d.Reason, d.Bucket, gate.Buckets, r.Settings.Percentage)
		return nil
	})
}
