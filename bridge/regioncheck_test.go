package bridge_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"deskbridge/bridge"
	"deskbridge/reception"
)

// rules are the rules with stand-ins for what other rooms know.
func rules() bridge.RegionRules {
	return bridge.RegionRules{
		FileKinds: []string{"jpeg", "pdf"},
		CheckKeys: func(jwks string) error {
			if jwks != "keys" {
				return errors.New("no key set")
			}
			return nil
		},
		ZammadURL: func(raw string) (string, error) {
			if !strings.HasPrefix(raw, "https://") {
				return "", errors.New("no address")
			}
			return strings.TrimSuffix(raw, "/"), nil
		},
	}
}

func goodRegion() *bridge.Region {
	r := &bridge.Region{Slug: "testland", Name: "Testland", Enabled: true, ZammadToken: "token"}
	r.Settings.Languages = []bridge.Language{{Code: "de", NativeName: "Deutsch"}, {Code: "ar", NativeName: "العربية"}}
	r.Settings.ZammadURL, r.Settings.ZammadGroup = "https://zammad.example.org", "Beratung"
	r.Settings = r.Settings.WithDefaults()
	return r
}

// problems gives field and code of each.
func problems(errs bridge.FieldErrors) string {
	var all []string
	for _, e := range errs {
		if e.Sentence == "" || strings.Contains(e.Sentence, "%!") {
			panic(fmt.Sprintf("the sentence of %s is %q", e.Code, e.Sentence))
		}
		all = append(all, e.Field+" "+e.Code)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

func TestRegionRules(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*bridge.Region){
		"":                                   func(*bridge.Region) {},
		"slug slug_form":                     func(r *bridge.Region) { r.Slug = "../admin" },
		"slug slug_reserved":                 func(r *bridge.Region) { r.Slug = "settings" },
		"name missing":                       func(r *bridge.Region) { r.Name = " \t"[:1] },
		"name too_long":                      func(r *bridge.Region) { r.Name = strings.Repeat("ä", 201) },
		"name characters":                    func(r *bridge.Region) { r.Name = "Test\u202edlrow" },
		"zammad_group characters":            func(r *bridge.Region) { r.Settings.ZammadGroup = "a\x00b" },
		"languages missing":                  func(r *bridge.Region) { r.Settings.Languages = nil },
		"languages language_code":            func(r *bridge.Region) { r.Settings.Languages[0].Code = "DE/" },
		"languages twice":                    func(r *bridge.Region) { r.Settings.Languages[0].Code = "ar" },
		"gate_languages not_a_language":      func(r *bridge.Region) { r.Settings.GateLanguages = []string{"fr"} },
		"percentage percentage_form":         func(r *bridge.Region) { r.Settings.Percentage = math.NaN() },
		"min_app_version version_form":       func(r *bridge.Region) { r.Settings.MinAppVersion = "new!" },
		"zammad_url url_form":                func(r *bridge.Region) { r.Settings.ZammadURL = "https://zammad.example.org/" },
		"zammad_url needed_when_on":          func(r *bridge.Region) { r.Settings.ZammadURL = "" },
		"zammad_token needed_when_on":        func(r *bridge.Region) { r.ZammadToken = "" },
		"zammad_group needed_when_on":        func(r *bridge.Region) { r.Settings.ZammadGroup = "" },
		"zammad_token secret_form":           func(r *bridge.Region) { r.ZammadToken = "a\nb" },
		"title_pattern placeholder":          func(r *bridge.Region) { r.Settings.TitlePattern = "{device}" },
		"tag_pattern too_long":               func(r *bridge.Region) { r.Settings.TagPattern = strings.Repeat("x", 151) },
		"consent_attribute name_form":        func(r *bridge.Region) { r.Settings.ConsentAttribute = "Consent!" },
		"max_text number_range":              func(r *bridge.Region) { r.Settings.MaxText = 100_001 },
		"retention_days number_range":        func(r *bridge.Region) { r.Settings.RetentionDays = -1 },
		"max_file_bytes number_range":        func(r *bridge.Region) { r.Settings.MaxFileBytes = math.MinInt64 },
		"max_files_bytes number_range":       func(r *bridge.Region) { r.Settings.MaxFilesBytes = math.MaxInt64 },
		"max_files number_range":             func(r *bridge.Region) { r.Settings.MaxFiles = 101 },
		"keep_files_hours number_range":      func(r *bridge.Region) { r.Settings.KeepFilesHours = math.MaxInt },
		"file_kinds choice":                  func(r *bridge.Region) { r.Settings.FileKinds = []string{"exe"} },
		"file_kinds twice":                   func(r *bridge.Region) { r.Settings.FileKinds = []string{"pdf", "pdf"} },
		"erasure choice":                     func(r *bridge.Region) { r.Settings.Erasure = "shred" },
		"privacy_token needs_privacy":        func(r *bridge.Region) { r.Settings.Erasure = bridge.EraseDelete },
		"identity choice":                    func(r *bridge.Region) { r.Settings.Identity = "maybe" },
		"identity needs_signer":              func(r *bridge.Region) { r.Settings.Identity = bridge.IdentityEnforce },
		"identity_secret short_secret":       func(r *bridge.Region) { r.IdentitySecret = "short" },
		"identity_keys keys_form":            func(r *bridge.Region) { r.Settings.IdentityKeys = "{}" },
		"identity_keys_url https_form":       func(r *bridge.Region) { r.Settings.IdentityKeysURL = "javascript:alert(1)" },
		"document.latitude number_range":     func(r *bridge.Region) { r.Settings.Document.Latitude = 91 },
		"document.longitude number_range":    func(r *bridge.Region) { r.Settings.Document.Longitude = math.NaN() },
		"document.bounding_box form":         func(r *bridge.Region) { r.Settings.Document.BoundingBox = make([][2]float64, 3) },
		"document.aliases too_long":          func(r *bridge.Region) { r.Settings.Document.Aliases = map[string]any{"a": strings.Repeat("x", 1<<20)} },
		"document.aliases characters":        func(r *bridge.Region) { r.Settings.Document.Aliases = map[string]any{"a\u202eb": 1} },
		"reception.time_zone needs_zone":     func(r *bridge.Region) { r.Settings.Reception.Hours = make([]reception.Opening, 1) },
		"reception.bot_seconds number_range": func(r *bridge.Region) { r.Settings.Reception.BotSeconds = -1 },
		"reception.texts.de.away too_long": func(r *bridge.Region) {
			r.Settings.Reception.Texts = map[string]reception.Texts{"de": {Away: strings.Repeat("x", 1001)}}
		},
	} {
		r := goodRegion()
		change(r)
		if got := problems(rules().Check(r)); got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
	r := goodRegion()
	r.Settings.Erasure, r.PrivacyToken, r.Settings.CustomerLogin = bridge.EraseDelete, "second", "everybody"
	if got := problems(rules().Check(r)); got != "erasure shared_customer" {
		t.Error(got)
	}
}

// TestTokensDoNotFollowAnAddress: who may type an address must not get what was
// typed for another one.
func TestTokensDoNotFollowAnAddress(t *testing.T) {
	t.Parallel()
	from := goodRegion()
	from.PrivacyToken = "second"
	for name, c := range map[string]struct {
		change func(*bridge.Region)
		want   string
	}{
		"the same address": {func(r *bridge.Region) { r.MoveTo("https://zammad.example.org") }, ""},
		"another":          {func(r *bridge.Region) { r.MoveTo("https://evil.example.org") }, "privacy_token token_again, zammad_token token_again"},
		"with one token":   {func(r *bridge.Region) { r.MoveTo("https://new.example.org"); r.ZammadToken = "typed" }, "privacy_token token_again"},
		"with both": {func(r *bridge.Region) {
			r.MoveTo("https://new.example.org")
			r.ZammadToken, r.PrivacyToken = "typed", "too"
		}, ""},
		"off, then another": {func(r *bridge.Region) { r.Enabled = false; r.MoveTo("https://evil.example.org") }, "privacy_token token_again, zammad_token token_again"},
		"off and nowhere":   {func(r *bridge.Region) { r.Enabled = false; r.MoveTo("") }, ""},
		"on and nowhere":    {func(r *bridge.Region) { r.MoveTo("") }, "zammad_token needed_when_on, zammad_url needed_when_on"},
	} {
		to := *from
		c.change(&to)
		errs, err := rules().CheckChange(from, &to)
		if err != nil || problems(errs) != c.want {
			t.Errorf("%s: %v %q, want %q", name, err, problems(errs), c.want)
		}
		if to.Settings.ZammadURL != from.Settings.ZammadURL && (to.ZammadToken == from.ZammadToken || to.PrivacyToken == from.PrivacyToken) {
			t.Errorf("%s: a token followed", name)
		}
	}
}

// TestOldFaultsDoNotStandInTheWay: a region that a later rule finds faulty can
// still be switched off, but not be made faulty in another way.
func TestOldFaultsDoNotStandInTheWay(t *testing.T) {
	t.Parallel()
	from := goodRegion()
	from.Slug, from.Settings.ZammadGroup = "settings", ""
	off := *from
	off.Enabled = false
	if errs, err := rules().CheckChange(from, &off); err != nil || errs != nil {
		t.Error(err, errs)
	}
	worse := *from
	worse.Settings.Percentage = 101
	if errs, err := rules().CheckChange(from, &worse); err != nil || problems(errs) != "percentage percentage_form" {
		t.Error(err, errs)
	}
	none := *goodRegion()
	none.Settings.Document.Latitude = math.NaN()
	if errs, err := rules().CheckChange(goodRegion(), &none); err != nil || problems(errs) != "document.latitude number_range" {
		t.Error(err, errs)
	}
	renamed := *from
	renamed.Slug = "webhook"
	if errs, err := rules().CheckChange(from, &renamed); err != nil || problems(errs) != "slug slug_reserved" {
		t.Error(err, errs)
	}
}

func TestManagedFields(t *testing.T) {
	t.Parallel()
	from := goodRegion()
	from.Manage("CRM", []string{"percentage", "reception.texts"})
	earlier := *from
	to := *from
	to.Name = "Other"
	if errs, err := bridge.CheckManaged(from, &to); err != nil || errs != nil {
		t.Error(err, errs)
	}
	to.Settings.Percentage = 50
	to.Settings.Reception.Texts = map[string]reception.Texts{"de": {Away: "x"}}
	errs, err := bridge.CheckManaged(from, &to)
	if got := problems(errs); err != nil || got != "percentage managed, reception.texts.de.away managed" || !strings.Contains(errs[0].Sentence, "CRM") {
		t.Error(err, got)
	}
	to.TakeBack("percentage", "reception.texts.de.away")
	if errs, err := bridge.CheckManaged(from, &to); err != nil || errs != nil {
		t.Error(err, errs)
	}
	if len(earlier.Settings.Managed) != 2 || len(to.Settings.Managed) != 0 {
		t.Error("taking back changed a region that others read")
	}
}

// TestChangesAreOfWhatDiffers: no change where two regions are equal, one where
// they are not, never a secret, and nothing that is longer than an audit bears.
func TestChangesAreOfWhatDiffers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) *bridge.Region {
			r := goodRegion()
			r.Name = rapid.StringN(1, 20, 80).Draw(t, name+" name")
			r.Enabled = rapid.Bool().Draw(t, name+" enabled")
			r.Settings.Percentage = rapid.Float64Range(0, 100).Draw(t, name+" percentage")
			r.Settings.GateLanguages = rapid.SliceOfN(rapid.SampledFrom([]string{"de", "ar"}), 0, 3).Draw(t, name+" languages")
			r.ZammadToken = bridge.Secret(rapid.SampledFrom([]string{"", "hunter2-a", "hunter2-b"}).Draw(t, name+" token"))
			r.Settings.TitlePattern = strings.Repeat(rapid.SampledFrom([]string{"x", "y"}).Draw(t, name+" title"), rapid.IntRange(1, 400).Draw(t, name+" length"))
			return r
		}
		a, b := draw("a"), draw("b")
		changes, err := bridge.Changes(a, b)
		if err != nil {
			t.Fatal(err)
		}
		same := a.Name == b.Name && a.Enabled == b.Enabled && a.Settings.Percentage == b.Settings.Percentage && slices.Equal(a.Settings.GateLanguages, b.Settings.GateLanguages) &&
			a.ZammadToken == b.ZammadToken && a.Settings.TitlePattern == b.Settings.TitlePattern
		if same != (len(changes) == 0) {
			t.Fatalf("same: %v, changes: %v", same, changes)
		}
		for _, c := range changes {
			if c.From == c.To || strings.Contains(c.From+c.To, "hunter2") || len([]rune(c.From)) > 200 || len([]rune(c.To)) > 200 {
				t.Fatalf("%+v", c)
			}
		}
	})
}
