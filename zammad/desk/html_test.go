package desk

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

func TestHostileTextsComeBackEqual(t *testing.T) {
	t.Parallel()
	for _, h := range hostileTexts(t) {
		t.Run(h.Name, func(t *testing.T) {
			t.Parallel()
			text := h.accepted(t)
			if got := toText(toHTML(text)); got != text {
				t.Errorf("escaped and read: %q\nwant %q", got, text)
			}
			markup, twin := content(toHTML(text), "text/html", nil)
			if twin != text {
				t.Errorf("as an answer in HTML: %q\nwant %q", twin, text)
			}
			inert(t, markup)
			plain, twin := content(text, "text/plain; charset=", nil)
			if twin != text {
				t.Errorf("as a plain answer: %q\nwant %q", twin, text)
			}
			inert(t, plain)
			markup, twin = content(typed(text), "text/html", nil)
			if twin != text {
				t.Errorf("as lines of an editor: %q\nwant %q", twin, text)
			}
			inert(t, markup)
			// The text as markup: it must not become more than text.
			markup, _ = content(text, "text/html", nil)
			inert(t, markup)
		})
	}
}

// harmless are the elements that a device may be shown, with their attributes.
var harmless = map[string][]string{
	"img": {"src", "alt"},
	"a":   {"href", "rel", "target", "dir", "lang"}, "ol": {"start", "dir", "lang"},
	"td": {"colspan", "rowspan", "dir", "lang"}, "th": {"colspan", "rowspan", "dir", "lang"},
}

// inert fails unless a browser would find nothing in the markup that loads,
// runs or restyles. It reads with a browser's parser, which sanitise does not.
func inert(t testing.TB, markup string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader("<!DOCTYPE html><body>" + markup))
	if err != nil {
		t.Fatalf("%v: %.200q", err, markup)
	}
	allowed := strings.Fields("html head body b blockquote br caption code del div em h1 h2 h3 h4 h5 h6 hr i ins li ol p pre s small span strong sub sup table tbody td tfoot th thead tr u ul a img")
	for n := range root.Descendants() {
		switch n.Type {
		case html.CommentNode:
			t.Errorf("comment %.100q", n.Data)
		case html.ElementNode:
			if !slices.Contains(allowed, n.Data) || n.Namespace != "" {
				t.Errorf("element %q in %.200q", n.Data, markup)
			}
			for _, a := range n.Attr {
				attributes, ok := harmless[n.Data]
				if !ok {
					attributes = []string{"dir", "lang"}
				}
				if !slices.Contains(attributes, a.Key) {
					t.Errorf("attribute %s=%q of %s", a.Key, a.Val, n.Data)
				}
				if a.Key == "src" && !regexp.MustCompile(`^attachments/[a-z2-7]{26}/$`).MatchString(a.Val) {
					t.Errorf("picture from %q", a.Val)
				}
				if u, err := url.Parse(a.Val); a.Key == "href" && (err != nil || !slices.Contains([]string{"http", "https", "mailto", "tel"}, strings.ToLower(u.Scheme))) {
					t.Errorf("address %q", a.Val)
				}
			}
		}
	}
}

// sanitised is an example: what comes in, and what a device gets of it.
type sanitised struct{ name, in, html, text string }

const rel = ` rel="nofollow noreferrer noopener" target="_blank"`

func inlineExamples() []sanitised {
	return []sanitised{
		{"answer and farewell", "Done. <br>Goodbye", "Done. <br>Goodbye", "Done. \nGoodbye"},
		{"a note with link", `<div>Good morning, <b>how</b> can I help?<br><a href="https://example.org/x" rel="nofollow" title="t">link</a>` + "\n</div>",
			`<div>Good morning, <b>how</b> can I help?<br><a href="https://example.org/x"` + rel + ">link</a>\n</div>",
			"Good morning, how can I help?\nlink <https://example.org/x>"},
		{"bare address", `see <a href="https://example.org/a?b=1&amp;c=2" target="_blank">https://example.org/a?b=1&amp;c=2</a> now`,
			`see <a href="https://example.org/a?b=1&amp;c=2"` + rel + `>https://example.org/a?b=1&amp;c=2</a> now`,
			"see https://example.org/a?b=1&c=2 now"},
		{"mail address", `<a href="mailto:a@example.org">a@example.org</a>, <a href="mailto:b@example.org">the office</a>`,
			`<a href="mailto:a@example.org" rel="nofollow noreferrer">a@example.org</a>, <a href="mailto:b@example.org" rel="nofollow noreferrer">the office</a>`,
			"a@example.org, the office <b@example.org>"},
		{"phone", `<a href="tel:+4930123">+4930123</a>`, `<a href="tel:+4930123" rel="nofollow noreferrer">+4930123</a>`, "+4930123"},
		{"link that lies", `<a href="https://evil.example/">https://bank.example/</a>`,
			`<a href="https://evil.example/"` + rel + `>https://bank.example/</a>`, "https://bank.example/ <https://evil.example/>"},
		{"link inside Zammad", `<a href="#ticket/zoom/7">Ticket</a> <a href="/api/v1/x">x</a>`, "Ticket x", "Ticket x"},
		{"link with script", `<a href="javascript:alert(1)">x</a><a href=" JaVaScRiPt:alert(1)">y</a>`, "xy", "xy"},
		{"handlers and looks", `<div onclick="x()" class="foo" style="color:red" id="y">hi</div>`, "<div>hi</div>", "hi"},
		{"script and style", "<p>a</p><script>alert(1)</script><style>x</style>b", "<p>a</p>b", "a\n\nb"},
		{"frame, drawing", `x<iframe src="https://example.org">y</iframe><svg><circle/><text>z</text></svg>`, "x", "x"},
		{"form", `<form action="/x"><input name="a"><button>b</button></form>`, "<div>b</div>", "b"},
	}
}

func blockExamples() []sanitised {
	return []sanitised{
		{"remote picture", `before <img src="https://example.org/x.png" alt="x"> after`, "before  after", "before  after"},
		{"inline picture", `Please fill in <img src="/api/v1/ticket_attachment/11/35/6?view=inline" style="width:20px;"> this form`,
			"Please fill in [picture] this form", "Please fill in [picture] this form"},
		{"unclosed", "<div><b>bold <i>both", "<div><b>bold <i>both</i></b></div>", "bold both"},
		{"misnested", "<b>x<i>y</b>z</i>", "<b>x<i>y</i></b>z", "xyz"},
		{"escaped", `&lt;b&gt;bold&lt;/b&gt; &amp;amp; "q"`, `&lt;b&gt;bold&lt;/b&gt; &amp;amp; &#34;q&#34;`, `<b>bold</b> &amp; "q"`},
		{"line feeds of the source", "a\nb\n\nc", "a\nb\n\nc", "a b c"},
		{"signature", `text<div data-signature="true" data-signature-id="1">-- <br>Cora</div>`, "text<div>-- <br>Cora</div>", "text\n-- \nCora"},
		{"nbsp, direction", "&nbsp;مرحبا <b dir=\"rtl\">שלום</b>", "\u00a0مرحبا <b dir=\"rtl\">שלום</b>", "\u00a0مرحبا שלום"},
		{"table", `<table border="1"><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table><ul><li>a</li></ul><blockquote>q</blockquote>`,
			`<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table><ul><li>a</li></ul><blockquote>q</blockquote>`,
			"1 | 2\n3\n- a\n> q"},
		{"lists", "<ol start=3><li>c<li>d<ul><li>x</li> <li>y<br>z</li></ul></ol>end",
			`<ol start="3"><li>c</li><li>d<ul><li>x</li> <li>y<br>z</li></ul></li></ol>end`,
			"3. c\n4. d\n   - x\n   - y\n     z\nend"},
		{"quotation of two lines", "<p>You wrote:</p><blockquote><div>a</div><div>b</div></blockquote><p>No.</p>",
			"<p>You wrote:</p><blockquote><div>a</div><div>b</div></blockquote><p>No.</p>", "You wrote:\n\n> a\n> b\n\nNo."},
		{"heading and rule", "<h1>T</h1>a<hr>b", "<h1>T</h1>a<hr/>b", "T\n\na\n---\nb"},
		{"empty lines of an editor", "<div>a</div><div><br></div><div>b<br></div><div>c</div>",
			"<div>a</div><div><br></div><div>b<br></div><div>c</div>", "a\n\nb\nc"},
		{"unusual blocks", "<section>a</section><center>b</center><dl><dt>c<dd>d</dl>", "<div>a</div><div>b</div><div><div>c</div><div>d</div></div>", "a\nb\nc\nd"},
		{"preformatted", "<pre>\n  a\n    b</pre>", "<pre>  a\n    b</pre>", "  a\n    b"},
		{"indented source", "<div>\n  <p>\n    a\n    b\n  </p>\n</div>\n", "<div>\n  <p>\n    a\n    b\n  </p>\n</div>\n", "a b"},
		{"controls", "a&#1;b\x00c\x7f&#xFFFF;", "abc", "abc"},
		{"nothing", "", "", ""},
	}
}

func TestSanitise(t *testing.T) {
	t.Parallel()
	for _, c := range append(inlineExamples(), blockExamples()...) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := sanitise(c.in, nil)
			if strings.ReplaceAll(got, "<br/>", "<br>") != c.html {
				t.Errorf("HTML %q\nwant %q", got, c.html)
			}
			if text := toText(got); text != c.text {
				t.Errorf("text %q\nwant %q", text, c.text)
			}
			if again := sanitise(got, nil); again != got {
				t.Errorf("a second time it changes to %q", again)
			}
			inert(t, got)
		})
	}
}

// TestSanitiseIsLinear gives it what makes a browser's parser build millions of
// elements, and what is nested deeper than any stack should be asked to go.
func TestSanitiseIsLinear(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	for i := range 500 {
		fmt.Fprintf(&many, "<b lang=x-%d>", i)
	}
	many.WriteString(strings.Repeat("<p>x", 50_000))
	for name, markup := range map[string]string{
		"formatting left open": many.String(),
		"deep":                 strings.Repeat("<div>", 200_000) + "x" + strings.Repeat("</div>", 200_000),
		"deep list":            strings.Repeat("<ul><li>", 100_000),
		"long list":            "<ol>" + strings.Repeat("<li>x", 100_000),
		"end tags":             strings.Repeat("</div>", 200_000) + "x",
		"brackets":             strings.Repeat("<", 500_000),
		"entities":             strings.Repeat("&lt", 300_000),
		"nested links":         strings.Repeat(`<a href="https://example.org">x`, 20_000),
		"line ends":            strings.Repeat("<br>\n", 200_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			out := sanitise(markup, nil)
			text := toText(out)
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v for %d bytes", took, len(markup))
			}
			if len(out) > 20*len(markup) || len(text) > 20*len(markup) {
				t.Errorf("%d bytes became %d and %d", len(markup), len(out), len(text))
			}
			if name == "deep" && text != "x" {
				t.Errorf("text %.100q", text)
			}
		})
	}
}

// TestRecordedBodies holds what a real Zammad gave for the bodies of agents.
func TestRecordedBodies(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "testdata", "recordings", "09-texts.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Steps []struct {
			Name     string
			Response struct {
				Body json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"script": "a\n\nb", "handlers": "hi", "remote picture": "after", "javascript link": "x",
		"bare URL": "see https://example.org/a?b=1&c=2 now", "link": "text <https://example.org/x>",
		"table": "1\n- a\n> q", "form": "b", "iframe, svg": "", "unclosed": "bold both",
		"escaped": `<b>bold</b> &amp; "q"`, "newlines": "a b c", "signature": "text\n-- \nCora",
		"mail address": "write to a@example.org", "nbsp, rtl": "\u00a0مرحبا שלום",
		"plain with markup": "<b>not bold</b> & < > \"q\"\nline 2", "plain with NUL": "ab",
		"four-byte characters": "😀 👩‍👩‍👧 𝄞", "content type with charset": "x", "content type unknown": "<b>x</b>",
		"unescaped mention of agent 5 by the bridge": "hi Cora", "escaped mention": `hi <a data-mention-user-id="3">Ada</a>`,
		"subject with line breaks": "x",
	}
	for _, step := range file.Steps {
		var article struct {
			Body        *string
			ContentType string `json:"content_type"`
		}
		if json.Unmarshal(step.Response.Body, &article) != nil || article.Body == nil {
			continue
		}
		markup, text := content(*article.Body, article.ContentType, nil)
		inert(t, markup)
		expected, known := want[step.Name]
		if !known || text != expected {
			t.Errorf("%s: %q became %q, want %q", step.Name, *article.Body, text, expected)
		}
		delete(want, step.Name)
	}
	for name := range want {
		t.Errorf("not in the recording: %s", name)
	}
}

func FuzzSanitise(f *testing.F) {
	for _, h := range hostileTexts(f) {
		if len(h.Text) < 500 {
			f.Add(h.Text)
		}
	}
	f.Add("<pre>\n\nx</pre><li>a<li>b<td><p>c<ul></p></li>")
	f.Fuzz(func(t *testing.T, in string) {
		out := sanitise(in, nil)
		inert(t, out)
		if again := sanitise(out, nil); toText(again) != toText(out) {
			t.Errorf("reads %q, and a second time %q", toText(out), toText(again))
		}
		if text := clean(in); toText(toHTML(text)) != text {
			t.Errorf("text %q came back as %q", text, toText(toHTML(text)))
		}
	})
}
