package app

import (
	"time"

	"deskbridge/admin"
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
		Letters: a.Store, Deliveries: a.Store, Jobs: a.Jobs, Runs: a.Store, Audit: a.Store, TicketURL: a.Desk.TicketURL,
		Log: a.log, Now: a.now,
	})
	if err != nil {
		return err
	}
	console.Routes(frame.Limited())
	frame.Elsewhere("/admin/", console.Lost)
	return nil
}
