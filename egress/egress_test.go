package egress_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"deskbridge/egress"
)

// names is a resolver that knows some names; each answer may differ from the
// one before.
type names map[string]func() []netip.Addr

func (n names) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	answer, known := n[host]
	if !known || network != "ip" {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return answer(), nil
}

func always(texts ...string) func() []netip.Addr {
	return func() []netip.Addr {
		var list []netip.Addr
		for _, text := range texts {
			list = append(list, netip.MustParseAddr(text))
		}
		return list
	}
}

func guard(t testing.TB, resolver egress.Resolver, allow ...string) *egress.Guard {
	t.Helper()
	g, err := egress.New(allow, resolver)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	g := guard(t, names{})
	for _, tc := range []struct {
		addr string
		want error
	}{
		{"93.184.216.34", nil}, {"1.1.1.1", nil}, {"100.63.255.255", nil}, {"100.128.0.1", nil}, {"172.15.0.1", nil}, {"172.32.0.1", nil},
		{"198.17.255.255", nil}, {"223.255.255.255", nil}, {"192.167.0.1", nil}, {"11.0.0.1", nil},
		{"127.0.0.1", egress.ErrPrivate}, {"127.255.0.3", egress.ErrPrivate}, {"0.0.0.0", egress.ErrPrivate}, {"0.1.2.3", egress.ErrPrivate},
		{"10.1.2.3", egress.ErrPrivate}, {"172.16.0.1", egress.ErrPrivate}, {"172.31.255.255", egress.ErrPrivate}, {"192.168.1.1", egress.ErrPrivate},
		{"100.64.0.1", egress.ErrPrivate}, {"100.100.100.200", egress.ErrPrivate}, {"169.254.169.254", egress.ErrPrivate},
		{"192.0.0.8", egress.ErrPrivate}, {"192.0.2.7", egress.ErrPrivate}, {"198.51.100.7", egress.ErrPrivate}, {"203.0.113.7", egress.ErrPrivate},
		{"198.18.0.1", egress.ErrPrivate}, {"198.19.255.255", egress.ErrPrivate}, {"192.88.99.1", egress.ErrPrivate}, {"168.63.129.16", egress.ErrPrivate},
		{"224.0.0.1", egress.ErrPrivate}, {"239.255.255.250", egress.ErrPrivate}, {"240.0.0.1", egress.ErrPrivate}, {"255.255.255.255", egress.ErrPrivate},

		{"2606:2800:220:1:248:1893:25c8:1946", nil}, {"2a00:1450::1", nil},
		{"::", egress.ErrPrivate}, {"::1", egress.ErrPrivate}, {"fe80::1", egress.ErrPrivate}, {"fec0::1", egress.ErrPrivate},
		{"fc00::1", egress.ErrPrivate}, {"fd00:ec2::254", egress.ErrPrivate}, {"ff02::1", egress.ErrPrivate}, {"2001:db8::1", egress.ErrPrivate},
		{"3fff::1", egress.ErrPrivate}, {"100::1", egress.ErrPrivate}, {"5f00::1", egress.ErrPrivate}, {"4000::1", egress.ErrPrivate},
		{"::ffff:127.0.0.1", egress.ErrPrivate}, {"::ffff:10.0.0.1", egress.ErrPrivate}, {"::ffff:a9fe:a9fe", egress.ErrPrivate}, {"::ffff:1.1.1.1", nil},
		{"::127.0.0.1", egress.ErrPrivate}, {"::1.1.1.1", egress.ErrPrivate}, // IPv4-compatible: given up
		{"64:ff9b::7f00:1", egress.ErrPrivate}, {"64:ff9b::10.0.0.1", egress.ErrPrivate}, {"64:ff9b::169.254.169.254", egress.ErrPrivate}, {"64:ff9b::1.1.1.1", nil},
		{"64:ff9b:1::a00:1", egress.ErrPrivate},
		{"2002:7f00:1::", egress.ErrPrivate}, {"2002:a00:1::1", egress.ErrPrivate}, {"2002:a9fe:a9fe::1", egress.ErrPrivate}, {"2002:101:101::1", nil},
		{"2001:0:4136:e378:8000:63bf:3fff:fdd2", egress.ErrPrivate}, // Teredo
	} {
		host := tc.addr
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		if err := g.Lookup(t.Context(), "https://"+host+"/"); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.addr, err, tc.want)
		}
		// The same as the answer of a name server.
		named := guard(t, names{"desk.example": always("1.1.1.1", tc.addr)})
		if err := named.Lookup(t.Context(), "https://desk.example/"); !errors.Is(err, tc.want) {
			t.Errorf("a name that is %s: %v, want %v", tc.addr, err, tc.want)
		}
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	g := guard(t, names{}, "10.0.0.0/8", "Desk.Intern.", "fd00::/8", "192.168.7.7")
	for _, tc := range []struct {
		url  string
		want error
	}{
		{"https://desk.example", nil}, {"http://desk.example:80/x?y=z", nil}, {"https://desk.example:8443/", nil}, {"https://DESK.example./", nil},
		{"https://xn--mnchen-3ya.example", nil}, {"https://my_desk.example", nil}, {"https://[2606:2800::1]:443/", nil},
		{"", egress.ErrScheme}, {"desk.example", egress.ErrScheme}, {"//desk.example", egress.ErrScheme}, {"ftp://desk.example", egress.ErrScheme},
		{"gopher://desk.example:70/", egress.ErrScheme}, {"file:///etc/passwd", egress.ErrScheme}, {"javascript:alert(1)", egress.ErrScheme},
		{"http:desk.example", egress.ErrURL}, {"https://desk.example:x/", egress.ErrURL}, {"https://desk.example/%zz", egress.ErrURL}, {"https://a\x00b/", egress.ErrURL},
		{"https://user@desk.example", egress.ErrUserinfo}, {"https://user:word@desk.example", egress.ErrUserinfo}, {"https://@desk.example", egress.ErrUserinfo},
		{"https://", egress.ErrHost}, {"https:///path", egress.ErrHost}, {"https://.", egress.ErrHost}, {"https://a..b", egress.ErrHost}, {"https://.a", egress.ErrHost},
		{"https://a..", egress.ErrHost}, {"https://a b/", egress.ErrURL}, {"https://a%20b/", egress.ErrURL}, {"https://münchen.example", egress.ErrHost},
		{"https://" + strings.Repeat("a", 64) + ".example", egress.ErrHost}, {"https://" + strings.Repeat("a.", 130) + "example", egress.ErrHost},
		{"https://[fe80::1%25eth0]/", egress.ErrHost}, {"https://[::1%25]/", egress.ErrURL},
		// What some resolvers read as 127.0.0.1.
		{"http://2130706433/", egress.ErrHost}, {"http://0x7f000001/", egress.ErrHost}, {"http://0x7f.1/", egress.ErrHost}, {"http://0177.0.0.1/", egress.ErrHost},
		{"http://127.1/", egress.ErrHost}, {"http://127.0.0.01/", egress.ErrHost}, {"http://127.0.0.1.5/", egress.ErrHost}, {"http://desk.1/", egress.ErrHost},
		{"http://0x/", egress.ErrHost}, {"http://desk.0xabc./", egress.ErrHost}, {"http://256.256.256.256/", egress.ErrHost}, {"http://①②⑦.⓪.⓪.①/", egress.ErrHost},
		{"http://desk.example:22/", egress.ErrPort}, {"http://desk.example:25/", egress.ErrPort}, {"http://desk.example:0/", egress.ErrPort},
		{"http://desk.example:1023/", egress.ErrPort}, {"http://desk.example:65536/", egress.ErrPort}, {"http://desk.example:1024/", nil},
		{"http://10.1.2.3:22/", nil}, {"http://desk.intern:25", nil}, {"http://DESK.intern.:25", nil}, {"http://11.1.2.3:22/", egress.ErrPort},
		{"http://[fd00::1]:81/", nil}, {"http://192.168.7.7:81/", nil}, {"http://192.168.7.8:81/", egress.ErrPort}, {"http://[::ffff:10.1.2.3]:22/", nil},
	} {
		if err := g.CheckURL(tc.url); !errors.Is(err, tc.want) {
			t.Errorf("%q: %v, want %v", tc.url, err, tc.want)
		}
	}
}

func TestAllowList(t *testing.T) {
	t.Parallel()
	resolver := names{
		"desk.intern": always("10.1.2.3"), "other.intern": always("10.1.2.4"), "both.intern": always("10.1.2.3", "192.168.1.1"),
		"mixed.example": always("1.1.1.1", "10.1.2.3"), "gone.example": always(),
	}
	for _, tc := range []struct {
		allow []string
		url   string
		want  error
	}{
		{nil, "https://desk.intern", egress.ErrPrivate},
		{[]string{"desk.intern"}, "https://desk.intern", nil},
		{[]string{"DESK.intern."}, "https://desk.intern", nil},
		{[]string{"desk.intern"}, "https://other.intern", egress.ErrPrivate},
		{[]string{"desk.intern"}, "https://10.1.2.3", egress.ErrPrivate}, // a name allows the name
		{[]string{"intern"}, "https://desk.intern", egress.ErrPrivate},
		{[]string{"10.1.2.3"}, "https://desk.intern", nil},
		{[]string{"10.1.2.3/32"}, "https://other.intern", egress.ErrPrivate},
		{[]string{"10.1.2.99/24"}, "https://other.intern", nil},
		{[]string{"10.0.0.0/8"}, "https://both.intern", egress.ErrPrivate},
		{[]string{"10.0.0.0/8", "192.168.0.0/16"}, "https://both.intern", nil},
		{nil, "https://mixed.example", egress.ErrPrivate},
		{[]string{"10.0.0.0/8"}, "https://mixed.example", nil},
		{[]string{"::ffff:10.1.2.3"}, "https://desk.intern", nil},
		{[]string{"0.0.0.0/0", "::/0"}, "https://169.254.169.254", nil},
		{nil, "https://nobody.example", egress.ErrUnresolved},
		{nil, "https://gone.example", egress.ErrUnresolved},
	} {
		if err := guard(t, resolver, tc.allow...).Lookup(t.Context(), tc.url); !errors.Is(err, tc.want) {
			t.Errorf("%v, %s: %v, want %v", tc.allow, tc.url, err, tc.want)
		}
	}
	for _, bad := range []string{"", "10.0.0.0/33", "10.0.0", "https://desk.intern", "desk.intern:80", "*.intern", "a b", "0x7f.1"} {
		if _, err := egress.New([]string{bad}, nil); err == nil || !strings.Contains(err.Error(), `"`+bad+`"`) {
			t.Errorf("the entry %q: %v", bad, err)
		}
	}
}

// receiver is a server on loopback that counts connections and requests.
type receiver struct {
	*httptest.Server
	port            string
	conns, requests atomic.Int64
}

func newReceiver(t *testing.T, handler http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.requests.Add(1)
		handler(w, req)
	}))
	r.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			r.conns.Add(1)
		}
	}
	r.Start()
	t.Cleanup(r.Close)
	u, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	r.port = u.Port()
	return r
}

func get(t *testing.T, c *http.Client, url string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

func client(t *testing.T, g *egress.Guard) *http.Client {
	c := egress.Client(g.Transport(), time.Minute)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestConnections(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	resolver := names{"desk.intern": always("127.0.0.1"), "both.intern": always("::1", "127.0.0.1")}
	at := "http://desk.intern:" + r.port

	if _, err := get(t, client(t, guard(t, resolver)), at); !errors.Is(err, egress.ErrPrivate) || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("not allowed: %v", err)
	}
	if r.conns.Load() != 0 {
		t.Error("a refused address was connected to")
	}
	c := client(t, guard(t, resolver, "127.0.0.0/8", "::1"))
	for range 3 {
		if body, err := get(t, c, at); err != nil || body != "hello" {
			t.Errorf("allowed: %q, %v", body, err)
		}
	}
	if n := r.conns.Load(); n != 1 {
		t.Errorf("%d connections for three requests", n)
	}
	// The first family refuses, or is missing: the second is tried.
	if body, err := get(t, c, "http://both.intern:"+r.port); err != nil || body != "hello" {
		t.Errorf("by the second family: %q, %v", body, err)
	}
}

func TestSlowFamilyDoesNotHold(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {})
	// Nobody answers at this address, nor says so.
	g := guard(t, names{"desk.intern": always("2001:db8::1", "127.0.0.1")}, "desk.intern")
	if _, err := get(t, client(t, g), "http://desk.intern:"+r.port); err != nil {
		t.Error(err)
	}
}

func TestRebinding(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(http.ResponseWriter, *http.Request) {})
	// Public when it is looked at, private when it would be used: the second
	// answer is asked for only by a second connection, and refused.
	var lookups atomic.Int64
	g := guard(t, names{"evil.example": func() []netip.Addr {
		if lookups.Add(1) == 1 {
			return always("93.184.216.34")()
		}
		return always("127.0.0.1")()
	}})
	if err := g.Lookup(t.Context(), "http://evil.example:"+r.port); err != nil {
		t.Fatalf("the first answer: %v", err)
	}
	if _, err := get(t, client(t, g), "http://evil.example:"+r.port); !errors.Is(err, egress.ErrPrivate) {
		t.Errorf("the second answer: %v", err)
	}

	// One connection asks once, so there is no second answer to be led by.
	lookups.Store(0)
	pinned := guard(t, names{"evil.example": func() []netip.Addr {
		if lookups.Add(1) == 1 {
			return always("127.0.0.1")()
		}
		return always("169.254.169.254")()
	}}, "127.0.0.0/8")
	if _, err := get(t, client(t, pinned), "http://evil.example:"+r.port); err != nil || lookups.Load() != 1 {
		t.Errorf("pinned: %v after %d lookups", err, lookups.Load())
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	inner := newReceiver(t, func(http.ResponseWriter, *http.Request) {})
	for _, status := range []int{301, 302, 303, 307, 308, 300} {
		outer := newReceiver(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inner.URL+"/metadata", status) })
		c := client(t, guard(t, names{"outer.example": always("127.0.0.1")}, "outer.example"))
		if _, err := get(t, c, "http://outer.example:"+outer.port); !errors.Is(err, egress.ErrRedirect) {
			t.Errorf("status %d: %v", status, err)
		}
	}
	if inner.requests.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	large := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/header" {
			w.Header().Set("X-Large", strings.Repeat("x", 300<<10))
			return
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20+1))
	})
	c := client(t, guard(t, names{}, "127.0.0.1"))
	var tooLarge *http.MaxBytesError
	if _, err := get(t, c, large.URL); !errors.As(err, &tooLarge) {
		t.Errorf("body: %v", err)
	}
	if _, err := get(t, c, large.URL+"/header"); err == nil {
		t.Error("a header without end was taken")
	}
}

func TestEnvironmentsProxyIsNotUsed(t *testing.T) {
	proxy := newReceiver(t, func(http.ResponseWriter, *http.Request) {})
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	c := client(t, guard(t, names{"desk.example": always("192.168.1.1")}))
	if _, err := get(t, c, "http://desk.example/"); !errors.Is(err, egress.ErrPrivate) {
		t.Error(err)
	}
	if proxy.conns.Load() != 0 {
		t.Error("the proxy was asked")
	}
}

// FuzzCheckURL: no text makes the check fall over, and what passes has a host
// that means one thing to everybody.
func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{"https://desk.example:8443/a?b#c", "http://[::ffff:127.0.0.1]/", "http://0x7f.1", "http://a@b@c", "http://[fe80::1%25lo]:80", "http://a\\b", "http://１２７.0.0.1"} {
		f.Add(seed)
	}
	g := guard(f, names{})
	f.Fuzz(func(t *testing.T, raw string) {
		if g.CheckURL(raw) != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
			t.Fatalf("%q passed: %v", raw, err)
		}
		host := strings.TrimSuffix(u.Hostname(), ".")
		_, notIP := netip.ParseAddr(host)
		if last := host[strings.LastIndex(host, ".")+1:]; notIP != nil && strings.Trim(last, "0123456789") == "" {
			t.Errorf("%q passed, though its host may be a number", raw)
		}
		if err := g.Lookup(t.Context(), raw); notIP != nil && !errors.Is(err, egress.ErrUnresolved) {
			t.Errorf("%q: %v", raw, err)
		}
	})
}
