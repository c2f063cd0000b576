package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"deskbridge/staff"
)

const (
	boxName     = "document.bounding_box"
	aliasesName = "document.aliases"
)

// TestAliasesAndAreaReachTheApp: what is typed is in the region's document, empty
// takes it away, and what a program has written otherwise stays as it is while
// other fields are saved.
func TestAliasesAndAreaReachTheApp(t *testing.T) {
	eachWorld(t, func(w *world) {
		admin := w.person("admin", staff.RegionAdmin, w.north)
		document := func() (d struct {
			Aliases map[string]any `json:"aliases"`
			Box     [][]float64    `json:"bounding_box"`
		}) {
			w.Helper()
			var all []json.RawMessage
			if err := json.Unmarshal([]byte(w.stranger().get("/api/v3/regions/").is(http.StatusOK).body), &all); err != nil {
				w.Fatal(err)
			}
			for _, raw := range all {
				if strings.Contains(string(raw), `"north"`) {
					if err := json.Unmarshal(raw, &d); err != nil {
						w.Fatal(err)
					}
				}
			}
			return d
		}
		admin.save("app", url.Values{
			"document.live": {"on"}, boxName: {"10,7", "48.3", "11", "48.5"},
			aliasesName: {"{\r\n \"Zü<b>rich & \\\"x\\\"\": {\"longitude\": 1.5, \"more\": [1, null]},\r\n \"A\": 1\r\n}"},
		}).leads(northSettings + "app/?done=saved")
		want := map[string]any{"A": 1.0, `Zü<b>rich & "x"`: map[string]any{"longitude": 1.5, "more": []any{1.0, nil}}}
		got := document()
		if d := cmp.Diff(want, got.Aliases); d != "" || fmt.Sprint(got.Box) != "[[10.7 48.3] [11 48.5]]" {
			w.Errorf("%v %s", got.Box, d)
		}
		page := admin.get(northSettings + "app/").is(http.StatusOK).lacks("<b>rich")
		if shown := unescape(page.field(aliasesName)); shown != "{\n  \"A\": 1,\n  \"Zü<b>rich & \\\"x\\\"\": {\"longitude\":1.5,\"more\":[1,null]}\n}" {
			w.Errorf("shown: %s", shown)
		}
		for _, edge := range []string{`id="f-document.bounding_box-west"`, `value="10.7"`, `value="48.3"`, `value="11"`, `value="48.5"`} {
			if !strings.Contains(page.body, edge) {
				w.Errorf("the page has no %s", edge)
			}
		}
		version := w.kept(w.north).Version
		admin.saveAsShown("app")
		if now := w.kept(w.north); now.Version != version {
			w.Errorf("saving what is shown changed something: %+v", w.notes(w.north)[0].Changes)
		}
		// Corners that a program gave the other way round, and a line, are shown, and stay.
		for _, corners := range [][][2]float64{{{11, 48.3}, {10.7, 48.5}}, {{10, 48}, {10, 48}}} {
			next := *w.kept(w.north)
			next.Settings.Document.BoundingBox = corners
			if err := w.app.Store.SaveRegion(w.Context(), &next); err != nil {
				w.Fatal(err)
			}
			admin.saveAsShown("app")
			if now := w.kept(w.north); now.Version != next.Version || !cmp.Equal(now.Settings.Document.BoundingBox, corners) {
				w.Errorf("%v became %v", corners, now.Settings.Document.BoundingBox)
			}
		}
		admin.save("app", url.Values{"document.live": {"on"}, boxName: {"", "", "", ""}, aliasesName: {" \r\n"}}).is(http.StatusSeeOther)
		if now := w.kept(w.north).Settings.Document; now.Aliases != nil || now.BoundingBox != nil {
			w.Errorf("%+v", now)
		}
		if got := document(); len(got.Aliases) != 0 || fmt.Sprint(got.Box) != "[[0 0] [0 0]]" {
			w.Errorf("%+v", got)
		}
	})
}

// TestHostileAliasesAndAreas: what is no area or no JSON object is refused with
// words that help, nothing is stored, and what was typed is still there, as text.
func TestHostileAliasesAndAreas(t *testing.T) {
	w := oneWorld(t)
	admin := w.person("admin", staff.RegionAdmin, w.north)
	before := w.kept(w.north).Version
	box, line := "four numbers or none at all", func(n int) string { return fmt.Sprintf("Something in line %d is not right", n) }
	for _, c := range []struct {
		name  string
		typed []string
		says  string
	}{
		{boxName, []string{"11", "48.3", "10.7", "48.5"}, box},     // west and east exchanged
		{boxName, []string{"10.7", "48.5", "11", "48.3"}, box},     // south and north
		{boxName, []string{"10.7", "48.3", "10.7", "48.5"}, box},   // a line
		{boxName, []string{"-180.1", "48.3", "11", "48.5"}, box},   // off the earth
		{boxName, []string{"10", "-90", "11", "90.5"}, box},        //
		{boxName, []string{"10.7", "", "11", "48.5"}, box},         // one is missing
		{boxName, []string{"10.7", "48.3", "11"}, box},             // a field is missing
		{boxName, []string{"10", "48", "11", "49", "12"}, box},     // or too many
		{boxName, []string{"NaN", "NaN", "NaN", "NaN"}, box},       //
		{boxName, []string{"-Inf", "48.3", "+Inf", "48.5"}, box},   //
		{boxName, []string{"1e400", "48.3", "11", "48.5"}, box},    //
		{boxName, []string{"10.7 48.3", "", "11", "48.5"}, box},    // spaces
		{boxName, []string{`"><script>alert(1)`, "", "", ""}, box}, //
		{aliasesName, []string{`["a"]`}, line(1)},
		{aliasesName, []string{`null`}, line(1)},
		{aliasesName, []string{`"a"`}, line(1)},
		{aliasesName, []string{"{\r\n\"a\": 1\r\n\"b\": 2\r\n}"}, line(3)},
		{aliasesName, []string{"{\n\"a\": 1,\n}"}, line(3)},
		{aliasesName, []string{"{\n“a”: 1\n}"}, line(2)},
		{aliasesName, []string{`{"a": 1} {"b": 2}`}, line(1)},
		{aliasesName, []string{`{"a": 1`}, line(1)},
		{aliasesName, []string{`{"a": 1e999}`}, line(1)},
		{aliasesName, []string{`{"a": NaN}`}, line(1)},
		{aliasesName, []string{`{1: 2}`}, line(1)},
		{aliasesName, []string{strings.Repeat(`{"a":`, 20_000)}, line(1)},
		{aliasesName, []string{"{\"a\": \"\x00\"}"}, line(1)},
		{aliasesName, []string{`{"a": 1, "a": 2}`}, `"a" stands there twice`},
		{aliasesName, []string{`{"a": "` + strings.Repeat("x", 70_000) + `"}`}, "at most 65,536 characters"},
		{aliasesName, []string{"{\"a\u202eb\": 1}"}, "turn the direction of writing around"},
		{aliasesName, []string{"{\"a\": \"\u2066\"}"}, "turn the direction of writing around"},
	} {
		page := admin.save("app", url.Values{c.name: c.typed}).is(http.StatusUnprocessableEntity).says(c.says, "Not saved yet")
		page.lacks("<script>alert")
		if c.name == boxName && len(c.typed) == 4 && !strings.Contains(strings.Join(c.typed, ""), " ") && unescape(page.field(boxName)) != c.typed[0] {
			t.Errorf("%q is not there any more", c.typed)
		}
		if c.name == aliasesName && len(c.typed[0]) < 100 && unescape(page.field(aliasesName)) != strings.ReplaceAll(strings.ReplaceAll(c.typed[0], "\r\n", "\n"), "\x00", "\ufffd") {
			t.Errorf("%q is %q now", c.typed, page.field(aliasesName))
		}
	}
	if now := w.kept(w.north); now.Version != before {
		t.Errorf("something was saved: %+v", now.Settings.Document)
	}
	admin.save("app", url.Values{aliasesName: {`{"<script>alert(1)</script>": "</textarea><script>alert(1)</script>"}`}}).is(http.StatusSeeOther)
	admin.get(northSettings+"app/").is(http.StatusOK).lacks("<script>alert", "</textarea><")
}

// TestTwoAdminsSaveTheAreaAtOnce: the second is told, and sees both areas and both
// lists of names; of many in the very same moment one is taken.
func TestTwoAdminsSaveTheAreaAtOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		first, second := w.person("first", staff.RegionAdmin, w.north), w.person("second", staff.RegionAdmin, w.north)
		tag := second.get(northSettings + "app/").field("tag")
		first.save("app", url.Values{boxName: {"10", "48", "11", "49"}, aliasesName: {`{"First": 1}`}}).is(http.StatusSeeOther)
		mine := url.Values{"tag": {tag}, boxName: {"20", "48", "21", "49"}, aliasesName: {`{"Second": 2}`}}
		a := second.post(northSettings+"app/", mine).is(http.StatusConflict)
		a.says("Somebody else has saved here in the meantime", "Stored now: 10 48 11 49", `Stored now: { "First": 1 }`)
		if a.field(boxName) != "20" || unescape(a.field(aliasesName)) != `{"Second": 2}` || len(w.kept(w.north).Settings.Document.Aliases) != 1 {
			w.Errorf("typed %q and %q", a.field(boxName), a.field(aliasesName))
		}
		mine.Set("tag", a.field("tag"))
		second.post(northSettings+"app/", mine).is(http.StatusSeeOther)
		now := w.kept(w.north).Settings.Document
		if want := (map[string]any{"Second": 2.0}); !cmp.Equal(now.Aliases, want) || now.BoundingBox[0] != [2]float64{20, 48} {
			w.Errorf("%+v", now)
		}
		tag = first.get(northSettings + "app/").field("tag")
		before, statuses := len(w.notes(w.north)), make([]int, 6)
		var wait sync.WaitGroup
		for i := range statuses {
			wait.Go(func() {
				statuses[i] = first.post(northSettings+"app/", url.Values{"tag": {tag}, boxName: {fmt.Sprint(i), "1", "90", "2"}}).status
			})
		}
		wait.Wait()
		taken := 0
		for _, status := range statuses {
			if status == http.StatusSeeOther {
				taken++
			} else if status != http.StatusConflict {
				w.Errorf("status %d", status)
			}
		}
		if notes := len(w.notes(w.north)) - before; taken != 1 || notes != 1 {
			w.Errorf("%d are taken, %d noted", taken, notes)
		}
		if kept := w.kept(w.north).Settings.Document; !cmp.Equal(kept.Aliases, now.Aliases) {
			w.Errorf("a form without the names has changed them: %v", kept.Aliases)
		}
	})
}

// A program that sets one of them keeps it.
func TestManagedAliasesAndAreas(t *testing.T) {
	w := oneWorld(t)
	managed := *w.kept(w.north)
	managed.Settings.Document.BoundingBox = [][2]float64{{1, 2}, {3, 4}}
	managed.Manage("City", []string{boxName})
	if err := w.app.Store.SaveRegion(t.Context(), &managed); err != nil {
		t.Fatal(err)
	}
	admin := w.person("admin", staff.RegionAdmin, w.north)
	page := admin.get(northSettings + "app/").says("“City” sets this field")
	if n := strings.Count(page.body, `name="`+boxName+`" type="number" step="any" inputmode="decimal" value="`); n != 4 || strings.Count(page.body, " readonly") != 4 {
		t.Errorf("%d edges", n)
	}
	admin.save("app", url.Values{boxName: {"5", "6", "7", "8"}, aliasesName: {`{"a": {}}`}}).is(http.StatusSeeOther)
	if now := w.kept(w.north).Settings.Document; now.BoundingBox[0] != [2]float64{1, 2} || !cmp.Equal(now.Aliases, map[string]any{"a": map[string]any{}}) {
		t.Errorf("%+v", now)
	}
}
