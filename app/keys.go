package app

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrKey is the error for a secret key that cannot be used.
var ErrKey = errors.New("secret key")

// keySize is the size of the master key in bytes. In a file or in the
// environment it stands as twice as many hex digits.
const keySize = 32

// keys are what is derived from the master key; each has its own purpose, so
// that knowing one says nothing about another.
type keys struct {
	storage []byte // encrypts Zammad tokens and webhook secrets at rest
	devices []byte // hashes device ids
}

// loadKeys takes the master key from the environment's value if there is one,
// else from the file, which it makes (mode 0600) if it does not exist.
func loadKeys(value, file string) (keys, error) {
	if value == "" {
		var err error
		if value, err = readOrMakeKey(file); err != nil {
			return keys{}, err
		}
	}
	master, err := hex.DecodeString(strings.TrimSpace(value))
	if err != nil || len(master) != keySize {
		return keys{}, fmt.Errorf("%w: it must be %d hex digits (32 random bytes); file %s", ErrKey, 2*keySize, file)
	}
	derive := func(purpose string) []byte {
		key, err := hkdf.Key(sha256.New, master, nil, "deskbridge "+purpose, keySize)
		if err != nil {
			panic(err) // only for lengths that SHA-256 cannot give
		}
		return key
	}
	return keys{storage: derive("storage"), devices: derive("devices")}, nil
}

// readOrMakeKey gives the content of the key file. Of two processes that make
// it at once, one wins and both read the same.
func readOrMakeKey(file string) (string, error) {
	content, err := os.ReadFile(file)
	if err == nil {
		return string(content), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %w", ErrKey, err)
	}
	var master [keySize]byte
	rand.Read(master[:]) // never fails (crypto/rand)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", fmt.Errorf("%w: %w", ErrKey, err)
	}
	// Written whole under another name and then linked: nobody reads half a key.
	draft, err := os.CreateTemp(filepath.Dir(file), ".key-*") // mode 0600
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrKey, err)
	}
	defer os.Remove(draft.Name())
	_, err = draft.WriteString(hex.EncodeToString(master[:]) + "\n")
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return "", fmt.Errorf("%w: %w", ErrKey, err)
	}
	if err := os.Link(draft.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("%w: %w", ErrKey, err)
	}
	content, err = os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrKey, err)
	}
	return string(content), nil
}
