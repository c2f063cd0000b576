package admin

import (
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"

	"deskbridge/bridge"
	"deskbridge/staff"
)

const (
	accountPath = "/admin/account/"
	factorPath  = "/admin/account/factor/"
)

// self is what everybody does with the own account.
type self struct{ *Door }

func (d self) routes() []route {
	return []route{
		{http.MethodGet, accountPath, staff.SignedIn, d.account},
		{http.MethodPost, accountPath + "language/", staff.SignedIn, d.changeLanguage},
		{http.MethodPost, accountPath + "password/", staff.SignedIn, d.changePassword},
		{http.MethodPost, accountPath + "sessions/", staff.SignedIn, d.endOthers},
		{http.MethodGet, factorPath, staff.SignedIn, d.askFactor},
		{http.MethodPost, factorPath, staff.SignedIn, d.takeFactor},
		{http.MethodPost, factorPath + "remove/", staff.SignedIn, d.removeFactor},
	}
}

// accountForm is the page about oneself.
type accountForm struct {
	Names    []string          // of the own regions
	Problems map[string]string // by field
}

func (d self) account(r *Request) error {
	return r.Show("account", accountForm{Names: d.regionNames(r.Account)})
}

func (d self) changeLanguage(r *Request) error {
	fields, err := r.Form()
	if err != nil {
		return err
	}
	err = d.Accounts.SetLanguage(r.Request.Context(), r.Person.ID, fields.Get("language"))
	if errors.Is(err, staff.ErrLanguage) {
		return bridge.ErrBody
	}
	if err != nil {
		return err
	}
	return r.Done(accountPath, "saved")
}

func (d self) changePassword(r *Request) error {
	fields, err := r.Form()
	if err != nil {
		return err
	}
	form := accountForm{Names: d.regionNames(r.Account), Problems: map[string]string{}}
	if fields.Get("password") != fields.Get("again") {
		form.Problems["again"] = r.T("account.again_differs")
		return r.ShowStatus(http.StatusUnprocessableEntity, "account", form)
	}
	epoch, err := d.Accounts.ChangePassword(r.Request.Context(), r.Person.ID, fields.Get("old"), fields.Get("password"))
	if err == nil {
		return d.goOn(r, epoch, "password")
	}
	at := "password"
	if errors.Is(err, staff.ErrPasswordWrong) || errors.Is(err, staff.ErrLocked) {
		at = "old"
	}
	if form.Problems[at] = trouble(r, err); form.Problems[at] == "" {
		return err
	}
	return r.ShowStatus(http.StatusUnprocessableEntity, "account", form)
}

// goOn keeps this session, with a new token, where all of the person have ended.
func (d self) goOn(r *Request, epoch int64, done string) error {
	account, err := d.Accounts.Session(r.Request.Context(), r.Person.ID, epoch)
	if err != nil {
		return err
	}
	if err := d.Sessions.begin(r, account); err != nil {
		return err
	}
	return r.Done(accountPath, done)
}

func (d self) endOthers(r *Request) error {
	epoch, err := d.Accounts.Store.EndSessions(r.Request.Context(), r.Person.ID)
	if err != nil {
		return err
	}
	return d.goOn(r, epoch, "sessions")
}

// keyFactor is the secret of a second factor that is being set up.
const keyFactor = "factor"

// factorForm is the page on which a second factor is set up or removed.
type factorForm struct {
	Picture  template.URL
	Secret   string            // in groups, to be typed
	Problems map[string]string // by field
}

func (d self) askFactor(r *Request) error {
	return d.showFactor(r, http.StatusOK, nil)
}

// showFactor shows the factor that is being set up; a page that is loaded again
// shows the same.
func (d self) showFactor(r *Request, status int, problems map[string]string) error {
	form := factorForm{Problems: problems}
	if r.Account.HasTOTP || !r.Account.HasPassword {
		return r.ShowStatus(status, "factor", form)
	}
	known := d.Sessions.look(r, keyFactor)
	factor, err := staff.NewFactor(r.Person, bridge.Secret(known))
	if err != nil {
		return err
	}
	if known == "" {
		if err := d.Sessions.put(r, keyFactor, string(factor.Secret)); err != nil {
			return err
		}
	}
	picture, err := factor.Picture()
	if err != nil {
		return err
	}
	form.Picture = template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(picture)) //nolint:gosec // our own picture
	for i, c := range string(factor.Secret) {
		if i > 0 && i%4 == 0 {
			form.Secret += " "
		}
		form.Secret += string(c)
	}
	return r.ShowStatus(status, "factor", form)
}

// takeFactor confirms the second factor by its first code.
func (d self) takeFactor(r *Request) error {
	fields, err := r.Form()
	if err != nil {
		return err
	}
	secret := d.Sessions.look(r, keyFactor)
	if secret == "" || r.Account.HasTOTP { // of an old page
		return r.Done(factorPath, "")
	}
	epoch, err := d.Accounts.ConfirmTOTP(r.Request.Context(), r.Person.ID, fields.Get("password"), bridge.Secret(secret), fields.Get("code"))
	if err == nil {
		return d.goOn(r, epoch, "factor")
	}
	at := "password"
	if errors.Is(err, staff.ErrCode) {
		at = "code"
	}
	return d.factorProblem(r, at, err)
}

func (d self) factorProblem(r *Request, at string, err error) error {
	words := trouble(r, err)
	if words == "" {
		return err
	}
	return d.showFactor(r, http.StatusUnprocessableEntity, map[string]string{at: words})
}

func (d self) removeFactor(r *Request) error {
	fields, err := r.Form()
	if err != nil {
		return err
	}
	epoch, err := d.Accounts.RemoveTOTP(r.Request.Context(), r.Person.ID, fields.Get("password"))
	if err != nil {
		return d.factorProblem(r, "password", err)
	}
	return d.goOn(r, epoch, "no_factor")
}
