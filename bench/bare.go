package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// bare is a database as a bare handler uses it: prepared statements by hand over
// database/sql, with the settings that storage has.
type bare struct {
	db       *sql.DB
	prepared map[string]*sql.Stmt
	queue    chan *pending // SQLite's changes; nil: each is a transaction of its own
	lock     string
}

// pending is one request's part of a commit.
type pending struct {
	do   func(do doer) error
	done chan error
}

// doer runs statements inside of a transaction.
type doer func(query string) *sql.Stmt

// batch is how many changes share a commit at most, as in storage.
const batch = 128

// openBareSQLite opens a file with one connection that writes and commits what
// waits together.
func openBareSQLite(ctx context.Context, path string, queries ...string) (*bare, error) {
	b, err := openBare(bareDSN(path, "cache_size(-16384)"), 1)
	if err != nil {
		return nil, err
	}
	if err := b.prepare(ctx, append(queries, "BEGIN IMMEDIATE", "COMMIT")); err != nil {
		return nil, err
	}
	b.queue = make(chan *pending, clients)
	go b.commitAll()
	return b, nil
}

// openBareReader opens a file with connections that only read.
func openBareReader(ctx context.Context, path string, queries ...string) (*bare, error) {
	b, err := openBare(bareDSN(path, "query_only(1)", "cache_size(-4096)"), 4)
	if err != nil {
		return nil, err
	}
	return b, b.prepare(ctx, queries)
}

// plainMySQL opens a database of a server, with a round trip for a query.
func plainMySQL(rawURL string) (*sql.DB, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	c := mysql.NewConfig()
	c.User, c.Net, c.Addr, c.DBName = u.User.Username(), "tcp", u.Host, strings.Trim(u.Path, "/")
	c.Passwd, _ = u.User.Password()
	c.Collation, c.ClientFoundRows, c.InterpolateParams = "utf8mb4_bin", true, true
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(readCommitted{connector}), nil
}

// openBareMySQL is plainMySQL with prepared statements.
func openBareMySQL(ctx context.Context, rawURL string, queries ...string) (*bare, error) {
	db, err := plainMySQL(rawURL)
	if err != nil {
		return nil, err
	}
	b := newBare(db, clients)
	b.lock = " FOR UPDATE"
	for i, q := range queries {
		queries[i] = b.locking(q)
	}
	return b, b.prepare(ctx, queries)
}

func openBare(dsn string, connections int) (*bare, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	return newBare(db, connections), nil
}

func newBare(db *sql.DB, connections int) *bare {
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return &bare{db: db, prepared: make(map[string]*sql.Stmt)}
}

// readCommitted sets the isolation once for each connection, as storage does.
type readCommitted struct{ driver.Connector }

// Connect opens a connection.
func (c readCommitted) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	_, err = conn.(driver.ExecerContext).ExecContext(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", nil)
	return conn, err
}

func bareDSN(path string, pragmas ...string) string {
	q := url.Values{}
	for _, p := range append([]string{"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "secure_delete(1)"}, pragmas...) {
		q.Add("_pragma", p)
	}
	return "file:" + path + "?" + q.Encode()
}

func (b *bare) prepare(ctx context.Context, queries []string) error {
	for _, q := range queries {
		stmt, err := b.db.PrepareContext(ctx, q)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", q, err)
		}
		b.prepared[q] = stmt
	}
	return nil
}

// locking makes a query hold the rows that it reads, where that has to be said.
func (b *bare) locking(query string) string {
	if strings.HasPrefix(query, "SELECT") {
		return query + b.lock
	}
	return query
}

// change runs a change and returns when it is durable.
func (b *bare) change(ctx context.Context, do func(doer) error) error {
	if b.queue != nil {
		p := &pending{do, make(chan error, 1)}
		b.queue <- p
		return <-p.done
	}
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(func(q string) *sql.Stmt { return tx.StmtContext(ctx, b.prepared[b.locking(q)]) }); err != nil {
		_ = tx.Rollback() // the first error says more
		return err
	}
	return tx.Commit()
}

// commitAll commits what waits, until the queue is closed.
func (b *bare) commitAll() {
	statement := func(q string) *sql.Stmt { return b.prepared[q] }
	for first := range b.queue {
		waiting := []*pending{first}
		for more := true; more && len(waiting) < batch; {
			select {
			case p, open := <-b.queue:
				if more = open; open {
					waiting = append(waiting, p)
				}
			default:
				more = false
			}
		}
		_, err := statement("BEGIN IMMEDIATE").Exec()
		for _, p := range waiting {
			if err == nil {
				err = p.do(statement)
			}
		}
		if err == nil {
			_, err = statement("COMMIT").Exec()
		}
		for _, p := range waiting {
			p.done <- err
		}
	}
}

func (b *bare) close() error {
	if b.queue != nil {
		close(b.queue)
	}
	return b.db.Close()
}

// bareDevice takes the device out of the path.
func bareDevice(r *http.Request) [32]byte {
	path := strings.TrimSuffix(r.URL.Path, "/")
	return sha256.Sum256([]byte(path[strings.LastIndexByte(path, '/')+1:]))
}

// answerBare answers with a body whose length is known.
func answerBare(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that went away is its own fault
}

// failBare answers a failure, with its cause for whoever runs the benchmark.
func failBare(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Length", strconv.Itoa(len(err.Error())))
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = io.WriteString(w, err.Error())
}
