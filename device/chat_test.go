package device_test

import (
	"mime"
	"strings"
	"testing"
	"time"

	"deskbridge/device"
	"deskbridge/server"
)

// multipartBody is what the app sends: FormData with the field message.
func multipartBody(fields ...string) (body, kind string) {
	var b strings.Builder
	for i := 0; i < len(fields); i += 2 {
		b.WriteString("--X\r\nContent-Disposition: form-data; name=\"" + fields[i] + "\"\r\n\r\n" + fields[i+1] + "\r\n")
	}
	return b.String() + "--X--\r\n", mime.FormatMediaType("multipart/form-data", map[string]string{"boundary": "X"})
}

// TestRequests: each request, what it is answered, and how many messages it
// leaves behind. Nothing that is refused changes anything.
func TestRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *device.Deps, cfg *server.Config) { cfg.MaxBody = 64 << 10 })
	appBody, appKind := multipartBody("message", "Hallo <b>Welt</b>")
	fileBody := strings.Replace(appBody, `name="message"`, `name="attachment"; filename="a.pdf"`, 1)
	long, dev := strings.Repeat("ä", 10_001), func(n string) string { return chatPath("testland", "de", n) }
	for _, c := range []struct {
		name                     string
		method, path, kind, body string
		status                   int
		code                     string
		stored                   int
	}{
		{"the app's form", "POST", dev("d1"), appKind, appBody, 200, "", 1},
		{"urlencoded", "POST", dev("d2"), form, "message=Hallo", 200, "", 1},
		{"JSON", "POST", dev("d3"), plainJSON, `{"message":"Hallo","evaluation_consent":true,"client_id":"k"}`, 200, "", 1},
		{"under the alias", "POST", "/testland/de/wp-json/extensions/v3/chat/d4/", form, "message=Hallo", 200, "", 1},
		{"text of full length", "POST", dev("d5"), form, "message=" + long[2:], 200, "", 1},
		{"unknown fields", "POST", dev("d6"), form, "message=Hallo&new=1", 200, "", 1},
		{"read", "GET", dev("d1"), "", "", 200, "", 0},
		{"read under the alias", "GET", "/testland/de/wp-json/extensions/v3/chat/d1/", "", "", 200, "", 0},
		{"read in another language", "GET", chatPath("testland", "ar", "d1"), "", "", 200, "", 0},
		{"a device id with every mark", "GET", dev("aZ0-_.~:@+="), "", "", 404, "chat_not_found", 0},
		{"a device id that is encoded", "POST", dev("d%2B7"), form, "message=Hallo", 200, "", 1},
		{"read it as it is", "GET", dev("d+7"), "", "", 200, "", 0},
		{"region named like a place of the API", "GET", "/api/v3/chat/de/chat/d1/", "", "", 404, "region_not_found", 0},

		{"no chat", "GET", dev("nobody"), "", "", 404, "chat_not_found", 0},
		{"no device id", "GET", "/api/v3/testland/de/chat//", "", "", 404, "chat_not_found", 0},
		{"no device id, alias", "GET", "/testland/de/wp-json/extensions/v3/chat//", "", "", 404, "chat_not_found", 0},
		{"no device id to write to", "POST", "/api/v3/testland/de/chat//", form, "message=Hallo", 400, "invalid_device_id", 0},
		{"another region's chat", "GET", chatPath("other", "de", "d1"), "", "", 404, "chat_not_found", 0},
		{"empty", "POST", dev("d1"), form, "message=", 400, "message_empty", 0},
		{"no body", "POST", dev("d1"), "", "", 400, "message_empty", 0},
		{"blank", "POST", dev("d1"), form, "message=+%0A+", 400, "message_empty", 0},
		{"too long", "POST", dev("d1"), form, "message=" + long, 400, "message_too_long", 0},
		{"too long for its region", "POST", chatPath("picky", "de", "d1"), form, "message=123456789012345678901", 400, "message_too_long", 0},
		{"broken multipart", "POST", dev("d1"), appKind, appBody[:len(appBody)-5], 400, "invalid_body", 0},
		{"broken JSON", "POST", dev("d1"), plainJSON, `{"message":"Hal`, 400, "invalid_body", 0},
		{"a file", "POST", dev("d1"), appKind, fileBody, 415, "unsupported_attachment", 0},
		{"not UTF-8", "POST", dev("d1"), form, "message=%C3%28", 400, "message_invalid_text", 0},
		{"NUL", "POST", dev("d1"), form, "message=a%00b", 400, "message_invalid_text", 0},
		{"device id too long", "POST", dev(strings.Repeat("d", 201)), form, "message=Hallo", 400, "invalid_device_id", 0},
		{"device id with a blank", "POST", dev("a%20b"), form, "message=Hallo", 400, "invalid_device_id", 0},
		{"device id with a slash", "GET", dev("a%2Fb"), "", "", 400, "invalid_device_id", 0},
		{"device id not UTF-8", "GET", dev("%FF"), "", "", 400, "invalid_device_id", 0},
		{"device id not ASCII", "GET", dev("%C3%A4"), "", "", 400, "invalid_device_id", 0},
		{"device id with a NUL", "GET", dev("a%00"), "", "", 400, "invalid_device_id", 0},
		{"consent is nonsense", "POST", dev("d1"), form, "evaluation_consent=perhaps", 400, "invalid_consent", 0},
		{"consent without a chat", "POST", dev("nobody"), form, "evaluation_consent=1", 404, "chat_not_found", 0},
		{"since is nonsense", "GET", dev("d1") + "?since=x", "", "", 400, "invalid_since", 0},
		{"since is nonsense, writing", "POST", dev("d1") + "?since=-1", form, "message=Hallo", 400, "invalid_since", 0},
		{"a bad key", "POST", dev("d1"), form, "message=Hallo&client_id=%20", 400, "invalid_idempotency_key", 0},
		{"a used key", "POST", dev("d3"), form, "message=Anderes&client_id=k", 409, "idempotency_key_reused", 0},
		{"unknown region", "GET", chatPath("nowhere", "de", "d1"), "", "", 404, "region_not_found", 0},
		{"unknown language", "POST", chatPath("testland", "fr", "d1"), form, "message=Hallo", 404, "language_not_found", 0},
		{"unknown path", "GET", "/api/v3/testland/de/chats/d1/", "", "", 404, "path_not_found", 0},
		{"no slash", "GET", strings.TrimSuffix(dev("d1"), "/"), "", "", 404, "path_not_found", 0},
		{"no slash, writing", "POST", strings.TrimSuffix(dev("d1"), "/"), form, "message=Hallo", 404, "path_not_found", 0},
		{"method", "PATCH", dev("d1"), "", "", 405, "method_not_allowed", 0},
		{"further down", "GET", dev("d1") + "nothing/", "", "", 404, "path_not_found", 0},
		{"method", "PUT", dev("d1"), form, "message=Hallo", 405, "method_not_allowed", 0},
		{"too large", "POST", dev("d1"), form, "message=" + strings.Repeat("x", 65<<10), 413, "body_too_large", 0},
		{"type", "POST", dev("d1"), "text/plain", "Hallo", 415, "unsupported_content_type", 0},
		{"no type", "POST", dev("d1"), "", "message=Hallo", 415, "unsupported_content_type", 0},
		{"not served", "POST", chatPath("closed", "de", "d1"), form, "message=Hallo", 403, "device_not_served", 0},
		{"reading is not gated", "GET", chatPath("closed", "de", "d1"), "", "", 404, "chat_not_found", 0},
		{"language is not served", "POST", chatPath("picky", "ar", "d1"), form, "message=Hallo", 403, "device_not_served", 0},
		{"switched off", "GET", chatPath("off", "de", "d1"), "", "", 503, "chat_disabled", 0},
		{"switched off, writing", "POST", chatPath("off", "de", "d1"), form, "message=Hallo", 503, "chat_disabled", 0},
		{"switched off, whatever stands behind", "GET", "/api/v3/off/fr/chat//", "", "", 503, "chat_disabled", 0},
		{"no Zammad", "GET", chatPath("bare", "de", "d1"), "", "", 503, "chat_disabled", 0},
		{"no Zammad, writing", "POST", chatPath("bare", "de", "d1"), form, "message=Hallo", 503, "chat_disabled", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			slug := strings.Split(strings.TrimPrefix(c.path, "/api/v3"), "/")[1]
			before := w.messages(slug)
			var header []string
			if c.kind != "" {
				header = []string{"Content-Type", c.kind}
			}
			got := w.do(c.method, c.path, c.body, header...)
			if got.status != c.status {
				t.Fatalf("status %d, want %d: %s", got.status, c.status, got.body)
			}
			if c.code != "" && got.code(t) != c.code {
				t.Errorf("code %s, want %s", got.code(t), c.code)
			}
			if kind := got.header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
				t.Errorf("Content-Type %q", kind)
			}
			if c.status == 405 && got.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
			if c.status == 503 && got.header.Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
			if stored := w.messages(slug) - before; stored != c.stored {
				t.Errorf("%d messages were stored, want %d", stored, c.stored)
			}
		})
	}
}

// TestSentencesOfTheFirstServer: apps may show them.
func TestSentencesOfTheFirstServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, want := range map[string]string{
		chatPath("testland", "de", "nobody"): `"error":"Chat not found."`,
		chatPath("off", "de", "d1"):          `"error":"No chat server is configured for your region."`,
	} {
		if got := w.get(path); !strings.Contains(string(got.body), want) {
			t.Errorf("%s: %s, want %s", path, got.body, want)
		}
	}
}

func TestMessageOnTheWire(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := time.Now().Add(-time.Second)
	text := "Zeile 1\n<script>alert(1)</script> & \"ä\" 😀\tEnde "
	posted := w.do("POST", chatPath("testland", "de", "d1"), `{"message":`+quote(text)+`,"client_id":"k1"}`, "Content-Type", plainJSON).state(t)
	read := w.get(chatPath("testland", "de", "d1")).state(t)
	for name, s := range map[string]wireState{"POST": posted, "GET": read} {
		if len(s.Messages) != 1 {
			t.Fatalf("%s: %d messages, want 1", name, len(s.Messages))
		}
		m := s.Messages[0]
		if m.Text != text {
			t.Errorf("%s: text %q, want %q", name, m.Text, text)
		}
		if strings.Contains(m.Content, "<script") || !strings.Contains(m.Content, "&lt;script&gt;") || !strings.Contains(m.Content, "<br") {
			t.Errorf("%s: content %q is not the text as HTML", name, m.Content)
		}
		if m.ID <= 0 || m.Role != "user" || !m.UserIsAuthor || m.AutomaticAnswer || m.Author != "user" || m.Status != "queued" || m.Seq != s.Seq || m.Attachments == nil {
			t.Errorf("%s: %+v", name, m)
		}
		if m.ClientID == nil || *m.ClientID != "k1" || m.Error != nil || m.Retracted != nil {
			t.Errorf("%s: %+v", name, m)
		}
		at, err := time.Parse("2006-01-02T15:04:05.000Z", m.CreatedAt)
		if err != nil || at.Before(before) || at.After(time.Now().Add(time.Second)) {
			t.Errorf("%s: created_at %q: %v", name, m.CreatedAt, err)
		}
		if *s.EvaluationConsent || *s.ChatbotTyping || *s.TicketURL != "" {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if posted.Messages[0].ID != read.Messages[0].ID || posted.Messages[0].CreatedAt != read.Messages[0].CreatedAt || posted.Messages[0].Content != read.Messages[0].Content {
		t.Errorf("the same message is told differently: %+v, %+v", posted.Messages[0], read.Messages[0])
	}
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(s) + `"`
}

func TestKeyGivesTheSameAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	first := w.post(path, "message=Hallo", "Idempotency-Key", "k1").state(t)
	for _, again := range []reply{
		w.post(path, "message=Hallo", "Idempotency-Key", "k1"),
		w.post(path, "message=Hallo&client_id=k1"),
		w.post("/testland/ar/wp-json/extensions/v3/chat/d1/", "message=Hallo&client_id=k1&force_new=1"),
	} {
		if s := again.state(t); len(s.Messages) != 1 || s.Messages[0].ID != first.Messages[0].ID || s.Seq != first.Seq {
			t.Errorf("the same key gives %+v, want %+v", s, first)
		}
	}
	if got := w.post(path, "message=Tschau", "Idempotency-Key", "k1"); got.status != 409 || got.code(t) != "idempotency_key_reused" {
		t.Errorf("another text under the key: %d %s", got.status, got.body)
	}
	if s := w.post(path, "message=Hallo").state(t); len(s.Messages) != 2 {
		t.Errorf("the same text without a key was guessed away: %+v", s.Messages)
	}
	if s := w.post(chatPath("testland", "de", "d2"), "message=Anderes&client_id=k1").state(t); len(s.Messages) != 1 {
		t.Errorf("a key reaches another device: %+v", s.Messages)
	}
	if s := w.post(chatPath("other", "de", "d1"), "message=Anderes&client_id=k1").state(t); len(s.Messages) != 1 {
		t.Errorf("a key reaches another region: %+v", s.Messages)
	}
}

func TestConsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("testland", "de", "d1")
	if s := w.post(path, "message=Hallo").state(t); *s.EvaluationConsent {
		t.Error("consent that nobody gave")
	}
	for _, c := range []struct {
		body string
		want bool
	}{{"evaluation_consent=true", true}, {"evaluation_consent=", true}, {"evaluation_consent=false", false}, {"message=x&evaluation_consent=on", true}} {
		got := w.post(path, c.body)
		if c.body == "evaluation_consent=" {
			if got.code(t) != "message_empty" {
				t.Errorf("%s: %s", c.body, got.body)
			}
		} else if s := got.state(t); *s.EvaluationConsent != c.want {
			t.Errorf("%s: consent is %v", c.body, *s.EvaluationConsent)
		}
		if s := w.get(path).state(t); *s.EvaluationConsent != c.want {
			t.Errorf("after %s: consent is %v", c.body, *s.EvaluationConsent)
		}
	}
	if s := w.post(chatPath("testland", "de", "d2"), "message=Hallo&evaluation_consent=1").state(t); !*s.EvaluationConsent {
		t.Error("consent with the first message is lost")
	}
}

func TestForceNewOpensAnotherChat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("half", "de", served(t, "half"))
	w.post(path, "message=Erster&evaluation_consent=1").state(t)
	w.carry("half", 41, nil)
	if s := w.get(path).state(t); *s.TicketURL != "http://127.0.0.1:1/#ticket/zoom/41" {
		t.Errorf("ticket_url is %q", *s.TicketURL)
	}
	s := w.post(path, "message=Zweiter&force_new=true").state(t)
	if len(s.Messages) != 2 || *s.TicketURL != "" || *s.EvaluationConsent {
		t.Errorf("after force_new: %+v", s)
	}
	w.carry("half", 42, nil)
	if s := w.get(path).state(t); *s.TicketURL != "http://127.0.0.1:1/#ticket/zoom/42" || len(s.Messages) != 2 {
		t.Errorf("the second chat: %+v", s)
	}
	counts, err := w.store.ChatCounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range counts {
		if c.Slug == "half" && c.Chats != 2 {
			t.Errorf("%d chats, want 2", c.Chats)
		}
	}
}

// served finds a device that the gate of a region of theRegions serves.
func served(t *testing.T, slug string) string {
	t.Helper()
	for _, r := range theRegions() {
		if r.Slug != slug {
			continue
		}
		for id := 'a'; id <= 'z'; id++ {
			if float64(bucketOf(r, string(id))) < r.Settings.Percentage*100 {
				return string(id)
			}
		}
	}
	t.Fatalf("no device of %s is served", slug)
	return ""
}

func TestTicketURLIsHiddenByDefault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.post(chatPath("testland", "de", "d1"), "message=Hallo").state(t)
	w.carry("testland", 41, nil)
	if s := w.get(chatPath("testland", "de", "d1")).state(t); *s.TicketURL != "" {
		t.Errorf("ticket_url is %q", *s.TicketURL)
	}
}
