package admin_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// The charts are drawn, say what the table says, stay within a phone, follow
// light and dark, and leave the table to screen readers.
func TestChartsAreDrawn(t *testing.T) {
	w := oneWorld(t)
	var hours []bridge.HourStatistics
	for i := range 365 * 24 {
		s := bridge.Statistics{ChatsOpened: i % 9, MessagesUser: i % 20, MessagesAgent: i % 15, Answered: i % 2}
		if s.Answered > 0 {
			s.FirstAnswers.Count(time.Duration(i%90) * time.Minute)
		}
		hours = append(hours, bridge.HourStatistics{Hour: bridge.HourOf(time.Now()) - bridge.Hour(i), Statistics: s})
	}
	if err := w.app.Store.Invent(t.Context(), w.north.ID, hours); err != nil {
		t.Fatal(err)
	}
	p := w.gateTab(w.person("viewer", staff.Viewer, w.north))
	// inked says how much of each chart's picture is not empty.
	const inked = `all(".chart canvas").map((c) => { const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) if (d[i]) n++; return n; })`
	for _, span := range []string{"day", "month", "year"} {
		p.Do(chromedp.Navigate(w.origin + "/admin/regions/north/?span=" + span))
		p.Wait(`all(".chart canvas").length === 3 && ` + inked + `.every((n) => n > 500)`)
		if p.Is(`document.querySelector("#numbers").open`) {
			t.Errorf("%s: the table stands open beside the charts", span)
		}
		if !p.Is(`all(".uplot").every((e) => e.getAttribute("aria-hidden") === "true") && all("#numbers caption, #numbers th[scope=row]").length > 20`) {
			t.Errorf("%s: screen readers get the canvas and not the table", span)
		}
		if !p.Is(`document.documentElement.scrollWidth <= innerWidth`) {
			t.Errorf("%s is wider than a phone", span)
		}
		p.Do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#span").scrollIntoView()`))
		p.Pictures("overview-" + span)
	}
	p.Do(chromedp.Navigate(w.origin + "/admin/regions/north/"))
	p.Wait(`all(".chart canvas").length === 3 && ` + inked + `.every((n) => n > 500)`)
	before := p.Read(`all(".chart canvas")[0].toDataURL()`)
	p.Dark(true)
	p.Wait(`all(".chart canvas").length === 3 && all(".chart canvas")[0].toDataURL() !== ` + "`" + before + "`")
	p.Dark(false)
	p.Do(chromedp.EmulateViewport(1280, 800))
	p.Wait(`all(".chart canvas").every((c) => c.getBoundingClientRect().width > 600)`)
	p.TabTo("#numbers summary")
	p.Enter()
	p.Wait(`document.querySelector("#numbers").open`)
	for _, page := range []string{"experiment/", "chats/", "chats/?filter=waiting"} {
		p.Do(chromedp.EmulateViewport(390, 844), chromedp.Navigate(w.origin+"/admin/regions/north/"+page))
		p.Wait(`document.querySelector("main h1")`)
		if !p.Is(`document.documentElement.scrollWidth <= innerWidth`) {
			t.Errorf("%s is wider than a phone", page)
		}
	}
}
