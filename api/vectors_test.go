package api_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// vectors reads a file of test vectors for authors of clients.
func vectors[T any](t *testing.T, name string) []T {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("vectors", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		About string `json:"about"`
		Cases []T    `json:"cases"`
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if file.About == "" || len(file.Cases) < 5 {
		t.Fatalf("%s has %d cases, and says about itself %q", name, len(file.Cases), file.About)
	}
	return file.Cases
}

// TestVectorsAreWhatTheServerSays holds every message, state, error and frame of
// the vectors against the description: a client that passes them must not have
// learned from something that never comes.
func TestVectorsAreWhatTheServerSays(t *testing.T) {
	t.Parallel()
	schemas := load(t).Components.Schemas
	valid := func(name, schema string, value any) {
		t.Helper()
		if err := schemas[schema].Value.VisitJSON(value, openapi3.MultiErrors()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	frame := func(name string, value any) {
		t.Helper()
		f, _ := value.(map[string]any)
		if f["type"] == "message" {
			valid(name, "Message", f["message"])
			if m, _ := f["message"].(map[string]any); m["seq"] != f["seq"] {
				t.Errorf("%s: the frame's seq is %v, its message's %v", name, f["seq"], m["seq"])
			}
		}
		if schemas["Frame"] != nil {
			valid(name, "Frame", value)
		}
	}
	for _, v := range vectors[struct {
		Name    string         `json:"name"`
		Frames  []any          `json:"frames"`
		Foreign bool           `json:"foreign"` // has a frame of a later version
		Expect  map[string]any `json:"expect"`
	}](t, "frames") {
		for _, f := range v.Frames {
			if !v.Foreign {
				frame(v.Name, f)
			}
		}
	}
	for _, v := range vectors[struct {
		Name   string         `json:"name"`
		Before []any          `json:"before"`
		Since  int64          `json:"since"`
		Answer any            `json:"answer"`
		Expect map[string]any `json:"expect"`
	}](t, "cursor") {
		for _, f := range v.Before {
			frame(v.Name, f)
		}
		valid(v.Name, "State", v.Answer)
	}
	for _, v := range vectors[struct {
		Name     string              `json:"name"`
		Messages []any               `json:"messages"`
		Waiting  []map[string]string `json:"waiting"`
		Expect   []string            `json:"expect"`
	}](t, "order") {
		for _, m := range v.Messages {
			valid(v.Name, "Message", m)
		}
	}
	for _, v := range vectors[struct {
		Name   string         `json:"name"`
		Status int            `json:"status"`
		Body   map[string]any `json:"body"`
		Token  bool           `json:"token"`
		Expect string         `json:"expect"`
	}](t, "verdicts") {
		switch {
		case v.Body["code"] != nil:
			valid(v.Name, "Error", any(v.Body))
		case v.Expect == "stored":
			valid(v.Name, "State", any(v.Body))
		}
	}
	type reply struct {
		Status int `json:"status"`
		Body   any `json:"body"`
	}
	for _, v := range vectors[struct {
		Name    string           `json:"name"`
		Steps   []map[string]any `json:"steps"`
		Answers []reply          `json:"answers"`
		Expect  []map[string]any `json:"expect"`
		Waiting []map[string]any `json:"waiting"`
	}](t, "keys") {
		for _, a := range v.Answers {
			if a.Body != nil {
				valid(v.Name, "Error", a.Body)
			}
		}
	}
}

// TestVectorsCoverStreamsAndPauses: the files that have nothing of the description
// in them are at least whole.
func TestVectorsCoverStreamsAndPauses(t *testing.T) {
	t.Parallel()
	for _, v := range vectors[struct {
		Name   string           `json:"name"`
		Chunks []string         `json:"chunks"`
		Expect []map[string]any `json:"expect"`
		Retry  *int64           `json:"retry_ms"`
	}](t, "stream") {
		if len(v.Chunks) == 0 {
			t.Errorf("%s has no chunks", v.Name)
		}
	}
	for _, v := range vectors[struct {
		Name       string  `json:"name"`
		Failures   int     `json:"failures"`
		RetryAfter *string `json:"retry_after"`
		Random     float64 `json:"random"`
		Wait       int64   `json:"wait_ms"`
	}](t, "pauses") {
		if v.Random < 0 || v.Random > 1 || v.Wait < 500 || v.Wait > 600_000 {
			t.Errorf("%s: %+v cannot be", v.Name, v)
		}
	}
}
