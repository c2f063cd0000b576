package admin

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// Jobs are what the clock starts, and people may start too.
type Jobs interface {
	List() []bridge.JobInfo
	// Running names the jobs that run at the moment, on any instance.
	Running(ctx context.Context) ([]string, error)
	// Start lets a job run in the background. The error is bridge.ErrJobRunning
	// if it runs already.
	Start(ctx context.Context, name string, dryRun bool) error
}

// Runs reads the records of jobs.
type Runs interface {
	Runs(ctx context.Context, q bridge.RunQuery) ([]bridge.JobRun, error)
}

const (
	jobsPath = "/admin/jobs/"

	// runsPage is how many records of runs a page shows.
	runsPage = 25
)

// jobPages are the pages of what the clock starts.
type jobPages struct{ *Door }

func (p jobPages) routes() []route {
	return []route{
		{http.MethodGet, jobsPath, staff.Operate, p.list},
		{http.MethodPost, jobsPath + "run/", staff.Operate, p.run},
	}
}

// jobRow is a job as the page shows it.
type jobRow struct {
	bridge.JobInfo
	About   string // what it does, in plain words; empty: nobody has written that
	Running bool
}

// runRow is the record of a run as the page shows it.
type runRow struct {
	bridge.JobRun
	Counts []count // those that are not zero
}

// count is a number with what was counted.
type count struct {
	Label string
	N     int
}

// Took gives how long the run took.
func (r runRow) Took() time.Duration { return r.Ended.Sub(r.Started).Round(10 * time.Millisecond) }

// jobList is what the page of jobs shows.
type jobList struct {
	Jobs    []jobRow
	Busy    bool // one of them runs at the moment
	Runs    []runRow
	Job     string // whose runs are listed; empty: all
	Here    string // address of this page
	Next    string // address of the next page; empty: this is the last
	Problem string
}

// list lists the jobs and what they did. While one runs, htmx asks again for that
// part of the page.
func (p jobPages) list(r *Request) error { return p.show(r, http.StatusOK, "") }

func (p jobPages) show(r *Request, status int, problem string) error {
	ctx := r.Request.Context()
	running, err := p.Jobs.Running(ctx)
	if err != nil {
		return err
	}
	list := jobList{Problem: problem}
	for _, info := range p.Jobs.List() {
		row := jobRow{JobInfo: info, About: r.known("jobs.about." + info.Name), Running: slices.Contains(running, info.Name)}
		list.Busy = list.Busy || row.Running
		list.Jobs = append(list.Jobs, row)
		if info.Name == r.Query("job") {
			list.Job = info.Name
		}
	}
	list.Here = jobsPath + "?" + url.Values{"job": {list.Job}, "before": {r.Query("before")}}.Encode()
	before, _ := strconv.ParseInt(r.Query("before"), 10, 64)
	runs, err := p.Runs.Runs(ctx, bridge.RunQuery{Job: list.Job, Before: before, Limit: runsPage + 1})
	if err != nil {
		return err
	}
	if len(runs) > runsPage {
		runs = runs[:runsPage]
		list.Next = jobsPath + "?" + url.Values{"job": {list.Job}, "before": {strconv.FormatInt(runs[runsPage-1].ID, 10)}}.Encode()
	}
	for _, run := range runs {
		row := runRow{JobRun: run}
		for _, name := range slices.Sorted(maps.Keys(run.Counts)) {
			if n := run.Counts[name]; n != 0 {
				label := r.known("jobs.count." + name)
				if label == "" {
					label = name
				}
				row.Counts = append(row.Counts, count{label, n})
			}
		}
		list.Runs = append(list.Runs, row)
	}
	if r.FromHTMX() && status == http.StatusOK {
		return r.Fragment("jobs", "state", list)
	}
	return r.ShowStatus(status, "jobs", list)
}

// known gives a text, or nothing where there is none with this key.
func (r *Request) known(key string) string {
	if text := r.T(key); text != key {
		return text
	}
	return ""
}

// run starts a job and doesn't wait for it.
func (p jobPages) run(r *Request) error {
	form, err := r.Form()
	if err != nil {
		return err
	}
	name, dryRun := form.Get("job"), form.Get("dry_run") != ""
	if !slices.ContainsFunc(p.Jobs.List(), func(info bridge.JobInfo) bool { return info.Name == name }) {
		return errNotFound
	}
	err = p.Jobs.Start(r.Request.Context(), name, dryRun)
	if errors.Is(err, bridge.ErrJobRunning) {
		return p.show(r, http.StatusConflict, r.T("jobs.runs_already", name))
	}
	if err != nil {
		return err
	}
	return r.Done(jobsPath, "started")
}
