package simulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// row is one database row. Its values are nil, bool, int, float64, string, stamp,
// []any and map[string]any, which is what JSON needs. A row never changes once it is in a
// table: writers put a changed copy, so answers may be encoded without holding the lock.
type row map[string]any

// stamp is a time as Zammad renders it: UTC with milliseconds (contract 2).
type stamp time.Time

const stampLayout = "2006-01-02T15:04:05.000Z"

// MarshalJSON renders the time with milliseconds.
func (s stamp) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Time(s).UTC().Format(stampLayout))
}

func (r row) id() int { return r.num("id") }

func (r row) num(key string) int {
	switch v := r[key].(type) {
	case int:
		return v
	case float64:
		return int(v)
	case string:
		n, _ := strconv.Atoi(v)
		return n
	}
	return 0
}

func (r row) str(key string) string {
	s, _ := r[key].(string)
	return s
}

func (r row) flag(key string) bool {
	b, _ := r[key].(bool)
	return b
}

func (r row) time(key string) time.Time {
	s, _ := r[key].(stamp)
	return time.Time(s)
}

func (r row) object(key string) map[string]any {
	m, _ := r[key].(map[string]any)
	return m
}

func (r row) ints(key string) []int {
	list, _ := r[key].([]any)
	out := make([]int, 0, len(list))
	for _, v := range list {
		out = append(out, row{"v": v}.num("v"))
	}
	return out
}

// with returns a copy of the row in which the given values are set.
func (r row) with(changes row) row {
	c := maps.Clone(r)
	maps.Copy(c, changes)
	return c
}

// table holds the rows of one kind by id. Ids are handed out like those of a PostgreSQL
// sequence: a refused insert uses one up for good (recordings/README, "ids jump").
type table struct {
	name  string // as Zammad names the class in "Couldn't find …"
	rows  map[int]row
	next  int
	index map[string]map[any]map[int]bool // ids by column and value, for the indexed columns
}

func newTable(name string, next int, indexed ...string) *table {
	t := &table{name: name, rows: map[int]row{}, next: next, index: map[string]map[any]map[int]bool{}}
	for _, column := range indexed {
		t.index[column] = map[any]map[int]bool{}
	}
	return t
}

// set makes r the row with the id; nil removes it.
func (t *table) set(id int, r row) {
	old, had := t.rows[id]
	for column, values := range t.index {
		if had {
			delete(values[old[column]], id)
			if len(values[old[column]]) == 0 {
				delete(values, old[column])
			}
		}
		if r != nil {
			if values[r[column]] == nil {
				values[r[column]] = map[int]bool{}
			}
			values[r[column]][id] = true
		}
	}
	if r == nil {
		delete(t.rows, id)
		return
	}
	t.rows[id] = r
}

// tx collects how to take back what one request wrote, and the events that triggers see.
type tx struct {
	undo   []func()
	events []*event
}

func (x *tx) rollback() {
	for _, f := range slices.Backward(x.undo) {
		f()
	}
	x.undo, x.events = nil, nil
}

// insert stores r under the next id and returns the stored row.
func (t *table) insert(x *tx, r row) row {
	r["id"] = t.next
	t.next++
	t.put(x, r)
	return r
}

// put stores r under its id, new or instead of an older version.
func (t *table) put(x *tx, r row) {
	id, old := r.id(), t.rows[r.id()]
	x.undo = append(x.undo, func() { t.set(id, old) })
	t.set(id, r)
}

func (t *table) remove(x *tx, id int) {
	if old, had := t.rows[id]; had {
		x.undo = append(x.undo, func() { t.set(id, old) })
		t.set(id, nil)
	}
}

// find returns the row with the id or Zammad's 404.
func (t *table) find(id int) (row, error) {
	if r, ok := t.rows[id]; ok {
		return r, nil
	}
	return nil, notFound(fmt.Sprintf("Couldn't find %s with 'id'=%d", t.name, id))
}

// all returns the rows that match (all if match is nil), sorted by id.
func (t *table) all(match func(row) bool) []row {
	var out []row
	for _, r := range t.rows {
		if match == nil || match(r) {
			out = append(out, r)
		}
	}
	return sortByID(out)
}

func sortByID(rows []row) []row {
	slices.SortFunc(rows, func(a, b row) int { return a.id() - b.id() })
	return rows
}

// where returns the rows whose column has the value, sorted by id.
func (t *table) where(column string, value any) []row {
	ids, indexed := t.index[column]
	if !indexed {
		return t.all(func(r row) bool { return r[column] == value })
	}
	var out []row
	for id := range ids[value] {
		out = append(out, t.rows[id])
	}
	return sortByID(out)
}

// by returns the oldest row whose text column equals value.
func (t *table) by(column, value string) (row, bool) {
	if found := t.where(column, value); len(found) > 0 {
		return found[0], true
	}
	return nil, false
}

// plain turns what a JSON decoder with UseNumber returned into the value types of a row.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.Atoi(v.String()); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = plain(v[k])
		}
		return out
	}
	return v
}

// castBool reads a value as Rails reads it for a boolean column: a few words are false,
// the empty text is null, everything else is true, "no" included (contract 2.3).
func castBool(v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case bool:
		return v
	case int:
		return v != 0
	case string:
		if v == "" {
			return nil
		}
		return !slices.Contains([]string{"false", "f", "0", "off", "FALSE", "F", "OFF"}, v)
	}
	return true
}

// asText renders a scalar as text, nil as the empty text.
func asText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case stamp:
		return time.Time(v).UTC().Format(stampLayout)
	}
	return fmt.Sprint(v)
}

// cut removes NUL and shortens s to n characters, silently, as Zammad does (contract 0.7).
func cut(s string, n int) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

// oneLine replaces every kind of white space by a space (titles and subjects).
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '\n', '\r', '\t', '\v', '\f':
			return ' '
		}
		return r
	}, s)
}
