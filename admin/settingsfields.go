package admin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"deskbridge/bridge"
	"deskbridge/reception"
)

// setting is one value of a region in a form. Its name is that of the setting in
// JSON, so that errors, the audit and other systems speak of the same.
type setting struct {
	name    string
	of      string   // the setting that it is a part of; empty: the name
	label   string   // of its text, "settings.label.<label>"; empty: the name
	about   []any    // arguments of the label
	kind    string   // line, area, number, check, choice, choices, secret, box
	options []string // of choice and choices; their texts are "settings.option.<label>.<option>"
	dir     string   // of an area; empty: auto
	read    func(*bridge.Region) string
	write   func(*bridge.Region, string) bool // false: it has not the form that it must have
	fault   func(string) (string, []any)      // code of what is wrong then, with its arguments; nil: "form"
}

// line is a text of one line.
func line(name string, at func(*bridge.Region) *string) setting {
	return setting{
		name: name, kind: "line",
		read: func(r *bridge.Region) string { return *at(r) },
		write: func(r *bridge.Region, text string) bool {
			*at(r) = strings.TrimSpace(text)
			return true
		},
	}
}

// area is a text of several lines.
func area(name string, at func(*bridge.Region) *string) setting {
	f := line(name, at)
	f.kind = "area"
	f.write = func(r *bridge.Region, text string) bool {
		*at(r) = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
		return true
	}
	return f
}

// whole is a whole number. Where 0 means a default it is shown as empty.
func whole[T int | int64](name string, at func(*bridge.Region) *T) setting {
	return setting{
		name: name, kind: "number",
		read: func(r *bridge.Region) string {
			if *at(r) == 0 {
				return ""
			}
			return strconv.FormatInt(int64(*at(r)), 10)
		},
		write: func(r *bridge.Region, text string) bool {
			if text = strings.TrimSpace(text); text == "" {
				*at(r) = 0
				return true
			}
			n, err := strconv.ParseInt(text, 10, 64)
			*at(r) = T(n)
			return err == nil && int64(T(n)) == n
		},
	}
}

// degrees is a number with a fraction.
func degrees(name string, at func(*bridge.Region) *float64) setting {
	return setting{
		name: name, kind: "line",
		read: func(r *bridge.Region) string { return strconv.FormatFloat(*at(r), 'f', -1, 64) },
		write: func(r *bridge.Region, text string) bool {
			n, err := strconv.ParseFloat(strings.Replace(strings.TrimSpace(text), ",", ".", 1), 64)
			*at(r) = n
			return err == nil
		},
	}
}

// check is a yes or no.
func check(name string, at func(*bridge.Region) *bool) setting {
	return setting{
		name: name, kind: "check",
		read: func(r *bridge.Region) string {
			if *at(r) {
				return "on"
			}
			return ""
		},
		write: func(r *bridge.Region, text string) bool {
			*at(r) = text != ""
			return true
		},
	}
}

// choice is one of some words.
func choice[T ~string](name string, options []string, at func(*bridge.Region) *T) setting {
	return setting{
		name: name, kind: "choice", options: options,
		read: func(r *bridge.Region) string { return string(*at(r)) },
		write: func(r *bridge.Region, text string) bool {
			*at(r) = T(text)
			return slices.Contains(options, text)
		},
	}
}

// secret is written and never shown again; nothing written leaves it as it is.
func secret(name string, at func(*bridge.Region) *bridge.Secret) setting {
	return setting{
		name: name, kind: "secret",
		read: func(r *bridge.Region) string {
			if *at(r) == "" {
				return ""
			}
			return "set"
		},
		write: func(r *bridge.Region, text string) bool {
			if text = strings.TrimSpace(text); text != "" {
				*at(r) = bridge.Secret(text)
			}
			return true
		},
	}
}

// languagesField lists a region's languages, a line each: "de Deutsch".
func languagesField() setting {
	return setting{
		name: "languages", kind: "area",
		read: func(r *bridge.Region) string {
			lines := make([]string, len(r.Settings.Languages))
			for i, l := range r.Settings.Languages {
				lines[i] = l.Code + " " + l.NativeName
			}
			return strings.Join(lines, "\n")
		},
		write: func(r *bridge.Region, text string) bool {
			var all []bridge.Language
			for line := range strings.Lines(text) {
				if code, name, _ := strings.Cut(strings.TrimSpace(line), " "); code != "" {
					all = append(all, bridge.Language{Code: code, NativeName: strings.TrimSpace(name)})
				}
			}
			r.Settings.Languages = all
			return true
		},
	}
}

// kindsField chooses the kinds of files that devices may send: all of them is
// the default, none of them means no files.
func kindsField(all []string) setting {
	return setting{
		name: "file_kinds", kind: "choices", options: all,
		read: func(r *bridge.Region) string {
			switch kinds := r.Settings.FileKinds; {
			case len(kinds) == 0:
				return strings.Join(all, " ")
			case slices.Equal(kinds, []string{bridge.NoFiles}):
				return ""
			default:
				return strings.Join(kinds, " ")
			}
		},
		write: func(r *bridge.Region, text string) bool {
			chosen := strings.Fields(text)
			known := slices.DeleteFunc(slices.Clone(all), func(kind string) bool { return !slices.Contains(chosen, kind) })
			switch len(known) {
			case 0:
				known = []string{bridge.NoFiles}
			case len(all):
				known = nil
			}
			r.Settings.FileKinds = known
			return true
		},
	}
}

// textFields are the texts of a region, for each of its languages.
func textFields(r *bridge.Region) []setting {
	var fields []setting
	for _, l := range r.Settings.Languages {
		for _, text := range []struct {
			name string
			at   func(*reception.Texts) *string
		}{
			{"away", func(t *reception.Texts) *string { return &t.Away }},
			{"closed", func(t *reception.Texts) *string { return &t.Closed }},
			{"reopened", func(t *reception.Texts) *string { return &t.Reopened }},
			{"role", func(t *reception.Texts) *string { return &t.Role }},
		} {
			fields = append(fields, setting{
				name: fmt.Sprintf("reception.texts.%s.%s", l.Code, text.name), label: "reception.texts." + text.name, about: []any{l.NativeName}, kind: "area",
				read: func(r *bridge.Region) string {
					texts := r.Settings.Reception.Texts[l.Code]
					return *text.at(&texts)
				},
				write: func(r *bridge.Region, value string) bool {
					texts := r.Settings.Reception.Texts[l.Code]
					*text.at(&texts) = strings.TrimSpace(strings.ReplaceAll(value, "\r\n", "\n"))
					r.Settings.Reception = r.Settings.Reception.WithTexts(l.Code, texts)
					return true
				},
			})
		}
	}
	return fields
}

// zammadURLField is the address of a region's Zammad. With another address the
// tokens of the old one are dropped.
func (d settingsDoor) zammadURLField() setting {
	return setting{
		name: "zammad_url", kind: "line",
		read: func(r *bridge.Region) string { return r.Settings.ZammadURL },
		write: func(r *bridge.Region, text string) bool {
			if text = strings.TrimSpace(text); text == "" {
				r.MoveTo("")
				return true
			}
			clean, err := d.Rules.ZammadURL(text)
			if err == nil {
				r.MoveTo(clean)
			}
			return err == nil
		},
	}
}
