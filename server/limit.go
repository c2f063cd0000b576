package server

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
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
	// lotsOfMinute is in how many lots the allowance of a minute is taken from
	// Redis: most requests are counted in memory, and the limits of several
	// instances are exact to about a hundredth.
	lotsOfMinute = 100
)

// quota is how many are allowed in a minute, and at once after a silent one.
type quota int

// interval is the time in which one becomes allowed.
func (q quota) interval() time.Duration { return time.Minute / time.Duration(q) }

// Limiter counts by key (GCRA): in memory, and with a Shared in Redis too. The
// nil Limiter allows everything.
type Limiter struct {
	name  string
	quota quota
	gcra  *throttled.GCRARateLimiterCtx

	shared *Shared // nil: this instance counts alone
	mu     sync.Mutex
	young  map[string]int // what is left of lots that were taken from Redis
	old    map[string]int
}

// NewLimiter allows perMinute for a key in the long run, and as many at once to
// a key that was silent for a minute. 0 gives nil: no limit. Limiters with the
// same name and the same Redis count together; a nil shared counts alone.
func NewLimiter(name string, perMinute int, shared *Shared, now func() time.Time) (*Limiter, error) {
	if perMinute == 0 {
		return nil, nil
	}
	if perMinute < 0 {
		return nil, fmt.Errorf("limit of %s: %d a minute is no limit", name, perMinute)
	}
	store, err := memstore.New(limiterKeys)
	if err != nil {
		return nil, fmt.Errorf("limit of %s: memory: %w", name, err)
	}
	began := now()
	// Time that passed, not the wall clock's: one that is set back would shut
	// everybody out.
	store.SetTimeNow(func() time.Time { return began.Add(now().Sub(began)) })
	gcra, err := throttled.NewGCRARateLimiterCtx(throttled.WrapStoreWithContext(store),
		throttled.RateQuota{MaxRate: throttled.PerMin(perMinute), MaxBurst: perMinute - 1})
	if err != nil {
		return nil, fmt.Errorf("limit of %s: %w", name, err)
	}
	return &Limiter{name: name, quota: quota(perMinute), gcra: gcra, shared: shared, young: make(map[string]int)}, nil
}

// Allow counts one and says whether it is allowed; if not, how long to wait.
// What this instance refuses by its own count costs no question to Redis. An
// error of the limiter itself, which happens when many requests of one key
// collide, allows.
func (l *Limiter) Allow(key string) (wait time.Duration, allowed bool) {
	if l == nil {
		return 0, true
	}
	limited, result, err := l.gcra.RateLimitCtx(context.Background(), key, 1)
	if err == nil && limited {
		return result.RetryAfter, false
	}
	if l.shared == nil || l.useLot(key) {
		return 0, true
	}
	lot := max(1, int(l.quota)/lotsOfMinute)
	wait, answered := l.shared.take(l.name+":"+key, l.quota, lot)
	if !answered {
		return 0, true
	}
	if wait > 0 {
		return wait, false
	}
	l.keepLot(key, lot-1)
	return 0, true
}

// useLot takes one of what is left of a lot.
func (l *Limiter) useLot(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, lots := range []map[string]int{l.young, l.old} {
		if lots[key] > 1 {
			lots[key]--
			return true
		}
		if lots[key] == 1 {
			delete(lots, key)
			return true
		}
	}
	return false
}

// keepLot remembers what is left of a lot; the oldest leftovers are forgotten.
func (l *Limiter) keepLot(key string, left int) {
	if left == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.young) >= limiterKeys/2 {
		l.old, l.young = l.young, make(map[string]int)
	}
	l.young[key] += left
}

// Check counts one for key; the error is bridge.ErrRateLimited, with
// Retry-After set on the answer. Handlers of H return it.
func (l *Limiter) Check(c *gin.Context, key string) error {
	wait, allowed := l.Allow(key)
	if allowed {
		return nil
	}
	return tooMany(c, wait)
}

// tooMany sets Retry-After, at least a second, and gives bridge.ErrRateLimited.
func tooMany(c *gin.Context, wait time.Duration) error {
	return retryLater(c, wait, bridge.ErrRateLimited)
}

// retryLater sets Retry-After, at least a second, and gives the error back.
func retryLater(c *gin.Context, wait time.Duration, err error) error {
	seconds := int64((wait + time.Second - 1) / time.Second)
	c.Writer.Header().Set("Retry-After", strconv.FormatInt(max(seconds, 1), 10))
	return err
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
	if limiter == nil && s.crowd == nil {
		return
	}
	key, proxied, limited := s.client(c.Request)
	if !limited {
		return
	}
	if proxied && s.crowd != nil { // the connections are the proxy's, so requests are counted
		n := s.crowd.enter(key)
		defer s.crowd.leave(key)
		if n > s.crowd.most {
			fail(c, tooMany(c, crowdedRetry))
			return
		}
	}
	if err := limiter.Check(c, key); err != nil {
		fail(c, err)
		return
	}
	if proxied && s.crowd != nil {
		c.Next() // before it leaves
	}
}
