package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"deskbridge/app"
	"deskbridge/config"
	"deskbridge/storage"

	"go.yaml.in/yaml/v3"
)

type serveCmd struct{}

// Run serves until the context ends.
func (c *serveCmd) Run(s *invocation) (err error) {
	cfg, log, err := s.load()
	if err != nil {
		return err
	}
	for _, sentence := range cfg.Warnings() {
		log.Warn("insecure setting", "warning", sentence)
	}
	a, err := s.open(cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return listening(err)
	}
	ready := func(addr net.Addr) {
		s.tellFirstLink(a, addr, log)
		log.Info("serving", "version", version(), "listen", addr.String(), "database", cfg.Database.URL, "instance", cfg.Instance, "regions", len(a.Regions.All()))
	}
	if err := a.Serve(s.ctx, app.ServeOptions{Listener: listener, Ready: ready}); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// tellFirstLink prints how the first account is made, while there is none. The
// link is a secret, so it is no line of the log, which is kept and sent around.
func (s *invocation) tellFirstLink(a *app.App, addr net.Addr, log *slog.Logger) {
	link, err := a.FirstLink(s.ctx, addr)
	if err != nil {
		log.Warn("no link for the first account can be made", "error", err)
	}
	if link != "" {
		fmt.Fprintf(s.Stderr, "\nNobody can sign in to the console yet. This link makes the first account, an operator's;\nit works once, for 24 hours:\n\n  %s\n\n", link)
	}
}

type migrateCmd struct{}

// Run migrates and says from where to where.
func (c *migrateCmd) Run(s *invocation) error {
	cfg, log, err := s.load()
	if err != nil {
		return err
	}
	if err := makeDataDir(cfg); err != nil {
		return err
	}
	from, to, err := storage.Migrate(s.ctx, storage.Config{URL: string(cfg.Database.URL), Log: log, Now: time.Now})
	if err != nil {
		return opening(err)
	}
	if from == to {
		s.printf("the schema is already at version %d\n", to)
		return nil
	}
	s.printf("migrated the schema from version %d to %d\n", from, to)
	return nil
}

type configCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

// Run prints the effective settings; the types mask secrets.
func (c *configCmd) Run(s *invocation) error {
	cfg, err := config.Load(s.configFile, s.Environ)
	if err != nil {
		return coded(ExitConfig, err)
	}
	text, err := yaml.Marshal(cfg)
	if err != nil {
		return fmt.Errorf("print settings: %w", err)
	}
	if !c.JSON {
		_, err = s.Stdout.Write(text)
		return err
	}
	var tree map[string]any // the keys of the file, not the names of the struct
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return fmt.Errorf("print settings: %w", err)
	}
	return s.printJSON(tree)
}

type healthCmd struct{}

// healthTimeout is how long an answer of /livez may take before the process
// counts as dead.
const healthTimeout = 3 * time.Second

// Run asks /livez at the address that serve listens on.
func (c *healthCmd) Run(s *invocation) error {
	cfg, err := config.Load(s.configFile, s.Environ)
	if err != nil {
		return coded(ExitConfig, err)
	}
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return coded(ExitConfig, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	client := http.Client{Timeout: healthTimeout}
	answer, err := client.Get("http://" + net.JoinHostPort(host, port) + "/livez")
	if err != nil {
		return coded(ExitHealth, err)
	}
	if err := answer.Body.Close(); err != nil {
		return coded(ExitHealth, err)
	}
	if answer.StatusCode != http.StatusOK {
		return coded(ExitHealth, fmt.Errorf("/livez answers %s", answer.Status))
	}
	s.printf("ok\n")
	return nil
}

type versionCmd struct {
	SBOM bool `name:"sbom" help:"Print what the program is made of instead: a bill of materials (CycloneDX, JSON)."`
}

// Run prints the version.
func (c *versionCmd) Run(s *invocation) error {
	if c.SBOM {
		info, ok := debug.ReadBuildInfo()
		if !ok {
			return errors.New("this program was built without knowing of what")
		}
		return writeBill(s.Stdout, info)
	}
	s.printf("deskbridge %s\n", version())
	return nil
}

// version is the module's version and the commit that it was built from, as far
// as the build knows them.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := info.Main.Version
	if text == "" {
		text = "(devel)"
	}
	return text + " " + info.GoVersion
}
