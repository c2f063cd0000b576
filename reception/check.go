package reception

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of the rules.
const (
	maxBotSeconds = 600
	maxHours      = 50
	maxDates      = 400
	maxLanguages  = 100  // that have texts
	maxText       = 1000 // characters
)

var languageForm = regexp.MustCompile(`^[a-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}$`)

// Problem is what is wrong with one field of rules: its name as in JSON, a
// stable code, and the values that a sentence about it needs.
type Problem struct {
	Field string
	Code  string
	Args  []any
}

// Check says what is wrong with rules that somebody wrote; nil: nothing.
func (r *Rules) Check() []Problem {
	var problems []Problem
	want := func(ok bool, field, code string, args ...any) {
		if !ok {
			problems = append(problems, Problem{field, code, args})
		}
	}
	want(slices.Contains([]Names{NamesNone, NamesFull, NamesFirst, NamesRole}, r.Names), "agent_names", "choice", string(r.Names), "full, first, role")
	want(r.BotSeconds >= 0 && r.BotSeconds <= maxBotSeconds, "bot_seconds", "number_range", 0, maxBotSeconds)
	want(len(r.Hours) <= maxHours, "opening_hours", "too_many", maxHours)
	want(len(r.Hours) == 0 || !r.Zone.IsZero(), "time_zone", "needs_zone")
	want(len(r.ClosedDates) <= maxDates, "closed_dates", "too_many", maxDates)
	for _, date := range r.ClosedDates {
		_, err := time.Parse(time.DateOnly, date)
		want(err == nil, "closed_dates", "date_form", date)
	}
	want(len(r.Texts) <= maxLanguages, "texts", "too_many", maxLanguages)
	for code, texts := range r.Texts {
		if !languageForm.MatchString(code) {
			want(false, "texts", "language_code", code)
			continue
		}
		for name, text := range map[string]string{"away": texts.Away, "closed": texts.Closed, "reopened": texts.Reopened, "role": texts.Role} {
			field := fmt.Sprintf("texts.%s.%s", code, name)
			want(utf8.RuneCountInString(text) <= maxText, field, "too_long", maxText)
			want(clean(text), field, "characters")
		}
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return strings.Compare(a.Field, b.Field) }) // maps have no order
	return problems
}

// clean says whether a text can be shown as it is: no control characters but
// line feeds, and nothing that turns what stands around it the other way. Marks
// and isolates, which Arabic and Hebrew need, are no such thing.
func clean(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(c rune) bool {
		return c != '\n' && unicode.IsControl(c) || c == '\u202d' || c == '\u202e'
	})
}
