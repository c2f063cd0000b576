package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"deskbridge/bridge"
	"deskbridge/device"
	"deskbridge/realtime"
	"deskbridge/server"
	"deskbridge/storage"
	"deskbridge/telemetry"
	"deskbridge/webhook"
	"deskbridge/zammad"
	"deskbridge/zammad/desk"
)

const (
	slug     = "testland"
	language = "de"
	secret   = "benchmark-signature-token" // of the webhook
)

// stack is Deskbridge as serve mounts it, with limits off. What runs beside the
// doors runs here too, but for pump, relay and jobs: what they do depends on a
// Zammad.
type stack struct {
	store   *storage.Store
	region  *bridge.Region
	hasher  bridge.Hasher
	reads   atomic.Int64 // histories that devices' requests read from the database
	handler http.Handler

	stop    context.CancelFunc
	running sync.WaitGroup
	log     *os.File
}

// newStack opens a fresh database. The caller calls close.
func newStack(ctx context.Context, url string) (_ *stack, err error) {
	s := &stack{hasher: bridge.NewHasher(bytes.Repeat([]byte{5}, 32))}
	// The log is written as in production, to where it is thrown away.
	if s.log, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	log, err := telemetry.NewLog(s.log, telemetry.Options{Level: "info", Format: "text"})
	if err != nil {
		return nil, err
	}
	if s.store, err = storage.Open(ctx, storage.Config{URL: url, Key: bytes.Repeat([]byte{6}, 32), Log: log}); err != nil {
		return nil, err
	}
	s.region = benchRegion("http://127.0.0.1:1", "token")
	if err := s.store.AddRegion(ctx, s.region); err != nil {
		return nil, err
	}
	return s, s.mount(ctx, log)
}

// benchRegion is a region that serves everybody.
func benchRegion(zammadURL, token string) *bridge.Region {
	return &bridge.Region{
		Slug: slug, Name: "Testland", Enabled: true, ZammadToken: bridge.Secret(token), WebhookSecret: secret,
		Settings: bridge.RegionSettings{
			Languages:  []bridge.Language{{Code: language, NativeName: "Deutsch"}},
			Percentage: 100, ZammadURL: zammadURL, ZammadGroup: "App Chat",
		}.WithDefaults(),
	}
}

// mount puts the doors into the frame and starts what runs beside them.
func (s *stack) mount(ctx context.Context, log *slog.Logger) error {
	regions, err := bridge.NewRegions(ctx, s.store, log)
	if err != nil {
		return err
	}
	marks := realtime.NewWatermarks(realtime.Deps{Store: s.store, Log: log, Now: time.Now})
	exposures := bridge.NewExposures(s.store, log)
	chats := bridge.NewChats(bridge.ChatsDeps{Store: s.store, Publisher: marks, Exposures: exposures, Wake: func() {}, Now: time.Now})
	frame, err := server.New(server.Config{Log: log, CORSOrigins: []string{"*"}})
	if err != nil {
		return err
	}
	webhook.New(webhook.Deps{
		Inbox: s.store, Regions: regions, Log: log,
		Check: zammad.CheckDelivery,
	}).Routes(frame.Engine())
	device.New(device.Deps{
		Chats: counting{chats, &s.reads}, Regions: regions, Hasher: s.hasher, Watermarks: marks, TicketURL: desk.New(desk.Config{}).TicketURL, Streams: frame,
	}).Routes(frame.Limited())
	s.handler = frame.Engine()

	ctx, s.stop = context.WithCancel(ctx)
	for _, run := range []func(context.Context) error{regions.Run, marks.Run, exposures.Run} {
		s.running.Go(func() {
			if err := run(ctx); err != nil {
				log.Error("a room stopped", "error", err)
			}
		})
	}
	return nil
}

func (s *stack) close() error {
	if s.stop != nil {
		s.stop()
		s.running.Wait()
	}
	var err error
	if s.store != nil {
		err = s.store.Close()
	}
	return errors.Join(err, s.log.Close())
}

// counting counts what devices read from the database.
type counting struct {
	*bridge.Chats
	reads *atomic.Int64
}

// History reads and counts.
func (c counting) History(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, since bridge.Seq) (bridge.History, error) {
	c.reads.Add(1)
	return c.Chats.History(ctx, r, d, since)
}

// places makes fresh databases and takes them away again.
type places struct {
	dir     string
	mysql   string // server, as in mysql://root@127.0.0.1:3306/; empty: none
	made    int
	dropped []func() error
}

// sqlite gives a path for a new file.
func (p *places) sqlite() string {
	p.made++
	return filepath.Join(p.dir, fmt.Sprintf("bench-%d.db", p.made))
}

// clear removes everything that was made.
func (p *places) clear() error {
	var all []error
	for _, drop := range p.dropped {
		all = append(all, drop())
	}
	p.dropped = nil
	return errors.Join(append(all, os.RemoveAll(p.dir))...)
}

// database makes an empty database on the server.
func (p *places) database() (string, error) {
	u, err := url.Parse(p.mysql)
	if err != nil || u.Scheme != "mysql" || u.Host == "" {
		return "", errors.New("-mysql must look like mysql://user:password@host:port/")
	}
	c := mysql.NewConfig()
	c.User, c.Net, c.Addr = u.User.Username(), "tcp", u.Host
	c.Passwd, _ = u.User.Password()
	p.made++
	name := fmt.Sprintf("deskbridge_bench_%d_%d", os.Getpid(), p.made)
	run := func(statement string) error {
		db, err := sql.Open("mysql", c.FormatDSN())
		if err != nil {
			return err
		}
		defer db.Close()
		_, err = db.Exec(statement)
		return err
	}
	if err := run("CREATE DATABASE " + name + " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"); err != nil {
		return "", fmt.Errorf("make a database: %w", err)
	}
	p.dropped = append(p.dropped, func() error { return run("DROP DATABASE " + name) })
	u.Path = "/" + name
	return u.String(), nil
}
