package admin

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// marked takes the byte order mark from the beginning of a table.
func marked(t rapid.TB, table *bytes.Buffer) io.Reader {
	t.Helper()
	rest, found := bytes.CutPrefix(table.Bytes(), []byte("\xef\xbb\xbf"))
	if !found {
		t.Fatalf("the table begins with %q and no byte order mark", table.String()[:min(table.Len(), 10)])
	}
	return bytes.NewReader(rest)
}

// What a spreadsheet needs to read umlauts and columns: a byte order mark, once,
// and in German semicolons, which are then in quotation marks where they are text.
func TestCSVForSpreadsheets(t *testing.T) {
	t.Parallel()
	for language, want := range map[string]string{
		"en": "\ufeffGröße,b\r\n\"1,5\",x;y\r\n'=1,z\r\n",
		"de": "\ufeffGröße;b\r\n1,5;\"x;y\"\r\n'=1;z\r\n",
	} {
		var out bytes.Buffer
		table := NewCSV(&out, language, "Größe", "b")
		err := errors.Join(table.Row("1,5", "x;y"), table.Row("=1", "z"))
		if out.Len() != 0 {
			t.Errorf("%s: %q left before there was anything to say", language, out.String())
		}
		if err := errors.Join(err, table.Flush()); err != nil || out.String() != want {
			t.Errorf("%s: %q, %v", language, out.String(), err)
		}
	}
}

func TestCSVIsNoFormula(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	table := NewCSV(&out, "en", "name", "=head")
	rows := [][]any{
		{"=1+1", "+1"}, {"-1", "@SUM(A1)"}, {"\t=1", "\r=1"}, {"\n=1", "＝1"}, {"＋1", "－1"}, {"＠1", `=HYPERLINK("http://x","y")`},
		{"a=1", " plain"}, {"", nil}, {-5, -2.5}, {int64(-7), time.Time{}}, {time.Date(2026, 11, 26, 1, 0, 0, 0, time.FixedZone("CET", 3600)), "Ü, \"quoted\"\r\nline"},
	}
	for _, row := range rows {
		if err := table.Row(row...); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	got, err := csv.NewReader(marked(t, &out)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"name", "'=head"},
		{"'=1+1", "'+1"}, {"'-1", "'@SUM(A1)"}, {"'\t=1", "'=1"}, {"'\n=1", "'＝1"}, {"'＋1", "'－1"}, {"'＠1", `'=HYPERLINK("http://x","y")`},
		{"a=1", " plain"}, {"", ""}, {"-5", "-2.5"}, {"-7", ""}, {"2026-11-26T00:00:00Z", "Ü, \"quoted\"\nline"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Whatever is in a text: it is one cell, it is read as it was, and nothing of it
// begins like a formula.
func TestCSVKeepsTexts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		cell := rapid.String().Filter(func(s string) bool { return !strings.Contains(s, "\r") }).Draw(r, "cell")
		var out bytes.Buffer
		table := NewCSV(&out, "en", "a", "b")
		if err := errors.Join(table.Row(cell, "end"), table.Flush()); err != nil {
			r.Fatal(err)
		}
		rows, err := csv.NewReader(marked(r, &out)).ReadAll()
		if err != nil {
			r.Fatal(err)
		}
		got := rows[1][0]
		if len(rows) != 2 || len(rows[1]) != 2 || got != cell && got != "'"+cell {
			r.Fatalf("%q was read as %q", cell, rows)
		}
		if got != "" && strings.ContainsAny(got[:1], "=+-@\t\n") {
			r.Fatalf("%q begins like a formula", got)
		}
	})
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestCSVTellsThatNobodyReads(t *testing.T) {
	t.Parallel()
	table := NewCSV(full{}, "en", "head")
	if err := table.Flush(); err == nil {
		t.Error("the head was lost without a word")
	}
}
