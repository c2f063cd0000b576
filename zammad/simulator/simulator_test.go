package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// world is a provisioned Zammad on a real socket: group 2 App Chat, group 3 Backoffice, a
// bridge that sees only the first and an agent who sees both, one webhook, three triggers.
type world struct {
	t                                   *testing.T
	sim                                 *Simulator
	clock                               *testClock
	receiver                            *receiver
	server                              *httptest.Server
	adminToken, bridgeToken, agentToken string
}

func newWorld(t *testing.T, cfg Config) *world {
	t.Helper()
	w := &world{t: t, clock: newTestClock(time.Now()), receiver: newReceiver(t), adminToken: "admin-token"}
	w.receiver.clock = w.clock
	cfg.Clock, cfg.AdminToken, cfg.AdminPassword = w.clock, w.adminToken, "secret"
	w.sim = New(cfg)
	runWorker(t, w.sim)
	w.server = httptest.NewServer(w.sim.Handler())
	t.Cleanup(w.server.Close)
	for _, g := range []string{"App Chat", "Backoffice"} {
		w.ok("POST", "/groups", w.adminToken, row{"name": g})
	}
	w.ok("POST", "/users", w.adminToken, row{"login": "bridge", "firstname": "The", "lastname": "Bridge 1", "roles": []any{"Agent"},
		"groups": row{"App Chat": []any{"full"}}})
	w.ok("POST", "/users", w.adminToken, row{"login": "cora", "firstname": "Cora", "lastname": "Counselor", "email": "cora@example.org",
		"password": "pw", "roles": []any{"Agent"}, "groups": row{"App Chat": "full", "Backoffice": "full"}})
	w.bridgeToken, w.agentToken = w.tokenFor("bridge"), w.tokenFor("cora")
	w.ok("POST", "/webhooks", w.adminToken, row{"name": "hook", "endpoint": w.receiver.server.URL + "/hook", "signature_token": signatureToken})
	inGroup := row{"operator": "is", "value": []any{"2"}}
	for name, condition := range map[string]row{
		"A answers": {"ticket.group_id": inGroup, "article.action": row{"operator": "is", "value": "create"},
			"article.sender_id": row{"operator": "is", "value": []any{"1", "3"}}, "article.internal": row{"operator": "is", "value": []any{"false"}}},
		"B states": {"ticket.group_id": inGroup, "ticket.action": row{"operator": "is", "value": "update"},
			"ticket.state_id": row{"operator": "has changed", "value": []any{}}},
		"C merges": {"ticket.group_id": inGroup, "ticket.action": row{"operator": "is", "value": "update.merged_into"}},
	} {
		w.trigger(name, condition, row{"notification.webhook": row{"webhook_id": "1"}})
	}
	return w
}

func (w *world) trigger(name string, condition, perform row) {
	w.t.Helper()
	w.ok("POST", "/triggers", w.adminToken, row{"name": name, "condition": condition, "perform": perform,
		"activator": "action", "execution_condition_mode": "selective", "active": true})
}

func (w *world) tokenFor(login string) string {
	w.t.Helper()
	status, body := w.call("POST", "/user_access_token", w.adminToken, row{"name": "t", "permission": []any{"ticket.agent"}}, "From", login)
	if status != 200 {
		w.t.Fatalf("token for %s: %d %v", login, status, body)
	}
	return body.(map[string]any)["token"].(string)
}

// call makes one request; extra is a header's name and value.
func (w *world) call(method, path, token string, body any, extra ...string) (int, any) {
	w.t.Helper()
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL+"/api/v1"+path, reader)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Token token="+token)
	if len(extra) == 2 {
		req.Header.Set(extra[0], extra[1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	var out any
	if len(raw) > 0 && strings.Contains(resp.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(raw, &out); err != nil {
			w.t.Fatalf("%s %s: %v in %.200s", method, path, err, raw)
		}
	}
	return resp.StatusCode, out
}

func (w *world) ok(method, path, token string, body any) map[string]any {
	w.t.Helper()
	status, out := w.call(method, path, token, body)
	if status > 299 {
		w.t.Fatalf("%s %s: %d %v", method, path, status, out)
	}
	m, _ := out.(map[string]any)
	return m
}

// openChat opens a chat as a bridge does, in one call, and returns the ticket's id.
func (w *world) openChat(title, text string) int {
	w.t.Helper()
	text = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
	t := w.ok("POST", "/tickets", w.bridgeToken, row{"title": title, "group": "App Chat",
		"customer": row{"login": "app-1", "firstname": "App", "lastname": "User 1"},
		"article":  row{"type": "chat", "origin_by": "app-1", "content_type": "text/html", "body": text, "message_id": "<1@x>"}})
	return int(t["id"].(float64))
}

func (w *world) articles(ticket int) []map[string]any {
	w.t.Helper()
	_, out := w.call("GET", fmt.Sprintf("/ticket_articles/by_ticket/%d", ticket), w.bridgeToken, nil)
	var list []map[string]any
	for _, a := range out.([]any) {
		list = append(list, a.(map[string]any))
	}
	return list
}

func (w *world) note(ticket int, body string, internal bool) int {
	w.t.Helper()
	a := w.ok("POST", "/ticket_articles", w.agentToken, row{"ticket_id": ticket, "type": "note", "internal": internal, "body": body})
	return int(a["id"].(float64))
}

// delivered lets the queue run dry and returns what came, the counts of tickets left out.
func (w *world) delivered() []received {
	w.t.Helper()
	w.receiver.drain(w.t, w.clock, w.sim)
	return w.receiver.take()
}

func triggerNames(got []received) []string {
	names := []string{}
	for _, g := range got {
		names = append(names, g.header.Get("X-Zammad-Trigger"))
	}
	return names
}

func (w *world) expectTriggers(what string, want ...string) {
	w.t.Helper()
	if got := triggerNames(w.delivered()); !slices.Equal(got, want) {
		w.t.Errorf("%s: deliveries %q, want %q", what, got, want)
	}
}

func TestRetriesFollowZammadsSchedule(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	ticket := w.openChat("retries", "x")
	w.delivered()
	w.receiver.plan([]int{500, 404, hang, 302, 429})
	w.note(ticket, "please repeat me", false)
	got := w.delivered()
	if len(got) != 5 {
		t.Fatalf("%d attempts, want 5", len(got))
	}
	for i, pause := range []time.Duration{10, 20, 30 + 31, 40} { // the third receiver let Zammad wait for 31 s
		if d := got[i+1].at.Sub(got[i].at).Round(time.Second); d != pause*time.Second {
			t.Errorf("pause %d is %v, want %v", i+1, d, pause*time.Second)
		}
	}
	for _, g := range got {
		if g.header.Get("X-Zammad-Delivery") != got[0].header.Get("X-Zammad-Delivery") || !bytes.Equal(g.body, got[0].body) || !g.signed {
			t.Errorf("attempts differ or are not signed: %v", g.header)
		}
	}
	if w.sim.Pending() != 0 {
		t.Error("a sixth attempt is planned")
	}
}

func TestASlowReceiverIsOvertaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{QueueLatency: time.Second})
	ticket := w.openChat("slow", "x")
	w.delivered()
	w.receiver.plan([]int{hang})
	first, second := w.note(ticket, "one", false), w.note(ticket, "two", false)
	var order []int
	for _, g := range w.delivered() {
		var p struct{ Article struct{ ID int } }
		if err := json.Unmarshal(g.body, &p); err != nil {
			t.Fatal(err)
		}
		order = append(order, p.Article.ID)
	}
	if !slices.Equal(order, []int{first, second, first}) {
		t.Errorf("articles arrived as %v, want %v", order, []int{first, second, first})
	}
}

func TestWhichEventsCauseDeliveries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	ticket := w.openChat("events", "x")
	path := fmt.Sprintf("/tickets/%d", ticket)
	w.expectTriggers("a customer's first message")
	id := w.note(ticket, "answer", false)
	w.expectTriggers("a public note", "A answers")
	hidden := w.note(ticket, "secret", true)
	w.expectTriggers("an internal note")
	w.ok("PUT", fmt.Sprintf("/ticket_articles/%d", hidden), w.agentToken, row{"internal": false})
	w.expectTriggers("a note made public")
	w.ok("DELETE", fmt.Sprintf("/ticket_articles/%d", id), w.agentToken, nil)
	w.expectTriggers("a deleted note")
	w.ok("PUT", path, w.agentToken, row{"state": "closed", "article": row{"type": "note", "body": "bye"}})
	w.expectTriggers("answer and state in one call", "A answers", "B states")
	w.ok("PUT", path, w.agentToken, row{"title": "another"})
	w.expectTriggers("a new title")
	w.ok("PUT", path, w.agentToken, row{"state": "closed"})
	w.expectTriggers("the state it has already")
	w.ok("PUT", path, w.agentToken, row{"group": "Backoffice"})
	w.expectTriggers("a move")
	w.ok("DELETE", path, w.adminToken, nil)
	w.expectTriggers("a deletion")
}

func TestNotesOfTriggersCauseNoDelivery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	w.trigger("0 greeting", row{"ticket.action": row{"operator": "is", "value": "create"}},
		row{"article.note": row{"subject": "Hi", "body": "Hello #{ticket.customer.firstname}", "internal": "false"}})
	ticket := w.openChat("greeted", "x")
	w.expectTriggers("a greeting")
	list := w.articles(ticket)
	if len(list) != 2 || list[1]["body"] != "Hello App" || list[1]["sender"] != "System" {
		t.Errorf("articles: %v", list)
	}
}

func TestANullSubjectNeverContainsNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	w.trigger("D subject", row{"article.action": row{"operator": "is", "value": "create"},
		"article.subject": row{"operator": "contains not", "value": "bot"}}, row{"notification.webhook": row{"webhook_id": "1"}})
	ticket := w.openChat("subject", "x")
	w.expectTriggers("no subject")
	w.ok("POST", "/ticket_articles", w.agentToken, row{"ticket_id": ticket, "body": "x", "subject": "human", "internal": true})
	w.expectTriggers("another subject", "D subject")
}

func TestForeignGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	ticket := w.openChat("mine", "x")
	w.ok("PUT", fmt.Sprintf("/tickets/%d", ticket), w.agentToken, row{"group": "Backoffice"})
	for _, c := range []struct{ method, path string }{
		{"GET", fmt.Sprintf("/tickets/%d", ticket)}, {"PUT", fmt.Sprintf("/tickets/%d", ticket)},
		{"GET", fmt.Sprintf("/ticket_articles/by_ticket/%d", ticket)},
	} {
		if status, body := w.call(c.method, c.path, w.bridgeToken, row{"title": "x"}); status != 403 || body.(map[string]any)["error"] != "Not authorized" {
			t.Errorf("%s %s: %d %v", c.method, c.path, status, body)
		}
	}
	status, found := w.call("POST", "/tickets/search", w.bridgeToken, row{"condition": row{"ticket.id": row{"operator": "is", "value": []any{ticket}}}, "expand": true})
	if status != 200 || len(found.([]any)) != 0 {
		t.Errorf("search sees the foreign ticket: %d %v", status, found)
	}
}

func TestErrorsAreMaskedForNonAdmins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	w.ok("PUT", "/users/3", w.adminToken, row{"group_ids": row{"2": []any{"full"}}})
	id := w.openChat("masked", "x")
	path := fmt.Sprintf("/tickets/%d", id)
	w.ok("PUT", path, w.agentToken, row{"state": "open"})
	_, masked := w.call("PUT", path, w.bridgeToken, row{"state": "new"})
	_, clear := w.call("PUT", path, w.adminToken, row{"state": "new"})
	if text := masked.(map[string]any)["error"].(string); !isErrorID.MatchString(text) {
		t.Errorf("a bridge reads %q", text)
	}
	if text := clear.(map[string]any)["error"].(string); isErrorID.MatchString(text) {
		t.Errorf("an admin reads %q", text)
	}
}

func TestMergeMovesArticlesAndLinksTheParent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	source, target := w.openChat("source", "one"), w.openChat("target", "two")
	w.delivered()
	number := w.ok("GET", fmt.Sprintf("/tickets/%d", target), w.agentToken, nil)["number"]
	if out := w.ok("PUT", fmt.Sprintf("/ticket_merge/%d/%v", source, number), w.agentToken, nil); out["result"] != "success" {
		t.Fatalf("merge: %v", out)
	}
	w.expectTriggers("a merge", "A answers", "C merges")
	if list := w.articles(source); len(list) != 1 || list[0]["body"] != "merged" || list[0]["internal"] != false {
		t.Errorf("source holds %v", list)
	}
	if list := w.articles(target); len(list) != 2 {
		t.Errorf("target holds %d articles, want 2", len(list))
	}
	links := w.ok("GET", fmt.Sprintf("/links?link_object=Ticket&link_object_value=%d", source), w.agentToken, nil)["links"].([]any)
	if len(links) != 1 || links[0].(map[string]any)["link_type"] != "parent" || links[0].(map[string]any)["link_object_value"] != float64(target) {
		t.Errorf("links of the source: %v", links)
	}
	if out := w.ok("PUT", fmt.Sprintf("/ticket_merge/%d/nonsense", target), w.agentToken, nil); out["result"] != "failed" {
		t.Errorf("merge into nothing: %v", out)
	}
}

func TestRefusedRequestsLeaveNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	status, body := w.call("POST", "/tickets", w.bridgeToken, row{"title": "half", "group": "App Chat",
		"customer": row{"login": "app-half", "firstname": "A", "lastname": "B 1"}, "article": row{"body": "\n "}})
	if status != 422 {
		t.Fatalf("blank body: %d %v", status, body)
	}
	if status, _ := w.call("GET", "/users/me", w.adminToken, nil, "From", "app-half"); status != 403 {
		t.Errorf("the customer of a refused ticket exists: %d", status)
	}
	ticket := w.openChat("next", "x")
	if got := w.ok("GET", fmt.Sprintf("/tickets/%d", ticket), w.bridgeToken, nil); got["number"] != "37002" || ticket != 3 {
		t.Errorf("ticket %d number %v, want id 3 (one used up) and number 37002 (rolled back)", ticket, got["number"])
	}
	w.call("POST", "/ticket_articles", w.bridgeToken, row{"ticket_id": ticket, "body": "x",
		"attachments": []any{row{"filename": " ", "data": "eA==", "mime-type": "text/plain"}}})
	if n := len(w.articles(ticket)); n != 1 {
		t.Errorf("%d articles after a refused attachment, want 1", n)
	}
	w.expectTriggers("refusals")
}

func TestLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	ticket := w.openChat(strings.Repeat("t", 300), "x")
	got := w.ok("PUT", fmt.Sprintf("/tickets/%d", ticket), w.bridgeToken, row{"title": "a\r\nb\t" + strings.Repeat("ü", 300)})
	if title := got["title"].(string); len([]rune(title)) != 250 || !strings.HasPrefix(title, "a  b ü") {
		t.Errorf("title %q", title)
	}
	post := func(fields row) (int, any) {
		return w.call("POST", "/ticket_articles", w.bridgeToken, row{"ticket_id": ticket}.with(fields))
	}
	if status, _ := post(row{"body": strings.Repeat("ä", 1_500_000)}); status != 201 {
		t.Errorf("longest body: %d", status)
	}
	if status, body := post(row{"body": strings.Repeat("ä", 1_500_001)}); status != 422 {
		t.Errorf("body over the limit: %d %v", status, body)
	}
	_, a := post(row{"body": "a\x00b", "content_type": "text/plain; charset=utf-8"})
	if a := a.(map[string]any); a["body"] != "ab" || a["content_type"] != "text/plain; charset=" {
		t.Errorf("article %v", a)
	}
}

func TestAdminsDeleteAndPrivacyTasksErase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{SchedulerInterval: time.Minute})
	ticket := w.openChat("erase", "x")
	customer := w.ok("GET", fmt.Sprintf("/tickets/%d", ticket), w.bridgeToken, nil)["customer_id"]
	task := w.ok("POST", "/data_privacy_tasks", w.adminToken, row{"deletable_type": "User", "deletable_id": customer, "preferences": row{"sure": "DELETE"}})
	w.clock.advance(61 * time.Second)
	if got := w.ok("GET", fmt.Sprintf("/data_privacy_tasks/%v", task["id"]), w.adminToken, nil); got["state"] != "completed" {
		t.Errorf("task is %v", got["state"])
	}
	for _, path := range []string{fmt.Sprintf("/tickets/%d", ticket), fmt.Sprintf("/users/%v", customer)} {
		if status, _ := w.call("GET", path, w.bridgeToken, nil); status != 404 {
			t.Errorf("GET %s: %d, want 404", path, status)
		}
	}
}

func TestFastClockShortensPauses(t *testing.T) {
	t.Parallel()
	clock := NewFastClock(1000)
	begin := time.Now()
	from := clock.Now()
	<-clock.After(10 * time.Second)
	if real := time.Since(begin); real > 5*time.Second {
		t.Errorf("10 s took %v", real)
	}
	if passed := clock.Now().Sub(from); passed < 10*time.Second {
		t.Errorf("the clock moved by %v only", passed)
	}
}

// FuzzRequests holds that no JSON body makes a handler panic, and that a refusal is JSON.
func FuzzRequests(f *testing.F) {
	for i, body := range []string{
		`{"title":"x","group":"Users","customer":{"login":"a"},"article":{"body":"b","type":"chat","origin_by":"a","attachments":[{"filename":"f","data":"eA==","mime-type":"image/png"}]}}`,
		`{"state":"closed","pending_time":"x","owner_id":3,"preferences":{"a":1},"article":{"body":"<img src='data:image/png;base64,eA=='>","content_type":"text/html"}}`,
		`{"ticket_id":1,"body":"x","type_id":99,"sender":"System"}`,
		`{"condition":{"operator":"OR","conditions":[{"name":"ticket.id","operator":"is","value":1},{"name":"article.body","operator":"contains","value":["x"]}]},"expand":true}`,
		`{"name":"t","condition":{"ticket.action":{"operator":"is","value":"create"}},"perform":{"article.note":{"subject":"#{ticket.owner.login}","body":"#{article.from.x}","internal":"true"},"ticket.state_id":{"value":"4"}}}`,
		`{"object":"Ticket","name":"x","data_type":"boolean","data_option":{},"screens":{"edit":1}}`,
		`{"login":"a","roles":[1],"groups":{"Users":"full"},"group_ids":[],"email":1}`,
	} {
		f.Add(i, body)
	}
	paths := []string{"POST /tickets", "PUT /tickets/1", "POST /ticket_articles", "POST /tickets/search", "POST /triggers",
		"POST /object_manager_attributes", "POST /users", "PUT /ticket_articles/1", "POST /groups", "POST /webhooks"}
	f.Fuzz(func(t *testing.T, which int, body string) {
		sim := New(Config{AdminToken: "admin"})
		h := sim.Handler()
		for _, target := range []string{paths[max(which, -which, 0)%len(paths)], "POST /tickets"} {
			method, path, _ := strings.Cut(target, " ")
			req := httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(body))
			req.Header.Set("Accept", "application/json")
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Token token=admin")
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, req)
			if rec.Code >= 300 && !json.Valid(rec.Body.Bytes()) {
				t.Errorf("%s: %d %s", target, rec.Code, rec.Body)
			}
		}
	})
}
