package server

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

const (
	// checkTimeout bounds all checks of one /readyz together.
	// Failure policy: what has not answered by then counts as failed.
	checkTimeout = 3 * time.Second
	// checkMemory is how long an answer of /readyz is repeated: whoever asks
	// more often costs nothing.
	checkMemory = time.Second
)

// Check is one thing that /readyz looks at.
type Check struct {
	Name string
	// Required makes the instance not ready while the check fails. A check that
	// is not required is only reported: the outbox is there for a desk's outage.
	Required bool
	// Probe gives figures for the report, which everybody may read, and whether
	// all is well. The text of the error is logged and not shown.
	Probe func(ctx context.Context) (details map[string]any, err error)
}

// health answers the two questions of orchestrators.
type health struct {
	checks []Check
	now    func() time.Time
	log    *slog.Logger

	mu     sync.Mutex
	until  time.Time
	status int
	report gin.H
}

// live says that the process runs and answers, and nothing else.
func (h *health) live(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.JSON(http.StatusOK, gin.H{"status": "ok"})
}

// ready says whether requests should come here: 200, or 503 with the check that
// failed.
func (h *health) ready(c *gin.Context) {
	h.mu.Lock()
	if now := h.now(); !now.Before(h.until) {
		// Another client may wait for this answer, so it does not end with this request.
		h.status, h.report = h.ask(context.WithoutCancel(c.Request.Context()))
		h.until = h.now().Add(checkMemory)
	}
	status, report := h.status, h.report
	h.mu.Unlock()
	c.Header("Cache-Control", "no-store")
	c.JSON(status, report)
}

func (h *health) ask(ctx context.Context) (int, gin.H) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	status, word := http.StatusOK, "ready"
	checks := make(map[string]gin.H, len(h.checks))
	for _, check := range h.checks {
		details, err := check.Probe(ctx)
		entry := gin.H{"ok": err == nil}
		for name, value := range details {
			entry[name] = value
		}
		checks[check.Name] = entry
		if err == nil {
			continue
		}
		h.log.WarnContext(ctx, "health check failed", "check", check.Name, "required", check.Required, "error", err)
		if check.Required {
			status, word = http.StatusServiceUnavailable, "not_ready"
		}
	}
	return status, gin.H{"status": word, "checks": checks}
}
