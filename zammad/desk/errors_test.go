package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

func decode[T any](t testing.TB, r io.Reader) T {
	t.Helper()
	var v T
	if err := json.NewDecoder(r).Decode(&v); err != nil {
		t.Errorf("request body: %v", err)
	}
	return v
}

// wantKind fails unless the error is a desk's of that kind, and gives it.
func wantKind(t *testing.T, err error, kind bridge.DeskErrorKind) *bridge.DeskError {
	t.Helper()
	var d *bridge.DeskError
	if !errors.As(err, &d) {
		t.Fatalf("%v is no error of the desk, want %s", err, kind)
	}
	if d.Kind != kind {
		t.Errorf("%v (%v), want %s", err, d.Err, kind)
	}
	return d
}

// everyCall makes each call of the desk about a ticket or article that is there.
func (w *world) everyCall(d *Desk, posted bridge.Posted) map[string]func(ctx context.Context) error {
	r := w.region
	return map[string]func(context.Context) error{
		"open": func(ctx context.Context) error {
			_, err := d.Open(ctx, r, bridge.Opening{UUID: newUUID(), Text: "x", Alias: alias, Language: "de"})
			return err
		},
		"post": func(ctx context.Context) error {
			_, err := d.Post(ctx, r, bridge.Post{UUID: newUUID(), Text: "x", Ticket: posted.Ticket.ID, Customer: posted.Customer})
			return err
		},
		"find": func(ctx context.Context) error { _, _, err := d.Find(ctx, r, newUUID()); return err },
		"relabel": func(ctx context.Context) error {
			return d.Relabel(ctx, r, bridge.Label{Ticket: posted.Ticket.ID, Alias: alias, Language: "ar", Previous: "de"})
		},
		"ticket":   func(ctx context.Context) error { _, err := d.Ticket(ctx, r, posted.Ticket.ID); return err },
		"articles": func(ctx context.Context) error { _, err := d.Articles(ctx, r, posted.Ticket.ID); return err },
		"article":  func(ctx context.Context) error { _, err := d.Article(ctx, r, posted.Article); return err },
		"changed":  func(ctx context.Context) error { _, err := d.Changed(ctx, r, time.Now()); return err },
		"reopens":  func(ctx context.Context) error { _, _, err := d.Reopens(ctx, r, posted.Ticket.ID); return err },
		"reopen":   func(ctx context.Context) error { _, err := d.Reopen(ctx, r, posted.Ticket.ID); return err },
	}
}

// kinds says what kind each call should fail with; others names the rest.
func (w *world) kinds(t *testing.T, d *Desk, posted bridge.Posted, others bridge.DeskErrorKind, except map[string]bridge.DeskErrorKind) {
	t.Helper()
	for name, call := range w.everyCall(d, posted) {
		t.Run(name, func(t *testing.T) {
			want, ok := except[name]
			if !ok {
				want = others
			}
			err := call(w.ctx)
			if want == "" {
				if err != nil {
					t.Errorf("%v, want none", err)
				}
				return
			}
			wantKind(t, err, want)
		})
	}
}

func TestTheTokenIsWithdrawn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	posted := w.open("first")
	users, err := w.admin.Users.Search(w.ctx, "deskbridge", 5)
	w.must(err)
	_, err = w.admin.Users.Update(w.ctx, users[0].ID, zammad.Changes{"active": false})
	w.must(err)
	w.kinds(t, w.desk, posted, bridge.DeskDenied, nil)
}

func TestTokensAreSwitchedOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	posted := w.open("first")
	f := func(out http.ResponseWriter, in *http.Request) bool {
		jsonAnswer(403, `{"error":"API token access disabled!"}`)(out, in)
		return true
	}
	w.answer.Store(&f)
	w.kinds(t, w.desk, posted, bridge.DeskDenied, nil)
}

func TestTheTicketIsMovedOutOfSight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	posted := w.open("first")
	_, err := w.agent.Tickets.Update(w.ctx, zammad.TicketID(posted.Ticket.ID), zammad.TicketUpdate{Group: otherGroup})
	w.must(err)
	w.kinds(t, w.desk, posted, bridge.DeskHidden, map[string]bridge.DeskErrorKind{"open": "", "find": "", "changed": ""})
}

func TestTheTicketIsDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	posted := w.open("first")
	w.must(w.admin.Tickets.Delete(w.ctx, zammad.TicketID(posted.Ticket.ID)))
	w.kinds(t, w.desk, posted, bridge.DeskGone, map[string]bridge.DeskErrorKind{"open": "", "find": "", "changed": ""})
}

func TestTheGroupsRightIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.region.Settings.ZammadGroup = otherGroup
	_, err := w.desk.Open(w.ctx, w.region, bridge.Opening{UUID: newUUID(), Text: "x", Alias: alias, Language: "de"})
	if d := wantKind(t, err, bridge.DeskDenied); !strings.Contains(d.Reason, otherGroup) {
		t.Errorf("reason %q does not name the group", d.Reason)
	}
	w.region.Settings.ZammadGroup = "No such group"
	_, err = w.desk.Open(w.ctx, w.region, bridge.Opening{UUID: newUUID(), Text: "x", Alias: alias, Language: "de"})
	if d := wantKind(t, err, bridge.DeskRefused); !strings.Contains(d.Reason, "No such group") {
		t.Errorf("reason %q does not name the group", d.Reason)
	}
}

func TestZammadDoesNotAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	posted := w.open("first")
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		reads  bridge.DeskErrorKind
		writes bridge.DeskErrorKind
	}{
		"bad gateway":  {jsonAnswer(502, ""), bridge.DeskUnavailable, bridge.DeskAmbiguous},
		"unavailable":  {jsonAnswer(503, ""), bridge.DeskUnavailable, bridge.DeskAmbiguous},
		"too many":     {jsonAnswer(429, ""), bridge.DeskUnavailable, bridge.DeskUnavailable},
		"masked 500":   {jsonAnswer(500, `{"error":"Error ID x7Kd9aLm: Please contact your administrator."}`), bridge.DeskMasked, bridge.DeskMasked},
		"plain 500":    {jsonAnswer(500, `{"error":"undefined method"}`), bridge.DeskMasked, bridge.DeskMasked},
		"masked 422":   {jsonAnswer(422, `{"error":"Error ID x7Kd9aLm: Please contact your administrator."}`), bridge.DeskMasked, bridge.DeskMasked},
		"422":          {jsonAnswer(422, `{"error":"Missing required value for field 'topic'!"}`), bridge.DeskRefused, bridge.DeskRefused},
		"a firewall's": {func(out http.ResponseWriter, _ *http.Request) { http.Error(out, "blocked", http.StatusForbidden) }, bridge.DeskMasked, bridge.DeskMasked},
		"a proxy's":    {func(out http.ResponseWriter, _ *http.Request) { http.Error(out, "no route", http.StatusNotFound) }, bridge.DeskUnavailable, bridge.DeskUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			f := func(out http.ResponseWriter, in *http.Request) bool {
				if strings.HasSuffix(in.URL.Path, "/users/me") {
					return false
				}
				c.answer(out, in)
				return true
			}
			w.answer.Store(&f)
			defer w.answeringNothing()
			ctx, cancel := context.WithTimeout(w.ctx, time.Second) // reads need not be repeated here
			defer cancel()
			desk := New(w.desk.cfg) // one that does not know yet that Zammad is down
			_, err := desk.Article(ctx, w.region, posted.Article)
			d := wantKind(t, err, c.reads)
			if strings.HasPrefix(name, "masked") && d.ErrorID != "x7Kd9aLm" {
				t.Errorf("error id %q", d.ErrorID)
			}
			_, err = desk.Post(ctx, w.region, bridge.Post{UUID: newUUID(), Text: "x", Ticket: posted.Ticket.ID, Customer: posted.Customer})
			wantKind(t, err, c.writes)
			_, err = desk.Open(ctx, w.region, bridge.Opening{UUID: newUUID(), Text: "x", Alias: alias, Language: "de"})
			wantKind(t, err, c.writes)
		})
	}
}

func TestTheProbeDoesNotAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	posted := w.open("first")
	f := func(out http.ResponseWriter, in *http.Request) bool {
		if strings.HasSuffix(in.URL.Path, "/users/me") {
			jsonAnswer(503, "")(out, in)
		} else {
			jsonAnswer(403, `{"error":"Not authorized"}`)(out, in)
		}
		return true
	}
	w.answer.Store(&f)
	_, err := w.desk.Post(w.ctx, w.region, bridge.Post{UUID: newUUID(), Text: "x", Ticket: posted.Ticket.ID, Customer: posted.Customer})
	wantKind(t, err, bridge.DeskUnavailable) // nothing was carried out, and more is not known
}

func TestTheConnectionIsCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := newCutter(t, w.url)
	w.region.Settings.ZammadURL = c.url
	posted := w.open("first")

	c.mute.Store(true)
	uuid := newUUID()
	_, err := w.desk.Post(w.ctx, w.region, bridge.Post{UUID: uuid, Text: "cut", Ticket: posted.Ticket.ID, Customer: posted.Customer})
	wantKind(t, err, bridge.DeskAmbiguous)
	_, err = w.desk.Article(w.ctx, w.region, posted.Article)
	wantKind(t, err, bridge.DeskUnavailable)
	_, _, err = w.desk.Find(w.ctx, w.region, uuid)
	wantKind(t, err, bridge.DeskUnavailable)
	w.desk = New(w.desk.cfg) // one that does not know yet that Zammad is down
	opening := bridge.Opening{UUID: newUUID(), Text: "cut too", Alias: alias, Language: "de"}
	_, err = w.desk.Open(w.ctx, w.region, opening)
	wantKind(t, err, bridge.DeskAmbiguous)

	// Both had arrived, and looking says so.
	c.mute.Store(false)
	got, found, err := w.desk.Find(w.ctx, w.region, uuid)
	w.must(err)
	if !found || got.Ticket.ID != posted.Ticket.ID || got.Article == 0 {
		t.Errorf("found %v, %+v", found, got)
	}
	if got, found, err = w.desk.Find(w.ctx, w.region, opening.UUID); err != nil || !found || got.Ticket.ID == posted.Ticket.ID || got.Customer != posted.Customer {
		t.Errorf("found %v, %+v, %v", found, got, err)
	}

	c.deaf.Store(true)
	uuid = newUUID()
	_, err = w.desk.Post(w.ctx, w.region, bridge.Post{UUID: uuid, Text: "lost", Ticket: posted.Ticket.ID, Customer: posted.Customer})
	wantKind(t, err, bridge.DeskAmbiguous)
	c.deaf.Store(false)
	if _, found, err = w.desk.Find(w.ctx, w.region, uuid); err != nil || found {
		t.Errorf("found %v, %v, though it never arrived", found, err)
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	posted := w.open("first")
	w.region.Settings.ZammadURL = "http://127.0.0.1:1"
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Second)
	defer cancel()
	for name, call := range w.everyCall(w.desk, posted) {
		if name == "open" || name == "post" || name == "ticket" {
			wantKind(t, call(ctx), bridge.DeskUnavailable)
		}
	}
}

func TestTheCallersTimeIsUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	posted := w.open("first")
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	for name, call := range w.everyCall(w.desk, posted) {
		t.Run(name, func(t *testing.T) { wantKind(t, call(ctx), bridge.DeskUnavailable) })
	}
}

func TestRegionThatCannotBeServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	posted := w.open("first")
	w.region.Settings.ZammadURL = "ftp://example.org"
	w.kinds(t, w.desk, posted, bridge.DeskDenied, nil)
	if got := w.desk.TicketURL(w.region, 1); got != "" {
		t.Errorf("address %q", got)
	}
	w.region.Settings.ZammadURL, w.region.ZammadToken = w.url, ""
	w.kinds(t, w.desk, posted, bridge.DeskDenied, nil)
}

// TestReasonsDoNotRepeatTheMessage: towards an administrator's token Zammad
// masks nothing, and a database error holds the whole statement.
func TestReasonsDoNotRepeatTheMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	posted := w.open("first")
	const secret = "My <number> is 4711 and I live by the river"
	body, err := json.Marshal(map[string]string{"error": "PG::Error: INSERT INTO ticket_articles (body) VALUES ('" + toHTML(secret) + "')"})
	w.must(err)
	w.answering("PUT /tickets/", jsonAnswer(422, string(body)))
	w.answering("P", jsonAnswer(422, string(body)))
	_, err = w.desk.Post(w.ctx, w.region, bridge.Post{UUID: newUUID(), Text: secret, Ticket: posted.Ticket.ID, Customer: posted.Customer})
	for _, err := range []error{err, func() error {
		_, err := w.desk.Open(w.ctx, w.region, bridge.Opening{UUID: newUUID(), Text: secret, Alias: alias, Language: "de"})
		return err
	}()} {
		d := wantKind(t, err, bridge.DeskRefused)
		if d.Reason == "" || strings.Contains(err.Error()+d.Reason+d.Err.Error(), "4711") {
			t.Errorf("%v: %q", err, d.Reason)
		}
	}
}

// TestPeopleGoFirst: a message overtakes the reading that stood in line before
// it, also if the call that both wait for is another region's.
func TestPeopleGoFirst(t *testing.T) {
	t.Parallel()
	for _, chore := range []string{"relabel", "ticket", "articles", "changed"} {
		t.Run(chore, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			read, written := w.open("read"), w.open("written")
			order := w.overtaking(chore, read, written)
			if want := fmt.Sprintf("PUT /api/v1/tickets/%d", written.Ticket.ID); len(order) < 3 || order[1] != want {
				t.Errorf("order %q, want the message second", order)
			}
		})
	}
}

// overtaking lets a chore about one ticket and then a message for another wait
// for the only place, and gives the order in which Zammad was asked.
func (w *world) overtaking(chore string, read, written bridge.Posted) []string {
	d := w.newDesk(Config{Concurrency: 1})
	_, err := d.Ticket(w.ctx, w.region, read.Ticket.ID) // knows the states from now on
	w.must(err)
	neighbour := *w.region
	neighbour.ZammadToken = w.agentToken

	busy, goOn := make(chan struct{}), make(chan struct{})
	var (
		mu    sync.Mutex
		order []string
		once  sync.Once
		wg    sync.WaitGroup
	)
	f := func(out http.ResponseWriter, in *http.Request) bool {
		once.Do(func() { close(busy); <-goOn })
		mu.Lock()
		defer mu.Unlock()
		order = append(order, in.Method+" "+in.URL.Path)
		return false
	}
	w.answer.Store(&f)
	wg.Go(func() { _, _ = d.Article(w.ctx, &neighbour, read.Article) }) // takes the only place
	<-busy
	reading := newWaiting(w.ctx)
	wg.Go(func() { _ = w.everyCall(d, read)[chore](reading) })
	<-reading.asked
	message := newWaiting(w.ctx)
	wg.Go(func() { _ = w.everyCall(d, written)["post"](message) })
	<-message.asked
	close(goOn)
	wg.Wait()
	return order
}

// waiting is a context that tells when somebody begins to wait for its end,
// which in the limiter is when the call stands in line.
type waiting struct {
	context.Context
	asked chan struct{}
	once  *sync.Once
}

func newWaiting(ctx context.Context) waiting {
	return waiting{ctx, make(chan struct{}), new(sync.Once)}
}

func (w waiting) Done() <-chan struct{} {
	w.once.Do(func() { close(w.asked) })
	return w.Context.Done()
}

func TestRegionsShare(t *testing.T) {
	t.Parallel()
	d := New(Config{})
	region := func(url, token string) *bridge.Region {
		return &bridge.Region{Settings: bridge.RegionSettings{ZammadURL: url}, ZammadToken: bridge.Secret(token)}
	}
	site := func(url, token string) *site {
		s, err := d.site(region(url, token))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if site("https://Desk.example.org/", "a") != site("https://desk.example.org:443", "a") {
		t.Error("one Zammad and token, two clients")
	}
	if site("https://desk.example.org", "a") == site("https://desk.example.org", "b") {
		t.Error("two tokens, one client")
	}
	if site("https://desk.example.org", "a") == site("https://other.example.org", "a") {
		t.Error("two Zammads, one client")
	}
	if len(d.limiters) != 2 {
		t.Errorf("%d limiters for two Zammads", len(d.limiters))
	}
}
