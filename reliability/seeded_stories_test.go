package reliability_test

import (
	"strings"
	"testing"
	"time"
)

// TestStories are what seeds have found, each reduced to what it takes.
func TestStories(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]func(w *world){
		"the other region's ticket takes one in, of a device with the same id": func(w *world) {
			north, south := w.says("north-0"), w.says("south-0")
			w.merge(north, south)
			w.wait(40 * time.Second)
			w.says("north-0")
		},
		"the ticket that took one in is deleted before anybody looked": func(w *world) {
			one, other := w.says("north-0"), w.says("north-1")
			w.net.set(&fault{kind: dropped, times: 9})
			w.merge(one, other)
			w.erase(other)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if bad, diary := run(t, story); len(bad) > 0 {
				t.Errorf("broken:\n  %s\n\nThe story:\n%s", strings.Join(bad, "\n  "), strings.Join(diary, "\n"))
			}
		})
	}
}

// says lets a phone send a message and gives the ticket in which it arrives, or
// the phone's last one if it does not arrive within seconds.
func (w *world) says(name string) *ticket {
	var p *phone
	for _, one := range w.phones {
		if one.name == name {
			p = one
		}
	}
	for i, one := range w.phones {
		if one == p {
			w.stepSend(step{a: i, b: 1})
		}
	}
	w.wait(3 * time.Second)
	w.discover()
	list := w.here(func(t *ticket) bool { return t.owner == p })
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

func (w *world) wait(d time.Duration) { <-time.After(d) }
