package device_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"pgregory.net/rapid"

	"deskbridge/bridge"
	"deskbridge/device"
	"deskbridge/server"
)

// TestEveryWayKeepsAReplica lets a device, its agents and the network do what
// they like, in any order. Whatever way an app follows its chat, and however
// often it is cut off, it ends with exactly the history, and one connection
// tells nothing twice and nothing out of order.
func TestEveryWayKeepsAReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var devices atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		n := devices.Add(1)
		path := chatPath("testland", "de", fmt.Sprintf("device-%d", n))
		d := &desk{w: w, ticket: bridge.TicketID(1000 + n)}
		replicas, ears := map[string]*replica{}, map[string]*ear{}
		for name := range ways {
			replicas[name] = newReplica()
		}
		hangUp := func(name string) {
			if e := ears[name]; e != nil {
				e.hangUp()
				delete(ears, name)
			}
		}
		defer func() {
			for name := range ways {
				hangUp(name)
			}
		}()
		connect := func(name string) {
			hangUp(name)
			e, err := ways[name](w, path, replicas[name], nil)
			if err != nil {
				rt.Fatal(err)
			}
			ears[name] = e
		}
		sent, carried := 0, false
		someWay := rapid.SampledFrom([]string{"events", "socket", "poll"})
		send := func() {
			sent++
			w.post(path, fmt.Sprintf("message=Nummer+%d", sent)).state(w.t)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"send":       func(*rapid.T) { send() },
			"connect":    func(rt *rapid.T) { connect(someWay.Draw(rt, "way")) },
			"disconnect": func(rt *rapid.T) { hangUp(someWay.Draw(rt, "way")) },
			"carry": func(*rapid.T) {
				d.carry()
				carried = carried || sent > 0
			},
			"answer": func(rt *rapid.T) {
				if carried {
					d.public = append(d.public, d.answer(fmt.Sprintf("Antwort %d", d.article)))
				}
			},
			"close": func(rt *rapid.T) {
				if carried {
					d.record(bridge.TicketClosed)
				}
			},
			"retract": func(rt *rapid.T) {
				if len(d.public) > 0 {
					id := rapid.SampledFrom(d.public).Draw(rt, "article")
					d.record(bridge.TicketOpen, answerOf(d.ticket, id, rapid.Bool().Draw(rt, "shown"), fmt.Sprintf("Antwort %d", id)))
				}
			},
		})
		send()
		d.carry()
		want := w.get(path).state(w.t)
		for name, r := range replicas {
			if ears[name] == nil || rapid.Bool().Draw(rt, "resumes") {
				connect(name)
			}
			deadline := time.Now().Add(10 * time.Second)
			for diff := r.differs(t, want); diff != ""; diff = r.differs(t, want) {
				if time.Now().After(deadline) {
					rt.Fatalf("%s ends with another history (-store +replica):\n%s", name, diff)
				}
				<-time.After(time.Millisecond)
			}
		}
	})
}

func TestStreamBeginsBeforeThereIsAChat(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]way{"events": openEvents, "socket": openSocket} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			path := chatPath("testland", "de", "d1")
			heard := make(chan wireFrame, 100)
			w.listen(open, path, newReplica(), heard)
			if f := next(t, heard); f.Type != "chat" || f.Chat.State != "none" || *f.Seq != 0 {
				t.Fatalf("first comes %+v", f)
			}
			w.post(path, "message=Hallo").state(t)
			if f := next(t, heard); f.Type != "message" || f.Message.Text != "Hallo" || f.Message.Status != "queued" {
				t.Fatalf("then %+v", f)
			}
			if f := next(t, heard); f.Type != "chat" || f.Chat.State != "open" {
				t.Fatalf("then %+v", f)
			}
			d := &desk{w: w, ticket: 41}
			d.carry()
			if f := next(t, heard); f.Type != "status" || f.Status.Status != "sent" {
				t.Fatalf("carried: %+v", f)
			}
			d.answer("Guten Tag")
			if f := next(t, heard); f.Type != "message" || f.Message.Text != "Guten Tag" {
				t.Fatalf("answered: %+v", f)
			}
			if f := next(t, heard); f.Type != "status" || f.Status.Status != "seen" {
				t.Fatalf("seen: %+v", f)
			}
			d.record(bridge.TicketClosed)
			if f := next(t, heard); f.Type != "chat" || f.Chat.State != "closed" {
				t.Fatalf("closed: %+v", f)
			}
			d.record(bridge.TicketOpen)
			if f := next(t, heard); f.Type != "chat" || f.Chat.State != "open" {
				t.Fatalf("opened again: %+v", f)
			}
		})
	}
}

// TestCursorsFromAnotherLife: what cannot be resumed is told anew.
func TestCursorsFromAnotherLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	w.post(path, "message=Hallo").state(t)
	for name, open := range ways {
		if name == "poll" {
			continue
		}
		heard, r := make(chan wireFrame, 100), newReplica()
		r.cursor, r.messages[999] = 555, wireMessage{ID: 999}
		w.listen(open, path, r, heard)
		for i, want := range []string{"reset", "chat", "message"} {
			if f := next(t, heard); f.Type != want {
				t.Fatalf("%s: frame %d is %+v, want %s", name, i, f, want)
			}
		}
		if diff := r.differs(t, w.get(path).state(t)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		heard, r = make(chan wireFrame, 100), newReplica()
		r.cursor = 3
		w.listen(open, chatPath("testland", "de", "nobody"), r, heard)
		if f := next(t, heard); f.Type != "reset" {
			t.Fatalf("%s, no chat: %+v", name, f)
		}
		if f := next(t, heard); f.Type != "chat" || f.Chat.State != "none" {
			t.Fatalf("%s, no chat: %+v", name, f)
		}
	}
	for _, bad := range []string{"-1", "x", "1.5", "99999999999999999999", "%00"} {
		for _, at := range []string{"events/", "socket/", ""} {
			if got := w.get(path + at + "?since=" + bad); got.status != 400 || got.code(t) != "invalid_since" {
				t.Errorf("%s?since=%s: %d %s", at, bad, got.status, got.body)
			}
		}
	}
	if got := w.get(path+"events/?since=1", "Last-Event-ID", "-5"); got.status != 400 || got.code(t) != "invalid_since" {
		t.Errorf("a bad Last-Event-ID: %d %s", got.status, got.body)
	}
}

// TestARemovedDeviceBeginsAnew: who held the old chat sees it vanish, and a
// cursor of its time is never taken for one of the new chat's, however many
// messages that has.
func TestARemovedDeviceBeginsAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	for range 3 {
		w.post(path, "message=alt").state(t)
	}
	old := w.get(path).state(t)
	heard, r := make(chan wireFrame, 100), newReplica()
	w.listen(openEvents, path, r, heard)
	for range 4 {
		next(t, heard)
	}
	region := w.region("testland").ID
	_, changes, err := w.store.Prune(t.Context(), bridge.PruneCutoffs{Regions: map[bridge.RegionID]time.Time{region: time.Now().Add(time.Hour)}}, false)
	if err != nil {
		t.Fatal(err)
	}
	w.marks.Publish(changes...)
	if f := next(t, heard); f.Type != "reset" {
		t.Fatalf("after the removal: %+v", f)
	}
	if f := next(t, heard); f.Type != "chat" || f.Chat.State != "none" {
		t.Fatalf("after the removal: %+v", f)
	}
	for range 5 {
		w.post(path, "message=neu").state(t)
	}
	fresh := w.get(path).state(t)
	late := newReplica()
	late.cursor = old.Seq
	for _, m := range old.Messages {
		late.messages[m.ID] = m
	}
	w.listen(openSocket, path, late, nil)
	for _, each := range []*replica{r, late} {
		eventually(t, "only the new chat is left", func() bool { return each.differs(t, fresh) == "" })
	}
	if got := w.get(path + "?since=" + itoa(old.Seq)); !strings.Contains(string(got.body), `"reset":true`) || len(got.state(t).Messages) != 5 {
		t.Errorf("a poll with the old cursor: %s", got.body)
	}
}

func TestWaitingPoll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	first := w.post(path, "message=Hallo")
	tag, seq := first.header.Get("Etag"), itoa(first.state(t).Seq)
	for name, ask := range map[string]func() reply{
		"nothing said":      func() reply { return w.get(path + "?wait=60") },
		"an old cursor":     func() reply { return w.get(path + "?wait=60&since=0") },
		"a cursor too high": func() reply { return w.get(path + "?wait=60&since=99") },
		"an old tag":        func() reply { return w.get(path+"?wait=60", "If-None-Match", `"1-0-0"`) },
	} {
		if got := ask(); len(got.state(t).Messages) != 1 {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	if got := w.get(chatPath("testland", "de", "d2") + "?wait=60"); got.status != 404 {
		t.Errorf("no chat and no cursor: %d", got.status)
	}
	began := time.Now()
	if got := w.get(path + "?wait=1&since=" + seq); len(got.state(t).Messages) != 0 {
		t.Errorf("nothing new: %s", got.body)
	}
	if got := w.get(path+"?wait=1", "If-None-Match", tag); got.status != 304 {
		t.Errorf("nothing new: %d %s", got.status, got.body)
	}
	if got := w.get(chatPath("testland", "de", "d2") + "?wait=1&since=0"); got.status != 404 {
		t.Errorf("no chat: %d", got.status)
	}
	if took := time.Since(began); took < 3*time.Second {
		t.Errorf("three polls of a second took %s", took)
	}
	waiting := make(chan reply, 3)
	go func() { waiting <- w.get(path + "?wait=60&since=" + seq) }()
	go func() { waiting <- w.get(path+"?wait=60", "If-None-Match", tag) }()
	go func() { waiting <- w.get(chatPath("testland", "de", "d2") + "?wait=60&since=0") }()
	eventually(t, "all three wait", func() bool { return w.marks.Watched() == 2 })
	w.post(path, "message=Noch+etwas").state(t)
	w.post(chatPath("testland", "de", "d2"), "message=Hallo").state(t)
	for range 3 {
		if got := <-waiting; len(got.state(t).Messages) == 0 {
			t.Errorf("%s", got.body)
		}
	}
	for _, bad := range []string{"61", "-1", "x", "", "1.5", "1&wait=2"} {
		if got := w.get(path + "?since=0&wait=" + bad); got.status != 400 || got.code(t) != "invalid_wait" {
			t.Errorf("wait=%s: %d %s", bad, got.status, got.body)
		}
	}
}

// TestARegionThatIsSwitchedOffEndsItsStreams at the next beat.
func TestARegionThatIsSwitchedOffEndsItsStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	device.Hasten(w.door, 20*time.Millisecond, 10*time.Second)
	path := chatPath("testland", "de", "d1")
	heard := make(chan wireFrame, 100)
	events := w.listen(openEvents, path, newReplica(), heard)
	socket := w.listen(openSocket, path, newReplica(), heard)
	next(t, heard)
	next(t, heard)
	region := *w.region("testland")
	region.Enabled = false
	if err := w.store.SaveRegion(t.Context(), &region); err != nil {
		t.Fatal(err)
	}
	if err := w.regions.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-events.ended
	<-socket.ended
	if socket.code != 4001 || socket.reason != "chat_disabled" {
		t.Errorf("the socket was closed with %d %q", socket.code, socket.reason)
	}
	if got := w.get(path + "events/"); got.status != 503 || got.code(t) != "chat_disabled" {
		t.Errorf("the next try: %d %s", got.status, got.body)
	}
}

func TestPlacesForStreamsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *device.Deps, cfg *server.Config) { cfg.Streams, cfg.StreamsPerDevice = 3, 2 })
	one, two := chatPath("testland", "de", "d1"), chatPath("testland", "de", "d2")
	heard := make(chan wireFrame, 100)
	first := w.listen(openEvents, one, newReplica(), heard)
	w.listen(openSocket, one, newReplica(), heard)
	refused := func(path string, status int, code string) {
		t.Helper()
		for _, got := range []reply{
			w.get(path + "events/"),
			w.get(path+"socket/", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-Websocket-Version", "13", "Sec-Websocket-Key", "MDEyMzQ1Njc4OWFiY2RlZg=="),
			w.get(path + "?since=0&wait=10"),
		} {
			if got.status != status || got.code(t) != code || got.header.Get("Retry-After") == "" {
				t.Errorf("%s: %d %s %v", path, got.status, got.body, got.header)
			}
		}
	}
	refused(one, 429, "too_many_streams")
	w.listen(openEvents, two, newReplica(), heard)
	refused(chatPath("testland", "de", "d3"), 503, "server_full")
	first.hangUp()
	eventually(t, "a place is free again", func() bool {
		e, err := openEvents(w, one, newReplica(), heard)
		if err == nil {
			t.Cleanup(e.hangUp)
		}
		return err == nil
	})
}

func TestSocketHandshake(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *device.Deps, cfg *server.Config) { cfg.CORSOrigins = []string{"https://app.example"} })
	path := chatPath("testland", "de", "d1") + "socket/"
	good := []string{"Connection", "keep-alive, Upgrade", "Upgrade", "websocket", "Sec-Websocket-Version", "13", "Sec-Websocket-Key", "MDEyMzQ1Njc4OWFiY2RlZg=="}
	with := func(name, value string) []string {
		out := append([]string{}, good...)
		for i := 0; i < len(out); i += 2 {
			if out[i] == name {
				out[i+1] = value
				return out
			}
		}
		return append(out, name, value)
	}
	for name, tc := range map[string]struct {
		header []string
		status int
		code   string
	}{
		"a plain request":     {nil, 426, "upgrade_required"},
		"not connected":       {with("Connection", "close"), 426, "upgrade_required"},
		"another protocol":    {with("Upgrade", "h2c"), 426, "upgrade_required"},
		"another version":     {with("Sec-Websocket-Version", "8"), 426, "upgrade_required"},
		"a short key":         {with("Sec-Websocket-Key", "MDEyMw=="), 426, "upgrade_required"},
		"no key":              {with("Sec-Websocket-Key", "x"), 426, "upgrade_required"},
		"a stranger's page":   {with("Origin", "https://evil.example"), 403, "origin_not_allowed"},
		"a page without name": {with("Origin", "null"), 403, "origin_not_allowed"},
		"a bad cursor":        {append([]string{"Last-Event-ID", "x"}, good...), 400, "invalid_since"},
	} {
		if got := w.get(path, tc.header...); got.status != tc.status || got.code(t) != tc.code {
			t.Errorf("%s: %d %s, want %d %s", name, got.status, got.body, tc.status, tc.code)
		}
	}
	for _, origin := range []string{"https://app.example", w.url} {
		conn, response, err := websocket.Dial(t.Context(), w.url+path, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {origin}}})
		if err != nil {
			t.Fatalf("%s: %v %v", origin, response, err)
		}
		if err := conn.CloseNow(); err != nil {
			t.Error(err)
		}
	}
}

// TestSocketsHearNothing: whatever a client says, its socket is closed with a
// known code, and nobody else notices.
func TestSocketsHearNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	heard := make(chan wireFrame, 100)
	w.listen(openSocket, path, newReplica(), heard)
	next(t, heard)
	for name, tc := range map[string]struct {
		say  func(*websocket.Conn) error
		code websocket.StatusCode
	}{
		"a text":  {func(c *websocket.Conn) error { return c.Write(t.Context(), websocket.MessageText, []byte(`{}`)) }, 1008},
		"nothing": {func(c *websocket.Conn) error { return c.Write(t.Context(), websocket.MessageBinary, nil) }, 1008},
		"a book": {func(c *websocket.Conn) error {
			return c.Write(t.Context(), websocket.MessageText, []byte(strings.Repeat("x", 100_000)))
		}, 1009},
	} {
		conn, _, err := websocket.Dial(t.Context(), w.url+path+"socket/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := tc.say(conn); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for err == nil {
			_, _, err = conn.Read(t.Context())
		}
		if code := websocket.CloseStatus(err); code != tc.code {
			t.Errorf("%s: closed with %v, want %d", name, err, tc.code)
		}
	}
	for range 50 {
		garbage := w.raw(t, path)
		noise := make([]byte, 2+rand.IntN(4000)) // a single byte is no header yet
		for i := range noise {
			noise[i] = byte(rand.Uint32())
		}
		noise[0] |= 0x70 // reserved bits: no frame of ours, whatever follows
		if _, err := garbage.Write(noise); err != nil {
			t.Fatal(err)
		}
		closes(t, garbage)
	}
	w.post(path, "message=Hallo").state(t)
	if f := next(t, heard); f.Type != "message" {
		t.Errorf("%+v", f)
	}
}
