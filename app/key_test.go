package app

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"deskbridge/bridge"
	"deskbridge/config"
	"deskbridge/storage/storagetest"
)

// A lost key is not replaced behind the operator's back: with another one the
// database would be of no use.
func TestALostKeyIsNotReplaced(t *testing.T) {
	storagetest.EachURL(t, func(t *testing.T, url string) {
		dir := t.TempDir()
		cfg, err := config.Load("", []string{"DESKBRIDGE_DATA_DIR=" + dir, "DESKBRIDGE_DATABASE_URL=" + url})
		if err != nil {
			t.Fatal(err)
		}
		open := func() (*App, error) { return Open(t.Context(), cfg, slog.New(slog.DiscardHandler)) }
		for range 2 { // a fresh installation makes its key, and finds it again
			a, err := open()
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
		}
		a, err := open()
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Store.AddRegion(t.Context(), &bridge.Region{Slug: "testland", Name: "Testland", ZammadToken: "t"}); err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		key := filepath.Join(dir, "secret.key")
		if err := os.Remove(key); err != nil {
			t.Fatal(err)
		}
		if _, err := open(); !errors.Is(err, config.ErrKey) || !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("without its key it opens: %v", err)
		}
		if _, err := os.Stat(key); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("another key was made: %v", err)
		}
	})
}
