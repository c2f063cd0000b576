package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"deskbridge/bridge"
)

// fields are what other systems may read and set, by name; a name with a dot is
// inside of an object. What is not here (the connection to Zammad with its
// secrets, how tickets are named, who a device is, what an erasure does) is for
// people only. Nothing writes to it.
var fields = map[string]func(*bridge.Region) any{
	"name":             func(r *bridge.Region) any { return &r.Name },
	"enabled":          func(r *bridge.Region) any { return &r.Enabled },
	"languages":        func(r *bridge.Region) any { return &r.Settings.Languages },
	"percentage":       func(r *bridge.Region) any { return &r.Settings.Percentage },
	"ramp":             func(r *bridge.Region) any { return &r.Settings.Ramp },
	"gate_languages":   func(r *bridge.Region) any { return &r.Settings.GateLanguages },
	"min_app_version":  func(r *bridge.Region) any { return &r.Settings.MinAppVersion },
	"hide_until_full":  func(r *bridge.Region) any { return &r.Settings.HideUntilFull },
	"max_text":         func(r *bridge.Region) any { return &r.Settings.MaxText },
	"retention_days":   func(r *bridge.Region) any { return &r.Settings.RetentionDays },
	"file_kinds":       func(r *bridge.Region) any { return &r.Settings.FileKinds },
	"max_files":        func(r *bridge.Region) any { return &r.Settings.MaxFiles },
	"max_file_bytes":   func(r *bridge.Region) any { return &r.Settings.MaxFileBytes },
	"max_files_bytes":  func(r *bridge.Region) any { return &r.Settings.MaxFilesBytes },
	"keep_files_hours": func(r *bridge.Region) any { return &r.Settings.KeepFilesHours },

	"reception.agent_names":   func(r *bridge.Region) any { return &r.Settings.Reception.Names },
	"reception.typing_note":   func(r *bridge.Region) any { return &r.Settings.Reception.TypingNote },
	"reception.bot_seconds":   func(r *bridge.Region) any { return &r.Settings.Reception.BotSeconds },
	"reception.time_zone":     func(r *bridge.Region) any { return &r.Settings.Reception.Zone },
	"reception.opening_hours": func(r *bridge.Region) any { return &r.Settings.Reception.Hours },
	"reception.closed_dates":  func(r *bridge.Region) any { return &r.Settings.Reception.ClosedDates },
	"reception.away_now":      func(r *bridge.Region) any { return &r.Settings.Reception.AwayNow },
	"reception.texts":         func(r *bridge.Region) any { return &r.Settings.Reception.Texts },

	"document.live":                  func(r *bridge.Region) any { return &r.Settings.Document.Live },
	"document.events":                func(r *bridge.Region) any { return &r.Settings.Document.Events },
	"document.pois":                  func(r *bridge.Region) any { return &r.Settings.Document.POIs },
	"document.push_notifications":    func(r *bridge.Region) any { return &r.Settings.Document.PushNotifications },
	"document.external_news":         func(r *bridge.Region) any { return &r.Settings.Document.ExternalNews },
	"document.name_without_prefix":   func(r *bridge.Region) any { return &r.Settings.Document.NameWithoutPrefix },
	"document.prefix":                func(r *bridge.Region) any { return &r.Settings.Document.Prefix },
	"document.longitude":             func(r *bridge.Region) any { return &r.Settings.Document.Longitude },
	"document.latitude":              func(r *bridge.Region) any { return &r.Settings.Document.Latitude },
	"document.aliases":               func(r *bridge.Region) any { return &r.Settings.Document.Aliases },
	"document.bounding_box":          func(r *bridge.Region) any { return &r.Settings.Document.BoundingBox },
	"document.zammad_privacy_policy": func(r *bridge.Region) any { return &r.Settings.Document.PrivacyPolicy },
}

// Fields lists the names of what other systems may set.
func Fields() []string { return slices.Sorted(maps.Keys(fields)) }

// isGroup says whether a name is that of an object with fields in it.
func isGroup(name string) bool { return name == "reception" || name == "document" }

// forbidden says whether a name is that of a region's field that is only for
// people, so that whoever tries it is not told that it does not exist.
func forbidden(name string) bool {
	region := reflect.TypeFor[bridge.RegionSettings]()
	for i := range region.NumField() {
		if tag, _, _ := strings.Cut(region.Field(i).Tag.Get("json"), ","); tag == name {
			return true
		}
	}
	return slices.Contains([]string{"slug", "etag", "zammad_token", "webhook_secret", "webhook_token", "privacy_token", "identity_secret", "alert_secret", "alert_token"}, name)
}

// document gives a region as other systems see it, with the defaults of what is
// not set.
func document(r *bridge.Region) map[string]any {
	shown := *r
	shown.Settings = r.Settings.WithDefaults()
	groups := map[string]map[string]any{"reception": {}, "document": {}}
	out := map[string]any{
		"slug": r.Slug, "etag": tagOf(r), "managed": orEmpty(&shown.Settings.Managed),
		"reception": groups["reception"], "document": groups["document"],
	}
	for name, of := range fields {
		value := orEmpty(of(&shown))
		if group, inner, nested := strings.Cut(name, "."); nested {
			groups[group][inner] = value
		} else {
			out[name] = value
		}
	}
	return out
}

// orEmpty gives what a pointer points to, with an empty list or object in place
// of none: clients need not know two kinds of nothing.
func orEmpty(pointer any) any {
	value := reflect.ValueOf(pointer).Elem()
	switch {
	case value.Kind() == reflect.Slice && value.IsNil():
		return []any{}
	case value.Kind() == reflect.Map && value.IsNil():
		return map[string]any{}
	}
	return value.Interface()
}

// patch is a merge patch (RFC 7396), by the names of fields.
type patch map[string]json.RawMessage

// parsePatch reads a patch and takes its groups apart. The error is
// bridge.ErrBody for what is no JSON object, and bridge.FieldErrors for a group
// that is none: one that is removed as a whole would take more along than
// anybody wants.
func parsePatch(body []byte) (patch, error) {
	top, err := object(body)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", bridge.ErrBody, err)
	}
	p, errs := patch{}, bridge.FieldErrors(nil)
	for name, value := range top {
		if strings.Contains(name, ".") {
			errs.Add(shown(name), "unknown_field") // what is inside of an object is written there
			continue
		}
		if !isGroup(name) {
			p[name] = value
			continue
		}
		inner, err := object(value)
		if err != nil {
			errs.Add(name, "form")
		}
		for field, value := range inner {
			p[name+"."+field] = value
		}
	}
	if errs != nil {
		return nil, errs
	}
	return p, nil
}

// object reads one JSON object and nothing after it.
func object(text []byte) (map[string]json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	var into map[string]json.RawMessage
	if err := decoder.Decode(&into); err != nil {
		return nil, err
	}
	if into == nil {
		return nil, errors.New("null is no object")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	return into, nil
}

// apply changes a region by a patch and notes for each field who set it. The
// error is bridge.FieldErrors; then the region is to be thrown away.
func (d *Door) apply(r *bridge.Region, p patch, token string) error {
	var errs bridge.FieldErrors
	names := slices.Sorted(maps.Keys(p))
	for _, name := range names {
		of, known := fields[name]
		switch {
		case known:
			if err := set(of(r), p[name]); err != nil {
				errs.Add(name, "form")
			}
		case forbidden(name):
			errs.Add(name, "forbidden_field")
		default:
			errs.Add(shown(name), "unknown_field")
		}
	}
	if errs != nil {
		return errs
	}
	for i, step := range r.Settings.Ramp {
		r.Settings.Ramp[i].At = step.At.UTC().Truncate(time.Millisecond)
	}
	if len(names) > 0 {
		r.Manage(token, names)
	}
	return nil
}

// shown cuts a name that a client made up.
func shown(name string) string {
	const most = 100
	if runes := []rune(strings.ToValidUTF8(name, "\uFFFD")); len(runes) > most {
		return string(runes[:most])
	}
	return name
}

// set gives a field the value of a patch: null is the default, an object is
// merged, and everything else takes the place of what was there.
func set(pointer any, value json.RawMessage) error {
	field := reflect.ValueOf(pointer).Elem()
	if string(bytes.TrimSpace(value)) == "null" {
		field.SetZero()
		return nil
	}
	if field.Kind() == reflect.Map {
		merged, err := merge(field.Interface(), value)
		if err != nil {
			return err
		}
		value = merged
	}
	fresh := reflect.New(field.Type()) // what is there is shared with others
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(fresh.Interface()); err != nil {
		return err
	}
	field.Set(fresh.Elem())
	return nil
}

// merge merges a patch into a value, both as JSON.
func merge(current any, change json.RawMessage) (json.RawMessage, error) {
	encoded, err := json.Marshal(current)
	if err != nil {
		return nil, err
	}
	var into, from any
	if err := errors.Join(json.Unmarshal(encoded, &into), json.Unmarshal(change, &from)); err != nil {
		return nil, err
	}
	return json.Marshal(mergeValue(into, from))
}

// mergeValue is MergePatch of RFC 7396, section 2.
func mergeValue(target, change any) any {
	changes, isObject := change.(map[string]any)
	if !isObject {
		return change
	}
	object, isObject := target.(map[string]any)
	if !isObject {
		object = map[string]any{}
	}
	for name, value := range changes {
		if value == nil {
			delete(object, name)
		} else {
			object[name] = mergeValue(object[name], value)
		}
	}
	return object
}
