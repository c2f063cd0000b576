package alert_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"deskbridge/alert"
	"deskbridge/bridge"
	"deskbridge/egress"
	"deskbridge/reception"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
)

// monday is a Monday morning in Berlin, when people are there.
var monday = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

const secret, token = "secret-of-the-webhook", "token-of-ntfy"

// posted is a request that the receiver got.
type posted struct {
	header http.Header
	body   string
}

// receiver is an HTTP server for webhooks and ntfy.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    map[string][]posted // by path
	status map[string]int      // answers other than 200
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{got: make(map[string][]posted), status: make(map[string]int)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got[q.URL.Path] = append(r.got[q.URL.Path], posted{q.Header, string(body)})
		if status := r.status[q.URL.Path]; status != 0 {
			w.Header().Set("Location", "http://169.254.169.254/")
			w.WriteHeader(status)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) at(path string) []posted {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]posted(nil), r.got[path]...)
}

func (r *receiver) answer(path string, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status[path] = status
}

// world is a region whose staff wants to hear of it after 30 minutes.
type world struct {
	*testing.T
	ctx     context.Context
	store   *storage.Store
	region  *bridge.Region
	regions *bridge.Regions
	mail    *mailServer
	web     *receiver
	log     *strings.Builder
	article bridge.ArticleID

	mu  sync.Mutex
	now time.Time
}

func newWorld(t *testing.T, s *storage.Store, change func(w *world, r *bridge.Region)) *world {
	t.Helper()
	w := &world{T: t, ctx: t.Context(), store: s, mail: newMailServer(t), web: newReceiver(t), log: new(strings.Builder), now: monday}
	zone, err := reception.ParseZone("Europe/Berlin")
	w.ok(err)
	hours, err := reception.ParseOpening("mo-fr 08:00-16:00")
	w.ok(err)
	w.region = &bridge.Region{Slug: "testland", Name: "Testland", Enabled: true, ZammadToken: "x", AlertSecret: secret, AlertToken: token}
	w.region.Settings = bridge.RegionSettings{
		Languages: []bridge.Language{{Code: "en"}, {Code: "de"}}, ZammadURL: "https://zammad.example.test",
		Reception: reception.Rules{Zone: zone, Hours: []reception.Opening{hours}},
		Alert: bridge.AlertSettings{
			Minutes: 30, Emails: []string{"team@town.example", "boss@town.example"},
			WebhookURL: w.web.URL + "/hook", NtfyURL: w.web.URL + "/topic",
		},
	}
	if change != nil {
		change(w, w.region)
	}
	w.ok(s.AddRegion(w.ctx, w.region))
	w.regions, err = bridge.NewRegions(w.ctx, s, slog.New(slog.DiscardHandler))
	w.ok(err)
	return w
}

func each(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Parallel()
	storagetest.Each(t, func(t *testing.T, s *storage.Store) { test(newWorld(t, s, nil)) })
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) at(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = now
}

// alerts makes an instance; its way out is guarded as in an installation whose
// operator allows loopback.
func (w *world) alerts(store bridge.AlertStore, allow ...string) *alert.Alerts {
	w.Helper()
	guard, err := egress.New(allow, nil)
	w.ok(err)
	client := egress.Client(guard.Transport(), alert.PostTimeout)
	w.Cleanup(client.CloseIdleConnections)
	return alert.New(alert.Deps{
		Store: store, Regions: w.regions, Mail: w.mail.mail(), Client: client, Now: w.clock, Log: slog.New(slog.NewTextHandler(w.log, nil)),
		TicketURL: func(r *bridge.Region, id bridge.TicketID) string {
			return fmt.Sprintf("%s/#ticket/zoom/%d", r.Settings.ZammadURL, id)
		},
	})
}

func (w *world) run(a *alert.Alerts) map[string]int {
	w.Helper()
	counts, err := a.Run(w.ctx, false)
	w.ok(err)
	return counts
}

// write lets a device write, and its messages arrive in a ticket (0: they don't).
func (w *world) write(device string, ticket bridge.TicketID) bridge.ChatID {
	w.Helper()
	a, err := w.store.Accept(w.ctx, bridge.Submission{
		Region: w.region, Device: bridge.NewHasher([]byte("key")).Hash(device), Language: "en", UUID: bridge.MessageUUID(uuid.NewString()),
		Text: "a secret message", Admit: func(bridge.Standing) bool { return true }, Alias: "alias-" + device, Now: w.clock(),
	})
	w.ok(err)
	if ticket == 0 {
		return a.Message.Chat
	}
	claims, err := w.store.ClaimLanes(w.ctx, w.region.Desk, w.clock(), w.clock().Add(time.Minute), 10)
	w.ok(err)
	for _, c := range claims {
		for {
			work, err := w.store.Start(w.ctx, c, w.clock())
			w.ok(err)
			if work == nil {
				break
			}
			w.article++
			_, err = w.store.Finish(w.ctx, c, bridge.Outcome{Work: work.ID, Sent: &bridge.Sent{Ticket: ticket, State: bridge.TicketOpen, Article: w.article}}, w.clock())
			w.ok(err)
		}
	}
	return a.Message.Chat
}

// reply lets a person answer.
func (w *world) reply(chat bridge.ChatID, ticket bridge.TicketID) {
	w.Helper()
	w.article++
	_, err := w.store.Record(w.ctx, bridge.Receipt{Chat: chat, State: bridge.TicketOpen, StateAt: w.clock(), Now: w.clock(), Articles: []bridge.Article{
		{ID: w.article, Ticket: ticket, Public: true, Text: "here", HTML: "here", CreatedAt: w.clock()},
	}})
	w.ok(err)
}

// heard counts what the receivers got: mails, webhooks, ntfy.
func (w *world) heard() [3]int {
	return [3]int{len(w.mail.taken()), len(w.web.at("/hook")), len(w.web.at("/topic"))}
}

func (w *world) want(what string, mails, hooks, ntfy int) {
	w.Helper()
	if got := w.heard(); got != [3]int{mails, hooks, ntfy} {
		w.Fatalf("%s: %d mails, %d webhooks, %d ntfy; want %d, %d, %d", what, got[0], got[1], got[2], mails, hooks, ntfy)
	}
}

func plainOf(t *testing.T, body string) string {
	text, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(body)))
	if err != nil {
		t.Errorf("quoted-printable: %v", err)
	}
	return string(text)
}

func TestOneNoticeUntilSomebodyAnswers(t *testing.T) {
	each(t, func(w *world) {
		a := w.alerts(w.store, "127.0.0.1")
		chat := w.write("phone", 7)
		w.at(monday.Add(29 * time.Minute))
		w.write("phone", 7)
		w.run(a)
		w.want("a minute before", 0, 0, 0)
		w.at(monday.Add(30 * time.Minute))
		if counts, err := a.Run(w.ctx, true); err != nil || counts["noticed"] != 1 {
			w.Fatalf("a dry run: %v, %v", counts, err)
		}
		w.want("a dry run", 0, 0, 0)
		if counts := w.run(a); counts["noticed"] != 1 || counts["sent"] != 4 || counts["failed"] != 0 {
			w.Fatalf("counts %v", counts)
		}
		w.want("after the limit", 2, 1, 1)
		for i := range 5 {
			w.at(monday.Add(time.Hour * time.Duration(i+1)))
			w.write("phone", 7)
			w.run(a)
		}
		w.want("as long as nobody answers", 2, 1, 1)
		w.reply(chat, 7)
		w.run(a)
		w.at(w.clock().Add(time.Minute))
		w.write("phone", 7)
		w.run(a)
		w.want("a new wait begins", 2, 1, 1)
		w.at(w.clock().Add(31 * time.Minute))
		w.run(a)
		w.want("a new wait is too long", 4, 2, 2)
		w.contents()
	})
}

// contents looks at what the receivers got first.
func (w *world) contents() {
	w.Helper()
	const url = "https://zammad.example.test/#ticket/zoom/7"
	var body struct {
		ID, Event, Region, Text string
		RegionName              string    `json:"region_name"`
		WaitingSince            time.Time `json:"waiting_since"`
		OpenMinutes             int       `json:"open_minutes"`
		TicketID                int       `json:"ticket_id"`
		TicketURL               string    `json:"ticket_url"`
	}
	hook := w.web.at("/hook")[0]
	w.ok(json.Unmarshal([]byte(hook.body), &body))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(hook.body))
	if hook.header.Get(alert.SignatureHeader) != "sha256="+hex.EncodeToString(mac.Sum(nil)) || hook.header.Get(alert.KeyHeader) != body.ID || body.ID == "" {
		w.Errorf("headers of the webhook: %v", hook.header)
	}
	if body.Event != "waiting" || body.Region != "testland" || body.RegionName != "Testland" || body.OpenMinutes != 30 || body.TicketID != 7 || body.TicketURL != url || !body.WaitingSince.Equal(monday) {
		w.Errorf("webhook %s", hook.body)
	}
	topic := w.web.at("/topic")[0]
	if topic.header.Get("Authorization") != "Bearer "+token || topic.header.Get("Click") != url || !strings.Contains(topic.header.Get("Title"), "Testland") {
		w.Errorf("headers of ntfy: %v", topic.header)
	}
	ids := make(map[string]bool)
	for i, l := range w.mail.taken()[:2] {
		ids[l.Header.Get("Message-ID")] = true
		if l.to != w.region.Settings.Alert.Emails[i] || l.from != "chat@town.example" || !l.secure || l.login != mailUser {
			w.Errorf("envelope: from %s to %s, secure %v, login %q", l.from, l.to, l.secure, l.login)
		}
		if l.Header.Get("Subject") != "Testland: somebody has been waiting for an answer for 30 minutes" || l.Header.Get(alert.KeyHeader) != body.ID || l.Header.Get("Auto-Submitted") != "auto-generated" {
			w.Errorf("header %v", l.Header)
		}
		for _, want := range []string{"Testland", "since 23 November 2026, 09:00 (CET)", url, "30 minutes"} {
			if !strings.Contains(l.body, want) {
				w.Errorf("the mail does not say %q:\n%s", want, l.body)
			}
		}
	}
	if len(ids) != 2 || ids[""] {
		w.Errorf("Message-IDs %v", ids)
	}
	for _, text := range []string{hook.body, topic.body, w.mail.taken()[0].body, fmt.Sprint(w.mail.taken()[0].Header)} {
		if strings.Contains(text, "secret message") || strings.Contains(text, "phone") {
			w.Errorf("a notice says too much: %s", text)
		}
	}
}

func TestClosedHours(t *testing.T) {
	each(t, func(w *world) {
		a := w.alerts(w.store, "127.0.0.1")
		friday := monday.Add(4*24*time.Hour + 6*time.Hour + 40*time.Minute) // 15:40 in Berlin
		w.at(friday)
		w.write("phone", 7)
		for _, later := range []time.Duration{19 * time.Minute, time.Hour, 24 * time.Hour, 64*time.Hour + 20*time.Minute, 64*time.Hour + 29*time.Minute} {
			w.at(friday.Add(later))
			w.run(a)
			w.want(later.String()+" later", 0, 0, 0)
		}
		w.at(friday.Add(64*time.Hour + 30*time.Minute)) // 20 minutes on Friday, 10 on Monday
		w.run(a)
		w.want("on Monday", 2, 1, 1)

		// Away is away, whatever the hours say.
		w.write("another", 8)
		w.at(w.clock().Add(time.Hour))
		w.region.Settings.Reception.AwayNow = true
		w.ok(w.store.SaveRegion(w.ctx, w.region))
		w.ok(w.regions.Reload(w.ctx))
		w.run(a)
		w.want("away", 2, 1, 1)
	})
}

func TestOnlyOneOfTwoInstancesTells(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		first, second := storagetest.OpenURL(t, url), storagetest.OpenURL(t, url)
		w := newWorld(t, first, nil)
		for i := range 10 {
			w.write(fmt.Sprint("phone", i), 0)
		}
		w.at(monday.Add(time.Hour))
		var running sync.WaitGroup
		for _, s := range []*storage.Store{first, second, first, second} {
			a := w.alerts(s, "127.0.0.1")
			running.Go(func() {
				if _, err := a.Run(w.ctx, false); err != nil {
					t.Error(err)
				}
			})
		}
		running.Wait()
		w.want("ten people wait", 20, 10, 10)
		if !strings.Contains(w.mail.taken()[0].body, "has not reached Zammad yet") {
			t.Error("nothing says that there is no ticket yet")
		}
	})
}

func TestAReceiverIsDownAndComesBack(t *testing.T) {
	each(t, func(w *world) {
		a := w.alerts(w.store, "127.0.0.1")
		w.write("phone", 7)
		w.web.answer("/hook", http.StatusBadGateway)
		w.mail.set(func() { w.mail.refuses["boss@town.example"] = true })
		w.at(monday.Add(30 * time.Minute))
		w.run(a)
		w.want("two of four take it", 1, 1, 1)
		w.run(a)
		w.want("not at once again", 1, 1, 1)
		w.at(w.clock().Add(time.Minute))
		w.run(a)
		w.want("after a minute", 1, 2, 1)
		w.at(w.clock().Add(time.Minute))
		w.run(a)
		w.want("the pause grows", 1, 2, 1)
		listed, err := w.store.Alerts(w.ctx, w.region.ID, 1)
		w.ok(err)
		states := fmt.Sprint(listed[0].Channels[0].State, listed[0].Channels[1].State, listed[0].Channels[2].State, listed[0].Channels[3].State)
		if states != "sentpendingpendingsent" || !strings.Contains(listed[0].Channels[1].Reason, "550") || !strings.Contains(listed[0].Channels[2].Reason, "502") {
			w.Errorf("%+v", listed[0].Channels)
		}
		w.web.answer("/hook", 0)
		w.at(w.clock().Add(time.Minute))
		w.run(a)
		w.want("the webhook is back", 1, 3, 1)
		if got := w.web.at("/hook"); got[0].header.Get(alert.KeyHeader) != got[2].header.Get(alert.KeyHeader) {
			w.Error("a repeated notice has another key")
		}

		// The address never takes it: after a day it is given up.
		for range 60 {
			w.at(w.clock().Add(30 * time.Minute))
			w.run(a)
		}
		listed, err = w.store.Alerts(w.ctx, w.region.ID, 1)
		w.ok(err)
		if c := listed[0].Channels[1]; c.State != bridge.AlertFailed || !listed[0].Done || c.At.Sub(listed[0].CreatedAt) > 25*time.Hour {
			w.Errorf("%+v", listed[0])
		}
		if !strings.Contains(w.log.String(), "given up") || strings.Contains(w.log.String(), "boss@") {
			w.Errorf("the log says %s", w.log)
		}
		noted, err := w.store.Audit(w.ctx, bridge.AuditQuery{Action: "alert.give-up", Limit: 5})
		w.ok(err)
		if len(noted) != 1 || noted[0].Region != w.region.ID {
			w.Errorf("audit %+v", noted)
		}
		w.want("in the end", 1, 3, 1)
	})
}

func TestAnsweredBeforeItCouldBeSent(t *testing.T) {
	each(t, func(w *world) {
		a := w.alerts(w.store, "127.0.0.1")
		chat := w.write("phone", 7)
		w.web.answer("/hook", http.StatusServiceUnavailable)
		w.at(monday.Add(30 * time.Minute))
		w.run(a)
		w.reply(chat, 7)
		w.web.answer("/hook", 0)
		w.at(w.clock().Add(time.Hour))
		w.run(a)
		w.want("nobody waits any more", 2, 1, 1)
		listed, err := w.store.Alerts(w.ctx, w.region.ID, 1)
		w.ok(err)
		if c := listed[0].Channels[2]; c.State != bridge.AlertDropped || !listed[0].Done {
			w.Errorf("%+v", listed[0])
		}
	})
}

// crashing is a store whose process dies before it can write that a receiver
// has taken a notice.
type crashing struct {
	bridge.AlertStore
	after int
}

func (c *crashing) KeepAlert(ctx context.Context, a bridge.Alert) error {
	if c.after--; c.after < 0 {
		return fmt.Errorf("killed")
	}
	return c.AlertStore.KeepAlert(ctx, a)
}

func TestACrashRepeatsAtMostOneMessage(t *testing.T) {
	each(t, func(w *world) {
		w.write("phone", 7)
		w.at(monday.Add(30 * time.Minute))
		if _, err := w.alerts(&crashing{w.store, 1}, "127.0.0.1").Run(w.ctx, false); err == nil {
			w.Fatal("it did not crash")
		}
		w.want("until the crash", 2, 0, 0)
		a := w.alerts(w.store, "127.0.0.1")
		w.run(a)
		w.want("while the claim holds", 2, 0, 0)
		w.at(w.clock().Add(6 * time.Minute))
		w.run(a)
		w.want("another instance goes on", 3, 1, 1)
		got := w.mail.taken()
		if got[1].to != got[2].to || got[1].Header.Get("Message-ID") != got[2].Header.Get("Message-ID") {
			w.Errorf("the repeated mail cannot be known: %v, %v", got[1].Header, got[2].Header)
		}
	})
}

func TestInnerAddressesAreNotReached(t *testing.T) {
	each(t, func(w *world) {
		a := w.alerts(w.store) // the operator allows nothing
		w.write("phone", 7)
		w.at(monday.Add(30 * time.Minute))
		w.run(a)
		w.want("loopback is refused", 2, 0, 0)
		listed, err := w.store.Alerts(w.ctx, w.region.ID, 1)
		w.ok(err)
		for _, c := range listed[0].Channels[2:] {
			if !strings.Contains(c.Reason, "private") || !strings.Contains(c.Reason, "egress.allow") || strings.Contains(c.Reason, "/hook") {
				w.Errorf("%+v", c)
			}
		}
		// An allowed receiver that redirects elsewhere leads nowhere.
		w.web.answer("/hook", http.StatusTemporaryRedirect)
		outcome := w.alerts(w.store, "127.0.0.1").Test(w.ctx, w.region)
		if c := outcome[2]; c.State != bridge.AlertFailed || !strings.Contains(c.Reason, "redirect") {
			w.Errorf("%+v", c)
		}
	})
}

func TestHostileNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.Open(t), func(w *world, r *bridge.Region) {
		r.Name = "Bad\r\nBcc: victim@elsewhere.example\r\n\r\n<b>\u202egnirts\x00 Mönchen" + strings.Repeat("x", 500)
		r.Settings.Alert.Language = "de"
	})
	w.write("phone", 7)
	w.at(monday.Add(30 * time.Minute))
	w.run(w.alerts(w.store, "127.0.0.1"))
	w.want("all the same", 2, 1, 1)
	l := w.mail.taken()[0]
	subject, err := new(mime.WordDecoder).DecodeHeader(l.Header.Get("Subject"))
	w.ok(err)
	if l.Header.Get("Bcc") != "" || strings.ContainsAny(subject, "\r\n\x00\u202e") || !strings.HasPrefix(subject, "Bad Bcc: victim@elsewhere.example <b> gnirts Mönchen") {
		t.Errorf("subject %q of %v", subject, l.Header)
	}
	if len(l.body) > 2000 || !strings.Contains(l.body, "wartet eine Person") {
		t.Errorf("body %q", l.body)
	}
	title := w.web.at("/topic")[0].header.Get("Title")
	if decoded, err := new(mime.WordDecoder).DecodeHeader(title); err != nil || decoded != subject {
		t.Errorf("title %q: %v", title, err)
	}
	for _, address := range []string{
		"", "a", "a@b@c", "a@b.example\r\nBcc: c@d.example", "A <a@b.example>", "a@b.example,c@d.example", "a b@c.example", `"a b"@c.example`,
		"a@b.example>", "\u202ea@b.example", strings.Repeat("a", 250) + "@b.example", "a@[127.0.0.1]", "(x)a@b.example",
	} {
		if err := (bridge.AlertSettings{Minutes: 1, Emails: []string{address}}).Check(); err == nil {
			t.Errorf("the address %q is taken", address)
		}
	}
}

func TestTestNotice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.Open(t), nil)
	a := w.alerts(w.store, "127.0.0.1")
	w.mail.set(func() { w.mail.refuses["boss@town.example"] = true })
	outcome := a.Test(w.ctx, w.region)
	if len(outcome) != 4 || outcome[0].State != bridge.AlertSent || outcome[1].State != bridge.AlertFailed || outcome[2].State != bridge.AlertSent || outcome[3].State != bridge.AlertSent {
		t.Errorf("%+v", outcome)
	}
	w.want("a test", 1, 1, 1)
	if !strings.Contains(w.mail.taken()[0].body, "Nobody is waiting") || !strings.Contains(w.web.at("/hook")[0].body, `"event":"test"`) {
		t.Errorf("%s, %s", w.mail.taken()[0].body, w.web.at("/hook")[0].body)
	}
	listed, err := w.store.Alerts(w.ctx, w.region.ID, 1)
	if err != nil || len(listed) != 0 {
		t.Errorf("a test is stored: %v, %v", listed, err)
	}
}

func TestSettingsThatChangeMeanwhile(t *testing.T) {
	each(t, func(w *world) {
		a := w.alerts(w.store, "127.0.0.1")
		w.write("phone", 7)
		w.web.answer("/hook", http.StatusServiceUnavailable)
		w.at(monday.Add(30 * time.Minute))
		w.run(a)
		w.region.Settings.Alert.WebhookURL = ""
		w.ok(w.store.SaveRegion(w.ctx, w.region))
		w.ok(w.regions.Reload(w.ctx))
		w.at(w.clock().Add(time.Hour))
		w.run(a)
		w.want("a receiver that was taken out", 2, 1, 1)

		w.write("another", 8)
		w.region.Settings.Alert.Minutes = 0
		w.ok(w.store.SaveRegion(w.ctx, w.region))
		w.ok(w.regions.Reload(w.ctx))
		w.at(w.clock().Add(time.Hour))
		if counts := w.run(a); counts["noticed"] != 0 {
			w.Errorf("switched off: %v", counts)
		}
	})
}
