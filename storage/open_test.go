package storage_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	mysqldriver "github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
)

func config(url string) storage.Config { return storage.Config{URL: url, Key: storagetest.Key} }

// refused opens a store and wants an error.
func refused(t *testing.T, c storage.Config, want error) {
	t.Helper()
	s, err := storage.Open(context.Background(), c)
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, want) {
		t.Fatalf("error = %v, want %v", err, want)
	}
}

// raw opens a database beneath the store.
func raw(t *testing.T, url string) *sql.DB {
	t.Helper()
	driver, dsn := "sqlite", strings.TrimPrefix(url, "sqlite:")
	if rest, ok := strings.CutPrefix(url, "mysql://root@"); ok {
		c := mysqldriver.NewConfig()
		c.User, c.Net = "root", "tcp"
		c.Addr, c.DBName, _ = strings.Cut(rest, "/")
		driver, dsn = "mysql", c.FormatDSN()
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestSchemaIsChecked(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		c := config(url)
		c.NoMigrate = true
		refused(t, c, storage.ErrOlderSchema)
		from, to, err := storage.Migrate(context.Background(), c)
		if err != nil || from != 0 || to < 1 {
			t.Fatalf("migrated from %d to %d: %v", from, to, err)
		}
		newest := to
		from, to, err = storage.Migrate(context.Background(), c)
		if err != nil || from != newest || to != newest {
			t.Fatalf("migrated again from %d to %d: %v", from, to, err)
		}
		s, err := storage.Open(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := raw(t, url).Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)"); err != nil {
			t.Fatal(err)
		}
		refused(t, c, storage.ErrNewerSchema)
		c.NoMigrate = false
		refused(t, c, storage.ErrNewerSchema)
	})
}

func TestManyMigrateAtOnce(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		stores := make([]*storage.Store, 6)
		together(t, len(stores), func(i int) (err error) {
			stores[i], err = storage.Open(context.Background(), config(url))
			return err
		})
		var rows int
		if err := raw(t, url).QueryRow("SELECT COUNT(*) FROM goose_db_version WHERE version_id = 1").Scan(&rows); err != nil {
			t.Fatal(err)
		}
		equal(t, "applications of the first migration", rows, 1)
		for _, s := range stores {
			if err := errors.Join(s.Ping(context.Background()), s.Close()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	whole := func(t *testing.T) (string, []byte) {
		url := storagetest.SQLite(t)
		s, err := storage.Open(context.Background(), config(url))
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, s)
		for range 20 {
			w.send("a", strings.Repeat("long ", 500))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(strings.TrimPrefix(url, "sqlite:"))
		if err != nil {
			t.Fatal(err)
		}
		return url, data
	}
	for name, damage := range map[string]func([]byte) []byte{
		"another format": func([]byte) []byte { return []byte(strings.Repeat("this is a letter\n", 300)) },
		"cut in half":    func(data []byte) []byte { return data[:len(data)/2/4096*4096] },
		"cut anywhere":   func(data []byte) []byte { return data[:len(data)/3+17] },
		"emptied":        func([]byte) []byte { return nil },
		"first page":     func(data []byte) []byte { return append(bytes.Repeat([]byte{0xee}, 4096), data[4096:]...) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, data := whole(t)
			if err := os.WriteFile(strings.TrimPrefix(url, "sqlite:"), damage(data), 0o600); err != nil {
				t.Fatal(err)
			}
			refused(t, config(url), storage.ErrNotADatabase)
		})
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "sqlite:", "sqlite::memory:", "postgres://x", "mysql://", "mysql://u:hidden@h:1/", "mysql://u:hidden@h:1/name?unknown=1", "mysql://u:hid%zzden@h/name",
	} {
		refused(t, config(url), storage.ErrURL)
		_, err := storage.Open(context.Background(), config(url))
		if strings.Contains(err.Error(), "hid") {
			t.Errorf("the error for %q shows the password: %v", url, err)
		}
	}
	c := config(storagetest.SQLite(t))
	c.Key = c.Key[:16]
	if _, err := storage.Open(context.Background(), c); err == nil || !strings.Contains(err.Error(), "32 bytes") {
		t.Errorf("a short key: %v", err)
	}
	odd := "sqlite:" + filepath.Join(t.TempDir(), "odd ?name%20#1.db")
	newWorld(t, storagetest.OpenURL(t, odd)).send("a", "hello")
	info, err := os.Stat(strings.TrimPrefix(odd, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "mode of the file", info.Mode().Perm(), 0o600)
}

func TestSecretsAreSealed(t *testing.T) {
	t.Parallel()
	url := storagetest.SQLite(t)
	path := strings.TrimPrefix(url, "sqlite:")
	w := newWorld(t, storagetest.OpenURL(t, url))
	w.region.ZammadToken, w.region.WebhookSecret, w.region.WebhookToken = "plain-token-0815", "plain-secret-0815", "plain-hook-0815"
	w.region.AlertSecret, w.region.AlertToken = "plain-alert-0815", "plain-ntfy-0815"
	w.ok(w.SaveRegion(w.ctx, w.region))
	s := w.submission("device-id-4711", "hello")
	s.Alias = "alias"
	_, err := w.Accept(w.ctx, s)
	w.ok(err)
	for _, file := range []string{path, path + "-wal"} {
		data, err := os.ReadFile(file)
		w.ok(err)
		for _, secret := range []string{"0815", "4711"} {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s holds %q", filepath.Base(file), secret)
			}
		}
	}
	c := config(url)
	c.Key = bytes.Repeat([]byte{8}, 32)
	other, err := storage.Open(w.ctx, c)
	w.ok(err)
	defer other.Close()
	_, err = other.Regions(w.ctx)
	w.wants(err, storage.ErrWrongKey)
	w.send("a", "a message needs no key")

	// A sealed token moved to another place does not open there.
	thief := w.addRegion("thief", "")
	if _, err := raw(t, url).Exec("UPDATE regions SET zammad_token = (SELECT zammad_token FROM regions WHERE id = ?) WHERE id = ?", w.region.ID, thief.ID); err != nil {
		t.Fatal(err)
	}
	_, err = w.Regions(w.ctx)
	w.wants(err, storage.ErrWrongKey)
}

func TestStorageErrors(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		s, err := storage.Open(context.Background(), config(url))
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, s)
		w.ok(s.Close())
		_, err = w.Accept(w.ctx, w.submission("a", "hello"))
		w.wants(err, bridge.ErrStorage)
		_, err = w.History(w.ctx, w.region, device("a"), 0, w.now)
		w.wants(err, bridge.ErrStorage)
		w.wants(w.Ping(w.ctx), bridge.ErrStorage)
	})
}

// The golden files show the whole schema at a glance; DESKBRIDGE_UPDATE=1 writes
// them anew.
func TestGoldenSchema(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		storagetest.OpenURL(t, url)
		dialect, _, _ := strings.Cut(url, ":")
		got := map[string]func(*testing.T, *sql.DB) string{"sqlite": sqliteSchema, "mysql": mysqlSchema}[dialect](t, raw(t, url))
		golden := filepath.Join("testdata", "schema."+dialect+".sql")
		if os.Getenv("DESKBRIDGE_UPDATE") != "" {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got); d != "" {
			t.Fatal(d)
		}
	})
}

func sqliteSchema(t *testing.T, db *sql.DB) string {
	return strings.Join(column(t, db, "SELECT sql || ';' FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY tbl_name, type DESC, name"), "\n\n") + "\n"
}

func mysqlSchema(t *testing.T, db *sql.DB) string {
	var all []string
	for _, table := range column(t, db, "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name") {
		var name, create string
		if err := db.QueryRow("SHOW CREATE TABLE "+table).Scan(&name, &create); err != nil {
			t.Fatal(err)
		}
		// What servers and versions show differently, and numbers that grow.
		create = regexp.MustCompile(` AUTO_INCREMENT=\d+`).ReplaceAllString(create, "")
		create = regexp.MustCompile(`(bigint|tinyint|int)\(\d+\)`).ReplaceAllString(create, "$1")
		all = append(all, create+";")
	}
	return strings.Join(all, "\n\n") + "\n"
}

func column(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// Both dialects have the same tables with the same columns.
func TestDialectsAgree(t *testing.T) {
	t.Parallel()
	sqlite, mysql := storagetest.SQLite(t), storagetest.MySQL(t)
	storagetest.OpenURL(t, sqlite)
	storagetest.OpenURL(t, mysql)
	a := column(t, raw(t, sqlite), "SELECT m.name || '.' || c.name || CASE WHEN c.\"notnull\" OR c.pk THEN '' ELSE '?' END FROM sqlite_master m JOIN pragma_table_info(m.name) c"+
		" WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'goose_db_version' ORDER BY m.name, c.cid")
	b := column(t, raw(t, mysql), "SELECT CONCAT(table_name, '.', column_name, IF(is_nullable = 'NO', '', '?')) FROM information_schema.columns"+
		" WHERE table_schema = DATABASE() AND table_name <> 'goose_db_version' ORDER BY table_name, ordinal_position")
	if d := cmp.Diff(a, b); d != "" {
		t.Fatal(d)
	}
}
