package simulator

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// call is one request while it is being answered, under the simulator's lock.
type call struct {
	*Simulator
	tx
	r      *http.Request
	params row // query, then body, as Rails merges them
	now    time.Time
	user   row      // who acts; with From the impersonated user
	token  row      // nil without a token, and with From
	open   bool     // no credentials asked for
	perms  []string // permission list of the token

	seesErrors bool // an admin reads the errors that others get masked
}

// answer is what a handler returns besides plain values.
type answer struct {
	status int
	body   any
	header http.Header
	raw    []byte // instead of body
}

// failure is an error in Zammad's words.
type failure struct {
	status int
	text   string
	hidden bool // only an admin may read the text; others get an error id (contract 0.3)
	short  bool // without error_human even where it is not hidden
}

func (f *failure) Error() string { return f.text }

func notFound(text string) error     { return &failure{status: 404, text: text} }
func unauthorized(text string) error { return &failure{status: 401, text: text} }
func forbidden(text string) error    { return &failure{status: 403, text: text} }
func invalid(text string) error      { return &failure{status: 422, text: text} }
func refused(text string) error      { return &failure{status: 422, text: text, hidden: true} }
func broken(text string) error       { return &failure{status: 500, text: text, hidden: true} }

const maxRequest = 50 << 20 // bytes; what the web server that ships with Zammad allows

// serve wraps a handler: parameters, credentials, one transaction, triggers, the answer.
func (s *Simulator) serve(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		params, parseErr := readParams(w, r)
		c := &call{Simulator: s, r: r, params: params, open: rt.open}
		value, err := c.run(rt, parseErr)
		if err != nil {
			c.fail(w, err)
			return
		}
		c.reply(w, value)
	}
}

func (c *call) run(rt route, parseErr error) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.clock.Now()
	c.runScheduler(c.now)
	if err := c.authenticate(); err != nil {
		return nil, err
	}
	if tooLarge := new(http.MaxBytesError); errors.As(parseErr, &tooLarge) {
		return nil, &failure{status: http.StatusRequestEntityTooLarge, text: "Request Entity Too Large"}
	}
	if parseErr != nil {
		return nil, broken(parseErr.Error())
	}
	if len(rt.needs) > 0 && !c.may(rt.needs...) {
		return nil, c.lacking()
	}
	done := false
	defer func() {
		if !done { // refused, or a panic on its way
			c.rollback()
		}
	}()
	value, err := rt.handle(c)
	if err != nil {
		return nil, err
	}
	fireTriggers(c)
	done = true
	return value, nil
}

func readParams(w http.ResponseWriter, r *http.Request) (row, error) {
	params := row{}
	for k, v := range r.URL.Query() {
		params[k] = v[len(v)-1]
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return params, err
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") || len(bytes.TrimSpace(body)) == 0 {
		return params, nil
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var decoded map[string]any
	if err := dec.Decode(&decoded); err != nil {
		return params, err
	}
	for k, v := range decoded {
		params[k] = plain(v)
	}
	return params, nil
}

// pathID reads the number in the path; what is no number finds nothing.
func (c *call) pathID(name string) int {
	n, err := strconv.Atoi(c.r.PathValue(name))
	if err != nil {
		return -1
	}
	return n
}

// wants tells whether a response switch such as expand is on (contract 0.8).
func (c *call) wants(name string) bool {
	switch v := c.params[name].(type) {
	case bool:
		return v
	case int:
		return v == 1
	case string:
		return v == "true" || v == "1"
	}
	return false
}

func (c *call) stamp() stamp { return stamp(c.now.UTC().Truncate(time.Millisecond)) }

// page returns the slice bounds for n things by page, per_page and limit.
func (c *call) page(n, standard, most int) (from, to int) {
	per := c.params.num("per_page")
	if per <= 0 {
		per = c.params.num("limit")
	}
	if per <= 0 {
		per = standard
	}
	per = min(per, most)
	from = min(max(c.params.num("page")-1, 0)*per, n)
	return from, min(from+per, n)
}

const pagePolicy = "base-uri 'self'; default-src 'self' ws: wss:; font-src 'self' data:; img-src * data:; object-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'"

func (c *call) reply(w http.ResponseWriter, value any) {
	a, ok := value.(answer)
	if !ok {
		a = answer{body: value}
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	h := w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", "max-age=0, private, must-revalidate")
	h.Set("Content-Type", "application/json; charset=utf-8")
	if !c.open {
		h.Set("Access-Control-Allow-Origin", "*")
	}
	if a.body == nil && a.raw == nil { // head :ok
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-cache")
	}
	body := a.raw
	if body == nil && a.body != nil {
		var err error
		if body, err = json.Marshal(a.body); err != nil {
			c.fail(w, broken(err.Error()))
			return
		}
	}
	for k, v := range a.header {
		h[k] = v
	}
	if len(body) > 0 && a.status < 300 {
		sum := md5.Sum(body)
		tag := `W/"` + hex.EncodeToString(sum[:]) + `"`
		h.Set("ETag", tag)
		if c.r.Method == http.MethodGet && c.r.Header.Get("If-None-Match") == tag {
			h.Del("Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(body) // a caller that is gone is no error of ours
}

// fail renders an error by content negotiation (contract 0.1 and 0.2).
func (c *call) fail(w http.ResponseWriter, err error) {
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{status: 500, text: err.Error(), hidden: true}
	}
	text, human := f.text, true
	if f.hidden {
		human = false
		if !c.seesErrors {
			id := errorID()
			c.log.Warn("request refused", "error_id", id, "path", c.r.URL.Path, "status", f.status)
			text = maskedText(id)
		}
	}
	h := w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", "no-cache")
	if f.status == 401 || f.status == 403 {
		h.Set("X-Failure", text)
	}
	if f.short {
		human = false
		h.Set("Access-Control-Allow-Origin", "*")
	}
	if !wantsJSON(c.r.Header.Get("Accept")) {
		h.Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(f.status)
		_, _ = io.WriteString(w, errorPage(f.status, text))
		return
	}
	body := map[string]any{"error": text}
	if human {
		body["error_human"] = text
	}
	encoded, _ := json.Marshal(body) // a map of texts always encodes
	h.Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(f.status)
	_, _ = w.Write(encoded)
}

// maskedText is what those who are no admins read instead of an error (contract 0.3).
func maskedText(id string) string {
	return "Error ID " + id + ": Please contact your administrator."
}

// wantsJSON tells whether Rails would choose JSON: a missing Accept or a list that contains
// */* falls back to HTML, */* alone takes the first format on offer.
func wantsJSON(accept string) bool {
	if accept == "" || strings.Contains(accept, ",") && strings.Contains(accept, "*/*") {
		return false
	}
	return accept == "*/*" || strings.Contains(accept, "application/json")
}

var errorHints = map[int]string{
	401: "Sorry, but your authentication failed. Double check your credentials and try again.",
	403: "Sorry, but you're not allowed to access this page.",
	404: "Sorry, but the requested resource was not found.",
	422: "The change you wanted was rejected.",
	500: "We're sorry, but something went wrong.",
}

func errorPage(status int, text string) string {
	title := fmt.Sprintf("%d: %s", status, http.StatusText(status))
	return "<!DOCTYPE html>\n<html class=\"dark\">\n<meta charset=\"utf-8\">\n<title>" + title +
		"</title>\n<link rel=\"stylesheet\" href=\"/assets/error/style.css\">\n<body >\n  <h1>" + title +
		"</h1>\n  <div>" + html.EscapeString(text) +
		"</div>\n  <div class=\"error-image\" style=\"background-image: url(/assets/error/error-1.svg)\"></div>\n  <p>" +
		errorHints[status] + "</p>\n</body>\n</html>\n"
}

// errorID makes the eight characters by which an admin finds a masked error in the log.
func errorID() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// plain turns what a JSON decoder with UseNumber returned into the value types of a row.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.Atoi(v.String()); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = plain(v[k])
		}
		return out
	}
	return v
}

// castBool reads a value as Rails reads it for a boolean column: a few words are false,
// the empty text is null, everything else is true, "no" included (contract 2.3).
func castBool(v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case bool:
		return v
	case int:
		return v != 0
	case string:
		if v == "" {
			return nil
		}
		return !slices.Contains([]string{"false", "f", "0", "off", "FALSE", "F", "OFF"}, v)
	}
	return true
}

// asText renders a scalar as text, nil as the empty text.
func asText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case stamp:
		return time.Time(v).UTC().Format(stampLayout)
	}
	return fmt.Sprint(v)
}

// cut removes NUL and shortens s to n characters, silently, as Zammad does (contract 0.7).
func cut(s string, n int) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

// oneLine replaces every kind of white space by a space (titles and subjects).
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '\n', '\r', '\t', '\v', '\f':
			return ' '
		}
		return r
	}, s)
}
