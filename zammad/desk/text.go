package desk

import (
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/html"
)

var (
	escaper    = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\n", "<br>")
	lineEnds   = strings.NewReplacer("\r\n", "\n", "\r", "\n")
	whitespace = " \t\n"
)

// toHTML makes HTML that says exactly the text and nothing else: all markup is
// escaped, and line ends become <br>. Spaces stay as they are, so that the text
// can be had back (contract 00.21). Zammad must never be given a device's text
// in any other way: it interprets even plain text (contract 2.4).
func toHTML(text string) string {
	return escaper.Replace(lineEnds.Replace(text))
}

// toText gives what HTML says, as plain text: the twin of sanitised HTML. Of a
// text that was escaped by toHTML it is that text again. Lists, quotations and
// tables are shown with simple marks, and a link that reads differently from
// where it leads is followed by its address.
func toText(markup string) string {
	root := build(markup)
	tidy(root, nil)
	w := textWriter{fresh: true, items: make(map[*html.Node]int)}
	w.b.Grow(len(markup))
	w.children(root, false)
	return w.b.String()
}

// textWriter writes a tree line by line.
type textWriter struct {
	b       strings.Builder
	pending int                // line ends owed before anything else
	open    bool               // the line is there, even if nothing is on it
	started bool               // there was a line before
	fresh   bool               // nothing is on the line yet, not even its prefix
	soft    bool               // a space is owed if more follows on the line
	prefix  []string           // begins every line: of quotations and list items
	items   map[*html.Node]int // number of the last item of each ordered list
	bullet  string             // takes the place of the last prefix on the next line
}

func (w *textWriter) children(n *html.Node, pre bool) {
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		switch child.Type {
		case html.TextNode:
			switch {
			case pre:
				w.lines(child.Data)
			case !layout(child):
				w.text(child.Data)
			}
		case html.ElementNode:
			w.element(child, pre)
		}
	}
}

func (w *textWriter) element(n *html.Node, pre bool) {
	switch n.Data {
	case "br":
		w.br(n)
	case "hr":
		w.boundary(1)
		w.write("---")
		w.boundary(1)
	case "a":
		w.children(n, pre)
		w.address(n)
	case "td", "th":
		if w.open && !w.fresh && w.pending == 0 {
			w.soft = false
			w.write(" | ")
		}
		w.children(n, pre)
	case "blockquote":
		w.block(n, pre, 1, "> ", "")
	case "li":
		bullet := w.marker(n)
		w.block(n, pre, 1, strings.Repeat(" ", len(bullet)), bullet)
	case "p", "h1", "h2", "h3", "h4", "h5", "h6":
		w.block(n, pre, 2, "", "")
	default:
		if blocks[n.Data] {
			w.block(n, pre || n.Data == "pre", 1, "", "")
		} else {
			w.children(n, pre)
		}
	}
}

// block writes an element that stands on lines of its own, gap line ends away
// from what is around it.
func (w *textWriter) block(n *html.Node, pre bool, gap int, prefix, bullet string) {
	w.boundary(gap)
	if prefix != "" {
		w.prefix = append(w.prefix, prefix)
	}
	if bullet != "" {
		w.bullet = bullet
	}
	w.children(n, pre)
	if bullet != "" {
		w.bullet = ""
	}
	if prefix != "" {
		w.prefix = w.prefix[:len(w.prefix)-1]
	}
	w.boundary(gap)
}

// boundary ends the line, if there is one.
func (w *textWriter) boundary(gap int) {
	w.soft = false
	switch {
	case w.open:
		w.pending, w.open = gap, false
	case w.pending > 0:
		w.pending = max(w.pending, gap)
	}
}

// br ends the line, or begins an empty one: at the end of a block it only says
// that the line is there, as an editor writes an empty line.
func (w *textWriter) br(n *html.Node) {
	w.flush()
	w.soft = false
	if last(n) {
		w.open, w.started = true, true
		return
	}
	w.b.WriteString("\n")
	w.open, w.started, w.fresh = false, true, true
}

// last says whether nothing follows in the element's block.
func last(n *html.Node) bool {
	if n.Parent == nil || !blocks[n.Parent.Data] {
		return false
	}
	for next := n.NextSibling; next != nil; next = next.NextSibling {
		if next.Type != html.TextNode || strings.Trim(next.Data, whitespace) != "" || !strings.Contains(next.Data, "\n") {
			return false
		}
	}
	return true
}

// layout says whether a text is only the space between blocks in the source.
func layout(n *html.Node) bool {
	if strings.Trim(n.Data, whitespace) != "" {
		return false
	}
	switch n.Parent.Data {
	case "ul", "ol", "table", "thead", "tbody", "tfoot", "tr":
		return true
	}
	return isBlock(n.PrevSibling) || isBlock(n.NextSibling)
}

func isBlock(n *html.Node) bool { return n != nil && n.Type == html.ElementNode && blocks[n.Data] }

// text writes running text. Spaces are kept, since people mean them; a line
// feed in HTML is one space at most, with all space around it.
func (w *textWriter) text(s string) {
	for s != "" {
		n := strings.IndexAny(s, whitespace)
		switch {
		case n < 0:
			w.write(s)
			return
		case n > 0:
			w.write(s[:n])
			s = s[n:]
			continue
		}
		rest := strings.TrimLeft(s, whitespace)
		if space := s[:len(s)-len(rest)]; strings.Contains(space, "\n") {
			w.soft = w.open
		} else {
			w.write(space)
		}
		s = rest
	}
}

// lines writes text in which line feeds count.
func (w *textWriter) lines(s string) {
	for i, line := range strings.Split(s, "\n") {
		if i > 0 {
			w.flush()
			w.b.WriteString("\n")
			w.open, w.started, w.fresh = false, true, true
		}
		if line != "" {
			w.write(line)
		}
	}
}

func (w *textWriter) write(s string) {
	w.flush()
	if w.fresh {
		for i, prefix := range w.prefix {
			if i == len(w.prefix)-1 && w.bullet != "" {
				prefix, w.bullet = w.bullet, ""
			}
			w.b.WriteString(prefix)
		}
	}
	if w.soft && !w.fresh {
		w.b.WriteString(" ")
	}
	w.b.WriteString(s)
	w.soft, w.fresh, w.open, w.started = false, false, true, true
}

// flush writes the line ends that are owed.
func (w *textWriter) flush() {
	if w.pending > 0 && w.started {
		w.b.WriteString(strings.Repeat("\n", w.pending))
		w.fresh = true
	}
	w.pending = 0
}

// address writes where a link leads, unless its text says so.
func (w *textWriter) address(n *html.Node) {
	href := attribute(n, "href")
	href = strings.TrimPrefix(strings.TrimPrefix(href, "mailto:"), "tel:")
	if href == "" || sameAddress(href, words(n)) {
		return
	}
	w.write(" <" + href + ">")
}

// words gives all text of an element.
func words(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	var b strings.Builder
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		b.WriteString(words(child))
	}
	return b.String()
}

// sameAddress compares an address with the text of its link, as people would.
func sameAddress(href, text string) bool {
	return plainAddress(href) == plainAddress(text)
}

func plainAddress(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if decoded, err := url.PathUnescape(s); err == nil {
		s = decoded
	}
	for _, scheme := range []string{"http://", "https://", "mailto:", "tel:"} {
		s = strings.TrimPrefix(s, scheme)
	}
	return strings.TrimSuffix(s, "/")
}

// marker is what a list item begins with.
func (w *textWriter) marker(li *html.Node) string {
	list := li.Parent
	if list.Data != "ol" {
		return "- "
	}
	if _, begun := w.items[list]; !begun {
		start, err := strconv.Atoi(attribute(list, "start"))
		if err != nil {
			start = 1
		}
		w.items[list] = start - 1
	}
	w.items[list]++
	return strconv.Itoa(w.items[list]) + ". "
}
