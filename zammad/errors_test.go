package zammad

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const testToken = "t0ken-that-must-not-leak"

// hits counts the requests that reached a server.
type hits struct{ atomic.Int64 }

// rawServer speaks bytes on a real socket: it reads one request, then does
// what the test wants with the connection.
func rawServer(t *testing.T, then func(net.Conn)) (address string, seen *hits) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seen = new(hits)
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				request, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, request.Body)
				seen.Add(1)
				then(conn)
			})
		}
	})
	t.Cleanup(func() { listener.Close(); open.Wait() })
	return "http://" + listener.Addr().String(), seen
}

// newTestClient has short time limits and its own connections.
func newTestClient(t *testing.T, address string, change ...func(*Config)) *Client {
	t.Helper()
	transport := newTransport()
	t.Cleanup(transport.CloseIdleConnections)
	cfg := Config{URL: address, Token: testToken, ReadTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second, Transport: transport}
	for _, f := range change {
		f(&cfg)
	}
	client, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	client.wire.backoff = 2 * time.Millisecond
	return client
}

func read(c *Client) error {
	_, err := c.Tickets.Get(context.Background(), 5)
	return err
}

func write(c *Client) error {
	_, err := c.Tickets.Create(context.Background(), NewTicket{Title: "very private title"})
	return err
}

func post(c *Client) error {
	_, err := c.Articles.Create(context.Background(), NewArticle{TicketID: 5, Body: "very private body"})
	return err
}

func checkKind(t *testing.T, err, kind error) *Error {
	t.Helper()
	var failure *Error
	if !errors.As(err, &failure) || !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
	for _, other := range []error{
		ErrNotAuthorized, ErrForbidden, ErrNotFound, ErrInvalid, ErrMasked, ErrServer, ErrUnavailable, ErrAmbiguous,
	} {
		if other != kind && errors.Is(err, other) {
			t.Errorf("%v is also %v", err, other)
		}
	}
	for _, secret := range []string{testToken, "private", "Token token"} {
		if strings.Contains(fmt.Sprintf("%v %+v %s", err, err, failure.Message), secret) {
			t.Errorf("the error tells %q: %v", secret, err)
		}
	}
	return failure
}

const (
	masked = `{"error":"Error ID aB_3-xYz: Please contact your administrator."}`
	html   = "<html><body>very private page</body></html>"
	page   = "text/html"
)

// wholeAnswers are answers of Zammad or of something in front of it, and what
// they mean for a read, for a write and for a new article.
var wholeAnswers = []struct {
	name              string
	status            int
	kind, body        string
	read, write, post error
}{
	{"bad token", 401, "", `{"error":"x"}`, ErrNotAuthorized, ErrNotAuthorized, ErrNotAuthorized},
	{"bad token, page", 401, page, html, ErrNotAuthorized, ErrNotAuthorized, ErrNotAuthorized},
	{"forbidden", 403, "", `{"error":"x"}`, ErrForbidden, ErrForbidden, ErrForbidden},
	{"gone", 404, "", `{"error":"x"}`, ErrNotFound, ErrNotFound, ErrNotFound},
	{"proxy without backend", 404, page, html, ErrUnavailable, ErrUnavailable, ErrUnavailable},
	{"refused", 422, "", `{"error":"x"}`, ErrInvalid, ErrInvalid, ErrInvalid},
	{"refused, masked", 422, "", masked, ErrMasked, ErrMasked, ErrMasked},
	{"too large for the web server", 413, page, html, ErrInvalid, ErrInvalid, ErrInvalid},
	{"bad request", 400, page, html, ErrInvalid, ErrInvalid, ErrInvalid},
	{"slow request", 408, page, html, ErrUnavailable, ErrAmbiguous, ErrAmbiguous},
	{"too many", 429, page, html, ErrUnavailable, ErrUnavailable, ErrUnavailable},
	{"moved", 302, page, html, ErrUnavailable, ErrUnavailable, ErrUnavailable},
	{"error, masked", 500, "", masked, ErrMasked, ErrMasked, ErrAmbiguous},
	{"error", 500, "", `{"error":"x"}`, ErrServer, ErrServer, ErrAmbiguous},
	{"error, page", 500, page, html, ErrUnavailable, ErrAmbiguous, ErrAmbiguous},
	{"bad gateway", 502, page, html, ErrUnavailable, ErrAmbiguous, ErrAmbiguous},
	{"unavailable", 503, page, html, ErrUnavailable, ErrAmbiguous, ErrAmbiguous},
	{"gateway timeout", 504, page, html, ErrUnavailable, ErrAmbiguous, ErrAmbiguous},
	{"page as a success", 200, page, html, ErrUnavailable, ErrAmbiguous, ErrAmbiguous},
	{"garbage", 201, "", `{"id":`, ErrUnavailable, ErrAmbiguous, ErrAmbiguous},
	{"empty success", 200, "", "", ErrUnavailable, ErrAmbiguous, ErrAmbiguous},
	{"null", 200, "", "null", ErrUnavailable, ErrAmbiguous, ErrAmbiguous},
	{"not a record", 200, "", `{"status":"ok"}`, ErrUnavailable, ErrAmbiguous, ErrAmbiguous},
	{"over the limit", 200, "", `{"id":1,"note":"` + strings.Repeat("x", 5000) + `"}`, ErrServer, ErrAmbiguous, ErrAmbiguous},
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range wholeAnswers {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var seen hits
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen.Add(1)
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
				if c.kind != "" {
					w.Header().Set("Content-Type", c.kind)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer server.Close()
			client := newTestClient(t, server.URL, func(cfg *Config) { cfg.MaxBody = 4000 })
			failure := checkKind(t, read(client), c.read)
			want := int64(1)
			if c.read == ErrUnavailable {
				want = readAttempts
			}
			if got := seen.Swap(0); got != want {
				t.Errorf("a read was sent %d times, want %d", got, want)
			}
			if failure.Status != c.status || failure.Path != "/api/v1/tickets/5" {
				t.Errorf("%+v", failure)
			}
			if c.body == masked && failure.ErrorID != "aB_3-xYz" {
				t.Errorf("Error ID %q", failure.ErrorID)
			}
			checkKind(t, write(client), c.write)
			checkKind(t, post(client), c.post)
			if got := seen.Load(); got != 2 {
				t.Errorf("two writes were sent %d times", got)
			}
		})
	}
}

// TestBrokenConnections cuts real sockets.
func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n"
	send := func(text string) func(net.Conn) {
		return func(conn net.Conn) { _, _ = io.WriteString(conn, text) }
	}
	for _, c := range []struct {
		name string
		then func(net.Conn)
	}{
		{"cut before the answer", func(net.Conn) {}},
		{"reset before the answer", func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }},
		{"cut in the headers", send("HTTP/1.1 201 Cre")},
		{"cut before the body", send(head)},
		{"cut in the body", send(head + `{"id":`)},
		{"not HTTP", send("SSH-2.0-x\r\n")},
		{"silence", func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }},
		{"silence in the body", func(conn net.Conn) {
			_, _ = io.WriteString(conn, head+`{"id":`)
			_, _ = io.Copy(io.Discard, conn)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			address, seen := rawServer(t, c.then)
			client := newTestClient(t, address, func(cfg *Config) {
				cfg.ReadTimeout, cfg.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond
			})
			checkKind(t, read(client), ErrUnavailable)
			if got := seen.Swap(0); got != readAttempts {
				t.Errorf("a read was sent %d times", got)
			}
			checkKind(t, write(client), ErrAmbiguous)
			checkKind(t, client.Tickets.Delete(context.Background(), 5), ErrAmbiguous)
			if got := seen.Load(); got != 2 {
				t.Errorf("two writes were sent %d times", got)
			}
		})
	}
}

func TestNotReached(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := "http://" + listener.Addr().String()
	listener.Close()
	unknown := func(cfg *Config) {
		transport := newTransport()
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "zammad.invalid", IsNotFound: true}}
		}
		cfg.Transport = transport
	}
	for name, client := range map[string]*Client{
		"refused": newTestClient(t, refused),
		"no name": newTestClient(t, "http://zammad.invalid", unknown),
		"not TLS": newTestClient(t, strings.Replace(httptestServer(t), "http:", "https:", 1)),
	} {
		checkKind(t, read(client), ErrUnavailable)
		checkKind(t, write(client), ErrUnavailable)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

func httptestServer(t *testing.T) string {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	return server.URL
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 1)
	address, seen := rawServer(t, func(conn net.Conn) {
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, conn)
	})
	client := newTestClient(t, address, func(cfg *Config) { cfg.Limiter = NewLimiter(1, time.Now) })
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-arrived; cancel() }()
	_, err := client.Articles.Create(ctx, NewArticle{Body: "very private body"})
	checkKind(t, err, ErrAmbiguous)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the cause is lost: %v", err)
	}
	_, err = client.Articles.Create(ctx, NewArticle{Body: "x"})
	checkKind(t, err, ErrUnavailable) // nothing was sent
	if seen.Load() != 1 {
		t.Errorf("%d requests", seen.Load())
	}
}

// TestRetryAfter waits as long as the server asks, on a clock of its own.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		asked    string
		want     time.Duration
		attempts int
	}{{"7", 14 * time.Second, 3}, {"", 0, 3}, {"3600", 0, 1}} {
		synctest.Test(t, func(t *testing.T) {
			sent := 0
			client := newTestClient(t, "http://zammad.invalid", func(cfg *Config) {
				cfg.Transport = answer(func(*http.Request) *http.Response {
					sent++
					return &http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {c.asked}}, Body: http.NoBody}
				})
			})
			start := time.Now()
			failure := checkKind(t, read(client), ErrUnavailable)
			waited := time.Since(start)
			if sent != c.attempts || waited < c.want || waited > c.want+time.Second {
				t.Errorf("asked for %q: %d attempts in %v", c.asked, sent, waited)
			}
			if c.asked == "3600" && failure.RetryAfter != time.Hour {
				t.Errorf("RetryAfter %v", failure.RetryAfter)
			}
		})
	}
}

// answer is a transport without a network.
type answer func(*http.Request) *http.Response

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := a(r)
	resp.Request = r
	return resp, nil
}

func TestRetrySucceeds(t *testing.T) {
	t.Parallel()
	var seen hits
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen.Add(1) < readAttempts {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, `[{"id":5,"number":"37005"}]`)
	}))
	defer server.Close()
	var calls []Call
	client := newTestClient(t, server.URL, func(cfg *Config) { cfg.OnCall = func(c Call) { calls = append(calls, c) } })
	// A search is a POST but changes nothing, so it is a read.
	found, err := client.Tickets.Search(context.Background(), Search{Conditions: Conditions{"ticket.id": Condition{Operator: "is", Value: "5"}}})
	if err != nil || len(found) != 1 || found[0].Number != "37005" {
		t.Fatalf("%+v, %v", found, err)
	}
	if len(calls) != readAttempts || calls[2].Attempt != 3 || calls[2].Status != 200 || calls[2].Err != nil ||
		calls[0].Status != 502 || !errors.Is(calls[0].Err, ErrUnavailable) || calls[0].Route != "/tickets/search" {
		t.Errorf("%+v", calls)
	}
}

// TestReusedConnectionCut breaks a connection that has served a call before:
// net/http repeats some requests by itself then, and no write may be among them.
func TestReusedConnectionCut(t *testing.T) {
	t.Parallel()
	var writes hits
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, `{"id":5}`)
			return
		}
		writes.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}))
	defer server.Close()
	client := newTestClient(t, server.URL)
	for name, call := range map[string]func() error{
		"create": func() error { return write(client) },
		"post":   func() error { return post(client) },
		"merge":  func() error { return client.Tickets.Merge(context.Background(), 5, "37005") },
		"delete": func() error { return client.Tickets.Delete(context.Background(), 5) },
		"update": func() error {
			_, err := client.Articles.SetInternal(context.Background(), 5, true)
			return err
		},
	} {
		if err := read(client); err != nil { // leaves a connection to be used again
			t.Fatal(err)
		}
		writes.Store(0)
		checkKind(t, call(), ErrAmbiguous)
		if writes.Load() != 1 {
			t.Errorf("%s: sent %d times", name, writes.Load())
		}
	}
}
