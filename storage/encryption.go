package storage

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrWrongKey: a secret was sealed with another key, or changed since.
var ErrWrongKey = errors.New("a stored secret cannot be opened with this secret key")

// sealer encrypts secrets with AES-256-GCM. A sealed value is
// "v1.<key id>.<nonce and ciphertext>" and opens only in the place it was sealed
// for, so that nobody who can write the database can move a token to a region
// where he may use it.
type sealer struct {
	aead cipher.AEAD
	id   string // tells keys apart and says nothing about them
}

func newSealer(key []byte) (sealer, error) {
	if len(key) != 32 {
		return sealer{}, fmt.Errorf("the secret key must have 32 bytes, not %d", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return sealer{}, err
	}
	id := sha256.Sum256(append([]byte("deskbridge key id\x00"), key...))
	return sealer{aead, hex.EncodeToString(id[:4])}, nil
}

// close seals a secret for a place such as "regions.zammad_token/augsburg".
// An empty secret stays empty: that there is none is no secret.
func (s sealer) close(place, secret string) string {
	if secret == "" {
		return ""
	}
	nonce := make([]byte, s.aead.NonceSize())
	rand.Read(nonce) // never fails (crypto/rand)
	sealed := s.aead.Seal(nonce, nonce, []byte(secret), []byte(place))
	return "v1." + s.id + "." + base64.RawURLEncoding.EncodeToString(sealed)
}

// open gives a sealed secret back. The error is ErrWrongKey and names the place,
// never the value.
func (s sealer) open(place, sealed string) (string, error) {
	if sealed == "" {
		return "", nil
	}
	parts := strings.Split(sealed, ".")
	if len(parts) != 3 || parts[0] != "v1" {
		return "", fmt.Errorf("%w: %s has an unknown form", ErrWrongKey, place)
	}
	if parts[1] != s.id {
		return "", fmt.Errorf("%w: %s was sealed with key %s, this is key %s", ErrWrongKey, place, parts[1], s.id)
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(data) < s.aead.NonceSize() {
		return "", fmt.Errorf("%w: %s is damaged", ErrWrongKey, place)
	}
	nonce, data := data[:s.aead.NonceSize()], data[s.aead.NonceSize():]
	plain, err := s.aead.Open(nil, nonce, data, []byte(place))
	if err != nil {
		return "", fmt.Errorf("%w: %s was changed", ErrWrongKey, place)
	}
	return string(plain), nil
}
