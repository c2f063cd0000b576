package reliability

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "modernc.org/sqlite" // to let leases pass

	"deskbridge/zammad"
	"deskbridge/zammad/simulator"
)

// What the house's region is called and how its webhooks are signed.
const (
	region    = "testland"
	signature = "signature-of-tests"
)

// house is an installation with everything around it: instances of the real
// program behind a load balancer, a simulated Zammad behind a network, and
// administrators who have connected them.
type house struct {
	t        *testing.T
	dir      string
	database string
	env      []string
	sim      *process
	access   struct {
		URL         string `json:"url"`
		BridgeToken string `json:"bridge_token"`
		AgentToken  string `json:"agent_token"`
		AdminToken  string `json:"admin_token"`
		Group       string `json:"group"`
	}
	admin, agent *zammad.Client
	desk         *passage // from the instances to Zammad
	front        *passage // from devices and Zammad to the instances
	instances    []*process
}

// newHouse prepares everything; instances are started by start.
func newHouse(t *testing.T, database string, more ...string) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), database: database}
	h.sim = start(t, "simulate", nil, binary(t), "simulate", "--listen", "127.0.0.1:0", "--json")
	said := h.sim.says(&h.sim.stdout, `{"zammad":`, "}")
	if err := json.Unmarshal([]byte(said+"}"), &h.access); err != nil {
		t.Fatal(err)
	}
	h.desk, h.front = newPassage(t, strings.TrimPrefix(h.access.URL, "http://")), newPassage(t)
	h.env = append([]string{
		"DESKBRIDGE_DATA_DIR=" + filepath.Join(h.dir, "data"), "DESKBRIDGE_DATABASE_URL=" + database,
		"DESKBRIDGE_LISTEN=127.0.0.1:0", "DESKBRIDGE_LOG_LEVEL=info",
		"DESKBRIDGE_LIMITS_EXEMPT_LOOPBACK=true", "DESKBRIDGE_LIMITS_DEVICE_WRITES_PER_MINUTE=0", "DESKBRIDGE_EGRESS_ALLOW=127.0.0.0/8,::1",
		// The simulated Zammad is done with a write long before.
		"DESKBRIDGE_ZAMMAD_WRITE_HORIZON=3s", "DESKBRIDGE_ZAMMAD_WRITE_TIMEOUT=2s", "DESKBRIDGE_ZAMMAD_READ_TIMEOUT=2s",
		"DESKBRIDGE_JOBS_RECONCILE=@every 1s",
	}, more...)
	h.admin, h.agent = h.client(h.access.AdminToken), h.client(h.access.AgentToken)
	h.connect()
	h.command("region", "add", region, "--zammad-url", "http://"+h.desk.address, "--zammad-group", h.access.Group,
		"--zammad-token-file", h.file("token", h.access.BridgeToken), "--webhook-signature-token-file", h.file("signature", signature),
		"--languages", "de", "--percentage", "100", "--enabled")
	return h
}

func (h *house) client(token string) *zammad.Client {
	h.t.Helper()
	c, err := zammad.New(zammad.Config{URL: h.access.URL, Token: token})
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h *house) file(name, content string) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// connect makes webhook and triggers, as docs/zammad.md says.
func (h *house) connect() {
	h.t.Helper()
	ctx := h.t.Context()
	hook, err := h.admin.Webhooks.Create(ctx, zammad.Webhook{
		Name: "Deskbridge", Endpoint: "http://" + h.front.address + "/api/v3/webhook/zammad/" + region + "/",
		SignatureToken: signature, SSLVerify: true, Active: true,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	is := func(value any) zammad.Condition { return zammad.Condition{Operator: "is", Value: value} }
	for name, when := range map[string]zammad.Conditions{
		"answers": {"article.action": is("create"), "article.sender_id": is([]string{"1", "3"}), "article.internal": is([]string{"false"})},
		"states":  {"ticket.action": is("update"), "ticket.state_id": zammad.Condition{Operator: "has changed", Value: []string{}}},
	} {
		_, err := h.admin.Triggers.Create(ctx, zammad.Trigger{
			Name: name, Condition: when, Activator: "action", ExecutionConditionMode: "selective", Active: true, DisableNotification: true,
			Perform: map[string]any{"notification.webhook": map[string]string{"webhook_id": strconv.FormatInt(int64(hook.ID), 10)}},
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

// command runs a command of the program that must succeed.
func (h *house) command(args ...string) {
	h.t.Helper()
	p := start(h.t, args[0], h.env, binary(h.t), args...)
	<-p.ended
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		h.t.Fatalf("%q ended with %d: %s", args, code, p.stderr.tail())
	}
}

// launch starts an instance without waiting for it.
func (h *house) launch(name string) *process {
	h.t.Helper()
	return start(h.t, "serve "+name, append([]string{"DESKBRIDGE_INSTANCE=" + name}, h.env...), binary(h.t), "serve")
}

// address waits until an instance takes requests.
func (h *house) address(p *process) string {
	h.t.Helper()
	said := p.says(&p.stderr, "msg=serving version=", " database=")
	return said[strings.LastIndex(said, "=")+1:]
}

// open starts instances of these names, and leads devices and webhooks to them.
func (h *house) open(names ...string) {
	h.t.Helper()
	var targets []string
	h.instances = nil
	for _, name := range names {
		h.instances = append(h.instances, h.launch(name))
	}
	for _, p := range h.instances {
		targets = append(targets, h.address(p))
	}
	h.front.lead(targets...)
}

// passLeases does what some seconds would do: nobody holds a lane any more. A
// killed process cannot give its lanes back, and with many kills the next one
// would find nobody at work.
func (h *house) passLeases() {
	h.t.Helper()
	db := h.sql()
	defer db.Close()
	await(h.t, "let leases pass", func() error {
		_, err := db.ExecContext(h.t.Context(), "UPDATE chats SET claimed_until = 0 WHERE claimed_until > 0")
		return err
	})
}

// sql opens the database beside the program.
func (h *house) sql() *sql.DB {
	h.t.Helper()
	driver, name := "sqlite", "file:"+strings.TrimPrefix(h.database, "sqlite:")+"?_pragma=busy_timeout(10000)&_txlock=immediate"
	if rest, is := strings.CutPrefix(h.database, "mysql://"); is {
		user, rest, _ := strings.Cut(rest, "@")
		config := mysql.NewConfig()
		config.Net = "tcp"
		config.User, config.Passwd, _ = strings.Cut(user, ":")
		config.Addr, config.DBName, _ = strings.Cut(rest, "/")
		driver, name = "mysql", config.FormatDSN()
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		h.t.Fatal(err)
	}
	return db
}

// truth reads what Zammad holds.
func (h *house) truth(ctx context.Context) (simulator.State, error) {
	var state simulator.State
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.access.URL+"/simulator/state", nil)
	if err != nil {
		return state, err
	}
	request.Header.Set("Authorization", "Token token="+h.access.AdminToken)
	return state, fetch(request, http.StatusOK, &state)
}

// readiness is the answer of /readyz.
type readiness struct {
	Status string
	Checks map[string]struct {
		OK     bool
		Queued int
	}
}

// ready asks one instance, or whichever the load balancer chooses, for /readyz.
func (h *house) ready(ctx context.Context, address string) (status int, report readiness, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return 0, report, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, report, err
	}
	defer answer.Body.Close()
	return answer.StatusCode, report, json.NewDecoder(answer.Body).Decode(&report)
}

// client gives up early, as devices do. Each call has a connection of its own,
// so that a load balancer spreads them.
var client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func fetch(request *http.Request, status int, into any) error {
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != status {
		return fmt.Errorf("%s %s: %s", request.Method, request.URL.Path, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}
