package storage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"deskbridge/bridge"
)

// Deliveries lists deliveries; see bridge.DeliveryStore.
func (s inbox) Deliveries(ctx context.Context, q bridge.DeliveryQuery) ([]bridge.DeliveryRecord, error) {
	where, args, index := []string{"1 = 1"}, []any(nil), ""
	if q.Region != 0 && len(q.Outcomes) == 0 && q.Before > 0 {
		index = s.through("deliveries_list")
	}
	if q.Region != 0 {
		where, args = append(where, "d.region_id = ?"), append(args, q.Region)
	}
	if len(q.Outcomes) > 0 {
		marks, outcomes := in(q.Outcomes)
		where, args = append(where, "d.outcome IN "+marks), append(args, outcomes...)
	}
	if q.Before > 0 {
		where, args = append(where, "d.id < ?"), append(args, q.Before)
	}
	var all []bridge.DeliveryRecord
	err := each(s.read.WithContext(ctx), "SELECT d.id, r.slug, d.outcome, d.reason, d.attempts, d.received_at, d.due, d.finished_at FROM deliveries d"+index+" JOIN regions r ON r.id = d.region_id WHERE "+
		strings.Join(where, " AND ")+" ORDER BY d.id DESC LIMIT ?", append(args, q.Limit), func(scan func(...any) error) error {
		var (
			d                       bridge.DeliveryRecord
			received, due, finished int64
		)
		err := scan(&d.ID, &d.Region, &d.Outcome, &d.Reason, &d.Attempts, &received, &due, &finished)
		d.Received, d.Due, d.Finished = moment(received), moment(due), moment(finished)
		all = append(all, d)
		return err
	})
	if err != nil {
		return nil, failure(fmt.Errorf("read deliveries: %w", err))
	}
	return all, nil
}

// RelayNow makes deliveries due; see bridge.DeliveryStore. One that is being
// relayed at the moment stays with whoever does it.
func (s inbox) RelayNow(ctx context.Context, region bridge.RegionID, ids []bridge.DeliveryID, now time.Time) (int, error) {
	return s.deliveries(ctx, "delivery.retry", region, ids, func(tx *gorm.DB, id bridge.DeliveryID) (int64, error) {
		return exec(tx, "UPDATE deliveries SET due = ? WHERE id = ? AND outcome = ''", milli(now), id)
	})
}

// DropDeliveries ends deliveries; see bridge.DeliveryStore. Whoever relays one at
// the moment finds its claim lost.
func (s inbox) DropDeliveries(ctx context.Context, region bridge.RegionID, ids []bridge.DeliveryID, now time.Time) (int, error) {
	return s.deliveries(ctx, "delivery.drop", region, ids, func(tx *gorm.DB, id bridge.DeliveryID) (int64, error) {
		return exec(tx, "UPDATE deliveries SET outcome = ?, body = x'', finished_at = ?, claim_id = '', claimed_until = 0 WHERE id = ? AND outcome IN ('', ?)",
			string(bridge.DeliveryDropped), milli(now), id, string(bridge.DeliveryFailed))
	})
}

// deliveries changes those of the deliveries that are of the region, and notes it.
func (s inbox) deliveries(ctx context.Context, action string, region bridge.RegionID, ids []bridge.DeliveryID, change func(tx *gorm.DB, id bridge.DeliveryID) (int64, error)) (int, error) {
	if len(ids) == 0 {
		return 0, bridge.ErrDeliveryUnknown
	}
	query, args := "SELECT id, region_id FROM deliveries WHERE id IN ", []any(nil)
	marks, args := in(ids)
	query += marks
	if region != 0 {
		query, args = query+" AND region_id = ?", append(args, region)
	}
	done := 0
	err := s.write(ctx, func(tx *gorm.DB) error {
		done = 0
		of := map[bridge.DeliveryID]bridge.RegionID{}
		if err := each(tx, query, args, func(scan func(...any) error) error {
			var (
				id    bridge.DeliveryID
				owner bridge.RegionID
			)
			err := scan(&id, &owner)
			of[id] = owner
			return err
		}); err != nil {
			return fmt.Errorf("find deliveries: %w", err)
		}
		changed := map[bridge.RegionID][]string{}
		for _, id := range slices.Sorted(maps.Keys(of)) {
			n, err := change(tx, id)
			if err != nil {
				return err
			}
			if n > 0 {
				changed[of[id]] = append(changed[of[id]], strconv.FormatInt(int64(id), 10))
				done++
			}
		}
		if done == 0 {
			return bridge.ErrDeliveryUnknown
		}
		for _, r := range slices.Sorted(maps.Keys(changed)) {
			if err := s.note(ctx, tx, bridge.AuditEntry{Region: r, Action: action, Subject: numbered(changed[r]), Changes: []bridge.FieldChange{
				{Field: "count", To: strconv.Itoa(len(changed[r]))},
			}}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return done, nil
}
