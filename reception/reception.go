// Package reception holds the human side of a region: when people answer, what
// the app says in the user's language when they don't, and how much of an
// agent's name leaves. It is pure: no I/O, no clock of its own.
package reception

import (
	"fmt"
	"strings"
	"time"
)

// Rules are a region's rules of the human side. The zero value shows no names,
// knows no hours and adds nothing.
type Rules struct {
	Names      Names `json:"agent_names,omitempty"` // how agents are named; empty: not at all
	TypingNote bool  `json:"typing_note,omitempty"` // tell agents, by a note in the ticket, that the person is writing
	BotSeconds int   `json:"bot_seconds,omitempty"` // how long a bot may take for its answer; 0: there is no bot

	Zone        Zone      `json:"time_zone,omitzero"`      // of Hours and ClosedDates; zero: UTC
	Hours       []Opening `json:"opening_hours,omitempty"` // when people answer; empty: always
	ClosedDates []string  `json:"closed_dates,omitempty"`  // 2006-01-02, on which no opening begins
	AwayNow     bool      `json:"away_now,omitempty"`      // away whatever the hours say

	// Texts by language code, in place of the built-in ones.
	Texts map[string]Texts `json:"texts,omitempty"`
}

// Away says whether nobody is there at a time, and until when that stays as it
// is; the zero time says that time changes nothing.
func (r *Rules) Away(now time.Time) (away bool, until time.Time) {
	if r.AwayNow || len(r.Hours) == 0 {
		return r.AwayNow, time.Time{}
	}
	return !r.open(now), r.turn(now)
}

// OpenTime is for how long of a span people were there to answer, by the hours
// of today, up to enough: then it stops counting. AwayNow is not looked at, since
// nobody knows when it began.
func (r *Rules) OpenTime(from, to time.Time, enough time.Duration) time.Duration {
	if len(r.Hours) == 0 {
		return min(max(0, to.Sub(from)), enough)
	}
	total := time.Duration(0)
	for from.Before(to) && total < enough {
		end := r.boundary(from)
		if end.After(to) {
			end = to
		}
		if r.open(from) {
			total += end.Sub(from)
		}
		from = end
	}
	return min(total, enough)
}

// BotTime is how long a bot may take for its answer; 0 says that there is none.
func (r *Rules) BotTime() time.Duration { return time.Duration(r.BotSeconds) * time.Second }

// Names says how much of an agent's name leaves.
type Names string

// The rules for names.
const (
	NamesNone  Names = ""      // nothing: messages have no name
	NamesFull  Names = "full"  // as the desk shows it
	NamesFirst Names = "first" // the first name
	NamesRole  Names = "role"  // the same text for all, in the user's language
)

// ParseNames reads a rule; none is the word for the empty one.
func ParseNames(text string) (Names, error) {
	switch n := Names(text); n {
	case "none":
		return NamesNone, nil
	case NamesFull, NamesFirst, NamesRole:
		return n, nil
	}
	return "", fmt.Errorf("%q is none of full, first, role, none", text)
}

// Kept gives what may be stored of an agent's name. What the rule hides is not
// stored at all, so that it cannot leave by any mistake.
func (r *Rules) Kept(name string) string {
	switch r.Names {
	case NamesFull:
		return name
	case NamesFirst:
		return first(name)
	}
	return ""
}

// Shown gives the name under which a stored one leaves, by the rule of today and
// in the user's language.
func (r *Rules) Shown(stored, language string) string {
	if r.Names == NamesRole {
		return r.text(language, Texts.role)
	}
	return r.Kept(stored)
}

// first gives the first name: of "Dr. Nicole Braun" and of "Braun, Nicole" it is
// Nicole. Whoever goes by one word keeps it.
func first(name string) string {
	if _, given, turned := strings.Cut(name, ","); turned {
		name = given
	}
	for word := range strings.FieldsSeq(name) {
		if !strings.HasSuffix(word, ".") { // a title
			return word
		}
	}
	return ""
}
