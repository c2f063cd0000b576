package bridge_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"deskbridge/bridge"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
)

// hurried is one chat in ticket 101, a device that may be connected, and a desk
// that counts the searches.
type hurried struct {
	t        *testing.T
	store    *storage.Store
	region   *bridge.Region
	chats    *bridge.Chats
	pump     *bridge.Pump
	receiver *bridge.Receiver
	desk     *openTicket
	writes   *scriptedDesk

	mu       sync.Mutex
	watching bool
	searches int
}

func (h *hurried) Watchers(bridge.RegionID) []bridge.DeviceHash {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watching {
		return []bridge.DeviceHash{{9}, device}
	}
	return nil
}

// Changed counts, and gives the ticket of the embedded desk.
type countedDesk struct {
	*openTicket
	h *hurried
}

func (d countedDesk) Changed(context.Context, *bridge.Region, time.Time) ([]bridge.Ticket, error) {
	d.h.mu.Lock()
	defer d.h.mu.Unlock()
	d.h.searches++
	return []bridge.Ticket{d.ticket}, nil
}

func hurry(t *testing.T, story func(h *hurried)) {
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		h := &hurried{t: t, store: storagetest.Open(t), desk: &openTicket{}}
		h.region = &bridge.Region{
			Slug: "testland", Name: "Testland", Enabled: true, ZammadToken: "token",
			Settings: bridge.RegionSettings{Languages: []bridge.Language{{Code: "de"}}, Percentage: 100, ZammadURL: "https://zammad.example.org"}.WithDefaults(),
		}
		if err := h.store.AddRegion(t.Context(), h.region); err != nil {
			t.Fatal(err)
		}
		regions, err := bridge.NewRegions(t.Context(), h.store, log)
		if err != nil {
			t.Fatal(err)
		}
		h.receiver = bridge.NewReceiver(bridge.ReceiverDeps{
			Tickets: h.store, Desk: countedDesk{h.desk, h}, Regions: regions, Publisher: nobody{}, Log: log, Now: time.Now,
		})
		h.writes = &scriptedDesk{articles: make(map[bridge.MessageUUID]bridge.Posted)}
		h.pump = bridge.NewPump(bridge.PumpDeps{
			Lanes: h.store, Desk: h.writes, Regions: regions, Receiver: h.receiver, Publisher: nobody{}, Log: log, Now: time.Now,
		})
		h.chats = bridge.NewChats(bridge.ChatsDeps{Store: h.store, Publisher: nobody{}, Exposures: bridge.NewExposures(h.store, log), Wake: func() {}, Now: time.Now})
		lane := bridge.NewFastLane(bridge.FastLaneDeps{Receiver: h.receiver, Watchers: h, Waiting: h.store, Log: log, Now: time.Now})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- lane.Run(ctx) }()
		h.asks("question")
		story(h)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// asks lets the device write, and the pump carry it into the ticket.
func (h *hurried) asks(text string) {
	h.t.Helper()
	if _, err := h.chats.Send(h.t.Context(), h.region, bridge.Sending{Device: device, Language: "de", Text: text}); err != nil {
		h.t.Fatal(err)
	}
	h.pump.Step(h.t.Context())
}

// answers lets an agent write that long ago.
func (h *hurried) answers(text string, ago time.Duration) {
	h.writes.mu.Lock()
	h.writes.next++
	id := h.writes.next
	h.writes.mu.Unlock()
	a := bridge.Article{ID: id, Ticket: 101, Public: true, Text: text, CreatedAt: time.Now().Add(-ago)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.desk.inside = append(h.desk.inside, a)
	h.desk.ticket = bridge.Ticket{ID: 101, State: bridge.TicketOpen, Articles: []bridge.ArticleID{id}, Included: []bridge.Article{a}, ChangedAt: a.CreatedAt}
}

// hook delivers the webhook of the last answer.
func (h *hurried) hook() {
	h.t.Helper()
	if got, err := h.receiver.Deliver(h.t.Context(), bridge.Delivery{Region: h.region.ID, Received: time.Now()}); err != nil || got != bridge.DeliveryRelayed {
		h.t.Fatal(got, err)
	}
}

// missed lets reconciliation find an answer that no webhook brought.
func (h *hurried) missed() {
	h.t.Helper()
	h.answers("found late", time.Minute)
	if _, err := h.receiver.Reconcile(h.t.Context(), false); err != nil {
		h.t.Fatal(err)
	}
	h.asks("and then?")
	h.took(0)
}

func (h *hurried) watch(watching bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watching = watching
}

// took gives the searches of so much time.
func (h *hurried) took(d time.Duration) int {
	h.mu.Lock()
	h.searches = 0
	h.mu.Unlock()
	<-time.After(d)
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.searches
}

func (h *hurried) last() string {
	h.t.Helper()
	got, err := h.chats.History(h.t.Context(), h.region, device, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	return got.Messages[len(got.Messages)-1].Text
}

func TestTheFastLaneCostsNothingWhileWebhooksWork(t *testing.T) {
	hurry(t, func(h *hurried) {
		h.watch(true)
		h.answers("in time", 4*time.Second)
		h.hook()
		h.asks("and then?")
		if n := h.took(5 * time.Minute); n != 0 {
			t.Errorf("%d searches", n)
		}
	})
}

func TestTheFastLaneBringsWhatNoWebhookTold(t *testing.T) {
	hurry(t, func(h *hurried) {
		h.missed()
		if n := h.took(time.Minute); n != 0 {
			t.Errorf("%d searches although nobody is connected", n)
		}
		h.watch(true)
		if n := h.took(30 * time.Second); n != 10 {
			t.Errorf("%d searches in half a minute", n)
		}
		h.answers("soon", 0)
		if n := h.took(4 * time.Second); n < 1 || h.last() != "soon" {
			t.Errorf("after %d searches the device sees %q", n, h.last())
		}
		if n := h.took(time.Minute); n != 0 {
			t.Errorf("%d searches although nobody waits for an answer", n)
		}
	})
}

func TestTheFastLaneEnds(t *testing.T) {
	t.Run("with a webhook in time", func(t *testing.T) {
		hurry(t, func(h *hurried) {
			h.missed()
			h.watch(true)
			h.answers("by webhook", time.Second)
			h.hook()
			h.asks("one more")
			if n := h.took(time.Minute); n != 0 {
				t.Errorf("%d searches", n)
			}
		})
	})
	t.Run("by itself", func(t *testing.T) {
		hurry(t, func(h *hurried) {
			h.missed()
			h.watch(true)
			if n := h.took(20 * time.Minute); n < 195 || n > 200 {
				t.Errorf("%d searches in twenty minutes", n)
			}
		})
	})
	t.Run("not with a webhook that is late", func(t *testing.T) {
		hurry(t, func(h *hurried) {
			h.watch(true)
			h.answers("late", lateBy)
			h.hook()
			h.asks("and then?")
			if n := h.took(30 * time.Second); n != 10 {
				t.Errorf("%d searches", n)
			}
		})
	})
}

const lateBy = 20 * time.Second
