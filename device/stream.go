package device

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
)

// Times and bounds of streams.
const (
	// beatEvery is how often a stream without news shows that it lives: proxies
	// cut what is silent for a minute, and a peer that is gone is found.
	beatEvery = 25 * time.Second
	// beatsToLook is at which beats the store is read although nobody told of
	// news. Failure policy: a notice that was lost costs up to so many beats.
	beatsToLook = 2
	// patience is how long a client may take for one frame, beyond what the
	// kernel keeps for it. Failure policy: its connection is cut, and resumes.
	patience = 10 * time.Second
	// lookAgain is the pause before a store that did not answer is read again.
	lookAgain = 2 * time.Second
	// byeMin and byeMax bound the pause after which a client comes back when
	// this instance stops, so that not all come to the next at once.
	byeMin, byeMax = time.Second, 10 * time.Second
	// maxTold bounds what a stream remembers of messages that are under way.
	// Failure policy: of a forgotten one the whole message is told.
	maxTold = 64
)

// pace holds the times of streams.
type pace struct{ beat, patience, again time.Duration }

// frame is what a stream tells, the same on every way. Only the field that Type
// names is there; the numbers are those of the device.
type frame struct {
	Type    string         `json:"type"`
	Seq     *bridge.Seq    `json:"seq,omitempty"` // the client's cursor from here on; nil: it stays
	Message *message       `json:"message,omitempty"`
	Status  *messageStatus `json:"status,omitempty"`
	Chat    *chatState     `json:"chat,omitempty"`
	Read    bridge.Seq     `json:"read,omitempty"`
	Typing  *typing        `json:"typing,omitempty"`
	RetryMS int64          `json:"retry_ms,omitempty"`
}

// messageStatus is the delivery state of a message that this stream has told.
type messageStatus struct {
	ID     int64  `json:"id"`
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
}

// typing says who is writing to the device, or not any more.
type typing struct {
	Who    string `json:"who"` // agent or bot
	Active bool   `json:"active"`
}

// line is the way to one client. An error says that it takes nothing any more.
type line interface {
	// send writes one frame; encoded is its JSON.
	send(f *frame, encoded []byte) error
	// beat shows that the line lives, and finds out whether the client does.
	beat() error
	// end closes the line. The catalogue's error says why; nil: the frame was
	// the last word.
	end(why *bridge.Error)
}

// stream tells one client everything that changes for a device: first what it
// missed since its cursor, then what comes. It reads the store each time, so
// that nothing waits in memory for a client that is slow, and nothing is lost
// or told twice: what was told is what stands between two cursors.
type stream struct {
	door   *Door
	who    caller
	line   line
	cursor bridge.Seq // everything up to it was told
	begun  bool       // the client knows chat
	chat   chatState
	bot    bool                        // the client knows that a bot is at work
	read   bridge.Seq                  // the client knows that so much was read
	until  time.Time                   // when time alone may change chat or bot; zero: never
	told   map[bridge.MessageID]uint64 // own messages under way, as they were told but for their state
}

// Streams keeps the answers that last.
type Streams interface {
	// OpenStream takes a place for a stream of a device, until done. The error
	// is one of the catalogue. The stream ends as soon as stopping is closed.
	OpenStream(c *gin.Context, device string) (stopping <-chan struct{}, done func(), err error)
	// AllowsOrigin says whether the page that opens a socket may.
	AllowsOrigin(r *http.Request) bool
}

// place takes a place for a stream of the caller's device.
func (d *Door) place(c *gin.Context, who *caller) (stopping <-chan struct{}, done func(), err error) {
	return d.Streams.OpenStream(c, strconv.FormatInt(int64(who.region.ID), 36)+string(who.device[:]))
}

// newStream reads for whom a stream is, and from where on it is to tell.
//
// Errors: those of streamCaller and resume.
func (d *Door) newStream(c *gin.Context) (*stream, error) {
	who, err := d.streamCaller(c)
	if err != nil {
		return nil, err
	}
	since, err := resume(c.Request)
	if err != nil {
		return nil, err
	}
	return &stream{door: d, who: who, cursor: since}, nil
}

// resume reads from where a stream goes on. The header wins, since browsers come
// back to the first address with it.
func resume(r *http.Request) (bridge.Seq, error) {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return parseSeq(id)
	}
	q, err := parseQuery(r.URL.RawQuery)
	return q.since, err
}

// run tells the client what there is until it goes away, the stream is to stop,
// or the device may not be told any more.
func (s *stream) run(ctx context.Context, stopping <-chan struct{}) error {
	news, stop := s.door.Watermarks.Watch(s.who.region.ID, s.who.device)
	defer stop()
	timer := time.NewTimer(s.door.pace.beat)
	defer timer.Stop()
	look := true
	for beats := 1; ; {
		if err := s.door.still(&s.who); err != nil {
			s.line.end(err)
			return nil
		}
		pause := s.who.within(s.door.pace.beat, s.door.Now())
		if look {
			read, err := s.update(ctx)
			switch {
			case errors.Is(err, bridge.ErrChatToken):
				s.line.end(bridge.ErrChatToken)
				return nil
			case err != nil:
				return err
			}
			if look = !read; look {
				pause = s.door.pace.again
			}
		}
		turn := !s.until.IsZero() && s.until.Sub(s.door.Now()) < pause
		if turn {
			pause = max(s.until.Sub(s.door.Now()), 0)
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return nil
		case <-stopping:
			return s.bye()
		case <-news:
			look = true
		case <-timer.C:
			if turn {
				look = true
				continue
			}
			if err := s.line.beat(); err != nil {
				return err
			}
			beats++
			look = look || beats%beatsToLook == 0
		}
	}
}

// update tells what changed; read is false where the store did not answer. The
// error is bridge.ErrChatToken if the device has got a token since.
func (s *stream) update(ctx context.Context) (read bool, err error) {
	var h bridge.History
	if done := s.door.readers.Do(ctx, func() { h, err = s.history(ctx) }); !done || err != nil {
		return false, nil //nolint:nilerr // it is read again soon
	}
	if s.door.tokens.outdated(&s.who, &h) {
		return false, bridge.ErrChatToken
	}
	return true, s.tell(&h)
}

// still says whether the caller may be told more, and lets it see its region as
// it is now. The error is the answer that a new request would get.
func (d *Door) still(who *caller) *bridge.Error {
	region, known := d.Regions.BySlug(who.region.Slug)
	switch {
	case !known || region.ID != who.region.ID:
		return bridge.ErrRegionNotFound
	case !region.Served():
		return bridge.ErrRegionOff
	}
	if who.region = region; who.expired(d.Now()) {
		return bridge.ErrIdentityExpired
	}
	return nil
}

// history gives what changed since the cursor; a device without a chat has
// nothing.
func (s *stream) history(ctx context.Context) (bridge.History, error) {
	h, err := s.door.Chats.History(ctx, s.who.region, s.who.device, s.cursor)
	if errors.Is(err, bridge.ErrChatNotFound) {
		return bridge.History{Anew: s.cursor > 0}, nil
	}
	return h, err
}

// tell writes the frames of a history: the chat first where the client does not
// know it, since nothing that follows needs the cursor to have moved, and else
// last.
func (s *stream) tell(h *bridge.History) error {
	if h.Anew {
		s.cursor, s.begun, s.told, s.read = 0, false, nil, 0
		if err := s.send(&frame{Type: "reset", Seq: new(bridge.Seq)}); err != nil {
			return err
		}
	}
	p := s.door.presence(s.who.region, s.who.language, *h)
	chat := wireChat(p)
	s.until = p.Until
	if !s.begun {
		if err := s.tellChat(chat, s.cursor); err != nil {
			return err
		}
	}
	slices.SortFunc(h.Messages, func(a, b bridge.Message) int { return cmp.Compare(a.Seq, b.Seq) })
	for i := range h.Messages {
		if h.Messages[i].Seq > h.Seq {
			break // written while the history was read; its notice is on the way
		}
		if err := s.tellMessage(&h.Messages[i]); err != nil {
			return err
		}
	}
	s.cursor = h.Seq
	if h.Read != s.read {
		s.read = h.Read
		if err := s.send(&frame{Type: "read", Seq: &h.Seq, Read: h.Read}); err != nil {
			return err
		}
	}
	if chat != s.chat {
		if err := s.tellChat(chat, s.cursor); err != nil {
			return err
		}
	}
	if p.BotTyping != s.bot {
		s.bot = p.BotTyping
		return s.tellTyping("bot", s.bot)
	}
	return nil
}

// tellChat writes the chat; that an agent is writing, or not any more, also as
// what it is.
func (s *stream) tellChat(chat chatState, at bridge.Seq) error {
	typed := chat.Typing != s.chat.Typing
	s.begun, s.chat = true, chat
	if err := s.send(&frame{Type: "chat", Seq: &at, Chat: &chat}); err != nil || !typed {
		return err
	}
	return s.tellTyping("agent", chat.Typing)
}

func (s *stream) tellTyping(who string, active bool) error {
	return s.send(&frame{Type: "typing", Typing: &typing{who, active}})
}

// tellMessage writes a message, or only its state where nothing else of it
// changed since this stream told it.
func (s *stream) tellMessage(m *bridge.Message) error {
	wire := wireMessage(s.who.region, s.who.language, m)
	f := &frame{Type: "message", Seq: &m.Seq, Message: &wire}
	if m.Author == bridge.AuthorUser {
		print, err := fingerprint(wire)
		if err != nil {
			return err
		}
		if told, known := s.told[m.ID]; known && told == print {
			f = &frame{Type: "status", Seq: &m.Seq, Status: &messageStatus{wire.ID, wire.Status, wire.Error}}
		}
		s.remember(m, print)
	}
	return s.send(f)
}

// remember keeps a message that is still under way.
func (s *stream) remember(m *bridge.Message, print uint64) {
	switch {
	case m.Status == bridge.StatusSeen:
		delete(s.told, m.ID)
		return
	case s.told == nil:
		s.told = make(map[bridge.MessageID]uint64)
	case len(s.told) >= maxTold:
		clear(s.told)
	}
	s.told[m.ID] = print
}

// fingerprint tells messages apart that differ in more than their state.
func fingerprint(m message) (uint64, error) {
	m.Seq, m.Status, m.Error = 0, "", ""
	h := fnv.New64a()
	err := json.NewEncoder(h).Encode(&m)
	return h.Sum64(), err
}

// bye tells when to come back, and ends.
func (s *stream) bye() error {
	pause := byeMin + rand.N(byeMax-byeMin)
	if err := s.send(&frame{Type: "bye", RetryMS: pause.Milliseconds()}); err != nil {
		return err
	}
	s.line.end(nil)
	return nil
}

func (s *stream) send(f *frame) error {
	return s.door.encoded(f, func(b []byte) error { return s.line.send(f, bytes.TrimSuffix(b, []byte("\n"))) })
}
