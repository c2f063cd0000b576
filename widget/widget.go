// Package widget is <deskbridge-chat>, the chat as an element for any web page:
// one script without dependencies and without a build step. The sources are ES
// modules; here they are put one after the other and compressed.
package widget

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// Path is where the script is served. Pages of cities name it: it stays.
const Path = "/widget/deskbridge-chat.js"

// cacheControl lets a page start without asking; a new version is everywhere
// after ten minutes, and the old one fills in while the bridge is away.
const cacheControl = "public, max-age=600, stale-while-revalidate=86400, stale-if-error=604800"

//go:embed src
var sources embed.FS

// modules are the parts of the script, each after those that it needs while the
// script loads.
var modules = [...]string{
	"logic.js", "html.js", "texts.js", "memory.js", "line.js", "sender.js", "reader.js", "talk.js", "view.js", "attachments.js", "rights.js", "element.js",
}

// Script is the script as it is served.
type Script struct {
	plain, packed []byte
	etag          string
}

// New puts the script together.
func New() (*Script, error) {
	plain, err := assemble()
	if err != nil {
		return nil, err
	}
	packed, err := pack(plain)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(plain)
	// Weak: the same for both encodings.
	return &Script{plain, packed, `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}, nil
}

// What has no meaning once the modules are one script: their imports and
// exports, comments, and the space that lines begin with. The sources keep no
// text that goes over several lines, and none that looks like a comment.
var meaningless = regexp.MustCompile("(?m)^import .*\n|^export |^\\s*//.*\n|[ \t]+// [^\"`\n]*$|^[\\s]+")

// Ends of lines that only readers need.
var wrapped = regexp.MustCompile("([{(,;\\[])\n")

// Space in the styles that only readers need.
var airy = regexp.MustCompile(`\s*([{}])\s*|([:;,])\s+|/\*[^*]*\*/`)

func assemble() ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("// <deskbridge-chat>, served by Deskbridge. Its readable sources are in the folder widget/src there.\n(() => {\n\"use strict\";\n")
	css, err := sources.ReadFile("src/styles.css")
	if err != nil {
		return nil, fmt.Errorf("the widget's styles: %w", err)
	}
	styles, err := json.Marshal(airy.ReplaceAllString(string(css), "$1$2"))
	if err != nil {
		return nil, fmt.Errorf("the widget's styles: %w", err)
	}
	fmt.Fprintf(&out, "const styles = %s;\n", styles)
	for _, name := range modules {
		source, err := sources.ReadFile("src/" + name)
		if err != nil {
			return nil, fmt.Errorf("the widget's part %s: %w", name, err)
		}
		out.Write(wrapped.ReplaceAll(meaningless.ReplaceAll(source, nil), []byte("$1")))
	}
	out.WriteString("})();\n")
	return out.Bytes(), nil
}

func pack(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compress the widget: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("compress the widget: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress the widget: %w", err)
	}
	return out.Bytes(), nil
}

// ServeHTTP gives the script, compressed where the client takes that.
func (s *Script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Cache-Control", cacheControl)
	h.Set("Etag", s.etag)
	h.Set("Cross-Origin-Resource-Policy", "cross-origin") // pages with isolation may embed it too
	h.Add("Vary", "Accept-Encoding")
	body := s.plain
	if takesGzip(r.Header.Values("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		body = s.packed
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// takesGzip reads Accept-Encoding (RFC 9110, 12.5.3). Who does not name gzip
// gets the plain script.
func takesGzip(values []string) bool {
	for _, coding := range strings.Split(strings.Join(values, ","), ",") {
		name, weight, _ := strings.Cut(strings.ToLower(strings.TrimSpace(coding)), ";")
		if strings.TrimSpace(name) != "gzip" {
			continue
		}
		q, given := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
		return !given || strings.Trim(q, "0.") != ""
	}
	return false
}
