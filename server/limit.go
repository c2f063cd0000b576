package server

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"

	"deskbridge/bridge"
)

const (
	// limiterKeys is how many keys a Limiter remembers, some 100 bytes each.
	// Failure policy: the key that was silent longest is forgotten and starts
	// with a full allowance again.
	limiterKeys = 65_536
	// maxForwarded is how many entries of X-Forwarded-For are looked at.
	maxForwarded = 20
)

// Limiter counts by key (GCRA), in memory, for this instance. The nil Limiter
// allows everything.
type Limiter struct{ gcra *throttled.GCRARateLimiterCtx }

// NewLimiter allows perMinute for a key in the long run, and as many at once to
// a key that was silent for a minute. 0 gives nil: no limit.
func NewLimiter(perMinute int, now func() time.Time) (*Limiter, error) {
	if perMinute == 0 {
		return nil, nil
	}
	if perMinute < 0 {
		return nil, fmt.Errorf("%d a minute is no limit", perMinute)
	}
	store, err := memstore.New(limiterKeys)
	if err != nil {
		return nil, fmt.Errorf("memory for the limiter: %w", err)
	}
	store.SetTimeNow(now)
	quota := throttled.RateQuota{MaxRate: throttled.PerMin(perMinute), MaxBurst: perMinute - 1}
	gcra, err := throttled.NewGCRARateLimiterCtx(throttled.WrapStoreWithContext(store), quota)
	if err != nil {
		return nil, fmt.Errorf("limiter: %w", err)
	}
	return &Limiter{gcra}, nil
}

// Allow counts one and says whether it is allowed; if not, how long to wait. An
// error of the limiter itself, which happens when many requests of one key
// collide, allows.
func (l *Limiter) Allow(key string) (wait time.Duration, allowed bool) {
	if l == nil {
		return 0, true
	}
	limited, result, err := l.gcra.RateLimitCtx(context.Background(), key, 1)
	if err != nil || !limited {
		return 0, true
	}
	return result.RetryAfter, false
}

// Check counts one for key; the error is bridge.ErrRateLimited, with
// Retry-After set on the answer. Handlers of H return it.
func (l *Limiter) Check(c *gin.Context, key string) error {
	wait, allowed := l.Allow(key)
	if allowed {
		return nil
	}
	seconds := int64((wait + time.Second - 1) / time.Second)
	c.Writer.Header().Set("Retry-After", strconv.FormatInt(max(seconds, 1), 10))
	return bridge.ErrRateLimited
}

// MaxBody bounds the bodies of a route, in bytes: reading beyond it fails with
// an error that H answers with bridge.ErrBodyTooLarge, and a body that says it
// is longer is refused unread.
func MaxBody(n int64) gin.HandlerFunc {
	return func(c *gin.Context) {
		if c.Request.ContentLength > n {
			fail(c, bridge.ErrBodyTooLarge)
			return
		}
		if c.Request.Body != nil && c.Request.Body != http.NoBody {
			c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, n)
		}
	}
}

// limitAddress holds the limits of one client address, for reads and for writes.
func (s *Server) limitAddress(c *gin.Context) {
	limiter := s.writes
	if c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead {
		limiter = s.reads
	}
	if limiter == nil {
		return
	}
	addr := s.ClientAddr(c.Request)
	if s.cfg.ExemptLoopback && addr.IsLoopback() {
		return
	}
	if err := limiter.Check(c, addressKey(addr)); err != nil {
		fail(c, err)
	}
}

// addressKey is the address, or its /64 for IPv6: a household gets a whole one.
func addressKey(addr netip.Addr) string {
	bytes := addr.As16()
	if addr.Is6() {
		return string(bytes[:8])
	}
	return string(bytes[:])
}

// ClientAddr is the address that the request came from: the peer's or, if the
// peer is a trusted proxy, the right-most of X-Forwarded-For that is none. What
// stands left of it anybody may have written. It is the zero Addr where the
// peer has no IP address.
func (s *Server) ClientAddr(r *http.Request) netip.Addr {
	peer, ok := parseAddr(r.RemoteAddr)
	if !ok || !s.trusted(peer) {
		return peer
	}
	entries := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	client := peer
	for i := len(entries) - 1; i >= 0 && len(entries)-i <= maxForwarded; i-- {
		addr, ok := parseAddr(strings.TrimSpace(entries[i]))
		if !ok {
			break
		}
		client = addr
		if !s.trusted(addr) {
			break
		}
	}
	return client
}

func (s *Server) trusted(addr netip.Addr) bool {
	for _, network := range s.cfg.TrustedProxies {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// parseAddr reads an address with or without a port.
func parseAddr(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone(""), true
}
