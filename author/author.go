// Package author is the staff's own chat: rooms in which the people who run
// chats write to each other. Everything is a room: the one of all, one for each
// region, and the threads of two persons. The row of a room is its lock and its
// sequence, so that browsers resume as devices do: a cursor is a room's Seq, and
// what was told is what stands between two cursors.
package author

import (
	"encoding/binary"
	"net/http"
	"time"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// RoomID is the number of a room. It is never used again.
type RoomID int64

// MessageID is the number of a message.
type MessageID int64

// Kind says whose a room is.
type Kind string

// The kinds: of everybody who may sign in, of those who may read a region, and
// of two persons.
const (
	KindAll    Kind = "all"
	KindRegion Kind = "region"
	KindThread Kind = "thread"
)

// Bounds of what a person may write.
const (
	MaxText = 4000 // characters of a message
	// WritesPerMinute is what one person may write and delete a minute, and as
	// many at once: it stops a script that has run wild.
	WritesPerMinute = 60
)

// MaxUnread is up to where unread messages are counted; it stands for so many or
// more. Counting on would cost a person who never reads a room more each day.
const MaxUnread = 100

// Thread is an unordered pair of persons: First is the one with the lower number.
type Thread struct{ First, Second staff.ID }

// NewThread makes the pair of two persons. The error is ErrThreadSelf.
func NewThread(a, b staff.ID) (Thread, error) {
	if a == b {
		return Thread{}, ErrThreadSelf
	}
	return Thread{min(a, b), max(a, b)}, nil
}

// Has says whether a person is one of the two.
func (t Thread) Has(who staff.ID) bool { return who == t.First || who == t.Second }

// Room is a room without what is written in it.
type Room struct {
	ID     RoomID
	Kind   Kind
	Region bridge.RegionID // of a region; else 0
	Thread Thread          // of a thread
	Seq    bridge.Seq      // counts its changes: each message, each deletion
	Pruned bridge.Seq      // highest Seq that is not stored any more: cursors below it have missed something
}

// Readable says whether a person may read and write in the room. Nobody but the
// two sees a thread, operators neither.
func (r *Room) Readable(who *staff.Person) bool {
	switch r.Kind {
	case KindAll:
		return who.May(staff.SignedIn, 0)
	case KindRegion:
		return who.May(staff.Read, r.Region)
	case KindThread:
		return who.May(staff.SignedIn, 0) && r.Thread.Has(who.ID)
	default:
		return false
	}
}

// Moderates says whether a person may delete what others wrote in the room.
func (r *Room) Moderates(who *staff.Person) bool {
	switch r.Kind {
	case KindAll:
		return who.May(staff.Operate, 0)
	case KindRegion:
		return who.May(staff.Change, r.Region)
	default:
		return false
	}
}

// Message is one utterance.
type Message struct {
	ID         MessageID
	Room       RoomID
	Seq        bridge.Seq // of its last change
	Author     staff.ID
	AuthorName string // as it was at the time
	Text       string // empty once deleted
	CreatedAt  time.Time
	Deleted    bool
}

// Colleague is what everybody may know of a person.
type Colleague struct {
	ID       staff.ID
	Name     string
	Disabled bool
}

// View is a room as one person sees it.
type View struct {
	Room
	Other         Colleague // of a thread: the one who is not this person
	Read          bridge.Seq
	Unread        int       // messages of others after Read; MaxUnread: so many or more
	LastMessageAt time.Time // zero: none
}

// ReadOnly says whether nothing can be written any more: a person who may not
// sign in would not read it.
func (v View) ReadOnly() bool { return v.Kind == KindThread && v.Other.Disabled }

// The chat's own errors, as clients see them.
var (
	ErrRoomNotFound    = &bridge.Error{Status: http.StatusNotFound, Code: "room_not_found", Sentence: "There is no such room."}
	ErrMessageNotFound = &bridge.Error{Status: http.StatusNotFound, Code: "message_not_found", Sentence: "There is no such message."}
	ErrPersonNotFound  = &bridge.Error{Status: http.StatusNotFound, Code: "person_not_found", Sentence: "There is no such person."}
	ErrThreadSelf      = &bridge.Error{Status: http.StatusBadRequest, Code: "thread_self", Sentence: "A thread needs two persons."}
	ErrReadOnly        = &bridge.Error{Status: http.StatusConflict, Code: "room_read_only", Sentence: "Nothing can be written here any more: the other person may not sign in."}
	ErrNotYours        = &bridge.Error{Status: http.StatusForbidden, Code: "not_your_message", Sentence: "Only whoever wrote this message may delete it, or somebody with the right to."}
	ErrSignedOut       = &bridge.Error{Status: http.StatusUnauthorized, Code: "signed_out", Sentence: "Nobody is signed in any more."}
	ErrCursor          = &bridge.Error{Status: http.StatusBadRequest, Code: "invalid_cursor", Sentence: "The parameter since must list rooms and their seq, such as 3.17,8.2."}
)

// feed is what wakes the sockets of those whom a room concerns; see
// bridge.Change. A thread has those of its two persons instead of one of its
// own, so that a new one needs no word to anybody.
func feed(kind Kind, of int64) (key bridge.DeviceHash) {
	copy(key[:], kind)
	binary.BigEndian.PutUint64(key[len(key)-8:], uint64(of))
	return key
}

// News tells of a change of the room on each of its feeds. The feed of a person
// is that of several rooms, so Seq is only a number that no other change has.
func (r *Room) News() []bridge.Change {
	seq := bridge.Seq(r.ID)<<32 | r.Seq
	switch r.Kind {
	case KindThread:
		return []bridge.Change{{Device: feed(KindThread, int64(r.Thread.First)), Seq: seq}, {Device: feed(KindThread, int64(r.Thread.Second)), Seq: seq}}
	case KindRegion:
		return []bridge.Change{{Device: feed(KindRegion, int64(r.Region)), Seq: seq}}
	default:
		return []bridge.Change{{Device: feed(KindAll, 0), Seq: seq}}
	}
}
