package staff_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"deskbridge/bridge"
	"deskbridge/staff"
	"deskbridge/staff/openidtest"
)

const redirectURL = "https://chat.example.org/admin/oidc/"

func clientOf(p *openidtest.Provider, secret string) *staff.OIDC {
	return staff.NewOIDC(staff.OIDCConfig{Issuer: p.URL, ClientID: openidtest.ClientID, ClientSecret: bridge.Secret(secret), RedirectURL: redirectURL, Now: time.Now})
}

func signedBy(key crypto.Signer) func(string) string {
	return func(token string) string {
		parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
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
				p := openidtest.New(t, redirectURL, time.Now)
				p.Algorithm, p.Basic = algorithm, basic
				o := clientOf(p, openidtest.ClientSecret)
				for range 2 {
					address, attempt, err := o.Begin(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if strings.Contains(address, attempt.Verifier) {
						t.Fatal("the address shows the verifier")
					}
					who, err := o.Finish(t.Context(), attempt, p.Visit(t, address))
					if err != nil || who.Subject != p.URL+"|4711" || who.Email != "anna@example.org" {
						t.Fatalf("identity: %+v %v", who, err)
					}
				}
				if n := strings.Count(strings.Join(p.Asked(), " "), "openid-configuration"); n != 1 {
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
	shared := func(p *openidtest.Provider) func(string) string {
		return func(token string) string {
			public, _ := json.Marshal(jose.JSONWebKey{Key: p.Keys["RS256"].Public()})
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
		prepare func(p *openidtest.Provider)
		answer  func(p *openidtest.Provider, q url.Values, a *staff.Attempt)
		want    error // nil: ErrIdentity
	}{
		"another's signature":    {prepare: func(p *openidtest.Provider) { p.Forge = signedBy(stranger) }},
		"no signature":           {prepare: func(p *openidtest.Provider) { p.Forge = unsigned }},
		"a shared secret":        {prepare: func(p *openidtest.Provider) { p.Forge = shared(p) }},
		"changed claims":         {prepare: func(p *openidtest.Provider) { p.Forge = changed }},
		"no token":               {prepare: func(p *openidtest.Provider) { p.Forge = func(string) string { return "" } }},
		"no JWT":                 {prepare: func(p *openidtest.Provider) { p.Forge = func(string) string { return "x.y.z" } }},
		"another nonce":          {prepare: func(p *openidtest.Provider) { p.Claims = map[string]any{"nonce": "other"} }},
		"no nonce":               {prepare: func(p *openidtest.Provider) { p.Claims = map[string]any{"nonce": nil} }},
		"another audience":       {prepare: func(p *openidtest.Provider) { p.Claims = map[string]any{"aud": "other"} }},
		"no audience":            {prepare: func(p *openidtest.Provider) { p.Claims = map[string]any{"aud": nil} }},
		"several audiences":      {prepare: func(p *openidtest.Provider) { p.Claims = map[string]any{"aud": []string{"other", openidtest.ClientID}} }},
		"another party":          {prepare: func(p *openidtest.Provider) { p.Claims = map[string]any{"azp": "other"} }},
		"another issuer":         {prepare: func(p *openidtest.Provider) { p.Claims = map[string]any{"iss": "https://id.example.org"} }},
		"expired":                {prepare: func(p *openidtest.Provider) { p.Claims = map[string]any{"exp": time.Now().Add(-time.Second).Unix()} }},
		"never expires":          {prepare: func(p *openidtest.Provider) { p.Claims = map[string]any{"exp": nil} }},
		"not yet valid":          {prepare: func(p *openidtest.Provider) { p.Claims = map[string]any{"nbf": time.Now().Add(time.Hour).Unix()} }},
		"no subject":             {prepare: func(p *openidtest.Provider) { p.Claims = map[string]any{"sub": ""} }},
		"a subject with a space": {prepare: func(p *openidtest.Provider) { p.Claims = map[string]any{"sub": "4711 "} }},
		"a long subject":         {prepare: func(p *openidtest.Provider) { p.Claims = map[string]any{"sub": strings.Repeat("x", 500)} }},
		"another state":          {answer: func(_ *openidtest.Provider, q url.Values, _ *staff.Attempt) { q.Set("state", "other") }},
		"no state":               {answer: func(_ *openidtest.Provider, q url.Values, _ *staff.Attempt) { q.Del("state") }},
		"no attempt":             {answer: func(_ *openidtest.Provider, q url.Values, a *staff.Attempt) { *a = staff.Attempt{}; q.Del("state") }},
		"another's code":         {answer: func(_ *openidtest.Provider, q url.Values, _ *staff.Attempt) { q.Set("code", "other") }},
		"no code":                {answer: func(_ *openidtest.Provider, q url.Values, _ *staff.Attempt) { q.Del("code") }},
		"no verifier":            {answer: func(_ *openidtest.Provider, _ url.Values, a *staff.Attempt) { a.Verifier = "" }},
		"another verifier":       {answer: func(_ *openidtest.Provider, _ url.Values, a *staff.Attempt) { a.Verifier = strings.Repeat("x", 43) }},
		"from another issuer":    {answer: func(_ *openidtest.Provider, q url.Values, _ *staff.Attempt) { q.Set("iss", "https://id.example.org") }},
		"after half an hour":     {answer: func(_ *openidtest.Provider, _ url.Values, a *staff.Attempt) { a.Begun = a.Begun.Add(-30 * time.Minute) }},
		"the person said no":     {answer: func(_ *openidtest.Provider, q url.Values, _ *staff.Attempt) { q.Set("error", "access_denied") }, want: staff.ErrRefused},
		"the provider is away":   {answer: func(p *openidtest.Provider, _ url.Values, _ *staff.Attempt) { p.Down = true }, want: staff.ErrProvider},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := openidtest.New(t, redirectURL, time.Now)
			if c.prepare != nil {
				c.prepare(p)
			}
			o := clientOf(p, openidtest.ClientSecret)
			address, attempt, err := o.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			query := p.Visit(t, address)
			if c.answer != nil {
				p.Set(func() { c.answer(p, query, &attempt) })
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
		p := openidtest.New(t, redirectURL, time.Now)
		p.Claims = map[string]any{"email_verified": claim}
		o := clientOf(p, openidtest.ClientSecret)
		address, attempt, err := o.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		who, err := o.Finish(t.Context(), attempt, p.Visit(t, address))
		if err != nil || who.Email != "" || who.Subject == "" {
			t.Errorf("%s: %+v %v", name, who, err)
		}
	}
}

func TestACodeOfAProviderWorksOnce(t *testing.T) {
	t.Parallel()
	p := openidtest.New(t, redirectURL, time.Now)
	o := clientOf(p, openidtest.ClientSecret)
	address, attempt, err := o.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	query := p.Visit(t, address)
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
	stolen := p.Visit(t, address)
	stolen.Set("state", own.State)
	if _, err := o.Finish(t.Context(), own, stolen); !errors.Is(err, staff.ErrIdentity) {
		t.Fatalf("error = %v", err)
	}
}

func TestProvidersThatAreAwayOrStrange(t *testing.T) {
	t.Parallel()
	p := openidtest.New(t, redirectURL, time.Now)
	p.Down = true
	o := clientOf(p, openidtest.ClientSecret)
	if _, _, err := o.Begin(t.Context()); !errors.Is(err, staff.ErrProvider) {
		t.Fatalf("error = %v", err)
	}
	p.Set(func() { p.Down = false })
	if _, _, err := o.Begin(t.Context()); err != nil { // it is asked again
		t.Fatal(err)
	}
	for name, describe := range map[string]func(map[string]any){
		"another issuer": func(d map[string]any) { d["issuer"] = "https://id.example.org" },
		"a long one":     func(d map[string]any) { d["x"] = strings.Repeat("x", 2<<20) },
	} {
		p := openidtest.New(t, redirectURL, time.Now)
		p.Describe = describe
		if _, _, err := clientOf(p, openidtest.ClientSecret).Begin(t.Context()); !errors.Is(err, staff.ErrProvider) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wrong := clientOf(p, "another secret")
	address, attempt, err := wrong.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = wrong.Finish(t.Context(), attempt, p.Visit(t, address))
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
