package server_test

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"deskbridge/server"
)

func TestLimitsPerAddress(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	s, _ := frame(t, server.Config{Now: func() time.Time { return now }, WritesPerMinute: 2, ReadsPerMinute: 3, ExemptLoopback: true})
	from := func(addr string) func(*http.Request) {
		return func(r *http.Request) { r.RemoteAddr = addr }
	}
	ask := func(method, path, addr string, want int) http.Header {
		t.Helper()
		w := do(s, method, path, from(addr))
		if w.Code != want {
			t.Errorf("%s %s from %s: %d, want %d", method, path, addr, w.Code, want)
		}
		return w.Header()
	}
	ask("POST", "/body", "192.0.2.1:1", 201)
	ask("POST", "/body", "192.0.2.1:2", 201)
	if h := ask("POST", "/body", "192.0.2.1:3", 429); h.Get("Retry-After") != "30" {
		t.Errorf("Retry-After %q, want 30", h.Get("Retry-After"))
	}
	ask("POST", "/body", "192.0.2.2:1", 201) // somebody else
	for range 3 {
		ask("GET", "/poll", "192.0.2.1:1", 304) // reading is counted apart
	}
	ask("GET", "/poll", "192.0.2.1:1", 429)
	ask("GET", "/known", "192.0.2.1:1", 404) // not a limited route
	ask("POST", "/body", "[2001:db8::1]:1", 201)
	ask("POST", "/body", "[2001:db8::2]:1", 201)
	ask("POST", "/body", "[2001:db8::3]:1", 429) // one household
	ask("POST", "/body", "[2001:db8:0:1::1]:1", 201)
	for range 5 {
		ask("POST", "/body", "127.0.0.1:1", 201)
	}
	now = now.Add(30 * time.Second)
	ask("POST", "/body", "192.0.2.1:1", 201)
	ask("POST", "/body", "192.0.2.1:1", 429)
}

func TestAFloodIsOneLineAMinute(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	s, log := frame(t, server.Config{Now: func() time.Time { return now }, ReadsPerMinute: 1})
	for range 100 {
		do(s, "GET", "/poll", nil)
	}
	now = now.Add(61 * time.Second)
	do(s, "GET", "/poll", nil)
	do(s, "GET", "/poll", nil)
	if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), `"since_last_line":99`) {
		t.Errorf("%d lines: %s", n, log)
	}
}

// Whatever a client writes into X-Forwarded-For, it has one allowance.
func TestForgedAddressesShareOneLimit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		peer, right string
	}{
		"straight":     {"198.51.100.7:1", "192.0.2.%d"},
		"by the proxy": {"10.0.0.1:1", "192.0.2.%d, 198.51.100.7"},
		"by two":       {"10.0.0.1:1", "192.0.2.%d, 198.51.100.7, 10.0.0.2"},
		"as loopback":  {"10.0.0.1:1", "127.0.0.1, 198.51.100.7"},
	} {
		s, _ := frame(t, server.Config{WritesPerMinute: 2, ExemptLoopback: true, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
		for i, want := range []int{201, 201, 429, 429} {
			w := do(s, "POST", "/body", func(r *http.Request) {
				r.RemoteAddr = tc.peer
				r.Header.Set("X-Forwarded-For", strings.ReplaceAll(tc.right, "%d", strconv.Itoa(i)))
			})
			if w.Code != want {
				t.Errorf("%s: request %d: %d, want %d", name, i+1, w.Code, want)
			}
		}
	}
}

func TestImpossibleLimitIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := server.New(server.Config{WritesPerMinute: -1}); err == nil {
		t.Error("a negative limit was accepted")
	}
	limiter, err := server.NewLimiter("x", 0, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, allowed := limiter.Allow("x"); !allowed {
		t.Error("0 means no limit")
	}
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	s, _ := frame(t, server.Config{TrustedProxies: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("127.0.0.1/32"),
	}})
	for _, tc := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:1", nil, "192.0.2.1"},
		{"192.0.2.1:1", []string{"198.51.100.1"}, "192.0.2.1"}, // an untrusted peer says what it likes
		{"10.0.0.1:1", nil, "10.0.0.1"},
		{"10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:1", []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:1", []string{"203.0.113.9, 198.51.100.1, 10.2.3.4"}, "198.51.100.1"},
		{"10.0.0.1:1", []string{"203.0.113.9", "198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:1", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"10.0.0.1:1", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"[::ffff:10.0.0.1]:1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"10.0.0.1:1", []string{"198.51.100.1, nonsense"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"nonsense, 10.0.0.2"}, "10.0.0.2"},
		{"[fd00::1]:1", []string{"10.9.9.9"}, "10.9.9.9"},
	} {
		r := &http.Request{RemoteAddr: tc.peer, Header: http.Header{"X-Forwarded-For": tc.forwarded}}
		if got := s.ClientAddr(r).String(); got != tc.want {
			t.Errorf("%s %q: %s, want %s", tc.peer, tc.forwarded, got, tc.want)
		}
	}
	if addr := s.ClientAddr(&http.Request{RemoteAddr: "@"}); addr.IsValid() {
		t.Errorf("a peer without address became %s", addr)
	}
}

func FuzzClientAddr(f *testing.F) {
	s, err := server.New(server.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("1.2.3.4, 10.0.0.1")
	f.Add("[::1%eth0]:5,,,")
	f.Fuzz(func(t *testing.T, forwarded string) {
		r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {forwarded}}}
		if addr := s.ClientAddr(r); !addr.IsValid() || addr.Zone() != "" {
			t.Errorf("%q became %v", forwarded, addr)
		}
	})
}
