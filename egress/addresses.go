package egress

import (
	"net/netip"
	"slices"
)

// special are the addresses that are not of the public internet, or lead to
// the machine or network that asks (IANA's special-purpose registries; the last
// IPv4 one is the host under each machine of a large cloud).
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32",

	"2001::/23", "2001:db8::/32", "3fff::/20",
)

var (
	// unicast is all that is given out of IPv6: what is outside is local,
	// multicast, or a form of something else.
	unicast = netip.MustParsePrefix("2000::/3")
	// translated and tunnelled hold an IPv4 address to which they lead.
	translated = netip.MustParsePrefix("64:ff9b::/96") // NAT64, in the last four bytes
	tunnelled  = netip.MustParsePrefix("2002::/16")    // 6to4, after the first two
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// plain gives an address in the one form that is compared: without zone, and
// as IPv4 if it is an IPv4 address written as IPv6.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// within says whether one of the networks holds a plain address.
func within(networks []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// isPublic says whether a plain address is one of the public internet.
func isPublic(addr netip.Addr) bool {
	if !addr.IsValid() || within(special, addr) {
		return false
	}
	if addr.Is4() {
		return true
	}
	bytes := addr.As16()
	switch {
	case translated.Contains(addr):
		return isPublic(netip.AddrFrom4([4]byte(bytes[12:])))
	case tunnelled.Contains(addr):
		return isPublic(netip.AddrFrom4([4]byte(bytes[2:6])))
	default:
		return unicast.Contains(addr)
	}
}
