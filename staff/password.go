package staff

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// Bounds of a password, in characters. There are no other rules about what it is
// made of, as NIST SP 800-63B recommends.
const (
	MinPassword = 12
	MaxPassword = 128
)

// Errors of a password that somebody chooses.
var (
	ErrPasswordShort  = fmt.Errorf("the password needs at least %d characters", MinPassword)
	ErrPasswordLong   = fmt.Errorf("the password may have at most %d characters", MaxPassword)
	ErrPasswordText   = errors.New("the password is not valid text")
	ErrPasswordCommon = errors.New("the password is one of those that are tried first")
	ErrPasswordSelf   = errors.New("the password is made of the login or the name")
)

// ErrBusy: so many sign in at this moment that the server cannot look at one
// more; the same may succeed a little later.
var ErrBusy = errors.New("too many sign-ins at once")

// The cost of a hash, as the OWASP Password Storage Cheat Sheet says for
// argon2id: 19 MiB, two passes, one lane.
const (
	hashMemory = 19 << 10 // KiB
	hashPasses = 2
	hashLanes  = 1
	hashSalt   = 16
	hashKey    = 32
)

// hashesAtOnce bounds the memory that hashing takes: 4 times 19 MiB, whoever
// knocks how often.
const hashesAtOnce = 4

// hashPatience is how long a sign-in waits for its turn.
//
// Failure policy: after that it is ErrBusy, and no try is counted.
const hashPatience = 10 * time.Second

// hasher hashes passwords, a few at once. Its pepper is a key that is not in the
// database: whoever has that alone cannot even try passwords out.
type hasher struct {
	turns  chan struct{}
	pepper []byte
}

func newHasher(pepper []byte) hasher { return hasher{make(chan struct{}, hashesAtOnce), pepper} }

// turn waits for a turn; the caller calls done.
func (h hasher) turn(ctx context.Context) (done func(), err error) {
	patience := time.NewTimer(hashPatience)
	defer patience.Stop()
	select {
	case h.turns <- struct{}{}:
		return func() { <-h.turns }, nil
	case <-patience.C:
		return nil, ErrBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hash gives the text form of a new hash: k1$argon2id$v=19$m=19456,t=2,p=1$salt$hash,
// which is the standard one behind the word that says how it is peppered.
func (h hasher) hash(ctx context.Context, password string) (string, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	salt := make([]byte, hashSalt)
	rand.Read(salt) // never fails (crypto/rand)
	p := hashed{peppered: true, memory: hashMemory, passes: hashPasses, lanes: hashLanes, salt: salt}
	p.key = h.of(p, password, hashKey)
	return p.String(), nil
}

// check says whether a password has a hash, and whether the hash was made with
// other parameters than today's, or without the pepper. An empty hash is no password's, and takes as
// long to find out.
func (h hasher) check(ctx context.Context, password, hash string) (ok, stale bool, err error) {
	p, err := parseHash(hash)
	none := hash == ""
	if none {
		p, err = hashed{peppered: true, memory: hashMemory, passes: hashPasses, lanes: hashLanes, salt: make([]byte, hashSalt), key: make([]byte, hashKey)}, nil
	}
	if err != nil {
		return false, false, err
	}
	done, err := h.turn(ctx)
	if err != nil {
		return false, false, err
	}
	defer done()
	same := subtle.ConstantTimeCompare(h.of(p, password, len(p.key)), p.key) == 1
	stale = !p.peppered || p.memory != hashMemory || p.passes != hashPasses || p.lanes != hashLanes || len(p.key) != hashKey || len(p.salt) != hashSalt
	return same && !none, stale, nil
}

// hashed is a hash with its parameters.
type hashed struct {
	peppered       bool // with the pepper, by HMAC-SHA-256 before all else
	memory, passes uint32
	lanes          uint8
	salt, key      []byte
}

// of hashes a password with parameters. The same characters may be typed as
// different code points; NFC makes them the same.
func (h hasher) of(p hashed, password string, length int) []byte {
	text := []byte(norm.NFC.String(password))
	if p.peppered {
		mac := hmac.New(sha256.New, h.pepper)
		mac.Write(text)
		text = mac.Sum(nil)
	}
	return argon2.IDKey(text, p.salt, p.passes, p.memory, p.lanes, uint32(length))
}

// peppered begins the text form of a hash that is. Another way to pepper would
// have another word.
const peppered = "k1"

// String gives the text form.
func (p hashed) String() string {
	enc, word := base64.RawStdEncoding, ""
	if p.peppered {
		word = peppered
	}
	return word + fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.passes, p.lanes, enc.EncodeToString(p.salt), enc.EncodeToString(p.key))
}

// errHash: the store holds what this program has not written.
var errHash = errors.New("the stored password hash has an unknown form or unreasonable parameters")

// parseHash reads the text form. It takes no parameters that would cost
// much more than today's: whoever can write the database could stop the server.
func parseHash(text string) (hashed, error) {
	var (
		p       hashed
		version int
	)
	standard, keyed := strings.CutPrefix(text, peppered)
	p.peppered = keyed
	parts := strings.Split(standard, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return hashed{}, errHash
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return hashed{}, errHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.passes, &p.lanes); err != nil {
		return hashed{}, errHash
	}
	var errSalt, errKey error
	p.salt, errSalt = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	p.key, errKey = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	reasonable := p.memory >= 8<<10 && p.memory <= 128<<10 && p.passes >= 1 && p.passes <= 10 && p.lanes >= 1 && p.lanes <= 8 &&
		len(p.salt) >= 8 && len(p.salt) <= 64 && len(p.key) >= 16 && len(p.key) <= 64
	if errSalt != nil || errKey != nil || !reasonable || p.String() != text {
		return hashed{}, errHash
	}
	return p, nil
}

// CheckPassword says whether a password may be chosen by a person: if not, the
// error is one of ErrPassword….
func CheckPassword(password string, p *Person) error {
	if !utf8.ValidString(password) || strings.ContainsRune(password, 0) {
		return ErrPasswordText
	}
	password = norm.NFC.String(password)
	switch n := utf8.RuneCountInString(password); {
	case n < MinPassword:
		return ErrPasswordShort
	case n > MaxPassword:
		return ErrPasswordLong
	}
	plain := strings.ToLower(strings.TrimSpace(password))
	if own(plain, p) {
		return ErrPasswordSelf
	}
	first, err := common(plain)
	if err == nil && first {
		err = ErrPasswordCommon
	}
	return err
}
