package bridge

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"io"
	"strings"
	"time"
)

// AttachmentID is the name by which a device asks for a file: random, so that
// it says nothing and cannot be guessed.
type AttachmentID string

// NewAttachmentID makes an id that nobody else has: 26 small letters and digits.
func NewAttachmentID() AttachmentID {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return AttachmentID(strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:])))
}

// FileID is the helpdesk's number of a file; unique in one desk only. It never
// leaves for a device.
type FileID int64

// ContentID names a stored content.
type ContentID int64

// Attachment is a file of a message as devices see it.
type Attachment struct {
	ID     AttachmentID
	Name   string
	Type   string // media type
	Size   int64  // bytes
	Inline bool   // a picture inside the message's HTML, which names it as attachments/ID/
}

// File is a file of a device on its way to the desk.
type File struct {
	Attachment
	Digest  [sha256.Size]byte // of what the device sent, by which a repeated message is known
	Content io.ReaderAt       // all of it, as often as it is wanted
	Stored  ContentID         // 0: not stored yet
}

// DeskFile is a file of an article.
type DeskFile struct {
	Attachment
	File FileID
}

// StoredAttachment is what is known of an attachment of a message that its
// device may see.
type StoredAttachment struct {
	Attachment
	Content io.ReaderAt // nil: only the desk has it
	Desk    DeskID
	Ticket  TicketID // where the desk has it
	Article ArticleID
	File    FileID // 0: the desk has not shown it yet
}

// FileStore keeps files and knows whose they are.
type FileStore interface {
	// KeepContent stores a file's content in small steps, sets Stored, and
	// returns when it is durable. Until a message takes it it belongs to nobody,
	// and Prune removes it after an hour.
	KeepContent(ctx context.Context, f *File, now time.Time) error
	// DropContents removes contents that no message has taken.
	DropContents(ctx context.Context, files []File) error
	// Attachment finds a file of a message that the device may see. The error is
	// ErrAttachmentNotFound for every other.
	Attachment(ctx context.Context, r *Region, d DeviceHash, id AttachmentID, now time.Time) (StoredAttachment, error)
	// Attachments lists all files of a device in a region, in the order of their
	// messages.
	Attachments(ctx context.Context, r RegionID, d DeviceHash) (map[MessageID][]StoredAttachment, error)
}

// AttachmentsDeps is what Attachments needs.
type AttachmentsDeps struct {
	Files FileStore
	Desk  interface {
		OpenFile(ctx context.Context, r *Region, t TicketID, a ArticleID, f FileID) (io.ReadCloser, error)
	}
	Now func() time.Time
}

// Attachments hands out the files of messages.
type Attachments struct{ AttachmentsDeps }

// NewAttachments puts Attachments together.
func NewAttachments(deps AttachmentsDeps) *Attachments { return &Attachments{deps} }

// Find finds a file of a message that the device may see.
//
// Errors: ErrRegionOff, ErrAttachmentNotFound, or the store's.
func (a *Attachments) Find(ctx context.Context, r *Region, d DeviceHash, id AttachmentID) (StoredAttachment, error) {
	if !r.Served() {
		return StoredAttachment{}, ErrRegionOff
	}
	found, err := a.Files.Attachment(ctx, r, d, id, a.Now())
	if err == nil && found.Content == nil && (found.File == 0 || found.Desk != r.Desk) {
		err = ErrAttachmentNotFound // the region has another Zammad now, or the ticket is not the chat's any more
	}
	return found, err
}

// Load begins to load a file that only the desk has: one call. Whoever reads it
// must close it.
//
// Errors: ErrAttachmentNotFound, ErrDeskAway.
func (a *Attachments) Load(ctx context.Context, r *Region, f StoredAttachment) (io.ReadCloser, error) {
	stream, err := a.Desk.OpenFile(ctx, r, f.Ticket, f.Article, f.File)
	if err == nil {
		return stream, nil
	}
	switch KindOf(err) {
	case DeskGone, DeskRefused:
		return nil, errors.Join(ErrAttachmentNotFound, err)
	default:
		return nil, errors.Join(ErrDeskAway, err)
	}
}

// keep stores the contents of files before the message that takes them, piece by
// piece: other devices' messages are stored between them. forget removes what no
// message took.
func (c *Chats) keep(ctx context.Context, files []File) (forget func(), err error) {
	forget = func() {
		// What cannot be removed now goes with Prune.
		_ = c.Store.DropContents(context.WithoutCancel(ctx), files)
	}
	for i := range files {
		if err := c.Store.KeepContent(ctx, &files[i], c.Now()); err != nil {
			forget()
			return nil, err
		}
	}
	return forget, nil
}
