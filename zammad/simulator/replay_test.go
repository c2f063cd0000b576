package simulator

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const recordings = "../testdata/recordings"

// The order in which the recordings were taken: the ids in 14 come before those in 13.
var replayOrder = []string{"01-provision", "02-provision-objects", "03-conversation", "04-agent-answers", "05-errors",
	"06-merge-move-delete", "07-delivery", "08-attachments", "09-texts", "10-search", "11-follow-up-and-triggers",
	"12-erasure", "14-chat-type-and-reopen", "13-slow-receiver", "15-customer-inline", "16-retraction-and-races"}

// When each file was begun; conditions with absolute times depend on it.
var replayTimes = map[string]string{"01": "20:42:40", "02": "20:43:38", "03": "20:44:53", "04": "20:46:49", "05": "20:46:58",
	"06": "20:52:30", "07": "20:53:01", "08": "20:55:44", "09": "20:55:50", "10": "20:57:08", "11": "20:57:10", "12": "20:58:20",
	"14": "21:03:11", "13": "21:04:46", "15": "21:07:58", "16": "21:35:30"}

// notEqual lists the steps that the simulator does not answer as recorded, with the reason.
// The test fails if one of them starts to be equal, so the list stays honest.
var notEqual = map[string]string{
	"03/35": "Zammad leaves the event of a refused update in its server thread; a later request of that thread sent this delivery without an article",
	"04/1":  "the second of the two deliveries left behind by the refused updates of 03",
	"06/8":  "the history holds who was notified and computed contact times; neither is simulated",
}

// partial lists steps whose answer is a list of which only some entries were kept.
var partial = map[string]bool{"02/0": true, "02/25": true, "02/30": true}

// atOnce lists steps after which the next one followed before the background worker looked.
var atOnce = map[string]bool{"13/0": true, "13/1": true, "13/2": true, "14/0": true, "14/1": true, "14/2": true, "14/3": true}

type recording struct {
	Steps []struct {
		Name     string
		Note     string
		Request  *recordedRequest
		Response *recordedResponse
		Delivery *recordedDelivery
	}
}

type recordedRequest struct {
	Method, Path string
	Headers      map[string]*string
	Body         any
}

type recordedResponse struct {
	Status  int
	Headers map[string]string
	Body    any
}

type recordedDelivery struct {
	Headers  map[string]string
	Path     string
	BodyRaw  string `json:"body_raw"`
	Answered int
}

type replayer struct {
	t         *testing.T
	sim       *Simulator
	clock     *testClock
	server    *httptest.Server
	receiver  *receiver
	tokens    map[string]string // by the name in angle brackets
	got       []received        // deliveries not yet matched
	fresh     int               // how many the last request caused
	silences  int               // steps after which the recording notes that none came
	equal     map[bool]int      // by "is it a delivery"
	total     map[bool]int
	attempted map[string]bool
}

func TestRecordingsReplay(t *testing.T) {
	clock := newTestClock(time.Date(2026, 11, 22, 20, 39, 19, 0, time.UTC))
	rc := newReceiver(t)
	sim := New(Config{Clock: clock, AdminPassword: "replay", Transport: rc.redirect(),
		QueueLatency: 2 * time.Second}) // as late as on average, so that bodies show what they showed
	runWorker(t, sim)
	p := &replayer{t: t, sim: sim, clock: clock, server: httptest.NewServer(sim.Handler()), receiver: rc,
		tokens: map[string]string{}, equal: map[bool]int{}, total: map[bool]int{}, attempted: map[string]bool{}}
	t.Cleanup(p.server.Close)
	for _, name := range replayOrder {
		raw, err := os.ReadFile(filepath.Join(recordings, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var rec recording
		dec := json.NewDecoder(bytes.NewReader(raw))
		if err := dec.Decode(&rec); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p.file(name[:2], rec)
	}
	for key := range notEqual {
		if !p.attempted[key] {
			t.Errorf("step %s is listed as not equal but does not exist", key)
		}
	}
	t.Logf("%d noted silences kept", p.silences)
	if p.silences == 0 {
		t.Error("no noted silence was found in the recordings")
	}
	for isDelivery, what := range map[bool]string{false: "request steps", true: "deliveries"} {
		share := float64(p.equal[isDelivery]) / float64(p.total[isDelivery])
		t.Logf("%s: %d of %d replayed and equal (%.1f %%)", what, p.equal[isDelivery], p.total[isDelivery], 100*share)
		if share < 0.9 {
			t.Errorf("%s: less than 90 %% are equal", what)
		}
	}
}

func (p *replayer) file(nr string, rec recording) {
	p.clock.set(mustTime("2026-11-22T" + replayTimes[nr] + "Z"))
	p.seed(nr, -1)
	var answers []int
	for _, s := range rec.Steps {
		if s.Delivery != nil {
			answers = append(answers, s.Delivery.Answered)
		}
	}
	if nr == "13" {
		answers = []int{hang, 200, 200, 200}
	}
	p.receiver.plan(answers)
	for i, s := range rec.Steps {
		key := fmt.Sprintf("%s/%d", nr, i)
		p.seed(nr, i)
		switch {
		case s.Request != nil:
			p.check(key, false, p.request(key, s.Request, s.Response))
			if !atOnce[key] {
				p.settle()
			}
		case s.Delivery != nil:
			p.check(key, true, p.delivery(nr, s.Delivery))
		case strings.Contains(s.Note, "no delivery within"):
			p.silences++
			if p.fresh > 0 {
				p.t.Errorf("step %s: %d deliveries, but the recording notes %q", key, p.fresh, s.Note)
			}
		}
	}
}

// settle lets the queue run dry, through all pauses, and collects what was received.
func (p *replayer) settle() {
	p.t.Helper()
	p.receiver.drain(p.t, p.clock, p.sim)
	got := p.receiver.take()
	p.fresh = len(got)
	p.got = append(p.got, got...)
}

func (p *replayer) check(key string, isDelivery bool, diff string) {
	p.t.Helper()
	p.total[isDelivery]++
	p.attempted[key] = true
	reason, listed := notEqual[key]
	switch {
	case diff == "" && listed:
		p.t.Errorf("step %s is equal now, take it off the list (%s)", key, reason)
	case diff == "":
		p.equal[isDelivery]++
	case !listed:
		p.t.Errorf("step %s differs: %s", key, diff)
	}
}

// seed does what the recordings' README says was done between the recorded steps, and what
// the recorded ids and groups show to have happened besides.
func (p *replayer) seed(nr string, step int) {
	ticket := func(title, group, as string) {
		p.must("POST", "/api/v1/tickets", as, map[string]any{"title": title, "group": group, "customer_id": 6,
			"article": map[string]any{"type": "web", "sender": "Customer", "content_type": "text/html", "body": title,
				"message_id": "<" + strings.ReplaceAll(title, " ", "-") + "@deskbridge>"}})
	}
	switch fmt.Sprintf("%s/%d", nr, step) {
	case "03/-1": // the broken triggers of 02 are gone: none of them shows up later
		p.must("DELETE", "/api/v1/triggers/8", "", nil)
		p.must("DELETE", "/api/v1/triggers/10", "", nil)
	case "04/-1":
		ticket("agent in one call", "App Chat", "bridge")
	case "04/4":
		ticket("types", "App Chat", "bridge")
	case "06/-1":
		ticket("merge source", "App Chat", "bridge")
		ticket("merge target", "App Chat", "bridge")
	case "06/11": // its article has an id after those of the steps before
		ticket("to be moved", "App Chat", "bridge")
	case "06/19": // "admin with access": the recorded members of the group show the grant
		p.must("PUT", "/api/v1/users/3", "", map[string]any{"group_ids": map[string]any{"1": []any{"full"}, "2": []any{"full"}}})
	case "07/-1":
		ticket("retries", "App Chat", "bridge")
	case "08/-1":
		ticket("attachments", "App Chat", "bridge")
	case "09/-1":
		ticket("texts", "App Chat", "bridge")
	case "11/1": // in a group that the bridge may write to only since step 0
		ticket("no follow-up", "Backoffice", "bridge")
	case "12/8":
		p.clock.advance(time.Minute) // the noted time until the task was worked off
	case "15/-1": // other recordings used these ids up
		for n := 18; n <= 70; n++ {
			ticket(fmt.Sprint("filler ", n), "App Chat", "bridge")
		}
		for n := 73 + 53; n <= 205; n++ {
			p.must("POST", "/api/v1/ticket_articles", "bridge", map[string]any{"ticket_id": 18, "type": "web", "sender": "Customer", "body": "x"})
		}
	case "16/17": // four articles were posted at once here
		for range 4 {
			p.must("POST", "/api/v1/ticket_articles", "bridge", map[string]any{"ticket_id": 77, "type": "web", "sender": "Customer", "body": "x"})
		}
	}
}

// must makes a call that is no step; as is the owner of a token, or empty for the admin.
func (p *replayer) must(method, path, as string, body any) {
	p.t.Helper()
	req := p.newRequest(method, path, body)
	if as == "" {
		req.SetBasicAuth("admin@example.org", "replay")
	} else {
		req.Header.Set("Authorization", "Token token="+p.tokens["<token of "+as+">"])
	}
	status, _, raw := p.do(req)
	if status > 299 {
		p.t.Fatalf("%s %s: %d %s", method, path, status, raw)
	}
}

func (p *replayer) newRequest(method, path string, body any) *http.Request {
	var reader io.Reader
	if s, ok := body.(string); ok {
		reader = strings.NewReader(s) // broken JSON, as sent
	} else if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			p.t.Fatal(err)
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.server.URL+path, reader)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	return req
}

func (p *replayer) do(req *http.Request) (int, http.Header, []byte) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, raw
}

// request replays one step and returns how the answer differs.
func (p *replayer) request(key string, r *recordedRequest, want *recordedResponse) string {
	body := r.Body
	switch key { // the two bodies that were cut in the file
	case "05/21":
		body.(map[string]any)["body"] = strings.Repeat("x", 1_500_001)
	case "08/24":
		data := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("big file! 20 bytes.\n"), 1_000_000))
		body.(map[string]any)["attachments"].([]any)[0].(map[string]any)["data"] = data
	}
	req := p.newRequest(r.Method, r.Path, body)
	if key == "05/0" { // "no Accept header"
		req.Header.Del("Accept")
	}
	for name, v := range r.Headers {
		if v == nil || name == "If-None-Match" {
			continue
		}
		value := *v
		for placeholder, token := range p.tokens {
			value = strings.ReplaceAll(value, placeholder, token)
		}
		value = strings.ReplaceAll(value, "Basic <admin>", "Basic "+base64.StdEncoding.EncodeToString([]byte("admin@example.org:replay")))
		req.Header.Set(name, value)
	}
	if key == "10/16" { // the tag of a moment ago is not that of the recording
		_, header, _ := p.do(req.Clone(p.t.Context()))
		req.Header.Set("If-None-Match", header.Get("ETag"))
	}
	status, header, raw := p.do(req)
	if status != want.Status {
		return fmt.Sprintf("status %d, want %d: %.300s", status, want.Status, raw)
	}
	p.learnToken(raw, want.Body)
	for _, name := range []string{"X-Failure", "Content-Type", "Content-Disposition", "Cache-Control", "Access-Control-Allow-Origin"} {
		if recorded, ok := want.Headers[name]; ok && header.Get(name) != recorded {
			return fmt.Sprintf("header %s is %q, want %q", name, header.Get(name), recorded)
		}
	}
	return compareBody(key, raw, header.Get("Content-Type"), want)
}

func (p *replayer) learnToken(raw []byte, recorded any) {
	m, _ := recorded.(map[string]any)
	placeholder, _ := m["token"].(string)
	var got struct{ Token string }
	if placeholder != "" && json.Unmarshal(raw, &got) == nil {
		p.tokens[placeholder] = got.Token
	}
}

// delivery finds the recorded delivery among those received and returns how the best
// candidate differs.
func (p *replayer) delivery(nr string, want *recordedDelivery) string {
	diff := "nothing fitting was received"
	for i, g := range p.got {
		if ticketOf(string(g.body)) != ticketOf(want.BodyRaw) || nr == "07" && g.answered != want.Answered {
			continue
		}
		d := compareDelivery(g, want)
		if d == "" {
			p.got = append(p.got[:i:i], p.got[i+1:]...)
			return ""
		}
		diff = d
	}
	return diff
}
