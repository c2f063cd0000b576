package files

import (
	"path"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the longest file name, in characters; Zammad cuts at 250 bytes.
const maxName = 60

// reserved are names that Windows keeps for devices, with whatever end.
var reserved = regexp.MustCompile(`^(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)`)

// NameFor cleans the name that a sender gave a file and gives it an end that
// fits its kind: what is a picture is not called letter.html.
func NameFor(name string, k Kind) string {
	name = Name(name)
	end := path.Ext(name)
	for _, fits := range k.ends {
		if strings.EqualFold(end, fits) {
			return name
		}
	}
	return shorten(name, k.ends[0])
}

// Name makes of a file name one that is safe to show and to store anywhere: no
// folders, no control characters or invisible ones (which can turn the order of
// what is read), none that a file system refuses, and not too long. It is never
// empty, and cleaning it again changes nothing.
func Name(name string) string {
	name = strings.ToValidUTF8(name, "")
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(c rune) rune {
		switch {
		case unicode.IsControl(c), unicode.In(c, unicode.Cf, unicode.Co, unicode.Cs), c >= 0xFDD0 && c <= 0xFDEF, c&0xFFFE == 0xFFFE:
			return -1
		case unicode.IsSpace(c):
			return ' '
		case strings.ContainsRune(`<>:"|?*`, c):
			return '_'
		}
		return c
	}, name)
	name = strings.Trim(name, " .")
	if reserved.MatchString(name) {
		name = "_" + name
	}
	if name == "" {
		return "file"
	}
	if end := path.Ext(name); len(end) <= 10 {
		return shorten(strings.TrimSuffix(name, end), end)
	}
	return shorten(name, "")
}

// shorten puts a name together that is not too long.
func shorten(name, end string) string {
	room := maxName - utf8.RuneCountInString(end)
	if runes := []rune(name); len(runes) > room {
		name = strings.TrimRight(string(runes[:room]), " .")
	}
	return name + end
}
