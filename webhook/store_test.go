package webhook

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"testing"

	"deskbridge/storage"
)

// newStore opens a SQLite file of the test's own.
func newStore(t testing.TB) *storage.Store {
	t.Helper()
	store, err := storage.Open(t.Context(), storage.Config{
		URL: "sqlite:" + filepath.Join(t.TempDir(), "deskbridge.db"),
		Key: bytes.Repeat([]byte{7}, 32), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}
