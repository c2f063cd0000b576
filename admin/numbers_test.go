package admin_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/gate"
	"deskbridge/staff"
)

// chat opens a chat in a region, as a device does.
func (w *world) chat(region *bridge.Region, device, text string) bridge.Accepted {
	w.Helper()
	a, err := w.app.Store.Accept(w.Context(), bridge.Submission{
		Region: region, Device: w.app.Hasher.Hash(device), Language: "de", UUID: bridge.MessageUUID(device + "/" + text), Text: text,
		Admit: func(bridge.Standing) bool { return true }, Alias: "alias", Now: time.Now(),
	})
	if err != nil {
		w.Fatal(err)
	}
	return a
}

// carry takes what waits for Zammad into a ticket, as the pump does; 0: into none.
func (w *world) carry(ticket bridge.TicketID) {
	w.Helper()
	now := time.Now()
	claims, err := w.app.Store.ClaimLanes(w.Context(), w.north.Desk, now, now.Add(time.Minute), 10)
	for _, claim := range claims {
		for {
			work, wrong := w.app.Store.Start(w.Context(), claim, now)
			if wrong != nil {
				w.Fatal(wrong)
			}
			if work == nil {
				break
			}
			sent := &bridge.Sent{Ticket: ticket, State: bridge.TicketOpen, Customer: 1, Article: 1}
			if _, wrong := w.app.Store.Finish(w.Context(), claim, bridge.Outcome{Work: work.ID, Sent: sent}, now); wrong != nil {
				w.Fatal(wrong)
			}
		}
	}
	if err != nil || len(claims) == 0 {
		w.Fatalf("%d lanes, %v", len(claims), err)
	}
}

// Every number in the table is what the store has, whatever the span; invented
// ones are called so.
func TestOverviewShowsTheNumbers(t *testing.T) {
	eachWorld(t, func(w *world) {
		viewer := w.person("viewer", staff.Viewer, w.north)
		viewer.get("/admin/regions/north/").is(http.StatusOK).says("Everybody has an answer", "No chat got its first answer").lacks("Invented")

		w.chat(w.north, "a", "hello")
		hour := bridge.HourOf(time.Now())
		var hours []bridge.HourStatistics
		want := map[string]int{}
		for i := range 300 * 24 {
			s := bridge.Statistics{ChatsOpened: i%7 + 1, MessagesUser: i % 5, Answered: 1}
			s.FirstAnswers.Count(time.Duration(i%50+1) * time.Minute)
			hours = append(hours, bridge.HourStatistics{Hour: hour - bridge.Hour(i), Statistics: s})
			if i < 24 {
				want["day"] += s.ChatsOpened
			}
		}
		if err := w.app.Store.Invent(w.Context(), w.north.ID, hours); err != nil {
			t.Fatal(err)
		}
		for span, rows := range map[string]int{"day": 24, "month": 30, "year": 53} {
			page := viewer.get("/admin/regions/north/?span="+span).is(http.StatusOK).says("Invented for the demo", "Waiting for an answer 1")
			cells := regexp.MustCompile(`<tr data-at="\d+">.*?<td class="number" data-v="(\d+)">`).FindAllStringSubmatch(page.body, -1)
			if len(cells) != rows {
				t.Errorf("%s has %d rows, want %d", span, len(cells), rows)
			}
			sum := 0
			for _, cell := range cells {
				n, _ := strconv.Atoi(cell[1])
				sum += n
			}
			if want[span] != 0 && sum != want[span] {
				t.Errorf("%s: %d chats, want %d", span, sum, want[span])
			}
		}
		viewer.get("/admin/regions/north/?span=%3Cscript%3E").is(http.StatusOK).lacks("%3Cscript", "<script>")
		viewer.get("/admin/").is(http.StatusOK).says("Chats today: 1", "Waiting for an answer: 1")
		viewer.get("/admin/regions/south/").is(http.StatusNotFound)
	})
}

// The comparison: what its sentences say, and the file for spreadsheets.
func TestExperimentInWords(t *testing.T) {
	eachWorld(t, func(w *world) {
		viewer := w.person("viewer", staff.Viewer, w.north)
		const path = "/admin/regions/north/experiment/"
		viewer.get(path).is(http.StatusOK).says("No device has asked in this time")
		now := time.Now().UTC()
		percentage := 50.0
		tell := func(from, to, daysAgo int, served bool, reason gate.Reason) {
			var all []bridge.Exposure
			at := now.AddDate(0, 0, -daysAgo)
			for i := from; i < to; i++ {
				all = append(all, bridge.Exposure{
					Region: w.north.ID, Device: w.app.Hasher.Hash(fmt.Sprint(i)), Day: at.Format(time.DateOnly), Served: served, Reason: reason, At: at, Percentage: percentage,
				})
			}
			if err := w.app.Store.RecordExposures(w.Context(), all); err != nil {
				t.Fatal(err)
			}
		}
		tell(0, 20, 0, true, gate.ReasonBucket)
		tell(1000, 1020, 0, false, gate.ReasonBucket)
		viewer.get(path).is(http.StatusOK).says("A lot was drawn for 40 devices, and 20 were let in", "it should be about 20. That fits", "50 % 40 20 20", "too few devices").lacks("Beware", "The share was changed")
		tell(20, 612, 0, true, gate.ReasonBucket)
		tell(1020, 1388, 0, false, gate.ReasonBucket)
		tell(2000, 2005, 0, true, gate.ReasonOverride)
		w.chat(w.north, "3", "hello")
		page := viewer.get(path+"?days=7").is(http.StatusOK).says("Beware:", "for 1,000 devices, and 612 were let in", "it should be about 500", "less than once in 1,000 times", "another 5 devices", "Devices that opened a chat 1 (0.2 %)")
		page.lacks("%!", "alias")

		// What is 612 of 1,000 at 50 % is not too many with those of the days before.
		percentage = 12.5
		tell(3000, 3100, 2, true, gate.ReasonBucket)
		tell(4000, 4700, 2, false, gate.ReasonBucket)
		viewer.get(path+"?days=7").is(http.StatusOK).says("Beware:", "for 1,800 devices, and 712 were let in", "about 600", "The share was changed in this time", "12.5 % 800 100 100 50 % 1,000 612 500", "do not come from the same days")

		file := viewer.get(path + "export.csv?days=7").is(http.StatusOK)
		want := "\ufeffDay (UTC),Group,Share that was set,Devices that asked,Devices that opened a chat,Chats opened,Messages sent,Chats answered,\"Wait for the first answer, minutes\"\r\n" +
			now.AddDate(0, 0, -2).Format(time.DateOnly) + ",With the chat,12.5 %,100,0,0,0,0,\r\n" + now.AddDate(0, 0, -2).Format(time.DateOnly) + ",Without the chat,12.5 %,700,0,0,0,0,\r\n" +
			now.Format(time.DateOnly) + ",With the chat,50 %,612,1,1,1,0,\r\n" + now.Format(time.DateOnly) + ",Without the chat,50 %,388,0,0,0,0,\r\n"
		if file.body != want || !strings.HasPrefix(file.header.Get("Content-Type"), "text/csv") || !strings.Contains(file.header.Get("Content-Disposition"), "north-") {
			t.Errorf("%q\n%v", file.body, file.header)
		}
		viewer.get("/admin/regions/south/experiment/export.csv").is(http.StatusNotFound)
	})
}

// A change of the percentage, by hand or by plan, is no alarm: each device is
// expected by the share that held when it asked. What nobody wrote down is not
// guessed, and where all or none were let in, nothing is judged.
func TestExperimentAcrossChanges(t *testing.T) {
	w := oneWorld(t)
	viewer := w.person("viewer", staff.Viewer, w.north)
	const path = "/admin/regions/north/experiment/?days=7"
	now, next := time.Now().UTC(), 0
	ask := func(daysAgo int, percentage float64, in, out int) {
		var all []bridge.Exposure
		at := now.AddDate(0, 0, -daysAgo)
		for i := range in + out {
			next++
			all = append(all, bridge.Exposure{
				Region: w.north.ID, Device: w.app.Hasher.Hash(fmt.Sprint(next)), Day: at.Format(time.DateOnly), Served: i < in, Reason: gate.ReasonBucket, At: at, Percentage: percentage,
			})
		}
		if err := w.app.Store.RecordExposures(w.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	ask(4, 0, 0, 30)
	ask(0, 100, 50, 0)
	viewer.get(path).is(http.StatusOK).says("No lot was drawn in this time", "0 % 30 0 0 100 % 50 50 50").lacks("Beware", "%!")
	ask(3, 10, 41, 359)
	ask(2, 50, 205, 195)
	ask(1, 50, 98, 102)
	page := viewer.get(path).is(http.StatusOK).says("A lot was drawn for 1,000 devices, and 344 were let in", "about 340. That fits", "0 % 30 0 0 10 % 400 41 40 50 % 600 303 300 100 % 50 50 50")
	page.lacks("Beware", "%!", "it is not known")

	db, err := sql.Open("sqlite", strings.TrimPrefix(w.database, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("UPDATE exposures SET percentage = NULL WHERE percentage = 1000"); err != nil {
		t.Fatal(err)
	}
	viewer.get(path).is(http.StatusOK).says("A lot was drawn for 600 devices, and 303 were let in", "For 400 devices it is not known which share held").lacks("Beware")
}

// The list shows states and times, and neither words nor devices; a device is
// found by what somebody types in, which is then in no address.
func TestChatsAreListedWithoutContents(t *testing.T) {
	eachWorld(t, func(w *world) {
		viewer, admin := w.person("viewer", staff.Viewer, w.north), w.person("admin", staff.RegionAdmin, w.north)
		const path = "/admin/regions/north/chats/"
		viewer.get(path).is(http.StatusOK).says("Nobody has begun a chat here yet")
		viewer.get(path + "?filter=trouble").is(http.StatusOK).says("Nothing is stuck")
		for i := range 120 {
			w.chat(w.north, fmt.Sprintf("device-%d", i), "secret words")
		}
		w.chat(w.south, "elsewhere", "secret words")
		seen := make(map[string]bool)
		next, pages := path+"?filter=waiting", 0
		link := regexp.MustCompile(`href="([^"]+)" rel="next"`)
		for ; next != ""; pages++ {
			page := viewer.get(next).is(http.StatusOK).says("no ticket yet", "waits for an answer: less than a minute").lacks("secret", "device-1", "alias", "/erase/", "/close/")
			for _, id := range regexp.MustCompile(`<th scope="row">(\d+)</th>`).FindAllStringSubmatch(page.body, -1) {
				if seen[id[1]] {
					t.Errorf("chat %s is on two pages", id[1])
				}
				seen[id[1]] = true
			}
			next = ""
			if m := link.FindStringSubmatch(page.body); m != nil {
				next = strings.ReplaceAll(m[1], "&amp;", "&")
			}
		}
		if len(seen) != 120 || pages != 3 {
			t.Errorf("%d chats on %d pages", len(seen), pages)
		}
		admin.get(path).is(http.StatusOK).says("Close", "Erase")
		for _, hostile := range []string{"?after=1.2.3", "?after=-1.-1", "?after=%00", "?filter=nothing", "?after=99999999999999999999.1"} {
			viewer.get(path + hostile).is(http.StatusOK).lacks("nothing stuck")
		}

		viewer.post(path, url.Values{"device": {" device-7 "}}).is(http.StatusOK).says("Chats of this device", "waits for an answer").lacks("device-7")
		viewer.post(path, url.Values{"device": {"elsewhere"}}).is(http.StatusOK).says("No chat of this device is stored here")
		for _, wrong := range []string{"", "a b", "<script>", strings.Repeat("a", 201)} {
			viewer.post(path, url.Values{"device": {wrong}}).is(http.StatusUnprocessableEntity).says("This is no number of a device").lacks("<script>a", "a b")
		}
	})
}

// Closing and erasing ask once more, need the right, and are noted.
func TestClosingAndErasing(t *testing.T) {
	eachWorld(t, func(w *world) {
		viewer, admin, other := w.person("viewer", staff.Viewer, w.north), w.person("admin", staff.RegionAdmin, w.north), w.person("other", staff.RegionAdmin, w.south)
		chat := w.chat(w.north, "a", "hello").History.Chat.ID
		path := func(action string) string { return fmt.Sprintf("/admin/regions/north/chats/%d/%s/", chat, action) }
		for _, action := range []string{"close", "erase"} {
			viewer.get(path(action)).is(http.StatusForbidden)
			viewer.post(path(action), nil).is(http.StatusForbidden)
			other.post(path(action), nil).is(http.StatusNotFound)
			other.post(fmt.Sprintf("/admin/regions/south/chats/%d/%s/", chat, action), nil).is(http.StatusNotFound)
			admin.get(path(action)).is(http.StatusOK)
			admin.do(http.MethodPost, path(action), url.Values{}, http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}).is(http.StatusForbidden)
			admin.get("/admin/regions/north/chats/none/" + action + "/").is(http.StatusNotFound)
			admin.get("/admin/regions/north/chats/99999/" + action + "/").is(http.StatusNotFound)
		}
		admin.get("/admin/regions/north/").says("Waiting for an answer 1")
		admin.post(path("close"), nil).is(http.StatusConflict).says("still on its way to Zammad")
		w.carry(0)
		admin.post(path("close"), nil).leads("/admin/regions/north/chats/?done=closed")
		admin.get("/admin/regions/north/chats/?done=closed").says("The chat is closed")
		admin.get("/admin/regions/north/").says("Everybody has an answer")

		inZammad := w.chat(w.north, "b", "hello").History.Chat.ID
		w.carry(7)
		admin.post(fmt.Sprintf("/admin/regions/north/chats/%d/close/", inZammad), nil).is(http.StatusBadGateway).lacks("dial", "127.0.0.1:1")

		page := admin.post(path("erase"), nil).is(http.StatusOK).says("Everything here is erased", "This is the receipt")
		receipt := regexp.MustCompile(`<strong>([A-Z2-7]{26})</strong>`).FindStringSubmatch(page.body)
		if receipt == nil {
			t.Fatal("there is no receipt")
		}
		if a := w.stranger().get("/api/v3/north/erasures/" + receipt[1] + "/").is(http.StatusOK); !strings.Contains(a.body, `"state"`) {
			t.Errorf("the receipt is unknown: %s", a.body)
		}
		admin.post(path("erase"), nil).is(http.StatusNotFound)
		admin.get("/admin/regions/north/chats/").is(http.StatusOK).lacks(receipt[1], fmt.Sprintf("/chats/%d/", chat))
		audit, err := w.app.Store.Audit(t.Context(), bridge.AuditQuery{Regions: []bridge.RegionID{w.north.ID}, Limit: 2})
		if err != nil || len(audit) != 2 || audit[0].Action != "device.erase" || audit[1].Action != "chat.close" || audit[0].Actor.Name != "admin" {
			t.Errorf("%+v, %v", audit, err)
		}
	})
}
