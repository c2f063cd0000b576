package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"deskbridge/server"
	"deskbridge/staff"
)

const (
	codePath     = "/admin/sign-in/code/"
	providerPath = "/admin/sign-in/provider/"
	// ProviderPath is where the OpenID provider sends people back to.
	ProviderPath = "/admin/oidc/"
)

// Provider is the OpenID provider that the sign-in page offers.
type Provider struct {
	Name string // as the button says it
	OIDC *staff.OIDC
}

// SignIns bound how often one client address may try to come in, beside what the
// frame allows to it: who tries the same password at many accounts is stopped by
// no lockout.
type SignIns struct {
	Limit  *server.Limiter                                    // nil: no limit
	Client func(*http.Request) (address string, limited bool) // as server.Server.Client
}

// entrance is how people come in and go.
type entrance struct{ *Door }

// bounded counts a request among the sign-ins of its address.
func (d entrance) bounded(handle func(*Request) error) func(*Request) error {
	return func(r *Request) error {
		if d.SignIns.Limit != nil {
			if address, limited := d.SignIns.Client(r.Request); limited {
				if err := d.SignIns.Limit.Check(r.Context, address); err != nil {
					form := d.signInForm("")
					form.Problem = r.T("signin.busy")
					return r.ShowStatus(http.StatusTooManyRequests, "signin", form)
				}
			}
		}
		return handle(r)
	}
}

func (d entrance) routes() []route {
	routes := []route{
		{http.MethodGet, signInPath, staff.Anybody, d.askPassword},
		{http.MethodPost, signInPath, staff.Anybody, d.bounded(d.takePassword)},
		{http.MethodGet, codePath, staff.Anybody, d.askCode},
		{http.MethodPost, codePath, staff.Anybody, d.bounded(d.takeCode)},
		{http.MethodPost, "/admin/sign-out/", staff.Anybody, d.signOut},
		{http.MethodGet, staff.LinkPath + ":token", staff.Anybody, d.askLink},
		{http.MethodPost, staff.LinkPath + ":token", staff.Anybody, d.bounded(d.takeLink)},
	}
	if d.Provider != nil {
		routes = append(routes,
			route{http.MethodGet, providerPath, staff.Anybody, d.bounded(d.askProvider)},
			route{http.MethodGet, ProviderPath, staff.Anybody, d.bounded(d.takeProvider)},
		)
	}
	return routes
}

// signInForm is the page on which everything begins.
type signInForm struct {
	Login, Next, Problem string
	Provider             *Provider
	ProviderPath         string
}

func (d entrance) signInForm(next string) signInForm {
	next = safeNext(next)
	return signInForm{Next: next, Provider: d.Provider, ProviderPath: providerPath + "?next=" + url.QueryEscape(next)}
}

func (d entrance) askPassword(r *Request) error {
	form := d.signInForm(r.Query("next"))
	if r.Person != nil {
		return r.Done(form.Next, "")
	}
	return r.Show("signin", form)
}

func (d entrance) takePassword(r *Request) error {
	fields, err := r.Form()
	if err != nil {
		return err
	}
	form := d.signInForm(fields.Get("next"))
	account, err := d.Accounts.SignIn(r.Request.Context(), fields.Get("login"), fields.Get("password"))
	status := http.StatusUnprocessableEntity
	switch {
	case errors.Is(err, staff.ErrSignIn):
		form.Problem = r.T("signin.wrong")
	case errors.Is(err, staff.ErrBusy):
		status, form.Problem = http.StatusServiceUnavailable, r.T("signin.busy")
		r.Header("Retry-After", "10")
	default:
		return d.enterAs(r, account, form.Next, err)
	}
	form.Login = fields.Get("login")
	return r.ShowStatus(status, "signin", form)
}

// enterAs signs an account in, or asks for its second factor first, as the error
// of the sign-in says.
func (d entrance) enterAs(r *Request, account *staff.Account, next string, err error) error {
	switch {
	case errors.Is(err, staff.ErrCodeNeeded):
		return d.pend(r, account, next)
	case err != nil:
		return err
	}
	if err := d.Sessions.begin(r, account); err != nil {
		return err
	}
	return r.Done(next, "")
}

// What a session holds on the way to being signed in.
const (
	keyPending = "pending" // pending as JSON
	keyAttempt = "attempt" // of the OpenID provider, as JSON
)

// pending is somebody whose password was right, and whose code is still to come.
type pending struct {
	ID    staff.ID
	Epoch int64
	Next  string
	Until time.Time
}

// pendingLife is how long somebody may look for the phone.
const pendingLife = 10 * time.Minute

func (d entrance) pend(r *Request, account *staff.Account, next string) error {
	state, err := json.Marshal(pending{account.ID, account.Epoch, next, d.Now().Add(pendingLife)})
	if err != nil {
		return fmt.Errorf("encode pending sign-in: %w", err)
	}
	if err := d.Sessions.renew(r); err != nil {
		return err
	}
	if err := d.Sessions.put(r, keyPending, string(state)); err != nil {
		return err
	}
	return r.Done(codePath, "")
}

// pending gives who is to enter a code; false: nobody.
func (d entrance) pending(r *Request) (p pending, ok bool) {
	err := json.Unmarshal([]byte(d.Sessions.look(r, keyPending)), &p)
	return p, err == nil && d.Now().Before(p.Until)
}

func (d entrance) askCode(r *Request) error {
	if _, ok := d.pending(r); !ok {
		return r.Done(signInPath, "")
	}
	return r.Show("signincode", struct{ Problem string }{})
}

func (d entrance) takeCode(r *Request) error {
	fields, err := r.Form()
	if err != nil {
		return err
	}
	p, ok := d.pending(r)
	if !ok {
		return r.Done(signInPath, "again")
	}
	account, err := d.Accounts.SignInCode(r.Request.Context(), p.ID, p.Epoch, fields.Get("code"))
	problem := ""
	switch {
	case errors.Is(err, staff.ErrCode):
		problem = r.T("signincode.wrong")
	case errors.Is(err, staff.ErrLocked):
		problem = r.T("signincode.locked")
	case errors.Is(err, staff.ErrOver):
		if _, err := d.Sessions.take(r, keyPending); err != nil {
			return err
		}
		return r.Done(signInPath, "again")
	default:
		return d.enterAs(r, account, safeNext(p.Next), err)
	}
	return r.ShowStatus(http.StatusUnprocessableEntity, "signincode", struct{ Problem string }{problem})
}

func (d entrance) signOut(r *Request) error {
	if err := d.Sessions.end(r); err != nil {
		return err
	}
	return r.Done(signInPath, "out")
}

// attempt is a sign-in at the provider, and where to go on to afterwards.
type attempt struct {
	staff.Attempt
	Next string
}

// askProvider sends the browser to the OpenID provider.
func (d entrance) askProvider(r *Request) error {
	address, begun, err := d.Provider.OIDC.Begin(r.Request.Context())
	if err != nil {
		return d.refuseIdentity(r, err)
	}
	state, err := json.Marshal(attempt{begun, safeNext(r.Query("next"))})
	if err != nil {
		return fmt.Errorf("encode attempt: %w", err)
	}
	if err := d.Sessions.put(r, keyAttempt, string(state)); err != nil {
		return err
	}
	r.Redirect(http.StatusSeeOther, address)
	return nil
}

// takeProvider takes whom the OpenID provider sends back.
func (d entrance) takeProvider(r *Request) error {
	var begun attempt
	if err := json.Unmarshal([]byte(d.Sessions.look(r, keyAttempt)), &begun); err != nil {
		return d.refuseIdentity(r, fmt.Errorf("%w: this browser has begun nothing", staff.ErrIdentity))
	}
	if _, err := d.Sessions.take(r, keyAttempt); err != nil { // once, whatever comes of it
		return err
	}
	who, err := d.Provider.OIDC.Finish(r.Request.Context(), begun.Attempt, r.Request.URL.Query())
	if err != nil {
		return d.refuseIdentity(r, err)
	}
	account, err := d.Accounts.SignInIdentity(r.Request.Context(), who)
	if errors.Is(err, staff.ErrUnlinked) {
		return d.refuseIdentity(r, err)
	}
	return d.enterAs(r, account, safeNext(begun.Next), err)
}

// refuseIdentity says on the sign-in page why the provider's word is not enough,
// and in the log what exactly it was.
func (d entrance) refuseIdentity(r *Request, err error) error {
	status, key := http.StatusUnprocessableEntity, ""
	switch {
	case errors.Is(err, staff.ErrProvider):
		status, key = http.StatusServiceUnavailable, "signin.provider_away"
	case errors.Is(err, staff.ErrRefused):
		key = "signin.provider_refused"
	case errors.Is(err, staff.ErrUnlinked):
		key = "signin.provider_unlinked"
	case errors.Is(err, staff.ErrIdentity):
		key = "signin.provider_invalid"
	default:
		return err
	}
	d.Log.InfoContext(r.Request.Context(), "a sign-in by OpenID Connect was refused", "error", err)
	form := d.signInForm("")
	form.Problem = r.T(key)
	return r.ShowStatus(status, "signin", form)
}

// linkForm is the page of a one-time link.
type linkForm struct {
	Person          *staff.Person // nil: the first account is made
	Login, Name     string
	LoginProblem    string
	NameProblem     string
	PasswordProblem string
	AgainProblem    string
}

func (d entrance) askLink(r *Request) error {
	owner, err := d.Accounts.LinkOwner(r.Request.Context(), r.Param("token"))
	if errors.Is(err, staff.ErrLink) {
		return r.ShowStatus(http.StatusNotFound, "linkvoid", nil)
	}
	if err != nil {
		return err
	}
	return r.Show("link", linkForm{Person: owner})
}

// takeLink uses the link up. The person signs in afterwards: the link proves that
// somebody has read it, and a second factor is asked only then.
func (d entrance) takeLink(r *Request) error {
	fields, err := r.Form()
	if err != nil {
		return err
	}
	ctx, token := r.Request.Context(), r.Param("token")
	form := linkForm{Login: fields.Get("login"), Name: fields.Get("name")}
	if form.Person, err = d.Accounts.LinkOwner(ctx, token); err == nil {
		switch {
		case fields.Get("password") != fields.Get("again"):
			form.AgainProblem = r.T("account.again_differs")
			return r.ShowStatus(http.StatusUnprocessableEntity, "link", form)
		case form.Person == nil:
			err = d.Accounts.UseFirstLink(ctx, token, staff.Person{Login: form.Login, Name: form.Name}, fields.Get("password"))
		default:
			err = d.Accounts.UseLink(ctx, token, fields.Get("password"))
		}
	}
	switch {
	case err == nil:
		return r.Done(signInPath, "password")
	case errors.Is(err, staff.ErrLink), errors.Is(err, staff.ErrHasAccounts):
		return r.ShowStatus(http.StatusNotFound, "linkvoid", nil)
	case errors.Is(err, staff.ErrLoginText):
		form.LoginProblem = trouble(r, err)
	case errors.Is(err, staff.ErrNameText):
		form.NameProblem = trouble(r, err)
	default:
		if form.PasswordProblem = trouble(r, err); form.PasswordProblem == "" {
			return err
		}
	}
	return r.ShowStatus(http.StatusUnprocessableEntity, "link", form)
}

// trouble says in words what is wrong with something that was typed; empty for
// errors that are nobody's fault.
func trouble(r *Request, err error) string {
	for known, key := range map[error]string{
		staff.ErrPasswordShort: "account.password_short", staff.ErrPasswordLong: "account.password_long", staff.ErrPasswordText: "account.password_text",
		staff.ErrPasswordCommon: "account.password_common", staff.ErrPasswordSelf: "account.password_self",
		staff.ErrPasswordWrong: "account.password_wrong", staff.ErrLocked: "account.locked", staff.ErrBusy: "signin.busy", staff.ErrCode: "signincode.wrong",
		staff.ErrLoginText: "person.login_text", staff.ErrLoginTaken: "person.login_taken", staff.ErrNameText: "person.name_text",
		staff.ErrRole: "person.role_missing", staff.ErrNoRegions: "person.regions_missing", staff.ErrChanged: "person.changed",
		staff.ErrLastOperator: "person.last_operator", staff.ErrHasHistory: "person.has_history",
	} {
		if errors.Is(err, known) {
			return r.T(key)
		}
	}
	return ""
}
