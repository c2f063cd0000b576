package app

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
	"deskbridge/config"
)

// inside is what only somebody who looks for a hole wants to read in an answer.
var inside = regexp.MustCompile(`goroutine |\.go:\d|runtime error|panic|\bgo1\.\d|(?i)gin-gonic|sqlite|\bSELECT\b|constraint failed`)

// TestEveryAnswerKeepsItsManners asks for every address that there is, and for
// some that there are not, in ways that they have and have not. Whatever comes,
// its headers keep it from being taken for what it is not, and it tells nothing
// of the program.
func TestEveryAnswerKeepsItsManners(t *testing.T) {
	t.Parallel()
	origin, routes := everyRoute(t)
	parameter := regexp.MustCompile(`:(\w+)`)
	known := map[string]string{"x": "testland", "region": "testland", "y": "de", "file": "console.css", "section": "zammad"}
	asked := 0
	for _, route := range routes {
		path := parameter.ReplaceAllStringFunc(route.Path, func(p string) string {
			if value, ok := known[p[1:]]; ok {
				return value
			}
			return "1"
		})
		for _, method := range []string{route.Method, http.MethodTrace, "PROPFIND"} {
			asked++
			manners(t, origin, method, path)
		}
	}
	for _, path := range []string{"/", "/admin/none/", "/api/v3/", "/.git/config", "/..%2f..%2fetc/passwd", "/%00", "/api/v3/%ff/de/chat/1/", "/admin/static/..%2fdoor.go", "//", "/debug/pprof/"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodTrace} {
			manners(t, origin, method, path)
		}
	}
	if asked < 300 {
		t.Errorf("only %d questions: the routes are looked for in the wrong place", asked)
	}
}

// everyRoute serves an installation with a region and a console.
func everyRoute(t *testing.T) (origin string, routes gin.RoutesInfo) {
	t.Helper()
	cfg, err := config.Load("", []string{
		"DESKBRIDGE_DATA_DIR=" + t.TempDir(), "DESKBRIDGE_SECRET_KEY=" + strings.Repeat("5a", 32), "DESKBRIDGE_LIMITS_EXEMPT_LOOPBACK=true",
		"DESKBRIDGE_CONSOLE_ENABLED=true",
	})
	if err != nil {
		t.Fatal(err)
	}
	a, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	region := &bridge.Region{Slug: "testland", Name: "Testland", Enabled: true, ZammadToken: "token", Settings: bridge.RegionSettings{
		Languages: []bridge.Language{{Code: "de"}}, Percentage: 100, ZammadURL: "http://127.0.0.1:1", ZammadGroup: "Users",
	}.WithDefaults()}
	if err := a.Store.AddRegion(t.Context(), region); err != nil {
		t.Fatal(err)
	}
	if err := a.Regions.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan net.Addr, 1), make(chan error, 1)
	var engine *gin.Engine
	go func() {
		ended <- a.Serve(ctx, ServeOptions{Listener: listener, Mount: func(e *gin.Engine) { engine = e }, Ready: func(addr net.Addr) { ready <- addr }})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	origin = originOf(<-ready)
	return origin, engine.Routes()
}

// manners asks, and looks at what every answer must have.
func manners(t *testing.T, origin, method, path string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	address, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	request := (&http.Request{
		Method: method, Host: address.Host, URL: &url.URL{Scheme: "http", Host: address.Host, Opaque: path},
		Header: http.Header{"X-Echo": {"an echo of the request"}, "Content-Type": {"application/x-www-form-urlencoded"}},
	}).WithContext(ctx)
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	kind := answer.Header.Get("Content-Type")
	var body []byte
	if kind != "text/event-stream" { // it has no end
		if body, err = io.ReadAll(answer.Body); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	h := answer.Header
	if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" && h.Get("Referrer-Policy") != "same-origin" {
		t.Errorf("%s %s: headers %v", method, path, h)
	}
	for _, name := range []string{"Server", "X-Powered-By", "Via"} {
		if h.Get(name) != "" {
			t.Errorf("%s %s: %s is %q", method, path, name, h.Get(name))
		}
	}
	if len(body) > 0 && !strings.Contains(kind, "charset=utf-8") {
		t.Errorf("%s %s: the type is %q", method, path, kind)
	}
	policy := h.Get("Content-Security-Policy")
	if strings.HasPrefix(kind, "text/html") && (!strings.Contains(policy, "frame-ancestors 'none'") || !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe")) {
		t.Errorf("%s %s: the policy of a page is %q", method, path, policy)
	}
	if answer.StatusCode == http.StatusInternalServerError {
		t.Errorf("%s %s: %d %s", method, path, answer.StatusCode, body)
	}
	if found := inside.Find(body); found != nil && answer.StatusCode >= http.StatusBadRequest {
		t.Errorf("%s %s: the answer has %q: %s", method, path, found, body)
	}
	if unknown := method == http.MethodTrace || method == "PROPFIND"; unknown &&
		(answer.StatusCode != http.StatusMethodNotAllowed && answer.StatusCode != http.StatusNotFound || strings.Contains(string(body), "an echo")) {
		t.Errorf("%s %s: %d %s", method, path, answer.StatusCode, body)
	}
}
