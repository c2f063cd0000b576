package storage

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Sessions keeps the console's sessions for github.com/alexedwards/scs/v2: it
// is a scs.CtxStore. The manager must hash tokens (HashTokenInStore), since a
// token is stored as it is given. What a session holds is sealed, and only with
// its own token, so that nobody who can write the database can make one.
type Sessions struct{ *database }

// Sessions gives the sessions in this store.
func (s *Store) Sessions() Sessions { return Sessions{s.database} }

const (
	// endedFor is how long it is remembered that a session has ended. A request
	// that began before would otherwise store it again when it is done, and a
	// stolen cookie would live on.
	endedFor = 24 * time.Hour
	// idleGrain is by how much the end of a session must move to be worth a
	// write. Every page moves it where there is an idle timeout, which ends a
	// session so much too early at most.
	idleGrain = time.Minute
)

func placeOf(token string) string { return "sessions.data/" + token }

// FindCtx gives the data of a session that has neither ended nor expired. One
// that was sealed with another key, or changed since, is not found.
func (s Sessions) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	sealed, err := list[string](s.read.WithContext(ctx), "SELECT data FROM sessions WHERE token = ? AND expires > ?", token, milli(s.now()))
	if err != nil {
		return nil, false, failure(fmt.Errorf("read session: %w", err))
	}
	if len(sealed) == 0 || sealed[0] == "" {
		return nil, false, nil
	}
	data, err := s.seal.open(placeOf(token), sealed[0])
	if err != nil {
		return nil, false, nil //nolint:nilerr // who holds it signs in again
	}
	return []byte(data), true, nil
}

// CommitCtx stores a session until expiry. One that has ended stays so, without
// an error.
func (s Sessions) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	if same, err := s.unmoved(ctx, token, data, expiry); same || err != nil {
		return err
	}
	sealed := []byte(s.seal.close(placeOf(token), string(data)))
	return s.write(ctx, func(tx *gorm.DB) error {
		n, err := exec(tx, "UPDATE sessions SET data = ?, expires = ? WHERE token = ? AND data <> x''", sealed, milli(expiry), token)
		if n > 0 || err != nil {
			return err
		}
		ended, err := list[string](tx, "SELECT token FROM sessions WHERE token = ?", token)
		if len(ended) > 0 || err != nil {
			return err
		}
		_, err = exec(tx, "INSERT INTO sessions (token, data, expires) VALUES (?, ?, ?)", token, sealed, milli(expiry))
		return err
	})
}

// unmoved says whether a session is stored already, with an end so near to
// expiry that the difference matters to nobody.
func (s Sessions) unmoved(ctx context.Context, token string, data []byte, expiry time.Time) (bool, error) {
	var (
		sealed string
		until  int64
	)
	err := one(s.read.WithContext(ctx), "SELECT data, expires FROM sessions WHERE token = ?", []any{token}, &sealed, &until)
	if none(err) {
		return false, nil
	}
	if err != nil {
		return false, failure(fmt.Errorf("read session: %w", err))
	}
	known, err := s.seal.open(placeOf(token), sealed)
	moved := expiry.Sub(moment(until))
	return err == nil && known == string(data) && moved >= 0 && moved < idleGrain, nil
}

// DeleteCtx ends a session for good.
func (s Sessions) DeleteCtx(ctx context.Context, token string) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		_, err := exec(tx, "UPDATE sessions SET data = x'', expires = ? WHERE token = ?", milli(s.now().Add(endedFor)), token)
		return err
	})
}

// Find is FindCtx without a context; scs asks for it and never calls it.
func (s Sessions) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit is CommitCtx without a context.
func (s Sessions) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

// Delete is DeleteCtx without a context.
func (s Sessions) Delete(token string) error {
	return s.DeleteCtx(context.Background(), token)
}
