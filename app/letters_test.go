package app

import (
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"deskbridge/bridge"
	"deskbridge/browsertest"
	"deskbridge/staff"
	"deskbridge/storage/storagetest"
)

// setAside lets every message that waits be refused for good. It takes the lanes
// from the pump by a clock that is ahead.
func (w *world) setAside(reason string) {
	w.t.Helper()
	ctx, ahead := w.t.Context(), time.Now().Add(24*time.Hour)
	store := w.bridge.app.Store
	desks, err := store.DueDesks(ctx, ahead)
	if err != nil || len(desks) != 1 {
		w.t.Fatal(desks, err)
	}
	claims, err := store.ClaimLanes(ctx, desks[0], ahead, ahead.Add(time.Minute), 100)
	if err != nil || len(claims) == 0 {
		w.t.Fatal(claims, err)
	}
	for _, c := range claims {
		for {
			work, err := store.Start(ctx, c, ahead)
			if err != nil {
				w.t.Fatal(err)
			}
			if work == nil {
				break
			}
			o := bridge.Outcome{Work: work.ID}
			if work.Kind == bridge.WorkMessage {
				o.Failed = &bridge.Failed{Code: bridge.FailRefused, Reason: reason, ErrorID: "4F2A99"}
			}
			if _, err := store.Finish(ctx, c, o, ahead); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// console opens a page of the console for a person who has just signed in, in English.
func (w *world) console(p browsertest.Tab, path string, person staff.Person) {
	w.t.Helper()
	person.Language = "en"
	id, err := w.bridge.app.Store.AddStaff(w.t.Context(), person, "")
	if err != nil {
		w.t.Fatal(err)
	}
	account, err := w.bridge.app.Accounts.ByID(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	cookie, err := w.bridge.app.Sessions.Token(w.t.Context(), id, account.Epoch)
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = chromedp.Call(p.Ctx, network.SetCookie, network.SetCookieParams{
		Name: cookie.Name, Value: cookie.Value, URL: w.bridge.origin, Path: "/", HTTPOnly: new(true), SameSite: network.CookieSameSiteLax,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	p.Do(chromedp.Navigate(w.bridge.origin + path))
}

// A region admin sends what Zammad had refused once more, with the keyboard, and
// it is in the ticket.
func TestALetterIsSentAgainFromTheConsole(t *testing.T) {
	browser := browsertest.New(t)
	w := newWorld(t, storagetest.SQLite(t))
	w.line.set(func(*http.Request) fault { return down })
	w.phone("device-1").send("my secret")
	w.phone("device-2").send("another secret")
	w.setAside("a field <b>is</b> missing")
	w.line.set(nil)
	region, _ := w.bridge.app.Regions.BySlug(demoRegion)

	p := browsertest.NewTab(t, browsertest.Person(t, browser))
	w.console(p, "/admin/regions/"+demoRegion+"/letters/", staff.Person{Login: "eva", Name: "Eva", Role: staff.RegionAdmin, Regions: []bridge.RegionID{region.ID}})
	p.Shows("main", "In this region altogether: 2")
	p.Shows("td", "a field <b>is</b> missing")
	if p.Is(`document.body.innerText.includes("secret")`) {
		t.Error("the page shows what a message says")
	}
	p.Pictures("console-letters")
	p.Wait(`document.documentElement.scrollWidth <= innerWidth`)

	p.TabTo(`td input[type=checkbox]`)
	p.Press(" ")
	p.Wait(`all("td input:checked").length === 1`)
	p.TabTo(`button[formmethod=get]`)
	p.Enter()
	p.Shows("h1", "Drop messages?")
	p.Pictures("console-letters-drop")
	p.Do(chromedp.Click(browsertest.Inside("main a.button")))
	p.Shows("main", "In this region altogether: 2")

	p.Do(chromedp.Click(browsertest.Inside(`a[href*="all=1"]`)))
	p.Wait(`all("td input:checked").length === 2`)
	p.TabTo(`main form button`)
	p.Enter()
	p.Shows("[role=status]", "on their way again")
	p.Shows("main", "Nothing is left behind")
	w.phone("device-1").sees("user: my secret")
	waitFor(t, func() error {
		_, state := w.phone("device-1").do(http.MethodGet, "de", "", nil)
		if state.Messages[0].Status != string(bridge.StatusSent) {
			return errWaiting(state.Messages[0].Status)
		}
		return nil
	})
	if n := len(w.tickets()); n == 0 {
		t.Error("there is no ticket")
	}
}

// errWaiting says in which state something still is.
type errWaiting string

func (e errWaiting) Error() string { return "it is still " + string(e) }
