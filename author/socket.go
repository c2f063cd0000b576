package author

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
	"deskbridge/server"
	"deskbridge/staff"
)

// Times and bounds of sockets; beats and patience are those of devices' streams.
const (
	// beatEvery is how often a socket without news shows that it lives, asks
	// whether its person is still signed in, and reads the store although nobody
	// told of news. Failure policy: a notice that was lost costs up to so long.
	beatEvery = 25 * time.Second
	// askAgain is how old the knowledge may be that the person is signed in when
	// something is told.
	askAgain = 30 * time.Second
	// patience is how long a client may take for one frame, beyond what the
	// kernel keeps for it. Failure policy: its connection is cut, and resumes.
	patience = 10 * time.Second
	// lookAgain is the pause before a store that did not answer is read again.
	lookAgain = 2 * time.Second
	// byeMin and byeMax bound the pause after which a client comes back when this
	// instance stops.
	byeMin, byeMax = time.Second, 10 * time.Second
	// changesStep is how many messages of a room are read at once.
	changesStep = 100
)

// Sockets is what the chat's sockets work with.
type Sockets struct {
	Chat    *Chat
	Watcher interface {
		// WatchAny tells of changes of any of the feeds until stop; see realtime.
		WatchAny(r bridge.RegionID, feeds []bridge.DeviceHash) (news <-chan struct{}, stop func())
	}
	Streams interface {
		// OpenStream takes a place for what lasts; see server.
		OpenStream(c *gin.Context, whose string) (stopping <-chan struct{}, done func(), err error)
	}
	Origin string // the console's, for a proxy that asks with another host
	Now    func() time.Time
	pace   *pace // nil: the times above
}

// pace holds the times of sockets.
type pace struct{ beat, patience, again time.Duration }

// Still says who is signed in with a request's session now: nil, nobody any
// more. It prolongs nothing.
type Still func(ctx context.Context) (*staff.Person, error)

// Serve upgrades a request of a signed-in person to a WebSocket, and tells
// everything that happens in all of the person's rooms until one of them goes,
// or the person is not signed in any more.
//
// One socket for all rooms of a browser window, not one for each: a browser has
// few connections to spend, the number of what is unread needs all rooms anyway,
// and rooms come and go. The price is that the cursor is a list.
//
// Errors: bridge.ErrUpgrade, bridge.ErrOrigin, ErrCursor, and those of places.
func (s *Sockets) Serve(c *gin.Context, who *staff.Person, still Still) error {
	cursors, err := parseCursors(c.Query("since"))
	if err != nil {
		return err
	}
	if err := server.Upgrades(c); err != nil {
		return err
	}
	if !s.allows(c.Request) {
		return bridge.ErrOrigin
	}
	stopping, done, err := s.Streams.OpenStream(c, "staff "+strconv.FormatInt(int64(who.ID), 10))
	if err != nil {
		return err
	}
	defer done()
	pace := pace{beatEvery, patience, lookAgain}
	if s.pace != nil {
		pace = *s.pace
	}
	socket, err := server.AcceptSocket(c, pace.patience)
	if err != nil {
		return err
	}
	defer socket.HangUp()
	t := &teller{
		Sockets: s, who: who, still: still, asked: s.Now(), socket: socket, beat: pace,
		named: cursors, rooms: make(map[RoomID]*told),
	}
	return t.run(socket.Context(), stopping)
}

// allows says whether the page that opens a socket is the console's own.
// Browsers send the cookie with a socket that a foreign page opens, and always
// say which page it is; whoever says nothing is no browser and has no session.
func (s *Sockets) allows(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return false
	}
	return origin == s.Origin || strings.EqualFold(u.Host, r.Host)
}

// told is what the client knows of a room.
type told struct {
	cursor bridge.Seq // everything up to it was told
	state  wireRoom
}

// teller tells one client. It reads the store each time, so that nothing waits
// in memory for a client that is slow, and nothing is lost or told twice.
type teller struct {
	*Sockets
	who    *staff.Person
	still  Still
	asked  time.Time // when the person was signed in for certain
	socket *server.Socket
	beat   pace
	named  map[RoomID]bridge.Seq // the client's cursors, until its rooms are told
	rooms  map[RoomID]*told
}

func (t *teller) run(ctx context.Context, stopping <-chan struct{}) error {
	feeds := t.Chat.feeds(t.who)
	news, stop := t.Watcher.WatchAny(0, feeds)
	defer func() { stop() }()
	timer := time.NewTimer(t.beat.beat)
	defer timer.Stop()
	for look := true; ; {
		pause := t.beat.beat
		if look {
			known, err := t.ask(ctx)
			if known && err == nil {
				if now := t.Chat.feeds(t.who); !slices.Equal(now, feeds) {
					stop()
					feeds = now
					news, stop = t.Watcher.WatchAny(0, feeds)
				}
				known, err = t.tell(ctx)
			}
			if err != nil {
				return err
			}
			if t.who == nil {
				t.socket.End(ErrSignedOut)
				return nil
			}
			if look = !known; look {
				pause = t.beat.again
			}
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return nil
		case <-stopping:
			return t.bye()
		case <-news:
		case <-timer.C:
			t.socket.Beat()
		}
		look = true
	}
}

// ask finds out whether the person is still signed in, and what they may do now;
// who is nil if not. known is false where nobody could say: then nothing is told.
func (t *teller) ask(ctx context.Context) (known bool, err error) {
	if t.Now().Sub(t.asked) < min(askAgain, t.beat.beat) {
		return true, nil
	}
	who, err := t.still(ctx)
	if err != nil {
		return false, nil //nolint:nilerr // it is asked again soon
	}
	t.who, t.asked = who, t.Now()
	return who != nil, nil
}

// tell tells what changed in all rooms; read is false where the store did not
// answer. An error is the client's: it takes nothing any more.
func (t *teller) tell(ctx context.Context) (read bool, err error) {
	views, err := t.Chat.Rooms(ctx, t.who)
	if err != nil {
		return false, nil //nolint:nilerr // it is read again soon
	}
	here := make(map[RoomID]bool, len(views))
	for i := range views {
		here[views[i].ID] = true
		read, err := t.tellRoom(ctx, &views[i])
		if err != nil || !read {
			return read, err
		}
	}
	for id := range t.named { // rooms that the client knew, and that are not theirs now
		if !here[id] && t.rooms[id] == nil {
			t.rooms[id] = &told{}
		}
	}
	t.named = nil
	for id := range t.rooms {
		if !here[id] {
			delete(t.rooms, id)
			if err := t.send(&frame{Type: "gone", Room: id}); err != nil {
				return true, err
			}
		}
	}
	return true, nil
}

// tellRoom tells what changed in a room: its messages, and then what is unread.
func (t *teller) tellRoom(ctx context.Context, v *View) (read bool, err error) {
	known := t.rooms[v.ID]
	if known == nil {
		known = &told{cursor: v.Seq}
		if at, named := t.named[v.ID]; named {
			known.cursor = at
		} else if t.named == nil && v.Kind == KindThread {
			known.cursor = 0 // somebody has just begun it, perhaps with a message
		}
		if err := t.send(&frame{Type: "room", Room: v.ID, Seq: known.cursor, State: state(v)}); err != nil {
			return true, err
		}
		known.state = *state(v)
		t.rooms[v.ID] = known
	}
	if known.cursor > v.Seq || known.cursor < v.Pruned && known.cursor > 0 {
		known.cursor = 0
		if err := t.send(&frame{Type: "reset", Room: v.ID}); err != nil {
			return true, err
		}
	}
	for more := known.cursor < v.Seq; more; {
		changes, err := t.Chat.Store.Changes(ctx, v.ID, known.cursor, changesStep)
		if errors.Is(err, ErrRoomNotFound) {
			return true, nil // the next look says that it is gone
		}
		if err != nil {
			return false, nil //nolint:nilerr // it is read again soon
		}
		if err := t.tellChanges(&v.Room, known, changes); err != nil {
			return true, err
		}
		more = changes.More
	}
	if now := state(v); !now.equal(&known.state) {
		known.state = *now
		return true, t.send(&frame{Type: "room", Room: v.ID, Seq: known.cursor, State: now})
	}
	return true, nil
}

func (t *teller) tellChanges(r *Room, known *told, changes Changes) error {
	for i := range changes.Messages {
		m := &changes.Messages[i]
		f := &frame{Type: "deleted", Room: r.ID, Seq: m.Seq, ID: m.ID}
		if !m.Deleted {
			wire := WireMessage(r, t.who, m)
			f = &frame{Type: "message", Room: r.ID, Seq: m.Seq, Message: &wire}
		}
		if err := t.send(f); err != nil {
			return err
		}
		known.cursor = m.Seq
	}
	known.cursor = changes.Seq
	return nil
}

// state is what a room looks like for its person, but for its messages.
func state(v *View) *wireRoom {
	s := &wireRoom{Kind: v.Kind, Unread: v.Unread, Read: v.Read, ReadOnly: v.ReadOnly()}
	if !v.LastMessageAt.IsZero() {
		s.LastMessageAt = &v.LastMessageAt
	}
	return s
}

func (s *wireRoom) equal(other *wireRoom) bool {
	a, b := *s, *other
	same := a.LastMessageAt == nil && b.LastMessageAt == nil || a.LastMessageAt != nil && b.LastMessageAt != nil && a.LastMessageAt.Equal(*b.LastMessageAt)
	a.LastMessageAt, b.LastMessageAt = nil, nil
	return same && a == b
}

// bye tells when to come back, and ends.
func (t *teller) bye() error {
	pause := byeMin + rand.N(byeMax-byeMin)
	if err := t.send(&frame{Type: "bye", RetryMS: pause.Milliseconds()}); err != nil {
		return err
	}
	t.socket.End(nil)
	return nil
}

func (t *teller) send(f *frame) error {
	encoded, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return t.socket.Send(encoded)
}
