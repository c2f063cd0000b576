// Package identity checks the signed tokens by which devices of a region prove
// who they are: JWTs (RFC 7519) that name the device id as their subject. Who
// makes them, such as a city's sign-in, is not our business; what matters here
// is the region's shared secret or its set of public keys.
package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"deskbridge/bridge"
)

const (
	// skew is how far the clock of whoever signs may be off ours.
	skew = 60 * time.Second
	// maxToken is the longest token that is looked at, in bytes.
	maxToken = 8 << 10
	// minRSA is the shortest RSA key that is believed, in bits.
	minRSA = 2048
)

// The algorithms, by what a region has. A token names its algorithm itself, so
// the sets must never overlap: a public key would become a secret that
// everybody knows.
var (
	secretAlgorithms = []jose.SignatureAlgorithm{jose.HS256}
	publicAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}
)

// Config is what a Verifier needs.
type Config struct {
	Client *http.Client // fetches key sets from addresses that people typed: it must guard where they lead, and follow no redirect
	Log    *slog.Logger
	Now    func() time.Time
}

// Verifier checks tokens for all regions. It is safe for concurrent use.
type Verifier struct {
	cfg Config

	mu   sync.Mutex
	sets map[bridge.RegionID]*keySet

	refused tally
}

// New makes a Verifier; it fetches nothing yet.
func New(cfg Config) *Verifier {
	return &Verifier{cfg: cfg, sets: make(map[bridge.RegionID]*keySet)}
}

// Check says whether a token proves that its bearer is the device, by the
// region's settings, and until when. In the mode "log" it refuses nobody, but
// counts and logs whom it would refuse; then, and where nothing is asked, the
// time is zero.
//
// Errors: ErrIdentityMissing, ErrIdentityInvalid, ErrIdentityExpired, and
// ErrIdentityKeys while the region's keys cannot be fetched.
func (v *Verifier) Check(ctx context.Context, r *bridge.Region, deviceID, token string) (until time.Time, err error) {
	if r.Settings.Identity == bridge.IdentityOff || r.Settings.Identity == "" {
		return time.Time{}, nil
	}
	until, err = v.check(ctx, r, deviceID, token)
	if r.Settings.Identity != bridge.IdentityLog {
		return until, err
	}
	if err == nil {
		return time.Time{}, nil
	}
	if n, tell := v.refused.count(v.cfg.Now()); tell {
		v.cfg.Log.InfoContext(ctx, "identities that a region would refuse if it enforced them", "region", r.Slug, "code", codeOf(err), "since_last_line", n)
	}
	return time.Time{}, nil
}

func codeOf(err error) string {
	var known *bridge.Error
	if errors.As(err, &known) {
		return known.Code
	}
	return "unknown"
}

func (v *Verifier) check(ctx context.Context, r *bridge.Region, deviceID, raw string) (until time.Time, err error) {
	if raw == "" {
		return until, bridge.ErrIdentityMissing
	}
	if len(raw) > maxToken {
		return until, bridge.ErrIdentityInvalid
	}
	algorithms := publicAlgorithms
	if r.IdentitySecret != "" {
		algorithms = secretAlgorithms
	}
	token, err := jwt.ParseSigned(raw, algorithms)
	if err != nil || len(token.Headers) != 1 {
		return until, bridge.ErrIdentityInvalid
	}
	key, err := v.key(ctx, r, token.Headers[0])
	if err != nil {
		return until, err
	}
	var claims jwt.Claims
	if err := token.Claims(key, &claims); err != nil {
		return until, bridge.ErrIdentityInvalid
	}
	if err := v.claims(r, deviceID, claims); err != nil {
		return until, err
	}
	return claims.Expiry.Time().Add(skew), nil
}

// claims holds what a token says against what is wanted. The signature is good.
func (v *Verifier) claims(r *bridge.Region, deviceID string, claims jwt.Claims) error {
	// An empty subject would be asked for nothing by the library.
	if deviceID == "" || claims.Subject != deviceID || claims.Expiry == nil {
		return bridge.ErrIdentityInvalid
	}
	want := jwt.Expected{Issuer: r.Settings.IdentityIssuer, Time: v.cfg.Now()}
	if audience := r.Settings.IdentityAudience; audience != "" {
		want.AnyAudience = jwt.Audience{audience}
	}
	switch err := claims.ValidateWithLeeway(want, skew); {
	case errors.Is(err, jwt.ErrExpired):
		return bridge.ErrIdentityExpired
	case err != nil:
		return bridge.ErrIdentityInvalid
	}
	return nil
}

// key finds the key that a token's header asks for, if it fits the algorithm.
func (v *Verifier) key(ctx context.Context, r *bridge.Region, header jose.Header) (any, error) {
	if r.IdentitySecret != "" {
		return []byte(r.IdentitySecret), nil
	}
	fits := func(k jose.JSONWebKey) bool {
		named := header.KeyID == "" || k.KeyID == header.KeyID
		return named && (k.Algorithm == "" || k.Algorithm == header.Algorithm) && usable(k, jose.SignatureAlgorithm(header.Algorithm))
	}
	keys, err := v.set(r).find(ctx, fits)
	if err != nil {
		return nil, err
	}
	// Without a key id only the one key that fits is meant.
	if len(keys) != 1 {
		return nil, bridge.ErrIdentityInvalid
	}
	return keys[0].Key, nil
}

// set gives the key set of a region, anew if its settings have changed.
func (v *Verifier) set(r *bridge.Region) *keySet {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.sets[r.ID]
	if s == nil || s.inline != r.Settings.IdentityKeys || s.url != r.Settings.IdentityKeysURL {
		s = newKeySet(v.cfg, r.Slug, r.Settings.IdentityKeys, r.Settings.IdentityKeysURL)
		v.sets[r.ID] = s
	}
	return s
}

// usable says whether a key is a public one for signatures of this algorithm.
func usable(k jose.JSONWebKey, algorithm jose.SignatureAlgorithm) bool {
	if k.Use != "" && k.Use != "sig" {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return algorithm == jose.RS256 && key.N.BitLen() >= minRSA
	case *ecdsa.PublicKey:
		return algorithm == jose.ES256 && key.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return algorithm == jose.EdDSA
	default: // a secret, or a private key
		return false
	}
}

// CheckKeys says whether a text is a set of keys of which at least one can be
// used and none is secret. The error is for the operator.
func CheckKeys(text string) error {
	set, err := parseKeys([]byte(text))
	if err != nil {
		return err
	}
	var secrets struct {
		Keys []struct{ D, K string } // RFC 7518, 6: of private and of shared keys
	}
	_ = json.Unmarshal([]byte(text), &secrets) // what was read above can be read
	if slices.ContainsFunc(secrets.Keys, func(k struct{ D, K string }) bool { return k.D+k.K != "" }) {
		return errors.New("the key set has a private or a shared key; settings are no place for one")
	}
	if !slices.ContainsFunc(set, func(k jose.JSONWebKey) bool {
		return slices.ContainsFunc(publicAlgorithms, func(a jose.SignatureAlgorithm) bool { return usable(k, a) })
	}) {
		return errors.New("the key set has no public key for RS256 (2048 bits or more), ES256 or EdDSA")
	}
	return nil
}

// tally counts, and says at most once a minute that it is time for a line.
type tally struct {
	mu   sync.Mutex
	n    int
	told time.Time
}

func (t *tally) count(now time.Time) (n int, tell bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
	if now.Sub(t.told) < time.Minute {
		return 0, false
	}
	n, t.n, t.told = t.n, 0, now
	return n, true
}
