package server

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Many streams that come back at once read by a few, and each is served.
func TestFewReadForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReaders()
		var reading, most, read atomic.Int32
		const streams = 1000
		for range streams {
			go r.Do(t.Context(), func() {
				if n := reading.Add(1); n > most.Load() {
					most.Store(n)
				}
				<-time.After(time.Millisecond)
				reading.Add(-1)
				read.Add(1)
			})
		}
		<-time.After(streams / readersMost * time.Millisecond)
		synctest.Wait()
		if read.Load() != streams || most.Load() != readersMost {
			t.Errorf("%d of %d streams have read, %d at once; want all of them, %d at once", read.Load(), streams, most.Load(), readersMost)
		}
		if n := len(r.places); n != readersMost {
			t.Errorf("%d readers rest, want %d", n, readersMost)
		}
		rest()
		if n := len(r.places); n != 0 {
			t.Errorf("%d readers are left after their rest", n)
		}
	})
}

// Reads that come one after the other are one reader's, whose stack is grown.
func TestAReaderIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer rest()
		r := NewReaders()
		seen := make(map[string]bool)
		for range 100 {
			r.Do(t.Context(), func() { seen[goroutine()] = true })
			synctest.Wait() // it rests
		}
		if len(seen) != 1 || seen[goroutine()] {
			t.Errorf("100 reads were done by %d readers, want one beside the stream", len(seen))
		}
	})
}

// rest lets the readers of a bubble end.
func rest() {
	<-time.After(readerRest)
	synctest.Wait()
}

// goroutine names the one that runs.
func goroutine() string {
	var first [64]byte
	name, _, _ := strings.Cut(string(first[:runtime.Stack(first[:], false)]), " [")
	return name
}

func TestAStreamThatIsGoneWaitsForNoReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer rest()
		r := NewReaders()
		release := make(chan struct{})
		for range readersMost {
			go r.Do(t.Context(), func() { <-release })
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r.Do(ctx, func() { t.Error("it was read for somebody who is gone") }) {
			t.Error("it was said to be read")
		}
		close(release)
		synctest.Wait()
		if !r.Do(t.Context(), func() {}) {
			t.Error("no reader is free again")
		}
	})
}

// What panics is the stream's request, whose server answers and logs it, and
// not the process.
func TestAPanicIsTheStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer rest()
		r := NewReaders()
		for n := range 2 * readersMost {
			func() {
				defer func() {
					if cause := recover(); cause != n {
						t.Errorf("the panic was %v, want %d", cause, n)
					}
				}()
				r.Do(t.Context(), func() { panic(n) })
			}()
		}
		if !r.Do(t.Context(), func() {}) {
			t.Error("a panic took a reader's place")
		}
	})
}
