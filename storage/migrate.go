package storage

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// How instances that start at once agree on who migrates.
const (
	// migrationLease is how long a migration is somebody's without a sign of
	// life; it is prolonged at a third of it.
	//
	// Failure policy: if the migrating process dies, the next start waits until
	// the lease is over and goes on with what is missing.
	migrationLease = 30 * time.Second
	migrationLook  = 50 * time.Millisecond // how often the others look
)

// schema is a connection for migrations only.
type schema struct {
	*sql.DB
	dialect goose.Dialect
	folder  fs.FS
	exists  string // counts the version table
}

func dialSchema(c Config) (*schema, error) {
	s := &schema{}
	var err error
	var folder string
	switch scheme, _, _ := strings.Cut(c.URL, ":"); scheme {
	case "sqlite":
		var path string
		if path, err = sqlitePath(c.URL); err == nil {
			s.DB, err = dialSQLite(path)
		}
		s.dialect, folder = goose.DialectSQLite3, "migrations/sqlite"
		s.exists = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'goose_db_version'"
	case "mysql":
		s.DB, err = dialMySQL(c.URL)
		s.dialect, folder = goose.DialectMySQL, "migrations/mysql"
		s.exists = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'goose_db_version'"
	default:
		err = ErrURL
	}
	if err != nil {
		return nil, err
	}
	s.folder, err = fs.Sub(migrations, folder)
	return s, err
}

// NeedsKey says whether the database already has a region or an account: then
// secrets, the hashes of devices and the passwords need the key that they were
// written with. A database without a schema has none, and stays without.
func NeedsKey(ctx context.Context, c Config) (bool, error) {
	s, err := dialSchema(c)
	if err != nil {
		return false, err
	}
	defer s.Close()
	current, _, err := s.version(ctx)
	if err != nil || current == 0 {
		return false, err
	}
	query := "SELECT COUNT(*) FROM regions"
	if current >= 8 { // accounts came with 00008_staff
		query = "SELECT (SELECT COUNT(*) FROM regions) + (SELECT COUNT(*) FROM staff)"
	}
	var sealed int
	if err := s.QueryRowContext(ctx, query).Scan(&sealed); err != nil {
		return false, damaged(err)
	}
	return sealed > 0, nil
}

// version gives the schema's version and the one that this program needs. 0 is
// an empty database; a database that cannot be read is an error, never empty.
func (s *schema) version(ctx context.Context) (current, needed int64, err error) {
	var tables int
	if err := s.QueryRowContext(ctx, s.exists).Scan(&tables); err != nil {
		return 0, 0, damaged(err)
	}
	if tables > 0 {
		if err := s.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version").Scan(&current); err != nil {
			return 0, 0, damaged(err)
		}
	}
	files, err := fs.Glob(s.folder, "*.sql")
	if err != nil {
		return 0, 0, err
	}
	for _, file := range files {
		n, err := goose.NumericComponent(file)
		if err != nil {
			return 0, 0, err
		}
		needed = max(needed, n)
	}
	if current > needed {
		return current, needed, fmt.Errorf("%w: its schema has version %d, this program knows %d", ErrNewerSchema, current, needed)
	}
	return current, needed, nil
}

// checkSchema says whether the schema is the one that this program needs.
func checkSchema(ctx context.Context, c Config) error {
	s, err := dialSchema(c)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	defer s.Close()
	current, needed, err := s.version(ctx)
	if err == nil && current < needed {
		err = fmt.Errorf("%w: its schema has version %d, this program needs %d", ErrOlderSchema, current, needed)
	}
	return err
}

// Migrate brings the schema up to date and gives the versions before and after.
// Several processes may call it at once: one migrates, the others wait. Only
// URL and Log of the configuration are used. Errors: ErrNewerSchema,
// ErrNotADatabase, ErrURL.
func Migrate(ctx context.Context, c Config) (from, to int64, err error) {
	s, err := dialSchema(c)
	if err != nil {
		return 0, 0, fmt.Errorf("open database: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	from, needed, err := s.version(ctx)
	if err != nil || from == needed {
		return from, from, err
	}
	release, err := s.lease(ctx)
	if err != nil {
		return from, from, fmt.Errorf("wait for another migration: %w", err)
	}
	defer release()
	if from, needed, err = s.version(ctx); err != nil || from == needed {
		return from, from, err
	}
	if from == 0 {
		// A start that was killed may have left the table of versions without its
		// first row; goose then refuses to go on.
		if _, err := s.ExecContext(ctx, "DROP TABLE IF EXISTS goose_db_version"); err != nil {
			return from, from, err
		}
	}
	provider, err := goose.NewProvider(s.dialect, s.DB, s.folder, goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return from, from, err
	}
	if _, err := provider.Up(ctx); err != nil {
		return from, from, fmt.Errorf("migrate: %w", err)
	}
	if c.Log != nil {
		c.Log.InfoContext(ctx, "database migrated", "from", from, "to", needed)
	}
	return from, needed, nil
}

// lease waits until the migration is ours and keeps it until release. It is a
// row and no lock of the server, which not every MySQL cluster has.
func (s *schema) lease(ctx context.Context) (release func(), err error) {
	const table = "CREATE TABLE IF NOT EXISTS migration_lease (id BIGINT NOT NULL PRIMARY KEY, holder VARCHAR(64) NOT NULL, held_until BIGINT NOT NULL)"
	if _, err := s.ExecContext(ctx, table); err != nil {
		return nil, err
	}
	const row = "INSERT INTO migration_lease (id, holder, held_until) SELECT 1, '', 0 FROM (SELECT 1 AS one) AS x WHERE NOT EXISTS (SELECT 1 FROM migration_lease)"
	if _, err := s.ExecContext(ctx, row); err != nil {
		var rows int // somebody else may have been faster
		if s.QueryRowContext(ctx, "SELECT COUNT(*) FROM migration_lease").Scan(&rows) != nil || rows == 0 {
			return nil, err
		}
	}
	holder := uuid.NewString()
	take := func(ctx context.Context) (bool, error) {
		now := time.Now()
		result, err := s.ExecContext(ctx, "UPDATE migration_lease SET holder = ?, held_until = ? WHERE holder = ? OR held_until < ?",
			holder, now.Add(migrationLease).UnixMilli(), holder, now.UnixMilli())
		if err != nil {
			return false, err
		}
		n, err := result.RowsAffected()
		return n > 0, err
	}
	for {
		ours, err := take(ctx)
		if err != nil {
			return nil, err
		}
		if ours {
			break
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(migrationLook):
		}
	}
	return s.keep(context.WithoutCancel(ctx), holder, take), nil
}

// keep prolongs the lease until it is released.
func (s *schema) keep(ctx context.Context, holder string, take func(context.Context) (bool, error)) (release func()) {
	ctx, stop := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(migrationLease / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				take(ctx) // the next tick tries again; a lost lease cannot stop a running DDL
			}
		}
	}()
	return func() {
		stop()
		<-stopped
		// If this fails the lease ends by itself.
		s.ExecContext(context.WithoutCancel(ctx), "UPDATE migration_lease SET holder = '', held_until = 0 WHERE holder = ?", holder)
	}
}
