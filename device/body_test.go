package device

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
	"deskbridge/server"
)

const maxText = 100

// request is a request as net/http would hand it over.
func request(kind string, body string, header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

const (
	urlencoded = "application/x-www-form-urlencoded"
	jsonType   = "application/json"
	multi      = "multipart/form-data; boundary=b"
)

// parts writes a multipart body with the boundary b, each part with its
// disposition and value.
func parts(nameValues ...string) string {
	var b strings.Builder
	for i := 0; i < len(nameValues); i += 2 {
		b.WriteString("--b\r\nContent-Disposition: form-data; " + nameValues[i] + "\r\n\r\n" + nameValues[i+1] + "\r\n")
	}
	return b.String() + "--b--\r\n"
}

var yes, no = true, false

func TestReadSending(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		kind, body string
		header     []string
		want       bridge.Sending
	}{
		{"urlencoded", urlencoded, "message=Hi+there%0D%0A%C3%A4", nil, bridge.Sending{Text: "Hi there\nä"}},
		{"multipart as the app sends it", multi, parts(`name="message"`, "Hi <b>\r\nä"), nil, bridge.Sending{Text: "Hi <b>\nä"}},
		{"JSON", jsonType, `{"message":"Hi \u00e4 \ud83d\ude00 \\ud800"}`, nil, bridge.Sending{Text: `Hi ä 😀 \ud800`}},
		{"JSON with a charset", "application/json; charset=UTF-8", `{"message":"x"}`, nil, bridge.Sending{Text: "x"}},
		{"JSON with a charset by another name", "application/json; charset=utf8", `{"message":"x"}`, nil, bridge.Sending{Text: "x"}},
		{"type in other letters", "Application/JSON", `{"message":"x"}`, nil, bridge.Sending{Text: "x"}},
		{"unknown fields are ignored", jsonType, `{"new":{"a":[1,{}]},"message":"x","z":1e9,"s":"\ud800"}`, nil, bridge.Sending{Text: "x"}},
		{"unknown parts are ignored", multi, parts(`name="new"`, "1", `name="message"`, "x"), nil, bridge.Sending{Text: "x"}},
		{"a part without a name is ignored", multi, parts(`filename=""`, "", `name="message"`, "x"), nil, bridge.Sending{Text: "x"}},
		{"an empty file input is no file", multi, parts(`name="attachment"; filename=""`, "", `name="message"`, "x"), nil, bridge.Sending{Text: "x"}},
		{"no attachments", jsonType, `{"message":"x","attachments":[],"attachment":null}`, nil, bridge.Sending{Text: "x"}},
		{"consent", urlencoded, "message=x&evaluation_consent=true", nil, bridge.Sending{Text: "x", Consent: &yes}},
		{"no consent", urlencoded, "message=x&evaluation_consent=false", nil, bridge.Sending{Text: "x", Consent: &no}},
		{"consent, other words", urlencoded, "message=x&evaluation_consent=+ON+", nil, bridge.Sending{Text: "x", Consent: &yes}},
		{"consent, number", urlencoded, "message=x&evaluation_consent=0", nil, bridge.Sending{Text: "x", Consent: &no}},
		{"empty consent is none", urlencoded, "message=x&evaluation_consent=", nil, bridge.Sending{Text: "x"}},
		{"JSON consent", jsonType, `{"message":"x","evaluation_consent":false}`, nil, bridge.Sending{Text: "x", Consent: &no}},
		{"JSON consent, text", jsonType, `{"message":"x","evaluation_consent":"yes"}`, nil, bridge.Sending{Text: "x", Consent: &yes}},
		{"JSON consent, number", jsonType, `{"message":"x","evaluation_consent":1}`, nil, bridge.Sending{Text: "x", Consent: &yes}},
		{"JSON null", jsonType, `{"message":"x","evaluation_consent":null,"force_new":null,"client_id":null}`, nil, bridge.Sending{Text: "x"}},
		{"consent alone", jsonType, `{"evaluation_consent":true}`, nil, bridge.Sending{Consent: &yes}},
		{"consent and an empty message", urlencoded, "message=&evaluation_consent=no", nil, bridge.Sending{Consent: &no}},
		{"force new", urlencoded, "message=x&force_new=1", nil, bridge.Sending{Text: "x", ForceNew: true}},
		{"not new", jsonType, `{"message":"x","force_new":false}`, nil, bridge.Sending{Text: "x"}},
		{"key in the field", urlencoded, "message=x&client_id=k1", nil, bridge.Sending{Text: "x", ClientKey: "k1"}},
		{"key in the header", jsonType, `{"message":"x"}`, []string{"Idempotency-Key", "k1"}, bridge.Sending{Text: "x", ClientKey: "k1"}},
		{"key in both", jsonType, `{"message":"x","client_id":"k1"}`, []string{"Idempotency-Key", "k1"}, bridge.Sending{Text: "x", ClientKey: "k1"}},
		{"key of full length", jsonType, `{"message":"x"}`, []string{"Idempotency-Key", strings.Repeat("~", maxKey)}, bridge.Sending{Text: "x", ClientKey: strings.Repeat("~", maxKey)}},
		{"text of full length", urlencoded, "message=" + strings.Repeat("%C3%A4", maxText), nil, bridge.Sending{Text: strings.Repeat("ä", maxText)}},
		{"identity is no coding", urlencoded, "message=x", []string{"Content-Encoding", "identity"}, bridge.Sending{Text: "x"}},
		{"quoted-printable part", multi, "--b\r\nContent-Disposition: form-data; name=message\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nx=3Dy\r\n--b--", nil, bridge.Sending{Text: "x=y"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := readSending(request(c.kind, c.body, c.header...), maxText, &intake{room: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadSendingRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxText+1)
	for _, c := range []struct {
		name       string
		kind, body string
		header     []string
		want       *bridge.Error
	}{
		{"nothing at all", "", "", nil, bridge.ErrMessageEmpty},
		{"empty form", urlencoded, "", nil, bridge.ErrMessageEmpty},
		{"empty object", jsonType, "{}", nil, bridge.ErrMessageEmpty},
		{"empty multipart", multi, "--b--\r\n", nil, bridge.ErrMessageEmpty},
		{"empty message", urlencoded, "message=", nil, bridge.ErrMessageEmpty},
		{"blank message", urlencoded, "message=+%09%0A%C2%A0%E2%80%8B", nil, bridge.ErrMessageEmpty},
		{"blank message with consent", urlencoded, "message=+&evaluation_consent=1", nil, bridge.ErrMessageEmpty},
		{"new chat without a message", urlencoded, "force_new=1&evaluation_consent=1", nil, bridge.ErrMessageEmpty},
		{"too long", urlencoded, "message=" + long, nil, bridge.ErrMessageTooLong},
		{"NUL", urlencoded, "message=a%00b", nil, bridge.ErrMessageText},
		{"NUL in JSON", jsonType, `{"message":"a\u0000b"}`, nil, bridge.ErrMessageText},
		{"not UTF-8, form", urlencoded, "message=%FF", nil, bridge.ErrMessageText},
		{"not UTF-8, multipart", multi, parts(`name="message"`, "\xc3"), nil, bridge.ErrMessageText},
		{"not UTF-8, JSON", jsonType, "{\"message\":\"\xff\"}", nil, bridge.ErrMessageText},
		{"half a character, first", jsonType, `{"message":"\ud83d!"}`, nil, bridge.ErrMessageText},
		{"half a character, at the end", jsonType, `{"message":"x\uD83D"}`, nil, bridge.ErrMessageText},
		{"half a character, second", jsonType, `{"message":"\ude00"}`, nil, bridge.ErrMessageText},
		{"half a character, twice", jsonType, `{"message":"\ud83d\ud83d\ude00"}`, nil, bridge.ErrMessageText},
		{"half a character before an escape", jsonType, `{"message":"\ud83d\n"}`, nil, bridge.ErrMessageText},
		{"broken escape", urlencoded, "message=%zz", nil, bridge.ErrBody},
		{"semicolon", urlencoded, "message=a;b=c", nil, bridge.ErrBody},
		{"no boundary", "multipart/form-data", parts(`name="message"`, "x"), nil, bridge.ErrBody},
		{"no body", multi, "", nil, bridge.ErrBody},
		{"wrong boundary", "multipart/form-data; boundary=c", parts(`name="message"`, "x"), nil, bridge.ErrBody},
		{"cut off in the value", multi, "--b\r\nContent-Disposition: form-data; name=message\r\n\r\nhalf a mess", nil, bridge.ErrBody},
		{"cut off in the head", multi, "--b\r\nContent-Dispo", nil, bridge.ErrBody},
		{"cut off before the end", multi, "--b\r\nContent-Disposition: form-data; name=message\r\n\r\nx\r\n--b\r\n", nil, bridge.ErrBody},
		{"not JSON", jsonType, "message=x", nil, bridge.ErrBody},
		{"JSON cut off", jsonType, `{"message":"x"`, nil, bridge.ErrBody},
		{"JSON list", jsonType, `["x"]`, nil, bridge.ErrBody},
		{"JSON text", jsonType, `"x"`, nil, bridge.ErrBody},
		{"JSON null", jsonType, `null`, nil, bridge.ErrBody},
		{"no JSON", jsonType, ``, nil, bridge.ErrBody},
		{"two JSON values", jsonType, `{"message":"x"}{}`, nil, bridge.ErrBody},
		{"text after JSON", jsonType, `{"message":"x"} x`, nil, bridge.ErrBody},
		{"JSON with a comma too many", jsonType, `{"message":"x",}`, nil, bridge.ErrBody},
		{"deep JSON", jsonType, `{"message":"x","a":` + strings.Repeat("[", 20_000), nil, bridge.ErrBody},
		{"message is a number", jsonType, `{"message":1}`, nil, bridge.ErrBody},
		{"message is a list", jsonType, `{"message":[]}`, nil, bridge.ErrBody},
		{"key is a number", jsonType, `{"message":"x","client_id":1}`, nil, bridge.ErrBody},
		{"message twice", urlencoded, "message=a&message=b", nil, bridge.ErrBody},
		{"message twice, multipart", multi, parts(`name="message"`, "a", `name="message"`, "a"), nil, bridge.ErrBody},
		{"message twice, JSON", jsonType, `{"message":"a","message":"b"}`, nil, bridge.ErrBody},
		{"force_new is nonsense", urlencoded, "message=x&force_new=perhaps", nil, bridge.ErrBody},
		{"a file", multi, parts(`name="attachment"; filename="a.pdf"`, "%PDF", `name="message"`, "x"), nil, bridge.ErrFileType},
		{"a file under another name", multi, parts(`name="message"; filename="m.txt"`, "x"), nil, bridge.ErrBody},
		{"an attachment without a file name", urlencoded, "message=x&attachment=abc", nil, bridge.ErrBody},
		{"attachments in JSON", jsonType, `{"message":"x","attachments":[{}]}`, nil, bridge.ErrBody},
		{"consent is nonsense", urlencoded, "message=x&evaluation_consent=perhaps", nil, bridge.ErrConsent},
		{"consent is an object", jsonType, `{"message":"x","evaluation_consent":{}}`, nil, bridge.ErrConsent},
		{"key is empty", urlencoded, "message=x&client_id=", nil, bridge.ErrKey},
		{"header is empty", urlencoded, "message=x", []string{"Idempotency-Key", ""}, bridge.ErrKey},
		{"key has a space", urlencoded, "message=x", []string{"Idempotency-Key", "a b"}, bridge.ErrKey},
		{"key is not ASCII", urlencoded, "message=x&client_id=%C3%A4", nil, bridge.ErrKey},
		{"key is too long", urlencoded, "message=x", []string{"Idempotency-Key", strings.Repeat("k", maxKey+1)}, bridge.ErrKey},
		{"keys differ", urlencoded, "message=x&client_id=a", []string{"Idempotency-Key", "b"}, bridge.ErrKey},
		{"two headers differ", urlencoded, "message=x", []string{"Idempotency-Key", "a", "Idempotency-Key", "b"}, bridge.ErrKey},
		{"no type", "", "message=x", nil, bridge.ErrContentType},
		{"text", "text/plain", "message=x", nil, bridge.ErrContentType},
		{"XML", "application/xml", "<message/>", nil, bridge.ErrContentType},
		{"a type that is none", "///", "message=x", nil, bridge.ErrContentType},
		{"another charset", "application/json; charset=iso-8859-1", `{"message":"x"}`, nil, bridge.ErrContentType},
		{"compressed", jsonType, "\x1f\x8b", []string{"Content-Encoding", "gzip"}, bridge.ErrContentType},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := readSending(request(c.kind, c.body, c.header...), maxText, &intake{room: 1 << 20})
			var known *bridge.Error
			if !errors.As(err, &known) || known.Code != c.want.Code || known.Status != c.want.Status {
				t.Fatalf("readSending = %+v, %v; want %s", got, err, c.want.Code)
			}
			if strings.Contains(err.Error(), "half a mess") || strings.Contains(err.Error(), long) {
				t.Errorf("the error repeats what was written: %v", err)
			}
		})
	}
}

func TestBodyOverTheLimit(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x", 5000)
	encoded, err := json.Marshal(map[string]string{"message": text})
	if err != nil {
		t.Fatal(err)
	}
	for kind, body := range map[string]string{urlencoded: "message=" + text, jsonType: string(encoded), multi: parts(`name="message"`, text)} {
		r := request(kind, body)
		r.Body = http.MaxBytesReader(httptest.NewRecorder(), r.Body, 1000)
		var tooLarge *http.MaxBytesError
		if _, err := readSending(r, 10_000, &intake{room: 1 << 20}); !errors.As(err, &tooLarge) {
			t.Errorf("%s: %v, want an *http.MaxBytesError", kind, err)
		}
	}
}

// FuzzBody: whatever comes is either refused by the catalogue, or understood.
func FuzzBody(f *testing.F) {
	for _, kind := range []string{urlencoded, jsonType, multi, "", "text/plain", "multipart/form-data", "application/json; charset=x"} {
		for _, body := range []string{"", "message=Hi&client_id=1", `{"message":"\ud83d\ude00","evaluation_consent":true}`,
			parts(`name="message"`, "x", `name="attachment"; filename="x"`, "y"), `{"message":"\ud83d"}`, "{", "--b", "message=%ff", "a;b"} {
			f.Add(kind, []byte(body), "key")
		}
	}
	f.Fuzz(func(t *testing.T, kind string, body []byte, key string) {
		r := request("", string(body))
		r.Header["Content-Type"] = []string{kind}
		if key != "" {
			r.Header["Idempotency-Key"] = []string{key}
		}
		s, err := readSending(r, maxText, &intake{room: 1 << 20})
		if err != nil {
			var known *bridge.Error
			if !errors.As(err, &known) || known.Status >= 500 {
				t.Fatalf("%q is no error of a client: %v", body, err)
			}
			return
		}
		switch {
		case s.Text == "" && s.Consent == nil:
			t.Fatal("an empty message without consent was taken")
		case s.Text != "" && !utf8.ValidString(s.Text), utf8.RuneCountInString(s.Text) > maxText, strings.ContainsAny(s.Text, "\x00\x1b"):
			t.Fatalf("a text that is none was taken: %q", s.Text)
		case s.ClientKey != key:
			t.Fatalf("key %q became %q", key, s.ClientKey)
		}
	})
}

// FuzzText: a text comes out of each kind of body as it went in.
func FuzzText(f *testing.F) {
	for _, text := range []string{"Hi", "a&b=c;d+e%", "--b\r\n--b--", "\r\n", "\"\\\u2028<b>", "😀\ufffd", " x "} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, err := bridge.CleanText(text, maxText)
		if err != nil || text == "" {
			return
		}
		encoded, err := json.Marshal(map[string]string{"message": text})
		if err != nil {
			t.Fatal(err)
		}
		var form bytes.Buffer
		writer := multipart.NewWriter(&form)
		part, err := writer.CreateFormField("message")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(part, text); err != nil {
			t.Fatal(err)
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		for kind, body := range map[string]string{
			urlencoded:                   url.Values{"message": {text}}.Encode(),
			jsonType:                     string(encoded),
			writer.FormDataContentType(): form.String(),
		} {
			if got, err := readSending(request(kind, body), maxText, &intake{room: 1 << 20}); err != nil || got.Text != want {
				t.Errorf("%s: %q became %q, %v; want %q", kind, text, got.Text, err, want)
			}
		}
	})
}

// FuzzMultipart holds that whatever comes, files are bounded and nothing of them
// stays behind.
func FuzzMultipart(f *testing.F) {
	for _, s := range []string{
		"--b\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"a.txt\"\r\n\r\nhello\r\n--b--\r\n",
		"--b\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\nx\r\n--b\r\nContent-Disposition: form-data; name=\"attachments\"; filename=\"a.pdf\"\r\n\r\n%PDF-\r\n--b--",
		"--b\r\n", "--b--", "--b\r\nContent-Disposition: form-data; name=\"attachment\"; filename*=utf-8''a%0a.txt\r\n\r\nhello\r\n--b\r\n",
	} {
		f.Add(s)
	}
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, body string) {
		d := New(Deps{Uploads: Uploads{Dir: folder, Files: 2, FileBytes: 100, MessageBytes: 150}})
		in := &intake{door: d, room: 1000, most: d.Uploads, patience: func() {}}
		_, err := in.readMultipart(strings.NewReader(body), "b")
		if known := server.Resolve(err); err != nil && known == bridge.ErrInternal {
			t.Errorf("an error outside of the catalogue: %v", err)
		}
		total := int64(0)
		for _, file := range in.files {
			total += file.Size
			if file.Name == "" || strings.ContainsAny(file.Name, "/\\\n\"") || file.Size > 100 {
				t.Errorf("took %q with %d bytes", file.Name, file.Size)
			}
		}
		if len(in.files) > 2 || total > 150 {
			t.Errorf("took %d files with %d bytes", len(in.files), total)
		}
		in.close()
		if left, err := os.ReadDir(folder); err != nil || len(left) > 0 || d.spooled.Load() != 0 {
			t.Errorf("%d files are left, %d bytes are counted (%v)", len(left), d.spooled.Load(), err)
		}
	})
}
