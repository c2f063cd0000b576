package author

import "time"

// Hasten makes a test's sockets quicker.
func Hasten(s *Sockets, beat, patience time.Duration) {
	s.pace = &pace{beat: beat, patience: patience, again: beat / 10}
}

// MaxBehind is how old the knowledge may be that a person is signed in.
const MaxBehind = askAgain + beatEvery
