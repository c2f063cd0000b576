// Package reliability tests the promises of Deskbridge as a whole: nothing lost,
// nothing doubled, nothing out of order. The files that begin with crash_ and
// outage_ run the real binary as processes, with real databases, and kill and
// stop things under load; the simulated Zammad, which nobody kills, knows the
// truth.
//
// How hard they try is set by DESKBRIDGE_TEST_ROUNDS (kills in each crash test;
// pauses, at most ten) and DESKBRIDGE_TEST_OUTAGE (length of each outage, such as 20s);
// DESKBRIDGE_TEST_SEED repeats the decisions of a run.
package reliability

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	defer func() { _ = os.RemoveAll(program.dir) }()
	m.Run()
}

// program is the binary under test, built once for a run of the tests.
var program struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// binary gives the path of the program. It has the race detector if the tests
// have it.
func binary(t *testing.T) string {
	t.Helper()
	program.once.Do(func() {
		if program.dir, program.err = os.MkdirTemp("", "deskbridge-reliability-"); program.err != nil {
			return
		}
		program.path = filepath.Join(program.dir, "deskbridge")
		args := []string{"build", "-o", program.path}
		if info, ok := debug.ReadBuildInfo(); ok {
			for _, s := range info.Settings {
				if s.Key == "-race" && s.Value == "true" {
					args = append(args, "-race")
				}
			}
		}
		out, err := exec.Command("go", append(args, "deskbridge")...).CombinedOutput()
		if err != nil {
			program.err = fmt.Errorf("build the program: %w\n%s", err, out)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return program.path
}

// rounds is how many kills a crash test makes.
func rounds(t *testing.T, usual int) int {
	t.Helper()
	text := os.Getenv("DESKBRIDGE_TEST_ROUNDS")
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1000 {
		t.Fatal("DESKBRIDGE_TEST_ROUNDS must be a number from 1 to 1000")
	}
	return n
}

// outageLength is how long databases and networks stay away.
func outageLength(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("DESKBRIDGE_TEST_OUTAGE")
	if text == "" {
		return time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 100*time.Millisecond || d > 5*time.Minute {
		t.Fatal("DESKBRIDGE_TEST_OUTAGE must be a duration from 100ms to 5m")
	}
	return d
}

// chance gives the source of a test's decisions, and tells how to repeat them.
// The moments at which processes are hit still differ from run to run.
func chance(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("DESKBRIDGE_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal("DESKBRIDGE_TEST_SEED must be a number")
		}
	}
	t.Logf("DESKBRIDGE_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// patience bounds every wait, for machines that are busy; a good run never
// comes near it.
const patience = 90 * time.Second

// await waits until a condition holds.
func await(t *testing.T, what string, condition func() error) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		var final *hopeless
		if errors.As(err, &final) {
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-deadline.C:
			t.Fatalf("%s: still not after %s: %v", what, patience, err)
		case <-t.Context().Done():
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// hopeless is an error that no waiting cures.
type hopeless struct{ error }

// needed skips a test that misses something, or fails it where the full suite
// is required.
func needed(t *testing.T, missing string) {
	t.Helper()
	if os.Getenv("DESKBRIDGE_TEST_REQUIRED") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

// redisURL gives the Redis for tests.
func redisURL(t *testing.T) string {
	t.Helper()
	url := os.Getenv("DESKBRIDGE_TEST_REDIS")
	if url == "" {
		needed(t, "DESKBRIDGE_TEST_REDIS does not name a Redis")
	}
	return url
}
