package admin

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// letterChange and deliveryChange do something with many things of a region, and
// give how many there were.
type (
	letterChange   = func(context.Context, bridge.RegionID, []bridge.WorkID, time.Time) (int, error)
	deliveryChange = func(context.Context, bridge.RegionID, []bridge.DeliveryID, time.Time) (int, error)
)

// deliveryPages are the pages of what Zammad has told.
type deliveryPages struct{ *Door }

func (p deliveryPages) routes() []route {
	return []route{
		{http.MethodGet, deliveriesPath, staff.Read, p.list},
		{http.MethodPost, deliveriesPath + "retry/", staff.Change, p.retry},
		{http.MethodGet, deliveriesPath + "drop/", staff.Change, p.askDrop},
		{http.MethodPost, deliveriesPath + "drop/", staff.Change, p.drop},
	}
}

// The states by which deliveries are filtered.
const (
	stateAll     = "all"
	stateWaiting = "waiting"
	stateFailed  = "failed"
)

// deliveryList is what the page of deliveries shows.
type deliveryList struct {
	Rows    template.HTML // of the table; empty: there are none
	States  []string      // to choose from
	State   string
	Next    string // address of the next page; empty: this is the last
	Open    bool   // something is left to do with one of the rows
	Ticked  bool
	Tick    string // address of this page with all rows ticked, or with none
	Problem string
}

// list lists what the region's Zammad has told, the newest first.
func (p deliveryPages) list(r *Request) error { return p.show(r, http.StatusOK, "") }

func (p deliveryPages) show(r *Request, status int, problem string) error {
	before, _ := strconv.ParseInt(r.Query("before"), 10, 64)
	q := bridge.DeliveryQuery{Region: r.Region.ID, Before: bridge.DeliveryID(before), Limit: listPage + 1}
	list := deliveryList{States: []string{stateAll, stateWaiting, stateFailed}, State: r.Query("state"), Ticked: r.Query("all") != "", Problem: problem}
	switch list.State {
	case stateWaiting:
		q.Outcomes = []bridge.DeliveryOutcome{bridge.DeliveryWaiting}
	case stateFailed:
		q.Outcomes = []bridge.DeliveryOutcome{bridge.DeliveryFailed}
	default:
		list.State = stateAll
	}
	found, err := p.Deliveries.Deliveries(r.Request.Context(), q)
	if err != nil {
		return err
	}
	if len(found) > listPage {
		found = found[:listPage]
		more := url.Values{"state": {list.State}, "before": {strconv.FormatInt(int64(found[listPage-1].ID), 10)}}
		list.Next = r.Path("deliveries/?" + more.Encode())
	}
	list.Tick = tickPath(r, "deliveries/", list.Ticked, url.Values{"state": {list.State}, "before": {r.Query("before")}})
	list.Open = slices.ContainsFunc(found, open)
	list.Rows = rows(found, func(record *bridge.DeliveryRecord) template.HTML { return p.row(r, record, &list) })
	return r.ShowStatus(status, "deliveries", list)
}

// open says whether there is something left to do with a delivery.
func open(d bridge.DeliveryRecord) bool {
	return d.Outcome == bridge.DeliveryWaiting || d.Outcome == bridge.DeliveryFailed
}

func (p deliveryPages) row(r *Request, d *bridge.DeliveryRecord, list *deliveryList) template.HTML {
	id, outcome := fmt.Sprint(d.ID), "deliveries.outcome."+string(d.Outcome)
	if d.Outcome == bridge.DeliveryWaiting {
		outcome = "deliveries.outcome.waiting"
	}
	what := markup(`%s`, r.T(outcome))
	if open(*d) && d.Reason != "" {
		what += markup(`<br><bdi class="hint">%s</bdi>`, d.Reason)
	}
	var box, due template.HTML
	if list.Open {
		box = tick(r, "d", id, r.T("deliveries.tick_one", id), open(*d), list.Ticked)
	}
	if d.Finished.IsZero() {
		due = r.clock(d.Due)
	}
	return markup(`<tr>%s<td>%s</td><td>%s</td><td class="number">%s</td><td>%s</td></tr>`, box, r.clock(d.Received), what, r.number(d.Attempts), due)
}

func (p deliveryPages) retry(r *Request) error {
	return p.change(r, "retried", p.Deliveries.RelayNow)
}

func (p deliveryPages) drop(r *Request) error {
	return p.change(r, "dropped", p.Deliveries.DropDeliveries)
}

// change does something with the ticked deliveries.
func (p deliveryPages) change(r *Request, done string, change deliveryChange) error {
	form, err := r.Form()
	if err != nil {
		return err
	}
	ids := ticked[bridge.DeliveryID](form)
	if len(ids) == 0 {
		return p.show(r, http.StatusUnprocessableEntity, r.T("deliveries.none_ticked"))
	}
	_, err = change(r.Request.Context(), r.Region.ID, ids, p.Now())
	if errors.Is(err, bridge.ErrDeliveryUnknown) {
		return p.show(r, http.StatusNotFound, r.T("deliveries.gone"))
	}
	if err != nil {
		return err
	}
	return r.Done(r.Path("deliveries/"), done)
}

// askDrop asks once more before deliveries are dropped.
func (p deliveryPages) askDrop(r *Request) error {
	ids := ticked[bridge.DeliveryID](r.Request.URL.Query())
	if len(ids) == 0 {
		return p.show(r, http.StatusUnprocessableEntity, r.T("deliveries.none_ticked"))
	}
	return r.Show("deliveries_drop", ids)
}
