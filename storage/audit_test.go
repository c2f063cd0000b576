package storage_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
	"deskbridge/storage/storagetest"
)

func TestTheAuditIsFilteredAndPaged(t *testing.T) {
	eachWorld(t, func(w *world) {
		ours, theirs := w.region, w.addRegion("fulda", "https://other.example.test")
		plain := w.ctx
		as := func(name string) {
			w.ctx = bridge.WithActor(plain, bridge.Actor{Kind: bridge.ActorPerson, ID: 1, Name: name})
		}
		as("eva")
		w.ok(w.retry(w.refusedLetters(ours, "a")...))
		as("max")
		w.ok(w.drop(w.refusedLetters(theirs, "b")...))
		_, err := w.LeaseRun(w.ctx, "prune", "h", true, w.now, w.now)
		w.ok(err)
		as("eva' OR 1=1 --")
		_, err = w.LeaseRun(w.ctx, "letter", "h", false, w.now, w.now)
		w.ok(err)

		whole := w.noted(bridge.AuditQuery{})
		var actions []string
		for _, e := range whole {
			actions = append(actions, e.Actor.Name+" "+e.Action)
		}
		if d := cmp.Diff([]string{"eva' OR 1=1 -- job.run", "max job.run", "max letter.drop", "eva letter.retry"}, actions); d != "" {
			w.Fatal(d)
		}
		for name, c := range map[string]struct {
			q    bridge.AuditQuery
			want int
		}{
			"region":              {bridge.AuditQuery{Regions: []bridge.RegionID{ours.ID}}, 1},
			"regions":             {bridge.AuditQuery{Regions: []bridge.RegionID{ours.ID, theirs.ID}}, 2},
			"no region":           {bridge.AuditQuery{Regions: []bridge.RegionID{}}, 0},
			"prefix":              {bridge.AuditQuery{Action: "letter."}, 2},
			"whole action":        {bridge.AuditQuery{Action: "letter.drop"}, 1},
			"wildcards are none":  {bridge.AuditQuery{Action: "%"}, 0},
			"actor":               {bridge.AuditQuery{Actor: "eva"}, 1},
			"hostile actor":       {bridge.AuditQuery{Actor: "eva' OR 1=1 --"}, 1},
			"actor, region":       {bridge.AuditQuery{Actor: "max", Regions: []bridge.RegionID{ours.ID}}, 0},
			"since the first":     {bridge.AuditQuery{Since: whole[3].At}, 4},
			"until the first":     {bridge.AuditQuery{Until: whole[3].At}, 0},
			"until after the end": {bridge.AuditQuery{Until: whole[0].At.Add(time.Millisecond)}, 4},
			"since after the end": {bridge.AuditQuery{Since: whole[0].At.Add(time.Millisecond)}, 0},
			"older than":          {bridge.AuditQuery{Before: whole[1].ID}, 2},
		} {
			if got := len(w.noted(c.q)); got != c.want {
				w.Errorf("%s: %d entries, want %d", name, got, c.want)
			}
		}
	})
}

// Entries that are read in steps are all there, each once, while more are written.
func TestEveryEntryIsReadOnce(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(t, storagetest.OpenURL(t, url))
		const entries = 1203 // several steps, and a rest
		rows := make([]string, entries)
		for i := range rows {
			rows[i] = fmt.Sprintf("(1, 'system', 0, 'x', 0, 'a', '%d', '[]')", i)
		}
		_, err := raw(t, url).Exec("INSERT INTO audit (at, actor_kind, actor_id, actor_name, region_id, action, subject, changes) VALUES " + strings.Join(rows, ", "))
		w.ok(err)
		next := entries - 1
		w.ok(bridge.EachEntry(w.ctx, w, bridge.AuditQuery{Action: "a"}, func(e bridge.AuditEntry) error {
			equal(w, "subject", e.Subject, strconv.Itoa(next))
			next--
			if next%400 == 0 {
				_, err := w.LeaseRun(w.ctx, "later", "h", false, w.now, w.now)
				return err
			}
			return nil
		}))
		equal(w, "entries that were not read", next, -1)
		w.wants(bridge.EachEntry(w.ctx, w, bridge.AuditQuery{}, func(bridge.AuditEntry) error { return context.Canceled }), context.Canceled)
	})
}

func TestTheAuditIsKeptAsLongAsItIsSet(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.ok(w.retry(w.refusedLetters(w.region, "a")...))
		at := w.noted(bridge.AuditQuery{})[0].At
		_, _, err := w.Prune(w.ctx, bridge.PruneCutoffs{Audit: at}, false) // the region that was added before
		w.ok(err)
		for _, c := range []struct {
			cut    time.Time
			counts int
			left   int
		}{{time.Time{}, 0, 1}, {at.Add(time.Millisecond), 2, 0}} {
			dry, _, err := w.Prune(w.ctx, bridge.PruneCutoffs{Audit: c.cut}, true)
			w.ok(err)
			counts, _, err := w.Prune(w.ctx, bridge.PruneCutoffs{Audit: c.cut}, false)
			w.ok(err)
			equal(w, "would be removed", dry["audit"], c.counts)
			equal(w, "removed", counts["audit"], c.counts)
			equal(w, "left", len(w.noted(bridge.AuditQuery{})), c.left)
		}
	})
}

// forbid lets the database itself refuse something.
func forbid(w *world, url, when string) {
	w.Helper()
	db := raw(w.T, url)
	body := "BEGIN SELECT RAISE(ABORT, 'forbidden by the test'); END"
	if strings.HasPrefix(url, "mysql") {
		body = "FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'forbidden by the test'"
	}
	name := strings.ReplaceAll(strings.ToLower(when), " ", "_")
	if _, err := db.Exec("CREATE TRIGGER " + name + " " + when + " " + body); err != nil {
		w.Fatal(err)
	}
}

// allow takes back what was forbidden.
func allow(w *world, url, when string) {
	w.Helper()
	if _, err := raw(w.T, url).Exec("DROP TRIGGER " + strings.ReplaceAll(strings.ToLower(when), " ", "_")); err != nil {
		w.Fatal(err)
	}
}

// A change and its entry are one: neither is there without the other.
func TestNoEntryWithoutItsChangeAndNoChangeWithoutItsEntry(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(t, storagetest.OpenURL(t, url))
		ids := w.refusedLetters(w.region, "a", "b")
		_, err := w.StoreDelivery(w.ctx, bridge.Delivery{Region: w.region.ID, Key: "k", Received: w.now})
		w.ok(err)
		delivery := w.deliveryIDs(bridge.DeliveryQuery{Limit: 1})
		changes := map[string]func() error{
			"letter.retry": func() error { return w.retry(ids...) },
			"letter.drop":  func() error { return w.drop(ids...) },
			"delivery.drop": func() error {
				_, err := w.DropDeliveries(w.ctx, 0, delivery, w.now)
				return err
			},
			"job.run": func() error {
				mine, err := w.LeaseRun(w.ctx, "prune", "h", false, w.now, w.now.Add(time.Minute))
				equal(w, "leased", mine, false)
				return err
			},
		}
		for _, when := range []string{"BEFORE INSERT ON audit", "BEFORE UPDATE ON chats", "BEFORE DELETE ON outbox"} {
			forbid(w, url, when)
			for name, change := range changes {
				if strings.HasSuffix(when, "audit") || strings.HasPrefix(name, "letter") {
					w.wants(change(), bridge.ErrStorage)
				}
			}
			allow(w, url, when)
		}
		equal(w, "entries", len(w.noted(bridge.AuditQuery{})), 0)
		letters, err := w.Letters(w.ctx, bridge.LetterQuery{})
		w.ok(err)
		equal(w, "letters", len(letters), 2)
		equal(w, "waiting deliveries", len(w.deliveryIDs(bridge.DeliveryQuery{Outcomes: []bridge.DeliveryOutcome{bridge.DeliveryWaiting}, Limit: 9})), 1)
		ended, cancel := context.WithCancel(w.ctx)
		cancel()
		_, err = w.RetryLetters(ended, 0, ids, w.now)
		w.wants(err, context.Canceled)
		equal(w, "entries", len(w.noted(bridge.AuditQuery{})), 0)
		w.ok(w.retry(ids...))
		equal(w, "entries", len(w.noted(bridge.AuditQuery{})), 1)
	})
}

// The store has one statement that writes entries and, for their retention, one
// that removes them. A new one has to explain itself here.
func TestTheStoreOnlyAddsToTheAudit(t *testing.T) {
	t.Parallel()
	packages, err := parser.ParseDir(token.NewFileSet(), ".", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\baudit\b`)
	var found []string
	for _, file := range packages["storage"].Files {
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING && named.MatchString(literal.Value) {
				text, _ := strconv.Unquote(literal.Value)
				found = append(found, strings.Join(strings.Fields(text)[:min(3, len(strings.Fields(text)))], " "))
			}
			return true
		})
	}
	counts := map[string]int{}
	for _, text := range found {
		counts[text]++
	}
	delete(counts, "encode audit: %w")
	delete(counts, "decode audit %d:")
	if d := cmp.Diff(map[string]int{"INSERT INTO audit": 1, "SELECT id, at,": 1, "audit": 1}, counts); d != "" {
		t.Errorf("statements that name the audit (\"audit\" is its retention, in Prune):\n%s", d)
	}
}

// Whatever of the store is called: the database, which refuses to change an entry,
// has nothing to refuse.
func TestNoMethodOfTheStoreChangesAnEntry(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(t, storagetest.OpenURL(t, url))
		w.ok(w.retry(w.refusedLetters(w.region, "a")...))
		forbid(w, url, "BEFORE UPDATE ON audit")
		forbid(w, url, "BEFORE DELETE ON audit")
		before := w.noted(bridge.AuditQuery{})
		store := reflect.ValueOf(w.Store)
		called := 0
		for i := range store.NumMethod() {
			name := store.Type().Method(i).Name
			if name == "Close" {
				continue
			}
			for _, number := range []int64{0, 1} {
				if err := call(store.Method(i), number, w.now.AddDate(100, 0, 0)); err != nil && strings.Contains(err.Error(), "forbidden by the test") {
					t.Errorf("%s changes the audit: %v", name, err)
				}
				called++
			}
		}
		if called < 60 {
			t.Errorf("%d calls", called)
		}
		after := w.noted(bridge.AuditQuery{})
		if d := cmp.Diff(before, after[len(after)-len(before):]); d != "" {
			t.Error(d)
		}
		if _, err := raw(t, url).Exec("UPDATE audit SET subject = ''"); err == nil {
			t.Error("the database does not refuse")
		}
	})
}

// call calls a method with every number, text and time the same, and gives its
// error. What it does not survive it has not changed.
func call(method reflect.Value, number int64, at time.Time) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	args := make([]reflect.Value, method.Type().NumIn())
	for i := range args {
		switch kind := method.Type().In(i); {
		case kind == reflect.TypeFor[context.Context]():
			args[i] = reflect.ValueOf(ctx)
		case kind == reflect.TypeFor[time.Time]():
			args[i] = reflect.ValueOf(at)
		case kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Int64:
			args[i] = reflect.Append(reflect.Zero(kind), reflect.ValueOf(number).Convert(kind.Elem()))
		case kind.Kind() == reflect.Int64, kind.Kind() == reflect.Int:
			args[i] = reflect.ValueOf(number).Convert(kind)
		case kind.Kind() == reflect.String:
			args[i] = reflect.ValueOf("x").Convert(kind)
		case kind.Kind() == reflect.Pointer:
			args[i] = reflect.New(kind.Elem())
		default:
			args[i] = reflect.Zero(kind)
		}
	}
	if method.Type().IsVariadic() {
		args = args[:len(args)-1]
	}
	for _, result := range method.Call(args) {
		if e, ok := result.Interface().(error); ok {
			err = e
		}
	}
	return err
}
