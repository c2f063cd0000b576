package device

import (
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
	"deskbridge/server"
)

// Limits bound what devices write, beyond what the frame allows to an address.
// A nil Limiter is no limit. A refused request gets ErrRateLimited with
// Retry-After.
type Limits struct {
	// Device is for the writes of one device, whatever its address.
	Device *server.Limiter
	// Signals is for what one device tells of its user: read, typing.
	Signals *server.Limiter
	// Region is for the writes of all devices of a region together.
	Region *server.Limiter
	// Chats is for the chats that one address opens: each costs a customer and
	// a ticket in Zammad, and new device ids cost nothing.
	Chats *server.Limiter
	// Client names the address of a request; false exempts it from Region and
	// Chats. nil exempts everybody.
	Client func(*http.Request) (key string, limited bool)
}

// client asks Client.
func (l *Limits) client(r *http.Request) (key string, limited bool) {
	if l.Client == nil {
		return "", false
	}
	return l.Client(r)
}

// write counts a write of a device, before its body is read.
func (l *Limits) write(c *gin.Context, who caller) error {
	if l.Device != nil {
		if err := l.Device.Check(c, who.key()); err != nil {
			return err
		}
	}
	if l.Region == nil {
		return nil
	}
	if _, limited := l.client(c.Request); !limited {
		return nil
	}
	return l.Region.Check(c, strconv.FormatInt(int64(who.region.ID), 36))
}

// signal counts what a device tells of its user, apart from what it writes.
func (l *Limits) signal(c *gin.Context, who caller) error {
	if l.Signals == nil {
		return nil
	}
	return l.Signals.Check(c, who.key())
}

// key names a device in limits.
func (who caller) key() string {
	return strconv.FormatInt(int64(who.region.ID), 36) + string(who.device[:])
}

// opening counts a chat of an address, if the message opens one. A device that
// polled lately has one; of others the heart is asked, which is one read.
func (d *Door) opening(c *gin.Context, who caller, s bridge.Sending) error {
	if d.Limits.Chats == nil || s.Text == "" && len(s.Files) == 0 {
		return nil
	}
	key, limited := d.Limits.client(c.Request)
	if !limited {
		return nil
	}
	if !s.ForceNew {
		if _, known := d.Watermarks.Seq(who.region.ID, who.device); known {
			return nil
		}
		running, err := d.Chats.Running(c.Request.Context(), who.region, who.device)
		if err != nil || running {
			return err
		}
	}
	return d.Limits.Chats.Check(c, key)
}
