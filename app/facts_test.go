package app_test

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// factsPage says how Zammad behaves; comments cite it as "contract" with the
// number of a section (2.4), of a chapter (5) or of an item (00.3).
const factsPage = "../docs/zammad-facts.md"

var (
	// citation finds the numbers after the word, also several ("3.1 to 3.3") and
	// also where a line of a comment ends in between, see cited.
	citation    = regexp.MustCompile(`\bcontract (\d[\d.]*(?:(?:, | and | to )\d[\d.]*)*)`)
	number      = regexp.MustCompile(`\d+(?:\.\d+)?`)
	commentLine = regexp.MustCompile(`\s*\n\s*//\s*`)

	chapter = regexp.MustCompile(`^## (\d+) `)
	section = regexp.MustCompile(`^### (\d+\.\d+) `)
	item    = regexp.MustCompile(`^(\d+)\. `)
)

func TestEveryFactThatCodeCitesStandsInTheDocument(t *testing.T) {
	known := numbersOf(t, factsPage)
	seen := 0
	eachFile(t, func(path, _ string, _ *ast.File) {
		source, err := os.ReadFile(filepath.Join("..", path))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range cited(string(source)) {
			seen++
			if known[n] == 0 {
				t.Errorf("%s cites contract %s, which docs/zammad-facts.md does not have", path, n)
			}
		}
	})
	if seen < 50 {
		t.Errorf("only %d citations were seen: the test looks for the wrong words", seen)
	}
}

// TestCitationsAreFound holds the forms in which comments cite, so that the
// test above cannot pass by reading past them.
func TestCitationsAreFound(t *testing.T) {
	for source, want := range map[string]string{
		"// It fires (contract 4.4).":                              "4.4",
		"// as wanted (contract\n\t// 00.8).":                      "00.8",
		"// of a title (contract 3.1 to 3.3).":                     "3.1 3.3",
		"// late (contract 4.2, 4.3, 00.6).":                       "4.2 4.3 00.6",
		"// both (contract 4.4 and 5). 7 is no citation":           "4.4 5",
		"// dear (contract 00, \"what a Zammad costs\").":          "00",
		"// a contract of 5 years, contracts 6 and \"contract N\"": "",
	} {
		if got := strings.Join(cited(source), " "); got != want {
			t.Errorf("in %q: cited %q, want %q", source, got, want)
		}
	}
}

// cited lists the numbers that a source cites.
func cited(source string) []string {
	var all []string
	for _, found := range citation.FindAllStringSubmatch(commentLine.ReplaceAllString(source, " "), -1) {
		all = append(all, number.FindAllString(found[1], -1)...)
	}
	return all
}

// numbersOf counts the numbers that can be cited in a page: chapters
// ("## 5 …"), sections ("### 2.4 …") and, as chapter.item, the numbered list
// right in a chapter ("3. …"). None may stand there twice.
func numbersOf(t *testing.T, path string) map[string]int {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]int{}
	in := ""
	for line := range strings.Lines(string(page)) {
		switch {
		case chapter.MatchString(line):
			in = chapter.FindStringSubmatch(line)[1]
			numbers[in]++
		case section.MatchString(line):
			numbers[section.FindStringSubmatch(line)[1]]++
		case item.MatchString(line):
			numbers[in+"."+item.FindStringSubmatch(line)[1]]++
		}
	}
	for n, times := range numbers {
		if times > 1 {
			t.Errorf("%s has %s %d times", path, n, times)
		}
	}
	return numbers
}
