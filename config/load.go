package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"
	"go.yaml.in/yaml/v3"
)

const (
	envPrefix = "DESKBRIDGE_"
	// EnvFile is the variable that names the YAML file where --config does not.
	EnvFile = envPrefix + "CONFIG"
	// envTest begins the names of variables that belong to the tests.
	envTest = envPrefix + "TEST_"
)

// Load reads the YAML file at path (empty: the one that DESKBRIDGE_CONFIG in
// environ names, or none), lays the variables of environ ("NAME=value") over
// it, reads files that hold secrets, fills in defaults and checks every value.
// A variable that is set to nothing counts as not set. The error tells all that
// is wrong, with line or variable and key, and never a value.
func Load(path string, environ []string) (Config, error) {
	l := &loader{cfg: Default(), origin: map[string]string{}}
	vars := ourVariables(environ)
	path = cmp.Or(path, vars[EnvFile])
	if path != "" {
		l.file(path)
	}
	l.environment(vars)
	if len(l.problems) == 0 {
		l.secretFiles()
		l.complete()
		l.check()
	}
	return l.cfg, errors.Join(l.problems...)
}

// loader gathers the settings and what is wrong with them.
type loader struct {
	cfg      Config
	origin   map[string]string // by key: which line or variable set it
	problems []error
}

func (l *loader) problem(format string, args ...any) {
	l.problems = append(l.problems, fmt.Errorf(format, args...))
}

// field is one setting: a leaf of the struct tree.
type field struct {
	key      string // zammad.write_horizon
	variable string // DESKBRIDGE_ZAMMAD_WRITE_HORIZON
	value    reflect.Value
}

// fields lists the settings of cfg in the order of the struct.
func fields(cfg *Config) []field { return walk(reflect.ValueOf(cfg).Elem(), "", envPrefix) }

func walk(v reflect.Value, key, variable string) []field {
	var found []field
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		name := key + tag.Get("yaml")
		if prefix, is := tag.Lookup("envPrefix"); is {
			found = append(found, walk(v.Field(i), name+".", variable+prefix)...)
			continue
		}
		found = append(found, field{name, variable + tag.Get("env"), v.Field(i)})
	}
	return found
}

// ourVariables picks the variables with our prefix that are set.
func ourVariables(environ []string) map[string]string {
	vars := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, envPrefix) && !strings.HasPrefix(name, envTest) && value != "" {
			vars[name] = value
		}
	}
	return vars
}

// quoted finds what the YAML parser repeats of the file, which may be a secret.
var quoted = regexp.MustCompile("(?s)[`'\"].*[`'\"]")

func (l *loader) file(path string) {
	content, err := os.ReadFile(path)
	if err != nil {
		l.problem("configuration file: %w", err)
		return
	}
	var document, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return // empty, or comments only
	} else if err != nil {
		l.problem("%s: %s", path, quoted.ReplaceAllString(strings.TrimPrefix(err.Error(), "yaml: "), "(hidden)"))
		return
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		l.problem("%s: only one YAML document is taken", path)
		return
	}
	known := map[string]reflect.Value{}
	for _, f := range fields(&l.cfg) {
		known[f.key] = f.value
	}
	l.mapping(path, "", document.Content[0], known)
}

// mapping takes over one level of the file. Keys that end below it are settings.
func (l *loader) mapping(path, prefix string, node *yaml.Node, known map[string]reflect.Value) {
	at := func(n *yaml.Node) string { return path + " line " + strconv.Itoa(n.Line) }
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return
	}
	if node.Kind != yaml.MappingNode {
		l.problem("%s: %s must hold keys with values", at(node), cmp.Or(strings.TrimSuffix(prefix, "."), "the file"))
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		key := prefix + name.Value
		target, isSetting := known[key]
		switch {
		case !isSetting && isSection(key, known):
			l.mapping(path, key+".", value, known)
		case !isSetting:
			l.problem("%s: unknown key %s; the nearest known one is %s", at(name), key, nearest(key, known))
		case l.origin[key] != "":
			l.problem("%s: %s stands twice, also at %s", at(name), key, l.origin[key])
		default:
			l.origin[key] = at(value)
			if value.Tag == "!!null" {
				continue
			}
			if err := value.Decode(target.Addr().Interface()); err != nil {
				l.problem("%s: %s must be %s", at(value), key, expectation(target.Type()))
			}
		}
	}
}

func isSection(key string, known map[string]reflect.Value) bool {
	for k := range known {
		if strings.HasPrefix(k, key+".") {
			return true
		}
	}
	return false
}

func (l *loader) environment(vars map[string]string) {
	byVariable := map[string]reflect.Value{}
	all := fields(&l.cfg)
	for _, f := range all {
		byVariable[f.variable] = f.value
	}
	for name := range vars {
		if _, known := byVariable[name]; !known && name != EnvFile {
			l.problem("unknown variable %s; the nearest known one is %s", name, nearest(name, byVariable))
		}
	}
	for _, f := range all {
		value, set := vars[f.variable]
		if !set {
			continue
		}
		l.origin[f.key] = f.variable
		// The environment wins as a whole: a secret from one source is not at
		// odds with the file for it from the other.
		for _, twin := range all {
			if (twin.key == f.key+"_file" || f.key == twin.key+"_file") && vars[twin.variable] == "" {
				twin.value.SetZero()
			}
		}
		// One variable at a time, so that it is known which one is wrong.
		one := env.Options{Prefix: envPrefix, Environment: map[string]string{f.variable: value}}
		if err := env.ParseWithOptions(&l.cfg, one); err != nil {
			l.problem("%s must be %s", f.variable, expectation(f.value.Type()))
		}
	}
}

// secretFiles reads each secret whose twin "…_file" is set. The secret key's
// file is read by Key, since it may have to be made.
func (l *loader) secretFiles() {
	all := fields(&l.cfg)
	for _, f := range all {
		for _, twin := range all {
			if twin.key != f.key+"_file" || twin.value.String() == "" {
				continue
			}
			if f.value.String() != "" {
				l.problem("%s: only one of %s and %s may be set", l.origin[twin.key], f.key, twin.key)
				continue
			}
			if f.key == "secret_key" {
				continue
			}
			content, err := os.ReadFile(twin.value.String())
			if err != nil {
				l.problem("%s: %s: %w", l.origin[twin.key], twin.key, err)
				continue
			}
			f.value.SetString(strings.TrimSpace(string(content)))
			l.origin[f.key] = "file named by " + l.origin[twin.key]
		}
	}
}

// complete fills in the defaults that follow from other settings.
func (l *loader) complete() {
	c := &l.cfg
	if c.Database.URL == "" {
		c.Database.URL = SecretURL("sqlite:" + filepath.Join(c.DataDir, "deskbridge.db"))
	}
	if c.SecretKey == "" && c.SecretKeyFile == "" {
		c.SecretKeyFile = filepath.Join(c.DataDir, "secret.key")
	}
	if c.Instance == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		c.Instance = host + "-" + strconv.Itoa(os.Getpid())
	}
}

// expectation describes the values of a type.
func expectation(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[Secret](), t == reflect.TypeFor[SecretURL](), t.Kind() == reflect.String:
		return "a text"
	case t.String() == "time.Duration":
		return "a duration such as 300s or 5m"
	case t.String() == "[]netip.Prefix":
		return "a list of networks such as 10.0.0.0/8 or 192.0.2.1/32"
	case t.Kind() == reflect.Slice:
		return "a list of texts"
	case t.Kind() == reflect.Bool:
		return "true or false"
	default:
		return "a whole number"
	}
}
