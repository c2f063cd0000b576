package identity_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"deskbridge/bridge"
	"deskbridge/identity"
)

const (
	secret   = "a shared secret of thirty-two bytes and more"
	deviceID = "6f1c0b7e-device"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// keys are one key of each kind.
type keys struct {
	rsa   *rsa.PrivateKey
	other *rsa.PrivateKey
	small *rsa.PrivateKey
	ec    *ecdsa.PrivateKey
	p384  *ecdsa.PrivateKey
	ed    ed25519.PrivateKey
}

var made = sync.OnceValue(func() (k keys) {
	var err error
	must := func(e error) {
		if e != nil {
			panic(e)
		}
	}
	k.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	k.other, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	k.small, err = rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // to be refused
	must(err)
	k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	k.p384, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(err)
	_, k.ed, err = ed25519.GenerateKey(rand.Reader)
	must(err)
	return k
})

// claims are those of a good token, changed by pairs of name and value; nil takes
// one away.
func claims(change ...any) map[string]any {
	c := map[string]any{"sub": deviceID, "exp": noon.Add(time.Hour).Unix(), "iat": noon.Unix()}
	for i := 0; i < len(change); i += 2 {
		if change[i+1] == nil {
			delete(c, change[i].(string))
			continue
		}
		c[change[i].(string)] = change[i+1]
	}
	return c
}

func sign(t testing.TB, algorithm jose.SignatureAlgorithm, kid string, key any, c map[string]any) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// forge makes a token by hand.
func forge(header string, c map[string]any, signature string) string {
	body, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(header)) + "." + enc(body) + "." + signature
}

func set(t testing.TB, list ...jose.JSONWebKey) string {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: list})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func public(kid string, key crypto.PublicKey) jose.JSONWebKey {
	return jose.JSONWebKey{KeyID: kid, Key: key, Use: "sig"}
}

func verifier(client *http.Client, now func() time.Time) *identity.Verifier {
	return identity.New(identity.Config{Client: client, Log: slog.New(slog.DiscardHandler), Now: now})
}

func region(change func(*bridge.Region)) *bridge.Region {
	r := &bridge.Region{ID: 1, Slug: "testland"}
	r.Settings.Identity = bridge.IdentityEnforce
	change(r)
	return r
}

func atNoon() time.Time { return noon }

func TestSharedSecret(t *testing.T) {
	t.Parallel()
	k := made()
	r := region(func(r *bridge.Region) { r.IdentitySecret = secret })
	good := sign(t, jose.HS256, "", []byte(secret), claims())
	for name, c := range map[string]struct {
		token string
		want  error
	}{
		"good":                  {good, nil},
		"with a key id":         {sign(t, jose.HS256, "any", []byte(secret), claims()), nil},
		"missing":               {"", bridge.ErrIdentityMissing},
		"another secret":        {sign(t, jose.HS256, "", []byte("another secret of thirty-two bytes!!"), claims()), bridge.ErrIdentityInvalid},
		"another device":        {sign(t, jose.HS256, "", []byte(secret), claims("sub", "somebody")), bridge.ErrIdentityInvalid},
		"case of the device":    {sign(t, jose.HS256, "", []byte(secret), claims("sub", strings.ToUpper(deviceID))), bridge.ErrIdentityInvalid},
		"no device":             {sign(t, jose.HS256, "", []byte(secret), claims("sub", nil)), bridge.ErrIdentityInvalid},
		"device as a list":      {sign(t, jose.HS256, "", []byte(secret), claims("sub", []string{deviceID})), bridge.ErrIdentityInvalid},
		"never expires":         {sign(t, jose.HS256, "", []byte(secret), claims("exp", nil)), bridge.ErrIdentityInvalid},
		"expires as a text":     {sign(t, jose.HS256, "", []byte(secret), claims("exp", "tomorrow")), bridge.ErrIdentityInvalid},
		"expired within skew":   {sign(t, jose.HS256, "", []byte(secret), claims("exp", noon.Add(-59*time.Second).Unix())), nil},
		"expired beyond skew":   {sign(t, jose.HS256, "", []byte(secret), claims("exp", noon.Add(-61*time.Second).Unix())), bridge.ErrIdentityExpired},
		"expired, other device": {sign(t, jose.HS256, "", []byte(secret), claims("sub", "x", "exp", noon.Add(-time.Hour).Unix())), bridge.ErrIdentityInvalid},
		"not yet within skew":   {sign(t, jose.HS256, "", []byte(secret), claims("nbf", noon.Add(59*time.Second).Unix())), nil},
		"not yet beyond skew":   {sign(t, jose.HS256, "", []byte(secret), claims("nbf", noon.Add(61*time.Second).Unix())), bridge.ErrIdentityInvalid},
		"from the future":       {sign(t, jose.HS256, "", []byte(secret), claims("iat", noon.Add(61*time.Second).Unix())), bridge.ErrIdentityInvalid},
		"HS512":                 {sign(t, jose.HS512, "", []byte(strings.Repeat(secret, 3)), claims()), bridge.ErrIdentityInvalid},
		"RS256":                 {sign(t, jose.RS256, "", k.rsa, claims()), bridge.ErrIdentityInvalid},
		"none":                  {forge(`{"alg":"none"}`, claims(), ""), bridge.ErrIdentityInvalid},
		"None":                  {forge(`{"alg":"None","typ":"JWT"}`, claims(), ""), bridge.ErrIdentityInvalid},
		"signature cut off":     {good[:strings.LastIndex(good, ".")+1], bridge.ErrIdentityInvalid},
		"body changed":          {forge(`{"alg":"HS256","typ":"JWT"}`, claims("admin", true), good[strings.LastIndex(good, ".")+1:]), bridge.ErrIdentityInvalid},
		"huge":                  {sign(t, jose.HS256, "", []byte(secret), claims("x", strings.Repeat("x", 9000))), bridge.ErrIdentityInvalid},
		"garbage":               {"garbage", bridge.ErrIdentityInvalid},
		"dots":                  {"..", bridge.ErrIdentityInvalid},
		"JSON serialisation":    {`{"payload":"e30","signatures":[]}`, bridge.ErrIdentityInvalid},
		"control characters":    {"a.\x00.b", bridge.ErrIdentityInvalid},
	} {
		if _, err := verifier(nil, atNoon).Check(t.Context(), r, deviceID, c.token); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestPublicKeys(t *testing.T) {
	t.Parallel()
	k := made()
	all := set(t, public("r", k.rsa.Public()), public("e", k.ec.Public()), public("d", k.ed.Public()),
		public("small", k.small.Public()), public("p384", k.p384.Public()),
		jose.JSONWebKey{KeyID: "oct", Key: []byte(secret)},
		jose.JSONWebKey{KeyID: "enc", Key: k.other.Public(), Use: "enc"},
		jose.JSONWebKey{KeyID: "bound", Key: k.other.Public(), Use: "sig", Algorithm: "RS512"})
	der, err := x509.MarshalPKIXPublicKey(k.rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	inPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	r := region(func(r *bridge.Region) { r.Settings.IdentityKeys = all })
	for name, c := range map[string]struct {
		token string
		want  error
	}{
		"RS256":                    {sign(t, jose.RS256, "r", k.rsa, claims()), nil},
		"ES256":                    {sign(t, jose.ES256, "e", k.ec, claims()), nil},
		"EdDSA":                    {sign(t, jose.EdDSA, "d", k.ed, claims()), nil},
		"without a key id":         {sign(t, jose.ES256, "", k.ec, claims()), nil}, // one key fits
		"wrong key id":             {sign(t, jose.RS256, "e", k.rsa, claims()), bridge.ErrIdentityInvalid},
		"unknown key id":           {sign(t, jose.RS256, "x", k.rsa, claims()), bridge.ErrIdentityInvalid},
		"another's key":            {sign(t, jose.RS256, "r", k.other, claims()), bridge.ErrIdentityInvalid},
		"short RSA key":            {sign(t, jose.RS256, "small", k.small, claims()), bridge.ErrIdentityInvalid},
		"another curve":            {sign(t, jose.ES384, "p384", k.p384, claims()), bridge.ErrIdentityInvalid},
		"RS512":                    {sign(t, jose.RS512, "r", k.rsa, claims()), bridge.ErrIdentityInvalid},
		"PS256":                    {sign(t, jose.PS256, "r", k.rsa, claims()), bridge.ErrIdentityInvalid},
		"key for encryption":       {sign(t, jose.RS256, "enc", k.other, claims()), bridge.ErrIdentityInvalid},
		"key of another algorithm": {sign(t, jose.RS256, "bound", k.other, claims()), bridge.ErrIdentityInvalid},
		"public key as the secret": {sign(t, jose.HS256, "r", inPEM, claims()), bridge.ErrIdentityInvalid},
		"public key, DER, no kid":  {sign(t, jose.HS256, "", der, claims()), bridge.ErrIdentityInvalid},
		"a secret in the key set":  {sign(t, jose.HS256, "oct", []byte(secret), claims()), bridge.ErrIdentityInvalid},
		"a key that brings itself": {forge(`{"alg":"ES256","jwk":{"kty":"EC"}}`, claims(), "AAAA"), bridge.ErrIdentityInvalid},
		"none":                     {forge(`{"alg":"none","kid":"r"}`, claims(), ""), bridge.ErrIdentityInvalid},
		"unknown critical header":  {forge(`{"alg":"RS256","kid":"r","crit":["x"],"x":1}`, claims(), "AAAA"), bridge.ErrIdentityInvalid},
	} {
		if _, err := verifier(nil, atNoon).Check(t.Context(), r, deviceID, c.token); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestIssuerAndAudience(t *testing.T) {
	t.Parallel()
	r := region(func(r *bridge.Region) {
		r.IdentitySecret, r.Settings.IdentityIssuer, r.Settings.IdentityAudience = secret, "https://city.example", "chat"
	})
	for name, c := range map[string]struct {
		claims map[string]any
		want   error
	}{
		"both":             {claims("iss", "https://city.example", "aud", "chat"), nil},
		"one of several":   {claims("iss", "https://city.example", "aud", []string{"shop", "chat"}), nil},
		"another audience": {claims("iss", "https://city.example", "aud", "shop"), bridge.ErrIdentityInvalid},
		"no audience":      {claims("iss", "https://city.example"), bridge.ErrIdentityInvalid},
		"another issuer":   {claims("iss", "https://evil.example", "aud", "chat"), bridge.ErrIdentityInvalid},
		"no issuer":        {claims("aud", "chat"), bridge.ErrIdentityInvalid},
	} {
		token := sign(t, jose.HS256, "", []byte(secret), c.claims)
		if _, err := verifier(nil, atNoon).Check(t.Context(), r, deviceID, token); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	for mode, want := range map[bridge.IdentityMode]error{"": nil, bridge.IdentityOff: nil, bridge.IdentityLog: nil, bridge.IdentityEnforce: bridge.ErrIdentityMissing} {
		var out strings.Builder
		v := identity.New(identity.Config{Log: slog.New(slog.NewTextHandler(&out, nil)), Now: atNoon})
		r := region(func(r *bridge.Region) { r.IdentitySecret, r.Settings.Identity = secret, mode })
		for range 3 {
			if _, err := v.Check(t.Context(), r, deviceID, ""); !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("%q: %v, want %v", mode, err, want)
			}
		}
		if lines := strings.Count(out.String(), "\n"); lines != map[bool]int{true: 1}[mode == bridge.IdentityLog] {
			t.Errorf("%q logs %d lines: %s", mode, lines, out.String())
		}
		if strings.Contains(out.String(), deviceID) {
			t.Errorf("the log names the device: %s", out.String())
		}
	}
}

// TestHowLongATokenCounts: a minute beyond its end, as it is checked; and for no
// time that anybody should keep, where nobody is refused.
func TestHowLongATokenCounts(t *testing.T) {
	t.Parallel()
	token := sign(t, jose.HS256, "", []byte(secret), claims())
	for mode, want := range map[bridge.IdentityMode]time.Time{bridge.IdentityOff: {}, bridge.IdentityLog: {}, bridge.IdentityEnforce: noon.Add(time.Hour + time.Minute)} {
		r := region(func(r *bridge.Region) { r.IdentitySecret, r.Settings.Identity = secret, mode })
		until, err := verifier(nil, atNoon).Check(t.Context(), r, deviceID, token)
		if err != nil || !until.Equal(want) || until.IsZero() != want.IsZero() {
			t.Errorf("%q: until %s (%v), want %s", mode, until, err, want)
		}
		at := func() time.Time { return want }
		if _, err := verifier(nil, at).Check(t.Context(), r, deviceID, token); mode == bridge.IdentityEnforce && err != nil {
			t.Errorf("in its last moment: %v", err)
		}
	}
}

// city is a server of keys.
type city struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(http.ResponseWriter)
	asked  int
}

func newCity(t *testing.T, keys string) *city {
	c := &city{}
	c.serve(keys)
	c.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked++
		c.answer(w)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *city) serve(keys string) {
	c.does(func(w http.ResponseWriter) { _, _ = w.Write([]byte(keys)) })
}

func (c *city) does(answer func(http.ResponseWriter)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

func (c *city) times() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

func TestKeysAreFetchedAndRotate(t *testing.T) {
	t.Parallel()
	k := made()
	c := newCity(t, set(t, public("old", k.rsa.Public())))
	now := noon
	v := verifier(c.Client(), func() time.Time { return now })
	r := region(func(r *bridge.Region) { r.Settings.IdentityKeysURL = c.URL })
	check := func(key *rsa.PrivateKey, kid string, want error, asked int) {
		t.Helper()
		token := sign(t, jose.RS256, kid, key, claims("exp", now.Add(time.Hour).Unix()))
		if _, err := v.Check(t.Context(), r, deviceID, token); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v, want %v", kid, err, want)
		}
		if got := c.times(); got != asked {
			t.Errorf("%s: the address was asked %d times, want %d", kid, got, asked)
		}
	}
	check(k.rsa, "old", nil, 1)
	check(k.rsa, "old", nil, 1)
	// A new key: it is fetched as soon as a token names it, but no flood of
	// unknown names becomes one there.
	c.serve(set(t, public("old", k.rsa.Public()), public("new", k.other.Public())))
	check(k.other, "new", bridge.ErrIdentityInvalid, 1) // too soon
	now = now.Add(31 * time.Second)
	check(k.other, "new", nil, 2)
	check(k.other, "unknown", bridge.ErrIdentityInvalid, 2)
	check(k.other, "unknown", bridge.ErrIdentityInvalid, 2)
	// The old one is withdrawn: it is gone within the hour.
	c.serve(set(t, public("new", k.other.Public())))
	now = now.Add(time.Hour)
	check(k.rsa, "old", bridge.ErrIdentityInvalid, 3)
	// The address fails: the known keys go on for a day.
	c.does(func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) })
	now = now.Add(23 * time.Hour)
	check(k.other, "new", nil, 4)
	now = now.Add(2 * time.Hour)
	check(k.other, "new", bridge.ErrIdentityKeys, 5)
	check(k.other, "new", bridge.ErrIdentityKeys, 5)
	c.serve(set(t, public("new", k.other.Public())))
	now = now.Add(time.Minute)
	check(k.other, "new", nil, 6)
}

func TestAddressesThatAreNoKeySets(t *testing.T) {
	t.Parallel()
	k := made()
	token := sign(t, jose.RS256, "r", k.rsa, claims())
	good := set(t, public("r", k.rsa.Public()))
	for name, answer := range map[string]func(http.ResponseWriter){
		"garbage":  func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) },
		"a list":   func(w http.ResponseWriter) { _, _ = w.Write([]byte("[]")) },
		"no keys":  func(w http.ResponseWriter) { _, _ = w.Write([]byte("{}")) },
		"too long": func(w http.ResponseWriter) { _, _ = w.Write([]byte(good + strings.Repeat(" ", 300<<10))) },
		"redirect": func(w http.ResponseWriter) { w.Header().Set("Location", "/x"); w.WriteHeader(http.StatusFound) },
		"cut off":  func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		c := newCity(t, "")
		c.does(answer)
		r := region(func(r *bridge.Region) { r.Settings.IdentityKeysURL = c.URL })
		client := c.Client()
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		if _, err := verifier(client, atNoon).Check(t.Context(), r, deviceID, token); !errors.Is(err, bridge.ErrIdentityKeys) {
			t.Errorf("%s: %v, want %v", name, err, bridge.ErrIdentityKeys)
		}
	}
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(good)) }))
	defer plain.Close()
	r := region(func(r *bridge.Region) { r.Settings.IdentityKeysURL = plain.URL })
	if _, err := verifier(nil, atNoon).Check(t.Context(), r, deviceID, token); !errors.Is(err, bridge.ErrIdentityKeys) {
		t.Errorf("keys without TLS: %v, want %v", err, bridge.ErrIdentityKeys)
	}
	// One key that nobody knows does not spoil the others.
	mixed := strings.Replace(good, `{"keys":[`, `{"keys":[{"kty":"future"},`, 1)
	r = region(func(r *bridge.Region) { r.Settings.IdentityKeys = mixed })
	if _, err := verifier(nil, atNoon).Check(t.Context(), r, deviceID, token); err != nil {
		t.Errorf("with a strange key in the set: %v", err)
	}
	for text, ok := range map[string]bool{good: true, mixed: true, `{"keys":[]}`: false, "x": false, set(t, jose.JSONWebKey{Key: []byte(secret)}): false} {
		if err := identity.CheckKeys(text); (err == nil) != ok {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}

// A slow address holds up only those who need it, and is asked once.
func TestManyAtOnceAskOnce(t *testing.T) {
	t.Parallel()
	k := made()
	c := newCity(t, set(t, public("r", k.rsa.Public())))
	v := verifier(c.Client(), atNoon)
	r := region(func(r *bridge.Region) { r.Settings.IdentityKeysURL = c.URL })
	token := sign(t, jose.RS256, "r", k.rsa, claims())
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := v.Check(context.Background(), r, deviceID, token); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := c.times(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func FuzzToken(f *testing.F) {
	f.Add("garbage")
	f.Add(forge(`{"alg":"none"}`, claims(), ""))
	f.Add(forge(`{"alg":"HS256"}`, claims(), "AAAA"))
	r := region(func(r *bridge.Region) { r.IdentitySecret = secret })
	v := verifier(nil, atNoon)
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := v.Check(t.Context(), r, deviceID, token); err == nil {
			t.Errorf("%q passes", token)
		}
	})
}
