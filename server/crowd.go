package server

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// crowdedRetry is the Retry-After of what comes over too many connections.
const crowdedRetry = 5 * time.Second

// crowd counts what addresses have open. The nil crowd is never asked.
type crowd struct {
	most int // from here on requests are refused

	mu   sync.Mutex
	open map[string]int
}

func newCrowd(most int) *crowd {
	if most <= 0 {
		return nil
	}
	return &crowd{most: most, open: make(map[string]int)}
}

// enter gives the number with the new one; leave must follow.
func (c *crowd) enter(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[key]++
	return c.open[key]
}

func (c *crowd) leave(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[key]--; c.open[key] <= 0 {
		delete(c.open, key)
	}
}

// crowdedListener counts the connections of each address, trusted proxies'
// excepted. One beyond the limit is answered with bridge.ErrRateLimited and
// closed; one beyond twice the limit is closed at once, so that an address that
// says nothing cannot take all descriptors either.
type crowdedListener struct {
	net.Listener
	s *Server
}

// Accept waits for the next connection that may stay.
func (l crowdedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		addr, ok := parseAddr(conn.RemoteAddr().String())
		if !ok || l.s.trusted(addr) || l.s.exempt(addr) {
			return conn, nil
		}
		crowd, key := l.s.crowd, addressKey(addr)
		n := crowd.enter(key)
		counted := &crowdedConn{Conn: conn, over: n > crowd.most, leave: sync.OnceFunc(func() { crowd.leave(key) })}
		if n <= 2*crowd.most {
			return counted, nil
		}
		_ = counted.Close() // nobody is there to tell
	}
}

// crowdedConn is a counted connection.
type crowdedConn struct {
	net.Conn
	over  bool
	leave func()
}

// Close closes the connection and counts it no more.
func (c *crowdedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}

type crowdedKey struct{}

// markCrowded tells the requests of a connection beyond the limit.
func markCrowded(ctx context.Context, conn net.Conn) context.Context {
	if counted, ok := conn.(*crowdedConn); ok && counted.over {
		return context.WithValue(ctx, crowdedKey{}, true)
	}
	return ctx
}

// refuseCrowded answers a request on a connection beyond the limit.
func (s *Server) refuseCrowded(c *gin.Context) {
	if s.crowd != nil && c.Request.Context().Value(crowdedKey{}) != nil {
		c.Writer.Header().Set("Connection", "close")
		fail(c, tooMany(c, crowdedRetry))
	}
}
