package staff_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/staff"
)

func TestTokensAreRandomAndKnown(t *testing.T) {
	t.Parallel()
	a, b := staff.NewToken(), staff.NewToken()
	hash, ok := staff.HashToken(a)
	other, alsoOK := staff.HashToken(b)
	if !ok || !alsoOK || hash == other || !strings.HasPrefix(a, "dbt_") || len(a) != 47 {
		t.Errorf("%q, %q", a, b)
	}
	for _, wrong := range []string{"", "dbt_", a + "x", a[1:], "Bearer " + a, strings.ToUpper(a), strings.Repeat("x", 1<<20)} {
		if _, ok := staff.HashToken(wrong); ok {
			t.Errorf("%.60q is taken for a token", wrong)
		}
	}
}

func TestTokenCheck(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)
	good := staff.APIToken{Name: "CRM der Stadt", Scopes: staff.Scopes(), Expires: now.Add(time.Hour)}
	if err := good.Check(now); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[error]func(*staff.APIToken){
		staff.ErrTokenName:    func(t *staff.APIToken) { t.Name = "a\u202eb" },
		staff.ErrTokenScopes:  func(t *staff.APIToken) { t.Scopes = []staff.Scope{"staff:write"} },
		staff.ErrTokenRegions: func(t *staff.APIToken) { t.Regions = []bridge.RegionID{} },
		staff.ErrTokenExpired: func(t *staff.APIToken) { t.Expires = now },
	} {
		bad := good
		change(&bad)
		if err := bad.Check(now); !errors.Is(err, want) {
			t.Errorf("%v instead of %v", err, want)
		}
	}
}
