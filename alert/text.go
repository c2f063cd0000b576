package alert

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"deskbridge/bridge"
)

// notice is what the staff is told.
type notice struct {
	Key     string
	Test    bool
	Region  *bridge.Region
	Since   time.Time     // of the oldest message that no person has answered
	Open    time.Duration // for how much of this time people were there
	Ticket  bridge.TicketID
	URL     string // of the ticket; empty: there is none yet
	Subject string // one line
	Text    string
}

// notice words an alert.
func (a *Alerts) notice(r *bridge.Region, alert *bridge.Alert) notice {
	n := notice{Key: alert.Key, Region: r, Since: alert.Since, Ticket: alert.Ticket}
	if n.Ticket != 0 {
		n.URL = a.TicketURL(r, n.Ticket)
	}
	n.Open = r.Settings.Reception.OpenTime(n.Since, a.Now(), longest)
	w, name := words[r.Tongue()], line(r.Name)
	limit := span(w, time.Duration(r.Settings.Alert.Minutes)*time.Minute)
	n.Subject = fmt.Sprintf(w.subject, name, span(w, n.Open))
	n.Text = fmt.Sprintf(w.waits, name, n.Since.In(r.Settings.Reception.Zone.Location()).Format(w.clock), span(w, n.Open), limit) + "\n\n"
	switch {
	case n.Ticket == 0:
		n.Text += w.noTicket
	case n.URL == "":
		n.Text += fmt.Sprintf(w.ticket, n.Ticket)
	default:
		n.Text += fmt.Sprintf(w.ticket, n.Ticket) + "\n" + n.URL
	}
	n.Text += "\n\n" + w.once
	return n
}

// test words a notice that is none.
func (a *Alerts) test(r *bridge.Region, key string) notice {
	w, name := words[r.Tongue()], line(r.Name)
	return notice{Key: key, Test: true, Region: r, Since: a.Now(), Subject: fmt.Sprintf(w.testSubject, name), Text: fmt.Sprintf(w.test, name)}
}

// wording is the words of one language.
type wording struct {
	subject, waits, ticket, noTicket, once string
	testSubject, test                      string
	clock                                  string // layout of a time
	minute, minutes, hour, hours           string
}

var words = map[string]wording{
	"de": {
		subject:  "%s: jemand wartet seit %s auf eine Antwort",
		waits:    "In der Region %s wartet eine Person im Chat seit %s auf eine Antwort. In den Öffnungszeiten sind das %s; Sie möchten nach %s davon erfahren.",
		ticket:   "Ticket in Zammad (interne Nummer %d)",
		noTicket: "Die Nachricht ist noch nicht in Zammad angekommen. Bleibt das so, sagen Sie bitte Ihrer Technik Bescheid.",
		once:     "Diese Nachricht kommt nur einmal. Erst wenn jemand geantwortet hat und die Person danach wieder zu lange wartet, kommt eine neue.",

		testSubject: "%s: Probe der Benachrichtigung",
		test:        "Das ist eine Probe der Benachrichtigungen für die Region %s. Es wartet niemand; Sie müssen nichts tun.",
		clock:       "02.01.2006, 15:04 Uhr (MST)",
		minute:      "1 Minute", minutes: "%d Minuten", hour: "1 Stunde", hours: "%d Stunden",
	},
	"en": {
		subject:  "%s: somebody has been waiting for an answer for %s",
		waits:    "In the region %s a person in the chat has been waiting for an answer since %s. Within opening hours that is %s; you want to hear of it after %s.",
		ticket:   "Ticket in Zammad (internal number %d)",
		noTicket: "The message has not reached Zammad yet. If it stays like this, please tell your technical staff.",
		once:     "This notice comes once. A new one comes only when somebody has answered and the person then waits for too long again.",

		testSubject: "%s: test of the notices",
		test:        "This is a test of the notices for the region %s. Nobody is waiting; there is nothing to do.",
		clock:       "2 January 2006, 15:04 (MST)",
		minute:      "1 minute", minutes: "%d minutes", hour: "1 hour", hours: "%d hours",
	},
}

// span says a length of time as people do.
func span(w wording, d time.Duration) string {
	switch minutes, hours := int(d/time.Minute), int(d/time.Hour); {
	case minutes == 1:
		return w.minute
	case minutes < 120 && minutes != 60:
		return fmt.Sprintf(w.minutes, minutes)
	case hours == 1:
		return w.hour
	default:
		return fmt.Sprintf(w.hours, hours)
	}
}

const (
	maxLine   = 200 // characters of a name in a notice
	maxReason = 300 // characters
)

// line makes one line of a text that somebody has typed, so that it ends no
// header and hides nothing.
func line(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar
	}), " ")
	if runes := []rune(text); len(runes) > maxLine {
		text = string(runes[:maxLine])
	}
	return text
}
