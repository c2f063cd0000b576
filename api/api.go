// Package api holds the description of the HTTP interface. It is the promise to
// those who write clients: tests hold it against the routes, the catalogue of
// errors and real answers.
package api

import _ "embed"

//go:embed openapi.yaml
var spec []byte

// Spec gives openapi.yaml (OpenAPI 3.1), as served at /openapi.yaml. The bytes
// are shared: nobody may write to them.
func Spec() []byte { return spec }
