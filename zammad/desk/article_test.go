package desk

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

// recordedDeliveries gives the bodies of webhooks that a real Zammad sent.
func recordedDeliveries(t testing.TB) map[string][][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "testdata", "recordings", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	all := make(map[string][][]byte)
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Steps []struct {
				Delivery *struct {
					BodyRaw string `json:"body_raw"`
				}
			}
		}
		if err := json.Unmarshal(raw, &file); err != nil {
			t.Fatal(err)
		}
		for _, step := range file.Steps {
			if step.Delivery != nil {
				key := filepath.Base(name)[:2]
				all[key] = append(all[key], []byte(step.Delivery.BodyRaw))
			}
		}
	}
	return all
}

func TestRecordedDeliveries(t *testing.T) {
	t.Parallel()
	d := New(Config{})
	read := 0
	for name, bodies := range recordedDeliveries(t) {
		for i, body := range bodies {
			ticket, err := d.ReadDelivery(body)
			if err != nil {
				t.Errorf("%s, %d: %v", name, i, err)
				continue
			}
			read++
			if ticket.ID == 0 || ticket.State == bridge.TicketNone || len(ticket.Articles) == 0 || ticket.ChangedAt.IsZero() || len(ticket.Included) > 1 {
				t.Errorf("%s, %d: %+v", name, i, ticket)
			}
			for _, a := range ticket.Included {
				inert(t, a.HTML)
				if !slices.Contains(ticket.Articles, a.ID) || a.Ticket != ticket.ID || a.CreatedAt.IsZero() {
					t.Errorf("%s, %d: article %+v of %+v", name, i, a, ticket)
				}
			}
		}
	}
	if read < 20 {
		t.Errorf("only %d deliveries", read)
	}
}

func TestReadDeliveryOfAnAgentsNote(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		parsed, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	d, deliveries := New(Config{}), recordedDeliveries(t)
	got, err := d.ReadDelivery(deliveries["03"][0])
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != 2 || got.State != bridge.TicketOpen || !slices.Equal(slices.Sorted(slices.Values(got.Articles)), []bridge.ArticleID{2, 3}) ||
		!got.ChangedAt.Equal(at("2026-11-22T20:45:03.112Z")) || len(got.Included) != 1 {
		t.Fatalf("%+v", got)
	}
	want := bridge.Article{
		ID: 3, Ticket: 2, Public: true, Name: "Cora Counselor", CreatedAt: at("2026-11-22T20:45:03.045Z"),
		HTML: `<div>Good morning, <b>how</b> can I help?<br/><a href="https://example.org/x" rel="nofollow noreferrer noopener" target="_blank">link</a>` + "\n</div>",
		Text: "Good morning, how can I help?\nlink <https://example.org/x>",
	}
	a := got.Included[0]
	if !a.CreatedAt.Equal(want.CreatedAt) {
		t.Errorf("created at %v", a.CreatedAt)
	}
	a.CreatedAt = want.CreatedAt
	if !reflect.DeepEqual(a, want) {
		t.Errorf("%+v\nwant %+v", a, want)
	}
}

func TestReadDelivery(t *testing.T) {
	t.Parallel()
	d := New(Config{})
	deliveries := recordedDeliveries(t)
	t.Run("a merge", func(t *testing.T) {
		got, err := d.ReadDelivery(deliveries["06"][0])
		if err != nil {
			t.Fatal(err)
		}
		if got.State != bridge.TicketMerged || len(got.Included) != 1 || got.Included[0].Public || got.Included[0].Text != "" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("no article", func(t *testing.T) {
		got, err := d.ReadDelivery([]byte(`{"ticket":{"id":5,"state":"closed","article_ids":[9,8],"updated_at":"2026-11-22T20:45:03.112Z"},"article":{}}`))
		if err != nil || got.State != bridge.TicketClosed || len(got.Included) != 0 || len(got.Articles) != 2 {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("a renamed state", func(t *testing.T) {
		got, err := d.ReadDelivery([]byte(`{"ticket":{"id":5,"state":"erledigt"},"article":{}}`))
		if err != nil || got.State != bridge.TicketNone {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("a plain merged, and the ticket does not tell", func(t *testing.T) {
		const article = `{"id":9,"ticket_id":5,"type":"note","sender":"Agent","subject":null,"body":"merged","content_type":"text/plain","internal":false}`
		got, err := d.ReadDelivery([]byte(`{"ticket":{"id":5,"state":"open","article_ids":[9]},"article":` + article + `}`))
		if err != nil || len(got.Included) != 0 || len(got.Articles) != 1 {
			t.Errorf("%+v, %v", got, err)
		}
	})
	for _, body := range []string{"", "null", "[]", "{}", `{"ticket":{}}`, `{"ticket":{"id":"x"}}`, `{"article":{"id":1}}`, "<html>", `{"ticket":{"id":-1}}`} {
		if _, err := d.ReadDelivery([]byte(body)); !errors.Is(err, bridge.ErrWebhookBody) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestArticleRules(t *testing.T) {
	t.Parallel()
	agent := zammad.Article{ID: 1, Type: "note", Sender: "Agent", From: "Cora Counselor", Body: "x", ContentType: "text/html"}
	with := func(change func(*zammad.Article)) zammad.Article {
		a := agent
		change(&a)
		return a
	}
	for _, c := range []struct {
		name                 string
		article              zammad.Article
		public, user, robots bool
		author               string
	}{
		{"an agent's note", agent, true, false, false, "Cora Counselor"},
		{"an internal note", with(func(a *zammad.Article) { a.Internal = true }), false, false, false, ""},
		{"the customer's", with(func(a *zammad.Article) { a.Sender, a.Type, a.From = "Customer", "chat", "App User 7f3a" }), true, true, false, ""},
		{"a trigger's note", with(func(a *zammad.Article) { a.Sender, a.From = "System", "- " }), true, false, true, ""},
		{"the seeded auto reply", with(func(a *zammad.Article) { a.Sender, a.Type = "System", "email" }), false, false, true, ""},
		{"a bot's", with(func(a *zammad.Article) { a.Subject = "automatically generated message" }), true, false, true, ""},
		{"about bots", with(func(a *zammad.Article) { a.Subject = "Re: automatically generated message" }), true, false, false, "Cora Counselor"},
		{"an agent's e-mail", with(func(a *zammad.Article) { a.Type, a.From = "email", `"Cora Counselor" <cora@example.org>` }), true, false, false, "Cora Counselor"},
		{"an e-mail through the group", with(func(a *zammad.Article) { a.Type, a.From = "email", "Cora Counselor via Help <help@example.org>" }), true, false, false, "Cora Counselor via Help"},
		{"an address alone", with(func(a *zammad.Article) { a.From = "cora@example.org" }), true, false, false, ""},
		{"an address as a name", with(func(a *zammad.Article) { a.From = `"cora@example.org" <cora@example.org>` }), true, false, false, ""},
		{"a broken address line", with(func(a *zammad.Article) { a.From = `Cora, the first <cora@example.org` }), true, false, false, "Cora, the first"},
		{"no name", with(func(a *zammad.Article) { a.From = "" }), true, false, false, ""},
	} {
		got := article(c.article)
		if got.Public != c.public || got.FromUser != c.user || got.Automatic != c.robots || got.Name != c.author {
			t.Errorf("%s: %+v", c.name, got)
		}
		if want := map[bool]string{true: "x"}[c.public]; got.Text != want || got.HTML != want {
			t.Errorf("%s says %q and %q", c.name, got.Text, got.HTML)
		}
	}
}

func TestLooksLikeMergeNote(t *testing.T) {
	t.Parallel()
	note := zammad.Article{ID: 1, Type: "note", Sender: "Agent", Body: "merged", ContentType: "text/plain"}
	if !looksLikeMergeNote(note) {
		t.Error("Zammad's own is not recognised")
	}
	for name, change := range map[string]func(*zammad.Article){
		"typed in the screen": func(a *zammad.Article) { a.ContentType = "text/html" },
		"other words":         func(a *zammad.Article) { a.Body = "merged." },
		"capitals":            func(a *zammad.Article) { a.Body = "Merged" },
		"a subject":           func(a *zammad.Article) { a.Subject = "x" },
		"by the customer":     func(a *zammad.Article) { a.Sender = "Customer" },
		"by phone":            func(a *zammad.Article) { a.Type = "phone" },
		"with a message id":   func(a *zammad.Article) { a.MessageID = "<x@deskbridge>" },
		"with a file":         func(a *zammad.Article) { a.Attachments = []zammad.Attachment{{ID: 1}} },
	} {
		a := note
		change(&a)
		if looksLikeMergeNote(a) {
			t.Errorf("taken for Zammad's: %s", name)
		}
	}
}

func FuzzReadDelivery(f *testing.F) {
	for _, bodies := range recordedDeliveries(f) {
		for _, body := range bodies {
			f.Add(body)
		}
	}
	f.Add([]byte(`{"ticket":{"id":1,"article_ids":null,"state":{}},"article":{"id":2,"content_type":"text/html","body":"<b>"}}`))
	d := New(Config{})
	f.Fuzz(func(t *testing.T, body []byte) {
		ticket, err := d.ReadDelivery(body)
		if err != nil {
			if !errors.Is(err, bridge.ErrWebhookBody) || ticket.ID != 0 || ticket.Included != nil {
				t.Errorf("%+v with %v", ticket, err)
			}
			return
		}
		if ticket.ID <= 0 {
			t.Errorf("ticket %d", ticket.ID)
		}
		for _, a := range ticket.Included {
			inert(t, a.HTML)
			if !a.Public && a.HTML+a.Text+a.Name != "" {
				t.Errorf("content of what is not public: %+v", a)
			}
		}
	})
}
