package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/goleak"

	"deskbridge/bridge"
	"deskbridge/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logBuffer collects log lines of concurrent requests.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// frame builds a server with a few routes that fail in every way.
func frame(t *testing.T, cfg server.Config) (*server.Server, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewJSONHandler(log, nil))
	}
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	fails := func(err error) gin.HandlerFunc { return server.H(func(*gin.Context) error { return err }) }
	s.Engine().GET("/known", fails(fmt.Errorf("around: %w", bridge.ErrChatNotFound)))
	s.Engine().GET("/unknown", fails(errors.New("password=hunter2")))
	s.Engine().GET("/off", fails(bridge.ErrRegionOff))
	s.Engine().GET("/database", fails(&net.OpError{Op: "dial", Err: errors.New("refused")}))
	s.Engine().GET("/cancelled", fails(context.Canceled))
	s.Engine().GET("/late", fails(fmt.Errorf("x: %w", context.DeadlineExceeded)))
	s.Engine().GET("/panic", func(*gin.Context) { panic("boom") })
	s.Engine().GET("/devices/:device/", func(c *gin.Context) { c.String(http.StatusOK, "%s", c.Param("device")) })
	s.Limited().POST("/body", server.H(func(c *gin.Context) error {
		body, err := io.ReadAll(c.Request.Body)
		if err != nil {
			return fmt.Errorf("%w: %w", bridge.ErrBody, err)
		}
		c.String(http.StatusCreated, "%d", len(body))
		return nil
	}))
	s.Limited().GET("/poll", func(c *gin.Context) { c.Status(http.StatusNotModified) })
	return s, log
}

func do(s *server.Server, method, path string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	s.Engine().ServeHTTP(w, r)
	return w
}

func TestErrorsBecomeAnswersInOnePlace(t *testing.T) {
	t.Parallel()
	s, log := frame(t, server.Config{})
	for _, tc := range []struct {
		method, path string
		want         *bridge.Error
		retryAfter   string
	}{
		{"GET", "/known", bridge.ErrChatNotFound, ""},
		{"GET", "/unknown", bridge.ErrInternal, ""},
		{"GET", "/off", bridge.ErrRegionOff, "5"},
		{"GET", "/database", bridge.ErrStorage, "5"},
		{"GET", "/late", bridge.ErrStorage, "5"},
		{"GET", "/cancelled", bridge.ErrStopping, "5"},
		{"GET", "/panic", bridge.ErrInternal, ""},
		{"GET", "/nowhere", bridge.ErrPathNotFound, ""},
		{"GET", "/devices/x", bridge.ErrPathNotFound, ""}, // no redirect to the slash
		{"DELETE", "/known", bridge.ErrMethod, ""},
	} {
		w := do(s, tc.method, tc.path, nil)
		var body map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatalf("%s: %q is no JSON", tc.path, w.Body)
		}
		if w.Code != tc.want.Status || body["code"] != tc.want.Code || body["error"] != tc.want.Sentence || body["retryable"] != tc.want.Retryable {
			t.Errorf("%s: %d %v, want %v", tc.path, w.Code, body, tc.want)
		}
		id := w.Header().Get("X-Request-ID")
		if len(body) != 4 || id == "" || body["request_id"] != id || w.Header().Get("Retry-After") != tc.retryAfter {
			t.Errorf("%s: body %v, headers %v", tc.path, body, w.Header())
		}
		if w.Header().Get("Content-Type") != "application/json; charset=utf-8" || w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", tc.path, w.Header())
		}
	}
	if allow := do(s, "DELETE", "/known", nil).Header().Get("Allow"); allow != "GET" {
		t.Errorf("Allow: %q", allow)
	}
	if !strings.Contains(log.String(), "hunter2") || !strings.Contains(log.String(), `"panic":"boom"`) || !strings.Contains(log.String(), "server_test.go") {
		t.Errorf("causes and stacks belong in the log: %s", log)
	}
}

func TestProblemDetailsOnRequest(t *testing.T) {
	t.Parallel()
	s, _ := frame(t, server.Config{})
	w := do(s, "GET", "/known", func(r *http.Request) { r.Header.Set("Accept", "application/problem+json, */*;q=0.1") })
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	if w.Header().Get("Content-Type") != "application/problem+json" || body["status"] != 404.0 || body["title"] != "Not Found" || body["detail"] != bridge.ErrChatNotFound.Sentence || body["code"] != "chat_not_found" {
		t.Errorf("%v %v", w.Header(), body)
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	s, _ := frame(t, server.Config{})
	for given, kept := range map[string]bool{
		"abc-1.X_": true, "": false, "a b": false, "a\nb": false, "ü": false, strings.Repeat("a", 65): false,
	} {
		got := do(s, "GET", "/poll", func(r *http.Request) { r.Header.Set("X-Request-ID", given) }).Header().Get("X-Request-ID")
		if kept != (got == given) || got == "" {
			t.Errorf("%q became %q", given, got)
		}
	}
	one, two := do(s, "GET", "/poll", nil), do(s, "GET", "/poll", nil)
	if one.Header().Get("X-Request-ID") == two.Header().Get("X-Request-ID") {
		t.Error("two requests got the same id")
	}
}

func TestLogHasRoutesAndNoDevices(t *testing.T) {
	t.Parallel()
	s, log := frame(t, server.Config{})
	do(s, "GET", "/devices/secret-device/", nil)
	do(s, "GET", "/poll", nil)
	if log.String() != "" {
		t.Errorf("reads that succeed are not logged: %s", log)
	}
	do(s, "POST", "/devices/secret-device/", nil)
	do(s, "POST", "/body", nil)
	if strings.Contains(log.String(), "secret-device") {
		t.Errorf("a device id is in the log: %s", log)
	}
	for _, want := range []string{`"route":"/body"`, `"status":201`, `"method":"POST"`, `"bytes":1`, `"duration":`, `"request_id":"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s is missing in %s", want, log)
		}
	}
}

// TestARefusalSaysWhoWasRefused: by number, where the door knows who it was.
func TestARefusalSaysWhoWasRefused(t *testing.T) {
	t.Parallel()
	s, log := frame(t, server.Config{})
	as := func(answer error) gin.HandlerFunc {
		return server.H(func(c *gin.Context) error {
			c.Request = c.Request.WithContext(bridge.WithActor(c.Request.Context(), bridge.Actor{Kind: bridge.ActorToken, ID: 77, Name: "anna"}))
			return answer
		})
	}
	s.Engine().POST("/refused", as(bridge.ErrScope))
	s.Engine().POST("/done", as(nil))
	do(s, "POST", "/done", nil)
	do(s, "POST", "/unknown", nil)
	if strings.Contains(log.String(), "actor") {
		t.Errorf("nobody was refused, or nobody knows who: %s", log)
	}
	do(s, "POST", "/refused", nil)
	if !strings.Contains(log.String(), `"status":403`) || !strings.Contains(log.String(), `"actor":"token","actor_id":77`) || strings.Contains(log.String(), "anna") {
		t.Errorf("a refusal without who it was: %s", log)
	}
}

func TestPathParametersAreDecodedAsPaths(t *testing.T) {
	t.Parallel()
	s, _ := frame(t, server.Config{})
	for path, want := range map[string]string{"a+b": "a+b", "a%2Bb": "a+b", "a+b%3A": "a+b:", "a%2Fb": "a/b", "a%25b": "a%b", "a%252Fb": "a%2Fb"} {
		if w := do(s, "GET", "/devices/"+path+"/", nil); w.Body.String() != want {
			t.Errorf("%s: %d %q, want %q", path, w.Code, w.Body, want)
		}
	}
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	s, _ := frame(t, server.Config{MaxBody: 10})
	for _, tc := range []struct {
		size    int
		chunked bool
		want    int
	}{{10, false, 201}, {11, false, 413}, {10, true, 201}, {11, true, 413}} {
		w := do(s, "POST", "/body", func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", tc.size)))
			r.ContentLength = int64(tc.size)
			if tc.chunked {
				r.ContentLength = -1
			}
		})
		if w.Code != tc.want {
			t.Errorf("%+v: %d %s", tc, w.Code, w.Body)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	every, _ := frame(t, server.Config{CORSOrigins: []string{"*"}})
	some, _ := frame(t, server.Config{CORSOrigins: []string{"https://app.example"}})
	from := func(origin string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Origin", origin) }
	}
	w := do(every, "OPTIONS", "/body", from("https://x.example"))
	h := w.Header()
	if w.Code != 204 || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Methods") != "POST" || h.Get("Access-Control-Max-Age") == "" {
		t.Errorf("preflight: %d %v", w.Code, h)
	}
	for _, name := range []string{"Idempotency-Key", "If-None-Match", "Authorization", "Last-Event-ID", "X-App-Version", "Content-Type"} {
		if !strings.Contains(h.Get("Access-Control-Allow-Headers"), name) {
			t.Errorf("%s is not allowed: %v", name, h)
		}
	}
	for _, path := range []string{"/known", "/poll"} { // errors are readable too
		h = do(every, "GET", path, from("https://x.example")).Header()
		if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Expose-Headers") != "ETag, Retry-After, X-Request-ID" {
			t.Errorf("%s: %v", path, h)
		}
	}
	if w = do(every, "OPTIONS", "/nowhere", from("https://x.example")); w.Code != 404 {
		t.Errorf("preflight of nothing: %d", w.Code)
	}
	h = do(some, "GET", "/poll", from("https://app.example")).Header()
	if h.Get("Access-Control-Allow-Origin") != "https://app.example" || h.Get("Vary") != "Origin" {
		t.Errorf("listed origin: %v", h)
	}
	for _, method := range []string{"GET", "OPTIONS"} {
		h = do(some, method, "/poll", from("https://evil.example")).Header()
		if h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Headers") != "" || h.Get("Vary") != "Origin" {
			t.Errorf("foreign origin: %v", h)
		}
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	var required, reported error
	asked := 0
	s, log := frame(t, server.Config{Now: func() time.Time { return now }, Checks: []server.Check{
		{Name: "database", Required: true, Probe: func(context.Context) (map[string]any, error) { asked++; return nil, required }},
		{Name: "zammad", Probe: func(context.Context) (map[string]any, error) { return map[string]any{"waiting": 3}, reported }},
	}})
	expect := func(status int, parts ...string) {
		t.Helper()
		w := do(s, "GET", "/readyz", nil)
		for _, part := range parts {
			if w.Code != status || !strings.Contains(w.Body.String(), part) {
				t.Errorf("%d %s, want %d with %s", w.Code, w.Body, status, part)
			}
		}
		now = now.Add(2 * time.Second)
	}
	expect(200, `"status":"ready"`, `"database":{"ok":true}`, `"waiting":3`)
	reported = errors.New("down")
	expect(200, `"status":"ready"`, `"ok":false`, `"database":{"ok":true}`)
	required = errors.New("dsn with hunter2")
	expect(503, `"status":"not_ready"`, `"database":{"ok":false}`)
	if w := do(s, "GET", "/readyz", nil); strings.Contains(w.Body.String(), "hunter2") || !strings.Contains(log.String(), "hunter2") {
		t.Errorf("causes belong in the log only: %s", w.Body)
	}
	before := asked
	do(s, "GET", "/readyz", nil)
	if asked != before {
		t.Error("a second question within a second asked the database again")
	}
	if w := do(s, "GET", "/livez", nil); w.Code != 200 || !strings.Contains(w.Body.String(), "ok") {
		t.Errorf("livez: %d %s", w.Code, w.Body)
	}
}
