package author

import (
	"context"
	"time"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// Draft is a message that somebody wants to write. Text is already clean.
type Draft struct {
	Room RoomID
	By   Colleague
	Text string
	Key  string // idempotency key; empty: none
	Now  time.Time
}

// Deletion is somebody's wish to delete a message.
type Deletion struct {
	Room    RoomID
	Message MessageID
	By      staff.ID
	Others  bool // they may delete what others wrote
	Now     time.Time
}

// Changes is what happened in a room after a cursor.
type Changes struct {
	Messages []Message  // changed ones, deleted ones too, by Seq
	Seq      bridge.Seq // the cursor from here on
	More     bool       // there is more after it
}

// Store keeps the chat. Every change is one transaction that holds the room's
// row and raises its Seq, so that whoever reads the Seq can read all that it
// counts.
type Store interface {
	// Views lists the rooms that a person sees: the one of all, those of the
	// regions, and the person's threads, those last written in first. Rooms of
	// all and of regions that are not there yet are made. Messages from before
	// since don't count.
	Views(ctx context.Context, who staff.ID, regions []bridge.RegionID, since, now time.Time) ([]View, error)
	// Room gives a room; the error is ErrRoomNotFound.
	Room(ctx context.Context, id RoomID) (Room, error)
	// OpenThread gives the one thread of two persons, and makes it if there is
	// none. The error is ErrPersonNotFound if it would have to be made and one of
	// them is not there or disabled.
	OpenThread(ctx context.Context, t Thread, now time.Time) (Room, error)
	// Colleagues lists everybody who may sign in, by name.
	Colleagues(ctx context.Context) ([]Colleague, error)
	// Add writes a message and gives it with the room as it is then. A key that
	// the author has used in the room gives the message of then, and changes
	// nothing. Errors: ErrRoomNotFound, ErrReadOnly, bridge.ErrKeyReused if the
	// text is another one.
	Add(ctx context.Context, d Draft) (Message, Room, error)
	// Delete empties a message and gives the room as it is then; one that is
	// deleted stays so. Of somebody else's it writes an audit entry. Errors:
	// ErrRoomNotFound, ErrMessageNotFound, ErrNotYours, ErrReadOnly.
	Delete(ctx context.Context, d Deletion) (Room, error)
	// Message gives a message of a room that is not deleted; the error is
	// ErrMessageNotFound.
	Message(ctx context.Context, room RoomID, id MessageID) (Message, error)
	// History reads messages that are not deleted and not from before since, the
	// newest first: those with a Seq below before (0: all), limit of them.
	History(ctx context.Context, id RoomID, before bridge.Seq, since time.Time, limit int) ([]Message, error)
	// Changes reads what happened after a cursor, limit messages of it. The error
	// is ErrRoomNotFound.
	Changes(ctx context.Context, id RoomID, after bridge.Seq, limit int) (Changes, error)
	// MarkRead moves a person's mark up to seq, at most to the room's Seq and
	// never back; moved is false where it stood there already. The error is
	// ErrRoomNotFound.
	MarkRead(ctx context.Context, id RoomID, who staff.ID, seq bridge.Seq) (moved bool, err error)
	// Prune removes messages from before a time and then threads that are empty
	// and were not changed since, in small steps, and counts both; a dry run
	// counts what it would remove.
	Prune(ctx context.Context, before time.Time, dryRun bool) (messages, threads int, err error)
}
