package jobs

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"testing"

	"deskbridge/bridge"
	"deskbridge/storage"
)

// shared opens n stores on one SQLite file, as so many instances would. It must
// be called outside of a synctest bubble: gorm leaves a goroutine behind.
func shared(t testing.TB, n int) []*storage.Store {
	t.Helper()
	config := storage.Config{
		URL: "sqlite:" + filepath.Join(t.TempDir(), "deskbridge.db"),
		Key: bytes.Repeat([]byte{7}, 32), Log: slog.New(slog.DiscardHandler),
	}
	stores := make([]*storage.Store, n)
	for i := range stores {
		store, err := storage.Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		stores[i] = store
	}
	return stores
}

// runs gives all run records, newest first.
func runs(t testing.TB, store *storage.Store) []bridge.JobRun {
	t.Helper()
	found, err := store.Runs(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
