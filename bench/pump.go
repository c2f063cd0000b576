package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"deskbridge/bridge"
	"deskbridge/storage"
	"deskbridge/zammad/desk"
)

const (
	lanes           = 100
	messagesPerLane = 10
	laneWorkers     = 8 // as many lanes of a desk as the pump works on at once
)

// pumpSQLite measures how fast the pump empties a hundred lanes, without a
// limit of calls, against a loop that makes the same calls and commits.
func pumpSQLite(ctx context.Context, p *places) (contest, error) {
	ours, err := newPumped(ctx, "sqlite:"+p.sqlite())
	if err != nil {
		return contest{}, err
	}
	path := p.sqlite()
	model, err := newStack(ctx, "sqlite:"+path) // schema and region
	if err != nil {
		return contest{}, err
	}
	if err := model.close(); err != nil {
		return contest{}, err
	}
	other, err := newLoop(ctx, path)
	if err != nil {
		return contest{}, err
	}
	return contest{
		name: "pump-100-lanes", want: 0.7,
		pair: func(ctx context.Context, _ time.Duration) (float64, float64, error) {
			first, err := ours.empty(ctx)
			if err != nil {
				return 0, 0, err
			}
			second, err := other.empty(ctx)
			return first, second, err
		},
		close: func() error {
			ours.box.stop()
			other.box.stop()
			return errors.Join(ours.store.Close(), other.close())
		},
	}, nil
}

// pumped is the pump with everything that it needs and nothing beside it.
type pumped struct {
	box     *mailbox
	store   *storage.Store
	regions *bridge.Regions
	region  *bridge.Region
	chats   *bridge.Chats
	pump    *bridge.Pump
	sent    arrivals
	device  uint32
}

func newPumped(ctx context.Context, url string) (*pumped, error) {
	box, err := openMailbox(ctx)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	w := &pumped{box: box, region: benchRegion(box.origin, box.token), sent: arrivals{all: make(chan struct{}, 1)}}
	if w.store, err = storage.Open(ctx, storage.Config{URL: url, Key: bytes.Repeat([]byte{6}, 32), Log: log}); err != nil {
		return nil, err
	}
	if err := w.store.AddRegion(ctx, w.region); err != nil {
		return nil, err
	}
	if w.regions, err = bridge.NewRegions(ctx, w.store, log); err != nil {
		return nil, err
	}
	walls := desk.New(desk.Config{Concurrency: 1000})
	receiver := bridge.NewReceiver(bridge.ReceiverDeps{Tickets: w.store, Desk: walls, Regions: w.regions, Publisher: nobody{}, Log: log, Now: time.Now})
	w.pump = bridge.NewPump(bridge.PumpDeps{
		Lanes: w.store, Desk: walls, Regions: w.regions, Receiver: receiver, Publisher: &w.sent, Log: log, Now: time.Now,
	})
	w.chats = bridge.NewChats(bridge.ChatsDeps{Store: w.store, Publisher: nobody{}, Exposures: bridge.NewExposures(w.store, log), Wake: func() {}, Now: time.Now})
	return w, nil
}

// empty fills the lanes, and gives the messages a second that leave them.
func (w *pumped) empty(ctx context.Context) (float64, error) {
	for range lanes {
		w.device++
		var device bridge.DeviceHash
		device[0], device[1], device[2] = byte(w.device), byte(w.device>>8), byte(w.device>>16)
		for range messagesPerLane {
			if _, err := w.chats.Send(ctx, w.region, bridge.Sending{Device: device, Language: language, Text: text}); err != nil {
				return 0, err
			}
		}
	}
	w.sent.left.Store(lanes * messagesPerLane)
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	began := time.Now()
	go func() { done <- w.pump.Run(running) }()
	select {
	case <-w.sent.all:
	case <-ctx.Done():
	}
	took := time.Since(began)
	stop()
	if err := errors.Join(ctx.Err(), <-done); err != nil {
		return 0, err
	}
	return lanes * messagesPerLane / took.Seconds(), w.box.holds(int(w.device) * messagesPerLane)
}

// arrivals counts the messages that were stored as sent.
type arrivals struct {
	left atomic.Int64
	all  chan struct{} // told when none is left
}

// Publish counts one for each message: the pump tells of each alone.
func (a *arrivals) Publish(changes ...bridge.Change) {
	if a.left.Add(-int64(len(changes))) == 0 {
		a.all <- struct{}{}
	}
}

type nobody struct{}

func (nobody) Publish(...bridge.Change) {}
