package admin

import (
	"strings"
)

// entry is a line of the navigation. Its text is "nav.<key>". It is shown where
// its page exists and the person may open it.
type entry struct{ key, path string }

// What the navigation offers, in its order: of the installation, and of a region.
var (
	entries = []entry{
		{"home", homePath}, {"team", "/admin/team/"}, {"jobs", "/admin/jobs/"}, {"regions", "/admin/regions/"},
		{"staff", "/admin/staff/"}, {"tokens", "/admin/tokens/"}, {"audit", "/admin/audit/"},
	}
	regionEntries = []entry{
		{"overview", ""}, {"chats", "chats/"}, {"gate", "gate/"}, {"testers", "testers/"}, {"why", "why/"},
		{"experiment", "experiment/"}, {"letters", "letters/"}, {"deliveries", "deliveries/"}, {"alerts", "alerts/"},
		{"settings", "settings/"}, {"region_audit", "audit/"},
	}
)

// Link is a line of the navigation as a template shows it.
type Link struct {
	Key, Path string
	Here      bool // the page that is shown, or one beneath it
}

// Navigation gives the lines for the person.
func (r *Request) Navigation() []Link {
	var links []Link
	for _, e := range entries {
		if route, ok := r.door.views.known[e.path]; ok && r.Person.May(route.need, 0) {
			here := r.Request.URL.Path == e.path || e.path != homePath && strings.HasPrefix(r.Request.URL.Path, e.path) && r.Region == nil
			links = append(links, Link{e.key, e.path, here})
		}
	}
	return links
}

// RegionNavigation gives the lines of the request's region; none without one.
func (r *Request) RegionNavigation() []Link {
	if r.Region == nil {
		return nil
	}
	var links []Link
	for _, e := range regionEntries {
		if route, ok := r.door.views.known["/admin/regions/:region/"+e.path]; ok && r.May(route.need) {
			path := r.Path(e.path)
			here := r.Request.URL.Path == path || e.path != "" && strings.HasPrefix(r.Request.URL.Path, path)
			links = append(links, Link{e.key, path, here})
		}
	}
	return links
}

// Offers says whether the console has a page, for links to pages of others.
func (r *Request) Offers(path string) bool {
	_, ok := r.door.views.known[path]
	return ok
}
