package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"deskbridge/alert"
	"deskbridge/bridge"
	"deskbridge/config"
	"deskbridge/egress"
)

// lookupTimeout bounds the resolving of one address of a region.
const lookupTimeout = 5 * time.Second

// openWayOut makes the guard that stands before every address of a region.
func (a *App) openWayOut() (err error) {
	if a.Egress, err = egress.New(a.cfg.Egress.Allow, nil); err != nil {
		return fmt.Errorf("egress.allow: %w", err)
	}
	a.Outbound = a.Egress.Transport()
	return nil
}

// RefusedAddresses says for each address of a region that may not be connected
// to now why that is, beginning with the setting's name. It resolves names and
// connects to nothing.
func (a *App) RefusedAddresses(ctx context.Context, r *bridge.Region) []error {
	var refused []error
	for _, address := range []struct{ setting, url string }{
		{"zammad_url", r.Settings.ZammadURL},
		{"identity_keys_url", r.Settings.IdentityKeysURL},
		{"alert webhook_url", r.Settings.Alert.WebhookURL},
		{"alert ntfy_url", r.Settings.Alert.NtfyURL},
	} {
		if address.url == "" {
			continue
		}
		lookup, cancel := context.WithTimeout(ctx, lookupTimeout)
		if err := a.Egress.Lookup(lookup, address.url); err != nil {
			refused = append(refused, fmt.Errorf("%s: %w", address.setting, err))
		}
		cancel()
	}
	return refused
}

// refuses says why an address that somebody types is not connected to, by a word
// of the console's texts; empty: it may be.
func (a *App) refuses(ctx context.Context, address string) string {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	switch err := a.Egress.Lookup(ctx, address); {
	case err == nil:
		return ""
	case errors.Is(err, egress.ErrPrivate):
		return "private"
	case errors.Is(err, egress.ErrPort):
		return "port"
	case errors.Is(err, egress.ErrUnresolved):
		return "unknown"
	default:
		return "form"
	}
}

// Examine is that of desk.Desk for a region whose Zammad may be connected to.
func (a *App) Examine(ctx context.Context, r *bridge.Region) []bridge.Finding {
	switch a.refuses(ctx, r.Settings.ZammadURL) {
	case "private", "port":
		return []bridge.Finding{bridge.Found("refused_address", nil, r.Settings.ZammadURL)}
	default: // the desk says what else is wrong
		return a.Desk.Examine(ctx, r)
	}
}

// tellRefused writes a line for each address that regions have and may not use,
// since their chats stand still until somebody acts.
func (a *App) tellRefused(ctx context.Context) error {
	for _, region := range a.Regions.All() {
		for _, err := range a.RefusedAddresses(ctx, region) {
			if ctx.Err() == nil {
				a.log.WarnContext(ctx, "an address of a region is not connected to", "region", region.Slug, "error", err)
			}
		}
	}
	return nil
}

// Mail is the installation's mail server.
func Mail(cfg config.Config) alert.Mail {
	s := cfg.SMTP
	return alert.Mail{Host: s.Host, Port: s.Port, Security: s.Security, User: s.User, Password: string(s.Password), From: s.From}
}

func (a *App) newAlerts() *alert.Alerts {
	return alert.New(alert.Deps{
		Store: a.Store, Regions: a.Regions, TicketURL: a.Desk.TicketURL, Mail: Mail(a.cfg), Client: egress.Client(a.Outbound, alert.PostTimeout),
		Log: a.log, Now: a.now,
	})
}
