package staff

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"deskbridge/bridge"
)

// Deps are what Accounts needs.
type Deps struct {
	Store  Store
	Pepper []byte // key of password hashes, which is not in the store
	Log    *slog.Logger
	Now    func() time.Time
}

// Accounts is what happens to accounts: people sign in, prove who they are, and
// are added and changed by operators. Whether the actor of a context may do so
// is the caller's question; here it only stands in the audit. What asks for no
// thought beside it (lists, ending sessions, removing) is the Store's. It is safe
// for concurrent use.
type Accounts struct {
	Deps
	hasher hasher
}

// NewAccounts puts Accounts together.
func NewAccounts(deps Deps) *Accounts { return &Accounts{deps, newHasher(deps.Pepper)} }

// Errors of signing in.
var (
	// ErrSignIn is the one answer to everything that is wrong with a login and
	// a password: unknown, wrong, locked, disabled. Another answer would tell
	// strangers which logins there are.
	ErrSignIn = errors.New("login or password is wrong, or the account is locked for a while")
	// ErrCodeNeeded: login and password are right, and the account has a second
	// factor.
	ErrCodeNeeded = errors.New("the code of the second factor is needed")
	// ErrOver: the session's person is disabled, or has ended the session
	// elsewhere.
	ErrOver = errors.New("the session is over")
	// ErrPasswordWrong: the password that somebody signed in must repeat.
	ErrPasswordWrong = errors.New("the password is wrong")
)

// Session gives the account of a session, which holds the number and the epoch
// that its sign-in gave. ErrOver if it is not good any more.
func (a *Accounts) Session(ctx context.Context, id ID, epoch int64) (*Account, error) {
	c, err := a.Store.StaffByID(ctx, id)
	switch {
	case errors.Is(err, ErrNobody):
		return nil, ErrOver
	case err != nil:
		return nil, err
	case c.Disabled || c.Epoch != epoch:
		return nil, ErrOver
	}
	return &c.Account, nil
}

// refusalTime is when a refused sign-in is answered at the earliest. What is
// looked up and noted takes some milliseconds more for a login that there is, and
// enough measurements would show it.
const refusalTime = 250 * time.Millisecond

// SignIn takes login and password. With a second factor the error is
// ErrCodeNeeded, the account is there nevertheless, and SignInCode comes next.
// Other errors are ErrSignIn and ErrBusy.
func (a *Accounts) SignIn(ctx context.Context, login, password string) (*Account, error) {
	pause := time.NewTimer(refusalTime)
	defer pause.Stop()
	account, err := a.signIn(ctx, login, password)
	if errors.Is(err, ErrSignIn) {
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
	return account, err
}

func (a *Accounts) signIn(ctx context.Context, login, password string) (*Account, error) {
	c, err := a.Store.StaffByLogin(ctx, strings.ToLower(strings.TrimSpace(login)))
	if errors.Is(err, ErrNobody) {
		return nil, a.refuse(ctx, 0, "unknown login", password)
	}
	if err != nil {
		return nil, err
	}
	try, err := a.Store.TakeTry(ctx, c.ID)
	if errors.Is(err, ErrLocked) {
		return nil, a.refuse(ctx, c.ID, "locked", password)
	}
	if err != nil {
		return nil, err
	}
	ok, err := a.check(ctx, c, password)
	if err != nil {
		return nil, errors.Join(err, a.Store.UndoTry(ctx, c.ID, try))
	}
	if !ok {
		a.failed(ctx, c, try, "password")
		return nil, ErrSignIn
	}
	if c.Disabled {
		a.failed(ctx, c, try, "disabled")
		return nil, ErrSignIn
	}
	if !c.HasTOTP {
		return a.signedIn(ctx, c, 0, "password")
	}
	if err := a.Store.UndoTry(ctx, c.ID, try); err != nil {
		return nil, err
	}
	return &c.Account, ErrCodeNeeded
}

// SignInCode takes the code of the second factor, after SignIn or
// SignInIdentity has given id and epoch with ErrCodeNeeded. Errors: ErrCode,
// ErrLocked, ErrOver.
func (a *Accounts) SignInCode(ctx context.Context, id ID, epoch int64, code string) (*Account, error) {
	if _, err := a.Session(ctx, id, epoch); err != nil {
		return nil, err
	}
	c, step, err := a.proveCode(ctx, id, code)
	if err != nil {
		return nil, err
	}
	return a.signedIn(ctx, c, step, "code")
}

// proveCode counts a try and gives the step of a good code.
func (a *Accounts) proveCode(ctx context.Context, id ID, code string) (*Credentials, int64, error) {
	try, err := a.Store.TakeTry(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	c, err := a.Store.StaffByID(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	if !c.HasTOTP { // it was removed in the meantime
		return nil, 0, ErrOver
	}
	step, err := codeStep(c.TOTP, code, c.TOTPStep, a.Now())
	if err != nil {
		a.failed(ctx, c, try, "code")
	}
	return c, step, err
}

// signedIn notes the sign-in, and by what it was proved at the end.
func (a *Accounts) signedIn(ctx context.Context, c *Credentials, step int64, by string) (*Account, error) {
	err := a.Store.SignedIn(bridge.WithActor(ctx, c.Actor()), c.ID, step)
	if err != nil {
		return nil, err
	}
	a.Log.InfoContext(ctx, "somebody has signed in", "staff", c.ID, "by", by)
	return &c.Account, nil
}

// refuse takes as long as a wrong password does.
func (a *Accounts) refuse(ctx context.Context, id ID, reason, password string) error {
	if _, _, err := a.hasher.check(ctx, password, ""); err != nil {
		return err
	}
	a.Log.InfoContext(ctx, "a sign-in was refused", "staff", id, "reason", reason)
	return ErrSignIn
}

// failed logs a failure, and that it locked the account.
func (a *Accounts) failed(ctx context.Context, c *Credentials, try Try, reason string) {
	if try.Until.IsZero() {
		a.Log.InfoContext(ctx, "a sign-in was refused", "staff", c.ID, "reason", reason, "failures", try.Failures)
		return
	}
	a.Log.WarnContext(ctx, "an account is locked for a while after too many failures", "staff", c.ID, "failures", try.Failures, "until", try.Until)
}

// check compares a password, and hashes it anew if today hashes are made in another way.
func (a *Accounts) check(ctx context.Context, c *Credentials, password string) (bool, error) {
	if utf8.RuneCountInString(norm.NFC.String(password)) > MaxPassword { // none is
		password = ""
	}
	ok, stale, err := a.hasher.check(ctx, password, c.Password)
	if err != nil || !ok || !stale {
		return ok, err
	}
	hash, err := a.hasher.hash(ctx, password)
	if err != nil {
		return false, err
	}
	return true, a.Store.Rehash(ctx, c.ID, c.Password, hash)
}

// prove asks somebody who is signed in for the password again; wrong ones count
// as failures. Errors: ErrPasswordWrong, ErrLocked.
func (a *Accounts) prove(ctx context.Context, id ID, password string) (*Credentials, error) {
	try, err := a.Store.TakeTry(ctx, id)
	if err != nil {
		return nil, err
	}
	c, err := a.Store.StaffByID(ctx, id)
	if err != nil {
		return nil, err
	}
	ok, err := a.check(ctx, c, password)
	if err == nil && !ok {
		a.failed(ctx, c, try, "password repeated")
		return nil, ErrPasswordWrong
	}
	return c, errors.Join(err, a.Store.UndoTry(ctx, id, try))
}

// ChangePassword takes the old password and a new one, ends the person's
// sessions and gives the epoch by which the caller's own goes on. Errors:
// ErrPasswordWrong, ErrLocked and those of CheckPassword.
func (a *Accounts) ChangePassword(ctx context.Context, id ID, old, password string) (epoch int64, err error) {
	c, err := a.prove(ctx, id, old)
	if err != nil {
		return 0, err
	}
	hash, err := a.choose(ctx, password, &c.Person)
	if err != nil {
		return 0, err
	}
	return a.Store.SetPassword(ctx, id, hash)
}

// choose hashes a password that somebody chose.
func (a *Accounts) choose(ctx context.Context, password string, p *Person) (string, error) {
	if err := CheckPassword(password, p); err != nil {
		return "", err
	}
	return a.hasher.hash(ctx, password)
}

// ConfirmTOTP stores a second factor once its first code is right, in the place
// of one that there is. It needs the password, for a screen that was left open;
// it ends the person's sessions and gives the epoch by which the caller's own
// goes on. Errors: ErrPasswordWrong, ErrCode, ErrLocked.
func (a *Accounts) ConfirmTOTP(ctx context.Context, id ID, password string, secret bridge.Secret, code string) (epoch int64, err error) {
	if _, err := a.prove(ctx, id, password); err != nil {
		return 0, err
	}
	step, err := codeStep(secret, code, 0, a.Now())
	if err != nil {
		return 0, err
	}
	return a.Store.SetTOTP(ctx, id, secret, step)
}

// RemoveTOTP removes the own second factor. It needs the password, and ends
// sessions as ConfirmTOTP does. Errors: ErrPasswordWrong, ErrLocked.
func (a *Accounts) RemoveTOTP(ctx context.Context, id ID, password string) (epoch int64, err error) {
	if _, err := a.prove(ctx, id, password); err != nil {
		return 0, err
	}
	return a.Store.SetTOTP(ctx, id, "", 0)
}

// Errors of what an operator says about a person.
var (
	ErrLoginText = errors.New("a login has 1 to 200 small letters of a to z, digits and . _ + - @, and begins with a letter or digit")
	ErrNameText  = errors.New("a name has 1 to 200 characters on one line")
	ErrRole      = errors.New("a role is operator, admin or viewer")
	ErrNoRegions = errors.New("a region admin or viewer needs at least one region")
	ErrLanguage  = errors.New("the console speaks de and en")
)

// loginForm has no letters beyond ASCII: some look alike, and some become others
// in lower case.
var loginForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._+@-]{0,199}$`)

// Clean gives a person as it is stored: the login in lower case, without spaces
// around texts; regions sorted, and none for an operator, who needs none.
func Clean(p Person) (Person, error) {
	p.Login = strings.ToLower(strings.TrimSpace(p.Login))
	p.Name = norm.NFC.String(strings.TrimSpace(p.Name))
	p.Regions = slices.Compact(slices.Sorted(slices.Values(p.Regions)))
	n := utf8.RuneCountInString(p.Name)
	switch {
	case !loginForm.MatchString(p.Login):
		return p, ErrLoginText
	case n < 1 || n > 200 || !utf8.ValidString(p.Name) || strings.ContainsFunc(p.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return p, ErrNameText
	case p.Role != Operator && p.Role != RegionAdmin && p.Role != Viewer:
		return p, ErrRole
	case p.Language != "" && p.Language != "de" && p.Language != "en":
		return p, ErrLanguage
	}
	if p.Role == Operator {
		p.Regions = nil
	} else if len(p.Regions) == 0 {
		return p, ErrNoRegions
	}
	return p, nil
}

// Add adds a person, with a password or without (empty): then a link lets the
// person set one, or the OpenID provider proves who it is. Errors: those of
// Clean and CheckPassword, ErrLoginTaken.
func (a *Accounts) Add(ctx context.Context, p Person, password string) (ID, error) {
	p, err := Clean(p)
	if err != nil {
		return 0, err
	}
	hash := ""
	if password != "" {
		if hash, err = a.choose(ctx, password, &p); err != nil {
			return 0, err
		}
	}
	return a.Store.AddStaff(ctx, p, hash)
}

// Change changes name, role, regions and whether a person is disabled, if they
// still are as in from. Errors: those of Clean, ErrChanged, ErrLastOperator.
func (a *Accounts) Change(ctx context.Context, from, to Person) error {
	to.Login = from.Login
	to, err := Clean(to)
	if err != nil {
		return err
	}
	return a.Store.ChangeStaff(ctx, from, to)
}

// SetLanguage stores the language in which a person reads the console; empty:
// the browser's. ErrLanguage.
func (a *Accounts) SetLanguage(ctx context.Context, id ID, language string) error {
	if language != "" && language != "de" && language != "en" {
		return ErrLanguage
	}
	return a.Store.SetStaffLanguage(ctx, id, language)
}

// ByID gives an account. ErrNobody.
func (a *Accounts) ByID(ctx context.Context, id ID) (*Account, error) {
	c, err := a.Store.StaffByID(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("account %d: %w", id, err)
	}
	return &c.Account, nil
}
