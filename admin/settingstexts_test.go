package admin

import (
	"cmp"
	"testing"

	"deskbridge/bridge"
	fileKinds "deskbridge/files"
)

// TestSettingsHaveTexts: every field, option, fault and finding can be said in
// every language; so can what keeps a notice from arriving.
func TestSettingsHaveTexts(t *testing.T) {
	v, err := newViews()
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	d := settingsDoor{&Door{Deps: Deps{Rules: bridge.RegionRules{FileKinds: fileKinds.Names()}}}}
	region := &bridge.Region{}
	region.Settings.Languages = []bridge.Language{{Code: "de", NativeName: "Deutsch"}}
	for _, s := range d.sections() {
		keys = append(keys, "settings.section."+s.key, "settings.about."+s.key)
		for _, f := range s.fields(region) {
			keys = append(keys, "settings.label."+cmp.Or(f.label, f.name))
			for _, option := range f.options {
				keys = append(keys, "settings.option."+f.name+"."+cmp.Or(option, "none"))
			}
		}
	}
	for _, code := range bridge.FieldCodes() {
		if code != "unknown_field" && code != "forbidden_field" { // of the settings API only
			keys = append(keys, "settings.error."+code)
		}
	}
	for code, ok := range bridge.FindingCodes() {
		keys = append(keys, "settings.found."+code)
		if !ok {
			keys = append(keys, "settings.mend."+code)
		}
	}
	for _, fault := range bridge.AlertFaults() {
		keys = append(keys, "alerts.fault."+string(fault))
	}
	for _, question := range []string{"move", "retention", "identity", "erasure", "switch"} {
		keys = append(keys, "settings.ask."+question)
	}
	known := map[string]bool{}
	for _, key := range keys {
		known[key] = true
		for _, l := range languages {
			if v.texts[l][key] == "" {
				t.Errorf("the text %s is missing in %s", key, l)
			}
		}
	}
	for key := range v.texts["en"] {
		for _, beginning := range []string{"settings.label.", "settings.option.", "settings.error.", "settings.found.", "settings.mend.", "settings.section.", "alerts.fault."} {
			if len(key) > len(beginning) && key[:len(beginning)] == beginning && !known[key] {
				t.Errorf("nobody says %s", key)
			}
		}
	}
}
