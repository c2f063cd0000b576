package staff_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// provider is an OpenID provider over HTTP: discovery, keys, authorization and
// token endpoint, with what a test lets it do wrong. It is strict where a real
// one is: a code is taken once, from its client, with its PKCE verifier.
type provider struct {
	*httptest.Server
	now func() time.Time

	mu    sync.Mutex
	keys  map[string]crypto.Signer // by key id, which is the algorithm
	codes map[string]url.Values    // what each code was asked for with

	// What the next ID token is like.
	algorithm jose.SignatureAlgorithm
	claims    map[string]any                // over the good ones
	forge     func(token string) string     // nil: as it is
	basic     bool                          // takes the client's secret in the header only
	down      bool                          // answers 503
	asked     []string                      // paths, in order
	describe  func(document map[string]any) // changes the discovery document
}

const (
	clientID     = "deskbridge"
	clientSecret = "a secret of the client"
	redirectURL  = "https://chat.example.org/admin/oidc/"
)

func newProvider(t *testing.T, now func() time.Time) *provider {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{now: now, keys: map[string]crypto.Signer{"RS256": rsaKey, "ES256": ecKey}, codes: map[string]url.Values{}, algorithm: jose.RS256, basic: true}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", p.publicKeys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked = append(p.asked, r.URL.Path)
		if p.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (p *provider) discovery(w http.ResponseWriter, _ *http.Request) {
	methods := []string{"client_secret_post"}
	if p.basic {
		methods = []string{"client_secret_basic", "client_secret_post"}
	}
	document := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "HS256", "none"}, "token_endpoint_auth_methods_supported": methods,
	}
	if p.describe != nil {
		p.describe(document)
	}
	p.answer(w, http.StatusOK, document)
}

func (p *provider) publicKeys(w http.ResponseWriter, _ *http.Request) {
	var set jose.JSONWebKeySet
	for id, key := range p.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: id, Use: "sig"})
	}
	p.answer(w, http.StatusOK, set)
}

// authorize lets the person in at once.
func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != clientID || q.Get("redirect_uri") != redirectURL || q.Get("response_type") != "code" ||
		!strings.Contains(" "+q.Get("scope")+" ", " openid ") || q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("state") == "" || q.Get("nonce") == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	code := rand.Text()
	p.codes[code] = q
	http.Redirect(w, r, redirectURL+"?"+url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.URL}}.Encode(), http.StatusFound)
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	id, secret, basic := r.BasicAuth()
	id, _ = url.QueryUnescape(id)
	secret, _ = url.QueryUnescape(secret)
	if !basic && !p.basic {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	asked, known := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	switch {
	case id != clientID || secret != clientSecret:
		p.answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
	case !known || r.FormValue("redirect_uri") != redirectURL || r.FormValue("grant_type") != "authorization_code",
		base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge"):
		p.answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
	default:
		p.answer(w, http.StatusOK, map[string]any{"access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": p.idToken(asked.Get("nonce"))})
	}
}

func (p *provider) idToken(nonce string) string {
	claims := map[string]any{
		"iss": p.URL, "aud": clientID, "sub": "4711", "nonce": nonce, "iat": p.now().Unix(), "exp": p.now().Add(time.Minute).Unix(),
		"email": "anna@example.org", "email_verified": true,
	}
	for name, value := range p.claims {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
	key := jose.SigningKey{Algorithm: p.algorithm, Key: jose.JSONWebKey{Key: p.keys[string(p.algorithm)], KeyID: string(p.algorithm)}}
	signer, err := jose.NewSigner(key, nil)
	if err != nil {
		panic(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		panic(err)
	}
	if p.forge != nil {
		token = p.forge(token)
	}
	return token
}

func (p *provider) client(secret string) *staff.OIDC {
	return staff.NewOIDC(staff.OIDCConfig{Issuer: p.URL, ClientID: clientID, ClientSecret: bridge.Secret(secret), RedirectURL: redirectURL, Now: p.now})
}

// visit goes to the provider's page as a browser does and gives the query with
// which it comes back.
func (p *provider) visit(t *testing.T, address string) url.Values {
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

func signedBy(key crypto.Signer) func(string) string {
	return func(token string) string {
		parsed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
		if err != nil {
			panic(err)
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "RS256"}}, nil)
		if err != nil {
			panic(err)
		}
		signed, err := signer.Sign(parsed.UnsafePayloadWithoutVerification())
		if err != nil {
			panic(err)
		}
		text, err := signed.CompactSerialize()
		if err != nil {
			panic(err)
		}
		return text
	}
}

func TestSignInByOpenIDConnect(t *testing.T) {
	for _, algorithm := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256} {
		for _, basic := range []bool{true, false} {
			t.Run(string(algorithm), func(t *testing.T) {
				t.Parallel()
				p := newProvider(t, time.Now)
				p.algorithm, p.basic = algorithm, basic
				o := p.client(clientSecret)
				for range 2 {
					address, attempt, err := o.Begin(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if strings.Contains(address, attempt.Verifier) {
						t.Fatal("the address shows the verifier")
					}
					who, err := o.Finish(t.Context(), attempt, p.visit(t, address))
					if err != nil || who.Subject != p.URL+"|4711" || who.Email != "anna@example.org" {
						t.Fatalf("identity: %+v %v", who, err)
					}
				}
				if n := strings.Count(strings.Join(p.asked, " "), "openid-configuration"); n != 1 {
					t.Errorf("discovered %d times", n)
				}
			})
		}
	}
}

func TestForgedAnswersOfAProvider(t *testing.T) {
	t.Parallel()
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	unsigned := func(token string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + strings.Split(token, ".")[1] + "."
	}
	// The public key as a shared secret: everybody knows it.
	shared := func(p *provider) func(string) string {
		return func(token string) string {
			public, _ := json.Marshal(jose.JSONWebKey{Key: p.keys["RS256"].Public()})
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: public}, nil)
			if err != nil {
				panic(err)
			}
			payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
			signed, err := signer.Sign(payload)
			if err != nil {
				panic(err)
			}
			text, _ := signed.CompactSerialize()
			return text
		}
	}
	for name, c := range map[string]struct {
		prepare func(p *provider)
		answer  func(p *provider, q url.Values, a *staff.Attempt)
		want    error // nil: ErrIdentity
	}{
		"another's signature":    {prepare: func(p *provider) { p.forge = signedBy(stranger) }},
		"no signature":           {prepare: func(p *provider) { p.forge = unsigned }},
		"a shared secret":        {prepare: func(p *provider) { p.forge = shared(p) }},
		"changed claims":         {prepare: func(p *provider) { p.forge = changed }},
		"no token":               {prepare: func(p *provider) { p.forge = func(string) string { return "" } }},
		"no JWT":                 {prepare: func(p *provider) { p.forge = func(string) string { return "x.y.z" } }},
		"another nonce":          {prepare: func(p *provider) { p.claims = map[string]any{"nonce": "other"} }},
		"no nonce":               {prepare: func(p *provider) { p.claims = map[string]any{"nonce": nil} }},
		"another audience":       {prepare: func(p *provider) { p.claims = map[string]any{"aud": "other"} }},
		"no audience":            {prepare: func(p *provider) { p.claims = map[string]any{"aud": nil} }},
		"several audiences":      {prepare: func(p *provider) { p.claims = map[string]any{"aud": []string{"other", clientID}} }},
		"another party":          {prepare: func(p *provider) { p.claims = map[string]any{"azp": "other"} }},
		"another issuer":         {prepare: func(p *provider) { p.claims = map[string]any{"iss": "https://id.example.org"} }},
		"expired":                {prepare: func(p *provider) { p.claims = map[string]any{"exp": time.Now().Add(-time.Second).Unix()} }},
		"never expires":          {prepare: func(p *provider) { p.claims = map[string]any{"exp": nil} }},
		"not yet valid":          {prepare: func(p *provider) { p.claims = map[string]any{"nbf": time.Now().Add(time.Hour).Unix()} }},
		"no subject":             {prepare: func(p *provider) { p.claims = map[string]any{"sub": ""} }},
		"a subject with a space": {prepare: func(p *provider) { p.claims = map[string]any{"sub": "4711 "} }},
		"a long subject":         {prepare: func(p *provider) { p.claims = map[string]any{"sub": strings.Repeat("x", 500)} }},
		"another state":          {answer: func(_ *provider, q url.Values, _ *staff.Attempt) { q.Set("state", "other") }},
		"no state":               {answer: func(_ *provider, q url.Values, _ *staff.Attempt) { q.Del("state") }},
		"no attempt":             {answer: func(_ *provider, q url.Values, a *staff.Attempt) { *a = staff.Attempt{}; q.Del("state") }},
		"another's code":         {answer: func(_ *provider, q url.Values, _ *staff.Attempt) { q.Set("code", "other") }},
		"no code":                {answer: func(_ *provider, q url.Values, _ *staff.Attempt) { q.Del("code") }},
		"no verifier":            {answer: func(_ *provider, _ url.Values, a *staff.Attempt) { a.Verifier = "" }},
		"another verifier":       {answer: func(_ *provider, _ url.Values, a *staff.Attempt) { a.Verifier = strings.Repeat("x", 43) }},
		"from another issuer":    {answer: func(_ *provider, q url.Values, _ *staff.Attempt) { q.Set("iss", "https://id.example.org") }},
		"after half an hour":     {answer: func(_ *provider, _ url.Values, a *staff.Attempt) { a.Begun = a.Begun.Add(-30 * time.Minute) }},
		"the person said no":     {answer: func(_ *provider, q url.Values, _ *staff.Attempt) { q.Set("error", "access_denied") }, want: staff.ErrRefused},
		"the provider is away":   {answer: func(p *provider, _ url.Values, _ *staff.Attempt) { p.down = true }, want: staff.ErrProvider},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t, time.Now)
			if c.prepare != nil {
				c.prepare(p)
			}
			o := p.client(clientSecret)
			address, attempt, err := o.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			query := p.visit(t, address)
			if c.answer != nil {
				p.mu.Lock()
				c.answer(p, query, &attempt)
				p.mu.Unlock()
			}
			want := c.want
			if want == nil {
				want = staff.ErrIdentity
			}
			who, err := o.Finish(t.Context(), attempt, query)
			if !errors.Is(err, want) || who != (staff.Identity{}) {
				t.Fatalf("identity %+v, error %v", who, err)
			}
		})
	}
}

// changed puts another subject into a token.
func changed(token string) string {
	parts := strings.Split(token, ".")
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(payload), "4711", "4712", 1)))
	return strings.Join(parts, ".")
}

func TestOnlyVerifiedAddressesCount(t *testing.T) {
	t.Parallel()
	for name, claim := range map[string]any{"not verified": false, "not said": nil, "a text": "true", "a number": 1} {
		p := newProvider(t, time.Now)
		p.claims = map[string]any{"email_verified": claim}
		o := p.client(clientSecret)
		address, attempt, err := o.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		who, err := o.Finish(t.Context(), attempt, p.visit(t, address))
		if err != nil || who.Email != "" || who.Subject == "" {
			t.Errorf("%s: %+v %v", name, who, err)
		}
	}
}

func TestACodeOfAProviderWorksOnce(t *testing.T) {
	t.Parallel()
	p := newProvider(t, time.Now)
	o := p.client(clientSecret)
	address, attempt, err := o.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	query := p.visit(t, address)
	if _, err := o.Finish(t.Context(), attempt, query); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Finish(t.Context(), attempt, query); !errors.Is(err, staff.ErrIdentity) {
		t.Fatalf("error = %v", err)
	}
	// One who stole the answer of somebody else has another attempt.
	address, _, err = o.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, own, err := o.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stolen := p.visit(t, address)
	stolen.Set("state", own.State)
	if _, err := o.Finish(t.Context(), own, stolen); !errors.Is(err, staff.ErrIdentity) {
		t.Fatalf("error = %v", err)
	}
}

func TestProvidersThatAreAwayOrStrange(t *testing.T) {
	t.Parallel()
	p := newProvider(t, time.Now)
	p.down = true
	o := p.client(clientSecret)
	if _, _, err := o.Begin(t.Context()); !errors.Is(err, staff.ErrProvider) {
		t.Fatalf("error = %v", err)
	}
	p.mu.Lock()
	p.down = false
	p.mu.Unlock()
	if _, _, err := o.Begin(t.Context()); err != nil { // it is asked again
		t.Fatal(err)
	}
	for name, describe := range map[string]func(map[string]any){
		"another issuer": func(d map[string]any) { d["issuer"] = "https://id.example.org" },
		"a long one":     func(d map[string]any) { d["x"] = strings.Repeat("x", 2<<20) },
	} {
		p := newProvider(t, time.Now)
		p.describe = describe
		if _, _, err := p.client(clientSecret).Begin(t.Context()); !errors.Is(err, staff.ErrProvider) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wrong := p.client("another secret")
	address, attempt, err := wrong.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = wrong.Finish(t.Context(), attempt, p.visit(t, address))
	if !errors.Is(err, staff.ErrIdentity) || strings.Contains(err.Error(), "another secret") {
		t.Fatalf("error = %v", err)
	}
}

func TestIdentitiesFindTheirAccounts(t *testing.T) {
	d := newDesk(t)
	anna, err := d.Add(d.ctx, staff.Person{Login: "anna@example.org", Name: "Anna", Role: staff.RegionAdmin, Regions: []bridge.RegionID{d.region}}, "")
	d.ok(err)
	in := func(subject, email string) error {
		account, err := d.SignInIdentity(d.ctx, staff.Identity{Subject: "https://id.example.org|" + subject, Email: email})
		if err == nil && account.ID != anna {
			t.Fatalf("it is %+v", account)
		}
		return err
	}
	d.wants(in("1", ""), staff.ErrUnlinked)
	d.wants(in("1", "nobody@example.org"), staff.ErrUnlinked)
	d.wants(in("1", "anna@example.org\n"), staff.ErrUnlinked)
	d.wants(in("1", "anna@ex\u00e4mple.org"), staff.ErrUnlinked)
	all, err := d.store.Staff(d.ctx)
	d.ok(err)
	if len(all) != 1 || all[0].Subject != "" {
		t.Fatalf("accounts: %+v", all)
	}
	d.ok(in("1", "Anna@Example.org"))
	d.ok(in("1", "moved@example.org")) // the identity is what counts from now on
	d.wants(in("2", "anna@example.org"), staff.ErrUnlinked)
	d.wants(in("1 ", ""), staff.ErrUnlinked)
	last := d.lastAudit()
	if last.Action != "staff.sign-in" || last.Actor.Name != "anna@example.org" {
		t.Fatalf("audit: %+v", last)
	}

	// A lockout of the password is none of the identity.
	for range staff.LockAfter {
		d.wants(d.signIn("anna@example.org", other), staff.ErrSignIn)
	}
	d.ok(in("1", ""))
	d.ok(d.change(anna, func(p *staff.Person) { p.Disabled = true }))
	d.wants(in("1", "anna@example.org"), staff.ErrUnlinked)
	d.ok(d.change(anna, func(p *staff.Person) { p.Disabled = false }))
	d.ok(d.Store.LinkSubject(d.ctx, anna, ""))
	d.ok(in("2", "anna@example.org"))
}

func TestLettersThatBecomeOthersInLowerCase(t *testing.T) {
	d := newDesk(t)
	_, err := d.Add(d.ctx, staff.Person{Login: "mike@example.org", Name: "Mike", Role: staff.Operator}, good)
	d.ok(err)
	_, err = d.SignInIdentity(d.ctx, staff.Identity{Subject: "x|1", Email: "mi\u212ae@example.org"}) // a Kelvin sign
	d.wants(err, staff.ErrUnlinked)
}

func TestAnIdentityIsAskedForTheSecondFactor(t *testing.T) {
	d := newDesk(t)
	id, secret := d.withFactor("anna@example.org")
	account, err := d.SignInIdentity(d.ctx, staff.Identity{Subject: "x|1", Email: "anna@example.org"})
	d.wants(err, staff.ErrCodeNeeded)
	d.later(time.Minute)
	_, err = d.SignInCode(d.ctx, id, account.Epoch, code(t, secret, d.clock()))
	d.ok(err)
}
