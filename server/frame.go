package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
)

// The values of constant headers, shared by all answers: making them anew costs
// an allocation for each poll. Nothing writes to them.
var (
	nosniff    = []string{"nosniff"}
	noReferrer = []string{"no-referrer"} // device ids are in paths
)

// The names of the headers in their canonical form, for direct use of the map.
const (
	headerRequestID = "X-Request-Id"
	maxRequestID    = 64 // longest X-Request-ID that is taken over, in bytes
)

// frame stands around every request: id, headers, recovery, log.
func (s *Server) frame(c *gin.Context) {
	start := s.now()
	id := c.Request.Header.Get(headerRequestID)
	if !validRequestID(id) {
		id = s.nextRequestID()
	}
	h := c.Writer.Header()
	h[headerRequestID] = []string{id}
	h["X-Content-Type-Options"] = nosniff
	h["Referrer-Policy"] = noReferrer
	if origin := c.Request.Header.Get("Origin"); origin != "" {
		s.allowOrigin(h, origin)
	}
	c.Request = c.Request.WithContext(requestContext{c.Request.Context(), id, c.Request.Body})
	if c.Request.Body != nil && c.Request.Body != http.NoBody {
		c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxAnyBody)
	}
	if c.Request.URL.RawPath != "" {
		decodeParams(c.Params)
	}
	defer s.finish(c, start)
	c.Next()
}

// decodeParams undoes percent encoding where Gin routed by the raw path. A
// segment that cannot be decoded stays as it is; its door will refuse it.
func decodeParams(params gin.Params) {
	for i, p := range params {
		if value, err := url.PathUnescape(p.Value); err == nil {
			params[i].Value = value
		}
	}
}

// requestContext carries the request id, and the body before anything bounded
// it, in one allocation.
type requestContext struct {
	context.Context
	id   string
	body io.ReadCloser
}

type (
	requestIDKey   struct{}
	requestBodyKey struct{}
)

// Value gives request id and body under their own keys.
func (r requestContext) Value(key any) any {
	switch key {
	case requestIDKey{}:
		return r.id
	case requestBodyKey{}:
		return r.body
	}
	return r.Context.Value(key)
}

// RequestID gives the id of the request that ctx belongs to; empty outside of one.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// LogAttrs gives what log lines about ctx should carry: the request id. It has
// the shape that telemetry asks for.
func LogAttrs(ctx context.Context) []slog.Attr {
	if id := RequestID(ctx); id != "" {
		return []slog.Attr{slog.String("request_id", id)}
	}
	return nil
}

func (s *Server) nextRequestID() string {
	var room [32]byte
	return string(strconv.AppendUint(append(room[:0], s.idPrefix...), s.idCount.Add(1), 36))
}

func validRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for _, c := range []byte(id) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("-_.", c) < 0 {
			return false
		}
	}
	return true
}

// finish is deferred: it turns a panic into an answer and writes the log line.
func (s *Server) finish(c *gin.Context, start time.Time) {
	if cause := recover(); cause != nil {
		if cause == http.ErrAbortHandler { //nolint:errorlint // net/http compares it in the same way
			panic(cause)
		}
		s.log.LogAttrs(c.Request.Context(), slog.LevelError, "panic",
			slog.String("request_id", RequestID(c.Request.Context())),
			slog.String("route", c.FullPath()),
			slog.String("panic", fmt.Sprint(cause)),
			slog.String("stack", string(debug.Stack())))
		fail(c, bridge.ErrInternal)
	}
	s.access(c, start)
}

// access writes one line about an answer. Successful reads are only worth a
// line when debugging: polls are most of the traffic.
func (s *Server) access(c *gin.Context, start time.Time) {
	status := c.Writer.Status()
	level := slog.LevelInfo
	switch {
	case status == http.StatusTooManyRequests:
		s.noteRefused()
		level = slog.LevelDebug
	case status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable:
		level = slog.LevelError
	case status < http.StatusBadRequest && (c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead || c.Request.Method == http.MethodOptions):
		level = slog.LevelDebug
	}
	ctx := c.Request.Context()
	if !s.log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 9)
	attrs = append(attrs,
		slog.String("request_id", RequestID(ctx)),
		slog.String("method", c.Request.Method),
		slog.String("route", c.FullPath()), // the pattern: the path has the device id
		slog.Int("status", status),
		slog.Duration("duration", s.now().Sub(start)),
		slog.Int("bytes", max(c.Writer.Size(), 0)))
	if actor := bridge.ActorOf(ctx); actor.ID != 0 && status >= http.StatusBadRequest { // who was refused; names stay in the database
		attrs = append(attrs, slog.String("actor", string(actor.Kind)), slog.Int64("actor_id", actor.ID))
	}
	if len(c.Errors) > 0 {
		attrs = append(attrs, slog.String("error", c.Errors.Last().Error()))
	}
	s.log.LogAttrs(ctx, level, "request", attrs...)
}

// noteRefused counts an answer 429. A flood must not fill the disk with lines,
// so at most one a minute tells of all since the last.
func (s *Server) noteRefused() {
	s.refused.Add(1)
	told, now := s.refusedTold.Load(), s.now().Unix()
	if age := now - told; age >= 0 && age < 60 || !s.refusedTold.CompareAndSwap(told, now) {
		return
	}
	s.log.Warn("requests were refused by limits", "since_last_line", s.refused.Swap(0))
}
