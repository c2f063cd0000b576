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
	"deskbridge/staff"
	"deskbridge/storage/storagetest"
)

// A lost key is not replaced behind the operator's back: with another one the
// database would be of no use.
func TestALostKeyIsNotReplaced(t *testing.T) {
	for name, write := range map[string]func(t *testing.T, a *App) error{
		"region": func(t *testing.T, a *App) error {
			return a.Store.AddRegion(t.Context(), &bridge.Region{Slug: "testland", Name: "Testland", ZammadToken: "t"})
		},
		"account": func(t *testing.T, a *App) error {
			_, err := a.Store.AddStaff(t.Context(), staff.Person{Login: "first", Role: staff.Operator, Language: "en"}, "")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { loseKey(t, write) })
	}
}

// loseKey takes the key away after something was written with it.
func loseKey(t *testing.T, write func(*testing.T, *App) error) {
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
		if err := write(t, a); err != nil {
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
