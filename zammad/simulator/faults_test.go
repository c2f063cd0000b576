package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"deskbridge/zammad"
)

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("it never happened: %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

func (w *world) fault(f Fault) string {
	w.t.Helper()
	id, err := w.sim.AddFault(f)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// bridge is our own client with the bridge's token.
func (w *world) bridge(patience time.Duration) *zammad.Client {
	w.t.Helper()
	client, err := zammad.New(zammad.Config{URL: w.server.URL, Token: w.bridgeToken, WriteTimeout: patience})
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

// holds tells whether Zammad has an article with the message id.
func (w *world) holds(messageID string) bool {
	for _, a := range w.sim.State().Articles {
		if a.MessageID == messageID {
			return true
		}
	}
	return false
}

var articlePosts = FaultMatch{Method: "POST", Path: "/api/v1/ticket_articles"}

func TestAFaultyWriteAsOurClientSeesIt(t *testing.T) {
	t.Parallel()
	const ( // when the work is done
		never = iota
		atOnce
		late
	)
	for name, c := range map[string]struct {
		fault Fault
		want  error // nil: the write succeeds
		done  int
		reset bool
	}{
		"masked":        {Fault{Kind: FaultStatus, Status: 422}, zammad.ErrMasked, never, false},
		"busy":          {Fault{Kind: FaultStatus, Status: 503}, zammad.ErrAmbiguous, never, false},
		"token":         {Fault{Kind: FaultStatus, Status: 401, Body: `{"error":"Can't find User for Token"}`}, zammad.ErrNotAuthorized, never, false},
		"gone":          {Fault{Kind: FaultStatus, Status: 404, Body: `{"error":"Couldn't find Ticket"}`}, zammad.ErrNotFound, never, false},
		"proxy's 404":   {Fault{Kind: FaultStatus, Status: 404, HTML: true}, zammad.ErrUnavailable, never, false},
		"reset before":  {Fault{Kind: FaultResetBefore}, zammad.ErrAmbiguous, never, true},
		"reset after":   {Fault{Kind: FaultResetAfter}, zammad.ErrAmbiguous, atOnce, true},
		"timeout after": {Fault{Kind: FaultTimeoutAfter}, zammad.ErrAmbiguous, atOnce, false},
		"delay":         {Fault{Kind: FaultDelay, DelayMS: 90_000}, zammad.ErrAmbiguous, late, false},
		"late commit":   {Fault{Kind: FaultLateCommit, DelayMS: 90_000}, zammad.ErrAmbiguous, late, true},
		"no delay":      {Fault{Kind: FaultLateCommit}, zammad.ErrAmbiguous, late, true},
		"truncate":      {Fault{Kind: FaultTruncate}, zammad.ErrAmbiguous, atOnce, false},
		"garbage":       {Fault{Kind: FaultGarbage}, zammad.ErrAmbiguous, atOnce, false},
		"proxy's page":  {Fault{Kind: FaultGarbage, Body: "<html>"}, zammad.ErrAmbiguous, atOnce, false},
		"slow body":     {Fault{Kind: FaultSlowBody, DelayMS: 90_000}, zammad.ErrAmbiguous, atOnce, false},
		"another call":  {Fault{Kind: FaultResetBefore, Match: FaultMatch{Method: "GET", Path: "*"}}, nil, atOnce, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, Config{})
			ticket := w.openChat("faults", "x")
			if c.fault.Match == (FaultMatch{}) {
				c.fault.Match = articlePosts
			}
			c.fault.Times = 1
			w.fault(c.fault)
			patience := time.Minute
			if slices.Contains([]FaultKind{FaultTimeoutAfter, FaultDelay, FaultSlowBody}, c.fault.Kind) {
				patience = 300 * time.Millisecond // these answer only when the clock is moved
			}
			_, err := w.bridge(patience).Articles.Create(t.Context(),
				zammad.NewArticle{TicketID: zammad.TicketID(ticket), Body: "b", MessageID: "<m@x>"})
			if !errors.Is(err, c.want) {
				t.Errorf("the client sees %v, want %v", err, c.want)
			}
			if got := errors.Is(err, syscall.ECONNRESET); got != c.reset {
				t.Errorf("connection reset: %v, want %v (%v)", got, c.reset, err)
			}
			if done := w.holds("<m@x>"); c.fault.DelayMS > 0 && done != (c.done == atOnce) || c.done == never && done {
				t.Errorf("done: %v", done)
			}
			w.clock.advance(91 * time.Second)
			if c.done != never {
				eventually(t, "the work is done", func() bool { return w.holds("<m@x>") })
			}
			w.delivered()
			if n := len(w.articles(ticket)); n != 1+min(c.done, 1) {
				t.Errorf("%d articles at last", n)
			}
			if _, err := w.bridge(0).Articles.OfTicket(t.Context(), zammad.TicketID(ticket)); err != nil {
				t.Errorf("after the fault: %v", err)
			}
		})
	}
}

// Go's transport repeats a read by itself when a connection that it used before is reset, so
// a fault that shall be seen applies more than once.
func TestAFaultyReadAsOurClientSeesIt(t *testing.T) {
	t.Parallel()
	match := FaultMatch{Method: "get", Path: "/api/v1/tickets/*"}
	for _, f := range []Fault{
		{Match: match, Kind: FaultResetBefore}, {Match: match, Kind: FaultResetAfter}, {Match: match, Kind: FaultTruncate},
		{Match: match, Kind: FaultGarbage}, {Match: match, Kind: FaultLateCommit}, {Match: match, Kind: FaultStatus, Status: 502, HTML: true},
	} {
		t.Run(string(f.Kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, Config{})
			ticket := zammad.TicketID(w.openChat("faults", "x"))
			w.fault(f)
			if _, err := w.bridge(0).Tickets.Get(t.Context(), ticket); !errors.Is(err, zammad.ErrUnavailable) {
				t.Errorf("%v, want unavailable", err)
			}
			if _, err := w.bridge(0).Articles.OfTicket(t.Context(), ticket); err != nil {
				t.Errorf("it applies to another path: %v", err)
			}
			w.sim.ClearFaults()
			if _, err := w.bridge(0).Tickets.Get(t.Context(), ticket); err != nil {
				t.Errorf("it applies after it was cleared: %v", err)
			}
		})
	}
}

func TestHeldRequestsHoldNobodyElse(t *testing.T) {
	t.Parallel()
	for _, f := range []Fault{{Kind: FaultTimeoutAfter}, {Kind: FaultDelay, DelayMS: 5000}, {Kind: FaultSlowBody, DelayMS: 5000}} {
		t.Run(string(f.Kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, Config{})
			ticket := zammad.TicketID(w.openChat("held", "x"))
			f.Match = articlePosts
			w.fault(f)
			created := make(chan error, 1)
			go func() {
				a, err := w.bridge(time.Minute).Articles.Create(t.Context(), zammad.NewArticle{TicketID: ticket, Body: "b", MessageID: "<m@x>"})
				if err == nil && a.MessageID != "<m@x>" {
					err = fmt.Errorf("the answer is another article: %d", a.ID)
				}
				created <- err
			}()
			eventually(t, "the request is held", func() bool { return w.sim.Faults()[0].Holding == 1 })
			if _, err := w.bridge(0).Tickets.Get(t.Context(), ticket); err != nil {
				t.Errorf("another request: %v", err)
			}
			select {
			case err := <-created:
				t.Errorf("the request was not held: %v", err)
			default:
			}
			w.sim.ClearFaults()
			if err := <-created; err != nil {
				t.Errorf("after the fault was cleared: %v", err)
			}
		})
	}
}

func TestASlowBodyComesByTheClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	ticket := zammad.TicketID(w.openChat("slow", "x"))
	w.fault(Fault{Kind: FaultSlowBody, DelayMS: 10_000})
	begin := w.clock.Now()
	got := make(chan error, 1)
	go func() {
		_, err := w.bridge(0).Tickets.Get(t.Context(), ticket)
		got <- err
	}()
	for {
		select {
		case err := <-got:
			if passed := w.clock.Now().Sub(begin); err != nil || passed < 10*time.Second {
				t.Errorf("after %v: %v", passed, err)
			}
			return
		case <-time.After(time.Millisecond):
			if w.sim.Faults()[0].Holding == 1 {
				w.clock.advance(100 * time.Millisecond)
			}
		}
	}
}

func TestTheEndOfTheSimulatorLetsGoWhatIsHeld(t *testing.T) {
	t.Parallel()
	sim := New(Config{AdminToken: "admin", Clock: newTestClock(time.Now())})
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)
	for _, kind := range []FaultKind{FaultTimeoutAfter, FaultLateCommit, FaultTimeoutAfter} { // it holds again after a new start
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- sim.Run(ctx) }()
		eventually(t, "the simulator runs", func() bool {
			sim.faults.mu.Lock()
			defer sim.faults.mu.Unlock()
			select {
			case <-sim.faults.stopped:
				return false
			default:
				return true
			}
		})
		f := Fault{Kind: kind}
		if kind == FaultLateCommit {
			f.DelayMS = 1000
		}
		if _, err := sim.AddFault(f); err != nil {
			t.Fatal(err)
		}
		client, err := zammad.New(zammad.Config{URL: server.URL, Token: "admin"})
		if err != nil {
			t.Fatal(err)
		}
		created := make(chan error, 1)
		go func() {
			_, err := client.Groups.Create(t.Context(), zammad.Group{Name: fmt.Sprint("Group ", sim.Faults()[0].ID), Active: true})
			created <- err
		}()
		eventually(t, "the request is held", func() bool { return sim.Faults()[0].Holding == 1 })
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := <-created; errors.Is(err, zammad.ErrAmbiguous) != (kind == FaultLateCommit) {
			t.Errorf("%s: %v", kind, err)
		}
		eventually(t, "the work is done", func() bool { return sim.faults.debt() == 0 })
		sim.ClearFaults()
	}
	groups := 0
	sim.mu.Lock()
	groups = len(sim.groups.rows)
	sim.mu.Unlock()
	if groups != 4 {
		t.Errorf("%d groups, want the first and three new ones", groups)
	}
}

func TestTimesAndAfterAreCountedExactly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	w.fault(Fault{Match: FaultMatch{Path: "/api/v1/users/me"}, Kind: FaultStatus, Status: 503, Times: 5, After: 7})
	w.fault(Fault{Match: FaultMatch{Path: "/api/v1/users/*"}, Kind: FaultStatus, Status: 504, Times: 3, After: 10})
	var answers [600]atomic.Int64
	var group sync.WaitGroup
	for range 60 {
		group.Go(func() {
			status, _ := w.call("GET", "/users/me", w.bridgeToken, nil)
			answers[status].Add(1)
		})
	}
	group.Wait()
	for status, want := range map[int]int64{503: 5, 504: 3, 200: 52} {
		if got := answers[status].Load(); got != want {
			t.Errorf("%d answers of %d, want %d", got, status, want)
		}
	}
	for i, want := range []FaultReport{{ID: "1", Passed: 7, Applied: 5}, {ID: "2", Passed: 10, Applied: 3}} {
		got := w.sim.Faults()[i]
		if got.ID != want.ID || got.Passed != want.Passed || got.Applied != want.Applied || got.Left != 0 || got.Holding != 0 {
			t.Errorf("report %+v, want %+v", got, want)
		}
	}
}

// at makes a request to the switchboard and decodes the answer.
func (w *world) at(method, path, token, body string) (int, any) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Token token="+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var out any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		w.t.Errorf("%s %s: no JSON: %v", method, path, err)
	}
	return resp.StatusCode, out
}

func TestTheSwitchboardOverHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	if status, list := w.at("GET", "/simulator/faults", w.adminToken, ""); status != 200 || len(list.([]any)) != 0 {
		t.Errorf("before: %d %v", status, list)
	}
	status, set := w.at("POST", "/simulator/faults", w.adminToken,
		`{"match":{"method":"get","path":"*"},"kind":"status","status":500,"times":1000,"after":1}`)
	if status != 201 || set.(map[string]any)["id"] != "1" {
		t.Fatalf("set: %d %v", status, set)
	}
	w.at("POST", "/simulator/faults", w.adminToken, `{"kind":"drop"}`)
	for _, want := range []int{200, 500, 500} {
		if status, _ := w.call("GET", "/users/me", w.adminToken, nil); status != want {
			t.Errorf("a request is answered %d, want %d", status, want)
		}
	}
	_, list := w.at("GET", "/simulator/faults", w.adminToken, "") // by no fault
	first := list.([]any)[0].(map[string]any)
	for key, want := range map[string]any{"passed": 1.0, "applied": 2.0, "left": 998.0, "holding": 0.0, "kind": "status", "times": 1000.0} {
		if first[key] != want {
			t.Errorf("%s is %v, want %v", key, first[key], want)
		}
	}
	if second := list.([]any)[1].(map[string]any); second["left"] != -1.0 || first["match"].(map[string]any)["method"] != "GET" {
		t.Errorf("faults: %v", list)
	}
	for _, c := range []struct {
		path string
		want int
	}{{"/simulator/faults/1", 200}, {"/simulator/faults/1", 404}, {"/simulator/faults", 200}, {"/simulator/nothing", 404}} {
		if status, body := w.at("DELETE", c.path, w.adminToken, ""); status != c.want {
			t.Errorf("DELETE %s: %d %v, want %d", c.path, status, body, c.want)
		}
	}
	if left := w.sim.Faults(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if status, _ := w.call("GET", "/users/me", w.adminToken, nil); status != 200 {
		t.Errorf("after clearing: %d", status)
	}
}

func TestOnlyTheAdminReachesTheSwitchboard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	status, own := w.call("POST", "/user_access_token", w.adminToken, row{"name": "few rights", "permission": []any{"ticket.agent", "admin.user"}},
		"From", "admin@example.org")
	if status != 200 {
		t.Fatalf("token: %d", status)
	}
	for _, c := range []struct{ method, path string }{{"POST", "/simulator/faults"}, {"GET", "/simulator/faults"},
		{"DELETE", "/simulator/faults"}, {"DELETE", "/simulator/faults/1"}, {"GET", "/simulator/state"}} {
		for token, want := range map[string]int{"": 401, "unknown": 401, w.bridgeToken: 403, w.agentToken: 403,
			own.(map[string]any)["token"].(string): 403} {
			status, body := w.at(c.method, c.path, token, `{"kind":"drop"}`)
			if text, _ := body.(map[string]any)["error"].(string); status != want || text == "" {
				t.Errorf("%s %s: %d %v, want %d", c.method, c.path, status, body, want)
			}
		}
	}
	if len(w.sim.Faults()) != 0 {
		t.Error("a stranger has set a fault")
	}
	w.ok("PUT", fmt.Sprint("/settings/", w.settingID("maintenance_mode")), w.adminToken, row{"state_current": row{"value": true}})
	if status, _ := w.at("GET", "/simulator/state", w.adminToken, ""); status != 200 {
		t.Errorf("in maintenance: %d", status)
	}
}

func (w *world) settingID(name string) int {
	w.sim.mu.Lock()
	defer w.sim.mu.Unlock()
	r, _ := w.sim.settings.by("name", name)
	return r.id()
}

var badFaults = map[string]string{
	``:                            "one JSON object",
	`[]`:                          "cannot be a array",
	`{"kind":"drop"} x`:           "one JSON object",
	`{"kind":"explode"}`:          "kind must be one of status, delay,",
	`{"match":{"path":"/x"}}`:     "kind must be one of",
	`{"kind":"drop","count":1}`:   `unknown key "count"`,
	`{"kind":"drop","times":"1"}`: "times cannot be a string",
	`{"kind":"drop","times":-1}`:  "must not be negative",
	`{"kind":"drop","match":{"path":"/api/v1/tickets"}}`:                "drop is about webhooks",
	`{"kind":"truncate","match":{"ticket":3}}`:                          "truncate is about requests",
	`{"kind":"delay","delay_ms":1,"match":{"ticket":3,"method":"GET"}}`: "not both",
	`{"kind":"truncate","match":{"path":"/tickets"}}`:                   "match.path must begin with /api/v1/",
	`{"kind":"delay"}`:                                    "delay needs delay_ms",
	`{"kind":"slow_body"}`:                                "slow_body needs delay_ms",
	`{"kind":"drop","delay_ms":5}`:                        "drop has no delay_ms",
	`{"kind":"delay","delay_ms":86400001}`:                "delay_ms must be from 0 to 86400000",
	`{"kind":"status"}`:                                   "from 200 to 599",
	`{"kind":"status","status":100}`:                      "from 200 to 599",
	`{"kind":"garbage","status":500}`:                     "garbage has no status",
	`{"kind":"truncate","body":"x"}`:                      "truncate has no body",
	`{"kind":"delay","delay_ms":1,"match":{"ticket":-3}}`: "must not be negative",
}

func TestABadFaultIsRefusedWithASentence(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	for body, want := range badFaults {
		status, answer := w.at("POST", "/simulator/faults", w.adminToken, body)
		if text, _ := answer.(map[string]any)["error"].(string); status != 422 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %q, want %q", body, status, text, want)
		}
	}
	if _, err := w.sim.AddFault(Fault{Kind: "explode"}); err == nil || len(w.sim.Faults()) != 0 {
		t.Errorf("set: %v, %v", w.sim.Faults(), err)
	}
}

// FuzzParseFault holds that what is accepted can be written and read again.
func FuzzParseFault(f *testing.F) {
	for body := range badFaults {
		f.Add(body)
	}
	f.Add(`{"match":{"method":"POST","path":"/api/v1/tick*"},"kind":"status","status":503,"html":true,"times":2,"after":1}`)
	f.Fuzz(func(t *testing.T, body string) {
		fault, err := parseFault(strings.NewReader(body))
		if err != nil {
			return
		}
		raw, err := json.Marshal(fault)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parseFault(strings.NewReader(string(raw))); err != nil || again != fault {
			t.Errorf("%s became %+v, then %+v, %v", body, fault, again, err)
		}
	})
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true}, {"a", "a", true}, {"a", "ab", false}, {"a*", "a", true}, {"a*", "ba", false}, {"*a", "ba", true},
		{"a*a", "a", false}, {"a*a", "aa", true}, {"a*b*c", "axbxc", true}, {"a*b*c", "axcxb", false}, {"a**c", "abc", true}, {"", "a", false},
	} {
		if got := fits(c.pattern, c.text); got != c.want {
			t.Errorf("%q fits %q: %v", c.pattern, c.text, got)
		}
	}
}

// TestTheManualIsTrue holds that docs/simulator.md names every kind and that its examples are
// accepted.
func TestTheManualIsTrue(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range append(slices.Clone(requestFaults), webhookFaults...) {
		if !strings.Contains(string(manual), "\n| `"+string(kind)+"` |") {
			t.Errorf("the manual has no line for %s", kind)
		}
	}
	examples := regexp.MustCompile(`-d '([^']+)'`).FindAllStringSubmatch(string(manual), -1)
	for _, e := range examples {
		if _, err := parseFault(strings.NewReader(e[1])); err != nil {
			t.Errorf("%s: %v", e[1], err)
		}
	}
	if len(examples) == 0 {
		t.Error("the manual shows no example")
	}
}
