package gate_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"deskbridge/gate"
)

// device numbers n different devices; only the draw looks at the bytes.
func device(n uint64) (d [32]byte) {
	binary.BigEndian.PutUint64(d[:], n)
	return d
}

func open() gate.Rules { return gate.Rules{Enabled: true, Salt: "salt", Percentage: 100} }

func TestOrderOfReasons(t *testing.T) {
	t.Parallel()
	restricted := gate.Rules{Enabled: true, Salt: "salt", Percentage: 100, Languages: []string{"de"}, MinAppVersion: "2.0"}
	nobody := gate.Rules{Enabled: true, Salt: "salt"}
	off := gate.Rules{Salt: "salt", Percentage: 100}
	everything := gate.Subject{Override: gate.OverrideIn, Running: true, Sticky: true, Language: "de", AppVersion: "3.0"}
	for _, c := range []struct {
		name    string
		rules   gate.Rules
		subject gate.Subject
		served  bool
		reason  gate.Reason
	}{
		{"the kill switch goes before all", off, everything, false, gate.ReasonRegionOff},
		{"an admin lets in at 0 %", nobody, gate.Subject{Override: gate.OverrideIn}, true, gate.ReasonOverride},
		{"an admin lets in an old app in another language", restricted, gate.Subject{Override: gate.OverrideIn, Language: "ar", AppVersion: "1"}, true, gate.ReasonOverride},
		{"an admin's no goes before a running chat", open(), gate.Subject{Override: gate.OverrideOut, Running: true, Sticky: true}, false, gate.ReasonOverride},
		{"a running chat is never cut", nobody, gate.Subject{Running: true, Sticky: true}, true, gate.ReasonRunningChat},
		{"a running chat goes before version and language", restricted, gate.Subject{Running: true, Language: "ar", AppVersion: "1"}, true, gate.ReasonRunningChat},
		{"who opened a chat stays served", nobody, gate.Subject{Sticky: true}, true, gate.ReasonSticky},
		{"sticky goes before version and language", restricted, gate.Subject{Sticky: true, Language: "ar", AppVersion: "1"}, true, gate.ReasonSticky},
		{"an old app", restricted, gate.Subject{Language: "de", AppVersion: "1.9.9"}, false, gate.ReasonAppVersion},
		{"version goes before language", restricted, gate.Subject{Language: "ar", AppVersion: "1.9"}, false, gate.ReasonAppVersion},
		{"another language", restricted, gate.Subject{Language: "ar", AppVersion: "2.0"}, false, gate.ReasonLanguage},
		{"no version is not restricted", restricted, gate.Subject{Language: "de"}, true, gate.ReasonBucket},
		{"nonsense for a version is not restricted", restricted, gate.Subject{Language: "de", AppVersion: "latest"}, true, gate.ReasonBucket},
		{"no language is not restricted", restricted, gate.Subject{AppVersion: "2"}, true, gate.ReasonBucket},
		{"100 % serves all", open(), gate.Subject{}, true, gate.ReasonBucket},
		{"0 % serves none", nobody, gate.Subject{}, false, gate.ReasonBucket},
		{"NaN serves none", gate.Rules{Enabled: true, Percentage: math.NaN()}, gate.Subject{}, false, gate.ReasonBucket},
		{"an unknown override is none", open(), gate.Subject{Override: "perhaps"}, true, gate.ReasonBucket},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := gate.Decide(c.rules, c.subject)
			want := gate.Decision{Served: c.served, Reason: c.reason, Bucket: gate.Bucket(c.rules.Salt, c.subject.Device)}
			if got != want {
				t.Errorf("Decide = %+v, want %+v", got, want)
			}
		})
	}
}

// TestDrawsAreKept holds the draw itself: if one of these numbers changes, every
// installation draws all its devices anew with the next release.
func TestDrawsAreKept(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		salt   string
		device uint64
		bucket int
	}{{"", 0, 8837}, {"salt", 0, 9002}, {"salt", 1, 6643}, {"pepper", 1, 6447}} {
		if got := gate.Bucket(c.salt, device(c.device)); got != c.bucket {
			t.Errorf("Bucket(%q, %d) = %d, want %d", c.salt, c.device, got, c.bucket)
		}
	}
}

func TestThresholdHasNoNoise(t *testing.T) {
	t.Parallel()
	first := make([]int, gate.Buckets) // a device of each bucket
	for n, found := uint64(1), 0; found < gate.Buckets; n++ {
		if b := gate.Bucket("salt", device(n)); first[b] == 0 {
			first[b] = int(n)
			found++
		}
	}
	for _, c := range []struct {
		percentage float64
		served     int // buckets
	}{{0, 0}, {-5, 0}, {0.01, 1}, {0.07, 7}, {0.29, 29}, {0.57, 57}, {1.1, 110}, {33.33, 3333}, {50, 5000}, {99.99, 9999}, {100, 10000}, {200, 10000}} {
		served := 0
		for _, n := range first {
			if gate.Decide(gate.Rules{Enabled: true, Salt: "salt", Percentage: c.percentage}, gate.Subject{Device: device(uint64(n))}).Served {
				served++
			}
		}
		if served != c.served {
			t.Errorf("%v %% serves %d buckets, want %d", c.percentage, served, c.served)
		}
	}
}

func TestMonotoneAndStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.Float64Range(0, 100).Draw(t, "low")
		high := rapid.Float64Range(low, 100).Draw(t, "high")
		rules := gate.Rules{
			Enabled: true, Salt: rapid.String().Draw(t, "salt"), Percentage: low,
			Languages:     rapid.SliceOf(rapid.SampledFrom([]string{"de", "en", "ar"})).Draw(t, "languages"),
			MinAppVersion: rapid.SampledFrom([]string{"", "2", "2.5.1", "x"}).Draw(t, "least"),
		}
		subject := gate.Subject{
			Device:     device(rapid.Uint64().Draw(t, "device")),
			Running:    rapid.Bool().Draw(t, "running"),
			Sticky:     rapid.Bool().Draw(t, "sticky"),
			Language:   rapid.SampledFrom([]string{"", "de", "fr"}).Draw(t, "language"),
			AppVersion: rapid.SampledFrom([]string{"", "1.0", "2.5.1", "3"}).Draw(t, "version"),
		}
		before := gate.Decide(rules, subject)
		if again := gate.Decide(rules, subject); again != before {
			t.Fatalf("the same question got %+v and %+v", before, again)
		}
		rules.Percentage = high
		after := gate.Decide(rules, subject)
		if before.Served && !after.Served {
			t.Fatalf("served at %v %% and not at %v %%: %+v, %+v", low, high, before, after)
		}
		if before.Bucket != after.Bucket {
			t.Fatalf("the bucket moved with the percentage: %d, %d", before.Bucket, after.Bucket)
		}
		subject.Sticky = true
		rules.Percentage = 0
		if d := gate.Decide(rules, subject); !d.Served {
			t.Fatalf("sticky device dropped at 0 %%: %+v", d)
		}
	})
}

// TestSplitIsUniform draws with a fixed seed: chi squared over 100 groups of
// buckets stays under the value that chance exceeds once in ten thousand, and the served share
// is within four standard deviations of the percentage.
func TestSplitIsUniform(t *testing.T) {
	t.Parallel()
	const seed, devices, groups = 20260801, 200_000, 100
	random := rand.New(rand.NewPCG(seed, seed))
	var counts [groups]int
	percentages := []float64{1, 12.5, 50, 87}
	served := make([]int, len(percentages))
	for range devices {
		var d [32]byte
		for i := 0; i < len(d); i += 8 {
			binary.LittleEndian.PutUint64(d[i:], random.Uint64())
		}
		counts[gate.Bucket("region", d)*groups/gate.Buckets]++
		for i, p := range percentages {
			if gate.Decide(gate.Rules{Enabled: true, Salt: "region", Percentage: p}, gate.Subject{Device: d}).Served {
				served[i]++
			}
		}
	}
	expected, chi := float64(devices)/groups, 0.0
	for _, n := range counts {
		chi += (float64(n) - expected) * (float64(n) - expected) / expected
	}
	if const99dof := 160.1; chi > const99dof {
		t.Errorf("seed %d: chi squared %.1f over %d groups, want at most %.1f", seed, chi, groups, const99dof)
	}
	for i, p := range percentages {
		share := p / 100
		bound := 4 * math.Sqrt(devices*share*(1-share))
		if off := math.Abs(float64(served[i]) - devices*share); off > bound {
			t.Errorf("seed %d: %v %% served %d of %d, %.0f off, want at most %.0f", seed, p, served[i], devices, off, bound)
		}
	}
}

// TestSaltsAreIndependent: who is served in one region says nothing about another.
func TestSaltsAreIndependent(t *testing.T) {
	t.Parallel()
	const devices = 100_000
	both := 0
	for n := range uint64(devices) {
		if gate.Bucket("a", device(n)) < gate.Buckets/2 && gate.Bucket("b", device(n)) < gate.Buckets/2 {
			both++
		}
	}
	if bound := 4 * math.Sqrt(devices*0.25*0.75); math.Abs(float64(both)-devices/4) > bound {
		t.Errorf("%d of %d devices are in the lower half of both draws, want %d +- %.0f", both, devices, devices/4, bound)
	}
}

func benchmarkCase() (gate.Rules, gate.Subject) {
	return gate.Rules{Enabled: true, Salt: "f3b0c1d2-a-usual-salt-of-36-letters", Percentage: 42.5, Languages: []string{"de", "en"}, MinAppVersion: "2026.8.1"},
		gate.Subject{Device: device(7), Language: "en", AppVersion: "2026.10.0"}
}

func TestNoAllocation(t *testing.T) {
	rules, subject := benchmarkCase()
	buckets := 0
	if n := testing.AllocsPerRun(1000, func() { buckets += gate.Decide(rules, subject).Bucket }); n != 0 {
		t.Errorf("Decide allocates %v times", n)
	}
	if buckets == 0 {
		t.Error("the benchmark's device is in bucket 0: nothing was measured")
	}
}

func BenchmarkDecide(b *testing.B) {
	rules, subject := benchmarkCase()
	b.ReportAllocs()
	for b.Loop() {
		gate.Decide(rules, subject)
	}
	if perOp := b.Elapsed().Nanoseconds() / int64(b.N); b.N > 1000 && perOp > 1000 {
		b.Errorf("a decision took %d ns, want under 1000", perOp)
	}
}
