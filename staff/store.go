package staff

import (
	"context"
	"errors"
	"time"

	"deskbridge/bridge"
)

// Account is a person as the console manages it: what proves the person is only
// said to be there.
type Account struct {
	Person
	Epoch       int64 // rises when all sessions of the person end
	HasPassword bool
	HasTOTP     bool
	Subject     string    // "issuer|sub" at the OpenID provider; empty: not linked
	LockedUntil time.Time // no password or code is looked at before; may be long ago

	SignedInBefore time.Time // the sign-in before the last; zero: there is none
	PasswordAt     time.Time // when it was set or changed; zero: not since the account was made
	FactorAt       time.Time // the same of the second factor, and its end
	IdentityAt     time.Time // the same of the link with the provider
	ToldAt         time.Time // until when the person was told of these by mail
}

// Credentials are an account with what proves it. They stay between this room
// and the store.
type Credentials struct {
	Account
	Password string        // its hash in the text form of hasher.hash; empty: none
	TOTP     bridge.Secret // base32; empty: none
	TOTPStep int64         // of the last code that was taken
}

// Try is one attempt to prove who one is, counted before it is looked at: so
// many attempts at once are no way around the lockout.
type Try struct {
	Failures int
	Until    time.Time // the account is locked from this try on; zero: it is not
}

// Lockout, which the store does in one statement: after so many failures an
// account is locked for lockFirst, and twice as long after each further one, but
// never for longer than lockLongest.
const (
	LockAfter   = 5
	LockFirst   = time.Minute
	LockLongest = time.Hour
)

// Errors of accounts. Whoever shows one says it in the reader's language.
var (
	ErrNobody       = errors.New("there is no such account")
	ErrLoginTaken   = errors.New("there is already an account with this login")
	ErrChanged      = errors.New("the account was changed by somebody else in the meantime")
	ErrLastOperator = errors.New("nobody else is an operator who can sign in")
	ErrHasHistory   = errors.New("the account has written or done what others refer to; it can be disabled")
	ErrLocked       = errors.New("the account is locked for a while after too many tries")
	ErrCode         = errors.New("the code is wrong, too old, or was used before")
	ErrLink         = errors.New("the link is unknown, used or too old")
	ErrHasAccounts  = errors.New("there are accounts already")
	ErrLinked       = errors.New("the account or the identity is already linked to another")
)

// Store keeps accounts. Every change that a person causes is in the audit, with
// the actor of the context. Methods that take an ID give ErrNobody for one that
// is not there.
type Store interface {
	// Staff lists all accounts by login.
	Staff(ctx context.Context) ([]Account, error)
	// HasStaff says whether there is any account.
	HasStaff(ctx context.Context) (bool, error)
	StaffByID(ctx context.Context, id ID) (*Credentials, error)
	StaffByLogin(ctx context.Context, login string) (*Credentials, error)
	StaffBySubject(ctx context.Context, subject string) (*Credentials, error)

	// AddStaff stores a new person, with a password hash or without (empty), and
	// gives its number. ErrLoginTaken.
	AddStaff(ctx context.Context, p Person, hash string) (ID, error)
	// ChangeStaff stores name, role, regions and whether the account is disabled,
	// if they still are as in from; else ErrChanged. Another role and disabling
	// end the person's sessions. ErrLastOperator.
	ChangeStaff(ctx context.Context, from, to Person) error
	// SetStaffLanguage stores the language of the console for a person.
	SetStaffLanguage(ctx context.Context, id ID, language string) error
	// RemoveStaff removes a person. ErrLastOperator, ErrHasHistory.
	RemoveStaff(ctx context.Context, id ID) error

	// SetPassword stores a password hash, unlocks the account, makes its links
	// void, ends all sessions and gives the epoch of new ones.
	SetPassword(ctx context.Context, id ID, hash string) (epoch int64, err error)
	// Rehash stores the hash of the same password with other parameters, if it
	// still is the old one.
	Rehash(ctx context.Context, id ID, old, hash string) error
	// EndSessions ends all sessions of a person and gives the epoch of new ones.
	EndSessions(ctx context.Context, id ID) (epoch int64, err error)
	// SetTOTP stores the secret of a second factor and the step of the code that
	// confirmed it; an empty secret removes the factor. It ends all sessions and
	// gives the epoch of new ones.
	SetTOTP(ctx context.Context, id ID, secret bridge.Secret, step int64) (epoch int64, err error)
	// LinkSubject links an account that has no identity yet with one of the
	// OpenID provider; empty takes it away. ErrLinked.
	LinkSubject(ctx context.Context, id ID, subject string) error

	// TakeTry counts a try against the account, and locks it with the last one
	// that it has. ErrLocked: it is locked, and the try is not counted.
	TakeTry(ctx context.Context, id ID) (Try, error)
	// UndoTry takes a try back that was no failure, unless there were others
	// since.
	UndoTry(ctx context.Context, id ID, try Try) error
	// SignedIn notes a sign-in and forgets failures. A step above 0 is that of
	// the code, and is taken once: else ErrCode.
	SignedIn(ctx context.Context, id ID, step int64) error

	// AddLink stores the hash of a one-time link for a person, in the place of
	// earlier ones; id 0: it makes the first account.
	AddLink(ctx context.Context, id ID, hash [32]byte, until time.Time) error
	// LinkOwner says whose link it is, without using it; 0: the first account's.
	// ErrLink.
	LinkOwner(ctx context.Context, hash [32]byte) (ID, error)
	// UseLink uses a link up and does SetPassword for its person. ErrLink.
	UseLink(ctx context.Context, hash [32]byte, password string) (ID, error)
	// UseFirstLink uses all first links up and does AddStaff, if there still is
	// no account. ErrLink, ErrHasAccounts.
	UseFirstLink(ctx context.Context, hash [32]byte, p Person, password string) (ID, error)
}
