package cli

import (
	"deskbridge/app"
	"deskbridge/telemetry"
)

type demoCmd struct {
	Listen       string `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where the bridge and the chat page listen (${default}); port 0: any."`
	ZammadListen string `default:"127.0.0.1:8090" placeholder:"HOST:PORT" help:"Where the simulated Zammad and the desk page listen (${default}); port 0: any."`
	Data         string `placeholder:"DIR" help:"Folder for the data. Default: a temporary one, removed at the end."`
	JSON         bool   `name:"json" help:"Print one line of JSON with all addresses and tokens when ready."`
}

// Run runs the demo until the context ends.
func (c *demoCmd) Run(s *invocation) error {
	log, err := telemetry.NewLog(s.Stderr, telemetry.Options{Level: "info", Format: "text"})
	if err != nil {
		return err
	}
	return listening(app.Demo(s.ctx, app.DemoOptions{
		Listen: c.Listen, ZammadListen: c.ZammadListen, DataDir: c.Data, JSON: c.JSON, Stdout: s.Stdout, Log: log,
	}))
}

type simulateCmd struct {
	Listen string `default:"127.0.0.1:8090" placeholder:"HOST:PORT" help:"Where the simulated Zammad listens (${default}); port 0: any."`
	JSON   bool   `name:"json" help:"Print one line of JSON with address and tokens when ready."`
}

// Run runs the simulated Zammad until the context ends.
func (c *simulateCmd) Run(s *invocation) error {
	log, err := telemetry.NewLog(s.Stderr, telemetry.Options{Level: "info", Format: "text"})
	if err != nil {
		return err
	}
	return listening(app.Simulate(s.ctx, app.SimulateOptions{Listen: c.Listen, JSON: c.JSON, Stdout: s.Stdout, Log: log}))
}
