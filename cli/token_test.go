package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"deskbridge/cli"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	secret := strings.Fields(h.want(cli.ExitOK, "token", "add", "City CRM", "--regions", "testland", "--scopes", "regions:read,regions:write"))[0]
	if !strings.HasPrefix(secret, "dbt_") || len(secret) != 47 {
		t.Errorf("the token is %q", secret)
	}
	for args, code := range map[string]int{
		"--regions testland --scopes staff:write":              cli.ExitInput,
		"--regions testland --scopes regions:read --days -1":   cli.ExitUsage,
		"--regions testland --scopes regions:read --days 4000": cli.ExitInput,
		"--regions nowhere --scopes regions:read":              cli.ExitNotFound,
		"--scopes regions:read":                                cli.ExitUsage,
	} {
		h.want(code, append([]string{"token", "add", "Other"}, strings.Fields(args)...)...)
	}
	h.want(cli.ExitConflict, "token", "add", "City CRM", "--regions", "all", "--scopes", "regions:read")
	list := h.want(cli.ExitOK, "token", "list", "--json")
	var tokens []struct {
		ID      int64
		Name    string
		Regions []string
		State   string
	}
	if err := json.Unmarshal([]byte(list), &tokens); err != nil || len(tokens) != 1 || tokens[0].State != "lives" || tokens[0].Regions[0] != "testland" || strings.Contains(list, secret) {
		t.Fatalf("%v %s", err, list)
	}
	h.want(cli.ExitOK, "token", "revoke", "1")
	h.want(cli.ExitNotFound, "token", "revoke", "999")
	if out := h.want(cli.ExitOK, "token", "list"); !strings.Contains(out, "revoked") {
		t.Error(out)
	}
	audit := h.want(cli.ExitOK, "audit", "list")
	if !strings.Contains(audit, "token.add") || !strings.Contains(audit, "token.revoke") || strings.Contains(audit, secret) {
		t.Error(audit)
	}
}
