package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"deskbridge/app"
	"deskbridge/bridge"
	"deskbridge/egress"
	"deskbridge/zammad"
)

// region examines a region and its Zammad: reachable, token, rights, group.
// mails says whether there is a mail server.
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
	if refused := a.RefusedAddresses(d.ctx, r); len(refused) > 0 {
		d.refused(check, refused)
		return
	}
	ctx, cancel := context.WithTimeout(d.ctx, doctorTimeout)
	defer cancel()
	client, err := zammad.New(zammad.Config{URL: r.Settings.ZammadURL, Token: string(r.ZammadToken), ReadTimeout: doctorTimeout / 2, Transport: a.Outbound})
	if err != nil {
		d.fail(ExitZammad, check, err, set+" --zammad-url URL")
		return
	}
	me, err := client.Users.Me(ctx)
	if err != nil {
		d.fail(ExitZammad, check, err, mendOf(err, set))
		return
	}
	d.ok(check, "%s answers, the token is of %s", r.Settings.ZammadURL, me.Login)
	d.group(ctx, client, me, r)
	d.privacy(ctx, a, r, set)
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

// privacy examines the second token, with which customers are erased.
func (d *doctor) privacy(ctx context.Context, a *app.App, r *bridge.Region, set string) {
	if r.Settings.Erasure != bridge.EraseDelete {
		return
	}
	check := "region " + r.Slug
	client, err := zammad.New(zammad.Config{URL: r.Settings.ZammadURL, Token: string(r.PrivacyToken), ReadTimeout: doctorTimeout / 2, Transport: a.Outbound})
	if err == nil {
		_, err = client.Erasures.List(ctx)
	}
	if err != nil {
		d.fail(ExitZammad, check+", data privacy", err, "give the token the permission admin.data_privacy, or: "+set+" --erasure anonymise")
		return
	}
	d.ok(check, "the second token may erase customers")
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

// mendOf says what to do about a Zammad that does not answer as it should.
func mendOf(err error, set string) string {
	switch {
	case errors.Is(err, zammad.ErrNotAuthorized):
		return "make a new token for the bridge's user in Zammad, then " + set + " --zammad-token-file FILE"
	case errors.Is(err, zammad.ErrForbidden):
		return "in Zammad: switch on API access by token (Manage > System > API), give the token the permission ticket.agent, end a maintenance mode"
	case errors.Is(err, zammad.ErrUnavailable):
		return "check the address and the way there (DNS, firewall, TLS), and that Zammad runs"
	default:
		return "check that the address is a Zammad's; its production.log knows more"
	}
}

// group examines what the bridge's user may do in the region's group.
func (d *doctor) group(ctx context.Context, client *zammad.Client, me zammad.User, r *bridge.Region) {
	check, group := "region "+r.Slug, r.Settings.ZammadGroup
	missing := missingRights(me.Groups[group])
	if len(missing) == 0 {
		d.ok(check, "the user has the rights in group %s", group)
		return
	}
	err := fmt.Errorf("in group %q the user lacks the rights %s", group, strings.Join(missing, ", "))
	mend := "in Zammad: give the bridge's user full rights in the group (Manage > Users)"
	// Whether the group exists at all only a user who may list groups can say.
	if groups, listing := client.Groups.List(ctx); listing == nil {
		at := slices.IndexFunc(groups, func(g zammad.Group) bool { return g.Name == group })
		switch {
		case at < 0:
			err = fmt.Errorf("there is no group %q that the user can see", group)
			mend = "make the group in Zammad, or name another: deskbridge region set " + r.Slug + " --zammad-group NAME"
		case !groups[at].Active:
			err = fmt.Errorf("the group %q is switched off", group)
			mend = "switch it on in Zammad (Manage > Groups)"
		}
	}
	d.fail(ExitZammad, check, err, mend)
}

// missingRights lists what the bridge needs and the user lacks. "full" holds
// all; create is for new tickets, change for messages and reopening.
func missingRights(has []string) []string {
	if slices.Contains(has, "full") {
		return nil
	}
	var missing []string
	for _, right := range []string{"read", "create", "change"} {
		if !slices.Contains(has, right) {
			missing = append(missing, right)
		}
	}
	return missing
}
