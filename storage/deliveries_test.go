package storage_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
)

// deliveryIDs gives the numbers of what a query finds.
func (w *world) deliveryIDs(q bridge.DeliveryQuery) (ids []bridge.DeliveryID) {
	w.Helper()
	list, err := w.Deliveries(w.ctx, q)
	w.ok(err)
	for _, d := range list {
		ids = append(ids, d.ID)
	}
	return ids
}

func TestDeliveriesAreListedRelayedAndDropped(t *testing.T) {
	eachWorld(t, func(w *world) {
		ours, theirs := w.region, w.addRegion("fulda", "")
		for i := range 6 {
			region := ours.ID
			if i == 5 {
				region = theirs.ID
			}
			_, err := w.StoreDelivery(w.ctx, bridge.Delivery{Region: region, Key: fmt.Sprint("k", i), Body: []byte("what people wrote"), Received: w.now})
			w.ok(err)
		}
		claimed, err := w.ClaimDeliveries(w.ctx, "c", w.now, w.now.Add(time.Minute), 3)
		w.ok(err)
		ids := []bridge.DeliveryID{claimed[0].ID, claimed[1].ID, claimed[2].ID}
		w.ok(w.FinishDelivery(w.ctx, "c", ids[0], bridge.DeliveryRelayed, w.now))
		w.ok(w.FinishDelivery(w.ctx, "c", ids[1], bridge.DeliveryFailed, w.now))
		w.ok(w.RetryDelivery(w.ctx, "c", ids[2], w.now.Add(time.Hour), "the desk is away"))
		all := w.deliveryIDs(bridge.DeliveryQuery{Limit: 100})
		equal(w, "all", len(all), 6)
		foreign := all[0]
		waiting := []bridge.DeliveryOutcome{bridge.DeliveryWaiting}

		page := w.deliveryIDs(bridge.DeliveryQuery{Region: ours.ID, Limit: 2})
		page = append(page, w.deliveryIDs(bridge.DeliveryQuery{Region: ours.ID, Limit: 9, Before: page[1]})...)
		if d := cmp.Diff(all[1:], page); d != "" {
			w.Fatal(d)
		}
		equal(w, "waiting", len(w.deliveryIDs(bridge.DeliveryQuery{Region: ours.ID, Outcomes: waiting, Limit: 9})), 3)
		if d := cmp.Diff([]bridge.DeliveryID{ids[1]}, w.deliveryIDs(bridge.DeliveryQuery{Outcomes: []bridge.DeliveryOutcome{bridge.DeliveryFailed}, Limit: 9})); d != "" {
			w.Fatal(d)
		}
		list, err := w.Deliveries(w.ctx, bridge.DeliveryQuery{Region: ours.ID, Limit: 9})
		w.ok(err)
		if d := cmp.Diff(bridge.DeliveryRecord{ID: ids[2], Region: "augsburg", Reason: "the desk is away", Attempts: 1, Received: w.now, Due: w.now.Add(time.Hour)}, list[2]); d != "" {
			w.Fatal(d)
		}

		for _, none := range [][]bridge.DeliveryID{nil, {foreign}, {ids[0], ids[1]}, {0, 1 << 60}} {
			_, err := w.RelayNow(w.ctx, ours.ID, none, w.now)
			w.wants(err, bridge.ErrDeliveryUnknown)
		}
		for _, none := range [][]bridge.DeliveryID{nil, {foreign}, {ids[0]}} {
			_, err := w.DropDeliveries(w.ctx, ours.ID, none, w.now)
			w.wants(err, bridge.ErrDeliveryUnknown)
		}
		equal(w, "entries", len(w.noted(bridge.AuditQuery{})), 0)

		n, err := w.RelayNow(w.ctx, ours.ID, append([]bridge.DeliveryID{foreign}, ids...), w.now)
		w.ok(err)
		equal(w, "due", n, 1)
		again, err := w.ClaimDeliveries(w.ctx, "c2", w.now, w.now.Add(time.Minute), 100)
		w.ok(err)
		equal(w, "claimed", len(again), 4)
		equal(w, "with its body", string(again[0].Body), "what people wrote")

		// One that is being relayed at the moment, and one that was given up.
		n, err = w.DropDeliveries(w.ctx, ours.ID, []bridge.DeliveryID{ids[1], ids[2], foreign}, w.now)
		w.ok(err)
		equal(w, "dropped", n, 2)
		w.wants(w.FinishDelivery(w.ctx, "c2", ids[2], bridge.DeliveryRelayed, w.now), bridge.ErrClaimLost)
		w.ok(w.FinishDelivery(w.ctx, "c2", foreign, bridge.DeliveryRelayed, w.now))
		again, err = w.ClaimDeliveries(w.ctx, "c3", w.now.Add(time.Hour), w.now.Add(2*time.Hour), 100)
		w.ok(err)
		equal(w, "claimed later", len(again), 2)
		stored, err := w.StoreDelivery(w.ctx, bridge.Delivery{Region: ours.ID, Key: "k2", Body: []byte("{}"), Received: w.now})
		w.ok(err)
		equal(w, "its repeat is stored", stored, false)
		system := bridge.Actor{Kind: bridge.ActorSystem, Name: "deskbridge"}
		if d := cmp.Diff([]bridge.AuditEntry{
			{Actor: system, Region: ours.ID, Action: "delivery.drop", Subject: fmt.Sprintf("%d, %d", ids[1], ids[2]), Changes: []bridge.FieldChange{{Field: "count", To: "2"}}},
			{Actor: system, Region: ours.ID, Action: "delivery.retry", Subject: fmt.Sprint(ids[2]), Changes: []bridge.FieldChange{{Field: "count", To: "1"}}},
		}, w.noted(bridge.AuditQuery{}), theSame); d != "" {
			w.Fatal(d)
		}
	})
}
