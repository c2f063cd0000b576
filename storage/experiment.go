package storage

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"deskbridge/bridge"
	"deskbridge/gate"
)

// experiment implements bridge.ExperimentStore.
type experiment struct{ *database }

// Cohorts reads what became of the devices that asked; see
// bridge.ExperimentStore.
func (s experiment) Cohorts(ctx context.Context, r bridge.RegionID, from, to time.Time) ([]bridge.Cohort, error) {
	days := make(map[string]*bridge.Cohort)
	if err := s.asked(ctx, r, from, to, days); err != nil {
		return nil, failure(fmt.Errorf("count who asked: %w", err))
	}
	if err := s.outcomes(ctx, r, from, to, days); err != nil {
		return nil, failure(fmt.Errorf("count what became of them: %w", err))
	}
	cohorts := make([]bridge.Cohort, 0, len(days))
	for _, c := range days {
		cohorts = append(cohorts, *c)
	}
	slices.SortFunc(cohorts, func(a, b bridge.Cohort) int { return cmp.Compare(a.Day, b.Day) })
	return cohorts, nil
}

// asked counts the devices: an exposure counts if it is its device's first.
func (s experiment) asked(ctx context.Context, r bridge.RegionID, from, to time.Time, days map[string]*bridge.Cohort) error {
	return each(s.read.WithContext(ctx), "SELECT e.day, e.served, e.reason, e.percentage, COUNT(*) FROM exposures e"+
		" WHERE e.region_id = ? AND e.told_at >= ? AND e.told_at < ?"+
		" AND e.day = (SELECT MIN(p.day) FROM exposures p WHERE p.region_id = e.region_id AND p.device_hash = e.device_hash) GROUP BY e.day, e.served, e.reason, e.percentage ORDER BY e.day, e.percentage",
		[]any{r, milli(from), milli(to)}, func(scan func(...any) error) error {
			var (
				day        string
				served     bool
				reason     gate.Reason
				percentage sql.Null[int64]
				n          int
			)
			if err := scan(&day, &served, &reason, &percentage, &n); err != nil {
				return err
			}
			c := days[day]
			if c == nil {
				c = &bridge.Cohort{Day: day}
				days[day] = c
			}
			if reason != gate.ReasonBucket {
				c.Apart += n
				return nil
			}
			if served {
				c.Served.Asked += n
			} else {
				c.Unserved.Asked += n
			}
			if percentage.Valid {
				draw(c, float64(percentage.V)/100, served, n)
			}
			return nil
		})
}

// draw counts devices of a percentage; the percentages of a day come in order.
func draw(c *bridge.Cohort, percentage float64, served bool, n int) {
	if last := len(c.Drawn) - 1; last < 0 || c.Drawn[last].Percentage != percentage {
		c.Drawn = append(c.Drawn, bridge.Drawn{Percentage: percentage})
	}
	d := &c.Drawn[len(c.Drawn)-1]
	d.Of += n
	if served {
		d.In += n
	}
}

// outcomes counts the chats that the devices opened. It begins with the chats of
// the span, which are fewer than those who asked.
func (s experiment) outcomes(ctx context.Context, r bridge.RegionID, from, to time.Time, days map[string]*bridge.Cohort) error {
	var last int64 // device
	return each(s.read.WithContext(ctx), "SELECT c.device_id, e.day, e.served,"+
		" (SELECT COUNT(*) FROM messages m WHERE m.chat_id = c.id AND m.created_at < ? AND m.author = 'user'),"+
		" (SELECT MIN(m.created_at) FROM messages m WHERE m.chat_id = c.id AND m.author = 'user'),"+
		" (SELECT MIN(m.created_at) FROM messages m WHERE m.chat_id = c.id AND m.created_at < ? AND m."+person+")"+
		" FROM chats c JOIN devices d ON d.id = c.device_id JOIN exposures e ON e.region_id = c.region_id AND e.device_hash = d.device_hash"+
		" WHERE c.region_id = ? AND c.created_at >= ? AND c.created_at < ? AND e.told_at >= ? AND e.told_at < ? AND e.reason = ?"+
		" AND e.day = (SELECT MIN(p.day) FROM exposures p WHERE p.region_id = c.region_id AND p.device_hash = d.device_hash)"+ // the whole key
		" ORDER BY c.device_id", []any{milli(to), milli(to), r, milli(from), milli(to), milli(from), milli(to), string(gate.ReasonBucket)},
		func(scan func(...any) error) error {
			var (
				device, messages int64
				day              string
				served           bool
				wrote, answered  sql.Null[int64]
			)
			if err := scan(&device, &day, &served, &messages, &wrote, &answered); err != nil {
				return err
			}
			c := days[day]
			if c == nil {
				return nil // came between the two queries
			}
			arm := &c.Unserved
			if served {
				arm = &c.Served
			}
			if device != last {
				arm.Opened++
			}
			last = device
			arm.Chats++
			arm.Messages += int(messages)
			if wrote.Valid && answered.Valid && answered.V >= wrote.V {
				arm.Answered++
				arm.FirstAnswers = append(arm.FirstAnswers, time.Duration(answered.V-wrote.V)*time.Millisecond)
			}
			return nil
		})
}
