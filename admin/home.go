package admin

import (
	"net/http"

	"deskbridge/bridge"
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

// home lists the regions that the person may see.
func (d *Door) home(r *Request) error {
	return r.Show("home", struct{ Regions []*bridge.Region }{r.Person.Sees(d.Regions.All())})
}
