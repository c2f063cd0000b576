package simulator

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"
)

// Zammad's schedule for webhooks (contract 4.3).
const (
	connectTimeout = 4 * time.Second
	readTimeout    = 30 * time.Second
	attempts       = 5
	pauseStep      = 10 * time.Second // the n-th pause is n times this: 10, 20, 30, 40 s
)

// delivery is a queued job: one webhook for one trigger, event and ticket; or, with a
// customer, the count of that customer's tickets, which Zammad keeps in the background too.
type delivery struct {
	customer, by int    // whose tickets to count, on whose behalf
	id           string // X-Zammad-Delivery, the same on every attempt
	trigger      int
	name         string
	webhook      int
	ticket       int
	article      int // 0 without one
	due          time.Time
	attempts     int
	tries        []Attempt // what came of them
	finished     bool
	putOff       bool // a fault has delayed it or put it behind another
	behind       bool // goes next as soon as another one was sent
}

// enqueue puts a delivery at the end of the queue. It stays there if the request is rolled
// back later, but triggers run only when nothing can fail any more.
func (s *Simulator) enqueue(d *delivery) {
	d.due = s.clock.Now().Add(s.latency)
	s.queue = append(s.queue, d)
	if d.customer == 0 {
		s.deliveries = append(s.deliveries, d)
	}
	s.poke()
}

// enqueueCount asks for a count unless the same one waits already.
func (s *Simulator) enqueueCount(customer, by int) {
	waits := slices.ContainsFunc(s.queue, func(d *delivery) bool { return d.customer == customer && d.by == by })
	if customer != 0 && !waits {
		s.enqueue(&delivery{customer: customer, by: by})
	}
}

// count writes the numbers of open and closed tickets into the customer's preferences; that
// is why customers in deliveries seem to be changed by whoever touched a ticket.
func (s *Simulator) count(d *delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.users.rows[d.customer]
	if !ok {
		return
	}
	open, closed := 0, 0
	for _, t := range s.tickets.where("customer_id", d.customer) {
		switch s.stateType(t.num("state_id")) {
		case "closed":
			closed++
		case "merged", "removed":
		default:
			open++
		}
	}
	p := maps.Clone(u.object("preferences"))
	if p["tickets_open"] == open && p["tickets_closed"] == closed {
		return
	}
	p["tickets_open"], p["tickets_closed"] = open, closed
	s.users.set(d.customer, u.with(row{"preferences": p, "updated_by_id": d.by, "updated_at": stamp(s.clock.Now())}))
}

func (s *Simulator) poke() {
	select {
	case s.wake <- struct{}{}:
	default: // the worker is told already
	}
}

// work is the single background worker: the job that is due first goes first, and a slow
// receiver holds up everything behind it.
func (s *Simulator) work(ctx context.Context) {
	for ctx.Err() == nil {
		d, wait := s.next()
		if d == nil {
			var timer <-chan time.Time
			if wait > 0 {
				timer = s.clock.After(wait)
			}
			select {
			case <-ctx.Done():
			case <-s.wake:
			case <-timer:
			}
			continue
		}
		s.attempt(ctx, d)
	}
}

// attempt works off a job once. What no longer exists or is switched off is dropped silently.
func (s *Simulator) attempt(ctx context.Context, d *delivery) {
	if d.customer != 0 {
		s.count(d)
		s.finish(d, nil)
		return
	}
	hook, body, err := s.prepare(d)
	if err != nil || hook == nil {
		s.finish(d, err)
		return
	}
	sent, times := s.disturb(d, body)
	if times == 0 {
		return
	}
	for range times {
		var status int
		status, err = s.deliver(ctx, d, hook, sent, signature(hook, body))
		s.noteAttempt(d, status, err)
	}
	s.finish(d, err)
}

func (s *Simulator) noteAttempt(d *delivery, status int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	try := Attempt{At: s.clock.Now(), Status: status}
	if err != nil {
		try.Error = err.Error()
	}
	d.tries = append(d.tries, try)
}

// next returns the delivery that is due, or how long until one is (0: there is none).
func (s *Simulator) next() (*delivery, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil, 0
	}
	first := slices.MinFunc(s.queue, func(a, b *delivery) int { return a.due.Compare(b.due) })
	if wait := first.due.Sub(s.clock.Now()); wait > 0 {
		return nil, wait
	}
	return first, 0
}

// finish takes a delivery out of the queue or plans its next attempt.
func (s *Simulator) finish(d *delivery, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.attempts++
	if d.customer == 0 {
		for _, q := range s.queue {
			if q.behind && q != d {
				q.behind, q.due = false, time.Time{}
			}
		}
	}
	if err != nil && d.attempts < attempts {
		pause := time.Duration(d.attempts) * pauseStep
		s.log.Info("webhook failed", "delivery", d.id, "ticket", d.ticket, "attempt", d.attempts, "pause", pause, "error", err)
		d.due = s.clock.Now().Add(pause)
		return
	}
	if err != nil {
		s.log.Warn("webhook dropped", "delivery", d.id, "ticket", d.ticket, "attempts", d.attempts, "error", err)
	}
	s.done(d)
}

func (s *Simulator) done(d *delivery) {
	d.finished = true
	s.queue = slices.DeleteFunc(s.queue, func(q *delivery) bool { return q == d })
}

// signature is what the header X-Hub-Signature has for a body; empty without a token.
func signature(hook row, body []byte) string {
	key := hook.str("signature_token")
	if key == "" {
		return ""
	}
	mac := hmac.New(sha1.New, []byte(key))
	mac.Write(body)
	return "sha1=" + hex.EncodeToString(mac.Sum(nil))
}

// deliver sends a body once and returns the status of the answer, 0 without one.
func (s *Simulator) deliver(ctx context.Context, d *delivery, hook row, body []byte, signature string) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := s.clock.After(readTimeout)
	go func() {
		select {
		case <-late:
			cancel(errors.New("no answer within 30 s"))
		case <-ctx.Done():
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, hook.str("endpoint"), bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("webhook %d: %w", hook.id(), err)
	}
	req.Close = true
	req.Header = http.Header{"User-Agent": {"Zammad User Agent"}, "Accept": {"*/*"}, "Content-Type": {"application/json"},
		"X-Zammad-Trigger": {d.name}, "X-Zammad-Delivery": {d.id}}
	if signature != "" {
		req.Header.Set("X-Hub-Signature", signature)
	}
	if user, password := hook.str("basic_auth_username"), hook.str("basic_auth_password"); user != "" && password != "" {
		req.SetBasicAuth(user, password)
	}
	client := http.Client{Transport: s.transport}
	if client.Transport == nil {
		client.Transport = s.plainTransport(hook.flag("ssl_verify"))
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("webhook %d: %w", hook.id(), err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // the body is ignored
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return resp.StatusCode, fmt.Errorf("webhook %d: answered %d", hook.id(), resp.StatusCode)
	}
	return resp.StatusCode, nil
}

// prepare renders the body for this attempt; a nil webhook means there is nothing to send.
func (s *Simulator) prepare(d *delivery) (row, []byte, error) {
	s.mu.Lock()
	hook, trigger, ticket := s.webhooks.rows[d.webhook], s.triggers.rows[d.trigger], s.tickets.rows[d.ticket]
	if !hook.flag("active") || !trigger.flag("active") || ticket == nil {
		s.mu.Unlock()
		return nil, nil, nil
	}
	payload := s.payload(ticket, s.articles.rows[d.article])
	s.mu.Unlock()
	body, err := json.Marshal(payload) // escapes <, > and & as Rails does
	if err != nil {
		return nil, nil, fmt.Errorf("render delivery %s: %w", d.id, err)
	}
	return hook, body, nil
}

func (s *Simulator) plainTransport(verify bool) http.RoundTripper {
	return &http.Transport{
		Proxy: nil, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: !verify}, //nolint:gosec // a setting of the webhook, as in Zammad
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			late := s.clock.After(connectTimeout)
			go func() {
				select {
				case <-late:
					cancel()
				case <-ctx.Done():
				}
			}()
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
}

// Clock tells the simulator the time and lets it wait. Everything that Zammad does by the
// clock (webhook pauses, timeouts, scheduled jobs, time stamps) goes through it, so that a
// test can run through minutes of retries in a moment.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// After returns a channel that receives once d has passed on this clock.
	After(d time.Duration) <-chan time.Time
}

type realClock struct{}

func (realClock) Now() time.Time                         { return time.Now() }
func (realClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

type fastClock struct {
	start time.Time
	speed float64
}

// NewFastClock returns a clock that starts now and runs speed times as fast as the wall
// clock: with 100 the pauses of 10, 20, 30 and 40 s between webhook attempts (contract 4.3)
// take 0.1 to 0.4 s. A speed of 0 or less counts as 1.
func NewFastClock(speed float64) Clock {
	if speed <= 0 {
		speed = 1
	}
	return fastClock{start: time.Now(), speed: speed}
}

func (c fastClock) Now() time.Time {
	return c.start.Add(time.Duration(float64(time.Since(c.start)) * c.speed))
}

func (c fastClock) After(d time.Duration) <-chan time.Time {
	return time.After(time.Duration(float64(d) / c.speed))
}
