package admin

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

//go:embed templates texts static
var files embed.FS

// The console's languages; the first is for whoever asks for none of them.
var languages = [...]string{"de", "en"}

const staticPath = "/admin/static/"

// Page is what a template sees.
type Page struct {
	*Request        // .Person, .Region, .Language, and methods such as .May
	Name     string // of the page, as in templates/<name>.html
	Data     any    // what the handler gave
	Done     string // the text about what was just done; empty: nothing
}

// views makes answers of templates, texts and files.
type views struct {
	pages   map[string]map[string]*template.Template // by language and page
	texts   map[string]map[string]string             // by language and key
	print   map[string]*message.Printer
	matcher language.Matcher
	assets  map[string]asset
	known   map[string]route // by path, for the navigation: GET only
}

type asset struct {
	kind, version string
	content       []byte
}

func newViews() (*views, error) {
	v := &views{
		pages: make(map[string]map[string]*template.Template), texts: make(map[string]map[string]string),
		print: make(map[string]*message.Printer), assets: make(map[string]asset), known: make(map[string]route),
	}
	var tags []language.Tag
	for _, l := range languages {
		tag := language.MustParse(l)
		tags = append(tags, tag)
		v.texts[l], v.print[l] = make(map[string]string), message.NewPrinter(tag)
	}
	v.matcher = language.NewMatcher(tags)
	return v, errors.Join(v.readTexts(), v.readAssets(), v.readPages())
}

func (v *views) readTexts() error {
	return eachFile("texts", func(name string, content []byte) error {
		texts := make(map[string]map[string]string)
		if err := yaml.Unmarshal(content, &texts); err != nil {
			return err
		}
		for key, byLanguage := range texts {
			if !strings.HasPrefix(key, strings.TrimSuffix(name, ".yaml")+".") && name != "frame.yaml" {
				return fmt.Errorf("the key %s does not begin with the name of its file", key)
			}
			for _, l := range languages {
				if byLanguage[l] == "" || len(byLanguage) != len(languages) {
					return fmt.Errorf("the text %s is not in all languages, or in others too", key)
				}
				if v.texts[l][key] != "" {
					return fmt.Errorf("the text %s is there twice", key)
				}
				v.texts[l][key] = byLanguage[l]
			}
		}
		return nil
	})
}

func (v *views) readAssets() error {
	return eachFile("static", func(name string, content []byte) error {
		sum := sha256.Sum256(content)
		v.assets[name] = asset{mime.TypeByExtension(path.Ext(name)), base64.RawURLEncoding.EncodeToString(sum[:9]), content}
		return nil
	})
}

// readPages reads each page together with the layout and the shared blocks, once
// for each language, whose functions it is bound to.
func (v *views) readPages() error {
	for _, l := range languages {
		v.pages[l] = make(map[string]*template.Template)
		frame, err := template.New("frame").Funcs(v.functions(l)).ParseFS(files, "templates/layout.html", "templates/blocks.html")
		if err != nil {
			return err
		}
		err = eachFile("templates", func(name string, content []byte) error {
			if name == "layout.html" || name == "blocks.html" {
				return nil
			}
			page, err := template.Must(frame.Clone()).New(name).Parse(string(content))
			if err == nil {
				v.settle(l, page)
				v.pages[l][strings.TrimSuffix(name, ".html")] = page
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func eachFile(folder string, read func(name string, content []byte) error) error {
	entries, err := fs.ReadDir(files, folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		content, err := files.ReadFile(folder + "/" + entry.Name())
		if err == nil {
			err = read(entry.Name(), content)
		}
		if err != nil {
			return fmt.Errorf("%s/%s: %w", folder, entry.Name(), err)
		}
	}
	return nil
}

// functions are what templates may call, beside the methods of Page.
func (v *views) functions(l string) template.FuncMap {
	return template.FuncMap{
		// t gives a text by its key.
		"t": func(key string, args ...any) string { return v.text(l, key, args...) },
		// number writes a number as the language does: 1.234 or 1,234.
		"number": func(n any) string { return v.number(l, n) },
		// unread is a badge with how many messages of a room of the team chat are not
		// read, which team.js keeps up to date; of the room "all": of all rooms.
		"unread": func(count int, room any) template.HTML { return v.unread(l, count, room) },
		// moment writes a time in a zone: {{moment .Data.At .Zone}}; empty for the zero time.
		"moment": func(t time.Time, zone *time.Location) string { return moment(l, t, zone) },
		// clock shows a time to people and machines: {{clock .Data.At .Zone}}
		"clock": func(t time.Time, zone *time.Location) template.HTML { return clock(l, t, zone) },
		// asset gives the address of a file in static/, which changes with its content.
		"asset": func(name string) (string, error) {
			a, ok := v.assets[name]
			if !ok {
				return "", fmt.Errorf("there is no file static/%s", name)
			}
			return staticPath + name + "?v=" + a.version, nil
		},
		// dict makes a map of names and values, to hand several to a block:
		// {{template "field" dict "Name" "note" "Value" .Note}}
		"dict": func(pairs ...any) (map[string]any, error) {
			m := make(map[string]any, len(pairs)/2)
			for i := 0; i+1 < len(pairs); i += 2 {
				name, ok := pairs[i].(string)
				if !ok {
					return nil, fmt.Errorf("dict: %v is no name", pairs[i])
				}
				m[name] = pairs[i+1]
			}
			return m, nil
		},
	}
}

func (v *views) unread(l string, count int, room any) template.HTML {
	var hidden template.HTML
	if count == 0 {
		hidden = " hidden"
	}
	return markup(`<span class="badge" data-unread="%v" data-text="%s"%s><span aria-hidden="true" data-count>%d</span><span class="visually-hidden" data-said>%s</span></span>`,
		room, v.text(l, "team.unread", "#"), hidden, count, v.text(l, "team.unread", v.number(l, count)))
}

func moment(l string, t time.Time, zone *time.Location) string {
	if t.IsZero() {
		return ""
	}
	layout := "2 Jan 2006, 15:04"
	if l == "de" {
		layout = "02.01.2006, 15:04"
	}
	return t.In(zone).Format(layout)
}

// text gives a text; a key that is missing is shown as it is, and fails the test
// of texts.
func (v *views) text(l, key string, args ...any) string {
	text, ok := v.texts[l][key]
	switch {
	case !ok:
		return key
	case len(args) == 0:
		return text
	case alike(args...):
		return fmt.Sprintf(text, args...)
	default:
		return v.print[l].Sprintf(text, args...)
	}
}

// number writes a number as the language does.
func (v *views) number(l string, n any) string {
	if alike(n) {
		return fmt.Sprint(n)
	}
	return v.print[l].Sprint(n)
}

// alike says whether values are written the same in all languages: texts, and
// small numbers, of which tables are full. Then fmt does, which takes less time.
func alike(values ...any) bool {
	for _, value := range values {
		switch v := value.(type) {
		case string:
		case int:
			if v < 0 || v >= 1000 {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// knows lets the navigation offer a route.
func (v *views) knows(r route) {
	if r.method == http.MethodGet {
		v.known[r.path] = r
	}
}

func (r *Request) render(status int, page, block string, data any) error {
	t, ok := r.door.views.pages[r.Language][page]
	if !ok {
		return fmt.Errorf("there is no page %s", page)
	}
	p := Page{Request: r, Name: page, Data: data}
	if key := r.Query("done"); key != "" && r.Request.Method == http.MethodGet {
		p.Done = r.door.views.texts[r.Language]["done."+key]
		if p.Done == "" {
			p.Done = r.door.views.texts[r.Language][page+".done."+key]
		}
	}
	var out bytes.Buffer // so that an error of the template is no half page
	if err := t.ExecuteTemplate(&out, block, p); err != nil {
		return fmt.Errorf("page %s: %w", page, err)
	}
	r.Data(status, "text/html; charset=utf-8", out.Bytes())
	return nil
}

// serveFile answers with a file of static/. Its address changes with its content,
// so it may be kept for ever.
func (v *views) serveFile(c *gin.Context) error {
	a, ok := v.assets[c.Param("file")]
	if !ok {
		c.Status(http.StatusNotFound)
		return nil
	}
	c.Header("Cache-Control", "public, max-age=31536000, immutable")
	c.Header("Cross-Origin-Resource-Policy", "same-origin")
	c.Data(http.StatusOK, a.kind, a.content)
	return nil
}
