package cli_test

import (
	"bytes"
	"context"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"deskbridge/cli"
)

// account is an account as commands print it.
type account struct {
	Login, Name, Role, Link string
	Regions                 []string
	Disabled                bool
	HasPassword             bool `json:"has_password"`
	HasFactor               bool `json:"has_second_factor"`
}

func TestUsers(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	h.more = append(h.more, "DESKBRIDGE_CONSOLE_URL=https://chat.example.org/")
	boss := decode[account](h, "user", "add", "Boss@Example.org", "--name", "Boss", "--role", "operator")
	if boss.Login != "boss@example.org" || boss.HasPassword || !regexp.MustCompile(`^https://chat\.example\.org/admin/link/[A-Za-z0-9_-]{43}$`).MatchString(boss.Link) {
		t.Fatalf("%+v", boss)
	}
	out := h.want(cli.ExitOK, "user", "add", "anna", "--name", "Anna", "--role", "admin", "--region", "testland")
	if !strings.Contains(out, "anna (Anna): admin testland") || !strings.Contains(out, "https://chat.example.org/admin/link/") {
		t.Errorf("add says %q", out)
	}
	for _, wrong := range []struct {
		code int
		args []string
	}{
		{cli.ExitConflict, []string{"add", "anna", "--name", "Anna", "--role", "operator"}},
		{cli.ExitInput, []string{"add", "a b", "--name", "Anna", "--role", "operator"}},
		{cli.ExitInput, []string{"add", "x", "--name", "X", "--role", "viewer"}},
		{cli.ExitInput, []string{"add", "x", "--name", "X", "--role", "operator", "--password-stdin"}}, // too short
		{cli.ExitNotFound, []string{"add", "x", "--name", "X", "--role", "viewer", "--region", "none"}},
		{cli.ExitUsage, []string{"add", "x", "--name", "X", "--role", "operator", "--region", "testland"}},
		{cli.ExitUsage, []string{"add", "x", "--name", "X", "--role", "root"}},
		{cli.ExitUsage, []string{"add", "x"}},
		{cli.ExitNotFound, []string{"disable", "nobody"}},
		{cli.ExitNotFound, []string{"link", "nobody"}},
		{cli.ExitInput, []string{"role", "anna", "--role", "viewer"}},
	} {
		h.want(wrong.code, append([]string{"user"}, wrong.args...)...)
	}
	if got := h.want(cli.ExitOK, "user", "list"); !strings.Contains(got, "anna") || strings.Contains(got, "/admin/link/") || !strings.Contains(got, "none yet") {
		t.Errorf("list: %s", got)
	}
	h.want(cli.ExitOK, "user", "role", "anna", "--role", "operator")
	h.want(cli.ExitOK, "user", "role", "ANNA", "--role", "viewer", "--region", "testland")
	h.want(cli.ExitOK, "user", "disable", "anna")
	h.want(cli.ExitConflict, "user", "link", "anna")
	all := decode[[]account](h, "user", "list")
	if len(all) != 2 || all[0].Login != "anna" || !all[0].Disabled || all[0].Role != "viewer" || !slices.Equal(all[0].Regions, []string{"testland"}) || all[0].Link != "" {
		t.Fatalf("%+v", all)
	}
	h.want(cli.ExitOK, "user", "enable", "anna")
	if again := decode[account](h, "user", "link", "anna"); again.Link == "" || again.Link == boss.Link {
		t.Errorf("link: %+v", again)
	}
	if got := h.want(cli.ExitOK, "user", "totp-off", "anna"); !strings.Contains(got, "has no second factor") {
		t.Errorf("totp-off: %s", got)
	}
}

func TestPasswordFromStandardInput(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	const password = "correct horse battery"
	var out, errs bytes.Buffer
	environ := []string{"DESKBRIDGE_DATA_DIR=" + filepath.Join(h.dir, "data")}
	code := cli.Run(t.Context(), []string{"user", "add", "boss", "--name", "Boss", "--role", "operator", "--password-stdin"},
		cli.World{Stdin: strings.NewReader(password + "\n"), Stdout: &out, Stderr: &errs, Environ: environ})
	if code != cli.ExitOK || strings.Contains(out.String(), "/admin/link/") || strings.Contains(out.String()+errs.String(), password) {
		t.Fatalf("%d %s%s", code, out.String(), errs.String())
	}
	if all := decode[[]account](h, "user", "list"); len(all) != 1 || !all[0].HasPassword {
		t.Fatalf("%+v", all)
	}
	// The only one who can get in stays.
	h.want(cli.ExitConflict, "user", "disable", "boss")
	h.addRegion()
	h.want(cli.ExitConflict, "user", "role", "boss", "--role", "viewer", "--region", "testland")
}

// TestFirstStart: serve says how to make the first account while there is none,
// and not in its log.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	link := regexp.MustCompile(`(?m)^  (http://127\.0\.0\.1:\d+/admin/link/[A-Za-z0-9_-]{43})$`)
	serve := func(environ ...string) string {
		t.Helper()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var log output
		ended := make(chan int, 1)
		go func() {
			ended <- cli.Run(ctx, []string{"serve"}, cli.World{Stdout: &log, Stderr: &log, Environ: append([]string{
				"DESKBRIDGE_DATA_DIR=" + filepath.Join(h.dir, "data"), "DESKBRIDGE_LISTEN=127.0.0.1:0", "DESKBRIDGE_LOG_FORMAT=json",
			}, environ...)})
		}()
		deadline := time.After(30 * time.Second)
		for !strings.Contains(log.String(), `"msg":"serving"`) {
			select {
			case code := <-ended:
				t.Fatalf("serve ended with %d: %s", code, log.String())
			case <-deadline:
				t.Fatalf("serve does not say that it serves: %s", log.String())
			case <-time.After(10 * time.Millisecond):
			}
		}
		if said := link.FindStringSubmatch(log.String()); said != nil {
			answer, err := http.Get(said[1])
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				t.Errorf("the link answers %s", answer.Status)
			}
		}
		stop()
		if code := <-ended; code != cli.ExitOK {
			t.Fatalf("serve ended with %d: %s", code, log.String())
		}
		return log.String()
	}
	for range 2 {
		log := serve()
		if n := len(link.FindAllString(log, -1)); n != 1 {
			t.Errorf("%d links: %s", n, log)
		}
		for line := range strings.Lines(log) {
			if strings.HasPrefix(line, "{") && strings.Contains(line, "/admin/link/") {
				t.Errorf("the log has the link: %s", line)
			}
		}
	}
	if log := serve("DESKBRIDGE_CONSOLE_ENABLED=false"); strings.Contains(log, "/admin/link/") {
		t.Errorf("there is no console: %s", log)
	}
	h.want(cli.ExitOK, "user", "add", "boss", "--name", "Boss", "--role", "operator")
	if log := serve("DESKBRIDGE_CONSOLE_URL=https://chat.example.org"); strings.Contains(log, "/admin/link/") {
		t.Errorf("there is an account: %s", log)
	}
}
