package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gorm.io/gorm"

	"deskbridge/bridge"
	"deskbridge/gate"
)

// testers implements bridge.TesterStore.
type testers struct{ *database }

// notEnded keeps to overrides of t that count at a time. Those that ended count
// as none at once, and the job prune removes them later.
const notEnded = "(t.expires_at IS NULL OR t.expires_at > ?)"

const testerColumns = "SELECT t.id, t.device_hash, t.override, t.set_at, t.set_by, t.expires_at, t.note FROM testers t WHERE "

func scanTester(scan func(...any) error, t *bridge.Tester) error {
	var (
		hash    []byte
		at      int64
		expires sql.NullInt64
	)
	err := scan(&t.ID, &hash, &t.Override, &at, &t.SetBy, &expires, &t.Note)
	copy(t.Device[:], hash)
	t.SetAt, t.ExpiresAt = moment(at), moment(expires.Int64)
	return err
}

// tester is a row of testers.
type tester struct {
	ID         int64
	RegionID   int64
	DeviceHash []byte
	Override   string
	SetAt      int64
	SetBy      string
	ExpiresAt  sql.NullInt64
	Note       string
}

// testersAtOnce is the number of overrides that one statement writes.
const testersAtOnce = 256

// SetTesters sets overrides; see bridge.TesterStore.
func (s testers) SetTesters(ctx context.Context, r bridge.RegionID, set ...bridge.Tester) error {
	by := bridge.ActorOf(ctx).Name
	return s.write(ctx, func(tx *gorm.DB) error {
		entry := bridge.AuditEntry{Region: r, Action: "tester.set", Subject: strconv.Itoa(len(set)) + " devices", Changes: summary(set)}
		if len(set) == 1 {
			was, err := s.testerOf(tx, r, set[0].Device, set[0].SetAt)
			if err != nil && !errors.Is(err, bridge.ErrTesterUnknown) {
				return err
			}
			entry = testerEntry(r, was, set[0])
		}
		var rows []tester
		for part := range slices.Chunk(set, testersAtOnce) {
			hashes := make([][]byte, len(part))
			for i, t := range part {
				hashes[i] = part[i].Device[:]
				if t.Override != gate.OverrideNone {
					rows = append(rows, tester{
						RegionID: int64(r), DeviceHash: hashes[i], Override: string(t.Override), Note: t.Note,
						SetAt: milli(t.SetAt), SetBy: by, ExpiresAt: sql.NullInt64{Int64: milli(t.ExpiresAt), Valid: !t.ExpiresAt.IsZero()},
					})
				}
			}
			marks, args := in(hashes)
			if _, err := exec(tx, "DELETE FROM testers WHERE region_id = ? AND device_hash IN "+marks, append([]any{r}, args...)...); err != nil {
				return fmt.Errorf("remove overrides: %w", err)
			}
		}
		if len(rows) > 0 {
			if err := tx.CreateInBatches(rows, testersAtOnce).Error; err != nil {
				return fmt.Errorf("insert overrides: %w", err)
			}
		}
		return s.note(ctx, tx, entry)
	})
}

// ClearTester removes an override by its number; see bridge.TesterStore.
func (s testers) ClearTester(ctx context.Context, r bridge.RegionID, id int64) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		was := bridge.Tester{}
		err := each(tx, testerColumns+"t.id = ? AND t.region_id = ?"+s.lock, []any{id, r}, func(scan func(...any) error) error { return scanTester(scan, &was) })
		if err != nil {
			return fmt.Errorf("read override: %w", err)
		}
		if was.ID == 0 {
			return bridge.ErrTesterUnknown
		}
		if _, err := exec(tx, "DELETE FROM testers WHERE id = ?", id); err != nil {
			return fmt.Errorf("remove override: %w", err)
		}
		return s.note(ctx, tx, testerEntry(r, was, bridge.Tester{}))
	})
}

// testerEntry is what the audit keeps of a change. A note's text stays out of it:
// it may name a person, and goes with the device when that is erased, which no
// audit entry does.
func testerEntry(r bridge.RegionID, was, is bridge.Tester) bridge.AuditEntry {
	action := "tester.set"
	if is.Override == gate.OverrideNone {
		action, is = "tester.clear", bridge.Tester{}
	}
	day := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	given := func(note string) string {
		if note == "" {
			return ""
		}
		return "set"
	}
	return bridge.AuditEntry{Region: r, Action: action, Subject: "a device", Changes: []bridge.FieldChange{
		{Field: "override", From: string(was.Override), To: string(is.Override)},
		{Field: "expires_at", From: day(was.ExpiresAt), To: day(is.ExpiresAt)},
		{Field: "note", From: given(was.Note), To: given(is.Note)},
	}}
}

// summary counts overrides that are set together, by kind.
func summary(set []bridge.Tester) []bridge.FieldChange {
	counts := make(map[gate.Override]int)
	for _, t := range set {
		counts[t.Override]++
	}
	var changes []bridge.FieldChange
	for _, kind := range []gate.Override{gate.OverrideIn, gate.OverrideOut, gate.OverrideNone} {
		if n := counts[kind]; n > 0 {
			name := string(kind)
			if kind == gate.OverrideNone {
				name = "draw"
			}
			changes = append(changes, bridge.FieldChange{Field: name, To: strconv.Itoa(n)})
		}
	}
	return changes
}

// Tester finds the override of a device; see bridge.TesterStore.
func (s testers) Tester(ctx context.Context, r bridge.RegionID, d bridge.DeviceHash, now time.Time) (bridge.Tester, error) {
	t, err := s.testerOf(s.read.WithContext(ctx), r, d, now)
	return t, failure(err)
}

func (s testers) testerOf(tx *gorm.DB, r bridge.RegionID, d bridge.DeviceHash, now time.Time) (bridge.Tester, error) {
	var t bridge.Tester
	err := each(tx, testerColumns+"t.region_id = ? AND t.device_hash = ? AND "+notEnded, []any{r, d[:], milli(now)}, func(scan func(...any) error) error { return scanTester(scan, &t) })
	if err == nil && t.ID == 0 {
		err = bridge.ErrTesterUnknown
	}
	if err != nil {
		return bridge.Tester{}, fmt.Errorf("read override: %w", err)
	}
	return t, nil
}

// Testers lists overrides; see bridge.TesterStore.
func (s testers) Testers(ctx context.Context, q bridge.TesterQuery) ([]bridge.Tester, error) {
	where, args := "t.region_id = ? AND "+notEnded, []any{q.Region, milli(q.Now)}
	if q.Before > 0 {
		where, args = where+" AND t.id < ?", append(args, q.Before)
	}
	var page []bridge.Tester
	err := each(s.read.WithContext(ctx), testerColumns+where+" ORDER BY t.id DESC LIMIT ?", append(args, q.Limit), func(scan func(...any) error) error {
		page = append(page, bridge.Tester{})
		return scanTester(scan, &page[len(page)-1])
	})
	return page, failure(err)
}

// What the gate must know of a device: both queries end alike.
const (
	knownExposures = "SELECT e.device_hash, e.language, e.app_version, COALESCE(t.override, ''), COALESCE(d.opened_at, 0), COALESCE(c.last_message_at, 0) FROM exposures e" +
		" LEFT JOIN devices d ON d.region_id = e.region_id AND d.device_hash = e.device_hash" +
		" LEFT JOIN testers t ON t.region_id = e.region_id AND t.device_hash = e.device_hash AND " + notEnded +
		" LEFT JOIN chats c ON c.id = d.current_chat_id" +
		" WHERE e.region_id = ? AND e.told_at >= ? ORDER BY e.told_at DESC LIMIT ?"
	knownChats = "SELECT d.device_hash, x.language, '', COALESCE(t.override, ''), d.opened_at, COALESCE(c.last_message_at, 0) FROM chats x" +
		" JOIN devices d ON d.id = x.device_id" +
		" LEFT JOIN testers t ON t.region_id = d.region_id AND t.device_hash = d.device_hash AND " + notEnded +
		" LEFT JOIN chats c ON c.id = d.current_chat_id" +
		" WHERE x.region_id = ? AND x.last_message_at >= ? ORDER BY x.last_message_at DESC LIMIT ?"
)

// KnownDevices reads what the gate must know of devices; see bridge.TesterStore.
func (s testers) KnownDevices(ctx context.Context, r *bridge.Region, since, now time.Time, limit int) ([]bridge.KnownDevice, bool, error) {
	var known []bridge.KnownDevice
	more := false
	seen := make(map[bridge.DeviceHash]bool)
	// Decisions come first: they also know the version of the app.
	for _, query := range []string{knownExposures, knownChats} {
		rows := 0
		err := each(s.read.WithContext(ctx), query, []any{milli(now), r.ID, milli(since), limit + 1}, func(scan func(...any) error) error {
			var (
				k            bridge.KnownDevice
				hash         []byte
				opened, last int64
			)
			if err := scan(&hash, &k.Language, &k.AppVersion, &k.Standing.Override, &opened, &last); err != nil {
				return err
			}
			if rows++; rows > limit {
				more = true
				return nil
			}
			copy(k.Device[:], hash)
			if seen[k.Device] {
				return nil
			}
			seen[k.Device] = true
			k.Standing.Running, k.Standing.Sticky = last != 0 && alive(r, moment(last), now), opened != 0
			known = append(known, k)
			return nil
		})
		if err != nil {
			return nil, false, failure(fmt.Errorf("read known devices: %w", err))
		}
	}
	return known, more, nil
}
