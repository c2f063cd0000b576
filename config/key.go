package config

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// KeyBytes is the length of the secret key.
const KeyBytes = 32

const keyForm = "32 bytes as 64 hex digits or as base64"

// ErrKey is in every error of Key, beside its cause.
var ErrKey = errors.New("secret key")

// Key gives the secret key: SecretKey, or the content of SecretKeyFile. With
// create, a file that does not exist is made with mode 0600 (and its folder
// with 0700); without, the error is also fs.ErrNotExist. Two processes that
// start at once get the same key.
func (c Config) Key(create bool) ([]byte, error) {
	text := string(c.SecretKey)
	if text == "" {
		content, err := os.ReadFile(c.SecretKeyFile)
		if create && errors.Is(err, fs.ErrNotExist) {
			if err := makeKey(c.SecretKeyFile); err != nil {
				return nil, fmt.Errorf("%w: make its file: %w", ErrKey, err)
			}
			content, err = os.ReadFile(c.SecretKeyFile)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		text = strings.TrimSpace(string(content))
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return key, nil
}

func parseKey(text string) ([]byte, error) {
	if key, err := hex.DecodeString(text); err == nil && len(key) == KeyBytes {
		return key, nil
	}
	if key, err := base64.StdEncoding.DecodeString(text); err == nil && len(key) == KeyBytes {
		return key, nil
	}
	return nil, errors.New("it must be " + keyForm)
}

// makeKey writes a whole new key beside path and links it there, so that no
// other process ever reads half a key and the first one wins.
func makeKey(path string) (err error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	key := make([]byte, KeyBytes)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	draft, err := os.CreateTemp(folder, ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(draft.Name())) }()
	_, err = draft.WriteString(hex.EncodeToString(key) + "\n")
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(folder)
}

// syncFolder makes the new name survive a power cut, like what it encrypts.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
