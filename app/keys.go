package app

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// keys are what is derived from the secret key; each has its own purpose, so
// that knowing one says nothing about another.
type keys struct {
	storage   []byte // encrypts Zammad tokens and webhook secrets at rest
	devices   []byte // hashes device ids
	passwords []byte // is the pepper of password hashes
	tokens    []byte // makes receipts, chat tokens and stream tickets
	limits    []byte // hashes what limits count by, addresses and devices, before Redis sees it
}

// deriveKeys makes the keys from the secret key (RFC 5869). The purposes must
// stay as they are: with other ones, nothing stored can be read.
func deriveKeys(secret []byte) (keys, error) {
	var k keys
	for purpose, key := range map[string]*[]byte{
		"storage": &k.storage, "devices": &k.devices, "limits": &k.limits, "tokens": &k.tokens, "passwords": &k.passwords,
	} {
		derived, err := hkdf.Key(sha256.New, secret, nil, "deskbridge "+purpose, sha256.Size)
		if err != nil {
			return keys{}, fmt.Errorf("derive key: %w", err)
		}
		*key = derived
	}
	return k, nil
}
