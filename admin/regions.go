package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"deskbridge/bridge"
	"deskbridge/staff"
)

// RegionStore is what the console asks of the store about regions.
type RegionStore interface {
	Region(ctx context.Context, id bridge.RegionID) (*bridge.Region, error)
	AddRegion(ctx context.Context, r *bridge.Region) error
	SaveRegion(ctx context.Context, r *bridge.Region) error
}

const regionsPath = "/admin/regions/"

// regionsDoor is the part of the console about the list of regions.
type regionsDoor struct{ *Door }

func (d regionsDoor) routes() []route {
	return []route{
		{http.MethodGet, regionsPath, staff.Operate, d.regionList},
		{http.MethodPost, regionsPath, staff.Operate, d.addRegion},
	}
}

// regionsPage is the list with the form below it.
type regionsPage struct {
	pageOf[*bridge.Region]
	Slug, Name, Languages string
	Faults                map[string]string // by field
}

// regionList lists all regions.
func (d regionsDoor) regionList(r *Request) error {
	return d.showRegions(r, http.StatusOK, regionsPage{Languages: "de Deutsch\nen English"})
}

func (d regionsDoor) showRegions(r *Request, status int, page regionsPage) (err error) {
	if page.pageOf, err = cut(r, d.Regions.All()); err != nil {
		return err
	}
	return r.ShowStatus(status, "regions", page)
}

// addRegion adds a region that is switched off: it has no Zammad yet.
func (d regionsDoor) addRegion(r *Request) error {
	form, err := r.Form()
	if err != nil {
		return err
	}
	region := &bridge.Region{Slug: strings.TrimSpace(form.Get("slug")), Name: strings.TrimSpace(form.Get("name"))}
	region.Settings.Document.Live = true // apps hide regions that are not
	languagesField().write(region, form.Get("languages"))
	errs := d.Rules.Check(region)
	if errs == nil {
		err = d.Store.AddRegion(r.Request.Context(), region)
		if errors.Is(err, bridge.ErrRegionExists) {
			errs.Add("slug", "slug_taken")
		} else if err != nil {
			return err
		}
	}
	if errs != nil {
		page := regionsPage{Slug: form.Get("slug"), Name: form.Get("name"), Languages: form.Get("languages"), Faults: map[string]string{}}
		for _, e := range errs {
			page.Faults[e.Field] = strings.TrimSpace(page.Faults[e.Field] + " " + r.fault(e))
		}
		return d.showRegions(r, http.StatusUnprocessableEntity, page)
	}
	if err := d.Regions.Reload(r.Request.Context()); err != nil {
		return err
	}
	return r.Done(regionPath(region, "settings/"), "region_added")
}
