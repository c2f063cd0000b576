package server_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/server"
)

// running is a server on a real socket with a route that waits.
type running struct {
	server  *server.Server
	addr    string
	entered chan struct{}
	release chan struct{}
	stop    context.CancelFunc
	ended   chan error
	client  *http.Client
	log     *logBuffer
}

func run(t *testing.T, cfg server.Config) *running {
	t.Helper()
	s, log := frame(t, cfg)
	r := &running{server: s, entered: make(chan struct{}), release: make(chan struct{}), ended: make(chan error, 1), log: log}
	wait := func(c *gin.Context) {
		r.entered <- struct{}{}
		select {
		case <-r.release:
			c.String(http.StatusOK, "finished")
		case <-c.Request.Context().Done():
			c.String(http.StatusOK, "cut")
		}
	}
	s.Engine().GET("/wait", wait)
	s.Limited().GET("/limited-wait", wait)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = "http://" + ln.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	r.client = &http.Client{Transport: &http.Transport{}}
	go func() { r.ended <- s.Run(ctx, ln) }()
	t.Cleanup(func() { stop(); r.client.CloseIdleConnections() })
	return r
}

func (r *running) get(path string) <-chan string {
	answer := make(chan string, 1)
	go func() {
		resp, err := r.client.Get(r.addr + path)
		if err != nil {
			answer <- "error"
			return
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			answer <- "error"
			return
		}
		answer <- string(body)
	}()
	return answer
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("waited too long")
		panic("unreachable")
	}
}

func TestStopLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	r := run(t, server.Config{})
	answer := r.get("/wait")
	receive(t, r.entered)
	r.stop()
	for { // no new ones: refused as soon as the listener is closed
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.addr, "http://"))
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	select {
	case err := <-r.ended:
		t.Fatalf("ended (%v) before the request was finished", err)
	default:
	}
	close(r.release)
	if got := receive(t, answer); got != "finished" {
		t.Errorf("the running request got %q", got)
	}
	if err := receive(t, r.ended); err != nil {
		t.Errorf("a stop is no error: %v", err)
	}
}

func TestStopCutsWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	r := run(t, server.Config{ShutdownTimeout: 20 * time.Millisecond})
	answer := r.get("/wait")
	receive(t, r.entered)
	r.stop()
	if err := receive(t, r.ended); err != nil {
		t.Errorf("a stop is no error: %v", err)
	}
	if got := receive(t, answer); got != "error" {
		t.Errorf("the cut request got %q", got)
	}
	if !strings.Contains(r.log.String(), "cut off") {
		t.Errorf("the log does not tell: %s", r.log)
	}
}

type brokenListener struct{ net.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, errors.New("broken") }

func TestRunReportsABrokenListener(t *testing.T) {
	t.Parallel()
	s, _ := frame(t, server.Config{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context(), brokenListener{ln}); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("error %v", err)
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	t.Parallel()
	r := run(t, server.Config{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.addr, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	go func() {
		_, _ = io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
	r.stop()
	if err := receive(t, r.ended); err != nil {
		t.Error(err)
	}
}
