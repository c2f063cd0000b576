package app

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deskbridge/browsertest"
	"deskbridge/zammad"

	"github.com/chromedp/chromedp"
)

// phonePhoto writes a picture as a phone makes it: large.
func phonePhoto(t *testing.T) string {
	t.Helper()
	noise, picture := rand.New(rand.NewPCG(1, 2)), image.NewRGBA(image.Rect(0, 0, 3200, 2400))
	for y := range 2400 {
		for x := range 3200 {
			picture.Set(x, y, color.RGBA{uint8(x / 13), uint8(y / 10), uint8(noise.IntN(200)), 255})
		}
	}
	path := filepath.Join(t.TempDir(), "Brief vom Amt.jpg")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(jpeg.Encode(file, picture, &jpeg.Options{Quality: 92}), file.Close()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() < 2<<20 {
		t.Fatalf("the photo has %v (%v)", info, err)
	}
	return path
}

// TestWidgetSendsFiles chooses files without a network, and closes the page
// before it is back.
func TestWidgetSendsFiles(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	person := browsertest.Person(t, browsertest.New(t))
	note := filepath.Join(t.TempDir(), "note.txt")
	if err := os.WriteFile(note, []byte("plain"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newTab(t, person)
	c.visit(t, p, "language=de")
	p.write("Guten Tag")
	p.status("Guten Tag", "zugestellt")
	p.Offline(true)
	p.Do(chromedp.SetUploadFiles(browsertest.Inside("#picker"), []string{phonePhoto(t), note}))
	p.Wait(`all("#chosen li").length === 2`)
	p.Picture("10-files-chosen")
	p.write("Hier ist der Brief")
	p.status("Hier ist der Brief", "wartet auf Versand")
	p.Shows(".message.mine .files", "Brief vom Amt.jpg")
	p.Do(chromedp.Navigate("about:blank"))
	p.Offline(false)

	again := newTab(t, person)
	c.visit(t, again, "language=de")
	again.status("Hier ist der Brief", "zugestellt")
	again.Wait(`all(".message.mine .files li").length === 2 && one(".attached img")?.naturalWidth === 2560`)
	again.Picture("10-files")
	ticket := c.ticket(1)
	waitFor(t, func() error {
		articles, err := c.admin.Articles.OfTicket(t.Context(), ticket.ID)
		if err != nil {
			return err
		}
		if len(articles) != 2 || len(articles[1].Attachments) != 2 {
			return fmt.Errorf("%d articles", len(articles))
		}
		return nil
	})

	// What the bridge does not take is told, and the next message goes.
	bad := filepath.Join(t.TempDir(), "program.exe")
	if err := os.WriteFile(bad, []byte("MZ\x90\x00"+strings.Repeat("\x00", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	again.Do(chromedp.SetUploadFiles(browsertest.Inside("#picker"), []string{bad}))
	again.Wait(`all("#chosen li").length === 1`)
	again.write("Und das Programm")
	again.status("Und das Programm", "nicht zugestellt. Dateien dieser Art können nicht gesendet werden.")
	again.write("Ohne Programm")
	again.status("Ohne Programm", "zugestellt")
}

// TestWidgetShowsPicturesInTheirPlace: a picture in an agent's words stands
// where the agent put it, and only there; other files stand below.
func TestWidgetShowsPicturesInTheirPlace(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	p := newTab(t, browsertest.New(t))
	c.visit(t, p, "language=de")
	p.write("Welches Feld?")
	p.status("Welches Feld?", "zugestellt")
	const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAEElEQVR4nGP4z8AAQQxwFgBB0gX7h/C5SAAAAABJRU5ErkJggg=="
	public := false
	_, err := c.agent.Articles.Create(t.Context(), zammad.NewArticle{
		TicketID: c.ticket(1).ID, Type: zammad.TypeNote, ContentType: zammad.ContentHTML, Internal: &public,
		Body:        `<p>Dieses <img src="data:image/png;base64,` + pixel + `"> hier.</p><p><img src="attachments/aaaaaaaaaaaaaaaaaaaaaaaaaa/">Danke</p>`,
		Attachments: []zammad.File{{Filename: "formular.txt", MimeType: "text/plain", Data: []byte("Feld")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Wait(`one(".message:not(.mine) .attached img")?.naturalWidth === 3`)
	for selector, want := range map[string]string{
		".message:not(.mine) .attached": "2", ".message:not(.mine) .body > div .attached": "1", ".message:not(.mine) .files .attached": "1", ".message:not(.mine) .files img": "0",
	} {
		if n := p.Count(selector, ""); n != want {
			t.Errorf("%s: %s of them, want %s", selector, n, want)
		}
	}
	if words := p.Read(`one(".message:not(.mine) .body > div").firstChild.textContent.replace(/\s+/g, " ")`); !strings.HasPrefix(words, "Dieses ") || !strings.HasSuffix(words, " hier.") || len(words) < len("Dieses  hier.")+3 {
		t.Errorf("the words around the picture are %q", words)
	}
}
