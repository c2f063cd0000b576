package admin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"deskbridge/author"
	"deskbridge/bridge"
	"deskbridge/staff"
)

// teamRoom gives the address of a room that a person sees: by its kind, and its
// region if it is one's.
func (w *world) teamRoom(b *browser, kind author.Kind, region bridge.RegionID) string {
	w.Helper()
	views, err := w.app.Team.Rooms(w.Context(), b.person)
	if err != nil {
		w.Fatal(err)
	}
	for _, v := range views {
		if v.Kind == kind && v.Region == region {
			return fmt.Sprintf("/admin/team/rooms/%d/", v.ID)
		}
	}
	w.Fatalf("no room %s %d", kind, region)
	return ""
}

// deleteLink finds the links of a page that ask to delete a message.
var deleteLink = regexp.MustCompile(`/admin/team/rooms/\d+/messages/\d+/delete/`)

// thread opens the thread of two, and gives its address.
func (w *world) teamThread(b, other *browser) string {
	w.Helper()
	a := b.post("/admin/team/threads/", url.Values{"person": {fmt.Sprint(other.person.ID)}}).is(http.StatusSeeOther)
	return a.header.Get("Location")
}

// write is the form of a room; the same text has the same key.
func write(text string) url.Values {
	return url.Values{"text": {text}, "key": {fmt.Sprintf("%.80s", url.QueryEscape(text)+"-")}}
}

// TestTeamByForms: everything works by forms alone.
func TestTeamByForms(t *testing.T) {
	eachWorld(t, func(w *world) {
		boss := w.person("boss", staff.Operator)
		ann, bob := w.person("ann", staff.RegionAdmin, w.north), w.person("bob", staff.Viewer, w.north)
		ann.get("/admin/team/").is(http.StatusOK).says("Everybody", "North", "None yet", "Person bob", "Person boss").lacks("South", "Person ann</bdi></button>")
		room := w.teamRoom(ann, author.KindRegion, w.north.ID)
		ann.get(room).is(http.StatusOK).says("Nobody has written here yet")
		ann.post(room, write("hello <b>all</b> https://a.example/x")).leads(room + "#end")
		ann.post(room, write("hello <b>all</b> https://a.example/x")).leads(room + "#end") // sent twice
		bob.get("/admin/").says("Team chat 1 1 unread")
		bob.get("/admin/team/").says("North 1 1 unread")
		page := bob.get(room).is(http.StatusOK).says("Person ann", "hello <b>all</b>").lacks("<b>all")
		if strings.Count(page.body, "<article") != 1 || !strings.Contains(page.body, `<a href="https://a.example/x" rel="noopener noreferrer" target="_blank">`) {
			t.Errorf("not one message with a link:\n%s", page.body)
		}
		bob.get("/admin/").says("Team chat").lacks("1 unread")
		if deleteLink.MatchString(page.body) {
			t.Error("a viewer is offered to delete what others wrote")
		}
		bob.post(room, write("answer")).leads(room + "#end")
		mine := ann.get(room).says("You", "answer")
		links := deleteLink.FindAllString(mine.body, -1)
		if len(links) != 2 {
			t.Fatalf("an admin may delete both, and is offered %v", links)
		}
		ann.get(links[1]).is(http.StatusOK).says("Delete the message?", "answer", "not yours")
		ann.get(links[1]).lacks("hello")
		bob.post(links[0], nil).is(http.StatusForbidden)
		ann.post(links[1], url.Values{}).leads(room + "?done=deleted")
		ann.get(room + "?done=deleted").says("The message is deleted.").lacks("answer")
		ann.get(links[1]).is(http.StatusNotFound)
		entries, err := w.app.Store.Audit(t.Context(), bridge.AuditQuery{Action: "author.", Limit: 9})
		if err != nil || len(entries) != 1 || entries[0].Actor.Name != "ann" {
			t.Errorf("%v, %v", entries, err)
		}
		for text, want := range map[string]string{"": "Please write something.", strings.Repeat("x", 4001): "too long", "\xff": "cannot be stored"} {
			ann.post(room, write(text)).says(want)
		}
		boss.get(room).is(http.StatusOK)
	})
}

// TestTeamThreadsAreOfTwo: for everybody else, operators too, there is nothing.
func TestTeamThreadsAreOfTwo(t *testing.T) {
	eachWorld(t, func(w *world) {
		boss := w.person("boss", staff.Operator)
		ann, bob := w.person("ann", staff.RegionAdmin, w.north), w.person("bob", staff.Viewer, w.south)
		thread := w.teamThread(ann, bob)
		if again := w.teamThread(bob, ann); again != thread {
			t.Errorf("two threads: %s, %s", thread, again)
		}
		ann.post(thread, write("between us")).leads(thread + "#end")
		link := deleteLink.FindString(ann.get(thread).is(http.StatusOK).says("Person bob", "between us").body)
		bob.get("/admin/team/").says("Person ann 1 1 unread")
		bob.get(thread).is(http.StatusOK).says("Person ann", "between us")
		bob.get(link).is(http.StatusForbidden)
		for _, b := range []*browser{boss, w.person("cleo", staff.RegionAdmin, w.north, w.south)} {
			b.get("/admin/team/").lacks("between us", thread)
			b.get(thread).is(http.StatusNotFound)
			b.post(thread, write("x")).is(http.StatusNotFound)
			b.post(thread+"read/", url.Values{"seq": {"1"}}).is(http.StatusNotFound)
			b.get(link).is(http.StatusNotFound)
			b.post(link, url.Values{}).is(http.StatusNotFound)
		}
		changed := *bob.person
		changed.Disabled = true
		if err := w.app.Accounts.Change(t.Context(), *bob.person, changed); err != nil {
			t.Fatal(err)
		}
		ann.get(thread).is(http.StatusOK).says("Nobody can write here any more", "between us").lacks("<textarea")
		ann.post(thread, write("x")).is(http.StatusConflict).says("Nobody can write here any more")
		ann.post(link, url.Values{}).is(http.StatusConflict)
		ann.get("/admin/team/").says("can only be read")
	})
}

// TestTeamHasNothingForOthers: nobody signed in, foreign regions, paths that are
// none, foreign pages.
func TestTeamHasNothingForOthers(t *testing.T) {
	w := oneWorld(t)
	ann, boss := w.person("ann", staff.RegionAdmin, w.north), w.person("boss", staff.Operator)
	south := w.teamRoom(boss, author.KindRegion, w.south.ID)
	north := w.teamRoom(ann, author.KindRegion, w.north.ID)
	w.stranger().get(south).leads("/admin/sign-in/?next=" + url.QueryEscape(south))
	ann.get(south).is(http.StatusNotFound)
	ann.post(south, write("x")).is(http.StatusNotFound)
	for _, path := range []string{"rooms/0/", "rooms/-1/", "rooms/x/", "rooms/999999/", "rooms/99999999999999999999/"} {
		ann.get("/admin/team/" + path).is(http.StatusNotFound)
	}
	ann.get(north + "?before=x").is(http.StatusNotFound)
	ann.get(north + "?before=-1").is(http.StatusNotFound)
	ann.get(north + "messages/x/delete/").is(http.StatusNotFound)
	for _, person := range []string{"", "x", "0", "999", fmt.Sprint(ann.person.ID)} {
		if a := ann.post("/admin/team/threads/", url.Values{"person": {person}}); a.status < 400 || a.status >= 500 {
			t.Errorf("a thread with %q: %d", person, a.status)
		}
	}
	for _, header := range []http.Header{{"Origin": {"https://evil.example"}}, {"Sec-Fetch-Site": {"cross-site"}}} {
		ann.do(http.MethodPost, north, write("x"), header).is(http.StatusForbidden)
	}
	ann.get("/admin/team/socket/").is(http.StatusUpgradeRequired)
	ann.post(north+"read/", url.Values{"seq": {"-1"}}).is(http.StatusBadRequest)
	ann.post(north+"read/", url.Values{"seq": {"5"}}).is(http.StatusNoContent)
	ann.get(north).says("Nobody has written here yet")
}

// TestTeamHistoryIsPaged, the newest page first and each with its newest message
// at the bottom.
func TestTeamHistoryIsPaged(t *testing.T) {
	w := oneWorld(t)
	ann := w.person("ann", staff.Viewer)
	room := w.teamRoom(ann, author.KindAll, 0)
	for i := range author.PageSize + 3 {
		ann.post(room, write(fmt.Sprintf("number-%02d", i))).leads(room + "#end")
	}
	page := ann.get(room).says("number-03", "number-52").lacks("number-02")
	words := strings.Fields(page.text())
	if slices.Index(words, "number-03") > slices.Index(words, "number-52") {
		t.Error("the newest is not at the bottom")
	}
	older := regexp.MustCompile(`\?before=\d+`).FindString(page.body)
	ann.get(room+older).says("number-00", "number-02", "To the newest messages").lacks("number-03", "data-team", "<textarea")
}

// TestTeamIsPruned by the job prune, after as many days as are set; what waits for
// the job is not shown any more.
func TestTeamIsPruned(t *testing.T) {
	w := oneWorld(t, "DESKBRIDGE_AUTHOR_DAYS=3")
	ann, bob := w.person("ann", staff.Viewer), w.person("bob", staff.Viewer)
	thread := w.teamThread(ann, bob)
	views, err := w.app.Team.Rooms(t.Context(), ann.person)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range views {
		for days, text := range map[int]string{4: "too old", 2: "young"} {
			if v.Kind == author.KindThread && days == 2 {
				continue
			}
			draft := author.Draft{Room: v.ID, By: author.Colleague{ID: bob.person.ID, Name: "Bob"}, Text: text, Now: time.Now().AddDate(0, 0, -days)}
			if _, _, err := w.app.Store.Author().Add(t.Context(), draft); err != nil {
				t.Fatal(err)
			}
		}
	}
	room := w.teamRoom(ann, author.KindAll, 0)
	ann.get("/admin/team/").says("Everybody 1 1 unread")
	ann.get(room).says("young").lacks("too old")
	ann.get(thread).says("Nobody has written here yet")
	for _, dry := range []bool{true, false} {
		run, err := w.app.Jobs.RunNow(t.Context(), "prune", dry)
		if err != nil || run.Counts["author_messages"] != 2 || run.Counts["author_threads"] != 1 {
			t.Fatalf("dry %v: %v, %v", dry, run.Counts, err)
		}
	}
	ann.get(room).says("young")
	ann.get(thread).is(http.StatusNotFound)
	bob.get("/admin/team/").says("None yet")
}
