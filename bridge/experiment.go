package bridge

import (
	"context"
	"time"
)

// Arm is one side of the comparison: devices of which the lot said the same.
type Arm struct {
	Asked        int             // devices that were told the decision
	Opened       int             // of them, devices that opened a chat
	Messages     int             // that they sent
	Chats        int             // that they opened
	Answered     int             // of these chats, those that a person answered
	FirstAnswers []time.Duration // how long each of those had waited; in no order
}

// Add adds what another day brought.
func (a *Arm) Add(o Arm) {
	a.Asked += o.Asked
	a.Opened += o.Opened
	a.Messages += o.Messages
	a.Chats += o.Chats
	a.Answered += o.Answered
	a.FirstAnswers = append(a.FirstAnswers, o.FirstAnswers...)
}

// Cohort are the devices that asked for the first time on a day.
type Cohort struct {
	Day              string // UTC, 2006-01-02
	Served, Unserved Arm    // by lot
	Apart            int    // devices for which something else decided, such as an admin: they are not compared
	Drawn            []Drawn
}

// Drawn are the devices of a day that were drawn by one percentage. For devices
// from before it was noted there is none.
type Drawn struct {
	Percentage float64
	In, Of     int // let in, of how many
}

// ExperimentStore reads what became of the devices that asked.
type ExperimentStore interface {
	// Cohorts gives the days from one time (included) to another (excluded), in
	// order; a device belongs to the day on which it asked for the first time,
	// and to the decision that it was told then. What it did counts up to the
	// end of the span. Days on which nobody asked are left out.
	Cohorts(ctx context.Context, r RegionID, from, to time.Time) ([]Cohort, error)
}
