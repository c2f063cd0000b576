package simulator

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"
)

const signatureToken = "s3cr3t-signature-token"

// testClock stands still until it is moved, but for a millisecond at each look, so that no
// two time stamps are equal.
type testClock struct {
	mu     sync.Mutex
	now    time.Time
	timers map[chan time.Time]time.Time
}

func newTestClock(now time.Time) *testClock {
	return &testClock{now: now, timers: map[chan time.Time]time.Time{}}
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Millisecond)
	return c.now
}

func (c *testClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan time.Time, 1)
	c.timers[ch] = c.now.Add(d)
	return ch
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.move(c.now.Add(d))
}

// set moves the clock forward to at; it never goes back.
func (c *testClock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.After(c.now) {
		c.move(at)
	}
}

func (c *testClock) move(to time.Time) {
	c.now = to
	for ch, at := range c.timers {
		if !at.After(to) {
			ch <- to
			delete(c.timers, ch)
		}
	}
}

// hang as a planned answer lets the receiver wait until the sender gives up.
const hang = -1

type received struct {
	at       time.Time // on the test clock
	path     string
	header   http.Header
	body     []byte
	answered int
	signed   bool
}

// receiver is a webhook receiver on a real socket with planned answers; without a plan it
// answers 200.
type receiver struct {
	server  *httptest.Server
	clock   *testClock
	mu      sync.Mutex
	planned []int
	got     []received
	hung    chan struct{}
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{hung: make(chan struct{}, 10)}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body) // a cut body fails the signature
	mac := hmac.New(sha1.New, []byte(signatureToken))
	mac.Write(body)
	g := received{path: req.URL.Path, header: req.Header, body: body, answered: 200,
		signed: req.Header.Get("X-Hub-Signature") == "sha1="+hex.EncodeToString(mac.Sum(nil))}
	r.mu.Lock()
	if len(r.planned) > 0 {
		g.answered, r.planned = r.planned[0], r.planned[1:]
	}
	if r.clock != nil {
		g.at = r.clock.Now()
	}
	wait := g.answered == hang
	if wait {
		g.answered = 200
	}
	r.got = append(r.got, g)
	r.mu.Unlock()
	if wait {
		r.hung <- struct{}{}
		<-req.Context().Done()
		return
	}
	w.WriteHeader(g.answered)
}

func (r *receiver) plan(answers []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.planned = answers
}

func (r *receiver) take() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

// redirect returns a transport that sends every webhook to the receiver, whatever host it
// names: the recorded webhooks name a fixed port.
func (r *receiver) redirect() http.RoundTripper { return redirect{to: r.server.URL} }

type redirect struct{ to string }

func (d redirect) RoundTrip(req *http.Request) (*http.Response, error) {
	u, err := url.Parse(d.to)
	if err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.URL.Host = u.Host
	return http.DefaultTransport.RoundTrip(req)
}

// drain runs the queue dry on the test clock: it moves the clock over each pause and each
// hanging receiver.
func (r *receiver) drain(t *testing.T, clock *testClock, sim *Simulator) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for sim.Pending() > 0 {
		if d, wait := sim.next(); d == nil && wait > 0 {
			clock.advance(wait)
		}
		sim.poke() // it may have begun to wait only after the clock moved
		select {
		case <-deadline:
			t.Fatal("the queue does not run dry")
		case <-r.hung:
			clock.advance(readTimeout + time.Second)
		case <-time.After(100 * time.Microsecond): // the worker is busy
		}
	}
}

// runWorker delivers webhooks until the test ends.
func runWorker(t *testing.T, sim *Simulator) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sim.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
