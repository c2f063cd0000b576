package admin_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"deskbridge/bridge"
	"deskbridge/browsertest"
	"deskbridge/gate"
	"deskbridge/staff"
)

// gateTab opens a tab of a real browser in which somebody is signed in.
func (w *world) gateTab(b *browser) browsertest.Tab {
	w.Helper()
	p := browsertest.NewTab(w.T, browsertest.Person(w.T, browsertest.New(w.T)))
	origin, err := url.Parse(w.origin)
	if err != nil {
		w.Fatal(err)
	}
	for _, cookie := range b.client.Jar.Cookies(origin) {
		if _, err := chromedp.Call(p.Ctx, network.SetCookie, network.SetCookieParams{Name: cookie.Name, Value: cookie.Value, URL: w.origin}); err != nil {
			w.Fatal(err)
		}
	}
	return p
}

// maxPicture is the largest picture of the documentation, in bytes.
const maxPicture = 150_000

// documented takes a picture for docs/images, if they shall be made anew. What is
// asked at phone width stands on the page without scrolling sideways.
func documented(p browsertest.Tab, name string, width, height int64) {
	p.T.Helper()
	if !p.Is(`document.documentElement.scrollWidth <= innerWidth`) {
		p.T.Errorf("%s is wider than a phone", name)
	}
	p.Pictures(name)
	if os.Getenv("DESKBRIDGE_UPDATE") == "" {
		return
	}
	p.Do(chromedp.EmulateViewport(width, height))
	shot, err := chromedp.Run(p.Ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.T.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		p.T.Fatal(err)
	}
	var small bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, fewColours(picture)); err != nil {
		p.T.Fatal(err)
	}
	if small.Len() > maxPicture {
		p.T.Errorf("the picture %s has %d bytes, more than %d", name, small.Len(), maxPicture)
	}
	if err := os.WriteFile(filepath.Join("..", "docs", "images", name+".png"), small.Bytes(), 0o644); err != nil {
		p.T.Fatal(err)
	}
	p.Do(chromedp.EmulateViewport(390, 844))
}

// fewColours gives a picture with at most 256 colours, as a page of text needs: the
// first ones stay as they are, but for the last three bits.
func fewColours(from image.Image) *image.Paletted {
	to := image.NewPaletted(from.Bounds(), nil)
	known := make(map[color.NRGBA]uint8)
	for y := from.Bounds().Min.Y; y < from.Bounds().Max.Y; y++ {
		for x := from.Bounds().Min.X; x < from.Bounds().Max.X; x++ {
			c := color.NRGBAModel.Convert(from.At(x, y)).(color.NRGBA)
			c = color.NRGBA{c.R | 7, c.G | 7, c.B | 7, 255}
			i, ok := known[c]
			switch {
			case ok:
			case len(to.Palette) < 256:
				i = uint8(len(to.Palette))
				to.Palette = append(to.Palette, c)
			default:
				i = uint8(to.Palette.Index(c))
			}
			known[c] = i
			to.SetColorIndex(x, y, i)
		}
	}
	return to
}

// TestTakingADeviceIn is what docs/admin.md walks through: an admin takes a device
// in, finds out why another is out, and raises the percentage.
func TestTakingADeviceIn(t *testing.T) {
	w := oneWorld(t)
	w.north.Salt = "of docs/admin.md" // the draw that the pictures show
	w.connect(w.north, func(s *bridge.RegionSettings) { s.Percentage = 25 })
	var exposures []bridge.Exposure
	at := func(id string) int { return gate.Bucket(w.north.Salt, w.app.Hasher.Hash(id)) }
	var out []string // devices that 25 % do not reach, and 40 % do
	soon := 0
	for i := range 200 {
		id := fmt.Sprintf("phone-%d", i)
		exposures = append(exposures, bridge.Exposure{
			Region: w.north.ID, Device: w.app.Hasher.Hash(id), Day: time.Now().UTC().Format(time.DateOnly), Served: at(id) < 2500, Reason: gate.ReasonBucket, At: time.Now(),
		})
		if at(id) >= 2500 && at(id) < 4000 {
			out = append(out, id)
			soon++
		}
	}
	if err := w.app.Store.RecordExposures(t.Context(), exposures); err != nil {
		t.Fatal(err)
	}
	mine, other := out[0], out[1]
	if w.served("north", mine) || w.served("north", other) {
		t.Fatal("the devices are served already")
	}
	p := w.gateTab(w.person("nora", staff.RegionAdmin, w.north))

	p.Do(chromedp.Navigate(w.origin + northTesters))
	p.TabTo("#f-device")
	p.Press(mine)
	p.Enter()
	p.Shows("#found h2", "Nothing is set for this device")
	p.Do(chromedp.Click(browsertest.Inside("#f-way-in")))
	p.Do(chromedp.Click(browsertest.Inside("#f-note")))
	p.Press("phone of the front desk")
	p.Do(chromedp.Click(browsertest.Inside("#found button")))
	p.Shows("[role=status]", "It is set for the device now")
	p.Shows("td", "phone of the front desk")
	if p.Is(`location.href.includes("phone-") || document.body.innerHTML.includes(` + browsertest.Quote(mine) + `)`) {
		t.Error("the device id stands in the address or in the list")
	}
	if !w.served("north", mine) {
		t.Error("the device was taken in, and the device API does not know")
	}
	documented(p, "testers", 900, 1000)

	p.Do(chromedp.Navigate(w.origin + northWhy))
	p.Do(chromedp.Click(browsertest.Inside("#f-device")))
	p.Press(other)
	p.Do(chromedp.Click(browsertest.Inside("main form button")))
	p.Shows("#answer h2", "does not get the chat")
	p.Shows("#answer li.out", "now it is 25 %: out.")
	documented(p, "why", 800, 1300)

	p.Do(chromedp.Navigate(w.origin + northGate))
	p.Wait(`one("#gate-slider") && !one("#gate-slider").hidden && one("#gate-slider").value === "25"`)
	p.Do(chromedp.Evaluate[chromedp.Void](`window.same = true; one("#gate-slider").value = "40"; one("#gate-slider").dispatchEvent(new Event("input")); one("#gate-slider").dispatchEvent(new Event("change"))`))
	p.Wait(`one("#f-percentage").value === "40"`)
	p.Shows("#preview li", fmt.Sprintf("Newly in: %d", soon-1)) // one of them is in already
	p.Shows("#preview li", "No longer in: 0")
	if !p.Is("window.same") {
		t.Error("the preview has loaded the whole page")
	}
	documented(p, "gate", 740, 1660)
	p.Do(chromedp.Click(browsertest.Inside("#gate-form > .actions:last-child button")))
	p.Shows("[role=status]", "Saved.")
	if !w.served("north", other) {
		t.Error("the device is not served at 40 %")
	}
}
