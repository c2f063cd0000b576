package storage

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"gorm.io/gorm"

	"deskbridge/bridge"
)

func openCommitter(t *testing.T) (*Store, *committer) {
	t.Helper()
	s, err := Open(context.Background(), Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "x.db"), Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, s.writer.(*committer)
}

// mark is a change that others can see.
func mark(name string) func(tx *gorm.DB) error {
	return func(tx *gorm.DB) error {
		_, err := exec(tx, "INSERT INTO marks (name, read_at) VALUES (?, 1)", name)
		return err
	}
}

func marked(t *testing.T, s *Store) int {
	t.Helper()
	var n int
	if err := one(s.read.WithContext(context.Background()), "SELECT COUNT(*) FROM marks", nil, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// block lets the writer wait in a change of its own until the returned function
// is called, so that everything queued meanwhile makes one batch.
func block(t *testing.T, w *committer) (release func()) {
	t.Helper()
	entered, leave, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		w.write(context.Background(), func(*gorm.DB) error {
			close(entered)
			<-leave
			return nil
		})
	}()
	<-entered
	return func() { close(leave); <-done }
}

// queued waits until n changes are in the queue.
func queued(w *committer, n int) {
	for {
		w.mu.Lock()
		is := len(w.waiting)
		w.mu.Unlock()
		if is >= n {
			return
		}
		runtime.Gosched()
	}
}

func TestBatchSharesItsFateOnlyWhereItMust(t *testing.T) {
	t.Parallel()
	s, w := openCommitter(t)
	release := block(t, w)
	refusal := errors.New("no")
	results := make([]error, 6)
	var thrown any
	var wg sync.WaitGroup
	for i, do := range []func(tx *gorm.DB) error{
		mark("one"),
		func(tx *gorm.DB) error { return errors.Join(mark("refused")(tx), refusal) },
		mark("one"), // a duplicate: its own fault
		func(tx *gorm.DB) error { mark("panics")(tx); panic("at the disco") },
		mark("two"),
		func(tx *gorm.DB) error { _, err := exec(tx, "nonsense"); return err },
	} {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					thrown = p
				}
			}()
			results[i] = w.write(context.Background(), do)
		})
		queued(w, i+1)
	}
	release()
	wg.Wait()
	if results[0] != nil || results[4] != nil {
		t.Errorf("good changes failed: %v, %v", results[0], results[4])
	}
	if !errors.Is(results[1], refusal) || !errors.Is(results[2], gorm.ErrDuplicatedKey) || results[5] == nil {
		t.Errorf("errors of bad changes: %v", results)
	}
	if thrown != "at the disco" {
		t.Errorf("the panic of a change came as %v", thrown)
	}
	if n := marked(t, s); n != 2 {
		t.Errorf("%d changes were stored, want 2", n)
	}
}

// A change that only looked and refused is no reason to run the others again.
func TestRefusalWithoutTrace(t *testing.T) {
	t.Parallel()
	s, w := openCommitter(t)
	release := block(t, w)
	results, runs := make([]error, 2), 0
	var wg sync.WaitGroup
	for i, do := range []func(tx *gorm.DB) error{
		func(tx *gorm.DB) error { runs++; return mark("kept")(tx) },
		func(tx *gorm.DB) error {
			_, err := list[int64](tx, "SELECT id FROM regions")
			return errors.Join(err, bridge.ErrNotServed)
		},
	} {
		wg.Go(func() { results[i] = w.write(context.Background(), do) })
		queued(w, i+1)
	}
	release()
	wg.Wait()
	if results[0] != nil || !errors.Is(results[1], bridge.ErrNotServed) {
		t.Errorf("errors: %v", results)
	}
	if n := marked(t, s); n != 1 || runs != 1 {
		t.Errorf("%d changes were stored by %d runs, want 1 by 1", n, runs)
	}
}

func TestCancelledWhileQueued(t *testing.T) {
	t.Parallel()
	s, w := openCommitter(t)
	release := block(t, w)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var left, stayed error
	wg.Go(func() { left = w.write(ctx, mark("left")) })
	queued(w, 1)
	wg.Go(func() { stayed = w.write(context.Background(), mark("stayed")) })
	queued(w, 2)
	cancel()
	for { // it is gone from the queue while the writer is still busy
		w.mu.Lock()
		n := len(w.waiting)
		w.mu.Unlock()
		if n == 1 {
			break
		}
		runtime.Gosched()
	}
	release()
	wg.Wait()
	if !errors.Is(left, context.Canceled) || stayed != nil {
		t.Errorf("errors = %v, %v", left, stayed)
	}
	if n := marked(t, s); n != 1 {
		t.Errorf("%d changes were stored, want 1", n)
	}
	if err := w.write(ctx, mark("never")); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
}

func TestCancelledWhileItRuns(t *testing.T) {
	t.Parallel()
	s, w := openCommitter(t)
	ctx, cancel := context.WithCancel(context.Background())
	err := w.write(ctx, func(tx *gorm.DB) error {
		cancel()
		return mark("done")(tx)
	})
	if err != nil {
		t.Errorf("a committed change failed: %v", err)
	}
	if n := marked(t, s); n != 1 {
		t.Errorf("%d changes were stored, want 1", n)
	}
}

func TestLeadIsHandedOn(t *testing.T) {
	t.Parallel()
	s, w := openCommitter(t)
	release := block(t, w)
	const n = 3*maxBatch + 7
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			c := context.Background()
			if i%3 == 0 {
				c = ctx
			}
			if err := w.write(c, mark(fmt.Sprint(i))); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	queued(w, n)
	wg.Go(cancel) // while the batches run
	release()
	wg.Wait()
	if got := marked(t, s); got < n-n/3-1 || got > n {
		t.Errorf("%d changes were stored of %d", got, n)
	}
	if w.busy || len(w.waiting) != 0 {
		t.Error("the queue is not at rest")
	}
}

// A full disk refuses what comes, keeps what was there, and is over when there
// is room again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s, w := openCommitter(t)
	ctx := context.Background()
	if err := w.write(ctx, mark("before")); err != nil {
		t.Fatal(err)
	}
	limit := func(pages int) {
		t.Helper()
		if _, err := w.pool.pool.ExecContext(ctx, fmt.Sprint("PRAGMA max_page_count = ", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // no more than there are now
	release := block(t, w)
	big := func(tx *gorm.DB) error {
		for i := range 300 {
			if err := mark(fmt.Sprint(strings.Repeat("long", 50), i))(tx); err != nil {
				return err
			}
		}
		return nil
	}
	var wg sync.WaitGroup
	results := make([]error, 3)
	for i, do := range []func(*gorm.DB) error{mark("small"), big, mark("after")} {
		wg.Go(func() { results[i] = w.write(ctx, do) })
		queued(w, i+1)
	}
	release()
	wg.Wait()
	if !errors.Is(results[1], bridge.ErrStorage) {
		t.Errorf("error = %v, want %v", results[1], bridge.ErrStorage)
	}
	want := 1
	for _, err := range []error{results[0], results[2]} {
		if err == nil {
			want++
		}
	}
	if n := marked(t, s); n != want {
		t.Errorf("%d changes are stored, %d were accepted", n, want)
	}
	limit(1 << 30)
	if err := w.write(ctx, big); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if n := marked(t, s); n != want+300 {
		t.Errorf("%d changes are stored, want %d", n, want+300)
	}
}
