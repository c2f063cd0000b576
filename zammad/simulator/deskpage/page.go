// Package deskpage is a small page on which a person works as an agent of the simulated
// Zammad. It uses nothing but the public REST API and an agent's token, so it shows what an
// agent could do and no more.
package deskpage

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed static
var files embed.FS

// policy allows only what the page ships itself: no inline script, no foreign source.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler serves the page below prefix, which ends with a slash. The page takes the agent's
// token from the URL fragment (#token=…&group=…) or asks for it.
func Handler(prefix string) http.Handler {
	static, err := fs.Sub(files, "static")
	if err != nil {
		panic("desk page: " + err.Error()) // the folder is embedded above
	}
	pages := http.StripPrefix(prefix, http.FileServerFS(static))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-cache")
		pages.ServeHTTP(w, r)
	})
}
