package desk

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/html"

	"deskbridge/bridge"
	"deskbridge/files"
	"deskbridge/zammad"
)

const (
	// loadsAtOnce bounds the files of one Zammad that wait for their first byte,
	// so that devices which load files leave its places to messages.
	loadsAtOnce = 2
	// loadPatience is how long a device waits for the first byte of a file.
	//
	// Failure policy: then the device is told to try again later.
	loadPatience = 20 * time.Second
)

// ourFiles begins the addresses of files in messages. They are relative to the
// address of the chat, so that no device id stands in a message.
const ourFiles = "attachments/"

// attached are the files of an article. A picture that its HTML shows is Inline
// from then on. nil is an article without files.
type attached struct {
	files []bridge.DeskFile
	cids  []string // Content-ID of each file; "": none
}

// attachedTo reads the list of an article's files. Each gets a name for devices,
// at random with each reading; the one that is stored with the message counts.
func attachedTo(a zammad.Article) *attached {
	out := &attached{}
	for _, f := range a.Attachments {
		out.files = append(out.files, bridge.DeskFile{File: bridge.FileID(f.ID), Attachment: bridge.Attachment{
			ID: bridge.NewAttachmentID(), Name: files.Name(f.Filename), Type: files.SafeType(f.MimeType()), Size: int64(f.Size),
		}})
		out.cids = append(out.cids, strings.Trim(f.ContentID(), "<>"))
	}
	return out
}

// picture gives the element that shows a device the picture at a Zammad's
// address; nil if that is no file of the article.
func (a *attached) picture(src string) *html.Node {
	if a == nil {
		return nil
	}
	i := a.find(src)
	if i < 0 || !strings.HasPrefix(a.files[i].Type, "image/") {
		return nil
	}
	a.files[i].Inline = true
	return &html.Node{Type: html.ElementNode, Data: "img", Attr: []html.Attribute{
		{Key: "src", Val: ourFiles + string(a.files[i].ID) + "/"}, {Key: "alt", Val: a.files[i].Name},
	}}
}

// find finds the file that a picture's address names: by its Content-ID, or as
// Zammad rewrites that, by its number (contract 2.4). -1: none.
func (a *attached) find(src string) int {
	if cid, ok := strings.CutPrefix(src, "cid:"); ok {
		for i, known := range a.cids {
			if known != "" && known == cid {
				return i
			}
		}
		return -1
	}
	_, rest, ok := strings.Cut(src, "/api/v1/ticket_attachment/")
	if !ok {
		return -1
	}
	path, _, _ := strings.Cut(rest, "?")
	parts := strings.Split(path, "/") // ticket, article, file
	if len(parts) != 3 {
		return -1
	}
	for i, f := range a.files {
		if strconv.FormatInt(int64(f.File), 10) == parts[2] {
			return i
		}
	}
	return -1
}

// bodyOf gives the text of a message. Zammad wants one with every article
// (contract 00.10); files that came without are named instead.
func bodyOf(text string, all []bridge.File) string {
	if text != "" || len(all) == 0 {
		return text
	}
	names := make([]string, len(all))
	for i, f := range all {
		names[i] = "[" + f.Name + "]"
	}
	return strings.Join(names, "\n")
}

// load puts files into an article. They are whole in memory until release, some
// times over since they become base64 inside JSON, so that one message with
// files at a time is on its way to a Zammad.
func (s *site) load(ctx context.Context, article *zammad.NewArticle, all []bridge.File) (release func(), err error) {
	if len(all) == 0 {
		return func() {}, nil
	}
	select {
	case s.heavy <- struct{}{}:
	case <-ctx.Done():
		return nil, &bridge.DeskError{Kind: bridge.DeskUnavailable, Reason: "another message with files took too long", Err: ctx.Err()}
	}
	release = func() { <-s.heavy }
	for _, f := range all {
		data := make([]byte, f.Size)
		if n, err := f.Content.ReadAt(data, 0); n < len(data) {
			release()
			return nil, &bridge.DeskError{Kind: bridge.DeskUnavailable, Reason: "a file could not be read here", Err: err}
		}
		article.Attachments = append(article.Attachments, zammad.File{Filename: f.Name, MimeType: f.Type, Data: data})
	}
	return release, nil
}

// forFiles notes on a refusal whether it was for the message's files: too much
// for what stands in front of Zammad, or one that Zammad names as the reason.
func forFiles(err error, all []bridge.File) error {
	d, ok := errors.AsType[*bridge.DeskError](err)
	if !ok || len(all) == 0 || d.Kind != bridge.DeskRefused && d.Kind != bridge.DeskMasked {
		return err
	}
	reason := strings.ToLower(d.Reason)
	z, _ := errors.AsType[*zammad.Error](err)
	d.Files = z != nil && z.Status == http.StatusRequestEntityTooLarge ||
		strings.Contains(reason, "attachment") || strings.Contains(reason, "filename")
	return err
}

// OpenFile begins to load a file: one call. Whoever reads it must close it.
func (d *Desk) OpenFile(ctx context.Context, r *bridge.Region, t bridge.TicketID, a bridge.ArticleID, f bridge.FileID) (io.ReadCloser, error) {
	s, err := d.site(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(zammad.Housekeeping(ctx))
	patience := time.AfterFunc(loadPatience, cancel)
	defer patience.Stop()
	select {
	case s.loads <- struct{}{}:
	case <-ctx.Done():
		cancel()
		return nil, &bridge.DeskError{Kind: bridge.DeskUnavailable, Reason: "too many files are being loaded", Err: ctx.Err()}
	}
	file, err := s.Articles.Open(ctx, zammad.TicketID(t), zammad.ArticleID(a), zammad.AttachmentID(f))
	<-s.loads
	if err != nil {
		err = s.notLoaded(ctx, t, err)
		cancel()
		return nil, err
	}
	return loading{file, cancel}, nil
}

// notLoaded translates the error of a file that was not given. Of a ticket that is
// gone Zammad says 500 (contract 2.5), so the ticket is looked for.
func (s *site) notLoaded(ctx context.Context, t bridge.TicketID, err error) error {
	failure := s.failed(ctx, err, ofRecord)
	if bridge.KindOf(failure) == bridge.DeskMasked {
		if _, err := s.Tickets.Get(ctx, zammad.TicketID(t)); err != nil {
			if looked := s.failed(ctx, err, ofRecord); absent(looked) {
				return looked
			}
		}
	}
	return failure
}

// loading ends what belongs to a file with it.
type loading struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close ends the loading.
func (l loading) Close() error {
	defer l.cancel()
	return l.ReadCloser.Close()
}
