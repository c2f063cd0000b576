// Package zammad is a plain client of the REST interface of Zammad 6.1 and
// later: types, calls, errors and the reading of webhook deliveries. It knows
// nothing of what its user wants with a helpdesk. Facts about Zammad are cited
// as "contract N", which is section N of docs/zammad-facts.md.
//
// Reads are repeated when Zammad does not answer; writes never are, because
// Zammad has no idempotency (contract 0.9). A write whose fate is unknown ends
// with ErrAmbiguous, and it is the caller who looks before sending again.
package zammad

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-resty/resty/v2"
)

const (
	defaultReadTimeout  = 20 * time.Second
	defaultWriteTimeout = 90 * time.Second // triggers and the sanitiser run inside a write (contract 6)
	defaultMaxBody      = 32 << 20         // bytes
)

// Config says which Zammad to talk to and how. Only URL and one kind of
// credentials are required.
type Config struct {
	// URL of the Zammad, with or without a path, without /api/v1.
	URL string
	// Token is a personal access token. It wins over Username and Password.
	Token string
	// Username and Password are an administrator's, for the setup only: Zammad
	// hashes the password on every call (contract 6).
	Username, Password string
	// UserAgent is sent as it is; default "deskbridge".
	UserAgent string
	// ReadTimeout limits one attempt of a read, and for a file the wait for its
	// first and for every further piece; default 20 s.
	ReadTimeout time.Duration
	// WriteTimeout limits a write; default 90 s. A write that takes longer has
	// probably happened nevertheless and ends with ErrAmbiguous.
	WriteTimeout time.Duration
	// MaxBody limits the answer to any call in bytes, files excepted; default 32 MiB.
	MaxBody int
	// Transport carries the requests; default is an own http.Transport. A
	// replacement must hand the request's context down to an http.Transport, as
	// wrappers for tracing do: whether a connection was ever used tells a
	// write that did not happen from one whose fate is unknown.
	Transport http.RoundTripper
	// Limiter bounds the calls in flight; nil means no bound. Clients of the
	// same Zammad should share one.
	Limiter *Limiter
	// OnCall is told about every attempt, in the goroutine of the caller; nil
	// means nobody is told.
	OnCall func(Call)
}

// Call describes one finished attempt, for logs and counts. It holds no
// addresses with ids, no text and no credentials.
type Call struct {
	BaseURL  string        // of the Zammad, see NormalizeURL
	Method   string        // HTTP method
	Route    string        // path pattern below /api/v1, such as "/tickets/{id}"
	Status   int           // HTTP status, 0 if there was no answer
	Attempt  int           // 1 for the first
	Waited   time.Duration // time spent waiting for the limiter
	Duration time.Duration // time spent with Zammad, without Waited
	Err      error         // nil or an *Error
}

// Client talks to one Zammad with one set of credentials. It is safe for
// concurrent use. Its calls are grouped by what they are about.
type Client struct {
	Users    Users
	Tickets  Tickets
	Articles Articles
	Tags     Tags
	Tokens   Tokens

	States     Collection[State, StateID]
	Groups     Collection[Group, GroupID]
	Roles      Collection[Role, RoleID]
	Webhooks   Collection[Webhook, WebhookID]
	Triggers   Collection[Trigger, TriggerID]
	Jobs       Collection[Job, JobID]
	Overviews  Collection[Overview, OverviewID]
	Attributes Collection[Attribute, AttributeID]
	Settings   Collection[Setting, SettingID]
	Erasures   Collection[DataPrivacyTask, TaskID]

	wire *wire
}

// New checks the configuration and builds a client; it does not connect.
func New(cfg Config) (*Client, error) {
	base, err := NormalizeURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	cfg.URL = base
	authorization := ""
	switch {
	case cfg.Token != "":
		authorization = "Token token=" + cfg.Token
	case cfg.Username != "" && cfg.Password != "":
		authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(cfg.Username+":"+cfg.Password))
	default:
		return nil, errors.New("zammad: a token or a user name with a password is required")
	}
	if strings.ContainsFunc(cfg.Token+cfg.UserAgent, unicode.IsControl) {
		return nil, errors.New("zammad: control characters in the token or the user agent")
	}
	if cfg.ReadTimeout <= 0 {
		cfg.ReadTimeout = defaultReadTimeout
	}
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = defaultWriteTimeout
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = defaultMaxBody
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "deskbridge"
	}
	if cfg.Transport == nil {
		cfg.Transport = newTransport()
	}
	rest := resty.NewWithClient(&http.Client{Transport: cfg.Transport, CheckRedirect: stay}).
		SetBaseURL(base+"/api/v1").
		SetLogger(silent{}).
		SetHeader("Authorization", authorization).
		SetHeader("User-Agent", cfg.UserAgent).
		// Exactly this and nothing else, or errors come as HTML (contract 0.1).
		SetHeader("Accept", "application/json")
	return newClient(&wire{cfg: cfg, rest: rest, backoff: firstBackoff}), nil
}

func newClient(w *wire) *Client {
	return &Client{
		Users:      Users{w},
		Tickets:    Tickets{w},
		Articles:   Articles{w},
		Tags:       Tags{w},
		Tokens:     Tokens{w},
		States:     Collection[State, StateID]{w, "/ticket_states", true},
		Groups:     Collection[Group, GroupID]{w, "/groups", false},
		Roles:      Collection[Role, RoleID]{w, "/roles", true},
		Webhooks:   Collection[Webhook, WebhookID]{w, "/webhooks", false},
		Triggers:   Collection[Trigger, TriggerID]{w, "/triggers", false},
		Jobs:       Collection[Job, JobID]{w, "/jobs", false},
		Overviews:  Collection[Overview, OverviewID]{w, "/overviews", false},
		Attributes: Collection[Attribute, AttributeID]{w, "/object_manager_attributes", false},
		Settings:   Collection[Setting, SettingID]{w, "/settings", false},
		Erasures:   Collection[DataPrivacyTask, TaskID]{w, "/data_privacy_tasks", false},
		wire:       w,
	}
}

// As returns a client that acts for another user, given by login, e-mail or id,
// through the header From. Zammad asks the real user for admin.user and then
// applies the rights of the other one (contract 1). Connections and limiter are
// shared.
func (c *Client) As(login string) *Client {
	w := *c.wire
	w.from = login
	return newClient(&w)
}

// BaseURL is the normalised address, the key by which two configurations are
// known to mean the same Zammad.
func (c *Client) BaseURL() string { return strings.TrimSuffix(c.wire.rest.BaseURL, "/api/v1") }

// Version is what Zammad says about itself, such as "6.1.0". It needs the
// permission admin (contract 1).
func (c *Client) Version(ctx context.Context) (string, error) {
	var answer struct {
		Version string `json:"version"`
	}
	err := c.wire.read(ctx, &answer, nil, "/version")
	return answer.Version, err
}

// ExecuteMigrations makes new attributes real columns. Zammad may restart
// itself because of it, so that the next calls fail for some seconds, and
// processes that did not restart ignore the column (contract 5).
func (c *Client) ExecuteMigrations(ctx context.Context) error {
	return c.wire.write(ctx, nil, http.MethodPost, struct{}{}, "/object_manager_attributes_execute_migrations")
}

// NormalizeURL brings the address of a Zammad into the one form in which it is
// stored and compared: scheme and host in lower case, no default port, no
// slash at the end. Anything but http and https, user names, queries and
// fragments are refused. The errors do not repeat the address, because it may
// contain a password.
func NormalizeURL(raw string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return "", errors.New("zammad: the address is not a URL")
	}
	scheme := strings.ToLower(u.Scheme)
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	switch {
	case scheme != "http" && scheme != "https":
		return "", errors.New("zammad: the address must begin with http:// or https://")
	case host == "" || host[0] == '.' || host[len(host)-1] == '.':
		return "", errors.New("zammad: the address has no host")
	case strings.ContainsAny(host, "/?#@% \\"):
		return "", errors.New("zammad: the address has a host with forbidden characters")
	case u.User != nil:
		return "", errors.New("zammad: the address must not contain a user name or password")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(strings.TrimSpace(raw), "#"):
		return "", errors.New("zammad: the address must not contain a query or a fragment")
	}
	port, err := normalPort(scheme, u.Port())
	if err != nil {
		return "", err
	}
	if port != "" {
		host = net.JoinHostPort(host, port)
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	clean := &url.URL{Scheme: scheme, Host: host}
	if u.Path != "" {
		clean.Path = strings.TrimSuffix(path.Clean("/"+u.Path), "/")
	}
	return clean.String(), nil
}

func normalPort(scheme, port string) (string, error) {
	if port == "" {
		return "", nil
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("zammad: the address has the impossible port %q", port)
	}
	if scheme == "http" && n == 80 || scheme == "https" && n == 443 {
		return "", nil
	}
	return strconv.Itoa(n), nil
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          32,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       50 * time.Second, // below the 65 to 75 s after which web servers hang up
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// stay follows no redirect: the token stays with the host that it was given for,
// and a redirected POST would arrive as a GET.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// silent keeps resty from writing to the standard error: everything it would
// say is in the returned error.
type silent struct{}

func (silent) Errorf(string, ...any) {}
func (silent) Warnf(string, ...any)  {}
func (silent) Debugf(string, ...any) {}
