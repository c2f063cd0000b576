package experiment_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"deskbridge/experiment"
)

func near(t *testing.T, what string, got, want, slack float64) {
	t.Helper()
	if math.Abs(got-want) > slack {
		t.Errorf("%s = %.5f, want %.5f", what, got, want)
	}
}

// Newcombe, Two-sided confidence intervals for the single proportion, Statistics
// in Medicine 17 (1998), table I, method 3.
func TestWilsonIntervals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		share     experiment.Share
		low, high float64
	}{
		{experiment.Share{Yes: 81, Of: 263}, 0.2553, 0.3662},
		{experiment.Share{Yes: 15, Of: 148}, 0.0624, 0.1605},
		{experiment.Share{Yes: 0, Of: 20}, 0, 0.1611},
		{experiment.Share{Yes: 1, Of: 29}, 0.0061, 0.1718},
		{experiment.Share{}, 0, 1},
	} {
		i := c.share.Interval()
		near(t, "low", i.Low, c.low, 0.00006)
		near(t, "high", i.High, c.high, 0.00006)
	}
}

// Newcombe, Interval estimation for the difference between independent
// proportions, Statistics in Medicine 17 (1998), table II, method 10.
func TestNewcombeIntervals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b      experiment.Share
		low, high float64
	}{
		{experiment.Share{Yes: 56, Of: 70}, experiment.Share{Yes: 48, Of: 80}, 0.0524, 0.3339},
		{experiment.Share{Yes: 9, Of: 10}, experiment.Share{Yes: 3, Of: 10}, 0.1705, 0.8090},
		{experiment.Share{Yes: 10, Of: 10}, experiment.Share{Yes: 0, Of: 20}, 0.6791, 1},
		{experiment.Share{Yes: 10, Of: 10}, experiment.Share{Yes: 0, Of: 10}, 0.6075, 1},
	} {
		_, i := experiment.Difference(c.a, c.b)
		near(t, "low", i.Low, c.low, 0.00006)
		near(t, "high", i.High, c.high, 0.00006)
	}
}

func share(r *rapid.T, name string) experiment.Share {
	of := rapid.IntRange(1, 5000).Draw(r, name+" of")
	return experiment.Share{Yes: rapid.IntRange(0, of).Draw(r, name), Of: of}
}

// The interval holds the estimate, stays within what is possible, is the mirror
// of the exchanged groups', and gets no wider with more of the same.
func TestDifferences(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		a, b := share(r, "a"), share(r, "b")
		d, i := experiment.Difference(a, b)
		const rounding = 1e-9
		if i.Low > d+rounding || i.High < d-rounding || i.Low < -1-rounding || i.High > 1+rounding {
			r.Fatalf("%v is not in %+v", d, i)
		}
		e, j := experiment.Difference(b, a)
		if math.Abs(d+e) > rounding || math.Abs(i.Low+j.High) > rounding || math.Abs(i.High+j.Low) > rounding {
			r.Fatalf("%v %+v and the other way round %v %+v", d, i, e, j)
		}
		more := func(s experiment.Share) experiment.Share { return experiment.Share{Yes: 4 * s.Yes, Of: 4 * s.Of} }
		_, k := experiment.Difference(more(a), more(b))
		if k.High-k.Low > i.High-i.Low+rounding {
			r.Fatalf("four times as many: %+v, before %+v", k, i)
		}
		mirror := map[experiment.Verdict]experiment.Verdict{
			experiment.VerdictMore: experiment.VerdictLess, experiment.VerdictLess: experiment.VerdictMore,
			experiment.VerdictSame: experiment.VerdictSame, experiment.VerdictFew: experiment.VerdictFew,
		}
		if v := experiment.Compare(a, b); mirror[v] != experiment.Compare(b, a) {
			r.Fatalf("%v, and the other way round %v", v, experiment.Compare(b, a))
		}
	})
}

// The ranks are those of the sign test's tables (95 %, two-sided): for n of 6
// the least and the greatest, for 20 the 6th and the 15th, and so on.
func TestMedianIntervalRanks(t *testing.T) {
	t.Parallel()
	for n, rank := range map[int]int{5: 0, 6: 1, 8: 1, 9: 2, 11: 2, 12: 3, 15: 4, 20: 6, 25: 8, 30: 10, 50: 18, 100: 40} {
		times := make([]time.Duration, n)
		for i := range times {
			times[n-1-i] = time.Duration(i+1) * time.Minute
		}
		m := experiment.MedianOf(times)
		if m.Known != (rank > 0) || m.Low != time.Duration(rank)*time.Minute || m.Known && m.High != time.Duration(n+1-rank)*time.Minute {
			t.Errorf("n = %d: %+v, want rank %d", n, m, rank)
		}
	}
	if m := experiment.MedianOf(nil); m != (experiment.Median{}) {
		t.Errorf("of nothing: %+v", m)
	}
	if m := experiment.MedianOf([]time.Duration{4, 2}); m.Value != 3 || m.Known {
		t.Errorf("of two: %+v", m)
	}
}

func TestMedians(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		var times []time.Duration
		for _, n := range rapid.SliceOfN(rapid.Int64Range(0, 1e12), 1, 300).Draw(r, "times") {
			times = append(times, time.Duration(n))
		}
		m := experiment.MedianOf(times)
		below, above := 0, 0
		for _, d := range times {
			if d < m.Value {
				below++
			}
			if d > m.Value {
				above++
			}
		}
		if 2*below > len(times) || 2*above > len(times) || m.Known && (m.Low > m.Value || m.High < m.Value) {
			r.Fatalf("%+v: %d below, %d above", m, below, above)
		}
	})
}

// Reference values of one draw: R's binom.test and chisq.test. Of two draws by
// hand: with two devices at 50 % and one at 10 %, the chances of 0 to 3 are 0.225,
// 0.475, 0.275 and 0.025.
func TestSplits(t *testing.T) {
	t.Parallel()
	one := func(in, of int, share float64) experiment.Split {
		return experiment.Split{{In: in, Of: of, Share: share}}
	}
	for _, c := range []struct {
		name    string
		split   experiment.Split
		chance  float64
		slack   float64
		verdict experiment.SplitVerdict
	}{
		{"7 of 10", one(7, 10, 0.5), 0.34375, 1e-6, experiment.SplitFits},
		{"none of 10", one(0, 10, 0.5), 0.001953125, 1e-9, experiment.SplitFits},
		{"none of 11", one(0, 11, 0.5), 0.0009765625, 1e-9, experiment.SplitAlarm},
		{"Mendel", one(682, 925, 0.75), 0.3824916, 1e-6, experiment.SplitFits},
		{"far off", one(612, 1000, 0.5), 1.3e-12, 1e-12, experiment.SplitAlarm},
		{"by χ²", one(821, 1696, 0.5), 0.1898, 0.0005, experiment.SplitFits},
		{"nobody", experiment.Split{}, 1, 0, experiment.SplitNobody},
		{"nobody at a share", one(0, 0, 0.5), 1, 0, experiment.SplitNobody},
		{"all", one(10, 10, 1), 1, 0, experiment.SplitNoLot},
		{"none", one(1, 10, 0), 1, 0, experiment.SplitNoLot},
		{"first none, then all", experiment.Split{{Of: 10}, {In: 20, Of: 20, Share: 1}}, 1, 0, experiment.SplitNoLot},
		{"two shares, the likeliest", experiment.Split{{In: 1, Of: 2, Share: 0.5}, {In: 0, Of: 1, Share: 0.1}}, 1, 1e-9, experiment.SplitFits},
		{"two shares, all in", experiment.Split{{In: 2, Of: 2, Share: 0.5}, {In: 1, Of: 1, Share: 0.1}}, 0.025, 1e-9, experiment.SplitFits},
		{"raised from 10 to 50 %", experiment.Split{{In: 40, Of: 400, Share: 0.1}, {In: 200, Of: 400, Share: 0.5}}, 1, 1e-6, experiment.SplitFits},
		{"the same, as one share of 50 %", one(240, 800, 0.5), 0, 1e-9, experiment.SplitAlarm},
		{"raised, many", experiment.Split{{In: 100, Of: 1000, Share: 0.1}, {In: 500, Of: 1000, Share: 0.5}}, 1, 0, experiment.SplitFits},
		{"raised, many, too many in", experiment.Split{{In: 140, Of: 1000, Share: 0.1}, {In: 530, Of: 1000, Share: 0.5}}, 0.000147, 1e-6, experiment.SplitAlarm},
		{"whom no lot let in says nothing", experiment.Split{{In: 7, Of: 10, Share: 0.5}, {In: 900, Of: 900, Share: 1}}, 0.34375, 1e-6, experiment.SplitFits},
	} {
		near(t, c.name+": chance", c.split.Chance(), c.chance, c.slack)
		if got := c.split.Verdict(); got != c.verdict {
			t.Errorf("%s: %s, want %s", c.name, got, c.verdict)
		}
	}
}

func TestWhatASplitLetsExpect(t *testing.T) {
	t.Parallel()
	in, of, expected := experiment.Split{{In: 12, Of: 100, Share: 0.1}, {In: 70, Of: 200, Share: 0.4}, {In: 50, Of: 50, Share: 1}, {Of: 9}}.Lots()
	if in != 82 || of != 300 || math.Abs(expected-90) > 1e-9 {
		t.Errorf("%d of %d, expected %v", in, of, expected)
	}
}

// A chance is one; the mirrored split has the same, and so has a split that is
// told in parts; where the two ways of counting meet they agree.
func TestChances(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		var split, mirrored, parts experiment.Split
		for range rapid.IntRange(1, 4).Draw(r, "draws") {
			of := rapid.IntRange(1, 600).Draw(r, "of")
			d := experiment.Draw{In: rapid.IntRange(0, of).Draw(r, "in"), Of: of, Share: rapid.Float64Range(0.05, 0.95).Draw(r, "share")}
			half := experiment.Draw{In: d.In / 2, Of: max(d.Of/2, d.In/2), Share: d.Share}
			split = append(split, d)
			mirrored = append(mirrored, experiment.Draw{In: d.Of - d.In, Of: d.Of, Share: 1 - d.Share})
			parts = append(parts, half, experiment.Draw{In: d.In - half.In, Of: d.Of - half.Of, Share: d.Share})
		}
		a, b, c := split.Chance(), mirrored.Chance(), parts.Chance()
		if a < 0 || a > 1 || math.Abs(a-b) > 1e-6 || math.Abs(a-c) > 1e-6 {
			r.Fatalf("%v, mirrored %v, in parts %v", a, b, c)
		}
	})
	for in := 440; in <= 560; in += 10 {
		exact := experiment.Split{{In: in, Of: 1000, Share: 0.5}}.Chance()
		approximate := experiment.Split{{In: in, Of: 1001, Share: 0.5}}.Chance()
		near(t, "beyond the exact ones", approximate, exact, 0.06)
	}
}
