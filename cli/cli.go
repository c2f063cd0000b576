// Package cli is the command line: text, flags and exit codes.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"

	"github.com/alecthomas/kong"

	"deskbridge/app"
	"deskbridge/bridge"
	"deskbridge/config"
	"deskbridge/server"
	"deskbridge/telemetry"
)

// World is what a command line may touch, so that tests can run one.
type World struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Environ        []string // "NAME=value"
}

// commands is the tree of commands; the tags are the help text.
type commands struct {
	Config string `short:"c" placeholder:"FILE" help:"YAML file with settings. Default: the one that DESKBRIDGE_CONFIG names, or none."`

	Serve      serveCmd      `cmd:"" help:"Run the bridge: device API, webhooks, jobs."`
	Demo       demoCmd       `cmd:"" help:"Run bridge, simulated Zammad, chat page and desk page, and print where to click."`
	Simulate   simulateCmd   `cmd:"" help:"Run the simulated Zammad alone, for developers of apps."`
	Migrate    migrateCmd    `cmd:"" help:"Bring the database to this version's schema and end."`
	Region     regionCmd     `cmd:"" help:"Regions: who is served, and by which Zammad."`
	Tester     testerCmd     `cmd:"" help:"Devices for which you decide what the gate says."`
	User       userCmd       `cmd:"" help:"People who sign in to the console."`
	Token      tokenCmd      `cmd:"" help:"API tokens, with which other systems change settings of regions."`
	Jobs       jobsCmd       `cmd:"" help:"What the clock starts."`
	Chats      chatsCmd      `cmd:"" help:"Numbers and states of chats, by region; never contents."`
	Letters    lettersCmd    `cmd:"" help:"Messages that Zammad refused for good: list, show, retry, drop."`
	Deliveries deliveriesCmd `cmd:"" help:"Webhook deliveries of Zammad: list, retry, drop; never what they say."`
	Audit      auditCmd      `cmd:"" help:"Who changed what: list, export."`
	Settings   configCmd     `cmd:"" name:"config" help:"Print the effective settings, with secrets masked."`
	Doctor     doctorCmd     `cmd:"" help:"Check settings, database, key, Redis and each region's Zammad, and say how to mend what is wrong."`
	Health     healthCmd     `cmd:"" help:"Ask a running serve on this machine whether it lives (for health checks of containers)."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// invocation is one run of the program, handed to commands.
type invocation struct {
	World
	ctx        context.Context
	configFile string
	publicURL  string // of the settings, once they are loaded
}

// exited carries the exit code out of kong, which wants to end the process
// after printing help.
type exited int

// Run runs one command line (without the program's name) until it is done or
// ctx ends, and gives the exit code. Without arguments it prints help.
func Run(ctx context.Context, args []string, w World) (code int) {
	defer func() {
		if cause := recover(); cause != nil {
			ended, is := cause.(exited)
			if !is {
				panic(cause)
			}
			code = int(ended)
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	var root commands
	parser, err := kong.New(&root,
		kong.Name("deskbridge"),
		kong.Description("Lets the users of a mobile app chat with people who work in Zammad."),
		kong.Writers(w.Stdout, w.Stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	)
	if err != nil {
		return report(w.Stderr, fmt.Errorf("command line: %w", err))
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return report(w.Stderr, coded(ExitUsage, fmt.Errorf("%w; see --help", err)))
	}
	s := &invocation{World: w, ctx: ctx, configFile: root.Config}
	return report(w.Stderr, parsed.Run(s))
}

// report prints an error and gives its exit code.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return ExitOK
	}
	code := exitCode(err)
	if text := err.Error(); text != "" {
		fmt.Fprintf(stderr, "deskbridge: %s\n", text)
	}
	return code
}

// load reads the settings and makes the log.
func (s *invocation) load() (config.Config, *slog.Logger, error) {
	cfg, err := config.Load(s.configFile, s.Environ)
	if err != nil {
		return cfg, nil, coded(ExitConfig, err)
	}
	s.publicURL = cfg.PublicURL
	log, err := telemetry.NewLog(s.Stderr, telemetry.Options{
		Level: cfg.Log.Level, Format: cfg.Log.Format,
		Attrs: []func(context.Context) []slog.Attr{server.LogAttrs},
	})
	return cfg, log, err
}

// open opens the installation; the caller closes it.
func (s *invocation) open(cfg config.Config, log *slog.Logger) (*app.App, error) {
	if err := makeDataDir(cfg); err != nil {
		return nil, err
	}
	a, err := app.Open(s.ctx, cfg, log)
	if err != nil {
		return nil, opening(err)
	}
	return a, nil
}

// makeDataDir makes the folder of the embedded database, for its user only.
func makeDataDir(cfg config.Config) error {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return coded(ExitDatabase, fmt.Errorf("data_dir: %w", err))
	}
	return nil
}

// withApp opens the installation for one command of somebody who has a shell on
// this machine: what it changes is noted as theirs. What serve does is not.
func (s *invocation) withApp(use func(*app.App) error) error {
	cfg, log, err := s.load()
	if err != nil {
		return err
	}
	a, err := s.open(cfg, log)
	if err != nil {
		return err
	}
	s.ctx = bridge.WithActor(s.ctx, bridge.Actor{Kind: bridge.ActorCommand, Name: account()})
	return errors.Join(use(a), a.Close())
}

// account is who runs the command, as the audit names them.
func account() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "command line" // as in a container, where the number of the user has no name
}

// printJSON prints v as one indented document.
func (s *invocation) printJSON(v any) error {
	out := json.NewEncoder(s.Stdout)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(v)
}

func (s *invocation) printf(format string, args ...any) {
	fmt.Fprintf(s.Stdout, format, args...)
}
