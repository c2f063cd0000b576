package zammad

import (
	"container/list"
	"context"
	"sync"
)

// Limiter bounds how many calls are in flight to one Zammad. Calls made with a
// context from Housekeeping wait until no other call waits; within each of the
// two classes the order is first come, first served. It may be shared by any
// number of clients. A nil Limiter does not limit.
type Limiter struct {
	mu     sync.Mutex
	free   int
	people list.List // of chan struct{}: closed when the place is given
	chores list.List
}

// NewLimiter allows that many calls at a time, at least one.
func NewLimiter(concurrency int) *Limiter {
	return &Limiter{free: max(1, concurrency)}
}

type housekeeping struct{}

// Housekeeping marks the calls made with the context as able to wait: they go
// after every call that a person waits for.
func Housekeeping(ctx context.Context) context.Context {
	return context.WithValue(ctx, housekeeping{}, true)
}

// Acquire waits for a place. The returned function gives it back and may be
// called more than once. The error is the context's.
func (l *Limiter) Acquire(ctx context.Context) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if l == nil {
		return func() {}, nil
	}
	l.mu.Lock()
	if l.free > 0 {
		l.free--
		l.mu.Unlock()
		return sync.OnceFunc(l.release), nil
	}
	queue := &l.people
	if ctx.Value(housekeeping{}) != nil {
		queue = &l.chores
	}
	given := make(chan struct{})
	place := queue.PushBack(given)
	l.mu.Unlock()

	select {
	case <-given:
		return sync.OnceFunc(l.release), nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	select {
	case <-given: // it came at the same moment: pass it on
		l.mu.Unlock()
		l.release()
	default:
		queue.Remove(place)
		l.mu.Unlock()
	}
	return nil, ctx.Err()
}

// release gives a place to the next in line, or back.
func (l *Limiter) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, queue := range []*list.List{&l.people, &l.chores} {
		if next := queue.Front(); next != nil {
			close(queue.Remove(next).(chan struct{}))
			return
		}
	}
	l.free++
}
