package reliability

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"deskbridge/app"
	"deskbridge/bridge"
	"deskbridge/config"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
)

// A process that is paused for longer than its leases, and then goes on, does no
// harm: not after its call to Zammad, and not before it.
func TestPauseBeforeAndAfterWrites(t *testing.T) {
	t.Parallel()
	for name, where := range map[string]pausePoint{"after the first write": afterOpen, "after a write": afterPost, "before a write": beforePost} {
		t.Run(name, func(t *testing.T) {
			storagetest.EachURL(t, func(t *testing.T, url string) { pausedProcess(t, url, where) })
		})
	}
}

// pausePoint is where a process stands still.
type pausePoint int

const (
	afterOpen pausePoint = iota
	afterPost
	beforePost
)

func pausedProcess(t *testing.T, url string, where pausePoint) {
	h := newHouse(t, url)
	cfg, err := config.Load("", h.env)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	a, err := app.Open(t.Context(), cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	clock := &clock{at: time.Now()}
	send := func(text string) {
		t.Helper()
		r, _ := a.Regions.BySlug(region)
		chats := bridge.NewChats(bridge.ChatsDeps{
			Store: a.Store, Publisher: silent{}, Exposures: bridge.NewExposures(a.Store, log), Wake: func() {}, Now: clock.now,
		})
		if _, err := chats.Send(t.Context(), r, bridge.Sending{Device: bridge.DeviceHash{1}, Language: "de", Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	pump := func(desk bridge.Desk, lanes bridge.LaneStore) *bridge.Pump {
		return bridge.NewPump(bridge.PumpDeps{Lanes: lanes, Desk: desk, Regions: a.Regions, Publisher: silent{}, Log: log, Now: clock.now})
	}
	other := pump(a.Desk, a.Store)
	d := device{id: "device-1"}
	say := func() {
		t.Helper()
		text := fmt.Sprintf("%s says %d", d.id, len(d.sent))
		send(text)
		d.sent = append(d.sent, letter{text: text, acked: true})
	}
	if where != afterOpen {
		say()
		other.Step(t.Context())
	}

	point := &point{reached: make(chan struct{}), goOn: make(chan struct{})}
	lanes := &watchedLanes{LaneStore: a.Store, where: where, point: point}
	paused := pump(pausingDesk{a.Desk, where, point}, lanes)
	say()
	stepped := make(chan struct{})
	go func() {
		defer close(stepped)
		paused.Step(t.Context())
	}()
	select {
	case <-point.reached:
	case <-stepped:
		t.Fatal("the process never came to where it should stand still")
	}
	clock.pass(bridge.DefaultWriteHorizon + time.Minute) // longer than any lease
	other.Step(t.Context())
	say()
	other.Step(t.Context())
	close(point.goOn)
	<-stepped
	if !errors.Is(lanes.last(), bridge.ErrClaimLost) {
		t.Errorf("the paused process stored what it had not the right to: %v", lanes.last())
	}

	truth, err := h.truth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, texts := d.written(truth)
	var sum tally
	if err := d.judge(&sum, "in Zammad", texts); err != nil {
		t.Error(err)
	}
}

// One of two instances stands still for longer than its leases and than the
// horizon, under load, and goes on.
func TestPauseOfOneOfTwo(t *testing.T) {
	t.Parallel()
	rng, n := chance(t), min(rounds(t, 1), 10)
	h := newHouse(t, storagetest.MySQL(t), "DESKBRIDGE_REDIS_URL="+redisURL(t))
	h.open("one", "two")
	both := h.addresses()
	l := h.begin(rng, 8, calm)
	for range n {
		l.progress(1 + rng.Int64N(40))
		moment(rng)
		victim := rng.IntN(2)
		h.instances[victim].freeze()
		h.front.lead(both[1-victim])
		over := time.After(leases)
		l.progress(20)
		<-over
		h.instances[victim].thaw()
		h.front.lead(both...)
	}
	l.progress(40)
	sum := l.finish()
	for _, p := range h.instances {
		p.stop()
	}
	accounts(t, fmt.Sprintf("%d pauses of %s of one of two instances", n, leases), sum)
}

// leases is longer than a lane is held without a sign of life.
const leases = 17 * time.Second

// A process that stands still within a transaction holds locks of the database.
// They end by themselves, and the transaction with them.
func TestPauseWithinATransaction(t *testing.T) {
	t.Parallel()
	url := storagetest.MySQL(t)
	one, two := storagetest.OpenURL(t, url), storagetest.OpenURL(t, url)
	r := &bridge.Region{
		Slug: region, Enabled: true, ZammadToken: "token",
		Settings: bridge.RegionSettings{Languages: []bridge.Language{{Code: "de"}}, Percentage: 100, ZammadURL: "https://zammad.example.org"}.WithDefaults(),
	}
	if err := one.AddRegion(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	send := func(s *storage.Store, text string, opens bool, admit func(bridge.Standing) bool) error {
		_, err := s.Accept(t.Context(), bridge.Submission{
			Region: r, Device: bridge.DeviceHash{1}, Language: "de", UUID: bridge.MessageUUID(uuid.NewString()), Text: text,
			ForceNew: opens, Admit: admit, Alias: text, Now: time.Now(),
		})
		return err
	}
	yes := func(bridge.Standing) bool { return true }
	if err := send(one, "first", true, yes); err != nil {
		t.Fatal(err)
	}
	point := &point{reached: make(chan struct{}), goOn: make(chan struct{})}
	frozen := make(chan error, 1)
	go func() {
		frozen <- send(one, "frozen", true, func(bridge.Standing) bool { point.pass(); return true })
	}()
	<-point.reached
	await(t, "the device is free again", func() error { return send(two, "second", false, yes) })
	close(point.goOn)
	if err := <-frozen; err == nil {
		t.Error("the transaction that stood still was stored")
	}
	h, err := two.History(t.Context(), r, bridge.DeviceHash{1}, 0, time.Now())
	if err != nil || len(h.Messages) != 2 || h.Messages[1].Text != "second" {
		t.Errorf("%+v, %v", h.Messages, err)
	}
}

// clock is what the pumps take for the time.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// point is a place at which a process stands still once.
type point struct {
	once          sync.Once
	reached, goOn chan struct{}
}

func (p *point) pass() {
	p.once.Do(func() {
		close(p.reached)
		<-p.goOn
	})
}

// pausingDesk is the real desk, whose caller stands still after a write.
type pausingDesk struct {
	bridge.Desk
	where pausePoint
	*point
}

func (d pausingDesk) Open(ctx context.Context, r *bridge.Region, o bridge.Opening) (bridge.Posted, error) {
	posted, err := d.Desk.Open(ctx, r, o)
	if d.where == afterOpen {
		d.pass()
	}
	return posted, err
}

func (d pausingDesk) Post(ctx context.Context, r *bridge.Region, p bridge.Post) (bridge.Posted, error) {
	posted, err := d.Desk.Post(ctx, r, p)
	if d.where == afterPost {
		d.pass()
	}
	return posted, err
}

// watchedLanes is the real store, which remembers how the last outcome was
// taken, and whose caller stands still after what is read last before a write.
type watchedLanes struct {
	bridge.LaneStore
	where pausePoint
	*point
	mu  sync.Mutex
	err error
}

func (w *watchedLanes) Articles(ctx context.Context, c bridge.ChatID) ([]bridge.ArticleID, error) {
	known, err := w.LaneStore.Articles(ctx, c)
	if w.where == beforePost {
		w.pass()
	}
	return known, err
}

func (w *watchedLanes) Finish(ctx context.Context, c bridge.Claim, o bridge.Outcome, now time.Time) ([]bridge.Change, error) {
	changes, err := w.LaneStore.Finish(ctx, c, o, now)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	return changes, err
}

func (w *watchedLanes) last() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

type silent struct{}

func (silent) Publish(...bridge.Change) {}
