package app

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/url"

	"deskbridge/admin"
	"deskbridge/author"
	"deskbridge/bridge"
	"deskbridge/server"
	"deskbridge/staff"
)

// signInsPerMinute is how often one client address may try to come in. A town
// hall behind one address begins its day with fewer.
const signInsPerMinute = 60

// mountConsole puts the console into the frame that listens at an address.
func (a *App) mountConsole(frame *server.Server, shared *server.Shared, listen net.Addr) error {
	signIns, err := server.NewLimiter("sign-ins", signInsPerMinute, shared, a.now)
	if err != nil {
		return err
	}
	origin := a.cfg.ConsoleURL(listen.String())
	var provider *admin.Provider
	if o := a.cfg.Console.OIDC; o.Issuer != "" {
		issuer, err := url.Parse(o.Issuer)
		if err != nil {
			return err
		}
		provider = &admin.Provider{Name: cmp.Or(o.Name, issuer.Hostname()), OIDC: staff.NewOIDC(staff.OIDCConfig{
			Issuer: o.Issuer, ClientID: o.ClientID, ClientSecret: bridge.Secret(o.ClientSecret), RedirectURL: origin + admin.ProviderPath, Now: a.now,
		})}
	}
	console, err := admin.New(admin.Deps{
		Work:    admin.Work{Letters: a.Store, Deliveries: a.Store, Jobs: a.Jobs, Runs: a.Store},
		Regions: a.Regions, Accounts: a.Accounts, Sessions: a.Sessions, Provider: provider, Origin: origin,
		SecondFactor: staff.FactorDuty(a.cfg.Console.RequireSecondFactor),
		SignIns:      admin.SignIns{Limit: signIns, Client: frame.Client},
		Hasher:       a.Hasher, Gate: a.Store,
		Team: a.Team, TeamSockets: &author.Sockets{Chat: a.Team, Watcher: a.watermarks, Streams: frame, Origin: origin, Now: a.now},
		Alerts: admin.AlertDeps{Store: a.Store, Test: a.Alerts.Test, Refuses: a.refuses, Mail: a.cfg.SMTP.Host != ""},
		Store:  a.Store, Tokens: a.Store, Rules: RegionRules(), Examine: a.Examine, PublicURL: a.cfg.PublicURL,
		Statistics: a.Store, Experiment: a.Store, Chats: a.Store, Audit: a.Store,
		Closer: bridge.NewCloser(bridge.CloserDeps{Store: a.Store, Desk: a.Desk, Publisher: a.watermarks, Now: a.now}),
		Eraser: a.eraser, TicketURL: a.Desk.TicketURL, DeskSilent: a.calls.silentSince,
		Log: a.log, Now: a.now,
	})
	if err != nil {
		return err
	}
	console.Routes(frame.LimitedTo(admin.MaxBody))
	frame.Elsewhere("/admin/", console.Lost)
	return nil
}

// Link gives the address of a new one-time link by which somebody sets a
// password. It is a secret.
func (a *App) Link(ctx context.Context, id staff.ID) (string, error) {
	token, err := a.Accounts.Link(ctx, id)
	if err != nil {
		return "", err
	}
	return a.cfg.ConsoleURL(a.cfg.Listen) + staff.LinkPath + string(token), nil
}

// FirstLink gives the address at which the first account is made, for a console
// that listens at an address; empty if there is an account already, or no
// console. It is a secret: whoever has it first is an operator.
func (a *App) FirstLink(ctx context.Context, listen net.Addr) (string, error) {
	if !a.cfg.Console.Enabled {
		return "", nil
	}
	token, err := a.Accounts.FirstLink(ctx)
	switch {
	case errors.Is(err, staff.ErrHasAccounts):
		return "", nil
	case err != nil:
		return "", err
	}
	return a.cfg.ConsoleURL(listen.String()) + staff.LinkPath + string(token), nil
}
