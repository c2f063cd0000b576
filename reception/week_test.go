package reception_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"deskbridge/reception"
)

func TestWeek(t *testing.T) {
	t.Parallel()
	r := rules(t, "Europe/Berlin", "mo-th 13:00-17:00", "mo-fr 08:00-12:00", "sa 22:00-02:00")
	week := reception.WeekOf(r.Hours)
	want := reception.Week{"", "08:00-12:00, 13:00-17:00", "08:00-12:00, 13:00-17:00", "08:00-12:00, 13:00-17:00", "08:00-12:00, 13:00-17:00", "08:00-12:00", "22:00-02:00"}
	if week != want {
		t.Errorf("%q", week)
	}
	week[time.Sunday] = "10:00–11:00;14:00 - 15:00,"
	hours, errs := week.Hours()
	if errs != ([7]error{}) {
		t.Fatal(errs)
	}
	var texts []string
	for _, o := range hours {
		texts = append(texts, o.String())
	}
	if want := []string{"mo-th 08:00-12:00", "mo-th 13:00-17:00", "fr 08:00-12:00", "sa 22:00-02:00", "su 10:00-11:00", "su 14:00-15:00"}; !slices.Equal(texts, want) {
		t.Errorf("%q", texts)
	}
	for _, wrong := range []string{"8-12", "08:00-08:00", "always", "08:00", "25:00-26:00", "mo 08:00-12:00", "08:00-12:00\x00"} {
		_, errs := reception.Week{wrong}.Hours()
		if errs[time.Sunday] == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}

// TestWeekSaysTheSame: hours by days mean what the hours meant, whatever they are.
func TestWeekSaysTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var before reception.Rules
		for range rapid.IntRange(0, 5).Draw(t, "openings") {
			o := reception.Opening{
				First: time.Weekday(rapid.IntRange(0, 6).Draw(t, "first")), Last: time.Weekday(rapid.IntRange(0, 6).Draw(t, "last")),
				Begin: rapid.IntRange(0, 1439).Draw(t, "begin"), End: rapid.IntRange(0, 1440).Draw(t, "end"),
			}
			if o.Begin != o.End {
				before.Hours = append(before.Hours, o)
			}
		}
		week := reception.WeekOf(before.Hours)
		hours, errs := week.Hours()
		if errs != ([7]error{}) || reception.WeekOf(hours) != week {
			t.Fatalf("%v becomes %q, %v", before.Hours, week, errs)
		}
		after := reception.Rules{Hours: hours}
		for range 20 {
			now := time.Date(2026, 11, rapid.IntRange(1, 28).Draw(t, "day"), 0, rapid.IntRange(0, 1439).Draw(t, "minute"), 0, 0, time.UTC)
			a, _ := before.Away(now)
			b, _ := after.Away(now)
			if a != b {
				t.Fatalf("at %v: %v by %v, %v by %v", now, a, before.Hours, b, hours)
			}
		}
	})
}
