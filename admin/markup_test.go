package admin

import (
	"html/template"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"text/template/parse"
	"time"
)

func TestMarkupEscapesAllButMarkup(t *testing.T) {
	const hostile = `"><script>alert('1')</script>&amp;`
	const harmless = `&#34;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;amp;`
	type name string
	for _, c := range []struct {
		format string
		values []any
		want   template.HTML
	}{
		{`<p title="%s">%s</p>`, []any{hostile, name(hostile)}, `<p title="` + harmless + `">` + harmless + `</p>`},
		{`<p>%s%d%v</p>`, []any{markup(`<b>%s</b>`, hostile), 7, int64(8)}, `<p><b>` + harmless + `</b>78</p>`},
		{`<p>%s</p>`, []any{`%s %d`}, `<p>%s %d</p>`},
	} {
		if got := markup(c.format, c.values...); got != c.want {
			t.Errorf("markup(%q, %q) = %s, want %s", c.format, c.values, got, c.want)
		}
	}
	if got := rows([]string{"<a>", "b"}, func(s *string) template.HTML { return markup(`<td>%s</td>`, *s) }); got != `<td>&lt;a&gt;</td><td>b</td>` {
		t.Errorf("rows: %s", got)
	}
	if got := clock("de", time.Time{}, time.UTC); got != "" {
		t.Errorf("the zero time: %s", got)
	}
}

// TestSettledTexts: the texts that stand in the templates once and for all are
// those of the language, and stand where escaping them for elements and quoted
// attributes is enough.
func TestSettledTexts(t *testing.T) {
	v, err := newViews()
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`{{-?\s*t "([^"]+)"\s*-?}}`)
	address := regexp.MustCompile(`(?:href|src|action|formaction|style|srcset|on[a-z]+)="[^"]*$`)
	settled := 0
	err = eachFile("templates", func(name string, content []byte) error {
		for _, at := range call.FindAllSubmatchIndex(content, -1) {
			settled++
			before := string(content[:at[0]])
			if address.MatchString(before) || strings.Count(before, "<script") > strings.Count(before, "</script") || strings.Contains(before, "<style") {
				t.Errorf("%s: the text %s stands in an address, a script or a style", name, content[at[2]:at[3]])
			}
			if tag := before[strings.LastIndexAny(before, "<>")+1:]; strings.LastIndexAny(before, "<>") >= 0 && before[strings.LastIndexAny(before, "<>")] == '<' && strings.Count(tag, `"`)%2 == 0 {
				t.Errorf("%s: the text %s stands in a tag and in no quotes", name, content[at[2]:at[3]])
			}
		}
		return nil
	})
	if err != nil || settled == 0 {
		t.Fatalf("%d texts in the templates: %v", settled, err)
	}
	for l, pages := range v.pages {
		for name, page := range pages {
			for _, each := range page.Templates() {
				if each.Tree == nil {
					continue
				}
				if left := regexp.MustCompile(`{{t "[a-z_.]+"}}`).FindString(each.Tree.Root.String()); left != "" {
					t.Errorf("%s in %q: %s is still looked up for each page", name, l, left)
				}
			}
		}
	}
	tree, err := parse.Parse("x", `{{t "nav.home"}}{{$a := t "nav.home"}}{{template "y" f "n" (t "nav.home")}}{{if true}}{{t "no.such"}}{{t "chats.number" 1}}{{else}}{{t "nav.home"}}{{end}}`, "", "", map[string]any{"t": 1, "f": 1})
	if err != nil {
		t.Fatal(err)
	}
	settler{map[string]string{"nav.home": `<"home">`, "chats.number": "%d"}}.list(tree["x"].Root)
	const want = `&lt;&#34;home&#34;&gt;{{$a := "<\"home\">"}}{{template "y" f "n" "<\"home\">"}}{{if true}}{{t "no.such"}}{{t "chats.number" 1}}{{else}}&lt;&#34;home&#34;&gt;{{end}}`
	if got := tree["x"].Root.String(); got != want {
		t.Errorf("settled:\n%s, want\n%s", got, want)
	}
}

// TestFormatsAreConstant: what is handed to markup as a format is written here,
// never made of something.
func TestFormatsAreConstant(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d sources: %v", len(names), err)
	}
	call, fine := regexp.MustCompile(`\bmarkup\(`), regexp.MustCompile("\\bmarkup\\((`[^`]*`|link)[,)]")
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.go") || name == "markup.go" {
			continue
		}
		if all, good := len(call.FindAll(content, -1)), len(fine.FindAll(content, -1)); all != good {
			t.Errorf("%s: %d of %d calls of markup have no constant format", name, all-good, all)
		}
	}
}
