package device

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
)

// chatState is what an app shows of the people behind the current chat. It can
// be compared, so that streams tell only what differs.
type chatState struct {
	State  string `json:"state"`
	Notice string `json:"notice"` // plain, in the user's language; empty: nothing to tell
	Away   string `json:"away"`   // the same, while nobody is there
	Typing bool   `json:"typing"` // an agent has written just now
}

// presence is the moment's truth about the people behind a chat. Streams take
// Until of it to know when to look again.
func (d *Door) presence(r *bridge.Region, language string, h bridge.History) bridge.Presence {
	return r.Presence(&h.Chat, language, d.Now())
}

// wireChat gives `chat` on the wire.
func wireChat(p bridge.Presence) chatState {
	return chatState{State: string(p.State), Notice: p.Notice, Away: p.Away, Typing: p.AgentTyping}
}

// IsSignal says whether a request only tells what the user is doing. There are
// many of them and they cost little, so they must not use up what an address may
// write.
func IsSignal(r *http.Request) bool {
	_, chat, _ := strings.Cut(r.URL.Path, "/chat/")
	_, told, _ := strings.Cut(chat, "/")
	return told == "read/" || told == "typing/"
}

// markRead takes how far the user has read on this device. The body is read like
// that of a message.
func (d *Door) markRead(c *gin.Context) error {
	who, err := d.caller(c)
	if err != nil {
		return err
	}
	if err := d.Limits.signal(c, who); err != nil {
		return err
	}
	f, err := readBody(c.Request, &intake{room: d.Uploads.body()})
	if err != nil {
		return err
	}
	if f.seq == nil {
		return errReadSeq()
	}
	seq, err := strconv.ParseUint(*f.seq, 10, 63)
	if err != nil {
		return errReadSeq()
	}
	if err := d.Chats.MarkRead(c.Request.Context(), who.region, who.device, bridge.Seq(seq)); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

func errReadSeq() error {
	return refuse(bridge.ErrBody, "The field seq must be the seq of a message.")
}

// hearTyping takes that the user is writing. There is nothing to say but that; a
// body is not read.
func (d *Door) hearTyping(c *gin.Context) error {
	who, err := d.caller(c)
	if err != nil {
		return err
	}
	if err := d.Limits.signal(c, who); err != nil {
		return err
	}
	if err := d.Chats.Typing(c.Request.Context(), who.region, who.device); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}
