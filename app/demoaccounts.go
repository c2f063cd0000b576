package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"deskbridge/staff"
)

// demoConsole says where the demo's console is, and who can sign in to it.
type demoConsole struct {
	URL      string        `json:"url"`
	Accounts []demoAccount `json:"accounts"`
}

type demoAccount struct {
	User     string     `json:"user"`
	Password string     `json:"password"` // another at each start
	Role     staff.Role `json:"role"`
	Regions  []string   `json:"regions"` // slugs; empty: all
}

// openConsole gives the demo an operator, and each region an admin. Those of an
// earlier demo in this folder get their new passwords, whatever became of them.
func (d *demo) openConsole(ctx context.Context, a *App) (demoConsole, error) {
	console := demoConsole{URL: d.origin + "/admin/", Accounts: []demoAccount{{User: "operator", Role: staff.Operator, Regions: []string{}}}}
	for _, place := range demoPlaces {
		console.Accounts = append(console.Accounts, demoAccount{User: place.slug, Role: staff.RegionAdmin, Regions: []string{place.slug}})
	}
	for i := range console.Accounts {
		account := &console.Accounts[i]
		account.Password = strings.ToLower(rand.Text())
		if err := account.join(ctx, a); err != nil {
			return console, fmt.Errorf("account %s: %w", account.User, err)
		}
	}
	return console, nil
}

func (account *demoAccount) join(ctx context.Context, a *App) error {
	p := staff.Person{Login: account.User, Name: "Demo " + account.User, Role: account.Role}
	for _, slug := range account.Regions {
		region, _ := a.Regions.BySlug(slug)
		p.Regions = append(p.Regions, region.ID)
	}
	known, err := a.Store.StaffByLogin(ctx, account.User)
	if errors.Is(err, staff.ErrNobody) {
		_, err := a.Accounts.Add(ctx, p, account.Password)
		return err
	}
	if err != nil {
		return err
	}
	if err := a.Accounts.Change(ctx, known.Person, p); err != nil {
		return err
	}
	if err := a.Store.SetTOTP(ctx, known.ID, "", 0); err != nil {
		return err
	}
	token, err := a.Accounts.Link(ctx, known.ID)
	if err != nil {
		return err
	}
	return a.Accounts.UseLink(ctx, string(token), account.Password)
}

// words lists the accounts for people.
func (c demoConsole) words() string {
	var lines strings.Builder
	for _, account := range c.Accounts {
		fmt.Fprintf(&lines, "         %-9s %s  (%s %s)\n", account.User, account.Password, account.Role, strings.Join(account.Regions, ", "))
	}
	return strings.ReplaceAll(lines.String(), " )", ")")
}
