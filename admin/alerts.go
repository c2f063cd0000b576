package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// AlertDeps are what the page about notices to the staff needs.
type AlertDeps struct {
	Store interface {
		Alerts(ctx context.Context, r bridge.RegionID, limit int) ([]bridge.Alert, error)
		SaveRegion(ctx context.Context, r *bridge.Region) error
	}
	// Test sends a test notice by a region's settings.
	Test func(ctx context.Context, r *bridge.Region) []bridge.AlertChannel
	// Refuses says why an address may not be connected to, as the end of a text
	// key "alerts.fault."; empty: it may.
	Refuses func(ctx context.Context, address string) string
	Mail    bool // there is a mail server
}

const alertsPath = "/admin/regions/:region/alerts/"

// lastAlerts is how many notices the page lists.
const lastAlerts = 20

// alerts is the page about notices to the staff.
type alerts struct{ *Door }

func (d alerts) routes() []route {
	return []route{
		{http.MethodGet, alertsPath, staff.Read, d.show},
		{http.MethodPost, alertsPath, staff.Change, d.save},
		{http.MethodPost, alertsPath + "test/", staff.Change, d.test},
	}
}

// alertsView is what the page shows.
type alertsView struct {
	Form     alertForm
	Stored   *bridge.Region
	Mail     bool                  // there is a mail server
	Changed  bool                  // somebody else has saved meanwhile
	Problems map[string]string     // by the name of the field
	Tested   []bridge.AlertChannel // what became of a test notice; nil: none was sent
	Alerts   []shownAlert
}

// shownAlert is a notice with the address of its ticket.
type shownAlert struct {
	bridge.Alert
	URL string
}

// Host is the host of an address: the rest may be secret.
func (alertsView) Host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

func (d alerts) show(r *Request) error {
	view, err := d.view(r, alertFormOf(r.Region))
	if err != nil {
		return err
	}
	return r.Show("alerts", view)
}

func (d alerts) view(r *Request, form alertForm) (alertsView, error) {
	view := alertsView{Form: form, Stored: r.Region, Mail: d.Alerts.Mail}
	all, err := d.Alerts.Store.Alerts(r.Request.Context(), r.Region.ID, lastAlerts)
	for _, a := range all {
		shown := shownAlert{Alert: a}
		if a.Ticket != 0 {
			shown.URL = d.TicketURL(r.Region, a.Ticket)
		}
		view.Alerts = append(view.Alerts, shown)
	}
	return view, err
}

// fresh reads the region as it is stored now.
func (d alerts) fresh(r *Request) error {
	if err := d.Regions.Reload(r.Request.Context()); err != nil {
		return err
	}
	stored, ok := d.Regions.ByID(r.Region.ID)
	if !ok {
		return errNotFound
	}
	r.Region = stored
	return nil
}

// save stores the form, unless somebody else was faster.
func (d alerts) save(r *Request) error {
	fields, err := r.Form()
	if err != nil {
		return err
	}
	if err := d.fresh(r); err != nil {
		return err
	}
	form, changed := typedAlertForm(fields), *r.Region
	set := r.Region.Settings.Alert
	problems := form.apply(r, &set)
	changed.MoveAlerts(set)
	typedSecret(r, fields, "webhook_secret", &changed.AlertSecret, problems)
	typedSecret(r, fields, "ntfy_token", &changed.AlertToken, problems)
	if r.Region.AlertToken != "" && changed.AlertToken == "" && set.NtfyURL != "" && fields.Get("ntfy_token_gone") == "" && problems["ntfy_token"] == "" {
		problems["ntfy_token"] = r.T("alerts.token_again")
	}
	d.reachable(r, changed.Settings.Alert, problems)
	if len(problems) > 0 {
		return d.again(r, http.StatusUnprocessableEntity, form, problems, false)
	}
	err = bridge.ErrRegionChanged
	if form.Version == r.Region.Version {
		err = d.Alerts.Store.SaveRegion(r.Request.Context(), &changed)
	}
	if errors.Is(err, bridge.ErrRegionChanged) {
		if err := d.fresh(r); err != nil {
			return err
		}
		form.Version = r.Region.Version
		return d.again(r, http.StatusConflict, form, nil, true)
	}
	if err == nil {
		err = d.Regions.Reload(r.Request.Context())
	}
	if err != nil {
		return err
	}
	return r.Done(r.Path("alerts/"), "saved")
}

// again shows what was typed, with what is wrong with it.
func (d alerts) again(r *Request, status int, form alertForm, problems map[string]string, changed bool) error {
	view, err := d.view(r, form)
	if err != nil {
		return err
	}
	view.Problems, view.Changed = problems, changed
	return r.ShowStatus(status, "alerts", view)
}

// reachable says of new addresses whether Deskbridge connects to them. One that
// is stored already is not asked about, lest a name server that is down keep
// people from changing the rest.
func (d alerts) reachable(r *Request, set bridge.AlertSettings, problems map[string]string) {
	for _, a := range []struct{ field, typed, stored string }{
		{"webhook_url", set.WebhookURL, r.Region.Settings.Alert.WebhookURL}, {"ntfy_url", set.NtfyURL, r.Region.Settings.Alert.NtfyURL},
	} {
		if a.typed == "" || a.typed == a.stored || problems[a.field] != "" {
			continue
		}
		if why := d.Alerts.Refuses(r.Request.Context(), a.typed); why != "" {
			key := "alerts.fault." + why
			problems[a.field] = r.T(key)
		}
	}
}

// test sends a test notice by what is stored, and shows what became of it.
func (d alerts) test(r *Request) error {
	if err := d.fresh(r); err != nil {
		return err
	}
	view, err := d.view(r, alertFormOf(r.Region))
	if err != nil {
		return err
	}
	view.Tested = d.Alerts.Test(r.Request.Context(), r.Region)
	return r.Show("alerts", view)
}

// alertForm is the form as it is typed, without secrets.
type alertForm struct {
	Version                                int64
	Minutes, Language, WebhookURL, NtfyURL string
	Emails                                 string // one in a line
}

func alertFormOf(r *bridge.Region) alertForm {
	set := r.Settings.Alert
	return alertForm{
		Version: r.Version, Minutes: strconv.Itoa(set.Minutes), Language: set.Language, WebhookURL: set.WebhookURL, NtfyURL: set.NtfyURL,
		Emails: strings.Join(set.Emails, "\n"),
	}
}

func typedAlertForm(fields url.Values) alertForm {
	version, _ := strconv.ParseInt(fields.Get("version"), 10, 64) // nonsense is nobody's version
	return alertForm{
		Version: version, Minutes: strings.TrimSpace(fields.Get("minutes")), Language: fields.Get("language"),
		WebhookURL: strings.TrimSpace(fields.Get("webhook_url")), NtfyURL: strings.TrimSpace(fields.Get("ntfy_url")), Emails: fields.Get("emails"),
	}
}

// apply changes settings by the form, and says what is wrong with it, by field.
func (f alertForm) apply(r *Request, set *bridge.AlertSettings) map[string]string {
	problems := make(map[string]string)
	minutes, err := strconv.Atoi(f.Minutes)
	if err != nil || minutes < 0 || minutes > bridge.MaxAlertMinutes {
		problems["minutes"] = r.T("alerts.bad_minutes", bridge.MaxAlertMinutes)
	}
	*set = bridge.AlertSettings{Minutes: minutes, Language: f.Language, WebhookURL: f.WebhookURL, NtfyURL: f.NtfyURL}
	if !slices.Contains([]string{"", "de", "en"}, f.Language) {
		problems["language"] = r.T("alerts.bad_language")
	}
	for _, address := range strings.FieldsFunc(f.Emails, func(c rune) bool { return strings.ContainsRune(" \t\r\n,;", c) }) {
		switch {
		case !bridge.IsEmail(address):
			problems["emails"] = r.T("alerts.bad_email", address)
		case !slices.Contains(set.Emails, address):
			set.Emails = append(set.Emails, address)
		}
	}
	if len(set.Emails) > bridge.MaxAlertEmails {
		problems["emails"] = r.T("alerts.many_emails", bridge.MaxAlertEmails)
	}
	if minutes > 0 && len(set.Emails) == 0 && f.Emails == "" && f.WebhookURL == "" && f.NtfyURL == "" {
		problems["minutes"] = r.T("alerts.nowhere")
	}
	for field, address := range map[string]string{"webhook_url": f.WebhookURL, "ntfy_url": f.NtfyURL} {
		if len(address) > bridge.MaxAlertURL {
			problems[field] = r.T("alerts.long_url", bridge.MaxAlertURL)
		}
	}
	return problems
}

// maxSecret is the longest secret that is typed, in bytes.
const maxSecret = 1000

// typedSecret takes a secret from a field that is never filled in: empty leaves
// what is stored, and a tick at <name>_gone removes it.
func typedSecret(r *Request, fields url.Values, name string, to *bridge.Secret, problems map[string]string) {
	typed := strings.TrimSpace(fields.Get(name))
	switch {
	case fields.Get(name+"_gone") != "":
		*to = ""
	case typed == "":
	case len(typed) > maxSecret || strings.ContainsFunc(typed, func(c rune) bool { return c <= ' ' || c > '~' }):
		problems[name] = r.T("alerts.bad_secret", maxSecret)
	default:
		*to = bridge.Secret(typed)
	}
}
