package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// bareHub is streams without a product: a map of channels, a loop for each
// connection, heartbeats, and the socket library as its documentation shows it.
type bareHub struct {
	mu      sync.Mutex
	devices map[string]chan []byte
}

func newBareHub() *bareHub { return &bareHub{devices: make(map[string]chan []byte)} }

// push hands a frame to a device's connection.
func (h *bareHub) push(device string, frame []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case h.devices[device] <- frame:
	default:
	}
}

const bareHello = `{"type":"chat","seq":0,"chat":{"state":"none"}}`

func (h *bareHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(r.URL.Path, "/") // "", api, v3, region, language, chat, device, way, ""
	frames := make(chan []byte, 1)
	h.mu.Lock()
	h.devices[parts[6]] = frames
	h.mu.Unlock()
	beat := time.NewTicker(25 * time.Second)
	defer beat.Stop()
	if parts[7] == "socket" {
		h.socket(w, r, frames, beat)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "id: 0\ndata: %s\n\n", bareHello)
	control := http.NewResponseController(w)
	for {
		if control.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			fmt.Fprint(w, ":\n\n")
		case frame := <-frames:
			fmt.Fprintf(w, "id: 1\ndata: %s\n\n", frame)
		}
	}
}

func (h *bareHub) socket(w http.ResponseWriter, r *http.Request, frames chan []byte, beat *time.Ticker) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow() //nolint:errcheck // it may be closed
	ctx := conn.CloseRead(r.Context())
	frame := []byte(bareHello)
	for {
		if frame != nil {
			writing, cancel := context.WithTimeout(ctx, 10*time.Second)
			err := conn.Write(writing, websocket.MessageText, frame)
			cancel()
			if err != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			frame = nil
			if conn.Ping(ctx) != nil {
				return
			}
		case frame = <-frames:
		}
	}
}
