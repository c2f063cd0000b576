package app

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"deskbridge/storage/storagetest"
)

// frame is what a stream tells, as far as these tests look.
type frame struct {
	Type    string
	Message struct{ Text, Author string }
	Chat    struct{ State string }
}

// listenAt opens an event stream, or a socket, of a device at an instance.
func (w *world) listenAt(at *instance, device string, socket bool) <-chan frame {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	frames, ended := make(chan frame, 1000), make(chan struct{})
	address := at.origin + "/api/v3/" + demoRegion + "/de/chat/" + device + "/"
	var next func() ([]byte, error)
	if socket {
		conn, _, err := websocket.Dial(ctx, address+"socket/", nil)
		if err != nil {
			w.t.Fatal(err)
		}
		next = func() ([]byte, error) {
			_, data, err := conn.Read(ctx)
			return data, err
		}
	} else {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"events/", nil)
		if err != nil {
			w.t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { _ = response.Body.Close() })
		lines := bufio.NewReader(response.Body)
		next = func() ([]byte, error) {
			for {
				line, err := lines.ReadString('\n')
				if data, found := strings.CutPrefix(line, "data: "); found || err != nil {
					return []byte(data), err
				}
			}
		}
	}
	go func() {
		defer close(ended)
		for {
			data, err := next()
			if err != nil {
				return
			}
			var f frame
			if err := json.Unmarshal(data, &f); err != nil {
				w.t.Errorf("%v: %s", err, data)
			}
			frames <- f
		}
	}()
	w.t.Cleanup(func() { cancel(); <-ended })
	return frames
}

// hears waits until a stream tells a message.
func (w *world) hears(frames <-chan frame, text string) {
	w.t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		select {
		case f := <-frames:
			if f.Type == "message" && f.Message.Text == text {
				return
			}
		case <-deadline:
			w.t.Fatalf("%q was never told", text)
		}
	}
}

// TestAnAnswerReachesADeviceAtAnotherInstance: Zammad's webhook goes to the
// first instance, the device has its streams at the second, and sends through
// both.
func TestAnAnswerReachesADeviceAtAnotherInstance(t *testing.T) {
	redis := os.Getenv("DESKBRIDGE_TEST_REDIS")
	for name, env := range map[string][]string{"by the database": nil, "by Redis": {"DESKBRIDGE_REDIS_URL=" + redis}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if env != nil && redis == "" {
				if os.Getenv("DESKBRIDGE_TEST_REQUIRED") != "" {
					t.Fatal("DESKBRIDGE_TEST_REDIS is not set, but the full suite is required")
				}
				t.Skip("set DESKBRIDGE_TEST_REDIS to run this with Redis")
			}
			w := newWorld(t, storagetest.MySQL(t), env...)
			two := w.another("two")
			events, socket := w.listenAt(two, "phone-1", false), w.listenAt(two, "phone-1", true)
			p := w.phone("phone-1") // at the first instance
			p.send("Frage")
			w.hears(events, "Frage")
			w.hears(socket, "Frage")
			ticket := w.ticket(1).ID
			w.answer(ticket, "Antwort", false)
			w.hears(events, "Antwort")
			w.hears(socket, "Antwort")
			here := w.listenAt(w.bridge, "phone-1", false)
			w.hears(here, "Antwort")
			there := *p
			there.origin = two.origin
			there.send("Danke")
			w.hears(here, "Danke")
			w.setState(ticket, "closed")
			for f := range here {
				if f.Type == "chat" && f.Chat.State == "closed" {
					break
				}
			}
		})
	}
}
