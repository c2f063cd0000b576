package admin

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"deskbridge/bridge"
	"deskbridge/experiment"
)

// experimentDays are the spans that the comparison is offered for; exposures are
// kept no longer than the last.
var experimentDays = [...]int{7, 30, 90}

// compared is a comparison over a span of time.
type compared struct {
	Days     int
	AllDays  []int
	From     time.Time // when the count begins
	Cohorts  []bridge.Cohort
	Arms     []arm // served, unserved
	Apart    int
	Shares   []share // that were in force, in the order in which they came
	Unknown  int     // devices of which it is not known by which share they were drawn
	Split    experiment.SplitVerdict
	Verdict  experiment.Verdict // on opening a chat
	Low      float64            // of the difference, in percentage points
	High     float64
	Sentence string // about the split
}

// share are the devices that were drawn by one percentage.
type share struct{ bridge.Drawn }

// Expected is how many of them should have been let in.
func (s share) Expected() int { return int(math.Round(s.Percentage / 100 * float64(s.Of))) }

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
	c := compared{Days: experimentDays[1], AllDays: experimentDays[:]}
	if days, err := strconv.Atoi(r.Query("days")); err == nil && slices.Contains(c.AllDays, days) {
		c.Days = days
	}
	now := d.Now()
	c.From = midnight(now.UTC()).AddDate(0, 0, 1-c.Days)
	var err error
	if c.Cohorts, err = d.Experiment.Cohorts(r.Request.Context(), r.Region.ID, c.From, now); err != nil {
		return c, err
	}
	var served, unserved bridge.Arm
	for _, day := range c.Cohorts {
		served.Add(day.Served)
		unserved.Add(day.Unserved)
		c.Apart += day.Apart
		for _, drawn := range day.Drawn {
			c.Shares = addShare(c.Shares, drawn)
		}
	}
	c.Arms = []arm{inWords(r, "served", served), inWords(r, "unserved", unserved)}
	c.judgeSplit(r, served.Asked+unserved.Asked)
	opened, others := experiment.Share{Yes: served.Opened, Of: served.Asked}, experiment.Share{Yes: unserved.Opened, Of: unserved.Asked}
	_, i := experiment.Difference(opened, others)
	c.Verdict, c.Low, c.High = experiment.Compare(opened, others), 100*i.Low, 100*i.High
	return c, nil
}

// addShare adds what one day brought.
func addShare(all []share, drawn bridge.Drawn) []share {
	i := slices.IndexFunc(all, func(s share) bool { return s.Percentage == drawn.Percentage })
	if i < 0 {
		return append(all, share{drawn})
	}
	all[i].In, all[i].Of = all[i].In+drawn.In, all[i].Of+drawn.Of
	return all
}

// judgeSplit says whether as many were let in as the shares of their days let
// expect.
func (c *compared) judgeSplit(r *Request, asked int) {
	var split experiment.Split
	c.Unknown = asked
	for _, s := range c.Shares {
		split = append(split, experiment.Draw{In: s.In, Of: s.Of, Share: s.Percentage / 100})
		c.Unknown -= s.Of
	}
	c.Split = split.Verdict()
	sentence := "experiment.split." + string(c.Split)
	if c.Split == experiment.SplitNobody || c.Split == experiment.SplitNoLot {
		c.Sentence = r.T(sentence)
		return
	}
	in, of, expected := split.Lots()
	c.Sentence = r.T(sentence, of, in, int(math.Round(expected)))
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
	r.attach(fmt.Sprintf("%s-%s.csv", r.Region.Slug, d.Now().UTC().Format(time.DateOnly)), "text/csv")
	table := NewCSV(r.Writer, r.Language,
		r.T("experiment.csv_day"), r.T("experiment.csv_group"), r.T("experiment.share"), r.T("experiment.asked"), r.T("experiment.opened"), r.T("experiment.chats"),
		r.T("experiment.messages"), r.T("experiment.answered"), r.T("experiment.csv_median"))
	for _, day := range c.Cohorts {
		var shares []string
		for _, drawn := range day.Drawn {
			shares = append(shares, r.T("experiment.percentage", drawn.Percentage))
		}
		for _, side := range []arm{{Key: "served", Arm: day.Served}, {Key: "unserved", Arm: day.Unserved}} {
			group, median := "experiment.arm."+side.Key, any(nil)
			if m := experiment.MedianOf(side.FirstAnswers); m.N > 0 {
				median = int(m.Value.Round(time.Minute) / time.Minute)
			}
			if err := table.Row(day.Day, r.T(group), strings.Join(shares, ", "), side.Asked, side.Opened, side.Chats, side.Messages, side.Answered, median); err != nil {
				return fmt.Errorf("write the table: %w", err)
			}
		}
	}
	return table.Flush()
}
