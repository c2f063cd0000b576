package jobs

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"deskbridge/bridge"
)

// RunNow runs a job at once, unless it runs already. It is always recorded, and
// the audit says who asked for it. The run's own failure is in JobRun.Error and
// in the error; further errors are *UnknownJobError, bridge.ErrJobRunning, and those of the
// store.
func (j *Jobs) RunNow(ctx context.Context, name string, dryRun bool) (bridge.JobRun, error) {
	t, release, err := j.ask(ctx, name, dryRun)
	if err != nil {
		return bridge.JobRun{}, err
	}
	defer release()
	run := j.run(ctx, t, dryRun)
	err = j.record(ctx, run)
	if run.Error != "" {
		err = errors.Join(fmt.Errorf("job %s: %s", name, run.Error), err)
	}
	return run, err
}

// Start is RunNow for somebody who does not wait: it returns as soon as the job
// is running, on this instance, within Run. What becomes of it is in its record.
func (j *Jobs) Start(ctx context.Context, name string, dryRun bool) error {
	t, release, err := j.ask(ctx, name, dryRun)
	if err != nil {
		return err
	}
	begin := func(ctx context.Context) {
		defer release()
		if err := j.record(ctx, j.run(ctx, t, dryRun)); err != nil {
			j.deps.Log.Error("a run was not recorded", "job", t.Name, "error", err)
		}
	}
	select {
	case j.asked <- begin:
		return nil
	case <-ctx.Done(): // Run has not begun yet, or has ended
		release()
		return fmt.Errorf("job %s: %w", name, ctx.Err())
	}
}

// Running names the jobs that run at the moment, on any instance.
func (j *Jobs) Running(ctx context.Context) ([]string, error) {
	names, err := j.deps.Store.Leased(ctx, bridge.RunLease, j.deps.Now())
	if err != nil {
		return nil, fmt.Errorf("read which jobs run: %w", err)
	}
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, bridge.RunLease)
	}
	return names, nil
}

// ask takes a job's run because somebody asked for it.
func (j *Jobs) ask(ctx context.Context, name string, dryRun bool) (*task, func(), error) {
	t := j.find(name)
	if t == nil {
		known := make([]string, 0, len(j.tasks))
		for _, t := range j.tasks {
			known = append(known, t.Name)
		}
		return nil, nil, &UnknownJobError{Name: name, Known: known}
	}
	release, err := j.seize(ctx, t, func(now, until time.Time) (bool, error) {
		return j.deps.Store.LeaseRun(ctx, name, j.holder, dryRun, now, until)
	})
	return t, release, err
}

// seize takes a job's run, which nobody else has until release: take asks for its
// lease, which is prolonged meanwhile. The error is bridge.ErrJobRunning if somebody has it.
func (j *Jobs) seize(ctx context.Context, t *task, take func(now, until time.Time) (bool, error)) (release func(), err error) {
	if !t.running.TryLock() {
		return nil, fmt.Errorf("job %s: %w", t.Name, bridge.ErrJobRunning)
	}
	now := j.deps.Now()
	mine, err := take(now, now.Add(runLease))
	if err == nil && !mine {
		err = bridge.ErrJobRunning
	}
	if err != nil {
		t.running.Unlock()
		return nil, fmt.Errorf("job %s: %w", t.Name, err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	prolonged := make(chan struct{})
	go func() {
		defer close(prolonged)
		j.prolong(ctx, t)
	}()
	return func() {
		cancel()
		<-prolonged
		j.lease(context.WithoutCancel(ctx), t, 0)
		t.running.Unlock()
	}, nil
}

// prolong keeps the lease of a run until ctx ends.
func (j *Jobs) prolong(ctx context.Context, t *task) {
	ticker := time.NewTicker(runLease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			j.lease(ctx, t, runLease)
		case <-ctx.Done():
			return
		}
	}
}

// lease lets our lease of a run end after a time; 0 gives it back.
func (j *Jobs) lease(ctx context.Context, t *task, rest time.Duration) {
	bounded, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	now := j.deps.Now()
	if _, err := j.deps.Store.Lease(bounded, bridge.RunLease+t.Name, j.holder, now, now.Add(rest)); err != nil && ctx.Err() == nil {
		j.deps.Log.Warn("the lease of a run was not written; it ends by itself", "job", t.Name, "error", err)
	}
}

// run runs a job once. A panic is an error of the job, and ends nothing else.
func (j *Jobs) run(ctx context.Context, t *task, dryRun bool) (run bridge.JobRun) {
	run = bridge.JobRun{Job: t.Name, Instance: j.deps.Instance, DryRun: dryRun, Started: j.deps.Now()}
	log := j.deps.Log.With("job", t.Name, "dry_run", dryRun)
	defer func() {
		if v := recover(); v != nil {
			log.Error("a job panicked", "panic", v, "stack", string(debug.Stack()))
			run.Error = fmt.Sprintf("panic: %v", v)
		}
		run.Ended = j.deps.Now()
	}()
	counts, err := t.Run(ctx, dryRun)
	run.Counts = counts
	if err != nil {
		log.Error("a job failed", "error", err)
		run.Error = err.Error()
	}
	return run
}

func (j *Jobs) record(ctx context.Context, run bridge.JobRun) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := j.deps.Store.RecordRun(ctx, run); err != nil {
		return fmt.Errorf("record the run of %s: %w", run.Job, err)
	}
	return nil
}

// didAnything says whether any count is not zero.
func didAnything(counts map[string]int) bool {
	for _, n := range counts {
		if n != 0 {
			return true
		}
	}
	return false
}
