package api_test

import (
	"regexp"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"deskbridge/api"
	"deskbridge/bridge"
	"deskbridge/device"
	"deskbridge/server"
	"deskbridge/settings"
	"deskbridge/webhook"
	"deskbridge/widget"
)

func load(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.Spec())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("openapi.yaml is no valid OpenAPI: %v", err)
	}
	return doc
}

func TestSpecIsOpenAPI31(t *testing.T) {
	t.Parallel()
	if doc := load(t); !doc.IsOpenAPI31OrLater() {
		t.Errorf("openapi is %s, want 3.1", doc.OpenAPI)
	}
}

func TestErrorCodesAreTheCatalogue(t *testing.T) {
	t.Parallel()
	var described []string
	for _, code := range load(t).Components.Schemas["Code"].Value.Enum {
		described = append(described, code.(string))
	}
	var real []string
	for _, e := range bridge.Catalogue() {
		real = append(real, e.Code)
	}
	slices.Sort(described)
	slices.Sort(real)
	if diff := cmp.Diff(real, described); diff != "" {
		t.Errorf("the codes of the schema Code are not those of bridge.Catalogue (-catalogue +openapi.yaml):\n%s", diff)
	}
}

// TestPathsAreTheRoutes compares both ways. Parameters are compared by place:
// Gin's names are bound to what stands at the same place in other routes.
func TestPathsAreTheRoutes(t *testing.T) {
	t.Parallel()
	frame, err := server.New(server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	device.New(device.Deps{}).Routes(frame.Limited(), frame.Limited())
	webhook.New(webhook.Deps{}).Routes(frame.Engine())
	settings.New(settings.Deps{}).Routes(frame.Limited())
	frame.Engine().GET("/openapi.yaml", func(*gin.Context) {}) // mounted by app
	frame.Engine().GET(widget.Path, func(*gin.Context) {})     // the same

	parameter := regexp.MustCompile(`:\w+|\{\w+\}`)
	var routes, paths []string
	for _, route := range frame.Engine().Routes() {
		if route.Method != "HEAD" { // goes with every GET
			routes = append(routes, route.Method+" "+parameter.ReplaceAllString(route.Path, "{}"))
		}
	}
	for path, item := range load(t).Paths.Map() {
		for method := range item.Operations() {
			paths = append(paths, method+" "+parameter.ReplaceAllString(path, "{}"))
		}
	}
	slices.Sort(routes)
	slices.Sort(paths)
	if diff := cmp.Diff(routes, paths); diff != "" {
		t.Errorf("routes and openapi.yaml differ (-routes +openapi.yaml):\n%s", diff)
	}
}

// TestEveryGetHasHead holds what the description of the document says.
func TestEveryGetHasHead(t *testing.T) {
	t.Parallel()
	frame, err := server.New(server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	device.New(device.Deps{}).Routes(frame.Limited(), frame.Limited())
	settings.New(settings.Deps{}).Routes(frame.Limited())
	methods := map[string][]string{}
	for _, route := range frame.Engine().Routes() {
		methods[route.Path] = append(methods[route.Path], route.Method)
	}
	for path, m := range methods {
		if slices.Contains(m, "GET") != slices.Contains(m, "HEAD") {
			t.Errorf("%s has %v: GET and HEAD go together", path, m)
		}
	}
}
