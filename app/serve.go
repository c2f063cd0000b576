package app

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/errgroup"

	"deskbridge/api"
	"deskbridge/device"
	"deskbridge/server"
	"deskbridge/webhook"
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
	frame, err := server.New(a.serverConfig())
	if err != nil {
		return err
	}
	hooks := webhook.New(webhook.Deps{
		Inbox: a.Store, Regions: a.Regions, Receiver: a.receiver,
		Check: zammad.CheckDelivery,
		Now:   a.now, Log: a.log, MaxBody: a.cfg.Limits.WebhookBodyBytes,
	})
	hooks.Routes(frame.Engine())
	writes, err := server.NewLimiter(a.cfg.Limits.DeviceWritesPerMinute, a.now)
	if err != nil {
		return fmt.Errorf("limits.device_writes_per_minute: %w", err)
	}
	device.New(device.Deps{
		Chats: a.chats, Regions: a.Regions, Hasher: a.Hasher, Watermarks: a.watermarks, TicketURL: a.Desk.TicketURL, Writes: writes,
	}).Routes(frame.Limited())
	frame.Engine().GET("/openapi.yaml", func(c *gin.Context) {
		c.Data(http.StatusOK, "application/yaml; charset=utf-8", api.Spec())
	})
	if opts.Mount != nil {
		opts.Mount(frame.Engine())
	}

	// The HTTP server stops first; what its last requests stored is worked on
	// until the rest stops.
	rest, stopRest := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRest()
	group, rest := errgroup.WithContext(rest)
	for _, run := range []func(context.Context) error{
		a.Regions.Run, a.watermarks.Run, a.exposures.Run, a.pump.Run, a.Jobs.Run, hooks.Run,
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

func (a *App) serverConfig() server.Config {
	return server.Config{
		Log: a.log, Now: a.now,
		TrustedProxies: a.cfg.TrustedProxies, CORSOrigins: a.cfg.CORS.Origins,
		MaxBody: a.cfg.Limits.BodyBytes, WritesPerMinute: a.cfg.Limits.WritesPerMinute, ReadsPerMinute: a.cfg.Limits.ReadsPerMinute,
		ExemptLoopback: a.cfg.Limits.ExemptLoopback, ShutdownTimeout: a.cfg.ShutdownTimeout,
		Checks: a.checks(),
	}
}
