package staff

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed" // the list
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// commonList is some 45,000 passwords and words that are tried first, in lower
// case and without what people hang on to them. Its first lines say where it is
// from.
//
//go:embed common.txt.gz
var commonList []byte

// hung are the digits and signs that people hang on to a word.
const hung = "0123456789!?.,-_*#+$%&/()= "

// core is a password without them.
func core(plain string) string { return strings.Trim(plain, hung) }

// Letters that people replace by what looks like them. A 1 is either.
const (
	disguises      = "4 a @ a 3 e € e 0 o $ s 5 s 7 t 8 b 9 g ! i "
	disguisedAsI   = disguises + "1 i"
	disguisedAsL   = disguises + "1 l"
	shortestOwn    = 3  // characters of a part of a login or name that is looked for
	shortestDigits = 20 // characters that are nothing but digits and signs
)

// readings are the words that a password, in lower case, may stand for: as it
// is, without what hangs on to it, and with letters for what looks like them.
func readings(plain string) []string {
	all := []string{plain, core(plain)}
	for _, pairs := range []string{disguisedAsI, disguisedAsL} {
		plainly := strings.NewReplacer(strings.Fields(pairs)...)
		all = append(all, plainly.Replace(core(plain)), plainly.Replace(strings.TrimRight(plain, hung)))
	}
	return all
}

// common says whether a password, in lower case, is among those that are tried
// first: one of the lists, however it is disguised and whatever hangs on to it;
// only some digits; a part again and again that would be too short by itself, or
// common; or a row of keys.
func common(plain string) (bool, error) {
	word := core(plain)
	if word == "" && utf8.RuneCountInString(plain) < shortestDigits {
		return true, nil
	}
	for _, row := range []string{"abcdefghijklmnopqrstuvwxyz", "qwertzuiopasdfghjklyxcvbnm", "qwertyuiopasdfghjklzxcvbnm"} {
		if len(word) >= 4 && strings.Contains(row, word) {
			return true, nil
		}
	}
	words := readings(plain)
	for n := 1; n <= len(plain)/2; n++ { // in bytes
		if unit := plain[:n]; strings.Repeat(unit, len(plain)/n+1)[:len(plain)] == plain {
			if utf8.RuneCountInString(unit) < MinPassword {
				return true, nil
			}
			words = append(words, readings(unit)...)
		}
	}
	return listed(words)
}

// listed says whether one of the words is in a list. It reads the list anew:
// a password is chosen seldom, and the list in memory would stay for ever.
func listed(words []string) (bool, error) {
	if slices.ContainsFunc(strings.Fields(ownList), func(w string) bool { return slices.Contains(words, w) || slices.Contains(words, core(w)) }) {
		return true, nil
	}
	list, err := gzip.NewReader(bytes.NewReader(commonList))
	if err != nil {
		return false, fmt.Errorf("read the list of common passwords: %w", err)
	}
	lines := bufio.NewScanner(list)
	for lines.Scan() {
		if slices.Contains(words, lines.Text()) {
			return true, nil
		}
	}
	if err := lines.Err(); err != nil {
		return false, fmt.Errorf("read the list of common passwords: %w", err)
	}
	return false, nil
}

// own says whether a password, in lower case, is made of nothing but parts of
// the person's login and name, with digits and signs.
func own(plain string, p *Person) bool {
	parts := strings.FieldsFunc(strings.ToLower(norm.NFC.String(p.Login+" "+p.Name)), func(r rune) bool { return !unicode.IsLetter(r) })
	slices.SortFunc(parts, func(a, b string) int { return len(b) - len(a) }) // a part may be in another
	if core(plain) == "" {                                                   // no part of anything
		return false
	}
	for _, part := range parts {
		if utf8.RuneCountInString(part) >= shortestOwn {
			plain = strings.ReplaceAll(plain, part, "")
		}
	}
	return strings.Trim(plain, hung+"@") == ""
}

// ownList has what people choose here: the names around this program, and what
// somebody writes who must choose something long.
const ownList = `
	password passwort mypassword meinpasswort passwordpassword passwortpasswort password1password passwort1passwort
	thisismypassword dasistmeinpasswort letmeinplease letmein iloveyou ichliebedich iloveyouforever ichliebedichsehr
	administrator adminadmin administratoradmin admin rootroot superuser changeme changemenow changemeplease geheim
	geheimesgeheim supergeheim sehrgeheim topsecret secretsecret welcome welcomehome willkommen willkommenzuhause
	herzlichwillkommen hallohallo hellohello helloworld sonnenschein sunshine schatz schatzi mausi prinzessin fussball
	fußball trustnoone masterofpuppets schalke borussia bayernmünchen bayernmuenchen deutschland germany augsburg
	integreat zammad deskbridge integreatchat integreatapp chatintegreat zammadadmin deskbridgeadmin beratung
	stadtverwaltung rathaus landkreis winter sommer frühling fruehling herbst spring summer autumn
	correcthorsebatterystaple 1q2w3e4r5t6y 1q2w3e4r5t6z q1w2e3r4t5y6 q1w2e3r4t5z6 1qaz2wsx3edc qazwsxedc 1qay2wsx3edc
	testtest testtesttest testpassword testpasswort temppassword temporary default standard login loginlogin kennwort
	meinkennwort computer internet whatever nothing something unknown`
