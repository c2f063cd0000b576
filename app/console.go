package app

import (
	"time"

	"deskbridge/admin"
	"deskbridge/bridge"
	"deskbridge/server"
)

// How long somebody stays signed in to the console.
const (
	sessionLife = 12 * time.Hour
	sessionIdle = time.Hour
)

// mountConsole puts the console into the frame.
func (a *App) mountConsole(frame *server.Server) error {
	console, err := admin.New(admin.Deps{
		Regions: a.Regions, Accounts: a.Accounts, Sessions: a.Sessions,
		Statistics: a.Store, Experiment: a.Store, Chats: a.Store, Audit: a.Store,
		Closer: bridge.NewCloser(bridge.CloserDeps{Store: a.Store, Desk: a.Desk, Publisher: a.watermarks, Now: a.now}),
		Eraser: a.eraser, Hasher: a.Hasher, TicketURL: a.Desk.TicketURL, DeskSilent: a.calls.silentSince,
		Log: a.log, Now: a.now,
	})
	if err != nil {
		return err
	}
	console.Routes(frame.Limited())
	frame.Elsewhere("/admin/", console.Lost)
	return nil
}
