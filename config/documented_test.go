package config_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"deskbridge/config"
)

var update = flag.Bool("update", false, "write config.example.yaml and docs/configuration.md anew")

// setting is one key as the source documents it.
type setting struct {
	key, variable, comment string
	value                  reflect.Value // its default
}

// settings reads keys and defaults from the structs and the words from the
// comments in config.go: there is no other place to write them.
func settings(t *testing.T) []setting {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, is := n.(*ast.TypeSpec)
		if !is {
			return true
		}
		if structure, is := spec.Type.(*ast.StructType); is {
			for _, field := range structure.Fields.List {
				comments[spec.Name.Name+"."+field.Names[0].Name] = strings.TrimSpace(field.Doc.Text())
			}
		}
		return true
	})
	return collect(reflect.ValueOf(config.Default()), "", "DESKBRIDGE_", comments)
}

func collect(v reflect.Value, key, variable string, comments map[string]string) []setting {
	var found []setting
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := key + f.Tag.Get("yaml")
		if prefix, is := f.Tag.Lookup("envPrefix"); is {
			found = append(found, collect(v.Field(i), name+".", variable+prefix, comments)...)
			continue
		}
		found = append(found, setting{name, variable + f.Tag.Get("env"), comments[v.Type().Name()+"."+f.Name], v.Field(i)})
	}
	return found
}

func (s setting) yaml(t *testing.T) string {
	t.Helper()
	text, err := yaml.Marshal(s.value.Interface())
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSpace(string(text))
	if s.value.Kind() == reflect.Slice {
		return "[" + strings.TrimSuffix(strings.ReplaceAll(strings.TrimPrefix(line, "- "), "\n- ", ", "), "[]") + "]"
	}
	return line
}

func example(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	out.WriteString(`# Settings of Deskbridge. Every key is optional and shown with its default.
# The environment wins: each key has a variable, named in docs/configuration.md
# (listen is DESKBRIDGE_LISTEN, database.url is DESKBRIDGE_DATABASE_URL).
# Unknown keys stop the start. Regions are set with "deskbridge region".
`)
	var open []string // the sections that the line before is in
	for _, s := range settings(t) {
		out.WriteString("\n")
		path := strings.Split(s.key, ".")
		sections, name := path[:len(path)-1], path[len(path)-1]
		for depth, section := range sections {
			if depth >= len(open) || open[depth] != section {
				fmt.Fprintf(&out, "%s%s:\n", strings.Repeat("  ", depth), section)
				open = nil // what is below another section begins anew
			}
		}
		open = sections
		indent := strings.Repeat("  ", len(sections))
		for line := range strings.Lines(s.comment) {
			out.WriteString(indent + "# " + strings.TrimRight(line, "\n") + "\n")
		}
		fmt.Fprintf(&out, "%s%s: %s\n", indent, name, s.yaml(t))
	}
	return out.String()
}

func reference(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	out.WriteString(`# Configuration

One YAML file (` + "`--config FILE`, or `DESKBRIDGE_CONFIG`" + `) and the environment, which wins. Everything has a default, so both may
be missing. An unknown key or an unknown variable that begins with ` + "`DESKBRIDGE_`" + ` stops the start and names the nearest known
one (` + "`DESKBRIDGE_TEST_…`" + ` is left to the tests); a bad value is told with its line or variable, never with the value itself.
A variable that is set to nothing counts as not set. Lists in variables are separated by commas, without spaces.

` + "`deskbridge config`" + ` prints the effective values with secrets masked; ` + "`config.example.yaml`" + ` shows the same keys as a file.
Secrets are best given as files: ` + "`…_FILE`" + ` names a file that holds the value. Settings of regions live in the database
(` + "`deskbridge region --help`" + `).

| key | variable | default | meaning |
|---|---|---|---|
`)
	for _, s := range settings(t) {
		value := s.yaml(t)
		if value == `""` || value == "[]" {
			value = ""
		} else {
			value = "`" + value + "`"
		}
		fmt.Fprintf(&out, "| `%s` | `%s` | %s | %s |\n", s.key, s.variable, value, strings.ReplaceAll(s.comment, "\n", " "))
	}
	out.WriteString(`
Settings that give up some safety are named in the log when ` + "`serve`" + ` starts: listening on other than loopback addresses, a
public address without TLS, trusting every proxy, switched-off limits, a write horizon that is shorter than the write
time-out.
`)
	return out.String()
}

func TestDocumentsFollowTheStructs(t *testing.T) {
	for path, want := range map[string]string{
		"../config.example.yaml":   example(t),
		"../docs/configuration.md": reference(t),
	} {
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s does not follow config.go; write it anew with: go test ./config -update", path)
		}
	}
}

func TestEverySettingIsDocumented(t *testing.T) {
	t.Parallel()
	for _, s := range settings(t) {
		if !strings.Contains(s.comment, "Default") {
			t.Errorf("%s: the comment must name the default: %q", s.key, s.comment)
		}
		if want := "DESKBRIDGE_" + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_")); s.variable != want {
			t.Errorf("%s has the variable %s, want %s", s.key, s.variable, want)
		}
	}
}

func TestExampleIsTheDefault(t *testing.T) {
	t.Parallel()
	fromExample, err := config.Load("../config.example.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := config.Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(fromExample.TrustedProxies) == 0 { // an empty list instead of none
		fromExample.TrustedProxies = nil
	}
	if !reflect.DeepEqual(fromExample, plain) {
		t.Errorf("the example gives\n%+v\nthe defaults\n%+v", fromExample, plain)
	}
}
