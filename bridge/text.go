package bridge

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
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

// refusedNote tells the agents that a message is missing. It does not repeat the
// message: its text may be what the desk refuses.
func refusedNote(cause Failed) string {
	detail := cause.Reason
	if cause.ErrorID != "" {
		detail = "Error ID " + cause.ErrorID
	}
	if detail != "" {
		detail = " (" + detail + ")"
	}
	return fmt.Sprintf("Deskbridge: Eine Nachricht aus der App fehlt hier, denn Zammad hat sie abgelehnt%[1]s. Die App zeigt sie als nicht zugestellt; die Person kann sie noch einmal senden.\n\n"+
		"Deskbridge: A message from the app is missing here, because Zammad refused it%[1]s. The app shows it as not delivered; the person can send it again.", detail)
}

// expiredNote tells the agents that they answer into the void.
const expiredNote = "Deskbridge: Antworten in diesem Ticket erreichen die App nicht mehr, denn der Chat wurde dort nach Ablauf der Aufbewahrungsfrist gelöscht. Schreibt die Person wieder, öffnet sich ein neues Ticket.\n\n" +
	"Deskbridge: Answers in this ticket do not reach the app any more, because its chat was deleted there when the retention period ended. If the person writes again, a new ticket opens."

// typingNote tells the agents that it may be worth waiting a moment.
const typingNote = "Deskbridge: Die Person schreibt gerade …\n\n" +
	"Deskbridge: The person is writing …"

// erasedNote tells the agents that the person has asked for erasure. In a ticket
// of somebody else, into which their chat was merged, it must not say that
// answers reach nobody.
func erasedNote(rule ErasureRule, ours bool) string {
	switch {
	case !ours:
		return "Deskbridge: Ein Chat, der in dieses Ticket zusammengeführt wurde, gehört einer Person, die in der App die Löschung ihrer Daten verlangt hat. Bitte löschen Sie nach Ihren Regeln, was von ihr ist. Diese Person erreichen Antworten nicht mehr; für alle anderen in diesem Ticket ändert sich nichts.\n\n" +
			"Deskbridge: A chat that was merged into this ticket belongs to a person who has asked in the app for the erasure of their data. Please erase what is theirs, by your rules. Answers do not reach this person any more; nothing changes for everybody else in this ticket."
	case rule == EraseNote:
		return "Deskbridge: Die Person hat in der App die Löschung ihrer Daten verlangt. In der App und in Deskbridge ist alles gelöscht; bitte löschen Sie nach Ihren Regeln auch hier. Antworten in diesem Ticket erreichen die App nicht mehr.\n\n" +
			"Deskbridge: In the app the person has asked for the erasure of their data. In the app and in Deskbridge everything is gone; please erase it here too, by your rules. Answers in this ticket do not reach the app any more."
	default:
		return "Deskbridge: Die Person hat in der App die Löschung ihrer Daten verlangt. Antworten in diesem Ticket erreichen die App nicht mehr.\n\n" +
			"Deskbridge: In the app the person has asked for the erasure of their data. Answers in this ticket do not reach the app any more."
	}
}

// noteUUID names a note by what it is about, so that it can be looked for.
func noteUUID(about string) MessageUUID {
	return MessageUUID(uuid.NewSHA1(uuid.NameSpaceOID, []byte("deskbridge/note/"+about)).String())
}
