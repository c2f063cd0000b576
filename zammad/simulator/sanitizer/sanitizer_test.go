package sanitizer

import (
	"strings"
	"testing"

	"golang.org/x/net/html"
	"pgregory.net/rapid"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, want string }{
		{"script and style go with their content", "<p>a</p><script>alert(1)</script><style>x</style>b", "<p>a</p>b"},
		{"handlers, classes, ids and position go", `<div onclick="x()" class="foo" style="color:red;position:fixed" id="y">hi</div>`, `<div style="color:red;">hi</div>`},
		{"remote pictures go", `<img src="https://example.org/x.png">after`, "after"},
		{"script links are unwrapped", `<a href="java&#10;script:alert(1)">x</a>`, "x"},
		{"bare URLs become links", "see https://example.org/a?b=1&amp;c=2. now", `see <a href="https://example.org/a?b=1&amp;c=2" rel="nofollow noreferrer noopener" target="_blank">https://example.org/a?b=1&amp;c=2</a>. now`},
		{"a form leaves line feeds", `<form action="/x"><input name="a"><button>b</button></form>`, "\nb\n"},
		{"open elements are closed", "<div><b>bold <i>both", "<div><b>bold <i>both</i></b></div>"},
		{"escaped text stays escaped", "&lt;b&gt;bold&lt;/b&gt; &amp;amp; &quot;q&quot;", `&lt;b&gt;bold&lt;/b&gt; &amp;amp; "q"`},
		{"control characters and noncharacters go", "a\x01b\uFFFEc&#2;d\tn", "abcd\tn"},
		{"pictures are capped", `<img src="cid:1" style="width:20px">`, `<img src="cid:1" style="max-width:100%;width:20px;">`},
		{"a link's target becomes its title", `<a href="https://example.org/x">link</a>`, `<a href="https://example.org/x" rel="nofollow noreferrer noopener" target="_blank" title="https://example.org/x">link</a>`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := Clean(tc.in); got != tc.want {
				t.Errorf("Clean(%q)\n got %q\nwant %q", tc.in, got, tc.want)
			}
		})
	}
}

func TestMentionsSeeOnlyRealLinks(t *testing.T) {
	t.Parallel()
	if got := Mentions(`hi <a data-mention-user-id="5">C</a> &lt;a data-mention-user-id="3"&gt;`); len(got) != 1 || got[0] != "5" {
		t.Errorf("Mentions = %v, want [5]", got)
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"<p>a</p>", "<a href=javascript:x>", "&lt;", "<table><tr><td>", "https://x.org:", "<img src=data:,>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := Clean(s)
		if strings.Contains(strings.ToLower(out), "<script") {
			t.Errorf("Clean(%q) lets a script through: %q", s, out)
		}
	})
}

// Text that a bridge sends escaped, with <br> for line feeds, comes back equal
// (contract 00.21).
func TestEscapedTextSurvives(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.OneOf(rapid.SampledFrom([]rune("<>&\"' \n\t;#/:.=abc&lt;\u00a0\u200d\u202e😀")), rapid.Rune())).Draw(t, "text")
		text = strings.ReplaceAll(removeInvalid(strings.ToValidUTF8(text, "")), "\r", "")
		escaped := strings.ReplaceAll(html.EscapeString(text), "\n", "<br>")
		var back strings.Builder
		z := html.NewTokenizer(strings.NewReader(Clean(escaped)))
		for kind := z.Next(); kind != html.ErrorToken; kind = z.Next() {
			switch name, _ := z.TagName(); {
			case kind == html.TextToken:
				back.WriteString(string(z.Text()))
			case kind == html.StartTagToken && string(name) == "br":
				back.WriteString("\n")
			}
		}
		if back.String() != text {
			t.Fatalf("%q came back as %q", text, back.String())
		}
	})
}
