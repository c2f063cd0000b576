package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

// wireFiles is what a device is told of files.
type wireFiles struct {
	Messages []struct {
		Text, Content, Status, Error string
		Attachments                  []struct {
			ID, Name, Type string
			Size           int64
			Inline         bool
		}
	}
}

// upload sends a message with files; names and contents come in pairs.
func (p *phone) upload(key, text string, files ...string) (int, wireFiles) {
	p.w.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	err := form.WriteField("message", text)
	for i := 0; i < len(files) && err == nil; i += 2 {
		var to io.Writer
		if to, err = form.CreateFormFile("attachment", files[i]); err == nil {
			_, err = io.WriteString(to, files[i+1])
		}
	}
	if err != nil || form.Close() != nil {
		p.w.t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, p.origin+"/api/v3/"+demoRegion+"/de/chat/"+p.id+"/", &body)
	if err != nil {
		p.w.t.Fatal(err)
	}
	request.Header.Set("Content-Type", form.FormDataContentType())
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	return p.files(request)
}

func (p *phone) files(request *http.Request) (int, wireFiles) {
	p.w.t.Helper()
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		p.w.t.Fatal(err)
	}
	defer answer.Body.Close()
	var state wireFiles
	if err := json.NewDecoder(answer.Body).Decode(&state); err != nil {
		p.w.t.Fatal(err)
	}
	return answer.StatusCode, state
}

func (p *phone) history() wireFiles {
	p.w.t.Helper()
	request, err := http.NewRequest(http.MethodGet, p.origin+"/api/v3/"+demoRegion+"/de/chat/"+p.id+"/", nil)
	if err != nil {
		p.w.t.Fatal(err)
	}
	_, state := p.files(request)
	return state
}

// load loads a file by its id.
func (p *phone) load(id string) (int, string) {
	p.w.t.Helper()
	answer, err := http.Get(p.origin + "/api/v3/" + demoRegion + "/de/chat/" + p.id + "/attachments/" + id + "/")
	if err != nil {
		p.w.t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		p.w.t.Fatal(err)
	}
	return answer.StatusCode, string(content)
}

// inTicket waits until a ticket has that many articles, and reads their files.
func (w *world) inTicket(id zammad.TicketID, articles int) (all []zammad.Article, contents []string) {
	w.t.Helper()
	waitFor(w.t, func() error {
		var err error
		if all, err = w.agent.Articles.OfTicket(w.t.Context(), id); err == nil && len(all) != articles {
			err = fmt.Errorf("%d articles, want %d", len(all), articles)
		}
		return err
	})
	for _, a := range all {
		for _, f := range a.Attachments {
			d, err := w.agent.Articles.Open(w.t.Context(), id, a.ID, f.ID)
			if err != nil {
				w.t.Fatal(err)
			}
			content, err := io.ReadAll(d)
			if err != nil {
				w.t.Fatal(err)
			}
			d.Close()
			contents = append(contents, f.Filename+": "+string(content))
		}
	}
	return all, contents
}

// letter is a PDF with every byte, long enough for several pieces.
func letter(seed uint64) string {
	random := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, 700_001)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return "%PDF-1.4 " + string(b)
}

func photo(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 90, 60)), nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// contentsHere counts what is stored of files, pieces and all.
func contentsHere(t *testing.T, a *App) int {
	t.Helper()
	later := time.Now().Add(100 * time.Hour)
	counts, _, err := a.Store.Prune(context.Background(), bridge.PruneCutoffs{Files: map[bridge.RegionID]time.Time{1: later}, Unclaimed: later}, true)
	if err != nil {
		t.Fatal(err)
	}
	return counts["files"]
}

func TestFilesGoThereAndBack(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p, pdf, picture := w.phone("phone-1"), letter(1), photo(t)
		status, sent := p.upload("", "Der Bescheid", "Bescheid vom März.pdf", pdf, "IMG 1.jpg", picture)
		if status != 200 {
			t.Fatalf("status %d", status)
		}
		ticket := w.ticket(1).ID
		p.upload("", "", "nur dies.txt", "nur dies")
		all, contents := w.inTicket(ticket, 2)
		if all[0].Body != "Der Bescheid" || all[1].Body != "[nur dies.txt]" {
			t.Errorf("bodies %q, %q", all[0].Body, all[1].Body)
		}
		if len(contents) != 3 || contents[0] != "Bescheid vom März.pdf: "+pdf || contents[1] != "IMG 1.jpg: "+picture || contents[2] != "nur dies.txt: nur dies" {
			t.Fatalf("%d files, not what was sent", len(contents))
		}
		public := false
		_, err := w.agent.Articles.Create(t.Context(), zammad.NewArticle{
			TicketID: ticket, Type: zammad.TypeNote, ContentType: zammad.ContentHTML, Internal: &public,
			Body:        `so: <img src="data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAEElEQVR4nGP4z8AAQQxwFgBB0gX7h/C5SAAAAABJRU5ErkJggg==">`,
			Attachments: []zammad.File{{Filename: "Antrag.pdf", MimeType: "application/pdf", Data: []byte(pdf)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.agentsFiles(p, pdf)
		// As soon as Zammad has shown them, the user's files need not be here.
		own := sent.Messages[0].Attachments
		waitFor(t, func() error {
			if n := contentsHere(t, w.bridge.app); n != 3 {
				return fmt.Errorf("%d contents could go, want 3", n)
			}
			return nil
		})
		later := time.Now().Add(time.Hour)
		counts, _, err := w.bridge.app.Store.Prune(t.Context(), bridge.PruneCutoffs{Files: map[bridge.RegionID]time.Time{1: later}}, false)
		if err != nil || counts["files"] != 3 || contentsHere(t, w.bridge.app) != 0 {
			t.Errorf("%v, %v", counts, err)
		}
		for i, want := range []string{pdf, picture} {
			if status, got := p.load(own[i].ID); status != 200 || got != want {
				t.Errorf("%s from Zammad: %d, %d bytes", own[i].Name, status, len(got))
			}
		}
		if status, _ := w.phone("phone-2").load(own[0].ID); status != 404 {
			t.Errorf("another device gets it: %d", status)
		}
		w.line.set(func(*http.Request) fault { return down })
		if status, _ := p.load(own[0].ID); status != 503 {
			t.Errorf("without Zammad: %d", status)
		}
		w.line.set(nil)
		if left, err := os.ReadDir(filepath.Join(w.bridge.app.cfg.DataDir, "uploads")); err != nil || len(left) > 0 {
			t.Errorf("%d temporary files (%v)", len(left), err)
		}
	})
}

// agentsFiles waits for an answer with a picture in its text and a file beside it.
func (w *world) agentsFiles(p *phone, pdf string) {
	w.t.Helper()
	var state wireFiles
	waitFor(w.t, func() error {
		if state = p.history(); len(state.Messages) != 3 {
			return fmt.Errorf("%d messages", len(state.Messages))
		}
		return nil
	})
	m := state.Messages[2]
	if len(m.Attachments) != 2 || m.Text != "so: [picture]" {
		w.t.Fatalf("%+v", m)
	}
	for _, f := range m.Attachments {
		status, content := p.load(f.ID)
		switch {
		case status != 200 || int64(len(content)) != f.Size:
			w.t.Errorf("%s: %d, %d bytes of %d", f.Name, status, len(content), f.Size)
		case f.Inline != strings.Contains(m.Content, `<img src="attachments/`+f.ID+`/"`):
			w.t.Errorf("%s is in %s", f.Name, m.Content)
		case !f.Inline && content != pdf:
			w.t.Errorf("%s is not what the agent attached", f.Name)
		}
	}
}

// A crash after the answer to the device loses no file, and a cut line doubles
// none.
func TestFilesSurviveCrashAndCutLine(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		p, pdf := w.phone("phone-1"), letter(2)
		w.line.set(func(*http.Request) fault { return down })
		if status, _ := p.upload("k", "eins", "a.pdf", pdf); status != 200 {
			t.Fatalf("status %d", status)
		}
		w.bridge.stop()
		w.line.once(cutAfter)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		w.bridge = w.serve(w.open("two"), listener)
		p = w.phone("phone-1")
		ticket := w.ticket(1).ID
		if status, again := p.upload("k", "eins", "a.pdf", pdf); status != 200 || len(again.Messages) != 1 {
			t.Errorf("the same again: %d, %d messages", status, len(again.Messages))
		}
		waitFor(t, func() error {
			if m := p.history().Messages; len(m) != 1 || m[0].Status != "sent" {
				return fmt.Errorf("%+v", m)
			}
			return nil
		})
		w.line.once(cutAfter)
		p.upload("", "zwei", "b.pdf", pdf)
		p.send("drei")
		all, contents := w.inTicket(ticket, 3)
		if all[0].Body != "eins" || all[1].Body != "zwei" || all[2].Body != "drei" || len(contents) != 2 || contents[0] != "a.pdf: "+pdf || contents[1] != "b.pdf: "+pdf {
			t.Errorf("%q, %q, %q with %d files", all[0].Body, all[1].Body, all[2].Body, len(contents))
		}
	})
}
