package reliability_test

import (
	"context"
	"fmt"
	"time"

	"deskbridge/bridge"
	"deskbridge/storage"
)

// mortal is the store as one instance sees it: every call is an await point, at
// which the instance may die or be frozen, before and after the work. A write
// is refused while the disk is full.
type mortal struct {
	*storage.Store
	in *instance
}

// read runs a call that changes nothing.
func (m mortal) read(call func() error) error { return m.run(false, call) }

// write runs a call that changes something.
func (m mortal) write(call func() error) error { return m.run(true, call) }

func (m mortal) run(write bool, call func() error) error {
	m.in.point()
	if write && m.in.w.diskFull.Load() {
		return fmt.Errorf("%w: database or disk is full", bridge.ErrStorage)
	}
	err := m.in.commit(call)
	m.in.point()
	return err
}

func (m mortal) Accept(ctx context.Context, s bridge.Submission) (out bridge.Accepted, err error) {
	err = m.write(func() (err error) { out, err = m.Store.Accept(ctx, s); return })
	return out, err
}

func (m mortal) History(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, since bridge.Seq, now time.Time) (out bridge.History, err error) {
	err = m.read(func() (err error) { out, err = m.Store.History(ctx, r, d, since, now); return })
	return out, err
}

func (m mortal) Waiting(ctx context.Context, r bridge.RegionID, devices []bridge.DeviceHash) (out bool, err error) {
	err = m.read(func() (err error) { out, err = m.Store.Waiting(ctx, r, devices); return })
	return out, err
}

func (m mortal) DueDesks(ctx context.Context, now time.Time) (out []bridge.DeskID, err error) {
	err = m.read(func() (err error) { out, err = m.Store.DueDesks(ctx, now); return })
	return out, err
}

func (m mortal) ClaimLanes(ctx context.Context, d bridge.DeskID, now, until time.Time, limit int) (out []bridge.Claim, err error) {
	err = m.write(func() (err error) { out, err = m.Store.ClaimLanes(ctx, d, now, until, limit); return })
	return out, err
}

func (m mortal) Start(ctx context.Context, c bridge.Claim, now time.Time) (out *bridge.Work, err error) {
	err = m.write(func() (err error) { out, err = m.Store.Start(ctx, c, now); return })
	return out, err
}

func (m mortal) Articles(ctx context.Context, id bridge.ChatID) (out []bridge.ArticleID, err error) {
	err = m.read(func() (err error) { out, err = m.Store.Articles(ctx, id); return })
	return out, err
}

func (m mortal) Finish(ctx context.Context, c bridge.Claim, o bridge.Outcome, now time.Time) (out []bridge.Change, err error) {
	err = m.write(func() (err error) { out, err = m.Store.Finish(ctx, c, o, now); return })
	return out, err
}

func (m mortal) Release(ctx context.Context, c bridge.Claim, due time.Time) error {
	return m.write(func() error { return m.Store.Release(ctx, c, due) })
}

func (m mortal) Sweep(ctx context.Context, now time.Time, dryRun bool) (n int, err error) {
	err = m.write(func() (err error) { n, err = m.Store.Sweep(ctx, now, dryRun); return })
	return n, err
}

func (m mortal) KnownTicket(ctx context.Context, d bridge.DeskID, t bridge.TicketID) (out bridge.KnownTicket, err error) {
	err = m.read(func() (err error) { out, err = m.Store.KnownTicket(ctx, d, t); return })
	return out, err
}

func (m mortal) KnownTickets(ctx context.Context, d bridge.DeskID, t []bridge.TicketID) (out map[bridge.TicketID]bridge.KnownTicket, err error) {
	err = m.read(func() (err error) { out, err = m.Store.KnownTickets(ctx, d, t); return })
	return out, err
}

func (m mortal) Record(ctx context.Context, r bridge.Receipt) (out []bridge.Change, err error) {
	err = m.write(func() (err error) { out, err = m.Store.Record(ctx, r); return })
	return out, err
}

func (m mortal) Mark(ctx context.Context, name string) (out time.Time, err error) {
	err = m.read(func() (err error) { out, err = m.Store.Mark(ctx, name); return })
	return out, err
}

func (m mortal) SetMark(ctx context.Context, name string, at time.Time) error {
	return m.write(func() error { return m.Store.SetMark(ctx, name, at) })
}

func (m mortal) StoreDelivery(ctx context.Context, d bridge.Delivery) (stored bool, err error) {
	err = m.write(func() (err error) { stored, err = m.Store.StoreDelivery(ctx, d); return })
	return stored, err
}

func (m mortal) ClaimDeliveries(ctx context.Context, claim string, now, until time.Time, limit int) (out []bridge.Delivery, err error) {
	err = m.write(func() (err error) { out, err = m.Store.ClaimDeliveries(ctx, claim, now, until, limit); return })
	return out, err
}

func (m mortal) FinishDelivery(ctx context.Context, claim string, id bridge.DeliveryID, o bridge.DeliveryOutcome, now time.Time) error {
	return m.write(func() error { return m.Store.FinishDelivery(ctx, claim, id, o, now) })
}

func (m mortal) RetryDelivery(ctx context.Context, claim string, id bridge.DeliveryID, due time.Time, reason string) error {
	return m.write(func() error { return m.Store.RetryDelivery(ctx, claim, id, due, reason) })
}

func (m mortal) Lease(ctx context.Context, name, holder string, now, until time.Time) (ok bool, err error) {
	err = m.write(func() (err error) { ok, err = m.Store.Lease(ctx, name, holder, now, until); return })
	return ok, err
}

func (m mortal) RecordRun(ctx context.Context, run bridge.JobRun) error {
	return m.write(func() error { return m.Store.RecordRun(ctx, run) })
}

func (m mortal) Prune(ctx context.Context, c bridge.PruneCutoffs, dryRun bool) (counts map[string]int, changes []bridge.Change, err error) {
	err = m.write(func() (err error) { counts, changes, err = m.Store.Prune(ctx, c, dryRun); return })
	return counts, changes, err
}

func (m mortal) KeepContent(ctx context.Context, f *bridge.File, now time.Time) error {
	return m.write(func() error { return m.Store.KeepContent(ctx, f, now) })
}

func (m mortal) DropContents(ctx context.Context, files []bridge.File) error {
	return m.write(func() error { return m.Store.DropContents(ctx, files) })
}

func (m mortal) Attachment(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, id bridge.AttachmentID, now time.Time) (out bridge.StoredAttachment, err error) {
	err = m.read(func() (err error) { out, err = m.Store.Attachment(ctx, r, d, id, now); return })
	return out, err
}

func (m mortal) Erase(ctx context.Context, e bridge.Erasing) error {
	return m.write(func() error { return m.Store.Erase(ctx, e) })
}

func (m mortal) ClaimErasures(ctx context.Context, now, until time.Time, limit int) (out []bridge.Erasure, err error) {
	err = m.write(func() (err error) { out, err = m.Store.ClaimErasures(ctx, now, until, limit); return })
	return out, err
}

func (m mortal) FinishErasure(ctx context.Context, e bridge.Erasure, o bridge.ErasureOutcome, now time.Time) error {
	return m.write(func() error { return m.Store.FinishErasure(ctx, e, o, now) })
}
