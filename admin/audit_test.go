package admin_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/staff"
)

func TestTheAuditIsShownToWhoMaySeeIt(t *testing.T) {
	eachWorld(t, func(w *world) {
		t := w.T
		eva, vera := w.person("eva", staff.RegionAdmin, w.north), w.person("vera", staff.Viewer, w.north)
		both, otto := w.person("both", staff.RegionAdmin, w.north, w.south), w.person("otto", staff.Operator)
		eva.post("/admin/regions/north/letters/drop/", pick(w.refused(w.north, "no", 1)...)).is(http.StatusSeeOther)
		both.post("/admin/regions/south/letters/retry/", pick(w.refused(w.south, "no", 1)...)).is(http.StatusSeeOther)
		now := time.Now()
		if _, err := w.app.Store.LeaseRun(bridge.WithActor(t.Context(), bridge.Actor{Kind: bridge.ActorCommand, Name: "root"}), "prune", "h", true, now, now); err != nil {
			t.Fatal(err)
		}
		otto.get("/admin/audit/").says("Started a job", "Command line root", "prune", "dry_run : true", "letter.drop", "letter.retry", "South", "North")
		both.get("/admin/audit/").says("letter.drop", "letter.retry").lacks("job.run", "root")
		for _, b := range []*browser{eva, vera} {
			for _, path := range []string{"/admin/audit/", "/admin/regions/north/audit/"} {
				b.get(path).is(http.StatusOK).says("letter.drop", "eva", "count : 1", "reason : refused").lacks("letter.retry", "job.run", "South")
			}
			b.get("/admin/audit/?region=south").is(http.StatusUnprocessableEntity).says("no such region").lacks("letter.retry")
			b.get("/admin/regions/south/audit/").is(http.StatusNotFound)
			b.get("/admin/regions/south/audit/export/").is(http.StatusNotFound)
			b.get("/admin/audit/export/?region=south").is(http.StatusNotFound)
		}
		w.person("nobody", staff.Viewer).get("/admin/audit/").is(http.StatusOK).says("no entry").lacks("letter.")
		// The region of a path is not to be changed by a field.
		eva.get("/admin/regions/north/audit/?region=south").is(http.StatusOK).lacks("letter.retry")
	})
}

func TestTheAuditIsFiltered(t *testing.T) {
	w := oneWorld(t)
	eva, otto := w.person("eva", staff.RegionAdmin, w.north), w.person("otto", staff.Operator)
	ids := w.refused(w.north, "no", 2)
	eva.post("/admin/regions/north/letters/drop/", pick(ids[0])).is(http.StatusSeeOther)
	otto.post("/admin/regions/north/letters/retry/", pick(ids[1])).is(http.StatusSeeOther)
	today := time.Now().In(w.north.Settings.Reception.Zone.Location()).Format(time.DateOnly)
	for query, want := range map[string][2]bool{ // drop, retry
		"":                                     {true, true},
		"action=letter.d":                      {true, false},
		"actor=otto":                           {false, true},
		"actor=ott":                            {false, false},
		"action=%25":                           {false, false},
		"since=" + today + "&until=" + today:   {true, true},
		"until=2020-01-01":                     {false, false},
		"since=2999-01-01":                     {false, false},
		"region=north&actor=eva&action=letter": {true, false},
	} {
		for _, path := range []string{"/admin/audit/?", "/admin/regions/north/audit/?"} {
			if strings.Contains(path, "regions") && query == "since="+today+"&until="+today && today != time.Now().UTC().Format(time.DateOnly) {
				continue
			}
			page := otto.get(path + query).is(http.StatusOK)
			for i, action := range []string{"letter.drop", "letter.retry"} {
				if got := strings.Contains(page.text(), action); got != want[i] {
					t.Errorf("%s%s: %s is shown: %t", path, query, action, got)
				}
			}
		}
	}
	page := otto.get("/admin/audit/?since=yesterday&until=2026-02-30&actor=%22%3E%3Cscript%3E").is(http.StatusUnprocessableEntity)
	page.says("This is no day").lacks("<script>", "letter.drop")
	if strings.Count(page.body, `aria-invalid="true"`) != 2 || !strings.Contains(page.body, `value="yesterday"`) {
		t.Error("the form is not as it was filled in")
	}
}

func TestTheAuditIsExported(t *testing.T) {
	eachWorld(t, func(w *world) {
		t := w.T
		eva, otto := w.person("eva", staff.RegionAdmin, w.north), w.person("otto", staff.Operator)
		now := time.Now()
		const more = 120 // than fit on two pages
		for i := range more {
			name := "=HYPERLINK(1)"
			if i%2 == 0 {
				name = "plain, \"name\""
			}
			ctx := bridge.WithActor(t.Context(), bridge.Actor{Kind: bridge.ActorPerson, ID: 7, Name: name})
			if _, err := w.app.Store.LeaseRun(ctx, fmt.Sprint("job", i), "h", true, now, now); err != nil {
				t.Fatal(err)
			}
		}
		eva.post("/admin/regions/north/letters/drop/", pick(w.refused(w.north, "no", 1)...)).is(http.StatusSeeOther)

		page := otto.get("/admin/audit/?action=job.").says("job119", "job70").lacks("job69<")
		_, rest, _ := strings.Cut(page.body, `<nav class="pages"`)
		_, rest, _ = strings.Cut(rest, `href="`)
		next, _, _ := strings.Cut(rest, `"`)
		otto.get(strings.ReplaceAll(next, "&amp;", "&")).is(http.StatusOK).says("job69", "job20").lacks("job19<", "job70")
		if !strings.Contains(page.body, `href="/admin/audit/export/?action=job.&amp;format=csv"`) {
			t.Error("the export does not have the filter of the page")
		}

		a := otto.get("/admin/audit/export/?format=csv&action=job.").is(http.StatusOK)
		if got := a.header.Get("Content-Type"); got != "text/csv; charset=utf-8" {
			t.Errorf("type %q", got)
		}
		if got := a.header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment; filename=audit-20") || !strings.HasSuffix(got, ".csv") {
			t.Errorf("disposition %q", got)
		}
		plain, marked := strings.CutPrefix(a.body, "\ufeff")
		rows, err := csv.NewReader(strings.NewReader(plain)).ReadAll()
		if err != nil || !marked || len(rows) != more+1 || rows[1][7] != "job119" || rows[1][4] != "'=HYPERLINK(1)" || rows[2][4] != `plain, "name"` || rows[1][8] != "dry_run: true" {
			t.Errorf("%d rows, %v", len(rows), err)
		}
		id, err := w.app.Store.AddStaff(t.Context(), staff.Person{Login: "gerda", Name: "Gerda", Role: staff.Operator, Language: "de"}, "")
		if err != nil {
			t.Fatal(err)
		}
		german := w.stranger()
		german.signIn(id)
		if a := german.get("/admin/audit/export/?format=csv&action=job.").is(http.StatusOK); !strings.HasPrefix(a.body, "\ufeffid;at;") || !strings.Contains(a.body, ";'=HYPERLINK(1);") {
			t.Errorf("in German it begins with %.60q", a.body)
		}
		a = eva.get("/admin/regions/north/audit/export/?format=jsonl&action=letter").is(http.StatusOK)
		var e struct {
			Actor, Region, Action string
			Changes               []bridge.FieldChange
		}
		if err := json.Unmarshal([]byte(a.body), &e); err != nil || e.Actor != "eva" || e.Region != "north" || e.Action != "letter.drop" || len(e.Changes) != 2 {
			t.Errorf("%+v, %v in %s", e, err, a.body)
		}
	})
}
