// Package app puts the rooms together: it is the only one that knows them all.
package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"deskbridge/admin"
	"deskbridge/alert"
	"deskbridge/author"
	"deskbridge/bridge"
	"deskbridge/config"
	"deskbridge/egress"
	"deskbridge/identity"
	"deskbridge/jobs"
	"deskbridge/realtime"
	"deskbridge/staff"
	"deskbridge/storage"
	"deskbridge/zammad/desk"
)

// App is an opened installation. Commands use its parts; Serve lets it run.
type App struct {
	Store   *storage.Store
	Hasher  bridge.Hasher
	Regions *bridge.Regions
	Desk    *desk.Desk
	Jobs    *jobs.Jobs

	Egress   *egress.Guard     // which addresses of regions may be connected to
	Outbound http.RoundTripper // carries requests to those and no others
	Alerts   *alert.Alerts

	Accounts *staff.Accounts
	Sessions *admin.Sessions
	Team     *author.Chat

	cfg        config.Config
	log        *slog.Logger
	now        func() time.Time
	watermarks *realtime.Watermarks
	receiver   *bridge.Receiver
	pump       *bridge.Pump
	fastLane   *bridge.FastLane
	chats      *bridge.Chats
	typist     *bridge.Typist
	files      *bridge.Attachments
	exposures  *bridge.Exposures
	eraser     *bridge.Eraser
	identity   *identity.Verifier
	bus        *realtime.Bus // nil: none
	calls      deskCalls
	tokenKey   []byte        // of receipts, chat tokens and stream tickets
	pepper     []byte        // of passwords
	limitKeys  bridge.Hasher // makes of addresses and devices what Redis may know
}

// Open opens the database (and migrates it), makes the secret key if there is
// none yet, and puts the rooms together. Nothing runs before Serve. The caller
// calls Close.
func Open(ctx context.Context, cfg config.Config, log *slog.Logger) (*App, error) {
	secret, err := secretKey(ctx, cfg)
	if err != nil {
		return nil, err
	}
	keys, err := deriveKeys(secret)
	if err != nil {
		return nil, err
	}
	store, err := storage.Open(ctx, storage.Config{URL: string(cfg.Database.URL), Key: keys.storage, Log: log, Now: time.Now})
	if err != nil {
		return nil, err
	}
	a := &App{Store: store, Hasher: bridge.NewHasher(keys.devices), tokenKey: keys.tokens, pepper: keys.passwords, limitKeys: bridge.NewHasher(keys.limits), cfg: cfg, log: log, now: time.Now, calls: deskCalls{now: time.Now}}
	if err := a.assemble(ctx); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return a, nil
}

// secretKey reads the key. It makes one only for an installation that has
// nothing yet: with a new key everything that is stored would be lost.
func secretKey(ctx context.Context, cfg config.Config) ([]byte, error) {
	key, err := cfg.Key(false)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	used, look := storage.NeedsKey(ctx, storage.Config{URL: string(cfg.Database.URL)})
	if look != nil {
		return nil, look
	}
	if used {
		return nil, fmt.Errorf("%w; the database was written with it, so put it back: with another key its secrets are unreadable, no password is right and every device is a stranger", err)
	}
	return cfg.Key(true)
}

// Close gives back what Open took.
func (a *App) Close() error { return a.Store.Close() }

// assemble makes the rooms, from the walls inwards.
func (a *App) assemble(ctx context.Context) error {
	var err error
	if a.Regions, err = bridge.NewRegions(ctx, a.Store, a.log); err != nil {
		return err
	}
	if err := a.openWayOut(); err != nil {
		return err
	}
	a.Desk = desk.New(desk.Config{
		Transport: a.Outbound, Concurrency: a.cfg.Zammad.Concurrency, ReadTimeout: a.cfg.Zammad.ReadTimeout, WriteTimeout: a.cfg.Zammad.WriteTimeout,
		OnCall: a.calls.note, Log: a.log, Now: a.now,
	})
	if a.cfg.Redis.URL != "" {
		if a.bus, err = realtime.NewBus(string(a.cfg.Redis.URL), a.log); err != nil {
			return fmt.Errorf("redis.url: %w", err)
		}
	}
	a.watermarks = realtime.NewWatermarks(realtime.Deps{Store: a.Store, Bus: a.bus, Log: a.log, Now: a.now})
	a.receiver = bridge.NewReceiver(bridge.ReceiverDeps{
		Tickets: a.Store, Desk: a.Desk, Regions: a.Regions, Publisher: a.watermarks, Log: a.log, Now: a.now,
	})
	a.pump = bridge.NewPump(bridge.PumpDeps{
		Lanes: a.Store, Desk: a.Desk, Regions: a.Regions, Receiver: a.receiver, Publisher: a.watermarks,
		Log: a.log, Now: a.now, Horizon: a.cfg.Zammad.WriteHorizon,
	})
	a.fastLane = bridge.NewFastLane(bridge.FastLaneDeps{Receiver: a.receiver, Watchers: a.watermarks, Waiting: a.Store, Log: a.log, Now: a.now})
	a.exposures = bridge.NewExposures(a.Store, a.log)
	a.typist = bridge.NewTypist(bridge.TypistDeps{Desk: a.Desk, Log: a.log, Now: a.now})
	a.chats = bridge.NewChats(bridge.ChatsDeps{
		Store: a.Store, Publisher: a.watermarks, Exposures: a.exposures, Typist: a.typist, Wake: a.pump.Wake, Now: a.now,
	})
	a.files = bridge.NewAttachments(bridge.AttachmentsDeps{Files: a.Store, Desk: a.Desk, Now: a.now})
	a.eraser = bridge.NewEraser(bridge.EraserDeps{
		Store: a.Store, Chats: a.Store, Desk: a.Desk, Regions: a.Regions, Exposures: a.exposures, Publisher: a.watermarks,
		Log: a.log, Now: a.now, Horizon: a.cfg.Zammad.WriteHorizon,
	})
	a.Accounts = staff.NewAccounts(staff.Deps{Store: a.Store, Pepper: a.pepper, Log: a.log, Now: a.now})
	a.Sessions = admin.NewSessions(a.Store.Sessions(), time.Duration(a.cfg.Console.SessionHours)*time.Hour, time.Duration(a.cfg.Console.IdleMinutes)*time.Minute)
	if a.Team, err = a.newTeam(); err != nil {
		return err
	}
	a.identity = identity.New(identity.Config{Client: egress.Client(a.Outbound, identity.FetchTimeout), Log: a.log, Now: a.now})
	a.Alerts = a.newAlerts()
	a.Jobs, err = a.newJobs()
	return err
}

// newJobs makes what the clock starts.
func (a *App) newJobs() (*jobs.Jobs, error) {
	keeper := bridge.NewKeeper(bridge.KeeperDeps{
		Jobs: a.Store, Lanes: a.Store, Regions: a.Regions, Publisher: a.watermarks, Log: a.log, Now: a.now,
		DeliveryDays: a.cfg.Retention.DeliveryDays, ExposureDays: a.cfg.Retention.ExposureDays, JobRunDays: a.cfg.Retention.JobRunDays,
		StatisticsDays: a.cfg.Retention.StatisticsDays, AuditDays: a.cfg.Retention.AuditDays,
	})
	tally := bridge.NewTally(bridge.TallyDeps{Store: a.Store, Regions: a.Regions, Now: a.now, ExposureDays: a.cfg.Retention.ExposureDays})
	return jobs.New(jobs.Deps{
		Store: a.Store, Instance: a.cfg.Instance, Now: a.now, Log: a.log,
		Jobs: []jobs.Job{
			{Name: "prune", Schedule: a.cfg.Jobs.Prune, Run: a.prune(keeper)},
			{Name: "reconcile", Schedule: a.cfg.Jobs.Reconcile, Run: a.receiver.Reconcile, Quiet: true},
			{Name: "outbox-sweep", Schedule: a.cfg.Jobs.OutboxSweep, Run: keeper.Sweep, Quiet: true},
			{Name: "alert", Schedule: a.cfg.Jobs.Alert, Run: a.tell, Quiet: true},
			{Name: "tally", Schedule: a.cfg.Jobs.Tally, Run: tally.Run, Quiet: true},
		},
	})
}

// catchUp reads at once what agents wrote while no instance ran. What fails is
// left to the job, which does the same.
func (a *App) catchUp(ctx context.Context) error {
	if _, err := a.receiver.Reconcile(ctx, false); err != nil && ctx.Err() == nil {
		a.log.WarnContext(ctx, "what was missed could not be read at the start; the job reconcile tries again", "error", err)
	}
	return nil
}
