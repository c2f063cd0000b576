package storage_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"

	"deskbridge/bridge"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
)

var _ scs.CtxStore = storage.Sessions{}

// eachSessions runs a test with two processes on one database, whose clock the
// test moves.
func eachSessions(t *testing.T, test func(t *testing.T, a, b storage.Sessions, later func(time.Duration))) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		var mu sync.Mutex
		now := start
		clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
		later := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
		var both [2]storage.Sessions
		for i := range both {
			s, err := storage.Open(t.Context(), storage.Config{URL: url, Key: storagetest.Key, Now: clock})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			both[i] = s.Sessions()
		}
		test(t, both[0], both[1], later)
	})
}

// found gives what a session holds; "-" where there is none.
func found(t *testing.T, s storage.Sessions, token string) string {
	t.Helper()
	data, ok, err := s.FindCtx(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return "-"
	}
	return string(data)
}

func commit(t *testing.T, s storage.Sessions, token, data string, expiry time.Time) {
	t.Helper()
	if err := s.CommitCtx(t.Context(), token, []byte(data), expiry); err != nil {
		t.Fatal(err)
	}
}

func TestSessionsLiveUntilTheyExpire(t *testing.T) {
	eachSessions(t, func(t *testing.T, a, b storage.Sessions, later func(time.Duration)) {
		equal(t, "unknown", found(t, a, "x"), "-")
		commit(t, a, "x", "one\x00\xff", start.Add(time.Hour))
		equal(t, "on the other instance", found(t, b, "x"), "one\x00\xff")
		commit(t, b, "x", "two", start.Add(time.Hour))
		equal(t, "changed", found(t, a, "x"), "two")
		equal(t, "another", found(t, a, "X"), "-")
		later(time.Hour - time.Millisecond)
		equal(t, "in its last moment", found(t, a, "x"), "two")
		later(time.Millisecond)
		equal(t, "expired", found(t, a, "x"), "-")
	})
}

func TestPagesMoveTheEndOfASessionByMinutes(t *testing.T) {
	eachSessions(t, func(t *testing.T, a, b storage.Sessions, later func(time.Duration)) {
		commit(t, a, "x", "one", start.Add(time.Hour))
		commit(t, a, "x", "one", start.Add(time.Hour+59*time.Second)) // not worth a write
		later(time.Hour)
		equal(t, "after a move of less than a minute", found(t, b, "x"), "-")
		commit(t, a, "y", "one", start.Add(2*time.Hour))
		commit(t, a, "y", "one", start.Add(2*time.Hour+time.Minute))
		later(time.Hour)
		equal(t, "after a move of a minute", found(t, b, "y"), "one")
		commit(t, a, "y", "two", start.Add(2*time.Hour+61*time.Second))
		equal(t, "what it holds is written at once", found(t, b, "y"), "two")
		commit(t, a, "y", "two", start.Add(time.Hour))
		equal(t, "cut short", found(t, b, "y"), "-")
	})
}

func TestASessionThatEndedStaysSo(t *testing.T) {
	eachSessions(t, func(t *testing.T, a, b storage.Sessions, later func(time.Duration)) {
		commit(t, a, "x", "one", start.Add(12*time.Hour))
		if err := a.DeleteCtx(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		equal(t, "ended", found(t, b, "x"), "-")
		// A page that began before the sign-out is done after it.
		commit(t, b, "x", "one", start.Add(12*time.Hour))
		equal(t, "stored again", found(t, a, "x"), "-")
		later(23 * time.Hour)
		commit(t, b, "x", "one", start.Add(30*time.Hour))
		equal(t, "stored again the next day", found(t, a, "x"), "-")
		if err := a.DeleteCtx(t.Context(), "never there"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSessionsInARaceOfSignOutAndPages(t *testing.T) {
	eachSessions(t, func(t *testing.T, a, b storage.Sessions, later func(time.Duration)) {
		for round := range 10 {
			token := fmt.Sprint("t", round)
			commit(t, a, token, "0", start.Add(time.Hour))
			var group sync.WaitGroup
			for i := range 8 {
				s := []storage.Sessions{a, b}[i%2]
				group.Go(func() {
					if i == 3 {
						if err := s.DeleteCtx(context.Background(), token); err != nil {
							t.Error(err)
						}
						return
					}
					if err := s.CommitCtx(context.Background(), token, []byte(fmt.Sprint(i)), start.Add(time.Hour)); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			equal(t, "after the sign-out", found(t, a, token), "-")
		}
	})
}

func TestTwoPagesStoreANewSessionAtOnce(t *testing.T) {
	eachSessions(t, func(t *testing.T, a, b storage.Sessions, later func(time.Duration)) {
		var group sync.WaitGroup
		for i := range 8 {
			s := []storage.Sessions{a, b}[i%2]
			group.Go(func() {
				if err := s.CommitCtx(context.Background(), "new", []byte("same"), start.Add(time.Hour)); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		equal(t, "the session", found(t, a, "new"), "same")
	})
}

func TestSessionsOpenOnlyWithTheirKey(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		ours := storagetest.OpenURL(t, url).Sessions()
		commit(t, ours, "x", "one", time.Now().Add(time.Hour))
		stranger, err := storage.Open(t.Context(), storage.Config{URL: url, Key: []byte("another key of thirty-two bytes!")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = stranger.Close() })
		equal(t, "with another key", found(t, stranger.Sessions(), "x"), "-")
	})
}

func TestPruneRemovesSessionsThatAreOver(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.Sessions()
		for i := range 1200 {
			commit(w.T, s, fmt.Sprint(i), "data", start.Add(time.Duration(i%4)*time.Hour))
		}
		for _, dry := range []bool{true, false} {
			counts, _, err := w.Prune(w.ctx, bridge.PruneCutoffs{Expired: start.Add(2 * time.Hour)}, dry)
			w.ok(err)
			equal(w, "sessions", counts["sessions"], 600)
		}
		counts, _, err := w.Prune(w.ctx, bridge.PruneCutoffs{Expired: start.Add(9 * time.Hour)}, false)
		w.ok(err)
		equal(w, "sessions that were left", counts["sessions"], 600)
	})
}

// TestSessionsServeTheirManager goes through scs as the console does: a session
// gets another token at sign-in, and the old one is worth nothing.
func TestSessionsServeTheirManager(t *testing.T) {
	t.Parallel()
	storagetest.Each(t, func(t *testing.T, store *storage.Store) {
		m := scs.New()
		m.Store, m.HashTokenInStore, m.IdleTimeout = store.Sessions(), true, time.Hour
		ctx, err := m.Load(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		m.Put(ctx, "who", "nobody")
		before, _, err := m.Commit(ctx)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "the token itself in the store", found(t, store.Sessions(), before), "-")

		ctx, err = m.Load(t.Context(), before)
		if err != nil {
			t.Fatal(err)
		}
		late, err := m.Load(t.Context(), before) // another page, which is slow
		if err != nil {
			t.Fatal(err)
		}
		if err := m.RenewToken(ctx); err != nil {
			t.Fatal(err)
		}
		m.Put(ctx, "who", "anna")
		after, _, err := m.Commit(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := m.Commit(late); err != nil {
			t.Fatal(err)
		}
		for token, want := range map[string]string{before: "", after: "anna"} {
			ctx, err := m.Load(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "who", m.GetString(ctx, "who"), want)
		}
		if err := m.Destroy(ctx); err != nil {
			t.Fatal(err)
		}
		if ctx, err = m.Load(t.Context(), after); err != nil {
			t.Fatal(err)
		}
		equal(t, "who after the sign-out", m.GetString(ctx, "who"), "")
	})
}
