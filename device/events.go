package device

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
)

// events answers with server-sent events until the client goes away.
func (d *Door) events(c *gin.Context) error {
	s, err := d.newStream(c)
	if err != nil {
		return err
	}
	if c.Request.Method == http.MethodHead {
		c.Writer.Header()["Content-Type"] = contentEvents
		c.Status(http.StatusOK)
		return nil
	}
	stopping, done, err := d.place(c, &s.who)
	if err != nil {
		return err
	}
	defer done()
	if s.line, err = newEventLine(c, d.pace.patience); err != nil {
		return err
	}
	return s.run(c.Request.Context(), stopping)
}

var contentEvents = []string{"text/event-stream"}

// eventLine is a line of server-sent events. Every frame is an event without a
// name, whose id is the client's cursor.
type eventLine struct {
	c        *gin.Context
	control  *http.ResponseController
	patience time.Duration
}

// newEventLine begins the answer: it lifts the frame's timeouts, and tells the
// client how long to wait before it comes back, should the connection break: not
// all at the same time.
func newEventLine(c *gin.Context, patience time.Duration) (*eventLine, error) {
	h := c.Writer.Header()
	h["Content-Type"] = contentEvents
	h["Cache-Control"] = []string{"no-store"}
	h["X-Accel-Buffering"] = []string{"no"} // nginx passes each frame on at once
	l := &eventLine{c, http.NewResponseController(c.Writer), patience}
	if err := l.control.SetReadDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("lift the read timeout: %w", err)
	}
	return l, l.write(fmt.Appendf(nil, "retry: %d\n\n", 1000+rand.IntN(2000)))
}

func (l *eventLine) send(f *frame, encoded []byte) error {
	b := make([]byte, 0, len(encoded)+64)
	if f.Seq != nil {
		b = append(strconv.AppendInt(append(b, "id: "...), int64(*f.Seq), 10), '\n')
	}
	if f.RetryMS > 0 {
		b = append(strconv.AppendInt(append(b, "retry: "...), f.RetryMS, 10), '\n')
	}
	b = append(append(b, "data: "...), encoded...) // JSON has no line feeds
	return l.write(append(b, "\n\n"...))
}

// beat is a comment. A peer that is gone is noticed by the kernel, which has
// nobody to give it to.
func (l *eventLine) beat() error { return l.write([]byte(":\n\n")) }

// end has no more words: the end of the answer is the end of the stream, and who
// comes back is told why not.
func (l *eventLine) end(*bridge.Error) {}

// write gives the client its time for a piece. Gin's Flush says nothing of
// failures, but net/http ends the request's context with the first.
func (l *eventLine) write(b []byte) error {
	if err := l.control.SetWriteDeadline(time.Now().Add(l.patience)); err != nil {
		return fmt.Errorf("set the write timeout: %w", err)
	}
	if _, err := l.c.Writer.Write(b); err != nil {
		return fmt.Errorf("write an event: %w", err)
	}
	return l.control.Flush()
}
