package device_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"deskbridge/api"
	"deskbridge/bridge"
)

// wireFrame is a frame as clients read it.
type wireFrame struct {
	Type    string
	Seq     *int64
	Message *wireMessage
	Status  *struct {
		ID     int64
		Status string
		Error  *string
	}
	Chat    *struct{ State string }
	RetryMS int64 `json:"retry_ms"`
}

// replica is what an app knows of a chat: it follows docs/client.md.
type replica struct {
	mu       sync.Mutex
	cursor   int64
	state    string
	messages map[int64]wireMessage
	wrong    []string
}

func (r *replica) complain(format string, args ...any) {
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

// ear is one connection of an app.
type ear struct {
	*replica
	told    map[string]bool // frames of this connection
	first   bool            // no frame has come yet
	heard   chan wireFrame  // every frame, for tests that look at them; nil: nobody does
	ended   chan struct{}   // closed when the connection is
	code    websocket.StatusCode
	reason  string
	hangUp  func()
	lastSeq int64
}

var frameSchema = sync.OnceValues(func() (*openapi3.Schema, error) {
	doc, err := openapi3.NewLoader().LoadFromData(api.Spec())
	if err != nil {
		return nil, err
	}
	return doc.Components.Schemas["Frame"].Value, nil
})

// take applies a frame as it came.
func (e *ear) take(raw []byte, id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var f wireFrame
	var plain any
	if err := json.Unmarshal(raw, &f); err != nil || json.Unmarshal(raw, &plain) != nil {
		e.complain("no frame: %s", raw)
		return
	}
	if schema, err := frameSchema(); err != nil || schema.VisitJSON(plain) != nil {
		e.complain("not what openapi.yaml says: %s", raw)
	}
	if f.Seq != nil {
		if f.Type != "reset" && *f.Seq < e.lastSeq {
			e.complain("seq went back from %d: %s", e.lastSeq, raw)
		}
		if id != "" && id != strconv.FormatInt(*f.Seq, 10) {
			e.complain("id %s of %s", id, raw)
		}
		e.cursor, e.lastSeq = *f.Seq, *f.Seq
	}
	if e.told[string(raw)] && f.Type != "chat" {
		e.complain("told twice: %s", raw)
	}
	e.told[string(raw)] = true
	if e.first && f.Type != "chat" && f.Type != "reset" && f.Type != "bye" {
		e.complain("the first frame is %s", raw)
	}
	e.first = f.Type == "reset"
	e.apply(f)
	if e.heard != nil {
		e.heard <- f
	}
}

func (r *replica) apply(f wireFrame) {
	switch f.Type {
	case "reset":
		r.messages = map[int64]wireMessage{}
	case "chat":
		r.state = f.Chat.State
	case "message":
		r.messages[f.Message.ID] = *f.Message
	case "status":
		m, known := r.messages[f.Status.ID]
		if !known {
			r.complain("the state of message %d, which was never told", f.Status.ID)
		}
		m.Seq, m.Status, m.Error = *f.Seq, f.Status.Status, f.Status.Error
		r.messages[m.ID] = m
	}
}

func newReplica() *replica { return &replica{messages: map[int64]wireMessage{}} }

// differs compares a replica with what the store would tell a newcomer.
func (r *replica) differs(t testing.TB, want wireState) string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var mine []wireMessage
	for _, m := range r.messages {
		if m.Retracted == nil {
			mine = append(mine, m)
		}
	}
	slices.SortFunc(mine, func(a, b wireMessage) int { return int(a.ID - b.ID) })
	if len(r.wrong) > 0 {
		t.Fatalf("a stream did wrong:\n%s", strings.Join(r.wrong, "\n"))
	}
	return cmp.Diff(want.Messages, mine)
}

// way opens a stream for a replica.
type way func(w *world, path string, r *replica, heard chan wireFrame) (*ear, error)

var ways = map[string]way{"events": openEvents, "socket": openSocket, "poll": openPoll}

func newEar(r *replica, heard chan wireFrame) *ear {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &ear{replica: r, told: map[string]bool{}, first: true, heard: heard, ended: make(chan struct{}), lastSeq: r.cursor}
}

func openEvents(w *world, path string, r *replica, heard chan wireFrame) (*ear, error) {
	e := newEar(r, heard)
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, "GET", w.url+path+"events/?since=7777777", nil)
	if err != nil {
		cancel()
		return nil, err
	}
	request.Header.Set("Last-Event-ID", strconv.FormatInt(e.lastSeq, 10)) // overrules the address
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		cancel()
		return nil, fmt.Errorf("%v %v", response, err)
	}
	go func() {
		defer close(e.ended)
		defer response.Body.Close()
		id, lines := "", bufio.NewReader(response.Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			switch name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); name {
			case "id":
				id = value
			case "data":
				e.take([]byte(value), id)
			case "":
				id = ""
			}
		}
	}()
	e.hangUp = func() { cancel(); <-e.ended }
	return e, nil
}

func openSocket(w *world, path string, r *replica, heard chan wireFrame) (*ear, error) {
	e := newEar(r, heard)
	ctx, cancel := context.WithCancel(context.Background())
	conn, _, err := websocket.Dial(ctx, w.url+path+"socket/?since="+strconv.FormatInt(e.lastSeq, 10), nil)
	if err != nil {
		cancel()
		return nil, err
	}
	conn.SetReadLimit(1 << 20)
	go func() {
		defer close(e.ended)
		for {
			kind, data, err := conn.Read(ctx)
			if err != nil {
				var closed websocket.CloseError
				if e.code = websocket.CloseStatus(err); e.code != -1 {
					_ = errors.As(err, &closed)
					e.reason = closed.Reason
				}
				return
			}
			if kind != websocket.MessageText {
				e.mu.Lock()
				e.complain("a message of kind %v", kind)
				e.mu.Unlock()
			}
			e.take(data, "")
		}
	}()
	e.hangUp = func() { cancel(); <-e.ended }
	return e, nil
}

// openPoll follows a chat with polls that wait, and no tag.
func openPoll(w *world, path string, r *replica, _ chan wireFrame) (*ear, error) {
	e := newEar(r, nil)
	ctx, cancel := context.WithCancel(context.Background())
	ask := func() error {
		e.mu.Lock()
		since := e.cursor
		e.mu.Unlock()
		request, err := http.NewRequestWithContext(ctx, "GET", w.url+path+"?wait=30&since="+strconv.FormatInt(since, 10), nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		raw, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != 200 {
			return fmt.Errorf("%d %s %w", response.StatusCode, raw, err)
		}
		var s struct {
			wireState
			Reset bool
			Chat  struct{ State string }
		}
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if s.Reset {
			e.messages = map[int64]wireMessage{}
		}
		for _, m := range s.Messages {
			if m.Seq <= since && !s.Reset {
				e.complain("message %d with seq %d after since %d", m.ID, m.Seq, since)
			}
			e.messages[m.ID] = m
		}
		e.cursor, e.state = s.Seq, s.Chat.State
		return nil
	}
	go func() {
		defer close(e.ended)
		for ctx.Err() == nil {
			if err := ask(); err != nil && ctx.Err() == nil {
				e.mu.Lock()
				e.complain("poll: %v", err)
				e.mu.Unlock()
				return
			}
		}
	}()
	e.hangUp = func() { cancel(); <-e.ended }
	return e, nil
}

// listen opens a stream that ends with the test.
func (w *world) listen(open way, path string, r *replica, heard chan wireFrame) *ear {
	w.t.Helper()
	e, err := open(w, path, r, heard)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(e.hangUp)
	return e
}

// next gives the next frame.
func next(t testing.TB, heard <-chan wireFrame) wireFrame {
	t.Helper()
	select {
	case f := <-heard:
		return f
	case <-time.After(10 * time.Second):
		t.Fatal("nothing is told")
		panic("unreachable")
	}
}

// desk is the other end of one device's chat.
type desk struct {
	w       *world
	ticket  bridge.TicketID
	article bridge.ArticleID
	public  []bridge.ArticleID
	hidden  []bridge.ArticleID
}

func (d *desk) nextArticle() bridge.ArticleID {
	d.article++
	return bridge.ArticleID(d.ticket)*100_000 + d.article
}

// carry brings all that waits to the ticket.
func (d *desk) carry() {
	d.w.t.Helper()
	ctx, now := context.Background(), time.Now()
	claims, err := d.w.store.ClaimLanes(ctx, d.w.region("testland").Desk, now, now.Add(time.Minute), 100)
	if err != nil {
		d.w.t.Fatal(err)
	}
	for _, claim := range claims {
		for {
			work, err := d.w.store.Start(ctx, claim, now)
			if err != nil {
				d.w.t.Fatal(err)
			}
			if work == nil {
				break
			}
			outcome := bridge.Outcome{Work: work.ID}
			if work.Kind == bridge.WorkMessage {
				outcome.Sent = &bridge.Sent{Ticket: d.ticket, State: bridge.TicketOpen, StateAt: now, Customer: 7, Article: d.nextArticle()}
			}
			changes, err := d.w.store.Finish(ctx, claim, outcome, now)
			if err != nil {
				d.w.t.Fatal(err)
			}
			d.w.marks.Publish(changes...)
		}
	}
}

// record lets the bridge read articles and the state of the ticket.
func (d *desk) record(state bridge.TicketState, articles ...bridge.Article) {
	d.w.t.Helper()
	ctx := context.Background()
	known, err := d.w.store.KnownTicket(ctx, d.w.region("testland").Desk, d.ticket)
	if err != nil {
		d.w.t.Fatal(err)
	}
	changes, err := d.w.store.Record(ctx, bridge.Receipt{Chat: known.Chat.ID, State: state, StateAt: time.Now(), Articles: articles, Now: time.Now()})
	if err != nil {
		d.w.t.Fatal(err)
	}
	d.w.marks.Publish(changes...)
}

func (d *desk) answer(text string) bridge.ArticleID {
	id := d.nextArticle()
	d.record(bridge.TicketOpen, answerOf(d.ticket, id, true, text))
	return id
}

// raw opens a socket by hand and gives its bytes.
func (w *world) raw(t testing.TB, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, "GET "+path+"socket/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// closes waits until the other side has closed a connection.
func closes(t testing.TB, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}
