package config

import (
	"log/slog"
	"net/url"
	"strings"
)

const mask = "********"

// Secret is a value that must not be printed: every way of formatting it shows
// stars. Convert to string where the value itself is needed.
type Secret string

// String hides the value from fmt.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the value from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the value from JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// SecretURL is a URL that may contain a password, which no way of formatting it
// shows. Convert to string where the value itself is needed.
type SecretURL string

// String hides the password and the query; of what is no URL it hides all.
func (s SecretURL) String() string {
	if s == "" || strings.HasPrefix(string(s), "sqlite:") {
		return string(s)
	}
	u, err := url.Parse(string(s))
	if err != nil || u.Host == "" || strings.Contains(u.Path, "@") {
		return mask
	}
	shown := u.Scheme + "://"
	if u.User != nil {
		if _, has := u.User.Password(); has {
			shown += u.User.Username() + ":" + mask + "@"
		} else {
			shown += mask + "@" // it may be a token
		}
	}
	shown += u.Host + u.Path
	if u.RawQuery != "" {
		shown += "?" + mask
	}
	return shown
}

// GoString hides the password from %#v.
func (s SecretURL) GoString() string { return s.String() }

// LogValue hides the password from slog.
func (s SecretURL) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the password from JSON and YAML.
func (s SecretURL) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
