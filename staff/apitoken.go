package staff

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"deskbridge/bridge"
)

// Scope is what a program may do with an API token.
type Scope string

// The scopes: to read the settings of regions, and to change them.
const (
	ReadRegions  Scope = "regions:read"
	WriteRegions Scope = "regions:write"
)

// Scopes lists all scopes.
func Scopes() []Scope { return []Scope{ReadRegions, WriteRegions} }

// APIToken lets a program in, as a person's account lets the person in. The
// token itself is shown once and stored nowhere: only its hash is.
type APIToken struct {
	ID        int64
	Name      string // of the program, as people know it; unique among living tokens
	Scopes    []Scope
	Regions   []bridge.RegionID // only these; nil: all, also later ones
	CreatedAt time.Time
	Expires   time.Time // zero: never
	UsedAt    time.Time // to the hour; zero: never
	RevokedAt time.Time // zero: it is not
}

// TokenHash is what is stored of a token: SHA-256, since a token is as random as
// a key and needs no slow hash.
type TokenHash [sha256.Size]byte

// tokenPrefix lets people and scanners of leaks see what a token is.
const tokenPrefix = "dbt_"

// NewToken makes a token of 32 random bytes.
func NewToken() string {
	var secret [32]byte
	rand.Read(secret[:]) // never fails (crypto/rand)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
}

// HashToken hashes a token that a request brought; false says that it cannot be
// one.
func HashToken(token string) (TokenHash, bool) {
	if len(token) != len(tokenPrefix)+base64.RawURLEncoding.EncodedLen(32) || !strings.HasPrefix(token, tokenPrefix) {
		return TokenHash{}, false
	}
	return sha256.Sum256([]byte(token)), true
}

// May says whether the token has a scope. Who may change may read.
func (t *APIToken) May(s Scope) bool {
	return slices.Contains(t.Scopes, s) || s == ReadRegions && slices.Contains(t.Scopes, WriteRegions)
}

// Knows says whether the token is for a region. Of any other it must not even
// learn that it exists.
func (t *APIToken) Knows(r bridge.RegionID) bool {
	return t.Regions == nil || slices.Contains(t.Regions, r)
}

// Lives says whether the token can be used at a time.
func (t *APIToken) Lives(now time.Time) bool {
	return t.RevokedAt.IsZero() && (t.Expires.IsZero() || now.Before(t.Expires))
}

// Actor is the token as the audit names it.
func (t *APIToken) Actor() bridge.Actor {
	return bridge.Actor{Kind: bridge.ActorToken, ID: t.ID, Name: t.Name}
}

// Errors about API tokens.
var (
	ErrTokenName    = errors.New("the name of a token has 1 to 100 characters that can be shown")
	ErrTokenTaken   = errors.New("there is already a token with this name that is not revoked")
	ErrTokenScopes  = fmt.Errorf("a token needs scopes, out of: %s, %s", ReadRegions, WriteRegions)
	ErrTokenRegions = errors.New("a token is for all regions or for at least one")
	ErrTokenExpired = errors.New("the token would have expired already")
	ErrTokenUnknown = errors.New("there is no such token")
)

// Check says what is wrong with a token that somebody wants; all of it, joined.
func (t *APIToken) Check(now time.Time) error {
	var errs []error
	want := func(ok bool, err error) {
		if !ok {
			errs = append(errs, err)
		}
	}
	hidden := func(c rune) bool { return !unicode.IsPrint(c) } // also what turns the direction of writing
	want(strings.TrimSpace(t.Name) != "" && utf8.ValidString(t.Name) && utf8.RuneCountInString(t.Name) <= 100 && !strings.ContainsFunc(t.Name, hidden), ErrTokenName)
	want(len(t.Scopes) > 0 && !slices.ContainsFunc(t.Scopes, func(s Scope) bool { return !slices.Contains(Scopes(), s) }), ErrTokenScopes)
	want(t.Regions == nil || len(t.Regions) > 0, ErrTokenRegions)
	want(t.Expires.IsZero() || now.Before(t.Expires), ErrTokenExpired)
	return errors.Join(errs...)
}
