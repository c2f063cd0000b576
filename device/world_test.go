package device_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"deskbridge/api"
	"deskbridge/bridge"
	"deskbridge/device"
	"deskbridge/gate"
	"deskbridge/identity"
	"deskbridge/realtime"
	"deskbridge/server"
	"deskbridge/storage"
)

// world is the door with everything real behind it but the desk: HTTP over a
// socket, the heart, and SQLite in a file.
type world struct {
	t         testing.TB
	url       string
	store     *storage.Store
	regions   *bridge.Regions
	marks     *realtime.Watermarks
	exposures *bridge.Exposures
	desk      deskFiles
	told      *told
	door      *device.Door
	frame     *server.Server
	asked     atomic.Int64 // how often the heart was asked for anything
	routes    routers.Router
}

// told keeps the exposures that were stored.
type told struct {
	*storage.Store
	mu   sync.Mutex
	rows []bridge.Exposure
}

func (s *told) RecordExposures(ctx context.Context, rows []bridge.Exposure) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = append(s.rows, rows...)
	return s.Store.RecordExposures(ctx, rows)
}

// counted counts what the door asks of the heart; each question costs SQL.
type counted struct {
	*bridge.Chats
	asked *atomic.Int64
}

func (c counted) Send(ctx context.Context, r *bridge.Region, s bridge.Sending) (bridge.Accepted, error) {
	c.asked.Add(1)
	return c.Chats.Send(ctx, r, s)
}

func (c counted) History(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, since bridge.Seq) (bridge.History, error) {
	c.asked.Add(1)
	return c.Chats.History(ctx, r, d, since)
}

func (c counted) MarkRead(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, seq bridge.Seq) error {
	c.asked.Add(1)
	return c.Chats.MarkRead(ctx, r, d, seq)
}

func (c counted) Token(ctx context.Context, r *bridge.Region, d bridge.DeviceHash) (bridge.TokenHash, bridge.Seq, error) {
	c.asked.Add(1)
	return c.Chats.Token(ctx, r, d)
}

func (c counted) Decide(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, language, version string) (gate.Decision, error) {
	c.asked.Add(1)
	return c.Chats.Decide(ctx, r, d, language, version)
}

var hasher = bridge.NewHasher([]byte("the key of the tests"))

// theRegions are the regions of every world.
func theRegions() []*bridge.Region {
	languages := []bridge.Language{{Code: "de", NativeName: "Deutsch"}, {Code: "ar", NativeName: "العربية"}}
	region := func(slug string, change func(*bridge.Region)) *bridge.Region {
		r := &bridge.Region{Slug: slug, Name: "Stadt " + slug, Enabled: true, Salt: slug, ZammadToken: "token", Settings: bridge.RegionSettings{
			Languages: languages, Percentage: 100, ZammadURL: "http://127.0.0.1:1", ZammadGroup: "Users",
		}}
		if change != nil {
			change(r)
		}
		return r
	}
	return []*bridge.Region{
		region("testland", nil),
		region("other", nil),
		region("off", func(r *bridge.Region) { r.Enabled = false }),
		region("bare", func(r *bridge.Region) { r.Settings.ZammadURL, r.ZammadToken = "", "" }),
		region("closed", func(r *bridge.Region) { r.Settings.Percentage = 0 }),
		region("picky", func(r *bridge.Region) {
			r.Settings.GateLanguages, r.Settings.MinAppVersion, r.Settings.MaxText = []string{"de"}, "2026.8", 20
		}),
		region("half", func(r *bridge.Region) {
			r.Settings.Percentage, r.Settings.HideUntilFull, r.Settings.RevealTicketURL = 50, true, true
			r.Settings.Document = bridge.RegionDocument{
				Live: true, Events: true, POIs: true, PushNotifications: true, ExternalNews: true, NameWithoutPrefix: "Half", Prefix: "Stadt",
				Longitude: 10.9, Latitude: 48.4, Aliases: map[string]any{"Halb": map[string]any{"longitude": 1.5}},
				BoundingBox: [][2]float64{{10.7, 48.3}, {11, 48.5}}, PrivacyPolicy: "https://half.example/privacy",
			}
		}),
	}
}

func newWorld(t testing.TB, configure ...func(*device.Deps, *server.Config)) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.New(slog.DiscardHandler)
	store, err := storage.Open(ctx, storage.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "bridge.db"), Key: make([]byte, 32), Log: log, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range theRegions() {
		if err := store.AddRegion(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{t: t, store: store, told: &told{Store: store}}
	if w.regions, err = bridge.NewRegions(ctx, store, log); err != nil {
		t.Fatal(err)
	}
	w.marks = realtime.NewWatermarks(realtime.Deps{Store: store, Log: log, Now: time.Now})
	w.exposures = bridge.NewExposures(w.told, log)
	chats := bridge.NewChats(bridge.ChatsDeps{Store: store, Publisher: w.marks, Exposures: w.exposures, Wake: func() {}, Now: time.Now})
	deps := device.Deps{
		Chats: counted{chats, &w.asked}, Regions: w.regions, Watermarks: w.marks, Hasher: hasher,
		Files: bridge.NewAttachments(bridge.AttachmentsDeps{Files: store, Desk: &w.desk, Now: time.Now}),
		TicketURL: func(r *bridge.Region, id bridge.TicketID) string {
			return fmt.Sprintf("%s/#ticket/zoom/%d", r.Settings.ZammadURL, id)
		},
		Rights: bridge.NewEraser(bridge.EraserDeps{
			Store: store, Regions: w.regions, Exposures: w.exposures, Publisher: w.marks, Log: log, Now: time.Now,
		}),
		Identities: identity.New(identity.Config{Log: log, Now: time.Now}),
		TokenKey:   []byte("another key of the tests"), Now: time.Now,
	}
	cfg := server.Config{Log: log, CORSOrigins: []string{"*"}}
	for _, change := range configure {
		change(&deps, &cfg)
	}
	frame, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	deps.Streams, w.frame = frame, frame
	w.door = device.New(deps)
	uploads := frame.Limited()
	if deps.Uploads.Files > 0 {
		uploads = frame.LimitedTo(deps.Uploads.Largest())
	}
	w.door.Routes(frame.Limited(), uploads)
	web := httptest.NewServer(frame.Engine())
	w.url = web.URL
	w.loadSpec()

	var running sync.WaitGroup
	running.Go(func() {
		if err := w.marks.Run(ctx); err != nil {
			t.Errorf("watermarks: %v", err)
		}
	})
	t.Cleanup(func() {
		web.Close()
		cancel()
		running.Wait()
		if err := store.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return w
}

func (w *world) loadSpec() {
	w.t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.Spec())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	if w.routes, err = gorillamux.NewRouter(doc); err != nil {
		w.t.Fatal(err)
	}
}

// wireMessage and wireState are what clients read, written down anew here.
type wireMessage struct {
	ID              int64      `json:"id"`
	CreatedAt       string     `json:"created_at"`
	Role            string     `json:"role"`
	UserIsAuthor    bool       `json:"user_is_author"`
	AutomaticAnswer bool       `json:"automatic_answer"`
	Content         string     `json:"content"`
	Seq             int64      `json:"seq"`
	Text            string     `json:"text"`
	Author          string     `json:"author"`
	Name            string     `json:"name"`
	Status          string     `json:"status"`
	Attachments     []wireFile `json:"attachments"`
	ClientID        *string    `json:"client_id"`
	Error           *string    `json:"error"`
	Retracted       *bool      `json:"retracted"`
}

type wireFile struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Type   string `json:"type"`
	Size   int64  `json:"size"`
	Inline bool   `json:"inline"`
}

type wireState struct {
	Messages          []wireMessage `json:"messages"`
	EvaluationConsent *bool         `json:"evaluation_consent"`
	ChatbotTyping     *bool         `json:"chatbot_typing"`
	TicketURL         *string       `json:"ticket_url"`
	Seq               int64         `json:"seq"`
	Chat              *wireChat     `json:"chat"`
	Read              *int64        `json:"read"`
}

type wireChat struct {
	State  string `json:"state"`
	Notice string `json:"notice"`
	Away   string `json:"away"`
	Typing bool   `json:"typing"`
}

type wireError struct {
	Error     string `json:"error"`
	Code      string `json:"code"`
	Retryable *bool  `json:"retryable"`
	RequestID string `json:"request_id"`
}

// reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) state(t testing.TB) wireState {
	t.Helper()
	if r.status != http.StatusOK {
		t.Fatalf("status %d, want 200: %s", r.status, r.body)
	}
	var s wireState
	decode(t, r.body, &s)
	if s.Messages == nil || s.EvaluationConsent == nil || s.ChatbotTyping == nil || s.TicketURL == nil || s.Chat == nil || s.Read == nil {
		t.Fatalf("a key that the app needs is missing: %s", r.body)
	}
	return s
}

func (r reply) code(t testing.TB) string {
	t.Helper()
	var e wireError
	decode(t, r.body, &e)
	if e.Error == "" || e.Code == "" || e.Retryable == nil || e.RequestID == "" {
		t.Fatalf("an error without one of its keys: %s", r.body)
	}
	return e.Code
}

func decode(t testing.TB, body []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
}

const (
	form      = "application/x-www-form-urlencoded"
	plainJSON = "application/json"
)

// do sends a request and holds the answer against openapi.yaml. Header values
// come in pairs.
func (w *world) do(method, path, body string, header ...string) reply {
	w.t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	r := reply{response.StatusCode, response.Header, read}
	w.validate(request, r)
	return r
}

// validate fails for an answer that openapi.yaml does not describe.
func (w *world) validate(request *http.Request, r reply) {
	w.t.Helper()
	unknown := r.status == http.StatusMethodNotAllowed || request.Method == http.MethodHead || request.Method == http.MethodOptions || bytes.Contains(r.body, []byte(`"path_not_found"`))
	if unknown || strings.Contains(request.URL.Path, "/chat//") {
		return
	}
	route, parameters, err := w.routes.FindRoute(request)
	if err != nil {
		w.t.Errorf("openapi.yaml has no route for %s %s: %v", request.Method, request.URL.Path, err)
		return
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: parameters, Route: route},
		Status:                 r.status, Header: r.header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	input.SetBodyBytes(r.body)
	if err := openapi3filter.ValidateResponse(context.Background(), input); err != nil {
		w.t.Errorf("%s %s: the answer is not what openapi.yaml says: %v\n%s", request.Method, request.URL.Path, err, r.body)
	}
}

func (w *world) get(path string, header ...string) reply { return w.do("GET", path, "", header...) }

func (w *world) post(path, body string, header ...string) reply {
	return w.do("POST", path, body, append(header, "Content-Type", form)...)
}

func chatPath(region, language, device string) string {
	return "/api/v3/" + region + "/" + language + "/chat/" + device + "/"
}

func (w *world) region(slug string) *bridge.Region {
	w.t.Helper()
	r, ok := w.regions.BySlug(slug)
	if !ok {
		w.t.Fatalf("no region %s", slug)
	}
	return r
}

// messages counts what is stored for a region.
func (w *world) messages(slug string) int {
	w.t.Helper()
	counts, err := w.store.ChatCounts(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	i := slices.IndexFunc(counts, func(c bridge.ChatCounts) bool { return c.Slug == slug })
	if i < 0 {
		return 0
	}
	return counts[i].Messages
}

// carry does the pump's part: all waiting messages are in the desk as ticket.
func (w *world) carry(slug string, ticket bridge.TicketID, failed *bridge.Failed) {
	w.t.Helper()
	ctx, now := context.Background(), time.Now()
	claims, err := w.store.ClaimLanes(ctx, w.region(slug).Desk, now, now.Add(time.Minute), 100)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(claims) == 0 {
		w.t.Fatal("no lane has work")
	}
	article := bridge.ArticleID(ticket * 1000)
	for _, claim := range claims {
		for {
			work, err := w.store.Start(ctx, claim, now)
			if err != nil {
				w.t.Fatal(err)
			}
			if work == nil {
				break
			}
			outcome := bridge.Outcome{Work: work.ID}
			switch {
			case work.Kind != bridge.WorkMessage:
			case failed != nil:
				outcome.Failed = failed
			default:
				article++
				outcome.Sent = &bridge.Sent{Ticket: ticket, State: bridge.TicketOpen, Customer: 7, Article: article}
			}
			changes, err := w.store.Finish(ctx, claim, outcome, now)
			if err != nil {
				w.t.Fatal(err)
			}
			w.marks.Publish(changes...)
		}
	}
}

// record does the relay's part: these articles of the ticket were read.
func (w *world) record(slug string, ticket bridge.TicketID, articles ...bridge.Article) {
	w.t.Helper()
	ctx := context.Background()
	known, err := w.store.KnownTicket(ctx, w.region(slug).Desk, ticket)
	if err != nil {
		w.t.Fatal(err)
	}
	changes, err := w.store.Record(ctx, bridge.Receipt{Chat: known.Chat.ID, State: bridge.TicketOpen, Articles: articles, Now: time.Now()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.marks.Publish(changes...)
}

func answerOf(ticket bridge.TicketID, id bridge.ArticleID, public bool, text string) bridge.Article {
	return bridge.Article{
		ID: id, Ticket: ticket, Public: public, Name: "Nicole Braun", HTML: "<p>" + text + "</p>", Text: text, CreatedAt: time.Now(),
	}
}
