package cli

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"deskbridge/app"
	"deskbridge/bridge"
	"deskbridge/reception"
)

type regionCmd struct {
	Add    regionAddCmd    `cmd:"" help:"Add a region."`
	Set    regionSetCmd    `cmd:"" help:"Change settings of a region; what is not named stays."`
	List   regionListCmd   `cmd:"" help:"List all regions."`
	Show   regionShowCmd   `cmd:"" help:"Show a region; secrets are masked."`
	Remove regionRemoveCmd `cmd:"" help:"Remove a region with its chats, testers and deliveries. Zammad keeps its tickets."`
}

type regionAddCmd struct {
	Slug string `arg:"" help:"Name of the region in addresses: small letters, digits and hyphens."`
	regionFlags
	JSON bool `name:"json" help:"Print the region as JSON."`
}

// Run adds the region.
func (c *regionAddCmd) Run(s *invocation) error {
	region := &bridge.Region{Slug: c.Slug, Name: c.Slug}
	region.Settings.Document.Live = true // apps hide regions that are not
	if err := c.apply(s, region); err != nil {
		return err
	}
	if err := refused(app.RegionRules().Check(region)); err != nil {
		return err
	}
	return s.withApp(func(a *app.App) error {
		if err := a.Store.AddRegion(s.ctx, region); err != nil {
			return fmt.Errorf("region %s: %w", c.Slug, err)
		}
		return s.showRegion(region, c.JSON)
	})
}

type regionSetCmd struct {
	Slug string `arg:"" help:"The region."`
	regionFlags
	JSON bool `name:"json" help:"Print the region as JSON."`
}

// Run changes the region. A running serve obeys within two seconds.
func (c *regionSetCmd) Run(s *invocation) error {
	return s.withRegion(c.Slug, func(a *app.App, region *bridge.Region) error {
		changed := *region // regions in memory are shared
		if err := c.apply(s, &changed); err != nil {
			return err
		}
		if err := c.check(region, &changed); err != nil {
			return err
		}
		if err := a.Store.SaveRegion(s.ctx, &changed); err != nil {
			return fmt.Errorf("region %s: %w", c.Slug, err)
		}
		return s.showRegion(&changed, c.JSON)
	})
}

// check holds the change against the rules. Whoever may type commands here may
// also take back what another system set.
func (c *regionSetCmd) check(region, changed *bridge.Region) error {
	errs, err := app.RegionRules().CheckChange(region, changed)
	if err = errors.Join(err, refused(errs)); err != nil {
		return err
	}
	changes, err := bridge.Changes(region, changed)
	for _, change := range changes {
		changed.TakeBack(change.Field)
	}
	return err
}

type regionListCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

// Run lists the regions.
func (c *regionListCmd) Run(s *invocation) error {
	return s.withApp(func(a *app.App) error {
		views := make([]regionView, 0, len(a.Regions.All()))
		for _, region := range a.Regions.All() {
			views = append(views, s.viewOf(region))
		}
		if c.JSON {
			return s.printJSON(views)
		}
		t := s.table("REGION", "NAME", "STATE", "SERVED", "LANGUAGES", "ZAMMAD", "GROUP")
		for _, v := range views {
			t.row(v.Slug, v.Name, v.state(), fmt.Sprintf("%g %%", v.Percentage), strings.Join(codes(v.Languages), ","), v.ZammadURL, v.ZammadGroup)
		}
		return t.flush()
	})
}

type regionShowCmd struct {
	Slug string `arg:"" help:"The region."`
	JSON bool   `name:"json" help:"Print as JSON."`
}

// Run shows a region.
func (c *regionShowCmd) Run(s *invocation) error {
	return s.withRegion(c.Slug, func(_ *app.App, region *bridge.Region) error { return s.showRegion(region, c.JSON) })
}

type regionRemoveCmd struct {
	Slug string `arg:"" help:"The region."`
	Yes  bool   `help:"Really remove it; nothing brings it back."`
}

// Run removes a region, when asked twice.
func (c *regionRemoveCmd) Run(s *invocation) error {
	if !c.Yes {
		return coded(ExitUsage, fmt.Errorf("this removes all chats of %s for ever; add --yes to do it", c.Slug))
	}
	return s.withRegion(c.Slug, func(a *app.App, region *bridge.Region) error {
		if err := a.Store.RemoveRegion(s.ctx, region.ID); err != nil {
			return fmt.Errorf("region %s: %w", c.Slug, err)
		}
		s.printf("region %s is removed\n", c.Slug)
		return nil
	})
}

// withRegion opens the installation and finds a region in it.
func (s *invocation) withRegion(slug string, use func(*app.App, *bridge.Region) error) error {
	return s.withApp(func(a *app.App) error {
		region, ok := a.Regions.BySlug(slug)
		if !ok {
			return coded(ExitNotFound, fmt.Errorf("there is no region %q", slug))
		}
		return use(a, region)
	})
}

// regionView is a region as commands print it: no secret, no salt.
type regionView struct {
	Slug             string `json:"slug"`
	Name             string `json:"name"`
	Enabled          bool   `json:"enabled"`
	HasZammadToken   bool   `json:"has_zammad_token"`
	HasWebhookSecret bool   `json:"has_webhook_signature_token"`
	HasWebhookToken  bool   `json:"has_webhook_token"`
	HasPrivacyToken  bool   `json:"has_zammad_privacy_token"`
	HasIdentity      bool   `json:"has_identity_secret"`
	HasAlertSecret   bool   `json:"has_alert_webhook_secret"`
	HasAlertToken    bool   `json:"has_alert_ntfy_token"`
	WebhookURL       string `json:"webhook_url"` // for the webhook in Zammad; without public_url only the path
	bridge.RegionSettings
}

func (s *invocation) viewOf(r *bridge.Region) regionView {
	return regionView{
		Slug: r.Slug, Name: r.Name, Enabled: r.Enabled,
		HasZammadToken: r.ZammadToken != "", HasWebhookSecret: r.WebhookSecret != "", HasWebhookToken: r.WebhookToken != "",
		HasPrivacyToken: r.PrivacyToken != "", HasIdentity: r.IdentitySecret != "",
		HasAlertSecret: r.AlertSecret != "", HasAlertToken: r.AlertToken != "",
		WebhookURL:     strings.TrimSuffix(s.publicURL, "/") + "/api/v3/webhook/zammad/" + r.Slug + "/",
		RegionSettings: r.Settings.WithDefaults(),
	}
}

// signer says how the tokens of devices are signed.
func (v regionView) signer() string {
	switch {
	case v.HasIdentity:
		return "a shared secret"
	case v.IdentityKeysURL != "":
		return "the keys at " + v.IdentityKeysURL
	case v.IdentityKeys != "":
		return "the keys that were given"
	default:
		return "nobody"
	}
}

func (v regionView) state() string {
	switch {
	case !v.Enabled:
		return "off"
	case v.ZammadURL == "" || !v.HasZammadToken:
		return "no Zammad"
	default:
		return "on"
	}
}

func codes(languages []bridge.Language) []string {
	list := make([]string, 0, len(languages))
	for _, l := range languages {
		list = append(list, l.Code)
	}
	return list
}

func (s *invocation) showRegion(r *bridge.Region, asJSON bool) error {
	v := s.viewOf(r)
	if asJSON {
		return s.printJSON(v)
	}
	given := map[bool]string{true: "set", false: "not set"}
	languages := make([]string, 0, len(v.Languages))
	for _, l := range v.Languages {
		languages = append(languages, l.Code+" ("+l.NativeName+")")
	}
	t := s.table()
	for _, line := range [][2]string{
		{"region", v.Slug}, {"name", v.Name}, {"state", v.state()},
		{"languages", strings.Join(languages, ", ")},
		{"served", rampOf(v.RegionSettings)},
		{"only languages", cmp.Or(strings.Join(v.GateLanguages, ", "), "all")},
		{"only app versions from", cmp.Or(v.MinAppVersion, "all")},
		{"hidden until full", fmt.Sprint(v.HideUntilFull)},
		{"Zammad", v.ZammadURL}, {"group", v.ZammadGroup}, {"Zammad token", given[v.HasZammadToken]},
		{"webhook signature token", given[v.HasWebhookSecret]}, {"webhook ?token=", given[v.HasWebhookToken]}, {"webhook address", v.WebhookURL},
		{"title", v.TitlePattern}, {"tag", v.TagPattern}, {"customer login", v.CustomerLogin}, {"customer name", v.CustomerName},
		{"article type", v.ArticleType}, {"consent attribute", v.ConsentAttribute}, {"ticket URL shown", fmt.Sprint(v.RevealTicketURL)},
		{"longest message", fmt.Sprintf("%d characters", v.MaxText)}, {"retention", fmt.Sprintf("%d days", v.RetentionDays)},
		{"agents' names", cmp.Or(string(v.Reception.Names), "none")}, {"opening hours", hoursOf(v.Reception)},
		{"own texts", cmp.Or(strings.Join(slices.Sorted(maps.Keys(v.Reception.Texts)), ", "), "none")},
		{"note while a person writes", fmt.Sprint(v.Reception.TypingNote)}, {"bot answers within", fmt.Sprintf("%d s (0: no bot)", v.Reception.BotSeconds)},
		{"files", cmp.Or(strings.Join(v.FileKinds, ", "), "all kinds")}, {"files kept", fmt.Sprintf("%d hours after Zammad has them", v.KeepFilesHours)},
		{"erasure in Zammad", string(v.Erasure)}, {"data privacy token", given[v.HasPrivacyToken]},
		{"identity", string(v.Identity)}, {"identity signed by", v.signer()},
		{"notice after", noticeOf(v.Alert)}, {"notices to", receiversOf(v.Alert)},
		{"notices' signature key", given[v.HasAlertSecret]}, {"ntfy token", given[v.HasAlertToken]},
	} {
		t.row(line[0]+":", line[1])
	}
	return t.flush()
}

// hoursOf shows when people answer.
func hoursOf(r reception.Rules) string {
	hours := make([]string, 0, len(r.Hours))
	for _, o := range r.Hours {
		hours = append(hours, o.String())
	}
	text := "always"
	if len(hours) > 0 {
		text = strings.Join(hours, ", ") + " (" + r.Zone.String() + ")"
	}
	if len(r.ClosedDates) > 0 {
		text += ", but not on " + strings.Join(r.ClosedDates, ", ")
	}
	if r.AwayNow {
		text += "; away now"
	}
	return text
}

// errTwoInputs: standard input can be read once.
var errTwoInputs = errors.New("only one of the files can be - (standard input)")
