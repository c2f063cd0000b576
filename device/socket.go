package device

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
	closeRefused websocket.StatusCode = 4001 // the region or the device may not be told any more
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

// socket upgrades to a WebSocket and tells its client everything until one of
// them goes.
func (d *Door) socket(c *gin.Context) error {
	s, err := d.handshake(c)
	if err != nil {
		return err
	}
	stopping, done, err := d.place(c, s.who)
	if err != nil {
		return err
	}
	defer done()
	l, err := accept(c, d.pace.patience)
	if err != nil {
		return err
	}
	defer l.hangUp()
	s.line = l
	return s.run(l.ctx, stopping)
}

// handshake says whether a request may have a socket, and from where on it is to
// tell.
func (d *Door) handshake(c *gin.Context) (*stream, error) {
	who, err := d.streamCaller(c)
	if err != nil {
		return nil, err
	}
	since, err := resume(c.Request)
	if err != nil {
		return nil, err
	}
	if !upgrades(c.Request) {
		h := c.Writer.Header()
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", "websocket")
		h.Set("Sec-Websocket-Version", "13")
		return nil, bridge.ErrUpgrade
	}
	if !d.Streams.AllowsOrigin(c.Request) {
		return nil, bridge.ErrOrigin
	}
	return &stream{door: d, who: who, cursor: since}, nil
}

// accept makes a socket of a request and begins to listen.
func accept(c *gin.Context, patience time.Duration) (*socketLine, error) {
	conn, err := websocket.Accept(c.Writer, c.Request, &websocket.AcceptOptions{InsecureSkipVerify: true}) // the origin was looked at
	if err != nil {
		return nil, fmt.Errorf("accept a socket: %w", err)
	}
	l := &socketLine{conn: conn, patience: patience, gone: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(c.Request.Context())
	go l.listen()
	return l, nil
}

// upgrades says whether a request asks for a WebSocket as RFC 6455 wants it.
// The library asks the same, but its refusals are not ours.
func upgrades(r *http.Request) bool {
	keys := r.Header.Values("Sec-Websocket-Key")
	if r.Method != http.MethodGet || r.ProtoMajor != 1 || r.ProtoMinor < 1 || len(keys) != 1 {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0]))
	return err == nil && len(key) == 16 && r.Header.Get("Sec-Websocket-Version") == "13" &&
		names(r.Header.Values("Connection"), "upgrade") && names(r.Header.Values("Upgrade"), "websocket")
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

// socketLine is a line over a WebSocket: each frame is a text message.
type socketLine struct {
	ctx      context.Context // ends with the connection
	cancel   context.CancelFunc
	conn     *websocket.Conn
	patience time.Duration
	gone     chan struct{} // closed when nobody listens any more
}

// listen hears pongs and the client's goodbye. Whatever else it says is refused.
func (l *socketLine) listen() {
	defer close(l.gone)
	defer l.cancel()
	l.conn.SetReadLimit(maxSaid)
	_, said, err := l.conn.Reader(l.ctx)
	if err == nil {
		_, err = io.Copy(io.Discard, said)
	}
	if err == nil || errors.Is(err, websocket.ErrMessageTooBig) { // the latter is closed already
		l.close(websocket.StatusPolicyViolation, "clients have nothing to say here")
	}
}

// send writes a frame. A client that does not take it in time is told why it is
// cut, if it takes that; the library closes the connection afterwards.
func (l *socketLine) send(_ *frame, encoded []byte) error {
	cut := time.AfterFunc(l.patience, func() { l.close(closeSlow, "too_slow") })
	defer cut.Stop()
	if err := l.conn.Write(l.ctx, websocket.MessageText, encoded); err != nil {
		return fmt.Errorf("write a frame: %w", err)
	}
	return nil
}

// beat asks the client for a pong, and ends the line if none comes. News need
// not wait for it.
func (l *socketLine) beat() error {
	go func() {
		ctx, cancel := context.WithTimeout(l.ctx, l.patience)
		defer cancel()
		if l.conn.Ping(ctx) != nil {
			l.cancel()
		}
	}()
	return nil
}

func (l *socketLine) end(why *bridge.Error) {
	if why == nil {
		l.close(websocket.StatusGoingAway, bridge.ErrStopping.Code)
		return
	}
	l.close(closeRefused, why.Code)
}

// close says goodbye and waits a moment for the answer.
func (l *socketLine) close(code websocket.StatusCode, reason string) {
	defer time.AfterFunc(closeWait, l.cancel).Stop()
	_ = l.conn.Close(code, reason) // that the client is gone is no news
}

// hangUp ends the connection, whatever its state, and whoever listens.
func (l *socketLine) hangUp() {
	l.cancel()
	_ = l.conn.CloseNow() // it may be closed
	<-l.gone
}
