package realtime

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"deskbridge/bridge"
)

// log is a database that other instances write: what it holds is seen by a
// look, whatever this process was told.
type changeLog struct {
	mu     sync.Mutex
	rows   []bridge.Change
	at     []time.Time
	broken bool
	asked  int
}

func (l *changeLog) add(c bridge.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows, l.at = append(l.rows, c), append(l.at, time.Now())
}

func (l *changeLog) ChangedSince(_ context.Context, since time.Time) ([]bridge.Change, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if l.broken {
		return nil, errors.New("database away")
	}
	var out []bridge.Change
	for i, c := range l.rows {
		if !l.at[i].Before(since) {
			out = append(out, c)
		}
	}
	return out, nil
}

// start runs watermarks inside a synctest bubble until the test ends.
func start(t *testing.T, store *changeLog) *Watermarks {
	t.Helper()
	w := NewWatermarks(Deps{Store: store, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
	return w
}

var phone = bridge.DeviceHash{1}

func TestSeqIsKnownOnlyAfterItWasLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, &changeLog{})
		w.Publish(bridge.Change{Region: 1, Device: phone, Seq: 4})
		if seq, ok := w.Seq(1, phone); ok {
			t.Fatalf("Seq = %d without ever having been read", seq)
		}
		w.Learn(bridge.Change{Region: 1, Device: phone, Seq: 4})
		if seq, ok := w.Seq(1, phone); !ok || seq != 4 {
			t.Fatalf("Seq = %d, %v; want 4", seq, ok)
		}
		if _, ok := w.Seq(2, phone); ok {
			t.Fatal("another region's Seq is known")
		}
		w.Publish(bridge.Change{Region: 1, Device: phone, Seq: 6})
		w.Learn(bridge.Change{Region: 1, Device: phone, Seq: 5}) // read before, told after
		if seq, _ := w.Seq(1, phone); seq != 6 {
			t.Fatalf("Seq = %d; a late reader must not turn it back from 6", seq)
		}
		w.Publish(bridge.Change{Region: 1, Device: phone, Seq: 0})
		if _, ok := w.Seq(1, phone); ok {
			t.Fatal("a removed device is still known")
		}
	})
}

func TestChangesOfOtherInstancesAreSeenWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &changeLog{}
		w := start(t, store)
		w.Learn(bridge.Change{Region: 1, Device: phone, Seq: 1})
		<-time.After(10 * time.Second)
		w.Learn(bridge.Change{Region: 1, Device: phone, Seq: 1})
		store.add(bridge.Change{Region: 1, Device: phone, Seq: 2})
		<-time.After(time.Second)
		if seq, ok := w.Seq(1, phone); !ok || seq != 2 {
			t.Fatalf("Seq = %d, %v a second after another instance wrote 2", seq, ok)
		}
	})
}

func TestNothingIsKnownWhileTheDatabaseIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &changeLog{}
		w := start(t, store)
		w.Learn(bridge.Change{Region: 1, Device: phone, Seq: 1})
		store.mu.Lock()
		store.broken = true
		store.mu.Unlock()
		<-time.After(staleAfter + 2*lookEvery)
		if _, ok := w.Seq(1, phone); ok {
			t.Fatal("an answer could be given from memory although other instances may have written since")
		}
		store.mu.Lock()
		store.broken = false
		store.mu.Unlock()
		<-time.After(2 * lookEvery)
		if _, ok := w.Seq(1, phone); !ok {
			t.Fatal("after the database is back nothing is known any more")
		}
	})
}

func TestEntriesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, &changeLog{})
		w.Learn(bridge.Change{Region: 1, Device: phone, Seq: 1})
		<-time.After(3 * generationAge)
		if _, ok := w.Seq(1, phone); ok {
			t.Fatal("an entry outlived two generations without being read again")
		}
		for i := range generationSize * 3 {
			w.Learn(bridge.Change{Region: bridge.RegionID(i), Device: phone, Seq: 1})
		}
		if n := len(w.young) + len(w.old); n > 2*generationSize {
			t.Fatalf("%d entries are remembered; the bound is %d", n, 2*generationSize)
		}
	})
}
