package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// clients is how many keep-alive connections ask at once.
const clients = 32

// side is one of the two handlers that are compared.
type side struct {
	handler http.Handler
	// request gives the bytes of the n-th request of a client.
	request func(client, n int) []byte
}

// contest compares a door with a bare handler that does the same work.
type contest struct {
	name       string
	want       float64 // the ratio that is asked for
	atMost     bool    // the ratio shall not be more; otherwise not less
	status     int     // of every answer
	ours, bare side
	// pair measures both sides by itself, where they are no doors that are asked
	// again and again.
	pair  func(ctx context.Context, length time.Duration) (ours, bare float64, err error)
	after func() error // between rounds, outside the time; nil: nothing
	close func() error
	note  func() string // what else there is to say at the end; nil: nothing
}

// result is what a contest gave, in requests a second.
type result struct {
	ours, bare, ratio []float64
}

// run lets both sides take turns, so that a machine whose speed drifts drifts
// for both, and gives the ratio of each pair.
func (c contest) run(ctx context.Context, rounds int, length time.Duration) (r result, err error) {
	if c.pair == nil {
		stop, err := c.serve()
		if err != nil {
			return r, err
		}
		defer stop()
	}
	for round := range rounds + 1 {
		first, second, err := c.pair(ctx, length)
		if err != nil {
			return r, fmt.Errorf("%s: %w", c.name, err)
		}
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if round == 0 {
			continue // warming up
		}
		r.ours, r.bare, r.ratio = append(r.ours, first), append(r.bare, second), append(r.ratio, first/second)
	}
	return r, nil
}

// serve listens for both sides and lets pair ask them.
func (c *contest) serve() (stop func(), err error) {
	ours, stopOurs, err := listen(c.ours.handler)
	if err != nil {
		return nil, err
	}
	bare, stopBare, err := listen(c.bare.handler)
	if err != nil {
		stopOurs()
		return nil, err
	}
	c.pair = func(ctx context.Context, length time.Duration) (first, second float64, err error) {
		if first, err = load(ctx, ours, c.ours.request, c.status, length); err != nil {
			return 0, 0, err
		}
		if second, err = load(ctx, bare, c.bare.request, c.status, length); err != nil {
			return 0, 0, fmt.Errorf("bare: %w", err)
		}
		if c.after != nil {
			err = c.after()
		}
		return first, second, err
	}
	return func() { stopOurs(); stopBare() }, nil
}

// listen serves a handler on loopback.
func listen(handler http.Handler) (address string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go srv.Serve(listener) //nolint:errcheck // it ends with stop
	return listener.Addr().String(), func() { srv.Close() }, nil
}

// load lets all clients ask for a time and gives the requests a second. The
// client is as lean as it can be, since it runs on the same processors.
func load(ctx context.Context, address string, request func(client, n int) []byte, status int, length time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var (
		wg     sync.WaitGroup
		total  atomic.Int64
		failed = make(chan error, clients)
	)
	began := time.Now()
	for client := range clients {
		wg.Go(func() {
			n, err := ask(ctx, address, status, func(n int) []byte { return request(client, n) })
			total.Add(int64(n))
			if err != nil {
				failed <- err
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	select {
	case err := <-failed:
		return 0, err
	default:
		return float64(total.Load()) / took.Seconds(), nil
	}
}

// ask sends one request after the other over one connection until ctx ends.
func ask(ctx context.Context, address string, status int, request func(n int) []byte) (int, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	reader := bufio.NewReaderSize(conn, 64<<10)
	want := []byte(" " + strconv.Itoa(status) + " ")
	for n := 0; ; n++ {
		if ctx.Err() != nil {
			return n, nil
		}
		if _, err := conn.Write(request(n)); err != nil {
			return n, err
		}
		if err := answer(reader, want); err != nil {
			return n, err
		}
	}
}

// answer reads one answer with a Content-Length, or without a body.
func answer(r *bufio.Reader, want []byte) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.Contains(line, want) {
		rest, _ := r.Peek(min(r.Buffered(), 600))
		return fmt.Errorf("answer %q instead of%s: %s", line, want, rest)
	}
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, _ := strings.Cut(string(line), ":"); strings.EqualFold(name, "Content-Length") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return errors.New("bad Content-Length")
			}
		} else if strings.EqualFold(name, "Transfer-Encoding") {
			return errors.New("the answer has no length")
		}
	}
	_, err = io.CopyN(io.Discard, r, int64(length))
	return err
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
