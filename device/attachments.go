package device

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
)

const (
	// maxDownload is the largest file of the desk that is handed on, in bytes:
	// Zammad itself sets no limit but that of the web server before it (50 MB).
	maxDownload = 64 << 20
	// downloadPause is how long a device may take for each piece of a file.
	//
	// Failure policy: then its connection is closed; where the file is here it
	// can ask for the rest.
	downloadPause = time.Minute
)

// Files is what the door asks of the heart about attachments.
type Files interface {
	Find(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, id bridge.AttachmentID) (bridge.StoredAttachment, error)
	Load(ctx context.Context, r *bridge.Region, f bridge.StoredAttachment) (io.ReadCloser, error)
}

// attachment is a file of a message on the wire. Its address is attachments/ID/
// below the chat's.
type attachment struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Type   string `json:"type"`
	Size   int64  `json:"size"`
	Inline bool   `json:"inline,omitempty"` // content shows it already
}

// noAttachments is the empty list that most messages share.
var noAttachments = []attachment{}

func wireAttachments(all []bridge.Attachment) []attachment {
	if len(all) == 0 {
		return noAttachments
	}
	out := make([]attachment, len(all))
	for i, a := range all {
		out[i] = attachment{string(a.ID), a.Name, a.Type, a.Size, a.Inline}
	}
	return out
}

// attachment hands out a file: from here with ranges, from the desk whole. It is
// never shown in the place of a page, whatever it holds.
func (d *Door) attachment(c *gin.Context) error {
	who, err := d.caller(c)
	if err != nil {
		return err
	}
	found, err := d.Files.Find(c.Request.Context(), who.region, who.device, bridge.AttachmentID(c.Param("id")))
	if err != nil {
		return err
	}
	if found.Size > maxDownload {
		return bridge.ErrFileTooLarge
	}
	tag := etag(`"` + string(found.ID) + `"`) // a file never changes
	if tag.in(c.Request.Header["If-None-Match"]) {
		return notModified(c, tag)
	}
	slow := unhurried{connection: http.NewResponseController(c.Writer)}
	if found.Content != nil {
		fileHeaders(c, found.Attachment, tag)
		slow.ReadSeeker = io.NewSectionReader(found.Content, 0, found.Size)
		http.ServeContent(c.Writer, c.Request, "", time.Time{}, slow)
		return nil
	}
	if c.Request.Method == http.MethodHead {
		fileHeaders(c, found.Attachment, tag)
		c.Writer.Header()["Content-Length"] = []string{strconv.FormatInt(found.Size, 10)}
		c.Status(http.StatusOK)
		return nil
	}
	stream, err := d.Files.Load(c.Request.Context(), who.region, found)
	if err != nil {
		return err
	}
	defer stream.Close()
	fileHeaders(c, found.Attachment, tag)
	c.Writer.Header()["Content-Length"] = []string{strconv.FormatInt(found.Size, 10)}
	c.Status(http.StatusOK)
	slow.ReadSeeker = readOnly{stream}
	if _, err := io.CopyN(c.Writer, slow, found.Size); err != nil {
		// The length was promised, so the client notices that it has not all.
		return fmt.Errorf("hand on a file: %w", err)
	}
	return nil
}

func fileHeaders(c *gin.Context, a bridge.Attachment, tag etag) {
	h := c.Writer.Header()
	h["Content-Type"] = []string{a.Type}
	h["Content-Disposition"] = []string{disposition(a.Name)}
	h["Content-Security-Policy"] = []string{"default-src 'none'; sandbox"}
	h["Cache-Control"] = revalidate
	h["Etag"] = []string{string(tag)}
}

// disposition says that a file is to be stored and not shown, and under which
// name: in ASCII for old clients, and as RFC 5987 has it.
func disposition(name string) string {
	var encoded strings.Builder
	for _, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if letter || strings.IndexByte("-._~", c) >= 0 {
			encoded.WriteByte(c)
		} else {
			fmt.Fprintf(&encoded, "%%%02X", c)
		}
	}
	plain := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return '_'
		}
		return c
	}, name)
	return fmt.Sprintf(`attachment; filename="%s"; filename*=UTF-8''%s`, plain, encoded.String())
}

// unhurried gives the connection time for each piece that is read for it,
// instead of for the whole answer.
type unhurried struct {
	io.ReadSeeker
	connection *http.ResponseController
}

// Read reads a piece.
func (u unhurried) Read(p []byte) (int, error) {
	until := time.Now().Add(downloadPause)
	// Connections that know no time limits have none.
	_ = u.connection.SetReadDeadline(until)
	_ = u.connection.SetWriteDeadline(until)
	return u.ReadSeeker.Read(p)
}

// readOnly is a stream where a ReadSeeker is wanted; nobody seeks in it.
type readOnly struct{ io.Reader }

// Seek fails.
func (readOnly) Seek(int64, int) (int64, error) { return 0, http.ErrNotSupported }
