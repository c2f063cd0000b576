package simulator

import (
	"fmt"
	"net/http"
	"testing"
)

func TestCustomersHaveTheirOwnRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	ticket := w.openChat("own", "x")
	post := func(fields row) (int, map[string]any) {
		status, out := w.call("POST", "/ticket_articles", w.adminToken, row{"ticket_id": ticket}.with(fields), "From", "app-1")
		m, _ := out.(map[string]any)
		return status, m
	}
	status, a := post(row{"type": "phone", "sender": "Agent", "internal": true, "origin_by_id": 4, "body": "hello"})
	if status != 201 || a["type"] != "note" || a["sender"] != "Customer" || a["internal"] != false || a["origin_by"] != "app-1" {
		t.Errorf("article of a customer: %d %v", status, a)
	}
	if status, a := post(row{"body": `<a data-mention-user-id="5">Cora</a>`, "content_type": "text/html"}); status != 500 {
		t.Errorf("mention by a customer: %d %v", status, a)
	}
	hidden := w.note(ticket, "secret", true)
	if status, out := w.call("GET", fmt.Sprintf("/ticket_articles/%d", hidden), w.adminToken, nil, "From", "app-1"); status != 403 {
		t.Errorf("a customer reads an internal note: %d %v", status, out)
	}
	_, list := w.call("GET", fmt.Sprintf("/ticket_articles/by_ticket/%d", ticket), w.adminToken, nil, "From", "app-1")
	if n := len(list.([]any)); n != 2 {
		t.Errorf("a customer sees %d articles, want 2", n)
	}
}

func TestTokensObeyTheirListAndTheirDay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	token := func(fields row) string {
		return w.ok("POST", "/user_access_token", w.tokenWith("user_preferences"), row{"name": "x"}.with(fields))["token"].(string)
	}
	narrow := token(row{"permission": []any{"ticket.agent"}})
	if status, out := w.call("GET", "/groups", narrow, nil); status != 403 || out.(map[string]any)["error"] != "Not authorized (token)!" {
		t.Errorf("an admin's narrow token lists groups: %d %v", status, out)
	}
	today := w.clock.Now().UTC().Format("2006-01-02")
	expired := token(row{"permission": []any{"ticket.agent"}, "expires_at": today})
	if status, out := w.call("GET", "/users/me", expired, nil); status != 401 || out.(map[string]any)["error"] != "Not authorized (token expired)!" {
		t.Errorf("a token on its last day: %d %v", status, out)
	}
}

// tokenWith returns a token of the administrator with one permission. The first one is made
// with the administrator's password.
func (w *world) tokenWith(permission string) string {
	w.t.Helper()
	req, err := http.NewRequest("GET", w.server.URL, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.SetBasicAuth("admin@example.org", "secret")
	status, out := w.call("POST", "/user_access_token", "", row{"name": "p", "permission": []any{permission}},
		"Authorization", req.Header.Get("Authorization"))
	if status != 200 {
		w.t.Fatalf("token: %d %v", status, out)
	}
	return out.(map[string]any)["token"].(string)
}

func TestAttachmentsAfterAMerge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	source, target := w.openChat("source", "one"), w.openChat("target", "two")
	a := w.ok("POST", "/ticket_articles", w.agentToken, row{"ticket_id": source, "body": "file", "internal": true,
		"attachments": []any{row{"filename": "a.txt", "data": "eA==", "mime-type": "text/plain"}}})
	file := a["attachments"].([]any)[0].(map[string]any)["id"]
	number := w.ok("GET", fmt.Sprintf("/tickets/%d", target), w.agentToken, nil)["number"]
	w.ok("PUT", fmt.Sprintf("/ticket_merge/%d/%v", source, number), w.agentToken, nil)
	for ticket, want := range map[int]int{source: 200, target: 200, 1: 403} {
		if status, out := w.call("GET", fmt.Sprintf("/ticket_attachment/%d/%v/%v", ticket, a["id"], file), w.agentToken, nil); status != want {
			t.Errorf("through ticket %d: %d %v, want %d", ticket, status, out, want)
		}
	}
}

func TestWhichAcceptGetsJSON(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{"": false, "application/json": true, "*/*": true,
		"application/json, */*": false, "text/html": false, "application/json, text/html": true} {
		if got := wantsJSON(accept); got != want {
			t.Errorf("Accept %q: JSON is %v, want %v", accept, got, want)
		}
	}
}

func TestTriggersChangeTicketsAndTreesDecide(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	is := func(name string, value any) row { return row{"name": name, "operator": "is", "value": value} }
	w.trigger("0 close bots", row{"operator": "AND", "conditions": []any{
		is("ticket.action", "create"),
		row{"operator": "OR", "conditions": []any{is("ticket.title", "bot"), is("customer.login", "robot")}},
		row{"operator": "NOT", "conditions": []any{is("group.name", "Backoffice")}},
	}}, row{"ticket.state_id": row{"value": "4"}, "ticket.tags": row{"operator": "add", "value": "bot, spam"}})
	closed, open := w.openChat("bot", "x"), w.openChat("human", "x")
	for ticket, want := range map[int]float64{closed: 4, open: 1} {
		if got := w.ok("GET", fmt.Sprintf("/tickets/%d", ticket), w.bridgeToken, nil)["state_id"]; got != want {
			t.Errorf("ticket %d has state %v, want %v", ticket, got, want)
		}
	}
	tags := w.ok("GET", fmt.Sprintf("/tags?object=Ticket&o_id=%d", closed), w.bridgeToken, nil)["tags"]
	if fmt.Sprint(tags) != "[bot spam]" {
		t.Errorf("tags %v", tags)
	}
	w.expectTriggers("changes by a trigger")
}
