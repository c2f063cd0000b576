package realtime

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"deskbridge/bridge"
)

// heard says whether a watcher was told something.
func heard(news <-chan struct{}) bool {
	select {
	case <-news:
		return true
	default:
		return false
	}
}

func TestWatchersAreToldOfTheirDeviceOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, &changeLog{})
		one, stopOne := w.Watch(1, phone)
		two, stopTwo := w.Watch(1, phone)
		other, stopOther := w.Watch(2, phone)
		for range 3 { // coalesce
			w.Publish(bridge.Change{Region: 1, Device: phone, Seq: 1}, bridge.Change{Region: 1, Device: phone, Seq: 2})
		}
		for name, news := range map[string]<-chan struct{}{"one": one, "two": two} {
			if !heard(news) || heard(news) {
				t.Errorf("%s was not told exactly once", name)
			}
		}
		if heard(other) {
			t.Error("a watcher was told of another region's device")
		}
		w.Publish(bridge.Change{Region: 1, Device: phone, Seq: 2})
		if heard(one) {
			t.Error("what was told already is told again")
		}
		w.Publish(bridge.Change{Region: 1, Device: phone}) // removed
		w.Publish(bridge.Change{Region: 1, Device: phone, Seq: 1})
		if !heard(one) {
			t.Error("a device that was removed and began anew is not told of")
		}
		stopOne()
		stopOne()
		w.Publish(bridge.Change{Region: 1, Device: phone, Seq: 9})
		if heard(one) || !heard(two) {
			t.Error("after one stopped, the other alone is told")
		}
		stopTwo()
		stopOther()
		if len(w.watched) != 0 {
			t.Errorf("%d devices are still watched by nobody", len(w.watched))
		}
	})
}

func TestOneWatcherHearsOfAnyOfSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, &changeLog{})
		tablet, other := bridge.DeviceHash{8}, bridge.DeviceHash{9}
		news, stop := w.WatchAny(0, []bridge.DeviceHash{phone, tablet})
		alone, stopAlone := w.Watch(0, tablet)
		w.Publish(bridge.Change{Device: phone, Seq: 1}, bridge.Change{Device: tablet, Seq: 1})
		if !heard(news) || heard(news) {
			t.Error("two changes are not one notice")
		}
		w.Publish(bridge.Change{Device: tablet, Seq: 2})
		if !heard(news) || !heard(alone) {
			t.Error("not told of the second of two")
		}
		w.Publish(bridge.Change{Device: other, Seq: 1}, bridge.Change{Region: 1, Device: phone, Seq: 1})
		if heard(news) {
			t.Error("told of what nobody asked for")
		}
		stop()
		stop()
		w.Publish(bridge.Change{Device: tablet, Seq: 3})
		if heard(news) || !heard(alone) {
			t.Error("after one stopped, the other alone is told")
		}
		stopAlone()
		if len(w.watched) != 0 {
			t.Errorf("%d are still watched by nobody", len(w.watched))
		}
	})
}

func TestWatchersHearOfOtherInstancesOnceEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &changeLog{}
		w := start(t, store)
		news, stop := w.Watch(1, phone) // never learned: nobody polls
		defer stop()
		store.add(bridge.Change{Region: 1, Device: phone, Seq: 2})
		<-time.After(time.Second)
		if !heard(news) {
			t.Fatal("not told within a second of what another instance wrote")
		}
		<-time.After(10 * time.Second) // looks that reach back see the change again
		if heard(news) {
			t.Error("the same change was told twice")
		}
	})
}

func TestWatchersLookForThemselvesAfterALongSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &changeLog{}
		w := start(t, store)
		news, stop := w.Watch(1, phone)
		defer stop()
		store.mu.Lock()
		store.broken = true
		store.mu.Unlock()
		store.add(bridge.Change{Region: 1, Device: phone, Seq: 2})
		<-time.After(2 * generationAge)
		if heard(news) {
			t.Error("told to read a database that is away")
		}
		store.mu.Lock()
		store.broken = false
		store.mu.Unlock()
		<-time.After(time.Second)
		if !heard(news) {
			t.Error("what happened while the database was away is told to nobody")
		}
	})
}

// TestWatchNeverLosesTheLastNotice: whoever takes a notice and reads then has
// read everything that was published before, whatever races.
func TestWatchNeverLosesTheLastNotice(t *testing.T) {
	store := &changeLog{}
	w := NewWatermarks(Deps{Store: store, Now: time.Now})
	const last = 2000
	var published sync.Mutex // what the store holds
	stored := bridge.Seq(0)
	var watching sync.WaitGroup
	for range 8 {
		news, stop := w.Watch(1, phone)
		watching.Go(func() {
			defer stop()
			for seen := bridge.Seq(0); seen < last; {
				select {
				case <-news:
				case <-time.After(10 * time.Second):
					t.Errorf("waits for %d, has seen %d", last, seen)
					return
				}
				published.Lock()
				seen = stored
				published.Unlock()
			}
		})
	}
	for seq := range bridge.Seq(last) {
		published.Lock()
		stored = seq + 1
		published.Unlock()
		w.Publish(bridge.Change{Region: 1, Device: phone, Seq: seq + 1})
		_, stop := w.Watch(1, phone)
		stop()
	}
	watching.Wait()
}
