package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	modernc "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Sizes of SQLite's connections.
const (
	// sqliteReaders bounds concurrent reads: each holds its own cache, and many
	// busy readers keep the writer from its turn.
	sqliteReaders = 4
	// sqliteBusy is how long a connection waits for another process (a second
	// instance, a command, a backup) to finish its write, in milliseconds.
	//
	// Failure policy: after that the write fails with bridge.ErrStorage and the
	// device tries again.
	sqliteBusy = 10_000
)

// sqlitePath takes the path out of a URL "sqlite:PATH".
func sqlitePath(rawURL string) (string, error) {
	path := strings.TrimPrefix(strings.TrimPrefix(rawURL, "sqlite:"), "//")
	if path == "" || strings.HasPrefix(path, ":memory:") {
		return "", fmt.Errorf("%w: SQLite needs the path of a file", ErrURL)
	}
	return path, nil
}

// dialSQLite opens connections to a file, creating it for our user only: it
// holds what people wrote. Each commit is on the disk when it returns; what is
// deleted is overwritten, so that what was pruned is gone from the file too.
func dialSQLite(path string, pragmas ...string) (*sql.DB, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := makeSQLite(path); err != nil {
			return nil, fmt.Errorf("make the database file: %w", err)
		}
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	if info.Size() == 0 {
		return nil, fmt.Errorf("%w: it is empty, and a new one never is; remove it if nothing was ever in it", ErrNotADatabase)
	}
	query := url.Values{"_txlock": {"immediate"}, "_time_format": {"sqlite"}, "_timezone": {"UTC"}}
	query.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", sqliteBusy)) // first: the others may have to wait
	for _, p := range append([]string{"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "secure_delete(1)"}, pragmas...) {
		query.Add("_pragma", p)
	}
	return sql.Open("sqlite", sqliteName(path, query))
}

func sqliteName(path string, query url.Values) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
}

// makeSQLite makes a database without tables, whole or not at all: so an empty
// file is one whose content was lost. The first of several processes wins.
func makeSQLite(path string) (err error) {
	draft, err := os.CreateTemp(filepath.Dir(path), ".deskbridge-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(draft.Name())) }()
	if err := draft.Close(); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", sqliteName(draft.Name(), url.Values{"_pragma": {"journal_mode(WAL)"}}))
	if err != nil {
		return err
	}
	if err := errors.Join(db.Ping(), db.Close()); err != nil { // the mode is kept in the file's first page
		return err
	}
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// openSQLite opens one connection that writes and a few that read.
func (db *database) openSQLite(ctx context.Context, rawURL string) error {
	path, err := sqlitePath(rawURL)
	if err != nil {
		return err
	}
	readers, err := dialSQLite(path, "query_only(1)", "cache_size(-4096)")
	if err != nil {
		return err
	}
	readers.SetMaxOpenConns(sqliteReaders)
	readers.SetMaxIdleConns(sqliteReaders)
	reading := &prepared{pool: readers, statements: make(map[string]*sql.Stmt)}
	db.close = append(db.close, reading)
	if db.read, err = gorm.Open(sqliteDialect{&sqlite.Dialector{Conn: reading}}, gormConfig()); err != nil {
		return damaged(err)
	}
	writing, err := dialSQLite(path, "cache_size(-16384)")
	if err != nil {
		return err
	}
	db.close = append(db.close, writing)
	writing.SetMaxOpenConns(1)
	conn, err := writing.Conn(ctx)
	if err != nil {
		return damaged(err)
	}
	pool := &prepared{pool: conn, statements: make(map[string]*sql.Stmt)}
	writer := &committer{pool: pool}
	db.close = append([]io.Closer{writer}, db.close...)
	if writer.tx, err = gorm.Open(sqliteDialect{&sqlite.Dialector{Conn: pool}}, gormConfig()); err != nil {
		return damaged(err)
	}
	db.writer = writer
	return nil
}

// sqliteDialect is gorm's SQLite over modernc's driver, whose errors gorm does
// not know.
type sqliteDialect struct{ *sqlite.Dialector }

// Translate makes a violated unique or foreign key gorm's error.
func (d sqliteDialect) Translate(err error) error {
	var e *modernc.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return fmt.Errorf("%w: %w", gorm.ErrDuplicatedKey, err)
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return fmt.Errorf("%w: %w", gorm.ErrForeignKeyViolated, err)
	}
	return err
}

// damaged makes the errors of a file that SQLite cannot read ErrNotADatabase.
func damaged(err error) error {
	var e *modernc.Error
	if errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_NOTADB || e.Code()&0xff == sqlite3.SQLITE_CORRUPT) {
		return fmt.Errorf("%w: %w", ErrNotADatabase, err)
	}
	return err
}

// prepared keeps the statements of a pool, or of the writing connection,
// prepared for as long as it is open: over all transactions, which those of
// database/sql do not, and whatever becomes of the request that came first.
type prepared struct {
	pool interface { // *sql.DB or *sql.Conn
		gorm.ConnPool
		io.Closer
	}
	mu         sync.RWMutex
	statements map[string]*sql.Stmt
}

// maxPrepared bounds the statements that are kept; the package has less than a
// hundred, since lists come in few lengths (in). Others run unprepared.
const maxPrepared = 300

// statement gives the prepared form of a query; nil if no more are kept.
func (p *prepared) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	p.mu.RLock()
	stmt, ok := p.statements[query]
	full := len(p.statements) >= maxPrepared
	p.mu.RUnlock()
	if ok || full {
		return stmt, nil
	}
	stmt, err := p.pool.PrepareContext(context.WithoutCancel(ctx), query)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first, ok := p.statements[query]; ok {
		stmt.Close()
		return first, nil
	}
	p.statements[query] = stmt
	return stmt, nil
}

// PrepareContext, ExecContext, QueryContext and QueryRowContext make it a
// gorm.ConnPool.
func (p *prepared) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return p.pool.PrepareContext(ctx, query)
}

func (p *prepared) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if stmt == nil {
		return p.pool.ExecContext(ctx, query, args...)
	}
	return stmt.ExecContext(ctx, args...)
}

func (p *prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if stmt == nil {
		return p.pool.QueryContext(ctx, query, args...)
	}
	return stmt.QueryContext(ctx, args...)
}

// QueryRowContext does not prepare: a *sql.Row could not carry the error of that.
func (p *prepared) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return p.pool.QueryRowContext(ctx, query, args...)
}

// Close ends the statements, without which a connection would stay open, and
// closes the pool, or gives the connection back to its.
func (p *prepared) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, stmt := range p.statements {
		stmt.Close()
	}
	clear(p.statements)
	return p.pool.Close()
}
