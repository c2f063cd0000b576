package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"deskbridge/app"
	"deskbridge/bridge"
	"deskbridge/config"
)

const (
	stalledSlug   = "stalled"
	stallFor      = 30 * time.Second      // how long the stalled Zammad takes for an answer
	stalledEvery  = 50 * time.Millisecond // a message to the region with that Zammad
	measuredEvery = 5 * time.Millisecond  // a request to the other one, by each of its clients
	measurers     = 8
)

// stalledAccept and stalledPoll measure what a Zammad that answers after half a
// minute costs the devices of another region.
func stalledAccept(ctx context.Context, p *places) (contest, error) {
	return stall(ctx, p, "stall-accept", func(n int, device string) (*http.Request, int, error) {
		body := url.Values{"message": {text}}.Encode()
		r, err := http.NewRequest(http.MethodPost, fmt.Sprintf("%s-%d/", device, n/messagesPerDevice), strings.NewReader(body))
		if err == nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		return r, http.StatusOK, err
	})
}

func stalledPoll(ctx context.Context, p *places) (contest, error) {
	return stall(ctx, p, "stall-poll", func(_ int, device string) (*http.Request, int, error) {
		r, err := http.NewRequest(http.MethodGet, device+"/", nil)
		return r, http.StatusOK, err
	})
}

// stalling is a whole Deskbridge with two regions and a Zammad each.
type stalling struct {
	origin string
	client *http.Client // keeps a connection for each measurer
	slow   atomic.Bool
	cut    chan struct{} // closed at the end: nobody has to wait for the slow ones
	stop   func() error
}

func stall(ctx context.Context, p *places, name string, request func(n int, device string) (*http.Request, int, error)) (contest, error) {
	w := &stalling{cut: make(chan struct{}), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: measurers + 2}}}
	if err := w.start(ctx, p); err != nil {
		return contest{}, err
	}
	return contest{
		name: name, want: 1.3, atMost: true,
		pair: func(ctx context.Context, length time.Duration) (stalled, quiet float64, err error) {
			w.slow.Store(false)
			if quiet, err = w.p99(ctx, length, request); err != nil {
				return 0, 0, err
			}
			w.slow.Store(true)
			stalled, err = w.p99(ctx, length, request)
			return stalled, quiet, err
		},
		note:  func() string { return "99th percentile in microseconds, with and without the stall" },
		close: w.stop,
	}, nil
}

// start lets an installation serve two regions.
func (w *stalling) start(ctx context.Context, p *places) error {
	healthy, err := openMailbox(ctx)
	if err != nil {
		return err
	}
	ill, err := openMailbox(ctx)
	if err != nil {
		return err
	}
	handler := ill.sim.Handler()
	address, stopIll, err := listen(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		if w.slow.Load() {
			select {
			case <-time.After(stallFor):
			case <-in.Context().Done():
			case <-w.cut:
			}
		}
		handler.ServeHTTP(out, in)
	}))
	if err != nil {
		return err
	}
	other := benchRegion("http://"+address, ill.token)
	other.Slug = stalledSlug
	a, err := openTwo(ctx, p, benchRegion(healthy.origin, healthy.token), other)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.origin = "http://" + listener.Addr().String()
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- a.Serve(running, app.ServeOptions{Listener: listener}) }()
	w.stop = func() error {
		close(w.cut)
		cancel()
		err := errors.Join(<-done, a.Close())
		stopIll()
		ill.stop()
		healthy.stop()
		return err
	}
	return nil
}

// openTwo opens an installation without limits.
func openTwo(ctx context.Context, p *places, regions ...*bridge.Region) (*app.App, error) {
	cfg, err := config.Load("", []string{
		"DESKBRIDGE_DATA_DIR=" + p.dir, "DESKBRIDGE_DATABASE_URL=sqlite:" + p.sqlite(),
		"DESKBRIDGE_LIMITS_EXEMPT_LOOPBACK=true", "DESKBRIDGE_LIMITS_DEVICE_WRITES_PER_MINUTE=0", "DESKBRIDGE_EGRESS_ALLOW=127.0.0.0/8,::1",
	})
	if err != nil {
		return nil, err
	}
	a, err := app.Open(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	for _, region := range regions {
		if err := a.Store.AddRegion(ctx, region); err != nil {
			return nil, err
		}
	}
	return a, a.Regions.Reload(ctx)
}

// p99 lets devices of one region ask for a time, while those of the other one
// write, and gives the 99th percentile of the answers' times in microseconds.
func (w *stalling) p99(ctx context.Context, length time.Duration, request func(n int, device string) (*http.Request, int, error)) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		took   []float64
		failed error
	)
	series := time.Now().UnixNano()
	wg.Go(func() {
		n := 0
		err := every(ctx, stalledEvery, func() error {
			n++
			body := url.Values{"message": {text}}.Encode()
			return w.send(fmt.Sprintf("%s/api/v3/%s/%s/chat/waits-%d-%d/", w.origin, stalledSlug, language, series, n), body)
		})
		mu.Lock()
		defer mu.Unlock()
		failed = errors.Join(failed, err)
	})
	for client := range measurers {
		wg.Go(func() {
			device := fmt.Sprintf("%s/api/v3/%s/%s/chat/measured-%d-%d", w.origin, slug, language, series, client)
			err := w.send(device+"/", url.Values{"message": {text}}.Encode())
			n := 0
			var mine []float64
			if err == nil {
				err = every(ctx, measuredEvery, func() error {
					r, status, err := request(n, device)
					if err != nil {
						return err
					}
					n++
					began := time.Now()
					err = w.exchange(r, status)
					mine = append(mine, float64(time.Since(began).Microseconds()))
					return err
				})
			}
			mu.Lock()
			defer mu.Unlock()
			took, failed = append(took, mine...), errors.Join(failed, err)
		})
	}
	wg.Wait()
	if failed != nil {
		return 0, failed
	}
	if len(took) < 100 {
		return 0, fmt.Errorf("only %d answers", len(took))
	}
	slices.Sort(took)
	return took[len(took)*99/100], nil
}

// every does something again and again until ctx ends.
func every(ctx context.Context, pause time.Duration, do func() error) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := do(); err != nil {
				return err
			}
		}
	}
}

// send sends a form.
func (w *stalling) send(address, form string) error {
	r, err := http.NewRequest(http.MethodPost, address, bytes.NewReader([]byte(form)))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.exchange(r, http.StatusOK)
}

// exchange makes a request and reads its answer.
func (w *stalling) exchange(r *http.Request, status int) error {
	answer, err := w.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != status {
		return fmt.Errorf("%s %s: %s", r.Method, r.URL.Path, answer.Status)
	}
	return nil
}
