package bridge

import (
	"bytes"
	"sync"
	"time"
)

const (
	// aheadMost is how many deliveries are read ahead. Where more come at once
	// no processor is idle, and reading them early gains nothing.
	aheadMost = 4

	// aheadLargest is the largest body that is read ahead, in bytes, so that what
	// waits here stays small. Few answers are longer.
	aheadLargest = 64 << 10

	// aheadKept is how long a reading keeps its place. Failure policy: the delivery
	// of one that lost it, since another instance relays it or much waits before
	// it, is read when it comes.
	aheadKept = time.Second
)

// ahead reads deliveries while they are being stored and claimed. Reading takes
// a processor and those take the disk: one after the other, a device would wait
// for both.
type ahead struct {
	read func(body []byte) (Ticket, error)

	mu       sync.Mutex
	readings [aheadMost]*reading
}

// reading is a body that is being read.
type reading struct {
	body   []byte
	until  time.Time
	done   chan struct{} // closed when ticket is there
	ticket *Ticket       // nil: the body could not be read
}

// begin has a body read in the background, if there is a place for it. The body
// must not change any more.
func (a *ahead) begin(body []byte, now time.Time) {
	if len(body) > aheadLargest {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, r := range a.readings {
		if r == nil || now.After(r.until) {
			r = &reading{body: body, until: now.Add(aheadKept), done: make(chan struct{})}
			a.readings[i] = r
			go r.run(a.read)
			return
		}
	}
}

// run reads. A panic ends here, since nobody above could handle it: whoever takes
// the delivery reads it again and meets the same.
func (r *reading) run(read func(body []byte) (Ticket, error)) {
	defer close(r.done)
	defer func() { _ = recover() }()
	if t, err := read(r.body); err == nil {
		r.ticket = &t
	}
}

// ticket gives what a body says: as it was read ahead, which is given once, or
// else read now. The error is that of reading it.
func (a *ahead) ticket(body []byte) (Ticket, error) {
	if r := a.take(body); r != nil {
		<-r.done
		if r.ticket != nil {
			return *r.ticket, nil
		}
	}
	return a.read(body)
}

// take finds the reading of exactly these bytes: an id would not do, since a
// repeat under the same id may show the ticket as it is later.
func (a *ahead) take(body []byte) *reading {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, r := range a.readings {
		if r != nil && bytes.Equal(r.body, body) {
			a.readings[i] = nil
			return r
		}
	}
	return nil
}
