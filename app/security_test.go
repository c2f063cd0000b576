package app_test

import (
	"crypto/sha256"
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

// TestScriptsOfOthersAreTheReleasedOnes: what lies in the tree is what their
// authors gave to the registry of npm, byte by byte.
func TestScriptsOfOthersAreTheReleasedOnes(t *testing.T) {
	released := map[string]string{
		"htmx.min.js":   "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130", // htmx.org 4.0.1, dist/htmx.min.js
		"uplot.min.js":  "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f", // uplot 1.6.32, dist/uPlot.iife.min.js
		"uplot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04", // uplot 1.6.32, dist/uPlot.min.css
	}
	files, err := filepath.Glob("../admin/static/*.min.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if sum := fmt.Sprintf("%x", sha256.Sum256(content)); sum != released[filepath.Base(path)] {
			t.Errorf("%s has the checksum %s, which is of no release in the table", path, sum)
		}
	}
	if len(files) != len(released) {
		t.Errorf("%v, want those of the table", files)
	}
}

// TestScriptsStayWithinTheirBounds: our scripts make neither code nor elements of
// texts, ask browsers for no rights, and only the widget keeps anything, in one
// file.
func TestScriptsStayWithinTheirBounds(t *testing.T) {
	code := regexp.MustCompile(`\beval\b|\bFunction\s*\(|\.(?:inner|outer)HTML\b|insertAdjacentHTML|document\.write|\bsrcdoc\b|\bset(?:Timeout|Interval)\(\s*["'` + "`" + `]|javascript:`)
	rights := regexp.MustCompile(`getUserMedia|geolocation|\bNotification\b|\.permissions\b|navigator\.clipboard|PushManager|serviceWorker|requestMIDIAccess|\.(?:bluetooth|usb|hid|serial)\b`)
	keeping := regexp.MustCompile(`localStorage|sessionStorage|indexedDB|document\.cookie|\bcaches\b`)
	seen := 0
	for _, pattern := range []string{"../admin/static/*.js", "../widget/src/*.js"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if seen++; keeping.Match(text) && filepath.ToSlash(path) != "../widget/src/memory.js" {
				t.Errorf("%s keeps something in the browser", path)
			}
			if strings.HasSuffix(path, ".min.js") { // of others; the console's policy forbids them code of texts
				continue
			}
			for _, forbidden := range []*regexp.Regexp{code, rights} {
				if found := forbidden.Find(text); found != nil {
					t.Errorf("%s has %q", path, found)
				}
			}
		}
	}
	if seen < 15 {
		t.Errorf("only %d scripts were seen", seen)
	}
}

// TestThreatsNameEveryDoor: whatever room answers requests, or leads out to
// addresses that people type, has its line in docs/threats.md.
func TestThreatsNameEveryDoor(t *testing.T) {
	page, err := os.ReadFile("../docs/threats.md")
	if err != nil {
		t.Fatal(err)
	}
	doors := map[string]bool{"cli": true, "widget": true, "egress": true, "zammad/desk": true}
	for _, room := range outside["github.com/gin-gonic/gin"] {
		doors[room] = room != "app" && room != "bench" && room != "zammad/simulator" // these put together, measure, and play
	}
	for room, door := range doors {
		if door && !strings.Contains(string(page), "`"+room+"`") {
			t.Errorf("docs/threats.md does not say what may come through %s", room)
		}
	}
	for _, path := range []string{"../ARCHITECTURE.md", "../CONTRIBUTING.md", "../docs/security.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "threats.md)") {
			t.Errorf("%s does not lead to docs/threats.md", path)
		}
	}
}
