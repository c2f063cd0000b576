package settings

import (
	"encoding/json"
	"testing"
	"time"

	"deskbridge/bridge"
)

// FuzzPatch: whatever a program sends, the region that others read stays as it
// is, and what comes out is a region that can be stored and shown.
func FuzzPatch(f *testing.F) {
	for _, seed := range []string{
		`{"percentage": 5, "reception": {"texts": {"de": {"away": null}}}}`, `{"ramp": [{"at": "2026-12-01T08:00:00+01:00", "percentage": 20}]}`,
		`{"document": {"aliases": {"a": {"b": [1, null]}}, "bounding_box": [[1, 2], [3, 4]]}}`, `{"reception": null}`, `{"languages": [{"code": 1}]}`, `[]`, `{"enabled": tru`, `{"a.b": 1}`,
	} {
		f.Add([]byte(seed))
	}
	d := New(Deps{Now: func() time.Time { return time.Unix(0, 0) }})
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := parsePatch(body)
		if err != nil {
			return
		}
		region := &bridge.Region{Name: "Testland"}
		region.Settings.Document.Aliases = map[string]any{"a": map[string]any{"b": 1}}
		before, err := json.Marshal(document(region))
		if err != nil {
			t.Fatal(err)
		}
		next := *region
		if err := d.apply(&next, p, "CRM"); err != nil {
			return
		}
		if after, err := json.Marshal(document(region)); err != nil || string(after) != string(before) {
			t.Errorf("%s has become %s (%v)", before, after, err)
		}
		if _, err := json.Marshal(document(&next)); err != nil {
			t.Error(err)
		}
		if _, err := bridge.Changes(region, &next); err != nil {
			t.Error(err)
		}
		if len(next.Settings.Managed) != len(p) {
			t.Errorf("%d fields are managed, %d were sent", len(next.Settings.Managed), len(p))
		}
	})
}
