package server_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"deskbridge/server"
)

// pipes is a listener whose connections have the test's own time.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.done)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// TestClientsThatTakeTheirTimeAreCut: whoever sends a byte now and then holds a
// connection for a known time and no longer.
func TestClientsThatTakeTheirTimeAreCut(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		send string
		want time.Duration
	}{
		"nothing at all":  {"", 10 * time.Second},
		"half a header":   {"POST /body HTTP/1.1\r\nHost: x\r\nX-Slow: a", 10 * time.Second},
		"half a body":     {"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf", 90 * time.Second},
		"no next request": {"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := frame(t, server.Config{Connections: 5})
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				listener := &pipes{make(chan net.Conn), make(chan struct{})}
				ended := make(chan error, 1)
				go func() { ended <- s.Run(ctx, listener) }()
				conn, theirs := net.Pipe()
				listener.conns <- theirs
				began := time.Now()
				go func() { _, _ = io.WriteString(conn, tc.send) }()
				if err := untilClosed(conn); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took < tc.want || took > tc.want+5*time.Second {
					t.Errorf("cut after %s, want %s", took, tc.want)
				}
				_ = conn.Close()
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// untilClosed reads answers until the server closes the connection.
func untilClosed(conn net.Conn) error {
	from := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(from, nil)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
	}
}
