// Package openidtest is an OpenID provider for tests.
package openidtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Provider is an OpenID provider over HTTP: discovery, keys, authorization and
// token endpoint, with what a test lets it do wrong. It is strict where a real
// one is: a code is taken once, from its client, with its PKCE verifier.
type Provider struct {
	*httptest.Server
	now      func() time.Time
	redirect string

	// Keys are by key id, which is the algorithm.
	Keys map[string]crypto.Signer

	mu    sync.Mutex
	codes map[string]url.Values // what each code was asked for with
	asked []string              // paths, in order

	// What the next answers are like; change them with Set.
	Algorithm jose.SignatureAlgorithm
	Claims    map[string]any                // over the good ones; nil takes one away
	Forge     func(token string) string     // changes the ID token; nil: as it is
	Basic     bool                          // takes the client's secret in the header
	Down      bool                          // answers 503
	Describe  func(document map[string]any) // changes the discovery document
}

// What the client is called at the provider, and its secret.
const (
	ClientID     = "deskbridge"
	ClientSecret = "a secret of the client"
)

// New starts a provider; it is stopped with the test. It sends people back to
// redirect only.
func New(t testing.TB, redirect string, now func() time.Time) *Provider {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{now: now, redirect: redirect, Keys: map[string]crypto.Signer{"RS256": rsaKey, "ES256": ecKey}, codes: map[string]url.Values{}, Algorithm: jose.RS256, Basic: true}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", p.publicKeys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked = append(p.asked, r.URL.Path)
		if p.Down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *Provider) answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	methods := []string{"client_secret_post"}
	if p.Basic {
		methods = []string{"client_secret_basic", "client_secret_post"}
	}
	document := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "HS256", "none"}, "token_endpoint_auth_methods_supported": methods,
	}
	if p.Describe != nil {
		p.Describe(document)
	}
	p.answer(w, http.StatusOK, document)
}

func (p *Provider) publicKeys(w http.ResponseWriter, _ *http.Request) {
	var set jose.JSONWebKeySet
	for id, key := range p.Keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: id, Use: "sig"})
	}
	p.answer(w, http.StatusOK, set)
}

// authorize lets the person in at once.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != ClientID || q.Get("redirect_uri") != p.redirect || q.Get("response_type") != "code" ||
		!strings.Contains(" "+q.Get("scope")+" ", " openid ") || q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("state") == "" || q.Get("nonce") == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	code := rand.Text()
	p.codes[code] = q
	http.Redirect(w, r, p.redirect+"?"+url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.URL}}.Encode(), http.StatusFound)
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	id, secret, basic := r.BasicAuth()
	id, _ = url.QueryUnescape(id)
	secret, _ = url.QueryUnescape(secret)
	if !basic && !p.Basic {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	asked, known := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	switch {
	case id != ClientID || secret != ClientSecret:
		p.answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
	case !known || r.FormValue("redirect_uri") != p.redirect || r.FormValue("grant_type") != "authorization_code",
		base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge"):
		p.answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
	default:
		p.answer(w, http.StatusOK, map[string]any{"access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": p.idToken(asked.Get("nonce"))})
	}
}

func (p *Provider) idToken(nonce string) string {
	claims := map[string]any{
		"iss": p.URL, "aud": ClientID, "sub": "4711", "nonce": nonce, "iat": p.now().Unix(), "exp": p.now().Add(time.Minute).Unix(),
		"email": "anna@example.org", "email_verified": true,
	}
	for name, value := range p.Claims {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
	key := jose.SigningKey{Algorithm: p.Algorithm, Key: jose.JSONWebKey{Key: p.Keys[string(p.Algorithm)], KeyID: string(p.Algorithm)}}
	signer, err := jose.NewSigner(key, nil)
	if err != nil {
		panic(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		panic(err)
	}
	if p.Forge != nil {
		token = p.Forge(token)
	}
	return token
}

// Visit goes to the provider's page as a browser does and gives the query with
// which it comes back.
func (p *Provider) Visit(t testing.TB, address string) url.Values {
	t.Helper()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := browser.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	back, err := answer.Location()
	if err != nil {
		t.Fatalf("the provider answers %s", answer.Status)
	}
	return back.Query()
}

// Set changes what the next answers are like.
func (p *Provider) Set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// Asked lists the paths that the provider was asked for, in order.
func (p *Provider) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}
