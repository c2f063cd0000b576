package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"deskbridge/app"
	"deskbridge/bridge"
	"deskbridge/config"
	"deskbridge/staff"
)

// bareQuery is a query that a page cannot do without.
type bareQuery struct {
	query string
	args  []any
}

// consolePage is a page of the console, and what it needs of the database.
type consolePage struct {
	name, path string
	needs      []bareQuery
}

// entryNeeds are what each page needs: who asks, and what there is to read for
// them in the team chat.
func entryNeeds(person staff.ID, now time.Time) []bareQuery {
	month := now.AddDate(0, -1, 0).UnixMilli()
	return []bareQuery{
		{"SELECT data FROM sessions WHERE expires > ? LIMIT 1", []any{0}},
		{"SELECT id, login, name, role, language, password, totp_secret, totp_step, subject, disabled, epoch, locked_until, created_at, signed_in_at FROM staff WHERE id = ?", []any{person}},
		{"SELECT region_id FROM staff_regions WHERE staff_id = ?", []any{person}},
		{"SELECT r.id, r.kind, r.region_id, r.first_id, r.second_id, r.seq, r.pruned_seq," +
			" (SELECT m.created_at FROM author_messages m WHERE m.room_id = r.id AND m.deleted = 0 AND m.created_at >= ? ORDER BY m.seq DESC LIMIT 1), a.seq, p.id, p.name, p.login, p.disabled" +
			" FROM author_rooms r LEFT JOIN author_reads a ON a.room_id = r.id AND a.person_id = ? LEFT JOIN staff p ON p.id = r.second_id WHERE r.id IN" +
			" (SELECT id FROM author_rooms WHERE kind <> 'thread' UNION ALL SELECT id FROM author_rooms WHERE first_id = ? UNION ALL SELECT id FROM author_rooms WHERE second_id = ?)", []any{month, person, person, person}},
		{"SELECT room_id, COUNT(*) FROM (SELECT room_id FROM author_messages WHERE room_id = 1 AND seq > 0 AND author_id <> ? AND deleted = 0 AND created_at >= ? LIMIT 100) x GROUP BY room_id", []any{person, month}},
	}
}

// consolePages are the pages whose work grows with chats and messages. force makes
// a server read a page deep in the list by the index of it.
func consolePages(r *bridge.Region, now time.Time, force string) []consolePage {
	hour, today := now.Unix()/3600, now.UTC().Truncate(24*time.Hour).UnixMilli()
	standing := []bareQuery{
		{"SELECT COUNT(*) FROM chats WHERE region_id = ? AND created_at >= ?", []any{r.ID, today}},
		{"SELECT COUNT(*), MIN(waiting_since) FROM chats WHERE region_id = ? AND waiting_since > 0", []any{r.ID}},
		{"SELECT MAX(received_at) FROM deliveries WHERE region_id = ?", []any{r.ID}},
		{"SELECT c.region_id, o.dead, COUNT(*), MIN(o.created_at) FROM outbox o JOIN chats c ON c.id = o.chat_id WHERE o.kind = 'message' GROUP BY c.region_id, o.dead", nil},
	}
	hours := func(n int64) bareQuery {
		return bareQuery{"SELECT hour, invented, chats_opened, messages_user, messages_agent, failed, answered, answer_times, asked_served, asked_unserved" +
			" FROM statistics WHERE region_id = ? AND hour >= ? AND hour < ? ORDER BY hour, invented", []any{r.ID, hour - n, hour + 1}}
	}
	const entries = "SELECT c.id, c.language, c.ticket_state, c.ticket_id, c.created_at, c.last_message_at, c.waiting_since," +
		" (SELECT MIN(o.created_at) FROM outbox o WHERE o.chat_id = c.id AND o.dead = 0 AND o.kind = 'message')," +
		" (SELECT COUNT(*) FROM messages m WHERE m.chat_id = c.id AND m.status = 'failed')," +
		" (SELECT MAX(m.fail_code) FROM messages m WHERE m.chat_id = c.id AND m.status = 'failed') FROM chats c WHERE "
	deep := now.AddDate(0, 0, -crowdDays/2).UnixMilli()
	base := "/admin/regions/" + r.Slug + "/"
	return append(workPages(r, base), []consolePage{
		{"home", "/admin/", standing},
		{"numbers-day", base, append(standing[:len(standing):len(standing)], hours(24))},
		{"numbers-year", base + "?span=year", append(standing[:len(standing):len(standing)], hours(53*7*24))},
		{"chats", base + "chats/", []bareQuery{{entries + "c.region_id = ? ORDER BY c.created_at DESC, c.id DESC LIMIT 51", []any{r.ID}}}},
		{"chats-deep", fmt.Sprintf("%schats/?after=%d.%d", base, deep, crowdChats), []bareQuery{{strings.TrimSuffix(entries, " WHERE ") + force + " WHERE c.region_id = ? AND c.created_at <= ? ORDER BY c.created_at DESC, c.id DESC LIMIT 51", []any{r.ID, deep}}}},
		{"chats-waiting", base + "chats/?filter=waiting", []bareQuery{{entries + "c.region_id = ? AND c.waiting_since > 0 ORDER BY c.waiting_since, c.id LIMIT 51", []any{r.ID}}}},
		{"chats-trouble", base + "chats/?filter=trouble", []bareQuery{{strings.Replace(entries, "FROM chats c WHERE ", "FROM chats c JOIN (SELECT DISTINCT o.chat_id FROM outbox o JOIN chats x ON x.id = o.chat_id"+
			" WHERE o.kind = 'message' AND o.chat_id < ? AND (o.dead = 1 OR o.created_at <= ?) AND x.region_id = ? ORDER BY o.chat_id DESC LIMIT 51) AS t ON t.chat_id = c.id ORDER BY c.id DESC", 1),
			[]any{2 * crowdChats, now.UnixMilli(), r.ID}}}},
		{"experiment", base + "experiment/?days=7", []bareQuery{
			{"SELECT at, changes FROM audit WHERE region_id = ? ORDER BY id DESC LIMIT 500", []any{r.ID}},
			{"SELECT day, served, COUNT(*) FROM exposures WHERE region_id = ? AND told_at >= ? GROUP BY day, served", []any{r.ID, now.AddDate(0, 0, -7).UnixMilli()}},
			{"SELECT c.device_id, e.served, (SELECT COUNT(*) FROM messages m WHERE m.chat_id = c.id AND m.author = 'user')," +
				" (SELECT MIN(m.created_at) FROM messages m WHERE m.chat_id = c.id AND m.author = 'user')," +
				" (SELECT MIN(m.created_at) FROM messages m WHERE m.chat_id = c.id AND m.author = 'agent' AND m.automatic = 0)" +
				" FROM chats c JOIN devices d ON d.id = c.device_id JOIN exposures e ON e.region_id = c.region_id AND e.device_hash = d.device_hash" +
				" AND e.day = (SELECT MIN(p.day) FROM exposures p WHERE p.region_id = c.region_id AND p.device_hash = d.device_hash) WHERE c.region_id = ? AND c.created_at >= ?", []any{r.ID, now.AddDate(0, 0, -7).UnixMilli()}},
		}},
	}...)
}

// workPages are the pages whose work does not grow with chats and messages, but
// with what stands in them.
func workPages(r *bridge.Region, base string) []consolePage {
	region := bareQuery{"SELECT * FROM regions WHERE id = ?", []any{r.ID}}
	return []consolePage{
		{"letters", base + "letters/", []bareQuery{
			{"SELECT o.id, c.id, c.ticket_id, o.kind, m.fail_code, o.reason, o.error_id, o.attempts, m.created_at FROM outbox o JOIN messages m ON m.id = o.message_id JOIN chats c ON c.id = o.chat_id" +
				" WHERE o.dead = 1 AND m.status = 'failed' AND c.region_id = ? ORDER BY o.id LIMIT 51", []any{r.ID}},
			{"SELECT c.region_id, COUNT(*) FROM outbox o JOIN messages m ON m.id = o.message_id JOIN chats c ON c.id = o.chat_id WHERE o.dead = 1 AND m.status = 'failed' GROUP BY c.region_id", nil},
		}},
		{"deliveries", base + "deliveries/", []bareQuery{{"SELECT id, outcome, reason, attempts, received_at, due, finished_at FROM deliveries WHERE region_id = ? ORDER BY id DESC LIMIT 51", []any{r.ID}}}},
		{"audit", base + "audit/", []bareQuery{{"SELECT id, at, actor_kind, actor_id, actor_name, region_id, action, subject, changes FROM audit WHERE region_id = ? ORDER BY id DESC LIMIT 51", []any{r.ID}}}},
		{"settings", base + "settings/", []bareQuery{region}},
		{"settings-hours", base + "settings/hours/", []bareQuery{region}},
		{"gate", base + "gate/", []bareQuery{region}},
		{"testers", base + "testers/", []bareQuery{{"SELECT id, device_hash, override, set_at, set_by, expires_at, note FROM testers WHERE region_id = ? ORDER BY id DESC LIMIT 51", []any{r.ID}}}},
		{"alerts", base + "alerts/", []bareQuery{{"SELECT a.*, c.id, c.ticket_id FROM alerts a LEFT JOIN chats c ON c.device_id = a.device_id AND c.waiting_since = a.waiting_since WHERE a.region_id = ? ORDER BY a.id DESC LIMIT 20", []any{r.ID}}}},
		{"team", "/admin/team/", []bareQuery{{"SELECT id, name, login FROM staff WHERE disabled = 0 ORDER BY name, id", nil}}},
		{"team-room", "/admin/team/rooms/1/", []bareQuery{{"SELECT m.id, m.room_id, m.seq, m.author_id, m.author_name, m.text, m.created_at, m.deleted FROM author_messages m WHERE m.room_id = 1 AND m.deleted = 0 ORDER BY m.seq DESC LIMIT 51", nil}}},
		{"jobs", "/admin/jobs/", []bareQuery{{"SELECT * FROM job_runs ORDER BY id DESC LIMIT 51", nil}, {"SELECT name FROM leases WHERE name >= 'job/' AND held_until > 0", nil}}},
		{"staff", "/admin/staff/", []bareQuery{{"SELECT * FROM staff ORDER BY login", nil}, {"SELECT staff_id, region_id FROM staff_regions", nil}}},
		{"tokens", "/admin/tokens/", []bareQuery{{"SELECT * FROM api_tokens ORDER BY id DESC", nil}}},
	}
}

// query runs queries and reads every row.
func query(ctx context.Context, db *sql.DB, queries []bareQuery) error {
	for _, q := range queries {
		rows, err := db.QueryContext(ctx, q.query, q.args...)
		if err != nil {
			return fmt.Errorf("%s: %w", q.query, err)
		}
		columns, err := rows.Columns()
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		for err == nil && rows.Next() {
			err = rows.Scan(into...)
		}
		if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
			return err
		}
	}
	return nil
}

// consoleWorld is an installation with a crowd in it, and somebody who looks.
type consoleWorld struct {
	app    *app.App
	db     *sql.DB
	origin string
	cookie *http.Cookie
	region *bridge.Region
	person staff.ID
	now    time.Time
	stop   func() error
}

// newConsoleWorld fills a fresh database and serves its console.
func newConsoleWorld(ctx context.Context, p *places, database string, bare func() (*sql.DB, error)) (w *consoleWorld, err error) {
	cfg, err := config.Load("", []string{
		"DESKBRIDGE_DATA_DIR=" + filepath.Join(p.dir, "console"), "DESKBRIDGE_DATABASE_URL=" + database,
		"DESKBRIDGE_SECRET_KEY=" + strings.Repeat("5a", 32), "DESKBRIDGE_LIMITS_EXEMPT_LOOPBACK=true",
	})
	if err != nil {
		return nil, err
	}
	w = &consoleWorld{now: time.Now(), region: benchRegion("http://127.0.0.1:1", "token")}
	if w.app, err = app.Open(ctx, cfg, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	if err := w.app.Store.AddRegion(ctx, w.region); err != nil {
		return nil, err
	}
	if w.db, err = bare(); err != nil {
		return nil, err
	}
	if err := crowd(ctx, w.db, w.region, w.now); err != nil {
		return nil, err
	}
	// The comparison begins with the last change of the percentage.
	if _, err := w.db.ExecContext(ctx, "UPDATE audit SET at = ?", w.now.AddDate(0, 0, -crowdDays).UnixMilli()); err != nil {
		return nil, err
	}
	if _, err := w.app.Jobs.RunNow(ctx, "tally", false); err != nil {
		return nil, err
	}
	if err := w.app.Regions.Reload(ctx); err != nil {
		return nil, err
	}
	if err := w.talk(ctx); err != nil {
		return nil, err
	}
	w.person, err = w.app.Store.AddStaff(ctx, staff.Person{Login: "bench", Name: "Bench", Role: staff.Operator, Language: "en"}, "")
	if err != nil {
		return nil, err
	}
	account, err := w.app.Accounts.ByID(ctx, w.person)
	if err != nil {
		return nil, err
	}
	if w.cookie, err = w.app.Sessions.Token(ctx, w.person, account.Epoch); err != nil {
		return nil, err
	}
	return w, w.serve(ctx)
}

// talk lets somebody else fill the staff's room.
func (w *consoleWorld) talk(ctx context.Context) error {
	id, err := w.app.Store.AddStaff(ctx, staff.Person{Login: "other", Name: "Other", Role: staff.Operator, Language: "en"}, "")
	if err != nil {
		return err
	}
	other, err := w.app.Accounts.ByID(ctx, id)
	if err != nil {
		return err
	}
	rooms, err := w.app.Team.Rooms(ctx, &other.Person)
	for n := 0; err == nil && n < 60; n++ {
		_, err = w.app.Team.Send(ctx, &other.Person, rooms[0].ID, "a message of a usual length", fmt.Sprint("key-", n))
	}
	return err
}

func (w *consoleWorld) serve(ctx context.Context) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	serving, cancel := context.WithCancel(ctx)
	done, ready := make(chan error, 1), make(chan struct{})
	go func() {
		done <- w.app.Serve(serving, app.ServeOptions{Listener: listener, Ready: func(net.Addr) { close(ready) }})
	}()
	select {
	case <-ready:
	case err := <-done:
		cancel()
		return err
	}
	w.origin = "http://" + listener.Addr().String()
	w.stop = func() error {
		cancel()
		return errors.Join(<-done, w.app.Close(), w.db.Close())
	}
	return nil
}

// bare serves what a page needs by hand: the queries, and the same bytes.
func (w *consoleWorld) bare(ctx context.Context, page consolePage) (address string, stop func(), err error) {
	content, err := w.get(ctx, w.origin+page.path)
	if err != nil {
		return "", nil, err
	}
	needs := append(entryNeeds(w.person, w.now), page.needs...)
	host, stop, err := listen(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if err := query(r.Context(), w.db, needs); err != nil {
			failBare(out, err)
			return
		}
		out.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = out.Write(content) // whoever asked is gone
	}))
	return "http://" + host + "/", stop, err
}

// get asks for a page, which must be there.
func (w *consoleWorld) get(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.AddCookie(w.cookie)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %d, to %q", address, response.StatusCode, response.Header.Get("Location"))
	}
	return content, nil
}

// mean gives how long an answer takes, in milliseconds, asking for so long.
func (w *consoleWorld) mean(ctx context.Context, length time.Duration, address string) (float64, error) {
	begin, n := time.Now(), 0
	for ; n < 3 || time.Since(begin) < length; n++ {
		if _, err := w.get(ctx, address); err != nil {
			return 0, err
		}
	}
	return float64(time.Since(begin).Microseconds()) / 1000 / float64(n), nil
}

// race holds a page against its bare handler.
func (w *consoleWorld) race(ctx context.Context, out io.Writer, name string, page consolePage, o options) error {
	address, stop, err := w.bare(ctx, page)
	if err != nil {
		return err
	}
	defer stop()
	return pairs(out, name, o, 2, inTurn(
		func() (float64, error) { return w.mean(ctx, o.length/4, w.origin+page.path) },
		func() (float64, error) { return w.mean(ctx, o.length/4, address) }))
}

// printConsole compares whole pages of the console, signed in, with bare handlers
// that ask the queries that a page needs and answer the same bytes.
func printConsole(ctx context.Context, out io.Writer, p *places, o options) error {
	if !strings.HasPrefix("console", o.only) && !strings.HasPrefix(o.only, "console") {
		return nil
	}
	fmt.Fprintf(out, "\npages of the console with %d chats and %d messages, and bare handlers with their queries; ms (medians)\n", crowdChats, crowdChats*crowdMessages)
	path := p.sqlite()
	places := []struct {
		name, url string
		bare      func() (*sql.DB, error)
	}{{"sqlite", "sqlite:" + path, func() (*sql.DB, error) { return sql.Open("sqlite", bareDSN(path)) }}}
	if o.mysql != "" {
		url, err := p.database()
		if err != nil {
			return err
		}
		places = append(places, struct {
			name, url string
			bare      func() (*sql.DB, error)
		}{"mysql", url, func() (*sql.DB, error) { return plainMySQL(url) }})
	}
	for _, place := range places {
		if name := "console-" + place.name; !strings.HasPrefix(name, o.only) && !strings.HasPrefix(o.only, name) {
			continue
		}
		force := ""
		if place.name == "mysql" {
			force = " FORCE INDEX (chats_opened)"
		}
		w, err := newConsoleWorld(ctx, p, place.url, place.bare)
		if err != nil {
			return fmt.Errorf("console-%s: %w", place.name, err)
		}
		for _, page := range consolePages(w.region, w.now, force) {
			if err = w.race(ctx, out, "console-"+place.name+"-"+page.name, page, o); err != nil {
				break
			}
		}
		if err := errors.Join(err, w.stop()); err != nil {
			return err
		}
	}
	return nil
}
