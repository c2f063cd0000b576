package device_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
	"deskbridge/device"
	"deskbridge/gate"
	"deskbridge/server"
	"deskbridge/webhook"
)

// echo answers in place of the heart with what the door made of the path.
type echo struct{}

func (echo) Send(context.Context, *bridge.Region, bridge.Sending) (bridge.Accepted, error) {
	return bridge.Accepted{}, bridge.ErrChatNotFound
}

func (echo) History(_ context.Context, _ *bridge.Region, d bridge.DeviceHash, since bridge.Seq) (bridge.History, error) {
	return bridge.History{Seq: since + 1, Messages: []bridge.Message{{ID: 1, Text: string(d[:]), CreatedAt: time.Unix(0, 0)}}}, nil
}

func (echo) Running(context.Context, *bridge.Region, bridge.DeviceHash) (bool, error) {
	return true, nil
}

func (echo) Decide(context.Context, *bridge.Region, bridge.DeviceHash, string, string) (gate.Decision, error) {
	return gate.Decision{Served: true}, nil
}

func (echo) Token(context.Context, *bridge.Region, bridge.DeviceHash) (bridge.TokenHash, bridge.Seq, error) {
	return bridge.TokenHash{}, 0, nil
}

func (echo) Seq(bridge.RegionID, bridge.DeviceHash) (bridge.Seq, bool) { return 0, false }

func (echo) Learn(bridge.Change) {}

func (echo) Watch(bridge.RegionID, bridge.DeviceHash) (<-chan struct{}, func()) {
	return nil, func() {}
}

// slugs knows regions by name only.
type slugs []string

func (s slugs) BySlug(slug string) (*bridge.Region, bool) {
	for _, known := range s {
		if known == slug {
			return &bridge.Region{Slug: slug, Enabled: true, ZammadToken: "t", Settings: bridge.RegionSettings{
				ZammadURL: "http://127.0.0.1:1", Languages: []bridge.Language{{Code: "de"}},
			}}, true
		}
	}
	return nil, false
}

func (echo) MarkRead(context.Context, *bridge.Region, bridge.DeviceHash, bridge.Seq) error {
	return nil
}

func (echo) Typing(context.Context, *bridge.Region, bridge.DeviceHash) error { return nil }

func (slugs) All() []*bridge.Region { return nil }

// engine has all doors that stand in one frame.
func engine(t testing.TB, regions slugs) *gin.Engine {
	t.Helper()
	frame, err := server.New(server.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	device.New(device.Deps{Chats: echo{}, Regions: regions, Watermarks: echo{}, Hasher: hasher}).Routes(frame.Limited(), frame.Limited())
	webhook.New(webhook.Deps{Regions: regions}).Routes(frame.Engine())
	return frame.Engine()
}

// TestRegionsMayHaveNamesOfPlaces: static parts of other paths hide no region,
// but for the two that stand where a region stands.
func TestRegionsMayHaveNamesOfPlaces(t *testing.T) {
	t.Parallel()
	names := slugs{"api", "v3", "regionsburg", "region", "webhooks", "web", "w", "r", "chat", "is_chat_enabled", "livez", "openapi.yaml", "wp-json", "zammad", "a"}
	router := engine(t, names)
	for _, name := range names {
		for _, path := range []string{
			"/api/v3/" + name + "/de/chat/d1/", "/" + name + "/de/wp-json/extensions/v3/chat/d1/", "/api/v3/" + name + "/is_chat_enabled/",
			"/api/v3/" + name + "/d1/is_chat_enabled/", "/api/v3/regions/" + name + "/",
		} {
			recorder := httptest.NewRecorder()
			router.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
			if recorder.Code != http.StatusOK {
				t.Errorf("%s: %d %s", path, recorder.Code, recorder.Body)
			}
		}
	}
}

// FuzzPath: whatever stands in a path, the door answers with JSON, and takes
// exactly the ids that bridge.CheckDeviceID takes.
func FuzzPath(f *testing.F) {
	for _, id := range []string{"", "d1", "a/b", "..", "%2F", "a b", "ä", "\xff", "a\x00", "a?b#c", strings.Repeat("x", 201), "chat", "is_chat_enabled", "a+b"} {
		f.Add("testland", "de", id)
		f.Add(id, "de", "d1")
		f.Add("testland", id, "d1")
	}
	router := engine(f, slugs{"testland"})
	f.Fuzz(func(t *testing.T, region, language, id string) {
		path := "/api/v3/" + url.PathEscape(region) + "/" + url.PathEscape(language) + "/chat/" + url.PathEscape(id) + "/"
		recorder := httptest.NewRecorder()
		router.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
		if !strings.HasPrefix(recorder.Header().Get("Content-Type"), "application/json") {
			t.Fatalf("%q: %d %s", path, recorder.Code, recorder.Header())
		}
		if region != "testland" || language != "de" {
			if recorder.Code != http.StatusNotFound {
				t.Fatalf("%q: %d", path, recorder.Code)
			}
			return
		}
		want := http.StatusOK
		switch {
		case id == "":
			want = http.StatusNotFound
		case bridge.CheckDeviceID(id) != nil:
			want = http.StatusBadRequest
		}
		if recorder.Code != want {
			t.Fatalf("%q: %d, want %d: %s", path, recorder.Code, want, recorder.Body)
		}
	})
}
