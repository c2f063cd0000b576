package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

// demoPlace is a region of the demo, with a group of its own in the simulated
// Zammad.
type demoPlace struct {
	slug, name string
	group      string
	percentage float64 // the second is in the middle of its experiment
	languages  []bridge.Language
}

// demoPlaces are the demo's regions; the first is demoRegion.
var demoPlaces = [...]demoPlace{
	{demoRegion, "Testland", chatGroup, 100, []bridge.Language{{Code: "de", NativeName: "Deutsch"}, {Code: "en", NativeName: "English"}}},
	{"neustadt", "Neustadt", "App Chat Neustadt", 20, []bridge.Language{
		{Code: "de", NativeName: "Deutsch"}, {Code: "uk", NativeName: "Українська"}, {Code: "ar", NativeName: "العربية"},
	}},
}

// connect makes webhook and triggers (contract 4.5), and new notes public.
func (d *demo) connect(ctx context.Context, admin *zammad.Client, place demoPlace) error {
	groups, err := admin.Groups.List(ctx)
	if err != nil {
		return fmt.Errorf("read the groups: %w", err)
	}
	group := ""
	for _, g := range groups {
		if g.Name == place.group {
			group = strconv.FormatInt(int64(g.ID), 10)
		}
	}
	hook, err := admin.Webhooks.Create(ctx, zammad.Webhook{
		Name: "Deskbridge " + place.slug, Endpoint: d.webhook(place), SignatureToken: d.signature, SSLVerify: true, Active: true,
	})
	if err != nil {
		return fmt.Errorf("make the webhook: %w", err)
	}
	is := func(value any) zammad.Condition { return zammad.Condition{Operator: "is", Value: value} }
	inGroup := is([]string{group})
	for _, trigger := range []struct {
		name string
		when zammad.Conditions
	}{
		{"answers", zammad.Conditions{"ticket.group_id": inGroup, "article.action": is("create"),
			"article.sender_id": is([]string{"1", "3"}), "article.internal": is([]string{"false"})}}, // 1 and 3: Agent, System
		{"states", zammad.Conditions{"ticket.group_id": inGroup, "ticket.action": is("update"),
			"ticket.state_id": zammad.Condition{Operator: "has changed", Value: []string{}}}},
		{"merges", zammad.Conditions{"ticket.group_id": inGroup, "ticket.action": is("update.merged_into")}},
	} {
		_, err := admin.Triggers.Create(ctx, zammad.Trigger{
			Name: "Deskbridge " + place.slug + ": " + trigger.name, Condition: trigger.when, Activator: "action", ExecutionConditionMode: "selective", Active: true, DisableNotification: true,
			Perform: map[string]any{"notification.webhook": map[string]string{"webhook_id": strconv.FormatInt(int64(hook.ID), 10)}},
		})
		if err != nil {
			return fmt.Errorf("make the trigger %s: %w", trigger.name, err)
		}
	}
	settings, err := admin.Settings.List(ctx)
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	for _, s := range settings {
		if s.Name != "ui_ticket_zoom_article_note_new_internal" { // contract 3.4
			continue
		}
		if _, err := admin.Settings.Update(ctx, s.ID, zammad.Changes{"state_current": zammad.SettingValue{Value: false}}); err != nil {
			return fmt.Errorf("make new notes public: %w", err)
		}
	}
	return nil
}

func (d *demo) webhook(place demoPlace) string {
	return d.origin + "/api/v3/webhook/zammad/" + place.slug + "/"
}

// joinRegion adds the region, or lets the region of an earlier demo in this
// folder go on with the new Zammad; see Demo.
func (d *demo) joinRegion(ctx context.Context, a *App, place demoPlace, access zammadAccess) error {
	region, store := &bridge.Region{
		Slug: place.slug, Name: place.name, Enabled: true,
		Settings: bridge.RegionSettings{
			Languages: place.languages, Percentage: place.percentage, ZammadURL: access.URL, Document: bridge.RegionDocument{Live: true},
		}.WithDefaults(),
	}, a.Store.AddRegion
	if known, ok := a.Regions.BySlug(place.slug); ok {
		earlier := *known
		earlier.Settings.ZammadURL = access.URL + runPath + strings.ToLower(rand.Text())
		region, store = &earlier, a.Store.SaveRegion
	}
	region.Settings.ZammadGroup = place.group
	region.ZammadToken, region.WebhookSecret = bridge.Secret(access.BridgeToken), bridge.Secret(d.signature)
	if err := store(ctx, region); err != nil {
		return fmt.Errorf("store the region %s: %w", place.slug, err)
	}
	return a.Regions.Reload(ctx)
}
