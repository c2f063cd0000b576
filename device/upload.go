package device

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
	"deskbridge/files"
)

const (
	// maxParts is how many parts a form may have: more than any that is known.
	maxParts = 100
	// partsRoom is what boundaries and headers may take beside fields and files,
	// in bytes.
	partsRoom = 64 << 10
	// uploadTime is how long a request with files may take, from its first file:
	// 20 MiB at 600 kbit/s.
	//
	// Failure policy: the connection is closed, and nothing is stored. The device
	// tries again with the same key.
	uploadTime = 5 * time.Minute
	// maxSpooled bounds what all uploads together have in temporary files, in
	// bytes, since a full disk would also stop those who only write.
	//
	// Failure policy: whoever comes then is answered 503 and tries again.
	maxSpooled = 1 << 30
	// uploadPrefix begins the names of temporary files.
	uploadPrefix = "upload-"
)

// Uploads bound what devices send. Regions may allow less.
type Uploads struct {
	Dir          string // of temporary files; see Prepare
	Body         int64  // bytes of a body without its files; 0: 1 MiB
	Files        int    // files of a message; 0: none
	FileBytes    int64  // bytes of a file
	MessageBytes int64  // bytes of all files of a message
}

func (u Uploads) body() int64 { return cmp.Or(u.Body, 1<<20) }

// Largest is the largest body that can be taken, in bytes.
func (u Uploads) Largest() int64 { return u.body() + u.MessageBytes + partsRoom }

// Prepare makes the folder of temporary files, and removes what a crash has left
// in it. Instances that share the folder keep what they have open.
func (u Uploads) Prepare() error {
	if err := os.MkdirAll(u.Dir, 0o700); err != nil {
		return fmt.Errorf("folder of uploads: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(u.Dir, uploadPrefix+"*"))
	for _, name := range left {
		if e := os.Remove(name); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// intake takes the body of one request. What it has taken is gone when it is
// closed.
type intake struct {
	door     *Door
	room     int64 // bytes of the body without its files
	most     Uploads
	kinds    []string // that the region allows; nil: all
	patience func()   // gives the request more time; called with the first file

	files   []bridge.File
	temps   []*os.File
	size    int64 // of all files as they came
	spooled int64 // bytes in temps
}

// intake makes the intake of a request to a region.
func (d *Door) intake(c *gin.Context, r *bridge.Region) *intake {
	set := r.Settings
	in := &intake{door: d, room: d.Uploads.body(), most: d.Uploads, kinds: set.FileKinds}
	if set.MaxFiles > 0 {
		in.most.Files = min(in.most.Files, set.MaxFiles)
	}
	if set.MaxFileBytes > 0 {
		in.most.FileBytes = min(in.most.FileBytes, set.MaxFileBytes)
	}
	if set.MaxFilesBytes > 0 {
		in.most.MessageBytes = min(in.most.MessageBytes, set.MaxFilesBytes)
	}
	in.patience = func() {
		connection := http.NewResponseController(c.Writer)
		until := time.Now().Add(uploadTime)
		// Connections that know no time limits have none.
		_ = connection.SetReadDeadline(until)
		_ = connection.SetWriteDeadline(until.Add(time.Minute))
	}
	return in
}

// close removes everything that was taken.
func (in *intake) close() {
	for _, f := range in.temps {
		_ = f.Close()
		_ = os.Remove(f.Name()) // where open files could not be removed, else it is gone
	}
	if in.door != nil {
		in.door.spooled.Add(-in.spooled)
	}
	in.temps, in.files, in.spooled = nil, nil, 0
}

// readMultipart reads a form piece by piece. Files go to temporary files, fields
// into memory.
func (in *intake) readMultipart(body io.Reader, boundary string) (form, error) {
	if boundary == "" {
		return form{}, refuse(bridge.ErrBody, "The content type multipart/form-data needs its boundary.")
	}
	m := &metered{from: body, room: in.room + partsRoom}
	parts := multipart.NewReader(m, boundary)
	var f form
	for n := 0; ; n++ {
		part, err := parts.NextPart()
		if err == io.EOF { //nolint:errorlint // only the bare EOF is the end; a wrapped one is a broken body
			break
		}
		switch {
		case err != nil:
			return form{}, broken(err)
		case n == maxParts:
			return form{}, refuse(bridge.ErrBody, fmt.Sprintf("The form has more than %d parts.", maxParts))
		case garbled(part): // it may be a file
			err = refuse(bridge.ErrBody, "A part of the form has a name that cannot be read.")
		case part.FileName() != "":
			err = in.take(part, m)
		default:
			err = f.read(part)
		}
		if err != nil {
			return form{}, err
		}
	}
	// The reader also takes a body that ends where another part should begin;
	// what was cut off there may have been anything.
	if m.endsWith("--" + boundary) {
		return form{}, refuse(bridge.ErrBody, "The body was cut off: its last boundary is missing.")
	}
	return f, nil
}

// garbled says whether a part says what it is in a way that cannot be read.
func garbled(part *multipart.Part) bool {
	said := part.Header.Get("Content-Disposition")
	_, _, err := mime.ParseMediaType(said)
	return said != "" && err != nil
}

// read takes a part that is a field.
func (f *form) read(part *multipart.Part) error {
	value, err := io.ReadAll(part) // bounded by metered
	if err != nil {
		return broken(err)
	}
	return f.set(part.FormName(), string(value))
}

// take takes a part that is a file.
func (in *intake) take(part *multipart.Part, m *metered) error {
	name := part.FileName()
	switch field := part.FormName(); {
	case field != "attachment" && field != "attachments":
		return refuse(bridge.ErrBody, "A file came in a field that takes none. Name the field attachment.")
	case in.most.Files == 0 || slices.Equal(in.kinds, []string{bridge.NoFiles}):
		return refuse(bridge.ErrFileType, "Files cannot be sent here. Nothing of this request was stored.")
	case len(in.files) == in.most.Files:
		return refuse(bridge.ErrFiles, fmt.Sprintf("At most %d attachments can be sent per message.", in.most.Files))
	case len(in.files) == 0:
		in.patience()
	}
	head := make([]byte, 512)
	n, err := io.ReadFull(part, head)
	m.files += int64(n)
	if err != nil && err != io.EOF && !(errors.Is(err, io.ErrUnexpectedEOF) && ended(part)) { //nolint:errorlint // ReadFull gives the bare EOF
		return broken(err)
	}
	head = head[:n]
	kind, known := files.KindOf(head)
	switch {
	case n == 0:
		return in.refuse(bridge.ErrFile, name, "is empty")
	case !known || len(in.kinds) > 0 && !slices.Contains(in.kinds, kind.Name):
		return in.refuse(bridge.ErrFileType, name, "has an unsupported file type")
	}
	raw, err := in.temp()
	if err != nil {
		return err
	}
	digest := sha256.New()
	size, err := in.spool(io.MultiWriter(raw, digest), head, part, m, name)
	if err != nil {
		return err
	}
	file := bridge.File{Attachment: bridge.Attachment{ID: bridge.NewAttachmentID(), Name: files.NameFor(name, kind), Type: kind.Type}}
	digest.Sum(file.Digest[:0])
	return in.keep(file, kind, raw, size)
}

// spool writes a part to a temporary file and gives its size.
func (in *intake) spool(to io.Writer, head []byte, part io.Reader, m *metered, name string) (int64, error) {
	size := int64(0)
	piece, buffer := head, make([]byte, 32<<10)
	for {
		size += int64(len(piece))
		in.size += int64(len(piece))
		if size > in.most.FileBytes {
			return 0, in.refuse(bridge.ErrFileTooLarge, name, "exceeds the maximum allowed size")
		}
		if in.size > in.most.MessageBytes {
			return 0, refuse(bridge.ErrFileTooLarge, "The attachments together exceed the maximum allowed size.")
		}
		if err := in.count(len(piece)); err != nil {
			return 0, err
		}
		if _, err := to.Write(piece); err != nil {
			return 0, fmt.Errorf("%w: write an upload: %w", bridge.ErrStorage, err)
		}
		n, err := part.Read(buffer)
		m.files += int64(n)
		piece = buffer[:n]
		if err == io.EOF && n == 0 { //nolint:errorlint // a part ends with the bare EOF
			return size, nil
		}
		if err != nil && err != io.EOF { //nolint:errorlint // the same
			return 0, broken(err)
		}
	}
}

// count counts what goes to temporary files.
func (in *intake) count(n int) error {
	in.spooled += int64(n)
	if in.door.spooled.Add(int64(n)) > maxSpooled {
		return refuse(bridge.ErrStorage, "Too many files are being sent at the moment. Please try again later.")
	}
	return nil
}

// keep cleans a file that was taken whole and adds it to the message.
func (in *intake) keep(file bridge.File, kind files.Kind, raw *os.File, size int64) error {
	defer raw.Close() // close would do it later
	clean, err := in.temp()
	if err != nil {
		return err
	}
	if err := in.count(int(size)); err != nil { // it never grows by more than a few bytes
		return err
	}
	switch err := kind.Clean(clean, raw, size); {
	case errors.Is(err, files.ErrPixels):
		return in.refuse(bridge.ErrFileTooLarge, file.Name, "has too many pixels")
	case errors.Is(err, files.ErrBroken):
		return in.refuse(bridge.ErrFile, file.Name, "is damaged or not what it seems to be")
	case err != nil:
		return fmt.Errorf("%w: clean an upload: %w", bridge.ErrStorage, err)
	}
	if file.Size, err = clean.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("%w: size of an upload: %w", bridge.ErrStorage, err)
	}
	file.Content = clean
	in.files = append(in.files, file)
	return nil
}

// temp makes a temporary file for our user only. It has no name any more where
// the system allows that, so that not even a crash leaves it behind.
func (in *intake) temp() (*os.File, error) {
	f, err := os.CreateTemp(in.most.Dir, uploadPrefix+"*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("%w: make a file for an upload: %w", bridge.ErrStorage, err)
	}
	in.temps = append(in.temps, f)
	_ = os.Remove(f.Name()) // else it goes with close, or Prepare
	return f, nil
}

// refuse gives an error that names the file.
func (in *intake) refuse(base *bridge.Error, name, what string) error {
	return refuse(base, "Attachment '"+files.Name(name)+"' "+what+".")
}

// metered counts what is read of a form, so that its fields and headers stay
// small whatever its files are, and remembers how it ended.
type metered struct {
	from        io.Reader
	room        int64 // bytes beside the files
	read, files int64
	tail        []byte
}

// tailSize has room for a boundary (70 characters) and what may be around it.
const tailSize = 128

// Read reads on. The error is an *http.MaxBytesError if fields and headers are
// too large.
func (m *metered) Read(p []byte) (int, error) {
	if m.read-m.files > m.room {
		return 0, &http.MaxBytesError{Limit: m.room}
	}
	n, err := m.from.Read(p)
	m.read += int64(n)
	m.tail = append(m.tail, p[max(0, n-tailSize):n]...)
	m.tail = m.tail[max(0, len(m.tail)-tailSize):]
	return n, err
}

// ended says whether a part that was too short to fill a buffer ended by itself:
// its next read is the end, and no broken body.
func ended(part io.Reader) bool {
	_, err := part.Read(make([]byte, 1))
	return err == io.EOF //nolint:errorlint // a part ends with the bare EOF
}

// endsWith says whether what was read ended with this, blanks aside.
func (m *metered) endsWith(s string) bool {
	return strings.HasSuffix(strings.TrimRight(string(m.tail), " \t\r\n"), s)
}
