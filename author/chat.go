package author

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"deskbridge/bridge"
	"deskbridge/server"
	"deskbridge/staff"
)

// PageSize is how many messages a page of a room's history has.
const PageSize = 50

// maxKey is the longest idempotency key in bytes.
const maxKey = 200

// Deps is what the chat works with.
type Deps struct {
	Store   Store
	Regions interface{ All() []*bridge.Region }
	// Publisher tells sockets of changes, here and on other instances.
	Publisher bridge.Publisher
	// Limit bounds what each person writes; nil: no limit.
	Limit *server.Limiter
	// Days is how long messages are shown and kept.
	Days int
	Now  func() time.Time
}

// Chat is the staff's own chat. Each call asks again what the person may: values
// of staff.Person are to be as fresh as the session that they come from.
type Chat struct{ Deps }

// New puts a Chat together.
func New(deps Deps) *Chat { return &Chat{deps} }

// since is the time from which on messages are shown.
func (c *Chat) since() time.Time { return c.Now().AddDate(0, 0, -c.Days) }

// regions lists the regions whose rooms a person sees.
func (c *Chat) regions(who *staff.Person) []bridge.RegionID {
	var ids []bridge.RegionID
	for _, r := range who.Sees(c.Regions.All()) {
		ids = append(ids, r.ID)
	}
	return ids
}

// feeds lists what concerns a person.
func (c *Chat) feeds(who *staff.Person) []bridge.DeviceHash {
	all := []bridge.DeviceHash{feed(KindAll, 0), feed(KindThread, int64(who.ID))}
	for _, id := range c.regions(who) {
		all = append(all, feed(KindRegion, int64(id)))
	}
	return all
}

// Rooms lists the rooms that a person sees: the one of all, the regions' in the
// order of their names, the person's threads, those last written in first.
func (c *Chat) Rooms(ctx context.Context, who *staff.Person) ([]View, error) {
	if !who.May(staff.SignedIn, 0) {
		return nil, nil
	}
	views, err := c.Store.Views(ctx, who.ID, c.regions(who), c.since(), c.Now())
	if err != nil {
		return nil, err
	}
	place := make(map[bridge.RegionID]int)
	for i, r := range c.Regions.All() {
		place[r.ID] = i
	}
	rank := map[Kind]int{KindAll: 0, KindRegion: 1, KindThread: 2}
	slices.SortStableFunc(views, func(a, b View) int {
		return cmp.Or(cmp.Compare(rank[a.Kind], rank[b.Kind]), cmp.Compare(place[a.Region], place[b.Region]))
	})
	return views, nil
}

// enter gives a room that the person may read; the error is ErrRoomNotFound.
func (c *Chat) enter(ctx context.Context, who *staff.Person, id RoomID) (Room, error) {
	room, err := c.Store.Room(ctx, id)
	if err == nil && !room.Readable(who) {
		err = ErrRoomNotFound
	}
	return room, err
}

// Colleagues lists everybody but the person who may sign in, by name.
func (c *Chat) Colleagues(ctx context.Context, who *staff.Person) ([]Colleague, error) {
	all, err := c.Store.Colleagues(ctx)
	return slices.DeleteFunc(all, func(other Colleague) bool { return other.ID == who.ID }), err
}

// OpenThread gives the one thread of the person with another, and makes it if
// there is none. Errors: ErrThreadSelf, ErrPersonNotFound.
func (c *Chat) OpenThread(ctx context.Context, who *staff.Person, other staff.ID) (RoomID, error) {
	thread, err := NewThread(who.ID, other)
	if err != nil {
		return 0, err
	}
	room, err := c.Store.OpenThread(ctx, thread, c.Now())
	if err != nil {
		return 0, err
	}
	c.Publisher.Publish(room.News()...)
	return room.ID, nil
}

// Send writes a message. A repeated key gives the message of the first time.
// Errors: ErrRoomNotFound, ErrReadOnly, bridge.ErrRateLimited, those of
// bridge.CleanText, bridge.ErrKey, bridge.ErrKeyReused.
func (c *Chat) Send(ctx context.Context, who *staff.Person, id RoomID, text, key string) (Message, error) {
	room, err := c.enter(ctx, who, id)
	if err != nil {
		return Message{}, err
	}
	if text, err = bridge.CleanText(text, MaxText); err != nil {
		return Message{}, err
	}
	if !validKey(key) {
		return Message{}, bridge.ErrKey
	}
	if err := c.allow(who); err != nil {
		return Message{}, err
	}
	m, room, err := c.Store.Add(ctx, Draft{Room: id, By: colleague(who), Text: text, Key: key, Now: c.Now()})
	if err != nil {
		return Message{}, err
	}
	c.Publisher.Publish(room.News()...)
	return m, nil
}

// Delete empties a message: the person's own, or one of others where the person
// moderates the room. Errors: ErrRoomNotFound, ErrMessageNotFound, ErrNotYours,
// ErrReadOnly, bridge.ErrRateLimited.
func (c *Chat) Delete(ctx context.Context, who *staff.Person, id RoomID, message MessageID) error {
	room, err := c.enter(ctx, who, id)
	if err != nil {
		return err
	}
	if err := c.allow(who); err != nil {
		return err
	}
	ctx = bridge.WithActor(ctx, who.Actor())
	room, err = c.Store.Delete(ctx, Deletion{Room: id, Message: message, By: who.ID, Others: room.Moderates(who), Now: c.Now()})
	if err != nil {
		return err
	}
	c.Publisher.Publish(room.News()...)
	return nil
}

// History reads a page of a room's messages, the newest first: those before a
// Seq, or the last ones (0). more says that there are older ones. The error is
// ErrRoomNotFound.
func (c *Chat) History(ctx context.Context, who *staff.Person, id RoomID, before bridge.Seq) (messages []Message, more bool, err error) {
	if _, err := c.enter(ctx, who, id); err != nil {
		return nil, false, err
	}
	messages, err = c.Store.History(ctx, id, before, c.since(), PageSize+1)
	if more = len(messages) > PageSize; more {
		messages = messages[:PageSize]
	}
	return messages, more, err
}

// Message gives one message of a room that is not deleted. Errors:
// ErrRoomNotFound, ErrMessageNotFound.
func (c *Chat) Message(ctx context.Context, who *staff.Person, id RoomID, message MessageID) (Message, error) {
	if _, err := c.enter(ctx, who, id); err != nil {
		return Message{}, err
	}
	return c.Store.Message(ctx, id, message)
}

// MarkRead moves the person's mark in a room up to seq, never back. The error is
// ErrRoomNotFound.
func (c *Chat) MarkRead(ctx context.Context, who *staff.Person, id RoomID, seq bridge.Seq) error {
	if _, err := c.enter(ctx, who, id); err != nil {
		return err
	}
	moved, err := c.Store.MarkRead(ctx, id, who.ID, seq)
	if moved {
		// Other windows of the person are told, with a number of no change.
		// Failure policy: those at another instance without Redis see it with the
		// next news of the room, or when their socket looks by itself.
		c.Publisher.Publish(bridge.Change{Device: feed(KindThread, int64(who.ID))})
	}
	return err
}

// Prune removes what is older than Days and counts it; a dry run counts what it
// would remove. It is part of the job prune.
func (c *Chat) Prune(ctx context.Context, dryRun bool) (map[string]int, error) {
	messages, threads, err := c.Store.Prune(ctx, c.since(), dryRun)
	return map[string]int{"author_messages": messages, "author_threads": threads}, err
}

// allow counts a change of the person; the error is bridge.ErrRateLimited.
func (c *Chat) allow(who *staff.Person) error {
	if _, allowed := c.Limit.Allow(strconv.FormatInt(int64(who.ID), 10)); !allowed {
		return bridge.ErrRateLimited
	}
	return nil
}

// colleague is what everybody may know of a person.
func colleague(p *staff.Person) Colleague {
	return Colleague{ID: p.ID, Name: cmp.Or(p.Name, p.Login), Disabled: p.Disabled}
}

// validKey says whether an idempotency key is acceptable: none, or visible ASCII.
func validKey(key string) bool {
	for _, c := range []byte(key) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(key) <= maxKey
}
