package gate_test

import (
	"testing"

	"pgregory.net/rapid"

	"deskbridge/gate"
)

// TestExplainIsWhatDecideDoes: the explanation of a decision never differs from it.
func TestExplainIsWhatDecideDoes(t *testing.T) {
	t.Parallel()
	order := []gate.Reason{
		gate.ReasonRegionOff, gate.ReasonOverride, gate.ReasonRunningChat, gate.ReasonSticky,
		gate.ReasonAppVersion, gate.ReasonLanguage, gate.ReasonBucket,
	}
	decided := make(map[gate.Reason]int)
	rapid.Check(t, func(t *rapid.T) {
		rules := gate.Rules{
			Enabled: rapid.IntRange(0, 9).Draw(t, "enabled") > 0, Salt: "salt", Percentage: rapid.Float64Range(0, 100).Draw(t, "percentage"),
			Languages:     rapid.SampledFrom([][]string{nil, {"de"}}).Draw(t, "languages"),
			MinAppVersion: rapid.SampledFrom([]string{"", "2"}).Draw(t, "least"),
		}
		subject := gate.Subject{
			Device:   device(rapid.Uint64().Draw(t, "device")),
			Override: rapid.SampledFrom([]gate.Override{gate.OverrideNone, gate.OverrideNone, gate.OverrideNone, gate.OverrideIn, gate.OverrideOut}).Draw(t, "override"),
			Running:  rapid.IntRange(0, 3).Draw(t, "running") == 0, Sticky: rapid.IntRange(0, 3).Draw(t, "sticky") == 0,
			Language:   rapid.SampledFrom([]string{"", "de", "ar"}).Draw(t, "language"),
			AppVersion: rapid.SampledFrom([]string{"", "1", "3"}).Draw(t, "version"),
		}
		d, steps := gate.Explain(rules, subject)
		if d != gate.Decide(rules, subject) {
			t.Fatalf("Explain says %+v, Decide %+v", d, gate.Decide(rules, subject))
		}
		if len(steps) != len(order) {
			t.Fatalf("%d steps", len(steps))
		}
		want := gate.Passed
		for i, step := range steps {
			if step.Reason != order[i] {
				t.Fatalf("step %d is %s", i, step.Reason)
			}
			switch {
			case step.Reason != d.Reason:
				if step.Verdict != want {
					t.Fatalf("%s was decided by %s: %+v", step.Reason, d.Reason, steps)
				}
			case step.Verdict == gate.In != d.Served || step.Verdict != gate.In && step.Verdict != gate.Out:
				t.Fatalf("%+v: %+v", d, steps)
			default:
				want = gate.NotAsked
			}
		}
		decided[d.Reason]++
	})
	for _, reason := range order {
		if decided[reason] == 0 {
			t.Errorf("no case was decided by %s", reason)
		}
	}
}
