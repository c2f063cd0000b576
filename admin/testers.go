package admin

import (
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"deskbridge/bridge"
	"deskbridge/gate"
	"deskbridge/staff"
)

// testerPages are the pages about single devices.
type testerPages struct{ *Door }

const testersPath = "/admin/regions/:region/testers/"

func (d testerPages) routes() []route {
	const whyPath = "/admin/regions/:region/why/"
	return []route{
		{http.MethodGet, testersPath, staff.Read, d.testers},
		{http.MethodPost, testersPath + "find/", staff.Read, d.findTester},
		{http.MethodPost, testersPath + "set/", staff.Change, d.setTester},
		{http.MethodPost, testersPath + "clear/", staff.Change, d.clearTester},
		{http.MethodPost, testersPath + "import/", staff.Change, d.importTesters},
		{http.MethodGet, testersPath + "find/", staff.Read, backTo("testers/")},
		{http.MethodGet, testersPath + "set/", staff.Read, backTo("testers/")},
		{http.MethodGet, testersPath + "import/", staff.Read, backTo("testers/")},
		{http.MethodGet, whyPath, staff.Read, func(r *Request) error { return r.Show("why", whyView{}) }},
		{http.MethodPost, whyPath, staff.Read, d.why},
	}
}

// testersPage is the number of overrides on a page.
const testersPage = 50

// testersView is what the page of overrides shows. A device is only ever on it
// as what somebody has just typed, and only in the answer to a form: an address
// would stand in logs and histories.
type testersView struct {
	Rows     template.HTML // of the table; empty: there are none
	Next     int64         // where the next page begins; 0: there is none
	Zone     *time.Location
	Device   string         // typed
	Found    *bridge.Tester // of the typed device; its Override may be none
	Way      string         // typed: in, out or draw
	Until    string
	Note     string
	Problems map[string]string // by the name of the field

	FileProblems []string // by line, in words
	FileMore     int      // further ones
}

// testers lists the overrides of a region.
func (d testerPages) testers(r *Request) error {
	return d.showTesters(r, http.StatusOK, testersView{})
}

func (d testerPages) showTesters(r *Request, status int, view testersView) error {
	before, _ := strconv.ParseInt(r.Query("before"), 10, 64) // nonsense: the first page
	page, err := d.Gate.Testers(r.Request.Context(), bridge.TesterQuery{Region: r.Region.ID, Now: d.Now(), Before: before, Limit: testersPage + 1})
	if err != nil {
		return err
	}
	if len(page) > testersPage {
		page = page[:testersPage]
		view.Next = page[testersPage-1].ID
	}
	view.Rows, view.Zone = rows(page, func(t *bridge.Tester) template.HTML { return d.row(r, t) }), r.Zone()
	return r.ShowStatus(status, "testers", view)
}

func (d testerPages) row(r *Request, t *bridge.Tester) template.HTML {
	until, clear := markup(`%s`, r.T("testers.forever")), template.HTML("")
	if !t.ExpiresAt.IsZero() {
		until = r.clock(t.ExpiresAt)
	}
	if r.May(staff.Change) {
		clear = markup(`<td><form method="post" action="%s"><input type="hidden" name="id" value="%d"><button class="quiet">%s<span class="visually-hidden"> %s</span></button></form></td>`,
			r.Path("testers/clear/"), int(t.ID), r.T("testers.clear"), r.T("testers.clear_number", t.ID))
	}
	way := "testers.short_in"
	if t.Override == gate.OverrideOut {
		way = "testers.short_out"
	}
	return markup(`<tr><td>%v</td><td>%s</td><td>%s</td><td dir="auto">%s</td><td>%s %s</td>%s</tr>`, t.ID, r.T(way), until, t.Note, r.clock(t.SetAt), t.SetBy, clear)
}

// device takes the device id that was typed. Beside the field it says what is
// wrong with it.
func (d testerPages) device(r *Request) (id string, hash bridge.DeviceHash, problem string, err error) {
	fields, err := r.Form()
	if err != nil {
		return "", hash, "", err
	}
	id = strings.TrimSpace(fields.Get("device"))
	if bridge.CheckDeviceID(id) != nil {
		return id, hash, r.T("testers.bad_device"), nil
	}
	return id, d.Hasher.Hash(id), "", nil
}

// findTester shows what is set for the device that was typed.
func (d testerPages) findTester(r *Request) error {
	id, hash, problem, err := d.device(r)
	if err != nil {
		return err
	}
	view := testersView{Device: id}
	if problem != "" {
		view.Problems = map[string]string{"device": problem}
		return d.showTesters(r, http.StatusUnprocessableEntity, view)
	}
	return d.showFound(r, http.StatusOK, view, hash)
}

// showFound shows a device with what is set for it. What was typed stands in the
// form; if nothing was yet, then what is set.
func (d testerPages) showFound(r *Request, status int, view testersView, hash bridge.DeviceHash) error {
	found, err := d.Gate.Tester(r.Request.Context(), r.Region.ID, hash, d.Now())
	if err != nil && !errors.Is(err, bridge.ErrTesterUnknown) {
		return err
	}
	view.Found = &found
	if view.Problems == nil {
		view.Way, view.Note = string(found.Override), found.Note
		if !found.ExpiresAt.IsZero() {
			view.Until = found.ExpiresAt.In(r.Zone()).Format(stepLayouts[0])
		}
	}
	return d.showTesters(r, status, view)
}

// setTester sets or removes the override of the device that was typed.
func (d testerPages) setTester(r *Request) error {
	id, hash, problem, err := d.device(r)
	if err != nil {
		return err
	}
	t, view := d.typedTester(r)
	view.Device, t.Device = id, hash
	if problem != "" {
		view.Problems["device"] = problem
		return d.showTesters(r, http.StatusUnprocessableEntity, view)
	}
	if len(view.Problems) > 0 {
		return d.showFound(r, http.StatusUnprocessableEntity, view, hash)
	}
	if err := d.Gate.SetTesters(r.Request.Context(), r.Region.ID, t); err != nil {
		return err
	}
	if t.Override == gate.OverrideNone {
		return r.Done(r.Path("testers/"), "cleared")
	}
	return r.Done(r.Path("testers/"), "set")
}

// typedTester reads in or out, end and note of the form, for one device or for
// the lines of a file.
func (d testerPages) typedTester(r *Request) (bridge.Tester, testersView) {
	fields := r.Request.PostForm
	view := testersView{Way: fields.Get("way"), Until: strings.TrimSpace(fields.Get("until")), Note: fields.Get("note"), Problems: make(map[string]string)}
	t := bridge.Tester{SetAt: d.Now()}
	switch view.Way {
	case "in", "out":
		t.Override = gate.Override(view.Way)
	case "draw":
		return t, view
	default:
		view.Problems["way"] = r.T("testers.bad_way")
	}
	if view.Until != "" {
		var ok bool
		if t.ExpiresAt, ok = bridge.ParseExpiry(view.Until, r.Zone()); !ok {
			view.Problems["until"] = r.T("testers.bad_until")
		} else if !t.ExpiresAt.After(t.SetAt) {
			view.Problems["until"] = r.T("testers.past_until")
		}
	}
	var ok bool
	if t.Note, ok = bridge.CleanNote(view.Note); !ok {
		view.Problems["note"] = r.T("testers.bad_note", bridge.MaxTesterNote)
	}
	return t, view
}

// clearTester removes an override by its number.
func (d testerPages) clearTester(r *Request) error {
	fields, err := r.Form()
	if err != nil {
		return err
	}
	id, _ := strconv.ParseInt(fields.Get("id"), 10, 64) // nonsense is nobody's number
	err = d.Gate.ClearTester(r.Request.Context(), r.Region.ID, id)
	switch {
	case errors.Is(err, bridge.ErrTesterUnknown):
		return r.Done(r.Path("testers/"), "gone")
	case err != nil:
		return err
	}
	return r.Done(r.Path("testers/"), "cleared")
}

// Bounds of sending a file.
const (
	maxImport      = bridge.MaxTesterBytes + 64<<10 // bytes of the form with the file
	maxFileReports = 200                            // bad lines that are told at once
)

// importTesters sets what a file says: all of it, or nothing and what is wrong
// with it.
func (d testerPages) importTesters(r *Request) error {
	content, err := sentFile(r)
	if err != nil {
		return err
	}
	t, view := d.typedTester(r)
	if len(view.Problems) > 0 {
		// The form above has fields of the same names.
		own := make(map[string]string, len(view.Problems))
		for field, problem := range view.Problems {
			own["file_"+field] = problem
		}
		view.Problems = own
		return d.showTesters(r, http.StatusUnprocessableEntity, view)
	}
	file := bridge.TesterFile{Hasher: d.Hasher, Now: t.SetAt, Zone: r.Zone(), Otherwise: t}
	set, problems := file.Parse(content)
	if len(problems) > 0 {
		for _, p := range problems[:min(len(problems), maxFileReports)] {
			view.FileProblems = append(view.FileProblems, p.Say(r.Language))
		}
		view.FileMore = len(problems) - len(view.FileProblems)
		return d.showTesters(r, http.StatusUnprocessableEntity, view)
	}
	if err := d.Gate.SetTesters(r.Request.Context(), r.Region.ID, set...); err != nil {
		return err
	}
	return r.Done(r.Path("testers/"), "imported")
}

// sentFile reads a form with one file; the other fields are in PostForm then. A
// file that is too large is cut where that shows. No file is an empty one.
func sentFile(r *Request) ([]byte, error) {
	r.Request.Body = http.MaxBytesReader(r.Writer, r.Request.Body, maxImport)
	if err := r.Request.ParseMultipartForm(maxImport); err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return nil, bridge.ErrBodyTooLarge
		}
		return nil, fmt.Errorf("%w: %w", bridge.ErrBody, err)
	}
	file, _, err := r.Request.FormFile("file")
	if errors.Is(err, http.ErrMissingFile) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", bridge.ErrBody, err)
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", bridge.ErrBody, err)
	}
	return content, nil
}
