package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"deskbridge/cli"
)

// home is an installation in a folder of its own.
type home struct {
	t    *testing.T
	dir  string
	more []string // further environment
}

func newHome(t *testing.T, environ ...string) *home {
	t.Helper()
	return &home{t: t, dir: t.TempDir(), more: environ}
}

// try runs a command line.
func (h *home) try(args ...string) (code int, stdout, stderr string) {
	h.t.Helper()
	var out, errs bytes.Buffer
	environ := append([]string{"DESKBRIDGE_DATA_DIR=" + filepath.Join(h.dir, "data"), "DESKBRIDGE_LISTEN=127.0.0.1:0", "DESKBRIDGE_EGRESS_ALLOW=127.0.0.1"}, h.more...)
	code = cli.Run(h.t.Context(), args, cli.World{Stdin: strings.NewReader("from-stdin\n"), Stdout: &out, Stderr: &errs, Environ: environ})
	return code, out.String(), errs.String()
}

// want runs a command line that must end with code, and gives what it printed.
func (h *home) want(code int, args ...string) string {
	h.t.Helper()
	got, stdout, stderr := h.try(args...)
	if got != code {
		h.t.Fatalf("%q: exit code %d, want %d\n%s%s", args, got, code, stdout, stderr)
	}
	if code != cli.ExitOK && !strings.HasPrefix(stderr, "deskbridge: ") {
		h.t.Errorf("%q failed without a word: %q", args, stderr)
	}
	return stdout + stderr
}

// decode runs a command line with --json and reads its answer.
func decode[T any](h *home, args ...string) T {
	h.t.Helper()
	code, stdout, stderr := h.try(append(args, "--json")...)
	if code != cli.ExitOK {
		h.t.Fatalf("%q: exit code %d\n%s", args, code, stderr)
	}
	var v T
	if err := json.Unmarshal([]byte(stdout), &v); err != nil {
		h.t.Fatalf("%q: %v in %s", args, err, stdout)
	}
	return v
}

func (h *home) file(name, content string) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// The secrets of the region that addRegion makes.
const (
	token     = "zammadtoken4711"
	signature = "signaturetoken4712"
)

func (h *home) addRegion() {
	h.t.Helper()
	h.want(cli.ExitOK, "region", "add", "testland", "--zammad-url", "HTTPS://Zammad.Example:443/", "--zammad-token-file", h.file("token", token+"\n"),
		"--zammad-group", "App users", "--webhook-signature-token-file", h.file("signature", signature),
		"--languages", "de,en", "--percentage", "100", "--enabled")
}

func TestHelpWithoutArguments(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	out := h.want(cli.ExitOK)
	for _, command := range []string{"serve", "demo", "simulate", "migrate", "region", "tester", "jobs", "chats", "letters", "deliveries", "audit", "config", "version", "doctor", "health"} {
		if !strings.Contains(out, "\n  "+command+" ") {
			t.Errorf("the help does not name %s:\n%s", command, out)
		}
	}
	h.want(cli.ExitOK, "region", "add", "--help")
	if _, err := os.Stat(filepath.Join(h.dir, "data")); err == nil {
		t.Error("asking for help made a data folder")
	}
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	for _, args := range [][]string{
		{"sevre"}, {"region"}, {"region", "add"}, {"serve", "--nonsense"}, {"tester", "set", "testland", "device"},
		{"tester", "set", "testland", "device", "--in", "--out"}, {"region", "remove", "testland"}, {"region", "add", "x", "--percentage", "many"},
	} {
		if out := h.want(cli.ExitUsage, args...); out == "" {
			t.Errorf("%q: no word about what is wrong", args)
		}
	}
}

func TestExitCodesAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "## Exit codes\n")
	rows := regexp.MustCompile(`(?m)^\| (\d+) \| (.*) \|$`).FindAllStringSubmatch(table, -1)
	if !found || len(rows) != len(cli.ExitCodes()) {
		t.Fatalf("%d rows in docs/operate.md, %d codes", len(rows), len(cli.ExitCodes()))
	}
	for _, row := range rows {
		var code int
		if _, err := fmt.Sscan(row[1], &code); err != nil {
			t.Fatal(err)
		}
		if cli.ExitCodes()[code] != row[2] {
			t.Errorf("code %d is %q in docs/operate.md and %q in the program", code, row[2], cli.ExitCodes()[code])
		}
	}
}

func TestConfigMasksSecrets(t *testing.T) {
	t.Parallel()
	const secret = "hunter2secret"
	h := newHome(t, "DESKBRIDGE_DATABASE_URL=mysql://u:"+secret+"@db/x", "DESKBRIDGE_SECRET_KEY="+strings.Repeat("ab", 32))
	out := h.want(cli.ExitOK, "config")
	if strings.Contains(out, secret) || strings.Contains(out, "abab") || !strings.Contains(out, "mysql://u:********@db/x") {
		t.Errorf("%s", out)
	}
	tree := decode[map[string]any](h, "config")
	if tree["zammad"].(map[string]any)["write_horizon"] != "5m0s" || tree["secret_key"] != "********" {
		t.Errorf("%v", tree)
	}
}

func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	file := h.file("c.yaml", "listen: 127.0.0.1:1\nlimit:\n  x: 1\n")
	for _, command := range []string{"serve", "config", "migrate", "chats", "health"} {
		if out := h.want(cli.ExitConfig, command, "--config", file); !strings.Contains(out, "line 2: unknown key limit; the nearest known one is limits") {
			t.Errorf("%s: %s", command, out)
		}
	}
	h.more = []string{"DESKBRIDGE_LISTEM=x"}
	if out := h.want(cli.ExitConfig, "chats"); !strings.Contains(out, "DESKBRIDGE_LISTEN") {
		t.Error(out)
	}
}

func TestRegions(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	type view struct {
		Slug       string           `json:"slug"`
		Name       string           `json:"name"`
		Enabled    bool             `json:"enabled"`
		Token      bool             `json:"has_zammad_token"`
		Signature  bool             `json:"has_webhook_signature_token"`
		URL        string           `json:"zammad_url"`
		Group      string           `json:"zammad_group"`
		Percentage float64          `json:"percentage"`
		Title      string           `json:"title_pattern"`
		Days       int              `json:"retention_days"`
		Languages  []map[string]any `json:"languages"`
		Document   map[string]any   `json:"document"`
	}
	v := decode[view](h, "region", "show", "testland")
	if v.Name != "testland" || !v.Enabled || !v.Token || !v.Signature || v.URL != "https://zammad.example" || v.Group != "App users" || v.Percentage != 100 {
		t.Errorf("%+v", v)
	}
	if len(v.Languages) != 2 || v.Languages[0]["native_name"] != "Deutsch" || v.Languages[1]["code"] != "en" || v.Days != 180 {
		t.Errorf("%+v", v)
	}
	h.want(cli.ExitConflict, "region", "add", "testland", "--languages", "de")
	h.want(cli.ExitNotFound, "region", "show", "nowhere")
	document := h.file("document.json", `{"live": true, "longitude": 10.9, "bounding_box": [[1,2],[3,4]]}`)
	h.want(cli.ExitOK, "region", "set", "testland", "--no-enabled", "--percentage", "12.5", "--name", "Testland", "--title-pattern", "compat",
		"--languages", "de,tlh=tlhIngan,xx", "--zammad-token-file", "-", "--document-file", document)
	v = decode[view](h, "region", "show", "testland")
	if v.Enabled || v.Percentage != 12.5 || v.Name != "Testland" || v.Group != "App users" || v.Title != "[Integreat Chat] [{LANG}] {alias}" {
		t.Errorf("%+v", v)
	}
	if v.Languages[1]["native_name"] != "tlhIngan" || v.Languages[2]["native_name"] != "xx" || v.Document["longitude"] != 10.9 {
		t.Errorf("%+v", v)
	}
	h.more = []string{"DESKBRIDGE_PUBLIC_URL=https://chat.example.org/"}
	if out := h.want(cli.ExitOK, "region", "show", "testland"); !strings.Contains(out, "https://chat.example.org/api/v3/webhook/zammad/testland/\n") {
		t.Error(out)
	}
	if list := decode[[]view](h, "region", "list"); len(list) != 1 || list[0].Slug != "testland" {
		t.Errorf("%+v", list)
	}
	if out := h.want(cli.ExitOK, "region", "list"); !strings.Contains(out, "testland") || !strings.Contains(out, "off") {
		t.Error(out)
	}
	h.want(cli.ExitOK, "region", "remove", "testland", "--yes")
	if list := decode[[]view](h, "region", "list"); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

func TestSecretsOfRegionsStaySecret(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	out := h.want(cli.ExitOK, "region", "show", "testland") + h.want(cli.ExitOK, "region", "show", "testland", "--json") +
		h.want(cli.ExitOK, "region", "list") + h.want(cli.ExitOK, "region", "list", "--json") +
		h.want(cli.ExitOK, "region", "set", "testland", "--name", "x")
	data := filepath.Join(h.dir, "data")
	files := 0
	err := fs.WalkDir(os.DirFS(data), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		content, err := os.ReadFile(filepath.Join(data, path))
		out += string(content)
		return err
	})
	if err != nil || files < 2 {
		t.Fatalf("%d files in %s, %v", files, data, err)
	}
	if strings.Contains(out, token) || strings.Contains(out, signature) {
		t.Error("a secret was printed or stands readable on the disk")
	}
}

func TestRegionInputIsChecked(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	set := func(args ...string) []string { return append([]string{"region", "set", "testland"}, args...) }
	for want, args := range map[string][]string{
		"small letters, digits and hyphens":                              {"region", "add", "Test Land", "--languages", "de"},
		"regions, webhook, settings":                                     {"region", "add", "webhook", "--languages", "de"},
		"--languages: This must not be empty":                            {"region", "add", "other"},
		"--zammad-url: A region that is switched on":                     {"region", "add", "other", "--languages", "de", "--enabled"},
		"no language code":                                               set("--languages", "de,E!"),
		"stands twice":                                                   set("--languages", "de,de"),
		"does not have the language":                                     set("--gate-languages", "fr"),
		"from 0 to 100":                                                  set("--percentage", "101"),
		"numbers with dots":                                              set("--min-app-version", "new"),
		"--title-pattern: {device}":                                      set("--title-pattern", "{device}"),
		"--customer-login: {lang}":                                       set("--customer-login", "{lang}"),
		"http:// or https://":                                            set("--zammad-url", "ftp://x"),
		"user name or password":                                          set("--zammad-url", "https://bob:hunter2@x"),
		"--zammad-token-file: open":                                      set("--zammad-token-file", "/does/not/exist"),
		"the file is empty":                                              set("--zammad-token-file", h.file("empty", "\n")),
		"one line of up to 1000":                                         set("--zammad-token-file", h.file("two", "hunter2\nx")),
		"standard input":                                                 set("--zammad-token-file", "-", "--webhook-token-file", "-"),
		"region document: json: unknown":                                 set("--document-file", h.file("d.json", `{"lives": true}`)),
		"--retention-days: Give a number from 0 to 3650":                 set("--retention-days", "4000"),
		`"exe" is none of these: jpeg`:                                   set("--file-kinds", "pdf,exe"),
		"--max-files: Give a number from 0 to 100":                       set("--max-files", "101"),
		"--max-file-bytes: Give a number from 0":                         set("--max-file-bytes=-1"),
		"--keep-files-hours: Give a number from 0":                       set("--keep-files-hours=-1"),
		"--name: This must not be empty":                                 set("--name", ""),
		"--consent-attribute: Give a name":                               set("--consent-attribute", "a b"),
		"--zammad-group: A region that is switched on":                   set("--zammad-group", ""),
		"the device id is not valid":                                     {"tester", "why", "testland", "a/b"},
		"--article-type: Give a name as Zammad":                          set("--article-type", "Chat!"),
		`"shred" is none of these: anonymise, note`:                      set("--erasure", "shred"),
		"--zammad-privacy-token-file: To delete customers":               set("--erasure", "delete"),
		"erasing one would erase all":                                    set("--erasure", "delete", "--zammad-privacy-token-file", h.file("p", "hunter2"), "--customer-login", "everybody"),
		"is none of these: off, log, enforce":                            set("--identity", "maybe"),
		"--identity: To look at signed tokens":                           set("--identity", "enforce"),
		"fewer than 32":                                                  set("--identity", "log", "--identity-secret-file", h.file("s", "hunter2")),
		"--identity-keys-url: Give an address that begins with https://": set("--identity", "log", "--identity-keys-url", "http://x"),
		"(RFC 7517)":                                                     set("--identity", "log", "--identity-keys-file", h.file("k", "{}")),
		"no public key":                                                  set("--identity", "log", "--identity-keys-file", h.file("k2", `{"keys":[]}`)),
		"Type the token of the new Zammad":                               set("--zammad-url", "https://elsewhere.example"),
		"a private or a shared key":                                      set("--identity", "log", "--identity-keys-file", h.file("k3", `{"keys":[{"kty":"oct","k":"aHVudGVyMg"}]}`)),
	} {
		if out := h.want(cli.ExitInput, args...); !strings.Contains(out, want) || strings.Contains(out, "hunter2") {
			t.Errorf("%q: %s", args, out)
		}
	}
}

func TestIdentityAndErasureOfARegion(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	secret := strings.Repeat("hunter2-", 4)
	out := h.want(cli.ExitOK, "region", "set", "testland", "--identity", "enforce", "--identity-secret-file", h.file("s", secret),
		"--identity-audience", "chat", "--erasure", "delete", "--zammad-privacy-token-file", h.file("p", secret))
	for _, want := range []string{"a shared secret", "enforce", "delete"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
	// Another signer takes the place of the first, so that not both are believed.
	out += h.want(cli.ExitOK, "region", "set", "testland", "--identity-keys-url", "https://city.example/keys")
	if !strings.Contains(out, "the keys at https://city.example/keys") {
		t.Error(out)
	}
	var v struct {
		HasSecret  bool   `json:"has_identity_secret"`
		HasPrivacy bool   `json:"has_zammad_privacy_token"`
		Audience   string `json:"identity_audience"`
	}
	shown := h.want(cli.ExitOK, "region", "show", "testland", "--json")
	if err := json.Unmarshal([]byte(shown), &v); err != nil || v.HasSecret || !v.HasPrivacy || v.Audience != "chat" {
		t.Errorf("%v %+v", err, v)
	}
	if strings.Contains(out+shown, "hunter2") {
		t.Error("a secret was printed")
	}
}

func TestJobsAndChats(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	h.want(cli.ExitOK, "region", "set", "testland", "--no-enabled")
	run := decode[map[string]any](h, "jobs", "run", "prune", "--dry-run")
	if run["job"] != "prune" || run["dry_run"] != true || run["counts"] == nil {
		t.Errorf("%v", run)
	}
	h.want(cli.ExitOK, "jobs", "run", "outbox-sweep")
	list := decode[[]map[string]any](h, "jobs", "list")
	names := map[string]bool{}
	for _, job := range list {
		_, ran := job["last"]
		names[job["name"].(string)] = ran
	}
	if len(names) != 5 || !names["prune"] || !names["outbox-sweep"] || names["reconcile"] {
		t.Errorf("%v", list)
	}
	if out := h.want(cli.ExitOK, "jobs", "list"); !strings.Contains(out, "dry run: {") {
		t.Error(out)
	}
	if out := h.want(cli.ExitNotFound, "jobs", "run", "prun"); !strings.Contains(out, "prune") {
		t.Error(out)
	}
	h.want(cli.ExitOK, "chats")
	if chats := decode[[]map[string]any](h, "chats"); len(chats) > 1 {
		t.Errorf("%v", chats)
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	if out := h.want(cli.ExitOK, "migrate"); !strings.Contains(out, "from version 0 to") {
		t.Error(out)
	}
	if out := h.want(cli.ExitOK, "migrate"); !strings.Contains(out, "already") {
		t.Error(out)
	}
	h.more = []string{"DESKBRIDGE_DATABASE_URL=mysql://root@127.0.0.1:1/x"}
	h.want(cli.ExitDatabase, "migrate")
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if out := newHome(t).want(cli.ExitOK, "version"); !strings.HasPrefix(out, "deskbridge ") {
		t.Error(out)
	}
}
