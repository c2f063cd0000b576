package realtime

import (
	"slices"

	"deskbridge/bridge"
)

// watched is who wants to hear of a device.
type watched struct {
	seq      bridge.Seq // of the last notice, so that a look that reaches back tells nothing twice
	watchers []chan struct{}
}

// Watch tells of changes of a device until stop, also of devices that are not
// there yet: news gets a value, and then the watcher reads the store. Notices
// coalesce, so a watcher that is slow costs nobody anything, and none is lost
// that came after the last value was taken. It may tell of nothing new.
//
// Failure policy: changes of other instances come by the look at the database
// where there is no bus; while the database is away nothing is told, and after
// a long while everybody is told to look.
func (w *Watermarks) Watch(r bridge.RegionID, d bridge.DeviceHash) (news <-chan struct{}, stop func()) {
	mine := make(chan struct{}, 1)
	return mine, w.watch(mine, r, d)
}

// WatchAny is Watch for several at once: news gets a value when any of them
// changes.
func (w *Watermarks) WatchAny(r bridge.RegionID, of []bridge.DeviceHash) (news <-chan struct{}, stop func()) {
	mine := make(chan struct{}, 1)
	return mine, w.watch(mine, r, of...)
}

func (w *Watermarks) watch(mine chan struct{}, r bridge.RegionID, devices ...bridge.DeviceHash) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range devices {
		key := device{r, d}
		if w.watched[key] == nil {
			w.watched[key] = &watched{}
		}
		w.watched[key].watchers = append(w.watched[key].watchers, mine)
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, d := range devices {
			key := device{r, d}
			of := w.watched[key]
			if of == nil {
				continue // stopped before
			}
			of.watchers = slices.DeleteFunc(of.watchers, func(other chan struct{}) bool { return other == mine })
			if len(of.watchers) == 0 {
				delete(w.watched, key)
			}
		}
	}
}

// tell passes a change on to whoever watches; the caller holds mu. A Seq that
// went back is told too: the device was removed, or began anew.
func (w *Watermarks) tell(c bridge.Change) {
	of := w.watched[device{c.Region, c.Device}]
	if of == nil || of.seq == c.Seq && c.Seq != 0 {
		return
	}
	of.seq = c.Seq
	of.wake()
}

// tellAll lets every watcher look for itself; the caller holds mu.
func (w *Watermarks) tellAll() {
	for _, of := range w.watched {
		of.wake()
	}
}

func (of *watched) wake() {
	for _, watcher := range of.watchers {
		select {
		case watcher <- struct{}{}:
		default: // it has not taken the last notice yet, and that one is enough
		}
	}
}

// Watchers lists the devices of a region that somebody watches here.
func (w *Watermarks) Watchers(r bridge.RegionID) []bridge.DeviceHash {
	w.mu.RLock()
	defer w.mu.RUnlock()
	var devices []bridge.DeviceHash
	for key := range w.watched {
		if key.region == r {
			devices = append(devices, key.hash)
		}
	}
	return devices
}

// Watched counts the devices that somebody watches.
func (w *Watermarks) Watched() int {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return len(w.watched)
}
