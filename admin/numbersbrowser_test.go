package admin_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"deskbridge/bridge"
	"deskbridge/gate"
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

// busy is a region of a month with people who write by day, a comparison in which
// the share was raised, and chats in several states.
func busy(w *world) {
	w.Helper()
	must := func(err error) {
		w.Helper()
		if err != nil {
			w.Fatal(err)
		}
	}
	now := time.Now().UTC()
	var hours []bridge.HourStatistics
	for i := range 30 * 24 {
		hour := bridge.HourOf(now) - bridge.Hour(i)
		at := hour.Start()
		n := max(0, 6+at.Day()%4-max(at.Hour()-13, 13-at.Hour())) // most at one o'clock, none at night
		if day := at.Weekday(); day == time.Saturday || day == time.Sunday {
			n /= 3
		}
		s := bridge.Statistics{ChatsOpened: n / 2, MessagesUser: 2*n + i%3*min(n, 1), MessagesAgent: n + i%2*min(n, 1), Answered: n / 2}
		for range s.Answered {
			s.FirstAnswers.Count(time.Duration(4+3*n+i%11) * time.Minute)
		}
		hours = append(hours, bridge.HourStatistics{Hour: hour, Statistics: s})
	}
	must(w.app.Store.Invent(w.Context(), w.north.ID, hours))

	var told []bridge.Exposure
	var in, out []string
	for i := range 912 {
		share, at := 25.0, now.AddDate(0, 0, -12)
		if i >= 400 {
			share, at = 40, now.AddDate(0, 0, -2)
		}
		x := bridge.Exposure{
			Region: w.north.ID, Device: w.app.Hasher.Hash(fmt.Sprint(i)), Day: at.Format(time.DateOnly), At: at,
			Served: i*61%97 < int(share), Reason: gate.ReasonBucket, Percentage: share,
		}
		switch {
		case i >= 900:
			x.Reason = gate.ReasonOverride
		case x.Served:
			in = append(in, fmt.Sprint(i))
		default:
			out = append(out, fmt.Sprint(i))
		}
		told = append(told, x)
	}
	must(w.app.Store.RecordExposures(w.Context(), told))

	db, err := sql.Open("sqlite", strings.TrimPrefix(w.database, "sqlite:"))
	must(err)
	defer db.Close()
	for _, device := range append(in[len(in)-24:], out[:3]...) {
		w.chat(w.north, device, "hello")
		w.carry(0)
	}
	w.connect(w.north, func(s *bridge.RegionSettings) { s.Percentage = 40 })
	_, err = db.Exec("UPDATE chats SET ticket_id = 31240 + id, created_at = created_at - id * id * 1900000, last_message_at = last_message_at - id * 1700000," +
		" waiting_since = CASE WHEN id % 3 = 0 THEN waiting_since - id * 1700000 ELSE 0 END, ticket_state = CASE WHEN id % 4 = 1 THEN 'closed' ELSE 'open' END")
	must(err)
}

// TestReadingTheNumbers is what docs/admin.md shows of the pages with numbers: they
// are seen as a whole at the width of a phone, and each says what it counts.
func TestReadingTheNumbers(t *testing.T) {
	w := oneWorld(t)
	busy(w)
	p := w.gateTab(w.person("nora", staff.RegionAdmin, w.north))
	p.Do(chromedp.Navigate(w.origin + "/admin/regions/north/?span=month"))
	p.Wait(`all(".chart canvas").length === 3`)
	p.Shows(".card a", "Show who waits")
	documented(p, "overview", 1100, 1480)

	p.Do(chromedp.Navigate(w.origin + "/admin/regions/north/experiment/"))
	p.Shows("p.done", "A lot was drawn for 900 devices")
	p.Shows("tbody th", "25 %")
	p.Shows("tbody th", "40 %")
	documented(p, "experiment", 820, 1440)

	p.Do(chromedp.Navigate(w.origin + "/admin/regions/north/chats/"))
	p.Shows("td a", "Ticket 31241 in Zammad")
	p.Shows("td strong", "waits for an answer")
	documented(p, "chats", 1100, 760)
}
