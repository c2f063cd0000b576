package bridge

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// CleanText makes a user's text what it will be everywhere: CRLF becomes LF,
// and control characters (other than line feed and tab) and Unicode
// noncharacters are removed, since Zammad would remove them too and the text
// must come back as it went (contract 00.21). max is in characters.
//
// Errors: ErrMessageText (not UTF-8, or a NUL), ErrMessageEmpty (nothing
// visible is left), ErrMessageTooLong.
func CleanText(text string, max int) (string, error) {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return "", ErrMessageText
	}
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.Map(func(c rune) rune {
		if c != '\n' && c != '\t' && unicode.IsControl(c) || noncharacter(c) {
			return -1
		}
		return c
	}, text)
	if strings.IndexFunc(text, visible) < 0 {
		return "", ErrMessageEmpty
	}
	if utf8.RuneCountInString(text) > max {
		return "", ErrMessageTooLong
	}
	return text, nil
}

// noncharacter says whether Unicode reserves c for internal use for ever.
func noncharacter(c rune) bool {
	return c >= 0xFDD0 && c <= 0xFDEF || c&0xFFFE == 0xFFFE
}

// visible says whether c leaves something on a screen: a text without such a
// character is blank for its reader, and Zammad refuses it.
func visible(c rune) bool {
	return !unicode.IsSpace(c) && !unicode.Is(unicode.Cf, c)
}
