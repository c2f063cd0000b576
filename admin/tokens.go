package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// TokenStore is what the console asks of the store about API tokens.
type TokenStore interface {
	APITokens(ctx context.Context) ([]staff.APIToken, error)
	AddAPIToken(ctx context.Context, t *staff.APIToken, hash staff.TokenHash) error
	RevokeAPIToken(ctx context.Context, id int64) error
}

const tokensPath = "/admin/tokens/"

// tokensDoor is the part of the console about API tokens.
type tokensDoor struct{ *Door }

func (d tokensDoor) routes() []route {
	return []route{
		{http.MethodGet, tokensPath, staff.Operate, d.tokenList},
		{http.MethodPost, tokensPath, staff.Operate, d.addToken},
		{http.MethodGet, tokensPath + "revoke/:id/", staff.Operate, d.askRevoke},
		{http.MethodPost, tokensPath + "revoke/:id/", staff.Operate, d.revokeToken},
	}
}

// tokenRow is a token as the list shows it.
type tokenRow struct {
	staff.APIToken
	State string   // lives, expired, revoked
	Names []string // of its regions; nil: all
}

// Writes says whether it may change settings.
func (t tokenRow) Writes() bool { return t.May(staff.WriteRegions) }

// tokensPage is the list with the form below it.
type tokensPage struct {
	pageOf[tokenRow]
	Regions []*bridge.Region
	Form    url.Values // what was typed
	Faults  map[string]string
}

// Chosen says whether a value was chosen in the form.
func (p tokensPage) Chosen(name, value string) bool { return slices.Contains(p.Form[name], value) }

// rows gives the tokens for people.
func (d tokensDoor) rows(ctx context.Context) ([]tokenRow, error) {
	all, err := d.Tokens.APITokens(ctx)
	if err != nil {
		return nil, err
	}
	rows := make([]tokenRow, 0, len(all))
	for _, t := range all {
		row := tokenRow{APIToken: t, State: "lives"}
		switch {
		case !t.RevokedAt.IsZero():
			row.State = "revoked"
		case !t.Lives(d.Now()):
			row.State = "expired"
		}
		for _, id := range t.Regions {
			if region, known := d.Regions.ByID(id); known {
				row.Names = append(row.Names, region.Name)
			} else {
				row.Names = append(row.Names, "–") // it was removed
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (d tokensDoor) tokenList(r *Request) error {
	return d.showTokens(r, http.StatusOK, url.Values{"scope": {string(staff.ReadRegions)}, "days": {"365"}}, nil)
}

func (d tokensDoor) showTokens(r *Request, status int, form url.Values, faults map[string]string) error {
	rows, err := d.rows(r.Request.Context())
	if err != nil {
		return err
	}
	page, err := cut(r, rows)
	if err != nil {
		return err
	}
	return r.ShowStatus(status, "tokens", tokensPage{page, d.Regions.All(), form, faults})
}

// addToken makes a token and shows it, this once.
func (d tokensDoor) addToken(r *Request) error {
	form, err := r.Form()
	if err != nil {
		return err
	}
	token := staff.APIToken{Name: strings.TrimSpace(form.Get("name")), Scopes: []staff.Scope{staff.Scope(form.Get("scope"))}}
	faults := map[string]string{}
	if form.Get("all") == "" {
		token.Regions = []bridge.RegionID{}
		for _, slug := range form["region"] {
			region, known := d.Regions.BySlug(slug)
			if !known {
				return errNotFound
			}
			token.Regions = append(token.Regions, region.ID)
		}
	}
	const mostDays = 3650
	if days, err := strconv.Atoi(strings.TrimSpace(form.Get("days"))); err != nil || days < 0 || days > mostDays {
		faults["days"] = r.T("tokens.days_wrong", mostDays)
	} else if days > 0 {
		token.Expires = d.Now().AddDate(0, 0, days)
	}
	secret := staff.NewToken()
	hash, _ := staff.HashToken(secret) // it was made a line above
	wrong := token.Check(d.Now())
	if wrong == nil && len(faults) == 0 {
		wrong = d.Tokens.AddAPIToken(r.Request.Context(), &token, hash)
	}
	for field, known := range map[string][]error{
		"name": {staff.ErrTokenName, staff.ErrTokenTaken}, "scope": {staff.ErrTokenScopes}, "region": {staff.ErrTokenRegions},
	} {
		for _, e := range known {
			if errors.Is(wrong, e) {
				faults[field] = r.T(map[error]string{
					staff.ErrTokenName: "tokens.name_wrong", staff.ErrTokenTaken: "tokens.name_taken",
					staff.ErrTokenScopes: "tokens.scope_wrong", staff.ErrTokenRegions: "tokens.regions_wrong",
				}[e])
			}
		}
	}
	switch {
	case len(faults) > 0:
		return d.showTokens(r, http.StatusUnprocessableEntity, form, faults)
	case wrong != nil:
		return wrong
	}
	return r.Show("token_new", struct{ Name, Secret string }{token.Name, secret})
}

// token finds the token of a path that lives.
func (d tokensDoor) token(r *Request) (tokenRow, error) {
	id, err := strconv.ParseInt(r.Param("id"), 10, 64)
	if err != nil {
		return tokenRow{}, errNotFound
	}
	rows, err := d.rows(r.Request.Context())
	if err != nil {
		return tokenRow{}, err
	}
	i := slices.IndexFunc(rows, func(t tokenRow) bool { return t.ID == id })
	if i < 0 {
		return tokenRow{}, errNotFound
	}
	return rows[i], nil
}

// askRevoke asks whether the program may really be shut out.
func (d tokensDoor) askRevoke(r *Request) error {
	row, err := d.token(r)
	if err != nil {
		return err
	}
	return r.Show("token_revoke", row)
}

func (d tokensDoor) revokeToken(r *Request) error {
	row, err := d.token(r)
	if err != nil {
		return err
	}
	if err := d.Tokens.RevokeAPIToken(r.Request.Context(), row.ID); err != nil {
		return err
	}
	return r.Done(tokensPath, "token_revoked")
}

// day writes a date in UTC, for lists.
func (t tokenRow) day(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.DateOnly)
}

// ExpiresOn and UsedOn are dates; empty: never.
func (t tokenRow) ExpiresOn() string { return t.day(t.Expires) }

// UsedOn is the day on which it was last used.
func (t tokenRow) UsedOn() string { return t.day(t.UsedAt) }
