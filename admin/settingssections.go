package admin

import (
	"strings"
	"time"

	"deskbridge/bridge"
	"deskbridge/reception"
)

// section is a page of settings that are saved together. Its texts are
// "settings.section.<key>" and "settings.about.<key>".
type section struct {
	key    string
	fields func(*bridge.Region) []setting
	// ask gives the key of a question about a change that takes something away
	// ("settings.ask.<key>"); empty: nothing to ask. nil: never.
	ask func(from, to *bridge.Region) string
}

// sections are all settings of a region that its people see, but those of the
// gate, which has a page of its own.
func (d settingsDoor) sections() []section {
	fixed := func(fields ...setting) func(*bridge.Region) []setting {
		return func(*bridge.Region) []setting { return fields }
	}
	return []section{
		{key: "names", fields: fixed(
			line("name", func(r *bridge.Region) *string { return &r.Name }), languagesField())},
		{key: "hours", fields: fixed(hoursFields()...)},
		{key: "texts", fields: func(r *bridge.Region) []setting { return append(textFields(r), mannerFields()...) }},
		{key: "zammad", fields: fixed(d.zammadFields()...), ask: askMove},
		{key: "retention", fields: fixed(retentionFields()...), ask: askRetention},
		{key: "limits", fields: fixed(d.limitFields()...)},
		{key: "identity", fields: fixed(identityFields()...), ask: askIdentity},
		{key: "erasure", fields: fixed(
			choice("erasure", []string{string(bridge.EraseAnonymise), string(bridge.EraseNote), string(bridge.EraseDelete)}, func(r *bridge.Region) *bridge.ErasureRule { return &r.Settings.Erasure }),
			secret("privacy_token", func(r *bridge.Region) *bridge.Secret { return &r.PrivacyToken })), ask: askErasure},
		{key: "app", fields: fixed(appFields()...)},
		{key: "switch", fields: fixed(check("enabled", func(r *bridge.Region) *bool { return &r.Enabled })), ask: askSwitch},
	}
}

// The questions before what cannot simply be undone.

func askMove(from, to *bridge.Region) string {
	if from.Settings.ZammadURL != "" && from.Settings.ZammadURL != to.Settings.ZammadURL {
		return "move"
	}
	return ""
}

func askRetention(from, to *bridge.Region) string {
	if to.Retention() < from.Retention() {
		return "retention"
	}
	return ""
}

func askIdentity(from, to *bridge.Region) string {
	if to.Settings.Identity == bridge.IdentityEnforce && from.Settings.Identity != bridge.IdentityEnforce {
		return "identity"
	}
	return ""
}

func askErasure(from, to *bridge.Region) string {
	if to.Settings.Erasure == bridge.EraseDelete && from.Settings.Erasure != bridge.EraseDelete {
		return "erasure"
	}
	return ""
}

func askSwitch(from, to *bridge.Region) string {
	if from.Enabled && !to.Enabled {
		return "switch"
	}
	return ""
}

// weekdays are the names of days in forms, from Monday on.
var weekdays = [...]struct {
	name string
	day  time.Weekday
}{{"mo", time.Monday}, {"tu", time.Tuesday}, {"we", time.Wednesday}, {"th", time.Thursday}, {"fr", time.Friday}, {"sa", time.Saturday}, {"su", time.Sunday}}

func hoursFields() []setting {
	fields := []setting{
		check("reception.away_now", func(r *bridge.Region) *bool { return &r.Settings.Reception.AwayNow }),
		{
			name: "reception.time_zone", kind: "line",
			read: func(r *bridge.Region) string { return r.Settings.Reception.Zone.String() },
			write: func(r *bridge.Region, text string) bool {
				zone, err := reception.ParseZone(strings.TrimSpace(text))
				if err == nil {
					r.Settings.Reception.Zone = zone
				}
				return err == nil
			},
		},
	}
	for _, d := range weekdays {
		fields = append(fields, setting{
			name: "day." + d.name, of: "reception.opening_hours", kind: "line",
			read: func(r *bridge.Region) string { return reception.WeekOf(r.Settings.Reception.Hours)[d.day] },
			write: func(r *bridge.Region, text string) bool {
				before := reception.WeekOf(r.Settings.Reception.Hours)
				after := before
				after[d.day] = text
				hours, errs := after.Hours()
				// What means the same stays as it was written.
				if errs[d.day] == nil && reception.WeekOf(hours) != before {
					r.Settings.Reception.Hours = hours
				}
				return errs[d.day] == nil
			},
		})
	}
	return append(fields, setting{
		name: "reception.closed_dates", kind: "area",
		read: func(r *bridge.Region) string { return strings.Join(r.Settings.Reception.ClosedDates, "\n") },
		write: func(r *bridge.Region, text string) bool {
			r.Settings.Reception.ClosedDates = strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(" ,;\r\n\t", c) })
			return true
		},
	})
}

// mannerFields are about how agents appear.
func mannerFields() []setting {
	return []setting{
		choice("reception.agent_names", []string{"", "full", "first", "role"}, func(r *bridge.Region) *reception.Names { return &r.Settings.Reception.Names }),
		check("reception.typing_note", func(r *bridge.Region) *bool { return &r.Settings.Reception.TypingNote }),
		whole("reception.bot_seconds", func(r *bridge.Region) *int { return &r.Settings.Reception.BotSeconds }),
	}
}

func (d settingsDoor) zammadFields() []setting {
	return []setting{
		d.zammadURLField(),
		secret("zammad_token", func(r *bridge.Region) *bridge.Secret { return &r.ZammadToken }),
		secret("privacy_token", func(r *bridge.Region) *bridge.Secret { return &r.PrivacyToken }), // here too: it is typed again with the address
		line("zammad_group", func(r *bridge.Region) *string { return &r.Settings.ZammadGroup }),
		line("title_pattern", func(r *bridge.Region) *string { return &r.Settings.TitlePattern }),
		line("tag_pattern", func(r *bridge.Region) *string { return &r.Settings.TagPattern }),
		line("customer_login", func(r *bridge.Region) *string { return &r.Settings.CustomerLogin }),
		line("customer_name", func(r *bridge.Region) *string { return &r.Settings.CustomerName }),
		line("article_type", func(r *bridge.Region) *string { return &r.Settings.ArticleType }),
		line("consent_attribute", func(r *bridge.Region) *string { return &r.Settings.ConsentAttribute }),
		check("reveal_ticket_url", func(r *bridge.Region) *bool { return &r.Settings.RevealTicketURL }),
	}
}

func retentionFields() []setting {
	return []setting{
		whole("retention_days", func(r *bridge.Region) *int { return &r.Settings.RetentionDays }),
		whole("keep_files_hours", func(r *bridge.Region) *int { return &r.Settings.KeepFilesHours }),
	}
}

func (d settingsDoor) limitFields() []setting {
	return []setting{
		whole("max_text", func(r *bridge.Region) *int { return &r.Settings.MaxText }),
		kindsField(d.Rules.FileKinds),
		whole("max_files", func(r *bridge.Region) *int { return &r.Settings.MaxFiles }),
		whole("max_file_bytes", func(r *bridge.Region) *int64 { return &r.Settings.MaxFileBytes }),
		whole("max_files_bytes", func(r *bridge.Region) *int64 { return &r.Settings.MaxFilesBytes }),
	}
}

// identityFields are who signs the devices' tokens. One signer takes the place of
// another, so that never two are believed.
func identityFields() []setting {
	keys := area("identity_keys", func(r *bridge.Region) *string { return &r.Settings.IdentityKeys })
	keys.dir = "ltr"
	url := line("identity_keys_url", func(r *bridge.Region) *string { return &r.Settings.IdentityKeysURL })
	key := secret("identity_secret", func(r *bridge.Region) *bridge.Secret { return &r.IdentitySecret })
	for _, f := range []*setting{&keys, &url, &key} {
		read, write := f.read, f.write
		f.write = func(r *bridge.Region, text string) bool {
			text = strings.TrimSpace(text)
			if text == strings.TrimSpace(strings.ReplaceAll(read(r), "\r\n", "\n")) || text == "" && read(r) == "set" {
				return true
			}
			if text != "" {
				r.IdentitySecret, r.Settings.IdentityKeys, r.Settings.IdentityKeysURL = "", "", ""
			}
			return write(r, text)
		}
	}
	return []setting{
		choice("identity", []string{string(bridge.IdentityOff), string(bridge.IdentityLog), string(bridge.IdentityEnforce)}, func(r *bridge.Region) *bridge.IdentityMode { return &r.Settings.Identity }),
		url, keys, key,
		line("identity_issuer", func(r *bridge.Region) *string { return &r.Settings.IdentityIssuer }),
		line("identity_audience", func(r *bridge.Region) *string { return &r.Settings.IdentityAudience }),
	}
}

func appFields() []setting {
	return []setting{
		check("document.live", func(r *bridge.Region) *bool { return &r.Settings.Document.Live }),
		line("document.zammad_privacy_policy", func(r *bridge.Region) *string { return &r.Settings.Document.PrivacyPolicy }),
		line("document.name_without_prefix", func(r *bridge.Region) *string { return &r.Settings.Document.NameWithoutPrefix }),
		line("document.prefix", func(r *bridge.Region) *string { return &r.Settings.Document.Prefix }),
		degrees("document.latitude", func(r *bridge.Region) *float64 { return &r.Settings.Document.Latitude }),
		degrees("document.longitude", func(r *bridge.Region) *float64 { return &r.Settings.Document.Longitude }),
		boxField(), aliasesField(),
		check("document.events", func(r *bridge.Region) *bool { return &r.Settings.Document.Events }),
		check("document.pois", func(r *bridge.Region) *bool { return &r.Settings.Document.POIs }),
		check("document.push_notifications", func(r *bridge.Region) *bool { return &r.Settings.Document.PushNotifications }),
		check("document.external_news", func(r *bridge.Region) *bool { return &r.Settings.Document.ExternalNews }),
	}
}
