package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"

	"deskbridge/bridge"
)

// alerts implements bridge.AlertStore.
type alerts struct{ *database }

// Waits lists those who wait and have no alert; see bridge.AlertStore.
func (s alerts) Waits(ctx context.Context, r bridge.RegionID, from, until time.Time, limit int) ([]bridge.Wait, error) {
	var all []bridge.Wait
	err := each(s.read.WithContext(ctx), "SELECT c.id, c.waiting_since FROM chats c WHERE c.region_id = ? AND c.waiting_since >= ? AND c.waiting_since <= ?"+
		" AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.device_id = c.device_id AND a.waiting_since = c.waiting_since) ORDER BY c.waiting_since LIMIT ?",
		[]any{r, max(1, milli(from)), milli(until), limit}, func(scan func(...any) error) error {
			var (
				w     bridge.Wait
				since int64
			)
			if err := scan(&w.Chat, &since); err != nil {
				return err
			}
			w.Since = moment(since)
			all = append(all, w)
			return nil
		})
	return all, failure(err)
}

// AddAlert stores a new alert; see bridge.AlertStore. It holds the chat, so that
// of two instances only one finds the wait without an alert.
func (s alerts) AddAlert(ctx context.Context, a bridge.Alert) (bool, error) {
	channels, err := json.Marshal(a.Channels)
	if err != nil {
		return false, fmt.Errorf("encode channels: %w", err)
	}
	added := false
	err = s.write(ctx, func(tx *gorm.DB) error {
		added = false
		var device int64
		err := one(tx, "SELECT device_id FROM chats WHERE id = ? AND region_id = ? AND waiting_since = ?"+s.lock, []any{a.Chat, a.Region, milli(a.Since)}, &device)
		if none(err) {
			return nil // answered, or gone
		}
		if err != nil {
			return fmt.Errorf("hold chat: %w", err)
		}
		known, err := list[int64](tx, "SELECT id FROM alerts WHERE device_id = ? AND waiting_since = ?", device, milli(a.Since))
		if err != nil || len(known) > 0 {
			return err
		}
		_, err = exec(tx, "INSERT INTO alerts (region_id, device_id, chat_id, waiting_since, alert_key, channels, created_at, due, attempts, claim_id, claimed_until)"+
			" VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, '', 0)",
			a.Region, device, a.Chat, milli(a.Since), a.Key, string(channels), milli(a.CreatedAt), milli(a.CreatedAt))
		added = err == nil
		return err
	})
	return added && err == nil, err
}

// alertColumns are those of an alert, and of its wait as it is now: the ticket
// may have moved to another chat of the device.
const alertColumns = "SELECT a.id, a.region_id, a.chat_id, a.waiting_since, a.alert_key, a.channels, a.created_at, a.attempts, a.due, c.id, c.ticket_id" +
	" FROM alerts a LEFT JOIN chats c ON c.device_id = a.device_id AND c.waiting_since = a.waiting_since WHERE "

func scanAlert(scan func(...any) error) (bridge.Alert, error) {
	var (
		a              bridge.Alert
		since, created int64
		channels       string
		due            sql.Null[int64]
		chat, ticket   sql.Null[int64]
	)
	if err := scan(&a.ID, &a.Region, &a.Chat, &since, &a.Key, &channels, &created, &a.Attempts, &due, &chat, &ticket); err != nil {
		return a, err
	}
	a.Since, a.CreatedAt, a.Done, a.Waiting, a.Ticket = moment(since), moment(created), !due.Valid, chat.Valid, bridge.TicketID(ticket.V)
	if err := json.Unmarshal([]byte(channels), &a.Channels); err != nil {
		return a, fmt.Errorf("decode channels of alert %d: %w", a.ID, err)
	}
	return a, nil
}

// ClaimAlerts takes due alerts; see bridge.AlertStore.
func (s alerts) ClaimAlerts(ctx context.Context, now, until time.Time, limit int) ([]bridge.Alert, error) {
	at := milli(now)
	due, err := list[int64](s.read.WithContext(ctx), "SELECT id FROM alerts WHERE due <= ? AND claimed_until <= ? ORDER BY due LIMIT ?", at, at, limit)
	if err != nil || len(due) == 0 {
		return nil, failure(err)
	}
	var claims []bridge.Alert
	err = s.write(ctx, func(tx *gorm.DB) error {
		claims = nil
		claim := bridge.NewClaimID()
		for _, id := range due {
			n, err := exec(tx, "UPDATE alerts SET claim_id = ?, claimed_until = ? WHERE id = ? AND due <= ? AND claimed_until <= ?", claim, milli(until), id, at, at)
			if err != nil {
				return err
			}
			if n == 0 {
				continue // somebody else has it
			}
			err = each(tx, alertColumns+"a.id = ?", []any{id}, func(scan func(...any) error) error {
				a, err := scanAlert(scan)
				a.Claim = claim
				claims = append(claims, a)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claims, nil
}

// KeepAlert writes what became of the channels; see bridge.AlertStore.
func (s alerts) KeepAlert(ctx context.Context, a bridge.Alert) error {
	channels, err := json.Marshal(a.Channels)
	if err != nil {
		return fmt.Errorf("encode channels: %w", err)
	}
	return s.write(ctx, func(tx *gorm.DB) error {
		return claimed(exec(tx, "UPDATE alerts SET channels = ? WHERE id = ? AND claim_id = ?", string(channels), a.ID, a.Claim))
	})
}

// FinishAlert ends the claim; see bridge.AlertStore.
func (s alerts) FinishAlert(ctx context.Context, a bridge.Alert, due time.Time) error {
	channels, err := json.Marshal(a.Channels)
	if err != nil {
		return fmt.Errorf("encode channels: %w", err)
	}
	return s.write(ctx, func(tx *gorm.DB) error {
		err := claimed(exec(tx, "UPDATE alerts SET channels = ?, due = ?, attempts = ?, claim_id = '', claimed_until = 0 WHERE id = ? AND claim_id = ?",
			string(channels), orNull(milli(due)), a.Attempts, a.ID, a.Claim))
		if err != nil || !due.IsZero() {
			return err
		}
		for _, c := range a.Channels {
			if c.State != bridge.AlertFailed {
				continue
			}
			err := s.note(ctx, tx, bridge.AuditEntry{
				Region: a.Region, Action: "alert.give-up", Subject: string(c.Kind), Changes: []bridge.FieldChange{{Field: "reason", To: c.Reason}},
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// claimed says whether the row of a claim was found.
func claimed(rows int64, err error) error {
	if err == nil && rows == 0 {
		err = bridge.ErrClaimLost
	}
	return err
}

// Alerts lists a region's newest alerts; see bridge.AlertStore.
func (s alerts) Alerts(ctx context.Context, r bridge.RegionID, limit int) ([]bridge.Alert, error) {
	var all []bridge.Alert
	err := each(s.read.WithContext(ctx), alertColumns+"a.region_id = ? ORDER BY a.id DESC LIMIT ?", []any{r, limit}, func(scan func(...any) error) error {
		a, err := scanAlert(scan)
		all = append(all, a)
		return err
	})
	return all, failure(err)
}
