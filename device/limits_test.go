package device_test

import (
	"net/http"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/device"
	"deskbridge/server"
)

func perMinute(t *testing.T, n int) *server.Limiter {
	t.Helper()
	limiter, err := server.NewLimiter("test", n, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return limiter
}

// from is how the worlds of these tests name clients: by a header, so that one
// test can be many. Without it a client is exempt.
func from(r *http.Request) (key string, limited bool) {
	key = r.Header.Get("X-Test-Client")
	return key, key != ""
}

// refused checks that an answer is the one of a limit.
func refused(t *testing.T, what string, got reply) {
	t.Helper()
	if got.status != http.StatusTooManyRequests || got.code(t) != bridge.ErrRateLimited.Code || got.header.Get("Retry-After") == "" {
		t.Errorf("%s: %d %s, Retry-After %q", what, got.status, got.body, got.header.Get("Retry-After"))
	}
}

func TestWritesOfOneDeviceAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(deps *device.Deps, _ *server.Config) {
		deps.Limits.Device = perMinute(t, 2)
	})
	path := chatPath("testland", "de", "d1")
	w.post(path, "message=1").state(t)
	w.post(path, "message=2").state(t)
	refused(t, "third message", w.post(path, "message=3"))
	if s := w.get(path).state(t); len(s.Messages) != 2 {
		t.Errorf("reading is limited with writing, or the third was stored: %+v", s)
	}
	w.post(chatPath("testland", "de", "d2"), "message=1").state(t)
	w.post(chatPath("other", "de", "d1"), "message=1").state(t)
}

func TestWritesOfOneRegionAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(deps *device.Deps, _ *server.Config) {
		deps.Limits.Region, deps.Limits.Client = perMinute(t, 2), from
	})
	w.post(chatPath("testland", "de", "d1"), "message=1", "X-Test-Client", "a").state(t)
	w.post(chatPath("testland", "de", "d2"), "message=1", "X-Test-Client", "b").state(t)
	refused(t, "third of the region", w.post(chatPath("testland", "de", "d3"), "message=1", "X-Test-Client", "c"))
	w.post(chatPath("other", "de", "d3"), "message=1", "X-Test-Client", "c").state(t)
	w.post(chatPath("testland", "de", "d4"), "message=1").state(t) // exempt
	if s := w.get(chatPath("testland", "de", "d1")).state(t); len(s.Messages) != 1 {
		t.Errorf("reading is limited with writing: %+v", s)
	}
}

func TestChatsOpenedFromOneAddressAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(deps *device.Deps, _ *server.Config) {
		deps.Limits.Chats, deps.Limits.Client = perMinute(t, 2), from
	})
	send := func(id, body string) reply {
		return w.post(chatPath("testland", "de", id), body, "X-Test-Client", "a")
	}
	send("d1", "message=1").state(t)
	send("d1", "message=2").state(t) // goes on
	send("d2", "message=1").state(t)
	refused(t, "third chat", send("d3", "message=1"))
	send("d1", "message=3").state(t)
	send("d2", "evaluation_consent=1").state(t)
	refused(t, "another chat of a device that has one", send("d1", "message=4&force_new=true"))
	w.post(chatPath("testland", "de", "d3"), "message=1", "X-Test-Client", "b").state(t)
	w.post(chatPath("testland", "de", "d4"), "message=1").state(t) // exempt
	if got := w.get(chatPath("testland", "de", "d3")).state(t); len(got.Messages) != 1 {
		t.Errorf("the refused message was stored: %+v", got)
	}
}
