package device

import "time"

// Hasten gives a door shorter times, so that a test sees what takes a while.
func Hasten(d *Door, beat, patience time.Duration) {
	d.pace = pace{beat: beat, patience: patience, again: beat}
}
