package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"deskbridge/bridge"
)

// rights implements bridge.RightsStore.
type rights struct{ *database }

// Erase removes a device; see bridge.RightsStore.
func (s rights) Erase(ctx context.Context, e bridge.Erasing) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		d, err := s.lockDevice(tx, "d.region_id = ? AND d.device_hash = ?", e.Region.ID, e.Device[:])
		if err != nil && !none(err) {
			return fmt.Errorf("lock device: %w", err)
		}
		known, err := list[int64](tx, "SELECT id FROM erasures WHERE receipt_hash = ?", e.Receipt[:])
		if err != nil || len(known) > 0 {
			return err
		}
		w := erasure{desk: e.Region.Desk}
		if d.id != 0 {
			if err := s.collect(tx, d, e, &w); err != nil {
				return err
			}
			if err := removeDevice(tx, d.id); err != nil {
				return fmt.Errorf("remove device: %w", err)
			}
		}
		for _, table := range []string{"exposures", "testers"} {
			n, err := exec(tx, "DELETE FROM "+table+" WHERE region_id = ? AND device_hash = ?", e.Region.ID, e.Device[:])
			if err != nil {
				return fmt.Errorf("remove %s: %w", table, err)
			}
			w.found = w.found || n > 0
		}
		if d.id == 0 && !w.found {
			return bridge.ErrChatNotFound
		}
		// Before the row that refers to the region, which would share its lock first.
		if err := raiseFloor(tx, e.Region.ID, d.seq); err != nil {
			return fmt.Errorf("raise floor: %w", err)
		}
		traces, err := json.Marshal(w.traces)
		if err != nil {
			return fmt.Errorf("encode traces: %w", err)
		}
		_, err = exec(tx, "INSERT INTO erasures (region_id, receipt_hash, desk_id, rule, alias, neutral, traces, settled_at, erased_at, due, claim_id, claimed_until, attempts, refusals, reason, finished_at)"+
			" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, 0, 0, '', NULL)",
			e.Region.ID, e.Receipt[:], w.desk, string(e.Region.Settings.WithDefaults().Erasure), d.alias, e.Neutral, string(traces), w.settled, milli(e.Now), milli(e.Now))
		if err != nil || e.Subject == "" {
			return err
		}
		return s.note(ctx, tx, bridge.AuditEntry{Region: e.Region.ID, Action: "device.erase", Subject: e.Subject})
	})
}

// erasure is what an erasure is made of.
type erasure struct {
	traces  bridge.Traces
	desk    bridge.DeskID
	settled int64
	found   bool
}

// collect reads what the device left in the desk. Work that is started may be
// running: its message may still arrive, and its label may come back.
func (s rights) collect(tx *gorm.DB, d device, e bridge.Erasing, w *erasure) error {
	err := each(tx, "SELECT c.desk_id, COALESCE(c.ticket_id, 0), c.customer_id FROM chats c WHERE c.device_id = ? ORDER BY c.id"+s.lock, []any{d.id}, func(scan func(...any) error) error {
		var (
			ticket   bridge.TicketID
			customer bridge.CustomerID
		)
		if err := scan(&w.desk, &ticket, &customer); err != nil {
			return err
		}
		if ticket != 0 {
			w.traces.Tickets = append(w.traces.Tickets, ticket)
		}
		if customer != 0 && !slices.Contains(w.traces.Customers, customer) {
			w.traces.Customers = append(w.traces.Customers, customer)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read chats: %w", err)
	}
	// Tickets that a chat has left, because they were merged into another device's.
	former, err := list[bridge.TicketID](tx, "SELECT DISTINCT a.ticket_id FROM articles a JOIN chats c ON c.id = a.chat_id WHERE c.device_id = ? AND a.desk_id = ? ORDER BY a.ticket_id", d.id, w.desk)
	if err != nil {
		return fmt.Errorf("read former tickets: %w", err)
	}
	for _, ticket := range former {
		if ticket != 0 && !slices.Contains(w.traces.Tickets, ticket) {
			w.traces.Tickets = append(w.traces.Tickets, ticket)
		}
	}
	err = each(tx, "SELECT o.kind, COALESCE(m.uuid, '') FROM outbox o JOIN chats c ON c.id = o.chat_id LEFT JOIN messages m ON m.id = o.message_id"+
		" WHERE c.device_id = ? AND o.started_at > 0 AND o.dead = 0", []any{d.id}, func(scan func(...any) error) error {
		var kind, uuid string
		if err := scan(&kind, &uuid); err != nil {
			return err
		}
		w.settled = milli(e.Now.Add(e.Horizon))
		if bridge.WorkKind(kind) == bridge.WorkMessage {
			w.traces.Messages = append(w.traces.Messages, bridge.MessageUUID(uuid))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read work: %w", err)
	}
	return nil
}

// removeDevice removes a device's row and all that hangs on it. What else is
// kept of a chat or a message must be named here.
func removeDevice(tx *gorm.DB, id int64) error {
	chats, err := list[bridge.ChatID](tx, "SELECT id FROM chats WHERE device_id = ?", id)
	if err != nil {
		return err
	}
	for _, chat := range chats {
		if _, err := removeAttachments(tx, chat); err != nil {
			return err
		}
	}
	for _, table := range []string{"outbox", "articles", "messages"} {
		if _, err := exec(tx, "DELETE FROM "+table+" WHERE chat_id IN (SELECT id FROM chats WHERE device_id = ?)", id); err != nil {
			return err
		}
	}
	for _, query := range []string{"DELETE FROM alerts WHERE device_id = ?", "DELETE FROM chats WHERE device_id = ?", "DELETE FROM devices WHERE id = ?"} {
		if _, err := exec(tx, query, id); err != nil {
			return err
		}
	}
	return nil
}

// ErasureReport tells of a receipt; see bridge.RightsStore.
func (s rights) ErasureReport(ctx context.Context, r bridge.RegionID, receipt bridge.ReceiptHash) (bridge.ErasureReport, error) {
	var (
		report           bridge.ErasureReport
		refusals         int
		erased, finished int64
	)
	err := one(s.read.WithContext(ctx), "SELECT rule, refusals, erased_at, COALESCE(finished_at, 0) FROM erasures WHERE receipt_hash = ? AND region_id = ?", []any{receipt[:], r},
		&report.Rule, &refusals, &erased, &finished)
	if none(err) {
		return report, bridge.ErrReceiptUnknown
	}
	report.ErasedAt, report.FinishedAt = moment(erased), moment(finished)
	switch {
	case finished != 0:
		report.State = bridge.ErasureDone
	case refusals >= bridge.TriesErasure:
		report.State = bridge.ErasureFailed
	default:
		report.State = bridge.ErasurePending
	}
	return report, failure(err)
}

// ClaimErasures takes due erasures; see bridge.RightsStore.
func (s rights) ClaimErasures(ctx context.Context, now, until time.Time, limit int) ([]bridge.Erasure, error) {
	at := milli(now)
	due, err := list[int64](s.read.WithContext(ctx), "SELECT id FROM erasures WHERE due <= ? AND claimed_until <= ? ORDER BY due LIMIT ?", at, at, limit)
	if err != nil || len(due) == 0 {
		return nil, failure(err)
	}
	var claims []bridge.Erasure
	err = s.write(ctx, func(tx *gorm.DB) error {
		claims = nil
		claim := bridge.NewClaimID()
		for _, id := range due {
			n, err := exec(tx, "UPDATE erasures SET claim_id = ?, claimed_until = ? WHERE id = ? AND due <= ? AND claimed_until <= ?", claim, milli(until), id, at, at)
			if err != nil {
				return err
			}
			if n == 0 {
				continue // somebody else has it
			}
			e := bridge.Erasure{ID: id, Claim: claim}
			var (
				traces  string
				settled int64
			)
			if err := one(tx, "SELECT region_id, desk_id, rule, alias, neutral, traces, settled_at, attempts, refusals FROM erasures WHERE id = ?", []any{id},
				&e.Region, &e.Desk, &e.Rule, &e.Alias, &e.Neutral, &traces, &settled, &e.Attempts, &e.Refusals); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(traces), &e.Traces); err != nil {
				return fmt.Errorf("decode traces: %w", err)
			}
			e.SettledAt = moment(settled)
			claims = append(claims, e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claims, nil
}

// FinishErasure writes what became of an erasure; see bridge.RightsStore.
func (s rights) FinishErasure(ctx context.Context, e bridge.Erasure, o bridge.ErasureOutcome, now time.Time) error {
	refusals := e.Refusals
	if o.Refused {
		refusals++
	}
	return s.write(ctx, func(tx *gorm.DB) error {
		query, args := "UPDATE erasures SET due = ?, attempts = ?, refusals = ?, reason = ?", []any{milli(o.Due), e.Attempts + 1, refusals, o.Reason}
		if o.Done {
			query, args = "UPDATE erasures SET due = NULL, finished_at = ?, alias = '', neutral = '', traces = '{}', settled_at = 0, attempts = 0, refusals = 0, reason = ''", []any{milli(now)}
		}
		n, err := exec(tx, query+", claim_id = '', claimed_until = 0 WHERE id = ? AND claim_id = ? AND claimed_until > ?", append(args, e.ID, e.Claim, milli(now))...)
		if err == nil && n == 0 {
			err = bridge.ErrClaimLost
		}
		return err
	})
}

// Unerased counts erasures that are not done; see bridge.RightsStore.
func (s rights) Unerased(ctx context.Context) (map[bridge.RegionID]bridge.ErasureCounts, error) {
	counts := make(map[bridge.RegionID]bridge.ErasureCounts)
	err := each(s.read.WithContext(ctx), "SELECT region_id, refusals FROM erasures WHERE finished_at IS NULL", nil, func(scan func(...any) error) error {
		var (
			region   bridge.RegionID
			refusals int
		)
		if err := scan(&region, &refusals); err != nil {
			return err
		}
		n := counts[region]
		n.Pending++
		if refusals >= bridge.TriesErasure {
			n.Failed++
		}
		counts[region] = n
		return nil
	})
	return counts, failure(err)
}

// Export reads what is stored of a device; see bridge.RightsStore.
func (s rights) Export(ctx context.Context, r *bridge.Region, d bridge.DeviceHash) (bridge.Export, error) {
	var (
		out    bridge.Export
		opened int64
		token  []byte
	)
	tx := s.read.WithContext(ctx)
	err := one(tx, "SELECT opened_at, seq, read_seq, token_hash FROM devices WHERE region_id = ? AND device_hash = ?", []any{r.ID, d[:]}, &opened, &out.Seq, &out.Read, &token)
	if err != nil && !none(err) {
		return out, failure(fmt.Errorf("read device: %w", err))
	}
	known := err == nil
	out.OpenedAt, out.HasToken = moment(opened), len(token) > 0
	err = each(tx, "SELECT "+chatColumns+" FROM chats c JOIN devices d ON d.id = c.device_id WHERE d.region_id = ? AND d.device_hash = ? ORDER BY c.id", []any{r.ID, d[:]}, func(scan func(...any) error) error {
		var c chat
		if err := scanChat(scan, &c); err != nil {
			return err
		}
		out.Chats = append(out.Chats, bridge.ExportedChat{Chat: c.Chat, ConsentAt: moment(c.consentAt)})
		return nil
	})
	if err != nil {
		return out, failure(fmt.Errorf("read chats: %w", err))
	}
	err = each(tx, "SELECT day, served, reason, told_at, language, app_version FROM exposures WHERE region_id = ? AND device_hash = ? ORDER BY day", []any{r.ID, d[:]}, func(scan func(...any) error) error {
		var (
			e  bridge.Exposure
			at int64
		)
		if err := scan(&e.Day, &e.Served, &e.Reason, &at, &e.Language, &e.AppVersion); err != nil {
			return err
		}
		e.At = moment(at)
		out.Exposures = append(out.Exposures, e)
		return nil
	})
	if err != nil {
		return out, failure(fmt.Errorf("read exposures: %w", err))
	}
	err = each(tx, testerColumns+"t.region_id = ? AND t.device_hash = ?", []any{r.ID, d[:]}, func(scan func(...any) error) error {
		out.Tester = &bridge.Tester{}
		return scanTester(scan, out.Tester)
	})
	if err != nil {
		return out, failure(fmt.Errorf("read override: %w", err))
	}
	if !known && len(out.Exposures) == 0 && out.Tester == nil {
		return out, bridge.ErrChatNotFound
	}
	return out, nil
}

// ExportMessages reads a page of messages; see bridge.RightsStore.
func (s rights) ExportMessages(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, after bridge.MessageID, limit int) ([]bridge.Message, error) {
	var (
		page []bridge.Message
		with []bridge.MessageID // those with attachments
		tx   = s.read.WithContext(ctx)
	)
	err := each(tx, messageColumns+"m.device_id = (SELECT d.id FROM devices d WHERE d.region_id = ? AND d.device_hash = ?) AND m.id > ? ORDER BY m.id LIMIT ?",
		[]any{r.ID, d[:], after, limit}, func(scan func(...any) error) error {
			page = append(page, bridge.Message{})
			m := &page[len(page)-1]
			files, err := scanMessage(scan, m)
			if files > 0 {
				with = append(with, m.ID)
			}
			return err
		})
	if err == nil {
		err = readAttachments(tx, with, page)
	}
	return page, failure(err)
}
