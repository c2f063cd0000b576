package desk

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

// upload is a file of a device.
func upload(name, kind string, content []byte) bridge.File {
	return bridge.File{Attachment: bridge.Attachment{Name: name, Type: kind, Size: int64(len(content))}, Content: bytes.NewReader(content)}
}

func (w *world) filesOf(id bridge.ArticleID) (zammad.Article, map[string][]byte) {
	w.t.Helper()
	a, err := w.agent.Articles.Get(w.ctx, zammad.ArticleID(id))
	w.must(err)
	contents := make(map[string][]byte)
	for _, f := range a.Attachments {
		d, err := w.agent.Articles.Open(w.ctx, a.TicketID, a.ID, f.ID)
		w.must(err)
		contents[f.Filename], err = io.ReadAll(d)
		w.must(err)
		w.must(d.Close())
	}
	return a, contents
}

func TestFilesGoWithTheirMessage(t *testing.T) {
	w := newWorld(t)
	picture, letter := bytes.Repeat([]byte{0, 1, 2, 0xFF}, 100_000), []byte("Sehr geehrte Frau Ünal")
	opened, err := w.desk.Open(w.ctx, w.region, bridge.Opening{
		UUID: bridge.MessageUUID(uuid.NewString()), Alias: "abcdefghijklmnop", Language: "de",
		Files: []bridge.File{upload("foto ü.jpg", "image/jpeg", picture), upload("brief.txt", "text/plain", letter)},
	})
	w.must(err)
	a, contents := w.filesOf(opened.Article)
	if a.Body != "[foto ü.jpg]<br>[brief.txt]" || !bytes.Equal(contents["foto ü.jpg"], picture) || !bytes.Equal(contents["brief.txt"], letter) {
		t.Errorf("body %q, %d files", a.Body, len(contents))
	}
	posted, err := w.desk.Post(w.ctx, w.region, bridge.Post{
		UUID: bridge.MessageUUID(uuid.NewString()), Text: "hier", Ticket: opened.Ticket.ID, Customer: opened.Customer, Known: opened.Ticket.Articles,
		Files: []bridge.File{upload("brief.txt", "text/plain", letter)},
	})
	w.must(err)
	if a, contents = w.filesOf(posted.Article); a.Body != "hier" || !bytes.Equal(contents["brief.txt"], letter) {
		t.Errorf("body %q, files %q", a.Body, contents)
	}
}

// A refusal says whether the message may go without its files.
func TestAFileThatIsRefused(t *testing.T) {
	w := newWorld(t)
	files := []bridge.File{upload("x.txt", "text/plain", []byte("x"))}
	for _, c := range []struct {
		status int
		body   string
		files  []bridge.File
		want   bool
	}{
		{413, "<html>413 Request Entity Too Large</html>", files, true},
		{422, `{"error":"Invalid base64 for attachment with index '0'"}`, files, true},
		{422, `{"error":"Filename can't be blank"}`, files, true},
		{422, `{"error":"Title can't be blank"}`, files, false},
		{413, "<html>413 Request Entity Too Large</html>", nil, false},
	} {
		answer := func(out http.ResponseWriter, in *http.Request) bool {
			if in.Method == http.MethodGet {
				return false
			}
			if strings.HasPrefix(c.body, "{") {
				out.Header().Set("Content-Type", "application/json")
			}
			out.WriteHeader(c.status)
			_, _ = io.WriteString(out, c.body)
			return true
		}
		w.answer.Store(&answer)
		_, err := w.desk.Open(w.ctx, w.region, bridge.Opening{UUID: "u", Text: "hello", Alias: "abcdefghijklmnop", Language: "de", Files: c.files})
		d, _ := err.(*bridge.DeskError) //nolint:errorlint // it is its own
		if d == nil || d.Kind != bridge.DeskRefused || d.Files != c.want {
			t.Errorf("%d %s: %+v", c.status, c.body, err)
		}
	}
}

var inText = regexp.MustCompile(`<img src="attachments/([a-z2-7]{26})/" alt="([^"]*)"/>`)

func TestPicturesOfAgentsStayInTheirPlace(t *testing.T) {
	w := newWorld(t)
	opened, err := w.desk.Open(w.ctx, w.region, bridge.Opening{UUID: "u1", Text: "hello", Alias: "abcdefghijklmnop", Language: "de"})
	w.must(err)
	const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAEElEQVR4nGP4z8AAQQxwFgBB0gX7h/C5SAAAAABJRU5ErkJggg=="
	public := false
	written, err := w.agent.Articles.Create(w.ctx, zammad.NewArticle{
		TicketID: zammad.TicketID(opened.Ticket.ID), Type: zammad.TypeNote, ContentType: zammad.ContentHTML, Internal: &public,
		Body:        `Please fill in <img src="data:image/png;base64,` + pixel + `"> this <a href="attachments/x/">form</a><img src="attachments/aaaaaaaaaaaaaaaaaaaaaaaaaa/">`,
		Attachments: []zammad.File{{Filename: "../form\u202E.pdf", MimeType: "application/pdf", Data: []byte("%PDF-1.4 fake")}, {Filename: "x.html", MimeType: "text/html", Data: []byte("<script>")}},
	})
	w.must(err)
	a, err := w.desk.Article(w.ctx, w.region, bridge.ArticleID(written.ID))
	w.must(err)
	if len(a.Files) != 3 {
		t.Fatalf("%d files: %+v", len(a.Files), a.Files)
	}
	at := slices.IndexFunc(a.Files, func(f bridge.DeskFile) bool { return f.Inline })
	found := inText.FindAllStringSubmatch(a.HTML, -1)
	if at < 0 || len(found) != 1 || found[0][1] != string(a.Files[at].ID) || found[0][2] != a.Files[at].Name {
		t.Errorf("pictures %q in %s", found, a.HTML)
	}
	if strings.Contains(a.HTML, "<a") || strings.Contains(a.HTML, "api/v1") || a.Text != "Please fill in [picture] this form[picture]" {
		t.Errorf("%s\n%q", a.HTML, a.Text)
	}
	for _, f := range a.Files {
		switch f.Name {
		case "form.pdf":
			if f.Type != "application/pdf" || f.Size != 13 || f.Inline {
				t.Errorf("%+v", f)
			}
		case "x.html":
			if f.Type != "application/octet-stream" {
				t.Errorf("%+v", f)
			}
		case a.Files[at].Name:
		default:
			t.Errorf("a file is called %q", f.Name)
		}
		stream, err := w.desk.OpenFile(w.ctx, w.region, a.Ticket, a.ID, f.File)
		w.must(err)
		content, err := io.ReadAll(stream)
		w.must(err)
		w.must(stream.Close())
		if int64(len(content)) != f.Size {
			t.Errorf("%s has %d bytes, want %d", f.Name, len(content), f.Size)
		}
	}
	// What is withheld has no files either.
	_, err = w.agent.Articles.SetInternal(w.ctx, written.ID, true)
	w.must(err)
	if a, err = w.desk.Article(w.ctx, w.region, bridge.ArticleID(written.ID)); err != nil || a.Public || a.Files != nil || a.HTML != "" {
		t.Errorf("an internal article: %+v, %v", a, err)
	}
}

// A Content-ID names its picture; what names no file of the article stays a word.
func TestPicturesAreFoundByTheirNames(t *testing.T) {
	a := attachedTo(zammad.Article{Attachments: []zammad.Attachment{
		{ID: 6, Filename: "a.png", Preferences: map[string]any{"Mime-Type": "image/png", "Content-ID": "<11.x@zammad>"}},
		{ID: 7, Filename: "b.svg", Preferences: map[string]any{"Mime-Type": "image/svg+xml"}},
	}})
	for src, want := range map[string]bool{
		"cid:11.x@zammad": true, "cid:": false, "cid:other": false,
		"/api/v1/ticket_attachment/1/2/6?view=inline": true, "https://zammad.example/api/v1/ticket_attachment/1/2/6": true,
		"/api/v1/ticket_attachment/1/2/8": false, "/api/v1/ticket_attachment/1/2/7": false, "/api/v1/ticket_attachment/6": false, "/api/v1/attachments/6": false, "https://example.org/6": false,
	} {
		if got := a.picture(src) != nil; got != want {
			t.Errorf("%s: shown %v, want %v", src, got, want)
		}
	}
}

// Of a file whose ticket was deleted Zammad says 500, which is no reason to ask again.
func TestAFileOfADeletedTicketIsGone(t *testing.T) {
	w := newWorld(t)
	opened, err := w.desk.Open(w.ctx, w.region, bridge.Opening{UUID: "u1", Text: "hello", Alias: "abcdefghijklmnop", Language: "de"})
	w.must(err)
	ticket := zammad.TicketID(opened.Ticket.ID)
	written, err := w.agent.Articles.Create(w.ctx, zammad.NewArticle{
		TicketID: ticket, Type: zammad.TypeNote, Body: "the form", Attachments: []zammad.File{{Filename: "a.txt", MimeType: "text/plain", Data: []byte("form")}},
	})
	w.must(err)
	w.must(w.admin.Tickets.Delete(w.ctx, ticket))
	_, err = w.desk.OpenFile(w.ctx, w.region, opened.Ticket.ID, bridge.ArticleID(written.ID), bridge.FileID(written.Attachments[0].ID))
	if bridge.KindOf(err) != bridge.DeskGone {
		t.Errorf("%v", err)
	}
}
