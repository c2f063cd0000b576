package author

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

func TestParts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]Part{
		"":                                  {},
		"no link":                           {{Text: "no link"}},
		"see https://a.example/x?y=1#z, ok": {{Text: "see "}, {Text: "https://a.example/x?y=1#z", Link: true}, {Text: ", ok"}},
		"(http://a.example/b_(c))":          {{Text: "("}, {Text: "http://a.example/b_(c)", Link: true}, {Text: ")"}},
		"HTTPS://A.example.":                {{Text: "HTTPS://A.example", Link: true}, {Text: "."}},
		"https://bank.example@evil.example": {{Text: "https://bank.example@evil.example"}},
		"javascript:alert(1) ftp://a.example data:text/html,x": {{Text: "javascript:alert(1) ftp://a.example data:text/html,x"}},
		"http://\u202eelpmaxe.a/x":                             {{Text: "http://\u202eelpmaxe.a/x"}},
		"https://a.example\nhttps://b.example":                 {{Text: "https://a.example", Link: true}, {Text: "\n"}, {Text: "https://b.example", Link: true}},
	} {
		if d := cmp.Diff(want, append([]Part{}, Parts(text)...)); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
}

func TestHTML(t *testing.T) {
	t.Parallel()
	const want = `&lt;b&gt; <a href="https://a.example/?x=1&amp;y=2" rel="noopener noreferrer" target="_blank">https://a.example/?x=1&amp;y=2</a>&#34;`
	if got := string(HTML(`<b> https://a.example/?x=1&y=2"`)); got != want {
		t.Errorf("%s", got)
	}
}

// FuzzHTML: whatever is written, a browser shows the same text, and has nothing
// else than links to web addresses, each of which shows where it leads.
func FuzzHTML(f *testing.F) {
	for _, text := range []string{
		"https://a.example/", `<script>alert(1)</script> https://a.example/"onmouseover="x`, "https://a.example/'><img src=x onerror=x>",
		"java\nscript:alert(1)", "https://user:pass@a.example", "http://[::1]:80/", "https://a.example/\x00", "&lt;&amp;https://x.example/&#34;",
		"https://a.example/%ff%zz", "\u202ehttps://a.example\u2066", "HtTpS://ä.example/ü?ß#ö", "https://a.example/\ufeffx",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var joined strings.Builder
		for _, p := range Parts(text) {
			joined.WriteString(p.Text)
		}
		if joined.String() != text {
			t.Fatalf("%q became %q", text, joined.String())
		}
		if !clean(text) {
			return // never gets here: see bridge.CleanText
		}
		root, err := html.Parse(strings.NewReader("<!doctype html><body><pre>\n" + string(HTML(text)) + "</pre>"))
		if err != nil {
			t.Fatal(err)
		}
		var shown strings.Builder
		pre := find(root, "pre")
		for n := range pre.Descendants() {
			switch {
			case n.Type == html.TextNode:
				shown.WriteString(n.Data)
			case n.Type != html.ElementNode || n.Data != "a" || n.Parent != pre:
				t.Fatalf("%q has a %q", text, n.Data)
			default:
				checkLink(t, n)
			}
		}
		if shown.String() != text {
			t.Fatalf("%q is shown as %q", text, shown.String())
		}
	})
}

func checkLink(t *testing.T, n *html.Node) {
	t.Helper()
	has := map[string]string{}
	for _, a := range n.Attr {
		has[a.Key] = a.Val
	}
	href := strings.ToLower(has["href"])
	if len(has) != 3 || has["rel"] != "noopener noreferrer" || has["target"] != "_blank" || !strings.HasPrefix(href, "http://") && !strings.HasPrefix(href, "https://") {
		t.Fatalf("a link with %v", has)
	}
	if n.FirstChild == nil || n.FirstChild.Data != has["href"] {
		t.Fatalf("a link to %q shows something else", has["href"])
	}
}

// clean says whether a text has nothing that a parser of HTML changes by itself.
func clean(text string) bool {
	return strings.ToValidUTF8(text, "") == text && !strings.ContainsAny(text, "\x00\r")
}

func find(n *html.Node, name string) *html.Node {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == name {
			return d
		}
	}
	return nil
}

func FuzzCursors(f *testing.F) {
	for _, text := range []string{"", "1.2", "3.17,8.2", "1", ".", "-1.2", "1.9223372036854775808", "1.2,"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cursors, err := parseCursors(text)
		if err != nil {
			return
		}
		if len(cursors) > maxCursors {
			t.Fatal("too many")
		}
		for room, seq := range cursors {
			if room < 0 || seq < 0 {
				t.Fatalf("%q gives %v", text, cursors)
			}
		}
	})
}

func TestCursors(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{"": true, "3.17,8.2": true, "1.0": true, "1": false, "a.1": false, "1.2,": false, "1.-2": false,
		strings.Repeat("1.2,", 499) + "1.2": true} {
		if _, err := parseCursors(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
