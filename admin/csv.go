package admin

import (
	"encoding/csv"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// CSV writes a table for spreadsheets (RFC 4180, UTF-8, comma, CRLF) row by row,
// so that it may be longer than memory: on a response, rows leave as the buffer
// fills. Call Flush at the end. It is for one goroutine.
//
//	table := NewCSV(w, "day", "opened")
//	err := table.Row("2026-11-26", 12) // and so on
//	err = table.Flush()
type CSV struct{ w *csv.Writer }

// NewCSV begins a table with its head. An error of writing it comes with the
// next Row or Flush.
func NewCSV(w io.Writer, head ...string) *CSV {
	c := &CSV{csv.NewWriter(w)}
	c.w.UseCRLF = true
	cells := make([]any, len(head))
	for i, name := range head {
		cells[i] = name
	}
	_ = c.Row(cells...) // csv.Writer keeps its error
	return c
}

// NewSpreadsheet begins a table that people open with a click: as a file of that
// name, with a byte order mark, without which Excel takes UTF-8 for something
// else, and in German with semicolons, since its numbers have commas.
func NewSpreadsheet(r *Request, name string, head ...string) *CSV {
	r.Header("Content-Type", "text/csv; charset=utf-8")
	r.Header("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	r.Status(http.StatusOK)
	_, _ = io.WriteString(r.Writer, "\ufeff") // an error comes again with the table's
	c := &CSV{csv.NewWriter(r.Writer)}
	if c.w.UseCRLF = true; r.Language == "de" {
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
