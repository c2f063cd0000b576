package files

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// maxPixels bounds a picture's width times its height, and maxSide each of
// them: every phone's camera stays below. A few kilobytes can say that they are
// a picture of gigabytes.
const (
	maxPixels = 64_000_000
	maxSide   = 30_000
)

func checkPixels(width, height int) error {
	switch {
	case width <= 0 || height <= 0:
		return ErrBroken
	case width > maxSide || height > maxSide || width*height > maxPixels:
		return ErrPixels
	}
	return nil
}

// Markers of JPEG (ITU T.81, table B.1).
const (
	jpegSOI   = 0xD8
	jpegEOI   = 0xD9
	jpegSOS   = 0xDA
	jpegDHT   = 0xC4
	jpegDAC   = 0xCC
	jpegDQT   = 0xDB
	jpegDRI   = 0xDD
	jpegJFIF  = 0xE0
	jpegEXIF  = 0xE1
	jpegAdobe = 0xEE
)

// stripJPEG rewrites a JPEG with only what makes the picture: frames, tables and
// scans as they are, how the colours are meant, and which way is up. Where and
// with what it was taken, previews, comments and all that follows the picture
// stay behind. Nothing is decoded, so that nothing gets worse and a small file
// cannot become a big one.
func stripJPEG(w io.Writer, r io.ReaderAt, size int64) error {
	out := bufio.NewWriter(w)
	s := jpegStrip{in: bufio.NewReader(io.NewSectionReader(r, 0, size)), out: out}
	if err := s.run(); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return ErrBroken
		}
		return err
	}
	return out.Flush()
}

type jpegStrip struct {
	in     *bufio.Reader
	out    *bufio.Writer // keeps its first error until Flush
	framed bool          // the size of the picture is known
	turned bool          // which way is up has been written
	scans  int
}

func (s *jpegStrip) run() error {
	var start [2]byte
	if _, err := io.ReadFull(s.in, start[:]); err != nil || start != [2]byte{0xFF, jpegSOI} {
		return ErrBroken
	}
	s.out.Write(start[:])
	marker, err := s.marker()
	for err == nil && marker != jpegEOI {
		if err = s.segment(marker); err != nil {
			return err
		}
		if marker == jpegSOS {
			marker, err = s.scan()
		} else {
			marker, err = s.marker()
		}
	}
	if err != nil {
		return err
	}
	if s.scans == 0 {
		return ErrBroken
	}
	s.out.Write([]byte{0xFF, jpegEOI})
	return nil
}

// marker reads the next marker where one must be.
func (s *jpegStrip) marker() (byte, error) {
	c, err := s.in.ReadByte()
	if err == nil && c != 0xFF {
		return 0, ErrBroken
	}
	for err == nil && c == 0xFF { // any number of them may fill
		c, err = s.in.ReadByte()
	}
	return c, err
}

// segment reads what belongs to a marker and writes what is kept of it.
func (s *jpegStrip) segment(marker byte) error {
	var size [2]byte
	if _, err := io.ReadFull(s.in, size[:]); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint16(size[:])) - 2
	if n < 0 {
		return ErrBroken
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(s.in, body); err != nil {
		return err
	}
	switch {
	case marker == jpegDHT, marker == jpegDAC, marker == jpegDQT, marker == jpegDRI:
		s.write(marker, body)
	case marker >= 0xC0 && marker <= 0xCF && marker != 0xC8:
		if s.framed || n < 6 {
			return ErrBroken
		}
		s.framed = true
		if err := checkPixels(int(binary.BigEndian.Uint16(body[3:])), int(binary.BigEndian.Uint16(body[1:]))); err != nil {
			return err
		}
		s.write(marker, body)
	case marker == jpegSOS:
		if !s.framed {
			return ErrBroken
		}
		s.scans++
		s.write(marker, body)
	case marker == jpegJFIF && n >= 14 && bytes.HasPrefix(body, []byte("JFIF\x00")):
		s.write(marker, append(body[:12], 0, 0)) // without its preview
	case marker == jpegAdobe && n >= 12 && bytes.HasPrefix(body, []byte("Adobe")):
		s.write(marker, body[:12])
	case marker == jpegEXIF:
		if turn := orientation(body); turn > 1 && !s.turned && !s.framed {
			s.turned = true
			s.write(marker, onlyOrientation(turn))
		}
	case marker >= 0xE0 && marker <= 0xEF, marker == 0xFE: // other applications, comments
	default:
		return ErrBroken
	}
	return nil
}

func (s *jpegStrip) write(marker byte, body []byte) {
	s.out.Write(binary.BigEndian.AppendUint16([]byte{0xFF, marker}, uint16(len(body)+2)))
	s.out.Write(body)
}

// scan copies compressed pixels and gives the marker that ends them.
func (s *jpegStrip) scan() (byte, error) {
	for {
		c, err := s.in.ReadByte()
		if err != nil {
			return 0, err
		}
		if c != 0xFF {
			s.out.WriteByte(c)
			continue
		}
		for c == 0xFF {
			if c, err = s.in.ReadByte(); err != nil {
				return 0, err
			}
		}
		if c != 0 && (c < 0xD0 || c > 0xD7) { // neither an escaped 0xFF nor a restart
			return c, nil
		}
		s.out.Write([]byte{0xFF, c})
	}
}

const exifHead = "Exif\x00\x00"

// tagOrientation is EXIF's tag 274: 1 to 8, which way is up.
const tagOrientation = 0x0112

// orientation reads which way is up; 0 if the segment does not say.
func orientation(segment []byte) uint16 {
	tiff, ok := bytes.CutPrefix(segment, []byte(exifHead))
	if !ok || len(tiff) < 8 {
		return 0
	}
	var order binary.ByteOrder = binary.BigEndian
	if tiff[0] == 'I' {
		order = binary.LittleEndian
	}
	at := uint64(order.Uint32(tiff[4:]))
	if at+2 > uint64(len(tiff)) {
		return 0
	}
	entries := tiff[at+2:]
	for n := order.Uint16(tiff[at:]); n > 0 && len(entries) >= 12; n-- {
		if order.Uint16(entries) == tagOrientation {
			if turn := order.Uint16(entries[8:]); turn >= 1 && turn <= 8 {
				return turn
			}
			return 0
		}
		entries = entries[12:]
	}
	return 0
}

// onlyOrientation makes an EXIF segment that says which way is up and nothing
// else.
func onlyOrientation(turn uint16) []byte {
	b := []byte(exifHead + "MM\x00\x2A")
	b = binary.BigEndian.AppendUint32(b, 8) // where the entries begin
	b = binary.BigEndian.AppendUint16(b, 1) // how many there are
	b = binary.BigEndian.AppendUint16(b, tagOrientation)
	b = binary.BigEndian.AppendUint16(b, 3) // a short
	b = binary.BigEndian.AppendUint32(b, 1) // one of them
	b = binary.BigEndian.AppendUint16(b, turn)
	return append(b, 0, 0, 0, 0, 0, 0) // the rest of the entry, and no further list
}
