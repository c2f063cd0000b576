package device_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/device"
	"deskbridge/server"
)

// deskFiles is the desk's part: the files that agents attached.
type deskFiles struct {
	mu    sync.Mutex
	files map[bridge.FileID]string
	err   error // instead of a file
	loads int
}

func (d *deskFiles) OpenFile(_ context.Context, _ *bridge.Region, _ bridge.TicketID, _ bridge.ArticleID, f bridge.FileID) (io.ReadCloser, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.loads++
	if d.err != nil {
		return nil, d.err
	}
	return io.NopCloser(strings.NewReader(d.files[f])), nil
}

// part is a part of a form.
type part struct{ field, file, content string }

// formOf puts a form together.
func formOf(t testing.TB, parts ...part) (body, kind string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		h := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name=%q`, p.field)}}
		if p.file != "" {
			h.Set("Content-Disposition", fmt.Sprintf(`form-data; name=%q; filename="%s"`, p.field, strings.ReplaceAll(p.file, `"`, `\"`)))
			h.Set("Content-Type", "image/png") // a claim
		}
		to, err := w.CreatePart(h)
		if err == nil {
			_, err = io.WriteString(to, p.content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

// shot is a JPEG with a place in it.
func shot(t testing.TB, size int) string {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, size, size)), nil); err != nil {
		t.Fatal(err)
	}
	return b.String()[:2] + "\xff\xfe\x00\x12N48.37 E010.89 x" + b.String()[2:]
}

const (
	largest = 100_000 // bytes of a file
	letter  = "%PDF-1.4 Bescheid"
)

// uploadWorld is a world that takes files: three, of up to 100 kB, 200 kB in all.
func uploadWorld(t testing.TB) (w *world, folder string) {
	t.Helper()
	folder = t.TempDir()
	w = newWorld(t, func(deps *device.Deps, cfg *server.Config) {
		cfg.MaxBody = 64 << 10
		deps.Uploads = device.Uploads{Dir: folder, Body: 64 << 10, Files: 3, FileBytes: largest, MessageBytes: 2 * largest}
	})
	t.Cleanup(func() { w.nothingLeft(folder) })
	return w, folder
}

// nothingLeft fails if there is a temporary file, or a content without message.
func (w *world) nothingLeft(folder string) {
	w.t.Helper()
	left, err := os.ReadDir(folder)
	if err != nil {
		w.t.Error(err)
	}
	if len(left) > 0 {
		w.t.Errorf("%d temporary files are left", len(left))
	}
	counts, _, err := w.store.Prune(context.Background(), bridge.PruneCutoffs{Unclaimed: time.Now().Add(time.Hour)}, true)
	if err != nil || counts["files"] > 0 {
		w.t.Errorf("%d contents belong to no message (%v)", counts["files"], err)
	}
}

func (w *world) upload(path string, header []string, parts ...part) reply {
	w.t.Helper()
	body, kind := formOf(w.t, parts...)
	return w.do("POST", path, body, append(header, "Content-Type", kind)...)
}

func TestFilesComeBackAsTheyWereTaken(t *testing.T) {
	t.Parallel()
	w, _ := uploadWorld(t)
	chat := chatPath("testland", "de", "d1")
	photo := shot(t, 64)
	s := w.upload(chat, nil, part{"message", "", "Der Brief"}, part{"attachment", `..\Foto "ü".JPG`, photo}, part{"attachments", "b.pdf", letter}).state(t)
	got := s.Messages[0]
	if got.Text != "Der Brief" || len(got.Attachments) != 2 {
		t.Fatalf("%+v", got)
	}
	again := w.get(chat).state(t).Messages[0]
	if !slices.Equal(again.Attachments, got.Attachments) {
		t.Errorf("a poll shows %+v, the answer %+v", again.Attachments, got.Attachments)
	}
	for i, want := range []wireFile{
		{Name: "Foto _ü_.JPG", Type: "image/jpeg", Size: int64(len(photo) - 20)}, {Name: "b.pdf", Type: "application/pdf", Size: int64(len(letter))},
	} {
		f := got.Attachments[i]
		want.ID = f.ID
		if len(f.ID) != 26 || f.Name != want.Name && f.Name != "Foto ü.JPG" || f.Type != want.Type || f.Size != want.Size {
			t.Errorf("%+v, want %+v", f, want)
		}
	}
	files := got.Attachments
	r := w.get(chat + "attachments/" + files[0].ID + "/")
	if want := photo[:2] + photo[22:]; r.status != 200 || string(r.body) != want {
		t.Fatalf("status %d, %d bytes, want %d without the place", r.status, len(r.body), len(want))
	}
	for name, want := range map[string]string{
		"Content-Type": "image/jpeg", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox",
		"Cache-Control": "private, no-cache", "Etag": `"` + files[0].ID + `"`, "Content-Length": fmt.Sprint(len(photo) - 20),
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if d := r.header.Get("Content-Disposition"); !strings.HasPrefix(d, "attachment; filename=\"Foto ") || !strings.Contains(d, "filename*=UTF-8''Foto%20") || !strings.Contains(d, "%C3%BC") {
		t.Errorf("Content-Disposition: %s", d)
	}
	pdf := chat + "attachments/" + files[1].ID + "/"
	if r := w.get(pdf, "Range", "bytes=9-"); r.status != 206 || string(r.body) != letter[9:] {
		t.Errorf("a range: %d %q", r.status, r.body)
	}
	if r := w.get(pdf, "Range", "bytes=900-"); r.status != 416 {
		t.Errorf("a range beyond the end: %d", r.status)
	}
	if r := w.get(pdf, "If-None-Match", `"`+files[1].ID+`"`); r.status != 304 || len(r.body) > 0 {
		t.Errorf("known already: %d", r.status)
	}
	if r := w.do("HEAD", pdf, ""); r.status != 200 || len(r.body) > 0 || r.header.Get("Content-Length") != fmt.Sprint(len(letter)) {
		t.Errorf("HEAD: %d, length %s", r.status, r.header.Get("Content-Length"))
	}
	// Files alone are a message.
	only := w.upload(chat, nil, part{"message", "", " \n"}, part{"attachment", "b.pdf", letter}).state(t)
	if m := only.Messages[1]; m.Text != "" || m.Content != "" || len(m.Attachments) != 1 {
		t.Errorf("%+v", m)
	}
}

func TestNobodyElseGetsAFile(t *testing.T) {
	t.Parallel()
	w, _ := uploadWorld(t)
	s := w.upload(chatPath("testland", "de", "d1"), nil, part{"attachment", "b.pdf", letter}).state(t)
	id := s.Messages[0].Attachments[0].ID
	for _, chat := range []string{chatPath("testland", "de", "d2"), chatPath("other", "de", "d1")} {
		for range 2 { // before and after it has a chat of its own
			if r := w.get(chat + "attachments/" + id + "/"); r.status != 404 || r.code(t) != "attachment_not_found" {
				t.Errorf("%s: %d", chat, r.status)
			}
			w.post(chat, "message=x").state(t)
		}
	}
	for _, id := range []string{"1", strings.ToUpper(id), id[:25], "%2e%2e", strings.Repeat("a", 5000)} {
		if r := w.get(chatPath("testland", "de", "d1") + "attachments/" + id + "/"); r.status != 404 || r.code(t) != "attachment_not_found" {
			t.Errorf("%.30s: %d", id, r.status)
		}
	}
	if r := w.get(chatPath("off", "de", "d1") + "attachments/" + id + "/"); r.status != 503 {
		t.Errorf("a region that is off: %d", r.status)
	}
}

// TestRefusedFiles: what cannot be taken is refused with the whole message.
func TestRefusedFiles(t *testing.T) {
	t.Parallel()
	w, _ := uploadWorld(t)
	text, big := part{"message", "", "x"}, strings.Repeat("x", largest)
	file := func(content string) part { return part{"attachment", "a.png", content} }
	for _, c := range []struct {
		name   string
		parts  []part
		status int
		code   string
	}{
		{"html as a picture", []part{text, file("<!DOCTYPE html><script>1</script>")}, 415, "unsupported_attachment"},
		{"svg as a picture", []part{text, file(`<svg xmlns="http://www.w3.org/2000/svg"/>`)}, 415, "unsupported_attachment"},
		{"an archive", []part{text, file("PK\x03\x04")}, 415, "unsupported_attachment"},
		{"a program", []part{text, file("MZ\x90\x00")}, 415, "unsupported_attachment"},
		{"an empty file", []part{text, file("")}, 400, "invalid_attachment"},
		{"half a picture", []part{text, file(shot(t, 64)[:300])}, 400, "invalid_attachment"},
		{"text that is none later", []part{text, file(big[:600] + "\x00")}, 400, "invalid_attachment"},
		{"a pixel flood", []part{text, file("\xff\xd8\xff\xc0\x00\x0b\x08\xea\x60\xea\x60\x01\x01\x11\x00")}, 413, "attachment_too_large"},
		{"a byte too much", []part{text, file(big + "x")}, 413, "attachment_too_large"},
		{"too much together", []part{text, file(big), file(big), file("x")}, 413, "attachment_too_large"},
		{"a file too many", []part{text, file("x"), file("x"), file("x"), file("x")}, 400, "too_many_attachments"},
		{"a name that cannot be read", []part{text, {"attachment", "a\".png\nx: ", "x"}}, 400, "invalid_body"},
		{"a field that takes no files", []part{{"message", "a.txt", "x"}}, 400, "invalid_body"},
		{"a bad field after a file", []part{file("x"), {"evaluation_consent", "", "perhaps"}}, 400, "invalid_consent"},
		{"a long field beside a file", []part{file("x"), {"other", "", strings.Repeat("x", 200_000)}}, 413, "body_too_large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := w.upload(chatPath("testland", "de", "d1"), nil, c.parts...)
			if r.status != c.status || r.code(t) != c.code {
				t.Errorf("%d %s, want %d %s", r.status, r.body, c.status, c.code)
			}
		})
	}
	if n := w.messages("testland"); n != 0 {
		t.Errorf("%d messages were stored", n)
	}
	if r := w.upload(chatPath("testland", "de", "d1"), nil, text, file(big), file(big)); r.status != 200 {
		t.Errorf("exactly as much as may be: %d %s", r.status, r.body)
	}
}

func TestARegionMayAllowLess(t *testing.T) {
	t.Parallel()
	w, _ := uploadWorld(t)
	change := func(change func(*bridge.RegionSettings)) {
		r := *w.region("testland")
		r.Settings.FileKinds, r.Settings.MaxFiles, r.Settings.MaxFileBytes, r.Settings.MaxFilesBytes = nil, 0, 0, 0
		change(&r.Settings)
		if err := errors.Join(w.store.SaveRegion(context.Background(), &r), w.regions.Reload(context.Background())); err != nil {
			t.Fatal(err)
		}
	}
	pdf := part{"attachment", "a.pdf", letter}
	for name, c := range map[string]struct {
		set   func(*bridge.RegionSettings)
		parts []part
		code  string
	}{
		"none":          {func(s *bridge.RegionSettings) { s.FileKinds = []string{bridge.NoFiles} }, []part{pdf}, "unsupported_attachment"},
		"only pictures": {func(s *bridge.RegionSettings) { s.FileKinds = []string{"jpeg", "png"} }, []part{pdf}, "unsupported_attachment"},
		"pdf":           {func(s *bridge.RegionSettings) { s.FileKinds = []string{"pdf"} }, []part{pdf}, ""},
		"fewer":         {func(s *bridge.RegionSettings) { s.MaxFiles = 1 }, []part{pdf, pdf}, "too_many_attachments"},
		"smaller":       {func(s *bridge.RegionSettings) { s.MaxFileBytes = 10 }, []part{pdf}, "attachment_too_large"},
		"less in all":   {func(s *bridge.RegionSettings) { s.MaxFilesBytes = 30 }, []part{pdf, pdf}, "attachment_too_large"},
		"more":          {func(s *bridge.RegionSettings) { s.MaxFiles = 50 }, []part{pdf, pdf, pdf, pdf}, "too_many_attachments"},
	} {
		change(c.set)
		r := w.upload(chatPath("testland", "de", "d1"), nil, c.parts...)
		if c.code == "" && r.status != 200 || c.code != "" && r.code(t) != c.code {
			t.Errorf("%s: %d %s, want %s", name, r.status, r.body, c.code)
		}
	}
}

func TestTheKeyCoversTextAndFiles(t *testing.T) {
	t.Parallel()
	w, _ := uploadWorld(t)
	chat, key := chatPath("testland", "de", "d1"), []string{"Idempotency-Key", "k"}
	text, a, b := part{"message", "", "x"}, part{"attachment", "a.pdf", letter}, part{"attachment", "b.pdf", letter + "!"}
	first := w.upload(chat, key, text, a, b).state(t)
	again := w.upload(chat, key, text, a, b).state(t)
	if len(again.Messages) != 1 || again.Seq != first.Seq || !slices.Equal(again.Messages[0].Attachments, first.Messages[0].Attachments) {
		t.Errorf("the same again: %+v", again)
	}
	for name, parts := range map[string][]part{
		"another text": {{"message", "", "y"}, a, b}, "another file": {text, a, {"attachment", "b.pdf", letter + "?"}}, "another order": {text, b, a},
		"a file less": {text, a}, "no file": {text}, "a file more": {text, a, b, a},
	} {
		if r := w.upload(chat, key, parts...); r.status != 409 || r.code(t) != "idempotency_key_reused" {
			t.Errorf("%s: %d", name, r.status)
		}
	}
	if n := w.messages("testland"); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestFilesOfAgents(t *testing.T) {
	t.Parallel()
	w, _ := uploadWorld(t)
	chat := chatPath("testland", "de", "d1")
	w.post(chat, "message=Frage").state(t)
	w.carry("testland", 7, nil)
	w.desk.files = map[bridge.FileID]string{70: letter, 71: "<script>"}
	answer := answerOf(7, 9001, true, "see")
	answer.Files = []bridge.DeskFile{
		{File: 70, Attachment: bridge.Attachment{ID: "aaaa", Name: "form.pdf", Type: "application/pdf", Size: int64(len(letter))}},
		{File: 71, Attachment: bridge.Attachment{ID: "bbbb", Name: "x.html", Type: "application/octet-stream", Size: 8, Inline: true}},
		{File: 72, Attachment: bridge.Attachment{ID: "cccc", Name: "film.mp4", Type: "video/mp4", Size: 1 << 40}},
	}
	w.record("testland", 7, answer)
	before := w.get(chat).state(t)
	if got := before.Messages[1].Attachments; len(got) != 3 || got[0] != (wireFile{"aaaa", "form.pdf", "application/pdf", int64(len(letter)), false}) || !got[1].Inline {
		t.Fatalf("%+v", got)
	}
	file := chat + "attachments/aaaa/"
	if r := w.get(file, "Range", "bytes=1-2"); r.status != 200 || string(r.body) != letter || r.header.Get("Content-Type") != "application/pdf" {
		t.Errorf("%d %q", r.status, r.body)
	}
	if r := w.get(chat + "attachments/bbbb/"); r.header.Get("Content-Type") != "application/octet-stream" || r.header.Get("Content-Security-Policy") == "" {
		t.Errorf("%v", r.header)
	}
	loads := w.desk.loads
	if r := w.do("HEAD", file, ""); r.status != 200 || r.header.Get("Content-Length") != fmt.Sprint(len(letter)) {
		t.Errorf("HEAD: %d", r.status)
	}
	if r := w.get(file, "If-None-Match", `"aaaa"`); r.status != 304 {
		t.Errorf("known already: %d", r.status)
	}
	if r := w.get(chat + "attachments/cccc/"); r.status != 413 || r.code(t) != "attachment_too_large" {
		t.Errorf("a terabyte: %d", r.status)
	}
	if w.desk.loads != loads {
		t.Errorf("the desk was asked %d times for nothing", w.desk.loads-loads)
	}
	for kind, want := range map[bridge.DeskErrorKind]string{
		bridge.DeskUnavailable: "503 desk_unavailable", bridge.DeskDenied: "503 desk_unavailable", bridge.DeskMasked: "503 desk_unavailable",
		bridge.DeskHidden: "503 desk_unavailable", bridge.DeskGone: "404 attachment_not_found",
	} {
		w.desk.err = &bridge.DeskError{Kind: kind}
		r := w.get(file)
		if got := fmt.Sprint(r.status, " ", r.code(t)); got != want || r.status == 503 && r.header.Get("Retry-After") == "" {
			t.Errorf("%s: %s, Retry-After %q", kind, got, r.header.Get("Retry-After"))
		}
	}
	w.desk.err = nil
	w.record("testland", 7, answerOf(7, 9001, false, ""))
	after := w.get(chat + "?since=" + fmt.Sprint(before.Seq)).state(t)
	if m := after.Messages[len(after.Messages)-1]; m.Retracted == nil || len(m.Attachments) != 0 {
		t.Errorf("taken back: %+v", m)
	}
	if r := w.get(file); r.status != 404 {
		t.Errorf("the file of what was taken back: %d", r.status)
	}
	w.record("testland", 7, answer)
	if r := w.get(file); r.status != 200 {
		t.Errorf("the file of what is there again: %d", r.status)
	}
}

// endless gives a body without end, and how much of it was read.
type endless struct {
	head, again string
	at          int
	read        atomic.Int64
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.head)
	e.head = e.head[n:]
	for n < len(p) {
		c := copy(p[n:], e.again[e.at:])
		n, e.at = n+c, (e.at+c)%len(e.again)
	}
	e.read.Add(int64(n))
	return n, nil
}

// TestBombs: whatever comes, little is read of it, little memory is used, and it
// gets a clear answer.
func TestBombs(t *testing.T) {
	w, _ := uploadWorld(t)
	const head = "--X\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"a.txt\""
	for name, c := range map[string]struct {
		body  *endless
		codes []string
	}{
		"a file without end":           {&endless{head: head + "\r\n\r\n", again: "x"}, []string{"attachment_too_large"}},
		"a program without end":        {&endless{head: head + "\r\n\r\nMZ\x90\x00", again: "\x00"}, []string{"unsupported_attachment"}},
		"a field without end":          {&endless{head: "--X\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\n", again: "x"}, []string{"body_too_large"}},
		"parts without end":            {&endless{again: "--X\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n\r\n"}, []string{"invalid_body"}},
		"files without end":            {&endless{again: head + "\r\n\r\nhello\r\n"}, []string{"too_many_attachments"}},
		"a header without end":         {&endless{head: head, again: "x"}, []string{"body_too_large", "invalid_body"}},
		"headers without end":          {&endless{head: head + "\r\n", again: "X: y\r\n"}, []string{"body_too_large", "invalid_body"}},
		"something before without end": {&endless{again: "x"}, []string{"body_too_large", "invalid_body"}},
		"lines before without end":     {&endless{again: "x\r\n"}, []string{"body_too_large", "invalid_body"}},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			request, err := http.NewRequest("POST", w.url+chatPath("testland", "de", "d1"), c.body)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "multipart/form-data; boundary=X")
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			raw, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			r := reply{response.StatusCode, response.Header, raw}
			if code := r.code(t); !slices.Contains(c.codes, code) {
				t.Errorf("%d %s, want %v", r.status, code, c.codes)
			}
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
				t.Errorf("%d bytes were allocated", used)
			}
			if n := c.body.read.Load(); n > 16<<20 {
				t.Errorf("%d bytes were read", n)
			}
		})
	}
	if n := w.messages("testland"); n != 0 {
		t.Errorf("%d messages were stored", n)
	}
}

// Bodies that end too early, or are not as long as they say.
func TestBodiesThatAreCutOff(t *testing.T) {
	t.Parallel()
	w, _ := uploadWorld(t)
	whole, kind := formOf(t, part{"message", "", "x"}, part{"attachment", "a.txt", strings.Repeat("hello ", 200)}, part{"attachment", "b.pdf", letter})
	_, boundary, _ := strings.Cut(kind, "boundary=")
	end := strings.LastIndex(whole, "--"+boundary)
	for _, n := range []int{0, 10, strings.Index(whole, "hello") + 100, strings.Index(whole, "hello") + 800, strings.Index(whole, letter), strings.Index(whole, letter) + 3, end - 2, end, end + 2 + len(boundary)} {
		if r := w.do("POST", chatPath("testland", "de", "d1"), whole[:n], "Content-Type", kind); r.status != 400 || r.code(t) != "invalid_body" && r.code(t) != "message_empty" {
			t.Errorf("cut off after %d of %d: %d %s", n, len(whole), r.status, r.body)
		}
	}
	if r := w.do("POST", chatPath("testland", "de", "d1"), whole[:end]+"--"+boundary+"\r\n", "Content-Type", kind); r.status != 400 || r.code(t) != "invalid_body" {
		t.Errorf("cut off where another part should begin: %d %s", r.status, r.body)
	}
	for name, said := range map[string]int{"longer": len(whole) + 100, "much longer": 150_000} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", chatPath("testland", "de", "d1"), kind, said, whole[:end])
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil || !bytes.Contains(answer, []byte("400 Bad Request")) {
			t.Errorf("a length that is %s: %q, %v", name, answer, err)
		}
		conn.Close()
	}
	if n := w.messages("testland"); n != 0 {
		t.Errorf("%d messages were stored", n)
	}
}

func TestLeftoversAreSweptAtTheStart(t *testing.T) {
	t.Parallel()
	u := device.Uploads{Dir: t.TempDir() + "/uploads"}
	if err := u.Prepare(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"upload-1", "other"} {
		if err := os.WriteFile(u.Dir+"/"+name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.Prepare(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(u.Dir)
	if err != nil || len(left) != 1 || left[0].Name() != "other" {
		t.Errorf("%v, %v", left, err)
	}
}
