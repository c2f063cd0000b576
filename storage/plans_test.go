package storage_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
)

// grown are the tables that grow with messages, chats and devices. Nothing that
// somebody waits for may read one of them as a whole.
var grown = []string{"messages", "chats", "devices", "articles", "attachments", "exposures", "deliveries", "statistics", "outbox"}

// console asks everything that the pages about a region ask of the store.
func console(w *world) {
	w.Helper()
	var (
		id     = w.region.ID
		from   = w.now.Add(-time.Hour)
		hash   = device("0")
		all, _ = w.ChatEntries(w.ctx, bridge.ChatQuery{Region: id, Filter: bridge.ChatsAll, Limit: 1, Now: w.now})
	)
	_, err := w.Statistics(w.ctx, id, bridge.HourOf(from), bridge.HourOf(w.now))
	w.ok(err)
	_, err = w.Standings(w.ctx, map[bridge.RegionID]time.Time{id: from})
	w.ok(err)
	_, err = w.Cohorts(w.ctx, id, from, w.now)
	w.ok(err)
	_, err = w.Tally(w.ctx, id, w.now.AddDate(0, 0, -90), w.now, true)
	w.ok(err)
	for _, filter := range []bridge.ChatFilter{bridge.ChatsAll, bridge.ChatsWaiting, bridge.ChatsInTrouble} {
		for _, after := range []bridge.ChatKey{{}, all[0].Key} {
			_, err = w.ChatEntries(w.ctx, bridge.ChatQuery{Region: id, Filter: filter, After: after, Limit: 50, Now: w.now})
			w.ok(err)
		}
	}
	_, err = w.ChatEntries(w.ctx, bridge.ChatQuery{Region: id, Device: &hash, Limit: 50, Now: w.now})
	w.ok(err)
	_, err = w.Chat(w.ctx, id, all[0].ID)
	w.ok(err)
	for _, after := range []bridge.WorkID{0, 5} {
		_, err = w.Letters(w.ctx, bridge.LetterQuery{Region: id, After: after, Limit: 50})
		w.ok(err)
	}
	for _, outcomes := range [][]bridge.DeliveryOutcome{nil, {bridge.DeliveryFailed}} {
		_, err = w.Deliveries(w.ctx, bridge.DeliveryQuery{Region: id, Outcomes: outcomes, Before: 1 << 40, Limit: 50})
		w.ok(err)
	}
	_, err = w.Testers(w.ctx, bridge.TesterQuery{Region: id, Now: w.now, Limit: 50})
	w.ok(err)
	_, _, err = w.KnownDevices(w.ctx, w.region, w.now.AddDate(0, 0, -30), w.now, 50)
	w.ok(err)
	_, err = w.Audit(w.ctx, bridge.AuditQuery{Regions: []bridge.RegionID{id}, Limit: 50})
	w.ok(err)
}

// No page reads a whole table that grows: the plans of both dialects say so, for
// the queries that the store really asks, in a database of some size.
func TestConsoleQueriesUseIndexes(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(t, storagetest.OpenURL(t, url))
		crowd(w, url, 1200)
		_, err := w.Tally(w.ctx, w.region.ID, w.now.AddDate(0, 0, -90), w.now, false)
		w.ok(err)
		console(w) // so that the tally below is of a region that was counted
		var asked []storage.Asked
		storage.Listen(w.Store, func(a storage.Asked) { asked = append(asked, a) })
		console(w)
		storage.Listen(w.Store, func(storage.Asked) {})
		if len(asked) < 15 {
			t.Fatalf("only %d queries were heard", len(asked))
		}
		explain := sqliteScans
		if strings.HasPrefix(url, "mysql:") {
			explain = mysqlScans
		}
		for _, a := range asked {
			for _, scan := range explain(w, a) {
				t.Errorf("reads all of %s\n%s", scan, a.Query)
			}
		}
	})
}

// A page deep in a list begins where it begins, however much is newer: the plans
// take region and place in the list together.
func TestPagesDeepInAListBeginThere(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(t, storagetest.OpenURL(t, url))
		crowd(w, url, 1200)
		db := raw(t, url)
		// Of few rows a server knows how many there are, and decides well by itself.
		for range 40 {
			_, err := db.Exec("INSERT INTO audit (at, actor_kind, actor_id, actor_name, region_id, action, subject, changes) VALUES (0, 'person', 1, 'a', ?, 'region.changed', '', '[]')"+
				strings.Repeat(", (0, 'person', 1, 'a', 1, 'region.changed', '', '[]')", 499), w.region.ID)
			w.ok(err)
		}
		var asked []storage.Asked
		storage.Listen(w.Store, func(a storage.Asked) { asked = append(asked, a) })
		defer storage.Listen(w.Store, func(storage.Asked) {})
		middle := bridge.ChatKey{At: w.now.Add(-600 * time.Minute), ID: 600}
		chats, err := w.ChatEntries(w.ctx, bridge.ChatQuery{Region: w.region.ID, After: middle, Limit: 50, Now: w.now})
		w.ok(err)
		deliveries, err := w.Deliveries(w.ctx, bridge.DeliveryQuery{Region: w.region.ID, Before: 600, Limit: 50})
		w.ok(err)
		entries, err := w.Audit(w.ctx, bridge.AuditQuery{Regions: []bridge.RegionID{w.region.ID}, Before: 15_000, Limit: 50})
		w.ok(err)
		if len(chats) != 50 || len(deliveries) != 50 || len(entries) != 50 || len(asked) != 3 {
			t.Fatalf("%d chats, %d deliveries, %d entries by %d queries", len(chats), len(deliveries), len(entries), len(asked))
		}
		explain, kind := "EXPLAIN QUERY PLAN ", regexp.MustCompile(`^SEARCH (?:c|d|audit) USING (?:COVERING )?INDEX \w+ \(region_id=\? AND \w+<\?\)$`)
		if strings.HasPrefix(url, "mysql:") {
			explain, kind = "EXPLAIN ", regexp.MustCompile(`^(?:c range chats_opened|d range deliveries_list|audit range audit_region)$`)
		}
		for _, a := range asked {
			plan, err := storage.Explain(w.ctx, w.Store, explain, a)
			w.ok(err)
			if !slices.ContainsFunc(plan, func(line map[string]string) bool {
				return kind.MatchString(line["detail"]) || kind.MatchString(line["table"]+" "+line["type"]+" "+line["key"])
			}) {
				t.Errorf("passes by what is newer: %v\n%s", plan, a.Query)
			}
		}
	})
}

// sqliteScan finds what is read as a whole: a table, or all that a region has of it.
// The newest delivery of a region is the last of its index.
var sqliteScan = regexp.MustCompile(`^SCAN (\w+)|^SEARCH (\w+) USING .*INDEX (?:chats|messages|devices|exposures)_\w+ \(region_id=\?\)$`)

// sqliteScans gives the grown tables that a query scans, by their aliases.
func sqliteScans(w *world, a storage.Asked) (scans []string) {
	plan, err := storage.Explain(w.ctx, w.Store, "EXPLAIN QUERY PLAN ", a)
	w.ok(err)
	for _, line := range plan {
		if m := sqliteScan.FindStringSubmatch(line["detail"]); m != nil && slices.Contains(grown, tableOf(a.Query, m[1]+m[2])) && !bounded(a.Query, line["detail"]) {
			scans = append(scans, m[1]+m[2]+": "+line["detail"])
		}
	}
	return scans
}

// mysqlScans is the same; a scan of a whole index is one too, and so is a range
// that is most of a table.
func mysqlScans(w *world, a storage.Asked) (scans []string) {
	plan, err := storage.Explain(w.ctx, w.Store, "EXPLAIN ", a)
	w.ok(err)
	for _, line := range plan {
		table := tableOf(a.Query, line["table"])
		if !slices.Contains(grown, table) || bounded(a.Query, line["key"]) {
			continue
		}
		rows, _ := strconv.Atoi(line["rows"])
		if kind := line["type"]; kind == "ALL" || kind == "index" && rows > 100 {
			scans = append(scans, fmt.Sprintf("%s: type %s, key %s, %d rows", table, kind, line["key"], rows))
		}
	}
	return scans
}

// bounded says whether a scan is one that ends: works that wait are what the
// outage of a Zammad leaves, and all of them are to be counted.
func bounded(query, index string) bool {
	return strings.Contains(index, "outbox_kind") && strings.Contains(query, "FROM outbox")
}

// tableOf gives the table behind an alias.
func tableOf(query, alias string) string {
	if m := regexp.MustCompile(`(?:FROM|JOIN) (\w+)(?: AS)? ` + regexp.QuoteMeta(alias) + `\b`).FindStringSubmatch(query); m != nil {
		return m[1]
	}
	return alias
}

// crowd fills a region with chats of the last days, past the store: each has
// four messages of its user and an answer of a person, and its device was told
// that it may.
func crowd(w *world, url string, chats int) {
	w.Helper()
	db := raw(w.T, url)
	tx, err := db.Begin()
	w.ok(err)
	must := func(query string, args ...any) {
		w.Helper()
		if _, err := tx.Exec(query, args...); err != nil {
			w.Fatal(err)
		}
	}
	begin := w.now
	for i := range chats {
		at := begin.Add(time.Duration(i) * time.Minute)
		id, ms := i+1, at.UnixMilli()
		hash := device(strconv.Itoa(i))
		waiting := int64(0)
		if i%20 == 0 {
			waiting = ms
		}
		must("INSERT INTO devices (id, region_id, device_hash, alias, seq, changed_at, current_chat_id, last_message_at, opened_at) VALUES (?, ?, ?, 'a', 5, ?, ?, ?, ?)",
			id, w.region.ID, hash[:], ms, id, ms, ms)
		must("INSERT INTO chats (id, region_id, device_id, language, consent_at, desk_id, ticket_id, customer_id, ticket_state, checked_at, created_at, last_message_at, claim_id, claimed_until, waiting_since)"+
			" VALUES (?, ?, ?, 'de', 0, ?, ?, 1, 'open', 0, ?, ?, '', 0, ?)", id, w.region.ID, id, w.region.Desk, id, ms, ms+4, waiting)
		must("INSERT INTO exposures (region_id, device_hash, day, served, reason, told_at) VALUES (?, ?, ?, 1, 'bucket', ?)", w.region.ID, hash[:], at.Format(time.DateOnly), ms)
		must("INSERT INTO deliveries (region_id, delivery_key, body, hint, claim_id, claimed_until, due, attempts, outcome, reason, received_at, finished_at) VALUES (?, ?, ?, 0, '', 0, 0, 0, 'relayed', '', ?, ?)",
			w.region.ID, strconv.Itoa(i), []byte{}, ms, ms)
		for j := range 5 {
			author, status := "user", "seen"
			if j == 4 {
				author, status = "agent", "sent"
			}
			must("INSERT INTO messages (device_id, chat_id, seq, uuid, author, name, html, text, automatic, status, fail_code, created_at, retracted) VALUES (?, ?, ?, ?, ?, '', 'text', 'text', 0, ?, '', ?, 0)",
				id, id, j+1, fmt.Sprintf("%d-%d", i, j), author, status, ms+int64(j))
		}
		if i%100 == 0 {
			must("INSERT INTO outbox (chat_id, kind, previous, attempts, started_at, dead, reason, error_id, created_at) VALUES (?, 'message', '', 0, 0, 1, '', '', ?)", id, ms)
		}
	}
	w.ok(tx.Commit())
	if strings.HasPrefix(url, "mysql:") {
		for _, table := range grown {
			if _, err := db.Exec("ANALYZE TABLE " + table); err != nil {
				w.Fatal(err)
			}
		}
	}
	w.now = begin.Add(time.Duration(chats) * time.Minute)
}
