package app

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// keys are what is derived from the secret key; each has its own purpose, so
// that knowing one says nothing about another.
type keys struct {
	storage []byte // encrypts Zammad tokens and webhook secrets at rest
	devices []byte // hashes device ids
	tokens  []byte // makes receipts, chat tokens and stream tickets
	limits  []byte // hashes what limits count by, addresses and devices, before Redis sees it
}

// deriveKeys makes the keys from the secret key (RFC 5869). The purposes must
// stay as they are: with other ones, nothing stored can be read.
func deriveKeys(secret []byte) (keys, error) {
	storage, err := hkdf.Key(sha256.New, secret, nil, "deskbridge storage", sha256.Size)
	if err != nil {
		return keys{}, fmt.Errorf("derive key: %w", err)
	}
	devices, err := hkdf.Key(sha256.New, secret, nil, "deskbridge devices", sha256.Size)
	if err != nil {
		return keys{}, fmt.Errorf("derive key: %w", err)
	}
	limits, err := hkdf.Key(sha256.New, secret, nil, "deskbridge limits", sha256.Size)
	if err != nil {
		return keys{}, fmt.Errorf("derive key: %w", err)
	}
	tokens, err := hkdf.Key(sha256.New, secret, nil, "deskbridge tokens", sha256.Size)
	if err != nil {
		return keys{}, fmt.Errorf("derive key: %w", err)
	}
	return keys{storage: storage, devices: devices, tokens: tokens, limits: limits}, nil
}
