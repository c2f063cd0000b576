package storage

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"deskbridge/bridge"
)

// inbox implements bridge.InboxStore.
type inbox struct{ *database }

// StoreDelivery keeps a delivery; see bridge.InboxStore.
func (s inbox) StoreDelivery(ctx context.Context, d bridge.Delivery) (bool, error) {
	var stored bool
	err := s.write(ctx, func(tx *gorm.DB) error {
		body := d.Body
		if body == nil {
			body = []byte{}
		}
		_, err := insert(tx, "INSERT INTO deliveries (region_id, delivery_key, body, hint, claim_id, claimed_until, due, attempts, outcome, reason, received_at, finished_at)"+
			" VALUES (?, ?, ?, ?, '', 0, ?, ?, '', '', ?, 0)",
			d.Region, d.Key, body, d.Hint, milli(d.Received), d.Attempts, milli(d.Received))
		stored = err == nil
		if errors.Is(err, gorm.ErrDuplicatedKey) {
			return nil
		}
		return err
	})
	return stored && err == nil, err
}

// ClaimDeliveries takes due deliveries; see bridge.InboxStore.
func (s inbox) ClaimDeliveries(ctx context.Context, claim string, now, until time.Time, limit int) ([]bridge.Delivery, error) {
	at := milli(now)
	due, err := list[int64](s.read.WithContext(ctx), "SELECT id FROM deliveries WHERE outcome = '' AND due <= ? AND claimed_until <= ? ORDER BY id LIMIT ?", at, at, limit)
	if err != nil || len(due) == 0 {
		return nil, failure(err)
	}
	var claimed []bridge.Delivery
	err = s.write(ctx, func(tx *gorm.DB) error {
		claimed = nil
		for _, id := range due {
			n, err := exec(tx, "UPDATE deliveries SET claim_id = ?, claimed_until = ? WHERE id = ? AND outcome = '' AND due <= ? AND claimed_until <= ?", claim, milli(until), id, at, at)
			if err != nil {
				return err
			}
			if n == 0 {
				continue // somebody else has it
			}
			d, err := readDelivery(tx, id)
			if err != nil {
				return err
			}
			claimed = append(claimed, d)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

func readDelivery(tx *gorm.DB, id int64) (bridge.Delivery, error) {
	var (
		d        bridge.Delivery
		received int64
	)
	err := one(tx, "SELECT id, region_id, delivery_key, body, hint, attempts, received_at FROM deliveries WHERE id = ?", []any{id},
		&d.ID, &d.Region, &d.Key, &d.Body, &d.Hint, &d.Attempts, &received)
	d.Received = moment(received)
	return d, err
}

// FinishDelivery records an outcome and drops the body: what people wrote is
// kept in one place, from which they can have it erased; see bridge.InboxStore. The error is
// bridge.ErrClaimLost if somebody else has the delivery now.
func (s inbox) FinishDelivery(ctx context.Context, claim string, id bridge.DeliveryID, o bridge.DeliveryOutcome, now time.Time) error {
	return s.claimed(ctx, "UPDATE deliveries SET outcome = ?, body = x'', finished_at = ?, claim_id = '', claimed_until = 0 WHERE id = ? AND claim_id = ? AND claimed_until > ?",
		string(o), milli(now), id, claim, milli(now))
}

// RetryDelivery puts a delivery back; see bridge.InboxStore. The error is
// bridge.ErrClaimLost if somebody else has the delivery now.
func (s inbox) RetryDelivery(ctx context.Context, claim string, id bridge.DeliveryID, due time.Time, reason string) error {
	return s.claimed(ctx, "UPDATE deliveries SET due = ?, reason = ?, attempts = attempts + 1, claim_id = '', claimed_until = 0 WHERE id = ? AND claim_id = ?",
		milli(due), reason, id, claim)
}

// claimed runs an update that finds its row only while the claim holds.
func (s inbox) claimed(ctx context.Context, query string, args ...any) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		n, err := exec(tx, query, args...)
		if err == nil && n == 0 {
			err = bridge.ErrClaimLost
		}
		return err
	})
}
