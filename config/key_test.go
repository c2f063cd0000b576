package config_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"deskbridge/config"
)

func TestKeyIsMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	cfg := config.Config{SecretKeyFile: filepath.Join(t.TempDir(), "new", "secret.key")}
	if _, err := cfg.Key(false); !errors.Is(err, config.ErrKey) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("without create: %v", err)
	}
	keys := make([][]byte, 8)
	var group sync.WaitGroup
	for i := range keys {
		group.Go(func() {
			key, err := cfg.Key(true)
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	group.Wait()
	for _, key := range keys {
		if len(key) != config.KeyBytes || !bytes.Equal(key, keys[0]) {
			t.Fatalf("processes that start at once must get one key: %x", keys)
		}
	}
	info, err := os.Stat(cfg.SecretKeyFile)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	left, err := os.ReadDir(filepath.Dir(cfg.SecretKeyFile))
	if err != nil || len(left) != 1 {
		t.Errorf("drafts stay behind: %v, %v", left, err)
	}
}

func TestKeyFromSetting(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		strings.Repeat("ab", 32):                       true,
		"q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=": true,
		strings.Repeat("ab", 31):                       false,
		"":                                             false,
	} {
		path := filepath.Join(t.TempDir(), "k")
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, cfg := range []config.Config{{SecretKey: config.Secret(text), SecretKeyFile: path}, {SecretKeyFile: path}} {
			key, err := cfg.Key(true)
			if ok != (err == nil) || ok && !bytes.Equal(key, bytes.Repeat([]byte{0xab}, 32)) {
				t.Errorf("%q: %x, %v", text, key, err)
			}
		}
	}
}
