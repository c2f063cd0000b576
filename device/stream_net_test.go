package device_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"deskbridge/bridge"
	"deskbridge/device"
	"deskbridge/server"
)

// narrow is a listener for whose clients the kernel keeps next to nothing.
type narrow struct{ *net.TCPListener }

func (l narrow) Accept() (net.Conn, error) {
	conn, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return conn, conn.SetWriteBuffer(4 << 10)
}

// serve lets the frame itself listen, as in production, until stop. What the
// world asks goes there.
func (w *world) serve() (stop func()) {
	w.t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.url = "http://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.frame.Run(ctx, narrow{listener}) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("run: %v", err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// stuck opens a stream and never reads it.
func (w *world) stuck(path, request string) net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET "+path+request); err != nil {
		w.t.Fatal(err)
	}
	return conn
}

const (
	askEvents = "events/ HTTP/1.1\r\nHost: x\r\n\r\n"
	askSocket = "socket/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)

// TestASlowReaderIsCut while another connection of the same device, and other
// devices, get their frames.
func TestASlowReaderIsCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *device.Deps, cfg *server.Config) { cfg.StreamsPerDevice = 3 })
	device.Hasten(w.door, time.Minute, 300*time.Millisecond)
	w.serve()
	path := chatPath("testland", "de", "d1")
	healthy, other := newReplica(), newReplica()
	w.listen(openSocket, path, healthy, nil)
	w.listen(openEvents, chatPath("testland", "de", "d2"), other, nil)
	for _, ask := range []string{askEvents, askSocket} {
		// An answer that has begun has its place.
		if _, err := io.ReadFull(w.stuck(path, ask), make([]byte, len("HTTP/1.1 200"))); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.get(path + "events/").status; got != http.StatusTooManyRequests {
		t.Fatalf("a fourth stream: %d", got)
	}
	text := strings.Repeat("x", 9000)
	for range 30 {
		w.post(path, "message="+text).state(t)
	}
	w.post(chatPath("testland", "de", "d2"), "message=Hallo").state(t)
	for p, r := range map[string]*replica{path: healthy, chatPath("testland", "de", "d2"): other} {
		want := w.get(p).state(t)
		eventually(t, "the others have everything", func() bool { return r.differs(t, want) == "" })
	}
	heard := make(chan wireFrame, 1000)
	for range 2 {
		eventually(t, "the stuck ones were cut", func() bool {
			e, err := openEvents(w, path, newReplica(), heard)
			if err == nil {
				t.Cleanup(e.hangUp)
			}
			return err == nil
		})
	}
}

// TestHalfOpenConnections: a thousand peers that ask for a stream, or begin to,
// and are never heard of again. They are found and let go, and nobody notices.
func TestHalfOpenConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	device.Hasten(w.door, 200*time.Millisecond, 500*time.Millisecond)
	w.serve()
	path, heard := chatPath("testland", "de", "d1"), make(chan wireFrame, 100)
	w.listen(openSocket, path, newReplica(), heard)
	next(t, heard)
	for i := range 1000 {
		silent := chatPath("testland", "de", "silent-"+itoa(int64(i)))
		if i%2 == 0 {
			w.stuck(silent, askSocket)
		} else {
			w.stuck(silent, askSocket[:len(askSocket)/2])
		}
	}
	w.post(path, "message=Hallo").state(t)
	if f := next(t, heard); f.Type != "message" {
		t.Errorf("%+v", f)
	}
	eventually(t, "the silent sockets were let go", func() bool { return w.marks.Watched() == 1 })
}

// TestStopInMidStream: every stream is told when to come back, and none holds
// the stop up.
func TestStopInMidStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	device.Hasten(w.door, time.Minute, 10*time.Second)
	stop := w.serve()
	path, heard := chatPath("testland", "de", "d1"), make(chan wireFrame, 100)
	w.post(path, "message=Hallo").state(t)
	var ears []*ear
	for _, open := range []way{openEvents, openSocket, openEvents, openSocket} {
		e := w.listen(open, path, newReplica(), heard)
		ears = append(ears, e)
		next(t, heard)
		next(t, heard)
	}
	w.raw(t, chatPath("testland", "de", "silent")) // answers no close
	polled := make(chan reply, 1)
	polling := chatPath("testland", "de", "d3") // of its own, so that it is seen to be there
	seq := itoa(w.post(polling, "message=Hallo").state(t).Seq)
	go func() { polled <- w.get(polling + "?wait=60&since=" + seq) }()
	elsewhere := chatPath("testland", "de", "d2")
	go w.get(elsewhere + "?wait=60&since=0")
	eventually(t, "all are there", func() bool { return w.marks.Watched() == 4 })
	began := time.Now()
	stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the stop took %s", took)
	}
	pauses := map[int64]bool{}
	for _, e := range ears {
		f := next(t, heard)
		if f.Type != "bye" || f.RetryMS < 1000 || f.RetryMS > 10_000 {
			t.Errorf("the last word is %+v", f)
		}
		pauses[f.RetryMS] = true
		<-e.ended
		if e.code != 0 && e.code != websocket.StatusGoingAway {
			t.Errorf("closed with %d", e.code)
		}
	}
	if len(pauses) < 2 {
		t.Errorf("all are told to come back at once: %v", pauses)
	}
	if got := <-polled; len(got.state(t).Messages) != 0 {
		t.Errorf("the poll: %s", got.body)
	}
	if n := w.marks.Watched(); n != 0 {
		t.Errorf("%d devices are still watched", n)
	}
}

// TestStreamsLeaveNothingBehind runs alone: it counts goroutines.
func TestStreamsLeaveNothingBehind(t *testing.T) {
	w := newWorld(t)
	device.Hasten(w.door, 10*time.Millisecond, time.Second)
	before := goleak.IgnoreCurrent()
	for range 5 {
		var ears []*ear
		for _, open := range ways {
			e, err := open(w, chatPath("testland", "de", "d1"), newReplica(), nil)
			if err != nil {
				t.Fatal(err)
			}
			ears = append(ears, e)
		}
		for _, e := range ears {
			e.hangUp()
		}
	}
	eventually(t, "nobody is watched", func() bool { return w.marks.Watched() == 0 })
	http.DefaultClient.CloseIdleConnections() // a connection that is kept has a goroutine at the server
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"), goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// onOwnStack is a store that notes on whose stack it is read.
type onOwnStack struct {
	device.Chats
	reads, own atomic.Int32
}

func (s *onOwnStack) History(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, since bridge.Seq) (bridge.History, error) {
	s.reads.Add(1)
	if strings.Contains(string(debug.Stack()), "(*stream).run(") {
		s.own.Add(1)
	}
	return s.Chats.History(ctx, r, d, since)
}

// TestStreamsKeepTheirStacksSmall: what a stream that waits costs is its stack,
// so none reads the store on its own.
func TestStreamsKeepTheirStacksSmall(t *testing.T) {
	t.Parallel()
	store := &onOwnStack{}
	w := newWorld(t, func(d *device.Deps, _ *server.Config) {
		store.Chats = d.Chats
		d.Chats = store
	})
	device.Hasten(w.door, 10*time.Millisecond, time.Second)
	w.listen(openEvents, chatPath("testland", "de", "d1"), newReplica(), nil)
	w.listen(openSocket, chatPath("testland", "de", "d2"), newReplica(), nil)
	eventually(t, "streams have looked again", func() bool { return store.reads.Load() > 6 })
	if n := store.own.Load(); n != 0 {
		t.Errorf("%d of %d reads were on the stack of a stream", n, store.reads.Load())
	}
}
