package server

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
)

// streamRetry is the Retry-After where there is no place for a stream.
const streamRetry = 10 * time.Second

// streams counts the answers that last: event streams, sockets, and polls that
// wait. The graceful stop tells them, since they don't end by themselves, and
// waits for sockets, of which net/http knows nothing any more.
type streams struct {
	most      int           // at a time; 0: no limit
	perDevice int           // 0: no limit
	stopping  chan struct{} // closed when they are to end

	mu      sync.Mutex
	stopped bool
	open    int
	devices map[string]int
	ended   chan struct{} // closed when the last one ends after the stop
}

func newStreams(most, perDevice int) *streams {
	return &streams{
		most: most, perDevice: perDevice, devices: make(map[string]int),
		stopping: make(chan struct{}), ended: make(chan struct{}),
	}
}

// OpenStream takes a place for a stream of a device; done gives it back, and
// comes when nothing is written any more. A stream ends by itself as soon as
// stopping is closed. Its connection still has the frame's timeouts, unless it
// lifts them (http.ResponseController).
//
// Errors, with Retry-After set: bridge.ErrManyStreams, bridge.ErrFull,
// bridge.ErrStopping.
func (s *Server) OpenStream(c *gin.Context, device string) (stopping <-chan struct{}, done func(), err error) {
	if err := s.streams.enter(device); err != nil {
		return nil, nil, retryLater(c, streamRetry, err)
	}
	return s.streams.stopping, sync.OnceFunc(func() { s.streams.leave(device) }), nil
}

func (s *streams) enter(device string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
		return bridge.ErrStopping
	case s.perDevice > 0 && s.devices[device] >= s.perDevice:
		return bridge.ErrManyStreams
	case s.most > 0 && s.open >= s.most:
		return bridge.ErrFull
	}
	s.open++
	s.devices[device]++
	return nil
}

func (s *streams) leave(device string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.devices[device]--; s.devices[device] <= 0 {
		delete(s.devices, device)
	}
	if s.stopped && s.open == 0 {
		close(s.ended)
	}
}

// stop tells all streams to end; no new ones are opened.
func (s *streams) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped = true
	close(s.stopping)
	if s.open == 0 {
		close(s.ended)
	}
}

// wait waits for the last stream to end; false says that ctx ended before.
func (s *streams) wait(ctx context.Context) bool {
	select {
	case <-s.ended:
		return true
	case <-ctx.Done():
		return false
	}
}

// AllowsOrigin says whether the page that opens a socket may: browsers ask
// nobody before they open one. Clients that are no browsers name no origin, and
// our own pages are always allowed.
func (s *Server) AllowsOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	return origin == "" || s.origins["*"] || s.origins[origin] || origin == "https://"+r.Host || origin == "http://"+r.Host
}
