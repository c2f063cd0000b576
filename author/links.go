package author

import (
	"html"
	"html/template"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"unicode"

	"mvdan.cc/xurls/v2"
)

// Part is a piece of a message's text: plain, or a link, which shows its own
// address.
type Part struct {
	Text string `json:"text"`
	Link bool   `json:"link,omitempty"`
}

// webAddresses finds what looks like a web address that names its scheme.
var webAddresses = sync.OnceValues(func() (*regexp.Regexp, error) { return xurls.StrictMatchingScheme("https?://") })

// Parts cuts a text into plain pieces and links; put together they are the text.
// A link is an http or https address that leads where it seems to:
// https://bank.example@elsewhere.example is plain.
func Parts(text string) []Part {
	pattern, err := webAddresses() // the pattern is constant: err cannot be
	if err != nil || text != "" && !strings.Contains(text, "://") {
		return []Part{{Text: text}}
	}
	var parts []Part
	at := 0
	for _, found := range pattern.FindAllStringIndex(text, -1) {
		address := text[found[0]:found[1]]
		if !honest(address) {
			continue
		}
		if found[0] > at {
			parts = append(parts, Part{Text: text[at:found[0]]})
		}
		parts = append(parts, Part{Text: address, Link: true})
		at = found[1]
	}
	if at < len(text) {
		parts = append(parts, Part{Text: text[at:]})
	}
	return parts
}

// honest says whether an address leads where it seems to: it has a host and no
// user before it, and no character that only changes how others are shown.
func honest(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil &&
		strings.IndexFunc(address, func(c rune) bool { return unicode.Is(unicode.Cf, c) }) < 0
}

// HTML shows a text with its links; everything else is shown as it is.
func HTML(text string) template.HTML {
	var out strings.Builder
	for _, p := range Parts(text) {
		escaped := html.EscapeString(p.Text)
		if p.Link {
			out.WriteString(`<a href="` + escaped + `" rel="noopener noreferrer" target="_blank">` + escaped + `</a>`)
			continue
		}
		out.WriteString(escaped)
	}
	return template.HTML(out.String()) //nolint:gosec // escaped above
}
