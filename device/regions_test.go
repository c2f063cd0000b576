package device_test

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
	"deskbridge/gate"
)

// bucketOf is where the gate draws a device of a region.
func bucketOf(r *bridge.Region, device string) int { return gate.Bucket(r.Salt, hasher.Hash(device)) }

func (r reply) enabled(t testing.TB) bool {
	t.Helper()
	var e struct {
		Enabled *bool `json:"is_chat_enabled"`
	}
	decode(t, r.body, &e)
	if r.status != 200 || e.Enabled == nil {
		t.Fatalf("%d %s", r.status, r.body)
	}
	return *e.Enabled
}

// TestRegionFlag: it is the same in the first version's question and in the
// documents, and a region may keep it false until the gate serves all.
func TestRegionFlag(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := map[string]bool{"testland": true, "other": true, "off": false, "bare": false, "closed": true, "picky": true, "half": false}
	for slug, flag := range want {
		if got := w.get("/api/v3/" + slug + "/is_chat_enabled/").enabled(t); got != flag {
			t.Errorf("%s: flag %v, want %v", slug, got, flag)
		}
		if got := w.get("/api/v3/regions/" + slug + "/").enabled(t); got != flag {
			t.Errorf("%s: document says %v, want %v", slug, got, flag)
		}
	}
	full := *w.region("half")
	full.Settings.Percentage = 100
	if err := w.store.SaveRegion(t.Context(), &full); err != nil {
		t.Fatal(err)
	}
	if err := w.regions.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !w.get("/api/v3/regions/half/").enabled(t) {
		t.Error("at 100 % the flag is still hidden")
	}
	if got := w.get("/api/v3/nowhere/is_chat_enabled/"); got.status != 404 || got.code(t) != "region_not_found" {
		t.Errorf("unknown region: %d %s", got.status, got.body)
	}
}

func TestDeviceFlagIsTheGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	half := w.region("half")
	for id := 'a'; id <= 'z'; id++ {
		want := bucketOf(half, string(id)) < 5000
		got := w.get("/api/v3/half/" + string(id) + "/is_chat_enabled/").enabled(t)
		if got != want {
			t.Errorf("device %c: %v, want %v", id, got, want)
		}
		// Opening a chat is decided in the same way.
		if opened := w.post(chatPath("half", "de", string(id)), "message=Hallo").status == http.StatusOK; opened != want {
			t.Errorf("device %c: opened %v, is_chat_enabled %v", id, opened, want)
		}
	}
	for _, c := range []struct {
		path   string
		header []string
		want   bool
	}{
		{"/api/v3/testland/d1/is_chat_enabled/", nil, true},
		{"/api/v3/off/d1/is_chat_enabled/", nil, false},
		{"/api/v3/bare/d1/is_chat_enabled/", nil, false},
		{"/api/v3/closed/d1/is_chat_enabled/", nil, false},
		{"/api/v3/picky/d1/is_chat_enabled/", nil, true},
		{"/api/v3/picky/d1/is_chat_enabled/?language=de", nil, true},
		{"/api/v3/picky/d1/is_chat_enabled/?language=ar", nil, false},
		{"/api/v3/picky/d1/is_chat_enabled/", []string{"X-App-Version", "2026.7.9"}, false},
		{"/api/v3/picky/d1/is_chat_enabled/", []string{"X-App-Version", "2026.8.1"}, true},
		{"/api/v3/picky/d1/is_chat_enabled/", []string{"X-App-Version", "unknown"}, true},
	} {
		if got := w.get(c.path, c.header...).enabled(t); got != c.want {
			t.Errorf("%s %v: %v, want %v", c.path, c.header, got, c.want)
		}
	}
	for path, code := range map[string]string{
		"/api/v3/nowhere/d1/is_chat_enabled/":              "region_not_found",
		"/api/v3/testland/d%20/is_chat_enabled/":           "invalid_device_id",
		"/api/v3/testland/d1/is_chat_enabled/?language=xx": "language_not_found",
	} {
		if got := w.get(path).code(t); got != code {
			t.Errorf("%s: %s, want %s", path, got, code)
		}
	}
}

func TestAppVersionOnOpening(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := chatPath("picky", "de", "d1")
	if got := w.post(path, "message=Hallo", "X-App-Version", "2026.7"); got.status != 403 {
		t.Errorf("an old app opens: %d", got.status)
	}
	w.post(path, "message=Hallo", "X-App-Version", "2026.8").state(t)
	w.post(chatPath("picky", "ar", "d1"), "message=Hallo", "X-App-Version", "1").state(t) // a running chat is never cut
}

// TestWhoOpenedStaysServed when the percentage falls.
func TestWhoOpenedStaysServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.post(chatPath("testland", "de", "d1"), "message=Hallo").state(t)
	closed := *w.region("testland")
	closed.Settings.Percentage = 0
	if err := w.store.SaveRegion(t.Context(), &closed); err != nil {
		t.Fatal(err)
	}
	if err := w.store.SetTesters(t.Context(), closed.ID, bridge.Tester{Device: hasher.Hash("d3"), Override: gate.OverrideIn, SetAt: closed.UpdatedAt}); err != nil {
		t.Fatal(err)
	}
	if err := w.regions.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.post(chatPath("testland", "de", "d1"), "message=Noch+da&force_new=1").state(t)
	if got := w.post(chatPath("testland", "de", "d2"), "message=Neu"); got.status != 403 {
		t.Errorf("a new device opens at 0 %%: %d", got.status)
	}
	w.post(chatPath("testland", "de", "d3"), "message=Tester").state(t)
}

// TestQuestionsWriteExposuresOnce a device and day, and nothing else.
func TestQuestionsWriteExposuresOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 5 {
		w.get("/api/v3/testland/d1/is_chat_enabled/").enabled(t)
		w.get("/api/v3/closed/d1/is_chat_enabled/").enabled(t)
	}
	w.post(chatPath("testland", "de", "d1"), "message=Hallo").state(t)
	w.get(chatPath("testland", "de", "d2"))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.exposures.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	cancel() // Run stores what is left when it ends
	running.Wait()
	got := map[bridge.RegionID]bool{}
	for _, x := range w.told.rows {
		got[x.Region] = x.Served
	}
	want := map[bridge.RegionID]bool{w.region("testland").ID: true, w.region("closed").ID: false}
	if diff := cmp.Diff(want, got); diff != "" || len(w.told.rows) != 2 {
		t.Errorf("%d exposures: %s", len(w.told.rows), diff)
	}
}

// appKeys are the keys that the app's mapper reads.
var appKeys = []string{
	"name", "path", "live", "languages", "events", "pois", "push_notifications", "external_news", "name_without_prefix", "prefix",
	"longitude", "latitude", "aliases", "bounding_box", "is_chat_enabled", "zammad_privacy_policy",
}

func TestRegionDocuments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var all []map[string]any
	list := w.get("/api/v3/regions/")
	decode(t, list.body, &all)
	if len(all) != len(theRegions()) {
		t.Fatalf("%d regions, want %d", len(all), len(theRegions()))
	}
	for _, document := range all {
		for _, key := range appKeys {
			value, there := document[key]
			if !there || value == nil && key != "zammad_privacy_policy" {
				t.Errorf("%v: %s is missing or null", document["path"], key)
			}
		}
		box := document["bounding_box"].([]any)
		if len(box) != 2 || len(box[0].([]any)) != 2 || len(box[1].([]any)) != 2 {
			t.Errorf("%v: bounding_box %v: the mapper spreads both corners", document["path"], box)
		}
		single := map[string]any{}
		decode(t, w.get("/api/v3/regions/"+document["path"].(string)+"/").body, &single)
		if diff := cmp.Diff(document, single); diff != "" {
			t.Errorf("list and document differ: %s", diff)
		}
	}
	half := all[slices.IndexFunc(all, func(d map[string]any) bool { return d["path"] == "half" })]
	want := map[string]any{}
	decode(t, []byte(`{"name":"Stadt half","path":"half","live":true,"languages":[{"code":"de","native_name":"Deutsch"},{"code":"ar","native_name":"العربية"}],
		"events":true,"pois":true,"push_notifications":true,"external_news":true,"tunews":true,"name_without_prefix":"Half","prefix":"Stadt",
		"longitude":10.9,"latitude":48.4,"aliases":{"Halb":{"longitude":1.5}},"bounding_box":[[10.7,48.3],[11,48.5]],
		"is_chat_enabled":false,"zammad_privacy_policy":"https://half.example/privacy"}`), &want)
	if diff := cmp.Diff(want, half); diff != "" {
		t.Errorf("half (-want +got): %s", diff)
	}
	if alias := w.get("/wp-json/extensions/v3/sites/"); string(alias.body) != string(list.body) {
		t.Errorf("the alias answers something else: %s", alias.body)
	}
	if got := w.get("/api/v3/regions/nowhere/"); got.status != 404 || got.code(t) != "region_not_found" {
		t.Errorf("unknown region: %d %s", got.status, got.body)
	}
	if got := w.do("POST", "/api/v3/regions/", ""); got.status != 405 {
		t.Errorf("POST: %d", got.status)
	}
}

func TestRegionDocumentsAreTagged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/api/v3/regions/", "/api/v3/regions/testland/", "/wp-json/extensions/v3/sites/"} {
		tag := w.get(path).header.Get("Etag")
		if got := w.get(path, "If-None-Match", tag); tag == "" || got.status != 304 {
			t.Errorf("%s: tag %s, then %d", path, tag, got.status)
		}
		changed := *w.region("testland")
		changed.Name += "!"
		if err := w.store.SaveRegion(t.Context(), &changed); err != nil {
			t.Fatal(err)
		}
		if err := w.regions.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.get(path, "If-None-Match", tag); got.status != 200 {
			t.Errorf("%s after a change: %d", path, got.status)
		}
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
