package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// table prints aligned columns.
type table struct{ w *tabwriter.Writer }

// table begins a table; without names it has no head.
func (s *invocation) table(names ...string) table {
	t := table{tabwriter.NewWriter(s.Stdout, 0, 0, 2, ' ', 0)}
	if len(names) > 0 {
		t.row(names...)
	}
	return t
}

func (t table) row(cells ...string) {
	fmt.Fprintln(t.w, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
}

func (t table) flush() error { return t.w.Flush() }
