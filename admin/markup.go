package admin

import (
	"fmt"
	"html"
	"html/template"
	"strings"
	"time"

	"deskbridge/staff"
)

// markup fills HTML with values: those that are HTML as they are, all others
// escaped. It is for the rows of long tables, since executing a template for each
// of them takes longer than the database does for all of a page. Each value must
// stand within an element or a quoted attribute; one that is an address must be
// one that we made.
func markup(format string, values ...any) template.HTML {
	safe := make([]any, len(values))
	for i, value := range values {
		switch v := value.(type) {
		case template.HTML, int:
			safe[i] = v
		case string:
			safe[i] = html.EscapeString(v)
		default:
			safe[i] = html.EscapeString(fmt.Sprint(v))
		}
	}
	return template.HTML(fmt.Sprintf(format, safe...)) //nolint:gosec // that is what it is for
}

// rows makes the rows of a table, one after the other.
func rows[T any](all []T, row func(*T) template.HTML) template.HTML {
	var out strings.Builder
	for i := range all {
		out.WriteString(string(row(&all[i])))
	}
	return template.HTML(out.String()) //nolint:gosec // each is
}

// clock shows a time to people and machines; nothing for the zero time.
func clock(l string, t time.Time, zone *time.Location) template.HTML {
	if t.IsZero() {
		return ""
	}
	return markup(`<time datetime="%s">%s</time>`, t.UTC().Format(time.RFC3339), moment(l, t, zone))
}

// clock shows a time as the clocks in the request's region do.
func (r *Request) clock(t time.Time) template.HTML { return clock(r.Language, t, r.Zone()) }

// number writes a number as the request's language does.
func (r *Request) number(n int) string { return r.door.views.number(r.Language, n) }

// tick is the cell with which a row of a list is chosen, for those who may change
// something; it is empty where nothing can be done with that row.
func tick(r *Request, list, id, label string, open, ticked bool) template.HTML {
	if !r.May(staff.Change) {
		return ""
	}
	if !open {
		return "<td></td>"
	}
	var checked template.HTML
	if ticked {
		checked = " checked"
	}
	return markup(`<td><input type="checkbox" name="id" value="%s" id="%s-%s"%s><label class="visually-hidden" for="%s-%s">%s</label></td>`, id, list, id, checked, list, id, label)
}
