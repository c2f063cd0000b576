package admin

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/text/language"

	"deskbridge/author"
	"deskbridge/bridge"
	"deskbridge/server"
	"deskbridge/staff"
)

// Request is one request to the console, with who asks and about which region.
type Request struct {
	*gin.Context
	Person   *staff.Person  // nil: nobody is signed in
	Account  *staff.Account // the person with the state of the account
	Region   *bridge.Region // of a path with :region; else nil
	Language string         // of the answer: "de" or "en"
	door     *Door
	rooms    []author.View // of the team chat, once they were read; see teamRooms
}

// MaxBody is the largest body of a request to the console, in bytes. Forms take
// less: what is too large for one is told on a page, up to here.
const MaxBody = 4 << 20

// maxForm bounds the bytes of a form. Forms with files say their own.
const maxForm = 1 << 20

// Form reads the form that was sent, of at most 1 MiB; ask it with Get. Fields
// that nobody asks for mean nothing. The error is bridge.ErrBody or
// bridge.ErrBodyTooLarge.
func (r *Request) Form() (url.Values, error) {
	r.Request.Body = http.MaxBytesReader(r.Writer, r.Request.Body, maxForm)
	if err := r.Request.ParseForm(); err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return nil, bridge.ErrBodyTooLarge
		}
		return nil, fmt.Errorf("%w: %w", bridge.ErrBody, err)
	}
	return r.Request.PostForm, nil
}

// Show answers with a page: templates/<page>.html with data as .Data.
func (r *Request) Show(page string, data any) error {
	return r.ShowStatus(http.StatusOK, page, data)
}

// ShowStatus is Show with another status, such as 422 for a form with mistakes.
func (r *Request) ShowStatus(status int, page string, data any) error {
	return r.render(status, page, "layout", data)
}

// Fragment answers with one block of a page, for htmx.
func (r *Request) Fragment(page, block string, data any) error {
	return r.render(http.StatusOK, page, block, data)
}

// FromHTMX says whether htmx asks, and a Fragment is enough.
func (r *Request) FromHTMX() bool { return r.GetHeader("HX-Request") == "true" }

// Done ends a request that changed something: 303 to a page of the console, which
// then says the text "done.<key>"; an empty key says nothing.
func (r *Request) Done(path, key string) error {
	if key != "" {
		path += "?done=" + url.QueryEscape(key)
	}
	r.Redirect(http.StatusSeeOther, path)
	return nil
}

// attach makes the answer a file to keep, of a kind of text.
func (r *Request) attach(name, kind string) {
	r.Header("Content-Type", kind+"; charset=utf-8")
	r.Header("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
}

// Path makes a path about the request's region: Path("gate/").
func (r *Request) Path(rest string) string { return regionPath(r.Region, rest) }

func regionPath(region *bridge.Region, rest string) string {
	return "/admin/regions/" + url.PathEscape(region.Slug) + "/" + rest
}

// T gives a text in the request's language, with arguments as fmt has them.
func (r *Request) T(key string, args ...any) string {
	return r.door.views.text(r.Language, key, args...)
}

// Zone is the time zone in which the request's region lives; UTC without one.
func (r *Request) Zone() *time.Location {
	if r.Region == nil {
		return time.UTC
	}
	return r.Region.Settings.Reception.Zone.Location()
}

// May says whether the person has a right in the request's region, for what a
// page shows. The frame has checked the right of the route itself.
func (r *Request) May(right staff.Right) bool {
	if r.Region == nil {
		return r.Person.May(right, 0)
	}
	return r.Person.May(right, r.Region.ID)
}

// FactorMissing says whether the person must set up a second factor before
// anything else.
func (r *Request) FactorMissing() bool {
	return r.Account != nil && r.door.SecondFactor.Missing(r.Account)
}

// accepted chooses the language by what the browser asks for.
func (r *Request) accepted() string {
	_, i := language.MatchStrings(r.door.views.matcher, r.GetHeader("Accept-Language"))
	return languages[i]
}

// fail makes a page of an error. What is nobody's fault is logged by the frame of
// the server, with the id that the page shows.
func (r *Request) fail(err error) {
	if r.Writer.Written() {
		_ = r.Error(err) // for the log
		return
	}
	status, key := http.StatusInternalServerError, "error.internal"
	var known *bridge.Error
	switch {
	case errors.Is(err, errSignedOut):
		r.signIn()
		return
	case errors.Is(err, errNoFactor):
		r.lead(factorPath)
		return
	case errors.Is(err, errNotFound):
		status, key = http.StatusNotFound, "error.not_found"
	case errors.Is(err, errForbidden):
		status, key = http.StatusForbidden, "error.forbidden"
	default:
		known = server.Resolve(err)
		switch status = known.Status; {
		case status == http.StatusNotFound:
			key = "error.not_found"
		case status == http.StatusMethodNotAllowed:
			key = "error.method"
		case status < http.StatusInternalServerError:
			key = "error.request"
		default:
			_ = r.Error(err) // for the log
		}
	}
	if err := r.ShowStatus(status, "error", map[string]any{"Key": key, "Code": known, "ID": server.RequestID(r.Request.Context())}); err != nil {
		_ = r.Error(err)
		r.String(http.StatusInternalServerError, "error")
	}
}

// signIn sends to the sign-in page, which leads back. After a form that is the
// page that the form stood on.
func (r *Request) signIn() {
	next := r.Request.URL.RequestURI()
	if r.Request.Method != http.MethodGet {
		next = homePath
		if from, err := url.Parse(r.Request.Referer()); err == nil && strings.HasPrefix(from.Path, homePath) {
			next = from.RequestURI()
		}
	}
	r.lead(signInPath + "?next=" + url.QueryEscape(next))
}

// lead sends the browser to a page that comes first.
func (r *Request) lead(target string) {
	if r.FromHTMX() {
		r.Header("HX-Redirect", target)
		r.Status(http.StatusUnauthorized)
		return
	}
	r.Redirect(http.StatusSeeOther, target)
}

// safeNext keeps a path to go on to inside the console.
func safeNext(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, homePath) || strings.ContainsAny(next, "\\\r\n") || strings.Contains(u.Path, "..") {
		return homePath
	}
	return next
}
