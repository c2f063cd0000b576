package zammad

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
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
		l := NewLimiter(1, time.Now)
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
		l := NewLimiter(1, time.Now)
		release, _ := l.Acquire(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting past the deadline: %v", err)
		}
		if l.waiting() != 0 {
			t.Error("who gave up is still in line")
		}
		if _, err := NewLimiter(1, time.Now).Acquire(ctx); err == nil {
			t.Error("a dead context got a place")
		}
		release()
		release() // twice gives one place back, not two
		again, err := l.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if l.busy != 1 {
			t.Errorf("%d places are taken of the only one", l.busy)
		}
		again()
	})
}

func TestLimiterNeverExceedsAndNeverLeaks(t *testing.T) {
	t.Parallel()
	l := NewLimiter(3, time.Now)
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
	if most.Load() > 3 || l.busy != 0 || l.waiting() != 0 {
		t.Errorf("at most %d inside, %d busy, %d waiting", most.Load(), l.busy, l.waiting())
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

// try makes a call that gets an answer or none, and says whether it was sent.
func (l *Limiter) try(t *testing.T, answered bool) bool {
	t.Helper()
	release, err := l.Acquire(t.Context())
	if errors.Is(err, errDown) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	l.judge(answered)
	release()
	return true
}

func TestASilentZammadIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(4, time.Now)
		for range 3 { // single failures are nothing
			for range downAfter - 1 {
				l.try(t, false)
			}
			l.try(t, true)
		}
		for i := range downAfter {
			if !l.try(t, false) {
				t.Fatalf("down after %d calls, want %d", i, downAfter)
			}
		}
		for _, rest := range []time.Duration{restFirst, 2 * restFirst, 4 * restFirst, 8 * restFirst, restLongest, restLongest} {
			before := time.Now()
			for !l.try(t, false) { // the try after the rest fails as well
				<-time.After(10 * time.Millisecond)
			}
			if took := time.Since(before); took < rest || took > rest*3/2+20*time.Millisecond {
				t.Errorf("left alone for %s, want %s and up to a half more", took, rest)
			}
		}
		<-time.After(2 * restLongest)
		if !l.try(t, true) || !l.try(t, false) || !l.try(t, true) {
			t.Error("an answer did not end it")
		}
	})
}

func TestAZammadThatIsBackBeginsSlowly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(4, time.Now)
		for range downAfter {
			l.try(t, false)
		}
		<-time.After(2 * restFirst)
		var mu sync.Mutex
		var order []string
		answers := make(chan bool)
		inside := 0
		call := func(name string, ctx context.Context) {
			go func() {
				release, err := l.Acquire(ctx)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				mu.Lock()
				order = append(order, name)
				inside++
				mu.Unlock()
				l.judge(<-answers)
				mu.Lock()
				inside--
				mu.Unlock()
				release()
			}()
			synctest.Wait()
		}
		call("probe", t.Context())
		for _, name := range []string{"c1", "c2", "c3"} {
			call(name, Housekeeping(t.Context()))
		}
		for _, name := range []string{"p1", "p2", "p3", "p4", "p5", "p6"} {
			call(name, t.Context())
		}
		for i, want := range []int{1, 2, 4, 4, 4} {
			mu.Lock()
			if inside != want {
				t.Errorf("after %d answers %d calls run, want %d", i, inside, want)
			}
			mu.Unlock()
			answers <- true
			synctest.Wait()
		}
		for range 5 {
			answers <- true
		}
		synctest.Wait()
		want := []string{"probe", "p1", "p2", "p3", "p4", "p5", "p6", "c1", "c2", "c3"}
		seen := make(map[string]int)
		for i, name := range order {
			seen[name] = i
		}
		if len(seen) != len(want) {
			t.Fatalf("order %v", order)
		}
		for _, person := range want[:7] { // those admitted together may note themselves in any order
			for _, chore := range want[7:] {
				if seen[person] > seen[chore] {
					t.Errorf("%s went before %s: %v", chore, person, order)
				}
			}
		}
		if l.busy != 0 || l.width != 4 {
			t.Errorf("%d busy, width %d", l.busy, l.width)
		}
	})
}

func TestWhoWaitsIsRefusedWhenZammadGoesDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1, time.Now)
		for range downAfter - 1 {
			l.try(t, false)
		}
		release, err := l.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan error, 2)
		for _, ctx := range []context.Context{t.Context(), Housekeeping(t.Context())} {
			go func() {
				_, err := l.Acquire(ctx)
				failed <- err
			}()
		}
		synctest.Wait()
		l.judge(false)
		synctest.Wait() // nobody waits for the one that is still in flight
		for range cap(failed) {
			if err := <-failed; !errors.Is(err, errDown) {
				t.Errorf("error %v", err)
			}
		}
		l.judge(false) // another one that was sent before: no new rest
		release()
		if l.rest != restFirst || l.busy != 0 || l.waiting() != 0 {
			t.Errorf("rest %s, %d busy, %d waiting", l.rest, l.busy, l.waiting())
		}
	})
}

func TestAClockThatIsSetBackEndsTheRest(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	l := NewLimiter(1, func() time.Time { return now })
	for range downAfter {
		l.try(t, false)
	}
	if l.try(t, true) {
		t.Fatal("not down")
	}
	now = now.Add(-time.Hour)
	if !l.try(t, true) {
		t.Error("left alone for an hour")
	}
}

// TestADownZammadIsNotAsked shows which calls make a Zammad count as down, and
// that a write that was sent is never told to have been held back.
func TestADownZammadIsNotAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		kind   error
		down   bool
	}{
		"nobody behind the proxy": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusBadGateway) }, ErrAmbiguous, true},
		"cut":                     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ErrAmbiguous, true},
		"a refusal": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error":"no"}`, http.StatusUnprocessableEntity)
		}, ErrInvalid, false},
		"an error of its own": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"error":"no"}`)
		}, ErrServer, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				c.answer(w, r)
			}))
			defer server.Close()
			limiter := NewLimiter(2, func() time.Time { return time.Unix(1e9, 0) })
			client := newTestClient(t, server.URL, func(cfg *Config) { cfg.Limiter = limiter })
			for range downAfter {
				checkKind(t, write(client), c.kind)
			}
			if !c.down {
				checkKind(t, write(client), c.kind)
				return
			}
			for _, call := range []func(*Client) error{write, read} { // a read is not repeated either
				if failure := checkKind(t, call(client), ErrUnavailable); !errors.Is(failure, errDown) {
					t.Errorf("error %v", failure)
				}
			}
			if asked.Load() != downAfter {
				t.Errorf("asked %d times, want %d", asked.Load(), downAfter)
			}
		})
	}
}

// Who hangs up has learned nothing about Zammad.
func TestCancelledCallsDoNotMakeItDown(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		entered <- struct{}{}
		<-r.Context().Done()
	}))
	defer server.Close()
	limiter := NewLimiter(1, time.Now)
	client := newTestClient(t, server.URL, func(cfg *Config) { cfg.Limiter = limiter })
	for range 2 * downAfter {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-entered; cancel() }()
		_, err := client.Tickets.Create(ctx, NewTicket{Title: "very private title"})
		checkKind(t, err, ErrAmbiguous)
	}
	if limiter.failures != 0 {
		t.Errorf("%d failures were counted", limiter.failures)
	}
}
