package zammad

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNormalizeURL(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://Zammad.Example.ORG":          "https://zammad.example.org",
		" HTTPS://zammad.example.org:443/ ":   "https://zammad.example.org",
		"http://zammad.example.org.:80//":     "http://zammad.example.org",
		"http://zammad.example.org:443":       "http://zammad.example.org:443",
		"https://zammad.example.org:03000/":   "https://zammad.example.org:3000",
		"https://example.org/Help//desk/../":  "https://example.org/Help",
		"http://[::1]:80":                     "http://[::1]",
		"http://[::1]:3000/":                  "http://[::1]:3000",
		"http://127.0.0.1:3000":               "http://127.0.0.1:3000",
		"ftp://example.org":                   "",
		"example.org":                         "",
		"//example.org":                       "",
		"http:example.org":                    "",
		"https://":                            "",
		"https://:443":                        "",
		"":                                    "",
		"https://u:hush@example.org":          "",
		"https://u:hush@exa mple.org":         "",
		"https://example.org?token=hush":      "",
		"https://example.org?":                "",
		"https://example.org/#hush":           "",
		"https://example.org/#":               "",
		"https://example.org:0":               "",
		"https://example.org:99999":           "",
		"https://example.org:https":           "",
		"https://hush%2fx.example.org":        "",
		"javascript:alert('hush')//https://x": "",
	} {
		got, err := NormalizeURL(raw)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v; want %q", raw, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: the error repeats the address: %v", raw, err)
		}
		if again, _ := NormalizeURL(got); again != got {
			t.Errorf("%q is not its own normal form but %q", got, again)
		}
	}
}

func FuzzNormalizeURL(f *testing.F) {
	for _, seed := range []string{"https://Example.org:443/a/../b/", "http://[fe80::1%25eth0]:80", "http://a@b", "https://x/%2f%zz", "http://x.:0080/?"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := NormalizeURL(raw)
		if err != nil {
			return
		}
		if again, err := NormalizeURL(got); again != got || err != nil {
			t.Errorf("%q became %q became %q, %v", raw, got, again, err)
		}
		u, err := url.Parse(got)
		if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Host != strings.ToLower(u.Host) || strings.HasSuffix(got, "/") {
			t.Errorf("%q became %q", raw, got)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"no address":            {Token: "t"},
		"no credentials":        {URL: "https://example.org"},
		"name without password": {URL: "https://example.org", Username: "a"},
		"token of two lines":    {URL: "https://example.org", Token: "hush\r\nX: y"},
	} {
		if c, err := New(cfg); err == nil || c != nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	c, err := New(Config{URL: "https://EXAMPLE.org/desk/", Token: "t"})
	if err != nil || c.BaseURL() != "https://example.org/desk" {
		t.Errorf("%v, %v", c.BaseURL(), err)
	}
}

// TestBodies fixes what is left out of a body and what is not.
func TestBodies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		body any
		want string
	}{
		{"message of a device", NewTicket{
			Title: "t", GroupID: 2, Customer: &Customer{Login: "app-1", Firstname: "App", Lastname: "User 1"},
			Attributes: map[string]any{"app_chat": "c", "automatic_answers": false},
			Article: &NewArticle{
				Type: TypeChat, OriginBy: "app-1", ContentType: ContentHTML, Body: "a &lt;b&gt;", MessageID: "<1@deskbridge>",
				Attachments: []File{{Filename: "a.txt", MimeType: "text/plain", Data: []byte("x")}, {Filename: "empty", MimeType: "text/plain"}},
			},
		}, `{"title":"t","group_id":2,"customer":{"login":"app-1","firstname":"App","lastname":"User 1"},` +
			`"article":{"type":"chat","body":"a &lt;b&gt;","content_type":"text/html","origin_by":"app-1","message_id":"<1@deskbridge>",` +
			`"attachments":[{"filename":"a.txt","mime-type":"text/plain","data":"eA=="},{"filename":"empty","mime-type":"text/plain","data":""}]},` +
			`"app_chat":"c","automatic_answers":false}`},
		{"nothing changed", TicketUpdate{}, `{}`},
		{"only an attribute", TicketUpdate{Attributes: map[string]any{"automatic_answers": false, "app_chat": nil}}, `{"automatic_answers":false,"app_chat":null}`},
		{"state and answer", TicketUpdate{State: "open", Article: &NewArticle{Body: "b", Internal: new(false)}}, `{"state":"open","article":{"body":"b","internal":false}}`},
		{"internal note", NewArticle{TicketID: 3, Body: "b", Internal: new(true)}, `{"ticket_id":3,"body":"b","internal":true}`},
		{"pending", TicketUpdate{StateID: 3, PendingTime: time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC)}, `{"state_id":3,"pending_time":"2026-11-23T05:00:00Z"}`},
		{"inactive webhook", Webhook{Name: "n", Endpoint: "e"}, `{"name":"n","endpoint":"e","ssl_verify":false,"active":false,"customized_payload":false}`},
		{"erasure", EraseUser(9), `{"deletable_type":"User","deletable_id":9,"preferences":{"sure":"DELETE"}}`},
	} {
		raw, err := json.Marshal(c.body)
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := errors.Join(json.Unmarshal(raw, &got), json.Unmarshal([]byte(c.want), &want)); err != nil {
			t.Fatalf("%s: %v in %s", c.name, err, raw)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

// capture answers every request with a body and hands out the request.
func capture(t *testing.T, body string) (address string, got <-chan *http.Request) {
	t.Helper()
	requests := make(chan *http.Request, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- r
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	address, got := capture(t, `{"token":"fresh"}`)
	admin := newTestClient(t, address, func(cfg *Config) {
		cfg.Token, cfg.Username, cfg.Password, cfg.UserAgent = "", "ada", "pass:word", "Deskbridge/1"
	})
	token, err := admin.As("deskbridge").Tokens.Create(context.Background(), NewToken{Name: "n", Permissions: []string{"ticket.agent"}})
	if err != nil || token != "fresh" {
		t.Fatal(token, err)
	}
	r := <-got
	if user, password, _ := r.BasicAuth(); user != "ada" || password != "pass:word" {
		t.Errorf("signed in as %q", user)
	}
	if r.Header.Get("From") != "deskbridge" || r.Header.Get("User-Agent") != "Deskbridge/1" || r.ContentLength <= 0 {
		t.Errorf("%v", r.Header)
	}
	if _, err := admin.Tokens.List(context.Background()); err != nil {
		t.Fatal(err)
	}
	if r := <-got; r.Header.Get("From") != "" || r.Header.Get("Content-Type") != "" {
		t.Errorf("the client itself acts for somebody else: %v", r.Header)
	}
	if err := admin.Tags.Remove(context.Background(), 2, "a b"); err != nil {
		t.Fatal(err)
	}
	if r := <-got; r.Method != "DELETE" || r.URL.String() != "/api/v1/tags/remove?item=a+b&o_id=2&object=Ticket" {
		t.Errorf("%s %s", r.Method, r.URL)
	}
}

func TestMergeRefused(t *testing.T) {
	t.Parallel()
	address, got := capture(t, `{"result":"failed","message":"Can't merge ticket with itself!"}`)
	client := newTestClient(t, address)
	failure := checkKind(t, client.Tickets.Merge(context.Background(), 7, "37007"), ErrInvalid)
	if failure.Message == "" || (<-got).URL.Path != "/api/v1/ticket_merge/7/37007" {
		t.Errorf("%+v", failure)
	}
	checkKind(t, client.Tickets.Merge(context.Background(), 7, "../users/1"), ErrInvalid)
	if len(got) != 0 {
		t.Error("an impossible number was sent")
	}
}

func TestParents(t *testing.T) {
	t.Parallel()
	address, _ := capture(t, `{"links":[{"link_type":"child","link_object":"Ticket","link_object_value":1},`+
		`{"link_type":"parent","link_object":"Ticket","link_object_value":8},{"link_type":"normal","link_object":"Ticket","link_object_value":3}]}`)
	parents, err := newTestClient(t, address).Tickets.Parents(context.Background(), 7)
	if diff := cmp.Diff([]TicketID{8}, parents); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestGroupRuleFromRecording(t *testing.T) {
	t.Parallel()
	s := recordings(t)["12-erasure"][0]
	server := httptest.NewServer(&player{step: s})
	defer server.Close()
	all, err := newTestClient(t, server.URL).Tickets.GetAll(context.Background(), 2)
	if err != nil || all.Groups[4].FollowUpPossible != FollowUpNewTicket || all.Groups[2].FollowUpPossible != FollowUpYes {
		t.Errorf("%+v, %v", all.Groups, err)
	}
}

// TestForeignTrigger reads what somebody else has set up in a form that is not
// ours: an expert condition and an unusual action.
func TestForeignTrigger(t *testing.T) {
	t.Parallel()
	address, _ := capture(t, `[{"id":1,"name":"x","condition":{"operator":"AND","conditions":[{"name":"ticket.state_id"}]},"perform":{"ticket.tags":{"operator":"add","value":"a"}}}]`)
	list, err := newTestClient(t, address).Triggers.List(context.Background())
	if err != nil || len(list) != 1 || list[0].Condition["operator"] != "AND" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere, leaked := capture(t, `{"id":5}`)
	var seen hits
	for _, target := range []string{elsewhere + "/api/v1/tickets/5", "/inside"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if seen.Add(1); r.URL.Path == "/inside" {
				_, _ = io.WriteString(w, `{"id":5}`)
				return
			}
			http.Redirect(w, r, target, http.StatusTemporaryRedirect)
		}))
		defer server.Close()
		client := newTestClient(t, server.URL)
		err := read(client)
		checkKind(t, err, ErrUnavailable)
		if !errors.Is(err, errRedirected) {
			t.Errorf("to %s: %v", target, err)
		}
		seen.Store(0)
		checkKind(t, write(client), ErrUnavailable)
		if seen.Load() != 1 {
			t.Error("a write was redirected")
		}
	}
	if len(leaked) != 0 {
		t.Error("the token went to another host")
	}
}

// TestDownload reads a file that stops in the middle, and shows that a reader
// who takes its time does not hold the place of others.
func TestDownload(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 8\r\n\r\nhalf"
	for name, then := range map[string]func(net.Conn){
		"cut":      func(conn net.Conn) { _, _ = io.WriteString(conn, head) },
		"standing": func(conn net.Conn) { _, _ = io.WriteString(conn, head); _, _ = io.Copy(io.Discard, conn) },
	} {
		address, _ := rawServer(t, then)
		limiter := NewLimiter(1, time.Now)
		client := newTestClient(t, address, func(cfg *Config) { cfg.Limiter, cfg.ReadTimeout = limiter, 200*time.Millisecond })
		file, err := client.Articles.Open(context.Background(), 1, 2, 3)
		if err != nil || file.Length != 8 || file.Header.Get("Content-Type") != "image/png" {
			t.Fatalf("%s: %v", name, err)
		}
		if limiter.busy != 0 {
			t.Errorf("%s: an open file holds a place", name)
		}
		content, err := io.ReadAll(file)
		if string(content) != "half" {
			t.Errorf("%s: read %q", name, content)
		}
		checkKind(t, err, ErrUnavailable)
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestDownloadSilent(t *testing.T) {
	t.Parallel()
	address, seen := rawServer(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	client := newTestClient(t, address, func(cfg *Config) { cfg.ReadTimeout = 100 * time.Millisecond })
	file, err := client.Articles.Open(context.Background(), 1, 2, 3)
	checkKind(t, err, ErrUnavailable)
	if file != nil || !errors.Is(err, errStalled) || seen.Load() != readAttempts {
		t.Errorf("%v, %v, %d attempts", file, err, seen.Load())
	}
}

func TestLimiterHoldsCalls(t *testing.T) {
	t.Parallel()
	inside, proceed := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inside <- struct{}{}
		<-proceed
		_, _ = io.WriteString(w, `{"id":5}`)
	}))
	defer server.Close()
	limiter := NewLimiter(1, time.Now)
	share := func(cfg *Config) { cfg.Limiter = limiter }
	one, two := newTestClient(t, server.URL, share), newTestClient(t, server.URL, share)
	done := make(chan error, 1)
	go func() { done <- read(one) }()
	<-inside
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := two.Users.Me(ctx)
	checkKind(t, err, ErrUnavailable)
	close(proceed)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAttachmentFields(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Size{`"73"`: 73, `73`: 73, `""`: 0, `null`: 0} {
		var got Attachment
		if err := json.Unmarshal([]byte(`{"size":`+text+`}`), &got); err != nil || got.Size != want {
			t.Errorf("%s: %d, %v", text, got.Size, err)
		}
	}
	if err := json.Unmarshal([]byte(`{"size":"many"}`), new(Attachment)); err == nil {
		t.Error("a size of many is accepted")
	}
	for _, s := range recordings(t)["08-attachments"] {
		var article Article
		if s.Response == nil || json.Unmarshal(s.Response.Body, &article) != nil || article.ID != 35 {
			continue
		}
		picture, form := article.Attachments[0], article.Attachments[1]
		if picture.MimeType() != "image/png" || !strings.HasSuffix(picture.ContentID(), "@zammad.example.org") ||
			form.MimeType() != "application/pdf" || form.ContentID() != "" || (Attachment{}).MimeType() != "" {
			t.Errorf("%+v", article.Attachments)
		}
		return
	}
	t.Error("the article with the picture inside is not recorded")
}
