package bridge

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"deskbridge/gate"
)

// Bounds of a file of overrides.
const (
	MaxTesterLines = 10_000
	MaxTesterBytes = 1 << 20
)

// TesterProblem is what is wrong with a line of a file of overrides. The values
// are stable.
type TesterProblem string

// The problems of a line, and of the whole file (line 0).
const (
	ProblemTooLarge  TesterProblem = "too_large"
	ProblemTooLong   TesterProblem = "too_many_lines"
	ProblemEmpty     TesterProblem = "empty"
	ProblemText      TesterProblem = "not_utf8"
	ProblemQuotes    TesterProblem = "quotes"
	ProblemColumns   TesterProblem = "columns"
	ProblemDevice    TesterProblem = "device_id"
	ProblemWay       TesterProblem = "in_out"
	ProblemExpiry    TesterProblem = "expiry"
	ProblemPast      TesterProblem = "expiry_past"
	ProblemNote      TesterProblem = "note"
	ProblemDuplicate TesterProblem = "duplicate"
)

// problemTexts are the problems for people, in German and English.
var problemTexts = map[TesterProblem][2]string{
	ProblemTooLarge:  {"Die Datei ist größer als 1 MiB.", "The file is larger than 1 MiB."},
	ProblemTooLong:   {"Die Datei hat mehr als 10.000 Zeilen.", "The file has more than 10,000 lines."},
	ProblemEmpty:     {"In der Datei steht kein Gerät.", "There is no device in the file."},
	ProblemText:      {"Die Zeile ist kein UTF-8-Text. Bitte die Datei als „CSV UTF-8“ speichern.", "The line is not UTF-8 text. Please save the file as “CSV UTF-8”."},
	ProblemQuotes:    {"Die Anführungszeichen passen nicht zusammen.", "The quotation marks do not fit together."},
	ProblemColumns:   {"Die Zeile hat mehr als vier Spalten.", "The line has more than four columns."},
	ProblemDevice:    {"Die erste Spalte ist keine Gerätekennung: 1 bis 200 Buchstaben, Ziffern und -_.~:@+=", "The first column is not a device id: 1 to 200 letters, digits and -_.~:@+="},
	ProblemWay:       {"Die zweite Spalte muss in, out oder draw sein (oder leer).", "The second column must be in, out or draw (or empty)."},
	ProblemExpiry:    {"Die dritte Spalte muss ein Datum sein, etwa 2026-12-31, 31.12.2026 oder 2026-12-31 18:00 (oder leer).", "The third column must be a date, such as 2026-12-31, 31.12.2026 or 2026-12-31 18:00 (or empty)."},
	ProblemPast:      {"Das Datum in der dritten Spalte ist vorbei.", "The date in the third column is over."},
	ProblemNote:      {"Die Notiz in der vierten Spalte hat mehr als 200 Zeichen.", "The note in the fourth column has more than 200 characters."},
	ProblemDuplicate: {"Dieses Gerät steht schon in einer früheren Zeile.", "This device stands in an earlier line already."},
}

// Say gives the problem in a sentence, in German ("de") or else English.
func (p TesterProblem) Say(language string) string {
	texts := problemTexts[p]
	if language == "de" {
		return texts[0]
	}
	return texts[1]
}

// LineProblem is a bad line of a file, counted from 1; 0 is the whole file.
type LineProblem struct {
	Line    int           `json:"line"`
	Problem TesterProblem `json:"problem"`
	// Earlier is the line in which a duplicate stands first; else 0.
	Earlier int `json:"earlier,omitempty"`
}

// Say gives the problem with the number of its line, in German ("de") or else
// English. It repeats nothing of the line, in which a device id stands.
func (p LineProblem) Say(language string) string {
	text := p.Problem.Say(language)
	line := "Line"
	if language == "de" {
		line = "Zeile"
	}
	if p.Earlier != 0 {
		text += fmt.Sprintf(" (%s %d)", line, p.Earlier)
	}
	if p.Line == 0 {
		return text
	}
	return fmt.Sprintf("%s %d: %s", line, p.Line, text)
}

// TesterFile is how a file of overrides is read.
type TesterFile struct {
	Hasher Hasher
	Now    time.Time
	Zone   *time.Location // of dates
	// Otherwise is what a line gets for each column that it leaves empty.
	Otherwise Tester
}

// Parse reads a file of overrides: one device id per line, and after it, if
// wanted, the columns in/out/draw, expiry date and note, with commas or
// semicolons between them. Quotation marks as in CSV, a byte order mark, CRLF, empty lines and
// a first line of titles that begins with "device" are fine. A device id is
// hashed as soon as it is read.
//
// Where there is any problem nothing of the file may be applied: then only
// problems are given, all of them, ordered by line.
func (f TesterFile) Parse(content []byte) ([]Tester, []LineProblem) {
	if len(content) > MaxTesterBytes {
		return nil, []LineProblem{{Problem: ProblemTooLarge}}
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	lines := strings.Split(strings.TrimRight(string(content), "\r\n"), "\n")
	if len(lines) > MaxTesterLines {
		return nil, []LineProblem{{Problem: ProblemTooLong}}
	}
	var (
		set      []Tester
		problems []LineProblem
		first    = make(map[DeviceHash]int, len(lines))
	)
	for i, line := range lines {
		line = strings.TrimSuffix(line, "\r")
		if strings.TrimSpace(line) == "" || i == 0 && titles(line) {
			continue
		}
		t, problem := f.line(line)
		bad := LineProblem{Line: i + 1, Problem: problem}
		if earlier := first[t.Device]; problem == "" && earlier != 0 {
			bad.Problem, bad.Earlier = ProblemDuplicate, earlier
		}
		if bad.Problem != "" {
			problems = append(problems, bad)
			continue
		}
		first[t.Device] = i + 1
		set = append(set, t)
	}
	switch {
	case len(problems) > 0:
		return nil, problems
	case len(set) == 0:
		return nil, []LineProblem{{Problem: ProblemEmpty}}
	}
	return set, nil
}

// titles says whether a first line names the columns.
func titles(line string) bool {
	if at := strings.IndexAny(line, ",;"); at >= 0 {
		line = line[:at]
	}
	name := strings.ToLower(strings.Trim(line, "\" \t"))
	return name == "device" || name == "device_id" || name == "device id"
}

// line reads one line that is not empty.
func (f TesterFile) line(line string) (Tester, TesterProblem) {
	if !utf8.ValidString(line) {
		return Tester{}, ProblemText
	}
	fields, problem := columns(line)
	if problem != "" {
		return Tester{}, problem
	}
	if CheckDeviceID(fields[0]) != nil {
		return Tester{}, ProblemDevice
	}
	t := f.Otherwise
	t.Device, t.SetAt = f.Hasher.Hash(fields[0]), f.Now
	switch way := strings.ToLower(fields[1]); way {
	case "":
	case "in", "out":
		t.Override = gate.Override(way)
	case "draw":
		t.Override = gate.OverrideNone
	default:
		return Tester{}, ProblemWay
	}
	if fields[2] != "" {
		until, ok := ParseExpiry(fields[2], f.Zone)
		if !ok {
			return Tester{}, ProblemExpiry
		}
		t.ExpiresAt = until
	}
	if !t.ExpiresAt.IsZero() && !t.ExpiresAt.After(f.Now) {
		return Tester{}, ProblemPast
	}
	if fields[3] != "" {
		note, ok := CleanNote(fields[3])
		if !ok {
			return Tester{}, ProblemNote
		}
		t.Note = note
	}
	return t, ""
}

// columns splits a line. A device id has neither a comma nor a semicolon, so the
// first of them is what stands between the columns.
func columns(line string) (fields [4]string, problem TesterProblem) {
	reader := csv.NewReader(strings.NewReader(line))
	reader.TrimLeadingSpace, reader.FieldsPerRecord = true, -1
	if at := strings.IndexAny(line, ",;"); at >= 0 {
		reader.Comma = rune(line[at])
	}
	record, err := reader.Read()
	if err != nil {
		return fields, ProblemQuotes
	}
	for i, field := range record {
		field = strings.TrimSpace(field)
		switch {
		case i < len(fields):
			fields[i] = field
		case field != "": // a spreadsheet may leave empty columns behind
			return fields, ProblemColumns
		}
	}
	return fields, ""
}

// ParseExpiry reads when an override ends: a date, which is over at its midnight
// in zone, a date with a time there, or a time as in RFC 3339.
func ParseExpiry(text string, zone *time.Location) (time.Time, bool) {
	for _, day := range []string{"2006-01-02", "2.1.2006"} {
		if t, err := time.ParseInLocation(day, text, zone); err == nil {
			return sensible(t.AddDate(0, 0, 1))
		}
	}
	for _, moment := range []string{"2006-01-02 15:04", "2006-01-02T15:04", "2.1.2006 15:04", time.RFC3339} {
		if t, err := time.ParseInLocation(moment, text, zone); err == nil {
			return sensible(t)
		}
	}
	return time.Time{}, false
}

// sensible refuses years that only a slip of the hand can mean.
func sensible(t time.Time) (time.Time, bool) {
	t = t.UTC().Truncate(time.Millisecond)
	return t, t.Year() >= 2000 && t.Year() < 3000
}
