package bridge_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"deskbridge/bridge"
	"deskbridge/gate"
)

// monday is when the tests' ramps begin.
var monday = time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)

func step(hours int, percentage float64) bridge.RampStep {
	return bridge.RampStep{At: monday.Add(time.Duration(hours) * time.Hour), Percentage: percentage}
}

// served is a region that is switched on, with a ramp.
func served(percentage float64, ramp ...bridge.RampStep) *bridge.Region {
	return &bridge.Region{
		Slug: "testland", Enabled: true, ZammadToken: "x", Salt: "f3b0c1d2-a-usual-salt-of-36-letters",
		Settings: bridge.RegionSettings{ZammadURL: "https://zammad.example.test", Percentage: percentage, Ramp: ramp},
	}
}

func TestPercentageAt(t *testing.T) {
	t.Parallel()
	r := served(5, step(0, 20), step(24, 10), step(48, 100))
	for _, c := range []struct {
		after time.Duration
		want  float64
	}{
		{-time.Hour, 5}, {-time.Millisecond, 5}, {0, 20}, {24*time.Hour - time.Millisecond, 20},
		{24 * time.Hour, 10}, {48 * time.Hour, 100}, {10_000 * time.Hour, 100},
	} {
		if got := r.PercentageAt(monday.Add(c.after)); got != c.want {
			t.Errorf("%s after the first step: %g %%, want %g", c.after, got, c.want)
		}
	}
	if r := served(42); r.PercentageAt(monday) != 42 {
		t.Error("without a ramp the percentage is not the one that was set")
	}
	r.Settings.HideUntilFull = true
	if r.ChatShown(monday.Add(47*time.Hour)) || !r.ChatShown(monday.Add(48*time.Hour)) {
		t.Error("the flag for apps does not follow the ramp")
	}
}

// TestSettledServesTheSame: whenever settings are settled, at every later time the
// same share is served, and no step is left that has come.
func TestSettledServesTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := served(rapid.Float64Range(0, 100).Draw(t, "before"))
		hour := 0
		for range rapid.IntRange(0, bridge.MaxRampSteps).Draw(t, "steps") {
			hour += rapid.IntRange(1, 50).Draw(t, "gap")
			r.Settings.Ramp = append(r.Settings.Ramp, step(hour, float64(rapid.IntRange(0, 10_000).Draw(t, "hundredths"))/100))
		}
		if err := bridge.CheckRamp(r.Settings.Ramp); err != nil {
			t.Fatal(err)
		}
		at := monday.Add(time.Duration(rapid.IntRange(-10, 1000).Draw(t, "settled")) * time.Hour)
		settled := *r
		settled.Settings = r.Settings.Settled(at)
		for _, s := range settled.Settings.Ramp {
			if !s.At.After(at) {
				t.Fatalf("the step at %s is left at %s", s.At, at)
			}
		}
		later := at.Add(time.Duration(rapid.IntRange(0, 1000).Draw(t, "later")) * time.Hour)
		if a, b := r.PercentageAt(later), settled.PercentageAt(later); a != b {
			t.Fatalf("%g %% became %g %%", a, b)
		}
	})
}

func TestCheckRamp(t *testing.T) {
	t.Parallel()
	long := make([]bridge.RampStep, bridge.MaxRampSteps+1)
	for i := range long {
		long[i] = step(i, 1)
	}
	for name, c := range map[string]struct {
		ramp []bridge.RampStep
		good bool
	}{
		"none":             {nil, true},
		"one":              {[]bridge.RampStep{step(0, 12.34)}, true},
		"the most":         {long[1:], true},
		"too many":         {long, false},
		"twice at a time":  {[]bridge.RampStep{step(0, 1), step(0, 2)}, false},
		"back in time":     {[]bridge.RampStep{step(1, 1), step(0, 2)}, false},
		"no time":          {[]bridge.RampStep{{Percentage: 1}}, false},
		"three decimals":   {[]bridge.RampStep{step(0, 1.234)}, false},
		"more than all":    {[]bridge.RampStep{step(0, 100.01)}, false},
		"less than nobody": {[]bridge.RampStep{step(0, -0.01)}, false},
		"no number":        {[]bridge.RampStep{step(0, math.NaN())}, false},
		"falling":          {[]bridge.RampStep{step(0, 50), step(1, 0)}, true},
	} {
		if err := bridge.CheckRamp(c.ramp); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	for hundredths := range 10_001 {
		if p := float64(hundredths) / 100; !bridge.ValidPercentage(p) {
			t.Fatalf("%v is not taken", p)
		}
	}
}

// longRamp is a region whose ramp is as long as it may be and begins later, which
// is the longest way to its percentage.
func longRamp() *bridge.Region {
	r := served(42.5)
	for i := range bridge.MaxRampSteps {
		r.Settings.Ramp = append(r.Settings.Ramp, step(i+1, float64(i)))
	}
	r.Settings.GateLanguages, r.Settings.MinAppVersion = []string{"de", "en"}, "2026.8.1"
	return r
}

func TestDecisionWithARampAllocatesNothing(t *testing.T) {
	r, subject := longRamp(), gate.Subject{Device: bridge.DeviceHash{7}, Language: "en", AppVersion: "2026.10.0"}
	buckets := 0
	if n := testing.AllocsPerRun(1000, func() { buckets += gate.Decide(r.GateRules(monday), subject).Bucket }); n != 0 {
		t.Errorf("a decision allocates %v times", n)
	}
	if buckets == 0 {
		t.Error("the device is in bucket 0: nothing was measured")
	}
}

func BenchmarkDecisionWithARamp(b *testing.B) {
	r, subject := longRamp(), gate.Subject{Device: bridge.DeviceHash{7}, Language: "en", AppVersion: "2026.10.0"}
	b.ReportAllocs()
	for b.Loop() {
		gate.Decide(r.GateRules(monday), subject)
	}
	if perOp := b.Elapsed().Nanoseconds() / int64(b.N); b.N > 1000 && perOp > 1000 {
		b.Errorf("a decision took %d ns, want under 1000", perOp)
	}
}
