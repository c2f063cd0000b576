package cli_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"deskbridge/cli"
	"deskbridge/reception"
)

// TestReception sets every setting of the human side, reads them back from the
// database, and takes them off again.
func TestReception(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	type view struct {
		Reception reception.Rules `json:"reception"`
	}
	if v := decode[view](h, "region", "show", "testland"); !cmp.Equal(v.Reception, reception.Rules{}) {
		t.Errorf("a new region has %+v", v.Reception)
	}
	h.want(cli.ExitOK, "region", "set", "testland", "--agent-names", "first", "--time-zone", "Europe/Berlin",
		"--opening-hours", "mo-fr 08:00-12:00,sa 22:00-02:00", "--closed-dates", "2026-12-25,2027-01-01", "--away-now", "--typing-note", "--bot-seconds", "45",
		"--texts-file", h.file("texts", `{"de": {"away": "Bis morgen, wir sind dann da.", "role": "-"}, "am": {"closed": "ተዘግቷል"}}`))
	zone, err := reception.ParseZone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	want := reception.Rules{
		Names: reception.NamesFirst, TypingNote: true, BotSeconds: 45, Zone: zone, AwayNow: true, ClosedDates: []string{"2026-12-25", "2027-01-01"},
		Hours: []reception.Opening{{First: 1, Last: 5, Begin: 480, End: 720}, {First: 6, Last: 6, Begin: 1320, End: 120}},
		Texts: map[string]reception.Texts{"de": {Away: "Bis morgen, wir sind dann da.", Role: "-"}, "am": {Closed: "ተዘግቷል"}},
	}
	if diff := cmp.Diff(want, decode[view](h, "region", "show", "testland").Reception); diff != "" {
		t.Errorf("after setting all (-want +got):\n%s", diff)
	}
	shown := h.want(cli.ExitOK, "region", "show", "testland")
	for _, part := range []string{"first", "mo-fr 08:00-12:00, sa 22:00-02:00 (Europe/Berlin), but not on 2026-12-25, 2027-01-01; away now", "am, de", "45 s"} {
		if !strings.Contains(shown, part) {
			t.Errorf("region show says nothing of %q:\n%s", part, shown)
		}
	}
	h.want(cli.ExitOK, "region", "set", "testland", "--percentage", "50")
	if diff := cmp.Diff(want, decode[view](h, "region", "show", "testland").Reception); diff != "" {
		t.Errorf("changed by another setting (-want +got):\n%s", diff)
	}
	h.want(cli.ExitOK, "region", "set", "testland", "--agent-names", "none", "--time-zone", "", "--opening-hours", "always", "--closed-dates", "none",
		"--no-away-now", "--no-typing-note", "--bot-seconds", "0", "--texts-file", h.file("texts", "{}"))
	if got := decode[view](h, "region", "show", "testland").Reception; !cmp.Equal(got, reception.Rules{Texts: got.Texts}) || len(got.Texts) != 0 {
		t.Errorf("after taking all off: %+v", got)
	}
}

func TestReceptionInputIsChecked(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	for _, c := range []struct {
		args []string
		word string
	}{
		{[]string{"--agent-names", "last"}, "none of full, first, role, none"},
		{[]string{"--time-zone", "Berlin"}, "no time zone"},
		{[]string{"--opening-hours", "mo-fr 8-17", "--time-zone", "Europe/Berlin"}, "no opening"},
		{[]string{"--opening-hours", "always,mo-fr 08:00-17:00", "--time-zone", "Europe/Berlin"}, "no opening"},
		{[]string{"--opening-hours", "mo-fr 08:00-17:00"}, "need a time zone"},
		{[]string{"--closed-dates", "25.12.2026"}, "no date"},
		{[]string{"--bot-seconds", "601"}, "--bot-seconds: Give a number from 0 to 600"},
		{[]string{"--texts-file", h.file("a", `{"de": {"gone": "x"}}`)}, "unknown field"},
		{[]string{"--texts-file", h.file("b", `{"de": "x"}`)}, "texts"},
		{[]string{"--texts-file", h.file("c", `{"de": {"away": "`+strings.Repeat("x", 1001)+`"}}`)}, "--texts-file (de.away): Use at most 1000 characters"},
		{[]string{"--texts-file", h.file("d", `{"D E": {"away": "x"}}`)}, "no language code"},
	} {
		if out := h.want(cli.ExitInput, append([]string{"region", "set", "testland"}, c.args...)...); !strings.Contains(out, c.word) {
			t.Errorf("%q: %s", c.args, out)
		}
	}
}
