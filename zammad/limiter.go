package zammad

import (
	"container/list"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// downAfter is how many calls in a row get no answer before a Zammad counts
	// as down.
	//
	// Failure policy: while it is down, calls fail at once with ErrUnavailable
	// and without being sent, so that nobody waits for a time-out each. A call
	// that was sent keeps its own outcome.
	downAfter = 5
	// restFirst and restLongest bound how long a Zammad that is down is left
	// alone; each rest gets up to half of itself on top, for instances that
	// would come back together. It doubles with each failed try: after a rest
	// one call at a time is let through, whichever is first in line.
	restFirst   = time.Second
	restLongest = 15 * time.Second
)

// errDown is the cause of calls that were not sent because Zammad is down.
var errDown = errors.New("not sent: Zammad did not answer lately and is left alone for a moment")

// Limiter bounds how many calls are in flight to one Zammad. Calls made with a
// context from Housekeeping wait until no other call waits; within each of the
// two classes the order is first come, first served. A Zammad that does not
// answer is left alone for a while; when it answers again, the number of calls
// begins with one and doubles with each answer. It may be shared by any number
// of clients. A nil Limiter does not limit.
type Limiter struct {
	most int
	now  func() time.Time

	mu     sync.Mutex
	busy   int
	width  int       // calls allowed now, at most most
	people list.List // of *place
	chores list.List

	failures int           // calls in a row without answer
	rest     time.Duration // the last one; 0: Zammad is up
	until    time.Time     // its end
}

// place is one call in line.
type place struct {
	decided chan struct{} // closed when it has got its turn or is refused
	refused bool          // before decided is closed
}

// NewLimiter allows that many calls at a time, at least one.
func NewLimiter(concurrency int, now func() time.Time) *Limiter {
	most := max(1, concurrency)
	return &Limiter{most: most, width: most, now: now}
}

type housekeeping struct{}

// Housekeeping marks the calls made with the context as able to wait: they go
// after every call that a person waits for.
func Housekeeping(ctx context.Context) context.Context {
	return context.WithValue(ctx, housekeeping{}, true)
}

// Acquire waits for a place. The returned function gives it back and may be
// called more than once. The error is the context's, or that Zammad is down.
func (l *Limiter) Acquire(ctx context.Context) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if l == nil {
		return func() {}, nil
	}
	l.mu.Lock()
	if l.resting() {
		l.mu.Unlock()
		return nil, errDown
	}
	queue := &l.people
	if ctx.Value(housekeeping{}) != nil {
		queue = &l.chores
	}
	mine := &place{decided: make(chan struct{})}
	element := queue.PushBack(mine)
	l.admit()
	l.mu.Unlock()

	select {
	case <-mine.decided:
		return l.decided(mine)
	case <-ctx.Done():
	}
	l.mu.Lock()
	select {
	case <-mine.decided: // it came at the same moment: pass it on
		l.mu.Unlock()
		if release, err := l.decided(mine); err == nil {
			release()
		}
	default:
		queue.Remove(element)
		l.mu.Unlock()
	}
	return nil, ctx.Err()
}

func (l *Limiter) decided(p *place) (release func(), err error) {
	if p.refused {
		return nil, errDown
	}
	return sync.OnceFunc(l.release), nil
}

// admit gives free places to the next in line. The caller holds the lock.
func (l *Limiter) admit() {
	for l.busy < l.width {
		next := l.people.Front()
		queue := &l.people
		if next == nil {
			next, queue = l.chores.Front(), &l.chores
		}
		if next == nil {
			return
		}
		close(queue.Remove(next).(*place).decided)
		l.busy++
	}
}

func (l *Limiter) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
	l.admit()
}

// resting says whether Zammad is left alone. An end that is further away than
// any rest is of a clock that was set back.
func (l *Limiter) resting() bool {
	left := l.until.Sub(l.now())
	return left > 0 && left <= 2*restLongest
}

// judge learns whether a call that was sent got an answer.
func (l *Limiter) judge(answered bool) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case answered:
		l.failures, l.rest, l.until = 0, 0, time.Time{}
		l.width = min(2*l.width, l.most)
		l.admit()
	case l.resting(): // it was sent before: nothing new
	default:
		l.failures++
		if l.failures >= downAfter || l.rest > 0 {
			l.goDown()
		}
	}
}

// goDown begins a rest and refuses everybody in line.
func (l *Limiter) goDown() {
	l.rest = min(max(restFirst, 2*l.rest), restLongest)
	l.until = l.now().Add(l.rest + rand.N(l.rest/2))
	l.width = 1
	for _, queue := range []*list.List{&l.people, &l.chores} {
		for next := queue.Front(); next != nil; next = queue.Front() {
			p := queue.Remove(next).(*place)
			p.refused = true
			close(p.decided)
		}
	}
}
