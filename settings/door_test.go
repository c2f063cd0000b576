package settings_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"deskbridge/bridge"
	"deskbridge/settings"
	"deskbridge/staff"
	"deskbridge/storage/storagetest"
)

func TestPatch(t *testing.T) {
	eachWorld(t, func(w *world) {
		token := w.writer("CRM")
		before := w.read(token)
		if before.body["slug"] != "testland" || before.body["retention_days"] != 180.0 || before.body["etag"] != before.header.Get("ETag") {
			w.Fatal(before.text)
		}
		r := w.patch(token, `{"percentage": 12.5, "min_app_version": "2026.1", "gate_languages": ["de"],
			"reception": {"time_zone": "Europe/Berlin", "opening_hours": ["mo-fr 08:00-17:00"], "texts": {"de": {"away": "Morgen <b>&</b>", "role": "Beratung"}}},
			"document": {"aliases": {"Teststadt": {"latitude": 1}}, "zammad_privacy_policy": "https://example.org/privacy"}}`)
		if r.status != http.StatusOK {
			w.Fatal(r.text)
		}
		// What is an object is merged, null takes out, a list is replaced.
		r = w.patch(token, `{"min_app_version": null, "gate_languages": ["en"], "reception": {"texts": {"de": {"role": null}, "en": {"away": "Tomorrow"}}}, "document": {"aliases": {"Dorf": {}}}}`)
		if r.status != http.StatusOK {
			w.Fatal(r.text)
		}
		now, err := w.store.Region(w.Context(), w.region.ID)
		w.ok(err)
		texts, _ := json.Marshal(now.Settings.Reception.Texts)
		got := fmt.Sprintln(now.Settings.Percentage, now.Settings.MinAppVersion, now.Settings.GateLanguages, string(texts), len(now.Settings.Document.Aliases), now.Settings.Reception.Hours)
		if want := `12.5  [en] {"de":{"away":"Morgen \u003cb\u003e\u0026\u003c/b\u003e"},"en":{"away":"Tomorrow"}} 2 [mo-fr 08:00-17:00]`; strings.TrimSpace(got) != want {
			w.Errorf("%s\nwant %s", got, want)
		}
		if now.ZammadToken != "hunter2-zammad" || now.Settings.ZammadURL != "https://zammad.example.org" || now.Version != 3 {
			w.Errorf("what was not named did not stay: %+v", now)
		}
		if obeyed, _ := w.regions.BySlug("testland"); obeyed.Version != now.Version {
			w.Error("this instance does not obey at once")
		}
		managed := slices.Sorted(maps.Keys(now.Settings.Managed))
		if want := []string{
			"document.aliases", "document.zammad_privacy_policy", "gate_languages", "min_app_version", "percentage",
			"reception.opening_hours", "reception.texts", "reception.time_zone",
		}; !slices.Equal(managed, want) || now.Settings.Managed["percentage"] != "CRM" {
			w.Errorf("managed: %v", now.Settings.Managed)
		}
		entries := w.audited()
		if len(entries) != 2 || entries[0].Actor.Kind != bridge.ActorToken || entries[0].Actor.Name != "CRM" || entries[0].Region != w.region.ID {
			w.Errorf("%+v", entries)
		}
	})
}

func TestPatchIsIdempotentAndOptimistic(t *testing.T) {
	eachWorld(t, func(w *world) {
		token := w.writer("CRM")
		tag := w.read(token).header.Get("ETag")
		send := func(body string, header ...string) reply {
			return w.call(http.MethodPatch, w.url+testland, token, body, header...)
		}
		for name, header := range map[string][]string{"none": nil, "any": {"If-Match", "*"}, "empty": {"If-Match", " , "}} {
			if r := send(`{"percentage": 5}`, header...); r.status != http.StatusPreconditionRequired || r.code() != "if_match_required" {
				w.Errorf("%s: %d %s", name, r.status, r.text)
			}
		}
		first := send(`{"percentage": 5}`, "If-Match", tag)
		again := send(`{"percentage": 5}`, "If-Match", tag) // its answer was lost
		if first.status != 200 || again.status != 200 || first.text != again.text || first.header.Get("ETag") != again.header.Get("ETag") || first.header.Get("ETag") == tag {
			w.Errorf("%d %s, %d %s", first.status, first.text, again.status, again.text)
		}
		if n := len(w.audited()); n != 1 {
			w.Errorf("%d entries in the audit", n)
		}
		for _, stale := range []string{tag, "W/" + first.header.Get("ETag"), strings.Trim(first.header.Get("ETag"), `"`), `"999"`} {
			if r := send(`{"percentage": 6}`, "If-Match", stale); r.status != http.StatusPreconditionFailed || r.code() != "region_changed" || r.header.Get("ETag") != first.header.Get("ETag") {
				w.Errorf("%s: %d %s %s", stale, r.status, r.header.Get("ETag"), r.text)
			}
		}
		if r := send(`{"percentage": 7}`, "If-Match", `"999", `+first.header.Get("ETag")); r.status != 200 || r.body["percentage"] != 7.0 {
			w.Errorf("%d %s", r.status, r.text)
		}
		if r := send(`{}`, "If-Match", `"1"`); r.status != 200 {
			w.Errorf("nothing to do: %d %s", r.status, r.text)
		}
		// The same value by another token is still a change: who manages it.
		r := w.patch(w.writer("Second"), `{"percentage": 7}`)
		if managed := r.body["managed"].(map[string]any); r.status != 200 || managed["percentage"] != "Second" {
			w.Errorf("%d %s", r.status, r.text)
		}
	})
}

// TestManyPatchesAtOnce: of those who read one state, over two instances, one is
// taken and the others are told.
func TestManyPatchesAtOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		token := w.writer("CRM")
		second, err := bridge.NewRegions(w.Context(), w.store, nil)
		w.ok(err)
		urls := []string{w.url, w.instance(second)}
		tag := w.read(token).header.Get("ETag")
		statuses := make([]int, 10)
		var wait sync.WaitGroup
		for i := range statuses {
			wait.Go(func() {
				statuses[i] = w.call(http.MethodPatch, urls[i%2]+testland, token, fmt.Sprintf(`{"percentage": %d}`, i+1), "If-Match", tag).status
			})
		}
		wait.Wait()
		slices.Sort(statuses)
		if want := []int{200, 412, 412, 412, 412, 412, 412, 412, 412, 412}; !slices.Equal(statuses, want) {
			w.Error(statuses)
		}
		if n := len(w.audited()); n != 1 {
			w.Errorf("%d entries in the audit", n)
		}
		// The other instance reads the store, not its memory.
		for _, url := range urls {
			if r := w.call(http.MethodGet, url+testland, token, ""); r.header.Get("ETag") == tag {
				w.Errorf("%s answers with the tag of before", url)
			}
		}
	})
}

func TestRefusedPatchesChangeNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.Open(t))
	token := w.writer("CRM")
	long := strings.Repeat("x", 1<<19)
	for want, body := range map[string]string{
		"zammad_url forbidden_field":                `{"zammad_url": "https://evil.example.org", "percentage": 5}`,
		"zammad_token forbidden_field":              `{"zammad_token": "x"}`,
		"slug forbidden_field":                      `{"slug": "x"}`,
		"etag forbidden_field":                      `{"etag": "x"}`,
		"managed forbidden_field":                   `{"managed": {}}`,
		"identity forbidden_field":                  `{"identity": "off"}`,
		"erasure forbidden_field":                   `{"erasure": null}`,
		"title_pattern forbidden_field":             `{"title_pattern": "x"}`,
		"Percentage unknown_field":                  `{"Percentage": 5}`,
		"salt unknown_field":                        `{"salt": "x"}`,
		"id unknown_field":                          `{"id": 5}`,
		"reception.away unknown_field":              `{"reception": {"away": true}, "percentage": 5}`,
		"reception.away_now unknown_field":          `{"reception.away_now": true}`,
		strings.Repeat("x", 100) + " unknown_field": `{"` + long + `": 1}`,
		"reception form":                            `{"reception": null}`,
		"document form":                             `{"document": [1]}`,
		"percentage form":                           `{"percentage": "5"}`,
		"percentage percentage_form":                `{"percentage": 100.5, "name": "Other"}`,
		"max_text form":                             `{"max_text": 1.5}`,
		"max_file_bytes number_range":               `{"max_file_bytes": -1}`,
		"enabled form":                              `{"enabled": 1}`,
		"name missing":                              `{"name": null}`,
		"name too_long":                             `{"name": "` + long + `"}`,
		"name characters":                           `{"name": "\u202eevil"}`,
		"languages missing":                         `{"languages": []}`,
		"languages form":                            `{"languages": [{"code": "de", "native_name": "Deutsch", "evil": 1}]}`,
		"languages language_code":                   `{"languages": [{"code": "../de", "native_name": "Deutsch"}]}`,
		"gate_languages not_a_language":             `{"gate_languages": ["` + long + `"]}`,
		"gate_languages too_many":                   `{"gate_languages": ["de"` + strings.Repeat(`,"de"`, 99) + `,"fr"]}`,
		"file_kinds choice":                         `{"file_kinds": ["exe"]}`,
		"reception.opening_hours form":              `{"reception": {"opening_hours": ["mo-fr 8-17"]}}`,
		"reception.time_zone form":                  `{"reception": {"time_zone": "Local"}}`,
		"reception.time_zone needs_zone":            `{"reception": {"opening_hours": ["mo-fr 08:00-17:00"]}}`,
		"reception.texts form":                      `{"reception": {"texts": {"de": {"gone": "x"}}}}`,
		"reception.texts.de.away characters":        `{"reception": {"texts": {"de": {"away": "a\u0000b"}}}}`,
		"reception.closed_dates date_form":          `{"reception": {"closed_dates": ["2026-02-30"]}}`,
		"document.latitude number_range":            `{"document": {"latitude": 90.5}}`,
		"document.bounding_box form":                `{"document": {"bounding_box": [[1,2]]}}`,
		"document.aliases too_long":                 `{"document": {"aliases": {"a": "` + long + `"}}}`,
	} {
		if r := w.patch(token, body); r.status != http.StatusUnprocessableEntity || r.fields() != want || len(r.text) > 2000 {
			t.Errorf("%.80s: %d %.500s\nwant %s", body, r.status, r.text, want)
		}
	}
	for body, want := range map[string]string{"": "invalid_body", "null": "invalid_body", "[]": "invalid_body", "{": "invalid_body", "{}{}": "invalid_body", strings.Repeat("{", 1<<19): "invalid_body", `{"a":"` + long + long + `"}`: "body_too_large"} {
		if r := w.patch(token, body); r.code() != want {
			t.Errorf("%.20s: %d %.200s", body, r.status, r.text)
		}
	}
	if r := w.call("PATCH", w.url+testland, token, "name=x", "If-Match", `"1"`, "Content-Type", "application/x-www-form-urlencoded"); r.code() != "unsupported_patch_type" {
		t.Errorf("a form: %s", r.text)
	}
	if r := w.call("PATCH", w.url+testland, token, `{"zammad_url": 1}`, "If-Match", `"1"`, "Accept", "application/problem+json"); r.fields() != "zammad_url forbidden_field" {
		t.Errorf("as a problem: %s", r.text)
	}
	many := `{"a0": 1`
	for i := range 20_000 {
		many += fmt.Sprintf(`,"a%d": 1`, i+1)
	}
	if r := w.patch(token, many+"}"); r.status != 422 || len(r.text) > 10_000 {
		t.Errorf("%d faults are told with %d bytes", 20_000, len(r.text))
	}
	now, err := w.store.Region(t.Context(), w.region.ID)
	if d := cmp.Diff(w.region.Version, now.Version); err != nil || d != "" || len(w.audited()) != 0 {
		t.Errorf("%v %s %v", err, d, w.audited())
	}
}

func TestWhoMayWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.Open(t))
	other, _ := w.regions.BySlug("otherland")
	reader := w.token(staff.APIToken{Name: "Kiosk", Scopes: []staff.Scope{staff.ReadRegions}, Regions: []bridge.RegionID{w.region.ID}})
	foreign := w.token(staff.APIToken{Name: "Foreign", Scopes: staff.Scopes(), Regions: []bridge.RegionID{other.ID}})
	expired := w.token(staff.APIToken{Name: "Old", Scopes: staff.Scopes(), Expires: start})
	ended := staff.APIToken{Name: "Ended", Scopes: staff.Scopes()}
	endedSecret := staff.NewToken()
	hash, _ := staff.HashToken(endedSecret)
	w.ok(w.store.AddAPIToken(t.Context(), &ended, hash))
	w.ok(w.store.RevokeAPIToken(t.Context(), ended.ID))

	const list = "/api/v3/settings/regions/"
	for name, c := range map[string]struct {
		method, path, token string
		status              int
		code                string
	}{
		"nobody reads":                  {"GET", testland, "", 401, "api_token_required"},
		"nobody lists":                  {"GET", list, "", 401, "api_token_required"},
		"nobody changes":                {"PATCH", testland, "", 401, "api_token_required"},
		"nobody looks for regions":      {"GET", list + "nowhere/", "", 401, "api_token_required"},
		"a token that is none":          {"GET", testland, "dbt_x", 401, "api_token_required"},
		"a token of nobody":             {"GET", testland, staff.NewToken(), 401, "api_token_required"},
		"an expired one":                {"GET", testland, expired, 401, "api_token_required"},
		"a revoked one":                 {"PATCH", testland, endedSecret, 401, "api_token_required"},
		"a reader reads":                {"GET", testland, reader, 200, ""},
		"a reader asks for the head":    {"HEAD", testland, reader, 200, ""},
		"a reader changes":              {"PATCH", testland, reader, 403, "scope_missing"},
		"a reader changes another":      {"PATCH", list + "otherland/", reader, 403, "scope_missing"},
		"another region is read":        {"GET", testland, foreign, 404, "region_not_found"},
		"another region is changed":     {"PATCH", testland, foreign, 404, "region_not_found"},
		"a region that is not there":    {"PATCH", list + "nowhere/", foreign, 404, "region_not_found"},
		"a region by its number":        {"GET", list + "1/", foreign, 404, "region_not_found"},
		"deleting is not a thing":       {"DELETE", testland, foreign, 405, "method_not_allowed"},
		"no slash":                      {"GET", strings.TrimSuffix(testland, "/"), reader, 404, "path_not_found"},
		"an own region is changed":      {"PATCH", list + "otherland/", foreign, 428, "if_match_required"},
		"a token in the query does not": {"GET", testland + "?access_token=" + reader, "", 401, "api_token_required"},
	} {
		r := w.call(c.method, w.url+c.path, c.token, "{}")
		if r.status != c.status || r.code() != c.code {
			t.Errorf("%s: %d %s", name, r.status, r.text)
		}
		if (r.status == 401) != (r.header.Get("WWW-Authenticate") == "Bearer") {
			t.Errorf("%s: WWW-Authenticate is %q", name, r.header.Get("WWW-Authenticate"))
		}
	}
	for token, want := range map[string]string{reader: "testland", foreign: "otherland", w.writer("All"): "otherland testland"} {
		var all []struct{ Slug string }
		w.ok(json.Unmarshal([]byte(w.call("GET", w.url+list, token, "").text), &all))
		var slugs []string
		for _, r := range all {
			slugs = append(slugs, r.Slug)
		}
		if got := strings.Join(slugs, " "); got != want {
			t.Errorf("%s instead of %s", got, want)
		}
	}
	if r := w.call("GET", w.url+testland, "", "", "Authorization", "bearer  "+reader); r.status != 200 {
		t.Errorf("the scheme's case is refused: %d", r.status)
	}
	tokens, err := w.store.APITokens(t.Context())
	w.ok(err)
	for _, token := range tokens {
		if used := token.Name == "Kiosk" || token.Name == "Foreign" || token.Name == "All"; used != token.UsedAt.Equal(start.Truncate(time.Hour)) {
			t.Errorf("%s was used at %v", token.Name, token.UsedAt)
		}
	}
}

// TestFieldsAreDescribed: openapi.yaml lists exactly what can be set, and what is
// not listed is refused.
func TestFieldsAreDescribed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.Open(t))
	for _, name := range []string{"RegionSettings", "RegionPatch"} {
		var described []string
		for field, schema := range w.doc.Components.Schemas[name].Value.Properties {
			switch field {
			case "slug", "etag", "managed":
			case "reception", "document":
				for inner := range schema.Value.Properties {
					described = append(described, field+"."+inner)
				}
			default:
				described = append(described, field)
			}
		}
		slices.Sort(described)
		if diff := cmp.Diff(settings.Fields(), described); diff != "" {
			t.Errorf("%s (-code +openapi.yaml):\n%s", name, diff)
		}
	}
	// What is read can be sent back as it is, but for what only names it.
	token := w.writer("CRM")
	all := w.read(token).body
	for _, name := range []string{"slug", "etag", "managed"} {
		delete(all, name)
	}
	w.ok(w.doc.Components.Schemas["RegionPatch"].Value.VisitJSON(all, openapi3.MultiErrors()))
	body, err := json.Marshal(all)
	w.ok(err)
	r := w.patch(token, string(body))
	if r.status != 200 {
		t.Fatal(r.text)
	}
	for _, field := range settings.Fields() {
		if r.body["managed"].(map[string]any)[field] != "CRM" {
			t.Errorf("%s is not managed", field)
		}
	}
}

// TestTwiceIsOnce: whatever patch is taken, sending it again changes nothing.
func TestTwiceIsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.Open(t))
	token := w.writer("CRM")
	value := rapid.SampledFrom([]any{nil, true, false, 0, 5, 99.5, "", "de", "2026.1", "full", []any{}, []any{"de"}, []any{"pdf"}, map[string]any{"de": map[string]any{"away": nil}}, map[string]any{"de": map[string]any{"away": "x"}}})
	taken := 0
	rapid.Check(t, func(t *rapid.T) {
		body := map[string]any{}
		for _, field := range rapid.SliceOfN(rapid.SampledFrom(settings.Fields()), 1, 2).Draw(t, "fields") {
			group, inner, nested := strings.Cut(field, ".")
			if !nested {
				body[field] = value.Draw(t, field)
				continue
			}
			if body[group] == nil {
				body[group] = map[string]any{}
			}
			body[group].(map[string]any)[inner] = value.Draw(t, field)
		}
		text, err := json.Marshal(body)
		w.ok(err)
		before := w.read(token)
		once := w.patch(token, string(text))
		entries := len(w.audited())
		twice := w.patch(token, string(text))
		switch once.status {
		case 200:
			taken++
			if twice.status != 200 || once.text != twice.text || len(w.audited()) != entries && entries < 100 {
				t.Fatalf("%s: %s, then %d %s", text, once.text, twice.status, twice.text)
			}
		case 422:
			if after := w.read(token); after.text != before.text {
				t.Fatalf("%s was refused and changed something", text)
			}
		default:
			t.Fatalf("%s: %d %s", text, once.status, once.text)
		}
	})
	if taken == 0 {
		t.Error("no patch was taken")
	}
}
