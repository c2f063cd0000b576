package device

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/gate"
	"deskbridge/server"
)

// fixed answers with 50 messages, without a store: what is left is the door.
type fixed struct {
	region  *bridge.Region
	history bridge.History
	known   bool
}

func (f *fixed) Token(context.Context, *bridge.Region, bridge.DeviceHash) (bridge.TokenHash, bridge.Seq, error) {
	return bridge.TokenHash{}, 0, nil
}

func (f *fixed) Send(context.Context, *bridge.Region, bridge.Sending) (bridge.Accepted, error) {
	return bridge.Accepted{}, nil
}

func (f *fixed) History(context.Context, *bridge.Region, bridge.DeviceHash, bridge.Seq) (bridge.History, error) {
	return f.history, nil
}

func (f *fixed) Decide(context.Context, *bridge.Region, bridge.DeviceHash, string, string) (gate.Decision, error) {
	return gate.Decision{}, nil
}

func (f *fixed) MarkRead(context.Context, *bridge.Region, bridge.DeviceHash, bridge.Seq) error {
	return nil
}

func (f *fixed) Typing(context.Context, *bridge.Region, bridge.DeviceHash) error { return nil }

func (f *fixed) BySlug(string) (*bridge.Region, bool) { return f.region, true }

func (f *fixed) All() []*bridge.Region { return nil }

func (f *fixed) Seq(bridge.RegionID, bridge.DeviceHash) (bridge.Seq, bool) {
	return f.history.Seq, f.known
}

func (f *fixed) Learn(bridge.Change) {}

func (f *fixed) Watch(bridge.RegionID, bridge.DeviceHash) (<-chan struct{}, func()) {
	return nil, func() {}
}

func (f *fixed) Running(context.Context, *bridge.Region, bridge.DeviceHash) (bool, error) {
	return true, nil
}

func fixedHistory() bridge.History {
	h := bridge.History{Seq: 120}
	text := strings.Repeat("Guten Tag, wie kann ich helfen? ", 6)
	for i := range 50 {
		author := bridge.AuthorUser
		if i%2 == 1 {
			author = bridge.AuthorAgent
		}
		h.Messages = append(h.Messages, bridge.Message{
			ID: bridge.MessageID(1000 + i), Seq: bridge.Seq(i), Author: author, HTML: "<p>" + text + "</p>", Text: text,
			Status: bridge.StatusSent, ClientKey: "0b7f4c0e-6a8e-4f0e-9d4e-0a5c1e4b7a11", CreatedAt: time.Unix(1_790_000_000+int64(i), 5e8),
		})
	}
	return h
}

// BenchmarkPoll compares the door, with all of its frame, to a bare handler that
// writes the same bytes, both without sockets.
func BenchmarkPoll(b *testing.B) {
	const path = "/api/v3/testland/de/chat/6f1cb7a6-5f0d-4a3c-9a52-3b1e6f6f2a10/"
	f := &fixed{history: fixedHistory(), known: true, region: &bridge.Region{
		Version: 3, Slug: "testland", Enabled: true, ZammadToken: "t",
		Settings: bridge.RegionSettings{ZammadURL: "u", Languages: []bridge.Language{{Code: "de"}}},
	}}
	frame, err := server.New(server.Config{Log: slog.New(slog.DiscardHandler), CORSOrigins: []string{"*"}})
	if err != nil {
		b.Fatal(err)
	}
	New(Deps{Chats: f, Regions: f, Watermarks: f, Hasher: bridge.NewHasher([]byte("key"))}).Routes(frame.Limited(), frame.Limited())
	tag := string(newStateTag(f.region, f.history.Seq, 0).until(time.Time{}))

	bareHistory := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		out := state{Seq: int64(f.history.Seq), Messages: make([]message, 0, len(f.history.Messages))}
		for i := range f.history.Messages {
			out.Messages = append(out.Messages, wireMessage(f.region, "de", &f.history.Messages[i]))
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(&out); err != nil {
			b.Error(err)
		}
	})
	bare304 := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") == tag {
			w.Header().Set("ETag", tag)
			w.WriteHeader(http.StatusNotModified)
		}
	})
	for _, c := range []struct {
		name    string
		handler http.Handler
		tag     string
		status  int
	}{
		{"history-50/door", frame.Engine(), "", 200},
		{"history-50/bare", bareHistory, "", 200},
		{"nothing-new/door", frame.Engine(), tag, 304},
		{"nothing-new/bare", bare304, tag, 304},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				request := httptest.NewRequest(http.MethodGet, path, nil)
				if c.tag != "" {
					request.Header.Set("If-None-Match", c.tag)
				}
				recorder := httptest.NewRecorder()
				c.handler.ServeHTTP(recorder, request)
				if recorder.Code != c.status {
					b.Fatalf("status %d", recorder.Code)
				}
			}
		})
	}
}
