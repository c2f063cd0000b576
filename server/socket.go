package server

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
)

// The close codes of sockets besides those of RFC 6455. Clients know them from
// docs/client.md.
const (
	closeRefused websocket.StatusCode = 4001 // the client may not be told any more
	closeSlow    websocket.StatusCode = 4008 // the client did not take what it was sent
)

const (
	// maxSaid is how much a client may say at once, in bytes; it has nothing to
	// say, and more is closed with 1009 unread.
	maxSaid = 1 << 10
	// closeWait is how long a client may take to answer a close. Failure policy:
	// the connection is closed without its answer.
	closeWait = time.Second
)

// Socket tells one client over a WebSocket; the client has nothing to say. Send,
// Beat and End are for one goroutine.
type Socket struct {
	ctx      context.Context // ends with the connection
	cancel   context.CancelFunc
	conn     *websocket.Conn
	patience time.Duration
	gone     chan struct{} // closed when nobody listens any more
}

// Upgrades says whether a request asks for a WebSocket as RFC 6455 wants it; if
// not, the error is bridge.ErrUpgrade, and the answer's headers say what would
// be. The library asks the same, but its refusals are not ours.
func Upgrades(c *gin.Context) error {
	r := c.Request
	keys := r.Header.Values("Sec-Websocket-Key")
	if r.Method == http.MethodGet && r.ProtoMajor == 1 && r.ProtoMinor >= 1 && len(keys) == 1 {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0]))
		if err == nil && len(key) == 16 && r.Header.Get("Sec-Websocket-Version") == "13" &&
			names(r.Header.Values("Connection"), "upgrade") && names(r.Header.Values("Upgrade"), "websocket") {
			return nil
		}
	}
	h := c.Writer.Header()
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", "websocket")
	h.Set("Sec-Websocket-Version", "13")
	return bridge.ErrUpgrade
}

// names says whether a token is in a header's lists.
func names(values []string, token string) bool {
	for _, list := range values {
		for name := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(name), token) {
				return true
			}
		}
	}
	return false
}

// AcceptSocket makes a socket of a request that Upgrades and whose origin was
// looked at, and begins to listen. The caller calls HangUp. patience is how long
// the client may take for one frame, beyond what the kernel keeps for it.
func AcceptSocket(c *gin.Context, patience time.Duration) (*Socket, error) {
	conn, err := websocket.Accept(c.Writer, c.Request, &websocket.AcceptOptions{InsecureSkipVerify: true}) // the origin was looked at
	if err != nil {
		return nil, fmt.Errorf("accept a socket: %w", err)
	}
	s := &Socket{conn: conn, patience: patience, gone: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(c.Request.Context())
	go s.listen()
	return s, nil
}

// Context ends with the connection.
func (s *Socket) Context() context.Context { return s.ctx }

// listen hears pongs and the client's goodbye. Whatever else it says is refused.
func (s *Socket) listen() {
	defer close(s.gone)
	defer s.cancel()
	s.conn.SetReadLimit(maxSaid)
	_, said, err := s.conn.Reader(s.ctx)
	if err == nil {
		_, err = io.Copy(io.Discard, said)
	}
	if err == nil || errors.Is(err, websocket.ErrMessageTooBig) { // the latter is closed already
		s.close(websocket.StatusPolicyViolation, "clients have nothing to say here")
	}
}

// Send writes a frame as a text message. A client that does not take it in time
// is told why it is cut, if it takes that; the library closes the connection
// afterwards.
func (s *Socket) Send(frame []byte) error {
	cut := time.AfterFunc(s.patience, func() { s.close(closeSlow, "too_slow") })
	defer cut.Stop()
	if err := s.conn.Write(s.ctx, websocket.MessageText, frame); err != nil {
		return fmt.Errorf("write a frame: %w", err)
	}
	return nil
}

// Beat asks the client for a pong, and ends the socket if none comes. News need
// not wait for it.
func (s *Socket) Beat() {
	go func() {
		ctx, cancel := context.WithTimeout(s.ctx, s.patience)
		defer cancel()
		if s.conn.Ping(ctx) != nil {
			s.cancel()
		}
	}()
}

// End closes the socket. The catalogue's error says why the client may not be
// told any more; nil: the server stops.
func (s *Socket) End(why *bridge.Error) {
	if why == nil {
		s.close(websocket.StatusGoingAway, bridge.ErrStopping.Code)
		return
	}
	s.close(closeRefused, why.Code)
}

// close says goodbye and waits a moment for the answer.
func (s *Socket) close(code websocket.StatusCode, reason string) {
	defer time.AfterFunc(closeWait, s.cancel).Stop()
	_ = s.conn.Close(code, reason) // that the client is gone is no news
}

// HangUp ends the connection, whatever its state, and whoever listens.
func (s *Socket) HangUp() {
	s.cancel()
	_ = s.conn.CloseNow() // it may be closed
	<-s.gone
}
