package files_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"
	"unicode/utf8"

	"deskbridge/files"
)

// secret stands for what must not leave a phone: a place, a camera, a name.
const secret = "N48.3705 E10.8978 Camera 4711"

// photo is a JPEG as phones make them: with EXIF (place, preview, which way is
// up), XMP, a comment, a profile, and a second picture behind the first.
func photo(t testing.TB, turn uint16) []byte {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, 40, 24))
	for x := range 40 {
		for y := range 24 {
			picture.Set(x, y, color.RGBA{uint8(6 * x), uint8(10 * y), 100, 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, picture, nil); err != nil {
		t.Fatal(err)
	}
	plain := b.Bytes()
	// Little endian, two entries, of which the second is a pointer to the place.
	exif := []byte("Exif\x00\x00II\x2A\x00\x08\x00\x00\x00\x02\x00" + "\x12\x01\x03\x00\x01\x00\x00\x00")
	exif = binary.LittleEndian.AppendUint16(exif, turn)
	exif = append(exif, "\x00\x00"+"\x25\x88\x04\x00\x01\x00\x00\x00\x30\x00\x00\x00"+"\x00\x00\x00\x00"+secret...)
	segment := func(marker byte, body string) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{0xFF, marker}, uint16(len(body)+2)), body...)
	}
	out := bytes.Join([][]byte{
		plain[:2], segment(0xE1, string(exif)), segment(0xE1, "http://ns.adobe.com/xap/1.0/\x00<x>"+secret+"</x>"),
		segment(0xE2, "ICC_PROFILE\x00\x01\x01"+secret), segment(0xED, "Photoshop 3.0\x00"+secret), segment(0xFE, secret), plain[2:],
	}, nil)
	return append(append(out, plain...), secret...)
}

// painting is a PNG with texts, EXIF and a file behind it.
func painting(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewNRGBA(image.Rect(0, 0, 7, 5))); err != nil {
		t.Fatal(err)
	}
	plain := b.Bytes()
	end := bytes.LastIndex(plain, []byte("IEND")) - 4
	return bytes.Join([][]byte{plain[:33], chunk("tEXt", "Comment\x00"+secret), chunk("eXIf", "MM\x00\x2A"+secret), plain[33:end], chunk("iTXt", secret), plain[end:], []byte(secret)}, nil)
}

func chunk(name, data string) []byte {
	b := append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), name+data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// still is a WebP (lossless, 1 by 1) in the extended form with EXIF and XMP.
func still(t testing.TB) []byte {
	t.Helper()
	plain, err := base64.StdEncoding.DecodeString("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")
	if err != nil {
		t.Fatal(err)
	}
	return webp(riff("VP8X", "\x3C\x00\x00\x00\x00\x00\x00\x00\x00\x00"), riff("ICCP", secret), plain[12:], riff("EXIF", secret), riff("XMP ", secret))
}

func riff(name, data string) []byte {
	b := append(binary.LittleEndian.AppendUint32([]byte(name), uint32(len(data))), data...)
	return append(b, make([]byte, len(data)%2)...)
}

func webp(chunks ...[]byte) []byte {
	body := append([]byte("WEBP"), bytes.Join(chunks, nil)...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

func clean(content []byte) (kind files.Kind, known bool, out []byte, err error) {
	kind, known = files.KindOf(content[:min(len(content), 512)])
	if !known {
		return kind, false, nil, nil
	}
	var b bytes.Buffer
	err = kind.Clean(&b, bytes.NewReader(content), int64(len(content)))
	return kind, true, b.Bytes(), err
}

func TestPicturesSayNothingButThePicture(t *testing.T) {
	for _, c := range []struct {
		kind    string
		content []byte
	}{{"jpeg", photo(t, 6)}, {"png", painting(t)}, {"webp", still(t)}} {
		t.Run(c.kind, func(t *testing.T) {
			if !bytes.Contains(c.content, []byte(secret)) {
				t.Fatal("the test's picture has no secret")
			}
			kind, known, out, err := clean(c.content)
			if err != nil || !known || kind.Name != c.kind {
				t.Fatalf("kind %q, %v", kind.Name, err)
			}
			for i := range secret[:len(secret)-4] {
				if bytes.Contains(out, []byte(secret[i:i+5])) {
					t.Fatalf("%q is still there", secret[i:i+5])
				}
			}
			_, _, again, err := clean(out)
			if err != nil || !bytes.Equal(again, out) {
				t.Errorf("cleaning what is clean changes it (%v)", err)
			}
			if c.kind == "webp" {
				return // the standard library cannot show it
			}
			before, _, err := image.Decode(bytes.NewReader(c.content))
			if err != nil {
				t.Fatal(err)
			}
			after, _, err := image.Decode(bytes.NewReader(out))
			if err != nil {
				t.Fatal(err)
			}
			if before.Bounds() != after.Bounds() {
				t.Fatalf("the picture is %v, was %v", after.Bounds(), before.Bounds())
			}
			for x := range before.Bounds().Dx() {
				for y := range before.Bounds().Dy() {
					if before.At(x, y) != after.At(x, y) {
						t.Fatalf("the pixel %d %d has changed", x, y)
					}
				}
			}
		})
	}
}

// A phone held upright writes a lying picture and says so in EXIF; that one word
// stays, and nothing else of EXIF.
func TestAPhotoStaysTheRightWayUp(t *testing.T) {
	for turn := uint16(0); turn <= 9; turn++ {
		_, _, out, err := clean(photo(t, turn))
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(out, []byte("Exif\x00\x00"))
		if turn < 2 || turn > 8 {
			if at >= 0 {
				t.Errorf("%d: there is EXIF, and nothing to say", turn)
			}
			continue
		}
		want := append([]byte("Exif\x00\x00MM\x00\x2A\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01"), 0, byte(turn), 0, 0, 0, 0, 0, 0)
		if at < 4 || !bytes.HasPrefix(out[at:], want) || binary.BigEndian.Uint16(out[at-2:]) != uint16(len(want)+2) {
			t.Errorf("%d: EXIF is not the orientation alone", turn)
		}
	}
}

func TestWebPKeepsOnlyWhatItsFlagsSay(t *testing.T) {
	_, _, out, err := clean(still(t))
	if err != nil {
		t.Fatal(err)
	}
	if flags := out[20]; string(out[12:16]) != "VP8X" || flags != 0x10 {
		t.Errorf("flags %02x, want transparency alone", flags)
	}
	if said := binary.LittleEndian.Uint32(out[4:]); int(said)+8 != len(out) {
		t.Errorf("it says that it has %d bytes, and has %d", said+8, len(out))
	}
}

func TestTheKindIsTheContents(t *testing.T) {
	gif := "GIF89a\x01\x00\x01\x00"
	for name, c := range map[string]struct{ content, kind string }{
		"jpeg":                 {string(photo(t, 1)), "jpeg"},
		"png":                  {string(painting(t)), "png"},
		"webp":                 {string(still(t)), "webp"},
		"pdf":                  {"%PDF-1.4 fake", "pdf"},
		"text":                 {"Sehr geehrte Frau Ünal,\r\n\tbitte <b>", "text"},
		"text, byte order":     {"\uFEFFhello", "text"},
		"html":                 {"<!DOCTYPE html><script>1</script>", ""},
		"html, late":           {"\n\n \t<p>x", ""},
		"html, byte order":     {"\uFEFF<p>x", ""},
		"svg":                  {`<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>`, ""},
		"svg, declared":        {`<?xml version="1.0"?><svg/>`, ""},
		"gif":                  {gif, ""},
		"zip":                  {"PK\x03\x04", ""},
		"program":              {"\x7fELF\x02\x01\x01", ""},
		"program of Windows":   {"MZ\x90\x00\x03", ""},
		"nothing":              {"\x00\x01\x02", ""},
		"text, other encoding": {"\xff\xfeh\x00i\x00", ""},
	} {
		kind, known := files.KindOf([]byte(c.content)[:min(len(c.content), 512)])
		if kind.Name != c.kind || known != (c.kind != "") {
			t.Errorf("%s: kind %q, want %q", name, kind.Name, c.kind)
		}
	}
}

func TestBrokenAndEnormousFilesAreRefused(t *testing.T) {
	long := strings.Repeat("a", 600)
	huge := func(p []byte) []byte {
		at := bytes.Index(p, []byte{0xFF, 0xC0})
		return append(append(append([]byte{}, p[:at+5]...), 0xEA, 0x60, 0xEA, 0x60), p[at+9:]...)
	}
	flood := append([]byte(painting(t)[:8]), chunk("IHDR", "\x00\x00\xEA\x60\x00\x00\xEA\x60\x08\x06\x00\x00\x00")...)
	for name, c := range map[string]struct {
		content []byte
		want    error
	}{
		"jpeg cut off":           {photo(t, 1)[:900], files.ErrBroken},
		"jpeg without picture":   {[]byte("\xff\xd8\xff\xd9"), files.ErrBroken},
		"jpeg, garbage between":  {[]byte("\xff\xd8\xff\xfe\x00\x02garbage"), files.ErrBroken},
		"jpeg, segment too long": {[]byte("\xff\xd8\xff\xe1\xff\xff"), files.ErrBroken},
		"jpeg, segment too low":  {[]byte("\xff\xd8\xff\xe1\x00\x01"), files.ErrBroken},
		"jpeg flood":             {huge(photo(t, 1)), files.ErrPixels},
		"png cut off":            {painting(t)[:60], files.ErrBroken},
		"png, wrong sum":         {bytes.Replace(painting(t), []byte("IDAT"), []byte("IDAT\x00"), 1), files.ErrBroken},
		"png flood":              {append(flood, chunk("IEND", "")...), files.ErrPixels},
		"png without picture":    {append(painting(t)[:33:33], chunk("IEND", "")...), files.ErrBroken},
		"webp cut off":           {still(t)[:40], files.ErrBroken},
		"webp, moving":           {webp(riff("VP8X", "\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00"), riff("ANMF", "x")), files.ErrBroken},
		"webp flood":             {webp(riff("VP8X", "\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff")), files.ErrPixels},
		"text with a null later": {[]byte(long + "\x00"), files.ErrBroken},
		"text, later not UTF-8":  {[]byte(long + "\xe4"), files.ErrBroken},
	} {
		kind, known, _, err := clean(c.content)
		if !known || !errors.Is(err, c.want) {
			t.Errorf("%s (%q): error %v, want %v", name, kind.Name, err, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	picture, _ := files.KindOf([]byte("\x89PNG\r\n\x1a\n"))
	text, _ := files.KindOf([]byte("hello"))
	for _, c := range []struct {
		kind     files.Kind
		in, want string
	}{
		{picture, "photo.png", "photo.png"},
		{picture, "PHOTO.PNG", "PHOTO.PNG"},
		{picture, `C:\Users\me\photo.png`, "photo.png"},
		{picture, "../../etc/passwd", "passwd.png"},
		{picture, "letter.html", "letter.html.png"},
		{picture, "gnp.\u202Eexe.png", "gnp.exe.png"},
		{picture, "a\x00b\nc\u200b.png", "abc.png"},
		{picture, "", "file.png"},
		{picture, "...", "file.png"},
		{picture, ".png", "png.png"},
		{picture, "CON.png", "_CON.png"},
		{picture, "what? <now>|\"*:.png", "what_ _now_____.png"},
		{picture, "رسالة.png", "رسالة.png"},
		{picture, "\xff\xfe.png", "png.png"},
		{text, "Brief v1.2", "Brief v1.2.txt"},
		{text, "table.csv", "table.csv"},
		{picture, strings.Repeat("ü", 300) + ".png", strings.Repeat("ü", 56) + ".png"},
	} {
		if got := files.NameFor(c.in, c.kind); got != c.want {
			t.Errorf("%q is called %q, want %q", c.in, got, c.want)
		}
	}
}

func TestTypesOfTheDeskAreNotBelieved(t *testing.T) {
	for claimed, want := range map[string]string{
		"image/png": "image/png", "IMAGE/JPEG; x=y": "image/jpeg", "text/plain; charset=utf-8": "text/plain",
		"text/html": files.Unknown, "image/svg+xml": files.Unknown, "": files.Unknown, "image/png\r\nX: y": files.Unknown, "application/javascript": files.Unknown,
	} {
		if got := files.SafeType(claimed); got != want {
			t.Errorf("%q is handed on as %q, want %q", claimed, got, want)
		}
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"photo.png", "../x", "CON", "a\u202Eb", strings.Repeat("x", 200) + ".tar.gz", "\xff", " . "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name := files.Name(s)
		if name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > 61 || strings.ContainsAny(name, "/\\\x00\n\r\"") {
			t.Fatalf("%q became %q", s, name)
		}
		if again := files.Name(name); again != name {
			t.Fatalf("%q became %q, and that %q", s, name, again)
		}
	})
}

func FuzzClean(f *testing.F) {
	for _, b := range [][]byte{photo(f, 6), painting(f), still(f), []byte("%PDF-1.4"), []byte("hello")} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, known, out, err := clean(b)
		if !known || err != nil {
			return
		}
		if len(out) > len(b) {
			t.Fatalf("%d bytes became %d", len(b), len(out))
		}
		if _, _, again, err := clean(out); err != nil || !bytes.Equal(again, out) {
			t.Fatalf("cleaning what is clean changes it (%v)", err)
		}
	})
}
