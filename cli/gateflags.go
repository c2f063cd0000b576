package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"deskbridge/bridge"
)

// gateFlags are the settings of a region's gate; nil means not given.
type gateFlags struct {
	Percentage    *float64 `help:"Share of devices that are served, 0 to 100. Default 0." placeholder:"N"`
	Ramp          []string `help:"The percentage from a time on, such as 2026-12-01T08:00+01:00=20, rising times; none: no such steps." placeholder:"TIME=N"`
	GateLanguages []string `help:"Serve only these languages; all: no restriction." placeholder:"CODE"`
	MinAppVersion *string  `help:"Serve only apps from this version on; empty: no restriction." placeholder:"X.Y"`
	HideUntilFull *bool    `negatable:"" help:"Let the region document say that there is no chat while the percentage is under 100."`
}

// apply changes settings by the given flags.
func (f *gateFlags) apply(set *bridge.RegionSettings) (err error) {
	assign(&set.Percentage, f.Percentage)
	assign(&set.MinAppVersion, f.MinAppVersion)
	assign(&set.HideUntilFull, f.HideUntilFull)
	if f.GateLanguages != nil {
		set.GateLanguages = f.GateLanguages
		if slices.Equal(f.GateLanguages, []string{"all"}) {
			set.GateLanguages = nil
		}
	}
	if f.Ramp != nil {
		set.Ramp, err = ramp(f.Ramp)
	}
	return err
}

// ramp reads steps such as 2026-12-01T08:00+01:00=20, with or without seconds;
// none alone is no ramp.
func ramp(steps []string) ([]bridge.RampStep, error) {
	if slices.Equal(steps, []string{"none"}) {
		return nil, nil
	}
	read := make([]bridge.RampStep, len(steps))
	for i, text := range steps {
		at, percentage, _ := strings.Cut(text, "=")
		var err error
		for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
			if read[i].At, err = time.Parse(layout, at); err == nil {
				break
			}
		}
		if err == nil {
			read[i].Percentage, err = strconv.ParseFloat(percentage, 64)
		}
		if err != nil {
			return nil, invalid("--ramp: %q is no step such as 2026-12-01T08:00+01:00=20", text)
		}
		read[i].At = read[i].At.UTC().Truncate(time.Millisecond)
	}
	return read, nil
}

// rampOf shows a region's ramp after its percentage.
func rampOf(set bridge.RegionSettings) string {
	text := fmt.Sprintf("%g %%", set.Percentage)
	for _, step := range set.Ramp {
		text += fmt.Sprintf(", %g %% from %s", step.Percentage, step.At.Format(time.RFC3339))
	}
	return text
}
