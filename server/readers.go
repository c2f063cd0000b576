package server

import (
	"context"
	"time"
)

const (
	// readersMost is how many reads of streams run at once: no more than half of
	// the connections to MySQL, so that streams which all come back after a break
	// leave the other half to requests. Failure policy: streams wait for each
	// other.
	readersMost = 8
	// readerRest is how long a reader stays without anything to read. With many
	// streams it has no rest, and with few there is nothing to save.
	readerRest = 100 * time.Millisecond
)

// Readers read the store for streams. A read needs a deep stack for a moment.
// Were it the stream's own, each would grow with every read and shrink with the
// garbage collector, one beside the other: thousands of them scatter the memory,
// and take more and more of it. So a few goroutines read for all, and the stacks
// of streams stay small.
type Readers struct {
	asked  chan func()   // taken by readers that rest
	places chan struct{} // holds a value for each reader
}

// NewReaders makes readers. They begin when they are needed and end by
// themselves.
func NewReaders() *Readers {
	return &Readers{asked: make(chan func()), places: make(chan struct{}, readersMost)}
}

// Do lets a reader read and waits for it; false says that ctx ended before one
// was free. A panic is the caller's.
func (r *Readers) Do(ctx context.Context, read func()) bool {
	done := make(chan any, 1)
	work := func() {
		defer func() { done <- recover() }()
		read()
	}
	select {
	case r.asked <- work: // rather one that has its stack already
	default:
		select {
		case r.asked <- work:
		case r.places <- struct{}{}:
			go r.run(work)
		case <-ctx.Done():
			return false
		}
	}
	if cause := <-done; cause != nil {
		panic(cause)
	}
	return true
}

// run is one reader.
func (r *Readers) run(work func()) {
	defer func() { <-r.places }()
	rest := time.NewTimer(readerRest)
	defer rest.Stop()
	for {
		work()
		rest.Reset(readerRest)
		select {
		case work = <-r.asked:
		case <-rest.C:
			return
		}
	}
}
