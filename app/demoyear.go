package app

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"

	"deskbridge/bridge"
)

// inventYear fills the statistics of all regions with a year that never was, so
// that charts have something to show. The rows are marked as invented.
func (d *demo) inventYear(ctx context.Context, a *App) error {
	for _, r := range a.Regions.All() {
		if err := a.Store.Invent(ctx, r.ID, invented(r.Slug, a.now())); err != nil {
			return fmt.Errorf("invent a year for %s: %w", r.Slug, err)
		}
	}
	return nil
}

// invented makes up the year before a time. It is the same for the same region
// and time; an hour later nearly all of it is.
func invented(region string, now time.Time) []bridge.HourStatistics {
	name := fnv.New64a()
	_, _ = name.Write([]byte(region)) // never fails (hash.Hash)
	end := bridge.HourOf(now)
	var hours []bridge.HourStatistics
	for hour := end - 365*24; hour < end; hour++ {
		chance := rand.New(rand.NewPCG(name.Sum64(), uint64(hour)))
		if s := inventHour(chance, hour.Start(), now); s != (bridge.Statistics{}) {
			hours = append(hours, bridge.HourStatistics{Hour: hour, Invented: true, Statistics: s})
		}
	}
	return hours
}

// inventHour makes up one hour: more in the day than at night, on weekdays than
// at weekends, and today than a year ago.
func inventHour(chance *rand.Rand, at, now time.Time) (s bridge.Statistics) {
	grown := 1 - now.Sub(at).Hours()/(365*24) // from 0 to 1
	busy := 0.08
	if h := at.Hour(); h >= 6 && h < 21 {
		busy = math.Sin(math.Pi * float64(h-5) / 17)
	}
	if day := at.Weekday(); day == time.Saturday || day == time.Sunday {
		busy *= 0.4
	}
	some := func(mean float64) int { // with the spread of a Poisson, near enough
		return max(0, int(math.Round(mean+chance.NormFloat64()*math.Sqrt(mean))))
	}
	asked := some(busy * (20 + 60*grown))
	for range asked {
		if chance.Float64() < 0.1+0.4*grown {
			s.AskedServed++
		}
	}
	s.AskedUnserved = asked - s.AskedServed
	s.ChatsOpened = some(float64(s.AskedServed) * 0.15)
	s.MessagesUser = s.ChatsOpened + some(float64(s.ChatsOpened)*1.8)
	if s.MessagesUser > 0 && chance.IntN(400) == 0 {
		s.Failed = 1
	}
	for range s.ChatsOpened {
		if chance.Float64() < 0.93 {
			wait := time.Duration(math.Exp(chance.NormFloat64()*1.1+math.Log(35-15*grown)) * float64(time.Minute))
			s.FirstAnswers.Count(wait)
			s.Answered++
		}
	}
	s.MessagesAgent = s.Answered + some(float64(s.Answered)*1.2)
	return s
}
