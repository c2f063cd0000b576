package device_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/device"
	"deskbridge/reception"
	"deskbridge/server"
)

// clock is the door's clock, which a test may put forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

func (c *clock) into(deps *device.Deps, _ *server.Config) { deps.Now = c.now }

// settle changes a region's human side.
func (w *world) settle(slug string, rules reception.Rules) {
	w.t.Helper()
	changed := *w.region(slug)
	changed.Settings.Reception = rules
	if err := w.store.SaveRegion(w.t.Context(), &changed); err != nil {
		w.t.Fatal(err)
	}
	if err := w.regions.Reload(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// becomes does the relay's part for a ticket whose state changed.
func (w *world) becomes(slug string, ticket bridge.TicketID, state bridge.TicketState) {
	w.t.Helper()
	known, err := w.store.KnownTicket(w.t.Context(), w.region(slug).Desk, ticket)
	if err != nil {
		w.t.Fatal(err)
	}
	changes, err := w.store.Record(w.t.Context(), bridge.Receipt{Chat: known.Chat.ID, State: state, Now: time.Now()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.marks.Publish(changes...)
}

// trusted waits until the watermarks answer for a device.
func (w *world) trusted(slug, id string) {
	w.t.Helper()
	eventually(w.t.(*testing.T), "the watermarks trust themselves", func() bool {
		w.get(chatPath(slug, "de", id))
		_, known := w.marks.Seq(w.region(slug).ID, hasher.Hash(id))
		return known
	})
}

func TestClosedAndReopenedAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	german, arabic := chatPath("testland", "de", "d1"), chatPath("testland", "ar", "d1")
	var plain reception.Rules
	want := func(what string, path string, chat wireChat) {
		t.Helper()
		if got := w.get(path).state(t); *got.Chat != chat {
			t.Errorf("%s: %+v, want %+v", what, *got.Chat, chat)
		}
	}
	if got := w.post(german, "message=Hallo").state(t); *got.Chat != (wireChat{State: "open"}) || *got.Read != 0 {
		t.Errorf("the first answer: %+v, read %d", *got.Chat, *got.Read)
	}
	w.carry("testland", 41, nil)
	w.trusted("testland", "d1")
	tag := w.get(german).header.Get("Etag")
	w.becomes("testland", 41, bridge.TicketClosed)
	if got := w.get(german, "If-None-Match", tag); got.status != 200 {
		t.Errorf("closed, but the poll says %d", got.status)
	}
	want("closed", german, wireChat{State: "closed", Notice: plain.ClosedText("de")})
	want("closed, in Arabic", arabic, wireChat{State: "closed", Notice: plain.ClosedText("ar")})
	w.becomes("testland", 41, bridge.TicketOpen)
	want("reopened", german, wireChat{State: "open", Notice: plain.ReopenedText("de")})
	w.settle("testland", reception.Rules{Texts: map[string]reception.Texts{"de": {Reopened: "Wir machen weiter."}, "ar": {Reopened: "-"}}})
	want("reopened, in the region's words", german, wireChat{State: "open", Notice: "Wir machen weiter."})
	want("reopened, without a word", arabic, wireChat{State: "open"})
	old := answerOf(41, 9, true, "Guten Tag")
	old.CreatedAt = time.Now().Add(-time.Hour)
	w.record("testland", 41, old)
	want("answered", german, wireChat{State: "open"})
	if got := w.get(chatPath("other", "de", "d1")); got.status != 404 {
		t.Errorf("the same device elsewhere: %d", got.status)
	}
}

// TestAwayComesByTheClock: nothing happens in the chat, and yet the answer
// becomes another one; until then polls cost nothing.
func TestAwayComesByTheClock(t *testing.T) {
	t.Parallel()
	var clock clock
	w := newWorld(t, clock.into)
	path := chatPath("testland", "de", "d1")
	// Open for two more minutes, by a clock that is in no zone's summer time.
	today := clock.now().UTC()
	if today.Hour() == 23 && today.Minute() >= 55 {
		clock.forward(10 * time.Minute) // a window over midnight is another test's
		today = clock.now().UTC()
	}
	end := today.Truncate(time.Minute).Add(2 * time.Minute)
	utc, err := reception.ParseZone("UTC")
	if err != nil {
		t.Fatal(err)
	}
	w.settle("testland", reception.Rules{Zone: utc, Hours: []reception.Opening{{First: 0, Last: 6, Begin: 0, End: end.Hour()*60 + end.Minute()}}})
	w.post(path, "message=Hallo").state(t)
	w.trusted("testland", "d1")
	full := w.get(path)
	tag := full.header.Get("Etag")
	if s := full.state(t); s.Chat.Away != "" {
		t.Fatalf("away while it is open: %q", s.Chat.Away)
	}
	asked := w.asked.Load()
	if got := w.get(path, "If-None-Match", tag); got.status != 304 || w.asked.Load() != asked {
		t.Fatalf("a poll while it is open: %d, %d questions", got.status, w.asked.Load()-asked)
	}
	clock.forward(3 * time.Minute)
	got := w.get(path, "If-None-Match", tag)
	if got.status != 200 {
		t.Fatalf("after closing time: %d", got.status)
	}
	var plain reception.Rules
	if s := got.state(t); s.Chat.Away != plain.AwayText("de") || s.Chat.State != "open" {
		t.Errorf("after closing time: %+v", *s.Chat)
	}
	if s := w.get(chatPath("testland", "ar", "d1")).state(t); s.Chat.Away != plain.AwayText("ar") {
		t.Errorf("in Arabic: %q", s.Chat.Away)
	}
	if again := w.get(path, "If-None-Match", got.header.Get("Etag")); again.status != 304 {
		t.Errorf("a poll in the evening: %d", again.status)
	}
}

// TestTypingEndsByItself: the tag of an answer that says somebody is typing
// holds as long as that is true, and no longer.
func TestTypingEndsByItself(t *testing.T) {
	t.Parallel()
	var clock clock
	w := newWorld(t, clock.into)
	path := chatPath("testland", "de", "d1")
	w.post(path, "message=Hallo").state(t)
	w.carry("testland", 41, nil)
	w.trusted("testland", "d1")
	quiet := w.get(path)
	if quiet.state(t).Chat.Typing {
		t.Fatal("typing before anybody answered")
	}
	w.record("testland", 41, answerOf(41, 8, false, "intern"))
	if got := w.get(path, "If-None-Match", quiet.header.Get("Etag")); got.status != 304 {
		t.Errorf("an internal note is seen from outside: %d", got.status)
	}
	w.record("testland", 41, answerOf(41, 9, true, "Guten Tag"))
	full := w.get(path)
	tag := full.header.Get("Etag")
	if s := full.state(t); !s.Chat.Typing || *s.ChatbotTyping {
		t.Fatalf("after an answer: %+v", *s.Chat)
	}
	asked := w.asked.Load()
	for range 3 {
		if got := w.get(path, "If-None-Match", tag); got.status != 304 {
			t.Fatalf("while somebody types: %d", got.status)
		}
	}
	if n := w.asked.Load() - asked; n != 0 {
		t.Errorf("304 while somebody types asked the heart %d times", n)
	}
	clock.forward(31 * time.Second)
	got := w.get(path, "If-None-Match", tag)
	if got.status != 200 || got.state(t).Chat.Typing {
		t.Fatalf("half a minute later: %d %s", got.status, got.body)
	}
	if got.state(t).Seq != full.state(t).Seq {
		t.Error("time alone moved the sequence")
	}
	if again := w.get(path, "If-None-Match", got.header.Get("Etag")); again.status != 304 {
		t.Errorf("and then: %d", again.status)
	}
	if forged := w.get(path, "If-None-Match", strings.TrimSuffix(tag, `"`)+`9"`); forged.status != 304 {
		t.Errorf("a client that deceives itself: %d", forged.status)
	}
}

func TestBotIsAtWork(t *testing.T) {
	t.Parallel()
	var clock clock
	w := newWorld(t, clock.into)
	path := chatPath("testland", "de", "d1")
	if s := w.post(path, "message=Hallo").state(t); *s.ChatbotTyping {
		t.Error("a bot works where there is none")
	}
	w.settle("testland", reception.Rules{BotSeconds: 60})
	asking := w.post(path, "message=Was+nun?")
	if s := asking.state(t); !*s.ChatbotTyping || s.Chat.Typing {
		t.Errorf("after a question: bot %v, agent %v", *s.ChatbotTyping, s.Chat.Typing)
	}
	w.carry("testland", 41, nil)
	w.record("testland", 41, answerOf(41, 9, true, "Moment, bitte"))
	if s := w.get(path).state(t); !*s.ChatbotTyping {
		t.Error("a person's answer ended the bot's work")
	}
	bot := answerOf(41, 10, true, "Antwort")
	bot.Automatic = true
	w.record("testland", 41, bot)
	s := w.get(path).state(t)
	if *s.ChatbotTyping || !s.Messages[len(s.Messages)-1].AutomaticAnswer {
		t.Error("the bot works on after its answer")
	}
	late := w.post(path, "message=Und+jetzt?")
	if !*late.state(t).ChatbotTyping {
		t.Error("no bot for the next question")
	}
	clock.forward(61 * time.Second)
	if got := w.get(path, "If-None-Match", late.header.Get("Etag")); got.status != 200 || *got.state(t).ChatbotTyping {
		t.Errorf("a bot that never answers: %d %s", got.status, got.body)
	}
}

func TestNamesLeaveByTheRule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	w.post(path, "message=Hallo").state(t)
	w.carry("testland", 41, nil)
	bot := answerOf(41, 10, true, "Antwort")
	bot.Automatic, bot.Name = true, ""
	w.record("testland", 41, answerOf(41, 9, true, "Guten Tag"), bot) // as a rule of before stored it
	for rule, want := range map[reception.Names][2]string{
		reception.NamesNone:  {},
		reception.NamesFull:  {"Nicole Braun", "Nicole Braun"},
		reception.NamesFirst: {"Nicole", "Nicole"},
		reception.NamesRole:  {"Beratung", "الاستشارة"},
	} {
		w.settle("testland", reception.Rules{Names: rule})
		for i, language := range []string{"de", "ar"} {
			s := w.get(chatPath("testland", language, "d1")).state(t)
			got := []string{s.Messages[0].Name, s.Messages[1].Name, s.Messages[2].Name}
			if got[0] != "" || got[1] != want[i] || got[2] != "" {
				t.Errorf("%q in %s: %q, want %q for the agent alone", rule, language, got, want[i])
			}
		}
	}
	w.settle("testland", reception.Rules{Names: reception.NamesRole})
	retracted := answerOf(41, 9, false, "")
	w.record("testland", 41, retracted)
	for _, m := range w.get(path + "?since=1").state(t).Messages {
		if m.Retracted != nil && m.Name != "" {
			t.Errorf("a message that was taken back has the name %q", m.Name)
		}
	}
}

func TestReadStateOfADevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	if got := w.post(path+"read/", "seq=1"); got.status != 404 || got.code(t) != "chat_not_found" {
		t.Errorf("without a chat: %d %s", got.status, got.body)
	}
	w.post(path, "message=Hallo").state(t)
	w.carry("testland", 41, nil)
	w.record("testland", 41, answerOf(41, 9, true, "Guten Tag"))
	w.trusted("testland", "d1")
	before := w.get(path)
	newest := before.state(t).Messages[1].Seq
	if got := w.do("POST", path+"read/", `{"seq": `+itoa(newest)+`}`, "Content-Type", plainJSON); got.status != 204 || len(got.body) != 0 {
		t.Fatalf("read: %d %s", got.status, got.body)
	}
	after := w.get(path, "If-None-Match", before.header.Get("Etag")) // another tab
	s := after.state(t)
	if *s.Read != newest || s.Seq <= before.state(t).Seq {
		t.Errorf("another tab: read %d at %d", *s.Read, s.Seq)
	}
	for what, body := range map[string]string{
		"again": itoa(newest), "back": "1", "beyond": "9223372036854775807", "its own sequence": itoa(s.Seq), "nothing": "0",
	} {
		if got := w.post(path+"read/", "seq="+body); got.status != 204 {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
		if got := w.get(path, "If-None-Match", after.header.Get("Etag")); got.status != 304 {
			t.Errorf("%s changed something: %s", what, got.body)
		}
	}
	// Another device, and the same one in another region, have marks of their own.
	for _, elsewhere := range []string{chatPath("testland", "de", "d2"), chatPath("other", "de", "d1")} {
		w.post(elsewhere, "message=Hallo").state(t)
		if s := w.get(elsewhere).state(t); *s.Read != 0 {
			t.Errorf("%s: read %d", elsewhere, *s.Read)
		}
	}
	if s := w.post(path, "message=Danke").state(t); *s.Read != newest {
		t.Errorf("the answer of a POST: read %d", *s.Read)
	}
}

func TestReadRefusesWhatIsNoSequence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	state := w.post(path, "message=Hallo").state(t)
	for _, body := range []string{"seq=-1", "seq=", "seq=1.5", "seq=1e3", "seq=0x1", "seq=+1", "seq=1_0", "seq=9223372036854775808", "seq=" + strings.Repeat("9", 5000), "seq=%D9%A1", "seq=1&seq=2", "seq=abc", "read=1", "seq=1%00", "%zz"} {
		if got := w.post(path+"read/", body); got.status != 400 || got.code(t) != "invalid_body" {
			t.Errorf("%.40s: %d %s", body, got.status, got.body)
		}
	}
	for _, body := range []string{"", "{}", `{"seq": null}`, `{"seq": -1}`, `{"seq": 1.0}`, `{"seq": 1e2}`, `{"seq": [1]}`, `{"seq": {"a": 1}}`, `{"seq": true}`, `{"seq": 99999999999999999999}`, `[1]`, `{"seq": 1`, `{"seq": 1}{"seq": 2}`, `{"seq": 1, "seq": 2}`, "\xff"} {
		got := w.do("POST", path+"read/", body, "Content-Type", plainJSON)
		if code := got.code(t); got.status != 400 || code != "invalid_body" && code != "message_invalid_text" {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	if got := w.do("POST", path+"read/", "seq=1", "Content-Type", "text/plain"); got.status != 415 {
		t.Errorf("another type: %d", got.status)
	}
	for target, want := range map[string]int{
		chatPath("nowhere", "de", "d1"): 404, chatPath("testland", "fr", "d1"): 404, chatPath("off", "de", "d1"): 503, chatPath("testland", "de", "d%201"): 400,
	} {
		for _, call := range []string{"read/", "typing/"} {
			if got := w.post(target+call, "seq=1"); got.status != want {
				t.Errorf("%s%s: %d, want %d", target, call, got.status, want)
			}
		}
	}
	for _, call := range []string{"read/", "typing/"} {
		if got := w.get(path + call); got.status != 405 || got.header.Get("Allow") != "POST" {
			t.Errorf("GET %s: %d, Allow %q", call, got.status, got.header.Get("Allow"))
		}
	}
	if s := w.get(path).state(t); *s.Read != 0 || s.Seq != state.Seq {
		t.Errorf("something was taken all the same: read %d at %d", *s.Read, s.Seq)
	}
}

// TestTypingIsForgotten: without the region's setting it leaves no trace, and
// its answer never says whether there is a chat.
func TestTypingIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	w.post(path, "message=Hallo").state(t)
	w.carry("testland", 41, nil)
	tag := w.get(path).header.Get("Etag")
	for _, target := range []string{path, chatPath("testland", "de", "nobody")} {
		if got := w.do("POST", target+"typing/", ""); got.status != 204 || len(got.body) != 0 {
			t.Errorf("%s: %d %s", target, got.status, got.body)
		}
	}
	if got := w.do("POST", path+"typing/", strings.Repeat("x", 1000), "Content-Type", "image/png"); got.status != 204 {
		t.Errorf("with a body: %d", got.status)
	}
	if got := w.get(path, "If-None-Match", tag); got.status != 304 {
		t.Errorf("typing left a trace: %s", got.body)
	}
	region := w.region("testland")
	if _, claimed, err := w.store.ClaimTyping(t.Context(), region, hasher.Hash("d1"), time.Now(), time.UnixMilli(0)); err != nil || !claimed {
		t.Errorf("typing was stored: %v, %v", claimed, err)
	}
}

// TestSignalsDontCostMessages: whoever reads and types a lot can still write,
// and whoever writes too much can still read.
func TestSignalsDontCostMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(deps *device.Deps, cfg *server.Config) {
		deps.Limits.Device, deps.Limits.Signals = perMinute(t, 2), perMinute(t, 4)
		cfg.WritesPerMinute, cfg.CountsAsRead = 3, device.IsSignal
	})
	path := chatPath("testland", "de", "d1")
	w.post(path, "message=1").state(t)
	for range 2 {
		for _, call := range []string{"read/", "typing/"} {
			if got := w.post(path+call, "seq=1"); got.status != 204 {
				t.Fatalf("%s: %d %s", call, got.status, got.body)
			}
		}
	}
	refused(t, "fifth signal", w.post(path+"read/", "seq=1"))
	refused(t, "sixth signal", w.post(path+"typing/", ""))
	w.post(path, "message=2").state(t)
	refused(t, "third message", w.post(path, "message=3"))
	if got := w.post(chatPath("testland", "de", "d2")+"typing/", ""); got.status != 204 {
		t.Errorf("another device: %d", got.status)
	}
	// A device that calls itself like a signal writes like any other.
	for name, want := range map[string]bool{
		path + "read/": true, path + "typing/": true, path: false, chatPath("testland", "de", "read"): false,
		chatPath("testland", "de", "typing"): false, chatPath("chat", "read", "d1"): false, "/read/": false, "/": false,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := device.IsSignal(request); got != want {
			t.Errorf("%s is a signal: %v", name, got)
		}
	}
}

// TestReadAsAForm takes a mark from every kind of body.
func TestReadAsAForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, c := range []struct{ kind, body string }{
		{plainJSON, `{"seq": 1}`}, {plainJSON, `{"seq": "1"}`}, {form, "seq=1"}, {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"seq\"\r\n\r\n1\r\n--x--\r\n"},
	} {
		path := chatPath("testland", "de", "form-"+strconv.Itoa(i))
		w.post(path, "message=Hallo").state(t)
		if got := w.do("POST", path+"read/", c.body, "Content-Type", c.kind); got.status != 204 {
			t.Errorf("%s %s: %d %s", c.kind, c.body, got.status, got.body)
		}
		if s := w.get(path).state(t); *s.Read != 1 {
			text, _ := json.Marshal(s)
			t.Errorf("%s %s: %s", c.kind, c.body, text)
		}
	}
}

// TestStreamsEndTypingByThemselves: nothing happens in the chat, and yet whoever
// follows it is told that nobody is at work any more; whoever comes then is not
// told that somebody was.
func TestStreamsEndTypingByThemselves(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]way{"events": openEvents, "socket": openSocket} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.settle("testland", reception.Rules{BotSeconds: 1})
			path := chatPath("testland", "de", "d1")
			heard := make(chan wireFrame, 100)
			w.listen(open, path, newReplica(), heard)
			next(t, heard)
			w.post(path, "message=Hallo").state(t)
			w.post(path+"read/", "seq=1")
			var typed []bool
			for len(typed) < 2 {
				if f := next(t, heard); f.Type == "typing" {
					if f.Typing.Who != "bot" {
						t.Errorf("%+v is writing", *f.Typing)
					}
					typed = append(typed, f.Typing.Active)
				}
			}
			if !typed[0] || typed[1] {
				t.Errorf("a bot is at work: %v", typed)
			}
			later := make(chan wireFrame, 100)
			w.listen(open, path, newReplica(), later)
			var types []string
			for range 3 {
				types = append(types, next(t, later).Type)
			}
			if got := strings.Join(types, " "); got != "chat message read" {
				t.Errorf("a newcomer is told %s", got)
			}
		})
	}
}

// TestWaitingPollSeesTypingEnd: a poll that waits with a tag is answered when the
// tag ends, not when its time is over.
func TestWaitingPollSeesTypingEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settle("testland", reception.Rules{BotSeconds: 1})
	path := chatPath("testland", "de", "d1")
	asking := w.post(path, "message=Hallo")
	if !*asking.state(t).ChatbotTyping {
		t.Fatal("no bot is at work")
	}
	began := time.Now()
	got := w.get(path+"?wait=50", "If-None-Match", asking.header.Get("Etag"))
	if *got.state(t).ChatbotTyping || time.Since(began) > 30*time.Second {
		t.Errorf("after %s: %s", time.Since(began), got.body)
	}
}
