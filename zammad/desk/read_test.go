package desk

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

func TestFind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alone := newUUID()
	opened, err := w.desk.Open(w.ctx, w.region, bridge.Opening{UUID: alone, Text: "first", Alias: alias, Language: "de"})
	w.must(err)
	find := func(uuid bridge.MessageUUID, calls string) bridge.Posted {
		t.Helper()
		var posted bridge.Posted
		w.wantCalls(calls, func() {
			var found bool
			posted, found, err = w.desk.Find(w.ctx, w.region, uuid)
			w.must(err)
			if !found {
				t.Fatalf("%s not found", uuid)
			}
		})
		return posted
	}
	if got := find(alone, "POST /tickets/search"); got.Article != opened.Article || got.Ticket.ID != opened.Ticket.ID ||
		got.Customer != opened.Customer || got.Ticket.State != bridge.TicketOpen {
		t.Errorf("alone in its ticket: %+v, want %+v", got, opened)
	}

	second := newUUID()
	posted, err := w.desk.Post(w.ctx, w.region, bridge.Post{
		UUID: second, Text: "second", Ticket: opened.Ticket.ID, Customer: opened.Customer, Known: opened.Ticket.Articles,
	})
	w.must(err)
	const both = "POST /tickets/search, GET /ticket_articles/by_ticket/{id}"
	if got := find(second, both); got.Article != posted.Article || got.Customer != opened.Customer {
		t.Errorf("one of two: %+v, want %+v", got, posted)
	}

	// Merged into somebody else's ticket: the article is there, its author is not its customer.
	target, err := w.desk.Open(w.ctx, w.region, bridge.Opening{UUID: newUUID(), Text: "other", Alias: "ffffffffffffffff", Language: "de"})
	w.must(err)
	w.merge(opened.Ticket.ID, target.Ticket.ID)
	if got := find(second, both); got.Article != posted.Article || got.Ticket.ID != target.Ticket.ID || got.Customer != opened.Customer {
		t.Errorf("after a merge: %+v", got)
	}

	if _, found, err := w.desk.Find(w.ctx, w.region, newUUID()); found || err != nil {
		t.Errorf("a message that was never sent: %v, %v", found, err)
	}
}

func TestFindTakesTheOldestOfTwo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	twice := bridge.Opening{UUID: newUUID(), Text: "twice", Alias: alias, Language: "de"}
	first, err := w.desk.Open(w.ctx, w.region, twice)
	w.must(err)
	_, err = w.desk.Open(w.ctx, w.region, twice)
	w.must(err)
	got, found, err := w.desk.Find(w.ctx, w.region, twice.UUID)
	w.must(err)
	if !found || got.Ticket.ID != first.Ticket.ID || got.Article != first.Article {
		t.Errorf("found %+v, want %+v", got, first)
	}
}

func TestTicket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	opened := w.open("first")
	var ticket bridge.Ticket
	w.wantCalls("GET /tickets/{id}", func() {
		var err error
		ticket, err = w.desk.Ticket(w.ctx, w.region, opened.Ticket.ID)
		w.must(err)
	})
	if ticket.ID != opened.Ticket.ID || ticket.State != bridge.TicketOpen || !slices.Equal(ticket.Articles, opened.Ticket.Articles) ||
		!ticket.ChangedAt.Equal(opened.Ticket.ChangedAt) {
		t.Errorf("%+v, want %+v", ticket, opened.Ticket)
	}
	if got, want := w.desk.TicketURL(w.region, 7), w.url+"/#ticket/zoom/7"; got != want {
		t.Errorf("address %q, want %q", got, want)
	}
	for state, want := range map[string]bridge.TicketState{
		"closed": bridge.TicketClosed, "open": bridge.TicketOpen, "pending reminder": bridge.TicketOpen, "pending close": bridge.TicketOpen,
	} {
		_, err := w.agent.Tickets.Update(w.ctx, zammad.TicketID(ticket.ID), zammad.TicketUpdate{State: state, PendingTime: time.Now().Add(time.Hour)})
		w.must(err)
		got, err := w.desk.Ticket(w.ctx, w.region, ticket.ID)
		w.must(err)
		if got.State != want {
			t.Errorf("%s is %q, want %q", state, got.State, want)
		}
	}
}

func TestMergedTicketsAreFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	successor := func(id bridge.TicketID) bridge.TicketID {
		t.Helper()
		ticket, err := w.desk.Ticket(w.ctx, w.region, id)
		w.must(err)
		if ticket.State != bridge.TicketMerged {
			t.Fatalf("ticket %d is %q", id, ticket.State)
		}
		return ticket.Successor
	}
	a, b, c := w.open("a").Ticket.ID, w.open("b").Ticket.ID, w.open("c").Ticket.ID
	w.merge(a, b)
	if got := successor(a); got != b {
		t.Errorf("successor %d, want %d", got, b)
	}
	w.merge(b, c)
	if got := successor(a); got != c {
		t.Errorf("successor %d over a chain, want %d", got, c)
	}
	// Out of sight it is still the right one.
	_, err := w.agent.Tickets.Update(w.ctx, zammad.TicketID(c), zammad.TicketUpdate{Group: otherGroup})
	w.must(err)
	if got := successor(a); got != c {
		t.Errorf("successor %d out of sight, want %d", got, c)
	}
	w.must(w.admin.Tickets.Delete(w.ctx, zammad.TicketID(c)))
	if got := successor(a); got != 0 {
		t.Errorf("successor %d after its deletion", got)
	}
}

func TestMergeInACircle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.open("a").Ticket.ID, w.open("b").Ticket.ID
	w.merge(a, b)
	w.answering(fmt.Sprintf("GET /tickets/%d", b), jsonAnswer(200, fmt.Sprintf(`{"id":%d,"state_id":5}`, b)))
	ticket, err := w.desk.Ticket(w.ctx, w.region, a)
	w.must(err)
	if ticket.Successor != 0 {
		t.Errorf("successor %d of a dead end", ticket.Successor)
	}
	// Each the other's parent.
	w.answering("GET /links", func(out http.ResponseWriter, in *http.Request) {
		other := map[string]bridge.TicketID{fmt.Sprint(a): b, fmt.Sprint(b): a}[in.URL.Query().Get("link_object_value")]
		jsonAnswer(200, fmt.Sprintf(`{"links":[{"link_type":"parent","link_object":"Ticket","link_object_value":%d}]}`, other))(out, in)
	})
	w.setState(b, "closed")
	if ticket, err = w.desk.Ticket(w.ctx, w.region, a); err != nil || ticket.Successor != b {
		t.Errorf("successor %d, %v; want the one that is not merged, %d", ticket.Successor, err, b)
	}
}

func TestMergeSearchIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := func(out http.ResponseWriter, in *http.Request) bool {
		id := 0
		switch {
		case strings.HasPrefix(in.URL.Path, "/api/v1/links"):
			_, _ = fmt.Sscan(in.URL.Query().Get("link_object_value"), &id)
			jsonAnswer(200, fmt.Sprintf(`{"links":[{"link_type":"parent","link_object":"Ticket","link_object_value":%d}]}`, id+1))(out, in)
		case strings.HasPrefix(in.URL.Path, "/api/v1/tickets/"):
			_, _ = fmt.Sscanf(in.URL.Path, "/api/v1/tickets/%d", &id)
			jsonAnswer(200, fmt.Sprintf(`{"id":%d,"state_id":5}`, id))(out, in)
		default:
			return false
		}
		return true
	}
	w.answer.Store(&f)
	calls := w.counted(func() {
		ticket, err := w.desk.Ticket(w.ctx, w.region, 1)
		w.must(err)
		if ticket.Successor != 0 {
			t.Errorf("successor %d of an endless chain", ticket.Successor)
		}
	})
	if n := strings.Count(calls, ","); n > 4*maxMerges {
		t.Errorf("%d calls", n)
	}
}

func TestArticles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	opened := w.open("first")
	id := opened.Ticket.ID
	yes := true
	answer := w.note(id, "<div>Good <b>morning</b></div>")
	_, err := w.agent.Articles.Create(w.ctx, zammad.NewArticle{TicketID: zammad.TicketID(id), Body: "secret remark", Internal: &yes})
	w.must(err)
	_, err = w.agent.Articles.Create(w.ctx, zammad.NewArticle{
		TicketID: zammad.TicketID(id), Type: "note", Sender: "Agent", Subject: "automatically generated message", Body: "by a bot",
	})
	w.must(err)
	_, err = w.agent.Articles.Create(w.ctx, zammad.NewArticle{TicketID: zammad.TicketID(id), Type: "note", Sender: "Agent", Body: "merged"})
	w.must(err)
	var all []bridge.Article
	// Two calls more, because of the plain "merged".
	w.wantCalls("GET /ticket_articles/by_ticket/{id}, GET /links, GET /tickets/{id}", func() {
		all, err = w.desk.Articles(w.ctx, w.region, id)
		w.must(err)
	})
	if len(all) != 5 {
		t.Fatalf("%d articles", len(all))
	}
	if a := all[0]; !a.FromUser || !a.Public || a.Automatic || a.ID != opened.Article || a.Text != "first" || a.Name != "" {
		t.Errorf("the user's %+v", a)
	}
	if a := all[1]; a.FromUser || !a.Public || a.Automatic || a.Name != "Cora Counselor" || a.Text != "Good morning" ||
		a.HTML != "<div>Good <b>morning</b>\n</div>" || !a.CreatedAt.Equal(answer.CreatedAt) || a.Ticket != id || a.Header != "" {
		t.Errorf("the agent's %+v", a)
	}
	if a := all[2]; a.Public || a.Text != "" || a.HTML != "" || a.Name != "" {
		t.Errorf("the internal %+v", a)
	}
	if a := all[3]; !a.Public || !a.Automatic || a.FromUser || a.Name != "" || a.Text != "by a bot" {
		t.Errorf("the bot's %+v", a)
	}
	if a := all[4]; !a.Public || a.Text != "merged" {
		t.Errorf("an agent's word %+v", a)
	}
	w.wantCalls("GET /ticket_articles/{id}", func() {
		one, err := w.desk.Article(w.ctx, w.region, bridge.ArticleID(answer.ID))
		w.must(err)
		if !reflect.DeepEqual(one, all[1]) {
			t.Errorf("alone it is %+v, among others %+v", one, all[1])
		}
	})
	// Made internal, and public again.
	_, err = w.agent.Articles.SetInternal(w.ctx, answer.ID, true)
	w.must(err)
	one, err := w.desk.Article(w.ctx, w.region, bridge.ArticleID(answer.ID))
	w.must(err)
	if one.Public || one.Text+one.HTML != "" {
		t.Errorf("taken back, it is %+v", one)
	}
}

func TestTheNoteAboutAMergeIsNotShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b, c := w.open("a").Ticket.ID, w.open("b").Ticket.ID, w.open("c").Ticket.ID
	w.merge(a, b)
	note := func(id bridge.TicketID) bridge.Article {
		t.Helper()
		all, err := w.desk.Articles(w.ctx, w.region, id)
		w.must(err)
		last := all[len(all)-1]
		one, err := w.desk.Article(w.ctx, w.region, last.ID)
		w.must(err)
		if one.Public != last.Public {
			t.Errorf("alone it is %+v, among others %+v", one, last)
		}
		return last
	}
	if n := note(a); n.Public {
		t.Errorf("shown: %+v", n)
	}
	// What people write is shown, in the merged ticket too.
	w.note(a, "merged")
	if n := note(a); !n.Public || n.Text != "merged" {
		t.Errorf("not shown: %+v", n)
	}
	w.setState(a, "open")
	if n := shown(w.all(a)); n != 1 {
		t.Errorf("opened again, the word merged is shown %d times, want once: the agent's", n)
	}
	w.merge(a, c)
	if n := shown(w.all(c)); n != 1 {
		t.Errorf("moved on, the word merged is shown %d times, want once: the agent's", n)
	}
	// A deleted ticket takes its links along, and the merged one still says so.
	d, e := w.open("d").Ticket.ID, w.open("e").Ticket.ID
	w.merge(d, e)
	w.must(w.admin.Tickets.Delete(w.ctx, zammad.TicketID(e)))
	if n := note(d); n.Public {
		t.Errorf("shown after its successor was deleted: %+v", n)
	}
}

// shown counts how often a device would read Zammad's word for a merge.
func shown(articles []bridge.Article) int {
	n := 0
	for _, a := range articles {
		if a.Public && a.Text == "merged" {
			n++
		}
	}
	return n
}

func (w *world) all(id bridge.TicketID) []bridge.Article {
	w.t.Helper()
	all, err := w.desk.Articles(w.ctx, w.region, id)
	w.must(err)
	return all
}

func TestChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.open("a"), w.open("b")
	since := b.Ticket.ChangedAt
	var changed []bridge.Ticket
	w.wantCalls("GET /ticket_states, POST /tickets/search", func() {
		var err error
		changed, err = w.desk.Changed(w.ctx, w.region, since)
		w.must(err)
	})
	if len(changed) != 1 || changed[0].ID != b.Ticket.ID || !slices.Equal(changed[0].Articles, b.Ticket.Articles) {
		t.Errorf("since the last: %+v", changed)
	}
	w.setState(a.Ticket.ID, "closed")
	changed, err := w.desk.Changed(w.ctx, w.region, since)
	w.must(err)
	if len(changed) != 2 || changed[0].ID != b.Ticket.ID || changed[1].ID != a.Ticket.ID || changed[1].State != bridge.TicketClosed {
		t.Errorf("after a change: %+v", changed)
	}
	if changed, err = w.desk.Changed(w.ctx, w.region, time.Now().Add(time.Hour)); err != nil || len(changed) != 0 {
		t.Errorf("since the future: %+v, %v", changed, err)
	}
}

// searchable answers searches for changed tickets like a Zammad that has many,
// several of them in each second and more than a page in one. While it is read,
// a ticket of the first page changes. The simulator's clock cannot be bent so.
type searchable struct {
	t       *testing.T
	tickets []changedTicket
	pages   int
}

type changedTicket struct {
	id int
	at time.Time
}

var searchBase = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newSearchable(t *testing.T) *searchable {
	s := &searchable{t: t}
	for i := range 1100 {
		at := searchBase.Add(time.Duration(i) * 100 * time.Millisecond)
		if i >= 300 && i < 800 {
			at = searchBase.Add(30 * time.Second)
		}
		s.tickets = append(s.tickets, changedTicket{i + 1, at})
	}
	return s
}

func (s *searchable) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	ask := decode[struct {
		Condition map[string]struct{ Operator, Value string }
		SortBy    string `json:"sort_by"`
		OrderBy   string `json:"order_by"`
		PerPage   int    `json:"per_page"`
		Page      int
		Expand    bool
	}](s.t, in.Body)
	condition := ask.Condition["ticket.updated_at"]
	from, err := time.Parse(time.RFC3339, condition.Value)
	if err != nil || ask.SortBy != "updated_at" || ask.OrderBy != "asc" || !ask.Expand || condition.Operator != "after (absolute)" {
		s.t.Errorf("asked %+v", ask)
	}
	if s.pages++; s.pages == 2 {
		s.tickets = append(s.tickets[1:], changedTicket{1, searchBase.Add(time.Hour)})
	}
	hits := slices.DeleteFunc(slices.Clone(s.tickets), func(c changedTicket) bool { return !c.at.After(from) })
	first := min((ask.Page-1)*ask.PerPage, len(hits))
	var rows []string
	for _, c := range hits[first:min(first+ask.PerPage, len(hits))] {
		rows = append(rows, fmt.Sprintf(`{"id":%d,"state_id":2,"article_ids":[%d],"updated_at":%q}`, c.id, c.id, c.at.Format(time.RFC3339Nano)))
	}
	jsonAnswer(200, "["+strings.Join(rows, ",")+"]")(out, in)
}

func TestChangedOverManyPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	many := newSearchable(t)
	w.answering("POST /tickets/search", many.ServeHTTP)
	changed, err := w.desk.Changed(w.ctx, w.region, searchBase)
	w.must(err)
	seen := make(map[bridge.TicketID]bool)
	for i, ticket := range changed {
		if seen[ticket.ID] {
			t.Errorf("ticket %d twice", ticket.ID)
		}
		seen[ticket.ID] = true
		if i > 0 && ticket.ChangedAt.Before(changed[i-1].ChangedAt) {
			t.Errorf("ticket %d is not in order", ticket.ID)
		}
	}
	if len(seen) != len(many.tickets) || !changed[len(changed)-1].ChangedAt.Equal(searchBase.Add(time.Hour)) {
		t.Errorf("%d of %d tickets, the last %+v", len(seen), len(many.tickets), changed[len(changed)-1])
	}
	if many.pages > 12 {
		t.Errorf("%d searches", many.pages)
	}
}

func TestReopens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	opened := w.open("first")
	w.setState(opened.Ticket.ID, "closed")
	for i, c := range []struct {
		rule  string
		days  int
		after time.Duration
		want  bool
	}{
		{zammad.FollowUpYes, 0, 0, true},
		{zammad.FollowUpNewTicket, 0, 0, false},
		{zammad.FollowUpForAWhile, 3, 71 * time.Hour, true},
		{zammad.FollowUpForAWhile, 3, 73 * time.Hour, false},
	} {
		_, err := w.admin.Groups.Update(w.ctx, w.group, zammad.Changes{"follow_up_possible": c.rule, "reopen_time_in_days": c.days})
		w.must(err)
		w.later.Store(int64(c.after))
		want := "GET /tickets/{id}"
		if i == 0 {
			want += ", GET /ticket_states" // of which type "closed" is, once
		}
		w.wantCalls(want, func() {
			ticket, got, err := w.desk.Reopens(w.ctx, w.region, opened.Ticket.ID)
			w.must(err)
			if got != c.want || ticket.State != bridge.TicketClosed {
				t.Errorf("%s, %d days, after %v: %v, state %q", c.rule, c.days, c.after, got, ticket.State)
			}
		})
	}
}

func TestStatesAreReadSeldom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	opened := w.open("first")
	const list = "GET /ticket_states"
	read := func() { _, err := w.desk.Ticket(w.ctx, w.region, opened.Ticket.ID); w.must(err) }
	search := func() { _, err := w.desk.Changed(w.ctx, w.region, time.Now()); w.must(err) }
	w.wantCalls("GET /tickets/{id}", read)
	w.wantCalls(list+", POST /tickets/search", search)
	w.wantCalls("POST /tickets/search", search)
	// Once in a while the search reads the list anew; nobody else waits for it.
	w.later.Store(int64(statesFor))
	w.wantCalls("GET /tickets/{id}", read)
	w.wantCalls(list+", POST /tickets/search", search)
	// A state that is not known makes the list be read again, but not each time.
	types, err := w.admin.States.List(w.ctx)
	w.must(err)
	closed := types[slices.IndexFunc(types, func(s zammad.State) bool { return s.Type == zammad.StateClosed })]
	_, err = w.admin.States.Create(w.ctx, zammad.State{Name: "solved", TypeID: closed.TypeID, Active: true})
	w.must(err)
	w.setState(opened.Ticket.ID, "solved")
	w.later.Add(int64(statesAgain))
	w.wantCalls("GET /tickets/{id}, "+list, func() {
		ticket, err := w.desk.Ticket(w.ctx, w.region, opened.Ticket.ID)
		w.must(err)
		if ticket.State != bridge.TicketClosed {
			t.Errorf("state %q", ticket.State)
		}
	})
	w.answering("GET /tickets/", jsonAnswer(200, `{"id":2,"state_id":99}`))
	w.wantCalls("GET /tickets/{id}", read)
	w.later.Add(int64(statesAgain))
	w.wantCalls("GET /tickets/{id}, "+list, read)
	w.wantCalls("GET /tickets/{id}", read)
}
