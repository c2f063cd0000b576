package app

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deskbridge/browsertest"

	"github.com/chromedp/chromedp"
)

// sources serves the widget's modules as they are in the repository, and the
// vectors, to a page without anything.
func sources(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/src/", http.StripPrefix("/src/", http.FileServerFS(os.DirFS("../widget/src"))))
	mux.Handle("/vectors/", http.StripPrefix("/vectors/", http.FileServerFS(os.DirFS("../api/vectors"))))
	mux.Handle("/testdata/", http.StripPrefix("/testdata/", http.FileServerFS(os.DirFS("testdata"))))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<!doctype html><title>modules</title>"))
	})
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	return web.URL
}

// TestWidgetPassesTheVectors: what client authors are told to do, our own widget does.
func TestWidgetPassesTheVectors(t *testing.T) {
	t.Parallel()
	p := newTab(t, browsertest.New(t))
	p.Do(chromedp.Navigate(sources(t) + "/"))
	files, err := filepath.Glob("../api/vectors/*.json")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d files of vectors (%v)", len(files), err)
	}
	type result struct{ Name, Got, Want string }
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		results, err := chromedp.Run(p.Ctx, chromedp.Evaluate[[]result](
			`import("/testdata/vectors.js").then((m) => m.check(`+quote(name)+`))`, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, r := range results {
			if r.Got != r.Want {
				t.Errorf("%s, %s:\n got %s\nwant %s", name, r.Name, r.Got, r.Want)
			}
		}
	}
}

// TestNobodysHTMLDoesAnything holds the widget's own lock, with HTML that no server of ours would send.
func TestNobodysHTMLDoesAnything(t *testing.T) {
	t.Parallel()
	phone := newTab(t, browsertest.New(t))
	phone.Do(chromedp.Navigate(sources(t) + "/"))
	for markup, want := range map[string]string{
		`<p>Hello <b>you</b></p>`:                                 `<p>Hello <b>you</b></p>`,
		`<script>wrong.push(1)</script>x`:                         `x`,
		`<img src=x onerror="wrong.push(2)">x`:                    `x`,
		`<p onclick="wrong.push(3)" style="x:y" id=text>x`:        `<p>x</p>`,
		`<a href="javascript:wrong.push(4)">x</a>`:                `x`,
		`<a href=" java&#10;script:wrong.push(5)">x</a>`:          `x`,
		`<a href="/api/v1/users">x</a>`:                           `x`,
		`<a href="https://example.org/?a=1&amp;b=2">x</a>`:        `<a href="https://example.org/?a=1&amp;b=2" target="_blank" rel="noopener noreferrer nofollow">x</a>`,
		`<svg><script>wrong.push(6)</script></svg>x`:              `x`,
		`<math><mtext><img src=x onerror=wrong.push(7)>`:          ``,
		`<form action=/x><button>x</button></form>`:               `x`,
		`<template><img src=x onerror=wrong.push(8)></template>x`: `x`,
		`<p dir="rtl" lang="ar">x</p><p dir="x">y</p>`:            `<p dir="rtl" lang="ar">x</p><p>y</p>`,
	} {
		got, err := chromedp.Run(phone.Ctx, chromedp.Evaluate[string](`import("/src/html.js").then(({safeHTML}) => {
			const box = document.createElement("div"); box.append(safeHTML(`+quote(markup)+`)); return box.innerHTML; })`, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s becomes %s, want %s", markup, got, want)
		}
	}
	// The policy reports the handlers that it kept from the parsed document.
	phone.Do(chromedp.Evaluate[chromedp.Void](`wrong = wrong.filter((w) => !String(w).endsWith("-attr inline"))`))
}
