package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"deskbridge/reception"
)

// receptionFlags are the settings of a region's human side; nil means not given.
type receptionFlags struct {
	AgentNames   *string  `help:"How agents are named on devices: full, first, role, or none (default)." placeholder:"RULE"`
	TimeZone     *string  `help:"Time zone of opening hours and closed dates, such as Europe/Berlin." placeholder:"ZONE"`
	OpeningHours []string `help:"When people answer, such as 'mo-fr 08:00-12:00,sa 22:00-02:00'; always: no hours (default)." placeholder:"HOURS"`
	ClosedDates  []string `help:"Days on which nobody is there, such as 2026-12-25; none: no such days." placeholder:"DATE"`
	AwayNow      *bool    `negatable:"" help:"Say that nobody is there, whatever the hours are."`
	TextsFile    *string  `help:"JSON file with texts by language: {\"de\": {\"away\", \"closed\", \"reopened\", \"role\"}}; an empty one leaves the built-in text, - shows none." placeholder:"FILE"`
	TypingNote   *bool    `negatable:"" help:"Let agents find a note in the open ticket that the person is writing, at most one in 10 minutes."`
	BotSeconds   *int     `help:"Longest time that a bot takes for its answer, in seconds; 0: there is no bot (default)." placeholder:"N"`
}

// apply changes rules by the given flags and checks the result.
func (f *receptionFlags) apply(rules *reception.Rules) (err error) {
	if f.AgentNames != nil {
		if rules.Names, err = reception.ParseNames(*f.AgentNames); err != nil {
			return invalid("--agent-names: %w", err)
		}
	}
	if f.TimeZone != nil {
		if rules.Zone, err = reception.ParseZone(*f.TimeZone); err != nil {
			return invalid("--time-zone: %w", err)
		}
	}
	if f.OpeningHours != nil {
		rules.Hours = nil
		for _, text := range f.OpeningHours {
			if text == "always" && len(f.OpeningHours) == 1 {
				break
			}
			opening, err := reception.ParseOpening(text)
			if err != nil {
				return invalid("--opening-hours: %w", err)
			}
			rules.Hours = append(rules.Hours, opening)
		}
	}
	if f.ClosedDates != nil {
		rules.ClosedDates = f.ClosedDates
		if slices.Equal(f.ClosedDates, []string{"none"}) {
			rules.ClosedDates = nil
		}
	}
	assign(&rules.AwayNow, f.AwayNow)
	assign(&rules.TypingNote, f.TypingNote)
	assign(&rules.BotSeconds, f.BotSeconds)
	return nil
}

// textsInto takes the content of a file as texts by language.
func textsInto(rules *reception.Rules) func([]byte) error {
	return func(content []byte) error {
		decoder := json.NewDecoder(bytes.NewReader(content))
		decoder.DisallowUnknownFields()
		var texts map[string]reception.Texts
		if err := decoder.Decode(&texts); err != nil {
			return fmt.Errorf("texts: %w", err)
		}
		rules.Texts = texts
		return nil
	}
}
