package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"deskbridge/bridge"
)

// AuditFormat says how the audit is exported.
type AuditFormat string

// The formats: a table for spreadsheets, and one JSON object in each line for
// programs.
const (
	AuditCSV   AuditFormat = "csv"
	AuditLines AuditFormat = "jsonl"
)

// auditLine is an entry as it is exported.
type auditLine struct {
	ID      int64                `json:"id"`
	At      time.Time            `json:"at"`
	Kind    bridge.ActorKind     `json:"actor_kind"`
	ActorID int64                `json:"actor_id,omitempty"`
	Actor   string               `json:"actor"`
	Region  string               `json:"region,omitempty"`
	Action  string               `json:"action"`
	Subject string               `json:"subject"`
	Changes []bridge.FieldChange `json:"changes"`
}

// ExportAudit writes every entry that a query finds, the newest first, while it
// reads them; a table for a reader of a language, as NewCSV has it. region gives
// the slug of a region; a removed one has none, and is written as its number.
func ExportAudit(ctx context.Context, w io.Writer, format AuditFormat, language string, store bridge.AuditStore, region func(bridge.RegionID) (string, bool), q bridge.AuditQuery) error {
	line := func(e bridge.AuditEntry) auditLine {
		l := auditLine{e.ID, e.At, e.Actor.Kind, e.Actor.ID, e.Actor.Name, "", e.Action, e.Subject, e.Changes}
		if e.Region != 0 {
			var known bool
			if l.Region, known = region(e.Region); !known {
				l.Region = fmt.Sprintf("#%d", e.Region)
			}
		}
		return l
	}
	if format == AuditLines {
		out := json.NewEncoder(w)
		out.SetEscapeHTML(false)
		return bridge.EachEntry(ctx, store, q, func(e bridge.AuditEntry) error { return out.Encode(line(e)) })
	}
	table := NewCSV(w, language, "id", "at", "actor_kind", "actor_id", "actor", "region", "action", "subject", "changes")
	err := bridge.EachEntry(ctx, store, q, func(e bridge.AuditEntry) error {
		l := line(e)
		return table.Row(l.ID, l.At, l.Kind, l.ActorID, l.Actor, l.Region, l.Action, l.Subject, ChangesText(l.Changes))
	})
	if err != nil {
		return err
	}
	return table.Flush()
}

// ChangesText puts changes on one line: "percentage: 5 -> 20; enabled: true".
func ChangesText(changes []bridge.FieldChange) string {
	parts := make([]string, len(changes))
	for i, c := range changes {
		switch {
		case c.From == "":
			parts[i] = c.Field + ": " + c.To
		case c.To == "":
			parts[i] = c.Field + ": " + c.From + " -> (nothing)"
		default:
			parts[i] = c.Field + ": " + c.From + " -> " + c.To
		}
	}
	return strings.Join(parts, "; ")
}
