package app_test

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// securityPage answers every point of OWASP ASVS 4.0.3, levels 1 and 2.
const securityPage = "../docs/security.md"

// asvs is how many points each chapter has.
var asvs = map[string]int{
	"V1": 38, "V2": 53, "V3": 18, "V4": 9, "V5": 30, "V6": 13, "V7": 12,
	"V8": 15, "V9": 7, "V10": 5, "V11": 8, "V12": 15, "V13": 13, "V14": 23,
}

var (
	asvsChapter = regexp.MustCompile(`^### (V\d+) `)
	asvsRow     = regexp.MustCompile(`^\| (\d+\.\d+\.\d+(?:, \d+\.\d+\.\d+)*) \| [^|]+ \| ([^|]+) \|$`)
	// proof is a test with its room, or else a file.
	proof = regexp.MustCompile("^`(?:([a-z/]+)\\.((?:Test|Fuzz)\\w+)|([\\w./]+))`$")
)

func TestTheSecurityPageNamesWhatThereIs(t *testing.T) {
	tests := map[string]bool{}
	eachFile(t, func(path, room string, file *ast.File) {
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasSuffix(path, "_test.go") {
				tests[room+"."+f.Name.Name] = true
			}
		}
	})
	page, err := os.ReadFile(securityPage)
	if err != nil {
		t.Fatal(err)
	}
	chapter, points := "", map[string][]string{}
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		if found := asvsChapter.FindStringSubmatch(line); found != nil {
			chapter = found[1]
		}
		if chapter == "" || !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| point |") {
			continue
		}
		row := asvsRow.FindStringSubmatch(line)
		if row == nil {
			t.Errorf("a row of %s must be | points | how | tests or - |: %s", chapter, line)
			continue
		}
		for _, point := range strings.Split(row[1], ", ") {
			if !strings.HasPrefix(point, chapter[1:]+".") || slices.Contains(points[chapter], point) {
				t.Errorf("%s has %s, which is of another chapter or there twice", chapter, point)
			}
			points[chapter] = append(points[chapter], point)
		}
		for _, name := range strings.Split(row[2], ", ") {
			if err := exists(name, tests); err != nil {
				t.Errorf("%s: %v", row[1], err)
			}
		}
	}
	for name, want := range asvs {
		if got := len(points[name]); got != want {
			t.Errorf("%s has %d points, ASVS has %d", name, got, want)
		}
	}
}

// exists says what is wrong with what a row names as its proof.
func exists(name string, tests map[string]bool) error {
	found := proof.FindStringSubmatch(name)
	switch {
	case name == "-":
		return nil
	case found == nil:
		return fmt.Errorf("%s is neither `room.TestName` nor a file nor -", name)
	case found[3] != "":
		_, err := os.Stat(filepath.Join("..", found[3]))
		return err
	case !tests[found[1]+"."+found[2]]:
		return fmt.Errorf("the test %s does not exist", name)
	}
	return nil
}
