package storage

import (
	"errors"
	"strings"
	"testing"
)

// Whatever stands in a settings file: an error never shows it, since it may hold
// a password, and what is accepted names a server and a database.
func FuzzMySQLURL(f *testing.F) {
	for _, seed := range []string{
		"mysql://user:secretword@host:3306/name", "mysql://user:secretword@[::1]/name?tls=true", "mysql://user:secretword@/name",
		"mysql://user:secretword%zz@host/name", "mysql://h/n?tls=skip-verify", "mysql://user:p@h/n?secretword=1", "sqlite:x", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rawURL string) {
		c, err := mysqlConfig(rawURL)
		if err == nil {
			if c.DBName == "" || strings.HasPrefix(c.Addr, ":") || !c.InterpolateParams {
				t.Errorf("accepted %q as %s/%s", rawURL, c.Addr, c.DBName)
			}
			return
		}
		if !errors.Is(err, ErrURL) {
			t.Errorf("error %v is no ErrURL", err)
		}
		if i := strings.Index(rawURL, "@"); i > 0 && strings.Contains(rawURL[:i], "secretword") && strings.Contains(err.Error(), "secretword") {
			t.Errorf("the error shows the password: %v", err)
		}
	})
}

// Whatever stands in a column: it opens only if it was sealed with this key for
// this place.
func FuzzOpenSealed(f *testing.F) {
	s, err := newSealer(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	const place = "regions.zammad_token/augsburg"
	sealed := s.close(place, "secret")
	for _, seed := range []string{sealed, sealed[:len(sealed)-1], sealed + "A", strings.Replace(sealed, "v1", "v2", 1), "v1." + s.id + ".", "v1." + s.id + ".AAAA", "..", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got, err := s.open(place, value)
		switch {
		case err != nil && !errors.Is(err, ErrWrongKey):
			t.Errorf("error %v is no ErrWrongKey", err)
		case err == nil && value == sealed && got != "secret", err == nil && value != sealed && got != "" && got != "secret":
			t.Errorf("%q opened as %q", value, got)
		}
		if _, err := s.open("regions.zammad_token/other", value); err == nil && value != "" {
			t.Errorf("%q opened in another place", value)
		}
	})
}
