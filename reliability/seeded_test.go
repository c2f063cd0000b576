package reliability_test

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seeds   = flag.Int("seeds", 40, "number of seeded runs")
	first   = flag.Int64("first", 1, "seed of the first one")
	shrink  = flag.String("shrink", "", "of a seed that breaks a promise with these words, leave out all steps without which it still does")
	again   = flag.Int("again", 1, "runs of each seed, until one breaks a promise: goroutines are nobody's to command")
	telling = flag.Bool("telling", false, "show what the instances log")
)

// TestSeeds lets seeded runs of the whole happen, each with its own Zammad,
// database, phones, agents, faults, crashes and clocks, and holds the end of
// each against the promises. A failing seed shows its story and can be run
// alone:
//
//	go test ./reliability -run TestSeeds -seeds 1 -first 17
func TestSeeds(t *testing.T) {
	t.Parallel()
	for i := range *seeds {
		seed := *first + int64(i)
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			plan := draw(seed)
			var bad, diary []string
			for n := 0; n < *again && len(bad) == 0; n++ {
				bad, diary = run(t, func(w *world) { w.play(plan) })
			}
			if len(bad) == 0 {
				return
			}
			if *shrink != "" && strings.Contains(strings.Join(bad, "\n"), *shrink) {
				plan, bad, diary = smaller(t, plan, bad, diary)
			}
			t.Errorf("seed %d breaks promises:\n  %s\n\nIts story:\n%s\n\nRun it alone: go test ./reliability -run TestSeeds -seeds 1 -first %d",
				seed, strings.Join(bad, "\n  "), strings.Join(diary, "\n"), seed)
			_ = plan
		})
	}
}

// run lets one story happen and gives the broken promises with what went on.
func run(t *testing.T, story func(w *world)) (bad, diary []string) {
	t.Helper()
	empty, err := template()
	if err != nil {
		t.Fatal(err)
	}
	memory := "/dev/shm" // what is durable there is durable for this test, and fast
	if _, err := os.Stat(memory); err != nil {
		memory = ""
	}
	dir, err := os.MkdirTemp(memory, "seeds")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		if *telling {
			log = slog.New(slog.NewTextHandler(diarist{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		w, err := newWorld(dir, log, empty)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.tell(story); err != nil {
			t.Fatal(err)
		}
		bad, diary = w.bad, w.diary
	})
	return bad, diary
}

// smaller leaves out steps while the plan still breaks a promise; each smaller
// plan gets a few tries, since goroutines are nobody's to command.
func smaller(t *testing.T, plan []step, bad, diary []string) ([]step, []string, []string) {
	t.Helper()
	tries := max(3, *again)
	until := time.Now().Add(2 * time.Minute)
	for size := len(plan) / 2; size > 0 && time.Now().Before(until); {
		left := false
		for at := 0; at+size <= len(plan) && time.Now().Before(until); {
			less := append(append([]step(nil), plan[:at]...), plan[at+size:]...)
			fails := false
			for range tries {
				if b, d := run(t, func(w *world) { w.play(less) }); strings.Contains(strings.Join(b, "\n"), *shrink) {
					plan, bad, diary, fails, left = less, b, d, true, true
					break
				}
			}
			if !fails {
				at += size
			}
		}
		if !left || size > 1 {
			size /= 2
		}
	}
	return plan, bad, diary
}
