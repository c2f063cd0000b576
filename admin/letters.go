package admin

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// Work is what the pages of letters, deliveries and jobs need.
type Work struct {
	Letters    bridge.LetterStore
	Deliveries bridge.DeliveryStore
	Jobs       Jobs
	Runs       Runs
}

// listPage is how many rows a list of waiting things has, and so how many can be
// ticked at once.
const listPage = 50

const (
	lettersPath    = "/admin/regions/:region/letters/"
	deliveriesPath = "/admin/regions/:region/deliveries/"
)

// letterPages are the pages of dead letters.
type letterPages struct{ *Door }

func (p letterPages) routes() []route {
	return []route{
		{http.MethodGet, lettersPath, staff.Read, p.list},
		{http.MethodPost, lettersPath + "retry/", staff.Change, p.retry},
		{http.MethodGet, lettersPath + "drop/", staff.Change, p.askDrop},
		{http.MethodPost, lettersPath + "drop/", staff.Change, p.drop},
	}
}

// letterList is what the page of letters shows.
type letterList struct {
	Rows    template.HTML // of the table; empty: there are none
	Total   int
	Next    string // address of the next page; empty: this is the last
	Ticked  bool   // all rows are ticked
	Tick    string // address of this page with all rows ticked, or with none
	Problem string // why nothing was done; empty: nothing was asked, or it was done
}

// list lists the region's dead letters, the oldest first.
func (p letterPages) list(r *Request) error { return p.show(r, http.StatusOK, "") }

func (p letterPages) show(r *Request, status int, problem string) error {
	after, _ := strconv.ParseInt(r.Query("after"), 10, 64)
	ctx := r.Request.Context()
	letters, err := p.Letters.Letters(ctx, bridge.LetterQuery{Region: r.Region.ID, After: bridge.WorkID(after), Limit: listPage + 1})
	if err != nil {
		return err
	}
	counts, err := p.Letters.LetterCounts(ctx)
	if err != nil {
		return err
	}
	list := letterList{Total: counts[r.Region.ID], Ticked: r.Query("all") != "", Problem: problem}
	if len(letters) > listPage {
		letters = letters[:listPage]
		list.Next = r.Path("letters/?after=" + strconv.FormatInt(int64(letters[listPage-1].ID), 10))
	}
	list.Tick = tickPath(r, "letters/", list.Ticked, url.Values{"after": {r.Query("after")}})
	list.Rows = rows(letters, func(l *bridge.Letter) template.HTML { return p.row(r, l, list.Ticked) })
	return r.ShowStatus(status, "letters", list)
}

func (p letterPages) row(r *Request, l *bridge.Letter, ticked bool) template.HTML {
	chat := fmt.Sprint(l.Chat)
	var ticket, why template.HTML
	if l.Ticket != 0 {
		ticket = markup(`<br><a href="%s" rel="noreferrer" target="_blank">%s</a>`, p.TicketURL(r.Region, l.Ticket), r.T("letters.ticket"))
	}
	if l.Code == bridge.FailAttachment {
		why = markup(`%s `, r.T("letters.files"))
	}
	if l.Reason != "" {
		why += markup(`<bdi>%s</bdi>`, l.Reason)
	}
	if l.ErrorID != "" {
		why += markup(`<br>%s <bdi class="code">%s</bdi>`, r.T("letters.error_id"), l.ErrorID)
	}
	return markup(`<tr>%s<td>%s</td><td>%s%s</td><td>%s</td><td class="number">%s</td></tr>`,
		tick(r, "l", fmt.Sprint(l.ID), r.T("letters.tick_one", chat), true, ticked), r.clock(l.SentAt), r.T("letters.chat_number", chat), ticket, why, r.number(l.Attempts))
}

func (p letterPages) retry(r *Request) error {
	return p.change(r, "retried", p.Letters.RetryLetters)
}

func (p letterPages) drop(r *Request) error {
	return p.change(r, "dropped", p.Letters.DropLetters)
}

// change does something with the ticked letters.
func (p letterPages) change(r *Request, done string, change letterChange) error {
	form, err := r.Form()
	if err != nil {
		return err
	}
	ids := ticked[bridge.WorkID](form)
	if len(ids) == 0 {
		return p.show(r, http.StatusUnprocessableEntity, r.T("letters.none_ticked"))
	}
	_, err = change(r.Request.Context(), r.Region.ID, ids, p.Now())
	if errors.Is(err, bridge.ErrLetterUnknown) {
		return p.show(r, http.StatusNotFound, r.T("letters.gone"))
	}
	if err != nil {
		return err
	}
	return r.Done(r.Path("letters/"), done)
}

// askDrop asks once more before letters are dropped.
func (p letterPages) askDrop(r *Request) error {
	ids := ticked[bridge.WorkID](r.Request.URL.Query())
	if len(ids) == 0 {
		return p.show(r, http.StatusUnprocessableEntity, r.T("letters.none_ticked"))
	}
	return r.Show("letters_drop", ids)
}

// tickPath gives the address of a list with all its rows ticked; with none if they
// are.
func tickPath(r *Request, rest string, ticked bool, query url.Values) string {
	if !ticked {
		query.Set("all", "1")
	}
	return r.Path(rest + "?" + query.Encode())
}

// ticked gives the numbers of the rows that were ticked, as many as a page has.
// What is no number was not ticked on a page of ours.
func ticked[T ~int64](form url.Values) []T {
	var ids []T
	for _, value := range form["id"] {
		if id, err := strconv.ParseInt(value, 10, 64); err == nil && id > 0 {
			ids = append(ids, T(id))
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return ids[:min(len(ids), listPage)]
}
