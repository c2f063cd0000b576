package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"deskbridge/app"
	"deskbridge/bridge"
	"deskbridge/staff"
)

type tokenCmd struct {
	Add    tokenAddCmd    `cmd:"" help:"Make a token for a program that changes settings of regions. It is shown once."`
	List   tokenListCmd   `cmd:"" help:"List the tokens; what they are is not kept."`
	Revoke tokenRevokeCmd `cmd:"" help:"End a token at once."`
}

type tokenAddCmd struct {
	Name    string   `arg:"" help:"Name of the program, as the audit will name it."`
	Regions []string `required:"" help:"Regions that it may see; all: also those that come later." placeholder:"SLUG"`
	Scopes  []string `required:"" help:"What it may do: regions:read, regions:write." placeholder:"SCOPE"`
	Days    int      `default:"365" help:"Days until it expires; 0: never. Default 365." placeholder:"N"`
	JSON    bool     `name:"json" help:"Print as JSON."`
}

// Run makes the token.
func (c *tokenAddCmd) Run(s *invocation) error {
	if c.Days < 0 || c.Days > 3650 {
		return invalid("--days must be from 0 to 3650")
	}
	now := time.Now()
	token := staff.APIToken{Name: c.Name}
	for _, scope := range c.Scopes {
		token.Scopes = append(token.Scopes, staff.Scope(scope))
	}
	if c.Days > 0 {
		token.Expires = now.AddDate(0, 0, c.Days)
	}
	if err := token.Check(now); err != nil {
		return coded(ExitInput, err)
	}
	return s.withApp(func(a *app.App) error {
		if !slices.Equal(c.Regions, []string{"all"}) {
			for _, slug := range c.Regions {
				region, known := a.Regions.BySlug(slug)
				if !known {
					return coded(ExitNotFound, fmt.Errorf("there is no region %q", slug))
				}
				token.Regions = append(token.Regions, region.ID)
			}
		}
		secret := staff.NewToken()
		hash, _ := staff.HashToken(secret) // it was made a line above
		if err := a.Store.AddAPIToken(s.ctx, &token, hash); err != nil {
			return fmt.Errorf("token %s: %w", c.Name, err)
		}
		if c.JSON {
			return s.printJSON(map[string]any{"id": token.ID, "name": token.Name, "token": secret})
		}
		s.printf("%s\n", secret)
		fmt.Fprintln(s.Stderr, "This is the token. It is not shown again.")
		return nil
	})
}

type tokenListCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

// tokenView is a token as commands print it.
type tokenView struct {
	ID        int64         `json:"id"`
	Name      string        `json:"name"`
	Scopes    []staff.Scope `json:"scopes"`
	Regions   []string      `json:"regions"` // null: all
	State     string        `json:"state"`   // lives, expired, revoked
	CreatedAt time.Time     `json:"created_at"`
	Expires   time.Time     `json:"expires,omitzero"`
	UsedAt    time.Time     `json:"used_at,omitzero"` // to the hour
}

// Run lists the tokens, the newest first.
func (c *tokenListCmd) Run(s *invocation) error {
	return s.withApp(func(a *app.App) error {
		all, err := a.Store.APITokens(s.ctx)
		if err != nil {
			return fmt.Errorf("tokens: %w", err)
		}
		views := make([]tokenView, 0, len(all))
		for _, t := range all {
			views = append(views, viewOfToken(t, a.Regions, time.Now()))
		}
		if c.JSON {
			return s.printJSON(views)
		}
		day := func(t time.Time, none string) string {
			if t.IsZero() {
				return none
			}
			return t.Format(time.DateOnly)
		}
		out := s.table("ID", "NAME", "STATE", "SCOPES", "REGIONS", "EXPIRES", "USED")
		for _, v := range views {
			scopes := make([]string, len(v.Scopes))
			for i, scope := range v.Scopes {
				scopes[i] = string(scope)
			}
			out.row(strconv.FormatInt(v.ID, 10), v.Name, v.State, strings.Join(scopes, ","), cmp.Or(strings.Join(v.Regions, ","), "all"), day(v.Expires, "never"), day(v.UsedAt, "never"))
		}
		return out.flush()
	})
}

func viewOfToken(t staff.APIToken, regions *bridge.Regions, now time.Time) tokenView {
	v := tokenView{ID: t.ID, Name: t.Name, Scopes: t.Scopes, State: "lives", CreatedAt: t.CreatedAt, Expires: t.Expires, UsedAt: t.UsedAt}
	switch {
	case !t.RevokedAt.IsZero():
		v.State = "revoked"
	case !t.Lives(now):
		v.State = "expired"
	}
	for _, id := range t.Regions {
		slug := "removed"
		if region, known := regions.ByID(id); known {
			slug = region.Slug
		}
		v.Regions = append(v.Regions, slug)
	}
	return v
}

type tokenRevokeCmd struct {
	ID int64 `arg:"" help:"Number of the token, as token list shows it."`
}

// Run ends the token. A running serve obeys at the next request.
func (c *tokenRevokeCmd) Run(s *invocation) error {
	return s.withApp(func(a *app.App) error {
		if err := a.Store.RevokeAPIToken(s.ctx, c.ID); err != nil {
			return fmt.Errorf("token %d: %w", c.ID, err)
		}
		s.printf("token %d is revoked\n", c.ID)
		return nil
	})
}
