package experiment

import "math"

// Split is how many of those who were drawn by lot were let in, and how many
// should have been.
type Split struct {
	In, Of int
	Share  float64 // the setting, from 0 to 1
}

// SplitVerdict says whether a split may be chance, as the name of a sentence.
type SplitVerdict string

// The verdicts: nobody was drawn; no lot is drawn because all or none are let
// in; chance explains it; chance does not, so something else decides.
const (
	SplitNobody SplitVerdict = "nobody"
	SplitNoLot  SplitVerdict = "no-lot"
	SplitFits   SplitVerdict = "fits"
	SplitAlarm  SplitVerdict = "alarm"
)

// alarmBelow is the chance below which a split is no chance. With a look a day
// it is a false alarm once in three years.
const alarmBelow = 0.001

// exactUpTo is up to how many the chance is added up term by term; for more the
// χ² distribution is as good, and quicker.
const exactUpTo = 1000

// Verdict judges the split.
func (s Split) Verdict() SplitVerdict {
	switch {
	case s.Of == 0:
		return SplitNobody
	case s.Share <= 0 || s.Share >= 1:
		return SplitNoLot
	case s.Chance() < alarmBelow:
		return SplitAlarm
	}
	return SplitFits
}

// Chance gives the probability of a split at least as unlikely as this one: by
// the exact binomial test for small numbers, else by Pearson's χ² test. It is 1
// where no lot is drawn.
func (s Split) Chance() float64 {
	n, p := float64(s.Of), s.Share
	if s.Of <= 0 || p <= 0 || p >= 1 {
		return 1
	}
	if s.Of > exactUpTo {
		off := float64(s.In) - n*p
		return math.Erfc(math.Sqrt(off * off / (n * p * (1 - p)) / 2))
	}
	// All splits that are not likelier count; the factor is for rounding.
	mine, sum := logBinomial(s.Of, s.In, p)+1e-7, 0.0
	for k := 0; k <= s.Of; k++ {
		if l := logBinomial(s.Of, k, p); l <= mine {
			sum += math.Exp(l)
		}
	}
	return min(1, sum)
}
