package app

import (
	"context"
	"encoding/base64"
	"net"
	"net/http"
	"path/filepath"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/errgroup"

	"deskbridge/api"
	"deskbridge/device"
	"deskbridge/server"
	"deskbridge/settings"
	"deskbridge/webhook"
	"deskbridge/widget"
	"deskbridge/zammad"
)

// ServeOptions are what differs between the commands that serve.
type ServeOptions struct {
	Listener net.Listener      // closed by Serve
	Mount    func(*gin.Engine) // more pages, as the demo has; nil: none
	Ready    func(net.Addr)    // called once when requests are taken; nil: nobody wants to know
}

// Serve takes requests and does the work behind them until ctx ends. Then it
// takes no new requests, lets running ones and running calls to Zammad finish,
// and returns nil.
func (a *App) Serve(ctx context.Context, opts ServeOptions) error {
	shared, err := a.sharedLimits()
	if err != nil {
		return err
	}
	if shared != nil {
		defer shared.Close()
	}
	frame, err := server.New(a.serverConfig(shared))
	if err != nil {
		return err
	}
	hooks := webhook.New(webhook.Deps{
		Inbox: a.Store, Regions: a.Regions, Receiver: a.receiver,
		Check: zammad.CheckDelivery,
		Now:   a.now, Log: a.log, MaxBody: a.cfg.Limits.WebhookBodyBytes,
	})
	hooks.Routes(frame.Engine())
	if err := a.mountDevices(frame, shared); err != nil {
		return err
	}
	settings.New(settings.Deps{Store: a.Store, Regions: a.Regions, Rules: RegionRules(), Now: a.now}).Routes(frame.Limited())
	if a.cfg.Console.Enabled {
		if err := a.mountConsole(frame, shared, opts.Listener.Addr()); err != nil {
			return err
		}
	}
	if err := mountDocuments(frame.Engine()); err != nil {
		return err
	}
	if opts.Mount != nil {
		opts.Mount(frame.Engine())
	}

	// The HTTP server stops first; what its last requests stored is worked on
	// until the rest stops.
	rest, stopRest := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRest()
	group, rest := errgroup.WithContext(rest)
	for _, run := range []func(context.Context) error{
		a.Regions.Run, a.watermarks.Run, a.exposures.Run, a.pump.Run, a.eraser.Run, a.fastLane.Run, a.typist.Run, a.Jobs.Run, hooks.Run, a.catchUp, a.tellRefused,
	} {
		group.Go(func() error { return run(rest) })
	}
	group.Go(func() error {
		defer stopRest()
		serving, cancel := context.WithCancel(ctx)
		defer cancel()
		context.AfterFunc(rest, cancel) // a room that fails takes the server down with it
		if opts.Ready != nil {
			opts.Ready(opts.Listener.Addr())
		}
		return frame.Run(serving, opts.Listener)
	})
	return group.Wait()
}

// mountDevices puts the device API into the frame.
func (a *App) mountDevices(frame *server.Server, shared *server.Shared) error {
	limits, err := a.deviceLimits(shared, frame)
	if err != nil {
		return err
	}
	uploads := a.uploads()
	if err := uploads.Prepare(); err != nil {
		return err
	}
	device.New(device.Deps{
		Chats: a.chats, Regions: a.Regions, Hasher: a.Hasher, Watermarks: a.watermarks, TicketURL: a.Desk.TicketURL, Limits: limits,
		Rights: a.eraser, Identities: a.identity, TokenKey: a.tokenKey, Now: a.now,
		Streams: frame, Files: a.files, Uploads: uploads,
	}).Routes(frame.Limited(), frame.LimitedTo(uploads.Largest()))
	return nil
}

// uploads bound what devices send.
func (a *App) uploads() device.Uploads {
	l := a.cfg.Limits
	return device.Uploads{
		Dir: filepath.Join(a.cfg.DataDir, "uploads"), Body: l.BodyBytes,
		Files: l.Files, FileBytes: l.FileBytes, MessageBytes: l.MessageFileBytes,
	}
}

// mountDocuments adds what is the same for everybody: the widget's script and
// the description of the API.
func mountDocuments(engine *gin.Engine) error {
	script, err := widget.New()
	if err != nil {
		return err
	}
	engine.GET(widget.Path, gin.WrapH(script))
	engine.HEAD(widget.Path, gin.WrapH(script))
	engine.GET("/openapi.yaml", func(c *gin.Context) {
		c.Data(http.StatusOK, "application/yaml; charset=utf-8", api.Spec())
	})
	return nil
}

// sharedLimits counts in Redis; nil without one.
func (a *App) sharedLimits() (*server.Shared, error) {
	if a.cfg.Redis.URL == "" {
		return nil, nil
	}
	hash := func(key string) string {
		h := a.limitKeys.Hash(key)
		return base64.RawURLEncoding.EncodeToString(h[:])
	}
	return server.NewShared(server.SharedConfig{URL: string(a.cfg.Redis.URL), Hash: hash, Log: a.log, Now: a.now})
}

// deviceLimits are the limits that need to know more than the address.
func (a *App) deviceLimits(shared *server.Shared, frame *server.Server) (limits device.Limits, err error) {
	limits.Client = frame.Client
	for _, l := range []struct {
		into      **server.Limiter
		name      string
		perMinute int
	}{
		{&limits.Device, "device", a.cfg.Limits.DeviceWritesPerMinute},
		{&limits.Signals, "signals", a.cfg.Limits.DeviceSignalsPerMinute},
		{&limits.Region, "region", a.cfg.Limits.RegionWritesPerMinute},
		{&limits.Chats, "chats", a.cfg.Limits.NewChatsPerMinute},
	} {
		if *l.into, err = server.NewLimiter(l.name, l.perMinute, shared, a.now); err != nil {
			return limits, err
		}
	}
	return limits, nil
}

func (a *App) serverConfig(shared *server.Shared) server.Config {
	return server.Config{
		Log: a.log, Now: a.now,
		TrustedProxies: a.cfg.TrustedProxies, CORSOrigins: a.cfg.CORS.Origins,
		MaxBody: a.cfg.Limits.BodyBytes, WritesPerMinute: a.cfg.Limits.WritesPerMinute, ReadsPerMinute: a.cfg.Limits.ReadsPerMinute,
		CountsAsRead: device.IsSignal,
		Connections:  a.cfg.Limits.ConnectionsPerAddress, Shared: shared,
		Streams: a.cfg.Limits.Streams, StreamsPerDevice: a.cfg.Limits.StreamsPerDevice,
		ExemptLoopback: a.cfg.Limits.ExemptLoopback, ShutdownTimeout: a.cfg.ShutdownTimeout,
		Checks: a.checks(),
	}
}
