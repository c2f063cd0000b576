package zammad

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

const recordedSecret = "s3cr3t-signature-token"

type step struct {
	Name    string
	Request *struct {
		Method  string
		Path    string
		Headers map[string]any
		Body    json.RawMessage
	}
	Response *struct {
		Status  int
		Headers map[string]string
		Body    json.RawMessage
	}
	Delivery *struct {
		Headers map[string]string
		BodyRaw string `json:"body_raw"`
	}
}

// recordings loads every recorded file by name.
func recordings(t testing.TB) map[string][]step {
	t.Helper()
	files, err := filepath.Glob("testdata/recordings/*.json")
	if err != nil || len(files) != 16 {
		t.Fatalf("recordings: %d files, error %v", len(files), err)
	}
	all := make(map[string][]step)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var recording struct{ Steps []step }
		if err := json.Unmarshal(raw, &recording); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, s := range recording.Steps {
			if s.Name == "ticket, all" {
				// The assets were cut to lists of ids to keep the file readable.
				s.Response.Body = cutAssets.ReplaceAll(s.Response.Body, []byte(`"assets": {},`))
			}
		}
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = recording.Steps
	}
	return all
}

// player answers every request with one step and keeps what it was asked.
type player struct {
	step   step
	header http.Header
	url    *url.URL
	method string
	body   []byte
}

func (p *player) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.method, p.url, p.header = r.Method, r.URL, r.Header
	p.body, _ = io.ReadAll(r.Body)
	for _, name := range []string{"Content-Type", "X-Failure", "Content-Disposition"} {
		if value := p.step.Response.Headers[name]; value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(p.step.Response.Status)
	_, _ = w.Write(answerBytes(p.step))
}

// answerBytes are the bytes of a recorded answer: JSON as it stands, text, or
// a file kept as base64.
func answerBytes(s step) []byte {
	if kind := s.Response.Headers["Content-Type"]; kind == "" && s.Response.Status == 200 || strings.HasPrefix(kind, "application/json") {
		return s.Response.Body
	}
	var text string
	if json.Unmarshal(s.Response.Body, &text) == nil {
		return []byte(text)
	}
	var file struct{ Base64 string }
	if json.Unmarshal(s.Response.Body, &file) == nil && file.Base64 != "" {
		content, _ := base64.StdEncoding.DecodeString(file.Base64)
		return content
	}
	return nil
}

// TestReplay plays every recorded answer to the call it belongs to. What the
// client sends must be what was recorded, what it reads must hold every value
// that was answered.
func TestReplay(t *testing.T) {
	t.Parallel()
	p := new(player)
	server := httptest.NewServer(p)
	defer server.Close()
	transport := newTransport()
	defer transport.CloseIdleConnections()
	played := 0
	for name, steps := range recordings(t) {
		for i, s := range steps {
			if s.Request == nil {
				continue
			}
			p.step = s
			label := name + "[" + strconv.Itoa(i) + "] " + s.Name
			value, err := perform(t, clientFor(t, server.URL, transport, s), s)
			if errors.Is(err, errNoCall) {
				if s.Response.Status < 300 && !json.Valid(s.Response.Body) {
					t.Errorf("%s: the answer is not JSON", label)
				}
				continue
			}
			played++
			checkRequest(t, label, p)
			checkAnswer(t, label, s, value, err)
		}
	}
	if played < 250 {
		t.Errorf("only %d steps were played by a call of the client", played)
	}
}

// clientFor acts as whoever was recorded. The names in angle brackets stand in
// the place of the secrets.
func clientFor(t *testing.T, address string, transport http.RoundTripper, s step) *Client {
	t.Helper()
	cfg := Config{URL: address, Username: "admin", Password: "secret"}
	authorization, _ := s.Request.Headers["Authorization"].(string)
	if token, ok := strings.CutPrefix(authorization, "Token token="); ok {
		cfg = Config{URL: address, Token: token}
	}
	cfg.Transport = transport
	client, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	client.wire.backoff = time.Millisecond
	if from, ok := s.Request.Headers["From"].(string); ok {
		return client.As(from)
	}
	return client
}

var (
	errNoCall = errors.New("the client has no such call")
	cutAssets = regexp.MustCompile(`(?s)"assets": \{.*?\},`)
	numbers   = regexp.MustCompile(`/(\d+)`)
)

// perform makes the call of a step with the recorded values.
func perform(t *testing.T, c *Client, s step) (any, error) {
	t.Helper()
	u, err := url.Parse(s.Request.Path)
	if err != nil {
		t.Fatal(err)
	}
	route := strings.TrimPrefix(numbers.ReplaceAllString(u.Path, "/{id}"), "/api/v1")
	var ids []int64
	for _, match := range numbers.FindAllStringSubmatch(u.Path, -1) {
		id, _ := strconv.ParseInt(match[1], 10, 64)
		ids = append(ids, id)
	}
	ids = append(ids, 0)
	for _, try := range []func(*testing.T, *Client, step, string, url.Values, []int64) (any, error){
		performTickets, performArticles, performUsers, performAdmin,
	} {
		if value, err := try(t, c, s, s.Request.Method+" "+route, u.Query(), ids); !errors.Is(err, errNoCall) {
			return value, err
		}
	}
	return nil, errNoCall
}

func performTickets(t *testing.T, c *Client, s step, route string, query url.Values, ids []int64) (any, error) {
	ctx, id := context.Background(), TicketID(ids[0])
	switch route {
	case "GET /tickets/{id}":
		if query.Has("all") {
			return nil, second(c.Tickets.GetAll(ctx, id))
		}
		return both(c.Tickets.Get(ctx, id))
	case "POST /tickets":
		if sentDiffers[s.Name] {
			return both(c.Tickets.Create(ctx, NewTicket{}))
		}
		ticket := NewTicket{Attributes: others(t, s, reflect.TypeFor[NewTicket]())}
		fill(t, s, &ticket)
		return both(c.Tickets.Create(ctx, ticket))
	case "PUT /tickets/{id}":
		change := TicketUpdate{Attributes: others(t, s, reflect.TypeFor[TicketUpdate]())}
		fill(t, s, &change)
		return both(c.Tickets.Update(ctx, id, change))
	case "DELETE /tickets/{id}":
		return nil, c.Tickets.Delete(ctx, id)
	case "POST /tickets/search":
		var body struct {
			Condition Conditions
			SortBy    string `json:"sort_by"`
			OrderBy   string `json:"order_by"`
			Limit     int
			PerPage   int `json:"per_page"`
			Page      int
			Expand    bool
		}
		fill(t, s, &body)
		if !body.Expand {
			return nil, errNoCall
		}
		return both(c.Tickets.Search(ctx, Search{
			Conditions: body.Condition, SortBy: body.SortBy, Descending: body.OrderBy == "desc",
			Limit: body.Limit + body.PerPage, Page: body.Page,
		}))
	case "GET /links":
		linked, _ := strconv.ParseInt(query.Get("link_object_value"), 10, 64)
		links, err := c.Tickets.Links(ctx, TicketID(linked))
		return map[string]any{"links": links}, err
	case "PUT /ticket_merge/{id}/{id}":
		return nil, c.Tickets.Merge(ctx, id, strconv.FormatInt(ids[1], 10))
	case "GET /tags":
		tagged, _ := strconv.ParseInt(query.Get("o_id"), 10, 64)
		tags, err := c.Tags.List(ctx, TicketID(tagged))
		return map[string]any{"tags": tags}, err
	case "POST /tags/add":
		return nil, c.Tags.Add(ctx, 2, "app")
	}
	return nil, errNoCall
}

func performArticles(t *testing.T, c *Client, s step, route string, query url.Values, ids []int64) (any, error) {
	ctx := context.Background()
	switch route {
	case "GET /ticket_articles/{id}":
		return both(c.Articles.Get(ctx, ArticleID(ids[0])))
	case "GET /ticket_articles/by_ticket/{id}":
		return both(c.Articles.OfTicket(ctx, TicketID(ids[0])))
	case "POST /ticket_articles":
		var article NewArticle
		if query.Has("full") || json.Unmarshal(s.Request.Body, &article) != nil {
			return nil, errNoCall // what the client does not send: a dangerous switch, bad base64
		}
		return both(c.Articles.Create(ctx, article))
	case "PUT /ticket_articles/{id}":
		if !bytes.Contains(s.Request.Body, []byte("internal")) {
			return nil, errNoCall
		}
		return both(c.Articles.SetInternal(ctx, ArticleID(ids[0]), bytes.Contains(s.Request.Body, []byte("true"))))
	case "DELETE /ticket_articles/{id}":
		return nil, c.Articles.Delete(ctx, ArticleID(ids[0]))
	case "GET /ticket_attachment/{id}/{id}/{id}":
		file, err := c.Articles.Open(ctx, TicketID(ids[0]), ArticleID(ids[1]), AttachmentID(ids[2]))
		if err != nil {
			return nil, err
		}
		defer file.Close()
		content, err := io.ReadAll(file)
		if !bytes.Equal(content, answerBytes(s)) || file.Header.Get("Content-Type") != s.Response.Headers["Content-Type"] ||
			file.Length != int64(len(content)) {
			t.Errorf("%s: %d bytes of type %s", s.Name, len(content), file.Header.Get("Content-Type"))
		}
		return nil, err
	}
	return nil, errNoCall
}

func performUsers(t *testing.T, c *Client, s step, route string, query url.Values, ids []int64) (any, error) {
	ctx, id := context.Background(), UserID(ids[0])
	switch route {
	case "GET /users/me":
		return both(c.Users.Me(ctx))
	case "GET /users/{id}":
		return both(c.Users.Get(ctx, id))
	case "POST /users":
		var user NewUser
		fill(t, s, &user)
		return both(c.Users.Create(ctx, user))
	case "PUT /users/{id}":
		return both(c.Users.Update(ctx, id, changes(t, s)))
	case "DELETE /users/{id}":
		return nil, c.Users.Delete(ctx, id)
	case "GET /users/search":
		limit, _ := strconv.Atoi(query.Get("limit"))
		return both(c.Users.Search(ctx, query.Get("query"), limit))
	case "GET /user_access_token":
		tokens, err := c.Tokens.List(ctx)
		return map[string]any{"tokens": tokens}, err
	case "POST /user_access_token":
		var body struct {
			Name       string
			Permission []string
		}
		fill(t, s, &body)
		token, err := c.Tokens.Create(ctx, NewToken{Name: body.Name, Permissions: body.Permission})
		return map[string]any{"token": token}, err
	case "GET /version":
		version, err := c.Version(ctx)
		return map[string]any{"version": version}, err
	}
	return nil, errNoCall
}

func performAdmin(t *testing.T, c *Client, s step, route string, _ url.Values, ids []int64) (any, error) {
	if route == "POST /object_manager_attributes_execute_migrations" {
		return nil, c.ExecuteMigrations(context.Background())
	}
	method, kind, _ := strings.Cut(route, " /")
	kind = strings.TrimSuffix(kind, "/{id}")
	switch kind {
	case "ticket_states":
		return crud(t, c.States, method, s, ids[0])
	case "groups":
		return crud(t, c.Groups, method, s, ids[0])
	case "webhooks":
		return crud(t, c.Webhooks, method, s, ids[0])
	case "triggers":
		return crud(t, c.Triggers, method, s, ids[0])
	case "jobs":
		return crud(t, c.Jobs, method, s, ids[0])
	case "overviews":
		return crud(t, c.Overviews, method, s, ids[0])
	case "object_manager_attributes":
		return crud(t, c.Attributes, method, s, ids[0])
	case "settings":
		return crud(t, c.Settings, method, s, ids[0])
	case "data_privacy_tasks":
		return crud(t, c.Erasures, method, s, ids[0])
	}
	return nil, errNoCall
}

func crud[T any, ID ~int64](t *testing.T, c Collection[T, ID], method string, s step, id int64) (any, error) {
	t.Helper()
	ctx := context.Background()
	switch {
	case method == "GET" && id == 0:
		return both(c.List(ctx))
	case method == "GET":
		return both(c.Get(ctx, ID(id)))
	case method == "POST":
		var record T
		if !sentDiffers[s.Name] {
			fill(t, s, &record)
		}
		return both(c.Create(ctx, record))
	case method == "PUT":
		return both(c.Update(ctx, ID(id), changes(t, s)))
	default:
		return nil, c.Delete(ctx, ID(id))
	}
}

func both[T any](value T, err error) (any, error) { return value, err }

func second[T any](_ T, err error) error { return err }

func fill(t *testing.T, s step, into any) {
	t.Helper()
	if err := json.Unmarshal(s.Request.Body, into); err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
}

func changes(t *testing.T, s step) (c Changes) {
	t.Helper()
	fill(t, s, &c)
	return c
}

// others are the keys of a recorded body that have no field: the attributes.
func others(t *testing.T, s step, of reflect.Type) map[string]any {
	t.Helper()
	rest := changes(t, s)
	for key := range fieldsOf(of) {
		delete(rest, key)
	}
	return rest
}

// checkRequest compares what the client sent with what was recorded.
func checkRequest(t *testing.T, label string, p *player) {
	t.Helper()
	recorded, err := url.Parse(p.step.Request.Path)
	if err != nil {
		t.Fatal(err)
	}
	if p.method != p.step.Request.Method || p.url.Path != recorded.Path {
		t.Errorf("%s: sent %s %s", label, p.method, p.url.Path)
	}
	if q := recorded.Query(); len(q) > 0 && !strings.Contains(recorded.Path, "attachment") && !reflect.DeepEqual(q, p.url.Query()) {
		t.Errorf("%s: sent the query %q", label, p.url.RawQuery)
	}
	if got := p.header.Values("Accept"); !reflect.DeepEqual(got, []string{"application/json"}) {
		t.Errorf("%s: sent Accept %q", label, got)
	}
	if from, _ := p.step.Request.Headers["From"].(string); p.header.Get("From") != from {
		t.Errorf("%s: sent From %q", label, p.header.Get("From"))
	}
	if token, _ := p.step.Request.Headers["Authorization"].(string); strings.HasPrefix(token, "Token") && p.header.Get("Authorization") != token {
		t.Errorf("%s: sent another token", label)
	}
	if len(p.body) > 0 && p.header.Get("Content-Type") != "application/json" {
		t.Errorf("%s: sent Content-Type %q", label, p.header.Get("Content-Type"))
	}
	if sentDiffers[p.step.Name] || string(p.step.Request.Body) == "null" {
		return
	}
	if got, want := generic(t, p.body), generic(t, p.step.Request.Body); !reflect.DeepEqual(got, want) {
		t.Errorf("%s: sent\n%s\nrecorded\n%s", label, p.body, p.step.Request.Body)
	}
}

// sentDiffers are the steps whose request was made to be refused, in a way the
// client cannot send. Their answers are read all the same.
var sentDiffers = map[string]bool{
	"webhook, bad endpoint": true, "broken JSON": true, "missing title": true, "no body": true,
	"e-mail answer of an agent to a customer without an address": true,
	"customer guessed from an e-mail, bad":                       true,
	"third ticket, customer by login":                            true,
	"customer by an unknown login":                               true,
	"text file, base64 with line breaks":                         true,
	"group, created":                                             true, // follow_up_assignment as a string
	"second group, no access for the bridge":                     true,
	"without a type":                                             true,
}

func generic(t *testing.T, raw []byte) (value any) {
	t.Helper()
	if err := json.Unmarshal(raw, &value); err != nil {
		t.Errorf("%v in %.200s", err, raw)
	}
	return value
}

// checkAnswer compares a value or an error with the recorded answer.
func checkAnswer(t *testing.T, label string, s step, value any, err error) {
	t.Helper()
	if status := s.Response.Status; status >= 300 {
		var failure *Error
		if !errors.As(err, &failure) {
			t.Errorf("%s: status %d gave error %v", label, status, err)
			return
		}
		if want := recordedKind(s); failure.Kind != want || failure.Status != status {
			t.Errorf("%s: got %v, want %v", label, err, want)
		}
		var said struct{ Error string }
		if json.Unmarshal(s.Response.Body, &said) == nil && failure.Message != said.Error {
			t.Errorf("%s: message %q, want %q", label, failure.Message, said.Error)
		}
		return
	}
	if err != nil {
		t.Errorf("%s: %v", label, err)
		return
	}
	if value == nil {
		return
	}
	got, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if path := missing(generic(t, got), generic(t, s.Response.Body)); path != "" {
		t.Errorf("%s: the answer was not read whole: %s", label, path)
	}
}

// recordedKind is the kind of failure by hand, not by the code under test.
func recordedKind(s step) error {
	masked := bytes.Contains(s.Response.Body, []byte("Error ID "))
	switch status := s.Response.Status; {
	case status == 401:
		return ErrNotAuthorized
	case status == 403:
		return ErrForbidden
	case status == 404:
		return ErrNotFound
	case status == 500 && s.Request.Path == "/api/v1/ticket_articles":
		return ErrAmbiguous
	case masked:
		return ErrMasked
	case status == 304:
		return ErrUnavailable // only because the client sends no ETag
	default:
		return ErrInvalid
	}
}

// missing finds a key that both sides have with different values; null equals
// what is zero. It returns the path to it, or "".
func missing(got, want any) string {
	switch want := want.(type) {
	case map[string]any:
		have, ok := got.(map[string]any)
		for key, value := range want {
			if mine, shared := have[key]; shared {
				if path := missing(mine, value); path != "" {
					return "." + key + path
				}
			}
		}
		if !ok && got != nil && len(want) > 0 {
			return ": an object was expected"
		}
	case []any:
		have, _ := got.([]any)
		if len(have) != len(want) {
			return ": another length"
		}
		for i := range want {
			if path := missing(have[i], want[i]); path != "" {
				return "[" + strconv.Itoa(i) + "]" + path
			}
		}
	case nil:
		if at, ok := got.(string); ok && strings.HasPrefix(at, "0001-01-01") {
			return ""
		}
		if got != nil && !reflect.ValueOf(got).IsZero() {
			return ": not zero"
		}
	case string:
		have, _ := got.(string)
		a, errA := time.Parse(time.RFC3339Nano, have)
		b, errB := time.Parse(time.RFC3339Nano, want)
		if have != want && (errA != nil || errB != nil || !a.Equal(b)) {
			return ": " + strconv.Quote(have) + " for " + strconv.Quote(want)
		}
	default:
		if !reflect.DeepEqual(got, want) {
			return ": another value"
		}
	}
	return ""
}
