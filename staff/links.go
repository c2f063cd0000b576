package staff

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"deskbridge/bridge"
)

// LinkLife is how long a one-time link is good.
const LinkLife = 24 * time.Hour

// LinkPath is where the console takes one-time links; the token follows.
const LinkPath = "/admin/link/"

// Link makes a one-time link by which a person sets a password, and gives its
// token, which is stored nowhere. Earlier links of the person are void. ErrNobody.
func (a *Accounts) Link(ctx context.Context, id ID) (token bridge.Secret, err error) {
	token, hash := newToken()
	if err := a.Store.AddLink(ctx, id, hash, a.Now().Add(LinkLife)); err != nil {
		return "", err
	}
	return token, nil
}

// FirstLink makes a one-time link by which the first operator makes the own
// account. ErrHasAccounts if there is one.
func (a *Accounts) FirstLink(ctx context.Context) (token bridge.Secret, err error) {
	some, err := a.Store.HasStaff(ctx)
	if err != nil {
		return "", err
	}
	if some {
		return "", ErrHasAccounts
	}
	return a.Link(ctx, 0)
}

// LinkOwner says whose link a token is, without using it; nil: the first
// account's. ErrLink.
func (a *Accounts) LinkOwner(ctx context.Context, token string) (*Person, error) {
	id, err := a.Store.LinkOwner(ctx, tokenHash(token))
	if err != nil {
		return nil, err
	}
	if id == 0 {
		some, err := a.Store.HasStaff(ctx)
		if err == nil && some {
			err = ErrLink
		}
		return nil, err
	}
	c, err := a.Store.StaffByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if c.Disabled {
		return nil, ErrLink
	}
	return &c.Person, nil
}

// UseLink sets the password of the link's person, ends the person's sessions
// and unlocks the account. The person signs in afterwards: a second factor is
// asked then. Errors: ErrLink and those of CheckPassword, which leave the link
// good.
func (a *Accounts) UseLink(ctx context.Context, token, password string) error {
	p, err := a.LinkOwner(ctx, token)
	if err != nil {
		return err
	}
	if p == nil {
		return ErrLink
	}
	hash, err := a.choose(ctx, password, p)
	if err != nil {
		return err
	}
	_, err = a.Store.UseLink(ctx, tokenHash(token), hash)
	return err
}

// UseFirstLink makes the first account, an operator's. Errors: ErrLink,
// ErrHasAccounts, and those of Clean and CheckPassword, which leave the link
// good.
func (a *Accounts) UseFirstLink(ctx context.Context, token string, p Person, password string) error {
	p.Role = Operator
	p, err := Clean(p)
	if err != nil {
		return err
	}
	if owner, err := a.LinkOwner(ctx, token); err != nil || owner != nil {
		if err == nil {
			err = ErrLink
		}
		return err
	}
	hash, err := a.choose(ctx, password, &p)
	if err != nil {
		return err
	}
	_, err = a.Store.UseFirstLink(bridge.WithActor(ctx, p.Actor()), tokenHash(token), p, hash)
	return err
}

// newToken makes a token of 256 bits and its hash.
func newToken() (bridge.Secret, [32]byte) {
	var random [32]byte
	rand.Read(random[:]) // never fails (crypto/rand)
	token := base64.RawURLEncoding.EncodeToString(random[:])
	return bridge.Secret(token), tokenHash(token)
}

func tokenHash(token string) [32]byte { return sha256.Sum256([]byte(token)) }
