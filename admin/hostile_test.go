package admin_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"golang.org/x/net/html"

	"deskbridge/bridge"
	"deskbridge/browsertest"
	"deskbridge/gate"
	"deskbridge/reception"
	"deskbridge/staff"
)

// hostile is what somebody might write into every field: HTML that does something,
// quotes that end attributes, a template, letters that turn the direction, and
// more without a space than any screen is wide.
var hostile = `x"><script>hacked=1</script><img src=x onerror=hacked=2>'--><svg/onload=hacked=3></textarea></option></td>{{.}}` +
	"javascript:hacked=4 \u202Eevil\u202C \u2066\u0000\x1b[2J" + strings.Repeat("W", 300)

// shownAs is hostile as a page shows it: NUL is no character of HTML.
var shownAs = strings.ReplaceAll(hostile, "\u0000", "\uFFFD")

// secret is in every field that the console must never show.
const secret = "nobody-may-read-this"

// structural are the columns whose words are Deskbridge's own: keys, kinds and
// states, and what is read as a number or as settings. Everything else that is
// text is somebody's, also in tables that are yet to come.
var structural = []string{
	"alerts.alert_key", "alerts.channels", "alerts.claim_id",
	"api_tokens.scopes", "api_tokens.regions", "attachments.public_id", "audit.actor_kind", "author_rooms.kind",
	"chats.language", "chats.ticket_state", "chats.claim_id", "deliveries.claim_id", "deliveries.outcome", "deliveries.delivery_key",
	"erasures.rule", "erasures.claim_id", "erasures.traces", "exposures.day", "exposures.reason",
	"messages.uuid", "messages.author", "messages.status", "outbox.kind", "outbox.previous",
	"regions.slug", "regions.salt", "regions.settings", "regions.zammad_token", "regions.webhook_secret", "regions.webhook_token",
	"regions.identity_secret", "regions.privacy_token", "regions.alert_secret", "regions.alert_token", "staff.role", "staff.language", "staff.password", "staff.totp_secret", "testers.override",
}

// neverShown are the columns that the console never shows.
var neverShown = []string{"messages.text", "messages.html", "messages.name", "messages.client_key", "desks.url"}

// documents are columns of JSON, with what stands in them instead.
var documents = map[string]string{
	"audit.changes":   `[{"field":%[1]s,"from":%[1]s,"to":%[1]s},{"field":"x","to":%[1]s}]`,
	"job_runs.counts": `{%[1]s:7}`,
}

// poisoned is a walk in which every text that is stored is hostile.
func poisoned(t *testing.T) *walk {
	t.Helper()
	w := newWalk(t)
	ctx := t.Context()
	w.refused(w.north, "no", 3)
	w.delivery(w.north)
	now := time.Now()
	ok := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	ok(w.app.Store.RecordRun(ctx, bridge.JobRun{Job: "prune", Started: now, Ended: now, Counts: map[string]int{"chats": 1}, Error: "x"}),
		w.app.Store.SetTesters(ctx, w.north.ID, bridge.Tester{Device: w.app.Hasher.Hash("device"), Override: gate.OverrideIn, SetAt: now}))
	writer := w.as(w.people[1])
	for _, path := range []string{"/admin/team/rooms/" + w.objects["{room}"] + "/", writer.post("/admin/team/threads/", url.Values{"person": {w.objects["{victim}"]}}).header.Get("Location")} {
		writer.post(path, url.Values{"text": {"see https://example.org"}, "key": {"a-key-for-" + fmt.Sprint(len(path))}}).is(http.StatusSeeOther)
	}
	_, err := w.app.Store.RetryLetters(ctx, w.north.ID, w.refused(w.north, "no", 1)[:1], now)
	ok(err)
	for _, r := range []*bridge.Region{w.north, w.south} {
		r.Name, r.Settings.ZammadGroup, r.Settings.CustomerName, r.Settings.ConsentAttribute = hostile, hostile, hostile, hostile
		r.Settings.Languages[0].NativeName, r.Settings.MinAppVersion, r.Settings.IdentityIssuer = hostile, hostile, hostile
		r.Settings.Reception.Texts = map[string]reception.Texts{"de": {Away: hostile, Role: hostile}}
		r.Settings.Document.Prefix, r.Settings.Document.NameWithoutPrefix = hostile, hostile
		r.Settings.Managed = map[string]string{"percentage": hostile, "reception.texts": hostile}
		ok(w.app.Store.SaveRegion(ctx, r))
	}
	for _, table := range w.tables {
		w.poison(table)
	}
	ok(w.app.Regions.Reload(ctx))
	return w
}

// poison writes into every text of a table.
func (w *walk) poison(table string) {
	w.Helper()
	if table == "goose_db_version" || table == "migration_lease" {
		return
	}
	columns, err := w.db.Query("SELECT name, type FROM pragma_table_info(?)", table)
	if err != nil {
		w.Fatal(err)
	}
	var texts []string
	for columns.Next() {
		var name, kind string
		if err := columns.Scan(&name, &kind); err != nil {
			w.Fatal(err)
		}
		if kind == "TEXT" && !slices.Contains(structural, table+"."+name) {
			texts = append(texts, name)
		}
	}
	if err := columns.Close(); err != nil {
		w.Fatal(err)
	}
	for _, column := range texts {
		value := hostile
		if slices.Contains(neverShown, table+"."+column) {
			value = secret
		}
		if document, ok := documents[table+"."+column]; ok {
			value = fmt.Sprintf(document, browsertest.Quote(hostile))
		}
		// What is unique has a number behind it.
		if _, err := w.db.Exec("UPDATE "+table+" SET "+column+" = ?", value); err != nil {
			if _, err := w.db.Exec("UPDATE "+table+" SET "+column+" = ? || rowid", value); err != nil {
				w.Fatalf("%s.%s: %v", table, column, err)
			}
		}
	}
}

// shown are the pages on which some of it stands, of those that are walked.
var shown = []string{
	"/admin/", "/admin/account/", "/admin/staff/", "/admin/staff/:id/", "/admin/jobs/", "/admin/audit/", "/admin/regions/", "/admin/tokens/",
	"/admin/tokens/revoke/:id/", "/admin/team/", "/admin/team/rooms/:room/", "/admin/regions/:region/", "/admin/regions/:region/audit/",
	"/admin/regions/:region/letters/", "/admin/regions/:region/deliveries/", "/admin/regions/:region/gate/", "/admin/regions/:region/testers/",
	"/admin/regions/:region/chats/", "/admin/regions/:region/alerts/", "/admin/regions/:region/settings/", "/admin/regions/:region/experiment/",
}

// pages are the addresses of all pages that show something, by their routes; of
// the settings every section.
func (w *walk) pages() map[string]string {
	w.Helper()
	all := map[string]string{}
	for _, e := range table {
		if e.method == http.MethodGet && e.status == http.StatusOK && e.need != anybody && !strings.Contains(e.route, "export") {
			all[e.route] = w.address(e, w.north.Slug)
		}
	}
	const settings = "/admin/regions/north/settings/"
	index := w.as(w.people[0]).get(settings).is(http.StatusOK)
	for _, part := range strings.Split(index.body, `href="`+settings)[1:] {
		if section, _, _ := strings.Cut(part, "/"); section != "" && !strings.ContainsAny(section, `"<`) {
			all[settings+section+"/"] = settings + section + "/"
		}
	}
	if len(all) < 35 {
		w.Fatalf("%d pages: %v", len(all), slices.Sorted(maps.Keys(all)))
	}
	return all
}

// Whatever is stored: pages show it as text, and nothing in it does anything.
func TestHostileTextsAreOnlyShown(t *testing.T) {
	w := poisoned(t)
	seen := map[string]bool{}
	for route, path := range w.pages() {
		for _, p := range w.people[:2] {
			a := w.as(p).get(path)
			if a.status == http.StatusForbidden && p.role != staff.Operator {
				continue
			}
			if a.status != http.StatusOK {
				t.Errorf("%s: %s answers %d:\n%s", p.name, path, a.status, a.text())
				continue
			}
			a.lacks(secret)
			harmless(t, path, a.body)
			if strings.Contains(a.text(), strings.Join(strings.Fields(shownAs), " ")) {
				seen[route] = true
			}
		}
	}
	for _, route := range shown {
		if !seen[route] {
			t.Errorf("%s does not show what is stored; it stands on %v", route, slices.Sorted(maps.Keys(seen)))
		}
	}
}

// harmless fails if a page has anything that a browser would run or fetch but
// the console's own files.
func harmless(t *testing.T, path, body string) {
	t.Helper()
	document, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for n := range document.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "iframe", "object", "embed", "svg", "math", "base", "style", "frame", "applet":
			if n.Namespace != "svg" || n.Data == "svg" {
				t.Errorf("%s has <%s>", path, n.Data)
			}
		}
		own := false
		for _, attribute := range n.Attr {
			value := strings.ToLower(strings.TrimSpace(attribute.Val))
			switch {
			case strings.HasPrefix(attribute.Key, "on"), attribute.Key == "style", attribute.Key == "srcdoc", strings.HasPrefix(attribute.Key, "hx-on"):
				t.Errorf("%s: <%s %s=%q>", path, n.Data, attribute.Key, attribute.Val)
			case slices.Contains([]string{"href", "src", "action", "formaction", "hx-get", "hx-post", "data", "poster", "xlink:href"}, attribute.Key):
				inside := strings.HasPrefix(value, "/admin") || strings.HasPrefix(value, "?") || strings.HasPrefix(value, "#") || value == ""
				if !inside && !(n.Data == "img" && strings.HasPrefix(value, "data:image/png;base64,")) && !(n.Data == "a" && strings.HasPrefix(value, "http")) {
					t.Errorf("%s: <%s %s=%q>", path, n.Data, attribute.Key, attribute.Val)
				}
				own = own || attribute.Key == "src" && strings.HasPrefix(value, "/admin/static/")
			}
		}
		if n.Data == "script" && (!own || n.FirstChild != nil) {
			t.Errorf("%s has a script that is not a file of ours", path)
		}
	}
}

// open opens a page in a real browser, for who is signed in in another.
func (w *world) open(chromium context.Context, b *browser, path string) browsertest.Tab {
	w.Helper()
	p := browsertest.NewTab(w.T, browsertest.Person(w.T, chromium))
	origin, err := url.Parse(w.origin)
	if err != nil {
		w.Fatal(err)
	}
	for _, cookie := range b.client.Jar.Cookies(origin) {
		if _, err := chromedp.Call(p.Ctx, network.SetCookie, network.SetCookieParams{Name: cookie.Name, Value: cookie.Value, URL: w.origin, Path: "/"}); err != nil {
			w.Fatal(err)
		}
	}
	p.Do(chromedp.Navigate(w.origin + path))
	return p
}

// The same in a real browser, at the width of a phone: nothing runs, nothing is
// fetched, and no text pushes the page wider than the screen.
func TestHostileTextsInABrowser(t *testing.T) {
	browser := browsertest.New(t)
	w := poisoned(t)
	p := w.open(browser, w.as(w.people[0]), "/admin/")
	for _, path := range w.pages() {
		p.Do(chromedp.Navigate(w.origin + path))
		p.Wait(`document.readyState === "complete"`)
		if p.Is(`"hacked" in window`) {
			t.Errorf("%s runs what is stored", path)
		}
		if !p.Is(`document.documentElement.scrollWidth <= innerWidth`) {
			t.Errorf("%s is wider than a phone: %s", path, p.Read("document.documentElement.scrollWidth"))
			p.Picture("wide" + strings.ReplaceAll(path, "/", "-"))
		}
	}
}
