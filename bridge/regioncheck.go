package bridge

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"deskbridge/gate"
)

// FieldError is what is wrong with one field of a region. Field is its name as
// JSON has it ("percentage", "reception.time_zone", "zammad_token"), Code is
// stable, Sentence says it in English, and Args are the values in it, for
// sentences in other languages.
type FieldError struct {
	Field    string `json:"field"`
	Code     string `json:"code"`
	Sentence string `json:"error"`
	Args     []any  `json:"-"`
}

// FieldErrors are all that is wrong with a region. As an error they are
// ErrSettings with the fields.
type FieldErrors []FieldError

// Error gives field and sentence of each, a line each.
func (e FieldErrors) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = f.Field + ": " + f.Sentence
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes it a value of the catalogue.
func (e FieldErrors) Unwrap() error { return ErrSettings }

// Bounds of an answer about faults, whatever somebody sent.
const (
	maxFieldErrors = 50
	maxFieldArg    = 100 // characters of a value that is repeated
)

// Add notes that a field is wrong, by a code of the table below. Beyond the
// first 50 faults it notes nothing.
func (e *FieldErrors) Add(field, code string, args ...any) {
	if len(*e) >= maxFieldErrors {
		return
	}
	for i, arg := range args {
		if text, is := arg.(string); is && len(text) > maxFieldArg {
			runes := []rune(text)
			args[i] = string(runes[:min(len(runes), maxFieldArg)])
		}
	}
	*e = append(*e, FieldError{field, code, fmt.Sprintf(fieldSentences[code], args...), args})
}

// fieldSentences are the codes of field errors, and their sentences. Nothing
// writes to it.
var fieldSentences = map[string]string{
	"missing":         "This must not be empty.",
	"slug_form":       "Use 1 to 63 small letters, digits and hyphens, and begin with a letter or a digit.",
	"slug_reserved":   "This is a word of Deskbridge's own addresses, as are %s: use another.",
	"slug_taken":      "There is already a region with this name in addresses.",
	"too_long":        "Use at most %d characters.",
	"too_many":        "Use at most %d entries.",
	"characters":      "This has characters that cannot be shown, or that turn the direction of writing around.",
	"number_range":    "Give a number from %v to %v.",
	"percentage_form": "Give a number from 0 to 100 with at most two decimals.",
	"form":            "This has not the form that it must have.",
	"json_form":       "This must be a JSON object; line %d is not right.",
	"box_form":        "Give four numbers or none: west less than east, from -180 to 180, and south less than north, from -90 to 90.",
	"choice":          "%q is none of these: %s.",
	"twice":           "%q stands twice.",
	"language_code":   "%q is no language code such as de or zh-hans.",
	"not_a_language":  "The region does not have the language %q.",
	"ramp_form":       "Give at most %d steps, each later than the one before, with percentages from 0 to 100 and at most two decimals.",
	"alert_form":      "These notices cannot be sent: %v.",
	"version_form":    "Give numbers with dots, such as 2025.4.1.",
	"needed_when_on":  "A region that is switched on needs this.",
	"placeholder":     "%s is not known here. These are: %s.",
	"name_form":       "Give a name as Zammad's administration shows it: small letters, digits and underscores.",
	"url_form":        "Give an address that begins with http:// or https://, without user name or password, and without ? and #.",
	"https_form":      "Give an address that begins with https:// (at most 500 characters).",
	"needs_zone":      "Opening hours need a time zone, such as Europe/Berlin.",
	"date_form":       "%q is no date such as 2026-12-25.",
	"needs_privacy":   "To delete customers, a second token of Zammad is needed, with the permission admin.data_privacy.",
	"shared_customer": "To delete customers, the customers' login needs {alias}: all devices share one customer, and erasing one would erase all.",
	"needs_signer":    "To look at signed tokens, a secret or public keys are needed.",
	"short_secret":    "The secret has fewer than %d characters.",
	"secret_form":     "A secret is one line of at most 1000 visible ASCII characters.",
	"keys_form":       "These are no public keys that can be used: %s.",
	"token_again":     "The address has changed. Type the token of the new Zammad: the old one is not sent to another address.",
	"ntfy_again":      "The address of ntfy has changed. Give its token again: the old one is not sent to another address.",
	"managed":         "%s sets this. Take it back first, to set it here.",
	"unknown_field":   "There is no such field.",
	"forbidden_field": "This field cannot be set here.",
}

// FieldCodes lists the codes of field errors, for whoever says them in another
// language.
func FieldCodes() []string { return slices.Sorted(maps.Keys(fieldSentences)) }

var (
	slugForm      = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	languageForm  = regexp.MustCompile(`^[a-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}$`)
	nameForm      = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	placeholders  = regexp.MustCompile(`\{[^{}]*\}`)
	reservedSlugs = []string{"regions", "webhook", "settings"} // paths of the API
)

// Bounds of a region's settings.
const (
	maxName           = 200 // characters
	maxPattern        = 150
	maxVersion        = 40
	maxMaxText        = 100_000
	maxDays           = 3650
	maxMaxFiles       = 100
	maxBytes          = 1 << 30
	maxRegionLangs    = 100
	maxDocumentText   = 1000
	maxAliases        = 64 << 10 // bytes, as JSON
	minIdentitySecret = 32       // bytes: as long as what it signs with (RFC 7518, 3.2)
)

// RegionRules say what a region may be. What they know of other rooms' matters
// is handed in; all of it is required.
type RegionRules struct {
	FileKinds []string                         // kinds of files that devices can send
	CheckKeys func(jwks string) error          // whether public keys can be used
	ZammadURL func(raw string) (string, error) // the one form of a Zammad's address
}

// Check says all that is wrong with a region; nil: nothing.
func (rules RegionRules) Check(r *Region) FieldErrors {
	c := &regionCheck{rules: rules, r: r, set: r.Settings.WithDefaults()}
	c.names()
	c.gate()
	c.desk()
	c.limits()
	c.rights()
	c.document()
	c.alerts()
	for _, p := range r.Settings.Reception.Check() {
		c.errs.Add("reception."+p.Field, p.Code, p.Args...)
	}
	return c.errs
}

// CheckChange says what is wrong with a change of a region. What was wrong
// before and stays as it was does not stand in the way of other changes: a region
// must not be impossible to switch off because of a rule that came later.
//
// A token does not follow a changed address: it belongs to the old Zammad, and
// whoever may type an address must not get the token sent to it. MoveTo drops
// it, and without a new one the change is refused.
func (rules RegionRules) CheckChange(from, to *Region) (FieldErrors, error) {
	changes, err := Changes(from, to)
	if err != nil {
		if errs := rules.Check(to); len(errs) > 0 { // such as a percentage that is no number
			return errs, nil
		}
		return nil, err
	}
	var errs FieldErrors
	if from.Settings.ZammadURL != to.Settings.ZammadURL && to.Settings.ZammadURL != "" {
		for field, token := range secretsOf(from, to) {
			if (field == "zammad_token" || field == "privacy_token") && token[0] != "" && token[1] == "" {
				errs.Add(field, "token_again")
			}
		}
	}
	if from.Settings.Alert.NtfyURL != to.Settings.Alert.NtfyURL && to.Settings.Alert.NtfyURL != "" && from.AlertToken != "" && to.AlertToken == "" {
		errs.Add("alert_token", "ntfy_again")
	}
	before := rules.Check(from)
	for _, e := range rules.Check(to) {
		stood := slices.ContainsFunc(before, func(b FieldError) bool { return b.Field == e.Field && b.Code == e.Code })
		touched := slices.ContainsFunc(changes, func(c FieldChange) bool { return c.Field == e.Field })
		told := slices.ContainsFunc(errs, func(t FieldError) bool { return t.Field == e.Field })
		if !told && (touched || !stood) {
			errs = append(errs, e)
		}
	}
	return errs, nil
}

// MoveTo gives the region the address of a Zammad. If it is another than before,
// the tokens of the old one are dropped.
func (r *Region) MoveTo(url string) {
	if url != r.Settings.ZammadURL {
		r.Settings.ZammadURL, r.ZammadToken, r.PrivacyToken = url, "", ""
	}
}

// regionCheck holds one region against the rules.
type regionCheck struct {
	rules RegionRules
	r     *Region
	set   RegionSettings
	errs  FieldErrors
}

func (c *regionCheck) want(ok bool, field, code string, args ...any) {
	if !ok {
		c.errs.Add(field, code, args...)
	}
}

// text wants a line that can be shown, of at most so many characters.
func (c *regionCheck) text(field, text string, most int) {
	c.want(utf8.RuneCountInString(text) <= most, field, "too_long", most)
	c.want(plain(text), field, "characters")
}

// number wants a number in a range.
func (c *regionCheck) number(field string, n, least, most int64) {
	c.want(n >= least && n <= most, field, "number_range", least, most)
}

// plain says whether a text is one line that shows as it is: no control
// characters, and none that turn the direction of writing for what follows.
func plain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(c rune) bool {
		return unicode.IsControl(c) || c >= '\u202a' && c <= '\u202e' || c >= '\u2066' && c <= '\u2069' || c == '\u2028' || c == '\u2029'
	})
}

func (c *regionCheck) names() {
	c.want(slugForm.MatchString(c.r.Slug), "slug", "slug_form")
	c.want(!slices.Contains(reservedSlugs, c.r.Slug), "slug", "slug_reserved", strings.Join(reservedSlugs, ", "))
	c.want(strings.TrimSpace(c.r.Name) != "", "name", "missing")
	c.text("name", c.r.Name, maxName)
	c.want(len(c.set.Languages) > 0, "languages", "missing")
	if len(c.set.Languages) > maxRegionLangs {
		c.errs.Add("languages", "too_many", maxRegionLangs)
		return
	}
	known := map[string]bool{}
	for _, l := range c.set.Languages {
		c.want(languageForm.MatchString(l.Code), "languages", "language_code", l.Code)
		c.want(!known[l.Code], "languages", "twice", l.Code)
		c.want(strings.TrimSpace(l.NativeName) != "", "languages", "missing")
		c.text("languages", l.NativeName, maxName)
		known[l.Code] = true
	}
}

// ValidMinAppVersion says whether a region may ask for this version: numbers with
// dots between them, without the suffix that an app may add to its own.
func ValidMinAppVersion(version string) bool {
	return gate.ValidVersion(version) && len(version) <= maxVersion
}

func (c *regionCheck) gate() {
	c.want(len(c.set.GateLanguages) <= maxRegionLangs, "gate_languages", "too_many", maxRegionLangs)
	for _, code := range c.set.GateLanguages[:min(len(c.set.GateLanguages), maxRegionLangs)] {
		c.want(c.r.HasLanguage(code), "gate_languages", "not_a_language", code)
	}
	c.want(ValidPercentage(c.set.Percentage), "percentage", "percentage_form")
	c.want(CheckRamp(c.set.Ramp) == nil, "ramp", "ramp_form", MaxRampSteps)
	c.want(c.set.MinAppVersion == "" || ValidMinAppVersion(c.set.MinAppVersion), "min_app_version", "version_form")
}

// desk checks what is about Zammad.
func (c *regionCheck) desk() {
	set := c.set
	if set.ZammadURL != "" {
		clean, err := c.rules.ZammadURL(set.ZammadURL)
		c.want(err == nil && clean == set.ZammadURL, "zammad_url", "url_form")
		c.want(len(set.ZammadURL) <= 500, "zammad_url", "too_long", 500)
	}
	if c.r.Enabled {
		c.want(set.ZammadURL != "", "zammad_url", "needed_when_on")
		c.want(c.r.ZammadToken != "", "zammad_token", "needed_when_on")
		c.want(set.ZammadGroup != "", "zammad_group", "needed_when_on")
	}
	c.text("zammad_group", set.ZammadGroup, maxName)
	pattern := func(field, pattern string, allowed ...string) {
		for _, p := range placeholders.FindAllString(pattern, -1) {
			c.want(slices.Contains(allowed, p), field, "placeholder", p, strings.Join(allowed, " "))
		}
		c.text(field, pattern, maxPattern)
	}
	pattern("title_pattern", set.TitlePattern, "{LANG}", "{lang}", "{region}", "{alias}")
	pattern("tag_pattern", set.TagPattern, "{lang}", "{region}")
	pattern("customer_login", set.CustomerLogin, "{alias}")
	pattern("customer_name", set.CustomerName, "{alias}", "{LANG}", "{lang}")
	c.want(set.ConsentAttribute == "" || nameForm.MatchString(set.ConsentAttribute), "consent_attribute", "name_form")
	c.want(nameForm.MatchString(strings.ReplaceAll(set.ArticleType, " ", "_")), "article_type", "name_form")
	for field, pair := range secretsOf(nil, c.r) {
		hidden := func(r rune) bool { return r <= ' ' || r > '~' }
		c.want(len(pair[1]) <= 1000 && strings.IndexFunc(string(pair[1]), hidden) < 0, field, "secret_form")
	}
}

func (c *regionCheck) limits() {
	set := c.r.Settings // 0 means the default here
	c.number("max_text", int64(set.MaxText), 0, maxMaxText)
	c.number("retention_days", int64(set.RetentionDays), 0, maxDays)
	c.number("max_files", int64(set.MaxFiles), 0, maxMaxFiles)
	c.number("max_file_bytes", set.MaxFileBytes, 0, maxBytes)
	c.number("max_files_bytes", set.MaxFilesBytes, 0, maxBytes)
	c.number("keep_files_hours", int64(set.KeepFilesHours), 0, 24*maxDays)
	if slices.Equal(set.FileKinds, []string{NoFiles}) {
		return
	}
	c.want(len(set.FileKinds) <= len(c.rules.FileKinds), "file_kinds", "too_many", len(c.rules.FileKinds))
	for i, kind := range set.FileKinds[:min(len(set.FileKinds), len(c.rules.FileKinds))] {
		c.want(slices.Contains(c.rules.FileKinds, kind), "file_kinds", "choice", kind, strings.Join(c.rules.FileKinds, ", "))
		c.want(!slices.Contains(set.FileKinds[:i], kind), "file_kinds", "twice", kind)
	}
}

// alerts checks notices to the staff. Whether their addresses may be connected to
// is found out when they are.
func (c *regionCheck) alerts() {
	set := c.set.Alert
	if err := set.Check(); err != nil {
		c.errs.Add("alert", "alert_form", err)
	}
	for field, address := range map[string]string{"alert.webhook_url": set.WebhookURL, "alert.ntfy_url": set.NtfyURL} {
		u, err := url.Parse(address)
		c.want(address == "" || err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil, field, "url_form")
	}
}

// rights checks who a device is, and what its user may have erased.
func (c *regionCheck) rights() {
	set := c.set
	switch set.Erasure {
	case EraseAnonymise, EraseNote:
	case EraseDelete:
		c.want(c.r.PrivacyToken != "", "privacy_token", "needs_privacy")
		c.want(!set.SharesCustomer(), "erasure", "shared_customer")
	default:
		c.want(false, "erasure", "choice", string(set.Erasure), "anonymise, note, delete")
	}
	switch set.Identity {
	case IdentityOff:
	case IdentityLog, IdentityEnforce:
		c.want(c.r.IdentitySecret != "" || set.IdentityKeys != "" || set.IdentityKeysURL != "", "identity", "needs_signer")
	default:
		c.want(false, "identity", "choice", string(set.Identity), "off, log, enforce")
	}
	c.want(c.r.IdentitySecret == "" || len(c.r.IdentitySecret) >= minIdentitySecret, "identity_secret", "short_secret", minIdentitySecret)
	c.want(set.IdentityKeysURL == "" || httpsForm(set.IdentityKeysURL), "identity_keys_url", "https_form")
	if set.IdentityKeys != "" {
		err := c.rules.CheckKeys(set.IdentityKeys)
		c.want(err == nil, "identity_keys", "keys_form", err)
	}
	c.text("identity_issuer", set.IdentityIssuer, 500)
	c.text("identity_audience", set.IdentityAudience, 500)
}

// httpsForm says whether a text is an https address, as far as that can be seen.
func httpsForm(text string) bool {
	return strings.HasPrefix(text, "https://") && len(text) > len("https://") && len(text) <= 500 && plain(text) && !strings.ContainsAny(text, " \"<>\\^`{|}")
}

// document checks what is only passed on to the app.
func (c *regionCheck) document() {
	d := c.set.Document
	c.text("document.name_without_prefix", d.NameWithoutPrefix, maxName)
	c.text("document.prefix", d.Prefix, maxName)
	c.text("document.zammad_privacy_policy", d.PrivacyPolicy, maxDocumentText)
	place := func(field string, longitude, latitude float64) {
		c.want(longitude >= -180 && longitude <= 180, field, "number_range", -180, 180)
		c.want(latitude >= -90 && latitude <= 90, field, "number_range", -90, 90)
	}
	place("document.longitude", d.Longitude, 0)
	place("document.latitude", 0, d.Latitude)
	c.want(len(d.BoundingBox) == 0 || len(d.BoundingBox) == 2, "document.bounding_box", "form")
	for _, corner := range d.BoundingBox {
		place("document.bounding_box", corner[0], corner[1])
	}
	aliases, err := json.Marshal(d.Aliases)
	c.want(err == nil && len(aliases) <= maxAliases, "document.aliases", "too_long", maxAliases)
	c.want(plain(string(aliases)), "document.aliases", "characters") // JSON has escaped the others
}
