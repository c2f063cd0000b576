package admin

import (
	"html/template"
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

// Navigation gives the lines for the person. They are on each page, which is why
// they are no template.
func (r *Request) Navigation() (lines template.HTML) {
	for _, e := range entries {
		route, ok := r.door.views.known[e.path]
		if !ok || !r.Person.May(route.need, 0) {
			continue
		}
		here := r.Request.URL.Path == e.path || e.path != homePath && strings.HasPrefix(r.Request.URL.Path, e.path) && r.Region == nil
		var badge template.HTML
		if e.key == "team" {
			badge = " " + r.door.views.unread(r.Language, r.teamUnread(), "all")
		}
		lines += r.line(e.key, e.path, here, badge)
	}
	return lines
}

// RegionNavigation gives the lines of the request's region; none without one.
func (r *Request) RegionNavigation() (lines template.HTML) {
	if r.Region == nil {
		return ""
	}
	for _, e := range regionEntries {
		if route, ok := r.door.views.known["/admin/regions/:region/"+e.path]; ok && r.May(route.need) {
			path := r.Path(e.path)
			here := r.Request.URL.Path == path || e.path != "" && strings.HasPrefix(r.Request.URL.Path, path)
			lines += r.line(e.key, path, here, "")
		}
	}
	return lines
}

// line is one of them; here: it leads to the page that is shown, or one above it.
func (r *Request) line(key, path string, here bool, badge template.HTML) template.HTML {
	var current template.HTML
	if here {
		current = ` aria-current="page"`
	}
	return markup(`<li><a href="%s"%s>%s%s</a></li>`, path, current, r.door.views.text(r.Language, "nav."+key), badge)
}

// Offers says whether the console has a page, for links to pages of others.
func (r *Request) Offers(path string) bool {
	_, ok := r.door.views.known[path]
	return ok
}
