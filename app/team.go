package app

import (
	"context"
	"errors"
	"maps"

	"deskbridge/author"
	"deskbridge/bridge"
	"deskbridge/server"
	"deskbridge/staff"
)

// newTeam puts the staff's own chat together.
func (a *App) newTeam() (*author.Chat, error) {
	limit, err := server.NewLimiter("author", author.WritesPerMinute, nil, a.now)
	if err != nil {
		return nil, err
	}
	return author.New(author.Deps{
		Store: a.Store.Author(), Regions: a.Regions, Publisher: a.watermarks, Limit: limit, Days: a.cfg.Author.Days, Now: a.now,
	}), nil
}

// tell is the job of what people are told apart from the chat: that somebody
// waits, and that their own account was changed. What hinders the one leaves the
// other be.
func (a *App) tell(ctx context.Context, dryRun bool) (map[string]int, error) {
	notices := staff.Notices{Store: a.Store, Log: a.log, Now: a.now}
	if a.cfg.SMTP.Host != "" {
		notices.Mail = Mail(a.cfg)
	}
	counts, err := a.Alerts.Run(ctx, dryRun)
	more, noticesErr := notices.Run(ctx, dryRun)
	maps.Copy(counts, more)
	return counts, errors.Join(err, noticesErr)
}

// prune is the job of both chats: the devices' and the staff's own. What hinders
// the one leaves the other be.
func (a *App) prune(keeper *bridge.Keeper) func(ctx context.Context, dryRun bool) (map[string]int, error) {
	return func(ctx context.Context, dryRun bool) (map[string]int, error) {
		counts, err := keeper.Prune(ctx, dryRun)
		more, teamErr := a.Team.Prune(ctx, dryRun)
		if counts == nil {
			counts = more
		} else {
			maps.Copy(counts, more)
		}
		return counts, errors.Join(err, teamErr)
	}
}
