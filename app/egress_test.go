package app

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"deskbridge/bridge"
	"deskbridge/config"
	"deskbridge/egress"
)

// TestNoAddressOfARegionLeadsInside sets every address that a region has to a
// server on this machine: nothing knocks there, and each is named.
func TestNoAddressOfARegionLeadsInside(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var knocks atomic.Int64
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			knocks.Add(1)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-closed
	})
	inside := ln.Addr().String()
	open := func(env ...string) *App {
		t.Helper()
		cfg, err := config.Load("", append([]string{"DESKBRIDGE_DATA_DIR=" + t.TempDir(), "DESKBRIDGE_SECRET_KEY=" + strings.Repeat("5a", 32)}, env...))
		if err != nil {
			t.Fatal(err)
		}
		a, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		})
		return a
	}
	region := &bridge.Region{ID: 1, Slug: "testland", Name: "Testland", Enabled: true, ZammadToken: "token", Settings: bridge.RegionSettings{
		ZammadURL: "http://" + inside, Identity: bridge.IdentityEnforce, IdentityKeysURL: "https://" + inside + "/keys",
		Alert: bridge.AlertSettings{Minutes: 1, WebhookURL: "http://" + inside, NtfyURL: "http://localhost:" + strings.Split(inside, ":")[1]},
	}}
	use := func(a *App) {
		t.Helper()
		for _, f := range a.Desk.Examine(t.Context(), region) {
			if f.OK {
				t.Errorf("%+v", f)
			}
		}
		// A token whose key has to be looked up; who signed it does not matter.
		const token = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.eyJzdWIiOiJkIiwiZXhwIjo0MTAyNDQ0ODAwfQ.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		if _, err := a.identity.Check(t.Context(), region, "d", token); !errors.Is(err, bridge.ErrIdentityKeys) {
			t.Errorf("the keys: %v", err)
		}
		for _, c := range a.Alerts.Test(t.Context(), region) {
			if c.State != bridge.AlertFailed {
				t.Errorf("%+v", c)
			}
		}
	}
	strict := open()
	if found := strict.Examine(t.Context(), region); len(found) != 1 || found[0].Code != "refused_address" {
		t.Errorf("%+v", found)
	}
	use(strict)
	if n := knocks.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
	if refused := strict.RefusedAddresses(t.Context(), region); len(refused) != 4 || !errors.Is(errors.Join(refused...), egress.ErrPrivate) {
		t.Errorf("%v", refused)
	}

	// The same where the operator allows it: all of them would have knocked.
	allowing := open("DESKBRIDGE_EGRESS_ALLOW=127.0.0.0/8,::1")
	use(allowing)
	if n := knocks.Load(); n < 4 {
		t.Errorf("%d connections were made", n)
	}
	if refused := allowing.RefusedAddresses(t.Context(), region); len(refused) != 0 {
		t.Errorf("%v", refused)
	}
}
