package files

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
)

const pngHead = "\x89PNG\r\n\x1a\n"

// pngKept are the chunks that make the picture; texts, times, EXIF, colour
// profiles with names in them and animations are not among them.
var pngKept = []string{"IHDR", "PLTE", "IDAT", "IEND", "tRNS", "gAMA", "cHRM", "sRGB", "sBIT", "bKGD"}

// stripPNG rewrites a PNG with only the chunks that make the picture.
func stripPNG(w io.Writer, r io.ReaderAt, size int64) error {
	if _, err := io.WriteString(w, pngHead); err != nil {
		return err
	}
	pixels := false
	for at := int64(len(pngHead)); ; {
		var head [8]byte // length of the data, type
		if _, err := r.ReadAt(head[:], at); err != nil {
			return cutOff(err)
		}
		n, name := int64(binary.BigEndian.Uint32(head[:4])), string(head[4:])
		total := 12 + n // with its checksum
		first := at == int64(len(pngHead))
		if n > size-at-12 || first != (name == "IHDR") || first && n != 13 {
			return ErrBroken
		}
		if first {
			if err := pngSize(r, at+8); err != nil {
				return err
			}
		}
		pixels = pixels || name == "IDAT"
		if slices.Contains(pngKept, name) {
			if err := pngCopy(w, r, at, n); err != nil {
				return err
			}
		}
		if name == "IEND" {
			if !pixels || n != 0 {
				return ErrBroken
			}
			return nil
		}
		at += total
	}
}

func pngSize(r io.ReaderAt, at int64) error {
	var dims [8]byte
	if _, err := r.ReadAt(dims[:], at); err != nil {
		return cutOff(err)
	}
	width, height := binary.BigEndian.Uint32(dims[:4]), binary.BigEndian.Uint32(dims[4:])
	return checkPixels(int(width), int(height))
}

// pngCopy copies a chunk whose checksum is right.
func pngCopy(w io.Writer, r io.ReaderAt, at, n int64) error {
	sum := crc32.NewIEEE()
	if _, err := io.Copy(sum, io.NewSectionReader(r, at+4, 4+n)); err != nil {
		return err
	}
	var said [4]byte
	if _, err := r.ReadAt(said[:], at+8+n); err != nil {
		return cutOff(err)
	}
	if binary.BigEndian.Uint32(said[:]) != sum.Sum32() {
		return ErrBroken
	}
	_, err := io.Copy(w, io.NewSectionReader(r, at, 12+n))
	return err
}

// cutOff makes the end of a file that is too short ErrBroken.
func cutOff(err error) error {
	if err == io.EOF { //nolint:errorlint // ReaderAt gives the bare EOF
		return ErrBroken
	}
	return err
}

// webpChunk is a chunk of a WebP that is kept.
type webpChunk struct {
	name  string
	at, n int64 // its data
}

// stripWebP rewrites a WebP that stands still with only the chunks that make the
// picture.
func stripWebP(w io.Writer, r io.ReaderAt, size int64) error {
	kept, err := webpChunks(r, size)
	if err != nil {
		return err
	}
	total := int64(4)
	for _, c := range kept {
		total += 8 + c.n + c.n%2
	}
	out := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, uint32(total))...)
	if _, err := w.Write(append(out, "WEBP"...)); err != nil {
		return err
	}
	for _, c := range kept {
		head := append([]byte(c.name), binary.LittleEndian.AppendUint32(nil, uint32(c.n))...)
		var data io.Reader = io.NewSectionReader(r, c.at, c.n)
		if c.name == "VP8X" {
			body, err := io.ReadAll(data)
			if err != nil {
				return err
			}
			body[0] &= 0x10 // transparency; no profile, EXIF, XMP or animation
			data = bytes.NewReader(body)
		}
		pad := bytes.NewReader(make([]byte, c.n%2))
		if _, err := io.Copy(w, io.MultiReader(bytes.NewReader(head), data, pad)); err != nil {
			return err
		}
	}
	return nil
}

// webpChunks finds the chunks that are kept: at most one of each, and exactly
// one with pixels.
func webpChunks(r io.ReaderAt, size int64) ([]webpChunk, error) {
	var kept []webpChunk
	pixels := 0
	var riff [12]byte
	if _, err := r.ReadAt(riff[:], 0); err != nil {
		return nil, cutOff(err)
	}
	end := int64(binary.LittleEndian.Uint32(riff[4:])) + 8
	if end > size {
		return nil, ErrBroken
	}
	for at := int64(12); at+8 <= end; {
		var head [8]byte
		if _, err := r.ReadAt(head[:], at); err != nil {
			return nil, cutOff(err)
		}
		c := webpChunk{string(head[:4]), at + 8, int64(binary.LittleEndian.Uint32(head[4:]))}
		if c.n > end-c.at {
			return nil, ErrBroken
		}
		at = c.at + c.n + c.n%2
		switch c.name {
		case "VP8 ", "VP8L":
			pixels++
		case "VP8X", "ALPH":
		default: // profiles, EXIF, XMP, frames of an animation, anything
			continue
		}
		if slices.ContainsFunc(kept, func(k webpChunk) bool { return k.name == c.name }) {
			return nil, ErrBroken
		}
		if err := webpSize(r, c); err != nil {
			return nil, err
		}
		kept = append(kept, c)
	}
	if pixels != 1 {
		return nil, ErrBroken // or moving
	}
	return kept, nil
}

// webpSize checks the size that a chunk says.
func webpSize(r io.ReaderAt, c webpChunk) error {
	if c.name == "ALPH" {
		return nil
	}
	var b [10]byte
	if c.n < int64(len(b)) {
		return ErrBroken
	}
	if _, err := r.ReadAt(b[:], c.at); err != nil {
		return cutOff(err)
	}
	switch c.name {
	case "VP8X":
		low := func(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }
		return checkPixels(low(b[4:])+1, low(b[7:])+1)
	case "VP8L":
		bits := binary.LittleEndian.Uint32(b[1:])
		if b[0] != 0x2F {
			return ErrBroken
		}
		return checkPixels(int(bits&0x3FFF)+1, int(bits>>14&0x3FFF)+1)
	default:
		if !bytes.Equal(b[3:6], []byte{0x9D, 0x01, 0x2A}) {
			return ErrBroken
		}
		return checkPixels(int(binary.LittleEndian.Uint16(b[6:])&0x3FFF), int(binary.LittleEndian.Uint16(b[8:])&0x3FFF))
	}
}
