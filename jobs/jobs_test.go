package jobs

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
)

// errBroken is what a broken part says.
var errBroken = errors.New("the disk is full")

// shared opens n stores on one database, as so many instances would. It must be
// called outside of a synctest bubble: gorm leaves a goroutine behind.
func shared(t *testing.T, database string, n int) []*storage.Store {
	t.Helper()
	stores := make([]*storage.Store, n)
	for i := range stores {
		stores[i] = storagetest.OpenURL(t, database)
	}
	return stores
}

// runs gives all run records, newest first.
func runs(t *testing.T, store *storage.Store) []bridge.JobRun {
	t.Helper()
	found, err := store.Runs(t.Context(), bridge.RunQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for i := range found {
		found[i].ID = 0
	}
	return found
}

// nothing is the work of a job that only has a schedule to show.
func nothing(context.Context, bool) (map[string]int, error) { return nil, nil }

// begin starts an instance; the returned function stops it and waits for its end.
func begin(t *testing.T, deps Deps) (stop func()) {
	t.Helper()
	deps.Log = slog.New(slog.DiscardHandler)
	j, err := New(deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// tally counts runs by instance.
type tally struct {
	mu   sync.Mutex
	runs map[string]int
}

func (c *tally) job(instance string) Job {
	return Job{Name: "count", Schedule: "*/10 * * * * *", Run: func(context.Context, bool) (map[string]int, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.runs == nil {
			c.runs = map[string]int{}
		}
		c.runs[instance]++
		return nil, nil
	}}
}

func (c *tally) sum() (sum int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.runs {
		sum += n
	}
	return sum
}

// pass lets the test's time go by, until nothing moves any more.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestATickRunsOnceAmongInstances(t *testing.T) {
	stores := shared(t, storagetest.SQLite(t), 3)
	synctest.Test(t, func(t *testing.T) {
		var count tally
		for i, name := range []string{"a", "b", "c"} {
			defer begin(t, Deps{Store: stores[i], Jobs: []Job{count.job(name)}, Instance: name})()
		}
		pass(time.Minute + time.Second)
		if got := count.sum(); got != 6 {
			t.Errorf("%d runs in a minute with ticks every 10 s: %v", got, count.runs)
		}
		if got := len(runs(t, stores[0])); got != 6 {
			t.Errorf("%d run records, want 6", got)
		}
	})
}

// The same without the clock, on every database, all at the same moment.
func TestATickIsTakenOnce(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, database string) {
		var count tally
		var instances []*Jobs
		for i, store := range shared(t, database, 3) {
			name := string(rune('a' + i))
			j, err := New(Deps{Store: store, Jobs: []Job{count.job(name)}, Instance: name, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			instances = append(instances, j)
		}
		at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		const ticks = 20
		for range ticks {
			at = at.Add(10 * time.Second)
			var group sync.WaitGroup
			for _, j := range instances {
				group.Go(func() { j.tick(t.Context(), j.tasks[0], at) })
			}
			group.Wait()
		}
		if got := count.sum(); got != ticks {
			t.Errorf("%d ticks were taken %d times: %v", ticks, got, count.runs)
		}
	})
}

// Ticks of "@every" are counted from each instance's start, so no two
// instances have the same: the lease keeps them at one run a period.
func TestInstancesOutOfStepRunOnceAPeriod(t *testing.T) {
	stores := shared(t, storagetest.SQLite(t), 3)
	synctest.Test(t, func(t *testing.T) {
		var count tally
		for i, name := range []string{"a", "b", "c"} {
			job := count.job(name)
			job.Schedule = "@every 30s"
			defer begin(t, Deps{Store: stores[i], Jobs: []Job{job}, Instance: name})()
			pass(7 * time.Second)
		}
		pass(10 * time.Minute)
		if got := count.sum(); got != 20 {
			t.Errorf("%d runs in ten minutes, want 20: %v", got, count.runs)
		}
	})
}

func TestAnotherInstanceTakesOverAtTheNextTick(t *testing.T) {
	stores := shared(t, storagetest.SQLite(t), 2)
	synctest.Test(t, func(t *testing.T) {
		var count tally
		stopFirst := begin(t, Deps{Store: stores[0], Jobs: []Job{count.job("first")}, Instance: "first"})
		pass(21 * time.Second)
		defer begin(t, Deps{Store: stores[1], Jobs: []Job{count.job("second")}, Instance: "second"})()
		stopFirst()
		pass(20 * time.Second)
		if diff := cmp.Diff(map[string]int{"first": 2, "second": 2}, count.runs); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAFailingJobIsRecordedAndRunsAgain(t *testing.T) {
	store := shared(t, storagetest.SQLite(t), 1)[0]
	synctest.Test(t, func(t *testing.T) {
		n := 0
		stop := begin(t, Deps{Store: store, Instance: "a", Jobs: []Job{{
			Name: "shaky", Schedule: "@every 10s", Quiet: true,
			Run: func(context.Context, bool) (map[string]int, error) {
				switch n++; n {
				case 1:
					panic("a bug")
				case 2:
					return map[string]int{"done": 1}, errBroken
				case 3:
					return map[string]int{"done": 0}, nil // not worth a record
				}
				return map[string]int{"done": 4}, nil
			},
		}}})
		pass(41 * time.Second)
		stop()
		type outcome struct {
			Error  string
			Counts map[string]int
		}
		var got []outcome
		for _, r := range runs(t, store) {
			if r.Job != "shaky" || r.Instance != "a" || r.DryRun || r.Started.IsZero() || r.Ended.Before(r.Started) {
				t.Errorf("recorded %+v", r)
			}
			got = append(got, outcome{r.Error, r.Counts})
		}
		want := []outcome{{"", map[string]int{"done": 4}}, {errBroken.Error(), map[string]int{"done": 1}}, {"panic: a bug", nil}}
		if len(got) == 3 && len(got[2].Counts) == 0 {
			got[2].Counts = nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("records, newest first:\n%s", diff)
		}
	})
}

func TestATickIsLeftOutWhileTheJobRuns(t *testing.T) {
	store := shared(t, storagetest.SQLite(t), 1)[0]
	synctest.Test(t, func(t *testing.T) {
		var starts []time.Duration
		begun := time.Now()
		stop := begin(t, Deps{Store: store, Instance: "a", Jobs: []Job{{
			Name: "long", Schedule: "@every 10s",
			Run: func(context.Context, bool) (map[string]int, error) {
				starts = append(starts, time.Since(begun).Truncate(time.Second))
				<-time.After(25 * time.Second)
				return nil, nil
			},
		}}})
		pass(69 * time.Second)
		stop()
		if diff := cmp.Diff([]time.Duration{10 * time.Second, 40 * time.Second}, starts); diff != "" {
			t.Errorf("runs began at\n%s", diff)
		}
	})
}

func TestStopWaitsForRunningJobs(t *testing.T) {
	for _, c := range []struct {
		name  string
		takes time.Duration
		ends  time.Duration // after the stop
		err   string
	}{
		{"one that is soon done", 4 * time.Second, 3 * time.Second, ""},
		{"one that takes too long", time.Hour, stopGrace, context.Canceled.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := shared(t, storagetest.SQLite(t), 1)[0]
			synctest.Test(t, func(t *testing.T) {
				stop := begin(t, Deps{Store: store, Instance: "a", Jobs: []Job{{
					Name: "long", Schedule: "@every 10s",
					Run: func(ctx context.Context, _ bool) (map[string]int, error) {
						select {
						case <-time.After(c.takes):
							return nil, nil
						case <-ctx.Done():
							return nil, ctx.Err()
						}
					},
				}}})
				pass(11 * time.Second)
				before := time.Now()
				stop()
				if waited := time.Since(before); waited < c.ends || waited > c.ends+time.Second {
					t.Errorf("the stop took %s, want %s", waited, c.ends)
				}
				if found := runs(t, store); len(found) != 1 || found[0].Error != c.err {
					t.Errorf("recorded %+v, want one run with the error %q", found, c.err)
				}
			})
		})
	}
}

// broken is a store that cannot give leases for a while.
type broken struct {
	Store
	failures atomic.Int64 // to come
}

func (b *broken) Lease(ctx context.Context, name, holder string, now, until time.Time) (bool, error) {
	if b.failures.Add(-1) >= 0 {
		return false, errBroken
	}
	return b.Store.Lease(ctx, name, holder, now, until)
}

func TestWithoutALeaseNothingRuns(t *testing.T) {
	store := shared(t, storagetest.SQLite(t), 1)[0]
	synctest.Test(t, func(t *testing.T) {
		var count tally
		away := &broken{Store: store}
		away.failures.Store(2)
		stop := begin(t, Deps{Store: away, Jobs: []Job{count.job("a")}, Instance: "a"})
		pass(31 * time.Second)
		stop()
		if got := count.sum(); got != 1 {
			t.Errorf("%d runs at three ticks, of which two had no lease", got)
		}
	})
}

func TestRunNow(t *testing.T) {
	t.Parallel()
	store := shared(t, storagetest.SQLite(t), 1)[0]
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	entered, leave := make(chan struct{}), make(chan struct{})
	j, err := New(Deps{
		Store: store, Instance: "hand", Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
		Jobs: []Job{
			{Name: "prune", Schedule: "@daily", Quiet: true, Run: func(_ context.Context, dryRun bool) (map[string]int, error) {
				if dryRun {
					return map[string]int{"messages": 7}, nil
				}
				return map[string]int{}, nil
			}},
			{Name: "broken", Schedule: "@daily", Run: func(context.Context, bool) (map[string]int, error) { return nil, errBroken }},
			{Name: "busy", Schedule: "@daily", Run: func(context.Context, bool) (map[string]int, error) {
				entered <- struct{}{}
				<-leave
				return nil, nil
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}

	run, err := j.RunNow(t.Context(), "prune", true)
	want := bridge.JobRun{Job: "prune", Instance: "hand", DryRun: true, Started: now, Ended: now, Counts: map[string]int{"messages": 7}}
	if diff := cmp.Diff(want, run); err != nil || diff != "" {
		t.Errorf("dry run: %v\n%s", err, diff)
	}
	if run, err = j.RunNow(t.Context(), "prune", false); err != nil || run.DryRun {
		t.Errorf("run: %+v, %v", run, err)
	}
	if run, err = j.RunNow(t.Context(), "broken", false); err == nil || !strings.Contains(err.Error(), "broken") || run.Error != errBroken.Error() {
		t.Errorf("failing run: %+v, %v", run, err)
	}
	if got := len(runs(t, store)); got != 3 {
		t.Errorf("%d run records, want 3: what a person starts is recorded even if it did nothing", got)
	}

	var unknown *UnknownJobError
	if _, err = j.RunNow(t.Context(), "purne", false); !errors.As(err, &unknown) {
		t.Fatalf("unknown name: %v", err)
	}
	if diff := cmp.Diff([]string{"broken", "busy", "prune"}, unknown.Known); diff != "" || !strings.Contains(err.Error(), "broken, busy, prune") {
		t.Errorf("%v\n%s", err, diff)
	}

	done := make(chan error, 1)
	go func() {
		_, err := j.RunNow(t.Context(), "busy", false)
		done <- err
	}()
	<-entered
	if _, err := j.RunNow(t.Context(), "busy", false); !errors.Is(err, bridge.ErrJobRunning) {
		t.Errorf("a second run at the same time: %v", err)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestListGivesTheNextTicksInUTC(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("CET", 3600)
	now := func() time.Time { return time.Date(2026, 11, 22, 4, 17, 0, 500, berlin) } // 03:17 UTC
	at := func(day, hour, minute, second int) time.Time {
		return time.Date(2026, 11, day, hour, minute, second, 0, time.UTC)
	}
	j, err := New(Deps{Now: now, Jobs: []Job{
		{Name: "prune", Schedule: "17 3 * * *", Run: nothing},
		{Name: "later", Schedule: "30 17 3 * * *", Run: nothing},
		{Name: "hourly", Schedule: "@hourly", Run: nothing},
		{Name: "reconcile", Schedule: "@every 30s", Run: nothing},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []bridge.JobInfo{
		{Name: "hourly", Schedule: "@hourly", Next: at(22, 4, 0, 0)},
		{Name: "later", Schedule: "30 17 3 * * *", Next: at(22, 3, 17, 30)},
		{Name: "prune", Schedule: "17 3 * * *", Next: at(23, 3, 17, 0)},
		{Name: "reconcile", Schedule: "@every 30s", Next: at(22, 3, 17, 30)},
	}
	if diff := cmp.Diff(want, j.List()); diff != "" {
		t.Error(diff)
	}
}

func TestNewRefusesWhatCannotRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ schedule, want string }{
		{"", "schedule"},
		{"whenever", "schedule"},
		{"* * * *", "schedule"},
		{"* * * * * * *", "schedule"},
		{"61 * * * * *", "schedule"},
		{"0 0 30 2 *", "no such time"},
		{"TZ=Europe/Berlin 0 3 * * *", "UTC"},
		{"CRON_TZ=Europe/Berlin 0 3 * * *", "UTC"},
		{"@every -5s", "schedule"},
		{"@every soon", "schedule"},
	} {
		_, err := New(Deps{Jobs: []Job{{Name: "good", Schedule: "@hourly", Run: nothing}, {Name: "bad", Schedule: c.schedule, Run: nothing}}})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `"bad"`) {
			t.Errorf("schedule %q: got %v, want an error that names the job and says %q", c.schedule, err, c.want)
		}
	}
	if _, err := New(Deps{Jobs: []Job{{Name: "same", Schedule: "@hourly"}, {Name: "same", Schedule: "@daily"}}}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("a doubled name: %v", err)
	}
}

func FuzzSchedule(f *testing.F) {
	for _, s := range []string{"17 3 * * *", "*/10 * * * * *", "@every 30s", "@every -1s", "@hourly", "0 0 30 2 *", "TZ=UTC * * * * *", "", "@"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, spec string) {
		schedule, err := parse(spec, now)
		if err != nil {
			return
		}
		if next := schedule.Next(now); !next.After(now) || next.Location() != time.UTC {
			t.Errorf("%q: the next tick after %s is %s", spec, now, next)
		}
	})
}
