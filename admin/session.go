package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"deskbridge/staff"
)

// errSignedOut sends to the sign-in page.
var errSignedOut = errors.New("nobody is signed in")

// What a session holds. Values are of basic types, so that a session of an
// earlier version can be read.
const (
	keyPerson  = "person"
	keyEpoch   = "epoch"
	keyTouched = "touched" // Unix seconds
)

// touchEvery is how exactly the idle time of a session is known. Each touch is a
// write.
const touchEvery = time.Minute

// The names of the cookie. A browser takes the first only over TLS, only for the
// whole host, and from nobody else's subdomain (RFC 6265bis, __Host-).
const (
	cookieSecure = "__Host-deskbridge"
	cookiePlain  = "deskbridge"
)

// Sessions keeps people signed in. Over TLS the cookie is Secure; only a console
// that is opened on the machine itself, by plain HTTP at a loopback address, has
// one that is not, since some browsers would drop it.
type Sessions struct {
	secure, plain *scs.SessionManager
}

// NewSessions makes sessions that end after lifetime, or when nothing was asked
// for idle. The store must keep hashes as keys for 43 characters.
func NewSessions(store scs.CtxStore, lifetime, idle time.Duration) *Sessions {
	manager := func(name string, secure bool) *scs.SessionManager {
		// Not scs.New, which starts a goroutine that never ends for a store in
		// memory.
		return &scs.SessionManager{
			Store: store, HashTokenInStore: true, Codec: scs.GobCodec{}, Lifetime: lifetime, IdleTimeout: idle,
			Cookie: scs.SessionCookie{Name: name, Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode},
		}
	}
	return &Sessions{secure: manager(cookieSecure, true), plain: manager(cookiePlain, false)}
}

// of gives the manager for a request.
func (s *Sessions) of(r *http.Request) *scs.SessionManager {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	if r.TLS == nil && r.Header.Get("X-Forwarded-Proto") != "https" && (host == "localhost" || ip != nil && ip.IsLoopback()) {
		return s.plain
	}
	return s.secure
}

// load finds the session of a request and who it belongs to, and keeps it from
// idling out. A session that is unknown, over, or from before its person's
// epoch is nobody's.
func (s *Sessions) load(r *Request, accounts *staff.Accounts) error {
	m := s.of(r.Request)
	token := ""
	if cookie, err := r.Request.Cookie(m.Cookie.Name); err == nil {
		token = cookie.Value
	}
	ctx, err := m.Load(r.Request.Context(), token)
	if err != nil {
		return fmt.Errorf("load session: %w", err)
	}
	r.Request = r.Request.WithContext(ctx)
	id := staff.ID(m.GetInt64(ctx, keyPerson))
	if id == 0 {
		return nil
	}
	account, err := accounts.Session(ctx, id, m.GetInt64(ctx, keyEpoch))
	if errors.Is(err, staff.ErrOver) {
		return s.end(r)
	}
	if err != nil {
		return fmt.Errorf("find the person of a session: %w", err)
	}
	r.Account, r.Person = account, &account.Person
	if account.Language != "" {
		r.Language = account.Language
	}
	now := r.door.Now().Unix()
	if now-m.GetInt64(ctx, keyTouched) < int64(touchEvery/time.Second) {
		return nil
	}
	m.Put(ctx, keyTouched, now)
	return s.keep(r)
}

// begin signs a person in, with a new token: whoever planted or read the old one
// has nothing.
func (s *Sessions) begin(r *Request, account *staff.Account) error {
	m, ctx := s.of(r.Request), r.Request.Context()
	if err := s.renew(r); err != nil {
		return err
	}
	m.Put(ctx, keyPerson, int64(account.ID))
	m.Put(ctx, keyEpoch, account.Epoch)
	m.Put(ctx, keyTouched, r.door.Now().Unix())
	r.Account, r.Person = account, &account.Person
	return s.keep(r)
}

// renew gives a session that holds nothing another token, before it holds
// something worth having.
func (s *Sessions) renew(r *Request) error {
	m, ctx := s.of(r.Request), r.Request.Context()
	if err := m.Clear(ctx); err != nil {
		return err
	}
	return m.RenewToken(ctx)
}

// end signs out.
func (s *Sessions) end(r *Request) error {
	m, ctx := s.of(r.Request), r.Request.Context()
	if err := m.Destroy(ctx); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	r.Account, r.Person = nil, nil
	m.WriteSessionCookie(ctx, r.Writer, "", time.Time{})
	return nil
}

// keep stores what was put into the session, before the answer begins.
func (s *Sessions) keep(r *Request) error {
	m, ctx := s.of(r.Request), r.Request.Context()
	token, expiry, err := m.Commit(ctx)
	if err != nil {
		return fmt.Errorf("store session: %w", err)
	}
	m.WriteSessionCookie(ctx, r.Writer, token, expiry)
	return nil
}

// put, take and look are for what a page must remember between two requests of
// the same browser, signed in or not, such as the second step of signing in.
func (s *Sessions) put(r *Request, key, value string) error {
	s.of(r.Request).Put(r.Request.Context(), key, value)
	return s.keep(r)
}

func (s *Sessions) take(r *Request, key string) (string, error) {
	value := s.of(r.Request).PopString(r.Request.Context(), key)
	return value, s.keep(r)
}

func (s *Sessions) look(r *Request, key string) string {
	return s.of(r.Request).GetString(r.Request.Context(), key)
}

// Token makes a session without a browser, for tests and measurements.
// It gives the plain cookie, as a console on a loopback address has it.
func (s *Sessions) Token(ctx context.Context, id staff.ID, epoch int64) (*http.Cookie, error) {
	ctx, err := s.plain.Load(ctx, "")
	if err != nil {
		return nil, err
	}
	s.plain.Put(ctx, keyPerson, int64(id))
	s.plain.Put(ctx, keyEpoch, epoch)
	token, expiry, err := s.plain.Commit(ctx)
	if err != nil {
		return nil, err
	}
	return &http.Cookie{Name: cookiePlain, Value: token, Expires: expiry, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}, nil
}
