package bridge_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"deskbridge/bridge"
)

// frozenLanes stands still once, between taking a work and doing it, as a
// process does on a machine that is suspended.
type frozenLanes struct {
	bridge.LaneStore
	l    *lanes
	stop time.Duration
}

func (f *frozenLanes) Start(ctx context.Context, c bridge.Claim, now time.Time) (*bridge.Work, error) {
	w, err := f.LaneStore.Start(ctx, c, now)
	f.l.now = f.l.now.Add(f.stop)
	f.stop = 0
	return w, err
}

// Whoever finds a work in doubt looks for its write for as long as the horizon:
// none may begin so late that it ends after that. What did not begin is done in
// the end.
func TestNoWriteBeginsLate(t *testing.T) {
	const half = bridge.DefaultWriteHorizon / 2 // longer than a lease: the lane is lost, and taken again at once
	texts := func(d *scriptedDesk) int { return len(d.texts) }
	labels := func(d *scriptedDesk) int { return d.labels }
	for name, c := range map[string]struct {
		before, work func(l *lanes)
		writes       func(d *scriptedDesk) int
		again        int // a label is written again without a look, since that does no harm
	}{
		"the first message": {func(*lanes) {}, func(l *lanes) { l.send("one") }, texts, 0},
		"another message":   {func(l *lanes) { l.send("one"); l.step(0) }, func(l *lanes) { l.send("two") }, texts, 0},
		"a label":           {func(l *lanes) { l.send("one"); l.step(0) }, func(l *lanes) { l.consent() }, labels, 1},
	} {
		for late, stop := range map[string]time.Duration{"in time": half, "too late": half + time.Millisecond} {
			t.Run(name+" "+late, func(t *testing.T) {
				l := newLanes(t)
				c.before(l)
				done := c.writes(l.desk)
				c.work(l)
				l.stepFrozen(stop)
				want := 1 + c.again
				if stop > half {
					want--
				}
				if got := c.writes(l.desk) - done; got != want {
					t.Errorf("%d writes, want %d", got, want)
				}
				l.pass(2 * bridge.DefaultWriteHorizon)
				if got := c.writes(l.desk) - done; got != max(want, 1) {
					t.Errorf("%d writes in the end", got)
				}
			})
		}
	}
}

// stepFrozen lets a pump work off what is due that stands still with its first
// work in its hands.
func (l *lanes) stepFrozen(stop time.Duration) {
	l.t.Helper()
	log := slog.New(slog.DiscardHandler)
	regions, err := bridge.NewRegions(l.t.Context(), l.store, log)
	if err != nil {
		l.t.Fatal(err)
	}
	bridge.NewPump(bridge.PumpDeps{
		Lanes: &frozenLanes{l.store, l, stop}, Desk: l.desk, Regions: regions, Publisher: nobody{}, Log: log, Now: func() time.Time { return l.now },
	}).Step(l.t.Context())
}

// consent lets the device agree to evaluation, which the ticket's label follows.
func (l *lanes) consent() {
	l.t.Helper()
	yes := true
	if _, err := l.chats.Send(l.t.Context(), l.region, bridge.Sending{Device: device, Language: "de", Consent: &yes}); err != nil {
		l.t.Fatal(err)
	}
}
