package zammad

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/go-resty/resty/v2"
)

// The kinds of failure. Every call fails with an *Error that is exactly one of
// these for errors.Is; only an argument that cannot be encoded fails otherwise.
var (
	// ErrNotAuthorized: 401, the token or password is not accepted.
	ErrNotAuthorized = errors.New("not authorized")
	// ErrForbidden: 403. It has several meanings (this ticket, the token,
	// maintenance): ask Users.Me next (contract 00.15).
	ErrForbidden = errors.New("forbidden")
	// ErrNotFound: 404 said by Zammad itself: the record does not exist any more.
	ErrNotFound = errors.New("not found")
	// ErrInvalid: Zammad refuses this request for good, most often 422. Message
	// says why.
	ErrInvalid = errors.New("refused as invalid")
	// ErrMasked: refused without a reason, "Error ID X: Please contact your
	// administrator." (contract 0.3). A deadlock looks the same as a rule that
	// forbids the change, so it may or may not pass the next time. Nothing was
	// written as far as Zammad's transactions reach; a message is worth a look
	// by its message id before it is sent again.
	ErrMasked = errors.New("refused without a reason")
	// ErrServer: an error of Zammad's own, or an answer to a read that cannot be
	// used. Nothing was written.
	ErrServer = errors.New("server error")
	// ErrUnavailable: Zammad was not reached, or only something in front of it.
	// Nothing was written; it is worth trying again later.
	ErrUnavailable = errors.New("unavailable")
	// ErrAmbiguous: a write that may or may not have been carried out, or that
	// is still running. Look before sending it again (contract 00.3).
	ErrAmbiguous = errors.New("outcome unknown")
)

// Error is a failed call. Its text holds nothing that people wrote.
type Error struct {
	Kind    error  // one of the Err values of this package
	Status  int    // HTTP status, 0 if there was no answer
	Message string // Zammad's own words for operators, at most 500 characters; may repeat what was sent, so it is not in Error()
	ErrorID string // id to look up in Zammad's log, for masked errors
	Method  string // HTTP method
	Path    string // path without query
	// RetryAfter is how long the server asked to wait; 0 if it did not.
	RetryAfter time.Duration
	cause      error
}

// Error names the call, the status and the kind, never Message.
func (e *Error) Error() string {
	text := fmt.Sprintf("zammad: %s %s: %v", e.Method, e.Path, e.Kind)
	if e.Status != 0 {
		text += fmt.Sprintf(" (status %d)", e.Status)
	}
	if e.ErrorID != "" {
		text += " (Error ID " + e.ErrorID + ")"
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap gives the kind and, if the transport failed, its error.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.cause}
}

var (
	maskedText    = regexp.MustCompile(`^Error ID ([^\s:]{1,64}):`)
	errTooLong    = errors.New("the answer is over the size limit")
	errGarbage    = errors.New("the answer is not the expected JSON")
	errNotZammads = errors.New("the answer does not come from Zammad")
	errRedirected = errors.New("the answer is a redirect, which is not followed: set the final address")
)

const maxMessage = 500 // characters

func (r *request) fail(kind error, status int, cause error) *Error {
	// The error of net/http repeats the whole URL, in which a search may stand.
	if wrapped, ok := errors.AsType[*url.Error](cause); ok {
		cause = wrapped.Err
	}
	return &Error{Kind: kind, Status: status, Method: r.method, Path: "/api/v1" + r.path, cause: cause}
}

// broken is a call that got no whole answer. used says whether a connection
// had been made. For a write only the time before that is safe: a request may
// be carried out although the connection breaks under it.
func (r *request) broken(err error, status int, used bool) *Error {
	tooLong := errors.Is(err, resty.ErrResponseBodyTooLarge)
	if tooLong {
		err = errTooLong
	}
	switch {
	case r.write && used:
		return r.fail(ErrAmbiguous, status, err)
	case tooLong:
		return r.fail(ErrServer, status, err) // it will not be shorter the next time
	default:
		return r.fail(ErrUnavailable, status, err)
	}
}

// garbage is a success whose body cannot be read: a write has most likely
// happened, a read met something else than Zammad.
func (r *request) garbage(status int) *Error {
	if r.write {
		return r.fail(ErrAmbiguous, status, errGarbage)
	}
	return r.fail(ErrUnavailable, status, errGarbage)
}

// classify turns a status into an error, or nil for a success.
func (r *request) classify(status int, header http.Header, body []byte) error {
	if status >= 200 && status < 300 {
		return nil
	}
	said, isZammad := spoken(header, body)
	e := r.fail(nil, status, nil)
	e.Message = clip(said)
	if match := maskedText.FindStringSubmatch(said); match != nil {
		e.ErrorID = match[1]
	}
	e.RetryAfter = retryAfter(header, time.Now())
	switch {
	case status == http.StatusUnauthorized:
		e.Kind = ErrNotAuthorized
	case status == http.StatusForbidden:
		e.Kind = ErrForbidden
	case status == http.StatusNotFound && isZammad:
		e.Kind = ErrNotFound
	case status < 400 || status == http.StatusNotFound || status == http.StatusTooManyRequests:
		// Zammad's interface neither redirects nor limits, and a 404 without its
		// JSON is a proxy without a backend. Believing that one would end chats
		// that are alive. In all three the request went no further.
		e.Kind, e.cause = ErrUnavailable, errNotZammads
		if status >= 300 && status < 400 {
			e.cause = errRedirected
		}
	case status == http.StatusInternalServerError && isZammad:
		e.Kind = r.internal(e.ErrorID)
	case status >= 500 || status == http.StatusRequestTimeout:
		e.Kind = r.lost()
	case e.ErrorID != "":
		e.Kind = ErrMasked
	default:
		e.Kind = ErrInvalid
	}
	return e
}

// internal is a 500 that Zammad itself has written. Tickets are created and
// updated in one transaction (contract 2.3) and every other record is saved in
// one of its own, so an exception has undone the write and it did not happen.
// The exception is POST /ticket_articles, which has no transaction around it
// (contract 2.4): the article may stay although what followed failed.
func (r *request) internal(errorID string) error {
	switch {
	case r.loose:
		return ErrAmbiguous
	case errorID != "":
		return ErrMasked
	default:
		return ErrServer
	}
}

// lost is an answer of something in front of Zammad, given while the request
// may be running behind it.
func (r *request) lost() error {
	if r.write {
		return ErrAmbiguous
	}
	return ErrUnavailable
}

// isAnswer says whether a call got an answer of Zammad itself, whatever it was.
func isAnswer(err error) bool {
	failure, failed := errors.AsType[*Error](err)
	switch {
	case !failed:
		return true
	case failure.Kind == ErrAmbiguous:
		return failure.Status == http.StatusInternalServerError // see internal
	default:
		return failure.Kind != ErrUnavailable
	}
}

// spoken finds Zammad's words in an error answer and tells whether it is
// Zammad's at all: with our Accept header its errors are JSON (contract 0.1).
func spoken(header http.Header, body []byte) (text string, isZammad bool) {
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	var answer struct {
		Error string `json:"error"`
	}
	if kind == "application/json" && json.Unmarshal(body, &answer) == nil && answer.Error != "" {
		return answer.Error, true
	}
	return header.Get("X-Failure"), false
}

func clip(text string) string {
	if runes := []rune(text); len(runes) > maxMessage {
		return string(runes[:maxMessage])
	}
	return text
}
