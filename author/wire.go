package author

import (
	"strconv"
	"strings"
	"time"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// Wire is a message as scripts of the console read it.
type Wire struct {
	ID        MessageID  `json:"id"`
	Seq       bridge.Seq `json:"seq"`
	Author    string     `json:"author"`
	Own       bool       `json:"own"`
	Deletable bool       `json:"deletable"`
	CreatedAt time.Time  `json:"created_at"`
	Parts     []Part     `json:"parts"` // of the text, in order: no script needs to make HTML of it
}

// WireMessage shows a message to one who may read the room.
func WireMessage(r *Room, who *staff.Person, m *Message) Wire {
	own := m.Author == who.ID
	return Wire{m.ID, m.Seq, m.AuthorName, own, own || r.Moderates(who), m.CreatedAt, Parts(m.Text)}
}

// wireRoom is a room as a socket tells of it.
type wireRoom struct {
	Kind          Kind       `json:"kind"`
	Unread        int        `json:"unread"`
	Read          bridge.Seq `json:"read"`
	ReadOnly      bool       `json:"read_only"`
	LastMessageAt *time.Time `json:"last_message_at,omitempty"`
}

// frame is what a socket tells. Room is what it is about, and Seq the client's
// cursor in that room from here on; a client names both when it comes back.
//
//	room     the room is there, or something about it but its messages changed
//	message  was written
//	deleted  the message with the number ID was
//	reset    forget what you know of the room's messages: some are gone, and what follows is all
//	gone     the room is not yours any more
//	bye      come back after RetryMS
type frame struct {
	Type    string     `json:"type"`
	Room    RoomID     `json:"room,omitempty"`
	Seq     bridge.Seq `json:"seq"`
	State   *wireRoom  `json:"state,omitempty"`
	Message *Wire      `json:"message,omitempty"`
	ID      MessageID  `json:"id,omitempty"`
	RetryMS int64      `json:"retry_ms,omitempty"`
}

// maxCursors is how many rooms a client may name.
const maxCursors = 500

// parseCursors reads rooms and their cursors: "3.17,8.2". The error is ErrCursor.
func parseCursors(text string) (map[RoomID]bridge.Seq, error) {
	cursors := make(map[RoomID]bridge.Seq)
	if text == "" {
		return cursors, nil
	}
	for pair := range strings.SplitSeq(text, ",") {
		room, seq, _ := strings.Cut(pair, ".")
		id, err := strconv.ParseUint(room, 10, 63)
		if err != nil {
			return nil, ErrCursor
		}
		at, err := strconv.ParseUint(seq, 10, 63)
		if err != nil || len(cursors) >= maxCursors {
			return nil, ErrCursor
		}
		cursors[RoomID(id)] = bridge.Seq(at)
	}
	return cursors, nil
}
