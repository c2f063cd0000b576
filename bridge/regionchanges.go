package bridge

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxChange is how much of a value a FieldChange shows, in characters.
const maxChange = 200

// Changes lists what differs between two states of a region, by the names of
// fields as JSON has them ("percentage", "reception.away_now"), ordered by name.
// Of secrets it says only that they were set, changed or removed, and of the
// addresses of alerts only the host, since their paths often are secrets; of long
// values it shows the part from which on they differ. nil stands for a region that is
// not there.
//
// The error is that of a setting that JSON cannot say.
func Changes(from, to *Region) ([]FieldChange, error) {
	before, err := from.fields()
	if err != nil {
		return nil, err
	}
	after, err := to.fields()
	if err != nil {
		return nil, err
	}
	for name, secrets := range secretsOf(from, to) {
		before[name], after[name] = sayOf(secrets[0]), sayOf(secrets[1])
		if secrets[0] != secrets[1] && before[name] == after[name] {
			after[name] = "changed"
		}
	}
	for _, name := range []string{"alert.webhook_url", "alert.ntfy_url"} {
		before[name], after[name] = hosts(before[name], after[name])
	}
	var changes []FieldChange
	names := maps.Clone(before)
	maps.Copy(names, after)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, b := aside(before[name], after[name]), aside(after[name], before[name])
		if a != b {
			a, b = shorten(a, b)
			changes = append(changes, FieldChange{Field: name, From: a, To: b})
		}
	}
	return changes, nil
}

// aside gives a value as it stands beside another. JSON leaves out what is
// false: it is said beside what is true, and beside nothing it is nothing.
func aside(value, other string) string {
	switch {
	case value == "" && other == "true":
		return "false"
	case other == "" && (value == "false" || value == "0"):
		return ""
	}
	return value
}

// fields gives the settings of a region that are no secrets, by name.
func (r *Region) fields() (map[string]string, error) {
	all := map[string]string{}
	if r == nil {
		r = &Region{}
	}
	encoded, err := json.Marshal(struct {
		Slug    string `json:"slug"`
		Name    string `json:"name"`
		Enabled bool   `json:"enabled"`
		RegionSettings
	}{r.Slug, r.Name, r.Enabled, r.Settings.WithDefaults()})
	if err != nil {
		return nil, fmt.Errorf("encode the settings of region %s: %w", r.Slug, err)
	}
	var tree map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(encoded)))
	decoder.UseNumber() // a number stays as it is written
	if err := decoder.Decode(&tree); err != nil {
		return nil, fmt.Errorf("decode the settings of region %s: %w", r.Slug, err)
	}
	return all, flatten("", tree, all)
}

// opaque is a setting whose inside is not ours.
const opaque = "document.aliases"

// flatten gives every value of a tree its path.
func flatten(path string, value any, into map[string]string) error {
	if tree, ok := value.(map[string]any); ok && path != opaque {
		for name, inner := range tree {
			if err := flatten(strings.TrimPrefix(path+"."+name, "."), inner, into); err != nil {
				return err
			}
		}
		return nil
	}
	text := ""
	switch v := value.(type) {
	case nil:
	case string:
		text = v
	case []any:
		parts := make([]string, len(v))
		for i, part := range v {
			if word, plain := part.(string); plain {
				parts[i] = word
				continue
			}
			encoded, err := json.Marshal(part)
			if err != nil {
				return err
			}
			parts[i] = string(encoded)
		}
		text = strings.Join(parts, ", ")
	case map[string]any:
		if len(v) > 0 {
			encoded, err := json.Marshal(v)
			if err != nil {
				return err
			}
			text = string(encoded)
		}
	default:
		text = fmt.Sprint(v)
	}
	into[path] = text
	return nil
}

// shorten cuts two values that differ, so that what is left still shows where.
func shorten(a, b string) (string, string) {
	if utf8.RuneCountInString(a) <= maxChange && utf8.RuneCountInString(b) <= maxChange {
		return a, b
	}
	x, y := []rune(a), []rune(b)
	same := 0
	for same < min(len(x), len(y)) && x[same] == y[same] {
		same++
	}
	from := max(0, same-20) // some of what is the same, to find the place
	cut := func(text []rune) string {
		head, tail := "", ""
		if from > 0 {
			head = "…"
		}
		text = text[from:]
		if len(text) > maxChange-2 {
			text, tail = text[:maxChange-2], "…"
		}
		return head + string(text) + tail
	}
	return cut(x), cut(y)
}

// secretsOf pairs the secrets of two regions, by name.
func secretsOf(from, to *Region) map[string][2]Secret {
	from, to = cmp.Or(from, &Region{}), cmp.Or(to, &Region{})
	return map[string][2]Secret{
		"zammad_token":    {from.ZammadToken, to.ZammadToken},
		"webhook_secret":  {from.WebhookSecret, to.WebhookSecret},
		"webhook_token":   {from.WebhookToken, to.WebhookToken},
		"privacy_token":   {from.PrivacyToken, to.PrivacyToken},
		"identity_secret": {from.IdentitySecret, to.IdentitySecret},
		"alert_secret":    {from.AlertSecret, to.AlertSecret},
		"alert_token":     {from.AlertToken, to.AlertToken},
	}
}

// hosts gives the hosts of two addresses, and says if they differ behind them.
func hosts(from, to string) (string, string) {
	host := func(address string) string {
		u, err := url.Parse(address)
		if err != nil {
			return "?"
		}
		return u.Host
	}
	a, b := host(from), host(to)
	if a == b && from != to {
		b += " (changed)"
	}
	return a, b
}

// sayOf says whether there is a secret.
func sayOf(s Secret) string {
	if s == "" {
		return "not set"
	}
	return "set"
}
