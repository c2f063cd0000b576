package admin

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/http"
	"strings"
)

// CSV answers with a table for spreadsheets, as a file of that name: in UTF-8
// with a byte order mark, without which Excel takes it for something else, and
// with the separator that spreadsheets of the language expect. What a
// spreadsheet would take for a formula is made text.
func (r *Request) CSV(name string, rows [][]string) error {
	var out bytes.Buffer
	out.WriteString("\ufeff")
	w := csv.NewWriter(&out)
	if w.UseCRLF = true; r.Language == "de" {
		w.Comma = ';'
	}
	for _, row := range rows {
		safe := make([]string, len(row))
		for i, cell := range row {
			safe[i] = defused(cell)
		}
		if err := w.Write(safe); err != nil {
			return fmt.Errorf("write csv: %w", err)
		}
	}
	if w.Flush(); w.Error() != nil {
		return fmt.Errorf("write csv: %w", w.Error())
	}
	r.Header("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	r.Data(http.StatusOK, "text/csv; charset=utf-8", out.Bytes())
	return nil
}

// defused gives a cell that no spreadsheet runs (CWE-1236).
func defused(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
