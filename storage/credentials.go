package storage

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// credentials implements the part of staff.Store about how people prove who they
// are.
type credentials struct{ *database }

// SetPassword stores a password hash; see staff.Store.
func (s credentials) SetPassword(ctx context.Context, id staff.ID, hash string) (epoch int64, err error) {
	err = s.write(ctx, func(tx *gorm.DB) error {
		c, err := s.held(tx, id)
		if err != nil {
			return err
		}
		epoch = c.Epoch + 1
		return s.setPassword(ctx, tx, c, hash)
	})
	return epoch, err
}

func (db *database) setPassword(ctx context.Context, tx *gorm.DB, c *staff.Credentials, hash string) error {
	if _, err := exec(tx, "UPDATE staff SET password = ?, password_at = ?, failures = 0, locked_until = 0, epoch = epoch + 1 WHERE id = ?", hash, milli(db.now()), c.ID); err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	if _, err := exec(tx, "DELETE FROM staff_links WHERE staff_id = ?", c.ID); err != nil {
		return err
	}
	return db.note(ctx, tx, bridge.AuditEntry{Action: "staff.password", Subject: c.Login})
}

// Rehash stores another hash of the same password; see staff.Store.
func (s credentials) Rehash(ctx context.Context, id staff.ID, old, hash string) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		_, err := exec(tx, "UPDATE staff SET password = ? WHERE id = ? AND password = ?", hash, id, old)
		return err
	})
}

// EndSessions ends a person's sessions; see staff.Store.
func (s credentials) EndSessions(ctx context.Context, id staff.ID) (epoch int64, err error) {
	err = s.write(ctx, func(tx *gorm.DB) error {
		c, err := s.held(tx, id)
		if err != nil {
			return err
		}
		epoch = c.Epoch + 1
		if _, err := exec(tx, "UPDATE staff SET epoch = epoch + 1 WHERE id = ?", id); err != nil {
			return err
		}
		return s.note(ctx, tx, bridge.AuditEntry{Action: "staff.sign-out-everywhere", Subject: c.Login})
	})
	return epoch, err
}

// SetTOTP stores a second factor; see staff.Store.
func (s credentials) SetTOTP(ctx context.Context, id staff.ID, secret bridge.Secret, step int64) (epoch int64, err error) {
	err = s.write(ctx, func(tx *gorm.DB) error {
		c, err := s.held(tx, id)
		if err != nil {
			return err
		}
		epoch = c.Epoch + 1
		if _, err := exec(tx, "UPDATE staff SET totp_secret = ?, totp_step = ?, factor_at = ?, epoch = epoch + 1 WHERE id = ?", s.seal.close(totpPlace(id), string(secret)), step, milli(s.now()), id); err != nil {
			return err
		}
		// One secret in the place of another is a change too, without values to tell.
		entry := bridge.AuditEntry{Action: "staff.second-factor", Subject: c.Login}
		if c.TOTP == "" || secret == "" {
			entry.Changes = []bridge.FieldChange{{Field: "second factor", From: isSet(string(c.TOTP)), To: isSet(string(secret))}}
		}
		return s.note(ctx, tx, entry)
	})
	return epoch, err
}

// LinkSubject links an identity; see staff.Store.
func (s credentials) LinkSubject(ctx context.Context, id staff.ID, subject string) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		c, err := s.held(tx, id)
		if err != nil {
			return err
		}
		if subject == "" && !c.HasPassword {
			if err := s.keepOperator(tx, id); err != nil {
				return err
			}
		}
		if subject != "" {
			other, err := list[staff.ID](tx, "SELECT id FROM staff WHERE subject = ? AND id <> ?", subject, id)
			if err != nil {
				return err
			}
			if len(other) > 0 || c.Subject != "" && c.Subject != subject {
				return staff.ErrLinked
			}
		}
		if _, err := exec(tx, "UPDATE staff SET subject = ?, identity_at = ? WHERE id = ?", orNull(subject), milli(s.now()), id); err != nil {
			return fmt.Errorf("link account: %w", err)
		}
		return s.note(ctx, tx, bridge.AuditEntry{Action: "staff.identity", Subject: c.Login, Changes: []bridge.FieldChange{{Field: "identity", From: isSet(c.Subject), To: isSet(subject)}}})
	})
}

// doublings is how often the first time of a lockout is doubled until it is the
// longest.
const doublings = 6

// TakeTry counts a try; see staff.Store. The count and the lock are one
// statement, so that any number of tries at once on any number of instances
// count as if they came one after the other. MySQL assigns from left to right,
// so what is computed from failures comes before their own assignment.
func (s credentials) TakeTry(ctx context.Context, id staff.ID) (try staff.Try, err error) {
	err = s.write(ctx, func(tx *gorm.DB) error {
		now := milli(s.now())
		n, err := exec(tx, "UPDATE staff SET locked_until = CASE WHEN failures + 1 < ? THEN 0 WHEN failures + 1 >= ? THEN ? ELSE ? + (? << (failures + 1 - ?)) END, failures = failures + 1"+
			" WHERE id = ? AND locked_until <= ?",
			staff.LockAfter, staff.LockAfter+doublings, now+staff.LockLongest.Milliseconds(), now, staff.LockFirst.Milliseconds(), staff.LockAfter, id, now)
		if err != nil {
			return err
		}
		var until int64
		err = one(tx, "SELECT failures, locked_until FROM staff WHERE id = ?", []any{id}, &try.Failures, &until)
		try.Until = moment(until)
		switch {
		case none(err):
			return staff.ErrNobody
		case err == nil && n == 0:
			return staff.ErrLocked
		}
		return err
	})
	return try, err
}

// UndoTry takes a try back; see staff.Store.
func (s credentials) UndoTry(ctx context.Context, id staff.ID, try staff.Try) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		_, err := exec(tx, "UPDATE staff SET failures = failures - 1, locked_until = 0 WHERE id = ? AND failures = ? AND locked_until = ?", id, try.Failures, milli(try.Until))
		return err
	})
}

// SignedIn notes a sign-in; see staff.Store.
func (s credentials) SignedIn(ctx context.Context, id staff.ID, step int64) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		c, err := s.held(tx, id)
		if err != nil {
			return err
		}
		if step > 0 && step <= c.TOTPStep {
			return staff.ErrCode
		}
		// MySQL assigns from left to right.
		if _, err := exec(tx, "UPDATE staff SET signed_in_before = signed_in_at, signed_in_at = ?, failures = 0, locked_until = 0, totp_step = ? WHERE id = ?", milli(s.now()), max(step, c.TOTPStep), id); err != nil {
			return err
		}
		return s.note(ctx, tx, bridge.AuditEntry{Action: "staff.sign-in", Subject: c.Login})
	})
}

// AddLink stores a one-time link; see staff.Store.
func (s credentials) AddLink(ctx context.Context, id staff.ID, hash [32]byte, until time.Time) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		if id == 0 { // each instance tells its own at its start
			_, err := exec(tx, "INSERT INTO staff_links (token_hash, staff_id, expires) VALUES (?, 0, ?)", hash[:], milli(until))
			return err
		}
		c, err := s.held(tx, id)
		if err != nil {
			return err
		}
		if _, err := exec(tx, "DELETE FROM staff_links WHERE staff_id = ?", id); err != nil {
			return err
		}
		if _, err := exec(tx, "INSERT INTO staff_links (token_hash, staff_id, expires) VALUES (?, ?, ?)", hash[:], id, milli(until)); err != nil {
			return err
		}
		return s.note(ctx, tx, bridge.AuditEntry{Action: "staff.link", Subject: c.Login})
	})
}

// LinkOwner looks at a link; see staff.Store.
func (s credentials) LinkOwner(ctx context.Context, hash [32]byte) (staff.ID, error) {
	id, err := s.linkOwner(s.read.WithContext(ctx), hash)
	return id, failure(err)
}

func (db *database) linkOwner(tx *gorm.DB, hash [32]byte) (id staff.ID, err error) {
	err = one(tx, "SELECT staff_id FROM staff_links WHERE token_hash = ? AND expires > ?", []any{hash[:], milli(db.now())}, &id)
	if none(err) {
		return 0, staff.ErrLink
	}
	return id, err
}

// UseLink uses a link up; see staff.Store.
func (s credentials) UseLink(ctx context.Context, hash [32]byte, password string) (id staff.ID, err error) {
	err = s.write(ctx, func(tx *gorm.DB) error {
		if id, err = s.linkOwner(tx, hash); err != nil {
			return err
		}
		if id == 0 {
			return staff.ErrLink
		}
		c, err := s.held(tx, id)
		if err != nil {
			return err
		}
		// Only who deletes it has used it: another may have since it was read.
		n, err := exec(tx, "DELETE FROM staff_links WHERE token_hash = ? AND expires > ?", hash[:], milli(s.now()))
		if err != nil {
			return err
		}
		if n == 0 || c.Disabled {
			return staff.ErrLink
		}
		ctx := bridge.WithActor(ctx, c.Actor())
		return s.setPassword(ctx, tx, c, password)
	})
	return id, err
}

// UseFirstLink makes the first account; see staff.Store. It holds all first
// links, so that of two that are used at once one finds none.
func (s credentials) UseFirstLink(ctx context.Context, hash [32]byte, p staff.Person, password string) (id staff.ID, err error) {
	err = s.write(ctx, func(tx *gorm.DB) error {
		links, err := list[[]byte](tx, "SELECT token_hash FROM staff_links WHERE staff_id = 0 AND expires > ?"+s.lock, milli(s.now()))
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(links, func(l []byte) bool { return string(l) == string(hash[:]) }) {
			return staff.ErrLink
		}
		some, err := hasStaff(tx)
		if err != nil {
			return err
		}
		if some {
			return staff.ErrHasAccounts
		}
		if _, err := exec(tx, "DELETE FROM staff_links WHERE staff_id = 0"); err != nil {
			return err
		}
		id, err = s.addStaff(ctx, tx, p, password)
		return err
	})
	return id, err
}

// Untold lists who is to be told by mail; see staff.NoticeStore.
func (s credentials) Untold(ctx context.Context, since time.Time) ([]staff.Account, error) {
	from := milli(since)
	found, err := s.accounts(s.read.WithContext(ctx), "WHERE disabled = 0 AND login LIKE '%@%' AND"+
		" (password_at >= ? AND password_at > told_at OR factor_at >= ? AND factor_at > told_at OR identity_at >= ? AND identity_at > told_at) ORDER BY id", from, from, from)
	if err != nil {
		return nil, failure(fmt.Errorf("read whom to tell: %w", err))
	}
	all := make([]staff.Account, len(found))
	for i, c := range found {
		all[i] = c.Account
	}
	return all, nil
}

// Told notes that somebody was told; see staff.NoticeStore.
func (s credentials) Told(ctx context.Context, id staff.ID, until time.Time) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		_, err := exec(tx, "UPDATE staff SET told_at = ? WHERE id = ? AND told_at < ?", milli(until), id, milli(until))
		return err
	})
}
