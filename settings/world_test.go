package settings_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"deskbridge/api"
	"deskbridge/bridge"
	"deskbridge/files"
	"deskbridge/identity"
	"deskbridge/server"
	"deskbridge/settings"
	"deskbridge/staff"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
	"deskbridge/zammad"
)

// start is the time of the tests.
var start = time.Date(2026, 11, 26, 8, 30, 0, 0, time.UTC)

// world is the door over real storage and real HTTP.
type world struct {
	*testing.T
	store   *storage.Store
	regions *bridge.Regions
	region  *bridge.Region // testland
	url     string
	router  routers.Router
	doc     *openapi3.T
}

func newWorld(t *testing.T, store *storage.Store) *world {
	t.Helper()
	w := &world{T: t, store: store}
	w.region = w.add("testland")
	w.add("otherland")
	var err error
	w.regions, err = bridge.NewRegions(t.Context(), store, slog.New(slog.DiscardHandler))
	w.ok(err)
	w.doc, err = openapi3.NewLoader().LoadFromData(api.Spec())
	w.ok(err)
	w.router, err = gorillamux.NewRouter(w.doc)
	w.ok(err)
	w.url = w.instance(w.regions)
	return w
}

// instance serves the door once more, with a memory of regions of its own.
func (w *world) instance(regions *bridge.Regions) string {
	w.Helper()
	frame, err := server.New(server.Config{Log: slog.New(slog.DiscardHandler)})
	w.ok(err)
	settings.New(settings.Deps{
		Store: w.store, Regions: regions, Now: func() time.Time { return start },
		Rules: bridge.RegionRules{FileKinds: files.Names(), CheckKeys: identity.CheckKeys, ZammadURL: zammad.NormalizeURL},
	}).Routes(frame.Limited())
	web := httptest.NewServer(frame.Engine())
	w.Cleanup(web.Close)
	return web.URL
}

// eachWorld runs a test over each dialect.
func eachWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Parallel()
	storagetest.Each(t, func(t *testing.T, s *storage.Store) { test(newWorld(t, s)) })
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) add(slug string) *bridge.Region {
	w.Helper()
	r := &bridge.Region{Slug: slug, Name: strings.ToTitle(slug), Enabled: true, ZammadToken: "hunter2-zammad", WebhookSecret: "hunter2-webhook", IdentitySecret: "hunter2-identity-hunter2-identity"}
	r.Settings.Languages = []bridge.Language{{Code: "de", NativeName: "Deutsch"}, {Code: "en", NativeName: "English"}}
	r.Settings.ZammadURL, r.Settings.ZammadGroup = "https://zammad.example.org", "Beratung"
	w.ok(w.store.AddRegion(w.Context(), r))
	return r
}

// token makes a token and gives its secret.
func (w *world) token(t staff.APIToken) string {
	w.Helper()
	secret := staff.NewToken()
	hash, _ := staff.HashToken(secret)
	w.ok(w.store.AddAPIToken(w.Context(), &t, hash))
	return secret
}

// writer makes a token that may do everything.
func (w *world) writer(name string) string {
	return w.token(staff.APIToken{Name: name, Scopes: []staff.Scope{staff.WriteRegions}})
}

// reply is an answer that fits the description.
type reply struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// code gives the code of an error.
func (r reply) code() string {
	code, _ := r.body["code"].(string)
	return code
}

// fields gives field and code of each fault.
func (r reply) fields() string {
	var all []string
	faults, _ := r.body["fields"].([]any)
	for _, f := range faults {
		fault := f.(map[string]any)
		all = append(all, fault["field"].(string)+" "+fault["code"].(string))
	}
	return strings.Join(all, ", ")
}

// call asks something and holds the answer against the description.
func (w *world) call(method, url, token, body string, header ...string) reply {
	w.Helper()
	request, err := http.NewRequestWithContext(w.Context(), method, url, strings.NewReader(body))
	w.ok(err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/merge-patch+json")
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	w.ok(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	w.ok(err)
	r := reply{status: response.StatusCode, header: response.Header, text: string(text)}
	if strings.Contains(r.text, "hunter2") {
		w.Errorf("a secret left: %s", text)
	}
	if bytes.HasPrefix(text, []byte("{")) {
		w.ok(json.Unmarshal(text, &r.body))
	}
	route, parameters, err := w.router.FindRoute(request)
	if errors.Is(err, routers.ErrPathNotFound) || errors.Is(err, routers.ErrMethodNotAllowed) {
		return r
	}
	w.ok(err)
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: parameters, Route: route},
		Status:                 r.status, Header: r.header, Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	input.SetBodyBytes(text)
	if err := openapi3filter.ValidateResponse(w.Context(), input); err != nil {
		w.Errorf("%s %s: %v\n%.1000s", method, url, err, text)
	}
	return r
}

const testland = "/api/v3/settings/regions/testland/"

// read reads testland.
func (w *world) read(token string) reply {
	w.Helper()
	r := w.call(http.MethodGet, w.url+testland, token, "")
	if r.status != http.StatusOK {
		w.Fatalf("%d %s", r.status, r.text)
	}
	return r
}

// patch changes testland, with the tag of a moment ago.
func (w *world) patch(token, body string) reply {
	w.Helper()
	return w.call(http.MethodPatch, w.url+testland, token, body, "If-Match", w.read(token).header.Get("ETag"))
}

// audited gives the entries about regions that tokens made, the newest first.
func (w *world) audited() []bridge.AuditEntry {
	w.Helper()
	all, err := w.store.Audit(w.Context(), bridge.AuditQuery{Action: "region.change", Limit: 100})
	w.ok(err)
	return all
}
