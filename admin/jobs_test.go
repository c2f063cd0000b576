package admin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/browsertest"
	"deskbridge/staff"
)

// eventually waits until a page has a word.
func (b *browser) eventually(path, word string) answer {
	b.w.Helper()
	deadline := time.After(20 * time.Second)
	for {
		a := b.get(path).is(http.StatusOK)
		if strings.Contains(a.text(), word) {
			return a
		}
		select {
		case <-deadline:
			b.w.Fatalf("%s still does not say %q:\n%s", path, word, a.text())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func TestJobsAreStartedAndRecorded(t *testing.T) {
	eachWorld(t, func(w *world) {
		t := w.T
		otto := w.person("otto", staff.Operator)
		otto.get("/admin/jobs/").is(http.StatusOK).says("prune", "Removes what is older", "reconcile", "No run is recorded yet", "Run now", "Trial")
		otto.post("/admin/jobs/run/", url.Values{"job": {"prune"}, "dry_run": {"on"}}).leads("/admin/jobs/?done=started")
		otto.eventually("/admin/jobs/", "Trial. It would do: nothing")
		again := otto.post("/admin/jobs/run/", url.Values{"job": {"prune"}})
		for again.status == http.StatusConflict { // the record comes a moment before the end
			again = otto.post("/admin/jobs/run/", url.Values{"job": {"prune"}})
		}
		again.leads("/admin/jobs/?done=started")
		otto.eventually("/admin/jobs/?job=prune", "Last runs: prune Runs of all jobs What the runs did")
		otto.eventually("/admin/jobs/?job=prune", "Nothing to do.")

		// Another instance has it.
		now := time.Now()
		for mine := false; !mine; {
			var err error
			if mine, err = w.app.Store.LeaseRun(t.Context(), "prune", "another", false, now, now.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			now = time.Now()
		}
		page := otto.get("/admin/jobs/").says("Is running")
		if !strings.Contains(page.body, `hx-trigger="every 2s"`) {
			t.Error("the page does not look again")
		}
		part := otto.do(http.MethodGet, "/admin/jobs/", nil, http.Header{"Hx-Request": {"true"}}).is(http.StatusOK).says("Is running").lacks("<html")
		if !strings.Contains(part.body, `id="state"`) {
			t.Error(part.body)
		}
		for range 2 {
			otto.post("/admin/jobs/run/", url.Values{"job": {"prune"}}).is(http.StatusConflict).says("prune is running already", "It was not started again")
		}
		otto.post("/admin/jobs/run/", url.Values{"job": {"nonsense"}}).is(http.StatusNotFound)
		otto.post("/admin/jobs/run/", nil).is(http.StatusNotFound)
		if got := fmt.Sprint(w.noted()); got != "[deskbridge job.run otto job.run otto job.run]" {
			t.Error(got)
		}
		runs, err := w.app.Store.Runs(t.Context(), bridge.RunQuery{Job: "prune", Limit: 9})
		if err != nil || len(runs) != 2 || runs[0].DryRun || !runs[1].DryRun {
			t.Errorf("%+v, %v", runs, err)
		}
		w.person("eva", staff.RegionAdmin, w.north).get("/admin/jobs/").is(http.StatusForbidden)
	})
}

// The page of a job that runs looks by itself whether it still does.
func TestTheJobsPageFollowsARun(t *testing.T) {
	browser := browsertest.New(t)
	w := oneWorld(t)
	now := time.Now()
	if mine, err := w.app.Store.LeaseRun(t.Context(), "prune", "another", true, now, now.Add(time.Hour)); err != nil || !mine {
		t.Fatal(mine, err)
	}
	p := w.open(browser, w.person("otto", staff.Operator), "/admin/jobs/")
	p.Shows("li", "Is running")
	if err := w.app.Store.RecordRun(t.Context(), bridge.JobRun{Job: "prune", DryRun: true, Started: now, Ended: now.Add(time.Second), Counts: map[string]int{"chats": 4711}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.app.Store.Lease(t.Context(), bridge.RunLease+"prune", "another", time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	p.Shows("td", "Chats: 4,711")
	p.Wait(`!document.body.innerText.includes("Is running") && !one("[hx-trigger]")`)
	p.Pictures("console-jobs")
}

// What a trial would remove stands in its record, in words.
func TestATrialSaysWhatItWouldRemove(t *testing.T) {
	w := oneWorld(t)
	if err := w.app.Store.RecordRun(t.Context(), bridge.JobRun{
		Job: "prune", DryRun: true, Started: time.Now(), Ended: time.Now(), Counts: map[string]int{"chats": 1234, "messages": 0, "<b>x</b>": 2},
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.app.Store.RecordRun(t.Context(), bridge.JobRun{Job: "reconcile", Started: time.Now(), Ended: time.Now(), Error: "<script>alert(1)</script>"}); err != nil {
		t.Fatal(err)
	}
	w.person("otto", staff.Operator).get("/admin/jobs/").says("Trial. It would do:", "Chats: 1,234", "<b>x</b>: 2", "Failed:", "<script>alert(1)</script>").lacks("<b>x", "alert(1)</script>", "Messages: 0")
}

func TestRunsArePaged(t *testing.T) {
	w := oneWorld(t)
	for i := range 30 {
		if err := w.app.Store.RecordRun(t.Context(), bridge.JobRun{Job: "prune", Started: time.Now(), Ended: time.Now(), Counts: map[string]int{fmt.Sprintf("n%d-", i): 1}}); err != nil {
			t.Fatal(err)
		}
	}
	otto := w.person("otto", staff.Operator)
	runs, err := w.app.Store.Runs(t.Context(), bridge.RunQuery{Limit: 25})
	if err != nil {
		t.Fatal(err)
	}
	next := fmt.Sprintf("/admin/jobs/?before=%d&amp;job=", runs[24].ID)
	page := otto.get("/admin/jobs/").says("n29-", "n5-").lacks("n4-")
	if !strings.Contains(page.body, next) {
		t.Errorf("it does not lead to %s", next)
	}
	otto.get(strings.ReplaceAll(next, "&amp;", "&")).says("n4-", "n0-").lacks("n5-")
}
