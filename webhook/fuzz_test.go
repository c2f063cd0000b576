package webhook

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func FuzzParseSignature(f *testing.F) {
	for _, s := range []string{"", "sha1=", sign("k", nil), strings.ToUpper(sign("k", nil)), "sha256=00", "sha1=" + strings.Repeat("g", 40), sign("k", nil) + " "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		sum, ok := parseSignature(value)
		if back := "sha1=" + hex.EncodeToString(sum[:]); ok != (len(value) == len(back) && strings.HasPrefix(value, "sha1=") && back[5:] == strings.ToLower(value[5:])) {
			t.Errorf("%q: ok is %t, and it reads as %q", value, ok, back)
		}
	})
}

// With -fuzzminimizetime 5x: the default spends its minutes on making bodies of
// 8 KB shorter.
func FuzzDoor(f *testing.F) {
	for _, r := range recordings(f)[:6] {
		f.Add(r.body, r.headers.Get("X-Hub-Signature"), r.headers.Get("X-Zammad-Delivery"))
	}
	f.Add([]byte(`{"ticket":{"id":7}}`), "sha1=", "x")
	f.Add([]byte("\x00"), sign(recordedSecret, []byte("\x00")), "\x7f")
	w := newWorld(f, relayed)
	f.Fuzz(func(t *testing.T, body []byte, signature, key string) {
		given := http.Header{}
		if field(signature) {
			given.Set("X-Hub-Signature", signature)
		}
		if field(key) {
			given.Set("X-Zammad-Delivery", key)
		}
		right := strings.EqualFold(strings.TrimSpace(signature), sign(recordedSecret, body)) && strings.HasPrefix(strings.TrimSpace(signature), "sha1=")
		got := w.serve(t, body, given)
		if !right && got.status != 401 {
			t.Fatalf("signature %q: %+v, want 401", signature, got)
		}
		w.stored(t)
		// The same bytes, now signed: taken, or refused with a reason of theirs.
		given.Set("X-Hub-Signature", sign(recordedSecret, body))
		got = w.serve(t, body, given)
		found := w.stored(t)
		switch {
		case got.status == 200 && got.Status == "stored" && len(found) == 1 && bytes.Equal(found[0].Body, body):
		case got.status == 200 && got.Status == "duplicate" && len(found) == 0: // the key came before
		case got.status == 400 && got.Code == "invalid_webhook" && len(found) == 0:
		default:
			t.Fatalf("%+v, and %d are stored", got, len(found))
		}
	})
}

// serve asks the door without a socket: a fuzzer needs runs that are alike.
func (w *world) serve(t *testing.T, body []byte, headers http.Header) (out answered) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v3/webhook/zammad/testland/", bytes.NewReader(body))
	request.Header = headers
	recorder := httptest.NewRecorder()
	w.frame.ServeHTTP(recorder, request)
	if err := json.Unmarshal(recorder.Body.Bytes(), &out); err != nil {
		t.Fatalf("status %d, and the answer is not JSON: %v", recorder.Code, err)
	}
	out.status = recorder.Code
	return out
}

// field says whether net/http would send a header field with this value.
func field(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}
