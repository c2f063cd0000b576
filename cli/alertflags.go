package cli

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"deskbridge/bridge"
)

// alertFlags are the settings of a region about notices to its staff; nil means
// not given.
type alertFlags struct {
	AlertMinutes           *int     `help:"Minutes of opening hours that a user may wait for an answer; then the staff gets one notice. 0: none. Default 0." placeholder:"N"`
	AlertLanguage          *string  `help:"Language of notices, de or en. Default: as the region's first language." placeholder:"CODE"`
	AlertEmails            []string `help:"Addresses that get notices; none: no e-mail." placeholder:"ADDRESS"`
	AlertWebhookURL        *string  `name:"alert-webhook-url" help:"Address that gets notices as JSON; empty: none." placeholder:"URL"`
	AlertWebhookSecretFile *string  `help:"File with the key of the signature in X-Deskbridge-Signature; -: standard input. An empty file: no signature." placeholder:"FILE"`
	AlertNtfyURL           *string  `name:"alert-ntfy-url" help:"Topic of an ntfy server that gets notices, such as https://ntfy.example.org/topic; empty: none." placeholder:"URL"`
	AlertNtfyTokenFile     *string  `help:"File with an access token for ntfy; -: standard input. An empty file: none." placeholder:"FILE"`
}

// apply changes settings by the given flags.
func (f *alertFlags) apply(set *bridge.AlertSettings) {
	assign(&set.Minutes, f.AlertMinutes)
	assign(&set.Language, f.AlertLanguage)
	assign(&set.WebhookURL, f.AlertWebhookURL)
	assign(&set.NtfyURL, f.AlertNtfyURL)
	if f.AlertEmails != nil {
		set.Emails = f.AlertEmails
		if slices.Equal(f.AlertEmails, []string{"none"}) {
			set.Emails = nil
		}
	}
}

// noticeOf shows when the staff hears of somebody who waits.
func noticeOf(set bridge.AlertSettings) string {
	if set.Minutes == 0 {
		return "never"
	}
	return fmt.Sprintf("%d minutes of opening hours", set.Minutes)
}

// receiversOf shows who hears of it; of addresses only the host, since their
// paths may be secret.
func receiversOf(set bridge.AlertSettings) string {
	all := slices.Clone(set.Emails)
	for kind, address := range map[string]string{"webhook": set.WebhookURL, "ntfy": set.NtfyURL} {
		if u, err := url.Parse(address); err == nil && u.Host != "" {
			all = append(all, kind+" at "+u.Host)
		}
	}
	slices.Sort(all)
	return cmp.Or(strings.Join(all, ", "), "nobody")
}
