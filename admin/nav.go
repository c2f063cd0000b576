package admin

import (
	"html/template"
	"strings"

	"deskbridge/author"
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
			badge = " " + r.door.views.unread(r.Language, teamUnread(r), "all")
		}
		lines += link(r, e.key, e.path, here, badge)
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
			lines += link(r, e.key, path, here, "")
		}
	}
	return lines
}

// link is one of them; here: it leads to the page that is shown, or one above it.
func link(r *Request, key, path string, here bool, badge template.HTML) template.HTML {
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

// teamRooms gives the person's rooms of the team chat. They are read once for a
// page, whose badge wants them too.
func (r *Request) teamRooms() (_ []author.View, err error) {
	if r.rooms == nil {
		r.rooms, err = r.door.Team.Rooms(r.Request.Context(), r.Person)
	}
	return r.rooms, err
}

// teamUnread counts what the person has not read in the team chat, each room up to
// author.MaxUnread, for the navigation. A page is shown also where it cannot be
// counted.
func teamUnread(r *Request) (n int) {
	views, err := r.teamRooms()
	if err != nil {
		_ = r.Error(err) // for the log
	}
	for i := range views {
		n += views[i].Unread
	}
	return n
}
