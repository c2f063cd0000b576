package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"deskbridge/bridge"
)

// aliasesField are the other names of a region as the app's document has them:
// JSON, since what each name comes with is the app's business.
func aliasesField() setting {
	return setting{
		name: "document.aliases", kind: "area", dir: "ltr",
		read: func(r *bridge.Region) string { return aliasesText(r.Settings.Document.Aliases) },
		write: func(r *bridge.Region, text string) bool {
			aliases, code, _ := readAliases(text)
			if code == "" {
				r.Settings.Document.Aliases = aliases
			}
			return code == ""
		},
		fault: func(text string) (string, []any) {
			_, code, about := readAliases(text)
			return code, []any{about}
		},
	}
}

// aliasesText writes aliases with one name in each line.
func aliasesText(aliases map[string]any) string {
	if len(aliases) == 0 {
		return ""
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(aliases)) {
		lines = append(lines, "  "+jsonText(name)+": "+jsonText(aliases[name]))
	}
	return "{\n" + strings.Join(lines, ",\n") + "\n}"
}

// jsonText writes what was read from JSON, with its < and & as they are.
func jsonText(value any) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // what was JSON can be JSON
	return strings.TrimSpace(out.String())
}

// readAliases reads a JSON object; nothing is no aliases. Where it is none, or a
// name stands twice, of which one would be lost without a word, it gives a code
// and what that is about: a line or the name.
func readAliases(text string) (aliases map[string]any, code string, about any) {
	if text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")); text == "" {
		return nil, "", nil
	}
	in := json.NewDecoder(strings.NewReader(text))
	wrong := func(err error) (map[string]any, string, any) {
		at := in.InputOffset()
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			at = syntax.Offset
		}
		return nil, "json_form", 1 + bytes.Count([]byte(text)[:min(at, int64(len(text)))], []byte("\n"))
	}
	if open, err := in.Token(); err != nil || open != json.Delim('{') {
		return wrong(err)
	}
	aliases = make(map[string]any)
	for in.More() {
		name, err := in.Token()
		if err != nil {
			return wrong(err)
		}
		key, _ := name.(string) // the decoder takes nothing else here
		if _, twice := aliases[key]; twice {
			return nil, "twice", key
		}
		var value any
		if err := in.Decode(&value); err != nil {
			return wrong(err)
		}
		aliases[key] = value
	}
	if _, err := in.Token(); err != nil { // the closing brace
		return wrong(err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return wrong(err)
	}
	if len(aliases) == 0 {
		aliases = nil
	}
	return aliases, "", nil
}

// edges are the sides of a region's bounding box: longitudes of west and east,
// latitudes of south and north.
type edges struct{ west, south, east, north float64 }

// edgesOf gives the box of two corners, whichever they are; false: there is none.
func edgesOf(corners [][2]float64) (edges, bool) {
	if len(corners) != 2 {
		return edges{}, false
	}
	a, b := corners[0], corners[1]
	return edges{min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])}, true
}

// readEdges reads the four numbers of a form, in the order of its fields, with
// spaces between them. none: all of them are empty.
func readEdges(text string) (e edges, none, ok bool) {
	if strings.TrimSpace(text) == "" {
		return edges{}, true, true
	}
	numbers := strings.Split(text, " ")
	if len(numbers) != 4 {
		return edges{}, false, false
	}
	for i, at := range []*float64{&e.west, &e.south, &e.east, &e.north} {
		n, err := strconv.ParseFloat(strings.Replace(numbers[i], ",", ".", 1), 64)
		if err != nil {
			return edges{}, false, false
		}
		*at = n
	}
	// What is no number is in no order.
	ok = e.west >= -180 && e.west < e.east && e.east <= 180 && e.south >= -90 && e.south < e.north && e.north <= 90
	return e, false, ok
}

// boxField is the bounding box of the region, by its edges.
func boxField() setting {
	return setting{
		name: "document.bounding_box", kind: "box",
		read: func(r *bridge.Region) string {
			e, ok := edgesOf(r.Settings.Document.BoundingBox)
			if !ok {
				return ""
			}
			var numbers []string
			for _, n := range []float64{e.west, e.south, e.east, e.north} {
				numbers = append(numbers, strconv.FormatFloat(n, 'f', -1, 64))
			}
			return strings.Join(numbers, " ")
		},
		write: func(r *bridge.Region, text string) bool {
			e, none, ok := readEdges(text)
			before, had := edgesOf(r.Settings.Document.BoundingBox)
			switch {
			case had && !none && e == before: // a program may have given other corners, or a line
				return true
			case none:
				r.Settings.Document.BoundingBox = nil
			case ok:
				r.Settings.Document.BoundingBox = [][2]float64{{e.west, e.south}, {e.east, e.north}}
			}
			return ok
		},
		fault: func(string) (string, []any) { return "box_form", nil },
	}
}

// edgeField is one of the four inputs of a box.
type edgeField struct{ ID, Text, Value string } // Text is a key

// Edges are the inputs of a box.
func (f formField) Edges() []edgeField {
	numbers := strings.Split(f.Value, " ")
	fields := make([]edgeField, 4)
	for i, edge := range []string{"west", "south", "east", "north"} {
		fields[i] = edgeField{ID: f.name + "-" + edge, Text: "settings.edge." + edge}
		if len(numbers) == len(fields) {
			fields[i].Value = numbers[i]
		}
	}
	return fields
}
