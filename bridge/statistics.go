package bridge

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Hour is a whole hour, counted since 1970.
type Hour int64

// HourOf gives the hour in which a time lies.
func HourOf(t time.Time) Hour { return Hour(t.Unix() / 3600) }

// Start gives the hour's first moment.
func (h Hour) Start() time.Time { return time.Unix(int64(h)*3600, 0).UTC() }

// Statistics are the numbers of a span of time. They name nobody, so they stay
// when the chats from which they were counted are gone.
type Statistics struct {
	ChatsOpened   int
	MessagesUser  int
	MessagesAgent int // of people; machines' are not counted
	Failed        int // messages of the span that the desk refused
	Answered      int // chats that got their first answer of a person in the span
	AskedServed   int // devices that were told for the first time on their day that they are served
	AskedUnserved int // the same for those that are not
	// FirstAnswers says how long those of Answered had waited, since their first
	// message.
	FirstAnswers AnswerTimes
}

// Add adds the numbers of another span.
func (s *Statistics) Add(o Statistics) {
	s.ChatsOpened += o.ChatsOpened
	s.MessagesUser += o.MessagesUser
	s.MessagesAgent += o.MessagesAgent
	s.Failed += o.Failed
	s.Answered += o.Answered
	s.AskedServed += o.AskedServed
	s.AskedUnserved += o.AskedUnserved
	for i, n := range o.FirstAnswers {
		s.FirstAnswers[i] += n
	}
}

// answerBuckets is how many spans AnswerTimes tells apart, and firstBucket how
// long the first of them is. Each further one ends √2 times as late, so an
// estimate made from them is two fifths too long at most, or a third too short;
// the last begins after eight days and has no end.
const (
	answerBuckets = 33
	firstBucket   = 15 * time.Second
)

// AnswerTimes counts waiting times by length, in spans that grow with the
// length, so that those of any hours can be added up and still show a median.
type AnswerTimes [answerBuckets]int

// edge gives the end of a span.
func edge(i int) time.Duration {
	d := firstBucket << (i / 2)
	if i%2 == 1 {
		d = time.Duration(math.Round(float64(d) * math.Sqrt2))
	}
	return d
}

// Count counts one waiting time.
func (a *AnswerTimes) Count(d time.Duration) {
	i := 0
	for i < answerBuckets-1 && d >= edge(i) {
		i++
	}
	a[i]++
}

// Median estimates the time that half of them stayed below: exact in which of
// the spans it lies, and inside of it as if they were spread evenly. It says
// false where there is none. A median of more than eight days is said to be eight.
func (a *AnswerTimes) Median() (time.Duration, bool) {
	total := 0
	for _, n := range a {
		total += n
	}
	if total == 0 {
		return 0, false
	}
	half, before := float64(total)/2, 0
	for i, n := range a {
		if float64(before+n) < half {
			before += n
			continue
		}
		var from time.Duration
		if i > 0 {
			from = edge(i - 1)
		}
		if i == answerBuckets-1 {
			return from, true
		}
		share := (half - float64(before)) / float64(n)
		return from + time.Duration(share*float64(edge(i)-from)), true
	}
	return 0, false
}

// HourStatistics are the numbers of one hour.
type HourStatistics struct {
	Hour     Hour
	Invented bool // made up for the demo
	Statistics
}

// RegionStanding is how a region stands at one moment.
type RegionStanding struct {
	ChatsToday   int       // opened since the day began
	Waiting      int       // chats in which nobody has answered yet
	WaitingSince time.Time // the longest of them; zero: none
	Queued       int       // messages that are not in the desk yet
	QueuedSince  time.Time // the oldest of them; zero: none
	Failed       int       // dead letters that nobody has looked after
	LastDelivery time.Time // when the desk last called; zero: not lately
}

// StatisticsStore counts, and keeps what was counted.
type StatisticsStore interface {
	// Tally counts a region's hours anew, from the last three on, or from
	// further back where messages came that are older or hours were not counted
	// yet; never further than oldest, from before which something may be gone
	// already. It replaces what was counted before and gives the number of hours
	// that are different now. A dry run only gives that.
	Tally(ctx context.Context, r RegionID, oldest, now time.Time, dryRun bool) (hours int, err error)
	// Statistics reads hours from one (included) to another (excluded), in
	// order. Hours in which nothing happened are left out; an hour may come
	// twice, invented and not.
	Statistics(ctx context.Context, r RegionID, from, to Hour) ([]HourStatistics, error)
	// Invent replaces a region's invented hours.
	Invent(ctx context.Context, r RegionID, hours []HourStatistics) error
	// Standings tells how regions stand; days says when the day began in each.
	Standings(ctx context.Context, days map[RegionID]time.Time) (map[RegionID]RegionStanding, error)
}

// TallyDeps is what the Tally needs.
type TallyDeps struct {
	Store   StatisticsStore
	Regions *Regions
	Now     func() time.Time
	// ExposureDays is how long exposures are kept; zero means the default.
	ExposureDays int
}

// Tally counts what happened, hour by hour, before it is pruned.
type Tally struct{ TallyDeps }

// NewTally puts a Tally together.
func NewTally(deps TallyDeps) *Tally {
	if deps.ExposureDays == 0 {
		deps.ExposureDays = DefaultExposureDays
	}
	return &Tally{deps}
}

// Run brings the statistics of all regions up to date. It replaces hours as a
// whole, so it may be broken off, repeated, and run twice at once. A region that
// fails stops no other; the error is of the first.
func (t *Tally) Run(ctx context.Context, dryRun bool) (map[string]int, error) {
	now, counts := t.Now(), map[string]int{"hours": 0}
	var first error
	for _, r := range t.Regions.All() {
		kept := min(r.Retention(), time.Duration(t.ExposureDays)*24*time.Hour)
		n, err := t.Store.Tally(ctx, r.ID, now.Add(-kept), now, dryRun)
		counts["hours"] += n
		if err != nil && first == nil {
			first = fmt.Errorf("count region %s: %w", r.Slug, err)
		}
	}
	return counts, first
}
