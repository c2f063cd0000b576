package gate

import (
	"strings"
	"testing"
)

func TestOlderThan(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version, least string
		older          bool
	}{
		{"1", "2", true}, {"2", "1", false}, {"2", "2", false},
		{"2026.8.1", "2026.8.1", false}, {"2026.8.0", "2026.8.1", true}, {"2026.8.1", "2026.8.0", false},
		{"2026.9", "2026.10", true}, {"2026.10", "2026.9", false}, // numbers, not text
		{"2.1", "2.1.0", false}, {"2.1.0", "2.1", false}, {"2.1", "2.1.1", true}, {"2.1.1", "2.1", false},
		{"v2.0", "2.1", true}, {"2.2", "v2.1", false}, {"02.01", "2.1", false},
		{"2.1.0-beta.3", "2.1.0", false}, {"2.0.9-rc", "2.1.0", true}, {"2.0+99", "2.1+1", true},
		// no version on one side: not restricted
		{"", "2.1", false}, {"1.0", "", false}, {"1.0", "soon", false}, {"latest", "2.1", false},
		{"1..0", "2.1", false}, {".1", "2.1", false}, {"1.", "2.1", false}, {"-1", "2.1", false}, {"v", "2.1", false},
		{"1.0 ", "2.1", false}, {"１.0", "2.1", false}, {"1000000000.0", "2.1", false}, {"1,0", "2.1", false},
	} {
		if got := olderThan(c.version, c.least); got != c.older {
			t.Errorf("olderThan(%q, %q) = %v, want %v", c.version, c.least, got, c.older)
		}
	}
}

func FuzzVersion(f *testing.F) {
	for _, s := range []string{"", "2026.8.1", "v2", "2.1-beta", "1..0", "999999999999999999999", ".", "v", "1.0\x00", strings.Repeat("1.", 500)} {
		f.Add(s, "2.1")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		older, newer := olderThan(a, b), olderThan(b, a)
		if older && newer {
			t.Fatalf("%q and %q are each older than the other", a, b)
		}
		if olderThan(a, a) {
			t.Fatalf("%q is older than itself", a)
		}
		if (older || newer) && (!ValidVersion(a) || !ValidVersion(b)) {
			t.Fatalf("%q and %q were compared, but are not both versions", a, b)
		}
		if ValidVersion(a) && !strings.ContainsAny(a, "-+") {
			if olderThan(a+".0", a) || olderThan(a, a+".0") {
				t.Fatalf("%q and %q differ", a, a+".0")
			}
			if !olderThan(a, a+".1") {
				t.Fatalf("%q is not older than %q", a, a+".1")
			}
		}
	})
}
