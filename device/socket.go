package device

import (
	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
	"deskbridge/server"
)

// socket upgrades to a WebSocket and tells its client everything until one of
// them goes.
func (d *Door) socket(c *gin.Context) error {
	s, err := d.newStream(c)
	if err != nil {
		return err
	}
	if err := server.Upgrades(c); err != nil {
		return err
	}
	if !d.Streams.AllowsOrigin(c.Request) {
		return bridge.ErrOrigin
	}
	stopping, done, err := d.place(c, &s.who)
	if err != nil {
		return err
	}
	defer done()
	socket, err := server.AcceptSocket(c, d.pace.patience)
	if err != nil {
		return err
	}
	defer socket.HangUp()
	s.line = socketLine{socket}
	return s.run(socket.Context(), stopping)
}

// socketLine is a line over a WebSocket: each frame is a text message.
type socketLine struct{ *server.Socket }

func (l socketLine) send(_ *frame, encoded []byte) error { return l.Send(encoded) }

func (l socketLine) beat() error {
	l.Beat()
	return nil
}

func (l socketLine) end(why *bridge.Error) { l.End(why) }
