package sanitizer

import (
	"strings"

	"golang.org/x/net/html"
)

// node is an element (tag set) or a text.
type node struct {
	tag      string
	text     string
	attrs    []html.Attribute
	children []*node
}

func (n *node) attr(key string) string {
	for _, a := range n.attrs {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func (n *node) set(key, val string) {
	for i := range n.attrs {
		if n.attrs[i].Key == key {
			n.attrs[i].Val = val
			return
		}
	}
	n.attrs = append(n.attrs, html.Attribute{Key: key, Val: val})
}

func (n *node) content() string {
	var b strings.Builder
	b.WriteString(n.text)
	for _, c := range n.children {
		b.WriteString(c.content())
	}
	return b.String()
}

var (
	void   = set("area base br col embed hr img input link meta param source track wbr")
	inline = set("a abbr acronym applet b basefont bdo big br button cite code del dfn em embed font i iframe img input " +
		"ins kbd label map object q s samp script select small span strike strong sub sup textarea tt u var")
	// what a start tag closes when it is open, up to the container named in stopsAt
	closes = map[string]map[string]bool{
		"li": set("li"), "dt": set("dt dd"), "dd": set("dt dd"), "tr": set("tr td th"), "td": set("td th"),
		"th": set("td th"), "option": set("option"), "tbody": set("thead tbody tfoot tr td th"),
		"tfoot": set("thead tbody tr td th"), "thead": set("tbody tr td th"),
	}
	stopsAt      = set("ul ol dl table select div blockquote")
	closesP      = set("p div table ul ol dl blockquote h1 h2 h3 h4 h5 h6 hr pre form")
	maxOpenNodes = 256 // deeper input is flattened, as the parser below Zammad gives up there
)

// parse builds a tree as an HTML 4 parser does: nothing is implied (no tbody), what is open
// at the end is closed, end tags of what is not open are ignored.
func parse(body string) *node {
	root := &node{tag: "#root"}
	open := []*node{root}
	z := html.NewTokenizer(strings.NewReader(body))
	for {
		kind := z.Next()
		switch kind {
		case html.ErrorToken:
			return root
		case html.TextToken:
			appendText(open[len(open)-1], string(z.Text()))
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			open = closeImplied(open, t.Data)
			n := &node{tag: t.Data, attrs: t.Attr}
			top := open[len(open)-1]
			top.children = append(top.children, n)
			if !void[t.Data] && len(open) < maxOpenNodes && !(kind == html.SelfClosingTagToken && !allowed[t.Data]) {
				open = append(open, n)
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			for i := len(open) - 1; i > 0; i-- {
				if open[i].tag == string(name) {
					open = open[:i]
					break
				}
			}
		}
	}
}

func appendText(parent *node, raw string) {
	text := removeInvalid(raw) // again: a character reference may name what is not allowed
	if text == "" {
		return
	}
	if k := len(parent.children); k > 0 && parent.children[k-1].tag == "" {
		parent.children[k-1].text += text
		return
	}
	parent.children = append(parent.children, &node{text: text})
}

func closeImplied(open []*node, tag string) []*node {
	if closesP[tag] && open[len(open)-1].tag == "p" {
		return open[:len(open)-1]
	}
	ends := closes[tag]
	for i := len(open) - 1; i > 0 && ends != nil; i-- {
		if ends[open[i].tag] {
			open = open[:i]
			continue
		}
		if stopsAt[open[i].tag] {
			break
		}
	}
	return open
}

var (
	textEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	attrEscaper = strings.NewReplacer("&", "&amp;", `"`, "&quot;", "<", "&lt;", ">", "&gt;")
)

// render writes the children of the root. Line feeds follow the writer below Zammad: after
// the start tag and before the end tag of a block whose outer children are no texts, and
// between two neighbours inside a named parent.
func render(root *node) string {
	var b strings.Builder
	for _, c := range root.children {
		write(&b, c, nil, nil)
	}
	return b.String()
}

func write(b *strings.Builder, n, parent, next *node) {
	if n.tag == "" {
		if parent != nil && dropped[parent.tag] {
			b.WriteString(n.text)
		} else {
			b.WriteString(textEscaper.Replace(n.text))
		}
		return
	}
	b.WriteString("<" + n.tag)
	for _, a := range n.attrs {
		b.WriteString(" " + a.Key + `="` + attrEscaper.Replace(a.Val) + `"`)
	}
	b.WriteString(">")
	block := !inline[n.tag]
	spaced := block && len(n.children) > 1 && n.tag[0] != 'p'
	if spaced && n.children[0].tag != "" {
		b.WriteString("\n")
	}
	for i, c := range n.children {
		var after *node
		if i+1 < len(n.children) {
			after = n.children[i+1]
		}
		write(b, c, n, after)
	}
	if spaced && n.children[len(n.children)-1].tag != "" {
		b.WriteString("\n")
	}
	if !void[n.tag] {
		b.WriteString("</" + n.tag + ">")
	}
	if block && next != nil && next.tag != "" && parent != nil && parent.tag[0] != 'p' {
		b.WriteString("\n")
	}
}
