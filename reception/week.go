package reception

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Week is opening hours as people fill them in: for each weekday a line such as
// "08:00-12:00, 13:00-17:00", by time.Weekday. An empty line is a day on which
// no opening begins; a span that ends before it begins ends on the next day.
type Week [7]string

// WeekOf gives opening hours by day.
func WeekOf(hours []Opening) Week {
	var week Week
	for day := range week {
		var spans []Opening
		for _, o := range hours {
			if o.begins(time.Weekday(day)) {
				spans = append(spans, Opening{Begin: o.Begin, End: o.End})
			}
		}
		slices.SortFunc(spans, func(a, b Opening) int { return a.Begin - b.Begin })
		texts := make([]string, len(spans))
		for i, o := range spans {
			texts[i] = o.span()
		}
		week[day] = strings.Join(texts, ", ")
	}
	return week
}

// ErrSpan: a line of a Week is none.
var ErrSpan = errors.New("no times such as 08:00-12:00, 13:00-17:00")

// Hours gives the openings of a week, days with the same hours together where
// they follow each other, from Monday on. A day with a line that is none has an
// error (ErrSpan) at its place.
func (w Week) Hours() (hours []Opening, errs [7]error) {
	var days [7][]Opening
	for day, line := range w {
		days[day], errs[day] = spans(line)
	}
	for i := 0; i < 7; {
		first := time.Weekday((i + 1) % 7) // from Monday
		last := first
		for i++; i < 7 && slices.Equal(days[(i+1)%7], days[first]); i++ {
			last = time.Weekday((i + 1) % 7)
		}
		for _, o := range days[first] {
			hours = append(hours, Opening{First: first, Last: last, Begin: o.Begin, End: o.End})
		}
	}
	return hours, errs
}

// spans reads a line of a week.
func spans(line string) ([]Opening, error) {
	var all []Opening
	for part := range strings.SplitSeq(strings.NewReplacer("–", "-", ";", ",", " ", "").Replace(line), ",") {
		if part == "" {
			continue
		}
		o, err := ParseOpening("su " + part)
		if err != nil {
			return nil, ErrSpan
		}
		all = append(all, Opening{Begin: o.Begin, End: o.End})
	}
	slices.SortFunc(all, func(a, b Opening) int { return a.Begin - b.Begin })
	return all, nil
}

// span gives the times of an opening, without its days.
func (o Opening) span() string {
	return fmt.Sprintf("%02d:%02d-%02d:%02d", o.Begin/60, o.Begin%60, o.End/60, o.End%60)
}
