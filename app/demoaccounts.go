package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// demoConsole is how to get into the demo's console.
type demoConsole struct {
	URL      string        `json:"url"`
	Accounts []demoAccount `json:"accounts"`
}

type demoAccount struct {
	User     string     `json:"user"`
	Password string     `json:"password"`
	Role     staff.Role `json:"role"`
	Regions  []string   `json:"regions"` // slugs; an operator has all without being given any
}

// enrol makes an operator and an admin for each region. Accounts of an earlier
// demo in the same folder get new passwords.
func (d *demo) enrol(ctx context.Context, a *App) (demoConsole, error) {
	console := demoConsole{URL: d.origin + "/admin/", Accounts: []demoAccount{{User: "operator", Role: staff.Operator, Regions: []string{}}}}
	for _, place := range demoPlaces {
		console.Accounts = append(console.Accounts, demoAccount{User: "admin-" + place.slug, Role: staff.RegionAdmin, Regions: []string{place.slug}})
	}
	for i := range console.Accounts {
		account := &console.Accounts[i]
		account.Password = rand.Text()
		person := staff.Person{Login: account.User, Name: "Operator", Role: account.Role}
		for _, slug := range account.Regions {
			region, ok := a.Regions.BySlug(slug)
			if !ok {
				return console, fmt.Errorf("the region %s of the demo is gone", slug)
			}
			person.Name, person.Regions = "Admin of "+region.Name, []bridge.RegionID{region.ID}
		}
		if err := a.admit(ctx, person, account.Password); err != nil {
			return console, fmt.Errorf("make the account %s: %w", account.User, err)
		}
	}
	return console, nil
}

// admit makes an account, or gives the one that is there the password, whatever
// somebody made of it in an earlier demo.
func (a *App) admit(ctx context.Context, p staff.Person, password string) error {
	_, err := a.Accounts.Add(ctx, p, password)
	if !errors.Is(err, staff.ErrLoginTaken) {
		return err
	}
	known, err := a.Store.StaffByLogin(ctx, p.Login)
	if err != nil {
		return err
	}
	if err := a.Accounts.Change(ctx, known.Person, p); err != nil {
		return err
	}
	if _, err := a.Store.SetTOTP(ctx, known.ID, "", 0); err != nil {
		return err
	}
	link, err := a.Accounts.Link(ctx, known.ID)
	if err != nil {
		return err
	}
	return a.Accounts.UseLink(ctx, string(link), password)
}

// words lists the accounts for people.
func (c demoConsole) words() string {
	var lines strings.Builder
	for _, account := range c.Accounts {
		what := "everything"
		if len(account.Regions) > 0 {
			what = "the region " + strings.Join(account.Regions, ", ")
		}
		fmt.Fprintf(&lines, "         %-16s %s   (%s)\n", account.User, account.Password, what)
	}
	return lines.String()
}
