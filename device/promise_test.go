package device_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"deskbridge/device"
	"deskbridge/server"
)

// TestDoubleTap: the same message with the same key, many times at once, is one
// message and one chat, and every try gets the same answer.
func TestDoubleTap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	const taps = 12
	replies := make([]reply, taps)
	var tapping sync.WaitGroup
	for i := range taps {
		tapping.Go(func() { replies[i] = w.post(path, "message=Hallo", "Idempotency-Key", "k1") })
	}
	tapping.Wait()
	first := replies[0].state(t)
	for i, r := range replies {
		if s := r.state(t); len(s.Messages) != 1 || s.Messages[0].ID != first.Messages[0].ID {
			t.Errorf("try %d: %s", i, r.body)
		}
	}
	if n := w.messages("testland"); n != 1 {
		t.Errorf("%d messages are stored", n)
	}
}

// TestManyAtOnceAreAllThere: without keys every message counts, in one chat.
func TestManyAtOnceAreAllThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	const sends = 20
	var sending sync.WaitGroup
	for i := range sends {
		sending.Go(func() {
			if r := w.post(path, fmt.Sprintf("message=Nummer+%d", i)); r.status != 200 {
				t.Errorf("message %d: %d %s", i, r.status, r.body)
			}
		})
	}
	sending.Wait()
	s := w.get(path).state(t)
	texts, seqs := map[string]bool{}, map[int64]bool{}
	for _, m := range s.Messages {
		texts[m.Text], seqs[m.Seq] = true, true
	}
	if len(texts) != sends || len(seqs) != sends {
		t.Errorf("%d texts under %d numbers, want %d: %+v", len(texts), len(seqs), sends, s.Messages)
	}
	counts, err := w.store.ChatCounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range counts {
		if c.Slug == "testland" && c.Chats != 1 {
			t.Errorf("%d chats, want 1", c.Chats)
		}
	}
}

// TestStoreAway: what could not be stored is never answered with 200.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, got := range []reply{
		w.post(chatPath("testland", "de", "d1"), "message=Hallo"),
		w.get(chatPath("testland", "de", "d1")),
		w.get("/api/v3/testland/d1/is_chat_enabled/"),
	} {
		if got.status != 503 || got.code(t) != "storage_unavailable" || got.header.Get("Retry-After") == "" {
			t.Errorf("%d %s", got.status, got.body)
		}
		if strings.Contains(string(got.body), "sql") {
			t.Errorf("the cause left: %s", got.body)
		}
	}
}

// safeBuffer is a log that many requests write.
type safeBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

// TestLogsKeepSecrets: neither device ids nor texts nor keys are in the most
// talkative log, whatever happens to the request.
func TestLogsKeepSecrets(t *testing.T) {
	t.Parallel()
	var log safeBuffer
	w := newWorld(t, func(_ *device.Deps, cfg *server.Config) {
		cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	path := chatPath("testland", "de", "geheim-1")
	w.post(path, "message=geheim-2", "Idempotency-Key", "geheim-3")
	w.post(path, "message=geheim-4", "Idempotency-Key", "geheim-3")
	w.post(path, "message=geheim-2;x=%zz")
	w.do("POST", path, `{"message":"geheim-2`, "Content-Type", plainJSON)
	w.get(path + "?since=geheim-5")
	w.get("/api/v3/testland/geheim-1/is_chat_enabled/")
	w.get(strings.TrimSuffix(path, "/"))
	w.do("DELETE", path, "")
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	w.post(path, "message=geheim-2")
	log.mu.Lock()
	defer log.mu.Unlock()
	if text := log.String(); strings.Count(text, "msg=request") < 8 || strings.Contains(text, "geheim") {
		t.Errorf("the log of 9 requests:\n%s", text)
	}
}
