package reception

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// days are the names of weekdays in opening hours, by time.Weekday.
var days = [...]string{"su", "mo", "tu", "we", "th", "fr", "sa"}

// dayMinutes are the minutes of a day on the clock.
const dayMinutes = 24 * 60

// Opening is a span of the week in which people answer, as the clock on the
// wall shows it: "mo-fr 08:00-17:00", or "sa 22:00-02:00", which ends on Sunday.
type Opening struct {
	First, Last time.Weekday // days on which it begins; the week may wrap around
	Begin, End  int          // minutes since midnight; an End that is not after Begin is on the next day
}

// ParseOpening reads the written form. A span of no length is refused, since
// nobody can know whether it is none or the whole day (00:00-24:00).
func ParseOpening(text string) (Opening, error) {
	var o Opening
	dates, times, ok := strings.Cut(strings.ToLower(strings.TrimSpace(text)), " ")
	first, last, several := strings.Cut(dates, "-")
	if !several {
		last = first
	}
	begin, end, span := strings.Cut(strings.TrimSpace(times), "-")
	errs := errors.Join(day(first, &o.First), day(last, &o.Last), clock(begin, &o.Begin), clock(end, &o.End))
	if !ok || !span || errs != nil || o.Begin == o.End || o.Begin == dayMinutes {
		return Opening{}, fmt.Errorf("%q is no opening such as \"mo-fr 08:00-17:00\" (days su mo tu we th fr sa)", text)
	}
	return o, nil
}

func day(name string, into *time.Weekday) error {
	for i, known := range days {
		if name == known {
			*into = time.Weekday(i)
			return nil
		}
	}
	return errors.New("no weekday")
}

// clock reads a time of the day, up to 24:00.
func clock(text string, into *int) error {
	hour, minute, ok := strings.Cut(text, ":")
	h, errHour := strconv.ParseUint(hour, 10, 8)
	m, errMinute := strconv.ParseUint(minute, 10, 8)
	*into = int(h)*60 + int(m)
	if !ok || len(hour) != 2 || len(minute) != 2 || errHour != nil || errMinute != nil || m > 59 || *into > dayMinutes {
		return errors.New("no time of the day")
	}
	return nil
}

// String gives the written form.
func (o Opening) String() string {
	text := days[o.First]
	if o.Last != o.First {
		text += "-" + days[o.Last]
	}
	return fmt.Sprintf("%s %02d:%02d-%02d:%02d", text, o.Begin/60, o.Begin%60, o.End/60, o.End%60)
}

// MarshalText gives the written form, for JSON.
func (o Opening) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads the written form.
func (o *Opening) UnmarshalText(text []byte) (err error) {
	*o, err = ParseOpening(string(text))
	return err
}

// begins says whether the span begins on a weekday.
func (o Opening) begins(d time.Weekday) bool {
	return (d-o.First+7)%7 <= (o.Last-o.First+7)%7
}

// Zone is a time zone by its name in the IANA database, such as Europe/Berlin.
// The zero value is UTC.
type Zone struct{ location *time.Location }

// ParseZone finds a zone. "Local" is refused: it would be another one on
// another machine.
func ParseZone(name string) (Zone, error) {
	if name == "" {
		return Zone{}, nil
	}
	location, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return Zone{}, fmt.Errorf("%q is no time zone such as Europe/Berlin", name)
	}
	return Zone{location}, nil
}

// Location gives the zone for formatting times.
func (z Zone) Location() *time.Location {
	if z.location == nil {
		return time.UTC
	}
	return z.location
}

// String gives the zone's name; empty for the zero value.
func (z Zone) String() string {
	if z.location == nil {
		return ""
	}
	return z.location.String()
}

// IsZero says whether no zone was set.
func (z Zone) IsZero() bool { return z.location == nil }

// Equal compares by name.
func (z Zone) Equal(other Zone) bool { return z.String() == other.String() }

// MarshalText gives the name, for JSON.
func (z Zone) MarshalText() ([]byte, error) { return []byte(z.String()), nil }

// UnmarshalText finds the zone of a name.
func (z *Zone) UnmarshalText(name []byte) (err error) {
	*z, err = ParseZone(string(name))
	return err
}

func (z Zone) clock(t time.Time) time.Time { return t.In(z.Location()) }

// open says whether people answer at a time. It goes by the clock on the wall,
// as people do: what begins in the hour that spring leaves out begins when that
// hour is over, and the hour that autumn repeats counts twice. What began on the
// evening before a closed date lasts until its end.
func (r *Rules) open(now time.Time) bool {
	local := r.Zone.clock(now)
	minute := local.Hour()*60 + local.Minute()
	today, yesterday := local.Weekday(), (local.Weekday()+6)%7
	closedToday, closedYesterday := r.closed(local), r.closed(local.AddDate(0, 0, -1))
	for _, o := range r.Hours {
		overnight := o.End <= o.Begin
		switch {
		case o.begins(today) && !closedToday && minute >= o.Begin && (overnight || minute < o.End):
			return true
		case overnight && o.begins(yesterday) && !closedYesterday && minute < o.End:
			return true
		}
	}
	return false
}

func (r *Rules) closed(local time.Time) bool {
	date := local.Format(time.DateOnly)
	for _, c := range r.ClosedDates {
		if c == date {
			return true
		}
	}
	return false
}

// steps bounds how many boundaries turn looks at: a few days of ordinary hours.
const steps = 16

// turn gives a time until which open stays what it is now. Beyond some days it
// gives up: it is then a time at which to ask again.
func (r *Rules) turn(now time.Time) time.Time {
	open, next := r.open(now), now
	for range steps {
		if next = r.boundary(next); r.open(next) != open {
			break
		}
	}
	return next
}

// boundary gives the next time at which an opening begins or ends, a day ends,
// or the clocks are changed. Up to it the clock on the wall runs on evenly.
func (r *Rules) boundary(now time.Time) time.Time {
	local := r.Zone.clock(now)
	minute := local.Hour()*60 + local.Minute()
	next := dayMinutes
	for _, o := range r.Hours {
		for _, b := range [...]int{o.Begin, o.End} {
			if b > minute {
				next = min(next, b)
			}
		}
	}
	sinceMinute := time.Duration(local.Second())*time.Second + time.Duration(local.Nanosecond())
	at := local.Add(time.Duration(next-minute)*time.Minute - sinceMinute)
	if _, change := local.ZoneBounds(); !change.IsZero() && change.After(now) && change.Before(at) {
		return change
	}
	return at
}
