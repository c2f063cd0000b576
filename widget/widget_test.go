package widget_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"deskbridge/widget"
)

// maxPacked is what a phone on a bad network has to load, in bytes.
const maxPacked = 25 << 10

func serve(t *testing.T) *widget.Script {
	t.Helper()
	script, err := widget.New()
	if err != nil {
		t.Fatal(err)
	}
	return script
}

func get(script http.Handler, header ...string) *http.Response {
	request := httptest.NewRequest(http.MethodGet, widget.Path, nil)
	for i := 0; i < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	script.ServeHTTP(recorder, request)
	return recorder.Result()
}

func read(t *testing.T, from io.Reader) string {
	t.Helper()
	body, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestScriptIsSmall(t *testing.T) {
	t.Parallel()
	packed := read(t, get(serve(t), "Accept-Encoding", "gzip").Body)
	t.Logf("%d bytes compressed", len(packed))
	if len(packed) > maxPacked {
		t.Errorf("the script has %d bytes compressed, %d are the limit", len(packed), maxPacked)
	}
}

func TestScriptIsServed(t *testing.T) {
	t.Parallel()
	script := serve(t)
	plain := get(script)
	text := read(t, plain.Body)
	if plain.StatusCode != http.StatusOK || plain.Header.Get("Content-Encoding") != "" || !strings.Contains(text, `customElements.define("deskbridge-chat"`) {
		t.Errorf("the plain script: %d %v", plain.StatusCode, plain.Header)
	}
	for _, word := range []string{"\nimport ", "\nexport "} {
		if strings.Contains(text, word) {
			t.Errorf("the script is no plain script: it has %q", word)
		}
	}
	packed := get(script, "Accept-Encoding", "br, gzip;q=0.5")
	if packed.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("not compressed: %v", packed.Header)
	}
	unpacked, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if read(t, unpacked) != text {
		t.Error("compressed it is another script")
	}
	for name, want := range map[string]string{
		"Content-Type": "text/javascript; charset=utf-8", "Vary": "Accept-Encoding", "Cross-Origin-Resource-Policy": "cross-origin",
	} {
		if got := packed.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(packed.Header.Get("Cache-Control"), "max-age=") {
		t.Error("nobody may keep the script")
	}
	for _, tag := range []string{packed.Header.Get("Etag"), plain.Header.Get("Etag"), `"x", ` + plain.Header.Get("Etag")} {
		if again := get(script, "If-None-Match", tag); again.StatusCode != http.StatusNotModified || read(t, again.Body) != "" {
			t.Errorf("If-None-Match %s: %d, want 304 without a body", tag, again.StatusCode)
		}
	}
}

func TestWhoTakesGzip(t *testing.T) {
	t.Parallel()
	script := serve(t)
	for accept, want := range map[string]string{
		"gzip": "gzip", "GZIP": "gzip", "br, gzip": "gzip", "gzip; q=0.1": "gzip",
		"": "", "br": "", "gzip;q=0": "", "gzip; q=0.000": "", "x-gzip-not": "", "*": "",
	} {
		if got := get(script, "Accept-Encoding", accept).Header.Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q: Content-Encoding %q, want %q", accept, got, want)
		}
	}
}

// Every language says everything; what one of them lacks, nobody would see.
func TestTextsAreInEveryLanguage(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("src/texts.js")
	if err != nil {
		t.Fatal(err)
	}
	keys := make(map[string][]string)
	language := ""
	for _, line := range strings.Split(string(source), "\n") {
		if m := regexp.MustCompile(`^  (\w\w): \{$`).FindStringSubmatch(line); m != nil {
			language = m[1]
		} else if m := regexp.MustCompile(`^ {4,6}(\w+): `).FindStringSubmatch(line); m != nil && language != "" {
			keys[language] = append(keys[language], m[1])
			if strings.Contains(line, `""`) {
				t.Errorf("%s says nothing for %s", language, m[1])
			}
		}
	}
	if len(keys) < 8 || len(keys["en"]) < 40 {
		t.Fatalf("%d languages, %d texts in English", len(keys), len(keys["en"]))
	}
	for code, have := range keys {
		if !slices.Equal(have, keys["en"]) {
			t.Errorf("%s has the texts %v, English has %v", code, have, keys["en"])
		}
	}
}
