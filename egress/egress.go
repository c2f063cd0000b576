// Package egress is the way out to addresses that people of the console may
// type: a Zammad, a set of keys, the receiver of an alert. Whoever may type an
// address must not reach with it what only this machine reaches: its own
// services, the network around it, the metadata of a cloud.
//
// So a connection is made only to public addresses, and to those that the
// operator's allow-list names. A name is resolved once, every answer is
// checked, and what is dialled is the checked address itself: a name server
// that answers differently the next time gains nothing. No proxy of the
// environment is used, since it would resolve the name again.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Why an address is refused. Each error of this package is one of these for
// errors.Is, with the host in front where one is known; none holds more of a
// URL than its host, since paths and queries may be secret.
var (
	ErrURL        = errors.New("the address must be a URL such as https://host/path")
	ErrScheme     = errors.New("the address must begin with http:// or https://")
	ErrUserinfo   = errors.New("the address must not contain a user name or password")
	ErrHost       = errors.New("the address has no usable host: write a name, or an IP address in its usual form")
	ErrPort       = errors.New("the port must be 80, 443, or 1024 or higher; an operator may add the host to egress.allow")
	ErrPrivate    = errors.New("the address is private, not of the public internet; an operator may add it to egress.allow")
	ErrUnresolved = errors.New("the host name could not be resolved")
	ErrRedirect   = errors.New("the answer is a redirect, which is not followed: write the final address")
)

// Resolver finds the addresses of a name; net.Resolver is one. The network is
// always "ip".
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Guard decides which addresses may be connected to, and connects. It is safe
// for concurrent use.
type Guard struct {
	networks []netip.Prefix
	hosts    []string
	resolver Resolver
}

// New makes a Guard. allow are networks (CIDR), single addresses and host names
// that may be reached although they are not public, at any port; the error
// names an entry that is none of these. A nil resolver is the machine's own.
func New(allow []string, resolver Resolver) (*Guard, error) {
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	g := &Guard{resolver: resolver}
	for _, entry := range allow {
		host, err := normalHost(entry)
		if network, not := netip.ParsePrefix(entry); not == nil {
			g.networks = append(g.networks, network.Masked())
		} else if addr, not := netip.ParseAddr(entry); not == nil {
			addr = plain(addr)
			g.networks = append(g.networks, netip.PrefixFrom(addr, addr.BitLen()))
		} else if err == nil {
			g.hosts = append(g.hosts, host)
		} else {
			return nil, fmt.Errorf("%q is neither a network, nor an IP address, nor a host name", entry)
		}
	}
	return g, nil
}

// CheckURL holds the form of an address against the rules: scheme, host and
// port, and no user name. It asks no name server, so an address that passes may
// still be refused as ErrPrivate when it is used; Lookup tells.
func (g *Guard) CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return ErrURL // its own text repeats the address
	}
	_, err = g.checkParsed(u)
	return err
}

// Lookup says whether an address that CheckURL lets pass may be connected to
// now, by resolving its name. It connects to nothing.
func (g *Guard) Lookup(ctx context.Context, raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return ErrURL
	}
	host, err := g.checkParsed(u)
	if err != nil {
		return err
	}
	_, err = g.resolve(ctx, host)
	return err
}

// checkParsed gives the host of a URL whose form is good.
func (g *Guard) checkParsed(u *url.URL) (host string, err error) {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return "", ErrScheme
	case u.User != nil:
		return "", ErrUserinfo
	case u.Opaque != "":
		return "", ErrURL
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return g.checkEnd(u.Hostname(), port)
}

// checkEnd holds host and port against the rules, and gives the host in its one
// form.
func (g *Guard) checkEnd(rawHost, rawPort string) (host string, err error) {
	host, err = normalHost(rawHost)
	if err != nil {
		return "", err
	}
	port, err := strconv.ParseUint(rawPort, 10, 16)
	if err != nil || port == 0 {
		return "", fmt.Errorf("%s: %w", host, ErrPort)
	}
	if port == 80 || port == 443 || port >= 1024 || g.allowsHost(host) {
		return host, nil
	}
	if addr, err := netip.ParseAddr(host); err == nil && within(g.networks, addr) {
		return host, nil
	}
	return "", fmt.Errorf("%s: %w", host, ErrPort)
}

func (g *Guard) allowsHost(host string) bool { return slices.Contains(g.hosts, host) }

// resolve gives the addresses of a normal host if all of them may be connected
// to. One that may not is enough to refuse: nobody has a public service with a
// private twin under one name.
func (g *Guard) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	var found []netip.Addr
	if addr, err := netip.ParseAddr(host); err == nil {
		found = []netip.Addr{addr}
	} else if found, err = g.resolver.LookupNetIP(ctx, "ip", host); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", host, ErrUnresolved, err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: %w", host, ErrUnresolved)
	}
	for i, addr := range found {
		found[i] = plain(addr)
		if !isPublic(found[i]) && !within(g.networks, found[i]) && !g.allowsHost(host) {
			if host == found[i].String() {
				return nil, fmt.Errorf("%s: %w", host, ErrPrivate)
			}
			return nil, fmt.Errorf("%s is %s: %w", host, found[i], ErrPrivate)
		}
	}
	return found, nil
}

// maxHost is the longest name of a host, in bytes (RFC 1035).
const maxHost = 253

// normalHost gives a host in the one form that is compared and resolved: lower
// case, without a dot at the end, an IP address as its own package writes it.
// Refused is what resolvers read in different ways: numbers that are not four
// decimal ones (0x7f.1, 2130706433, 0177.0.0.1), zones, and characters that no
// host name has.
func normalHost(raw string) (string, error) {
	host := strings.TrimSuffix(strings.ToLower(raw), ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return "", ErrHost
		}
		return plain(addr).String(), nil
	}
	if host == "" || len(host) > maxHost {
		return "", ErrHost
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, isStrange) {
			return "", ErrHost
		}
	}
	if last := labels[len(labels)-1]; looksLikeNumber(last) {
		return "", ErrHost
	}
	return host, nil
}

func isStrange(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// looksLikeNumber says whether a resolver may take a host that ends with this
// label for an IPv4 address (WHATWG URL, "ends in a number").
func looksLikeNumber(label string) bool {
	if hex, is := strings.CutPrefix(label, "0x"); is {
		return !strings.ContainsFunc(hex, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') })
	}
	return !strings.ContainsFunc(label, func(r rune) bool { return r < '0' || r > '9' })
}
