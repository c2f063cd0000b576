package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode"
)

// AlertSettings say when the staff of a region hears that somebody waits, and
// where. The secrets for it are fields of Region.
type AlertSettings struct {
	Minutes    int      `json:"minutes,omitempty"`     // of opening hours that a user may wait for a person; 0: no notices
	Language   string   `json:"language,omitempty"`    // of notices, "de" or "en"; empty: as the region's first language
	Emails     []string `json:"emails,omitempty"`      // addresses, without names
	WebhookURL string   `json:"webhook_url,omitempty"` // gets JSON by POST
	NtfyURL    string   `json:"ntfy_url,omitempty"`    // a topic of an ntfy server
}

// Bounds of AlertSettings.
const (
	MaxAlertMinutes = 7 * 24 * 60
	MaxAlertEmails  = 10
	maxAddress      = 254  // bytes of an e-mail address (RFC 5321)
	MaxAlertURL     = 1000 // bytes
)

// Check says what is wrong with settings that somebody wrote. Whether an address
// may be connected to is not looked at.
func (s AlertSettings) Check() error {
	var problems []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	want(s.Minutes >= 0 && s.Minutes <= MaxAlertMinutes, "the minutes must be from 0 (no notices) to %d", MaxAlertMinutes)
	want(slices.Contains([]string{"", "de", "en"}, s.Language), "the language of notices must be de or en")
	want(len(s.Emails) <= MaxAlertEmails, "there may be at most %d e-mail addresses", MaxAlertEmails)
	for i, address := range s.Emails {
		want(IsEmail(address), "%q is no e-mail address such as team@example.org", address)
		want(!slices.Contains(s.Emails[:i], address), "the address %s stands twice", address)
	}
	for _, url := range []string{s.WebhookURL, s.NtfyURL} {
		want(len(url) <= MaxAlertURL, "an address has more than %d characters", MaxAlertURL)
	}
	want(s.Minutes == 0 || len(s.Emails) > 0 || s.WebhookURL != "" || s.NtfyURL != "", "notices need somewhere to go: an e-mail address, a webhook or ntfy")
	return errors.Join(problems...)
}

// MoveAlerts gives the region other settings of notices. If ntfy's address is
// another than before, its token is dropped: it belongs to the old server.
func (r *Region) MoveAlerts(set AlertSettings) {
	if set.NtfyURL != r.Settings.Alert.NtfyURL {
		r.AlertToken = ""
	}
	r.Settings.Alert = set
}

// IsEmail says whether a text is a bare address that is the same to everybody.
func IsEmail(text string) bool {
	parsed, err := mail.ParseAddress(text)
	strange := func(r rune) bool { return r > unicode.MaxASCII || r <= ' ' || strings.ContainsRune(`"(),:;<>[\]`, r) }
	return err == nil && parsed.Address == text && len(text) <= maxAddress && strings.IndexFunc(text, strange) < 0
}

// Tongue is the language of notices to the region's staff, "de" or "en".
func (r *Region) Tongue() string {
	first := ""
	if len(r.Settings.Languages) > 0 {
		first = r.Settings.Languages[0].Code
	}
	language, _, _ := strings.Cut(cmp.Or(r.Settings.Alert.Language, first), "-")
	if language == "de" {
		return "de"
	}
	return "en"
}

// AlertKind is a way in which a notice goes.
type AlertKind string

// The ways.
const (
	AlertEmail   AlertKind = "email"
	AlertWebhook AlertKind = "webhook"
	AlertNtfy    AlertKind = "ntfy"
)

// AlertState is what became of a notice on one way.
type AlertState string

// The states: it is still to be sent; it was taken by the receiver; the wait
// ended, or the receiver was taken out of the settings, before it could be sent;
// it was given up after a day.
const (
	AlertPending AlertState = "pending"
	AlertSent    AlertState = "sent"
	AlertDropped AlertState = "dropped"
	AlertFailed  AlertState = "failed"
)

// AlertFault names why a receiver has not taken a notice. It is stable, and
// consoles say it in their languages.
type AlertFault string

// The faults: there is no mail server; it was not reached or let nobody in; it
// did not take the mail; the receiver asks to come later; it wants another key or
// token; nothing is at its address; it answers otherwise; it answers from another
// address, which is not gone to; it does not answer in time, or at all; its
// certificate is not right; its address is in an internal network, has a port
// that is not connected to, has a name that nobody knows, or is none; and
// anything else.
const (
	AlertFaultNoMail      AlertFault = "no_mail"
	AlertFaultMailServer  AlertFault = "mail_server"
	AlertFaultMailRefused AlertFault = "mail_refused"
	AlertFaultBusy        AlertFault = "busy"
	AlertFaultDenied      AlertFault = "denied"
	AlertFaultGone        AlertFault = "gone"
	AlertFaultStatus      AlertFault = "status"
	AlertFaultRedirect    AlertFault = "redirect"
	AlertFaultTimeout     AlertFault = "timeout"
	AlertFaultUnreachable AlertFault = "unreachable"
	AlertFaultCertificate AlertFault = "certificate"
	AlertFaultPrivate     AlertFault = "private"
	AlertFaultPort        AlertFault = "port"
	AlertFaultUnknown     AlertFault = "unknown"
	AlertFaultForm        AlertFault = "form"
	AlertFaultOther       AlertFault = "other"
)

// AlertFaults lists them, for whoever says them in another language.
func AlertFaults() []AlertFault {
	return []AlertFault{
		AlertFaultNoMail, AlertFaultMailServer, AlertFaultMailRefused, AlertFaultBusy, AlertFaultDenied, AlertFaultGone, AlertFaultStatus, AlertFaultRedirect,
		AlertFaultTimeout, AlertFaultUnreachable, AlertFaultCertificate, AlertFaultPrivate, AlertFaultPort, AlertFaultUnknown, AlertFaultForm, AlertFaultOther,
	}
}

// AlertChannel is one receiver of an Alert.
type AlertChannel struct {
	Kind   AlertKind  `json:"kind"`
	To     string     `json:"to,omitempty"` // address of an e-mail; others stand in the region's settings
	State  AlertState `json:"state"`
	Fault  AlertFault `json:"fault,omitempty"`  // why the last try failed; empty in notices from before it was noted
	Reason string     `json:"reason,omitempty"` // the same in detail; plain English, never a secret
	At     time.Time  `json:"at,omitzero"`      // of the last try
}

// Alert is a notice to a region's staff that the user of a chat waits.
type Alert struct {
	ID        int64
	Region    RegionID
	Chat      ChatID
	Since     time.Time // of the oldest message that no person has answered; with the device it names the wait
	Key       string    // random; receivers know a repeated notice by it
	CreatedAt time.Time
	Channels  []AlertChannel
	Attempts  int  // rounds in which a channel failed
	Done      bool // nothing is pending

	// What ClaimAlerts adds.
	Claim   string
	Waiting bool     // nobody has answered yet
	Ticket  TicketID // 0: none yet
}

// Wait is a user who waits for a person's answer.
type Wait struct {
	Chat  ChatID
	Since time.Time // of the oldest message that no person has answered
}

// AlertStore keeps who waits, and the notices about it.
type AlertStore interface {
	// Waits lists the region's waits that began from from up to until and have
	// no alert, the longest first.
	Waits(ctx context.Context, r RegionID, from, until time.Time, limit int) ([]Wait, error)
	// AddAlert stores a new alert, which is due at once. It says false if the
	// wait has one already, or has ended.
	AddAlert(ctx context.Context, a Alert) (bool, error)
	// ClaimAlerts takes up to limit due alerts that nobody holds.
	ClaimAlerts(ctx context.Context, now, until time.Time, limit int) ([]Alert, error)
	// KeepAlert writes what became of the channels so far. The error is
	// ErrClaimLost if somebody else holds the alert now: then nothing was written.
	KeepAlert(ctx context.Context, a Alert) error
	// FinishAlert is KeepAlert and ends the claim; due is when the rest is tried
	// again, zero for never. Channels that failed are noted in the audit.
	FinishAlert(ctx context.Context, a Alert, due time.Time) error
	// Alerts lists the newest alerts of a region, the newest first.
	Alerts(ctx context.Context, r RegionID, limit int) ([]Alert, error)
}
