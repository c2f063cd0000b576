package deskpage

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, path string) (string, http.Header) {
	t.Helper()
	server := httptest.NewServer(Handler("/desk/"))
	defer server.Close()
	resp, err := http.Get(server.URL + "/desk/" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %d %v", path, resp.StatusCode, err)
	}
	return string(raw), resp.Header
}

func keys(text, pattern string) []string {
	var out []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Every word that the page uses is there in both languages.
func TestBothLanguagesSpeakTheSameWords(t *testing.T) {
	t.Parallel()
	texts, _ := read(t, "texts.js")
	_, after, _ := strings.Cut(texts, "const en = {")
	english, german, found := strings.Cut(after, "const de = {")
	if !found {
		t.Fatal("texts.js has another shape")
	}
	german, _, _ = strings.Cut(german, "\n};")
	const key = `(?:[{,]|\n) +(\w+): ['{]`
	states := regexp.MustCompile(`states: \{[^}]*\}`)
	en, de := keys("\n"+english, key), keys("\n"+states.ReplaceAllString(german, "states: {}"), key)
	if !slices.Equal(en, de) || len(en) < 50 {
		t.Errorf("keys differ:\nen %v\nde %v", en, de)
	}
	page, _ := read(t, "")
	for _, k := range keys(page, `data-i18n="(\w+)"`) {
		if !slices.Contains(en, k) {
			t.Errorf("the page asks for %q, which no language has", k)
		}
	}
}

func TestThePageShipsEverythingItself(t *testing.T) {
	t.Parallel()
	page, header := read(t, "")
	if strings.Contains(page, "http") || regexp.MustCompile(`<script(?:[^>]*)>[^<]`).MatchString(page) || strings.Contains(page, "style=") {
		t.Error("the page has inline code or foreign sources")
	}
	if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
}
