package reliability

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deskbridge/storage/storagetest"
)

// The program dies at any moment, also while it starts, and nothing is lost,
// doubled or out of order.
func TestCrashAgainAndAgain(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		rng, n := chance(t), rounds(t, 4)
		h := newHouse(t, url)
		h.open("one")
		l := h.begin(rng, 5, hasty)
		for range n {
			l.progress(1 + rng.Int64N(40))
			moment(rng)
			h.instances[0].kill()
			if rng.IntN(4) == 0 { // it comes back for too short a time
				p := h.launch("one")
				<-time.After(time.Duration(rng.IntN(200)) * time.Millisecond)
				p.kill()
			}
			h.passLeases()
			h.open("one")
		}
		l.progress(20)
		sum := l.finish()
		h.instances[0].stop()
		accounts(t, fmt.Sprintf("%d kills", n), sum)
	})
}

// moment waits for a random part of what one message takes.
func moment(rng *rand.Rand) {
	<-time.After(time.Duration(rng.IntN(30_000)) * time.Microsecond)
}

// One of two instances dies; devices find the other one.
func TestCrashOfOneOfTwo(t *testing.T) {
	t.Parallel()
	rng, n := chance(t), rounds(t, 2)
	h := newHouse(t, storagetest.MySQL(t), "DESKBRIDGE_REDIS_URL="+redisURL(t))
	names := []string{"one", "two"}
	h.open(names...)
	l := h.begin(rng, 5, hasty)
	for range n {
		l.progress(1 + rng.Int64N(40))
		moment(rng)
		victim := rng.IntN(2)
		h.instances[victim].kill()
		l.progress(1 + rng.Int64N(20)) // the other one goes on
		h.passLeases()                 // the survivor loses its lanes, too; TestPauseOfOneOfTwo lets leases end by themselves
		h.instances[victim] = h.launch(names[victim])
		h.front.lead(h.address(h.instances[0]), h.address(h.instances[1]))
	}
	l.progress(20)
	sum := l.finish()
	for _, p := range h.instances {
		p.stop()
	}
	accounts(t, fmt.Sprintf("%d kills of one of two instances", n), sum)
}

// The program dies in its very first moments, while it makes key, database and
// tables; a later start goes on with what is missing.
func TestCrashWhileStartingForTheFirstTime(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		rng := chance(t)
		dir := t.TempDir()
		h := &house{t: t, dir: dir, database: url, front: newPassage(t)}
		h.env = []string{"DESKBRIDGE_DATA_DIR=" + filepath.Join(dir, "data"), "DESKBRIDGE_DATABASE_URL=" + url, "DESKBRIDGE_LISTEN=127.0.0.1:0"}
		for range rounds(t, 5) {
			p := h.launch("one")
			<-time.After(time.Duration(10+rng.IntN(60)) * time.Millisecond)
			p.kill()
			h.passMigrationLease()
		}
		h.open("one")
		h.instances[0].stop()
	})
}

// passMigrationLease does what half a minute would do, if there is a lease yet.
func (h *house) passMigrationLease() {
	h.t.Helper()
	if path, is := strings.CutPrefix(h.database, "sqlite:"); is {
		if _, err := os.Stat(path); err != nil {
			return // to look would make the file
		}
	}
	db := h.sql()
	defer db.Close()
	_, err := db.ExecContext(h.t.Context(), "UPDATE migration_lease SET held_until = 0")
	if err != nil && !strings.Contains(err.Error(), "migration_lease") {
		h.t.Fatal(err)
	}
}
