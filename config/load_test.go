package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"deskbridge/config"
)

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, yaml string, environ ...string) config.Config {
	t.Helper()
	cfg, err := config.Load(write(t, yaml), environ)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestDefaultsNeedNothing(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load("", []string{"PATH=/bin", "DESKBRIDGE_TEST_MYSQL=x", "DESKBRIDGE_REDIS_URL="})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Listen != "127.0.0.1:8080" || cfg.Database.URL != "sqlite:data/deskbridge.db" || cfg.SecretKeyFile != "data/secret.key" {
		t.Errorf("defaults: %+v", cfg)
	}
	if cfg.Zammad.WriteHorizon != 300*time.Second || cfg.Limits.WritesPerMinute != 600 || cfg.Jobs.Reconcile != "@every 30s" {
		t.Errorf("defaults: %+v", cfg)
	}
	if cfg.Instance == "" || len(cfg.Warnings()) != 0 {
		t.Errorf("instance %q, warnings %q", cfg.Instance, cfg.Warnings())
	}
}

func TestEnvironmentWinsOverFile(t *testing.T) {
	t.Parallel()
	cfg := load(t, `
listen: 127.0.0.1:1
zammad: {write_horizon: 10s, concurrency: 2}
trusted_proxies: [10.0.0.0/8]
cors:
  origins: []
redis:
`, "DESKBRIDGE_LISTEN=127.0.0.1:2", "DESKBRIDGE_ZAMMAD_WRITE_HORIZON=20s", "DESKBRIDGE_TRUSTED_PROXIES=192.0.2.0/24,::1/128")
	if cfg.Listen != "127.0.0.1:2" || cfg.Zammad.WriteHorizon != 20*time.Second || cfg.Zammad.Concurrency != 2 {
		t.Errorf("%+v", cfg)
	}
	if len(cfg.TrustedProxies) != 2 || cfg.TrustedProxies[1].String() != "::1/128" || len(cfg.CORS.Origins) != 0 {
		t.Errorf("%+v", cfg)
	}
}

func TestFileFromEnvironment(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load("", []string{"DESKBRIDGE_CONFIG=" + write(t, "listen: 127.0.0.1:3\n")})
	if err != nil || cfg.Listen != "127.0.0.1:3" {
		t.Errorf("%q, %v", cfg.Listen, err)
	}
}

func TestSecretsFromFiles(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte("mysql://u:p@db:3306/x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := load(t, "redis: {url: 'redis://r'}", "DESKBRIDGE_DATABASE_URL_FILE="+file)
	if cfg.Database.URL != "mysql://u:p@db:3306/x" {
		t.Errorf("from the environment's file: %q", string(cfg.Database.URL))
	}
	cfg = load(t, "database: {url_file: '"+file+"'}")
	if cfg.Database.URL != "mysql://u:p@db:3306/x" {
		t.Errorf("from the YAML's file: %q", string(cfg.Database.URL))
	}
	cfg = load(t, "database: {url_file: /does/not/exist}", "DESKBRIDGE_DATABASE_URL=sqlite:y")
	if cfg.Database.URL != "sqlite:y" {
		t.Errorf("the environment's value against the YAML's file: %q", string(cfg.Database.URL))
	}
}

func TestErrorsNamePlaceAndKey(t *testing.T) {
	t.Parallel()
	const secret = "hunter2secret"
	for _, tc := range []struct{ name, yaml, env, want string }{
		{"unknown key", "listen: a:1\nlisen: x", "", "c.yaml line 2: unknown key lisen; the nearest known one is listen"},
		{"unknown nested key", "zammad:\n  write_horizn: 3s", "", "line 2: unknown key zammad.write_horizn; the nearest known one is zammad.write_horizon"},
		{"wrong section", "write_horizon: 3s", "", "line 1: unknown key write_horizon; the nearest known one is zammad.write_horizon"},
		{"unknown section", "databse:\n  url: x", "", "line 1: unknown key databse; the nearest known one is database"},
		{"unknown variable", "", "DESKBRIDGE_LISTN=x", "unknown variable DESKBRIDGE_LISTN; the nearest known one is DESKBRIDGE_LISTEN"},
		{"bad duration", "\nzammad:\n  write_horizon: " + secret, "", "line 3: zammad.write_horizon must be a duration"},
		{"duration without unit", "zammad: {write_horizon: 300}", "", "line 1: zammad.write_horizon must be a duration"},
		{"bad variable", "", "DESKBRIDGE_ZAMMAD_CONCURRENCY=" + secret, "DESKBRIDGE_ZAMMAD_CONCURRENCY must be a whole number"},
		{"out of range", "limits:\n  body_bytes: 5", "", "line 2: limits.body_bytes must be a number from 1024"},
		{"out of range variable", "", "DESKBRIDGE_ZAMMAD_CONCURRENCY=0", "DESKBRIDGE_ZAMMAD_CONCURRENCY: zammad.concurrency must be a number from 1 to 64"},
		{"bad network", "trusted_proxies: [" + secret + "]", "", "line 1: trusted_proxies must be a list of networks"},
		{"bad database", "database:\n  url: postgres://u:" + secret + "@h/d", "", "line 2: database.url must be sqlite:PATH or"},
		{"bad redis", "redis: {url: 'http://u:" + secret + "@h'}", "", "redis.url must be redis://"},
		{"bad key", "secret_key: " + secret, "", "line 1: secret_key must be 32 bytes"},
		{"bad public url", "public_url: ftp://x", "", "public_url must be an http or https URL"},
		{"bad way out", "egress: {allow: [10.0.0.0/8, 'https://" + secret + "']}", "", "line 1: egress.allow must be a list of networks"},
		{"way out by wildcard", "", "DESKBRIDGE_EGRESS_ALLOW=zammad.intern,*.intern", "DESKBRIDGE_EGRESS_ALLOW: egress.allow must be a list of networks"},
		{"mail server with port", "smtp: {host: 'mail.example.org:25', from: a@b.example}", "", "smtp.host must be the name of a mail server"},
		{"mail without sender", "smtp: {host: mail.example.org}", "", "smtp.from must be an address"},
		{"mail with a bad sender", "", "DESKBRIDGE_SMTP_FROM=" + secret, "DESKBRIDGE_SMTP_FROM: smtp.from must be an address"},
		{"password in the clear", "smtp: {host: h, from: a@b.example, user: u, password: " + secret + ", security: none}", "", "smtp.user must be empty where smtp.security is none"},
		{"user without password", "smtp: {host: h, from: a@b.example, user: u}", "", "smtp.password must be set together"},
		{"mail by carrier pigeon", "smtp: {security: pigeon}", "", "smtp.security must be starttls, tls or none"},
		{"bad origin", "cors: {origins: ['https://a.example/path']}", "", "cors.origins must be"},
		{"bad schedule", "jobs: {prune: whenever}", "", "jobs.prune must be six cron fields"},
		{"schedule that never comes", "jobs: {prune: '0 0 0 31 2 *'}", "", "jobs.prune must be six cron fields"},
		{"bad console", "console: {url: 'https://a.example/path'}", "", "console.url must be"},
		{"bad session", "console: {session_hours: 0}", "", "console.session_hours must be a number from 1 to 720"},
		{"bad idle time", "", "DESKBRIDGE_CONSOLE_IDLE_MINUTES=1", "console.idle_minutes must be a number from 5"},
		{"bad duty", "console: {require_second_factor: admins}", "", "console.require_second_factor must be none, operators or all"},
		{"plain issuer", "console: {oidc: {issuer: 'http://id.example.org', client_id: x}}", "", "console.oidc.issuer must be an https URL"},
		{"no client", "console: {oidc: {issuer: 'https://id.example.org'}}", "", "console.oidc.client_id must be set"},
		{"bad level", "log: {level: loud}", "", "log.level must be debug, info, warn or error"},
		{"bad listen", "listen: 8080", "", "listen must be host:port"},
		{"twice", "listen: a:1\nlisten: b:2", "", "line 2: listen stands twice"},
		{"section is text", "redis: " + secret, "", "line 1: redis must hold keys"},
		{"no mapping", "- a\n- b", "", "line 1: the file must hold keys"},
		{"two documents", "listen: a:1\n---\nlisten: b:2", "", "only one YAML document"},
		{"broken YAML", "listen: a:1\nx: [", "", "line 2"},
		{"anchor that is a password", "redis: {url: *" + secret + "}", "", "(hidden)"},
		{"secret twice", "database: {url: 'sqlite:" + secret + "', url_file: /dev/null}", "", "only one of database.url and database.url_file"},
		{"secret file missing", "database: {url_file: /does/not/exist}", "", "database.url_file: open /does/not/exist"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(write(t, tc.yaml), []string{tc.env})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %q, want %q in it", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the error repeats a value: %q", err)
			}
		})
	}
	if _, err := config.Load("/does/not/exist.yaml", nil); err == nil {
		t.Error("a file that is named must exist")
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	t.Parallel()
	const secret = "hunter2secret"
	cfg := config.Default()
	cfg.SecretKey = secret
	cfg.Console.OIDC.ClientSecret = secret
	cfg.Database.URL = "mysql://bob:" + secret + "@db:3306/desk?key=" + secret
	cfg.SMTP.Password = secret
	cfg.Redis.URL = "redis://" + secret + "@cache:6379/0"
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "cfg", cfg, "key", cfg.SecretKey, "url", cfg.Redis.URL)
	asJSON, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		log.String(), string(asJSON), string(asYAML), fmt.Sprint(cfg), fmt.Sprintf("%+v %#v %s", cfg, cfg, cfg.SecretKey),
		config.SecretURL("not a url " + secret).String(), config.SecretURL("mysql://u:p/" + secret + "@h/d").String(),
	} {
		if strings.Contains(text, secret) {
			t.Errorf("printed a secret: %s", text)
		}
	}
	if !strings.Contains(string(asYAML), "mysql://bob:********@db:3306/desk") {
		t.Errorf("the rest of the URL is worth seeing: %s", asYAML)
	}
}

func TestWarningsNameInsecureSettings(t *testing.T) {
	t.Parallel()
	for key, yaml := range map[string]string{
		"listen ":          "listen: 0.0.0.0:8080",
		"public_url":       "public_url: http://chat.example.org",
		"trusted_proxies ": "trusted_proxies: [0.0.0.0/0]",
		"egress.allow":     "egress: {allow: [10.0.0.0/8, zammad.intern, '::1', '::/0']}",
		"smtp.security":    "smtp: {host: mail.example.org, from: a@b.example, security: none}",
		"switched off":     "limits: {writes_per_minute: 0}",
		"exempt_loopback":  "limits: {exempt_loopback: true}",
		"write_horizon":    "zammad: {write_horizon: 5s}",
		"console.url":      "console: {url: http://chat.example.org}",
	} {
		found := load(t, yaml).Warnings()
		if len(found) != 1 || !strings.Contains(found[0], key) {
			t.Errorf("%s: warnings %q", yaml, found)
		}
	}
}

func TestWhereTheConsoleIs(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"":                     "http://127.0.0.1:8080",
		"listen: ':9000'":      "http://127.0.0.1:9000",
		"listen: '[::]:9000'":  "http://127.0.0.1:9000",
		"listen: '[::1]:9000'": "http://[::1]:9000",
		"listen: 192.0.2.1:80": "http://192.0.2.1:80",
		"public_url: 'https://chat.example.org/'":                                                "https://chat.example.org",
		"{public_url: 'https://chat.example.org', console: {url: 'https://staff.example.org/'}}": "https://staff.example.org",
	} {
		if cfg := load(t, yaml); cfg.ConsoleURL(cfg.Listen) != want {
			t.Errorf("%s: %s", yaml, cfg.ConsoleURL(cfg.Listen))
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("listen: 127.0.0.1:1\nzammad: {write_horizon: 3s}\n")
	f.Add("a: &a [*a]\n<<: {b: c}\n? [x]\n: y\n")
	f.Add("trusted_proxies: 5\nlimits: !!null\n--- x")
	f.Fuzz(func(t *testing.T, content string) {
		cfg, err := config.Load(write(t, content), nil)
		if err == nil && (cfg.Listen == "" || cfg.Database.URL == "" || cfg.Zammad.WriteHorizon <= 0) {
			t.Errorf("accepted %q as %+v", content, cfg)
		}
	})
}
