package server_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
	"deskbridge/server"
)

// open takes a place outside of any request.
func open(s *server.Server, device string) (stopping <-chan struct{}, done func(), err error) {
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	stopping, done, err = s.OpenStream(c, device)
	if err != nil && c.Writer.Header().Get("Retry-After") == "" {
		err = errors.New("no Retry-After")
	}
	return stopping, done, err
}

func TestStreamsHavePlaces(t *testing.T) {
	t.Parallel()
	s, _ := frame(t, server.Config{Streams: 3, StreamsPerDevice: 2})
	_, doneA, err := open(s, "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		device string
		want   error
	}{{"a", nil}, {"a", bridge.ErrManyStreams}, {"b", nil}, {"b", bridge.ErrFull}, {"a", bridge.ErrManyStreams}} {
		if _, _, err := open(s, tc.device); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.device, err, tc.want)
		}
	}
	doneA()
	doneA() // once
	if _, _, err := open(s, "c"); err != nil {
		t.Errorf("a place that was given back: %v", err)
	}
	if _, _, err := open(s, "c"); !errors.Is(err, bridge.ErrFull) {
		t.Errorf("given back once, taken twice: %v", err)
	}
}

func TestStopTellsStreamsAndWaitsForThem(t *testing.T) {
	t.Parallel()
	r := run(t, server.Config{})
	stopping, done, err := open(r.server, "a")
	if err != nil {
		t.Fatal(err)
	}
	r.stop()
	receive(t, stopping)
	select {
	case err := <-r.ended:
		t.Fatalf("ended with a stream open: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if _, _, err := open(r.server, "b"); !errors.Is(err, bridge.ErrStopping) {
		t.Errorf("a new stream while stopping: %v", err)
	}
	done()
	if err := receive(t, r.ended); err != nil {
		t.Error(err)
	}
}

func TestAStreamThatDoesNotEndHoldsTheStopUpForAWhileOnly(t *testing.T) {
	t.Parallel()
	r := run(t, server.Config{ShutdownTimeout: 50 * time.Millisecond})
	if _, _, err := open(r.server, "a"); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if err := receive(t, r.ended); err != nil {
		t.Error(err)
	}
}

// TestHijackedConnectionsStayCounted: a socket is a connection of its address
// until it is closed, though net/http has forgotten it.
func TestHijackedConnectionsStayCounted(t *testing.T) {
	t.Parallel()
	r := run(t, server.Config{Connections: 1})
	taken := make(chan net.Conn, 1)
	r.server.Engine().GET("/hijack", func(c *gin.Context) {
		conn, _, err := c.Writer.Hijack()
		if err != nil {
			t.Error(err)
		}
		taken <- conn
	})
	if _, err := r.dial(t).Write([]byte("GET /hijack HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	socket := receive(t, taken)
	if got := ask(t, r.dial(t), "/livez", "").StatusCode; got != http.StatusTooManyRequests {
		t.Errorf("beside a socket: %d, want 429", got)
	}
	if err := socket.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its place is free", func() bool { return ask(t, r.dial(t), "/livez", "").StatusCode == http.StatusOK })
}

func TestOriginsOfSockets(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		allowed []string
		origin  string
		want    bool
	}{
		"no browser":      {nil, "", true},
		"our own page":    {nil, "https://chat.example", true},
		"a listed origin": {[]string{"https://app.example"}, "https://app.example", true},
		"every origin":    {[]string{"*"}, "https://evil.example", true},
		"another":         {[]string{"https://app.example"}, "https://evil.example", false},
		"none is allowed": {nil, "https://app.example", false},
		"a hidden origin": {[]string{"https://app.example"}, "null", false},
		"ends like ours":  {nil, "https://evil.chat.example", false},
	} {
		s, _ := frame(t, server.Config{CORSOrigins: tc.allowed})
		r := httptest.NewRequest("GET", "http://chat.example/", nil)
		if tc.origin != "" {
			r.Header.Set("Origin", tc.origin)
		}
		if got := s.AllowsOrigin(r); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
