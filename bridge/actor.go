package bridge

import (
	"context"
	"time"
)

// ActorKind says what kind of hand made a change.
type ActorKind string

// The kinds: a person in the console, a program with an API token, somebody at
// the command line of the server, and Deskbridge itself.
const (
	ActorPerson  ActorKind = "person"
	ActorToken   ActorKind = "token"
	ActorCommand ActorKind = "command"
	ActorSystem  ActorKind = "system"
)

// Actor is who makes a change. The store writes it into the audit.
type Actor struct {
	Kind ActorKind
	ID   int64  // of the person or the token; 0: none
	Name string // as it was at the time; outlives the person
}

type actorKey struct{}

// WithActor says on whose behalf the calls with this context are made. Doors and
// commands set it once, where they know who is there.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf gives the actor of a context; without one it is Deskbridge itself.
func ActorOf(ctx context.Context) Actor {
	if a, ok := ctx.Value(actorKey{}).(Actor); ok {
		return a
	}
	return Actor{Kind: ActorSystem, Name: "deskbridge"}
}

// AuditEntry is one change that somebody made. Entries are written in the
// transaction of the change itself, and never changed.
type AuditEntry struct {
	ID      int64
	At      time.Time
	Actor   Actor
	Region  RegionID // 0: of the whole installation
	Action  string   // stable, such as "region.change" or "tester.set"
	Subject string   // what was changed; never a device id, message text or secret
	// Changes say what was changed from what to what, by the names of fields. A
	// secret is only said to be set or not.
	Changes []FieldChange
}

// FieldChange is one field of an AuditEntry. From or To is empty where there was
// nothing, or is nothing any more.
type FieldChange struct {
	Field string `json:"field"`
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
}

// AuditQuery asks for entries, the newest first.
type AuditQuery struct {
	Regions []RegionID // only these; nil: all, and those of the whole installation
	Action  string     // only actions that begin so; empty: all
	Actor   string     // only of whoever had this name; empty: of all
	Since   time.Time  // only at it or later; zero: from the beginning
	Until   time.Time  // only before it; zero: to the end
	Before  int64      // only ids below it, for paging; 0: from the newest
	Limit   int
}

// AuditStore reads the audit. Nothing changes or removes an entry but the
// retention of the audit itself.
type AuditStore interface {
	Audit(ctx context.Context, q AuditQuery) ([]AuditEntry, error)
}
