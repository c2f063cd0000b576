package bridge_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
	"deskbridge/gate"
)

func testerFile(t testing.TB) bridge.TesterFile {
	t.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return bridge.TesterFile{Hasher: bridge.NewHasher([]byte("key")), Now: monday, Zone: berlin, Otherwise: bridge.Tester{Override: gate.OverrideIn}}
}

func TestTesterFiles(t *testing.T) {
	t.Parallel()
	f := testerFile(t)
	want := func(id string, o gate.Override, until, note string) bridge.Tester {
		out := bridge.Tester{Device: f.Hasher.Hash(id), Override: o, SetAt: monday, Note: note}
		if until != "" {
			at, err := time.Parse(time.RFC3339, until)
			if err != nil {
				t.Fatal(err)
			}
			out.ExpiresAt = at.UTC()
		}
		return out
	}
	const newYear = "2026-12-31T23:00:00Z" // midnight in Berlin
	for name, c := range map[string]struct {
		content string
		want    []bridge.Tester
	}{
		"plain":                      {"a\nb\n", []bridge.Tester{want("a", "in", "", ""), want("b", "in", "", "")}},
		"one line":                   {"a", []bridge.Tester{want("a", "in", "", "")}},
		"CRLF, BOM":                  {"\xef\xbb\xbfa\r\n\r\n b \r\n", []bridge.Tester{want("a", "in", "", ""), want("b", "in", "", "")}},
		"columns":                    {"a,out,2026-12-31,the mayor's\nb,draw", []bridge.Tester{want("a", "out", newYear, "the mayor's"), want("b", "", "", "")}},
		"semicolons":                 {"Device;Way;Until;Note\na;IN;31.12.2026;Öffnung, Nr. 1;;\nb;;;\n", []bridge.Tester{want("a", "in", newYear, "Öffnung, Nr. 1"), want("b", "in", "", "")}},
		"quoted":                     {`"a","out","2026-12-31 18:00","says ""hi"", twice"`, []bridge.Tester{want("a", "out", "2026-12-31T17:00:00Z", `says "hi", twice`)}},
		"RFC 3339":                   {"a,in,2026-12-31T18:00:00+02:00", []bridge.Tester{want("a", "in", "2026-12-31T16:00:00Z", "")}},
		"control marks":              {"a,in,,one\ttwo\x07\u202e three", []bridge.Tester{want("a", "in", "", "one two three")}},
		"a title is an id elsewhere": {"x\ndevice", []bridge.Tester{want("x", "in", "", ""), want("device", "in", "", "")}},
	} {
		got, problems := f.Parse([]byte(c.content))
		if d := cmp.Diff(c.want, got); d != "" || len(problems) > 0 {
			t.Errorf("%s: %v %s", name, problems, d)
		}
	}
	f.Otherwise = bridge.Tester{Override: gate.OverrideOut, Note: "all", ExpiresAt: monday.Add(time.Hour)}
	got, _ := f.Parse([]byte("a\nb,in,2026-12-31,own"))
	whole := want("a", "out", "", "all")
	whole.ExpiresAt = monday.Add(time.Hour)
	if d := cmp.Diff([]bridge.Tester{whole, want("b", "in", newYear, "own")}, got); d != "" {
		t.Error(d)
	}
}

func TestBadTesterFilesAreToldByLine(t *testing.T) {
	t.Parallel()
	f := testerFile(t)
	lines := []string{
		"good-1", "bad id", "good-2,perhaps", "", "good-3,in,soon", "good-4,in,2026-11-29", "good-5,in,30.2.2027",
		"good-6,in,,\xff", "good-7,in,,\"open", "good-8,in,,x,more", "good-1,out", "=1&1,in",
		"good-9,in,," + strings.Repeat("ä", bridge.MaxTesterNote+1), "good-10,in,," + strings.Repeat("ä", bridge.MaxTesterNote), "good-11,in,2026-11-30",
	}
	set, problems := f.Parse([]byte(strings.Join(lines, "\n")))
	want := []bridge.LineProblem{
		{Line: 2, Problem: bridge.ProblemDevice}, {Line: 3, Problem: bridge.ProblemWay}, {Line: 5, Problem: bridge.ProblemExpiry},
		{Line: 6, Problem: bridge.ProblemPast}, {Line: 7, Problem: bridge.ProblemExpiry}, {Line: 8, Problem: bridge.ProblemText},
		{Line: 9, Problem: bridge.ProblemQuotes}, {Line: 10, Problem: bridge.ProblemColumns}, {Line: 11, Problem: bridge.ProblemDuplicate, Earlier: 1},
		{Line: 12, Problem: bridge.ProblemDevice}, {Line: 13, Problem: bridge.ProblemNote},
	}
	if d := cmp.Diff(want, problems); d != "" || set != nil {
		t.Errorf("%d set, %s", len(set), d)
	}
	for _, p := range problems {
		for _, language := range []string{"de", "en"} {
			if said := p.Say(language); strings.Contains(said, "good") || !strings.Contains(said, fmt.Sprint(p.Line)) {
				t.Errorf("%+v: %q", p, said)
			}
		}
	}
	for name, c := range map[string]struct {
		content []byte
		want    bridge.TesterProblem
	}{
		"nothing":         {nil, bridge.ProblemEmpty},
		"titles only":     {[]byte("device_id;in\n\n"), bridge.ProblemEmpty},
		"a line too many": {bytes.Repeat([]byte("x\n"), bridge.MaxTesterLines+1), bridge.ProblemTooLong},
		"a byte too many": {bytes.Repeat([]byte("x"), bridge.MaxTesterBytes+1), bridge.ProblemTooLarge},
	} {
		if set, problems := f.Parse(c.content); set != nil || !cmp.Equal(problems, []bridge.LineProblem{{Problem: c.want}}) {
			t.Errorf("%s: %v", name, problems)
		}
	}
	var most strings.Builder
	for i := range bridge.MaxTesterLines {
		fmt.Fprintf(&most, "device-%d\n", i)
	}
	if set, problems := f.Parse([]byte(most.String())); len(set) != bridge.MaxTesterLines || problems != nil {
		t.Errorf("the largest file: %d set, %v", len(set), problems)
	}
}

func FuzzTesterFile(f *testing.F) {
	for _, s := range []string{
		"", "a", "a,in\nb,out", "\xef\xbb\xbfdevice;way\r\na;in;31.12.2026;x", `"a","in",,"q""q"`, "a,in,2026-12-31,\"", "a;\"\r\n\";", "\x00", "ä", "a\ra",
		"a,in,0000-00-00", "a,in,9999-12-31", "a,in,2026-11-30T08:00:00Z", ";;;;;;", ",", "a,draw,2026-12-31,n,,,,", "a\na", "a,in,,\u2028\u202e",
	} {
		f.Add([]byte(s))
	}
	file := testerFile(f)
	f.Fuzz(func(t *testing.T, content []byte) {
		set, problems := file.Parse(content)
		if (len(set) == 0) == (len(problems) == 0) {
			t.Fatalf("%d set, %d problems", len(set), len(problems))
		}
		seen := make(map[bridge.DeviceHash]bool)
		for _, one := range set {
			if seen[one.Device] || one.Device == (bridge.DeviceHash{}) {
				t.Fatal("a device twice, or none")
			}
			seen[one.Device] = true
			if !one.ExpiresAt.IsZero() && !one.ExpiresAt.After(file.Now) {
				t.Fatalf("an end in the past: %s", one.ExpiresAt)
			}
			if again, ok := bridge.CleanNote(one.Note); !ok || again != one.Note {
				t.Fatalf("the note %q is not clean: %q", one.Note, again)
			}
		}
		last := -1
		for _, p := range problems {
			if p.Line < last || p.Line == last && last > 0 || p.Earlier >= p.Line && p.Line > 0 || p.Say("de") == "" || p.Say("en") == "" {
				t.Fatalf("%+v after line %d", p, last)
			}
			last = p.Line
		}
	})
}
