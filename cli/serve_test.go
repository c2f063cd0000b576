package cli_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"deskbridge/cli"
)

// output is a stream that a running command writes and a test reads.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func TestServeAndHealth(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.want(cli.ExitHealth, "health")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log output
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Run(ctx, []string{"serve"}, cli.World{Stdout: &log, Stderr: &log, Environ: []string{
			"DESKBRIDGE_DATA_DIR=" + filepath.Join(h.dir, "data"), "DESKBRIDGE_LISTEN=127.0.0.1:0", "DESKBRIDGE_LIMITS_READS_PER_MINUTE=0",
		}})
	}()
	said := regexp.MustCompile(`msg=serving .*listen=(\S+)`)
	deadline := time.After(30 * time.Second)
	for said.FindString(log.String()) == "" {
		select {
		case code := <-ended:
			t.Fatalf("serve ended with %d: %s", code, log.String())
		case <-deadline:
			t.Fatalf("serve does not say that it serves: %s", log.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	address := said.FindStringSubmatch(log.String())[1]
	if !strings.Contains(log.String(), "a limit is switched off") {
		t.Errorf("insecure settings are not named: %s", log.String())
	}
	h.more = []string{"DESKBRIDGE_LISTEN=" + address}
	if out := h.want(cli.ExitOK, "health"); out != "ok\n" {
		t.Errorf("health: %q", out)
	}
	h.want(cli.ExitListen, "serve") // the address is taken
	h.want(cli.ExitListen, "demo", "--listen", address)
	h.want(cli.ExitListen, "simulate", "--listen", address)

	h.addRegion()
	obeys(t, "http://"+address+"/api/v3/testland/de/chat/device-1/", http.StatusNotFound) // the region is there, the chat is not
	h.want(cli.ExitOK, "region", "set", "testland", "--no-enabled")
	obeys(t, "http://"+address+"/api/v3/testland/de/chat/device-1/", http.StatusServiceUnavailable)
	stop()
	if code := <-ended; code != cli.ExitOK {
		t.Errorf("a stop is no error: %d, %s", code, log.String())
	}
}

// obeys waits until serve answers as the changed regions demand: it has two
// seconds.
func obeys(t *testing.T, url string, status int) {
	t.Helper()
	want := map[int]string{http.StatusNotFound: "chat_not_found", http.StatusServiceUnavailable: "chat_disabled"}[status]
	deadline := time.Now().Add(2 * time.Second)
	for {
		answer, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode == status && strings.Contains(string(body), want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after two seconds still %d %s, want %d %s", answer.StatusCode, body, status, want)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func TestAWrongKeyIsNoticed(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	key := filepath.Join(h.dir, "data", "secret.key")
	if err := os.WriteFile(key, []byte(hex.EncodeToString(bytes.Repeat([]byte{1}, 32))), 0o600); err != nil {
		t.Fatal(err)
	}
	h.want(cli.ExitKey, "serve")
	if out := h.want(cli.ExitKey, "doctor"); !strings.Contains(out, "bring back the key") {
		t.Error(out)
	}
	if err := os.WriteFile(key, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.want(cli.ExitKey, "chats")
	h.want(cli.ExitKey, "doctor")
}

// doctorReport is what doctor --json prints.
type doctorReport struct {
	OK       bool `json:"ok"`
	Findings []struct{ Status, Check, Detail, Mend string }
}

func TestDoctorOfAnEmptyHouseChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	report := decode[doctorReport](h, "doctor")
	if !report.OK || len(report.Findings) != 2 || report.Findings[1].Status != "warn" || report.Findings[1].Check != "secret key" {
		t.Errorf("%+v", report)
	}
	if left, err := os.ReadDir(h.dir); err != nil || len(left) != 0 {
		t.Errorf("doctor left %v, %v", left, err)
	}
	h.want(cli.ExitOK, "migrate")
	h.want(cli.ExitOK, "chats") // makes the key
	if err := os.Chmod(filepath.Join(h.dir, "data", "secret.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := h.want(cli.ExitOK, "doctor"); !strings.Contains(out, "has mode 0644") || !strings.Contains(out, "the schema is this version's") || !strings.Contains(out, "region add") {
		t.Error(out)
	}
}

func TestDoctorFindsWhatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // somebody else's port, free again in a moment
	if err != nil {
		t.Fatal(err)
	}
	dead := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	h := newHome(t)
	h.want(cli.ExitOK, "region", "add", "testland", "--languages", "de", "--zammad-url", "http://"+dead, "--zammad-group", "x",
		"--zammad-token-file", h.file("token", token), "--enabled")
	if out := h.want(cli.ExitZammad, "doctor"); !strings.Contains(out, "fail  region testland") || !strings.Contains(out, "check the address") || !strings.Contains(out, "no webhook secret") {
		t.Error(out)
	}
	h.more = []string{"DESKBRIDGE_REDIS_URL=redis://:hunter2@" + dead}
	if out := h.want(cli.ExitRedis, "doctor"); !strings.Contains(out, "fail  redis") || strings.Contains(out, "hunter2") {
		t.Error(out)
	}
	h.more = []string{"DESKBRIDGE_DATABASE_URL=mysql://root@" + dead + "/x"}
	h.want(cli.ExitDatabase, "doctor")
}

func TestPrivateAddressesAreNamed(t *testing.T) {
	t.Parallel()
	h := newHome(t, "DESKBRIDGE_EGRESS_ALLOW=192.168.0.0/16")
	h.want(cli.ExitOK, "region", "add", "testland", "--languages", "de", "--zammad-url", "http://10.1.2.3", "--zammad-group", "x",
		"--zammad-token-file", h.file("token", token), "--enabled")
	for _, report := range []string{h.want(cli.ExitZammad, "doctor"), h.serveUntil("connected to")} {
		for _, want := range []string{"testland", "zammad_url: 10.1.2.3: the address is private", "egress.allow"} {
			if !strings.Contains(report, want) {
				t.Errorf("%q is missing in %s", want, report)
			}
		}
	}
	h.more = []string{"DESKBRIDGE_EGRESS_ALLOW=*.intern"}
	if out := h.want(cli.ExitConfig, "doctor"); !strings.Contains(out, "egress.allow must be a list of networks") {
		t.Error(out)
	}
}

// serveUntil lets the house serve until it has logged a text, and gives its log.
func (h *home) serveUntil(text string) string {
	h.t.Helper()
	ctx, stop := context.WithCancel(h.t.Context())
	defer stop()
	var log output
	ended := make(chan int, 1)
	go func() {
		environ := append([]string{"DESKBRIDGE_DATA_DIR=" + filepath.Join(h.dir, "data"), "DESKBRIDGE_LISTEN=127.0.0.1:0"}, h.more...)
		ended <- cli.Run(ctx, []string{"serve"}, cli.World{Stdout: &log, Stderr: &log, Environ: environ})
	}()
	deadline := time.After(30 * time.Second)
	for !strings.Contains(log.String(), text) {
		select {
		case code := <-ended:
			h.t.Fatalf("serve ended with %d: %s", code, log.String())
		case <-deadline:
			h.t.Fatalf("serve does not say %q: %s", text, log.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	stop()
	if code := <-ended; code != cli.ExitOK {
		h.t.Errorf("serve ended with %d", code)
	}
	return log.String()
}

// simulated starts a simulated Zammad and gives its access.
func simulated(t *testing.T) (access struct {
	URL    string `json:"url"`
	Token  string `json:"bridge_token"`
	Group  string `json:"group"`
	Person string `json:"agent_token"`
}) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var out, log output
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Run(ctx, []string{"simulate", "--listen", "127.0.0.1:0", "--json"}, cli.World{Stdout: &out, Stderr: &log})
	}()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != cli.ExitOK {
			t.Errorf("simulate ended with %d: %s", code, log.String())
		}
	})
	deadline := time.After(30 * time.Second)
	for !strings.HasSuffix(out.String(), "\n") {
		select {
		case <-deadline:
			t.Fatalf("simulate is not ready: %s", log.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	line := struct{ Zammad any }{&access}
	if err := json.Unmarshal([]byte(out.String()), &line); err != nil {
		t.Fatal(err)
	}
	return access
}

func TestDoctorExaminesZammad(t *testing.T) {
	t.Parallel()
	zammad := simulated(t)
	h := newHome(t)
	h.want(cli.ExitOK, "region", "add", "testland", "--languages", "de", "--zammad-url", zammad.URL, "--zammad-group", zammad.Group,
		"--zammad-token-file", h.file("token", zammad.Token), "--webhook-signature-token-file", h.file("signature", signature), "--enabled")
	if out := h.want(cli.ExitOK, "doctor"); strings.Contains(out, "warn") || !strings.Contains(out, "the user has the rights in group "+zammad.Group) {
		t.Error(out)
	}
	h.want(cli.ExitOK, "region", "set", "testland", "--zammad-group", "Backoffice")
	if out := h.want(cli.ExitZammad, "doctor"); !strings.Contains(out, "full rights in the group") {
		t.Error(out)
	}
	h.want(cli.ExitOK, "region", "set", "testland", "--zammad-group", zammad.Group, "--zammad-token-file", h.file("token", token))
	if out := h.want(cli.ExitZammad, "doctor"); !strings.Contains(out, "make a new token") || strings.Contains(out, token) {
		t.Error(out)
	}
}
