// Package server is the frame in which all HTTP doors stand: the Gin engine,
// request ids, recovery, access log, the one mapping of errors, CORS, limits,
// health, listening and the graceful stop. It knows no door's routes.
package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
)

// The timeouts of every connection, in one place.
const (
	// readHeaderTimeout ends clients that send their headers byte by byte.
	// Failure policy: the connection is closed without an answer.
	readHeaderTimeout = 10 * time.Second
	// readTimeout bounds a whole request with its body. It is longer than the
	// longest long poll, because the connection is watched with the same
	// deadline while a handler runs. A stream lifts it for its own connection
	// (http.ResponseController.SetReadDeadline).
	readTimeout = 90 * time.Second
	// writeTimeout bounds reading and answering together, against readers that
	// take nothing. A stream lifts it in the same way.
	writeTimeout = 2 * time.Minute
	// idleTimeout closes kept connections that ask nothing.
	idleTimeout = 2 * time.Minute
	// maxHeaderBytes is the room for all headers of a request, in bytes.
	maxHeaderBytes = 32 << 10
	// maxAnyBody is the largest body on any route, in bytes, for handlers that
	// set no smaller bound with MaxBody.
	maxAnyBody = 16 << 20

	defaultShutdownTimeout = 20 * time.Second
	defaultMaxBody         = 1 << 20
)

// Config is what the frame needs. Zero values mean what the comments say.
type Config struct {
	Log *slog.Logger     // nil: slog.Default()
	Now func() time.Time // nil: time.Now

	// TrustedProxies are the networks whose X-Forwarded-For is believed. Empty:
	// nobody's, the peer is the client.
	TrustedProxies []netip.Prefix
	// CORSOrigins are the origins of web apps that may call; "*" is every
	// origin. Empty: none.
	CORSOrigins []string

	// MaxBody bounds request bodies on Limited routes, in bytes. 0: 1 MiB.
	MaxBody int64
	// WritesPerMinute and ReadsPerMinute bound what one client address may ask
	// of Limited routes; as many may come at once. 0: no limit.
	WritesPerMinute int
	ReadsPerMinute  int
	// CountsAsRead says which writes are so light and so many that they are
	// bounded with the reads. nil: none.
	CountsAsRead func(*http.Request) bool
	// Connections bounds what one client address may have open at a time:
	// connections, and behind a trusted proxy running requests. 0: no limit.
	Connections int
	// Streams bounds the answers that last at a time, StreamsPerDevice those of
	// one device. 0: no limit.
	Streams          int
	StreamsPerDevice int
	// ExemptLoopback frees clients on loopback addresses from these limits.
	ExemptLoopback bool
	// Shared makes the limits those of all instances. nil: this one counts alone.
	Shared *Shared

	// ShutdownTimeout is how long Run lets running requests finish. 0: 20 s.
	ShutdownTimeout time.Duration
	// Checks are what /readyz asks.
	Checks []Check
}

// Server is the frame. Doors mount their routes on Engine or Limited before Run.
type Server struct {
	cfg     Config
	log     *slog.Logger
	now     func() time.Time
	engine  *gin.Engine
	limited gin.IRouter
	origins map[string]bool
	writes  *Limiter
	reads   *Limiter
	crowd   *crowd // nil: no limit

	elsewhere map[string]func(*gin.Context, error) // by prefix of the path
	health    *health
	streams   *streams

	refused     atomic.Int64 // answers 429 since the last line about them
	refusedTold atomic.Int64 // its time, Unix seconds

	// Request ids are a random prefix of this process and a rising number.
	idPrefix string
	idCount  atomic.Uint64
}

// New builds the frame with /livez and /readyz. The error says which setting
// cannot be.
func New(cfg Config) (*Server, error) {
	cfg.ShutdownTimeout = cmp.Or(cfg.ShutdownTimeout, defaultShutdownTimeout)
	cfg.MaxBody = cmp.Or(cfg.MaxBody, defaultMaxBody)
	s := &Server{cfg: cfg, log: cfg.Log, now: cfg.Now, origins: map[string]bool{}, elsewhere: map[string]func(*gin.Context, error){}}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	for _, origin := range cfg.CORSOrigins {
		s.origins[origin] = true
	}
	var err error
	if s.writes, err = NewLimiter("writes", cfg.WritesPerMinute, cfg.Shared, s.now); err != nil {
		return nil, err
	}
	if s.reads, err = NewLimiter("reads", cfg.ReadsPerMinute, cfg.Shared, s.now); err != nil {
		return nil, err
	}
	s.crowd = newCrowd(cfg.Connections)
	s.streams = newStreams(cfg.Streams, cfg.StreamsPerDevice)
	var prefix [4]byte
	if _, err := rand.Read(prefix[:]); err != nil {
		return nil, fmt.Errorf("random request ids: %w", err)
	}
	s.idPrefix = hex.EncodeToString(prefix[:]) + "-"
	s.health = &health{checks: cfg.Checks, now: s.now, log: s.log}
	s.engine = s.newEngine()
	s.limited = s.LimitedTo(cfg.MaxBody)
	return s, nil
}

func (s *Server) newEngine() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false // a redirect would be an HTML page
	engine.ContextWithFallback = true    // a *gin.Context handed on as a context ends with its request
	engine.ForwardedByClientIP = false   // ClientAddr is the only reader of X-Forwarded-For
	// Gin decodes raw paths as form fields, so that a plus becomes a space:
	// frame decodes them instead.
	engine.UseRawPath = true
	engine.UnescapePathValues = false
	engine.MaxMultipartMemory = maxAnyBody // what people write never goes into temporary files
	engine.Use(s.frame, s.refuseCrowded)
	engine.NoRoute(func(c *gin.Context) { s.refuse(c, bridge.ErrPathNotFound) })
	engine.NoMethod(s.noMethod)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		engine.Handle(method, "/livez", s.health.live)
		engine.Handle(method, "/readyz", s.health.ready)
	}
	return engine
}

// Engine is for routes without limits per address: pages, webhooks. Their
// bodies are bounded by MaxBody or else by 16 MiB.
func (s *Server) Engine() *gin.Engine { return s.engine }

// Limited is for routes that devices call: limits per client address and
// Config.MaxBody hold for them. A request over the limit gets
// bridge.ErrRateLimited, or bridge.ErrBodyTooLarge.
func (s *Server) Limited() gin.IRouter { return s.limited }

// LimitedTo is Limited with another bound of bodies, in bytes: for routes that
// bound what they take themselves, as those that take files.
func (s *Server) LimitedTo(maxBody int64) gin.IRouter {
	return s.engine.Group("", s.limitAddress, MaxBody(maxBody))
}

// Run serves on ln until ctx ends; then it takes no new requests, tells streams
// to end, lets the running ones finish within Config.ShutdownTimeout and returns nil. Requests
// that are still running after it are cut off, which is logged. Any other end
// is an error.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler:           s.engine,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		// Running requests outlive ctx: they may finish.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	if s.crowd != nil {
		ln = crowdedListener{ln, s}
		srv.ConnContext = markCrowded
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	s.streams.stop()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil || !s.streams.wait(grace) {
		s.log.Warn("requests were cut off", "after", s.cfg.ShutdownTimeout)
		if err := srv.Close(); err != nil {
			s.log.Debug("closing connections", "error", err)
		}
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	}
	return nil
}
