package bridge_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
	"deskbridge/reception"
)

func TestPresence(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC) // a Wednesday
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	in := func(d time.Duration) time.Time { return now.Add(d) }
	var plain reception.Rules
	utc, err := reception.ParseZone("UTC")
	if err != nil {
		t.Fatal(err)
	}
	until := func(end string) reception.Rules {
		o, err := reception.ParseOpening("mo-fr 08:00-" + end)
		if err != nil {
			t.Fatal(err)
		}
		return reception.Rules{Zone: utc, Hours: []reception.Opening{o}, BotSeconds: 60}
	}
	bot := reception.Rules{BotSeconds: 60}
	for _, c := range []struct {
		name     string
		rules    reception.Rules
		chat     bridge.Chat
		language string
		want     bridge.Presence
	}{
		{"no chat", bot, bridge.Chat{}, "de", bridge.Presence{State: bridge.ChatNone}},
		{"no chat at night", until("10:00"), bridge.Chat{}, "fr", bridge.Presence{State: bridge.ChatNone, Away: plain.AwayText("fr"), Until: now.Add(20 * time.Hour)}},
		{"not in the desk yet", plain, bridge.Chat{ID: 1}, "de", bridge.Presence{State: bridge.ChatOpen}},
		{"open", plain, bridge.Chat{ID: 1, TicketState: bridge.TicketOpen}, "de", bridge.Presence{State: bridge.ChatOpen}},
		{"merged", plain, bridge.Chat{ID: 1, TicketState: bridge.TicketMerged}, "de", bridge.Presence{State: bridge.ChatOpen}},
		{"closed", plain, bridge.Chat{ID: 1, TicketState: bridge.TicketClosed, Language: "de"}, "uk", bridge.Presence{State: bridge.ChatClosed, Notice: plain.ClosedText("uk")}},
		{"closed, in the chat's language", plain, bridge.Chat{ID: 1, TicketState: bridge.TicketClosed, Language: "tr"}, "", bridge.Presence{State: bridge.ChatClosed, Notice: plain.ClosedText("tr")}},
		{"closed, and nobody writes any more", bot, bridge.Chat{ID: 1, TicketState: bridge.TicketClosed, AnsweredAt: ago(time.Second), AskedAt: ago(time.Second)}, "de",
			bridge.Presence{State: bridge.ChatClosed, Notice: plain.ClosedText("de")}},
		{"reopened", plain, bridge.Chat{ID: 1, TicketState: bridge.TicketOpen, Reopened: true}, "de", bridge.Presence{State: bridge.ChatOpen, Notice: plain.ReopenedText("de")}},
		{"an agent writes", plain, bridge.Chat{ID: 1, AnsweredAt: ago(20 * time.Second)}, "de", bridge.Presence{State: bridge.ChatOpen, AgentTyping: true, Until: in(10 * time.Second)}},
		{"an agent has written", plain, bridge.Chat{ID: 1, AnsweredAt: ago(30 * time.Second)}, "de", bridge.Presence{State: bridge.ChatOpen}},
		{"a bot works", bot, bridge.Chat{ID: 1, AskedAt: ago(20 * time.Second)}, "de", bridge.Presence{State: bridge.ChatOpen, BotTyping: true, Until: in(40 * time.Second)}},
		{"a bot took too long", bot, bridge.Chat{ID: 1, AskedAt: ago(time.Minute)}, "de", bridge.Presence{State: bridge.ChatOpen}},
		{"no bot", plain, bridge.Chat{ID: 1, AskedAt: now}, "de", bridge.Presence{State: bridge.ChatOpen}},
		{"the first of all ends counts", until("17:00"), bridge.Chat{ID: 1, AskedAt: ago(20 * time.Second), AnsweredAt: ago(5 * time.Second)}, "de",
			bridge.Presence{State: bridge.ChatOpen, AgentTyping: true, BotTyping: true, Until: in(25 * time.Second)}},
		{"closing time counts where nobody writes", until("17:00"), bridge.Chat{ID: 1}, "de", bridge.Presence{State: bridge.ChatOpen, Until: in(5 * time.Hour)}},
		{"closing time is nearer", until("12:01"), bridge.Chat{ID: 1, AskedAt: now, AnsweredAt: time.Time{}}, "de", bridge.Presence{State: bridge.ChatOpen, BotTyping: true, Until: in(time.Minute)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			region := &bridge.Region{Settings: bridge.RegionSettings{Reception: c.rules}}
			if diff := cmp.Diff(c.want, region.Presence(&c.chat, c.language, now)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// generous is a store in which every claim succeeds.
type generous struct {
	bridge.ChatStore // anything else is a bug of the test
	claims           atomic.Int64
}

func (s *generous) ClaimTyping(context.Context, *bridge.Region, bridge.DeviceHash, time.Time, time.Time) (bridge.TicketID, bool, error) {
	return bridge.TicketID(s.claims.Add(1)), true, nil
}

// slowDesk takes notes with what a test says of them.
type slowDesk struct {
	bridge.Desk
	note  func(ctx context.Context) error
	notes []bridge.Note
}

func (d *slowDesk) Note(ctx context.Context, _ *bridge.Region, n bridge.Note) error {
	d.notes = append(d.notes, n)
	return d.note(ctx)
}

// typing is a region with a typist, in a bubble with its own time.
func typing(t *testing.T, desk *slowDesk) (*generous, func(rules reception.Rules)) {
	t.Helper()
	store := &generous{}
	typist := bridge.NewTypist(bridge.TypistDeps{Desk: desk, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	chats := bridge.NewChats(bridge.ChatsDeps{Store: store, Publisher: nobody{}, Typist: typist, Now: time.Now})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- typist.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return store, func(rules reception.Rules) {
		region := &bridge.Region{Slug: "testland", Enabled: true, ZammadToken: "t", Settings: bridge.RegionSettings{ZammadURL: "u", Reception: rules}}
		if err := chats.Typing(t.Context(), region, device); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTypingIsToldOnlyWhereTheRegionWantsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		desk := &slowDesk{note: func(context.Context) error { return nil }}
		store, types := typing(t, desk)
		types(reception.Rules{})
		synctest.Wait()
		if store.claims.Load() != 0 || len(desk.notes) != 0 {
			t.Fatalf("%d claims, %d notes without the setting", store.claims.Load(), len(desk.notes))
		}
		types(reception.Rules{TypingNote: true})
		synctest.Wait()
		if len(desk.notes) != 1 {
			t.Fatalf("%d notes", len(desk.notes))
		}
		n := desk.notes[0]
		if uuid, own := bridge.ParseHeader(n.UUID.Header()); !own || uuid == "" || n.Ticket != 1 || !strings.Contains(n.Text, "is writing") {
			t.Errorf("the note is %+v", n)
		}
	})
}

// TestTypingIsToldSoonOrNever: a desk that does not answer costs one call, no
// device waits for it, and nobody is told later what was true before.
func TestTypingIsToldSoonOrNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := true
		desk := &slowDesk{}
		desk.note = func(ctx context.Context) error {
			if stuck {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		_, types := typing(t, desk)
		began := time.Now()
		for range 500 {
			types(reception.Rules{TypingNote: true})
		}
		if passed := time.Since(began); passed != 0 {
			t.Errorf("devices waited %s", passed)
		}
		<-time.After(20 * time.Second)
		synctest.Wait()
		if len(desk.notes) != 1 {
			t.Fatalf("%d notes were tried; those that waited too long are untrue", len(desk.notes))
		}
		stuck = false
		types(reception.Rules{TypingNote: true})
		synctest.Wait()
		if len(desk.notes) != 2 {
			t.Errorf("%d notes after the desk is back", len(desk.notes))
		}
	})
}

func TestTypingIsTriedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, kind := range []bridge.DeskErrorKind{bridge.DeskAmbiguous, bridge.DeskUnavailable, bridge.DeskGone, bridge.DeskRefused} {
			desk := &slowDesk{note: func(context.Context) error { return &bridge.DeskError{Kind: kind, Err: errors.New("no")} }}
			_, types := typing(t, desk)
			types(reception.Rules{TypingNote: true})
			<-time.After(time.Hour)
			synctest.Wait()
			if len(desk.notes) != 1 {
				t.Errorf("%s: tried %d times", kind, len(desk.notes))
			}
		}
	})
}

// unmerged is a ticket that took no other in.
type unmerged struct{ *openTicket }

func (unmerged) Absorbed(context.Context, *bridge.Region, bridge.TicketID) (time.Time, error) {
	return time.Time{}, nil
}

// TestHiddenNamesAreNotStored: what the rule hides never comes into the
// database, whichever way the article comes.
func TestHiddenNamesAreNotStored(t *testing.T) {
	for rule, want := range map[reception.Names]string{
		reception.NamesNone: "", reception.NamesRole: "", reception.NamesFirst: "Nicole", reception.NamesFull: "Nicole Braun",
	} {
		for _, whole := range []bool{false, true} {
			l := newLanes(t)
			l.region.Settings.Reception.Names = rule
			if err := l.store.SaveRegion(t.Context(), l.region); err != nil {
				t.Fatal(err)
			}
			l.send("one")
			l.step(0)
			answer := bridge.Article{ID: 2, Ticket: 101, Public: true, Name: "Nicole Braun", Text: "hello", CreatedAt: l.now}
			d := &openTicket{
				ticket: bridge.Ticket{ID: 101, State: bridge.TicketOpen, Articles: []bridge.ArticleID{1, 2}, Included: []bridge.Article{answer}},
			}
			regions, err := bridge.NewRegions(t.Context(), l.store, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			r := bridge.NewReceiver(bridge.ReceiverDeps{
				Tickets: l.store, Desk: unmerged{d}, Regions: regions, Publisher: nobody{}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return l.now },
			})
			if whole { // too much is unknown, so the ticket is read whole
				d.ticket.Articles = append(d.ticket.Articles, 3, 4, 5, 6, 7)
				d.ticket.Included, d.inside = nil, []bridge.Article{answer}
			}
			if outcome, err := r.Deliver(t.Context(), bridge.Delivery{Region: l.region.ID}); err != nil || outcome != bridge.DeliveryRelayed {
				t.Fatal(outcome, err)
			}
			h, err := l.chats.History(t.Context(), l.region, device, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := h.Messages[len(h.Messages)-1]; got.Text != "hello" || got.Name != want {
				t.Errorf("%q, whole %v: stored %q as %q, want %q", rule, whole, got.Text, got.Name, want)
			}
		}
	}
}
