package app

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"deskbridge/zammad"
)

const anyPort = "127.0.0.1:0"

// captured is a standard output that tells when something stands in it.
type captured struct {
	mu      sync.Mutex
	text    bytes.Buffer
	once    sync.Once
	written chan struct{}
}

func capture() *captured { return &captured{written: make(chan struct{})} }

func (c *captured) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.once.Do(func() { close(c.written) })
	return c.text.Write(p)
}

func (c *captured) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// running is a command that runs until stop, which checks that it ends well.
type running struct {
	out  *captured
	stop func()
}

func startCommand(t *testing.T, run func(context.Context, io.Writer) error) running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, ended := capture(), make(chan error, 1)
	go func() { ended <- run(ctx, out) }()
	select {
	case <-out.written:
	case err := <-ended:
		cancel()
		t.Fatalf("it ended before it was ready: %v", err)
	case <-time.After(30 * time.Second):
		cancel()
		t.Fatal("it is not ready after 30 s")
	}
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("it was stopped and ended with %v, want nil", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("it still runs 30 s after it was stopped")
		}
	})
	t.Cleanup(stop)
	return running{out, stop}
}

func startDemo(t *testing.T, dir string) (demoReady, running) {
	t.Helper()
	r := startCommand(t, func(ctx context.Context, out io.Writer) error {
		return Demo(ctx, DemoOptions{Listen: anyPort, ZammadListen: anyPort, DataDir: dir, JSON: true, Stdout: out, Log: quiet()})
	})
	var ready demoReady
	decoder := json.NewDecoder(strings.NewReader(r.out.String()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&ready); err != nil {
		t.Fatalf("standard output %q is no line of JSON: %v", r.out, err)
	}
	return ready, r
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// eventually asks until the answer is yes.
func eventually(t *testing.T, what string, ask func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !ask() {
		select {
		case <-deadline:
			t.Fatalf("still not after 20 s: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// handset is a device, as the existing app is one: forms and polls.
type handset struct {
	t    *testing.T
	url  string
	http *http.Client
}

type handsetMessage struct {
	Text   string `json:"text"`
	Author string `json:"author"`
	Status string `json:"status"`
}

func newHandset(t *testing.T, ready demoReady, id string) handset {
	t.Helper()
	d := handset{t, ready.DeviceAPI + "/api/v3/" + ready.Region + "/" + ready.Language + "/chat/" + id + "/", &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(d.http.CloseIdleConnections)
	return d
}

func (d handset) send(text, key string) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.url, strings.NewReader(`{"message": `+quote(text)+`}`))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	d.ask(req)
}

func (d handset) history() []handsetMessage {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, d.url, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.ask(req)
}

func (d handset) ask(req *http.Request) []handsetMessage {
	d.t.Helper()
	resp, err := d.http.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Messages []handsetMessage `json:"messages"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		d.t.Fatalf("%s answers %d (%v)", req.Method, resp.StatusCode, err)
	}
	return answer.Messages
}

// has says whether the device sees a message of the author with this text and status.
func (d handset) has(author, text, status string) bool {
	d.t.Helper()
	for _, m := range d.history() {
		if m == (handsetMessage{text, author, status}) {
			return true
		}
	}
	return false
}

func quote(text string) string {
	quoted, _ := json.Marshal(text) // a string can always be encoded
	return string(quoted)
}

func zammadAs(t *testing.T, access zammadAccess, token string) *zammad.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client, err := zammad.New(zammad.Config{URL: access.URL, Token: token, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// ticketsOf lists the tickets that the owner of the token sees in the chats' group, oldest first.
func ticketsOf(t *testing.T, client *zammad.Client) []zammad.Ticket {
	t.Helper()
	found, err := client.Tickets.Search(t.Context(), zammad.Search{
		Conditions: zammad.Conditions{"ticket.title": zammad.Condition{Operator: "contains", Value: "Testland"}}, SortBy: "id",
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func articlesOf(t *testing.T, client *zammad.Client, id zammad.TicketID) []zammad.Article {
	t.Helper()
	articles, err := client.Articles.OfTicket(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return articles
}

func TestDemoFromDeviceToDeskAndBack(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	before := goleak.IgnoreCurrent()
	ready, demo := startDemo(t, "")
	if n := strings.Count(demo.out.String(), "\n"); n != 1 {
		t.Errorf("standard output has %d lines, want 1", n)
	}
	if ready.DeviceAPI != strings.TrimSuffix(ready.Pages.Phone, "/demo/phone/?region=testland") {
		t.Errorf("device_api %q is not the origin of %q", ready.DeviceAPI, ready.Pages.Phone)
	}
	if filepath.Dir(ready.Data) != temporary {
		t.Errorf("data %q is not below %q", ready.Data, temporary)
	}

	phone := newHandset(t, ready, "my-device")
	phone.send("Guten Tag, ich brauche Hilfe", "1")
	phone.send("Guten Tag, ich brauche Hilfe", "1")
	agent := zammadAs(t, ready.Zammad, ready.Zammad.AgentToken)
	eventually(t, "the message is sent", func() bool { return phone.has("user", "Guten Tag, ich brauche Hilfe", "sent") })
	tickets := ticketsOf(t, agent)
	if len(tickets) != 1 {
		t.Fatalf("%d tickets, want 1", len(tickets))
	}
	if articles := articlesOf(t, agent, tickets[0].ID); len(articles) != 1 || !strings.Contains(articles[0].Body, "ich brauche Hilfe") {
		t.Fatalf("articles are %+v, want the message once", articles)
	}

	for _, note := range []struct {
		body     string
		internal bool
	}{{"only for colleagues", true}, {"Wie kann ich helfen?", false}} {
		_, err := agent.Articles.Create(t.Context(), zammad.NewArticle{TicketID: tickets[0].ID, Type: "note", Body: note.body, Internal: &note.internal})
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the answer is on the device", func() bool { return phone.has("agent", "Wie kann ich helfen?", "sent") })
	if phone.has("agent", "only for colleagues", "sent") {
		t.Error("an internal note is on the device")
	}
	if n := relayed(t, ready.Data); n != 1 {
		t.Errorf("%d deliveries were relayed, want 1: the answer came by another way than the webhook", n)
	}

	phone.http.CloseIdleConnections()
	demo.stop()
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("the temporary folder still holds %v (%v)", left, err)
	}
	goleak.VerifyNone(t, before, goleak.IgnoreTopFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1")) // gorm has no way to end it
}

// relayed counts the webhooks that the bridge has worked on.
func relayed(t *testing.T, dir string) int {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "deskbridge.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	n := 0
	eventually(t, "a delivery is relayed", func() bool {
		return db.QueryRowContext(t.Context(), "SELECT count(*) FROM deliveries WHERE outcome = 'relayed'").Scan(&n) == nil && n > 0
	})
	return n
}

func TestDemoGivesTheKeyOfItsWebhook(t *testing.T) {
	ready, _ := startDemo(t, "")
	body := `{"ticket": {"id": 77}, "article": {}}`
	for key, want := range map[string]int{ready.Webhook.SignatureToken: http.StatusOK, "another": http.StatusUnauthorized} {
		mac := hmac.New(sha1.New, []byte(key))
		mac.Write([]byte(body))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, ready.Webhook.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Zammad-Delivery", "one")
		req.Header.Set("X-Hub-Signature", "sha1="+hex.EncodeToString(mac.Sum(nil)))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("signed with %q: %d, want %d", key, resp.StatusCode, want)
		}
	}
}

// The second simulator knows nothing of the first one's tickets, and gives
// their numbers to other devices.
func TestDemoGoesOnInTheFolderOfAnEarlierOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	ready, demo := startDemo(t, dir)
	first := newHandset(t, ready, "first")
	first.send("before", "1")
	eventually(t, "the message is sent", func() bool { return first.has("user", "before", "sent") })
	first.http.CloseIdleConnections()
	demo.stop()

	ready, _ = startDemo(t, dir)
	other, first := newHandset(t, ready, "other"), newHandset(t, ready, "first")
	other.send("somebody else", "1")
	eventually(t, "the other device's message is sent", func() bool { return other.has("user", "somebody else", "sent") })
	if !first.has("user", "before", "sent") {
		t.Errorf("the history is %+v, want the message of the earlier demo", first.history())
	}
	first.send("after", "2")
	eventually(t, "the message is sent", func() bool { return first.has("user", "after", "sent") })
	agent := zammadAs(t, ready.Zammad, ready.Zammad.AgentToken)
	tickets := ticketsOf(t, agent)
	if len(tickets) != 2 {
		t.Fatalf("%d tickets, want one for each device", len(tickets))
	}
	for i, want := range []string{"somebody else", "after"} {
		articles := articlesOf(t, agent, tickets[i].ID)
		if len(articles) != 1 || !strings.Contains(articles[0].Body, want) {
			t.Errorf("ticket %d has %d articles, want %q alone", tickets[i].ID, len(articles), want)
		}
	}
	if _, err := agent.Articles.Create(t.Context(), zammad.NewArticle{TicketID: tickets[1].ID, Type: "note", Body: "answer"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answer is on the device", func() bool { return first.has("agent", "answer", "sent") })
	if other.has("agent", "answer", "sent") {
		t.Error("the answer is on another device")
	}
}

func TestDemoLeavesOtherFoldersAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "deskbridge.db"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := Demo(t.Context(), DemoOptions{Listen: anyPort, ZammadListen: anyPort, DataDir: dir, Stdout: io.Discard, Log: quiet()})
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "--data") {
		t.Errorf("the error is %v, want one with the folder and the flag", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("the folder holds %v (%v), want what was in it", left, err)
	}
}

func TestDemoSaysWhichAddressIsTaken(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	taken, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for flag, opts := range map[string]DemoOptions{
		"--listen":        {Listen: taken.Addr().String(), ZammadListen: anyPort},
		"--zammad-listen": {Listen: anyPort, ZammadListen: taken.Addr().String()},
	} {
		opts.Stdout, opts.Log = io.Discard, quiet()
		err := Demo(t.Context(), opts)
		var network *net.OpError
		if !errors.As(err, &network) || !strings.Contains(err.Error(), taken.Addr().String()) || !strings.Contains(err.Error(), flag+")") {
			t.Errorf("%s: the error is %v, want the address and the flag", flag, err)
		}
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("the temporary folder still holds %v (%v)", left, err)
	}
}

func TestDemoMayBeStoppedWhileItStarts(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	for _, lines := range []int{0, 1, 5, 20, 40} {
		ctx, cancel := context.WithCancel(t.Context())
		log := slog.New(&stopAfter{Handler: slog.DiscardHandler, lines: lines, stop: cancel})
		if lines == 0 {
			cancel()
		}
		out := capture()
		go func() { // a start of so few lines may end first
			select {
			case <-out.written:
				cancel()
			case <-ctx.Done():
			}
		}()
		if err := Demo(ctx, DemoOptions{Listen: anyPort, ZammadListen: anyPort, Stdout: out, Log: log}); err != nil {
			t.Errorf("stopped at line %d of the log, it ended with %v, want nil", lines, err)
		}
		if ctx.Err() == nil {
			t.Errorf("it ended by itself")
		}
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("the temporary folder still holds %v (%v)", left, err)
	}
}

// stopAfter stops at a certain line of the log, debugging lines included.
type stopAfter struct {
	slog.Handler
	lines int
	seen  atomic.Int64
	stop  func()
}

func (s *stopAfter) Enabled(context.Context, slog.Level) bool { return true }

func (s *stopAfter) Handle(context.Context, slog.Record) error {
	if s.seen.Add(1) == int64(s.lines) {
		s.stop()
	}
	return nil
}

func TestDemoTellsPeopleWhereToClick(t *testing.T) {
	demo := startCommand(t, func(ctx context.Context, out io.Writer) error {
		return Demo(ctx, DemoOptions{Listen: anyPort, ZammadListen: anyPort, Stdout: out, Log: quiet()})
	})
	for _, want := range []string{"/demo/phone/?region=testland\n", "/desk/#token=", "/api/v3/testland/de/chat/my-device/\n", "agent token", "Ctrl-C"} {
		if !strings.Contains(demo.out.String(), want) {
			t.Errorf("standard output lacks %q:\n%s", want, demo.out)
		}
	}
}

func TestSimulateGivesTokensThatWork(t *testing.T) {
	sim := startCommand(t, func(ctx context.Context, out io.Writer) error {
		return Simulate(ctx, SimulateOptions{Listen: anyPort, JSON: true, Stdout: out, Log: quiet()})
	})
	var ready struct {
		Zammad zammadAccess `json:"zammad"`
	}
	decoder := json.NewDecoder(strings.NewReader(sim.out.String()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&ready); err != nil || strings.Count(sim.out.String(), "\n") != 1 {
		t.Fatalf("standard output %q is not one line of JSON: %v", sim.out, err)
	}
	for token, want := range map[string]string{
		ready.Zammad.BridgeToken: bridgeLogin, ready.Zammad.AgentToken: agentLogin, ready.Zammad.AdminToken: adminLogin,
	} {
		me, err := zammadAs(t, ready.Zammad, token).Users.Me(t.Context())
		if err != nil {
			t.Fatalf("as %s: %v", want, err)
		}
		if me.Login != want || len(me.Groups[ready.Zammad.Group]) == 0 {
			t.Errorf("the token of %s is one of %s with groups %v", want, me.Login, me.Groups)
		}
	}
	if _, err := zammadAs(t, ready.Zammad, ready.Zammad.BridgeToken).Settings.List(t.Context()); !errors.Is(err, zammad.ErrForbidden) {
		t.Errorf("the bridge's token reads the settings: %v", err)
	}
}

// TestDemoOpensTheConsole: whoever is printed can sign in, also when a demo goes
// on in the folder of an earlier one, in which an account was disabled.
func TestDemoOpensTheConsole(t *testing.T) {
	dir := t.TempDir()
	enter := func(ready demoReady) {
		t.Helper()
		if ready.Console.URL != ready.DeviceAPI+"/admin/" || len(ready.Console.Accounts) != 3 {
			t.Fatalf("console: %+v", ready.Console)
		}
		for _, account := range ready.Console.Accounts {
			client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			answer, err := client.PostForm(ready.Console.URL+"sign-in/", url.Values{"login": {account.User}, "password": {account.Password}})
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/admin/" {
				t.Errorf("%s: %s", account.User, answer.Status)
			}
		}
	}
	ready, demo := startDemo(t, dir)
	enter(ready)
	demo.stop()
	cfg, err := demoConfig(dir, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	a, err := Open(t.Context(), cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Store.StaffByLogin(t.Context(), ready.Console.Accounts[1].User)
	if err != nil {
		t.Fatal(err)
	}
	to := c.Person
	to.Disabled = true
	_, err = a.Store.SetTOTP(t.Context(), c.ID, "SECRET", 1)
	if err := errors.Join(err, a.Accounts.Change(t.Context(), c.Person, to), a.Close()); err != nil {
		t.Fatal(err)
	}
	ready, _ = startDemo(t, dir)
	enter(ready)
}
