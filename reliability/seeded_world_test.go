package reliability_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
	"deskbridge/zammad"
	"deskbridge/zammad/simulator"
)

// horizon is zammad.write_horizon in the simulation; late work is done before.
const horizon = 5 * time.Minute

const backoffice = "Backoffice" // a group that no bridge sees

// skewed is the clock of all instances: it jumps.
type skewed struct {
	mu  sync.Mutex
	off time.Duration
}

func (c *skewed) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.off)
}

func (c *skewed) jump(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off += by
}

// steady is Zammad's clock. It moves on with each look, so that no two of its
// time stamps are equal.
type steady struct {
	mu   sync.Mutex
	last time.Time
}

func (c *steady) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if least := c.last.Add(time.Millisecond); now.Before(least) {
		now = least
	}
	c.last = now
	return now
}

func (c *steady) After(d time.Duration) <-chan time.Time { return time.After(d) }

// place is a region with its group and its bridge user in Zammad.
type place struct {
	slug, group, login string
	user               zammad.UserID
	groupID            zammad.GroupID
	region             *bridge.Region
}

// world is everything of one seed. It lives in a bubble of synctest, so hours
// pass in a moment.
type world struct {
	log      *slog.Logger
	database string
	raw      *storage.Store // the test's own look; nothing dies at it
	net      *network
	sim      *simulator.Simulator
	clock    *skewed
	admin    *zammad.Client
	agent    *zammad.Client
	agentID  zammad.UserID
	places   []*place
	diskFull atomic.Bool

	booted int
	all    []*instance
	mu     sync.Mutex // guards alive, diary and bad
	alive  []*instance
	turn   int
	diary  []string
	bad    []string
	began  time.Time

	clockBack time.Duration // how far the clock was put back in all
	ruled     bool          // a group does not simply reopen

	truth
}

// template makes the empty, migrated database once.
var template = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "seeds")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "empty.db")
	store, err := storage.Open(context.Background(), storage.Config{URL: "sqlite:" + path, Key: storagetest.Key, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	if err := store.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// newWorld makes Zammad with two regions' groups, and the database with the
// regions; no instance runs yet.
func newWorld(dir string, log *slog.Logger, empty []byte) (*world, error) {
	w := &world{log: log, clock: &skewed{}, net: &network{}, began: time.Now(), truth: newTruth()}
	w.sim = simulator.New(simulator.Config{Clock: &steady{}, Transport: hooks{w}, AdminToken: "admin-token"})
	w.net.zammad = w.sim.Handler()
	path := filepath.Join(dir, "deskbridge.db")
	if err := os.WriteFile(path, empty, 0o600); err != nil {
		return nil, err
	}
	w.database = "sqlite:" + path
	var err error
	if w.raw, err = storage.Open(context.Background(), storage.Config{URL: w.database, Key: storagetest.Key, Log: log, Now: w.clock.now}); err != nil {
		return nil, err
	}
	return w, w.furnish()
}

func (w *world) client(token string) (*zammad.Client, error) {
	return zammad.New(zammad.Config{URL: "http://zammad.test", Token: token, Transport: people{w.net}})
}

// furnish makes groups, users, tokens, triggers and regions.
func (w *world) furnish() error {
	ctx := context.Background()
	var err error
	if w.admin, err = w.client("admin-token"); err != nil {
		return err
	}
	full := map[string][]string{backoffice: {"full"}}
	if _, err := w.admin.Groups.Create(ctx, zammad.Group{Name: backoffice, Active: true, FollowUpPossible: zammad.FollowUpYes}); err != nil {
		return err
	}
	for _, slug := range []string{"north", "south"} {
		p := &place{slug: slug, group: strings.ToUpper(slug), login: "bridge-" + slug}
		group, err := w.admin.Groups.Create(ctx, zammad.Group{Name: p.group, Active: true, FollowUpPossible: zammad.FollowUpYes})
		if err != nil {
			return err
		}
		p.groupID = group.ID
		full[p.group] = []string{"full"}
		w.places = append(w.places, p)
	}
	me, err := w.admin.Users.Me(ctx)
	if err != nil {
		return err
	}
	if _, err := w.admin.Users.Update(ctx, me.ID, zammad.Changes{"groups": full}); err != nil {
		return err
	}
	user, err := w.admin.Users.Create(ctx, zammad.NewUser{Login: "cora", Firstname: "Cora", Lastname: "Counselor", Roles: []string{"Agent"}, Groups: full})
	if err != nil {
		return err
	}
	w.agentID = user.ID
	token, err := w.admin.As("cora").Tokens.Create(ctx, zammad.NewToken{Name: "agent", Permissions: []string{"ticket.agent"}})
	if err != nil {
		return err
	}
	if w.agent, err = w.client(token); err != nil {
		return err
	}
	for _, p := range w.places {
		if err := w.connect(p); err != nil {
			return fmt.Errorf("region %s: %w", p.slug, err)
		}
	}
	return nil
}

// connect makes a region with its user, webhook and triggers (contract 4.5).
func (w *world) connect(p *place) error {
	ctx := context.Background()
	user, err := w.admin.Users.Create(ctx, zammad.NewUser{Login: p.login, Firstname: "Desk", Lastname: "Bridge", Roles: []string{"Agent"}, Groups: map[string][]string{p.group: {"full"}}})
	if err != nil {
		return err
	}
	p.user = user.ID
	token, err := w.admin.As(p.login).Tokens.Create(ctx, zammad.NewToken{Name: "deskbridge", Permissions: []string{"ticket.agent"}})
	if err != nil {
		return err
	}
	hook, err := w.admin.Webhooks.Create(ctx, zammad.Webhook{
		Name: p.slug, Endpoint: "http://deskbridge.test/api/v3/webhook/zammad/" + p.slug + "/", SignatureToken: "secret-" + p.slug, Active: true,
	})
	if err != nil {
		return err
	}
	is := func(value any) zammad.Condition { return zammad.Condition{Operator: "is", Value: value} }
	inGroup := is([]string{strconv.FormatInt(int64(p.groupID), 10)})
	for name, when := range map[string]zammad.Conditions{
		"answers": {"ticket.group_id": inGroup, "article.action": is("create"), "article.sender_id": is([]string{"1", "3"}), "article.internal": is([]string{"false"})},
		"states":  {"ticket.group_id": inGroup, "ticket.action": is("update"), "ticket.state_id": zammad.Condition{Operator: "has changed", Value: []string{}}},
		"merges":  {"ticket.group_id": inGroup, "ticket.action": is("update.merged_into")},
	} {
		_, err := w.admin.Triggers.Create(ctx, zammad.Trigger{
			Name: p.slug + ": " + name, Condition: when, Activator: "action", ExecutionConditionMode: "selective", Active: true, DisableNotification: true,
			Perform: map[string]any{"notification.webhook": map[string]string{"webhook_id": strconv.FormatInt(int64(hook.ID), 10)}},
		})
		if err != nil {
			return err
		}
	}
	p.region = &bridge.Region{
		Slug: p.slug, Name: p.slug, Enabled: true,
		Settings: bridge.RegionSettings{
			Languages: []bridge.Language{{Code: "de"}, {Code: "en"}}, Percentage: 100, ZammadURL: "http://zammad.test", ZammadGroup: p.group,
		}.WithDefaults(),
		ZammadToken: bridge.Secret(token), WebhookSecret: bridge.Secret("secret-" + p.slug),
	}
	return w.raw.AddRegion(ctx, p.region)
}

// anyone gives an instance that is alive, each in turn; nil if there is none.
func (w *world) anyone() *instance {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn++
	for i := range w.alive {
		if in := w.alive[(w.turn+i)%len(w.alive)]; !in.isDead() {
			return in
		}
	}
	return nil
}

// bury takes away who died, and says how many.
func (w *world) bury() int {
	n := 0
	for _, in := range w.all {
		if in.isDead() && w.leave(in) {
			in.kill()
			w.note("%s died", in.name)
			n++
		}
	}
	return n
}

// leave takes an instance off the list of those alive.
func (w *world) leave(in *instance) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, one := range w.alive {
		if one == in {
			w.alive = append(w.alive[:i], w.alive[i+1:]...)
			return true
		}
	}
	return false
}

// end stops everything, so that the bubble can burst.
func (w *world) end() error {
	w.net.clear()
	for _, in := range w.all {
		in.kill()
	}
	for _, in := range w.all {
		in.runs.Wait()
	}
	for w.net.count(0) > 0 {
		<-time.After(time.Second)
	}
	for _, in := range w.all {
		if err := in.store.Close(); err != nil {
			return err
		}
	}
	return w.raw.Close()
}

// note writes into the diary, which a failing seed shows.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.diary = append(w.diary, fmt.Sprintf("%8.3fs ", time.Since(w.began).Seconds())+fmt.Sprintf(format, args...))
}

// broke notes a broken promise, once.
func (w *world) broke(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, known := range w.bad {
		if known == text {
			return
		}
	}
	w.bad = append(w.bad, text)
	w.diary = append(w.diary, fmt.Sprintf("%8.3fs ", time.Since(w.began).Seconds())+"BROKEN: "+text)
}

// diarist lets the instances' own log into the diary.
type diarist struct{ t *testing.T }

func (d diarist) Write(p []byte) (int, error) {
	d.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}
