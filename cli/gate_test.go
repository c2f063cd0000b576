package cli_test

import (
	"strings"
	"testing"

	"deskbridge/cli"
)

func TestTesters(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	h.want(cli.ExitOK, "region", "set", "testland", "--percentage", "0")
	why := func(more ...string) map[string]any {
		t.Helper()
		return decode[map[string]any](h, append([]string{"tester", "why", "testland", "device-1"}, more...)...)
	}
	v := why()
	if len(v) != 5 || v["region"] != "testland" || v["served"] != false || v["reason"] != "bucket" || v["percentage"] != 0.0 || v["bucket"].(float64) < 0 {
		t.Errorf("%v", v)
	}
	if out := h.want(cli.ExitOK, "tester", "in", "testland", "device-1", "--until", "2998-12-31", "--note", "the mayor's"); strings.Contains(out, "device-1") {
		t.Errorf("the device id is printed: %s", out)
	}
	if v = why(); v["served"] != true || v["reason"] != "override" {
		t.Errorf("%v", v)
	}
	if out := h.want(cli.ExitOK, "tester", "list", "testland"); !strings.Contains(out, "the mayor's") || !strings.Contains(out, "2999-01-01T00:00:00Z") {
		t.Error(out)
	}
	h.want(cli.ExitOK, "tester", "out", "testland", "device-1")
	if v = why(); v["served"] != false || v["reason"] != "override" {
		t.Errorf("%v", v)
	}
	list := decode[[]map[string]any](h, "tester", "list", "testland")
	if len(list) != 1 || list[0]["override"] != "out" || len(list[0]["device_hash"].(string)) != 64 {
		t.Errorf("%v", list)
	}
	h.want(cli.ExitOK, "tester", "clear", "testland", "device-1")
	h.want(cli.ExitOK, "region", "set", "testland", "--percentage", "100", "--gate-languages", "en", "--min-app-version", "2.0")
	if v = why("--language", "de"); v["reason"] != "language" {
		t.Errorf("%v", v)
	}
	if v = why("--app-version", "1.9"); v["reason"] != "app_version" {
		t.Errorf("%v", v)
	}
	if v = why(); v["served"] != true || v["reason"] != "bucket" {
		t.Errorf("%v", v)
	}
	if out := h.want(cli.ExitOK, "tester", "why", "testland", "device-1"); !strings.Contains(out, "served, because of bucket") || !strings.Contains(out, "\n7. In the draw") {
		t.Error(out)
	}
	h.want(cli.ExitNotFound, "tester", "why", "nowhere", "device-1")
}

func TestBadOverridesAreRefused(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	for want, flags := range map[string][]string{
		"is no time":         {"--until", "soon"},
		"is over":            {"--until", "2001-01-01"},
		"at most 200":        {"--note", strings.Repeat("x", 201)},
		"the device id is n": {},
	} {
		device := "device-1"
		if len(flags) == 0 {
			device = "no device"
		}
		if out := h.want(cli.ExitInput, append([]string{"tester", "in", "testland", device}, flags...)...); !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
	if list := decode[[]map[string]any](h, "tester", "list", "testland"); len(list) != 0 {
		t.Errorf("%v", list)
	}
}

func TestTestersFromAFile(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	bad := h.file("bad.csv", "device;in or out\r\na;in\r\nb;perhaps\r\na;out\r\n")
	out := h.want(cli.ExitInput, "tester", "import", "testland", bad)
	for _, want := range []string{"nothing was set", "Line 3: The second column", "Line 4: This device stands in an earlier line already. (Line 2)"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
	if list := decode[[]map[string]any](h, "tester", "list", "testland"); len(list) != 0 {
		t.Errorf("half of a bad file was set: %v", list)
	}
	h.want(cli.ExitInput, "tester", "import", "testland", h.file("large", strings.Repeat("x", 1<<20+1)))
	good := h.file("good.csv", "\xef\xbb\xbfa;in;31.12.2998;first\r\nb\r\nc;draw\r\n")
	if out := h.want(cli.ExitOK, "tester", "import", "testland", good, "--out", "--note", "all"); !strings.Contains(out, "3 devices") {
		t.Error(out)
	}
	got := make(map[string]string)
	for _, v := range decode[[]map[string]any](h, "tester", "list", "testland") {
		got[v["note"].(string)] = v["override"].(string)
		if v["set_by"] == "" || v["set_by"] == "deskbridge" {
			t.Errorf("set by %v: the audit would not know who it was", v["set_by"])
		}
	}
	if len(got) != 2 || got["first"] != "in" || got["all"] != "out" {
		t.Errorf("%v", got)
	}
}

func TestRampOfARegion(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	set := func(code int, flags ...string) string {
		t.Helper()
		return h.want(code, append([]string{"region", "set", "testland"}, flags...)...)
	}
	out := set(cli.ExitOK, "--percentage", "5", "--ramp", "2998-12-01T08:00+01:00=20", "--ramp", "2998-12-08T08:00:00Z=100")
	if want := "5 %, 20 % from 2998-12-01T07:00:00Z, 100 % from 2998-12-08T08:00:00Z"; !strings.Contains(out, want) {
		t.Errorf("no %q in %s", want, out)
	}
	for _, bad := range [][]string{
		{"--ramp", "soon=20"}, {"--ramp", "2998-12-01T08:00Z"}, {"--ramp", "2998-12-01T08:00Z=120"}, {"--ramp", "2998-12-01T08:00Z=1.234"},
		{"--ramp", "2998-12-02T08:00Z=20", "--ramp", "2998-12-01T08:00Z=30"}, {"--ramp", "2998-12-01T08:00Z=NaN"},
	} {
		if out := set(cli.ExitInput, bad...); !strings.Contains(out, "ramp") {
			t.Errorf("%v: %s", bad, out)
		}
	}
	// A step that has come is the percentage; what is set after it stands.
	set(cli.ExitOK, "--ramp", "2001-12-01T08:00Z=20", "--ramp", "2998-12-08T08:00Z=100")
	v := decode[map[string]any](h, "region", "show", "testland")
	if v["percentage"] != 20.0 || len(v["ramp"].([]any)) != 1 {
		t.Errorf("%v %v", v["percentage"], v["ramp"])
	}
	set(cli.ExitOK, "--percentage", "33.5", "--ramp", "none")
	if v = decode[map[string]any](h, "region", "show", "testland"); v["percentage"] != 33.5 || v["ramp"] != nil {
		t.Errorf("%v %v", v["percentage"], v["ramp"])
	}
}
