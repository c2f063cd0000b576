package device

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"deskbridge/bridge"
)

// maxKey is the longest idempotency key, in bytes.
const maxKey = 200

// refuse gives an error of the catalogue with a sentence that says more; status
// and code stay.
func refuse(base *bridge.Error, sentence string) error {
	said := *base
	said.Sentence = sentence
	return &said
}

// form holds the known fields of a body, as they came. A nil field did not come.
type form struct {
	message, consent, forceNew, clientID *string
	seq                                  *string // of what was read
}

// readSending reads what a device wants to send; maxText is in characters. The
// contents of files are in's until it is closed. Errors are those of the
// catalogue; a body over its limit is an *http.MaxBytesError.
func readSending(r *http.Request, maxText int, in *intake) (bridge.Sending, error) {
	f, err := readBody(r, in)
	if err != nil {
		return bridge.Sending{}, err
	}
	s := bridge.Sending{Files: in.files}
	if s.ClientKey, err = idempotencyKey(r.Header["Idempotency-Key"], f.clientID); err != nil {
		return bridge.Sending{}, err
	}
	if s.Consent, err = parseBool(f.consent); err != nil {
		return bridge.Sending{}, bridge.ErrConsent
	}
	forceNew, err := parseBool(f.forceNew)
	if err != nil {
		return bridge.Sending{}, refuse(bridge.ErrBody, "The field force_new must be true or false.")
	}
	s.ForceNew = forceNew != nil && *forceNew
	if f.message == nil || *f.message == "" {
		if len(s.Files) > 0 {
			return s, nil
		}
		if s.Consent == nil || s.ForceNew {
			// A new chat begins with a message: there is no empty one.
			return bridge.Sending{}, bridge.ErrMessageEmpty
		}
		return s, nil
	}
	s.Text, err = bridge.CleanText(*f.message, maxText)
	if len(s.Files) > 0 && errors.Is(err, bridge.ErrMessageEmpty) {
		err = nil // blanks beside files say nothing
	}
	return s, err
}

// readBody reads a body by its type. A request without body and without a type
// has no fields.
func readBody(r *http.Request, in *intake) (form, error) {
	kind := r.Header.Get("Content-Type")
	if kind == "" && r.ContentLength == 0 {
		return form{}, nil
	}
	media, params, err := mime.ParseMediaType(kind)
	if err != nil && media == "" {
		return form{}, bridge.ErrContentType
	}
	switch strings.ToLower(params["charset"]) {
	case "", "utf-8", "utf8", "us-ascii":
	default:
		return form{}, refuse(bridge.ErrContentType, "Send text as UTF-8.")
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return form{}, refuse(bridge.ErrContentType, "Send the body without Content-Encoding.")
	}
	var read func(raw []byte) (form, error)
	switch media {
	case "multipart/form-data":
		return in.readMultipart(r.Body, params["boundary"])
	case "application/x-www-form-urlencoded":
		read = readURLEncoded
	case "application/json":
		read = readJSON
	default:
		return form{}, bridge.ErrContentType
	}
	raw, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, in.room))
	if err != nil {
		return form{}, broken(err)
	}
	return read(raw)
}

// set takes a field. Unknown ones are ignored; what cannot be taken is refused
// with all that came with it, so that nothing is lost unnoticed.
func (f *form) set(name, value string) error {
	var field **string
	switch name {
	case "message":
		field = &f.message
	case "evaluation_consent":
		field = &f.consent
	case "force_new":
		field = &f.forceNew
	case "client_id":
		field = &f.clientID
	case "seq":
		field = &f.seq
	case "attachment", "attachments":
		if value != "" {
			return errAttachment()
		}
		return nil // a file input that was left empty
	default:
		return nil
	}
	if *field != nil {
		return refuse(bridge.ErrBody, "The field "+name+" came twice.")
	}
	*field = &value
	return nil
}

func errAttachment() error {
	return refuse(bridge.ErrBody, "Send files as parts of multipart/form-data that have a file name. Nothing of this request was stored.")
}

// broken says that a body could not be read; one that is too large stays what
// it is.
func broken(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return fmt.Errorf("%w (%w)", bridge.ErrBody, err)
}

func readURLEncoded(raw []byte) (form, error) {
	fields, err := url.ParseQuery(string(raw))
	if err != nil {
		// The cause would repeat what was written.
		return form{}, refuse(bridge.ErrBody, "The form is not encoded as application/x-www-form-urlencoded.")
	}
	var f form
	for name, values := range fields {
		for _, value := range values {
			if err := f.set(name, value); err != nil {
				return form{}, err
			}
		}
	}
	return f, nil
}

// readJSON reads an object. Values are strings; booleans may also be true,
// false, 0 and 1; null is a field that did not come.
func readJSON(raw []byte) (form, error) {
	if !utf8.Valid(raw) {
		return form{}, bridge.ErrMessageText
	}
	notObject := refuse(bridge.ErrBody, "The body is not one JSON object.")
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return form{}, notObject
	}
	var f form
	for decoder.More() {
		token, err := decoder.Token()
		name, isName := token.(string)
		var value json.RawMessage
		if err != nil || !isName || decoder.Decode(&value) != nil {
			return form{}, notObject
		}
		if err := f.setJSON(name, value); err != nil {
			return form{}, err
		}
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return form{}, notObject
	}
	if _, err := decoder.Token(); err != io.EOF { //nolint:errorlint // Token gives the bare EOF
		return form{}, notObject
	}
	return f, nil
}

// setJSON takes a field of a JSON object; value is valid JSON.
func (f *form) setJSON(name string, value json.RawMessage) error {
	switch literal := string(value); {
	case literal == "null", literal == "[]" && name == "attachments":
		return nil
	case value[0] == '"':
		if name == "message" && loneSurrogate(value) {
			return bridge.ErrMessageText
		}
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			return broken(err)
		}
		return f.set(name, text)
	case name != "message" && name != "client_id":
		return f.set(name, literal) // a boolean, or for attachments anything
	}
	return refuse(bridge.ErrBody, "The field "+name+" must be a string.")
}

// loneSurrogate says whether a JSON string has half of a surrogate pair: it
// stands for no character, and decoding would replace it without a word.
func loneSurrogate(literal []byte) bool {
	high := false // the escape before this place was a first half
	for i := 0; i < len(literal); i++ {
		escaped := literal[i] == '\\' && i+1 < len(literal)
		if !escaped || literal[i+1] != 'u' || i+5 >= len(literal) {
			if high {
				return true
			}
			if escaped {
				i++
			}
			continue
		}
		// U+D800 to U+DBFF are first halves, U+DC00 to U+DFFF second ones.
		switch digits := bytes.ToLower(literal[i+2 : i+4]); {
		case digits[0] == 'd' && digits[1] >= 'c':
			if !high {
				return true
			}
			high = false
		case high:
			return true
		default:
			high = digits[0] == 'd' && digits[1] >= '8' && digits[1] <= 'b'
		}
		i += 5
	}
	return high
}

// parseBool reads a boolean of a form; nil and the empty text are none.
func parseBool(text *string) (*bool, error) {
	if text == nil || *text == "" {
		return nil, nil
	}
	var value bool
	switch strings.ToLower(strings.TrimSpace(*text)) {
	case "true", "1", "yes", "on":
		value = true
	case "false", "0", "no", "off":
	default:
		return nil, errors.New("not a boolean")
	}
	return &value, nil
}

// idempotencyKey takes the key from header or field; empty means that there is
// none. Two that differ are refused: one of them changes with each try, and
// nobody can know which.
func idempotencyKey(header []string, field *string) (string, error) {
	keys := header
	if field != nil {
		keys = append(keys[:len(keys):len(keys)], *field)
	}
	if len(keys) == 0 {
		return "", nil
	}
	for _, key := range keys {
		if key == "" || len(key) > maxKey {
			return "", bridge.ErrKey
		}
		for _, c := range []byte(key) {
			if c <= ' ' || c > '~' {
				return "", bridge.ErrKey
			}
		}
		if key != keys[0] {
			return "", refuse(bridge.ErrKey, "The idempotency keys in the header Idempotency-Key and the field client_id differ.")
		}
	}
	return keys[0], nil
}
