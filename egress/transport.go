package egress

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

const (
	// dialTimeout bounds the resolving of a name and the connecting to one of
	// its addresses.
	dialTimeout = 5 * time.Second
	// secondFamily is how long the family of the first address (IPv6, mostly)
	// is tried alone; RFC 8305 calls it the connection attempt delay.
	secondFamily = 300 * time.Millisecond
	// maxHeader bounds the header of an answer, and maxBody the body of an
	// answer to a Client, in bytes.
	maxHeader = 256 << 10
	maxBody   = 1 << 20
)

// Transport carries requests to addresses that the guard lets pass; the errors
// of others are this package's and say that nothing was sent. It hands the
// request's context down to an http.Transport, keeps connections and speaks
// HTTP/2. A caller should keep one: each has connections of its own.
func (g *Guard) Transport() http.RoundTripper {
	return &transport{guard: g, next: &http.Transport{
		DialContext:            g.DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        50 * time.Second, // below the 65 to 75 s after which web servers hang up
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxHeader,
	}}
}

type transport struct {
	guard *Guard
	next  *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := t.guard.checkParsed(r.URL); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // as every RoundTripper must; nothing was read
		}
		return nil, err
	}
	return t.next.RoundTrip(r)
}

// CloseIdleConnections lets http.Client close what is kept.
func (t *transport) CloseIdleConnections() { t.next.CloseIdleConnections() }

// Client is for small calls: a request may take as long as timeout, a redirect
// is ErrRedirect, and an answer of more than 1 MiB is cut off with an
// *http.MaxBytesError. The connections are those of the Transport that is given.
func Client(through http.RoundTripper, timeout time.Duration) *http.Client {
	return &http.Client{Transport: bounded{through}, Timeout: timeout}
}

// bounded refuses redirects and limits bodies.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= 300 && answer.StatusCode < 400 && answer.StatusCode != http.StatusNotModified {
		_ = answer.Body.Close() // it is not read
		return nil, ErrRedirect
	}
	answer.Body = http.MaxBytesReader(nil, answer.Body, maxBody)
	return answer, nil
}

// CloseIdleConnections lets http.Client close what is kept.
func (b bounded) CloseIdleConnections() {
	if closer, is := b.next.(interface{ CloseIdleConnections() }); is {
		closer.CloseIdleConnections()
	}
}

// DialContext connects to "host:port" over tcp if the guard lets it pass: it is
// what net.Dialer has under this name. The error for one that may not pass is
// this package's.
func (g *Guard) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	rawHost, rawPort, err := net.SplitHostPort(address)
	if err != nil {
		return nil, ErrHost
	}
	host, err := g.checkEnd(rawHost, rawPort)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addrs, err := g.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	var first, second []string
	for _, addr := range addrs {
		end := net.JoinHostPort(addr.String(), rawPort)
		if addr.Is4() == addrs[0].Is4() {
			first = append(first, end)
		} else {
			second = append(second, end)
		}
	}
	dialer := &net.Dialer{KeepAlive: 30 * time.Second, Control: g.control(host)}
	return race(ctx, dialer, first, second)
}

// control looks at the very address that the kernel is about to connect to. By
// then it has been checked; that this is so must not rest on the code between.
func (g *Guard) control(host string) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		end, err := netip.ParseAddrPort(address)
		if err != nil {
			return ErrHost
		}
		if addr := plain(end.Addr()); !isPublic(addr) && !within(g.networks, addr) && !g.allowsHost(host) {
			return ErrPrivate
		}
		return nil
	}
}

// race connects to the first of the addresses that answers, the second list
// beginning when the first has failed or is slow. A connection that comes too
// late is closed.
func race(ctx context.Context, dialer *net.Dialer, first, second []string) (net.Conn, error) {
	if len(second) == 0 {
		return inTurn(ctx, dialer, first)
	}
	type outcome struct {
		conn net.Conn
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	outcomes := make(chan outcome, 2)
	try := func(addresses []string) {
		conn, err := inTurn(ctx, dialer, addresses)
		outcomes <- outcome{conn, err}
	}
	go try(first)
	slow := time.NewTimer(secondFamily)
	defer slow.Stop()
	var failed error
	for running, started := 1, false; running > 0; {
		select {
		case <-slow.C:
		case o := <-outcomes:
			running--
			if o.err == nil {
				go func() { // what comes too late is closed
					for range running {
						if late := <-outcomes; late.err == nil {
							_ = late.conn.Close()
						}
					}
				}()
				return o.conn, nil
			}
			failed = errors.Join(failed, o.err)
		}
		if !started {
			started = true
			running++
			go try(second)
		}
	}
	return nil, failed
}

// inTurn connects to the first of the addresses that answers; each gets its
// share of the time that is left.
func inTurn(ctx context.Context, dialer *net.Dialer, addresses []string) (net.Conn, error) {
	var failed error
	for i, address := range addresses {
		end, _ := ctx.Deadline() // DialContext has set one
		share, cancel := context.WithTimeout(ctx, time.Until(end)/time.Duration(len(addresses)-i))
		conn, err := dialer.DialContext(share, "tcp", address)
		cancel()
		if err == nil {
			return conn, nil
		}
		failed = err
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}
