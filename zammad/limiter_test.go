package zammad

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// TestMain fails when a test leaves a goroutine behind: a request that was not
// ended, a place in line that nobody waits for.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waiting counts the calls in both lines.
func (l *Limiter) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.people.Len() + l.chores.Len()
}

func TestLimiterOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		release, err := l.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []string
		join := func(name string, ctx context.Context) {
			go func() {
				release, err := l.Acquire(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
				release()
			}()
			synctest.Wait() // in line before the next one comes
		}
		join("chore 1", Housekeeping(t.Context()))
		join("person 1", t.Context())
		join("chore 2", Housekeeping(t.Context()))
		join("person 2", t.Context())
		release()
		synctest.Wait()
		want := []string{"person 1", "person 2", "chore 1", "chore 2"}
		for i := range want {
			if len(order) != len(want) || order[i] != want[i] {
				t.Fatalf("order %v, want %v", order, want)
			}
		}
	})
}

func TestLimiterCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		release, _ := l.Acquire(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting past the deadline: %v", err)
		}
		if l.waiting() != 0 {
			t.Error("who gave up is still in line")
		}
		if _, err := NewLimiter(1).Acquire(ctx); err == nil {
			t.Error("a dead context got a place")
		}
		release()
		release() // twice gives one place back, not two
		again, err := l.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if l.free != 0 {
			t.Errorf("%d places are free beside the only one", l.free)
		}
		again()
	})
}

func TestLimiterNeverExceedsAndNeverLeaks(t *testing.T) {
	t.Parallel()
	l := NewLimiter(3)
	var inside, most atomic.Int64
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if i%2 == 0 {
				ctx = Housekeeping(ctx)
			}
			if i%3 == 0 {
				go cancel() // at any moment, also the one in which the place comes
			}
			release, err := l.Acquire(ctx)
			if err != nil {
				return
			}
			defer release()
			now := inside.Add(1)
			for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
			}
			inside.Add(-1)
		})
	}
	group.Wait()
	if most.Load() > 3 || l.free != 3 || l.waiting() != 0 {
		t.Errorf("at most %d inside, %d free, %d waiting", most.Load(), l.free, l.waiting())
	}
}

func TestNilLimiter(t *testing.T) {
	t.Parallel()
	var l *Limiter
	release, err := l.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	release()
}
