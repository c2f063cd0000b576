package api_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what Zammad signs with
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"deskbridge/api"
	"deskbridge/bridge"
	"deskbridge/server"
	"deskbridge/storage"
	"deskbridge/webhook"
	"deskbridge/widget"
)

const secret = "a secret of the tests"

// unrelayed is a receiver that no delivery comes to, since no relay runs.
type unrelayed struct{ webhook.Receiver }

func (unrelayed) Expect([]byte) {}

// frame serves the webhook's door over real storage, and a check of health that
// fails if asked to.
func frame(t *testing.T, unwell bool) string {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := storage.Open(t.Context(), storage.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "bridge.db"), Key: make([]byte, 32), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	region := &bridge.Region{Slug: "testland", Enabled: true, WebhookSecret: secret, WebhookToken: "hint"}
	if err := store.AddRegion(t.Context(), region); err != nil {
		t.Fatal(err)
	}
	regions, err := bridge.NewRegions(t.Context(), store, log)
	if err != nil {
		t.Fatal(err)
	}
	well := server.Check{Name: "database", Required: true, Probe: func(ctx context.Context) (map[string]any, error) {
		if unwell {
			return nil, errors.New("unwell")
		}
		return map[string]any{"backlog": 3}, store.Ping(ctx)
	}}
	s, err := server.New(server.Config{Log: log, Checks: []server.Check{well}})
	if err != nil {
		t.Fatal(err)
	}
	webhook.New(webhook.Deps{
		Inbox: store, Regions: regions, Receiver: unrelayed{}, Log: log, MaxBody: 1000, Now: time.Now,
		Check: func(body []byte) error {
			if !strings.HasPrefix(string(body), "{") {
				return errors.New("no object")
			}
			return nil
		},
	}).Routes(s.Engine())
	s.Engine().GET("/openapi.yaml", func(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", api.Spec()) })
	script, err := widget.New()
	if err != nil {
		t.Fatal(err)
	}
	s.Engine().GET(widget.Path, gin.WrapH(script))
	web := httptest.NewServer(s.Engine())
	t.Cleanup(func() {
		web.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return web.URL
}

// TestRealAnswers holds what is no device's business against the description;
// the device's door does the same with every answer of its own tests.
func TestRealAnswers(t *testing.T) {
	t.Parallel()
	openapi3filter.RegisterBodyDecoder("text/javascript", openapi3filter.FileBodyDecoder)
	router, err := gorillamux.NewRouter(load(t))
	if err != nil {
		t.Fatal(err)
	}
	body := `{"ticket":{"id":7},"article":{}}`
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(body))
	signature := "sha1=" + hex.EncodeToString(mac.Sum(nil))
	well, unwell := frame(t, false), frame(t, true)
	for _, c := range []struct {
		name, method, url, body string
		header                  []string
		status                  int
	}{
		{"signed", "POST", well + "/api/v3/webhook/zammad/testland/", body, []string{"X-Hub-Signature", signature, "X-Zammad-Delivery", "1"}, 200},
		{"repeated", "POST", well + "/api/v3/webhook/zammad/testland/", body, []string{"X-Hub-Signature", signature, "X-Zammad-Delivery", "1"}, 200},
		{"not signed", "POST", well + "/api/v3/webhook/zammad/testland/", body, nil, 401},
		{"not signed, as a problem", "POST", well + "/api/v3/webhook/zammad/testland/", body, []string{"Accept", "application/problem+json"}, 401},
		{"unknown region", "POST", well + "/api/v3/webhook/zammad/nowhere/", body, nil, 404},
		{"too large", "POST", well + "/api/v3/webhook/zammad/testland/", strings.Repeat("x", 1001), nil, 413},
		{"hint", "POST", well + "/api/v3/webhook/zammad/?token=hint", body, nil, 200},
		{"hint that is none", "POST", well + "/api/v3/webhook/zammad/?token=hint", "x", nil, 400},
		{"hint without a token", "POST", well + "/api/v3/webhook/zammad/", body, nil, 404},
		{"live", "GET", well + "/livez", "", nil, 200},
		{"ready", "GET", well + "/readyz", "", nil, 200},
		{"not ready", "GET", unwell + "/readyz", "", nil, 503},
		{"description", "GET", well + "/openapi.yaml", "", nil, 200},
		{"widget", "GET", well + widget.Path, "", nil, 200},
		{"widget that is known", "GET", well + widget.Path, "", []string{"If-None-Match", "*"}, 304},
	} {
		t.Run(c.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), c.method, c.url, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/json")
			for i := 0; i < len(c.header); i += 2 {
				request.Header.Set(c.header[i], c.header[i+1])
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			got, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != c.status {
				t.Fatalf("status %d, want %d: %s", response.StatusCode, c.status, got)
			}
			route, parameters, err := router.FindRoute(request)
			if err != nil {
				t.Fatal(err)
			}
			input := &openapi3filter.ResponseValidationInput{
				RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: parameters, Route: route},
				Status:                 response.StatusCode, Header: response.Header,
				Options: &openapi3filter.Options{IncludeResponseStatus: true},
			}
			input.SetBodyBytes(got)
			if err := openapi3filter.ValidateResponse(t.Context(), input); err != nil {
				t.Errorf("%v\n%s", err, got)
			}
		})
	}
}

// TestClientDocListsEveryError: the table of docs/client.md is the catalogue.
func TestClientDocListsEveryError(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/client.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented, catalogue []string
	for _, row := range regexp.MustCompile("(?m)^\\| (\\d{3}) \\| `(\\w+)` \\| (yes|no) \\|").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, strings.Join(row[1:], " "))
	}
	for _, e := range bridge.Catalogue() {
		retryable := "no"
		if e.Retryable {
			retryable = "yes"
		}
		catalogue = append(catalogue, fmt.Sprint(e.Status, " ", e.Code, " ", retryable))
	}
	if diff := cmp.Diff(catalogue, documented); diff != "" {
		t.Errorf("the table of docs/client.md and bridge.Catalogue differ (-catalogue +client.md):\n%s", diff)
	}
}
