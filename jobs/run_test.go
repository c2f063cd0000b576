package jobs

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
)

// long is a job that takes a minute and counts.
func long(count *tally, instance string) Job {
	job := count.job(instance)
	at := job.Run
	job.Name, job.Schedule = "long", "@every 40s"
	job.Run = func(ctx context.Context, dryRun bool) (map[string]int, error) {
		_, err := at(ctx, dryRun)
		select {
		case <-time.After(time.Minute):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return map[string]int{"chats": 3}, err
	}
	return job
}

// asked gives who asked for which runs, newest first.
func asked(t *testing.T, store *storage.Store) (all []string) {
	t.Helper()
	entries, err := store.Audit(t.Context(), bridge.AuditQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Actor.Name+" "+e.Action+" "+e.Subject+" "+e.Changes[0].Field+"="+e.Changes[0].To)
	}
	return all
}

func wantRunning(t *testing.T, j *Jobs, want ...string) {
	t.Helper()
	got, err := j.Running(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("running:\n%s", diff)
	}
}

func TestStartedByAPersonItRunsOnceAmongInstances(t *testing.T) {
	stores := shared(t, storagetest.SQLite(t), 2)
	synctest.Test(t, func(t *testing.T) {
		var count tally
		var instances []*Jobs
		for i, name := range []string{"a", "b"} {
			j, err := New(Deps{Store: stores[i], Jobs: []Job{long(&count, name)}, Instance: name, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			instances = append(instances, j)
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- j.Run(ctx) }()
			defer func() {
				stop()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}()
		}
		pass(time.Second)
		began := time.Now()
		eva := bridge.WithActor(t.Context(), bridge.Actor{Kind: bridge.ActorPerson, ID: 1, Name: "eva"})
		if err := instances[0].Start(eva, "long", true); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("whoever asked waited for %s", took)
		}
		synctest.Wait()
		for range 5 { // the tick of 40 s, too, and longer than the lease without prolonging it
			for _, j := range instances {
				wantRunning(t, j, "long")
				if err := j.Start(eva, "long", false); !errors.Is(err, bridge.ErrJobRunning) {
					t.Errorf("a second run at the same time: %v", err)
				}
				if _, err := j.RunNow(eva, "long", false); !errors.Is(err, bridge.ErrJobRunning) {
					t.Errorf("a second run at the same time: %v", err)
				}
			}
			pass(11 * time.Second)
		}
		pass(6 * time.Second)
		wantRunning(t, instances[1])
		found := runs(t, stores[1])
		if len(found) != 1 || count.sum() != 1 || !found[0].DryRun || found[0].Instance != "a" || found[0].Counts["chats"] != 3 || found[0].Ended.Sub(found[0].Started) != time.Minute {
			t.Errorf("%d runs, recorded %+v", count.sum(), found)
		}
		if diff := cmp.Diff([]string{"eva job.run long dry_run=true"}, asked(t, stores[0])); diff != "" {
			t.Errorf("audit:\n%s", diff)
		}
		pass(20 * time.Second) // the clock goes on, and nobody asked for that
		wantRunning(t, instances[0], "long")
		if got := len(asked(t, stores[0])); got != 1 {
			t.Errorf("%d runs in the audit", got)
		}
	})
}

// A process that died with a run keeps nobody out for long.
func TestALostRunEndsWithItsLease(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, database string) {
		store := shared(t, database, 1)[0]
		now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
		if mine, err := store.LeaseRun(t.Context(), "quick", "dead", false, now, now.Add(runLease)); err != nil || !mine {
			t.Fatal(mine, err)
		}
		j, err := New(Deps{Store: store, Instance: "a", Now: func() time.Time { return now }, Jobs: []Job{{Name: "quick", Schedule: "@daily", Run: nothing}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := j.RunNow(t.Context(), "quick", false); !errors.Is(err, bridge.ErrJobRunning) {
			t.Errorf("it may run still: %v", err)
		}
		now = now.Add(runLease)
		for range 2 { // and its own lease is given back at once
			if _, err := j.RunNow(t.Context(), "quick", false); err != nil {
				t.Error(err)
			}
		}
		wantRunning(t, j)
		if got := len(asked(t, store)); got != 3 {
			t.Errorf("%d runs in the audit, want 3: the refused one is none", got)
		}
	})
}

// Nobody waits for ever for a process that is not serving.
func TestStartNeedsTheClock(t *testing.T) {
	t.Parallel()
	store := shared(t, storagetest.SQLite(t), 1)[0]
	j, err := New(Deps{Store: store, Instance: "a", Log: slog.New(slog.DiscardHandler), Jobs: []Job{{Name: "quick", Schedule: "@daily", Run: nothing}}})
	if err != nil {
		t.Fatal(err)
	}
	var unknown *UnknownJobError
	if err := j.Start(t.Context(), "quik", false); !errors.As(err, &unknown) {
		t.Errorf("unknown name: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := j.Start(ctx, "quick", false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("start without Run: %v", err)
	}
	wantRunning(t, j)
	if _, err := j.RunNow(t.Context(), "quick", false); err != nil {
		t.Errorf("after it was given back: %v", err)
	}
}
