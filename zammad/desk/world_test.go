package desk

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"deskbridge/bridge"
	"deskbridge/zammad"
	"deskbridge/zammad/simulator"
)

// world is a Zammad over real HTTP with an administrator, an agent and the
// bridge, and a desk that talks to it for one region.
type world struct {
	t          *testing.T
	ctx        context.Context
	url        string
	admin      *zammad.Client
	agent      *zammad.Client
	group      zammad.GroupID
	other      zammad.GroupID // the bridge has no right in it
	region     *bridge.Region
	desk       *Desk
	agentToken bridge.Secret
	clock      *ticking // of the Zammad

	// answer, if set, is asked first; it says whether it has answered.
	answer atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
	later  atomic.Int64 // nanoseconds that the desk's clock is ahead

	mu    sync.Mutex
	calls []string
}

const (
	chatGroup  = "App Chat"
	otherGroup = "Backoffice"
	alias      = "0a1b2c3d4e5f6071"
)

// ticking is a clock on which no two things happen in the same millisecond.
type ticking struct {
	mu    sync.Mutex
	last  time.Time
	ahead time.Duration
}

func (c *ticking) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

func (c *ticking) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now().Add(c.ahead)
	if next := c.last.Add(time.Millisecond); now.Before(next) {
		now = next
	}
	c.last = now
	return now
}

func (c *ticking) After(d time.Duration) <-chan time.Time { return time.After(d) }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, ctx: t.Context(), clock: new(ticking)}
	sim := simulator.New(simulator.Config{AdminToken: "admin-token", Clock: w.clock}).Handler()
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		if answer := w.answer.Load(); answer != nil && (*answer)(out, in) {
			return
		}
		sim.ServeHTTP(out, in)
	}))
	t.Cleanup(server.Close)
	w.url = server.URL
	w.admin = w.client("admin-token")
	w.group = w.addGroup(chatGroup, zammad.FollowUpYes, 0)
	w.other = w.addGroup(otherGroup, zammad.FollowUpNewTicket, 0)
	w.agentToken = bridge.Secret(w.addAgent("counselor", "Cora", "Counselor", chatGroup, otherGroup))
	w.agent = w.client(string(w.agentToken))
	w.region = &bridge.Region{
		ID: 1, Slug: "testland", Name: "Testland", Enabled: true, Desk: 1,
		Settings:    bridge.RegionSettings{ZammadURL: w.url + "/", ZammadGroup: chatGroup},
		ZammadToken: bridge.Secret(w.addAgent("deskbridge", "Desk", "Bridge 1", chatGroup)),
	}
	w.desk = w.newDesk(Config{})
	return w
}

func (w *world) newDesk(cfg Config) *Desk {
	cfg.Now = func() time.Time { return time.Now().Add(time.Duration(w.later.Load())) }
	cfg.OnCall = func(c zammad.Call) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.calls = append(w.calls, c.Method+" "+c.Route)
	}
	return New(cfg)
}

func (w *world) client(token string) *zammad.Client {
	w.t.Helper()
	client, err := zammad.New(zammad.Config{URL: w.url, Token: token})
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

func (w *world) addGroup(name, rule string, days int) zammad.GroupID {
	w.t.Helper()
	group, err := w.admin.Groups.Create(w.ctx, zammad.Group{Name: name, Active: true, FollowUpPossible: rule, ReopenTimeInDays: days})
	w.must(err)
	return group.ID
}

func (w *world) addAgent(login, first, last string, groups ...string) (token string) {
	w.t.Helper()
	rights := make(map[string][]string)
	for _, group := range groups {
		rights[group] = []string{"full"}
	}
	_, err := w.admin.Users.Create(w.ctx, zammad.NewUser{Login: login, Firstname: first, Lastname: last, Roles: []string{"Agent"}, Groups: rights})
	w.must(err)
	token, err = w.admin.As(login).Tokens.Create(w.ctx, zammad.NewToken{Name: "test", Permissions: []string{"ticket.agent"}})
	w.must(err)
	return token
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%v (Zammad: %s)", err, said(err))
	}
}

func said(err error) string {
	if z, ok := errors.AsType[*zammad.Error](err); ok {
		return z.Message
	}
	return ""
}

// counted gives the calls that f makes.
func (w *world) counted(f func()) string {
	w.mu.Lock()
	w.calls = nil
	w.mu.Unlock()
	f()
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.calls, ", ")
}

func (w *world) wantCalls(want string, f func()) {
	w.t.Helper()
	if got := w.counted(f); got != want {
		w.t.Errorf("calls: %s\nwant:  %s", got, want)
	}
}

// answering answers calls whose method and path begin with the prefix.
func (w *world) answering(prefix string, answer http.HandlerFunc) {
	f := func(out http.ResponseWriter, in *http.Request) bool {
		if !strings.HasPrefix(in.Method+" "+strings.TrimPrefix(in.URL.Path, "/api/v1"), prefix) {
			return false
		}
		answer(out, in)
		return true
	}
	w.answer.Store(&f)
}

func (w *world) answeringNothing() { w.answer.Store(nil) }

// jsonAnswer answers as Zammad does.
func jsonAnswer(status int, body string) http.HandlerFunc {
	return func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "application/json; charset=utf-8")
		out.WriteHeader(status)
		_, _ = io.WriteString(out, body)
	}
}

func newUUID() bridge.MessageUUID { return bridge.MessageUUID(uuid.NewString()) }

// open opens a chat, which most tests need first.
func (w *world) open(text string) bridge.Posted {
	w.t.Helper()
	posted, err := w.desk.Open(w.ctx, w.region, bridge.Opening{UUID: newUUID(), Text: text, Alias: alias, Language: "de"})
	w.must(err)
	return posted
}

func (w *world) setState(id bridge.TicketID, state string) {
	w.t.Helper()
	_, err := w.agent.Tickets.Update(w.ctx, zammad.TicketID(id), zammad.TicketUpdate{State: state})
	w.must(err)
}

// note lets the agent write a public note as the screen does.
func (w *world) note(id bridge.TicketID, markup string) zammad.Article {
	w.t.Helper()
	a, err := w.agent.Articles.Create(w.ctx, zammad.NewArticle{
		TicketID: zammad.TicketID(id), Type: zammad.TypeNote, ContentType: zammad.ContentHTML, Body: markup,
	})
	w.must(err)
	return a
}

func (w *world) merge(source, target bridge.TicketID) {
	w.t.Helper()
	into, err := w.agent.Tickets.Get(w.ctx, zammad.TicketID(target))
	w.must(err)
	w.must(w.agent.Tickets.Merge(w.ctx, zammad.TicketID(source), into.Number))
}

// cutter is a TCP proxy in front of the Zammad that cuts connections: with
// deaf when a request comes, before any of it is passed on, with mute when the
// answer comes.
type cutter struct {
	url        string
	deaf, mute atomic.Bool
}

func newCutter(t *testing.T, backend string) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{url: "http://" + listener.Addr().String()}
	ctx, end := context.WithCancel(context.Background())
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			front, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { c.pass(ctx, front, strings.TrimPrefix(backend, "http://")) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		end()
		conns.Wait()
	})
	return c
}

func (c *cutter) pass(ctx context.Context, front net.Conn, backend string) {
	defer front.Close()
	back, err := net.Dial("tcp", backend)
	if err != nil {
		return
	}
	cut := func() { _ = front.Close(); _ = back.Close() }
	defer cut()
	defer context.AfterFunc(ctx, cut)()
	go func() {
		defer cut()
		c.copy(back, front, &c.deaf)
	}()
	c.copy(front, back, &c.mute)
}

// copy passes bytes on until the switch is on when some come.
func (c *cutter) copy(to, from net.Conn, off *atomic.Bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && off.Load() {
			return
		}
		if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
			return
		}
	}
}
