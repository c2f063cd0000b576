package reception_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"deskbridge/reception"
)

func rules(t testing.TB, zone string, hours ...string) *reception.Rules {
	t.Helper()
	r := &reception.Rules{}
	var err error
	if r.Zone, err = reception.ParseZone(zone); err != nil {
		t.Fatal(err)
	}
	for _, text := range hours {
		o, err := reception.ParseOpening(text)
		if err != nil {
			t.Fatal(err)
		}
		r.Hours = append(r.Hours, o)
	}
	return r
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestAway walks the cases that people run into: plain days, lunch, nights over
// midnight and over the week's end, closed dates, and both changes of the clock.
func TestAway(t *testing.T) {
	t.Parallel()
	office := []string{"mo-fr 08:00-12:00", "mo-fr 13:00-17:00"}
	night := []string{"sa 22:00-02:00"}
	for _, c := range []struct {
		name   string
		zone   string
		hours  []string
		closed []string
		now    string
		away   bool
	}{
		{"in the morning", "Europe/Berlin", office, nil, "2026-11-25T08:00:00+01:00", false},
		{"a second before", "Europe/Berlin", office, nil, "2026-11-25T07:59:59+01:00", true},
		{"lunch", "Europe/Berlin", office, nil, "2026-11-25T12:00:00+01:00", true},
		{"the last minute", "Europe/Berlin", office, nil, "2026-11-25T16:59:59.999+01:00", false},
		{"the end", "Europe/Berlin", office, nil, "2026-11-25T17:00:00+01:00", true},
		{"on Saturday", "Europe/Berlin", office, nil, "2026-11-28T10:00:00+01:00", true},
		{"told in another zone", "Europe/Berlin", office, nil, "2026-11-25T07:30:00Z", false},
		{"in summer it is an hour earlier in UTC", "Europe/Berlin", office, nil, "2026-07-01T06:00:00Z", false},
		{"in winter it is not", "Europe/Berlin", office, nil, "2026-12-01T06:30:00Z", true},
		{"UTC where no zone is set", "", office, nil, "2026-11-25T08:30:00Z", false},

		{"before midnight", "Europe/Berlin", night, nil, "2026-11-28T23:59:00+01:00", false},
		{"after midnight", "Europe/Berlin", night, nil, "2026-11-29T01:59:00+01:00", false},
		{"the end of the night", "Europe/Berlin", night, nil, "2026-11-29T02:00:00+01:00", true},
		{"after midnight of another day", "Europe/Berlin", night, nil, "2026-11-28T01:00:00+01:00", true},
		{"days that wrap around the week", "Europe/Berlin", []string{"fr-mo 10:00-12:00"}, nil, "2026-11-29T11:00:00+01:00", false},
		{"outside of such days", "Europe/Berlin", []string{"fr-mo 10:00-12:00"}, nil, "2026-11-25T11:00:00+01:00", true},
		{"the whole day", "Europe/Berlin", []string{"su-sa 00:00-24:00"}, nil, "2026-11-29T23:59:59+01:00", false},

		{"a holiday", "Europe/Berlin", office, []string{"2026-12-25"}, "2026-12-25T10:00:00+01:00", true},
		{"the day after", "Europe/Berlin", office, []string{"2026-12-24"}, "2026-12-25T10:00:00+01:00", false},
		{"the holiday is the region's, not London's", "Pacific/Auckland", office, []string{"2026-12-25"}, "2026-12-24T20:00:00Z", true},
		{"a night that began before the holiday", "Europe/Berlin", night, []string{"2026-11-29"}, "2026-11-29T01:00:00+01:00", false},
		{"a night that would begin on it", "Europe/Berlin", night, []string{"2026-11-28"}, "2026-11-28T23:00:00+01:00", true},
		{"and its second half", "Europe/Berlin", night, []string{"2026-11-28"}, "2026-11-29T01:00:00+01:00", true},

		// 2026-03-29: 02:00 becomes 03:00. 2026-10-25: 03:00 becomes 02:00.
		{"spring: begins in the hour that is left out", "Europe/Berlin", []string{"su 02:30-05:00"}, nil, "2026-03-29T03:00:00+02:00", false},
		{"spring: before that hour", "Europe/Berlin", []string{"su 02:30-05:00"}, nil, "2026-03-29T01:59:59+01:00", true},
		{"spring: ends in it", "Europe/Berlin", []string{"sa 22:00-02:30"}, nil, "2026-03-29T03:00:00+02:00", true},
		{"spring: until it", "Europe/Berlin", []string{"sa 22:00-02:30"}, nil, "2026-03-29T01:59:59+01:00", false},
		{"autumn: the hour for the first time", "Europe/Berlin", []string{"su 02:00-02:30"}, nil, "2026-10-25T02:15:00+02:00", false},
		{"autumn: between", "Europe/Berlin", []string{"su 02:00-02:30"}, nil, "2026-10-25T02:45:00+02:00", true},
		{"autumn: the hour again", "Europe/Berlin", []string{"su 02:00-02:30"}, nil, "2026-10-25T02:15:00+01:00", false},
		{"half an hour of summer time", "Australia/Lord_Howe", []string{"su-sa 09:00-17:00"}, nil, "2026-12-01T22:00:00Z", false}, // 09:00 at +11
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := rules(t, c.zone, c.hours...)
			r.ClosedDates = c.closed
			if away, _ := r.Away(at(t, c.now)); away != c.away {
				t.Errorf("away = %v at %s, want %v", away, c.now, c.away)
			}
		})
	}
}

func TestAwayWithoutHours(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-11-25T03:00:00Z")
	for _, c := range []struct {
		name  string
		rules reception.Rules
		away  bool
	}{
		{"nothing set", reception.Rules{}, false},
		{"closed dates alone", reception.Rules{ClosedDates: []string{"2026-11-25"}}, false},
		{"away now", reception.Rules{AwayNow: true}, true},
	} {
		if away, until := c.rules.Away(now); away != c.away || !until.IsZero() {
			t.Errorf("%s: away %v until %v", c.name, away, until)
		}
	}
	r := rules(t, "Europe/Berlin", "su-sa 00:00-24:00")
	r.AwayNow = true
	if away, until := r.Away(now); !away || !until.IsZero() {
		t.Errorf("away now, against the hours: %v until %v", away, until)
	}
}

func TestAwayTellsWhenItEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, now, until string }{
		{"open", "2026-11-25T08:30:12.5+01:00", "2026-11-25T12:00:00+01:00"},
		{"lunch", "2026-11-25T12:00:00+01:00", "2026-11-25T13:00:00+01:00"},
		{"over the weekend", "2026-11-27T18:00:00+01:00", "2026-11-30T08:00:00+01:00"},
		{"over the weekend in which the clocks change", "2026-10-23T18:00:00+02:00", "2026-10-26T08:00:00+01:00"},
	} {
		_, until := rules(t, "Europe/Berlin", "mo-fr 08:00-12:00", "mo-fr 13:00-17:00").Away(at(t, c.now))
		if want := at(t, c.until); !until.Equal(want) {
			t.Errorf("%s: until %s, want %s", c.name, until, want)
		}
	}
	r := rules(t, "Europe/Berlin", "mo 08:00-09:00")
	r.ClosedDates = []string{"2026-11-30", "2026-12-07", "2026-12-14"}
	now := at(t, "2026-11-25T12:00:00Z")
	if away, until := r.Away(now); !away || !until.After(now) || until.After(now.AddDate(0, 1, 0)) {
		t.Errorf("nothing for weeks: away %v until %v; want a time at which to ask again", away, until)
	}
}

// TestNothingChangesBeforeUntil: whatever the hours, the zone and the day, what
// Away says holds every minute up to the time that it names. Answers are cached
// on that word.
func TestNothingChangesBeforeUntil(t *testing.T) {
	t.Parallel()
	zones := []string{"Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo", "Africa/Casablanca", "UTC"}
	first := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		r := &reception.Rules{}
		var err error
		if r.Zone, err = reception.ParseZone(rapid.SampledFrom(zones).Draw(t, "zone")); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 4).Draw(t, "openings") {
			o := reception.Opening{
				First: time.Weekday(rapid.IntRange(0, 6).Draw(t, "first")), Last: time.Weekday(rapid.IntRange(0, 6).Draw(t, "last")),
				Begin: rapid.IntRange(0, 1439).Draw(t, "begin"), End: rapid.IntRange(0, 1440).Draw(t, "end"),
			}
			if o.Begin != o.End {
				r.Hours = append(r.Hours, o)
			}
		}
		now := first.Add(time.Duration(rapid.Int64Range(0, 20*366*24*3600*1000).Draw(t, "ms")) * time.Millisecond)
		r.ClosedDates = []string{now.AddDate(0, 0, rapid.IntRange(-2, 4).Draw(t, "holiday")).Format(time.DateOnly)}
		away, until := r.Away(now)
		if len(r.Hours) == 0 {
			return
		}
		if !until.After(now) {
			t.Fatalf("until %s is not after %s", until, now)
		}
		for m := now; m.Before(until) && m.Before(now.AddDate(0, 0, 3)); m = m.Add(7 * time.Minute) {
			if got, _ := r.Away(m); got != away {
				t.Fatalf("away was %v at %s and is %v at %s, before %s (hours %v, zone %s)", away, now, got, m, until, r.Hours, r.Zone)
			}
		}
		if got, _ := r.Away(until.Add(-time.Millisecond)); got != away && until.Add(-time.Millisecond).After(now) {
			t.Fatalf("away changed before %s (hours %v, zone %s)", until, r.Hours, r.Zone)
		}
	})
}

func TestOpeningsAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"mo-fr 08:00-17:00": "mo-fr 08:00-17:00", " SA  22:00-02:00 ": "sa 22:00-02:00", "su-su 00:00-24:00": "su 00:00-24:00", "fr-mo 09:30-09:00": "fr-mo 09:30-09:00",
	} {
		if o, err := reception.ParseOpening(text); err != nil || o.String() != want {
			t.Errorf("%q: %s, %v; want %s", text, o, err, want)
		}
	}
	for _, text := range []string{
		"", "mo", "mo-fr", "08:00-17:00", "mo 08:00", "mo 8:00-17:00", "mo 08:00-17:00-18:00", "xx 08:00-17:00", "mo-xx 08:00-17:00",
		"mo 08:00-08:00", "mo 24:00-08:00", "mo 08:60-09:00", "mo 24:01-24:02", "mo 08:00-25:00", "mo 0a:00-09:00", "mo -8:00-09:00", "mo 08:00–17:00", "mo,tu 08:00-17:00",
	} {
		if o, err := reception.ParseOpening(text); err == nil {
			t.Errorf("%q is taken as %s", text, o)
		}
	}
}

func FuzzParseOpening(f *testing.F) {
	f.Add("mo-fr 08:00-17:00")
	f.Add("sa 22:00-02:00")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := reception.ParseOpening(text)
		if err != nil {
			return
		}
		if again, err := reception.ParseOpening(o.String()); err != nil || again != o {
			t.Fatalf("%q became %s, which is read as %s, %v", text, o, again, err)
		}
	})
}

func TestZones(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Europe/Berlin", "UTC", ""} {
		if z, err := reception.ParseZone(name); err != nil || z.String() != name {
			t.Errorf("%q: %s, %v", name, z, err)
		}
	}
	for _, name := range []string{"Local", "Berlin", "../../etc/passwd", "+02:00", "Europe/Berlin\x00"} {
		if z, err := reception.ParseZone(name); err == nil {
			t.Errorf("%q is taken as %s", name, z)
		}
	}
}

func TestRulesSurviveJSON(t *testing.T) {
	t.Parallel()
	want := rules(t, "Europe/Berlin", "mo-fr 08:00-12:00", "sa 22:00-02:00")
	want.Names, want.TypingNote, want.BotSeconds, want.ClosedDates, want.AwayNow = reception.NamesFirst, true, 60, []string{"2026-12-25"}, true
	want.Texts = map[string]reception.Texts{"de": {Away: "Weg", Role: "-"}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got reception.Rules
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, &got); diff != "" {
		t.Error(diff)
	}
	if text, err := json.Marshal(reception.Rules{}); err != nil || string(text) != "{}" {
		t.Errorf("rules that say nothing: %s, %v", text, err)
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	var plain reception.Rules
	seen := map[string]string{}
	for _, code := range []string{"de", "en", "ar", "uk", "ru", "tr", "fa", "fr"} {
		for _, text := range []string{plain.AwayText(code), plain.ClosedText(code), plain.ReopenedText(code)} {
			if text == "" || seen[text] != "" {
				t.Errorf("%s: %q is empty or the text of %s", code, text, seen[text])
			}
			seen[text] = code
		}
		if plain.Shown("", code) != "" {
			t.Errorf("%s: a name without a rule", code)
		}
	}
	own := reception.Rules{Texts: map[string]reception.Texts{
		"de": {Away: "Bis Montag!"}, "de-si": {Closed: "Fertig."}, "en": {Reopened: "-"}, "am": {Away: "ደህና"},
	}}
	for _, c := range []struct{ what, got, want string }{
		{"own", own.AwayText("de"), "Bis Montag!"},
		{"own of the base", own.AwayText("de-si"), "Bis Montag!"},
		{"own of a variant", own.ClosedText("de-si"), "Fertig."},
		{"built-in beside own", own.ClosedText("de"), plain.ClosedText("de")},
		{"a language that only the region knows", own.AwayText("am"), "ደህና"},
		{"the rest of it is English", own.ClosedText("am"), plain.ClosedText("en")},
		{"a language that nobody knows", own.AwayText("tlh"), plain.AwayText("en")},
		{"no language", own.AwayText(""), plain.AwayText("en")},
		{"none wanted", own.ReopenedText("en"), ""},
		{"none wanted is no gap to fall through", own.ReopenedText("en-gb"), ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule         reception.Names
		name         string
		kept, german string
	}{
		{reception.NamesNone, "Nicole Braun", "", ""},
		{reception.NamesFull, "Nicole Braun", "Nicole Braun", "Nicole Braun"},
		{reception.NamesFirst, "Nicole Braun", "Nicole", "Nicole"},
		{reception.NamesFirst, "Dr. Nicole Braun", "Nicole", "Nicole"},
		{reception.NamesFirst, "Braun, Nicole", "Nicole", "Nicole"},
		{reception.NamesFirst, "Nicole", "Nicole", "Nicole"},
		{reception.NamesFirst, "  ", "", ""},
		{reception.NamesFirst, "Dr.", "", ""},
		{reception.NamesRole, "Nicole Braun", "", "Beratung"},
		{reception.NamesRole, "", "", "Beratung"},
		{"shout", "Nicole Braun", "", ""},
	} {
		r := reception.Rules{Names: c.rule}
		kept := r.Kept(c.name)
		if shown := r.Shown(kept, "de"); kept != c.kept || shown != c.german {
			t.Errorf("%q by %q: kept %q, shown %q; want %q, %q", c.name, c.rule, kept, shown, c.kept, c.german)
		}
		if again := r.Kept(kept); again != kept {
			t.Errorf("%q by %q: kept again it becomes %q", c.name, c.rule, again)
		}
	}
	// What a looser rule has stored does not leave once the rule is stricter.
	for _, rule := range []reception.Names{reception.NamesNone, reception.NamesFirst, reception.NamesRole} {
		if r := (reception.Rules{Names: rule}); strings.Contains(r.Shown("Nicole Braun", "de"), "Braun") {
			t.Errorf("%q shows a name that was stored before", rule)
		}
	}
	for _, text := range []string{"full", "first", "role"} {
		if n, err := reception.ParseNames(text); err != nil || string(n) != text {
			t.Errorf("%s: %q, %v", text, n, err)
		}
	}
	if n, err := reception.ParseNames("none"); err != nil || n != reception.NamesNone {
		t.Errorf("none: %q, %v", n, err)
	}
	if _, err := reception.ParseNames("last"); err == nil {
		t.Error("last is taken")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	good := rules(t, "Europe/Berlin", "mo-fr 08:00-17:00")
	good.BotSeconds, good.ClosedDates = 600, []string{"2028-02-29"}
	good.Texts = map[string]reception.Texts{"de-si": {Away: "Zwei\nZeilen"}}
	if problems := good.Check(); problems != nil {
		t.Fatal(problems)
	}
	for name, bad := range map[string]reception.Rules{
		"hours without a zone":     {Hours: good.Hours},
		"a bot for hours":          {BotSeconds: 601},
		"a bot of the past":        {BotSeconds: -1},
		"no date":                  {ClosedDates: []string{"2026-02-29"}},
		"a date in German":         {ClosedDates: []string{"25.12.2026"}},
		"no language":              {Texts: map[string]reception.Texts{"Deutsch!": {Away: "x"}}},
		"a text too long":          {Texts: map[string]reception.Texts{"de": {Closed: strings.Repeat("ä", 1001)}}},
		"a text that is no UTF-8":  {Texts: map[string]reception.Texts{"de": {Role: "\xff"}}},
		"control characters":       {Texts: map[string]reception.Texts{"de": {Reopened: "a\x1bb"}}},
		"text turned around":       {Texts: map[string]reception.Texts{"de": {Away: "a\u202eb"}}},
		"a rule for names":         {Names: "last"},
		"hours without end":        {Zone: good.Zone, Hours: make([]reception.Opening, 51)},
		"closed dates without end": {ClosedDates: strings.Split(strings.TrimSuffix(strings.Repeat("2026-12-25,", 401), ","), ",")},
	} {
		if bad.Check() == nil {
			t.Errorf("%s is taken: %s", name, fmt.Sprint(bad))
		}
	}
}

func TestOpenTime(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	hours := func(texts ...string) *reception.Rules {
		r := rules(t, "Europe/Berlin", texts...)
		r.ClosedDates = []string{"2026-12-25"}
		return r
	}
	at := func(text string) time.Time {
		local, err := time.ParseInLocation("2006-01-02 15:04", text, berlin)
		if err != nil {
			t.Fatal(err)
		}
		return local
	}
	office, always := hours("mo-fr 08:00-12:00", "mo-th 13:00-16:00"), &reception.Rules{AwayNow: true}
	night := hours("fr 22:00-06:00")
	for _, tc := range []struct {
		given    *reception.Rules
		from, to string
		enough   time.Duration
		want     time.Duration
	}{
		{always, "2026-11-26 03:00", "2026-11-26 04:30", time.Hour * 9, 90 * time.Minute},
		{office, "2026-11-26 09:00", "2026-11-26 09:30", time.Hour, 30 * time.Minute},
		{office, "2026-11-26 11:45", "2026-11-26 13:10", time.Hour, 25 * time.Minute},
		{office, "2026-11-26 11:45", "2026-11-26 12:59", time.Hour, 15 * time.Minute},
		{office, "2026-11-27 11:50", "2026-11-30 08:10", time.Hour, 20 * time.Minute}, // over a weekend
		{office, "2026-11-27 13:00", "2026-11-30 07:59", time.Hour, 0},                // nobody was there
		{office, "2026-12-24 15:59", "2026-12-28 08:01", time.Hour, 2 * time.Minute},  // Christmas Day was a Friday
		{office, "2026-01-01 00:00", "2026-11-26 00:00", 30 * time.Minute, 30 * time.Minute},
		{office, "2026-11-26 10:00", "2026-11-26 09:00", time.Hour, 0},
		{always, "2026-11-26 10:00", "2026-11-26 09:00", time.Hour, 0},
		{night, "2027-03-26 20:00", "2027-03-29 00:00", 24 * time.Hour, 8 * time.Hour},
		{hours("sa 22:00-06:00"), "2027-03-27 20:00", "2027-03-29 00:00", 24 * time.Hour, 7 * time.Hour}, // spring leaves out an hour
		{hours("sa 22:00-06:00"), "2026-10-24 20:00", "2026-10-26 00:00", 24 * time.Hour, 9 * time.Hour}, // autumn repeats one
	} {
		if got := tc.given.OpenTime(at(tc.from), at(tc.to), tc.enough); got != tc.want {
			t.Errorf("%v, %s to %s: %v, want %v", tc.given.Hours, tc.from, tc.to, got, tc.want)
		}
	}
}
