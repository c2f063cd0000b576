package reliability

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// While devices write and an agent answers, MariaDB dies and later stands still,
// Redis dies, and the network to Zammad is cut, each for a while. Two instances.
func TestOutages(t *testing.T) {
	t.Parallel()
	rng, length := chance(t), outageLength(t)
	db, redis := newMariaDB(t), newRedis(t)
	h := newHouse(t, db.url(), "DESKBRIDGE_REDIS_URL=redis://"+redis.address)
	h.open("one", "two")
	l := h.begin(rng, 5, hasty)
	l.progress(20)

	db.kill()
	l.without(length, func() error { return h.unready() })
	db.start()
	await(t, "the instances come back after MariaDB", func() error { return h.allReady(true) })
	l.progress(20)
	if l.refused.Load() == 0 {
		t.Error("nobody was told that nothing could be stored")
	}

	db.process.freeze()
	l.without(length, func() error { return h.unready() })
	db.process.thaw()
	await(t, "the instances come back after a frozen MariaDB", func() error { return h.allReady(true) })
	l.progress(20)

	refused := l.refused.Load()
	redis.kill()
	l.without(length, func() error { return h.allReady(false) })
	l.progress(20) // accepted without Redis
	redis.start()
	await(t, "the instances find Redis again", func() error { return h.allReady(true) })

	h.desk.cut()
	l.without(length, func() error { return h.allReady(true) })
	l.progress(20) // accepted without Zammad
	h.desk.mend()
	l.progress(20)
	if now := l.refused.Load(); now != refused {
		t.Errorf("%d messages were refused because of Redis or Zammad", now-refused)
	}

	sum := l.finish()
	for _, p := range h.instances {
		p.stop()
	}
	accounts(t, fmt.Sprintf("outages of %s of MariaDB, Redis and Zammad", length), sum)
	t.Logf("%d requests were answered with 503", l.refused.Load())
}

// without waits until something is as it should be while a part is away, and
// until the outage was long enough.
func (l *load) without(length time.Duration, as func() error) {
	l.h.t.Helper()
	over := time.NewTimer(length)
	defer over.Stop()
	await(l.h.t, "the outage is noticed", as)
	<-over.C
	if err := errors.Join(l.fault(), as()); err != nil {
		l.h.t.Errorf("at the end of the outage: %v", err)
	}
}

// addresses gives where the instances listen.
func (h *house) addresses() []string {
	h.front.mu.Lock()
	defer h.front.mu.Unlock()
	return h.front.targets
}

// unready says whether every instance says that it can take no requests, and
// lives.
func (h *house) unready() error {
	for _, address := range h.addresses() {
		status, report, err := h.ready(h.t.Context(), address)
		if err != nil {
			return err
		}
		if status != http.StatusServiceUnavailable || report.Checks["database"].OK {
			return fmt.Errorf("/readyz answers %d: %+v", status, report)
		}
		answer, err := client.Get("http://" + address + "/livez")
		if err != nil {
			return err
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("/livez answers %d", answer.StatusCode)
		}
	}
	return nil
}

// allReady says whether every instance takes requests, with or without Redis.
func (h *house) allReady(redis bool) error {
	for _, address := range h.addresses() {
		status, report, err := h.ready(h.t.Context(), address)
		if err != nil {
			return err
		}
		if status != http.StatusOK || report.Checks["redis"].OK != redis {
			return fmt.Errorf("/readyz answers %d: %+v", status, report)
		}
	}
	return nil
}

// mariaDB is a server of our own, with a database for one test.
type mariaDB struct {
	t       *testing.T
	dir     string
	address string
	user    string // whom the server runs as
	program string
	process *process
}

func newMariaDB(t *testing.T) *mariaDB {
	t.Helper()
	m := &mariaDB{t: t, dir: t.TempDir(), address: freeAddress(t)}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	m.user = me.Username
	m.program = tool(t, "mariadbd")
	setup := exec.Command(tool(t, "mariadb-install-db"), "--no-defaults", "--user="+m.user, "--datadir="+filepath.Join(m.dir, "data"),
		"--auth-root-authentication-method=normal", "--skip-test-db")
	// A server that starts removes the temporary tables that it finds, also those
	// of another server that is using them.
	setup.Env = append(setup.Environ(), "TMPDIR="+m.dir)
	if out, err := setup.CombinedOutput(); err != nil {
		t.Fatalf("set up MariaDB: %v\n%s", err, out)
	}
	m.start()
	db := m.dial("")
	defer db.Close()
	if _, err := db.Exec("CREATE DATABASE deskbridge CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *mariaDB) url() string { return "mysql://root@" + m.address + "/deskbridge" }

func (m *mariaDB) dial(name string) *sql.DB {
	m.t.Helper()
	db, err := sql.Open("mysql", "root@tcp("+m.address+")/"+name)
	if err != nil {
		m.t.Fatal(err)
	}
	return db
}

// start starts the server and waits until it answers.
func (m *mariaDB) start() {
	m.t.Helper()
	_, port, _ := net.SplitHostPort(m.address)
	m.process = start(m.t, "mariadbd", []string{"TMPDIR=" + m.dir}, m.program, "--no-defaults", "--user="+m.user, "--datadir="+filepath.Join(m.dir, "data"),
		"--socket="+filepath.Join(m.dir, "sock"), "--pid-file="+filepath.Join(m.dir, "pid"),
		"--bind-address=127.0.0.1", "--port="+port, "--max-connections=200")
	db := m.dial("")
	defer db.Close()
	await(m.t, "MariaDB answers", func() error {
		if !m.process.running() {
			return &hopeless{errors.New("it ended: " + m.process.stderr.tail())}
		}
		return db.PingContext(m.t.Context())
	})
}

func (m *mariaDB) kill() { m.process.kill() }

// ownRedis is a Redis of our own.
type ownRedis struct {
	t       *testing.T
	dir     string
	address string
	program string
	process *process
}

func newRedis(t *testing.T) *ownRedis {
	t.Helper()
	r := &ownRedis{t: t, dir: t.TempDir(), address: freeAddress(t), program: tool(t, "redis-server")}
	r.start()
	return r
}

func (r *ownRedis) start() {
	r.t.Helper()
	_, port, _ := net.SplitHostPort(r.address)
	r.process = start(r.t, "redis-server", nil, r.program, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", r.dir)
	r.process.says(&r.process.stdout, "Ready to accept connections", "\n")
}

func (r *ownRedis) kill() { r.process.kill() }

// tool finds a program that the test needs.
func tool(t *testing.T, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	needed(t, name+" is not installed")
	return ""
}

// What a device is told while the database is away, word for word.
func TestAnswersWithoutADatabase(t *testing.T) {
	t.Parallel()
	db := newMariaDB(t)
	h := newHouse(t, db.url())
	h.open("one")
	db.kill()
	target := "http://" + h.front.address + "/api/v3/" + region + "/de/chat/device-1/"
	for name, ask := range map[string]func(ctx context.Context) (*http.Request, error){
		"write": func(ctx context.Context) (*http.Request, error) {
			body := url.Values{"message": {"hello"}}.Encode()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(body))
			if err == nil {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			return r, err
		},
		"read": func(ctx context.Context) (*http.Request, error) {
			return http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		},
	} {
		request, err := ask(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var told struct {
			Code      string
			Retryable bool
		}
		began := time.Now()
		if err := fetch(request, http.StatusServiceUnavailable, &told); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if told.Code != "storage_unavailable" || !told.Retryable {
			t.Errorf("%s: %+v", name, told)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%s: the answer took %s", name, took)
		}
	}
	answer, err := client.PostForm(target, url.Values{"message": {"hello"}})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if wait, err := strconv.Atoi(answer.Header.Get("Retry-After")); answer.StatusCode != http.StatusServiceUnavailable || err != nil || wait < 1 {
		t.Errorf("%s with Retry-After %q", answer.Status, answer.Header.Get("Retry-After"))
	}
	await(t, "/readyz says 503", h.unready)
}
