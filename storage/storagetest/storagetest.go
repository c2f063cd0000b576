// Package storagetest opens fresh stores for tests: SQLite files, and databases
// on a real MySQL or MariaDB where DESKBRIDGE_TEST_MYSQL names a server, such as
// mysql://root@127.0.0.1:3306/. Without it the MySQL half is skipped, unless
// DESKBRIDGE_TEST_REQUIRED is set: then it fails.
package storagetest

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/google/uuid"

	"deskbridge/storage"
)

// Key is the secret key of the stores that are opened here.
var Key = bytes.Repeat([]byte{7}, 32)

// Open opens a fresh store on a SQLite file; it is closed with the test.
func Open(t testing.TB) *storage.Store {
	t.Helper()
	return OpenURL(t, SQLite(t))
}

// OpenURL opens the store at a URL; it is closed with the test.
func OpenURL(t testing.TB, url string) *storage.Store {
	t.Helper()
	s, err := storage.Open(context.Background(), storage.Config{URL: url, Key: Key})
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return s
}

// Each runs a test against a fresh store of every dialect.
func Each(t *testing.T, test func(t *testing.T, s *storage.Store)) {
	t.Helper()
	EachURL(t, func(t *testing.T, url string) { test(t, OpenURL(t, url)) })
}

// EachURL runs a test with the URL of a fresh, empty database of every dialect.
func EachURL(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, SQLite(t))
	})
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		test(t, MySQL(t))
	})
}

// SQLite gives the URL of a file that does not exist yet.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "deskbridge.db")
}

// MySQL gives the URL of a fresh database, which is dropped with the test.
func MySQL(t testing.TB) string {
	t.Helper()
	server := os.Getenv("DESKBRIDGE_TEST_MYSQL")
	if server == "" {
		const missing = "DESKBRIDGE_TEST_MYSQL does not name a MySQL or MariaDB server"
		if os.Getenv("DESKBRIDGE_TEST_REQUIRED") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "mysql" {
		t.Fatal("DESKBRIDGE_TEST_MYSQL must look like mysql://user:password@host:port/")
	}
	name := "deskbridge_test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr = u.User.Username(), "tcp", u.Host
	config.Passwd, _ = u.User.Password()
	run := func(statement string) error {
		db, err := sql.Open("mysql", config.FormatDSN())
		if err != nil {
			return err
		}
		defer db.Close()
		_, err = db.Exec(statement)
		return err
	}
	if err := run("CREATE DATABASE " + name + " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"); err != nil {
		t.Fatalf("create database: %v", err)
	}
	t.Cleanup(func() {
		if err := run("DROP DATABASE " + name); err != nil {
			t.Errorf("drop database: %v", err)
		}
	})
	u.Path = "/" + name
	return fmt.Sprint(u)
}
