package bridge

import (
	"context"
	"fmt"
	"time"

	"deskbridge/gate"
)

// Bounds of a preview: it is asked for while somebody moves a slider.
const (
	previewDays    = 30     // devices that were not seen for longer are not counted
	previewDevices = 20_000 // newest decisions, and newest chats, that are read
)

// Preview is what other rules of the gate would change, counted in devices that
// the region has seen in the last 30 days. It supposes that each asks again as it
// first did on its last day.
type Preview struct {
	Known  int
	Sample bool // there are more devices than were counted

	ServedNow, ServedThen int
	In, Out               int // served then and not now; now and not then
	// Devices that the new rules would let in or keep out but for what goes
	// before them, and which stay as they are.
	KeptByOverride, KeptByChat, KeptBySticky int
}

// PreviewRules says what would change if the gate of a region went by the rules
// then instead of those of today. The error is the store's.
func PreviewRules(ctx context.Context, store TesterStore, r *Region, today, then gate.Rules, now time.Time) (Preview, error) {
	known, more, err := store.KnownDevices(ctx, r, now.AddDate(0, 0, -previewDays), now, previewDevices)
	if err != nil {
		return Preview{}, fmt.Errorf("preview: %w", err)
	}
	p := compare(today, then, known)
	p.Sample = more
	return p, nil
}

// compare asks the gate about each device, by both rules.
func compare(today, then gate.Rules, known []KnownDevice) Preview {
	p := Preview{Known: len(known)}
	for _, k := range known {
		s := subject(k.Device, k.Standing, k.Language, k.AppVersion)
		before, after := gate.Decide(today, s), gate.Decide(then, s)
		if before.Served {
			p.ServedNow++
		}
		if after.Served {
			p.ServedThen++
		}
		switch {
		case after.Served && !before.Served:
			p.In++
		case before.Served && !after.Served:
			p.Out++
		default:
			p.kept(today, then, s, after.Reason)
		}
	}
	return p
}

// kept counts a device for which nothing changes, if that is because of what goes
// before the rules.
func (p *Preview) kept(today, then gate.Rules, s gate.Subject, reason gate.Reason) {
	bare := s
	bare.Override, bare.Running, bare.Sticky = gate.OverrideNone, false, false
	if gate.Decide(today, bare).Served == gate.Decide(then, bare).Served {
		return
	}
	switch reason {
	case gate.ReasonOverride:
		p.KeptByOverride++
	case gate.ReasonRunningChat:
		p.KeptByChat++
	case gate.ReasonSticky:
		p.KeptBySticky++
	}
}
