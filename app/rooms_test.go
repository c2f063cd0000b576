package app_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms says which of our rooms a room may import. Doors call only the heart,
// the heart knows nobody, walls implement what the heart asks for, and app
// alone knows everyone. Tests may import more.
var rooms = map[string][]string{
	"bridge":                     {"gate", "reception"},
	"gate":                       {},
	"reception":                  {},
	"staff":                      {"bridge"},
	"author":                     {"bridge", "server", "staff"},
	"admin":                      {"author", "bridge", "experiment", "gate", "reception", "server", "staff"},
	"settings":                   {"bridge", "server", "staff"},
	"experiment":                 {},
	"egress":                     {},
	"alert":                      {"bridge", "egress"},
	"zammad":                     {},
	"zammad/desk":                {"bridge", "files", "zammad"},
	"files":                      {},
	"zammad/simulator":           {"zammad", "zammad/simulator/deskpage", "zammad/simulator/sanitizer"},
	"zammad/simulator/deskpage":  {},
	"zammad/simulator/sanitizer": {},
	"webhook":                    {"bridge", "server"},
	"device":                     {"bridge", "files", "gate", "server"},
	"identity":                   {"bridge"},
	"jobs":                       {"bridge"},
	"storage":                    {"author", "bridge", "gate", "staff"},
	"realtime":                   {"bridge"},
	"server":                     {"bridge"},
	"config":                     {},
	"telemetry":                  {},
	"api":                        {},
	"widget":                     {},
	"app":                        {"*"},
	"cli":                        {"*"},
	"":                           {"cli"}, // main.go
	"storage/storagetest":        {"*"},   // only tests import it
	"staff/openidtest":           {},      // only tests import it
	"browsertest":                {},      // only tests import it
	"bench":                      {"*"},   // measures, ships nothing
}

// outside says which libraries belong to one room only: nobody else may know
// them, so that each can be exchanged in one place.
var outside = map[string][]string{
	"github.com/gin-gonic/gin":       {"server", "device", "webhook", "admin", "author", "settings", "app", "zammad/simulator", "bench"},
	"github.com/go-resty/resty":      {"zammad"},
	"gorm.io/":                       {"storage"},
	"github.com/robfig/cron":         {"jobs", "config"},     // config: so that a bad schedule is told with line and key
	"github.com/gomodule/redigo":     {"realtime", "server"}, // server: limits of all instances together
	"github.com/alecthomas/kong":     {"cli"},
	"github.com/microcosm-cc/":       {"zammad/desk"},
	"database/sql":                   {"storage", "storage/storagetest", "server", "bench"}, // server: to tell a dead database from a bug
	"github.com/throttled/throttled": {"server"},
	"github.com/go-jose/go-jose":     {"identity", "staff/openidtest"},
	"github.com/coder/websocket":     {"server", "bench"},
	"github.com/alexedwards/scs":     {"admin"},
	"mvdan.cc/xurls":                 {"author"},
	"golang.org/x/crypto":            {"staff"},
	"github.com/pquerna/otp":         {"staff"},
	"github.com/coreos/go-oidc":      {"staff"},
	"golang.org/x/oauth2":            {"staff"},
	"github.com/wneessen/go-mail":    {"alert"},
}

func TestRoomsKnowOnlyWhomTheyMay(t *testing.T) {
	eachFile(t, func(path, room string, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		allowed, listed := rooms[room]
		if !listed {
			t.Errorf("%s: the room %q is not in the table of rooms: say there what it may import, and in ARCHITECTURE.md what lives in it", path, room)
			return
		}
		for _, spec := range file.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			if other, ours := strings.CutPrefix(name, "deskbridge/"); ours && !slices.Contains(allowed, "*") && !slices.Contains(allowed, other) {
				t.Errorf("%s: room %s may not know room %s (it may know: %s). Declare the interface that you need here, and let app hand it in", path, room, other, strings.Join(allowed, ", "))
			}
			for library, owners := range outside {
				if strings.HasPrefix(name, library) && !slices.Contains(owners, room) {
					t.Errorf("%s: %s may be imported only by %s", path, library, strings.Join(owners, ", "))
				}
			}
		}
	})
}

// delicate says which of Go's own packages, and of what is built like them, only
// some rooms may use, or none: what starts commands, goes around the types or
// the escaping, reads formats that do more than hold data, or is broken where a
// secret hangs on it.
var delicate = map[string][]string{
	"C":              {},
	"unsafe":         {},
	"plugin":         {},
	"os/exec":        {"browsertest", "bench"}, // only tests, and measurements
	"text/template":  {},
	"encoding/xml":   {},
	"encoding/gob":   {},
	"expvar":         {},
	"net/http/pprof": {},
	"net/http/cgi":   {},
	"net/rpc":        {},
	"crypto/des":     {},
	"crypto/rc4":     {},
	"crypto/dsa":     {},
	"crypto/md5":     {"zammad/simulator"},                               // as Zammad does for addresses of pictures
	"crypto/sha1":    {"webhook", "zammad", "zammad/simulator", "bench"}, // Zammad signs deliveries with it
	"math/rand":      {},
	"math/rand/v2":   {"author", "bridge", "device", "storage", "webhook", "zammad", "app", "bench"}, // pauses, and the demo's invented year
}

func TestDelicatePackagesStayWhereTheyBelong(t *testing.T) {
	eachFile(t, func(path, room string, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, spec := range file.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			for library, owners := range delicate {
				if (name == library || strings.HasSuffix(library, "/") && strings.HasPrefix(name, library)) && !slices.Contains(owners, room) {
					t.Errorf("%s: %s is for %v only: if it must be here, say in the table what for, and look whether docs/security.md is still true", path, name, owners)
				}
			}
		}
	})
}

// Sizes from which a file or a function stops being one thing.
const (
	maxFileLines     = 400
	maxTestLines     = 800
	maxFunctionLines = 60
	maxMethods       = 25
	maxFiles         = 15
)

// exceptions are places where keeping to a size would make the code worse,
// each with the date and the reason.
var exceptions = map[string]string{
	"bridge":  "2026-11-25: each thing that a device, a desk or a person may do has one file, and all of them are the heart",
	"cli":     "2026-11-25: each command and each group of a region's settings has one file",
	"storage": "2026-11-25: the file names follow the heart's",
	"bench":   "2026-11-26: each measurement has one file, with its bare baseline beside it or shared",
	"admin":   "2026-11-26: each page has one file, and the frame around them is small",
}

func TestSizes(t *testing.T) {
	files := make(map[string]int)
	methods := make(map[string]int)
	eachFile(t, func(path, room string, file *ast.File) {
		fset := fileSets[path]
		lines, limit := fset.File(file.Pos()).LineCount(), maxFileLines
		test := strings.HasSuffix(path, "_test.go")
		if test {
			limit = maxTestLines
		} else {
			files[room]++
		}
		if lines > limit && exceptions[path] == "" {
			t.Errorf("%s has %d lines; %d are the limit: is it one thing?", path, lines, limit)
		}
		for _, decl := range file.Decls {
			function, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := fset.Position(function.End()).Line - fset.Position(function.Pos()).Line + 1; n > maxFunctionLines && !test && exceptions[path+":"+function.Name.Name] == "" {
				t.Errorf("%s: %s has %d lines; %d are the limit", path, function.Name.Name, n, maxFunctionLines)
			}
			if function.Recv != nil && !test {
				methods[room+"."+receiver(function)]++
			}
		}
	})
	for room, n := range files {
		if n > maxFiles && exceptions[room] == "" {
			t.Errorf("room %s has %d files; %d are the limit: is there a second room in it?", room, n, maxFiles)
		}
	}
	for name, n := range methods {
		if n > maxMethods && exceptions[name] == "" {
			t.Errorf("%s has %d methods; %d are the limit", name, n, maxMethods)
		}
	}
}

func TestManners(t *testing.T) {
	eachFile(t, func(path, room string, file *ast.File) {
		fset := fileSets[path]
		test := strings.HasSuffix(path, "_test.go")
		for _, decl := range file.Decls {
			if function, ok := decl.(*ast.FuncDecl); ok && function.Name.Name == "init" && function.Recv == nil {
				t.Errorf("%s: init() runs unasked; do it where it is needed", path)
			}
			if !test {
				for _, name := range undocumented(decl) {
					t.Errorf("%s: exported %s has no doc comment", path, name)
				}
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			selector, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, _ := selector.X.(*ast.Ident)
			if pkg == nil {
				return true
			}
			name := pkg.Name + "." + selector.Sel.Name
			switch {
			case name == "time.Sleep" && test:
				t.Errorf("%s: a test sleeps; wait for the condition instead", fset.Position(call.Pos()))
			case strings.HasPrefix(name, "log.Fatal") || name == "os.Exit" && file.Name.Name != "main" && !test:
				t.Errorf("%s: %s ends the process; return an error", fset.Position(call.Pos()), name)
			}
			return true
		})
	})
}

// undocumented lists exported names of a declaration that have no comment.
func undocumented(decl ast.Decl) []string {
	var out []string
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || ast.IsExported(receiver(d))) {
			out = append(out, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
					out = append(out, s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, name := range s.Names {
					if name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						out = append(out, name.Name)
					}
				}
			}
		}
	}
	return out
}

func receiver(function *ast.FuncDecl) string {
	if function.Recv == nil || len(function.Recv.List) == 0 {
		return ""
	}
	expr := function.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

// fileSets keeps the positions of each parsed file.
var fileSets = make(map[string]*token.FileSet)

// eachFile calls visit for every Go file of the project.
func eachFile(t *testing.T, visit func(path, room string, file *ast.File)) {
	t.Helper()
	root := os.DirFS("..")
	seen := 0
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && path != "." || entry.Name() == "testdata") {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		if fileSets[path] == nil {
			fileSets[path] = token.NewFileSet()
		}
		file, err := parser.ParseFile(fileSets[path], filepath.Join("..", path), nil, parser.ParseComments)
		if err != nil {
			return err
		}
		room := filepath.ToSlash(filepath.Dir(path))
		if room == "." {
			room = ""
		}
		seen++
		visit(path, room, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 50 {
		t.Fatalf("only %d files were seen: the test looks in the wrong place", seen)
	}
}
