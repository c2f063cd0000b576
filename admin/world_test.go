package admin_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/net/html"

	"deskbridge/app"
	"deskbridge/bridge"
	"deskbridge/config"
	"deskbridge/staff"
	"deskbridge/storage/storagetest"
)

// world is an installation that serves its console over HTTP, with the regions
// "north" and "south", which have no Zammad that answers.
type world struct {
	*testing.T
	app          *app.App
	origin       string
	engine       *gin.Engine // for its table of routes
	database     string      // its URL
	log          *logBuffer
	north, south *bridge.Region
}

// eachWorld runs a test on SQLite and, where there is one, on MariaDB.
func eachWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	storagetest.EachURL(t, func(t *testing.T, url string) { test(newWorld(t, url)) })
}

// oneWorld is for tests in which the database decides nothing.
func oneWorld(t *testing.T, env ...string) *world {
	t.Helper()
	return newWorld(t, "sqlite:"+t.TempDir()+"/deskbridge.db", env...)
}

func newWorld(t *testing.T, database string, env ...string) *world {
	t.Helper()
	cfg, err := config.Load("", append([]string{
		"DESKBRIDGE_DATA_DIR=" + t.TempDir(), "DESKBRIDGE_DATABASE_URL=" + database,
		"DESKBRIDGE_SECRET_KEY=" + strings.Repeat("5a", 32), "DESKBRIDGE_LIMITS_EXEMPT_LOOPBACK=true",
	}, env...))
	if err != nil {
		t.Fatal(err)
	}
	written := new(logBuffer)
	a, err := app.Open(context.Background(), cfg, slog.New(slog.NewTextHandler(written, nil)))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, app: a, database: database, log: written}
	w.north, w.south = w.addRegion("north", "North"), w.addRegion("south", "South")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		done <- a.Serve(ctx, app.ServeOptions{
			Listener: listener, Ready: func(addr net.Addr) { ready <- addr }, Mount: func(engine *gin.Engine) { w.engine = engine },
		})
	}()
	select {
	case addr := <-ready:
		w.origin = "http://" + addr.String()
	case err := <-done:
		t.Fatal(err)
	}
	t.Cleanup(sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		if err := a.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}))
	return w
}

func (w *world) addRegion(slug, name string) *bridge.Region {
	w.Helper()
	r := &bridge.Region{Slug: slug, Name: name, Enabled: true, Settings: bridge.RegionSettings{
		Languages: []bridge.Language{{Code: "de", NativeName: "Deutsch"}, {Code: "en", NativeName: "English"}}, Percentage: 50,
	}.WithDefaults()}
	if err := w.app.Store.AddRegion(w.Context(), r); err != nil {
		w.Fatal(err)
	}
	if err := w.app.Regions.Reload(w.Context()); err != nil {
		w.Fatal(err)
	}
	return r
}

// browser is somebody's, signed in or not.
type browser struct {
	w      *world
	client *http.Client
	person *staff.Person
}

// stranger has not signed in.
func (w *world) stranger() *browser {
	w.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.Fatal(err)
	}
	return &browser{w: w, client: &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}
}

// person makes an account, whose console is in English, and signs it in.
func (w *world) person(login string, role staff.Role, regions ...*bridge.Region) *browser {
	w.Helper()
	p := staff.Person{Login: login, Name: "Person " + login, Role: role, Language: "en"}
	for _, r := range regions {
		p.Regions = append(p.Regions, r.ID)
	}
	id, err := w.app.Store.AddStaff(w.Context(), p, "")
	if err != nil {
		w.Fatal(err)
	}
	b := w.stranger()
	b.signIn(id)
	return b
}

// signIn gives the browser a session of a person.
func (b *browser) signIn(id staff.ID) {
	b.w.Helper()
	account, err := b.w.app.Accounts.ByID(b.w.Context(), id)
	if err != nil {
		b.w.Fatal(err)
	}
	cookie, err := b.w.app.Sessions.Token(b.w.Context(), id, account.Epoch)
	if err != nil {
		b.w.Fatal(err)
	}
	origin, err := url.Parse(b.w.origin)
	if err != nil {
		b.w.Fatal(err)
	}
	b.client.Jar.SetCookies(origin, []*http.Cookie{cookie})
	b.person = &account.Person
}

// answer is a page as it came.
type answer struct {
	w      *world
	status int
	header http.Header
	body   string
}

// get asks for a page.
func (b *browser) get(path string) answer { return b.do(http.MethodGet, path, nil, nil) }

// post sends a form, as a page of the console does.
func (b *browser) post(path string, fields url.Values) answer {
	return b.do(http.MethodPost, path, fields, http.Header{"Origin": {b.w.origin}, "Sec-Fetch-Site": {"same-origin"}})
}

func (b *browser) do(method, path string, fields url.Values, header http.Header) answer {
	b.w.Helper()
	var body io.Reader
	if fields != nil {
		body = strings.NewReader(fields.Encode())
	}
	request, err := http.NewRequestWithContext(b.w.Context(), method, b.w.origin+path, body)
	if err != nil {
		b.w.Fatal(err)
	}
	if fields != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := b.client.Do(request)
	if err != nil {
		b.w.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		b.w.Fatal(err)
	}
	return answer{b.w, response.StatusCode, response.Header, string(raw)}
}

// is fails unless the answer has a status, and gives it back.
func (a answer) is(status int) answer {
	a.w.Helper()
	if a.status != status {
		a.w.Fatalf("status %d (to %q), want %d:\n%s", a.status, a.header.Get("Location"), status, a.text())
	}
	return a
}

// leads fails unless the answer is 303 to a path.
func (a answer) leads(path string) {
	a.w.Helper()
	if to := a.is(http.StatusSeeOther).header.Get("Location"); to != path {
		a.w.Fatalf("leads to %q, want %q", to, path)
	}
}

// says fails unless all words stand on the page, as a person reads it.
func (a answer) says(words ...string) answer {
	a.w.Helper()
	text := a.text()
	for _, word := range words {
		if !strings.Contains(text, word) {
			a.w.Errorf("the page does not say %q:\n%s", word, text)
		}
	}
	return a
}

// lacks fails if one of the words stands anywhere in the page, attributes and
// all.
func (a answer) lacks(words ...string) answer {
	a.w.Helper()
	for _, word := range words {
		if strings.Contains(a.body, word) {
			a.w.Errorf("the page has %q", word)
		}
	}
	return a
}

// text is the page as a person reads it, with single spaces.
func (a answer) text() string {
	var words []string
	skip := 0
	tokens := html.NewTokenizer(strings.NewReader(a.body))
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return strings.Join(words, " ")
		case html.StartTagToken:
			if name, _ := tokens.TagName(); slices.Contains([]string{"script", "style", "head"}, string(name)) {
				skip++
			}
		case html.EndTagToken:
			if name, _ := tokens.TagName(); slices.Contains([]string{"script", "style", "head"}, string(name)) {
				skip--
			}
		case html.TextToken:
			if skip == 0 {
				words = append(words, strings.Fields(string(tokens.Text()))...)
			}
		}
	}
}

// logBuffer is the log of a world.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write adds a line.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// take gives what was written since it was asked the last time.
func (l *logBuffer) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}
