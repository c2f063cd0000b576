package desk

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"deskbridge/bridge"
)

// hostileText is one entry of testdata/hostile_texts.json: what people and
// their devices may send. Text is repeated if Repeat is set; Clean is what the
// door makes of it, if that is something else.
type hostileText struct {
	Name, Text string
	Repeat     int
	Clean      *string
}

func hostileTexts(t testing.TB) []hostileText {
	t.Helper()
	raw, err := os.ReadFile("testdata/hostile_texts.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []hostileText
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 60 {
		t.Fatalf("only %d hostile texts", len(all))
	}
	for i := range all {
		all[i].Text = strings.Repeat(all[i].Text, max(1, all[i].Repeat))
	}
	return all
}

// accepted is the text behind the door.
func (h hostileText) accepted(t testing.TB) string {
	t.Helper()
	text, err := bridge.CleanText(h.Text, bridge.DefaultMaxText)
	if err != nil {
		t.Fatalf("the door refuses it: %v", err)
	}
	want := h.Text
	if h.Clean != nil {
		want = *h.Clean
	}
	if text != want {
		t.Fatalf("the door makes %q of it, want %q", text, want)
	}
	return text
}

// typed is what Zammad's editor makes of lines that are typed or pasted.
func typed(text string) string {
	var out strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" {
			line = "<br>"
		} else {
			line = toHTML(line)
		}
		out.WriteString("<div>" + line + "</div>")
	}
	return out.String()
}
