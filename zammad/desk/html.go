package desk

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/microcosm-cc/bluemonday"
	"golang.org/x/net/html"
)

// picture stands for a picture inside an agent's text where the device cannot
// see it: in plain text, and where its file is not the article's.
const picture = "[picture]"

// maxDepth is the number of elements within each other that are kept; deeper
// ones are dropped and their text stays. Real answers have fewer than twenty.
const maxDepth = 64

// policy is what a device may be shown: structure, emphasis and links. Nothing
// that loads, runs, or changes the looks of what is around it.
var policy = newPolicy()

func newPolicy() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("b", "blockquote", "br", "caption", "code", "del", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6",
		"hr", "i", "ins", "li", "ol", "p", "pre", "s", "small", "strong", "sub", "sup",
		"table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul")
	p.AllowElements("span") // with an attribute only
	p.AllowAttrs("dir").Matching(regexp.MustCompile(`^(?i)(ltr|rtl|auto)$`)).Globally()
	p.AllowAttrs("lang").Matching(regexp.MustCompile(`^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,4}$`)).Globally()
	p.AllowAttrs("colspan", "rowspan").Matching(regexp.MustCompile(`^[0-9]{1,2}$`)).OnElements("td", "th")
	p.AllowAttrs("start").Matching(regexp.MustCompile(`^[0-9]{1,6}$`)).OnElements("ol")
	p.AllowAttrs("href").Matching(regexp.MustCompile(`^\s*(?i)(https?|mailto|tel):`)).OnElements("a")
	p.AllowAttrs("src").Matching(regexp.MustCompile(`^attachments/[a-z2-7]{26}/$`)).OnElements("img")
	p.AllowAttrs("alt").OnElements("img")
	p.AllowURLSchemes("http", "https", "mailto", "tel")
	p.RequireParseableURLs(true)
	p.AllowRelativeURLs(true) // the expressions above know better
	p.RequireNoFollowOnLinks(true)
	p.RequireNoReferrerOnLinks(true)
	p.AddTargetBlankToFullyQualifiedLinks(true)
	return p
}

// sanitise makes HTML by anybody safe to show, and well formed. The order
// matters: the tree is tidied first, and what it renders to goes through the
// policy, so that nothing we do can undo what the policy did. Pictures that are
// files of the article stay, at the address that their device knows.
func sanitise(markup string, files *attached) string {
	root := build(markup)
	tidy(root, files)
	var tidied, safe strings.Builder
	tidied.Grow(len(markup) + len(markup)/8)
	for n := root.FirstChild; n != nil; n = n.NextSibling {
		if err := html.Render(&tidied, n); err != nil {
			return toHTML(toText(markup)) // cannot be: build makes no tree that cannot be rendered
		}
	}
	safe.Grow(tidied.Len())
	if err := policy.SanitizeReaderToWriter(strings.NewReader(tidied.String()), &safe); err != nil {
		return toHTML(toText(markup)) // cannot be: a string can be read, and a Builder takes everything
	}
	return safe.String()
}

// dropped are elements that go with everything in them.
var dropped = setOf("iframe", "math", "noembed", "noframes", "noscript", "object", "script", "style", "svg", "template", "title")

// blocks are elements that stand on lines of their own.
var blocks = setOf("address", "article", "aside", "blockquote", "caption", "center", "dd", "details", "dir", "div", "dl", "dt",
	"fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li",
	"listing", "main", "menu", "nav", "ol", "p", "plaintext", "pre", "section", "summary",
	"table", "tbody", "textarea", "tfoot", "thead", "tr", "ul", "xmp")

// kept are those blocks that the policy knows; the others become div, lest
// their lines run together when they are taken away.
var kept = setOf("blockquote", "caption", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
	"table", "tbody", "tfoot", "thead", "tr", "ul")

var void = setOf("area", "base", "br", "col", "embed", "frame", "hr", "img", "input", "keygen", "link", "meta", "param",
	"source", "track", "wbr")

// closedBy names, for elements whose end tag may be missing, which open
// elements a new one ends, and which it does not look beyond.
var closedBy = map[string]struct{ ends, stops map[string]bool }{
	"a":  {setOf("a"), blocks},
	"li": {setOf("li"), setOf("ul", "ol", "table", "blockquote")},
	"dt": {setOf("dt", "dd"), setOf("dl")}, "dd": {setOf("dt", "dd"), setOf("dl")},
	"td": {setOf("td", "th"), setOf("tr", "table")}, "th": {setOf("td", "th"), setOf("tr", "table")},
	"tr": {setOf("tr"), setOf("table")},
}

func setOf(names ...string) map[string]bool {
	s := make(map[string]bool, len(names))
	for _, name := range names {
		s[name] = true
	}
	return s
}

// build reads HTML into a tree of bounded depth, in time proportional to its
// length. The parser of a browser may make an element again for each paragraph
// that it was left open for, so that a short text becomes a huge tree: here an
// element ends where its parent does, and that is all.
func build(markup string) *html.Node {
	root := &html.Node{Type: html.ElementNode, Data: "body"}
	open := []*html.Node{root}
	ignored := 0 // start tags that were too deep, whose end tags are to come
	z := html.NewTokenizer(strings.NewReader(markup))
	for {
		kind := z.Next()
		top := open[len(open)-1]
		switch kind {
		case html.ErrorToken:
			return root
		case html.TextToken:
			text := clean(string(z.Text()))
			if top.FirstChild == nil && (top.Data == "pre" || top.Data == "listing") {
				text = strings.TrimPrefix(text, "\n") // it belongs to the tag, and rendering puts it there again
			}
			if text != "" {
				top.AppendChild(&html.Node{Type: html.TextNode, Data: text})
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			n := &html.Node{Type: html.ElementNode, Data: t.Data, Attr: t.Attr}
			if void[n.Data] {
				top.AppendChild(n)
				continue
			}
			open = implied(open, n.Data)
			if len(open) > maxDepth {
				ignored++
				continue
			}
			open[len(open)-1].AppendChild(n)
			open = append(open, n)
		case html.EndTagToken:
			name, _ := z.TagName()
			if ignored > 0 {
				ignored--
				continue
			}
			open = closeTo(open, func(tag string) bool { return tag == string(name) }, nil)
		}
	}
}

// implied ends the elements that the start of another one ends.
func implied(open []*html.Node, name string) []*html.Node {
	if blocks[name] && open[len(open)-1].Data == "p" {
		open = open[:len(open)-1]
	}
	if rule, ok := closedBy[name]; ok {
		open = closeTo(open, func(tag string) bool { return rule.ends[tag] }, rule.stops)
	}
	return open
}

// closeTo ends the innermost open element that is meant, with all in it.
func closeTo(open []*html.Node, meant func(tag string) bool, stops map[string]bool) []*html.Node {
	for i := len(open) - 1; i > 0 && !stops[open[i].Data]; i-- {
		if meant(open[i].Data) {
			return open[:i]
		}
	}
	return open
}

// tidy replaces pictures by those that devices can load, or by words, takes away
// what has no place in a message, and makes unusual blocks usual ones.
func tidy(n *html.Node, files *attached) {
	for child := n.FirstChild; child != nil; {
		next := child.NextSibling
		switch {
		case child.Type != html.ElementNode:
		case dropped[child.Data]:
			n.RemoveChild(child)
		case child.Data == "img":
			if shown := files.picture(attribute(child, "src")); shown != nil {
				n.InsertBefore(shown, child)
			} else if fromZammad(child) {
				n.InsertBefore(&html.Node{Type: html.TextNode, Data: picture}, child)
			}
			n.RemoveChild(child)
		default:
			if child.Data == "xmp" || child.Data == "listing" || child.Data == "plaintext" {
				child.Data, child.Attr = "pre", nil
			} else if blocks[child.Data] && !kept[child.Data] {
				child.Data = "div"
			}
			tidy(child, files)
		}
		child = next
	}
}

// fromZammad says whether a picture is one that the agent put there, which
// Zammad keeps as a file of the article (contract 2.4).
func fromZammad(img *html.Node) bool {
	src := attribute(img, "src")
	return strings.HasPrefix(src, "cid:") || strings.HasPrefix(src, ourFiles) || strings.Contains(src, "/api/v1/ticket_attachment/") || strings.Contains(src, "/api/v1/attachments/")
}

func attribute(n *html.Node, name string) string {
	i := slices.IndexFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
	if i < 0 {
		return ""
	}
	return n.Attr[i].Val
}

// clean makes line ends LF and removes control characters and noncharacters,
// which have no meaning in a message and which Zammad removes too (contract
// 00.21).
func clean(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\r\n", "\n")
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\r':
			return '\n'
		case c != '\n' && c != '\t' && unicode.IsControl(c), c >= 0xFDD0 && c <= 0xFDEF, c&0xFFFE == 0xFFFE:
			return -1
		}
		return c
	}, text)
}
