package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"
)

const (
	// sharedPatience bounds one question to Redis, with everything that belongs
	// to it.
	//
	// Failure policy: the limit counts on this instance alone, see Shared.
	sharedPatience = 100 * time.Millisecond
	// sharedRest is how long Redis is left alone after it failed; then one
	// request asks for all.
	sharedRest = time.Second
	// sharedConnections bounds the connections to Redis.
	sharedConnections = 16
	// sharedPrefix begins all keys in Redis.
	sharedPrefix = "deskbridge:limit:"
)

// take is GCRA: the value of a key is the time, in microseconds of Redis's own
// clock, at which its allowance is whole again. It gives the microseconds to
// wait, or 0 if the cost was taken. What stands further ahead than the whole
// allowance is of a clock that was set back. No key outlives its use.
var take = redis.NewScript(1, `
local time, cost, all = redis.call('TIME'), tonumber(ARGV[1]), tonumber(ARGV[2])
local now = time[1] * 1000000 + time[2]
local at = tonumber(redis.call('GET', KEYS[1]) or 0)
at = math.min(math.max(at, now), now + all) + cost
if at - now > all then return at - now - all end
redis.call('SET', KEYS[1], string.format('%.0f', at), 'PX', math.ceil((at - now) / 1000))
return 0`)

// SharedConfig is what Shared needs.
type SharedConfig struct {
	URL  string                  // redis://user:password@host:port/number, or rediss:// for TLS
	Hash func(key string) string // makes of a key what Redis may know; the same on all instances
	Log  *slog.Logger
	Now  func() time.Time
}

// Shared counts in Redis, so that instances with the same Redis have the same
// limits. While Redis is away or slow each instance counts by itself: that
// costs accuracy and no request, and is logged once.
type Shared struct {
	pool  *redis.Pool
	hash  func(string) string
	log   *slog.Logger
	now   func() time.Time
	began time.Time
	// rests is the time since began until which Redis is left alone; 0: it answers.
	rests atomic.Int64
}

// NewShared makes the counter; it does not connect. The error says that the
// URL cannot be read, without repeating it.
func NewShared(cfg SharedConfig) (*Shared, error) {
	if u, err := url.Parse(cfg.URL); err != nil || u.Host == "" {
		return nil, errors.New("redis URL must look like redis://host:6379 or rediss://host:6379")
	}
	dial := func(ctx context.Context) (redis.Conn, error) {
		return redis.DialURLContext(ctx, cfg.URL, redis.DialConnectTimeout(sharedPatience),
			redis.DialReadTimeout(sharedPatience), redis.DialWriteTimeout(sharedPatience))
	}
	pool := &redis.Pool{DialContext: dial, MaxIdle: sharedConnections, MaxActive: sharedConnections, Wait: true, IdleTimeout: time.Minute}
	return &Shared{pool: pool, hash: cfg.Hash, log: cfg.Log, now: cfg.Now, began: cfg.Now()}, nil
}

// Close closes the connections.
func (s *Shared) Close() error { return s.pool.Close() }

// take counts n of a key whose allowance is the quota's. It gives the time to
// wait, 0 if the n are allowed. False says that Redis is not there.
func (s *Shared) take(key string, q quota, n int) (wait time.Duration, answered bool) {
	if !s.asks() {
		return 0, false
	}
	// Not the request's context: its end would look as if Redis had failed.
	ctx, cancel := context.WithTimeout(context.Background(), sharedPatience)
	defer cancel()
	wait, err := s.ask(ctx, sharedPrefix+s.hash(key), int64(n)*q.interval().Microseconds(), int64(q)*q.interval().Microseconds())
	if err != nil {
		if s.rests.Swap(int64(s.age()+sharedRest)) == 0 {
			s.log.Warn("Redis does not count; limits hold for each instance by itself until it answers", "error", err)
		}
		return 0, false
	}
	if s.rests.Load() != 0 && s.rests.Swap(0) != 0 {
		s.log.Info("Redis counts again; limits hold for all instances together")
	}
	return wait, true
}

func (s *Shared) ask(ctx context.Context, key string, cost, all int64) (time.Duration, error) {
	conn, err := s.pool.GetContext(ctx)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	wait, err := redis.Int64(take.DoContext(ctx, conn, key, cost, all))
	if err != nil {
		return 0, fmt.Errorf("count: %w", err)
	}
	return time.Duration(wait) * time.Microsecond, nil
}

// asks says whether this request asks Redis: while it rests nobody does, and
// then one for all.
func (s *Shared) asks() bool {
	until := s.rests.Load()
	if until == 0 {
		return true
	}
	age := s.age()
	return int64(age) >= until && s.rests.CompareAndSwap(until, int64(age+sharedRest))
}

// age is untouched by a wall clock that is set.
func (s *Shared) age() time.Duration { return s.now().Sub(s.began) }
