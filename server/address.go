package server

import (
	"net/http"
	"net/netip"
	"strings"
)

// maxForwarded is how many entries of X-Forwarded-For are looked at.
const maxForwarded = 20

// Client names the client of a request by its address, for limits that are held
// elsewhere. False says that it is exempt from all limits per address.
func (s *Server) Client(r *http.Request) (key string, limited bool) {
	key, _, limited = s.client(r)
	return key, limited
}

func (s *Server) client(r *http.Request) (key string, proxied, limited bool) {
	addr, proxied := s.clientAddr(r)
	return addressKey(addr), proxied, !s.exempt(addr)
}

func (s *Server) exempt(addr netip.Addr) bool { return s.cfg.ExemptLoopback && addr.IsLoopback() }

// addressKey is the address, or its /64 for IPv6: a household gets a whole one.
func addressKey(addr netip.Addr) string {
	bytes := addr.As16()
	if addr.Is6() {
		return string(bytes[:8])
	}
	return string(bytes[:])
}

// ClientAddr is the address that the request came from: the peer's or, if the
// peer is a trusted proxy, the right-most of X-Forwarded-For that is none. What
// stands left of it anybody may have written. It is the zero Addr where the
// peer has no IP address.
func (s *Server) ClientAddr(r *http.Request) netip.Addr {
	addr, _ := s.clientAddr(r)
	return addr
}

// clientAddr is ClientAddr, and whether the peer is a trusted proxy.
func (s *Server) clientAddr(r *http.Request) (client netip.Addr, proxied bool) {
	peer, ok := parseAddr(r.RemoteAddr)
	if !ok || !s.trusted(peer) {
		return peer, false
	}
	entries := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	client = peer
	for i := len(entries) - 1; i >= 0 && len(entries)-i <= maxForwarded; i-- {
		addr, ok := parseAddr(strings.TrimSpace(entries[i]))
		if !ok {
			break
		}
		client = addr
		if !s.trusted(addr) {
			break
		}
	}
	return client, true
}

func (s *Server) trusted(addr netip.Addr) bool {
	for _, network := range s.cfg.TrustedProxies {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// parseAddr reads an address with or without a port.
func parseAddr(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone(""), true
}
