package reliability

import (
	"bytes"
	"context"
	"encoding/hex"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"deskbridge/cli"
	"deskbridge/storage/storagetest"
)

// filled gives an installation on a SQLite file that holds a region and a chat,
// and is stopped.
func filled(t *testing.T) (h *house, file string) {
	t.Helper()
	h = newHouse(t, storagetest.SQLite(t))
	h.open("one")
	d := &device{l: &load{h: h, wrong: make(chan error, 1)}, id: "device-1"}
	if !d.post(letter{text: "device-1 says 0"}) {
		t.Fatal("the first message was not accepted")
	}
	h.instances[0].stop()
	return h, strings.TrimPrefix(h.database, "sqlite:")
}

// refuses starts the program, which must end with a code and a clear word.
func (h *house) refuses(code int, word string) {
	h.t.Helper()
	p := h.launch("one")
	select {
	case <-p.ended:
	case <-time.After(patience):
		h.t.Fatalf("it starts: %s", p.stderr.tail())
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code || !strings.Contains(p.stderr.String(), word) {
		h.t.Errorf("ended with %d, want %d and %q:\n%s", got, code, word, p.stderr.tail())
	}
	if strings.Contains(p.stderr.String(), "goroutine ") {
		h.t.Errorf("it panicked:\n%s", p.stderr.tail())
	}
}

func TestDamagedDatabases(t *testing.T) {
	t.Parallel()
	h, file := filled(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const header = 100 // bytes, of SQLite's file format
	for name, damage := range map[string]func(b []byte) []byte{
		"half of the file":          func(b []byte) []byte { return b[:len(b)/2] },
		"one page is missing":       func(b []byte) []byte { return b[:len(b)-4096] },
		"nothing is left":           func(b []byte) []byte { return b[:0] },
		"within the header":         func(b []byte) []byte { return b[:header/2] },
		"another kind of file":      func([]byte) []byte { return bytes.Repeat([]byte("not a database\n"), 1000) },
		"the header is gone":        func(b []byte) []byte { clear(b[:header]); return b },
		"the schema's page is gone": func(b []byte) []byte { clear(b[header:4096]); return b },
		"noise after the header": func(b []byte) []byte {
			for i := header; i < len(b); i++ {
				b[i] ^= 0xa5
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			damaged := damage(bytes.Clone(whole))
			if err := os.WriteFile(file, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			broken := *h
			broken.t = t
			broken.refuses(cli.ExitDatabase, "damaged or no SQLite database")
			if left, err := os.ReadFile(file); err != nil || !bytes.Equal(left, damaged) {
				t.Errorf("the damaged file was changed, which spoils its rescue: %v", err)
			}
		})
	}
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	h.serves("device-1 says 0")
}

// serves starts the program and looks whether a device finds its history.
func (h *house) serves(texts ...string) *process {
	h.t.Helper()
	h.open("one")
	d := &device{l: &load{h: h}, id: "device-1"}
	history, err := d.read(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	var got []string
	for _, m := range history {
		got = append(got, m.Text)
	}
	if strings.Join(got, "\n") != strings.Join(texts, "\n") {
		h.t.Errorf("the device finds %q, want %q", got, texts)
	}
	return h.instances[0]
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	h, _ := filled(t)
	db := h.sql()
	defer db.Close()
	if _, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)"); err != nil {
		t.Fatal(err)
	}
	h.refuses(cli.ExitSchema, "newer version of Deskbridge")
	if _, err := db.Exec("DELETE FROM goose_db_version WHERE version_id = 9999"); err != nil {
		t.Fatal(err)
	}
	h.serves("device-1 says 0").stop()
}

// In MySQL a killed migration leaves everything that it did before.
func TestHalfMigratedDatabase(t *testing.T) {
	t.Parallel()
	url := storagetest.MySQL(t)
	h := &house{t: t, dir: t.TempDir(), database: url, front: newPassage(t)}
	h.env = []string{"DESKBRIDGE_DATA_DIR=" + filepath.Join(h.dir, "data"), "DESKBRIDGE_DATABASE_URL=" + url, "DESKBRIDGE_LISTEN=127.0.0.1:0"}
	h.command("migrate")
	db := h.sql()
	defer db.Close()
	for _, undone := range []string{
		"DELETE FROM goose_db_version",                      // the table of versions alone
		"DELETE FROM goose_db_version WHERE version_id > 0", // all that the files do, and no word of it
		"DELETE FROM goose_db_version WHERE version_id > 1", // the same of all but the first
		"DROP TABLE IF EXISTS exposures, job_runs, leases",  // half of the first file, with the next statement
		"ALTER TABLE outbox DROP COLUMN refusals",           // a later file has not begun, with the next statement
		"DELETE FROM goose_db_version WHERE version_id > 0",
	} {
		if _, err := db.ExecContext(t.Context(), undone); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(undone, "DELETE") {
			continue
		}
		h.command("migrate")
		h.command("chats") // reads tables of both files
	}
	for _, column := range []string{"outbox.refusals", "exposures.day", "job_runs.job", "leases.holder"} {
		table, name, _ := strings.Cut(column, ".")
		if _, err := db.ExecContext(t.Context(), "SELECT "+name+" FROM "+table+" LIMIT 1"); err != nil {
			t.Errorf("%s: %v", column, err)
		}
	}
}

func TestChangedAndLostKeys(t *testing.T) {
	t.Parallel()
	h, _ := filled(t)
	path := filepath.Join(h.dir, "data", "secret.key")
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"another key": hex.EncodeToString(bytes.Repeat([]byte{1}, 32)),
		"half a key":  string(key[:20]),
		"empty":       "",
		"lost":        "",
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if name == "lost" {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
			keyless := *h
			keyless.t = t
			keyless.refuses(cli.ExitKey, "key")
			if name != "lost" {
				return
			}
			if left, err := os.ReadFile(path); err == nil {
				t.Errorf("a new key was left in the place of the lost one: %d bytes", len(left))
			}
		})
	}
	if err := os.WriteFile(path, key, 0o600); err != nil {
		t.Fatal(err)
	}
	h.serves("device-1 says 0").stop()
}

// A Redis that is none costs log lines, nothing else.
func TestGarbageInsteadOfRedis(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storagetest.SQLite(t), "DESKBRIDGE_REDIS_URL=redis://"+babbler(t))
	h.open("one")
	l := h.begin(chance(t), 3, hasty)
	l.progress(30)
	p := h.instances[0]
	p.says(&p.stderr, "level=WARN", "bus interrupted")
	status, report, err := h.ready(context.Background(), h.front.address)
	if err != nil || status != http.StatusOK || report.Checks["redis"].OK {
		t.Errorf("/readyz says %d, %+v, %v", status, report, err)
	}
	sum := l.finish()
	if sum.acked < 30 || sum.unanswered > 0 {
		t.Error(sum)
	}
	p.stop()
	accounts(t, "a Redis that answers garbage", sum)
}

// babbler is a server that answers everything with nonsense.
func babbler(t *testing.T) (address string) {
	t.Helper()
	l := listenApart(t)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			serving.Go(func() {
				defer conn.Close()
				buf := make([]byte, 512)
				for {
					if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
						return
					}
					if n, err := conn.Read(buf); n == 0 || err != nil {
						return
					}
					if _, err := conn.Write([]byte("%garbage\x00\xff\r\n$-7\r\n*99999999999\r\n")); err != nil {
						return
					}
				}
			})
		}
	})
	// What still holds a connection is the program, which ends before this.
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		serving.Wait()
	})
	return l.Addr().String()
}

// A database server that answers garbage is told, not waited for.
func TestGarbageInsteadOfMariaDB(t *testing.T) {
	t.Parallel()
	u := url.URL{Scheme: "mysql", User: url.UserPassword("root", "pass-of-tests"), Host: chatterer(t), Path: "/deskbridge"}
	h := &house{t: t, dir: t.TempDir()}
	h.env = []string{"DESKBRIDGE_DATA_DIR=" + h.dir, "DESKBRIDGE_DATABASE_URL=" + u.String(), "DESKBRIDGE_LISTEN=127.0.0.1:0"}
	h.refuses(cli.ExitDatabase, "deskbridge: ")
}

// chatterer is a server that speaks first, as MariaDB does, but nonsense.
func chatterer(t *testing.T) (address string) {
	t.Helper()
	l := listenApart(t)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			_, _ = conn.Write([]byte("garbage\x00\xff\r\n"))
			_ = conn.(*net.TCPConn).CloseWrite()
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		serving.Wait()
	})
	return l.Addr().String()
}
