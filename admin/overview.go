package admin

import (
	"fmt"
	"html/template"
	"net/http"
	"time"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// numbers is the part of the door that counts: the overview and the comparison.
type numbers struct{ *Door }

func (d numbers) routes() []route {
	return []route{
		{http.MethodGet, "/admin/regions/:region/", staff.Read, d.overview},
		{http.MethodGet, "/admin/regions/:region/experiment/", staff.Read, d.experiment},
		{http.MethodGet, "/admin/regions/:region/experiment/export.csv", staff.Read, d.experimentCSV},
	}
}

// standing is how a region stands, in words.
type standing struct {
	Region *bridge.Region
	Zone   *time.Location
	bridge.RegionStanding
	Waited       string // how long the longest has waited; empty: nobody waits
	QueuedFor    string // the same for messages; empty: none
	ZammadSilent string // how long Zammad has not answered; empty: it answers, or was not asked
	ZammadAsked  bool   // since this process runs
}

// standings finds out how regions stand.
func (d numbers) standings(r *Request, regions []*bridge.Region) ([]standing, error) {
	now, days := d.Now(), make(map[bridge.RegionID]time.Time, len(regions))
	for _, region := range regions {
		days[region.ID] = midnight(now.In(region.Settings.Reception.Zone.Location()))
	}
	found, err := d.Statistics.Standings(r.Request.Context(), days)
	if err != nil {
		return nil, err
	}
	all := make([]standing, len(regions))
	for i, region := range regions {
		s := standing{Region: region, Zone: region.Settings.Reception.Zone.Location(), RegionStanding: found[region.ID]}
		if !s.WaitingSince.IsZero() {
			s.Waited = span(r, now.Sub(s.WaitingSince))
		}
		if !s.QueuedSince.IsZero() {
			s.QueuedFor = span(r, now.Sub(s.QueuedSince))
		}
		silent, asked := d.DeskSilent(region)
		if s.ZammadAsked = asked; !silent.IsZero() {
			s.ZammadSilent = span(r, now.Sub(silent))
		}
		all[i] = s
	}
	return all, nil
}

func midnight(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
}

// span says how long something takes, to the minute, and for days to the hour.
func span(r *Request, d time.Duration) string {
	minutes := int(max(0, d).Round(time.Minute) / time.Minute)
	switch {
	case minutes == 0:
		return r.T("overview.moment")
	case minutes < 60:
		return r.T("overview.minutes", minutes)
	case minutes < 48*60:
		return r.T("overview.hours", minutes/60, minutes%60)
	}
	return r.T("overview.days", minutes/(24*60), minutes/60%24)
}

// Spans that charts show, in the order of their links.
var spans = [...]string{"day", "month", "year"}

// slots cuts a span that ends now into parts as the clock on the region's wall
// has them: 24 hours, 30 days, or the 53 weeks of a year. It gives their
// beginnings and the end.
func slots(span string, now time.Time) []time.Time {
	var all []time.Time
	switch today := midnight(now); span {
	case "month":
		for day := -29; day <= 1; day++ {
			all = append(all, today.AddDate(0, 0, day))
		}
	case "year":
		monday := today.AddDate(0, 0, -int(now.Weekday()+6)%7)
		for week := -52; week <= 1; week++ {
			all = append(all, monday.AddDate(0, 0, 7*week))
		}
	default:
		hour := bridge.HourOf(now)
		for h := hour - 23; h <= hour+1; h++ {
			all = append(all, h.Start().In(now.Location()))
		}
	}
	return all
}

// statisticsRow shows the numbers of a part of a span as a row of the table, from which
// charts.js reads them too.
func statisticsRow(r *Request, at time.Time, label string, s bridge.Statistics) template.HTML {
	number := func(n int) template.HTML {
		return markup(`<td class="number" data-v="%d">%s</td>`, n, r.number(n))
	}
	words, minutes := "–", "" // nobody was answered
	if median, some := s.FirstAnswers.Median(); some {
		words, minutes = span(r, median), fmt.Sprint(float64(median.Round(time.Second))/float64(time.Minute))
	}
	return markup(`<tr data-at="%v"><th scope="row"><time datetime="%s">%s</time></th>%s%s%s<td class="number" data-v="%s">%s</td>%s</tr>`,
		at.Unix(), at.UTC().Format(time.RFC3339), label, number(s.ChatsOpened), number(s.MessagesUser), number(s.MessagesAgent), minutes, words, number(s.Failed))
}

// layouts says how the parts of a span are called, by language and span.
var layouts = map[string]map[string]string{
	"de": {"day": "02.01., 15 Uhr", "month": "02.01.2006", "year": "02.01.2006"},
	"en": {"day": "2 Jan, 15:04", "month": "2 Jan 2006", "year": "2 Jan 2006"},
}

// figures are the numbers of a region over a span.
type figures struct {
	standing
	Span     string
	Spans    []string
	Rows     template.HTML
	Sum      bridge.Statistics
	Median   string // of the whole span, an estimate; empty: nobody was answered
	Invented bool   // some of it is made up for the demo
}

// overview shows the numbers of a region.
func (d numbers) overview(r *Request) error {
	standings, err := d.standings(r, []*bridge.Region{r.Region})
	if err != nil {
		return err
	}
	f := figures{standing: standings[0], Span: spans[0], Spans: spans[:]}
	for _, s := range spans {
		if r.Query("span") == s {
			f.Span = s
		}
	}
	if err := d.fill(r, &f); err != nil {
		return err
	}
	return r.Show("overview", f)
}

// fill reads the numbers. The running hour is counted every few minutes.
func (d numbers) fill(r *Request, f *figures) error {
	parts := slots(f.Span, d.Now().In(r.Zone()))
	end := len(parts) - 1
	hours, err := d.Statistics.Statistics(r.Request.Context(), r.Region.ID, bridge.HourOf(parts[0]), bridge.HourOf(parts[end]))
	if err != nil {
		return err
	}
	counts := make([]bridge.Statistics, end)
	i := 0
	for _, h := range hours {
		for i+1 < end && !h.Hour.Start().Before(parts[i+1]) {
			i++
		}
		counts[i].Add(h.Statistics)
		f.Sum.Add(h.Statistics)
		f.Invented = f.Invented || h.Invented
	}
	at := 0
	f.Rows = rows(counts, func(s *bridge.Statistics) template.HTML {
		at++
		return statisticsRow(r, parts[at-1], parts[at-1].Format(layouts[r.Language][f.Span]), *s)
	})
	if median, some := f.Sum.FirstAnswers.Median(); some {
		f.Median = span(r, median)
	}
	return nil
}
