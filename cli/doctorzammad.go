package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"deskbridge/app"
	"deskbridge/bridge"
	"deskbridge/egress"
)

// region examines a region, and lets its Zammad be examined. mails says whether
// there is a mail server.
func (d *doctor) region(a *app.App, r *bridge.Region, mails bool) {
	check := "region " + r.Slug
	set := "deskbridge region set " + r.Slug
	if !r.Enabled {
		d.warn(check, "it is switched off: every chat call answers 503", set+" --enabled")
	}
	if r.WebhookSecret == "" && r.WebhookToken == "" {
		d.warn(check, "it has no webhook secret: answers only arrive by reconciliation", set+" --webhook-signature-token-file FILE")
	}
	if r.WebhookToken != "" {
		d.warn(check, "it takes webhooks without signature (?token=)", "sign them, then "+set+" --webhook-token-file /dev/null")
	}
	if r.Settings.Identity == bridge.IdentityLog {
		d.warn(check, "it looks at devices' signed tokens and refuses nobody", "when the log is quiet: "+set+" --identity enforce")
	}
	if r.Settings.Alert.Minutes > 0 && len(r.Settings.Alert.Emails) > 0 && !mails {
		d.warn(check, "it wants notices by e-mail, and there is no mail server", "set smtp.host and smtp.from in the configuration (docs/alerts.md), or: "+set+" --alert-emails none")
	}
	if r.Settings.ZammadURL == "" || r.ZammadToken == "" {
		d.warn(check, "it has no Zammad", set+" --zammad-url URL --zammad-token-file FILE --zammad-group NAME")
		return
	}
	d.refused(check, a.RefusedAddresses(d.ctx, r))
	if a.Egress.Lookup(d.ctx, r.Settings.ZammadURL) != nil {
		return // that was told
	}
	ctx, cancel := context.WithTimeout(d.ctx, doctorTimeout)
	defer cancel()
	for _, f := range a.Desk.Examine(ctx, r) {
		if f.OK {
			d.ok(check, "%s", f.Sentence)
			continue
		}
		mend := f.Mend
		if flag := flagThatMends(f.Code); flag != "" {
			mend += ": " + set + " " + flag
		}
		d.fail(ExitZammad, check, cmp.Or(f.Err, errors.New(f.Sentence)), mend)
	}
}

// flagThatMends gives the flag with which what an examination found is mended
// here; empty where it is mended in Zammad.
func flagThatMends(code string) string {
	switch code {
	case "bad_address":
		return "--zammad-url URL"
	case "token_refused":
		return "--zammad-token-file FILE"
	case "group_unknown":
		return "--zammad-group NAME"
	case "privacy_refused":
		return "--erasure anonymise"
	default:
		return ""
	}
}

// refused tells of addresses that are not connected to, with the mend.
func (d *doctor) refused(check string, refused []error) {
	for _, err := range refused {
		mend := "set another address (deskbridge region set --help)"
		switch {
		case errors.Is(err, egress.ErrPrivate):
			mend = "if it is meant, add the address, its network or the host name to egress.allow in the configuration (docs/operate.md)"
		case errors.Is(err, egress.ErrPort):
			mend = "if it is meant, add the host name to egress.allow in the configuration (docs/operate.md)"
		case errors.Is(err, egress.ErrUnresolved):
			mend = "check the name, and the name servers of this machine"
		}
		d.fail(ExitZammad, check, err, mend)
	}
}

// erasures tells of what people wanted erased and Zammad does not do.
func (d *doctor) erasures(a *app.App) {
	counts, err := a.Store.Unerased(d.ctx)
	if err != nil {
		d.fail(ExitDatabase, "erasures", err, "see the message")
		return
	}
	for _, region := range a.Regions.All() {
		n := counts[region.ID]
		if n.Failed > 0 {
			d.warn("region "+region.Slug, fmt.Sprintf("Zammad refuses %d erasures; they are tried again once a day", n.Failed), "the log says why (\"an erasure is refused\"); docs/zammad.md, Erasing")
		}
		if waiting := n.Pending - n.Failed; waiting > 0 {
			d.ok("region "+region.Slug, "%d erasures are on their way to Zammad", waiting)
		}
	}
}
