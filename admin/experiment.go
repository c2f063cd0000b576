package admin

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"deskbridge/bridge"
	"deskbridge/experiment"
)

// experimentDays are the spans that the comparison is offered for; exposures are
// kept no longer than the last.
var experimentDays = [...]int{7, 30, 90}

// The names in the audit of the gate's percentage and of its plan, which names
// the times of its steps.
const (
	shareField = "percentage"
	planField  = "ramp"
)

var planTime = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z`)

// changesRead is how many changes are looked through for the last one of the
// percentage.
const changesRead = 500

// compared is a comparison over a span of time.
type compared struct {
	Days     int
	AllDays  []int
	From     time.Time // when the count begins
	Changed  bool      // it begins with the last change of the percentage, which was within the days
	Cohorts  []bridge.Cohort
	Arms     []arm // served, unserved
	Apart    int
	Split    experiment.SplitVerdict
	Verdict  experiment.Verdict // on opening a chat
	Low      float64            // of the difference, in percentage points
	High     float64
	InOf     [2]int // who was let in, of how many
	Share    float64
	Sentence string // about the split
}

// arm is one side of the comparison in words.
type arm struct {
	Key string
	bridge.Arm
	Share  string // who opened a chat, of those who asked
	Range  string // where that share probably is
	Median string
	Around string // where the median probably is
}

// compare counts a region's experiment.
func (d numbers) compare(r *Request) (compared, error) {
	c := compared{Days: experimentDays[1], AllDays: experimentDays[:], Share: r.Region.PercentageAt(d.Now())}
	if days, err := strconv.Atoi(r.Query("days")); err == nil && slices.Contains(c.AllDays, days) {
		c.Days = days
	}
	now := d.Now()
	c.From = midnight(now.UTC()).AddDate(0, 0, 1-c.Days)
	changed, err := d.shareSince(r)
	if err != nil {
		return c, err
	}
	if changed.After(c.From) {
		c.From, c.Changed = changed, true
	}
	if c.Cohorts, err = d.Experiment.Cohorts(r.Request.Context(), r.Region.ID, c.From, now); err != nil {
		return c, err
	}
	var served, unserved bridge.Arm
	for _, day := range c.Cohorts {
		served.Add(day.Served)
		unserved.Add(day.Unserved)
		c.Apart += day.Apart
	}
	c.Arms = []arm{inWords(r, "served", served), inWords(r, "unserved", unserved)}
	split := experiment.Split{In: served.Asked, Of: served.Asked + unserved.Asked, Share: c.Share / 100}
	c.Split, c.InOf = split.Verdict(), [2]int{split.In, split.Of}
	if sentence := "experiment.split." + string(c.Split); c.Split == experiment.SplitNobody {
		c.Sentence = r.T(sentence)
	} else {
		c.Sentence = r.T(sentence, split.Of, split.In, c.Share)
	}
	opened, others := experiment.Share{Yes: served.Opened, Of: served.Asked}, experiment.Share{Yes: unserved.Opened, Of: unserved.Asked}
	_, i := experiment.Difference(opened, others)
	c.Verdict, c.Low, c.High = experiment.Compare(opened, others), 100*i.Low, 100*i.High
	return c, nil
}

// shareSince says since when the percentage is what it is, as far as the audit
// tells; the zero time if it does not.
func (d numbers) shareSince(r *Request) (time.Time, error) {
	entries, err := d.Audit.Audit(r.Request.Context(), bridge.AuditQuery{Regions: []bridge.RegionID{r.Region.ID}, Limit: changesRead})
	var since time.Time
	for _, e := range entries {
		for _, c := range e.Changes {
			switch c.Field {
			case shareField:
				since = later(since, e.At)
			case planField: // each of its steps that has come was a change
				for _, text := range planTime.FindAllString(c.From+" "+c.To, -1) {
					if step, wrong := time.Parse(time.RFC3339, text); wrong == nil && !step.After(d.Now()) {
						since = later(since, step)
					}
				}
			}
		}
	}
	return since, err
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// inWords puts a side into words.
func inWords(r *Request, key string, a bridge.Arm) arm {
	out := arm{Key: key, Arm: a}
	if a.Asked > 0 {
		share := experiment.Share{Yes: a.Opened, Of: a.Asked}
		i := share.Interval()
		out.Share = r.T("experiment.percent", 100*share.Value())
		out.Range = r.T("experiment.percent_range", 100*i.Low, 100*i.High)
	}
	if m := experiment.MedianOf(a.FirstAnswers); m.N > 0 {
		out.Median = span(r, m.Value)
		if m.Known {
			out.Around = r.T("experiment.range", span(r, m.Low), span(r, m.High))
		}
	}
	return out
}

// experiment shows the comparison of those who were let in with the others.
func (d numbers) experiment(r *Request) error {
	c, err := d.compare(r)
	if err != nil {
		return err
	}
	return r.Show("experiment", c)
}

// experimentCSV gives the same by day, for a spreadsheet. It has no devices.
func (d numbers) experimentCSV(r *Request) error {
	c, err := d.compare(r)
	if err != nil {
		return err
	}
	table := NewSpreadsheet(r, fmt.Sprintf("%s-%s.csv", r.Region.Slug, d.Now().UTC().Format(time.DateOnly)),
		r.T("experiment.csv_day"), r.T("experiment.csv_group"), r.T("experiment.asked"), r.T("experiment.opened"), r.T("experiment.chats"),
		r.T("experiment.messages"), r.T("experiment.answered"), r.T("experiment.csv_median"))
	for _, day := range c.Cohorts {
		for _, side := range []arm{{Key: "served", Arm: day.Served}, {Key: "unserved", Arm: day.Unserved}} {
			group, median := "experiment.arm."+side.Key, any(nil)
			if m := experiment.MedianOf(side.FirstAnswers); m.N > 0 {
				median = int(m.Value.Round(time.Minute) / time.Minute)
			}
			if err := table.Row(day.Day, r.T(group), side.Asked, side.Opened, side.Chats, side.Messages, side.Answered, median); err != nil {
				return fmt.Errorf("write the table: %w", err)
			}
		}
	}
	return table.Flush()
}
