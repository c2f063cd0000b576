package reliability_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"
)

// What may happen to a call on its way to Zammad, and to a webhook on its way
// back.
const (
	cutBefore = "cut before the work"
	cutAfter  = "cut after the work"
	late      = "cut at once, work done later"
	slow      = "work done later, then answered"
	timeout   = "work done, answer never comes"
	busy      = "503 by a proxy"
	gateway   = "work done, 502 by a proxy"
	masked    = "500 with an error id"
	refused   = "422 with an error id"
	garbage   = "work done, garbage answered"
	truncated = "work done, half of the answer"

	dropped    = "webhook lost"
	doubled    = "webhook doubled"
	deferred   = "webhook late"
	turnedDown = "webhook refused by a proxy"
	unheard    = "webhook taken, answer lost"
	corrupted  = "webhook cut in half"
)

var (
	callFaults = []string{cutBefore, cutAfter, late, slow, timeout, busy, gateway, masked, refused, garbage, truncated}
	hookFaults = []string{dropped, doubled, deferred, turnedDown, unheard, corrupted}
)

// fault is one thing that goes wrong a number of times.
type fault struct {
	kind  string
	only  string // "write", "read", "search" or "" for every call
	skip  int    // calls that pass before
	times int
	delay time.Duration
}

var errCut = errors.New("connection reset by peer")

// network is what lies between the instances and Zammad.
type network struct {
	zammad http.Handler

	mu      sync.Mutex
	faults  []*fault
	running int // calls under way, and late work
}

func (n *network) set(f *fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = append(n.faults, f)
}

func (n *network) clear() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = nil
}

// take gives the fault that is due for something, or nil.
func (n *network) take(is func(*fault) bool) *fault {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, f := range n.faults {
		if f.times == 0 || !is(f) {
			continue
		}
		if f.skip > 0 {
			f.skip--
			continue
		}
		f.times--
		return f
	}
	return nil
}

func (n *network) count(by int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running += by
	return n.running
}

// later lets Zammad do its work when nobody waits for it any more.
func (n *network) later(after time.Duration, work func() *http.Response) {
	n.count(+1)
	go func() {
		defer n.count(-1)
		<-time.After(after)
		work()
	}()
}

// line carries the calls of one instance.
type line struct {
	w  *world
	in *instance
}

func (l line) RoundTrip(req *http.Request) (*http.Response, error) {
	l.in.point()
	ctx, n := req.Context(), l.w.net
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	work, err := n.request(req)
	if err != nil {
		return nil, err
	}
	n.count(+1)
	defer n.count(-1)
	kind := "read"
	if strings.HasSuffix(req.URL.Path, "/search") {
		kind = "search"
	} else if req.Method != http.MethodGet {
		kind = "write"
	}
	f := n.take(func(f *fault) bool { return isOneOf(callFaults, f.kind) && (f.only == "" || f.only == kind) })
	if f == nil {
		answer := work()
		l.in.point()
		return answer, nil
	}
	l.w.note("  fault: %s, %s %s", f.kind, req.Method, req.URL.Path)
	answer, err := l.strike(ctx, f, work)
	l.in.point()
	return answer, err
}

// strike lets a fault happen.
func (l line) strike(ctx context.Context, f *fault, work func() *http.Response) (*http.Response, error) {
	n := l.w.net
	switch f.kind {
	case cutBefore:
		return nil, errCut
	case cutAfter:
		work()
		return nil, errCut
	case late:
		n.later(f.delay, work)
		return nil, errCut
	case slow:
		done := make(chan *http.Response, 1)
		n.later(f.delay, func() *http.Response { done <- work(); return nil })
		select {
		case answer := <-done:
			return answer, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-l.in.died:
			return nil, errCut
		}
	case timeout:
		work()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-l.in.died:
			return nil, errCut
		}
	case busy:
		return page(http.StatusServiceUnavailable, "text/html", "<html>busy</html>"), nil
	case gateway:
		work()
		return page(http.StatusBadGateway, "text/html", "<html>bad gateway</html>"), nil
	case masked:
		return page(http.StatusInternalServerError, "application/json", `{"error":"Error ID seeded: Please contact your administrator."}`), nil
	case refused:
		return page(http.StatusUnprocessableEntity, "application/json", `{"error":"Error ID seeded: Please contact your administrator."}`), nil
	case garbage:
		work()
		return page(http.StatusOK, "application/json", `{"id":7,"tit<garbage>`), nil
	default: // truncated
		answer := work()
		whole, _ := io.ReadAll(answer.Body) // from memory
		answer.Body = io.NopCloser(io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), broken{}))
		return answer, nil
	}
}

// broken is the end of a connection in the middle of a body.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// request gives the work that a request asks of Zammad, which may be done
// whether or not somebody waits for it.
func (n *network) request(req *http.Request) (func() *http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{}) // the client asks whether a connection was used
	}
	return func() *http.Response { return serve(n.zammad, req, body) }, nil
}

// serve lets a handler answer a request, without a socket.
func serve(handler http.Handler, req *http.Request, body []byte) *http.Response {
	arrived := req.Clone(context.Background())
	arrived.Body, arrived.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	arrived.RequestURI, arrived.Host, arrived.RemoteAddr = req.URL.RequestURI(), req.URL.Host, "192.0.2.1:1234"
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, arrived)
	out := answer.Result()
	out.Request = req
	return out
}

func page(status int, kind, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(body)),
	}
}

// people carries the calls of agents and administrators, to which nothing
// happens.
type people struct{ n *network }

func (p people) RoundTrip(req *http.Request) (*http.Response, error) {
	work, err := p.n.request(req)
	if err != nil {
		return nil, err
	}
	return work(), nil
}

// hooks carries Zammad's webhooks to an instance that is alive.
type hooks struct{ w *world }

func (h hooks) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	f := h.w.net.take(func(f *fault) bool { return isOneOf(hookFaults, f.kind) })
	if f == nil {
		return h.knock(req, body)
	}
	h.w.note("  fault: %s", f.kind)
	fine := page(http.StatusOK, "application/json", "{}")
	switch f.kind {
	case dropped:
		return fine, nil
	case doubled:
		if _, err := h.knock(req, body); err != nil {
			return nil, err
		}
		return h.knock(req, body)
	case deferred:
		h.w.net.later(f.delay, func() *http.Response { _, _ = h.knock(req, body); return nil }) // lost if nobody is there
		return fine, nil
	case turnedDown:
		return page(http.StatusServiceUnavailable, "text/html", "<html>busy</html>"), nil
	case unheard:
		if _, err := h.knock(req, body); err != nil {
			return nil, err
		}
		return nil, errCut
	default: // corrupted
		return h.knock(req, body[:len(body)/2])
	}
}

// knock hands a webhook to the door. An instance that dies meanwhile answers
// nothing.
func (h hooks) knock(req *http.Request, body []byte) (*http.Response, error) {
	in := h.w.anyone()
	if in == nil {
		return nil, errCut
	}
	answer := make(chan *http.Response, 1)
	go func() {
		defer close(answer)
		answer <- serve(in.door, req, body)
	}()
	if out := <-answer; out != nil {
		return out, nil
	}
	return nil, errCut
}

func isOneOf(list []string, s string) bool {
	for _, one := range list {
		if one == s {
			return true
		}
	}
	return false
}
