package experiment

import "math"

// Draw is how many of those who were drawn by one share were let in.
type Draw struct {
	In, Of int
	Share  float64 // the setting, from 0 to 1
}

// lot says whether a lot decided: with all or none there is nothing to draw.
func (d Draw) lot() bool { return d.Of > 0 && d.Share > 0 && d.Share < 1 }

// Split is who was let in by lot, in a draw for each share that was in force. A
// device is in one draw only.
type Split []Draw

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

// Lots adds up the draws that a lot decided: who was let in, of how many, and how
// many should have been.
func (s Split) Lots() (in, of int, expected float64) {
	for _, d := range s {
		if d.lot() {
			in, of, expected = in+d.In, of+d.Of, expected+float64(d.Of)*d.Share
		}
	}
	return in, of, expected
}

// Verdict judges the split.
func (s Split) Verdict() SplitVerdict {
	_, lots, _ := s.Lots()
	all := 0
	for _, d := range s {
		all += d.Of
	}
	switch {
	case all == 0:
		return SplitNobody
	case lots == 0:
		return SplitNoLot
	case s.Chance() < alarmBelow:
		return SplitAlarm
	}
	return SplitFits
}

// Chance gives the probability that as many are let in, or a number that is no
// likelier: exactly for small numbers (with one share this is the binomial
// test), else by Pearson's χ² test. It is 1 where no lot is drawn.
func (s Split) Chance() float64 {
	in, of, expected := s.Lots()
	if of == 0 {
		return 1
	}
	if of > exactUpTo {
		variance := 0.0
		for _, d := range s {
			if d.lot() {
				variance += float64(d.Of) * d.Share * (1 - d.Share)
			}
		}
		return math.Erfc(math.Abs(float64(in)-expected) / math.Sqrt(2*variance))
	}
	// All numbers that are not likelier count; the factor is for rounding.
	chances := s.chances()
	mine, sum := chances[in]*(1+1e-7), 0.0
	for _, p := range chances {
		if p <= mine {
			sum += p
		}
	}
	return min(1, sum)
}

// chances gives the chance of each number of those who are let in. The draws know
// nothing of each other, so the chance of a sum is a sum of products.
func (s Split) chances() []float64 {
	sum := []float64{1}
	for _, d := range s {
		if !d.lot() {
			continue
		}
		next := make([]float64, len(sum)+d.Of)
		for k := 0; k <= d.Of; k++ {
			p := math.Exp(logBinomial(d.Of, k, d.Share))
			for i, q := range sum {
				next[i+k] += p * q
			}
		}
		sum = next
	}
	return sum
}
