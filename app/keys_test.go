package app

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestKeyFileIsMadeOnceAndPrivate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "deep", "secret.key")
	var wg sync.WaitGroup
	got := make([]keys, 8)
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = loadKeys("", file); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range got {
		if !bytes.Equal(k.storage, got[0].storage) || !bytes.Equal(k.devices, got[0].devices) {
			t.Fatal("two processes that start at once have different keys")
		}
	}
	if bytes.Equal(got[0].storage, got[0].devices) {
		t.Fatal("the two purposes share a key")
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Fatalf("the key file has mode %v", info.Mode())
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".key-*"))
	if len(left) > 0 {
		t.Fatalf("drafts are left: %v", left)
	}
}

func TestBadKeysAreRefused(t *testing.T) {
	for name, value := range map[string]string{"short": "abcd", "no hex": strings.Repeat("zz", 32), "long": strings.Repeat("ab", 33)} {
		if _, err := loadKeys(value, "unused"); !errors.Is(err, ErrKey) {
			t.Errorf("%s: error %v", name, err)
		} else if strings.Contains(err.Error(), value) {
			t.Errorf("%s: the error shows the key", name)
		}
	}
	file := filepath.Join(t.TempDir(), "secret.key")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadKeys("", file); !errors.Is(err, ErrKey) {
		t.Errorf("an empty key file gives %v: it must never be taken for a key or be written over", err)
	}
	if _, err := loadKeys(strings.Repeat("ab", 32)+"\n", "unused"); err != nil {
		t.Errorf("a good key with a line feed: %v", err)
	}
}
