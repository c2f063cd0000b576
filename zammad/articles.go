package zammad

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

// Articles are the calls about articles and their files.
type Articles struct{ wire *wire }

// The article types and senders that are used here (contract 2.4).
const (
	TypeNote  = "note"
	TypeChat  = "chat"
	TypeWeb   = "web"
	TypePhone = "phone"
	TypeEmail = "email"

	SenderAgent    = "Agent"
	SenderCustomer = "Customer"
	SenderSystem   = "System"

	ContentHTML  = "text/html"
	ContentPlain = "text/plain"
)

// NewArticle is an article to be created, alone or with a ticket. Zero fields
// but Body are left out. A customer's message is type chat with OriginBy or
// OriginByID: Zammad then makes the customer the author (contract 00.1).
type NewArticle struct {
	TicketID    TicketID       `json:"ticket_id,omitzero"` // only when created alone
	Type        string         `json:"type,omitzero"`      // default note
	Sender      string         `json:"sender,omitzero"`    // default Agent for an agent's token
	Body        string         `json:"body"`               // not blank; at most 1,500,000 characters
	ContentType string         `json:"content_type,omitzero"`
	Internal    *bool          `json:"internal,omitzero"`     // default false
	OriginBy    string         `json:"origin_by,omitzero"`    // login of the true author
	OriginByID  UserID         `json:"origin_by_id,omitzero"` // the same by id
	MessageID   string         `json:"message_id,omitzero"`   // stored as given; can be searched for
	InReplyTo   string         `json:"in_reply_to,omitzero"`
	Subject     string         `json:"subject,omitzero"`
	To          string         `json:"to,omitzero"`
	Cc          string         `json:"cc,omitzero"`
	Preferences map[string]any `json:"preferences,omitzero"`
	Attachments []File         `json:"attachments,omitempty"`
}

// File is an attachment to be stored with a new article.
type File struct {
	Filename string `json:"filename"`  // not blank
	MimeType string `json:"mime-type"` // required; shown to whoever loads the file
	Data     []byte `json:"data"`      // as base64; the API has no limit, the web server in front 50 MB
}

// MarshalJSON writes the content as strict base64, as Zammad demands.
func (f File) MarshalJSON() ([]byte, error) {
	type plain File
	if f.Data == nil {
		f.Data = []byte{} // null would be refused, an empty file is not
	}
	return json.Marshal(plain(f))
}

// Create adds an article to the ticket named in it. The answer does not tell
// the state of the ticket (contract 00.16). There is no transaction around
// this call, so that even a plain 500 means ErrAmbiguous (contract 2.4).
func (a Articles) Create(ctx context.Context, article NewArticle) (Article, error) {
	r := newRequest(http.MethodPost, "/ticket_articles")
	r.write, r.loose = true, true
	if err := r.encode(article); err != nil {
		return Article{}, err
	}
	var answer Article
	err := a.wire.call(ctx, r, &answer)
	return answer, err
}

// Get reads one article, internal ones included.
func (a Articles) Get(ctx context.Context, id ArticleID) (Article, error) {
	var answer Article
	err := a.wire.read(ctx, &answer, nil, "/ticket_articles/{id}", id)
	return answer, err
}

// OfTicket reads all articles of a ticket in the order of their creation,
// internal ones included. It costs Zammad about 11 ms for each (contract 00).
func (a Articles) OfTicket(ctx context.Context, id TicketID) ([]Article, error) {
	var answer []Article
	err := a.wire.read(ctx, &answer, nil, "/ticket_articles/by_ticket/{id}", id)
	return answer, err
}

// SetInternal hides an article from the customer or shows it. No webhook tells
// about it. Nothing else of an article can be changed (contract 2.4).
func (a Articles) SetInternal(ctx context.Context, id ArticleID, internal bool) (Article, error) {
	var answer Article
	body := map[string]bool{"internal": internal}
	err := a.wire.write(ctx, &answer, http.MethodPut, body, "/ticket_articles/{id}", id)
	return answer, err
}

// Delete removes an article: only own notes, within ten minutes (contract 2.4).
func (a Articles) Delete(ctx context.Context, id ArticleID) error {
	return a.wire.write(ctx, nil, http.MethodDelete, nil, "/ticket_articles/{id}", id)
}

// Download is the content of a file on its way. Close it.
type Download struct {
	io.ReadCloser
	// Header is Zammad's, of which Content-Type is what the uploader claimed:
	// not to be believed (contract 2.5).
	Header http.Header
	// Length in bytes, -1 if unknown.
	Length int64
}

// Open starts loading a file. Its size is not limited here. The place in the
// limiter is given back when the first byte comes, since by then Zammad has
// done its work; a reader that gets nothing for ReadTimeout fails.
func (a Articles) Open(ctx context.Context, ticket TicketID, article ArticleID, file AttachmentID) (*Download, error) {
	var opened *Download
	r := newRequest(http.MethodGet, "/ticket_attachment/{id}/{id}/{id}", ticket, article, file)
	r.open = func(d *Download) { opened = d }
	err := a.wire.call(ctx, r, nil)
	return opened, err
}

// stream ends its request when it stands still for too long or is closed.
type stream struct {
	io.ReadCloser
	idle   *time.Timer
	limit  time.Duration
	cancel context.CancelCauseFunc
	fail   func(error) error
}

func (s *stream) Read(p []byte) (int, error) {
	s.idle.Reset(s.limit)
	n, err := s.ReadCloser.Read(p)
	s.idle.Stop() // the time the reader takes is its own
	if err != nil && err != io.EOF {
		err = s.fail(err)
	}
	return n, err
}

func (s *stream) Close() error {
	s.idle.Stop()
	s.cancel(nil)
	return s.ReadCloser.Close()
}

var errStalled = errors.New("nothing came for too long")

// stream sends a request and hands the body over unread.
func (w *wire) stream(ctx context.Context, r *request) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	idle := time.AfterFunc(w.cfg.ReadTimeout, func() { cancel(errStalled) })
	req, used := w.prepare(ctx, r)
	resp, err := req.SetDoNotParseResponse(true).Execute(r.method, r.path)
	status := statusOf(resp)
	fail := func(err error) error {
		if context.Cause(ctx) == errStalled {
			err = errStalled
		}
		return r.broken(err, status, used.Load())
	}
	if err != nil {
		idle.Stop()
		err = fail(err)
		cancel(nil)
		return status, err
	}
	raw := resp.RawResponse
	body := &stream{ReadCloser: raw.Body, idle: idle, limit: w.cfg.ReadTimeout, cancel: cancel, fail: fail}
	if status != http.StatusOK {
		defer body.Close()
		said, _ := io.ReadAll(io.LimitReader(body, 64<<10))
		if failure := r.classify(status, raw.Header, said); failure != nil {
			return status, failure
		}
		return status, r.garbage(status)
	}
	idle.Stop()
	r.open(&Download{ReadCloser: body, Header: raw.Header, Length: raw.ContentLength})
	return status, nil
}
