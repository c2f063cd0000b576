package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"deskbridge/bridge"
	"deskbridge/staff"
)

const staffPath = "/admin/staff/"

// people is what operators do with accounts.
type people struct{ *Door }

func (d people) routes() []route {
	return []route{
		{http.MethodGet, staffPath, staff.Operate, d.list},
		{http.MethodGet, staffPath + "new/", staff.Operate, d.askNewPerson},
		{http.MethodPost, staffPath + "new/", staff.Operate, d.addPerson},
		{http.MethodGet, staffPath + ":id/", staff.Operate, d.askPerson},
		{http.MethodPost, staffPath + ":id/", staff.Operate, d.changePerson},
		{http.MethodGet, staffPath + ":id/:step/", staff.Operate, d.askStep},
		{http.MethodPost, staffPath + ":id/:step/", staff.Operate, d.takeStep},
	}
}

// list lists accounts.
func (d people) list(r *Request) error {
	all, err := d.Accounts.Store.Staff(r.Request.Context())
	if err != nil {
		return err
	}
	page, err := cut(r, all)
	if err != nil {
		return err
	}
	data := struct {
		pageOf[staff.Account]
		Now     time.Time
		Regions map[staff.ID][]string // names, by person
	}{page, d.Now(), make(map[staff.ID][]string)}
	for i := range data.Rows {
		data.Regions[data.Rows[i].ID] = d.regionNames(&data.Rows[i])
	}
	return r.Show("people", data)
}

// regionNames lists the regions of a person by name.
func (d *Door) regionNames(account *staff.Account) []string {
	var names []string
	for _, region := range d.Regions.All() {
		if slices.Contains(account.Regions, region.ID) {
			names = append(names, region.Name)
		}
	}
	return names
}

// personForm is the page of one account, or of one that is to be.
type personForm struct {
	Account  *staff.Account // nil: a new one
	Person   staff.Person   // as the form has it
	Was      string         // fingerprint of what the form was made of
	Regions  []regionChoice
	Roles    []staff.Role
	Problems map[string]string // by field; "" is the whole form's
	Link     string            // shown once
	Locked   bool
}

type regionChoice struct {
	*bridge.Region
	Chosen bool
}

func (d people) personForm(account *staff.Account, p staff.Person) personForm {
	form := personForm{Account: account, Person: p, Problems: map[string]string{}, Roles: []staff.Role{staff.Operator, staff.RegionAdmin, staff.Viewer}}
	if account != nil {
		form.Was, form.Locked = fingerprint(account.Person), account.LockedUntil.After(d.Now())
	}
	for _, region := range d.Regions.All() {
		form.Regions = append(form.Regions, regionChoice{region, slices.Contains(p.Regions, region.ID)})
	}
	return form
}

// fingerprint says whether a person is still the one that a form showed.
func fingerprint(p staff.Person) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %v %v", p.Name, p.Role, p.Regions, p.Disabled))
	return hex.EncodeToString(sum[:])
}

// read takes what the form says of a person; regions that do not exist are
// nobody's.
func (d people) read(r *Request, p staff.Person) (staff.Person, string, error) {
	fields, err := r.Form()
	if err != nil {
		return p, "", err
	}
	p.Name, p.Role, p.Disabled, p.Regions = fields.Get("name"), staff.Role(fields.Get("role")), fields.Get("disabled") != "", nil
	for _, region := range d.Regions.All() {
		if slices.Contains(fields["region"], region.Slug) {
			p.Regions = append(p.Regions, region.ID)
		}
	}
	slices.Sort(p.Regions)
	if p.ID == 0 {
		p.Login, p.Disabled = fields.Get("login"), false
	}
	return p, fields.Get("was"), nil
}

// field is where an error about a person belongs.
func field(err error) string {
	switch {
	case errors.Is(err, staff.ErrLoginText), errors.Is(err, staff.ErrLoginTaken):
		return "login"
	case errors.Is(err, staff.ErrNameText):
		return "name"
	case errors.Is(err, staff.ErrRole):
		return "role"
	case errors.Is(err, staff.ErrNoRegions):
		return "regions"
	default:
		return ""
	}
}

// mistaken shows the form again with what is wrong in it.
func (d people) mistaken(r *Request, form personForm, err error) error {
	words := trouble(r, err)
	if words == "" {
		return err
	}
	form.Problems[field(err)] = words
	status := http.StatusUnprocessableEntity
	if errors.Is(err, staff.ErrChanged) || errors.Is(err, staff.ErrLastOperator) {
		status = http.StatusConflict
	}
	return r.ShowStatus(status, "person", form)
}

func (d people) askNewPerson(r *Request) error {
	return r.Show("person", d.personForm(nil, staff.Person{Role: staff.RegionAdmin}))
}

// addPerson adds an account, and shows a link by which its person comes in.
func (d people) addPerson(r *Request) error {
	p, _, err := d.read(r, staff.Person{})
	if err != nil {
		return err
	}
	id, err := d.Accounts.Add(r.Request.Context(), p, "")
	if err != nil {
		return d.mistaken(r, d.personForm(nil, p), err)
	}
	return d.giveLink(r, id, "added")
}

// giveLink makes a link, which the page of the account shows once.
func (d people) giveLink(r *Request, id staff.ID, done string) error {
	token, err := d.Accounts.Link(r.Request.Context(), id)
	if err != nil {
		return err
	}
	if err := d.Sessions.put(r, keyLink, fmt.Sprintf("%d %s", id, string(token))); err != nil {
		return err
	}
	return r.Done(fmt.Sprintf("%s%d/", staffPath, id), done)
}

// keyLink is a link in the session that is to be shown to whoever made it.
const keyLink = "link"

func (d people) askPerson(r *Request) error {
	account, err := d.person(r)
	if err != nil {
		return err
	}
	form := d.personForm(account, account.Person)
	if d.Sessions.look(r, keyLink) != "" {
		made, err := d.Sessions.take(r, keyLink)
		if err != nil {
			return err
		}
		var (
			id    staff.ID
			token string
		)
		if _, err := fmt.Sscan(made, &id, &token); err == nil && id == account.ID {
			form.Link = d.Origin + staff.LinkPath + token
		}
	}
	return r.Show("person", form)
}

func (d people) changePerson(r *Request) error {
	account, err := d.person(r)
	if err != nil {
		return err
	}
	p, was, err := d.read(r, account.Person)
	if err != nil {
		return err
	}
	if was != fingerprint(account.Person) { // the page shows what it is now
		return d.mistaken(r, d.personForm(account, account.Person), staff.ErrChanged)
	}
	if err := d.Accounts.Change(r.Request.Context(), account.Person, p); err != nil {
		return d.mistaken(r, d.personForm(account, p), err)
	}
	return r.Done(fmt.Sprintf("%s%d/", staffPath, account.ID), "saved")
}

// steps are what an operator can do to an account and is asked again before, by
// their names in paths and texts.
func steps(account *staff.Account) map[string]bool {
	return map[string]bool{
		"link": !account.Disabled, "sessions": true, "factor": account.HasTOTP, "identity": account.Subject != "", "remove": true,
	}
}

type stepForm struct {
	Account       *staff.Account
	Step, Problem string
}

// step finds account and step of a path.
func (d people) step(r *Request) (stepForm, error) {
	account, err := d.person(r)
	if err != nil {
		return stepForm{}, err
	}
	form := stepForm{Account: account, Step: r.Param("step")}
	if !steps(account)[form.Step] {
		return form, errNotFound
	}
	return form, nil
}

// askStep asks whether it is really meant.
func (d people) askStep(r *Request) error {
	form, err := d.step(r)
	if err != nil {
		return err
	}
	return r.Show("personstep", form)
}

func (d people) takeStep(r *Request) error {
	form, err := d.step(r)
	if err != nil {
		return err
	}
	ctx, id, back := r.Request.Context(), form.Account.ID, fmt.Sprintf("%s%d/", staffPath, form.Account.ID)
	switch form.Step {
	case "link":
		return d.giveLink(r, id, "")
	case "sessions":
		_, err = d.Accounts.Store.EndSessions(ctx, id)
	case "factor":
		_, err = d.Accounts.Store.SetTOTP(ctx, id, "", 0)
	case "identity":
		err = d.Accounts.Store.LinkSubject(ctx, id, "")
	case "remove":
		err, back = d.Accounts.Store.RemoveStaff(ctx, id), staffPath
	}
	if err == nil {
		return r.Done(back, form.Step)
	}
	if form.Problem = trouble(r, err); form.Problem == "" {
		return err
	}
	return r.ShowStatus(http.StatusConflict, "personstep", form)
}

// person finds the account that a path with :id is about; errNotFound.
func (d people) person(r *Request) (*staff.Account, error) {
	id, err := strconv.ParseInt(r.Param("id"), 10, 64)
	if err != nil {
		return nil, errNotFound
	}
	account, err := d.Accounts.ByID(r.Request.Context(), staff.ID(id))
	if errors.Is(err, staff.ErrNobody) {
		return nil, errNotFound
	}
	return account, err
}
