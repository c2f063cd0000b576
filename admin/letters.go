package admin

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// listPage is how many rows a list of waiting things has, and so how many can be
// ticked at once.
const listPage = 50

const (
	lettersPath    = "/admin/regions/:region/letters/"
	deliveriesPath = "/admin/regions/:region/deliveries/"
)

func (d *Door) letterRoutes() []route {
	return []route{
		{http.MethodGet, lettersPath, staff.Read, d.letters},
		{http.MethodPost, lettersPath + "retry/", staff.Change, d.retryLetters},
		{http.MethodGet, lettersPath + "drop/", staff.Change, d.askDropLetters},
		{http.MethodPost, lettersPath + "drop/", staff.Change, d.dropLetters},
	}
}

// letterRow is a dead letter as the page shows it.
type letterRow struct {
	bridge.Letter
	TicketURL string // empty: there is no ticket
	Files     bool   // it was refused because of its files
}

// letterList is what the page of letters shows.
type letterList struct {
	Rows    []letterRow
	Total   int
	Next    string // address of the next page; empty: this is the last
	Ticked  bool   // all rows are ticked
	Tick    string // address of this page with all rows ticked, or with none
	Problem string // why nothing was done; empty: nothing was asked, or it was done
}

// letters lists the region's dead letters, the oldest first.
func (d *Door) letters(r *Request) error { return d.showLetters(r, http.StatusOK, "") }

func (d *Door) showLetters(r *Request, status int, problem string) error {
	after, _ := strconv.ParseInt(r.Query("after"), 10, 64)
	ctx := r.Request.Context()
	letters, err := d.Letters.Letters(ctx, bridge.LetterQuery{Region: r.Region.ID, After: bridge.WorkID(after), Limit: listPage + 1})
	if err != nil {
		return err
	}
	counts, err := d.Letters.LetterCounts(ctx)
	if err != nil {
		return err
	}
	list := letterList{Total: counts[r.Region.ID], Ticked: r.Query("all") != "", Problem: problem}
	if len(letters) > listPage {
		letters = letters[:listPage]
		list.Next = r.Path("letters/?after=" + strconv.FormatInt(int64(letters[listPage-1].ID), 10))
	}
	list.Tick = tickPath(r, "letters/", list.Ticked, url.Values{"after": {r.Query("after")}})
	for _, l := range letters {
		row := letterRow{Letter: l, Files: l.Code == bridge.FailAttachment}
		if l.Ticket != 0 {
			row.TicketURL = d.TicketURL(r.Region, l.Ticket)
		}
		list.Rows = append(list.Rows, row)
	}
	return r.ShowStatus(status, "letters", list)
}

func (d *Door) retryLetters(r *Request) error {
	return d.changeLetters(r, "retried", d.Letters.RetryLetters)
}

func (d *Door) dropLetters(r *Request) error {
	return d.changeLetters(r, "dropped", d.Letters.DropLetters)
}

// changeLetters does something with the ticked letters.
func (d *Door) changeLetters(r *Request, done string, change letterChange) error {
	form, err := r.Form()
	if err != nil {
		return err
	}
	ids := ticked[bridge.WorkID](form)
	if len(ids) == 0 {
		return d.showLetters(r, http.StatusUnprocessableEntity, r.T("letters.none_ticked"))
	}
	_, err = change(r.Request.Context(), r.Region.ID, ids, d.Now())
	if errors.Is(err, bridge.ErrLetterUnknown) {
		return d.showLetters(r, http.StatusNotFound, r.T("letters.gone"))
	}
	if err != nil {
		return err
	}
	return r.Done(r.Path("letters/"), done)
}

// askDropLetters asks once more before letters are dropped.
func (d *Door) askDropLetters(r *Request) error {
	ids := ticked[bridge.WorkID](r.Request.URL.Query())
	if len(ids) == 0 {
		return d.showLetters(r, http.StatusUnprocessableEntity, r.T("letters.none_ticked"))
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
