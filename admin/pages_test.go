package admin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"testing"

	"deskbridge/bridge"
	"deskbridge/staff"
)

var (
	toNext     = regexp.MustCompile(`href="(\?page=\d+)" rel="next"`)
	toPrevious = regexp.MustCompile(`href="(\?page=\d+)" rel="prev"`)
)

// leaf goes through a list by its links, there and back, and gives what it found
// on each page.
func (b *browser) leaf(path string, row *regexp.Regexp) (pages [][]string) {
	b.w.Helper()
	at := path
	for {
		page := b.get(at).is(http.StatusOK)
		var rows []string
		for _, m := range row.FindAllStringSubmatch(page.body, -1) {
			rows = append(rows, m[1])
		}
		pages = append(pages, rows)
		next := toNext.FindStringSubmatch(page.body)
		if next == nil {
			break
		}
		at = path + next[1]
	}
	for back := len(pages) - 1; ; back-- {
		previous := toPrevious.FindStringSubmatch(b.get(at).body)
		if previous == nil {
			if back != 0 {
				b.w.Errorf("%s: no way back from page %d", path, back+1)
			}
			return pages
		}
		at = path + previous[1]
	}
}

// Regions, accounts and tokens are listed fifty at a time, each of them once and
// in order, also on the front page, where everybody has their own.
func TestLongListsHavePages(t *testing.T) {
	w := oneWorld(t)
	operator := w.person("operator", staff.Operator)
	var mine []*bridge.Region
	for i := range 118 {
		r := &bridge.Region{Slug: fmt.Sprintf("city-%03d", i), Name: fmt.Sprintf("City %03d", i), Settings: bridge.RegionSettings{Languages: w.north.Settings.Languages}.WithDefaults()}
		if err := w.app.Store.AddRegion(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			mine = append(mine, r)
		}
	}
	if err := w.app.Regions.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 120 {
		token := staff.APIToken{Name: fmt.Sprintf("token-%03d", i), Scopes: []staff.Scope{staff.ReadRegions}}
		hash, ok := staff.HashToken(staff.NewToken())
		if !ok {
			t.Fatal("a new token is none")
		}
		if err := w.app.Store.AddAPIToken(t.Context(), &token, hash); err != nil {
			t.Fatal(err)
		}
	}
	admin := w.person("admin", staff.RegionAdmin, mine...)
	cards, rows := regexp.MustCompile(`<h2><a href="/admin/regions/([^/]+)/">`), regexp.MustCompile(`<td><a href="/admin/regions/([^/]+)/settings/">`)
	for _, c := range []struct {
		who         *browser
		path        string
		row         *regexp.Regexp
		pages       []int
		first, last string
	}{
		{operator, "/admin/", cards, []int{50, 50, 20}, "city-000", "south"},
		{admin, "/admin/", cards, []int{50, 9}, "city-000", "city-116"},
		{operator, "/admin/regions/", rows, []int{50, 50, 20}, "city-000", "south"},
		{operator, "/admin/tokens/", regexp.MustCompile(`<td>(token-\d+)</td>`), []int{50, 50, 20}, "token-119", "token-000"},
	} {
		var sizes []int
		var all []string
		for _, page := range c.who.leaf(c.path, c.row) {
			sizes = append(sizes, len(page))
			all = append(all, page...)
		}
		once := slices.Compact(slices.Sorted(slices.Values(all)))
		if !slices.Equal(sizes, c.pages) || len(once) != len(all) || all[0] != c.first || all[len(all)-1] != c.last {
			t.Errorf("%s has pages of %v, want %v; %d of %d once, from %s to %s", c.path, sizes, c.pages, len(once), len(all), all[0], all[len(all)-1])
		}
		for _, page := range []string{"0", "4", "-1", "x", "1.5", "9223372036854775807", "99999999999999999999", "%00"} {
			c.who.get(c.path + "?page=" + page).is(http.StatusNotFound)
		}
	}
	// A form with a mistake is shown above the list's first page all the same.
	operator.post("/admin/regions/", url.Values{"name": {"Town"}, "slug": {"no slug!"}}).is(http.StatusUnprocessableEntity).says("City 000", "Next page")
	operator.post("/admin/tokens/", url.Values{"name": {""}, "scope": {"regions:read"}, "all": {"on"}, "days": {"1"}}).is(http.StatusUnprocessableEntity).says("token-119", "Next page")
	w.person("nobody", staff.Viewer).get("/admin/").is(http.StatusOK).lacks("Next page", "Previous page")
}
