package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// people implements the part of staff.Store about who there is.
type people struct{ *database }

const staffColumns = "id, login, name, role, language, password, totp_secret, totp_step, COALESCE(subject, ''), disabled, epoch, locked_until, created_at, signed_in_at, signed_in_before, password_at, factor_at, identity_at, told_at"

func totpPlace(id staff.ID) string { return "staff.totp_secret/" + strconv.FormatInt(int64(id), 10) }

// accounts reads accounts, without their regions.
func (db *database) accounts(tx *gorm.DB, rest string, args ...any) ([]*staff.Credentials, error) {
	var all []*staff.Credentials
	err := each(tx, "SELECT "+staffColumns+" FROM staff "+rest, args, func(scan func(...any) error) error {
		var (
			c                           staff.Credentials
			sealed                      string
			locked, created, signedInAt int64

			before, password, factor, identity, told int64
		)
		if err := scan(&c.ID, &c.Login, &c.Name, &c.Role, &c.Language, &c.Password, &sealed, &c.TOTPStep, &c.Subject, &c.Disabled, &c.Epoch, &locked, &created, &signedInAt, &before, &password, &factor, &identity, &told); err != nil {
			return err
		}
		secret, err := db.seal.open(totpPlace(c.ID), sealed)
		c.TOTP, c.HasTOTP, c.HasPassword = bridge.Secret(secret), sealed != "", c.Password != ""
		c.LockedUntil, c.CreatedAt, c.SignedInAt = moment(locked), moment(created), moment(signedInAt)
		c.SignedInBefore, c.PasswordAt, c.FactorAt, c.IdentityAt, c.ToldAt = moment(before), moment(password), moment(factor), moment(identity), moment(told)
		all = append(all, &c)
		return err
	})
	return all, err
}

// account reads one account with its regions; its row is held until the commit
// where lock is s.lock.
func (db *database) account(tx *gorm.DB, lock, where string, args ...any) (*staff.Credentials, error) {
	found, err := db.accounts(tx, "WHERE "+where+lock, args...)
	if err != nil {
		return nil, fmt.Errorf("read account: %w", err)
	}
	if len(found) == 0 {
		return nil, staff.ErrNobody
	}
	c := found[0]
	c.Regions, err = list[bridge.RegionID](tx, "SELECT region_id FROM staff_regions WHERE staff_id = ? ORDER BY region_id", c.ID)
	return c, err
}

// held is account by number, for a change.
func (db *database) held(tx *gorm.DB, id staff.ID) (*staff.Credentials, error) {
	return db.account(tx, db.lock, "id = ?", id)
}

// Staff lists accounts; see staff.Store.
func (s people) Staff(ctx context.Context) ([]staff.Account, error) {
	tx := s.read.WithContext(ctx)
	found, err := s.accounts(tx, "ORDER BY login")
	if err != nil {
		return nil, failure(fmt.Errorf("read accounts: %w", err))
	}
	regions := make(map[staff.ID][]bridge.RegionID)
	err = each(tx, "SELECT staff_id, region_id FROM staff_regions ORDER BY staff_id, region_id", nil, func(scan func(...any) error) error {
		var (
			id     staff.ID
			region bridge.RegionID
		)
		err := scan(&id, &region)
		regions[id] = append(regions[id], region)
		return err
	})
	all := make([]staff.Account, len(found))
	for i, c := range found {
		all[i] = c.Account
		all[i].Regions = regions[c.ID]
	}
	return all, failure(err)
}

// HasStaff says whether there is any account; see staff.Store.
func (s people) HasStaff(ctx context.Context) (bool, error) {
	return hasStaff(s.read.WithContext(ctx))
}

func hasStaff(tx *gorm.DB) (bool, error) {
	some, err := list[int64](tx, "SELECT id FROM staff LIMIT 1")
	return len(some) > 0, failure(err)
}

// StaffByID finds an account; see staff.Store.
func (s people) StaffByID(ctx context.Context, id staff.ID) (*staff.Credentials, error) {
	c, err := s.account(s.read.WithContext(ctx), "", "id = ?", id)
	return c, failure(err)
}

// StaffByLogin finds an account; see staff.Store.
func (s people) StaffByLogin(ctx context.Context, login string) (*staff.Credentials, error) {
	c, err := s.account(s.read.WithContext(ctx), "", "login = ?", login)
	return c, failure(err)
}

// StaffBySubject finds an account; see staff.Store.
func (s people) StaffBySubject(ctx context.Context, subject string) (*staff.Credentials, error) {
	c, err := s.account(s.read.WithContext(ctx), "", "subject = ?", subject)
	return c, failure(err)
}

// AddStaff stores a new person; see staff.Store.
func (s people) AddStaff(ctx context.Context, p staff.Person, hash string) (id staff.ID, err error) {
	err = s.write(ctx, func(tx *gorm.DB) error {
		id, err = s.addStaff(ctx, tx, p, hash)
		return err
	})
	return id, err
}

func (db *database) addStaff(ctx context.Context, tx *gorm.DB, p staff.Person, hash string) (staff.ID, error) {
	taken, err := list[int64](tx, "SELECT id FROM staff WHERE login = ?", p.Login)
	if err != nil {
		return 0, err
	}
	if len(taken) > 0 {
		return 0, staff.ErrLoginTaken
	}
	id, err := insert(tx, "INSERT INTO staff (login, name, role, language, password, totp_secret, totp_step, subject, disabled, epoch, failures, locked_until, created_at, signed_in_at)"+
		" VALUES (?, ?, ?, ?, ?, '', 0, NULL, ?, 1, 0, 0, ?, 0)", p.Login, p.Name, string(p.Role), p.Language, hash, p.Disabled, milli(db.now()))
	if err != nil {
		return 0, fmt.Errorf("add account: %w", err)
	}
	if err := setRegions(tx, staff.ID(id), p.Regions); err != nil {
		return 0, err
	}
	slugs, err := slugsOf(tx, p.Regions)
	if err != nil {
		return 0, err
	}
	return staff.ID(id), db.note(ctx, tx, bridge.AuditEntry{Action: "staff.add", Subject: p.Login, Changes: []bridge.FieldChange{
		{Field: "name", To: p.Name}, {Field: "role", To: string(p.Role)}, {Field: "regions", To: slugs}, {Field: "password", To: isSet(hash)},
	}})
}

// isSet says in the audit what a secret is.
func isSet(secret string) string {
	if secret == "" {
		return ""
	}
	return "set"
}

func setRegions(tx *gorm.DB, id staff.ID, regions []bridge.RegionID) error {
	if _, err := exec(tx, "DELETE FROM staff_regions WHERE staff_id = ?", id); err != nil {
		return err
	}
	for _, region := range sorted(regions) {
		if _, err := exec(tx, "INSERT INTO staff_regions (staff_id, region_id) VALUES (?, ?)", id, region); err != nil {
			return fmt.Errorf("region of an account: %w", err)
		}
	}
	return nil
}

// sorted gives each region once, in order.
func sorted(regions []bridge.RegionID) []bridge.RegionID {
	return slices.Compact(slices.Sorted(slices.Values(regions)))
}

// slugsOf names regions for the audit.
func slugsOf(tx *gorm.DB, regions []bridge.RegionID) (string, error) {
	if len(regions) == 0 {
		return "", nil
	}
	marks, args := in(regions)
	slugs, err := list[string](tx, "SELECT slug FROM regions WHERE id IN "+marks+" ORDER BY slug", args...)
	return strings.Join(slugs, ", "), err
}

// ChangeStaff changes a person; see staff.Store.
func (s people) ChangeStaff(ctx context.Context, from, to staff.Person) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		if to.Role != staff.Operator || to.Disabled {
			if err := s.keepOperator(tx, from.ID); err != nil {
				return err
			}
		}
		c, err := s.held(tx, from.ID)
		if err != nil {
			return err
		}
		if c.Name != from.Name || c.Role != from.Role || c.Disabled != from.Disabled || !slices.Equal(c.Regions, sorted(from.Regions)) {
			return staff.ErrChanged
		}
		epoch := c.Epoch
		if to.Role != c.Role || to.Disabled && !c.Disabled {
			epoch++
		}
		if _, err := exec(tx, "UPDATE staff SET name = ?, role = ?, disabled = ?, epoch = ? WHERE id = ?", to.Name, string(to.Role), to.Disabled, epoch, from.ID); err != nil {
			return err
		}
		if err := setRegions(tx, from.ID, to.Regions); err != nil {
			return err
		}
		before, err := slugsOf(tx, c.Regions)
		if err != nil {
			return err
		}
		after, err := slugsOf(tx, to.Regions)
		if err != nil {
			return err
		}
		return s.note(ctx, tx, bridge.AuditEntry{Action: "staff.change", Subject: c.Login, Changes: []bridge.FieldChange{
			{Field: "name", From: c.Name, To: to.Name}, {Field: "role", From: string(c.Role), To: string(to.Role)}, {Field: "regions", From: before, To: after},
			{Field: "disabled", From: strconv.FormatBool(c.Disabled), To: strconv.FormatBool(to.Disabled)},
		}})
	})
}

// keepOperator refuses to lose the last operator who can sign in. It holds the
// rows of all operators, so of two who take each other's role one is refused.
func (db *database) keepOperator(tx *gorm.DB, goes staff.ID) error {
	able, err := list[staff.ID](tx, "SELECT id FROM staff WHERE role = ? AND disabled = 0 AND (password <> '' OR subject IS NOT NULL) ORDER BY id"+db.lock, string(staff.Operator))
	if err != nil {
		return err
	}
	if len(able) == 1 && able[0] == goes {
		return staff.ErrLastOperator
	}
	return nil
}

// SetStaffLanguage stores a person's language; see staff.Store.
func (s people) SetStaffLanguage(ctx context.Context, id staff.ID, language string) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		c, err := s.held(tx, id)
		if err != nil {
			return err
		}
		if _, err := exec(tx, "UPDATE staff SET language = ? WHERE id = ?", language, id); err != nil {
			return err
		}
		return s.note(ctx, tx, bridge.AuditEntry{Action: "staff.language", Subject: c.Login, Changes: []bridge.FieldChange{{Field: "language", From: c.Language, To: language}}})
	})
}

// RemoveStaff removes a person; see staff.Store.
func (s people) RemoveStaff(ctx context.Context, id staff.ID) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		if err := s.keepOperator(tx, id); err != nil {
			return err
		}
		c, err := s.held(tx, id)
		if err != nil {
			return err
		}
		threads, err := list[int64](tx, "SELECT id FROM author_rooms WHERE first_id = ? OR second_id = ? LIMIT 1", id, id)
		if err != nil {
			return err
		}
		if len(threads) > 0 {
			return staff.ErrHasHistory
		}
		for _, table := range []string{"staff_regions", "staff_links"} {
			if _, err := exec(tx, "DELETE FROM "+table+" WHERE staff_id = ?", id); err != nil {
				return err
			}
		}
		if _, err := exec(tx, "DELETE FROM staff WHERE id = ?", id); errors.Is(err, gorm.ErrForeignKeyViolated) {
			return staff.ErrHasHistory
		} else if err != nil {
			return err
		}
		return s.note(ctx, tx, bridge.AuditEntry{Action: "staff.remove", Subject: c.Login, Changes: []bridge.FieldChange{{Field: "role", From: string(c.Role)}}})
	})
}
