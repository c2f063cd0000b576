package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// apiTokens keeps what lets programs in.
type apiTokens struct{ *database }

const tokenColumns = "SELECT id, name, scopes, regions, created_at, expires, used_at, revoked_at FROM api_tokens "

// tokens reads rows of api_tokens.
func tokens(tx *gorm.DB, where string, args ...any) ([]staff.APIToken, error) {
	var all []staff.APIToken
	err := each(tx, tokenColumns+where, args, func(scan func(...any) error) error {
		var (
			t                               staff.APIToken
			scopes, regions                 string
			created, expires, used, revoked int64
		)
		if err := scan(&t.ID, &t.Name, &scopes, &regions, &created, &expires, &used, &revoked); err != nil {
			return err
		}
		for scope := range strings.FieldsSeq(scopes) {
			t.Scopes = append(t.Scopes, staff.Scope(scope))
		}
		t.CreatedAt, t.Expires, t.UsedAt, t.RevokedAt = moment(created), moment(expires), moment(used), moment(revoked)
		if err := json.Unmarshal([]byte(regions), &t.Regions); err != nil {
			return fmt.Errorf("decode the regions of API token %d: %w", t.ID, err)
		}
		all = append(all, t)
		return nil
	})
	return all, err
}

// AddAPIToken stores a token under the hash of its secret, and fills ID and
// CreatedAt. The error is staff.ErrTokenTaken if a living one has the name: the
// audit and managed fields name tokens by it.
func (s apiTokens) AddAPIToken(ctx context.Context, t *staff.APIToken, hash staff.TokenHash) error {
	fresh := *t
	fresh.CreatedAt = moment(milli(s.now()))
	err := s.write(ctx, func(tx *gorm.DB) error {
		same, err := list[int64](tx, "SELECT id FROM api_tokens WHERE name = ? AND revoked_at = 0", t.Name)
		if err != nil {
			return err
		}
		if len(same) > 0 {
			return staff.ErrTokenTaken
		}
		regions, err := json.Marshal(t.Regions)
		if err != nil {
			return err
		}
		fresh.ID, err = insert(tx, "INSERT INTO api_tokens (token_hash, name, scopes, regions, created_at, expires, used_at, revoked_at) VALUES (?, ?, ?, ?, ?, ?, 0, 0)",
			hash[:], t.Name, scopesOf(t), string(regions), milli(fresh.CreatedAt), milli(t.Expires))
		if err != nil {
			return err
		}
		return s.noteToken(ctx, tx, &fresh)
	})
	if err == nil {
		*t = fresh
	}
	return err
}

// UseAPIToken finds the token of a hash, and marks that it was used: at most
// once an hour, so that not every request writes. The error is
// bridge.ErrAPIToken where there is none, or none that lives.
func (s apiTokens) UseAPIToken(ctx context.Context, hash staff.TokenHash, now time.Time) (staff.APIToken, error) {
	found, err := tokens(s.read.WithContext(ctx), "WHERE token_hash = ?", hash[:])
	if err != nil {
		return staff.APIToken{}, failure(err)
	}
	if len(found) == 0 || !found[0].Lives(now) {
		return staff.APIToken{}, bridge.ErrAPIToken
	}
	t, hour := found[0], now.Truncate(time.Hour)
	if t.UsedAt.Before(hour) {
		err := s.write(ctx, func(tx *gorm.DB) error {
			_, err := exec(tx, "UPDATE api_tokens SET used_at = ? WHERE id = ? AND used_at < ?", milli(hour), t.ID, milli(hour))
			return err
		})
		if err != nil {
			return staff.APIToken{}, err
		}
		t.UsedAt = moment(milli(hour))
	}
	return t, nil
}

// APITokens lists all tokens, also those that are revoked, the newest first.
func (s apiTokens) APITokens(ctx context.Context) ([]staff.APIToken, error) {
	all, err := tokens(s.read.WithContext(ctx), "ORDER BY id DESC")
	return all, failure(err)
}

// RevokeAPIToken ends a token; for one that is ended it does nothing. The error
// is staff.ErrTokenUnknown.
func (s apiTokens) RevokeAPIToken(ctx context.Context, id int64) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		found, err := tokens(tx, "WHERE id = ?", id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return staff.ErrTokenUnknown
		}
		n, err := exec(tx, "UPDATE api_tokens SET revoked_at = ? WHERE id = ? AND revoked_at = 0", milli(s.now()), id)
		if err != nil || n == 0 {
			return err
		}
		return s.note(ctx, tx, bridge.AuditEntry{Action: "token.revoke", Subject: found[0].Name})
	})
}

// noteToken notes what a new token may do, and where.
func (s apiTokens) noteToken(ctx context.Context, tx *gorm.DB, t *staff.APIToken) error {
	regions, expires := "all", "never"
	if t.Regions != nil {
		marks, ids := in(t.Regions)
		slugs, err := list[string](tx, "SELECT slug FROM regions WHERE id IN "+marks+" ORDER BY slug", ids...)
		if err != nil {
			return err
		}
		regions = strings.Join(slugs, ", ")
	}
	if !t.Expires.IsZero() {
		expires = t.Expires.UTC().Format(time.RFC3339)
	}
	return s.note(ctx, tx, bridge.AuditEntry{Action: "token.add", Subject: t.Name, Changes: []bridge.FieldChange{
		{Field: "scopes", To: scopesOf(t)}, {Field: "regions", To: regions}, {Field: "expires", To: expires},
	}})
}

// scopesOf gives the scopes of a token as they are stored.
func scopesOf(t *staff.APIToken) string {
	words := make([]string, len(t.Scopes))
	for i, scope := range t.Scopes {
		words[i] = string(scope)
	}
	return strings.Join(words, " ")
}
