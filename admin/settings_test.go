package admin_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"deskbridge/bridge"
	"deskbridge/staff"
)

const northSettings = "/admin/regions/north/settings/"

// field finds a value in a page.
func (a answer) field(name string) string {
	a.w.Helper()
	tag := regexp.MustCompile(`<(?:input|textarea|select)[^>]* name="` + regexp.QuoteMeta(name) + `"[^>]*>`).FindString(a.body)
	if tag == "" {
		a.w.Fatalf("there is no field %s", name)
	}
	if strings.HasPrefix(tag, "<textarea") {
		rest := a.body[strings.Index(a.body, tag)+len(tag):]
		return strings.TrimPrefix(rest[:strings.Index(rest, "</textarea>")], "\n")
	}
	value := regexp.MustCompile(` value="([^"]*)"`).FindStringSubmatch(tag)
	if value == nil {
		return ""
	}
	return value[1]
}

// kept reads a region as it is stored now.
func (w *world) kept(r *bridge.Region) *bridge.Region {
	w.Helper()
	now, err := w.app.Store.Region(w.Context(), r.ID)
	if err != nil {
		w.Fatal(err)
	}
	return now
}

// save sends a section with some fields, as the page has them at the moment.
func (b *browser) save(section string, fields url.Values) answer {
	b.w.Helper()
	sent := url.Values{"tag": {b.get(northSettings + section + "/").is(http.StatusOK).field("tag")}}
	for name, values := range fields {
		sent[name] = values
	}
	return b.post(northSettings+section+"/", sent)
}

// notes are the entries of the audit about a region, the newest first.
func (w *world) notes(r *bridge.Region) []bridge.AuditEntry {
	w.Helper()
	all, err := w.app.Store.Audit(w.Context(), bridge.AuditQuery{Regions: []bridge.RegionID{r.ID}, Limit: 100})
	if err != nil {
		w.Fatal(err)
	}
	return all
}

var sectionNames = []string{"names", "hours", "texts", "zammad", "retention", "limits", "identity", "erasure", "app", "switch"}

func TestSettingsAreSaved(t *testing.T) {
	eachWorld(t, func(w *world) {
		admin := w.person("admin", staff.RegionAdmin, w.north)
		admin.get(northSettings).is(http.StatusOK).says("Opening hours", "Connection to Zammad", "Retention")
		admin.save("hours", url.Values{
			"reception.time_zone": {"Europe/Berlin"}, "day.mo": {"08:00–12:00; 13:00-17:00"}, "day.sa": {"22:00-02:00"}, "reception.closed_dates": {"2026-12-25\r\n2026-12-26"}, "reception.away_now": {"on"},
		}).leads(northSettings + "hours/?done=saved")
		now := w.kept(w.north)
		if r := now.Settings.Reception; len(r.Hours) != 3 || r.Hours[0].String() != "mo 08:00-12:00" || r.Zone.String() != "Europe/Berlin" || len(r.ClosedDates) != 2 || !r.AwayNow {
			t.Errorf("%+v", r)
		}
		page := admin.get(northSettings + "hours/?done=saved").says("Saved.")
		if page.field("day.mo") != "08:00-12:00, 13:00-17:00" || page.field("day.tu") != "" {
			t.Error(page.field("day.mo"), page.field("day.tu"))
		}
		admin.save("texts", url.Values{"reception.texts.de.away": {"Morgen.\r\nBestimmt."}, "reception.agent_names": {"role"}}).leads(northSettings + "texts/?done=saved")
		admin.save("limits", url.Values{"max_text": {"500"}, "file_kinds": {"pdf", "jpeg", "exe"}, "max_files": {"2"}}).leads(northSettings + "limits/?done=saved")
		admin.save("names", url.Values{"languages": {"de Deutsch\nar العربية\n"}}).leads(northSettings + "names/?done=saved")
		now = w.kept(w.north)
		if s := now.Settings; s.Reception.Texts["de"].Away != "Morgen.\nBestimmt." || s.MaxText != 500 || strings.Join(s.FileKinds, " ") != "jpeg pdf" || s.Languages[1].NativeName != "العربية" || now.Name != "North" {
			t.Errorf("%+v", s)
		}
		if notes := w.notes(w.north); len(notes) != 5 || notes[0].Actor.Name != "admin" || notes[0].Action != "region.change" || notes[0].Changes[0].Field != "languages" {
			t.Errorf("%+v", notes)
		}
		// What is sent as it was shown changes nothing, and makes no entry.
		for _, section := range sectionNames {
			admin.saveAsShown(section)
		}
		if after := w.kept(w.north); after.Version != now.Version {
			t.Errorf("saving what is shown changed something: %+v", w.notes(w.north)[0].Changes)
		}
	})
}

// saveAsShown sends a page's form as a browser does that nobody touched.
func (b *browser) saveAsShown(section string) {
	b.w.Helper()
	page := b.get(northSettings + section + "/").is(http.StatusOK)
	form := page.body[strings.Index(page.body, `<form method="post" action="`+northSettings+section):]
	form = form[:strings.Index(form, "</form>")]
	sent := url.Values{}
	for _, m := range regexp.MustCompile(`<input[^>]*>`).FindAllString(form, -1) {
		name := regexp.MustCompile(` name="([^"]*)"`).FindStringSubmatch(m)
		value := regexp.MustCompile(` value="([^"]*)"`).FindStringSubmatch(m)
		if name != nil && value != nil && (!strings.Contains(m, "checkbox") || strings.Contains(m, " checked")) {
			sent.Add(name[1], unescape(value[1]))
		}
	}
	for _, m := range regexp.MustCompile(`(?s)<textarea[^>]* name="([^"]*)"[^>]*>\n(.*?)</textarea>`).FindAllStringSubmatch(form, -1) {
		sent.Set(m[1], strings.ReplaceAll(unescape(m[2]), "\n", "\r\n"))
	}
	for _, m := range regexp.MustCompile(`(?s)<select[^>]* name="([^"]*)"[^>]*>(.*?)</select>`).FindAllStringSubmatch(form, -1) {
		if chosen := regexp.MustCompile(`value="([^"]*)" selected`).FindStringSubmatch(m[2]); chosen != nil {
			sent.Set(m[1], chosen[1])
		}
	}
	b.post(northSettings+section+"/", sent).leads(northSettings + section + "/?done=saved")
}

func unescape(text string) string {
	return strings.NewReplacer("&#43;", "+", "&#34;", `"`, "&#39;", "'", "&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(text)
}

// TestHostileSettings: whatever is typed into any field is refused or shown as
// text, and never breaks a page.
func TestHostileSettings(t *testing.T) {
	w := oneWorld(t)
	admin := w.person("admin", staff.RegionAdmin, w.north)
	big := strings.Repeat("x", 900<<10)
	for _, section := range sectionNames {
		page := admin.get(northSettings + section + "/").is(http.StatusOK)
		names := regexp.MustCompile(`<(?:input|textarea|select)[^>]* name="([a-z_.]+)"`).FindAllStringSubmatch(page.body, -1)
		if len(names) == 0 {
			t.Errorf("%s has no fields", section)
		}
		for _, name := range names {
			if name[1] == "tag" || name[1] == "sure" {
				continue
			}
			for _, value := range []string{`"><script>alert(1)</script>`, "a\u202eb", "a\x00b", "\xff\xfe", "-1", "1e400", "NaN", "99999999999999999999", "javascript:alert(1)", "{device}", big} {
				a := admin.save(section, url.Values{name[1]: {value}})
				if a.status != http.StatusUnprocessableEntity && a.status != http.StatusSeeOther {
					t.Fatalf("%s %.30q: %d\n%.500s", name[1], value, a.status, a.text())
				}
				a.lacks("<script>alert")
				admin.get(northSettings + section + "/").is(http.StatusOK).lacks("<script>alert")
			}
		}
	}
	admin.post(northSettings+"names/", url.Values{"name": {big + big}}).is(http.StatusRequestEntityTooLarge)
	now := w.kept(w.north)
	for _, text := range []string{now.Name, now.Settings.ZammadURL, now.Settings.ZammadGroup, now.Settings.Reception.Texts["de"].Away} {
		if strings.ContainsAny(text, "\u202e\x00") || len(text) > 1000 {
			t.Errorf("stored: %.100q", text)
		}
	}
	w.person("operator", staff.Operator).get("/admin/regions/").is(http.StatusOK).lacks("<script>alert")
}

// TestOnlyWhatThePageHasIsSaved: fields of other pages, and what is no field, mean
// nothing.
func TestOnlyWhatThePageHasIsSaved(t *testing.T) {
	w := oneWorld(t)
	before := w.kept(w.north)
	w.person("admin", staff.RegionAdmin, w.north).save("names", url.Values{
		"name": {"Norden"}, "enabled": {""}, "slug": {"south"}, "zammad_url": {"https://evil.example.org"}, "zammad_token": {"evil"}, "percentage": {"100"}, "id": {"2"},
		"version": {"9"}, "salt": {"x"}, "region": {"south"}, "managed": {"x"}, "webhook_secret": {"evil"}, "retention_days": {"1"},
	}).leads(northSettings + "names/?done=saved")
	after := w.kept(w.north)
	want := *before
	want.Name, want.Version, want.UpdatedAt = "Norden", after.Version, after.UpdatedAt
	changes, err := bridge.Changes(&want, after)
	if err != nil || len(changes) != 0 || after.Salt != before.Salt || after.ID != before.ID {
		t.Errorf("%v %+v", err, changes)
	}
	if other := w.kept(w.south); other.Version != w.south.Version {
		t.Error("another region was changed")
	}
}

// TestSettingsOfOthers: a foreign region does not exist, by its name or number,
// and whoever may only read changes nothing.
func TestSettingsOfOthers(t *testing.T) {
	w := oneWorld(t)
	admin, viewer := w.person("admin", staff.RegionAdmin, w.north), w.person("viewer", staff.Viewer, w.north)
	for _, slug := range []string{"south", "2", "nowhere", "NORTH", "north%2F..%2Fsouth"} {
		for _, path := range []string{"settings/", "settings/names/", "settings/zammad/"} {
			admin.get("/admin/regions/" + slug + "/" + path).is(http.StatusNotFound)
		}
		for _, path := range []string{"settings/names/", "settings/zammad/test/", "settings/zammad/webhook-secret/", "settings/zammad/webhook-token/", "settings/take-back/"} {
			admin.post("/admin/regions/"+slug+"/"+path, url.Values{"name": {"x"}}).is(http.StatusNotFound)
		}
	}
	admin.get(northSettings + "none/").is(http.StatusNotFound)
	admin.post(northSettings+"none/", url.Values{}).is(http.StatusNotFound)
	for _, section := range sectionNames {
		page := viewer.get(northSettings + section + "/").is(http.StatusOK).says("not change them").lacks("<button>Save")
		for _, tag := range regexp.MustCompile(`<(?:input|textarea|select)[^>]* name="[^"]+"[^>]*>`).FindAllString(page.body, -1) {
			if !strings.Contains(tag, "readonly") && !strings.Contains(tag, "disabled") && !strings.Contains(tag, "hidden") {
				t.Errorf("a viewer may type into %s", tag)
			}
		}
		viewer.post(northSettings+section+"/", url.Values{"name": {"x"}}).is(http.StatusForbidden)
	}
	for _, path := range []string{"zammad/test/", "zammad/webhook-secret/", "zammad/webhook-token/"} {
		viewer.post(northSettings+path, url.Values{}).is(http.StatusForbidden)
	}
	for _, b := range []*browser{admin, viewer} {
		for _, path := range []string{"/admin/regions/", "/admin/tokens/", "/admin/tokens/revoke/1/"} {
			b.get(path).is(http.StatusForbidden)
			b.post(path, url.Values{}).is(http.StatusForbidden)
		}
		b.post(northSettings+"take-back/", url.Values{}).is(http.StatusForbidden)
	}
	if w.kept(w.north).Version != w.north.Version {
		t.Error("somebody changed it")
	}
}

// TestTwoAdminsSaveSettingsAtOnce: the second is told, sees both values, and keeps what they
// typed; whoever saves other settings is not in the way.
func TestTwoAdminsSaveSettingsAtOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		first, second := w.person("first", staff.RegionAdmin, w.north), w.person("second", staff.RegionAdmin, w.north)
		tag := second.get(northSettings + "names/").field("tag")
		first.save("limits", url.Values{"max_text": {"500"}}).is(http.StatusSeeOther)
		first.save("names", url.Values{"name": {"The first's"}}).is(http.StatusSeeOther)
		a := second.post(northSettings+"names/", url.Values{"tag": {tag}, "name": {"The second's"}}).is(http.StatusConflict)
		a.says("Somebody else has saved here in the meantime", "Stored now: The first's")
		if unescape(a.field("name")) != "The second's" || w.kept(w.north).Name != "The first's" {
			t.Errorf("typed %q, stored %q", a.field("name"), w.kept(w.north).Name)
		}
		// Knowing both, the second decides.
		second.post(northSettings+"names/", url.Values{"tag": {a.field("tag")}, "name": {unescape(a.field("name"))}}).is(http.StatusSeeOther)
		if now := w.kept(w.north); now.Name != "The second's" || now.Settings.MaxText != 500 {
			t.Errorf("%+v", now)
		}
		// In the very same moment only one of them is taken.
		tag = first.get(northSettings + "names/").field("tag")
		before, statuses := len(w.notes(w.north)), make([]int, 6)
		var wait sync.WaitGroup
		for i := range statuses {
			wait.Go(func() {
				statuses[i] = first.post(northSettings+"names/", url.Values{"tag": {tag}, "name": {"Name " + strings.Repeat("x", i)}}).status
			})
		}
		wait.Wait()
		taken := 0
		for _, status := range statuses {
			if status == http.StatusSeeOther {
				taken++
			} else if status != http.StatusConflict {
				t.Errorf("status %d", status)
			}
		}
		if notes := len(w.notes(w.north)) - before; taken != 1 || notes != 1 {
			t.Errorf("%d are taken, %d noted", taken, notes)
		}
	})
}

func TestManagedFieldsInTheConsole(t *testing.T) {
	w := oneWorld(t)
	managed := *w.kept(w.north)
	managed.Settings.MaxText = 700
	managed.Settings.Reception.AwayNow = true
	managed.Manage("City <CRM>", []string{"max_text", "reception.away_now", "reception.texts", "reception.opening_hours"})
	if err := w.app.Store.SaveRegion(t.Context(), &managed); err != nil {
		t.Fatal(err)
	}
	admin, operator := w.person("admin", staff.RegionAdmin, w.north), w.person("operator", staff.Operator)
	page := admin.get(northSettings+"limits/").says("“City <CRM>” sets this field").lacks("Take “", "City <CRM>")
	if tag := regexp.MustCompile(`<input[^>]* name="max_text"[^>]*>`).FindString(page.body); !strings.Contains(tag, "readonly") {
		t.Error(tag)
	}
	admin.save("limits", url.Values{"max_text": {"1"}, "max_files": {"3"}}).is(http.StatusSeeOther)
	admin.save("hours", url.Values{"day.mo": {"08:00-09:00"}, "reception.time_zone": {"Europe/Berlin"}}).is(http.StatusSeeOther)
	admin.save("texts", url.Values{"reception.texts.de.away": {"x"}}).is(http.StatusSeeOther)
	now := w.kept(w.north)
	if s := now.Settings; s.MaxText != 700 || s.MaxFiles != 3 || !s.Reception.AwayNow || s.Reception.Hours != nil || s.Reception.Texts != nil || s.Reception.Zone.String() != "Europe/Berlin" {
		t.Errorf("%+v", s)
	}
	operator.get(northSettings + "limits/").says("Take “Longest message (characters)” back from “City <CRM>”")
	operator.post(northSettings+"take-back/", url.Values{"field": {"max_text"}, "section": {"limits"}}).leads(northSettings + "limits/?done=saved")
	operator.post(northSettings+"take-back/", url.Values{"field": {"max_text"}}).is(http.StatusNotFound)
	admin.save("limits", url.Values{"max_text": {"800"}}).is(http.StatusSeeOther)
	if got := w.kept(w.north).Settings; got.MaxText != 800 || got.Managed["max_text"] != "" || got.Managed["reception.texts"] == "" {
		t.Errorf("%+v", got)
	}
}

// TestWhatTakesAwayIsAsked: shorter retention, another Zammad, a region that is
// switched off.
func TestWhatTakesAwayIsAsked(t *testing.T) {
	w := oneWorld(t)
	r := *w.kept(w.north)
	r.Settings.ZammadURL, r.Settings.ZammadGroup, r.ZammadToken, r.WebhookSecret = "https://zammad.example.org", "Beratung", "hunter2", "hunter2"
	if err := w.app.Store.SaveRegion(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	if err := w.app.Regions.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	admin := w.person("admin", staff.RegionAdmin, w.north)
	for section, fields := range map[string]url.Values{
		"retention": {"retention_days": {"7"}},
		"switch":    {"other": {"x"}}, // no tick is no
		"zammad":    {"zammad_url": {"https://other.example.org"}, "zammad_token": {"typed-hunter2"}},
	} {
		before := w.kept(w.north).Version
		asked := admin.save(section, fields).is(http.StatusUnprocessableEntity).says("Yes, this is what I want").lacks("hunter2")
		if w.kept(w.north).Version != before {
			t.Errorf("%s was saved before the answer", section)
		}
		fields.Set("sure", "yes")
		fields.Set("tag", asked.field("tag"))
		admin.post(northSettings+section+"/", fields).is(http.StatusSeeOther)
	}
	now := w.kept(w.north)
	if now.Enabled || now.Settings.RetentionDays != 7 || now.Settings.ZammadURL != "https://other.example.org" || now.ZammadToken != "typed-hunter2" {
		t.Errorf("%+v", now)
	}
	// The token does not follow the address.
	a := admin.save("zammad", url.Values{"zammad_url": {"https://third.example.org"}, "sure": {"yes"}}).is(http.StatusUnprocessableEntity)
	a.says("The address has changed. Please type the token of the new Zammad").lacks("hunter2")
	if w.kept(w.north).Settings.ZammadURL != "https://other.example.org" {
		t.Error("the address was changed without a token")
	}
	// A new key for webhooks is shown once, and the old one is not lost by a slip.
	admin.post(northSettings+"zammad/webhook-secret/", url.Values{}).is(http.StatusUnprocessableEntity).says("Please tick")
	if w.kept(w.north).WebhookSecret != "hunter2" {
		t.Error("the key was changed before the answer")
	}
	page := admin.post(northSettings+"zammad/webhook-secret/", url.Values{"sure": {"yes"}}).is(http.StatusOK)
	secret := string(w.kept(w.north).WebhookSecret)
	if len(secret) < 40 || !strings.Contains(page.body, secret) {
		t.Error("the new key is not shown")
	}
	admin.get(northSettings+"zammad/").lacks(secret, "hunter2")
	for _, note := range w.notes(w.north) {
		for _, c := range note.Changes {
			if strings.Contains(c.From+c.To, "hunter2") || strings.Contains(c.To, secret) {
				t.Errorf("the audit tells a secret: %+v", c)
			}
		}
	}
}

func TestConnectionIsTested(t *testing.T) {
	w := oneWorld(t)
	admin := w.person("admin", staff.RegionAdmin, w.north)
	admin.post(northSettings+"zammad/test/", url.Values{}).is(http.StatusOK).says("Wrong:", "The address or the token of Zammad is missing.", "Type in address, group and token")
}

func TestRegionIsAdded(t *testing.T) {
	eachWorld(t, func(w *world) {
		operator := w.person("operator", staff.Operator)
		operator.get("/admin/regions/").is(http.StatusOK).says("North", "South", "switched on, but without a Zammad")
		for slug, says := range map[string]string{"north": "already a region with this short name", "Bad Slug": "small letters", "settings": "own addresses", "": "small letters"} {
			operator.post("/admin/regions/", url.Values{"slug": {slug}, "name": {"<b>New"}, "languages": {"de Deutsch"}}).is(http.StatusUnprocessableEntity).says(says).lacks("<b>New")
		}
		operator.post("/admin/regions/", url.Values{"slug": {"west"}, "name": {"West"}, "languages": {"de Deutsch"}, "enabled": {"on"}, "zammad_url": {"https://evil.example.org"}}).leads("/admin/regions/west/settings/?done=region_added")
		operator.get("/admin/regions/west/settings/?done=region_added").is(http.StatusOK).says("The region is there")
		west, _ := w.app.Regions.BySlug("west")
		if west.Enabled || west.Settings.ZammadURL != "" || !west.Settings.Document.Live {
			t.Errorf("%+v", west)
		}
		page := operator.get("/admin/regions/west/settings/switch/").is(http.StatusOK)
		operator.post("/admin/regions/west/settings/switch/", url.Values{"tag": {page.field("tag")}, "enabled": {"on"}}).is(http.StatusUnprocessableEntity).
			says("Address of Zammad: While the chat is switched on, this is needed.", "Token of Zammad:", "Group in Zammad:")
		if notes := w.notes(west); len(notes) != 1 || notes[0].Action != "region.add" || notes[0].Actor.Name != "operator" {
			t.Errorf("%+v", notes)
		}
	})
}

func TestAPITokensInTheConsole(t *testing.T) {
	eachWorld(t, func(w *world) {
		operator := w.person("operator", staff.Operator)
		operator.get("/admin/tokens/").is(http.StatusOK).says("There is no API token yet")
		for name, fields := range map[string]url.Values{
			"visible characters":       {"name": {"a\u202eb"}, "scope": {"regions:read"}, "all": {"on"}, "days": {"1"}},
			"what the token may do":    {"name": {"x"}, "scope": {"staff:write"}, "all": {"on"}, "days": {"1"}},
			"at least one region":      {"name": {"x"}, "scope": {"regions:read"}, "days": {"1"}},
			"a number from 0 to 3,650": {"name": {"x"}, "scope": {"regions:read"}, "all": {"on"}, "days": {"-1"}},
		} {
			operator.post("/admin/tokens/", fields).is(http.StatusUnprocessableEntity).says(name)
		}
		operator.post("/admin/tokens/", url.Values{"name": {"x"}, "scope": {"regions:read"}, "region": {"nowhere"}, "days": {"1"}}).is(http.StatusNotFound)
		page := operator.post("/admin/tokens/", url.Values{"name": {"City <CRM>"}, "scope": {"regions:write"}, "region": {"north"}, "days": {"30"}}).is(http.StatusOK).says("City <CRM>", "this once only")
		secret := regexp.MustCompile(`dbt_[A-Za-z0-9_-]{43}`).FindString(page.body)
		list := operator.get("/admin/tokens/").is(http.StatusOK).says("City <CRM>", "North", "read and change settings", "valid").lacks(secret, "City <CRM>")
		operator.post("/admin/tokens/", url.Values{"name": {"City <CRM>"}, "scope": {"regions:read"}, "all": {"on"}, "days": {"0"}}).is(http.StatusUnprocessableEntity).says("already a token with this name")

		call := func(slug string) int {
			return w.stranger().do(http.MethodGet, "/api/v3/settings/regions/"+slug+"/", nil, http.Header{"Authorization": {"Bearer " + secret}}).status
		}
		if call("north") != http.StatusOK || call("south") != http.StatusNotFound {
			t.Error(call("north"), call("south"))
		}
		path := regexp.MustCompile(`/admin/tokens/revoke/\d+/`).FindString(list.body)
		operator.get(path).is(http.StatusOK).says("will be refused from now on")
		operator.post(path, url.Values{}).leads("/admin/tokens/?done=token_revoked")
		operator.get("/admin/tokens/?done=token_revoked").says("The token is ended.", "ended")
		if call("north") != http.StatusUnauthorized {
			t.Error("an ended token still works")
		}
		for _, bad := range []string{"0", "x", "999"} {
			operator.get("/admin/tokens/revoke/" + bad + "/").is(http.StatusNotFound)
		}
	})
}
