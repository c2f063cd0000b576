package admin

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// CSV writes a table for spreadsheets (RFC 4180, UTF-8, CRLF) row by row, so that
// it may be longer than memory: on a response, rows leave as the buffer fills.
// Call Flush at the end. It is for one goroutine.
//
//	table := NewCSV(w, "en", "day", "opened")
//	err := table.Row("2026-11-26", 12) // and so on
//	err = table.Flush()
type CSV struct{ w *csv.Writer }

// NewCSV begins a table with its head, for a reader of a language. It begins with
// a byte order mark, without which Excel takes UTF-8 for something else, and its
// cells are separated by commas; in German by semicolons, since numbers have
// commas there. Nothing leaves before the buffer is full or Flush is called, and
// an error of writing comes then.
func NewCSV(w io.Writer, language string, head ...string) *CSV {
	out := bufio.NewWriter(w) // the buffer of csv.Writer too
	_, _ = out.WriteString("\ufeff")
	c := &CSV{csv.NewWriter(out)}
	if c.w.UseCRLF = true; language == "de" {
		c.w.Comma = ';'
	}
	cells := make([]any, len(head))
	for i, name := range head {
		cells[i] = name
	}
	_ = c.Row(cells...) // csv.Writer keeps its error
	return c
}

// Row writes a row: numbers as they are, times in UTC (RFC 3339; empty for the
// zero time), nil as an empty cell, and everything else as text that no
// spreadsheet takes for a formula.
func (c *CSV) Row(cells ...any) error {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = csvCell(cell)
	}
	return c.w.Write(row)
}

// Flush writes what is left in the buffer, and gives the first error of the table.
func (c *CSV) Flush() error {
	c.w.Flush()
	return c.w.Error()
}

// csvCell gives a cell as it is written.
func csvCell(cell any) string {
	switch v := cell.(type) {
	case nil:
		return ""
	case int, int64, uint64, float64:
		return fmt.Sprint(v)
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.UTC().Format(time.RFC3339)
	default:
		return harmless(fmt.Sprint(v))
	}
}

// harmless gives a text that a spreadsheet shows and does not calculate: where it
// begins like a formula, a ' comes before it. The wide forms of the signs are
// taken for the signs by spreadsheets in some languages.
func harmless(text string) string {
	if first, size := utf8.DecodeRuneInString(text); size > 0 && strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
		return "'" + text
	}
	return text
}
