// Package experiment judges a comparison of two groups: those that were let in
// and those that were not. It is pure: numbers in, numbers and the names of
// sentences out. Every interval holds the truth in 95 of 100 experiments.
package experiment

import (
	"math"
	"slices"
	"time"
)

// z is the 97.5 % point of the normal distribution, for intervals of 95 %.
const z = 1.959963984540054

// Interval is where the truth probably is, ends included.
type Interval struct{ Low, High float64 }

// Share is how many of a group did something.
type Share struct{ Yes, Of int }

// Value gives the share, from 0 to 1; 0 of an empty group.
func (s Share) Value() float64 {
	if s.Of == 0 {
		return 0
	}
	return float64(s.Yes) / float64(s.Of)
}

// Interval gives Wilson's score interval of the share. Of an empty group nothing
// is known: from 0 to 1.
func (s Share) Interval() Interval {
	if s.Of == 0 {
		return Interval{0, 1}
	}
	n, p := float64(s.Of), s.Value()
	middle := (p + z*z/(2*n)) / (1 + z*z/n)
	reach := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	// The ends are 0 and 1 exactly where nobody or everybody did it.
	i := Interval{max(0, middle-reach), min(1, middle+reach)}
	if s.Yes == 0 {
		i.Low = 0
	}
	if s.Yes == s.Of {
		i.High = 1
	}
	return i
}

// Difference compares two groups: a's share minus b's, with Newcombe's hybrid
// score interval (his method 10), which holds for small groups and rare things.
func Difference(a, b Share) (difference float64, i Interval) {
	p, q := a.Value(), b.Value()
	x, y := a.Interval(), b.Interval()
	difference = p - q
	return difference, Interval{
		difference - math.Hypot(p-x.Low, y.High-q),
		difference + math.Hypot(x.High-p, q-y.Low),
	}
}

// Verdict says whether two groups differ, as the name of a sentence.
type Verdict string

// The verdicts: too few to say anything, the first group more, the first group
// less, and no difference that could not be chance.
const (
	VerdictFew  Verdict = "few"
	VerdictMore Verdict = "more"
	VerdictLess Verdict = "less"
	VerdictSame Verdict = "same"
)

// fewest is how many a group needs before a verdict is given.
const fewest = 30

// Compare gives the verdict on two groups.
func Compare(a, b Share) Verdict {
	_, i := Difference(a, b)
	switch {
	case a.Of < fewest || b.Of < fewest:
		return VerdictFew
	case i.Low > 0:
		return VerdictMore
	case i.High < 0:
		return VerdictLess
	}
	return VerdictSame
}

// Median is the middle of waiting times, with an interval that holds whatever
// their distribution is.
type Median struct {
	N         int
	Value     time.Duration
	Low, High time.Duration // only where Known
	Known     bool          // there are enough for an interval: six
}

// MedianOf gives the median of times, which it sorts. The ends of the interval
// are two of the times themselves: how many of n lie below the true median is
// binomial, whatever they are.
func MedianOf(times []time.Duration) Median {
	n := len(times)
	m := Median{N: n}
	if n == 0 {
		return m
	}
	slices.Sort(times)
	m.Value = times[(n-1)/2] + (times[n/2]-times[(n-1)/2])/2
	if k := lowRank(n); k > 0 {
		m.Low, m.High, m.Known = times[k-1], times[n-k], true
	}
	return m
}

// lowRank gives the greatest rank, counted from 1, that is below the median of n
// by chance in at most 2.5 of 100 cases; 0 if none is.
func lowRank(n int) int {
	rank, sum := 0, 0.0
	for k := 0; k < n; k++ {
		if sum += math.Exp(logBinomial(n, k, 0.5)); sum > 0.025 {
			break
		}
		rank = k + 1
	}
	return rank
}

// logBinomial gives the logarithm of the chance of k among n.
func logBinomial(n, k int, p float64) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	l := a - b - c
	if k > 0 {
		l += float64(k) * math.Log(p)
	}
	if n > k {
		l += float64(n-k) * math.Log1p(-p)
	}
	return l
}
