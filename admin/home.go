package admin

import (
	"net/http"

	"deskbridge/staff"
)

const (
	homePath   = "/admin/"
	signInPath = "/admin/sign-in/"
)

func (d *Door) homeRoutes() []route {
	return []route{
		{http.MethodGet, "/admin", staff.Anybody, func(r *Request) error { return r.Done(homePath, "") }},
		{http.MethodGet, homePath, staff.SignedIn, d.home},
	}
}

// home lists the regions that the person may see, and how each stands.
func (d *Door) home(r *Request) error {
	page, err := cut(r, r.Person.Sees(d.Regions.All()))
	if err != nil {
		return err
	}
	standings, err := numbers{d}.standings(r, page.Rows)
	if err != nil {
		return err
	}
	return r.Show("home", pageOf[standing]{standings, page.Earlier, page.Later})
}
