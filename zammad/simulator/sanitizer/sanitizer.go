// Package sanitizer cleans HTML bodies as the simulated Zammad does (contract 2.4): tags,
// attributes and styles outside an allow-list go, remote pictures go, links get rel, target
// and title, bare URLs become links. It also writes the result as the XML library below
// Zammad writes it, line feeds included, so that recorded bodies come out equal.
package sanitizer

import (
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

var (
	dropped = set("style script meta comment title")
	allowed = set("a abbr acronym address area article aside audio b bdi bdo big blockquote br canvas caption center " +
		"cite code col colgroup command datalist dd del details dfn dir div dl dt em figcaption figure footer h1 h2 h3 " +
		"h4 h5 h6 header hr i img ins kbd label legend li map mark menu meter nav ol output optgroup option p pre q s " +
		"samp section small span strike strong sub summary sup table tbody td text-decoration tfoot th thead time tr tt u ul var video")
	attributes = map[string]map[string]bool{
		"":           set("abbr align bgcolor border cellpadding cellspacing colspan data-signature data-signature-id dir headers lang longdesc nowrap rowspan rules scope title valign width height alt data-mention-user-id"),
		"a":          set("href hreflang name rel target title"),
		"img":        set("align alt border height src srcset width style"),
		"blockquote": set("cite type"), "q": set("cite"), "ol": set("type start"), "ul": set("type"),
		"col": set("span width"), "colgroup": set("span width"), "del": set("datetime"), "time": set("datetime"),
	}
	styles = set("background-color border border-bottom border-collapse border-left border-right border-spacing border-top " +
		"color direction display font-family font-size font-style font-weight height letter-spacing line-height list-style list-style-type " +
		"margin margin-bottom margin-left margin-right margin-top max-height max-width min-height min-width padding padding-bottom " +
		"padding-left padding-right padding-top text-align text-decoration text-indent vertical-align white-space width word-break word-wrap")
)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// URLs with a scheme, by the old grammar of RFC 2396: what Zammad turns into links.
var bareURL = regexp.MustCompile(`(?i)(?:https?|ftp|ldaps?|wss?|file|tel):[a-z0-9\-_.!~*'()%;/?:@&=+$,#\[\]]+`)

const (
	linkRel   = "nofollow noreferrer noopener"
	imageCaps = "max-width:100%;"
)

// Clean returns the body as Zammad stores it.
func Clean(body string) string {
	// Zammad parses and writes the body once before it wipes, and its writer adds line feeds
	// inside blocks: that is why an unwrapped form leaves some (recording 09, "form").
	first := parse(removeInvalid(body))
	second := parse(render(first))
	second.children = wipe(second)
	link(second)
	return render(second)
}

// Mentions returns the values of data-mention-user-id on links in an uncleaned body.
func Mentions(body string) []string {
	var ids []string
	z := html.NewTokenizer(strings.NewReader(body))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return ids
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			if t.Data != "a" {
				continue
			}
			for _, a := range t.Attr {
				if a.Key == "data-mention-user-id" {
					ids = append(ids, a.Val)
				}
			}
		}
	}
}

// Picture is an inline picture found in a body.
type Picture struct {
	Start, End int    // where its data URL stands in the body
	Type       string // image/png or image/jpeg
	Data       string // base64
}

var dataURL = regexp.MustCompile(`(?i)(<img\b[^>]*?\bsrc=["'])data:(image/(?:jpeg|png));base64,([^"']*)["']`)

// Pictures finds the data-URL pictures that Zammad turns into attachments (contract 2.4).
func Pictures(body string) []Picture {
	var found []Picture
	for _, m := range dataURL.FindAllStringSubmatchIndex(body, -1) {
		found = append(found, Picture{Start: m[3], End: m[7], Type: strings.ToLower(body[m[4]:m[5]]), Data: body[m[6]:m[7]]})
	}
	return found
}

func removeInvalid(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\t' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return -1
		}
		return r
	}, s)
}

// wipe returns what stays of the children of n.
func wipe(n *node) []*node {
	var out []*node
	for _, c := range n.children {
		if c.tag == "" {
			out = append(out, c)
			continue
		}
		if dropped[c.tag] {
			continue
		}
		c.children = wipe(c)
		c.attrs = clean(c)
		switch {
		case !allowed[c.tag], c.tag == "a" && c.attr("href") == "":
			out = append(out, c.children...)
		case c.tag == "img" && remote(c.attr("src")):
		default:
			out = append(out, c)
		}
	}
	return out
}

func remote(src string) bool {
	src = strings.ToLower(strings.TrimSpace(src))
	return src == "" || strings.HasPrefix(src, "http:") || strings.HasPrefix(src, "https:") ||
		strings.HasPrefix(src, "ftp:") || strings.HasPrefix(src, "//") || strings.HasPrefix(src, "javascript:")
}

func clean(n *node) []html.Attribute {
	var out []html.Attribute
	for _, a := range n.attrs {
		switch {
		case a.Key == "style":
			if v := cleanStyle(a.Val, n.tag == "img"); v != "" {
				out = append(out, html.Attribute{Key: "style", Val: v})
			}
		case a.Key == "href" && scripted(a.Val):
		case attributes[""][a.Key] || attributes[n.tag][a.Key]:
			out = append(out, a)
		}
	}
	if n.tag == "img" && !slices.ContainsFunc(out, func(a html.Attribute) bool { return a.Key == "style" }) {
		out = append(out, html.Attribute{Key: "style", Val: imageCaps})
	}
	return out
}

func scripted(href string) bool {
	compact := strings.Map(func(r rune) rune {
		if r <= ' ' {
			return -1
		}
		return r
	}, strings.ToLower(href))
	return strings.HasPrefix(compact, "javascript:") || strings.HasPrefix(compact, "vbscript:") || strings.HasPrefix(compact, "data:")
}

func cleanStyle(value string, picture bool) string {
	var out strings.Builder
	if picture {
		out.WriteString(imageCaps)
	}
	for part := range strings.SplitSeq(value, ";") {
		name, val, ok := strings.Cut(part, ":")
		name, val = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(val)
		if !ok || val == "" || !styles[name] || strings.Contains(strings.ToLower(val), "url(") || picture && name == "max-width" {
			continue
		}
		out.WriteString(name + ":" + val + ";")
	}
	return out.String()
}

// link completes the links there are and makes links of bare URLs outside of them.
func link(n *node) {
	var out []*node
	for _, c := range n.children {
		switch {
		case c.tag == "a":
			complete(c)
			out = append(out, c)
		case c.tag == "" && bareURL.MatchString(c.text):
			out = append(out, linked(c.text)...)
		default:
			link(c)
			out = append(out, c)
		}
	}
	n.children = out
}

func complete(a *node) {
	title := a.attr("title")
	a.set("rel", linkRel)
	a.set("target", "_blank")
	if href := a.attr("href"); title == "" && strings.TrimSpace(a.content()) != href {
		a.set("title", href)
	}
}

func linked(text string) []*node {
	var out []*node
	at := 0
	for _, m := range bareURL.FindAllStringIndex(text, -1) {
		url := text[m[0]:m[1]]
		if trimmed := url[:len(url)-1]; strings.HasSuffix(url, ",") || strings.HasSuffix(url, ".") {
			url = trimmed
		}
		if strings.HasSuffix(url, ":") {
			continue
		}
		if m[0] > at {
			out = append(out, &node{text: text[at:m[0]]})
		}
		out = append(out, &node{tag: "a", children: []*node{{text: url}}, attrs: []html.Attribute{
			{Key: "href", Val: url}, {Key: "rel", Val: linkRel}, {Key: "target", Val: "_blank"}}})
		at = m[0] + len(url)
	}
	if at < len(text) {
		out = append(out, &node{text: text[at:]})
	}
	return out
}
