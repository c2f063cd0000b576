package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"deskbridge/bridge"
)

// Times and bounds of key sets that are fetched.
const (
	// keysFor is how long a fetched set is believed without asking again, and
	// keysAtMost how long if asking fails.
	//
	// Failure policy: after keysAtMost without an answer the region's chats get
	// 503 until there is one: a key that was withdrawn must not live for ever.
	keysFor    = time.Hour
	keysAtMost = 24 * time.Hour
	// keysAgain is the pause between two fetches, whatever tokens ask for: a
	// flood of unknown key ids must not become one at the address.
	keysAgain = 30 * time.Second
	// FetchTimeout bounds a fetch, during which requests that need it wait.
	FetchTimeout = 5 * time.Second
	// maxKeys is the largest set, in bytes.
	maxKeys = 256 << 10
)

// keySet is the public keys of one region.
type keySet struct {
	cfg         Config
	slug        string
	inline, url string

	fetching sync.Mutex // held while asking the address

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time // zero: never, or inline
	tried   time.Time
}

func newKeySet(cfg Config, slug, inline, url string) *keySet {
	s := &keySet{cfg: cfg, slug: slug, inline: inline, url: url}
	if url == "" {
		// Whoever stored it has checked it; a broken one has no keys.
		s.keys, _ = parseKeys([]byte(inline))
	}
	return s
}

// find gives the keys that fit. A set from an address is fetched again if it is
// old, or if no key fits, as after a rotation. The error is ErrIdentityKeys if
// there is no set that may be believed.
func (s *keySet) find(ctx context.Context, fits func(jose.JSONWebKey) bool) ([]jose.JSONWebKey, error) {
	keys, age := s.known(fits)
	if s.url == "" || len(keys) > 0 && age < keysFor {
		return keys, nil
	}
	switch {
	case len(keys) == 0 || age >= keysAtMost:
		s.fetching.Lock()
	case !s.fetching.TryLock():
		return keys, nil // who has a key does not wait for a newer set
	}
	defer s.fetching.Unlock()
	if keys, age = s.known(fits); len(keys) > 0 && age < keysFor {
		return keys, nil // somebody else has fetched it
	}
	s.refresh(ctx)
	if keys, age = s.known(fits); age >= keysAtMost {
		return nil, bridge.ErrIdentityKeys
	}
	return keys, nil
}

// known gives the keys that fit, and how old the set is.
func (s *keySet) known(fits func(jose.JSONWebKey) bool) (keys []jose.JSONWebKey, age time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		if fits(k) {
			keys = append(keys, k)
		}
	}
	return keys, s.cfg.Now().Sub(s.fetched)
}

// refresh fetches the set, unless that was tried just now.
func (s *keySet) refresh(ctx context.Context) {
	now := s.cfg.Now()
	if !s.tried.IsZero() && now.Sub(s.tried) < keysAgain { // guarded by fetching
		return
	}
	s.tried = now
	// The request that asks may be gone before the answer, which is for all.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), FetchTimeout)
	defer cancel()
	keys, err := s.fetch(ctx)
	if err != nil {
		s.cfg.Log.WarnContext(ctx, "the keys of a region's identities could not be fetched", "region", s.slug, "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys, s.fetched = keys, now
}

func (s *keySet) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	if !strings.HasPrefix(s.url, "https://") {
		return nil, errors.New("the address of a key set must begin with https://")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	answer, err := s.cfg.Client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer has status %d", answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxKeys+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxKeys {
		return nil, fmt.Errorf("the key set has more than %d bytes", maxKeys)
	}
	return parseKeys(body)
}

// parseKeys reads a key set (RFC 7517). Keys of kinds that nobody here knows are
// left out, so that a new kind does not lock everybody out.
func parseKeys(text []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("no JSON object with a list of keys (RFC 7517)")
	}
	if set.Keys == nil {
		return nil, errors.New("the object has no list named keys (RFC 7517)")
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(raw); err == nil && key.Valid() {
			keys = append(keys, key)
		}
	}
	return keys, nil
}
