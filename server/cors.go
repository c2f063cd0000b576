package server

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// What web apps may send and read besides the headers that are always allowed.
const (
	corsAllowHeaders  = "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, X-App-Version, X-Chat-Token, X-Request-ID"
	corsExposeHeaders = "ETag, Retry-After, X-Request-ID"
	// corsMaxAge is how long browsers remember a preflight, in seconds; Chromium
	// takes no more than two hours.
	corsMaxAge = "7200"
)

// allowOrigin lets pages of an allowed origin read the answer. No credentials
// are allowed: no API rests on cookies. The console, which does, takes these
// headers off its answers.
func (s *Server) allowOrigin(h http.Header, origin string) {
	switch {
	case s.origins["*"]:
		h["Access-Control-Allow-Origin"] = []string{"*"}
	case s.origins[origin]:
		h["Access-Control-Allow-Origin"] = []string{origin}
		h.Add("Vary", "Origin")
	default:
		h.Add("Vary", "Origin")
		return
	}
	h["Access-Control-Expose-Headers"] = []string{corsExposeHeaders}
}

// preflight answers OPTIONS on every path that has routes, with their methods.
func (s *Server) preflight(c *gin.Context) {
	h := c.Writer.Header()
	if h.Get("Access-Control-Allow-Origin") != "" {
		h.Set("Access-Control-Allow-Methods", h.Get("Allow"))
		h.Set("Access-Control-Allow-Headers", corsAllowHeaders)
		h.Set("Access-Control-Max-Age", corsMaxAge)
	}
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
}
