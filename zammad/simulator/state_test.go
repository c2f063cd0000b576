package simulator

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"
)

// arrived lists the articles of deliveries in the order of their arrival.
func arrived(t *testing.T, got []received) []int {
	t.Helper()
	var order []int
	for _, g := range got {
		var p struct{ Article struct{ ID int } }
		if err := json.Unmarshal(g.body, &p); err != nil {
			t.Fatal(err)
		}
		order = append(order, p.Article.ID)
	}
	return order
}

func TestFaultyWebhooks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault Fault
		want  []int // which of the three notes arrive, in their order
	}{
		"none":            {Fault{Kind: FaultDrop, Match: FaultMatch{Trigger: "another"}}, []int{1, 2, 3}},
		"another ticket":  {Fault{Kind: FaultDrop, Match: FaultMatch{Ticket: 1}}, []int{1, 2, 3}},
		"drop":            {Fault{Kind: FaultDrop, After: 1, Times: 1}, []int{1, 3}},
		"duplicate":       {Fault{Kind: FaultDuplicate, Match: FaultMatch{Trigger: "A *"}, Times: 1}, []int{1, 1, 2, 3}},
		"reorder":         {Fault{Kind: FaultReorder, Times: 1}, []int{2, 1, 3}},
		"reorder the end": {Fault{Kind: FaultReorder, After: 2}, []int{1, 2, 3}}, // nothing comes after it
		"delay":           {Fault{Kind: FaultDelay, DelayMS: 60_000, Match: FaultMatch{Trigger: "*"}, Times: 1}, []int{2, 3, 1}},
		"delay all":       {Fault{Kind: FaultDelay, DelayMS: 60_000, Match: FaultMatch{Trigger: "*"}}, []int{1, 2, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, Config{QueueLatency: time.Second})
			ticket := w.openChat("hooks", "x")
			w.delivered()
			w.fault(c.fault)
			ids := []int{0, w.note(ticket, "one", false), w.note(ticket, "two", false), w.note(ticket, "three", false)}
			var want []int
			for _, i := range c.want {
				want = append(want, ids[i])
			}
			got := w.delivered()
			if order := arrived(t, got); !slices.Equal(order, want) {
				t.Errorf("arrived: %v, want %v", order, want)
			}
			if name == "duplicate" && got[0].header.Get("X-Zammad-Delivery") != got[1].header.Get("X-Zammad-Delivery") {
				t.Error("a duplicate has another delivery id")
			}
		})
	}
}

func TestACorruptWebhookIsCaughtByItsSignature(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	ticket := w.openChat("hooks", "x")
	w.delivered()
	w.fault(Fault{Kind: FaultCorrupt, Match: FaultMatch{Ticket: ticket}, Times: 1})
	w.receiver.plan([]int{401})
	w.note(ticket, "one", false)
	got := w.delivered()
	if len(got) != 2 || got[0].signed || !got[1].signed || !bytes.HasPrefix(got[1].body, got[0].body) {
		t.Fatalf("%d attempts", len(got))
	}
	d := w.sim.State().Deliveries
	tries := d[len(d)-1].Attempts
	if len(tries) != 2 || tries[0].Status != 401 || tries[0].Error == "" || tries[1].Status != 200 || tries[1].Error != "" ||
		tries[1].At.Sub(tries[0].At) < pauseStep {
		t.Errorf("attempts: %+v", tries)
	}
}

func TestStateIsTheGroundTruth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config{})
	source, target := w.openChat("source", "eins & zwei"), w.openChat("target", "x")
	gone := w.note(source, "a slip", true)
	w.ok("DELETE", fmt.Sprint("/ticket_articles/", gone), w.agentToken, nil)
	w.receiver.plan([]int{500, 500, 500, 500, 500})
	answer := w.note(target, "an answer", false)
	w.delivered()
	w.fault(Fault{Kind: FaultDrop})
	number := w.ok("GET", fmt.Sprint("/tickets/", target), w.agentToken, nil)["number"]
	w.ok("PUT", fmt.Sprintf("/ticket_merge/%d/%v", source, number), w.agentToken, nil)
	w.delivered()

	status, raw := w.at("GET", "/simulator/state", w.adminToken, "")
	encoded, err := json.Marshal(raw)
	if err != nil || status != 200 {
		t.Fatal(status, err)
	}
	var s State
	if err := json.Unmarshal(encoded, &s); err != nil {
		t.Fatal(err)
	}
	wantTickets := []TicketState{{1, "37001", "Welcome to Zammad!", "new", "Users", "nicole.braun@zammad.org"},
		{source, "37002", "source", "merged", "App Chat", "app-1"}, {target, "37003", "target", "new", "App Chat", "app-1"}}
	if !slices.Equal(s.Tickets, wantTickets) {
		t.Errorf("tickets %+v, want %+v", s.Tickets, wantTickets)
	}
	first := s.Articles[1]
	sum := sha256.Sum256([]byte("eins &amp; zwei"))
	if first.Ticket != target || first.MessageID != "<1@x>" || first.Sender != "Customer" || first.Internal || first.Deleted ||
		first.Body != "eins &amp; zwei" || first.BodySHA256 != hex.EncodeToString(sum[:]) || first.CreatedAt.IsZero() {
		t.Errorf("the moved article: %+v", first)
	}
	if !slices.IsSortedFunc(s.Articles, func(a, b ArticleState) int { return a.ID - b.ID }) {
		t.Error("the articles are not in order")
	}
	for _, a := range s.Articles {
		if a.Deleted != (a.ID == gone) || a.Internal != (a.ID == gone) {
			t.Errorf("article %+v; deleted is %d", a, gone)
		}
	}
	var seen []string
	for _, d := range s.Deliveries {
		seen = append(seen, fmt.Sprintf("%s of %d/%d: %d %v", d.Trigger, d.Ticket, d.Article, len(d.Attempts), d.Finished))
		if last := d.Attempts[len(d.Attempts)-1]; last.Error == "" || last.At.IsZero() {
			t.Errorf("attempt %+v, want a failure", last)
		}
	}
	if want := fmt.Sprintf("A answers of %d/%d: 5 true", target, answer); !slices.Contains(seen, want) || len(seen) < 2 {
		t.Errorf("deliveries %q, want %q and those of the merge", seen, want)
	}
	if s.Pending != 0 {
		t.Errorf("%d pending", s.Pending)
	}
}

func TestWhatIsRolledBackIsNotDeleted(t *testing.T) {
	t.Parallel()
	sim := New(Config{})
	var x tx
	sim.dropArticle(&x, 1)
	if a := sim.State().Articles; len(a) != 1 || !a[0].Deleted {
		t.Errorf("after the deletion: %+v", a)
	}
	x.rollback()
	if a := sim.State().Articles; len(a) != 1 || a[0].Deleted {
		t.Errorf("after the rollback: %+v", a)
	}
}

// BenchmarkState reads the ground truth of 10,000 articles.
func BenchmarkState(b *testing.B) {
	sim := New(Config{})
	var x tx
	for i := range 10_000 {
		sim.articles.insert(&x, articleDefaults().with(row{"ticket_id": 1, "message_id": fmt.Sprint(i), "body": "a text as long as a usual message of a chat"}))
	}
	for b.Loop() {
		if n := len(sim.State().Articles); n != 10_001 {
			b.Fatal(n)
		}
	}
}
