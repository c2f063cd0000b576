package storage

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"deskbridge/bridge"
)

// regions implements bridge.RegionStore.
type regions struct{ *database }

// region is a row of regions.
type region struct {
	ID            int64
	Slug          string
	Name          string
	Enabled       bool
	Version       int64
	Salt          string
	DeskID        int64
	Settings      string
	ZammadToken   string
	WebhookSecret string
	WebhookToken  string

	IdentitySecret string
	PrivacyToken   string
	AlertSecret    string
	AlertToken     string

	UpdatedAt int64 `gorm:"autoUpdateTime:false"` // gorm would write seconds of its own clock
}

// secretOf names what a sealed secret is for.
func secretOf(column, slug string) string { return "regions." + column + "/" + slug }

// row makes the row of a region.
func (s regions) row(r *bridge.Region, desk bridge.DeskID) (region, error) {
	settings, err := json.Marshal(r.Settings)
	if err != nil {
		return region{}, fmt.Errorf("encode settings: %w", err)
	}
	return region{
		ID: int64(r.ID), Slug: r.Slug, Name: r.Name, Enabled: r.Enabled, Version: r.Version, Salt: r.Salt, DeskID: int64(desk), Settings: string(settings),
		ZammadToken:   s.seal.close(secretOf("zammad_token", r.Slug), string(r.ZammadToken)),
		WebhookSecret: s.seal.close(secretOf("webhook_secret", r.Slug), string(r.WebhookSecret)),
		WebhookToken:  s.seal.close(secretOf("webhook_token", r.Slug), string(r.WebhookToken)),

		IdentitySecret: s.seal.close(secretOf("identity_secret", r.Slug), string(r.IdentitySecret)),
		PrivacyToken:   s.seal.close(secretOf("privacy_token", r.Slug), string(r.PrivacyToken)),
		AlertSecret:    s.seal.close(secretOf("alert_secret", r.Slug), string(r.AlertSecret)),
		AlertToken:     s.seal.close(secretOf("alert_token", r.Slug), string(r.AlertToken)),
		UpdatedAt:      milli(s.now()),
	}, nil
}

// region makes the region of a row, with the defaults of its settings filled in.
func (s regions) region(row region) (*bridge.Region, error) {
	r := &bridge.Region{
		ID: bridge.RegionID(row.ID), Version: row.Version, Slug: row.Slug, Name: row.Name, Enabled: row.Enabled,
		Desk: bridge.DeskID(row.DeskID), Salt: row.Salt, UpdatedAt: moment(row.UpdatedAt),
	}
	if err := json.Unmarshal([]byte(row.Settings), &r.Settings); err != nil {
		return nil, fmt.Errorf("region %s: decode settings: %w", row.Slug, err)
	}
	r.Settings = r.Settings.WithDefaults().Settled(s.now())
	for _, secret := range []struct {
		column, sealed string
		into           *bridge.Secret
	}{
		{"zammad_token", row.ZammadToken, &r.ZammadToken},
		{"webhook_secret", row.WebhookSecret, &r.WebhookSecret},
		{"webhook_token", row.WebhookToken, &r.WebhookToken},
		{"identity_secret", row.IdentitySecret, &r.IdentitySecret},
		{"privacy_token", row.PrivacyToken, &r.PrivacyToken},
		{"alert_secret", row.AlertSecret, &r.AlertSecret},
		{"alert_token", row.AlertToken, &r.AlertToken},
	} {
		plain, err := s.seal.open(secretOf(secret.column, row.Slug), secret.sealed)
		if err != nil {
			return nil, err
		}
		*secret.into = bridge.Secret(plain)
	}
	return r, nil
}

// Regions reads all regions, ordered by slug; see bridge.RegionStore. The error
// is ErrWrongKey if their secrets were sealed with another key.
func (s regions) Regions(ctx context.Context) ([]*bridge.Region, error) {
	var rows []region
	if err := s.read.WithContext(ctx).Order("slug").Find(&rows).Error; err != nil {
		return nil, failure(fmt.Errorf("read regions: %w", err))
	}
	all := make([]*bridge.Region, len(rows))
	for i, row := range rows {
		var err error
		if all[i], err = s.region(row); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Region reads one region as it is stored now; see bridge.RegionStore.
func (s regions) Region(ctx context.Context, id bridge.RegionID) (*bridge.Region, error) {
	r, err := s.stored(s.read.WithContext(ctx), id)
	return r, failure(err)
}

// stored reads a region. The error is bridge.ErrRegionNotFound if there is none.
func (s regions) stored(tx *gorm.DB, id bridge.RegionID) (*bridge.Region, error) {
	var rows []region
	if err := tx.Where("id = ?", id).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read region %d: %w", id, err)
	}
	if len(rows) == 0 {
		return nil, bridge.ErrRegionNotFound
	}
	return s.region(rows[0])
}

// noteRegion notes what differs between two states of a region; nil stands for
// none.
func (s regions) noteRegion(ctx context.Context, tx *gorm.DB, action string, from, to *bridge.Region) error {
	changes, err := bridge.Changes(from, to)
	if err != nil {
		return err
	}
	named := cmp.Or(to, from)
	return s.note(ctx, tx, bridge.AuditEntry{Region: named.ID, Action: action, Subject: named.Slug, Changes: changes})
}

// AddRegion stores a new region; see bridge.RegionStore.
func (s regions) AddRegion(ctx context.Context, r *bridge.Region) error {
	fresh := *r
	fresh.ID, fresh.Version, fresh.Settings = 0, 1, r.Settings.Settled(s.now())
	if fresh.Salt == "" {
		var salt [16]byte
		rand.Read(salt[:]) // never fails (crypto/rand)
		fresh.Salt = hex.EncodeToString(salt[:])
	}
	err := s.write(ctx, func(tx *gorm.DB) error {
		desk, err := deskOf(tx, r.Settings.ZammadURL)
		if err != nil {
			return err
		}
		row, err := s.row(&fresh, desk)
		if err != nil {
			return err
		}
		if taken, err := slugTaken(tx, r.Slug, 0); taken || err != nil {
			return errors.Join(err, bridge.ErrRegionExists)
		}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		fresh.ID, fresh.Desk, fresh.UpdatedAt = bridge.RegionID(row.ID), desk, moment(row.UpdatedAt)
		return s.noteRegion(ctx, tx, "region.add", nil, &fresh)
	})
	if err == nil {
		*r = fresh
	}
	return err
}

// SaveRegion stores a changed region; see bridge.RegionStore. Where it has
// another desk now, its chats begin anew there: their tickets are the old
// desk's, and the same number is somebody else's ticket in the new one.
func (s regions) SaveRegion(ctx context.Context, r *bridge.Region) error {
	saved := *r
	saved.Settings = r.Settings.Settled(s.now())
	err := s.write(ctx, func(tx *gorm.DB) error {
		before, err := s.stored(tx, r.ID)
		if errors.Is(err, bridge.ErrRegionNotFound) || err == nil && before.Version != r.Version {
			return bridge.ErrRegionChanged
		}
		if err != nil {
			return err
		}
		if changes, err := bridge.Changes(before, &saved); err != nil || len(changes) == 0 && before.Salt == r.Salt {
			return err
		}
		desk, err := deskOf(tx, r.Settings.ZammadURL)
		if err != nil {
			return err
		}
		row, err := s.row(&saved, desk)
		if err != nil {
			return err
		}
		if taken, err := slugTaken(tx, r.Slug, int64(r.ID)); taken || err != nil {
			return errors.Join(err, bridge.ErrRegionExists)
		}
		row.Version++
		result := tx.Model(&region{}).Where("id = ? AND version = ?", row.ID, r.Version).Select("*").Omit("id").Updates(row)
		if result.Error != nil {
			return result.Error
		}
		if result.RowsAffected == 0 {
			return bridge.ErrRegionChanged
		}
		saved.Version, saved.Desk, saved.UpdatedAt = row.Version, desk, moment(row.UpdatedAt)
		_, err = exec(tx, "UPDATE chats SET desk_id = ?, ticket_id = NULL, ticket_state = '', customer_id = 0, checked_at = 0, claim_id = '', claimed_until = 0"+
			" WHERE region_id = ? AND desk_id <> ?", desk, r.ID, desk)
		if err != nil {
			return err
		}
		return s.noteRegion(ctx, tx, "region.change", before, &saved)
	})
	if err == nil {
		*r = saved
	}
	return err
}

func slugTaken(tx *gorm.DB, slug string, except int64) (bool, error) {
	n, err := list[int64](tx, "SELECT id FROM regions WHERE slug = ? AND id <> ?", slug, except)
	return len(n) > 0, err
}

// deskOf gives the number of a desk's address; 0 for none.
func deskOf(tx *gorm.DB, url string) (bridge.DeskID, error) {
	if url == "" {
		return 0, nil
	}
	var id int64
	err := one(tx, "SELECT id FROM desks WHERE url = ?", []any{url}, &id)
	if none(err) {
		id, err = insert(tx, "INSERT INTO desks (url) VALUES (?)", url)
	}
	return bridge.DeskID(id), err
}

// RemoveRegion removes a region and all that belongs to it; see
// bridge.RegionStore. Its chats go in small steps, so an error may leave some of
// them; calling it again goes on.
func (s regions) RemoveRegion(ctx context.Context, id bridge.RegionID) error {
	for {
		removed, err := s.removeChats(ctx, id, time.UnixMilli(1<<52))
		if err != nil {
			return err
		}
		if removed.chats == 0 {
			break
		}
	}
	if err := s.emptyRegionRoom(ctx, id); err != nil {
		return err
	}
	return s.write(ctx, func(tx *gorm.DB) error {
		for _, table := range []string{"devices", "testers", "deliveries", "exposures", "erasures", "staff_regions", "statistics", "tallies", "alerts"} {
			if _, err := exec(tx, "DELETE FROM "+table+" WHERE region_id = ?", id); err != nil {
				return err
			}
		}
		before, err := s.stored(tx, id)
		if errors.Is(err, bridge.ErrRegionNotFound) {
			return nil // somebody else was as quick
		}
		if err != nil {
			return err
		}
		if _, err := exec(tx, "DELETE FROM regions WHERE id = ?", id); err != nil {
			return err
		}
		if err := s.noteRegion(ctx, tx, "region.remove", before, nil); err != nil {
			return err
		}
		return removeRegionRoom(tx, id) // last: who makes one holds the region
	})
}
