package app

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"deskbridge/browsertest"
	"deskbridge/widget"
)

// strange is a bridge that does what ours never would, in front of the real
// widget: hostile texts, answers of others, streams that end as the test wants.
type strange struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string // method, what of the chat, since, token
	devices  map[string]bool
	region   map[string]any
	state    map[string]any
	post     func(w http.ResponseWriter, r *http.Request) // called with mu held
	events   func(w http.ResponseWriter, r *http.Request, send func(frame map[string]any))
	token    string // the only one that is let in; empty: everybody
}

func newStrange(t *testing.T) *strange {
	t.Helper()
	script, err := widget.New()
	if err != nil {
		t.Fatal(err)
	}
	s := &strange{
		region: map[string]any{"name": "Testland", "path": "testland", "languages": []any{map[string]string{"code": "en", "native_name": "English"}}, "is_chat_enabled": true},
		state:  stateOf(0), devices: map[string]bool{},
	}
	mux := http.NewServeMux()
	mux.Handle(widget.Path, script)
	mux.HandleFunc("/api/v3/regions/testland/", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, s.region) })
	mux.HandleFunc("/api/v3/testland/{device}/is_chat_enabled/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, map[string]any{"is_chat_enabled": true})
	})
	mux.HandleFunc("/api/v3/testland/en/chat/{device}/{what...}", s.chat)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, If-None-Match, X-Chat-Token")
		h.Set("Access-Control-Expose-Headers", "ETag, Retry-After")
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	return s
}

func (s *strange) chat(w http.ResponseWriter, r *http.Request) {
	what, token := r.PathValue("what"), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	s.devices[r.PathValue("device")] = true
	s.requests = append(s.requests, strings.TrimSpace(fmt.Sprint(r.Method, " ", what, " ", r.URL.RawQuery, " ", token)))
	state := s.state
	s.mu.Unlock()
	switch {
	case s.token != "" && token != s.token:
		answer(w, 401, map[string]any{"error": "x", "code": "identity_expired", "retryable": false})
	case what == "events/" && s.events != nil:
		w.Header().Set("Content-Type", "text/event-stream")
		s.events(w, r, func(frame map[string]any) {
			encoded, _ := json.Marshal(frame) // made of strings and numbers
			fmt.Fprintf(w, "data: %s\n\n", encoded)
			w.(http.Flusher).Flush()
		})
	case what == "" && r.Method == http.MethodPost && s.post != nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.post(w, r)
	case what == "" && r.Method == http.MethodGet:
		answer(w, 200, state)
	case strings.HasPrefix(what, "attachments/"):
		w.Header().Set("Content-Type", "text/html") // as if it were a document
		_, _ = io.WriteString(w, "<script>wrong.push('attachment')</script>")
	default:
		answer(w, 404, map[string]any{"error": "x", "code": "path_not_found", "retryable": false})
	}
}

// asked counts the requests that begin like this.
func (s *strange) asked(beginning string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.requests {
		if strings.HasPrefix(r, beginning) {
			n++
		}
	}
	return n
}

func (s *strange) device(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.devices[id]
}

func answer(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document)
}

func stateOf(seq int, messages ...any) map[string]any {
	if messages == nil {
		messages = []any{}
	}
	return map[string]any{"messages": messages, "evaluation_consent": false, "chatbot_typing": false, "ticket_url": "", "seq": seq}
}

func fromAgent(id, seq int, text string) map[string]any {
	return map[string]any{
		"id": id, "seq": seq, "created_at": "2026-03-01T08:00:00.000Z", "role": "agent", "author": "agent", "user_is_author": false,
		"automatic_answer": false, "content": text, "text": text, "status": "sent", "attachments": []any{},
	}
}

func message(m map[string]any) map[string]any {
	return map[string]any{"type": "message", "seq": m["seq"], "message": m}
}

// open shows the widget of this bridge on a city's page.
func (s *strange) open(t *testing.T) tab {
	t.Helper()
	p := newTab(t, browsertest.New(t))
	p.Do(chromedp.Navigate(sitePage(t, s.URL) + "/?region=testland&language=en"))
	return p
}

func TestWidgetWithHostileTexts(t *testing.T) {
	t.Parallel()
	const bad = `<img src=x onerror="wrong.push(1)"><script>wrong.push(2)</script>`
	s := newStrange(t)
	s.region["name"] = bad
	s.region["zammad_privacy_policy"] = "javascript:wrong.push(3)"
	m := fromAgent(1, 2, "<p>Hello</p>"+bad+`<a href="javascript:wrong.push(4)">click</a><a href="https://example.org/">go</a>`)
	m["name"] = bad
	m["attachments"] = []any{
		map[string]any{"id": "../../x", "name": bad, "type": "image/png", "size": 3},
		map[string]any{"id": "b", "name": "page.html", "type": "text/html", "size": 3},
	}
	s.state = stateOf(2, m)
	s.state["chat"] = map[string]any{"state": "open", "notice": bad, "away": bad, "typing": true}
	p := s.open(t)
	p.Shows(".message", "Hello")
	p.Shows("#title", "<img src=x")
	p.Shows(".message .about", "<img src=x")
	p.Shows("#away", "<img src=x")
	p.Shows(".files", "<img src=x")
	if found := p.Read(`all("script, iframe, a[href^='java'], [onerror]").length`); found != "0" {
		t.Errorf("%s hostile elements are in the page", found)
	}
	if links := p.Read(`all("a").map((a) => a.href + " " + a.rel).join()`); links != "https://example.org/ noopener noreferrer nofollow" {
		t.Errorf("the links are %q", links)
	}
	// A file is never a document of the page's origin.
	p.Do(chromedp.Evaluate[chromedp.Void](`{ window.blobs = []; const real = URL.createObjectURL;
		URL.createObjectURL = (blob) => { blobs.push(blob.type); return real(blob); };
		HTMLAnchorElement.prototype.click = () => {}; all(".files button")[1].click(); }`))
	p.Wait(`blobs.includes("application/octet-stream") && !blobs.includes("text/html")`)
	if s.asked("GET attachments/..") > 0 {
		t.Error("an id has left the path of attachments")
	}
	// The policy reports the handlers that it kept from the parsed document.
	p.Do(chromedp.Evaluate[chromedp.Void](`wrong = wrong.filter((w) => !String(w).endsWith("-attr inline"))`))
}

func TestWidgetFollowsAStream(t *testing.T) {
	t.Parallel()
	s := newStrange(t)
	next := make(chan struct{})
	var connections atomic.Int64
	s.events = func(_ http.ResponseWriter, r *http.Request, send func(map[string]any)) {
		switch connections.Add(1) {
		case 1:
			send(map[string]any{"type": "chat", "seq": 0, "chat": map[string]any{"state": "open", "notice": "", "away": "Back on Monday", "typing": false}})
			send(message(fromAgent(1, 4, "first")))
			send(map[string]any{"type": "typing", "typing": map[string]any{"who": "agent", "active": true}})
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
			send(message(fromAgent(2, 7, "second")))
			send(map[string]any{"type": "bye", "retry_ms": 50})
		case 2:
			send(map[string]any{"type": "reset", "seq": 0})
			send(message(fromAgent(3, 2, "another history")))
			<-r.Context().Done()
		}
	}
	p := s.open(t)
	p.Shows(".message", "first")
	p.Shows("#away", "Back on Monday")
	p.Shows("#typing", "Counseling is writing")
	close(next)
	p.Shows(".message", "another history")
	p.Wait(`all(".message").length === 1`)
	if s.asked("GET events/ since=7") != 1 {
		t.Errorf("it did not go on from its cursor: %q", s.requests)
	}
	if n := s.asked("GET  since"); n != 0 {
		t.Errorf("it asked %d times although there is a stream", n)
	}
	// What is on the screen is read; this bridge has no such address, and is not asked again.
	eventually(t, "it was read", func() bool { return s.asked("POST read/") > 0 })
}

func TestWidgetWithoutStreamsAsks(t *testing.T) {
	t.Parallel()
	s := newStrange(t)
	s.state = stateOf(4, fromAgent(1, 4, "first"))
	p := s.open(t)
	p.Shows(".message", "first")
	s.mu.Lock()
	s.state = stateOf(3, fromAgent(9, 3, "a history that began anew"))
	s.mu.Unlock()
	p.Shows(".message", "a history that began anew")
	p.Wait(`all(".message").length === 1`)
	if n := s.asked("GET events/"); n != 1 {
		t.Errorf("it asked %d times for a stream that is not there", n)
	}
}

// TestWidgetInAHotel: somebody else answers for the bridge, with 200 and a page.
func TestWidgetInAHotel(t *testing.T) {
	t.Parallel()
	s := newStrange(t)
	var keys []string
	s.post = func(w http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		if len(keys) == 1 {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<title>Welcome to our hotel</title>")
			return
		}
		m := fromAgent(1, 2, "arrived")
		m["role"], m["author"], m["user_is_author"], m["client_id"] = "user", "user", true, keys[0]
		answer(w, 200, stateOf(2, m))
	}
	p := s.open(t)
	p.write("arrived")
	p.status("arrived", "waiting to be sent")
	p.status("arrived", "delivered")
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(keys) != 2 || keys[0] != keys[1] || keys[0] == "" {
		t.Errorf("the keys are %q, want one twice", keys)
	}
}

func TestWidgetTakesItsTokenAlong(t *testing.T) {
	t.Parallel()
	s := newStrange(t)
	s.token = "fresh"
	s.state = stateOf(4, fromAgent(1, 4, "secret"))
	p := s.open(t)
	p.Wait(`one(".panel")`)
	if p.Is(`all(".message").length > 0`) {
		t.Error("it reads without a token")
	}
	p.Do(chromedp.Evaluate[chromedp.Void](`{ let n = 0; const chat = document.querySelector("deskbridge-chat");
		chat.authorize = async () => (n++ === 0 ? "stale" : "fresh"); }`))
	p.Shows(".message", "secret")
	if n := s.asked("GET  since=0 stale") + s.asked("GET events/ since=0 stale"); n > 2 {
		t.Errorf("the token that was refused was used %d times: %q", n, s.requests)
	}
}
