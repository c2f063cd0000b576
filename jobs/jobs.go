// Package jobs runs what the clock starts, in UTC: each tick once, however many
// instances there are, with a record of what was done.
//
// A tick that no instance could take (all were down) is not made up for: every
// job looks at the state of things and not at the time since its last run, so
// the next tick does the work of both. A job never runs twice at once: a second
// lease is held while it runs, for a tick or because a person asked. A tick that
// meets a run is left out.
package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/robfig/cron/v3"

	"deskbridge/bridge"
)

const (
	// stopGrace is how long running jobs may go on after Run was told to stop.
	// Failure policy: then their context ends; what they did so far stays done.
	stopGrace = 10 * time.Second

	// recordTimeout bounds the writing of a run record, which a stop does not
	// break off. Failure policy: the run is only in the log.
	recordTimeout = 10 * time.Second

	// leaseGap is how long before the next tick the lease of a tick ends, so
	// that it never stands in the way of that tick.
	leaseGap = 10 * time.Millisecond

	// runLease is how long the lease of a run holds unless it is prolonged, which
	// is done every third of it. Failure policy: after a crash nothing can start
	// the job for so long; while the database is away for longer, the job may be
	// started a second time, which costs work and changes nothing.
	runLease = 15 * time.Second
)

// Job is something that the clock starts.
type Job struct {
	Name string // as in commands and run records
	// Schedule is a cron expression in UTC of five fields, or of six with the
	// seconds first, or a descriptor such as "@hourly" or "@every 30s". The
	// ticks of "@every" count from each instance's own start; the lease still
	// keeps the instances together at one run for each period.
	Schedule string
	// Run does the work and counts it by name. A dry run counts what it would
	// do. Counts of a failed run are recorded too.
	Run func(ctx context.Context, dryRun bool) (map[string]int, error)
	// Quiet leaves out the records of scheduled runs that did nothing: a job
	// of every 30 seconds would make 2880 rows a day.
	Quiet bool
}

// Store is what jobs need of the storage.
type Store interface {
	// Lease takes the named lease for holder; false: somebody else holds it.
	Lease(ctx context.Context, name, holder string, now, until time.Time) (bool, error)
	// LeaseRun takes the lease of a run, and notes in the audit who asked for it.
	LeaseRun(ctx context.Context, job, holder string, dryRun bool, now, until time.Time) (bool, error)
	// Leased lists the held leases whose names begin so.
	Leased(ctx context.Context, prefix string, now time.Time) ([]string, error)
	RecordRun(ctx context.Context, run bridge.JobRun) error
}

// Deps is what Jobs works with. Zero values mean what the comments say; what
// has none is required.
type Deps struct {
	Store    Store
	Jobs     []Job
	Instance string           // unique for each process
	Now      func() time.Time // nil: time.Now
	Log      *slog.Logger     // nil: slog.Default()
}

// Jobs is the clock and what it starts.
type Jobs struct {
	deps   Deps
	tasks  []*task                    // by name
	holder string                     // of the leases of runs: two processes may share an instance's name by mistake
	asked  chan func(context.Context) // runs that Start hands to Run
}

// task is a job with its parsed schedule.
type task struct {
	Job
	schedule cron.Schedule
	running  sync.Mutex // held while the job runs here; seize and its release
}

// UnknownJobError says that there is no job of this name, and which there are.
type UnknownJobError struct {
	Name  string
	Known []string // sorted
}

// Error names the job and the known ones.
func (e *UnknownJobError) Error() string {
	return fmt.Sprintf("there is no job %q; there are %s", e.Name, strings.Join(e.Known, ", "))
}

// New checks the jobs. The error names the first job with a doubled name or
// with a schedule that cannot be read, never comes or wants another time zone.
func New(deps Deps) (*Jobs, error) {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	j := &Jobs{deps: deps, holder: uuid.NewString(), asked: make(chan func(context.Context))}
	for _, job := range deps.Jobs {
		schedule, err := parse(job.Schedule, deps.Now().UTC())
		if err != nil {
			return nil, fmt.Errorf("job %q, schedule %q: %w", job.Name, job.Schedule, err)
		}
		if j.find(job.Name) != nil {
			return nil, fmt.Errorf("job %q is there twice", job.Name)
		}
		j.tasks = append(j.tasks, &task{Job: job, schedule: schedule})
	}
	slices.SortFunc(j.tasks, func(a, b *task) int { return cmp.Compare(a.Name, b.Name) })
	return j, nil
}

// parse reads a schedule.
func parse(spec string, now time.Time) (cron.Schedule, error) {
	if strings.Contains(spec, "TZ=") {
		return nil, errors.New("schedules are in UTC")
	}
	schedule, err := cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor).Parse(spec)
	if err != nil {
		return nil, err
	}
	if every, ok := strings.CutPrefix(spec, "@every "); ok {
		if pause, err := time.ParseDuration(every); err == nil && pause < time.Second {
			return nil, errors.New("it comes more often than once a second")
		}
	}
	if schedule.Next(now).IsZero() {
		return nil, errors.New("there is no such time")
	}
	return schedule, nil
}

func (j *Jobs) find(name string) *task {
	for _, t := range j.tasks {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// List gives all jobs by name, with their next ticks.
func (j *Jobs) List() []bridge.JobInfo {
	now := j.deps.Now().UTC()
	list := make([]bridge.JobInfo, 0, len(j.tasks))
	for _, t := range j.tasks {
		list = append(list, bridge.JobInfo{Name: t.Name, Schedule: t.Schedule, Next: t.schedule.Next(now)})
	}
	return list
}

// Run starts the clock and returns nil after ctx has ended and the running jobs
// are done (stopGrace). Errors of jobs are logged and recorded; they end
// nothing. The clock itself is the machine's: Deps.Now dates the records.
func (j *Jobs) Run(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	clock := cron.New(cron.WithLocation(time.UTC), cron.WithLogger(cron.DiscardLogger))
	for _, t := range j.tasks {
		var id cron.EntryID
		id = clock.Schedule(t.schedule, cron.FuncJob(func() {
			// The time for which the tick was meant, not the time at which it
			// came: it is the same on every instance, whatever their clocks say.
			j.tick(work, t, clock.Entry(id).Prev)
		}))
	}
	clock.Start()
	var asked sync.WaitGroup
	for ctx.Err() == nil {
		select {
		case run := <-j.asked:
			asked.Go(func() { run(work) })
		case <-ctx.Done():
		}
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-clock.Stop().Done()
		asked.Wait()
	}()
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-stopped:
	case <-grace.C:
		cancel()
		<-stopped
	}
	return nil
}

// tick runs a job for one tick, unless another instance has it, or a run goes on
// already.
func (j *Jobs) tick(ctx context.Context, t *task, at time.Time) {
	until := t.schedule.Next(at).Add(-leaseGap)
	mine, err := j.deps.Store.Lease(ctx, "job:"+t.Name, j.deps.Instance, at, until)
	if err != nil {
		j.deps.Log.Error("a tick was left out, because its lease could not be taken", "job", t.Name, "error", err)
		return
	}
	if !mine {
		return // another instance's tick, as it should be
	}
	release, err := j.seize(ctx, t, func(now, until time.Time) (bool, error) {
		return j.deps.Store.Lease(ctx, bridge.RunLease+t.Name, j.holder, now, until)
	})
	if errors.Is(err, bridge.ErrJobRunning) {
		j.deps.Log.Info("a tick was left out, because the job still runs", "job", t.Name)
		return
	}
	if err != nil {
		j.deps.Log.Error("a tick was left out, because the lease of its run could not be taken", "job", t.Name, "error", err)
		return
	}
	defer release()
	run := j.run(ctx, t, false)
	if t.Quiet && run.Error == "" && !didAnything(run.Counts) {
		return
	}
	if err := j.record(ctx, run); err != nil {
		j.deps.Log.Error("a run was not recorded", "job", t.Name, "error", err)
	}
}
