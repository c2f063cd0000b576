package author_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"

	"deskbridge/author"
	"deskbridge/bridge"
	"deskbridge/realtime"
	"deskbridge/server"
	"deskbridge/staff"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
)

// world is an installation of one or more instances on one database.
type world struct {
	testing.TB
	database  string
	redis     string // empty: no bus
	instances []*instance
	regions   []*bridge.Region
	ahead     atomic.Int64 // how far the clock is set forward
}

type instance struct {
	w       *world
	store   *storage.Store
	chat    *author.Chat
	sockets *author.Sockets
	marks   *realtime.Watermarks
	host    string
	stop    func()
}

type regions struct{ w *world }

func (r regions) All() []*bridge.Region { return r.w.regions }

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// newWorld has the regions north and south, and so many instances.
func newWorld(t testing.TB, database, redis string, instances int, limit int) *world {
	t.Helper()
	w := &world{TB: t, database: database, redis: redis}
	for range instances {
		w.start(limit)
	}
	for _, slug := range []string{"north", "south"} {
		r := &bridge.Region{Slug: slug, Name: slug, Settings: bridge.RegionSettings{}.WithDefaults()}
		w.ok(w.instances[0].store.AddRegion(context.Background(), r))
		w.regions = append(w.regions, r)
	}
	return w
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// start starts one more instance, which limits what a person writes a minute.
func (w *world) start(limit int) *instance {
	w.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := storage.Open(context.Background(), storage.Config{URL: w.database, Key: storagetest.Key, Now: w.now})
	w.ok(err)
	i := &instance{w: w, store: store}
	var bus *realtime.Bus
	if w.redis != "" {
		bus, err = realtime.NewBus(w.redis, log)
		w.ok(err)
	}
	i.marks = realtime.NewWatermarks(realtime.Deps{Store: store, Bus: bus, Log: log, Now: w.now})
	frame, err := server.New(server.Config{Log: log, Streams: 100, StreamsPerDevice: 4, CORSOrigins: []string{"*"}})
	w.ok(err)
	limiter, err := server.NewLimiter("author", limit, nil, w.now)
	w.ok(err)
	i.chat = author.New(author.Deps{Store: store.Author(), Regions: regions{w}, Publisher: i.marks, Limit: limiter, Days: 30, Now: w.now})
	i.sockets = &author.Sockets{Chat: i.chat, Watcher: i.marks, Streams: frame, Origin: "https://console.example", Now: w.now}
	frame.Engine().GET("/socket/", server.H(func(c *gin.Context) error {
		id, err := strconv.ParseInt(c.GetHeader("X-Person"), 10, 64)
		if err != nil {
			return bridge.ErrBody
		}
		still := func(ctx context.Context) (*staff.Person, error) {
			account, err := store.StaffByID(ctx, staff.ID(id))
			if err != nil || account.Disabled {
				return nil, err
			}
			return &account.Person, nil
		}
		who, err := still(c.Request.Context())
		if err != nil || who == nil {
			return errors.Join(err, author.ErrSignedOut)
		}
		return i.sockets.Serve(c, who, still)
	}))
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	w.ok(err)
	i.host = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := frame.Run(ctx, narrow{listener}); err != nil {
			w.Errorf("run: %v", err)
		}
	})
	rest, stopRest := context.WithCancel(context.Background())
	var behind sync.WaitGroup
	behind.Go(func() {
		if err := i.marks.Run(rest); err != nil {
			w.Errorf("marks: %v", err)
		}
	})
	i.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		stopRest()
		behind.Wait()
		if err := store.Close(); err != nil {
			w.Errorf("close: %v", err)
		}
	})
	w.Cleanup(i.stop)
	w.instances = append(w.instances, i)
	return i
}

// narrow is a listener for whose clients the kernel keeps next to nothing.
type narrow struct{ *net.TCPListener }

func (l narrow) Accept() (net.Conn, error) {
	conn, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return conn, conn.SetWriteBuffer(4 << 10)
}

// person makes an account.
func (w *world) person(login string, role staff.Role, regions ...*bridge.Region) *staff.Person {
	w.Helper()
	p := staff.Person{Login: login, Name: "Person " + login, Role: role}
	for _, r := range regions {
		p.Regions = append(p.Regions, r.ID)
	}
	id, err := w.instances[0].store.AddStaff(context.Background(), p, "")
	w.ok(err)
	p.ID = id
	return &p
}

// change stores another state of a person.
func (w *world) change(who *staff.Person, change func(p *staff.Person)) {
	w.Helper()
	to := *who
	change(&to)
	w.ok(w.instances[0].store.ChangeStaff(context.Background(), *who, to))
}

// room gives a room of a person: "all", the slug of a region, or the name of the
// other of a thread.
func (i *instance) room(who *staff.Person, name string) author.View {
	i.w.Helper()
	views, err := i.chat.Rooms(context.Background(), who)
	i.w.ok(err)
	for _, v := range views {
		slug := ""
		for _, r := range i.w.regions {
			if r.ID == v.Region {
				slug = r.Slug
			}
		}
		if name == string(v.Kind) || name == slug || v.Kind == author.KindThread && name == v.Other.Name {
			return v
		}
	}
	i.w.Fatalf("%s has no room %q", who.Login, name)
	return author.View{}
}

func (i *instance) send(who *staff.Person, room author.RoomID, text string) author.Message {
	i.w.Helper()
	m, err := i.chat.Send(context.Background(), who, room, text, "")
	i.w.ok(err)
	return m
}

// wireFrame is a frame as scripts read it.
type wireFrame struct {
	Type  string
	Room  int64
	Seq   int64
	State *struct {
		Kind     string
		Unread   int
		Read     int64
		ReadOnly bool `json:"read_only"`
	}
	Message *struct {
		ID    int64
		Seq   int64
		Own   bool
		Parts []author.Part
	}
	ID      int64
	RetryMS int64 `json:"retry_ms"`
}

func (f *wireFrame) text() string {
	if f.Message == nil {
		return ""
	}
	var out strings.Builder
	for _, p := range f.Message.Parts {
		out.WriteString(p.Text)
	}
	return out.String()
}

// window is a browser window of somebody: it keeps what it was told over
// connections, and complains about what no socket may tell.
type window struct {
	w   *world
	who *staff.Person

	mu      sync.Mutex
	cursors map[int64]int64
	told    map[int64][]string // texts by room, "-" in front of those that were deleted
	places  map[int64]int      // of messages in told
	states  map[int64]wireFrame
	resets  int
	wrong   []string

	heard chan wireFrame // every frame; nil: nobody wants to know
	conn  *websocket.Conn
	ended chan struct{}
	code  websocket.StatusCode
}

func (w *world) window(who *staff.Person) *window {
	return &window{w: w, who: who, cursors: map[int64]int64{}, told: map[int64][]string{}, places: map[int64]int{}, states: map[int64]wireFrame{}}
}

// open connects, from where the window was.
func (b *window) open(i *instance, header http.Header) error {
	b.mu.Lock()
	var since []string
	for room, seq := range b.cursors {
		since = append(since, fmt.Sprint(room, ".", seq))
	}
	b.mu.Unlock()
	h := http.Header{"Origin": {"http://" + i.host}, "X-Person": {fmt.Sprint(b.who.ID)}}
	for name, values := range header {
		h[name] = values
	}
	conn, response, err := websocket.Dial(context.Background(), "ws://"+i.host+"/socket/?since="+strings.Join(since, ","), &websocket.DialOptions{HTTPHeader: h})
	if err != nil {
		if response != nil {
			return fmt.Errorf("%d: %w", response.StatusCode, err)
		}
		return err
	}
	conn.SetReadLimit(1 << 20)
	b.conn, b.ended = conn, make(chan struct{})
	go b.listen(conn, b.ended)
	return nil
}

func (b *window) listen(conn *websocket.Conn, ended chan struct{}) {
	defer close(ended)
	for {
		_, raw, err := conn.Read(context.Background())
		if err != nil {
			b.mu.Lock()
			b.code = websocket.CloseStatus(err)
			b.mu.Unlock()
			return
		}
		b.take(raw)
	}
}

func (b *window) take(raw []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var f wireFrame
	if err := json.Unmarshal(raw, &f); err != nil {
		b.wrong = append(b.wrong, fmt.Sprintf("no frame: %s", raw))
		return
	}
	at, known := b.cursors[f.Room]
	switch f.Type {
	case "reset":
		b.resets++
		b.told[f.Room] = nil
	case "gone":
		delete(b.cursors, f.Room)
		delete(b.states, f.Room)
	case "room":
		if known && f.Seq < at {
			b.wrong = append(b.wrong, fmt.Sprintf("the cursor went back from %d: %s", at, raw))
		}
		b.states[f.Room] = f
	case "message", "deleted":
		if !known || f.Seq <= at {
			b.wrong = append(b.wrong, fmt.Sprintf("told twice or out of order after %d: %s", at, raw))
		}
		b.apply(&f)
	case "bye":
	default:
		b.wrong = append(b.wrong, fmt.Sprintf("unknown: %s", raw))
	}
	if f.Type != "gone" && f.Type != "bye" {
		b.cursors[f.Room] = f.Seq
	}
	if b.heard != nil {
		b.heard <- f
	}
}

func (b *window) apply(f *wireFrame) {
	if f.Type == "message" {
		b.places[f.Message.ID] = len(b.told[f.Room])
		b.told[f.Room] = append(b.told[f.Room], f.text())
		return
	}
	if place, there := b.places[f.ID]; there && place < len(b.told[f.Room]) {
		b.told[f.Room][place] = "-" + b.told[f.Room][place]
	}
}

// close hangs up without a word.
func (b *window) close() {
	if b.conn != nil {
		_ = b.conn.CloseNow()
		<-b.ended
		b.conn = nil
	}
}

// shows gives what the window shows of a room, without what was deleted.
func (b *window) shows(room author.RoomID) []string {
	b.w.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.wrong) > 0 {
		b.w.Fatalf("a socket did wrong:\n%s", strings.Join(b.wrong, "\n"))
	}
	return slices.DeleteFunc(slices.Clone(b.told[int64(room)]), func(text string) bool { return strings.HasPrefix(text, "-") })
}

// unread gives what the window says is unread in a room; -1: it knows no such room.
func (b *window) unread(room author.RoomID) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, ok := b.states[int64(room)]
	if !ok {
		return -1
	}
	return f.State.Unread
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
