package server

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
)

// retryAfterUnavailable is the Retry-After of a 503 whose handler set none, in
// seconds. Clients add their own jitter.
const retryAfterUnavailable = "5"

// H makes a Gin handler of a function that returns an error. The error becomes
// the answer: the *bridge.Error in its chain, or what Resolve makes of it. A
// handler that has begun its answer returns an error only to have it logged.
func H(handle func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := handle(c); err != nil {
			fail(c, err)
		}
	}
}

// Resolve finds the catalogue's value for an error: ErrBodyTooLarge for a body
// over its bound, whatever its reader made of that; the *bridge.Error in its
// chain; ErrStopping for a request that was cancelled, since then the client is
// gone or the server stops; ErrStorage where the database did not answer;
// ErrInternal for all else.
func Resolve(err error) *bridge.Error {
	var (
		known   *bridge.Error
		tooLong *http.MaxBytesError
		network *net.OpError
	)
	switch {
	case errors.As(err, &tooLong):
		return bridge.ErrBodyTooLarge
	case errors.As(err, &known):
		return known
	case errors.Is(err, context.Canceled):
		return bridge.ErrStopping
	case errors.As(err, &network), errors.Is(err, driver.ErrBadConn), errors.Is(err, context.DeadlineExceeded):
		return bridge.ErrStorage
	default:
		return bridge.ErrInternal
	}
}

// answer is the body of every error.
type answer struct {
	Error     string `json:"error"`
	Code      string `json:"code"`
	Retryable bool   `json:"retryable"`
	RequestID string `json:"request_id"`

	Fields bridge.FieldErrors `json:"fields,omitempty"` // of ErrSettings
}

// problem is the same in the words of RFC 9457, for clients that ask for it.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	Retryable bool   `json:"retryable"`
	RequestID string `json:"request_id"`

	Fields bridge.FieldErrors `json:"fields,omitempty"`
}

// fail answers with an error and ends the chain of handlers. The cause is kept
// for the access log where the answer does not tell it.
func fail(c *gin.Context, err error) {
	c.Abort()
	known := Resolve(err)
	if err != error(known) && known.Status >= http.StatusInternalServerError {
		c.Errors = append(c.Errors, &gin.Error{Err: err, Type: gin.ErrorTypePrivate})
	}
	if c.Writer.Written() {
		return
	}
	h := c.Writer.Header()
	h.Set("Cache-Control", "no-store")
	if known.Status != http.StatusPreconditionFailed { // there it is the tag of the state that was not met
		h.Del("Etag")
	}
	if known.Status == http.StatusServiceUnavailable && h.Get("Retry-After") == "" {
		h.Set("Retry-After", retryAfterUnavailable)
	}
	id := RequestID(c.Request.Context())
	var fields bridge.FieldErrors
	errors.As(err, &fields)
	var body any = answer{known.Sentence, known.Code, known.Retryable, id, fields}
	kind := "application/json; charset=utf-8"
	if strings.Contains(c.Request.Header.Get("Accept"), "application/problem+json") {
		kind = "application/problem+json"
		body = problem{
			Type: "about:blank", Title: http.StatusText(known.Status), Status: known.Status, Detail: known.Sentence,
			Code: known.Code, Retryable: known.Retryable, RequestID: id, Fields: fields,
		}
	}
	encoded, err := json.Marshal(body)
	if err != nil { // strings and a bool: cannot be
		encoded = nil
	}
	c.Data(known.Status, kind, encoded)
}

// refuse answers where no route does: by the door whose path it is, or in JSON.
func (s *Server) refuse(c *gin.Context, err error) {
	for prefix, handle := range s.elsewhere {
		if strings.HasPrefix(c.Request.URL.Path+"/", prefix) {
			handle(c, err)
			return
		}
	}
	fail(c, err)
}

// Elsewhere lets a door with pages answer for paths of its own that have no
// route (bridge.ErrPathNotFound), or none for the method (bridge.ErrMethod): a
// person should not be answered in JSON. Call it before Run.
func (s *Server) Elsewhere(prefix string, handle func(*gin.Context, error)) {
	s.elsewhere[prefix] = handle
}

// noMethod answers for known paths; Gin has set Allow. Preflights come here too.
func (s *Server) noMethod(c *gin.Context) {
	if c.Request.Method == http.MethodOptions {
		s.preflight(c)
		return
	}
	s.refuse(c, bridge.ErrMethod)
}
