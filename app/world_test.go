package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/config"
	"deskbridge/storage/storagetest"
	"deskbridge/zammad"
)

// world is a bridge between devices and a simulated Zammad, all over real HTTP.
// Between bridge and Zammad stands a line that can be cut.
type world struct {
	t      *testing.T
	line   *line
	access zammadAccess
	admin  *zammad.Client
	agent  *zammad.Client
	env    []string
	bridge *instance
}

// instance is one instance of the bridge.
type instance struct {
	app    *App
	origin string
	stop   func()
}

// newWorld starts Zammad and a bridge on a database given by its URL, with more
// settings.
func newWorld(t *testing.T, database string, env ...string) *world {
	t.Helper()
	ctx := t.Context()
	log := slog.New(slog.DiscardHandler)
	sim, err := listenSimulation(ctx, "127.0.0.1:0", "--listen", log)
	if err != nil {
		t.Fatal(err)
	}
	background, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sim.run(background) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("simulator: %v", err)
		}
	})
	w := &world{t: t}
	if w.access, w.admin, err = sim.provision(ctx); err != nil {
		t.Fatal(err)
	}
	if w.agent, err = zammad.New(zammad.Config{URL: sim.origin, Token: w.access.AgentToken}); err != nil {
		t.Fatal(err)
	}
	w.line = newLine(t, sim.origin)
	w.env = []string{
		"DESKBRIDGE_DATA_DIR=" + t.TempDir(), "DESKBRIDGE_DATABASE_URL=" + database,
		"DESKBRIDGE_SECRET_KEY=" + strings.Repeat("5a", 32),
		"DESKBRIDGE_LIMITS_EXEMPT_LOOPBACK=true", "DESKBRIDGE_LIMITS_DEVICE_WRITES_PER_MINUTE=0", "DESKBRIDGE_EGRESS_ALLOW=127.0.0.0/8,::1",
		"DESKBRIDGE_ZAMMAD_WRITE_HORIZON=2s", "DESKBRIDGE_JOBS_RECONCILE=@every 1s",
	}
	w.env = append(w.env, env...)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := w.open("one")
	d := &demo{origin: originOf(listener.Addr()), signature: "signature-of-tests"}
	if err := d.connect(ctx, w.admin, demoPlaces[0]); err != nil {
		t.Fatal(err)
	}
	region := &bridge.Region{
		Slug: demoRegion, Name: "Testland", Enabled: true,
		Settings: bridge.RegionSettings{
			Languages: []bridge.Language{{Code: "de"}, {Code: "en"}}, Percentage: 100,
			ZammadURL: w.line.URL, ZammadGroup: w.access.Group,
		}.WithDefaults(),
		ZammadToken: bridge.Secret(w.access.BridgeToken), WebhookSecret: bridge.Secret(d.signature),
	}
	if err := a.Store.AddRegion(ctx, region); err != nil {
		t.Fatal(err)
	}
	if err := a.Regions.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	w.bridge = w.serve(a, listener)
	return w
}

// eachDatabase runs a scenario on SQLite and, where there is one, on MariaDB.
func eachDatabase(t *testing.T, scenario func(t *testing.T, w *world)) {
	t.Helper()
	storagetest.EachURL(t, func(t *testing.T, url string) { scenario(t, newWorld(t, url)) })
}

func (w *world) open(name string) *App {
	w.t.Helper()
	cfg, err := config.Load("", append(slices.Clone(w.env), "DESKBRIDGE_INSTANCE="+name))
	if err != nil {
		w.t.Fatal(err)
	}
	handler := slog.Handler(slog.DiscardHandler)
	if os.Getenv("DESKBRIDGE_TEST_LOG") != "" {
		handler = slog.NewTextHandler(w.t.Output(), nil)
	}
	a, err := Open(context.Background(), cfg, slog.New(handler))
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// serve lets an instance run until it is stopped or the test ends.
func (w *world) serve(a *App, listener net.Listener) *instance {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		done <- a.Serve(ctx, ServeOptions{Listener: listener, Ready: func(addr net.Addr) { ready <- addr }})
	}()
	r := &instance{app: a, origin: originOf(<-ready)}
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("serve: %v", err)
		}
		if err := a.Close(); err != nil {
			w.t.Errorf("close: %v", err)
		}
	})
	w.t.Cleanup(r.stop)
	return r
}

// another starts one more instance on the same database.
func (w *world) another(name string) *instance {
	w.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	return w.serve(w.open(name), listener)
}

// phone is a device.
type phone struct {
	w      *world
	origin string
	id     string
}

func (w *world) phone(id string) *phone { return &phone{w, w.bridge.origin, id} }

// wireState is what a device is answered.
type wireState struct {
	Messages []struct {
		ID        int64
		Seq       int64
		Text      string
		Content   string
		Author    string
		Name      string
		Status    string
		Retracted bool
		CreatedAt time.Time `json:"created_at"`
	}
	Seq  int64
	Code string
	Chat struct {
		State, Notice, Away string
		Typing              bool
	}
	Read int64
}

// texts gives the history as one line for each message.
func (s wireState) texts() []string {
	var out []string
	for _, m := range s.Messages {
		out = append(out, m.Author+": "+m.Text)
	}
	return out
}

func (p *phone) do(method, language, query string, fields url.Values) (int, wireState) {
	p.w.t.Helper()
	body := strings.NewReader(fields.Encode())
	request, err := http.NewRequest(method, p.origin+"/api/v3/"+demoRegion+"/"+language+"/chat/"+p.id+"/"+query, body)
	if err != nil {
		p.w.t.Fatal(err)
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		p.w.t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		p.w.t.Fatal(err)
	}
	var state wireState
	if err := json.Unmarshal(raw, &state); err != nil {
		p.w.t.Fatalf("%s: %s", err, raw)
	}
	return answer.StatusCode, state
}

func (p *phone) send(text string) wireState {
	p.w.t.Helper()
	status, state := p.do(http.MethodPost, "de", "", url.Values{"message": {text}})
	if status != http.StatusOK {
		p.w.t.Fatalf("sending %q: %d %s", text, status, state.Code)
	}
	return state
}

func (p *phone) read() wireState {
	p.w.t.Helper()
	_, state := p.do(http.MethodGet, "de", "", nil)
	return state
}

// sees waits until the device's history is exactly this.
func (p *phone) sees(want ...string) wireState {
	p.w.t.Helper()
	var got wireState
	waitFor(p.w.t, func() error {
		if got = p.read(); !slices.Equal(got.texts(), want) {
			return fmt.Errorf("the device sees %q, want %q", got.texts(), want)
		}
		return nil
	})
	return got
}

// waitFor waits for a condition. The bound is for machines that are busy; a
// good run never comes near it.
func waitFor(t *testing.T, condition func() error) {
	t.Helper()
	var err error
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(60 * time.Second)
	for {
		if err = condition(); err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal(err)
		case <-tick.C:
		}
	}
}

// tickets lists the chat group's tickets, oldest first.
func (w *world) tickets() []zammad.Ticket {
	w.t.Helper()
	found, err := w.admin.Tickets.Search(w.t.Context(), zammad.Search{
		Conditions: zammad.Conditions{"ticket.id": zammad.Condition{Operator: "is not", Value: []string{"1"}}}, SortBy: "id", Limit: 200,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// ticket waits for the n-th chat ticket (from 1).
func (w *world) ticket(n int) zammad.Ticket {
	w.t.Helper()
	var out zammad.Ticket
	waitFor(w.t, func() error {
		all := w.tickets()
		if len(all) < n {
			return fmt.Errorf("%d tickets, want %d", len(all), n)
		}
		out = all[n-1]
		return nil
	})
	return out
}

// holds waits until a ticket has exactly these articles.
func (w *world) holds(id zammad.TicketID, want ...string) {
	w.t.Helper()
	waitFor(w.t, func() error {
		articles, err := w.admin.Articles.OfTicket(w.t.Context(), id)
		if err != nil {
			return err
		}
		var got []string
		for _, a := range articles {
			got = append(got, a.Sender+": "+a.Body)
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("ticket %d holds %q, want %q", id, got, want)
		}
		return nil
	})
}

// answer writes an agent's article.
func (w *world) answer(id zammad.TicketID, text string, internal bool) zammad.Article {
	w.t.Helper()
	// No person does two things in one millisecond, which is as exact as Zammad
	// tells times: an answer in that of a merge counts as from before it.
	for done := time.Now().UnixMilli(); time.Now().UnixMilli() == done; {
		runtime.Gosched()
	}
	a, err := w.agent.Articles.Create(w.t.Context(), zammad.NewArticle{TicketID: id, Type: zammad.TypeNote, Body: text, Internal: &internal})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) setState(id zammad.TicketID, state string) {
	w.t.Helper()
	if _, err := w.agent.Tickets.Update(w.t.Context(), id, zammad.TicketUpdate{State: state}); err != nil {
		w.t.Fatal(err)
	}
}

// fault is what happens to a request on the line.
type fault int

const (
	pass      fault = iota
	down            // 503 by a web server, Zammad sees nothing
	cutBefore       // the connection ends, Zammad sees nothing
	cutAfter        // Zammad does the work, the answer is lost
	lateWork        // the connection ends at once, Zammad does the work a second later
)

// line is the connection between the bridge and Zammad.
type line struct {
	*httptest.Server
	mu    sync.Mutex
	rule  func(*http.Request) fault
	calls []string
	late  sync.WaitGroup
}

func newLine(t *testing.T, target string) *line {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	l := &line{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.calls = append(l.calls, r.Method+" "+r.URL.Path)
		happens := pass
		if l.rule != nil {
			happens = l.rule(r)
		}
		l.mu.Unlock()
		switch happens {
		case pass:
			proxy.ServeHTTP(w, r)
		case down:
			http.Error(w, "<html>bad gateway</html>", http.StatusServiceUnavailable)
		case cutBefore:
			panic(http.ErrAbortHandler)
		case cutAfter:
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case lateWork:
			body, _ := io.ReadAll(r.Body)
			late := r.Clone(context.Background())
			late.Body = io.NopCloser(bytes.NewReader(body))
			l.late.Go(func() {
				<-time.After(time.Second)
				proxy.ServeHTTP(httptest.NewRecorder(), late)
			})
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(func() { l.Close(); l.late.Wait() })
	return l
}

// set says from now on what happens to each request; nil lets all pass.
func (l *line) set(rule func(*http.Request) fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rule = rule
}

// once lets one thing happen to the next writing request, and all else pass.
func (l *line) once(happens fault) {
	done := false
	l.set(func(r *http.Request) fault {
		if done || r.Method == http.MethodGet || strings.HasSuffix(r.URL.Path, "/search") {
			return pass
		}
		done = true
		return happens
	})
}
