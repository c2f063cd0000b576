// Package files says what may be a file in a chat: which kinds there are, told
// by content and never by claim, what their names look like, and what is taken
// out of pictures before anybody else sees them.
package files

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind is one of the kinds of files that devices may send. The zero value is
// none.
type Kind struct {
	Name  string // in settings
	Type  string // media type
	clean func(w io.Writer, r io.ReaderAt, size int64) error
	ends  []string // of file names; the first is given to names without one
}

// kinds are all that there are. A region may allow fewer, nobody more: what can
// run (HTML, SVG, office documents) and what can hold anything (archives) is
// not among them.
var kinds = []Kind{
	{"jpeg", "image/jpeg", stripJPEG, []string{".jpg", ".jpeg"}},
	{"png", "image/png", stripPNG, []string{".png"}},
	{"webp", "image/webp", stripWebP, []string{".webp"}},
	{"pdf", "application/pdf", whole, []string{".pdf"}},
	{"text", "text/plain", plainText, []string{".txt", ".csv", ".md", ".log"}},
}

// Names lists the names of all kinds, as settings use them.
func Names() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.Name
	}
	return names
}

// Errors of Clean.
var (
	// ErrBroken: the content is not what its beginning promises.
	ErrBroken = errors.New("the file is damaged or not what it seems to be")
	// ErrPixels: whoever shows the picture would need too much memory.
	ErrPixels = errors.New("the picture has too many pixels")
)

// KindOf tells the kind of a file by its first 512 bytes; false if it is none
// that may be sent. What looks like markup is no text, however it is named.
func KindOf(head []byte) (Kind, bool) {
	found := http.DetectContentType(head)
	if found == "text/plain; charset=utf-8" {
		visible := bytes.TrimLeftFunc(bytes.TrimPrefix(head, []byte("\uFEFF")), unicode.IsSpace)
		if bytes.HasPrefix(visible, []byte("<")) {
			return Kind{}, false
		}
		found = "text/plain"
	}
	for _, k := range kinds {
		if k.Type == found {
			return k, true
		}
	}
	return Kind{}, false
}

// Clean writes a file as others may have it: pictures without anything but the
// picture. PDF and text stay as they are; text must be text to its end. Memory
// does not grow with the file. Errors: ErrBroken, ErrPixels, or of reading and
// writing.
func (k Kind) Clean(w io.Writer, r io.ReaderAt, size int64) error { return k.clean(w, r, size) }

// shown are the media types that a file from the desk may be handed on with,
// beside those of the kinds. They were claimed by its sender, so nothing that a
// browser would run is among them.
var shown = []string{"image/gif", "image/bmp", "audio/mpeg", "audio/ogg", "video/mp4", "application/zip"}

// Unknown is the media type of everything else.
const Unknown = "application/octet-stream"

// SafeType gives the media type with which a file from the desk may be handed
// on: the claimed one if it is harmless, else Unknown.
func SafeType(claimed string) string {
	media, _, err := mime.ParseMediaType(claimed)
	if err != nil {
		return Unknown
	}
	known := slices.ContainsFunc(kinds, func(k Kind) bool { return k.Type == media })
	if known || slices.Contains(shown, media) {
		return media
	}
	return Unknown
}

// whole takes a file as it is.
func whole(w io.Writer, r io.ReaderAt, size int64) error {
	_, err := io.Copy(w, io.NewSectionReader(r, 0, size))
	return err
}

// plainText takes a file whose every byte is UTF-8 and that has no control
// characters but those of layout.
func plainText(w io.Writer, r io.ReaderAt, size int64) error {
	in := bufio.NewReader(io.NewSectionReader(r, 0, size))
	for {
		c, n, err := in.ReadRune()
		if err == io.EOF { //nolint:errorlint // bufio gives the bare EOF
			return whole(w, r, size)
		}
		switch {
		case err != nil:
			return err
		case c == utf8.RuneError && n == 1, unicode.IsControl(c) && !strings.ContainsRune("\t\n\r\f", c):
			return ErrBroken
		}
	}
}
