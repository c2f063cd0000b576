package server_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"deskbridge/server"
)

// redisServer is a Redis of the test's own, so that it can be stopped.
type redisServer struct {
	t       *testing.T
	address string
	dir     string
	process *exec.Cmd
}

// newRedis starts a Redis where the tests have Redis at all.
func newRedis(t *testing.T) *redisServer {
	t.Helper()
	required := os.Getenv("DESKBRIDGE_TEST_REQUIRED") != ""
	if os.Getenv("DESKBRIDGE_TEST_REDIS") == "" {
		if required {
			t.Fatal("DESKBRIDGE_TEST_REDIS is not set, but the full suite is required")
		}
		t.Skip("set DESKBRIDGE_TEST_REDIS to run the tests with Redis")
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		if required {
			t.Fatal(err)
		}
		t.Skip("redis-server is not installed")
	}
	r := &redisServer{t: t, address: freeAddress(t), dir: t.TempDir()}
	r.start()
	t.Cleanup(r.stop)
	return r
}

// freeAddress gives an address on which nobody listens now.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

func (r *redisServer) url() string { return "redis://" + r.address }

// start runs the server and waits until it answers.
func (r *redisServer) start() {
	r.t.Helper()
	_, port, _ := net.SplitHostPort(r.address)
	r.process = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", r.dir)
	if err := r.process.Start(); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, "Redis answers", func() bool {
		conn, err := redis.Dial("tcp", r.address)
		if err != nil {
			return false
		}
		defer conn.Close()
		_, err = conn.Do("PING")
		return err == nil
	})
}

// stop ends the server at once.
func (r *redisServer) stop() {
	if r.process == nil {
		return
	}
	_ = r.process.Process.Kill()
	_ = r.process.Wait() // says that it was killed
	r.process = nil
}

func (r *redisServer) signal(s os.Signal) {
	r.t.Helper()
	if err := r.process.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// eventually tries until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// instance is a server with a share in the limits.
type instance struct {
	*server.Server
	log   *logBuffer
	clock *clock
}

func newInstance(t *testing.T, url string, cfg server.Config) *instance {
	t.Helper()
	i := &instance{log: &logBuffer{}, clock: &clock{at: time.Now()}}
	cfg.Log, cfg.Now = slog.New(slog.NewJSONHandler(i.log, nil)), i.clock.now
	hash := func(key string) string {
		sum := sha256.Sum256([]byte("salt" + key))
		return hex.EncodeToString(sum[:])
	}
	shared, err := server.NewShared(server.SharedConfig{URL: url, Hash: hash, Log: cfg.Log, Now: cfg.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shared.Close() })
	cfg.Shared = shared
	i.Server, _ = frame(t, cfg)
	return i
}

// post sends from an address and gives status and Retry-After.
func (i *instance) post(addr string) (int, string) {
	w := do(i.Server, "POST", "/body", func(r *http.Request) { r.RemoteAddr = addr + ":1" })
	return w.Code, w.Header().Get("Retry-After")
}

// said counts the lines of the log that contain a text.
func (i *instance) said(text string) int { return strings.Count(i.log.String(), text) }

const (
	lineAway = "Redis does not count"
	lineBack = "Redis counts again"
)

func TestInstancesShareTheirLimits(t *testing.T) {
	t.Parallel()
	r := newRedis(t)
	one, two := newInstance(t, r.url(), server.Config{WritesPerMinute: 4, ReadsPerMinute: 600}), newInstance(t, r.url(), server.Config{WritesPerMinute: 4, ReadsPerMinute: 600})
	for n, i := range []*instance{one, two, one, two} {
		if code, _ := i.post("192.0.2.1"); code != 201 {
			t.Errorf("request %d: %d", n+1, code)
		}
	}
	for _, i := range []*instance{one, two} {
		if code, after := i.post("192.0.2.1"); code != 429 || after != "15" && after != "14" {
			t.Errorf("beyond the limit: %d, Retry-After %q", code, after)
		}
		if code, _ := i.post("192.0.2.2"); code != 201 {
			t.Errorf("somebody else: %d", code)
		}
	}
	reads := 0
	for n := range 2000 { // lots of 6, so the bound is exact to a lot for each instance
		if w := do([]*instance{one, two}[n%2].Server, "GET", "/poll", func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1" }); w.Code == 304 {
			reads++
		}
	}
	if reads < 594 || reads > 700 { // what the clock allows while the test runs comes on top
		t.Errorf("%d reads of 600 were allowed", reads)
	}
	if one.said(lineAway)+two.said(lineAway) != 0 {
		t.Errorf("Redis was slow: %s %s", one.log, two.log)
	}
}

// Redis learns neither addresses nor devices, and forgets what it was told.
func TestRedisHoldsHashesThatExpire(t *testing.T) {
	t.Parallel()
	r := newRedis(t)
	i := newInstance(t, r.url(), server.Config{WritesPerMinute: 4})
	i.post("192.0.2.1")
	i.post("[2001:db8::1]")
	conn, err := redis.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	keys, err := redis.Strings(conn.Do("KEYS", "*"))
	if err != nil || len(keys) != 2 {
		t.Fatalf("%q, %v", keys, err)
	}
	for _, key := range keys {
		name, isOurs := strings.CutPrefix(key, "deskbridge:limit:")
		if _, err := hex.DecodeString(name); !isOurs || err != nil || len(name) != 64 {
			t.Errorf("key %q", key)
		}
		if left, err := redis.Int64(conn.Do("PTTL", key)); err != nil || left <= 0 || left > time.Minute.Milliseconds() {
			t.Errorf("%q lives for %d ms: %v", key, left, err)
		}
	}
}

func TestLimitsFallBackWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	r := newRedis(t)
	cfg := server.Config{WritesPerMinute: 3}
	one, two := newInstance(t, r.url(), cfg), newInstance(t, r.url(), cfg)
	if code, _ := one.post("192.0.2.1"); code != 201 {
		t.Fatal(code)
	}
	r.stop()
	for n, want := range []int{201, 201, 429, 429, 429} { // with what it had counted itself
		if code, _ := one.post("192.0.2.1"); code != want {
			t.Errorf("request %d without Redis: %d, want %d", n+1, code, want)
		}
	}
	for range 20 {
		two.post("192.0.2.9")
	}
	if one.said(lineAway) != 1 || two.said(lineAway) != 1 {
		t.Errorf("one line for one failure:\n%s\n%s", one.log, two.log)
	}
	for range 3 { // it is asked again now and then, which is not worth a line
		one.clock.advance(1100 * time.Millisecond)
		one.post("192.0.2.3")
	}
	if one.said(lineAway) != 1 {
		t.Errorf("every try is logged: %s", one.log)
	}
	r.start()
	eventually(t, "both instances ask Redis again", func() bool {
		for _, i := range []*instance{one, two} {
			i.clock.advance(1100 * time.Millisecond)
			i.post("192.0.2.4")
		}
		return one.said(lineBack) == 1 && two.said(lineBack) == 1
	})
	for n, tc := range []struct {
		*instance
		want int
	}{{one, 201}, {two, 201}, {one, 201}, {two, 429}, {one, 429}} {
		if code, _ := tc.post("192.0.2.5"); code != tc.want {
			t.Errorf("request %d with Redis again: %d, want %d", n+1, code, tc.want)
		}
	}
}

func TestASlowRedisDelaysNobody(t *testing.T) {
	t.Parallel()
	r := newRedis(t)
	i := newInstance(t, r.url(), server.Config{WritesPerMinute: 40})
	i.post("192.0.2.1")
	r.signal(syscall.SIGSTOP) // takes connections and bytes, and answers nothing
	defer r.signal(syscall.SIGCONT)
	began := time.Now()
	for n := range 30 {
		if code, _ := i.post("192.0.2.1"); code != 201 {
			t.Errorf("request %d: %d", n+1, code)
		}
	}
	if took := time.Since(began); took > 2*time.Second { // the first waits a tenth of one
		t.Errorf("30 requests took %s", took)
	}
	if i.said(lineAway) != 1 {
		t.Errorf("the log: %s", i.log)
	}
}

// Anything may stand at the configured address.
func TestARedisThatTalksNonsenseIsAway(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			_ = conn.Close()
		}
	}()
	i := newInstance(t, "redis://user:hunter2@"+ln.Addr().String(), server.Config{WritesPerMinute: 2})
	for n, want := range []int{201, 201, 429} {
		if code, _ := i.post("192.0.2.1"); code != want {
			t.Errorf("request %d: %d, want %d", n+1, code, want)
		}
	}
	if i.said(lineAway) != 1 || i.said("hunter2") != 0 {
		t.Errorf("the log: %s", i.log)
	}
}

func TestImpossibleRedisURLIsRefused(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "127.0.0.1:6379", "redis://user:p%zz@host"} {
		if _, err := server.NewShared(server.SharedConfig{URL: url, Now: time.Now}); err == nil || strings.Contains(err.Error(), "zz") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
