package bridge

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"deskbridge/reception"
)

// Secret is a value that must not be printed: every way of formatting it shows
// stars. Convert to string where the value itself is needed.
type Secret string

// String hides the value from fmt and logs.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "********"
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the value from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the value from JSON and YAML. Storage encrypts secrets in
// columns of their own and never marshals them.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Language is one language of a region: the code that paths use (a slug such
// as "de" or "de-si") and the name that its speakers give it.
type Language struct {
	Code       string `json:"code"`
	NativeName string `json:"native_name"`
}

// Region is a tenant with everything that decides how its chats are served.
// Values handed out by Regions are shared: treat them as read-only.
type Region struct {
	ID       RegionID
	Version  int64 // rises with each change; part of ETags
	Slug     string
	Name     string
	Enabled  bool // the kill switch: false answers 503 on every chat call
	Desk     DeskID
	Salt     string // for the gate's bucket; made once, so that draws are stable
	Settings RegionSettings

	ZammadToken   Secret // API token of the bridge's user in Zammad
	WebhookSecret Secret // key of the webhooks' HMAC
	WebhookToken  Secret // the ?token= of older installations; empty refuses that form
	PrivacyToken  Secret // API token that may erase customers, for EraseDelete
	// IdentitySecret signs the devices' identities with HS256; empty where
	// Settings name public keys.
	IdentitySecret Secret
	AlertSecret    Secret // key of the signature of alerts to a webhook; empty: no signature
	AlertToken     Secret // access token for ntfy; empty: none
	UpdatedAt      time.Time
}

// RegionSettings are the settings of a region that are no secrets. They are
// stored as JSON, so a new one needs no migration; zero values mean the default
// that WithDefaults fills in.
type RegionSettings struct {
	Languages []Language `json:"languages"`

	Percentage float64 `json:"percentage"` // share of devices that the gate serves, 0 to 100, before the first step of Ramp
	// Ramp changes the percentage by the clock; see PercentageAt.
	Ramp          []RampStep `json:"ramp,omitempty"`
	GateLanguages []string   `json:"gate_languages,omitempty"`  // serve only these languages; empty: all
	MinAppVersion string     `json:"min_app_version,omitempty"` // serve only apps from this version on; apps that don't say are not restricted
	HideUntilFull bool       `json:"hide_until_full,omitempty"` // region document says is_chat_enabled=false while percentage < 100

	ZammadURL        string `json:"zammad_url"`
	ZammadGroup      string `json:"zammad_group"`
	TitlePattern     string `json:"title_pattern,omitempty"`     // {LANG} {lang} {region} {alias}
	TagPattern       string `json:"tag_pattern,omitempty"`       // {lang} {region}; "-" means no tag
	CustomerLogin    string `json:"customer_login,omitempty"`    // {alias}; without a placeholder all devices share this customer
	CustomerName     string `json:"customer_name,omitempty"`     // {alias} {LANG} {lang}
	ArticleType      string `json:"article_type,omitempty"`      // Zammad's article type of device messages
	ConsentAttribute string `json:"consent_attribute,omitempty"` // ticket attribute that takes evaluation_consent; empty: it stays here
	RevealTicketURL  bool   `json:"reveal_ticket_url,omitempty"` // fill ticket_url; it shows an internal address to the user

	Erasure ErasureRule `json:"erasure,omitempty"` // what an erasure asks of Zammad, default anonymise

	Identity         IdentityMode `json:"identity,omitempty"`          // default off
	IdentityKeys     string       `json:"identity_keys,omitempty"`     // JWKS itself
	IdentityKeysURL  string       `json:"identity_keys_url,omitempty"` // or its https address
	IdentityIssuer   string       `json:"identity_issuer,omitempty"`   // wanted claim iss; empty: any
	IdentityAudience string       `json:"identity_audience,omitempty"` // wanted claim aud; empty: any

	MaxText       int `json:"max_text,omitempty"`       // characters of a message, default 10000
	RetentionDays int `json:"retention_days,omitempty"` // days after the last message, default 180

	Reception reception.Rules `json:"reception,omitzero"`

	FileKinds      []string `json:"file_kinds,omitempty"`       // kinds of files that devices may send; empty: all, "none": none
	MaxFiles       int      `json:"max_files,omitempty"`        // files of a message; 0, or more than the installation allows: as many as that
	MaxFileBytes   int64    `json:"max_file_bytes,omitempty"`   // bytes of a file; the same
	MaxFilesBytes  int64    `json:"max_files_bytes,omitempty"`  // bytes of all files of a message; the same
	KeepFilesHours int      `json:"keep_files_hours,omitempty"` // hours that a file stays here after Zammad has shown it, default 24

	Alert AlertSettings `json:"alert,omitzero"`

	Document RegionDocument `json:"document"`

	// Managed names, for each field that another system set over the settings
	// API, the token that did it. People don't change such a field before they
	// have taken it back.
	Managed map[string]string `json:"managed,omitempty"`
}

// IdentityMode says whether a region's devices must prove who they are.
type IdentityMode string

// The modes: never look at a token, look and log without refusing, refuse
// without a good one.
const (
	IdentityOff     IdentityMode = "off"
	IdentityLog     IdentityMode = "log"
	IdentityEnforce IdentityMode = "enforce"
)

// RegionDocument holds the keys of the public region document that Deskbridge
// only passes on to the app.
type RegionDocument struct {
	Live              bool           `json:"live"`
	Events            bool           `json:"events"`
	POIs              bool           `json:"pois"`
	PushNotifications bool           `json:"push_notifications"`
	ExternalNews      bool           `json:"external_news"`
	NameWithoutPrefix string         `json:"name_without_prefix,omitempty"`
	Prefix            string         `json:"prefix,omitempty"`
	Longitude         float64        `json:"longitude"`
	Latitude          float64        `json:"latitude"`
	Aliases           map[string]any `json:"aliases,omitempty"`
	BoundingBox       [][2]float64   `json:"bounding_box,omitempty"`
	PrivacyPolicy     string         `json:"zammad_privacy_policy,omitempty"`
}

// Defaults of a region's settings.
const (
	DefaultTitlePattern  = "[{LANG}] {region}: {alias}"
	CompatTitlePattern   = "[Integreat Chat] [{LANG}] {alias}" // matches the welcome triggers of existing installations
	DefaultTagPattern    = "lang-{lang}"
	DefaultCustomerLogin = "app-{alias}"
	DefaultCustomerName  = "App User {alias}"
	DefaultArticleType   = "chat" // with an origin it names the customer as author (contract 00.1)
	DefaultMaxText       = 10_000
	DefaultRetentionDays = 180
	DefaultKeepFiles     = 24     // hours
	NoFiles              = "none" // in FileKinds: no files at all
)

// WithDefaults gives the settings with every empty one filled in.
func (s RegionSettings) WithDefaults() RegionSettings {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill(&s.TitlePattern, DefaultTitlePattern)
	fill(&s.TagPattern, DefaultTagPattern)
	fill(&s.CustomerLogin, DefaultCustomerLogin)
	fill(&s.CustomerName, DefaultCustomerName)
	fill(&s.ArticleType, DefaultArticleType)
	s.Erasure = cmp.Or(s.Erasure, EraseAnonymise)
	s.Identity = cmp.Or(s.Identity, IdentityOff)
	if s.MaxText == 0 {
		s.MaxText = DefaultMaxText
	}
	if s.RetentionDays == 0 {
		s.RetentionDays = DefaultRetentionDays
	}
	if s.KeepFilesHours == 0 {
		s.KeepFilesHours = DefaultKeepFiles
	}
	return s
}

// SharesCustomer says whether all devices have one customer in the desk: then a
// customer can be neither renamed nor deleted for one of them.
func (s RegionSettings) SharesCustomer() bool {
	return !strings.Contains(s.WithDefaults().CustomerLogin, "{alias}")
}

// Served says whether chat calls of this region can be taken at all: it is
// switched on and has a Zammad.
func (r *Region) Served() bool {
	return r.Enabled && r.Settings.ZammadURL != "" && r.ZammadToken != ""
}

// HasLanguage says whether the region has the language code.
func (r *Region) HasLanguage(code string) bool {
	for _, l := range r.Settings.Languages {
		if l.Code == code {
			return true
		}
	}
	return false
}

// Retention is how long a chat is kept after its last message. Days that are not
// set, or make no sense, mean the default and never that everything may go.
func (r *Region) Retention() time.Duration {
	days := r.Settings.RetentionDays
	if days <= 0 {
		days = DefaultRetentionDays
	}
	return time.Duration(days) * 24 * time.Hour
}

// KeepFiles is how long a user's file stays here after Zammad has shown that it
// has it; then it is fetched from there.
func (r *Region) KeepFiles() time.Duration {
	hours := r.Settings.KeepFilesHours
	if hours <= 0 {
		hours = DefaultKeepFiles
	}
	return time.Duration(hours) * time.Hour
}

// namesCustomer says whether a customer's login may be one that the region's
// pattern makes.
func (r *Region) namesCustomer(login string) bool {
	before, after, alone := strings.Cut(strings.ToLower(r.Settings.WithDefaults().CustomerLogin), "{alias}")
	if !alone {
		return login == before
	}
	return len(login) > len(before)+len(after) && strings.HasPrefix(login, before) && strings.HasSuffix(login, after)
}

// regionsEvery is how often the regions are read again. A change by a command
// or by another instance is obeyed after at most this time.
//
// Failure policy: a failed read is logged and the last regions stay in force.
const regionsEvery = time.Second

// Regions holds all regions in memory, so that no request asks the store for
// them.
type Regions struct {
	store interface {
		Regions(ctx context.Context) ([]*Region, error)
	}
	log     *slog.Logger
	current atomic.Pointer[regionIndex]
}

type regionIndex struct {
	all    []*Region
	bySlug map[string]*Region
	byID   map[RegionID]*Region
}

// NewRegions reads the regions for the first time. The error is the store's.
func NewRegions(ctx context.Context, store interface {
	Regions(ctx context.Context) ([]*Region, error)
}, log *slog.Logger) (*Regions, error) {
	r := &Regions{store: store, log: log}
	if err := r.Reload(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Reload reads the regions now.
func (r *Regions) Reload(ctx context.Context) error {
	all, err := r.store.Regions(ctx)
	if err != nil {
		return fmt.Errorf("read regions: %w", err)
	}
	index := &regionIndex{all: all, bySlug: make(map[string]*Region, len(all)), byID: make(map[RegionID]*Region, len(all))}
	for _, region := range all {
		index.bySlug[region.Slug] = region
		index.byID[region.ID] = region
	}
	r.current.Store(index)
	return nil
}

// Run reads the regions again every second until ctx ends.
func (r *Regions) Run(ctx context.Context) error {
	tick := time.NewTicker(regionsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := r.Reload(ctx); err != nil && ctx.Err() == nil {
				r.log.WarnContext(ctx, "regions could not be read again; the last ones stay in force", "error", err)
			}
		}
	}
}

// BySlug finds a region by the name that paths use.
func (r *Regions) BySlug(slug string) (*Region, bool) {
	region, ok := r.current.Load().bySlug[slug]
	return region, ok
}

// ByID finds a region.
func (r *Regions) ByID(id RegionID) (*Region, bool) {
	region, ok := r.current.Load().byID[id]
	return region, ok
}

// All lists the regions, ordered by slug.
func (r *Regions) All() []*Region { return r.current.Load().all }
