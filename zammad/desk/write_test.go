package desk

import (
	"slices"
	"testing"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uuid := newUUID()
	var posted bridge.Posted
	w.wantCalls("POST /tickets", func() { // also as the first call of a process
		var err error
		posted, err = w.desk.Open(w.ctx, w.region, bridge.Opening{
			UUID: uuid, Text: "Hello <b>you</b> &\n  second line", Alias: alias, Language: "de",
		})
		w.must(err)
	})
	ticket, err := w.agent.Tickets.Get(w.ctx, zammad.TicketID(posted.Ticket.ID))
	w.must(err)
	if ticket.Title != "[DE] Testland: 0a1b2c" || ticket.Group != chatGroup || ticket.Customer != "app-"+alias {
		t.Errorf("ticket %q in %q of %q", ticket.Title, ticket.Group, ticket.Customer)
	}
	if posted.Ticket.State != bridge.TicketOpen || posted.Customer != bridge.CustomerID(ticket.CustomerID) ||
		!posted.Ticket.ChangedAt.Equal(ticket.UpdatedAt) {
		t.Errorf("posted %+v", posted)
	}
	tags, err := w.agent.Tags.List(w.ctx, ticket.ID)
	w.must(err)
	if !slices.Equal(tags, []string{"lang-de"}) {
		t.Errorf("tags %q", tags)
	}
	customer, err := w.agent.Users.Get(w.ctx, ticket.CustomerID)
	w.must(err)
	if customer.Firstname != "App" || customer.Lastname != "User 0a1b2c" || customer.Email != "" {
		t.Errorf("customer %+v", customer)
	}
	a, err := w.agent.Articles.Get(w.ctx, zammad.ArticleID(posted.Article))
	w.must(err)
	if a.Type != "chat" || a.Sender != "Customer" || a.From != "App User 0a1b2c" || a.OriginBy != customerLogin() ||
		a.MessageID != uuid.Header() || a.ContentType != "text/html" || a.Internal {
		t.Errorf("article %+v", a)
	}
	if want := "Hello &lt;b&gt;you&lt;/b&gt; &amp;<br>  second line"; a.Body != want {
		t.Errorf("body %q, want %q", a.Body, want)
	}
}

func customerLogin() zammad.Name { return "app-" + alias }

func TestOpenAgainFindsTheCustomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := w.open("one"), w.open("two")
	if first.Ticket.ID == second.Ticket.ID || first.Customer != second.Customer {
		t.Errorf("tickets %d and %d, customers %d and %d", first.Ticket.ID, second.Ticket.ID, first.Customer, second.Customer)
	}
}

func TestOpenBySettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addConsent()
	yes := true
	for _, c := range []struct {
		name     string
		settings bridge.RegionSettings
		check    func(t *testing.T, ticket zammad.Ticket, a zammad.Article, tags []string)
	}{
		{"as the app's first server did", bridge.RegionSettings{
			TitlePattern: bridge.CompatTitlePattern, TagPattern: "-", CustomerLogin: "app-users", CustomerName: "App Users", ArticleType: "web",
		}, func(t *testing.T, ticket zammad.Ticket, a zammad.Article, tags []string) {
			if ticket.Title != "[Integreat Chat] [DE-SI] 0a1b2c" || ticket.Customer != "app-users" || len(tags) != 0 {
				t.Errorf("%q of %q with %q", ticket.Title, ticket.Customer, tags)
			}
			if a.Type != "web" || a.Sender != "Customer" || a.OriginBy != "app-users" {
				t.Errorf("article %+v", a)
			}
		}},
		{"as a note", bridge.RegionSettings{ArticleType: "note", CustomerName: "{LANG} {alias}"}, func(t *testing.T, _ zammad.Ticket, a zammad.Article, _ []string) {
			if a.Type != "note" || a.Sender != "Customer" || a.OriginBy != customerLogin() {
				t.Errorf("article %+v", a)
			}
		}},
		{"login in capitals", bridge.RegionSettings{CustomerLogin: "App-{alias}-X"}, func(t *testing.T, ticket zammad.Ticket, a zammad.Article, _ []string) {
			if ticket.Customer != "app-"+alias+"-x" || a.OriginBy != ticket.Customer || a.Sender != "Customer" {
				t.Errorf("customer %q, article %+v", ticket.Customer, a)
			}
		}},
		{"tag with region", bridge.RegionSettings{TagPattern: "{region}, {lang}"}, func(t *testing.T, _ zammad.Ticket, _ zammad.Article, tags []string) {
			if !slices.Equal(tags, []string{"Testland  de-si"}) {
				t.Errorf("tags %q", tags)
			}
		}},
		{"consent", bridge.RegionSettings{ConsentAttribute: "evaluation_consent"}, func(t *testing.T, ticket zammad.Ticket, _ zammad.Article, _ []string) {
			if ticket.Attributes["evaluation_consent"] != true {
				t.Errorf("attributes %v", ticket.Attributes)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.settings.ZammadURL, c.settings.ZammadGroup = w.region.Settings.ZammadURL, w.region.Settings.ZammadGroup
			region := *w.region
			region.Settings = c.settings
			posted, err := w.desk.Open(w.ctx, &region, bridge.Opening{UUID: newUUID(), Text: "x", Alias: alias, Language: "de-si", Consent: &yes})
			w.must(err)
			ticket, err := w.agent.Tickets.Get(w.ctx, zammad.TicketID(posted.Ticket.ID))
			w.must(err)
			a, err := w.agent.Articles.Get(w.ctx, zammad.ArticleID(posted.Article))
			w.must(err)
			tags, err := w.agent.Tags.List(w.ctx, ticket.ID)
			w.must(err)
			c.check(t, ticket, a, tags)
		})
	}
}

func (w *world) addConsent() {
	w.t.Helper()
	_, err := w.admin.Attributes.Create(w.ctx, zammad.Attribute{
		Object: "Ticket", Name: "evaluation_consent", Display: "Consent", DataType: "boolean", Active: true, Position: 1550,
		DataOption: map[string]any{"default": false, "null": true, "options": map[string]string{"true": "yes", "false": "no"}},
		Screens:    map[string]any{},
	})
	w.must(err)
	w.must(w.admin.ExecuteMigrations(w.ctx))
}

func TestOpenKnowsItsArticleFromATriggersGreeting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.admin.Triggers.Create(w.ctx, zammad.Trigger{
		Name: "Greeting", Activator: "action", ExecutionConditionMode: "selective", Active: true, DisableNotification: true,
		Condition: zammad.Conditions{"ticket.action": zammad.Condition{Operator: "is", Value: "create"}},
		Perform:   map[string]any{"article.note": map[string]any{"subject": "Welcome", "body": "We answer within <b>a day</b>.", "internal": "false"}},
	})
	w.must(err)
	uuid := newUUID()
	posted, err := w.desk.Open(w.ctx, w.region, bridge.Opening{UUID: uuid, Text: "greeted", Alias: alias, Language: "en"})
	w.must(err)
	articles, err := w.desk.Articles(w.ctx, w.region, posted.Ticket.ID)
	w.must(err)
	if len(articles) != 2 || articles[0].ID != posted.Article || articles[0].Header != uuid.Header() || !articles[0].FromUser {
		t.Fatalf("posted %+v, articles %+v", posted, articles)
	}
	if g := articles[1]; !g.Public || !g.Automatic || g.FromUser || g.Name != "" || g.Text != "We answer within a day." {
		t.Errorf("greeting %+v", g)
	}
}

func TestOpenTakesTheFirstArticle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.answering("POST /tickets", jsonAnswer(201, `{"id":70,"state_id":1,"customer_id":9,"article_ids":[208,207,209]}`))
	if posted := w.open("with notes by triggers"); posted.Article != 207 || len(posted.Ticket.Articles) != 3 {
		t.Errorf("%+v", posted)
	}
	w.answering("POST /tickets", jsonAnswer(201, `{"id":70,"state_id":1,"customer_id":9}`))
	if posted := w.open("with nothing said about articles"); posted.Article != 0 || posted.Ticket.ID != 70 {
		t.Errorf("%+v", posted)
	}
}

func TestPost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	opened := w.open("first")
	post := bridge.Post{UUID: newUUID(), Text: "second", Ticket: opened.Ticket.ID, Customer: opened.Customer, Known: opened.Ticket.Articles}
	var posted bridge.Posted
	w.wantCalls("PUT /tickets/{id}", func() {
		var err error
		posted, err = w.desk.Post(w.ctx, w.region, post)
		w.must(err)
	})
	if posted.Article == 0 || posted.Customer != opened.Customer || posted.Ticket.State != bridge.TicketOpen || len(posted.Ticket.Articles) != 2 {
		t.Fatalf("posted %+v", posted)
	}
	a, err := w.agent.Articles.Get(w.ctx, zammad.ArticleID(posted.Article))
	w.must(err)
	if a.Body != "second" || a.Sender != "Customer" || a.Type != "chat" || a.From != "App User 0a1b2c" || a.MessageID != post.UUID.Header() {
		t.Errorf("article %+v", a)
	}
	// With another unknown article nobody can tell which one it is.
	w.note(opened.Ticket.ID, "in between")
	post.UUID = newUUID()
	posted, err = w.desk.Post(w.ctx, w.region, post)
	w.must(err)
	if posted.Article != 0 || len(posted.Ticket.Articles) != 4 {
		t.Errorf("posted %+v", posted)
	}
}

func TestPostWithoutCustomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	opened := w.open("first")
	posted, err := w.desk.Post(w.ctx, w.region, bridge.Post{UUID: newUUID(), Text: "x", Ticket: opened.Ticket.ID, Known: opened.Ticket.Articles})
	w.must(err)
	article, err := w.desk.Article(w.ctx, w.region, posted.Article)
	w.must(err)
	if !article.FromUser || posted.Customer != opened.Customer {
		t.Errorf("article %+v of customer %d", article, posted.Customer)
	}
}

func TestPostMeetsAClosedTicket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	opened := w.open("first")
	w.setState(opened.Ticket.ID, "closed")
	posted, err := w.desk.Post(w.ctx, w.region, bridge.Post{UUID: newUUID(), Text: "closed?", Ticket: opened.Ticket.ID, Customer: opened.Customer})
	w.must(err)
	if posted.Ticket.State != bridge.TicketClosed {
		t.Errorf("state %q", posted.Ticket.State)
	}
	var reopened bridge.Ticket
	w.wantCalls("PUT /tickets/{id}", func() {
		reopened, err = w.desk.Reopen(w.ctx, w.region, opened.Ticket.ID)
		w.must(err)
	})
	ticket, err := w.desk.Ticket(w.ctx, w.region, opened.Ticket.ID)
	w.must(err)
	if ticket.State != bridge.TicketOpen || reopened.State != bridge.TicketOpen {
		t.Errorf("state %q after reopening, which gave %q", ticket.State, reopened.State)
	}
	if !reopened.ChangedAt.Equal(ticket.ChangedAt) || !reopened.ChangedAt.After(posted.Ticket.ChangedAt) {
		t.Errorf("reopened at %v, the ticket is of %v, the message of %v", reopened.ChangedAt, ticket.ChangedAt, posted.Ticket.ChangedAt)
	}
}

func TestCloseClosesATicket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	opened := w.open("first")
	var closed bridge.Ticket
	w.wantCalls("GET /ticket_states, PUT /tickets/{id}", func() { // the list says which state to set
		var err error
		closed, err = w.desk.Close(w.ctx, w.region, opened.Ticket.ID)
		w.must(err)
	})
	w.wantCalls("PUT /tickets/{id}", func() { // closing a closed one is no error
		_, err := w.desk.Close(w.ctx, w.region, opened.Ticket.ID)
		w.must(err)
	})
	ticket, err := w.desk.Ticket(w.ctx, w.region, opened.Ticket.ID)
	w.must(err)
	if ticket.State != bridge.TicketClosed || closed.State != bridge.TicketClosed || closed.ID != opened.Ticket.ID || closed.ChangedAt.IsZero() {
		t.Errorf("state %q after closing, which gave %+v", ticket.State, closed)
	}
	if _, err := w.desk.Close(w.ctx, w.region, 999_999); bridge.KindOf(err) != bridge.DeskGone {
		t.Errorf("a ticket that never was: %v", err)
	}
}

func TestPostLearnsAStateAfterTheAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	opened := w.open("first")
	post := func(text string, want bridge.TicketState) func() {
		return func() {
			t.Helper()
			posted, err := w.desk.Post(w.ctx, w.region, bridge.Post{UUID: newUUID(), Text: text, Ticket: opened.Ticket.ID, Customer: opened.Customer})
			w.must(err)
			if posted.Ticket.State != want {
				t.Errorf("%s: state %q, want %q", text, posted.Ticket.State, want)
			}
		}
	}
	w.wantCalls("PUT /tickets/{id}", post("in the state of a new ticket", bridge.TicketOpen))
	w.setState(opened.Ticket.ID, "closed")
	w.wantCalls("PUT /tickets/{id}, GET /ticket_states", post("in a state that was not met yet", bridge.TicketClosed))
	w.wantCalls("PUT /tickets/{id}", post("in a known state", bridge.TicketClosed))
}

func TestPostReopensWhateverTheStatesAreCalled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	states, err := w.admin.States.List(w.ctx)
	w.must(err)
	for _, state := range states {
		_, err := w.admin.States.Update(w.ctx, state.ID, zammad.Changes{"name": "Zustand " + state.Name})
		w.must(err)
	}
	opened := w.open("first")
	w.setState(opened.Ticket.ID, "Zustand closed")
	var posted bridge.Posted
	w.wantCalls("GET /ticket_states, PUT /tickets/{id}", func() { // the list says which state to set
		posted, err = w.desk.Post(w.ctx, w.region, bridge.Post{
			UUID: newUUID(), Text: "again", Ticket: opened.Ticket.ID, Customer: opened.Customer, Reopen: true, Known: opened.Ticket.Articles,
		})
		w.must(err)
	})
	if posted.Ticket.State != bridge.TicketOpen || posted.Article == 0 {
		t.Errorf("posted %+v", posted)
	}
	ticket, err := w.agent.Tickets.Get(w.ctx, zammad.TicketID(opened.Ticket.ID))
	w.must(err)
	if ticket.State != "Zustand open" {
		t.Errorf("state %q", ticket.State)
	}
}

func TestRelabel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addConsent()
	w.region.Settings.ConsentAttribute = "evaluation_consent"
	opened := w.open("first")
	no := false
	label := bridge.Label{Ticket: opened.Ticket.ID, Alias: alias, Language: "ar", Previous: "de", Consent: &no}
	w.wantCalls("PUT /tickets/{id}, DELETE /tags/remove, POST /tags/add", func() { w.must(w.desk.Relabel(w.ctx, w.region, label)) })
	w.must(w.desk.Relabel(w.ctx, w.region, label)) // repeated without harm
	ticket, err := w.agent.Tickets.Get(w.ctx, zammad.TicketID(opened.Ticket.ID))
	w.must(err)
	tags, err := w.agent.Tags.List(w.ctx, ticket.ID)
	w.must(err)
	if ticket.Title != "[AR] Testland: 0a1b2c" || ticket.Attributes["evaluation_consent"] != false || !slices.Equal(tags, []string{"lang-ar"}) {
		t.Errorf("title %q, attributes %v, tags %q", ticket.Title, ticket.Attributes, tags)
	}
	label.Previous = ""
	w.wantCalls("PUT /tickets/{id}", func() { w.must(w.desk.Relabel(w.ctx, w.region, label)) })
	w.region.Settings.TagPattern = "-"
	label.Previous = "de"
	w.wantCalls("PUT /tickets/{id}", func() { w.must(w.desk.Relabel(w.ctx, w.region, label)) })
}

func TestRelabelWithARefusedTag(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	opened := w.open("first")
	label := bridge.Label{Ticket: opened.Ticket.ID, Alias: alias, Language: "ar", Previous: "de"}
	w.answering("POST /tags/add", jsonAnswer(403, `{"error":"You are not authorized to create new tags."}`))
	w.must(w.desk.Relabel(w.ctx, w.region, label))
	w.answering("POST /tags/add", jsonAnswer(503, ""))
	if err := w.desk.Relabel(w.ctx, w.region, label); bridge.KindOf(err) != bridge.DeskAmbiguous {
		t.Errorf("a tag that nobody answered: %v", err)
	}
}

func TestHostileTextsThroughZammad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	opened := w.open("first")
	for _, h := range hostileTexts(t) {
		t.Run(h.Name, func(t *testing.T) {
			text := h.accepted(t)
			posted, err := w.desk.Post(w.ctx, w.region, bridge.Post{
				UUID: newUUID(), Text: text, Ticket: opened.Ticket.ID, Customer: opened.Customer, Known: opened.Ticket.Articles,
			})
			w.must(err)
			opened.Ticket.Articles = posted.Ticket.Articles
			article, err := w.desk.Article(w.ctx, w.region, posted.Article)
			w.must(err)
			if article.Text != text {
				t.Errorf("came back as %q\nwant %q", article.Text, text)
			}
			inert(t, article.HTML)
			// The same from an agent, as text and as markup.
			note := w.note(opened.Ticket.ID, typed(text))
			article, err = w.desk.Article(w.ctx, w.region, bridge.ArticleID(note.ID))
			w.must(err)
			if article.Text != text {
				t.Errorf("the agent's came as %q\nwant %q", article.Text, text)
			}
			inert(t, article.HTML)
			opened.Ticket.Articles = append(opened.Ticket.Articles, article.ID)
			raw := w.note(opened.Ticket.ID, "x"+text)
			article, err = w.desk.Article(w.ctx, w.region, bridge.ArticleID(raw.ID))
			w.must(err)
			inert(t, article.HTML)
			opened.Ticket.Articles = append(opened.Ticket.Articles, article.ID)
		})
	}
	whole, err := w.desk.Articles(w.ctx, w.region, opened.Ticket.ID)
	w.must(err)
	if len(whole) != len(opened.Ticket.Articles) {
		t.Errorf("%d of %d articles", len(whole), len(opened.Ticket.Articles))
	}
}

func TestNoteIsInternalAndCanBeFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	posted, uuid := w.open("one"), newUUID()
	w.wantCalls("POST /ticket_articles", func() {
		w.must(w.desk.Note(w.ctx, w.region, bridge.Note{UUID: uuid, Ticket: posted.Ticket.ID, Text: "a <b> & c\nd"}))
	})
	articles, err := w.agent.Articles.OfTicket(w.ctx, zammad.TicketID(posted.Ticket.ID))
	w.must(err)
	a := articles[len(articles)-1]
	if !a.Internal || a.Type != "note" || a.Sender != "Agent" || a.MessageID != uuid.Header() || a.Body != "a &lt;b&gt; &amp; c<br>d" {
		t.Errorf("article %+v", a)
	}
	found, ok, err := w.desk.Find(w.ctx, w.region, uuid)
	w.must(err)
	if !ok || found.Ticket.ID != posted.Ticket.ID {
		t.Errorf("found %v %+v", ok, found)
	}
	w.must(w.admin.Tickets.Delete(w.ctx, zammad.TicketID(posted.Ticket.ID)))
	if err := w.desk.Note(w.ctx, w.region, bridge.Note{UUID: newUUID(), Ticket: posted.Ticket.ID, Text: "x"}); bridge.KindOf(err) != bridge.DeskGone {
		t.Errorf("a note in a deleted ticket: %v", err)
	}
}
