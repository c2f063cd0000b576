package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"deskbridge/bridge"
)

// audit implements bridge.AuditStore.
type audit struct{ *database }

// note writes an audit entry in the transaction of the change. The actor is the
// context's. Changes that change nothing are left out; an entry whose changes
// are all so is not written, unless there were none to begin with.
func (db *database) note(ctx context.Context, tx *gorm.DB, e bridge.AuditEntry) error {
	real := make([]bridge.FieldChange, 0, len(e.Changes))
	for _, c := range e.Changes {
		if c.From != c.To {
			real = append(real, c)
		}
	}
	if len(real) == 0 && len(e.Changes) > 0 {
		return nil
	}
	changes, err := json.Marshal(real)
	if err != nil {
		return fmt.Errorf("encode audit: %w", err)
	}
	a := bridge.ActorOf(ctx)
	_, err = exec(tx, "INSERT INTO audit (at, actor_kind, actor_id, actor_name, region_id, action, subject, changes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		milli(db.now()), string(a.Kind), a.ID, a.Name, e.Region, e.Action, e.Subject, string(changes))
	return err
}

// Audit reads entries; see bridge.AuditStore.
func (s audit) Audit(ctx context.Context, q bridge.AuditQuery) ([]bridge.AuditEntry, error) {
	where, args, index := []string{"1 = 1"}, []any(nil), ""
	if q.Regions != nil {
		if len(q.Regions) == 0 {
			return nil, nil
		}
		if len(q.Regions) == 1 && q.Before > 0 {
			index = s.through("audit_region")
		}
		marks, ids := in(q.Regions)
		where, args = append(where, "region_id IN "+marks), append(args, ids...)
	}
	if q.Action != "" {
		where, args = append(where, "action >= ? AND action < ?"), append(args, q.Action, q.Action+"\x7f")
	}
	if q.Actor != "" {
		where, args = append(where, "actor_name = ?"), append(args, q.Actor)
	}
	if !q.Since.IsZero() {
		where, args = append(where, "at >= ?"), append(args, milli(q.Since))
	}
	if !q.Until.IsZero() {
		where, args = append(where, "at < ?"), append(args, milli(q.Until))
	}
	if q.Before > 0 {
		where, args = append(where, "id < ?"), append(args, q.Before)
	}
	var all []bridge.AuditEntry
	err := each(s.read.WithContext(ctx), "SELECT id, at, actor_kind, actor_id, actor_name, region_id, action, subject, changes FROM audit"+index+" WHERE "+
		strings.Join(where, " AND ")+" ORDER BY id DESC LIMIT ?", append(args, q.Limit), func(scan func(...any) error) error {
		var (
			e       bridge.AuditEntry
			at      int64
			changes string
		)
		if err := scan(&e.ID, &at, &e.Actor.Kind, &e.Actor.ID, &e.Actor.Name, &e.Region, &e.Action, &e.Subject, &changes); err != nil {
			return err
		}
		e.At = moment(at)
		if err := json.Unmarshal([]byte(changes), &e.Changes); err != nil {
			return fmt.Errorf("decode audit %d: %w", e.ID, err)
		}
		all = append(all, e)
		return nil
	})
	return all, failure(err)
}
