package admin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// refused stores messages of as many devices in a region, lets them be set aside,
// and gives their letters. It takes the lanes from the pump that runs beside it,
// by a clock that is ahead.
func (w *world) refused(r *bridge.Region, reason string, devices int) (ids []bridge.WorkID) {
	w.Helper()
	ctx, ahead := w.Context(), time.Now().Add(24*time.Hour)
	var hash bridge.DeviceHash
	copy(hash[:], uuid.NewString())
	for i := range devices {
		hash[31] = byte(i)
		if _, err := w.app.Store.Accept(ctx, bridge.Submission{
			Region: r, Device: hash, Language: "de", UUID: bridge.MessageUUID(uuid.NewString()), Text: "my secret", Alias: "alias",
			Admit: func(bridge.Standing) bool { return true }, Now: time.Now().Add(-time.Hour),
		}); err != nil {
			w.Fatal(err)
		}
	}
	claims, err := w.app.Store.ClaimLanes(ctx, r.Desk, ahead, ahead.Add(time.Minute), devices)
	if err != nil || len(claims) != devices {
		w.Fatal(claims, err)
	}
	for _, c := range claims {
		for {
			work, err := w.app.Store.Start(ctx, c, ahead)
			if err != nil {
				w.Fatal(err)
			}
			if work == nil {
				break
			}
			o := bridge.Outcome{Work: work.ID}
			if work.Kind == bridge.WorkMessage {
				o.Failed = &bridge.Failed{Code: bridge.FailRefused, Reason: reason, ErrorID: "4F2A99"}
			}
			if _, err := w.app.Store.Finish(ctx, c, o, ahead); err != nil {
				w.Fatal(err)
			}
		}
	}
	letters, err := w.app.Store.Letters(ctx, bridge.LetterQuery{Region: r.ID})
	if err != nil {
		w.Fatal(err)
	}
	for _, l := range letters {
		ids = append(ids, l.ID)
	}
	return ids
}

// pick gives a form in which rows are ticked.
func pick[T ~int64](ids ...T) url.Values {
	form := url.Values{}
	for _, id := range ids {
		form.Add("id", fmt.Sprint(int64(id)))
	}
	return form
}

// noted gives the actions in the audit, the newest first, but for how the world was
// made.
func (w *world) noted() (actions []string) {
	w.Helper()
	entries, err := w.app.Store.Audit(w.Context(), bridge.AuditQuery{Limit: 1000})
	if err != nil {
		w.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Action, "staff.") && e.Action != "region.add" {
			actions = append(actions, e.Actor.Name+" "+e.Action)
		}
	}
	return actions
}

// left counts the letters of a region.
func (w *world) left(r *bridge.Region) int {
	w.Helper()
	counts, err := w.app.Store.LetterCounts(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return counts[r.ID]
}

func TestLettersAreRetriedAndDropped(t *testing.T) {
	eachWorld(t, func(w *world) {
		t := w.T
		eva := w.person("eva", staff.RegionAdmin, w.north)
		eva.get("/admin/regions/north/letters/").is(http.StatusOK).says("Nothing is left behind").lacks("checkbox")
		ids := w.refused(w.north, `a field is <b>missing</b>`, 3)
		foreign := w.refused(w.south, "other", 2)
		page := eva.get("/admin/regions/north/letters/").is(http.StatusOK)
		page.says("altogether: 3", "a field is <b>missing</b>", "4F2A99", "Send again").lacks("my secret", "<b>missing")
		if n := strings.Count(page.body, `type="checkbox"`); n != 3 {
			t.Errorf("%d boxes", n)
		}
		if n := strings.Count(eva.get("/admin/regions/north/letters/?all=1").body, " checked"); n != 3 {
			t.Errorf("%d boxes are ticked", n)
		}
		w.person("vera", staff.Viewer, w.north).get("/admin/regions/north/letters/").is(http.StatusOK).says("altogether: 3").lacks("checkbox", "Send again")

		// Nothing ticked, nonsense, and letters of another region.
		for _, form := range []url.Values{nil, {"id": {"x", "-1", "0", ""}}} {
			eva.post("/admin/regions/north/letters/retry/", form).is(http.StatusUnprocessableEntity).says("Tick at least one")
			eva.post("/admin/regions/north/letters/drop/", form).is(http.StatusUnprocessableEntity)
		}
		for _, verb := range []string{"retry", "drop"} {
			eva.post("/admin/regions/north/letters/"+verb+"/", pick(foreign...)).is(http.StatusNotFound).says("not here any more")
		}
		if w.left(w.south) != 2 || w.left(w.north) != 3 || len(w.noted()) != 0 {
			t.Fatalf("something was changed: %v", w.noted())
		}

		// Dropping asks once more.
		ask := eva.get("/admin/regions/north/letters/drop/?" + pick(ids[0]).Encode()).is(http.StatusOK)
		ask.says("Drop messages?", "cannot be undone", "Number: 1")
		if w.left(w.north) != 3 {
			t.Error("asking has dropped it")
		}
		eva.get("/admin/regions/north/letters/drop/").is(http.StatusUnprocessableEntity)
		eva.post("/admin/regions/north/letters/drop/", pick(ids[0])).leads("/admin/regions/north/letters/?done=dropped")
		eva.post("/admin/regions/north/letters/retry/", pick(ids...)).leads("/admin/regions/north/letters/?done=retried")
		eva.get("/admin/regions/north/letters/?done=retried").says("on their way again")
		eva.post("/admin/regions/north/letters/retry/", pick(ids...)).is(http.StatusNotFound)
		if got := fmt.Sprint(w.noted()); got != "[eva letter.retry eva letter.drop]" || w.left(w.north) != 0 {
			t.Errorf("%s, %d left", got, w.left(w.north))
		}
	})
}

func TestLettersArePaged(t *testing.T) {
	w := oneWorld(t)
	ids := w.refused(w.north, "no", 53)
	eva := w.person("eva", staff.RegionAdmin, w.north)
	first := eva.get("/admin/regions/north/letters/")
	if n := strings.Count(first.body, `type="checkbox"`); n != 50 {
		t.Errorf("%d boxes", n)
	}
	next := fmt.Sprintf("/admin/regions/north/letters/?after=%d", ids[49])
	if !strings.Contains(first.body, `href="`+next+`"`) {
		t.Errorf("the first page does not lead to %s", next)
	}
	second := eva.get(next).says("altogether: 53").lacks("Next page")
	if n := strings.Count(second.body, `type="checkbox"`); n != 3 {
		t.Errorf("%d boxes", n)
	}
	// More than a page has was not ticked on a page.
	eva.post("/admin/regions/north/letters/drop/", pick(ids...)).is(http.StatusSeeOther)
	if w.left(w.north) != 3 {
		t.Errorf("%d left", w.left(w.north))
	}
}

func TestDeliveriesAreTriedAndDropped(t *testing.T) {
	eachWorld(t, func(w *world) {
		t := w.T
		ctx := t.Context()
		eva := w.person("eva", staff.RegionAdmin, w.north)
		eva.get("/admin/regions/north/deliveries/").is(http.StatusOK).says("Zammad has told nothing")
		// The relay runs beside the test, so they are held in its place.
		add := func(r *bridge.Region, key string) bridge.DeliveryID {
			t.Helper()
			if _, err := w.app.Store.StoreDelivery(ctx, bridge.Delivery{Region: r.ID, Key: key, Body: []byte("my secret"), Received: time.Now().Add(24 * time.Hour)}); err != nil {
				t.Fatal(err)
			}
			list, err := w.app.Store.Deliveries(ctx, bridge.DeliveryQuery{Region: r.ID, Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			return list[0].ID
		}
		given, waits, foreign := add(w.north, "1"), add(w.north, "2"), add(w.south, "1")
		ahead := time.Now().Add(25 * time.Hour)
		if _, err := w.app.Store.ClaimDeliveries(ctx, "c", ahead, ahead.Add(time.Minute), 3); err != nil {
			t.Fatal(err)
		}
		if err := w.app.Store.FinishDelivery(ctx, "c", given, bridge.DeliveryFailed, ahead); err != nil {
			t.Fatal(err)
		}
		for _, id := range []bridge.DeliveryID{waits, foreign} {
			if err := w.app.Store.RetryDelivery(ctx, "c", id, ahead, "the desk is <i>away</i>"); err != nil {
				t.Fatal(err)
			}
		}

		eva.get("/admin/regions/north/deliveries/").says("Given up", "Waits", "the desk is <i>away</i>").lacks("my secret", "<i>")
		eva.get("/admin/regions/north/deliveries/?state=failed").says("Given up; the ticket is read").lacks("the desk is")
		eva.get("/admin/regions/north/deliveries/?state=waiting").says("the desk is").lacks("the ticket is read without it")
		w.person("vera", staff.Viewer, w.north).get("/admin/regions/north/deliveries/").says("Given up").lacks("checkbox")
		for _, verb := range []string{"retry", "drop"} {
			eva.post("/admin/regions/north/deliveries/"+verb+"/", nil).is(http.StatusUnprocessableEntity).says("Tick at least one")
			eva.post("/admin/regions/north/deliveries/"+verb+"/", pick(foreign)).is(http.StatusNotFound).says("nothing left to do")
		}
		eva.post("/admin/regions/north/deliveries/retry/", pick(given)).is(http.StatusNotFound)
		if len(w.noted()) != 0 {
			t.Fatalf("%v", w.noted())
		}
		eva.get("/admin/regions/north/deliveries/drop/?"+pick(given, waits).Encode()).says("Drop messages from Zammad?", "Number: 2")
		eva.post("/admin/regions/north/deliveries/drop/", pick(given)).leads("/admin/regions/north/deliveries/?done=dropped")
		eva.post("/admin/regions/north/deliveries/retry/", pick(waits)).leads("/admin/regions/north/deliveries/?done=retried")
		if got := fmt.Sprint(w.noted()); got != "[eva delivery.retry eva delivery.drop]" {
			t.Error(got)
		}
		eva.get("/admin/regions/north/deliveries/?state=all").says("Dropped by somebody")
	})
}
