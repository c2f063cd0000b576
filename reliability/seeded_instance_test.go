package reliability_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"time"

	"deskbridge/bridge"
	"deskbridge/jobs"
	"deskbridge/server"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
	"deskbridge/webhook"
	"deskbridge/zammad"
	"deskbridge/zammad/desk"
)

// instance is one process of Deskbridge, as app puts it together. It can die at
// any await point: whoever comes to one after that ends there, with whatever it
// was about to do undone, and nothing else of it is tidied up.
type instance struct {
	w       *world
	name    string
	store   *storage.Store
	regions *bridge.Regions
	chats   *bridge.Chats
	files   *bridge.Attachments
	eraser  *bridge.Eraser
	door    http.Handler
	stop    context.CancelFunc
	runs    sync.WaitGroup
	commits sync.RWMutex // held for reading by calls to the store

	mu     sync.Mutex
	fuse   int           // await points until death; 0: none planned
	frozen time.Time     // stands still until then
	died   chan struct{} // closed by death
	dead   bool
}

// boot starts an instance on the world's database.
func (w *world) boot() (*instance, error) {
	w.booted++
	ctx, stop := context.WithCancel(context.Background())
	in := &instance{w: w, name: fmt.Sprintf("instance-%d", w.booted), stop: stop, died: make(chan struct{})}
	log := w.log.With("instance", in.name)
	now := w.clock.now
	var err error
	if in.store, err = storage.Open(ctx, storage.Config{URL: w.database, Key: storagetest.Key, Log: log, Now: now}); err != nil {
		stop()
		return nil, err
	}
	if in.regions, err = bridge.NewRegions(ctx, in.store, log); err != nil {
		stop()
		return nil, err
	}
	store := mortal{in.store, in}
	walls := desk.New(desk.Config{Transport: line{w, in}, Log: log, Now: now})
	receiver := bridge.NewReceiver(bridge.ReceiverDeps{Tickets: store, Desk: walls, Regions: in.regions, Publisher: nobody{}, Log: log, Now: now})
	pump := bridge.NewPump(bridge.PumpDeps{
		Lanes: store, Desk: walls, Regions: in.regions, Receiver: receiver, Publisher: nobody{}, Log: log, Now: now, Horizon: horizon,
	})
	exposures := bridge.NewExposures(store, log)
	in.chats = bridge.NewChats(bridge.ChatsDeps{Store: store, Publisher: nobody{}, Exposures: exposures, Wake: pump.Wake, Now: now})
	in.files = bridge.NewAttachments(bridge.AttachmentsDeps{Files: store, Desk: walls, Now: now})
	in.eraser = bridge.NewEraser(bridge.EraserDeps{
		Store: store, Chats: store, Desk: walls, Regions: in.regions, Exposures: exposures, Publisher: nobody{}, Log: log, Now: now, Horizon: horizon,
	})
	keeper := bridge.NewKeeper(bridge.KeeperDeps{Jobs: store, Lanes: store, Regions: in.regions, Publisher: nobody{}, Log: log, Now: now})
	fast := bridge.NewFastLane(bridge.FastLaneDeps{Receiver: receiver, Watchers: everybody{w}, Waiting: store, Log: log, Now: now})
	clock, err := jobs.New(jobs.Deps{Store: store, Instance: in.name, Now: now, Log: log, Jobs: []jobs.Job{
		{Name: "reconcile", Schedule: "@every 30s", Run: receiver.Reconcile, Quiet: true},
		{Name: "outbox-sweep", Schedule: "@every 5m", Run: keeper.Sweep, Quiet: true},
		{Name: "prune", Schedule: "@every 10m", Run: keeper.Prune, Quiet: true},
	}})
	if err != nil {
		stop()
		return nil, err
	}
	hooks := webhook.New(webhook.Deps{Inbox: store, Regions: in.regions, Receiver: receiver, Check: zammad.CheckDelivery, Now: now, Log: log})
	frame, err := server.New(server.Config{Log: slog.New(slog.DiscardHandler), Now: now})
	if err != nil {
		stop()
		return nil, err
	}
	hooks.Routes(frame.Engine())
	in.door = frame.Engine()
	for _, run := range []func(context.Context) error{pump.Run, in.eraser.Run, hooks.Run, clock.Run, fast.Run} {
		in.runs.Go(func() { _ = run(ctx) }) // they return nil, or end by Goexit
	}
	w.all = append(w.all, in)
	w.mu.Lock()
	w.alive = append(w.alive, in)
	w.mu.Unlock()
	return in, nil
}

// point is an await point.
func (in *instance) point() {
	in.mu.Lock()
	if in.fuse > 0 && !in.dead {
		if in.fuse--; in.fuse == 0 {
			in.dead = true
			close(in.died)
		}
	}
	dead, rest := in.dead, time.Until(in.frozen)
	in.mu.Unlock()
	if dead {
		runtime.Goexit()
	}
	if rest > 0 {
		in.rest(rest)
	}
}

// rest waits; death does not.
func (in *instance) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-in.died:
		runtime.Goexit()
	}
}

// commit runs a call to the store, which whoever buries the instance waits for.
func (in *instance) commit(call func() error) error {
	in.commits.RLock()
	defer in.commits.RUnlock()
	return call()
}

// isDead says whether the fuse has burned down.
func (in *instance) isDead() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.dead
}

// kill ends the instance at once, wherever it is.
func (in *instance) kill() {
	in.mu.Lock()
	if !in.dead {
		in.dead = true
		close(in.died)
	}
	in.mu.Unlock()
	in.commits.Lock() // what SQLite has in hand is done, as the kernel would
	//lint:ignore SA2001 it only waits
	in.commits.Unlock()
	in.stop()
}

// shut stops the instance as a deploy does.
func (in *instance) shut() {
	in.stop()
	in.runs.Wait()
}

// everybody is connected to every instance.
type everybody struct{ w *world }

func (e everybody) Watchers(bridge.RegionID) []bridge.DeviceHash {
	return []bridge.DeviceHash{{1}, {2}}
}

type nobody struct{}

func (nobody) Publish(...bridge.Change) {}
