package admin

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// quoted finds what may be the key of a text, in templates and in Go.
var quoted = regexp.MustCompile(`"([a-z_]+(?:\.[a-z0-9_]+)+)"`)

// shown finds what is a text for certain.
var shown = regexp.MustCompile(`{{[^}]*\bt "([^"]+)"|\.T\("([^"]+)"`)

// begun finds the beginnings of keys that are put together.
var begun = regexp.MustCompile(`print "([a-z_]+\.[a-z_.]*)"|"([a-z_]+\.[a-z_.]*\.)" ?\+`)

// TestTexts: every key that is used exists, every key that exists is used, and
// the languages take the same arguments.
func TestTexts(t *testing.T) {
	v, err := newViews()
	if err != nil {
		t.Fatal(err)
	}
	used, made := make(map[string]bool), []string{"nav.", "done."}
	for _, pattern := range []string{"*.go", "templates/*.html"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(name, "_test.go") {
				continue // what tests say nobody reads
			}
			for _, match := range quoted.FindAllStringSubmatch(string(content), -1) {
				used[match[1]] = true
			}
			for _, match := range shown.FindAllStringSubmatch(string(content), -1) {
				if key := match[1] + match[2]; v.texts["en"][key] == "" {
					t.Errorf("%s uses the text %q, which does not exist", name, key)
				}
			}
			for _, match := range begun.FindAllStringSubmatch(string(content), -1) {
				made = append(made, match[1]+match[2])
			}
		}
	}
	verbs := regexp.MustCompile(`%[\[\]0-9.+]*[a-z]`)
	for key, english := range v.texts["en"] {
		if !used[key] && !madeOf(made, key) && !strings.HasSuffix(key, ".title") && !strings.Contains(key, ".done.") {
			t.Errorf("nobody uses the text %q", key)
		}
		if g, e := verbs.FindAllString(v.texts["de"][key], -1), verbs.FindAllString(english, -1); len(g) != len(e) {
			t.Errorf("the text %q takes %v in German and %v in English", key, g, e)
		}
	}
}

func madeOf(made []string, key string) bool {
	for _, beginning := range made {
		if strings.HasPrefix(key, beginning) {
			return true
		}
	}
	return false
}

// TestPagesHaveTitles: the title of a page is the text of its name.
func TestPagesHaveTitles(t *testing.T) {
	v, err := newViews()
	if err != nil {
		t.Fatal(err)
	}
	pages, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range pages {
		name := strings.TrimSuffix(filepath.Base(file), ".html")
		if name == "layout" || name == "blocks" {
			continue
		}
		for _, l := range languages {
			if v.texts[l][name+".title"] == "" {
				t.Errorf("the page %s has no title in %q", name, l)
			}
		}
	}
}

// TestNextStaysInTheConsole: the address to go on to after signing in is a path
// of the console, whatever is asked.
func TestNextStaysInTheConsole(t *testing.T) {
	for next, want := range map[string]string{
		"/admin/regions/a/?x=1": "/admin/regions/a/?x=1", "": homePath, "/": homePath, "https://evil.example/admin/": homePath,
		"//evil.example/admin/": homePath, "/\\evil.example/admin/": homePath, "/admin/\r\nX: y": homePath, "javascript:alert(1)": homePath,
		"/adminx/": homePath, "/admin/../../x": homePath, "/admin/%2e%2e/x": homePath,
	} {
		if got := safeNext(next); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
}

// TestActionsHaveWords: what the store writes into the audit is said in plain
// words in both languages.
func TestActionsHaveWords(t *testing.T) {
	v, err := newViews()
	if err != nil {
		t.Fatal(err)
	}
	action := regexp.MustCompile(`"((?:alert|author|chat|delivery|device|job|letter|region|staff|tester|token)\.[a-z-]+)"`)
	names, err := filepath.Glob("../storage/*.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d sources of the store: %v", len(names), err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range action.FindAllStringSubmatch(string(content), -1) {
			for _, l := range languages {
				if v.texts[l]["audit.action."+match[1]] == "" {
					t.Errorf("%s: the action %s has no words in %q", name, match[1], l)
				}
			}
		}
	}
}
