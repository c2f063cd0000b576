package storage_test

import (
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// token stores a token and gives it with its hash.
func (w *world) token(t staff.APIToken) (staff.APIToken, staff.TokenHash) {
	w.Helper()
	hash, ok := staff.HashToken(staff.NewToken())
	if !ok {
		w.Fatal("a new token is none")
	}
	w.ok(w.AddAPIToken(w.ctx, &t, hash))
	return t, hash
}

func TestAPITokens(t *testing.T) {
	eachWorld(t, func(w *world) {
		hour := start.Truncate(time.Hour)
		all, hash := w.token(staff.APIToken{Name: "CRM", Scopes: staff.Scopes()})
		one, other := w.token(staff.APIToken{Name: "Kiosk", Scopes: []staff.Scope{staff.ReadRegions}, Regions: []bridge.RegionID{w.region.ID}, Expires: hour.Add(48 * time.Hour)})

		got, err := w.UseAPIToken(w.ctx, hash, hour.Add(10*time.Minute))
		w.ok(err)
		equal(w, "used", got.UsedAt, hour)
		if !got.Knows(w.region.ID+1) || !got.May(staff.WriteRegions) || got.ID != all.ID || got.Actor().Name != "CRM" {
			w.Errorf("%+v", got)
		}
		got, err = w.UseAPIToken(w.ctx, other, hour)
		w.ok(err)
		if !got.Knows(w.region.ID) || got.Knows(w.region.ID+1) || got.May(staff.WriteRegions) || !got.May(staff.ReadRegions) {
			w.Errorf("%+v", got)
		}
		_, err = w.UseAPIToken(w.ctx, other, hour.Add(48*time.Hour))
		w.wants(err, bridge.ErrAPIToken) // expired in this moment
		_, err = w.UseAPIToken(w.ctx, staff.TokenHash{1}, hour)
		w.wants(err, bridge.ErrAPIToken)

		again := staff.APIToken{Name: "CRM", Scopes: staff.Scopes()}
		w.wants(w.AddAPIToken(w.ctx, &again, staff.TokenHash{2}), staff.ErrTokenTaken)
		w.ok(w.RevokeAPIToken(w.ctx, all.ID))
		w.ok(w.RevokeAPIToken(w.ctx, all.ID))
		w.wants(w.RevokeAPIToken(w.ctx, 1<<40), staff.ErrTokenUnknown)
		_, err = w.UseAPIToken(w.ctx, hash, hour)
		w.wants(err, bridge.ErrAPIToken)
		w.ok(w.AddAPIToken(w.ctx, &again, staff.TokenHash{2})) // the name is free again

		listed, err := w.APITokens(w.ctx)
		w.ok(err)
		var names []string
		for _, token := range listed {
			names = append(names, token.Name)
		}
		equal(w, "tokens", strings.Join(names, " "), "CRM Kiosk CRM")
		if listed[1].ID != one.ID || listed[2].RevokedAt.IsZero() || !listed[0].RevokedAt.IsZero() {
			w.Errorf("%+v", listed)
		}
		entries, err := w.Audit(w.ctx, bridge.AuditQuery{Action: "token.", Limit: 10})
		w.ok(err)
		equal(w, "entries", len(entries), 4) // three added, one revoked
		if c := entries[2].Changes; len(c) != 3 || c[1].To != "augsburg" || !strings.Contains(c[2].To, "2026-11-25") {
			w.Errorf("%+v", entries[2])
		}
	})
}
