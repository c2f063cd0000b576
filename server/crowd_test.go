package server_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/server"
)

// dial opens a connection that ends with the test.
func (r *running) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.addr, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ask sends a request over a connection and reads its answer.
func ask(t *testing.T, conn net.Conn, path, header string) *http.Response {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n"+header+"\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusTooManyRequests &&
		(resp.Header.Get("Retry-After") != "5" || !strings.Contains(string(body), `"`+bridge.ErrRateLimited.Code+`"`)) {
		t.Errorf("%v %s", resp.Header, body)
	}
	return resp
}

// closed waits for the server to close a connection without a word.
func closed(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err := conn.Read(make([]byte, 1))
	if timeout := net.Error(nil); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("the connection is open: %v", err)
	}
}

func TestConnectionsOfAnAddressAreBounded(t *testing.T) {
	t.Parallel()
	r := run(t, server.Config{Connections: 2})
	one, two, three := r.dial(t), r.dial(t), r.dial(t)
	for i, tc := range []struct {
		conn net.Conn
		want int
	}{{one, 200}, {two, 200}, {three, 429}, {one, 200}} {
		if resp := ask(t, tc.conn, "/livez", ""); resp.StatusCode != tc.want || resp.Close != (tc.want == 429) {
			t.Errorf("request %d: %d, close %v; want %d", i+1, resp.StatusCode, resp.Close, tc.want)
		}
	}
	closed(t, three) // after its answer
	_ = one.Close()
	within := 0
	for deadline := time.Now().Add(10 * time.Second); within != 200 && time.Now().Before(deadline); {
		within = ask(t, r.dial(t), "/livez", "").StatusCode // 200 as soon as the server knows that the others are gone
	}
	if within != 200 {
		t.Errorf("no place after a connection was closed: %d", within)
	}
}

func TestTwiceTheConnectionsAreClosedAtOnce(t *testing.T) {
	t.Parallel()
	r := run(t, server.Config{Connections: 1})
	one, two := r.dial(t), r.dial(t)
	if resp := ask(t, one, "/livez", ""); resp.StatusCode != 200 {
		t.Errorf("the first: %d", resp.StatusCode)
	}
	closed(t, r.dial(t))
	if resp := ask(t, two, "/livez", ""); resp.StatusCode != 429 {
		t.Errorf("the second: %d", resp.StatusCode)
	}
}

func TestLoopbackCanBeExemptFromConnections(t *testing.T) {
	t.Parallel()
	r := run(t, server.Config{Connections: 1, ExemptLoopback: true})
	for range 4 {
		if resp := ask(t, r.dial(t), "/livez", ""); resp.StatusCode != 200 {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
}

// Behind a proxy the connections are the proxy's: there running requests count.
func TestRequestsBehindAProxyAreBounded(t *testing.T) {
	t.Parallel()
	r := run(t, server.Config{Connections: 1, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	waiting := make(chan int, 1)
	conn := r.dial(t)
	go func() { waiting <- ask(t, conn, "/limited-wait", "X-Forwarded-For: 192.0.2.1\r\n").StatusCode }()
	receive(t, r.entered)
	for _, tc := range []struct {
		forwarded string
		want      int
	}{
		{"192.0.2.1", 429},
		{"203.0.113.77, 192.0.2.1", 429}, // what stands left of it anybody may write
		{"192.0.2.1, 127.0.0.9", 429},
		{"192.0.2.2", 304},
		{"192.0.2.1, 192.0.2.2", 304},
	} {
		if resp := ask(t, r.dial(t), "/poll", "X-Forwarded-For: "+tc.forwarded+"\r\n"); resp.StatusCode != tc.want {
			t.Errorf("%s: %d, want %d", tc.forwarded, resp.StatusCode, tc.want)
		}
	}
	close(r.release)
	if got := receive(t, waiting); got != 200 {
		t.Errorf("the first request: %d", got)
	}
	if resp := ask(t, r.dial(t), "/poll", "X-Forwarded-For: 192.0.2.1\r\n"); resp.StatusCode != 304 {
		t.Errorf("afterwards: %d", resp.StatusCode)
	}
}
