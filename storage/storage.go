// Package storage keeps everything durable: regions, chats, messages, the lanes
// towards the desks, webhook deliveries, and the records of jobs. It implements
// bridge.Store on SQLite and on MySQL/MariaDB with the same SQL; rows, gorm and
// dialects never leave it.
//
// The row of a device in a region is the lock and the sequence of its history:
// every change of the history holds it (a row lock in InnoDB, the one writer in
// SQLite), so sends, receipts and outcomes of one device come one after the
// other on every instance.
//
// Times are stored as Unix milliseconds, so that they sort and compare alike
// in both dialects; 0 is "never".
package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// Config says where the store is and how it is opened.
type Config struct {
	URL       string           // "sqlite:PATH" or "mysql://user:password@host:port/name"
	Key       []byte           // 32 bytes; seals tokens and webhook secrets (AES-256-GCM)
	Log       *slog.Logger     // nil: slog.Default()
	Now       func() time.Time // nil: time.Now
	NoMigrate bool             // refuse an older schema instead of migrating it
}

// Errors of opening a store.
var (
	// ErrNewerSchema: a newer Deskbridge has migrated this database; an older
	// one would write rows that the newer one misreads.
	ErrNewerSchema = errors.New("the database was migrated by a newer version of Deskbridge")
	// ErrOlderSchema: migrations are pending and Config.NoMigrate forbids them.
	ErrOlderSchema = errors.New("the database needs to be migrated")
	// ErrNotADatabase: the file is damaged, cut short, or no SQLite file at all.
	ErrNotADatabase = errors.New("the file is damaged or no SQLite database")
	// ErrURL: the database URL cannot be used.
	ErrURL = errors.New("the database URL must be sqlite:PATH or mysql://user:password@host:port/name")
)

// database is what all parts of the Store share.
type database struct {
	read *gorm.DB // outside of transactions
	writer
	lock  string // appended to a SELECT that must hold its rows until the commit
	share string // the same, where others may hold them too
	local bool   // no network between us and the rows
	seal  sealer
	now   func() time.Time
	close []io.Closer
}

// through makes a server read a page of a list by the whole key of an index.
// MariaDB takes the region alone otherwise, and passes by all that is newer than
// the page. SQLite does it by itself.
func (db *database) through(index string) string {
	if db.local {
		return ""
	}
	return " FORCE INDEX (" + index + ")"
}

// writer runs changes. When write returns nil the change is durable; when it
// returns an error nothing of it was stored, with one exception: a connection to
// MySQL that is lost during COMMIT. The function may run more than once and must
// not keep anything from an earlier run.
type writer interface {
	write(ctx context.Context, change func(tx *gorm.DB) error) error
}

// Store implements bridge.Store. Use Open; it is safe for concurrent use, and
// several may be open on one database at once.
type Store struct {
	*database
	chats
	lanes
	tickets
	inbox
	regions
	testers
	rights
	jobs
	files
	audit
	alerts
	people
	credentials
	apiTokens
	statistics
	chatList
	experiment
}

var (
	_ bridge.Store = (*Store)(nil)
	_ staff.Store  = (*Store)(nil)
)

// Open opens the store and brings its schema up to date. Errors:
// ErrNewerSchema, ErrOlderSchema (with NoMigrate), ErrNotADatabase, ErrURL.
func Open(ctx context.Context, c Config) (*Store, error) {
	seal, err := newSealer(c.Key)
	if err != nil {
		return nil, err
	}
	if c.NoMigrate {
		err = checkSchema(ctx, c)
	} else {
		_, _, err = Migrate(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	db := &database{seal: seal, now: c.Now}
	switch scheme, _, _ := strings.Cut(c.URL, ":"); scheme {
	case "sqlite":
		db.local = true
		err = db.openSQLite(ctx, c.URL)
	case "mysql":
		err = db.openMySQL(ctx, c.URL)
	default:
		err = ErrURL
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), db.shut())
	}
	return &Store{db, chats{db}, lanes{db}, tickets{db}, inbox{db}, regions{db}, testers{db}, rights{db}, jobs{db}, files{db}, audit{db}, alerts{db}, people{db}, credentials{db}, apiTokens{db}, statistics{db}, chatList{db}, experiment{db}}, nil
}

// Close closes all connections. Calls that are running fail.
func (s *Store) Close() error { return s.shut() }

func (db *database) shut() error {
	var all []error
	for _, c := range db.close {
		all = append(all, c.Close())
	}
	db.close = nil
	return errors.Join(all...)
}

// Ping writes one row, so that a full disk or a read-only database is noticed
// before a device's message is refused.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.SetMark(ctx, "ping", s.now()); err != nil {
		return err
	}
	_, err := s.Mark(ctx, "ping")
	return err
}

// gormConfig is the same for all connections: transactions are ours, nothing is
// logged here since errors are returned.
func gormConfig() *gorm.Config {
	return &gorm.Config{
		SkipDefaultTransaction: true,
		DisableAutomaticPing:   true,
		TranslateError:         true,
		Logger:                 logger.Discard,
	}
}

// expected lists the errors that are answers and not failures of the store.
var expected = []error{
	bridge.ErrClaimLost, bridge.ErrTicketUnknown, bridge.ErrTicketRead, bridge.ErrNoTicket, bridge.ErrTesterUnknown, bridge.ErrRegionExists, bridge.ErrRegionChanged,
	context.Canceled, context.DeadlineExceeded, ErrWrongKey,
	staff.ErrNobody, staff.ErrLoginTaken, staff.ErrChanged, staff.ErrLastOperator, staff.ErrHasHistory,
	staff.ErrLocked, staff.ErrCode, staff.ErrLink, staff.ErrHasAccounts, staff.ErrLinked,
	staff.ErrTokenTaken, staff.ErrTokenUnknown,
}

// failure makes every failure of the database bridge.ErrStorage, which tells a
// client to try again; answers stay as they are.
func failure(err error) error {
	var known *bridge.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	for _, e := range expected {
		if errors.Is(err, e) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", bridge.ErrStorage, err)
}

// The functions here run SQL on gorm's connection, beneath its statement
// builder: on the paths that every message takes, building costs as much as
// SQLite itself. Both dialects take the same placeholders.

// exec runs a statement and gives the number of rows that it found.
func exec(tx *gorm.DB, query string, args ...any) (int64, error) {
	result, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, query, args...)
	if err != nil {
		return 0, translate(tx, err)
	}
	return result.RowsAffected()
}

// insert adds a row and gives its id.
func insert(tx *gorm.DB, query string, args ...any) (int64, error) {
	result, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, query, args...)
	if err != nil {
		return 0, translate(tx, err)
	}
	return result.LastInsertId()
}

// one reads a single row; the error is sql.ErrNoRows if there is none.
func one(tx *gorm.DB, query string, args []any, into ...any) error {
	found := false
	err := each(tx, query, args, func(scan func(...any) error) error {
		if found {
			return nil
		}
		found = true
		return scan(into...)
	})
	if err == nil && !found {
		return sql.ErrNoRows
	}
	return err
}

// each reads rows one after the other.
func each(tx *gorm.DB, query string, args []any, row func(scan func(...any) error) error) error {
	rows, err := tx.Statement.ConnPool.QueryContext(tx.Statement.Context, query, args...)
	if err != nil {
		return translate(tx, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return translate(tx, err)
	}
	return nil
}

// list reads rows of one value each.
func list[T any](tx *gorm.DB, query string, args ...any) ([]T, error) {
	var all []T
	err := each(tx, query, args, func(scan func(...any) error) error {
		var v T
		if err := scan(&v); err != nil {
			return err
		}
		all = append(all, v)
		return nil
	})
	return all, err
}

// translate makes the database's error gorm's where gorm has one (a duplicate
// key), so that the rest needs no dialect.
func translate(tx *gorm.DB, err error) error {
	if t, ok := tx.Dialector.(gorm.ErrorTranslator); ok {
		return t.Translate(err)
	}
	return err
}

// in gives placeholders and arguments of a list for IN. It is filled up with its
// last value to a power of two, so that there are few different statements.
func in[T any](values []T) (string, []any) {
	var args []any
	for _, v := range values {
		args = append(args, v)
	}
	for n := len(args); n&(n-1) != 0; n++ {
		args = append(args, args[n-1])
	}
	return "(" + strings.TrimSuffix(strings.Repeat("?,", len(args)), ",") + ")", args
}

// milli gives a time as it is stored.
func milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// moment gives a stored time.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// orNull stores the zero value as NULL, for columns that are unique where they
// have a value.
func orNull[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}

// quick gives the context for a read that takes less time than watching over it
// would: for a statement whose context can end, SQLite's driver and database/sql
// start a goroutine each.
func (db *database) quick(ctx context.Context) context.Context {
	if db.local {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// none says whether a single row was not found.
func none(err error) bool { return errors.Is(err, sql.ErrNoRows) }
