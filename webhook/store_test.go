package webhook

import (
	"context"
	"sync"
	"testing"
	"time"

	"deskbridge/bridge"
)

type memory struct {
	mu      sync.Mutex
	regions []*bridge.Region
	rows    []*row
}

type row struct {
	bridge.Delivery
	claim   string
	until   time.Time
	due     time.Time
	outcome bridge.DeliveryOutcome
}

func newStore(t testing.TB) *memory { return &memory{} }

func (m *memory) AddRegion(_ context.Context, r *bridge.Region) error {
	r.ID = bridge.RegionID(len(m.regions) + 1)
	m.regions = append(m.regions, r)
	return nil
}
func (m *memory) Regions(context.Context) ([]*bridge.Region, error) { return m.regions, nil }
func (m *memory) StoreDelivery(_ context.Context, d bridge.Delivery) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rows {
		if r.Region == d.Region && r.Key == d.Key {
			return false, nil
		}
	}
	d.ID = bridge.DeliveryID(len(m.rows) + 1)
	m.rows = append(m.rows, &row{Delivery: d, due: d.Received})
	return true, nil
}
func (m *memory) ClaimDeliveries(_ context.Context, claim string, now, until time.Time, limit int) (out []bridge.Delivery, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rows {
		if len(out) < limit && r.outcome == "" && !r.due.After(now) && !r.until.After(now) {
			r.claim, r.until = claim, until
			out = append(out, r.Delivery)
		}
	}
	return out, nil
}
func (m *memory) FinishDelivery(_ context.Context, claim string, id bridge.DeliveryID, o bridge.DeliveryOutcome, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rows[id-1]
	if r.claim != claim {
		return bridge.ErrClaimLost
	}
	r.outcome = o
	return nil
}
func (m *memory) RetryDelivery(_ context.Context, claim string, id bridge.DeliveryID, due time.Time, reason string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rows[id-1]
	if r.claim != claim {
		return bridge.ErrClaimLost
	}
	r.claim, r.until, r.due = "", time.Time{}, due
	r.Attempts++
	return nil
}
