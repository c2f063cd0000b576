package device_test

import (
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
)

// eventually waits until done; the deadline is far beyond what is needed.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

// TestPollWithoutNewsAsksNobody: from the second poll on, 304 costs no question
// to the heart, and with it no SQL; news end that at once.
func TestPollWithoutNewsAsksNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	w.post(path, "message=Hallo").state(t)
	hash := hasher.Hash("d1")
	eventually(t, "the watermarks trust themselves", func() bool {
		w.get(path).state(t)
		_, known := w.marks.Seq(w.region("testland").ID, hash)
		return known
	})
	full := w.get(path)
	tag := full.header.Get("Etag")
	if tag == "" || !strings.Contains(full.header.Get("Cache-Control"), "no-cache") || strings.Contains(full.header.Get("Cache-Control"), "no-store") {
		t.Fatalf("headers of a poll: %v", full.header)
	}
	asked := w.asked.Load()
	for _, condition := range []string{tag, "W/" + tag, `"other", ` + tag} {
		for _, method := range []string{"GET", "HEAD"} {
			got := w.do(method, path, "", "If-None-Match", condition)
			if got.status != 304 || len(got.body) != 0 || got.header.Get("Etag") != tag {
				t.Errorf("%s If-None-Match %s: %d %q, %s", method, condition, got.status, got.body, got.header.Get("Etag"))
			}
		}
	}
	if n := w.asked.Load() - asked; n != 0 {
		t.Errorf("304 asked the heart %d times", n)
	}
	if got := w.get(path, "If-None-Match", `"old"`); got.status != 200 {
		t.Errorf("another tag: %d", got.status)
	}
	w.carry("testland", 41, nil)
	if got := w.get(path, "If-None-Match", tag); got.status != 200 || got.header.Get("Etag") == tag || got.state(t).Messages[0].Status != "sent" {
		t.Errorf("news are not seen: %d %s", got.status, got.body)
	}
}

// TestMessagesInARowAskOnce: after a device's first message, the next costs one
// question, which stores it, and a poll with the tag of its answer none.
func TestMessagesInARowAskOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.post(chatPath("testland", "de", "first"), "message=Hallo").state(t)
	eventually(t, "the watermarks trust themselves", func() bool {
		_, known := w.marks.Seq(w.region("testland").ID, hasher.Hash("first"))
		return known || w.get(chatPath("testland", "de", "first")).status != 200
	})
	path := chatPath("testland", "de", "d1")
	w.post(path, "message=eins").state(t)
	asked := w.asked.Load()
	tag := w.post(path, "message=zwei").header.Get("Etag")
	if n := w.asked.Load() - asked; n != 1 {
		t.Errorf("a message after another asked the heart %d times", n)
	}
	asked = w.asked.Load()
	if got := w.get(path, "If-None-Match", tag); got.status != 304 || w.asked.Load() != asked {
		t.Errorf("a poll with the tag of a message: %d, asked %d times", got.status, w.asked.Load()-asked)
	}
}

// TestConditionHoldsWithoutWatermarks: what is not known in memory is compared
// after reading.
func TestConditionHoldsWithoutWatermarks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	tag := w.post(path, "message=Hallo").header.Get("Etag")
	if got := w.get("/testland/ar/wp-json/extensions/v3/chat/d1/", "If-None-Match", tag); got.status != 304 {
		t.Errorf("the tag of the POST: %d", got.status)
	}
	if got := w.get(path+"?since=1", "If-None-Match", tag); got.status != 200 || len(got.state(t).Messages) != 0 {
		t.Errorf("the tag of the whole history is taken for since=1: %d %s", got.status, got.body)
	}
	if got := w.get(chatPath("testland", "de", "nobody"), "If-None-Match", "*"); got.status != 404 {
		t.Errorf("no chat, any tag: %d", got.status)
	}
}

func TestTagFollowsTheRegion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	tag := w.post(path, "message=Hallo").header.Get("Etag")
	changed := *w.region("testland")
	changed.Settings.RevealTicketURL = true
	if err := w.store.SaveRegion(t.Context(), &changed); err != nil {
		t.Fatal(err)
	}
	if err := w.regions.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.get(path, "If-None-Match", tag); got.status != 200 {
		t.Errorf("after the region was changed: %d", got.status)
	}
}

// TestSinceTellsEveryChange walks a chat with a cursor, as a client does.
func TestSinceTellsEveryChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	seq := int64(0)
	step := func(what string) []wireMessage {
		t.Helper()
		s := w.get(path + "?since=" + itoa(seq)).state(t)
		if len(s.Messages) > 0 && s.Seq <= seq {
			t.Fatalf("%s: seq went from %d to %d", what, seq, s.Seq)
		}
		for _, m := range s.Messages {
			if m.Seq <= seq || m.Seq > s.Seq {
				t.Errorf("%s: a message with seq %d in the answer %d to since %d", what, m.Seq, s.Seq, seq)
			}
		}
		seq = s.Seq
		return s.Messages
	}
	w.post(path, "message=Hallo").state(t)
	if got := step("sent by the user"); len(got) != 1 || got[0].Status != "queued" {
		t.Fatalf("queued: %+v", got)
	}
	if got := step("nothing new"); len(got) != 0 {
		t.Fatalf("nothing new: %+v", got)
	}
	w.carry("testland", 41, nil)
	if got := step("carried"); len(got) != 1 || got[0].Status != "sent" {
		t.Fatalf("sent: %+v", got)
	}
	w.record("testland", 41, answerOf(41, 1, false, "intern"))
	if got := step("an internal note"); len(got) != 0 {
		t.Fatalf("an internal article left: %+v", got)
	}
	w.record("testland", 41, answerOf(41, 2, true, "Guten Tag"))
	got := step("answered")
	var answer *wireMessage
	for i := range got {
		if got[i].Author == "agent" {
			answer = &got[i]
		} else if got[i].Status != "seen" {
			t.Errorf("after an answer the user's message is %s", got[i].Status)
		}
	}
	if answer == nil || answer.Role != "agent" || answer.UserIsAuthor || answer.Text != "Guten Tag" || answer.Content != "<p>Guten Tag</p>" || answer.Status != "sent" {
		t.Fatalf("the answer: %+v", got)
	}
	w.record("testland", 41, answerOf(41, 2, false, "Guten Tag"))
	if got := step("taken back"); len(got) != 1 || got[0].ID != answer.ID || got[0].Retracted == nil || !*got[0].Retracted || got[0].Text != "" || got[0].Content != "" {
		t.Fatalf("taken back: %+v", got)
	}
	for _, m := range w.get(path).state(t).Messages {
		if m.ID == answer.ID {
			t.Errorf("the whole history has what was taken back: %+v", m)
		}
	}
	w.record("testland", 41, answerOf(41, 2, true, "Guten Tag"))
	if got := step("shown again"); len(got) != 1 || got[0].Retracted != nil || got[0].Text != "Guten Tag" {
		t.Fatalf("shown again: %+v", got)
	}
	if s := w.get(path + "?since=" + itoa(seq+1000)).state(t); s.Seq != seq || len(s.Messages) != 2 {
		t.Errorf("a since from another life: %+v, want everything", s)
	}
	if s := w.post(path+"?since="+itoa(seq), "message=Danke").state(t); len(s.Messages) != 1 || s.Messages[0].Text != "Danke" {
		t.Errorf("a POST with since: %+v, want the new message only", s)
	}
}

func TestFailedMessageSaysWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	w.post(path, "message=Hallo&client_id=k1").state(t)
	w.carry("testland", 0, &bridge.Failed{Code: bridge.FailRefused, Reason: "for operators"})
	got := w.get(path)
	if m := got.state(t).Messages[0]; m.Status != "failed" || m.Error == nil || *m.Error != "refused" {
		t.Errorf("a failed message: %s", got.body)
	}
	if strings.Contains(string(got.body), "operators") {
		t.Errorf("the operators' reason left: %s", got.body)
	}
	// The same key means the same message, which has failed; a new key is a new message.
	again := w.post(path, "message=Hallo&client_id=k1").state(t)
	if len(again.Messages) != 1 || again.Messages[0].Status != "failed" {
		t.Errorf("sent again with the same key: %+v", again)
	}
	fresh := w.post(path, "message=Hallo&client_id=k2").state(t)
	if len(fresh.Messages) != 2 || fresh.Messages[1].Status != "queued" || fresh.Messages[1].Error != nil {
		t.Errorf("sent again with a new key: %+v", fresh)
	}
}

func TestHeadIsGetWithoutBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	w.post(path, "message=Hallo").state(t)
	for _, p := range []string{path, path + "?since=1", "/api/v3/regions/", "/api/v3/regions/testland/", "/api/v3/testland/is_chat_enabled/", "/api/v3/testland/d1/is_chat_enabled/"} {
		get, head := w.get(p), w.do("HEAD", p, "")
		if head.status != get.status || len(head.body) != 0 {
			t.Errorf("HEAD %s: %d with %d bytes; GET: %d", p, head.status, len(head.body), get.status)
		}
		for _, name := range []string{"Etag", "Content-Type", "Content-Length", "Cache-Control"} {
			if head.header.Get(name) != get.header.Get(name) {
				t.Errorf("HEAD %s: %s is %q, of GET %q", p, name, head.header.Get(name), get.header.Get(name))
			}
		}
	}
	if got := w.do("HEAD", chatPath("testland", "de", "nobody"), ""); got.status != 404 {
		t.Errorf("HEAD of no chat: %d", got.status)
	}
}

func TestPreflightAndExposedHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	got := w.do("OPTIONS", path, "", "Origin", "https://app.example", "Access-Control-Request-Method", "POST")
	if got.status != 204 || got.header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(got.header.Get("Access-Control-Allow-Headers"), "Idempotency-Key") {
		t.Errorf("preflight: %d %v", got.status, got.header)
	}
	if posted := w.post(path, "message=Hallo", "Origin", "https://app.example"); !strings.Contains(posted.header.Get("Access-Control-Expose-Headers"), "ETag") {
		t.Errorf("headers for a web app: %v", posted.header)
	}
}
