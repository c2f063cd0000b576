package zammad

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-resty/resty/v2"
)

const (
	readAttempts  = 3
	firstBackoff  = 200 * time.Millisecond
	maxRetryAfter = 30 * time.Second // a server that asks for more gets its error reported instead
)

// wire sends requests and turns the answers into values or errors.
type wire struct {
	cfg     Config
	rest    *resty.Client
	from    string        // whom to act for, "" for oneself
	backoff time.Duration // base of the pause before the second attempt of a read
}

// request is one call before it is sent.
type request struct {
	method string
	route  string // pattern for logs
	path   string
	query  map[string]string
	body   []byte          // nil for none
	write  bool            // changes something in Zammad: never repeated
	loose  bool            // Zammad runs it outside a transaction, see internal
	open   func(*Download) // takes the body unread; nil for JSON
}

// read gets a path made from route and ids into a value; it is repeated when
// that may help.
func (w *wire) read(ctx context.Context, into any, query map[string]string, route string, ids ...any) error {
	r := newRequest(http.MethodGet, route, ids...)
	r.query = query
	return w.call(ctx, r, into)
}

// write sends a body (nil for none) and reads the answer into a value (nil to
// ignore it). It is sent once.
func (w *wire) write(ctx context.Context, into any, method string, body any, route string, ids ...any) error {
	r := newRequest(method, route, ids...)
	r.write = true
	if err := r.encode(body); err != nil {
		return err
	}
	return w.call(ctx, r, into)
}

// newRequest puts the ids into the places {id} of the route.
func newRequest(method, route string, ids ...any) *request {
	r := &request{method: method, route: route, path: route}
	for _, id := range ids {
		r.path = strings.Replace(r.path, "{id}", fmt.Sprint(id), 1)
	}
	return r
}

func (r *request) encode(body any) error {
	if body == nil {
		return nil
	}
	var err error
	if r.body, err = json.Marshal(body); err != nil {
		return fmt.Errorf("zammad: encoding the body of %s %s: %w", r.method, r.route, err)
	}
	return nil
}

// call sends a request, a read up to three times. It is repeated here and not
// by resty, which would keep the place in the limiter while it waits, and
// would repeat writes whose connection broke.
func (w *wire) call(ctx context.Context, r *request, into any) error {
	for attempt := 1; ; attempt++ {
		err := w.attempt(ctx, r, attempt, into)
		failure, _ := errors.AsType[*Error](err)
		if failure == nil || r.write || failure.Kind != ErrUnavailable || errors.Is(err, errDown) || attempt == readAttempts ||
			!pause(ctx, w.backoff<<(attempt-1), failure.RetryAfter) {
			return err
		}
	}
}

// attempt sends a request once, under the limiter and the time limit.
func (w *wire) attempt(ctx context.Context, r *request, attempt int, into any) error {
	call := Call{BaseURL: w.cfg.URL, Method: r.method, Route: r.route, Attempt: attempt}
	start := time.Now()
	release, err := w.cfg.Limiter.Acquire(ctx)
	call.Waited = time.Since(start)
	if err != nil {
		call.Err = r.fail(ErrUnavailable, 0, err) // nothing was sent
	} else {
		defer release()
		call.Status, call.Err = w.exchange(ctx, r, into)
		if answered := isAnswer(call.Err); answered || ctx.Err() == nil { // who hung up first has learned nothing
			w.cfg.Limiter.judge(answered)
		}
	}
	call.Duration = time.Since(start) - call.Waited
	if w.cfg.OnCall != nil {
		w.cfg.OnCall(call)
	}
	return call.Err
}

func (w *wire) exchange(ctx context.Context, r *request, into any) (int, error) {
	if r.open != nil {
		return w.stream(ctx, r)
	}
	limit := w.cfg.ReadTimeout
	if r.write {
		limit = w.cfg.WriteTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, used := w.prepare(ctx, r)
	resp, err := req.SetResponseBodyLimit(w.cfg.MaxBody).Execute(r.method, r.path)
	if err != nil {
		return statusOf(resp), r.broken(err, statusOf(resp), used.Load())
	}
	if failure := r.classify(resp.StatusCode(), resp.Header(), resp.Body()); failure != nil {
		return resp.StatusCode(), failure
	}
	if !understood(resp.Body(), into) {
		return resp.StatusCode(), r.garbage(resp.StatusCode())
	}
	return resp.StatusCode(), nil
}

// understood reads the body of a success into a value and reports whether it
// can be what Zammad says: a page of something in front of it is not, nor is a
// record without id. Without a value it may be empty (contract 00.8).
func understood(body []byte, into any) bool {
	if into == nil {
		return len(bytes.TrimSpace(body)) == 0 || json.Valid(body)
	}
	if json.Unmarshal(body, into) != nil {
		return false
	}
	record, ok := into.(interface{ blank() bool })
	return !ok || !record.blank()
}

// prepare builds resty's request. used tells afterwards whether a connection
// was ever at hand: before that nothing can have reached Zammad.
func (w *wire) prepare(ctx context.Context, r *request) (req *resty.Request, used *atomic.Bool) {
	used = new(atomic.Bool)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { used.Store(true) },
	})
	req = w.rest.R().SetContext(ctx).SetQueryParams(r.query)
	if r.body != nil {
		req.SetHeader("Content-Type", "application/json").SetBody(bytes.NewReader(r.body))
	}
	if w.from != "" {
		req.SetHeader("From", w.from)
	}
	return req, used
}

func statusOf(resp *resty.Response) int {
	if resp == nil || resp.RawResponse == nil {
		return 0
	}
	return resp.StatusCode()
}

// pause waits before the next attempt, the base give or take a half, or what
// the server asked for. It reports false if there is no point in going on.
func pause(ctx context.Context, base, asked time.Duration) bool {
	if asked > maxRetryAfter {
		return false
	}
	wait := max(asked, base/2+rand.N(base))
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// retryAfter reads the header of that name, in seconds or as a date.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(max(0, min(seconds, 86400))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
