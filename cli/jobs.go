package cli

import (
	"encoding/json"
	"time"

	"deskbridge/app"
	"deskbridge/bridge"
)

type jobsCmd struct {
	List jobsListCmd `cmd:"" help:"List the jobs with their next tick and last run."`
	Run  jobsRunCmd  `cmd:"" help:"Run a job now."`
}

type jobsListCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

// runsShown is how many run records are searched for the last run of each job.
const runsShown = 200

// runView is a run record as commands print it.
type runView struct {
	Job      string         `json:"job"`
	Instance string         `json:"instance,omitempty"`
	DryRun   bool           `json:"dry_run"`
	Started  time.Time      `json:"started"`
	Seconds  float64        `json:"seconds"`
	Counts   map[string]int `json:"counts"`
	Error    string         `json:"error,omitempty"`
}

func viewOfRun(r bridge.JobRun) runView {
	return runView{r.Job, r.Instance, r.DryRun, r.Started, r.Ended.Sub(r.Started).Seconds(), r.Counts, r.Error}
}

// Run lists the jobs.
func (c *jobsListCmd) Run(s *invocation) error {
	type view struct {
		Name     string    `json:"name"`
		Schedule string    `json:"schedule"`
		Next     time.Time `json:"next"`
		Last     *runView  `json:"last,omitempty"`
	}
	return s.withApp(func(a *app.App) error {
		runs, err := a.Store.Runs(s.ctx, bridge.RunQuery{Limit: runsShown})
		if err != nil {
			return err
		}
		last := map[string]*runView{}
		for _, run := range runs {
			v := viewOfRun(run)
			if known := last[run.Job]; known == nil || known.Started.Before(v.Started) {
				last[run.Job] = &v
			}
		}
		list := a.Jobs.List()
		views := make([]view, 0, len(list))
		for _, job := range list {
			views = append(views, view{job.Name, job.Schedule, job.Next, last[job.Name]})
		}
		if c.JSON {
			return s.printJSON(views)
		}
		t := s.table("JOB", "SCHEDULE (UTC)", "NEXT", "LAST", "RESULT")
		for _, v := range views {
			when, result := "-", "-"
			if v.Last != nil {
				when, result = v.Last.Started.UTC().Format(time.RFC3339), v.Last.result()
			}
			t.row(v.Name, v.Schedule, v.Next.UTC().Format(time.RFC3339), when, result)
		}
		return t.flush()
	})
}

// result is a run in a few words.
func (v runView) result() string {
	if v.Error != "" {
		return "failed: " + v.Error
	}
	counts, err := json.Marshal(v.Counts)
	if err != nil {
		return "done"
	}
	if v.DryRun {
		return "dry run: " + string(counts)
	}
	return string(counts)
}

type jobsRunCmd struct {
	Name   string `arg:"" help:"The job: prune, reconcile, outbox-sweep, tally or alert."`
	DryRun bool   `help:"Change nothing; count what would be done."`
	JSON   bool   `name:"json" help:"Print as JSON."`
}

// Run runs the job and tells its counts.
func (c *jobsRunCmd) Run(s *invocation) error {
	return s.withApp(func(a *app.App) error {
		run, err := a.Jobs.RunNow(s.ctx, c.Name, c.DryRun)
		if run.Job == "" {
			return err // it did not run
		}
		if err != nil {
			err = coded(ExitJob, err)
		}
		if c.JSON {
			if printing := s.printJSON(viewOfRun(run)); err == nil {
				err = printing
			}
			return err
		}
		if err == nil {
			s.printf("%s: %s\n", run.Job, viewOfRun(run).result())
		}
		return err
	})
}
