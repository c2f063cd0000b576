package admin

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"deskbridge/bridge"
	"deskbridge/staff"
)

const (
	auditPath = "/admin/audit/"

	// auditPage is how many entries a page shows.
	auditPage = 50
)

// auditPages are the pages of who changed what.
type auditPages struct{ *Door }

func (p auditPages) routes() []route {
	return []route{
		{http.MethodGet, auditPath, staff.SignedIn, p.list},
		{http.MethodGet, auditPath + "export/", staff.SignedIn, p.export},
		{http.MethodGet, "/admin/regions/:region/audit/", staff.Read, p.list},
		{http.MethodGet, "/admin/regions/:region/audit/export/", staff.Read, p.export},
	}
}

// auditFilter is the form above the entries, as it was filled in.
type auditFilter struct {
	Region, Action, Actor, Since, Until string
}

// query makes a query for what the person may see: operators everything, everybody
// else their regions. What cannot be read filters nothing, and is named.
func (p auditPages) query(r *Request) (auditFilter, bridge.AuditQuery, []string) {
	f := auditFilter{r.Query("region"), r.Query("action"), r.Query("actor"), r.Query("since"), r.Query("until")}
	q := bridge.AuditQuery{Action: f.Action, Actor: f.Actor}
	var wrong []string
	day := func(field, text string) time.Time {
		if text == "" {
			return time.Time{}
		}
		at, err := time.ParseInLocation(time.DateOnly, text, r.Zone())
		if err != nil {
			wrong = append(wrong, field)
		}
		return at
	}
	q.Since = day("since", f.Since)
	if q.Until = day("until", f.Until); !q.Until.IsZero() {
		q.Until = q.Until.AddDate(0, 0, 1) // the day is part of it
	}
	switch {
	case r.Region != nil:
		q.Regions = []bridge.RegionID{r.Region.ID}
	case f.Region != "":
		q.Regions = []bridge.RegionID{}
		if region, ok := p.Regions.BySlug(f.Region); ok && r.Person.May(staff.Read, region.ID) {
			q.Regions = append(q.Regions, region.ID)
		} else {
			wrong = append(wrong, "region")
		}
	case r.Person.Role != staff.Operator:
		q.Regions = []bridge.RegionID{}
		for _, region := range r.Person.Sees(p.Regions.All()) {
			q.Regions = append(q.Regions, region.ID)
		}
	}
	return f, q, wrong
}

// auditList is what the page of the audit shows.
type auditList struct {
	Rows    template.HTML // of the table; empty: nothing was found
	Filter  auditFilter
	Wrong   map[string]bool  // fields of the filter that cannot be read
	Regions []*bridge.Region // to choose from; nil on the page of one region
	Path    string           // of this page
	CSV     string           // addresses of what the filter finds, as a whole
	Lines   string
	Next    string // address of the next page; empty: this is the last
}

// list shows who changed what, the newest first.
func (p auditPages) list(r *Request) error {
	filter, q, wrong := p.query(r)
	q.Before, _ = strconv.ParseInt(r.Query("before"), 10, 64)
	q.Limit = auditPage + 1
	list := auditList{Filter: filter, Wrong: map[string]bool{}, Path: r.Request.URL.Path}
	status := http.StatusOK
	for _, field := range wrong {
		list.Wrong[field], status = true, http.StatusUnprocessableEntity
	}
	if r.Region == nil {
		list.Regions = r.Person.Sees(p.Regions.All())
	}
	var entries []bridge.AuditEntry
	if status == http.StatusOK {
		var err error
		if entries, err = p.Audit.Audit(r.Request.Context(), q); err != nil {
			return err
		}
	}
	query := url.Values{}
	for name, value := range map[string]string{"region": filter.Region, "action": filter.Action, "actor": filter.Actor, "since": filter.Since, "until": filter.Until} {
		if value != "" {
			query.Set(name, value)
		}
	}
	query.Set("format", string(AuditCSV))
	list.CSV = list.Path + "export/?" + query.Encode()
	query.Set("format", string(AuditLines))
	list.Lines = list.Path + "export/?" + query.Encode()
	query.Del("format")
	if len(entries) > auditPage {
		entries = entries[:auditPage]
		query.Set("before", strconv.FormatInt(entries[auditPage-1].ID, 10))
		list.Next = list.Path + "?" + query.Encode()
	}
	list.Rows = rows(entries, func(e *bridge.AuditEntry) template.HTML { return p.row(r, e) })
	return r.ShowStatus(status, "audit", list)
}

func (p auditPages) row(r *Request, e *bridge.AuditEntry) template.HTML {
	who := markup(`<bdi>%s</bdi>`, e.Actor.Name)
	if e.Actor.Kind != bridge.ActorPerson {
		kind := "audit.kind." + string(e.Actor.Kind)
		who = markup(`%s %s`, r.T(kind), who)
	}
	var where, what, changes template.HTML
	if r.Region == nil {
		where = markup(`<td><bdi>%s</bdi></td>`, p.place(e.Region))
	}
	if words := r.known("audit.action." + e.Action); words != "" {
		what = markup(`%s<br>`, words)
	}
	what += markup(`<span class="code hint">%s</span>`, e.Action)
	if e.Subject != "" {
		what += markup(`<br><bdi>%s</bdi>`, e.Subject)
	}
	for _, c := range e.Changes {
		from, to := template.HTML(""), markup(`%s`, r.T("audit.nothing"))
		if c.From != "" {
			from = markup(`<bdi>%s</bdi> → `, c.From)
		}
		if c.To != "" {
			to = markup(`<bdi>%s</bdi>`, c.To)
		}
		changes += markup(`<li><bdi>%s</bdi>: %s%s</li>`, c.Field, from, to)
	}
	if changes != "" {
		changes = "<ul>" + changes + "</ul>"
	}
	return markup(`<tr><td>%s</td><td>%s</td>%s<td>%s</td><td>%s</td></tr>`, r.clock(e.At), who, where, what, changes)
}

// place gives the name of an entry's region; empty: it is about the installation.
func (p auditPages) place(id bridge.RegionID) string {
	if id == 0 {
		return ""
	}
	if region, ok := p.Regions.ByID(id); ok {
		return region.Name
	}
	return fmt.Sprintf("#%d", id)
}

// export streams every entry that the filter finds. If that breaks off, so
// does the connection: half an audit must not look like a whole one.
func (p auditPages) export(r *Request) error {
	filter, q, wrong := p.query(r)
	if len(wrong) > 0 {
		return errNotFound
	}
	format, kind := AuditCSV, "text/csv"
	if r.Query("format") == string(AuditLines) {
		format, kind = AuditLines, "application/jsonl"
	}
	name := "audit-"
	if r.Region != nil {
		name += r.Region.Slug + "-"
	} else if filter.Region != "" {
		name += filter.Region + "-"
	}
	r.attach(name+p.Now().In(r.Zone()).Format(time.DateOnly)+"."+string(format), kind)
	slug := func(id bridge.RegionID) (string, bool) {
		region, ok := p.Regions.ByID(id)
		if !ok {
			return "", false
		}
		return region.Slug, true
	}
	err := ExportAudit(r.Request.Context(), r.Writer, format, r.Language, p.Audit, slug, q)
	if err == nil {
		return nil
	}
	if !r.Writer.Written() {
		r.Header("Content-Disposition", "") // of the page that says what went wrong
		return err
	}
	if r.Request.Context().Err() == nil {
		p.Log.ErrorContext(r.Request.Context(), "an export of the audit broke off", "error", err)
	}
	panic(http.ErrAbortHandler)
}
