package bridge_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
)

// TestTheComparisonKnowsWhatThePlanDid: a device counts with the percentage that
// was in force when it asked, though nothing runs and nobody saves when a step of
// the plan comes, and whatever is set later.
func TestTheComparisonKnowsWhatThePlanDid(t *testing.T) {
	t.Parallel()
	storagetest.Each(t, func(t *testing.T, store *storage.Store) {
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		r, now := served(10, step(24, 40)), monday
		r.Settings = r.Settings.WithDefaults()
		must(store.AddRegion(t.Context(), r))
		exposures := bridge.NewExposures(store, slog.New(slog.DiscardHandler))
		chats := bridge.NewChats(bridge.ChatsDeps{Store: store, Publisher: nobody{}, Exposures: exposures, Wake: func() {}, Now: func() time.Time { return now }})
		const devices = 100 // at each percentage
		var want []bridge.Drawn
		ask := func(percentage float64) {
			drawn := bridge.Drawn{Percentage: percentage, Of: devices}
			for i := range devices {
				d, err := chats.Decide(t.Context(), r, bridge.NewHasher([]byte("key")).Hash(fmt.Sprint(percentage, i)), "", "")
				must(err)
				if d.Served {
					drawn.In++
				}
			}
			want = append(want, drawn)
		}
		ask(10)
		now = monday.Add(24 * time.Hour)
		ask(40) // by the plan
		now = monday.Add(48 * time.Hour)
		r.Settings = r.Settings.Settled(now)
		r.Settings.Percentage = 5 // by hand
		ask(5)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		must(exposures.Run(ended)) // stores what was noted
		cohorts, err := store.Cohorts(t.Context(), r.ID, monday, now.Add(time.Hour))
		must(err)
		if len(cohorts) != len(want) {
			t.Fatalf("%d days: %+v", len(cohorts), cohorts)
		}
		for i, day := range cohorts {
			if len(day.Drawn) != 1 || day.Drawn[0] != want[i] {
				t.Errorf("%s: %+v, want %+v", day.Day, day.Drawn, want[i])
			}
		}
	})
}
