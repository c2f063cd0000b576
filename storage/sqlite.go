package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

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
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	query := url.Values{"_txlock": {"immediate"}, "_time_format": {"sqlite"}, "_timezone": {"UTC"}}
	query.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", sqliteBusy)) // first: the others may have to wait
	for _, p := range append([]string{"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "secure_delete(1)"}, pragmas...) {
		query.Add("_pragma", p)
	}
	return sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+query.Encode())
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
	db.close = append(db.close, readers)
	readers.SetMaxOpenConns(sqliteReaders)
	readers.SetMaxIdleConns(sqliteReaders)
	config := gormConfig()
	config.PrepareStmt = true
	if db.read, err = gorm.Open(sqliteDialect{&sqlite.Dialector{Conn: readers}}, config); err != nil {
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
	pool := &pinned{conn: conn, prepared: make(map[string]*sql.Stmt)}
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

// pinned is the writing connection. It keeps statements prepared over all
// transactions, which the transactions of database/sql do not. Only the leader
// of a batch uses it.
type pinned struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
}

// maxPrepared bounds the statements that are kept; only lists of varying length
// make more than a few dozen.
const maxPrepared = 300

func (p *pinned) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt, ok := p.prepared[query]; ok {
		return stmt, nil
	}
	if len(p.prepared) >= maxPrepared {
		p.forget()
	}
	stmt, err := p.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p.prepared[query] = stmt
	return stmt, nil
}

func (p *pinned) forget() {
	for _, stmt := range p.prepared {
		stmt.Close()
	}
	clear(p.prepared)
}

func (p *pinned) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := p.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

func (p *pinned) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := p.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// QueryRowContext does not keep the statement: a *sql.Row could not carry the
// error of preparing it.
func (p *pinned) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return p.conn.QueryRowContext(ctx, query, args...)
}

// Close ends the statements, without which the connection would stay open, and
// gives it back to its pool.
func (p *pinned) Close() error {
	p.forget()
	return p.conn.Close()
}
