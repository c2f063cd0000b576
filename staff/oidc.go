package staff

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"deskbridge/bridge"
)

const (
	// attemptLife is how long somebody may take at the provider's pages.
	attemptLife = 10 * time.Minute
	// providerTimeout bounds each request to the provider.
	providerTimeout = 10 * time.Second
	// maxProviderAnswer bounds what is read of the provider's answers, in bytes.
	maxProviderAnswer = 1 << 20
	// maxSubject is the longest "issuer|sub" that the store takes.
	maxSubject = 500
)

// Errors of signing in by OpenID Connect. What exactly was wrong is in the error
// that wraps them, for the log and not for the page.
var (
	// ErrProvider: the provider cannot be reached or answers with an error; the
	// same may succeed later.
	ErrProvider = errors.New("the OpenID provider cannot be reached, or it answers with an error")
	// ErrIdentity: what came back is not the answer to this attempt, or proves
	// nothing.
	ErrIdentity = errors.New("the answer of the OpenID provider is not valid")
	// ErrRefused: the person said no, or the provider did.
	ErrRefused = errors.New("the OpenID provider did not let the person in")
	// ErrUnlinked: the identity is good, and no account is linked with it or has
	// its verified e-mail address as login.
	ErrUnlinked = errors.New("no account belongs to this identity")
)

// OIDCConfig says which OpenID provider proves who people are.
type OIDCConfig struct {
	Issuer       string
	ClientID     string
	ClientSecret bridge.Secret
	RedirectURL  string // where the provider sends people back: an address of the console
	Now          func() time.Time
}

// OIDC lets an OpenID provider prove who somebody is: authorization code flow
// with PKCE (S256), state and nonce. It is safe for concurrent use.
type OIDC struct {
	cfg    OIDCConfig
	client *http.Client

	mu       sync.Mutex
	provider *oidc.Provider // nil: not discovered yet
}

// NewOIDC makes an OIDC. The provider is asked for nothing before somebody signs
// in, so it may be away when Deskbridge starts.
func NewOIDC(cfg OIDCConfig) *OIDC {
	return &OIDC{cfg: cfg, client: &http.Client{
		Timeout: providerTimeout, Transport: bounded{http.DefaultTransport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// bounded cuts answers off that are too long.
type bounded struct{ http.RoundTripper }

// RoundTrip makes one request.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxProviderAnswer)
	}
	return answer, err
}

// Attempt is a sign-in that has been begun. The browser's session keeps it, and
// Finish takes it once: the caller removes it first.
type Attempt struct {
	State, Nonce, Verifier string
	Begun                  time.Time
}

// Identity is who somebody is at the provider.
type Identity struct {
	Subject string // "issuer|sub"
	Email   string // empty: none that the provider has verified
}

// Begin gives the provider's address to send the browser to. ErrProvider.
func (o *OIDC) Begin(ctx context.Context) (address string, attempt Attempt, err error) {
	flow, _, err := o.flow(ctx)
	if err != nil {
		return "", Attempt{}, err
	}
	state, _ := newToken()
	nonce, _ := newToken()
	attempt = Attempt{string(state), string(nonce), oauth2.GenerateVerifier(), o.cfg.Now()}
	return flow.AuthCodeURL(attempt.State, oidc.Nonce(attempt.Nonce), oauth2.S256ChallengeOption(attempt.Verifier)), attempt, nil
}

// Finish takes the query with which the provider sent the browser back. Errors:
// ErrIdentity, ErrRefused, ErrProvider.
func (o *OIDC) Finish(ctx context.Context, attempt Attempt, query url.Values) (Identity, error) {
	age := o.cfg.Now().Sub(attempt.Begun)
	switch {
	case attempt.State == "" || subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(attempt.State)) != 1:
		return Identity{}, fmt.Errorf("%w: another state", ErrIdentity)
	case age < 0 || age > attemptLife:
		return Identity{}, fmt.Errorf("%w: it came too late", ErrIdentity)
	case query.Has("iss") && query.Get("iss") != o.cfg.Issuer: // RFC 9207
		return Identity{}, fmt.Errorf("%w: another issuer", ErrIdentity)
	case query.Has("error"):
		return Identity{}, fmt.Errorf("%w: %.100q", ErrRefused, query.Get("error"))
	}
	flow, provider, err := o.flow(ctx)
	if err != nil {
		return Identity{}, err
	}
	ctx = oidc.ClientContext(ctx, o.client)
	token, err := flow.Exchange(ctx, query.Get("code"), oauth2.VerifierOption(attempt.Verifier))
	var answered *oauth2.RetrieveError // its own text has the whole answer
	switch {
	case errors.As(err, &answered) && answered.Response.StatusCode >= http.StatusInternalServerError:
		return Identity{}, fmt.Errorf("%w: %s", ErrProvider, answered.Response.Status)
	case errors.As(err, &answered):
		return Identity{}, fmt.Errorf("%w: the code is not taken: %.100q", ErrIdentity, answered.ErrorCode)
	case err != nil:
		return Identity{}, fmt.Errorf("%w: %w", ErrProvider, err)
	}
	raw, _ := token.Extra("id_token").(string)
	verified, err := provider.Verifier(&oidc.Config{ClientID: o.cfg.ClientID, Now: o.cfg.Now}).Verify(ctx, raw)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	return o.identity(verified, attempt)
}

// identity reads an ID token whose signature, issuer, audience and time are
// good.
func (o *OIDC) identity(token *oidc.IDToken, attempt Attempt) (Identity, error) {
	var claims struct {
		Email    string `json:"email"`
		Verified any    `json:"email_verified"`
		Party    string `json:"azp"`
	}
	if err := token.Claims(&claims); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	who := Identity{Subject: o.cfg.Issuer + "|" + token.Subject}
	switch {
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(attempt.Nonce)) != 1:
		return Identity{}, fmt.Errorf("%w: another nonce", ErrIdentity)
	case claims.Party != "" && claims.Party != o.cfg.ClientID, claims.Party == "" && len(token.Audience) > 1:
		return Identity{}, fmt.Errorf("%w: it was made for another client", ErrIdentity)
	case token.Subject == "" || strings.TrimSpace(token.Subject) != token.Subject || len(who.Subject) > maxSubject: // MySQL sees no spaces at the end
		return Identity{}, fmt.Errorf("%w: the subject is empty, too long, or has spaces around it", ErrIdentity)
	}
	if claims.Verified == true { // some providers send a text: that is no promise
		who.Email = claims.Email
	}
	return who, nil
}

// flow gives what is needed to talk to the provider, and asks it once where
// everything is.
func (o *OIDC) flow(ctx context.Context) (*oauth2.Config, *oidc.Provider, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.provider == nil {
		// Whoever asks first asks for all who wait; and the provider keeps the
		// client, to fetch keys with it later.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), providerTimeout)
		defer cancel()
		found, err := oidc.NewProvider(oidc.ClientContext(ctx, o.client), o.cfg.Issuer)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrProvider, err)
		}
		o.provider = found
	}
	endpoint := o.provider.Endpoint()
	var described struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := o.provider.Claims(&described); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrProvider, err)
	}
	// Said and not tried out: a code that is shown twice is void.
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if len(described.Methods) > 0 && !slices.Contains(described.Methods, "client_secret_basic") {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{
		ClientID: o.cfg.ClientID, ClientSecret: string(o.cfg.ClientSecret), Endpoint: endpoint, RedirectURL: o.cfg.RedirectURL,
		Scopes: []string{oidc.ScopeOpenID, oidc.ScopeEmail},
	}, o.provider, nil
}

// SignInIdentity lets somebody in whom the provider knows: by the identity that
// the account is linked with, or once by a verified e-mail address that is the
// login of an account that has no identity yet; then they are linked. It never
// makes an account. Errors: ErrUnlinked, and ErrCodeNeeded as for SignIn.
func (a *Accounts) SignInIdentity(ctx context.Context, who Identity) (*Account, error) {
	c, err := a.Store.StaffBySubject(ctx, who.Subject)
	if errors.Is(err, ErrNobody) {
		c, err = a.link(ctx, who)
	}
	if err != nil {
		return nil, err
	}
	if c.Disabled {
		return nil, fmt.Errorf("%w: account %d is disabled", ErrUnlinked, c.ID)
	}
	if c.HasTOTP {
		return &c.Account, ErrCodeNeeded
	}
	return a.signedIn(ctx, c, 0, "identity")
}

// link finds the account that an operator made for somebody beforehand.
func (a *Accounts) link(ctx context.Context, who Identity) (*Credentials, error) {
	login := strings.ToLower(who.Email)
	// What is not ASCII can become another's address in lower case.
	if !loginForm.MatchString(login) || strings.ContainsFunc(who.Email, func(r rune) bool { return r > 0x7e }) {
		return nil, fmt.Errorf("%w: no verified e-mail address", ErrUnlinked)
	}
	c, err := a.Store.StaffByLogin(ctx, login)
	switch {
	case errors.Is(err, ErrNobody):
		return nil, fmt.Errorf("%w: no account has its e-mail address as login", ErrUnlinked)
	case err != nil:
		return nil, err
	case c.Subject != "":
		return nil, fmt.Errorf("%w: account %d is linked with another identity", ErrUnlinked, c.ID)
	case c.Disabled:
		return nil, fmt.Errorf("%w: account %d is disabled", ErrUnlinked, c.ID)
	}
	err = a.Store.LinkSubject(bridge.WithActor(ctx, c.Actor()), c.ID, who.Subject)
	if errors.Is(err, ErrLinked) {
		return nil, fmt.Errorf("%w: account %d was linked in the meantime", ErrUnlinked, c.ID)
	}
	return c, err
}
