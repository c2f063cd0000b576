package bridge

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"deskbridge/gate"
)

// RampStep is a percentage that a region is to have from a time on.
type RampStep struct {
	At         time.Time `json:"at"` // UTC, whole milliseconds
	Percentage float64   `json:"percentage"`
}

// MaxRampSteps is the largest number of steps of a ramp.
const MaxRampSteps = 20

// CheckRamp says what is wrong with a ramp: more than MaxRampSteps, times that
// don't rise, or percentages that are not from 0 to 100 with two decimals.
func CheckRamp(ramp []RampStep) error {
	var problems []error
	if len(ramp) > MaxRampSteps {
		problems = append(problems, fmt.Errorf("a ramp has at most %d steps", MaxRampSteps))
	}
	for i, step := range ramp {
		if step.At.IsZero() || i > 0 && !step.At.After(ramp[i-1].At) {
			problems = append(problems, fmt.Errorf("step %d of the ramp must come after the one before", i+1))
		}
		if !ValidPercentage(step.Percentage) {
			problems = append(problems, fmt.Errorf("step %d of the ramp: the percentage must be from 0 to 100, with at most two decimals", i+1))
		}
	}
	return errors.Join(problems...)
}

// ValidPercentage says whether p is from 0 to 100 with at most two decimals: the
// gate draws hundredths of a percent.
func ValidPercentage(p float64) bool {
	const noise = 1e-6
	return p >= 0 && p <= 100 && math.Abs(p*100-math.Round(p*100)) < noise
}

// Settled gives the settings in which the last step of the ramp that has come is
// the percentage itself, and all steps that have come are gone. What is served
// is the same. The store does so whenever it reads or saves a region: so who
// changes the percentage changes the one in force, and no past step undoes it.
func (s RegionSettings) Settled(now time.Time) RegionSettings {
	s.Percentage = s.percentageAt(now)
	come := 0
	for come < len(s.Ramp) && !s.Ramp[come].At.After(now) {
		come++
	}
	s.Ramp = slices.Clone(s.Ramp[come:])
	if len(s.Ramp) == 0 {
		s.Ramp = nil
	}
	return s
}

// PercentageAt gives the share of devices that the region serves at a time: the
// last step of its ramp that has come, else the percentage of its settings.
// Nothing is written when a step comes, and no job must run for it.
func (r *Region) PercentageAt(now time.Time) float64 { return r.Settings.percentageAt(now) }

// percentageAt does not copy the settings: every question to the gate comes here.
func (s *RegionSettings) percentageAt(now time.Time) float64 {
	for i := len(s.Ramp) - 1; i >= 0; i-- {
		if step := &s.Ramp[i]; !step.At.After(now) {
			return step.Percentage
		}
	}
	return s.Percentage
}

// GateRules gives what the gate goes by at a time.
func (r *Region) GateRules(now time.Time) gate.Rules {
	return gate.Rules{
		Enabled: r.Served(), Salt: r.Salt, Percentage: r.PercentageAt(now),
		Languages: r.Settings.GateLanguages, MinAppVersion: r.Settings.MinAppVersion,
	}
}

// ChatShown is the region's flag for apps that ask for nothing else. A region may
// keep it false until the gate serves everybody: then no such app shows a chat
// that some of its users cannot open.
func (r *Region) ChatShown(now time.Time) bool {
	return r.Served() && !(r.Settings.HideUntilFull && r.PercentageAt(now) < 100)
}
