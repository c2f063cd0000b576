package storage

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"
)

// Bounds of MySQL's connections.
const (
	mysqlConnections = 16
	// mysqlLifetime is how long a connection is used, so that a moved or
	// rebalanced server is noticed.
	mysqlLifetime = 5 * time.Minute
	// mysqlSilence is how long the server waits for our next word, in seconds,
	// before it ends a connection and takes its transaction back. A process that
	// stands still, or a machine that vanished, otherwise holds the rows of its
	// devices for hours (wait_timeout, TCP keepalive). mysqlIdle is when we close
	// unused connections ourselves, well before.
	//
	// Failure policy: whoever wakes up later finds the connection gone and
	// nothing of the transaction stored.
	mysqlSilence = "15"
	mysqlIdle    = 5 * time.Second
	// mysqlTries bounds how often a change is tried that lost a deadlock, a
	// wait for a lock or a race for a unique key.
	//
	// Failure policy: after that it fails with bridge.ErrStorage and nothing of
	// it is stored.
	mysqlTries = 10
	// mysqlPause is the longest rest before the second try; it doubles up to
	// mysqlLongest.
	mysqlPause   = 4 * time.Millisecond
	mysqlLongest = 250 * time.Millisecond
)

// mysqlSession is set on every connection. READ COMMITTED: each statement sees
// what others committed before it, which is what the checks after a row lock
// need, and no gaps are locked. The lock wait is in seconds.
const mysqlSession = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"

// mysqlConfig reads a URL mysql://user:password@host:port/name. The parameter
// tls may be "true" or "skip-verify". Errors never show the URL: it holds a
// password.
func mysqlConfig(rawURL string) (*mysqldriver.Config, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "mysql" || u.Hostname() == "" {
		return nil, ErrURL
	}
	c := mysqldriver.NewConfig()
	c.User = u.User.Username()
	c.Passwd, _ = u.User.Password()
	c.Net = "tcp"
	port := u.Port()
	if port == "" {
		port = "3306"
	}
	c.Addr = net.JoinHostPort(u.Hostname(), port)
	if c.DBName = strings.Trim(u.Path, "/"); c.DBName == "" {
		return nil, fmt.Errorf("%w: the name of the database is missing", ErrURL)
	}
	for key, values := range u.Query() {
		switch {
		case key == "tls" && values[0] == "true":
			c.TLS = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
		case key == "tls" && values[0] == "skip-verify":
			c.TLS = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the operator's word
		default:
			return nil, fmt.Errorf("%w: unknown parameter %q", ErrURL, key)
		}
	}
	c.Logger = &mysqldriver.NopLogger{} // what it would print is in the errors, and the log has one form
	c.Collation = "utf8mb4_bin"
	c.ParseTime = true
	c.Loc = time.UTC
	c.ClientFoundRows = true   // an UPDATE counts the rows that it found, as SQLite does
	c.InterpolateParams = true // one round trip for a statement instead of three
	c.Timeout = 10 * time.Second
	c.Params = map[string]string{
		"sql_mode":                 "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
		"time_zone":                "'+00:00'",
		"innodb_lock_wait_timeout": "5",
		"wait_timeout":             mysqlSilence,
	}
	return c, nil
}

// dialMySQL opens connections.
func dialMySQL(rawURL string) (*sql.DB, error) {
	c, err := mysqlConfig(rawURL)
	if err != nil {
		return nil, err
	}
	connector, err := mysqldriver.NewConnector(c)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(readCommitted{connector})
	db.SetMaxOpenConns(mysqlConnections)
	db.SetMaxIdleConns(mysqlConnections)
	db.SetConnMaxLifetime(mysqlLifetime)
	db.SetConnMaxIdleTime(mysqlIdle)
	return db, nil
}

// readCommitted sets the isolation level once for each connection, by a
// statement, since the variable's name differs between MySQL and MariaDB.
type readCommitted struct{ driver.Connector }

func (c readCommitted) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.(driver.ExecerContext).ExecContext(ctx, mysqlSession, nil); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func (db *database) openMySQL(ctx context.Context, rawURL string) error {
	pool, err := dialMySQL(rawURL)
	if err != nil {
		return err
	}
	db.close = append(db.close, pool)
	if err := pool.PingContext(ctx); err != nil {
		return err
	}
	if db.read, err = gorm.Open(mysql.New(mysql.Config{Conn: pool}), gormConfig()); err != nil {
		return err
	}
	db.lock, db.share = " FOR UPDATE", " LOCK IN SHARE MODE"
	db.writer = &transactor{db.read}
	return nil
}

// transactor is MySQL's writer: each change is a transaction of its own, and the
// server groups their commits.
type transactor struct{ db *gorm.DB }

func (t *transactor) write(ctx context.Context, change func(tx *gorm.DB) error) error {
	var err error
	pause := mysqlPause
	for range mysqlTries {
		if err = t.db.WithContext(ctx).Transaction(change); !again(err) {
			break
		}
		select {
		case <-ctx.Done():
			return failure(errors.Join(err, ctx.Err()))
		case <-time.After(rand.N(pause) + time.Millisecond):
			pause = min(2*pause, mysqlLongest)
		}
	}
	return failure(err)
}

// again says whether a change failed only because others were at the same rows:
// a deadlock (1213; with Galera also a lost certification), a lock wait (1205),
// or a unique key that another transaction has just taken. All changes look
// before they insert, so the next try sees the other's row.
func again(err error) bool {
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return true
	}
	var e *mysqldriver.MySQLError
	return errors.As(err, &e) && (e.Number == 1213 || e.Number == 1205)
}
