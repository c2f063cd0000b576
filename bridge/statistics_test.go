package bridge_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"deskbridge/bridge"
)

func TestMedianOfAnswerTimes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		all  []time.Duration
		low  time.Duration
		high time.Duration
	}{
		{"one", []time.Duration{10 * time.Minute}, 8 * time.Minute, 12 * time.Minute},
		{"at once", []time.Duration{0, 0, 0}, 0, 15 * time.Second},
		{"half and half", []time.Duration{time.Minute, time.Minute, 10 * time.Hour, 10 * time.Hour}, time.Minute, 2 * time.Minute},
		{"weeks", []time.Duration{400 * time.Hour}, 193 * time.Hour, 194 * time.Hour},
	} {
		var times bridge.AnswerTimes
		for _, d := range c.all {
			times.Count(d)
		}
		if got, ok := times.Median(); !ok || got < c.low || got > c.high {
			t.Errorf("%s: %v, %v; want from %v to %v", c.name, got, ok, c.low, c.high)
		}
	}
	var none bridge.AnswerTimes
	if got, ok := none.Median(); ok || got != 0 {
		t.Errorf("of nothing: %v, %v", got, ok)
	}
}

// The estimate is in the span of the true median; hours that are added up give what all their times give together.
func TestMedianIsNearTheTruth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(0, int64(7*24*time.Hour)), 1, 60).Draw(r, "times")
		var sum, first, second bridge.Statistics
		for i, d := range all {
			sum.FirstAnswers.Count(time.Duration(d))
			if i%3 == 0 {
				first.FirstAnswers.Count(time.Duration(d))
			} else {
				second.FirstAnswers.Count(time.Duration(d))
			}
		}
		first.Add(second)
		if first != sum {
			r.Fatal("the parts give something else than the whole")
		}
		slices.Sort(all)
		low, high := float64(all[(len(all)-1)/2]), float64(all[len(all)/2])
		got, ok := sum.FirstAnswers.Median()
		const slack = float64(15 * time.Second)
		// Within its span the estimate may be at either end; spans grow by √2.
		if x := float64(got); !ok || x < low/1.4143-slack || x > high*1.4143+slack {
			r.Fatalf("%v, %v; the median is from %v to %v", got, ok, time.Duration(low), time.Duration(high))
		}
	})
}
