package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/server"
	"deskbridge/storage/storagetest"
	"deskbridge/zammad"
)

// The secrets of the test's regions. recordedSecret signed the recordings.
const (
	recordedSecret = "s3cr3t-signature-token"
	otherSecret    = "other-signature-token"
	urlToken       = "token-of-the-older-form"
)

// world is one installation, with the door on a real socket.
type world struct {
	*Door
	inbox   bridge.InboxStore
	clock   *clock
	url     string
	frame   http.Handler
	regions map[string]*bridge.Region
}

// receiverFunc lets a function be the heart.
type receiverFunc func(context.Context, bridge.Delivery) (bridge.DeliveryOutcome, error)

func (f receiverFunc) Deliver(ctx context.Context, d bridge.Delivery) (bridge.DeliveryOutcome, error) {
	return f(ctx, d)
}

// Expect does nothing: what it prepares must not matter.
func (f receiverFunc) Expect([]byte) {}

// relayed is a receiver that is always content.
func relayed(context.Context, bridge.Delivery) (bridge.DeliveryOutcome, error) {
	return bridge.DeliveryRelayed, nil
}

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// newWorld makes a world on a SQLite file. change may alter the door's parts.
func newWorld(t testing.TB, receive receiverFunc, change ...func(*Deps)) *world {
	t.Helper()
	return newWorldOn(t, storagetest.SQLite(t), receive, change...)
}

// newWorldOn makes four regions in a database and a door over real HTTP.
func newWorldOn(t testing.TB, database string, receive receiverFunc, change ...func(*Deps)) *world {
	t.Helper()
	store := storagetest.OpenURL(t, database)
	w := &world{inbox: store, clock: &clock{at: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}, regions: map[string]*bridge.Region{}}
	for _, r := range []*bridge.Region{
		{Slug: "testland", Enabled: true, WebhookSecret: recordedSecret},
		{Slug: "otherland", Enabled: true, WebhookSecret: otherSecret, WebhookToken: urlToken},
		{Slug: "offland", Enabled: false, WebhookSecret: otherSecret},
		{Slug: "noland", Enabled: true},
	} {
		r.Name = r.Slug
		if err := store.AddRegion(t.Context(), r); err != nil {
			t.Fatalf("region %s: %v", r.Slug, err)
		}
		w.regions[r.Slug] = r
	}
	regions, err := bridge.NewRegions(t.Context(), store, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	deps := Deps{
		Inbox: store, Regions: regions, Receiver: receive,
		Check: func(body []byte) error { _, err := zammad.ParseDelivery(body); return err },
		Now:   w.clock.now, Log: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&deps)
	}
	w.Door = New(deps)
	frame, err := server.New(server.Config{Log: deps.Log})
	if err != nil {
		t.Fatal(err)
	}
	w.Routes(frame.Engine())
	web := httptest.NewServer(frame.Engine())
	t.Cleanup(web.Close)
	w.url, w.frame = web.URL, frame.Engine()
	return w
}

// answered is an answer of the door, of either kind.
type answered struct {
	status    int
	Region    string `json:"region"`
	Status    string `json:"status"`
	Error     string `json:"error"`
	Code      string `json:"code"`
	Retryable bool   `json:"retryable"`
	RequestID string `json:"request_id"`
}

// post sends a body with headers and reads the answer, which must be JSON.
func (w *world) post(t testing.TB, path string, body io.Reader, headers http.Header) answered {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range headers {
		request.Header[name] = values
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	out := answered{status: response.StatusCode}
	if err := json.NewDecoder(response.Body).Decode(&out); err != nil {
		t.Fatalf("status %d, and the answer is not JSON: %v", response.StatusCode, err)
	}
	if out.status != http.StatusOK && (out.Code == "" || out.Error == "" || out.RequestID == "") {
		t.Errorf("the error lacks a key: %+v", out)
	}
	return out
}

// deliver posts a signed delivery for a region.
func (w *world) deliver(t testing.TB, region, key string, body []byte) answered {
	t.Helper()
	headers := http.Header{"X-Hub-Signature": {sign(string(w.regions[region].WebhookSecret), body)}}
	if key != "" {
		headers.Set("X-Zammad-Delivery", key)
	}
	return w.post(t, "/api/v3/webhook/zammad/"+region+"/", bytes.NewReader(body), headers)
}

// stored takes out what is due in the inbox, as a relay would.
func (w *world) stored(t testing.TB) []bridge.Delivery {
	t.Helper()
	now := w.clock.now()
	found, err := w.inbox.ClaimDeliveries(t.Context(), "test", now, now.Add(time.Hour), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func sign(secret string, body []byte) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write(body)
	return "sha1=" + hex.EncodeToString(mac.Sum(nil))
}

// recorded is a delivery of a real Zammad.
type recorded struct {
	file    string
	headers http.Header
	body    []byte
}

// recordings reads every delivery of the recordings, in order.
func recordings(t testing.TB) []recorded {
	t.Helper()
	files, err := filepath.Glob("../zammad/testdata/recordings/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	var all []recorded
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var content struct {
			Steps []struct {
				Delivery *struct {
					Headers map[string]string `json:"headers"`
					Body    string            `json:"body_raw"`
				} `json:"delivery"`
			} `json:"steps"`
		}
		if err := json.Unmarshal(raw, &content); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, step := range content.Steps {
			if step.Delivery == nil {
				continue
			}
			headers := http.Header{}
			for key, value := range step.Delivery.Headers {
				headers.Set(key, value)
			}
			all = append(all, recorded{filepath.Base(name), headers, []byte(step.Delivery.Body)})
		}
	}
	return all
}

// errBroken is what a broken part says.
var errBroken = errors.New("the disk is full")
