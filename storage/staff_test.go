package storage_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deskbridge/author"
	"deskbridge/bridge"
	"deskbridge/staff"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
)

// office is two instances on one database with a clock that the test moves.
type office struct {
	*testing.T
	ctx     context.Context
	a, b    *storage.Store
	regions []bridge.RegionID
	url     string

	mu  sync.Mutex
	now time.Time
}

func (o *office) clock() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

func (o *office) later(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = o.now.Add(d)
}

func (o *office) ok(err error) {
	o.Helper()
	if err != nil {
		o.Fatal(err)
	}
}

func (o *office) wants(err, want error) {
	o.Helper()
	if !errors.Is(err, want) {
		o.Fatalf("error = %v, want %v", err, want)
	}
}

// eachOffice runs a test with two regions and no account, on every dialect.
func eachOffice(t *testing.T, test func(o *office)) {
	t.Helper()
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		actor := bridge.Actor{Kind: bridge.ActorPerson, ID: 99, Name: "boss"}
		o := &office{T: t, ctx: bridge.WithActor(context.Background(), actor), now: start, url: url}
		for _, into := range []**storage.Store{&o.a, &o.b} {
			s, err := storage.Open(t.Context(), storage.Config{URL: url, Key: storagetest.Key, Now: o.clock})
			o.ok(err)
			t.Cleanup(func() { _ = s.Close() })
			*into = s
		}
		for _, slug := range []string{"augsburg", "fulda"} {
			r := &bridge.Region{Slug: slug, Name: slug}
			o.ok(o.a.AddRegion(o.ctx, r))
			o.regions = append(o.regions, r.ID)
		}
		test(o)
	})
}

// add adds a person who can sign in.
func (o *office) add(login string, role staff.Role, regions ...bridge.RegionID) staff.ID {
	o.Helper()
	id, err := o.a.AddStaff(o.ctx, staff.Person{Login: login, Name: strings.ToUpper(login), Role: role, Regions: regions}, "hash of "+login)
	o.ok(err)
	return id
}

func (o *office) of(id staff.ID) *staff.Credentials {
	o.Helper()
	c, err := o.b.StaffByID(o.ctx, id)
	o.ok(err)
	return c
}

// audit gives the newest entries as words, the newest first.
func (o *office) audit(n int) string {
	o.Helper()
	entries, err := o.a.Audit(o.ctx, bridge.AuditQuery{Action: "staff.", Limit: n})
	o.ok(err)
	var lines []string
	for _, e := range entries {
		line := fmt.Sprint(e.Actor.Name, " ", e.Action, " ", e.Subject)
		for _, c := range e.Changes {
			line += fmt.Sprintf(" %s:%s>%s", c.Field, c.From, c.To)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestStaffAreAddedFoundAndListed(t *testing.T) {
	eachOffice(t, func(o *office) {
		some, err := o.a.HasStaff(o.ctx)
		o.ok(err)
		equal(o, "staff before", some, false)
		zoe := staff.Person{Login: "zoe@example.org", Name: "Zoë 😀", Role: staff.RegionAdmin, Regions: []bridge.RegionID{o.regions[1], o.regions[0], o.regions[1]}, Language: "de"}
		id, err := o.a.AddStaff(o.ctx, zoe, "")
		o.ok(err)
		equal(o, "audit", o.audit(1), "boss staff.add zoe@example.org name:>Zoë 😀 role:>admin regions:>augsburg, fulda")
		_, err = o.b.AddStaff(o.ctx, zoe, "")
		o.wants(err, staff.ErrLoginTaken)
		o.add("anna", staff.Operator)

		zoe.ID, zoe.Regions, zoe.CreatedAt = id, o.regions, start
		want := staff.Account{Person: zoe, Epoch: 1}
		for _, find := range []func() (*staff.Credentials, error){
			func() (*staff.Credentials, error) { return o.b.StaffByID(o.ctx, id) },
			func() (*staff.Credentials, error) { return o.b.StaffByLogin(o.ctx, "zoe@example.org") },
		} {
			c, err := find()
			o.ok(err)
			if d := cmp.Diff(&staff.Credentials{Account: want}, c); d != "" {
				o.Fatal(d)
			}
		}
		for _, login := range []string{"ZOE@example.org", "zoe@example.or", ""} {
			_, err = o.a.StaffByLogin(o.ctx, login)
			o.wants(err, staff.ErrNobody)
		}
		_, err = o.a.StaffByID(o.ctx, 4711)
		o.wants(err, staff.ErrNobody)
		_, err = o.a.StaffBySubject(o.ctx, "")
		o.wants(err, staff.ErrNobody)

		all, err := o.b.Staff(o.ctx)
		o.ok(err)
		equal(o, "accounts", len(all), 2)
		equal(o, "first", all[0].Login, "anna")
		equal(o, "her password", all[0].HasPassword, true)
		if d := cmp.Diff(want, all[1]); d != "" {
			o.Fatal(d)
		}
	})
}

func TestChangesOfStaffAreToldToTheSecondWhoSaves(t *testing.T) {
	eachOffice(t, func(o *office) {
		o.add("boss", staff.Operator)
		id := o.add("anna", staff.Viewer, o.regions[0])
		from := o.of(id).Person
		to := from
		to.Name, to.Regions = "Anna B.", o.regions
		o.ok(o.a.ChangeStaff(o.ctx, from, to))
		equal(o, "audit", o.audit(1), "boss staff.change anna name:ANNA>Anna B. regions:augsburg>augsburg, fulda")
		equal(o, "epoch after name and regions", o.of(id).Epoch, 1)
		other := from
		other.Role = staff.RegionAdmin
		o.wants(o.b.ChangeStaff(o.ctx, from, other), staff.ErrChanged)
		equal(o, "role", o.of(id).Role, staff.Viewer)

		from = o.of(id).Person
		other = from
		other.Role = staff.RegionAdmin
		o.ok(o.b.ChangeStaff(o.ctx, from, other))
		equal(o, "epoch after another role", o.of(id).Epoch, 2)
		from = other
		other.Disabled = true
		o.ok(o.b.ChangeStaff(o.ctx, from, other))
		equal(o, "epoch after disabling", o.of(id).Epoch, 3)
		equal(o, "audit", o.audit(1), "boss staff.change anna disabled:false>true")
		o.ok(o.b.ChangeStaff(o.ctx, other, from))
		equal(o, "epoch after enabling", o.of(id).Epoch, 3)
		n := len(o.audit(1000))
		o.ok(o.b.ChangeStaff(o.ctx, from, from))
		equal(o, "audit of nothing", len(o.audit(1000)), n)
		o.wants(o.b.ChangeStaff(o.ctx, staff.Person{ID: 4711}, to), staff.ErrNobody)

		o.ok(o.a.SetStaffLanguage(o.ctx, id, "en"))
		equal(o, "audit", o.audit(1), "boss staff.language anna language:>en")
		o.ok(o.a.RemoveRegion(o.ctx, o.regions[0]))
		equal(o, "regions", fmt.Sprint(o.of(id).Regions), fmt.Sprint(o.regions[1:]))
		o.ok(o.a.RemoveStaff(o.ctx, id))
		equal(o, "audit", o.audit(1), "boss staff.remove anna role:admin>")
		o.wants(o.a.RemoveStaff(o.ctx, id), staff.ErrNobody)
	})
}

func TestTheLastOperatorStays(t *testing.T) {
	eachOffice(t, func(o *office) {
		id := o.add("anna", staff.Operator)
		// Neither counts: one cannot sign in, one may not, one is no operator.
		_, err := o.a.AddStaff(o.ctx, staff.Person{Login: "invited", Name: "I", Role: staff.Operator}, "")
		o.ok(err)
		_, err = o.a.AddStaff(o.ctx, staff.Person{Login: "gone", Name: "G", Role: staff.Operator, Disabled: true}, "hash")
		o.ok(err)
		o.add("admin", staff.RegionAdmin, o.regions[0])
		from := o.of(id).Person
		disabled, demoted := from, from
		disabled.Disabled = true
		demoted.Role, demoted.Regions = staff.RegionAdmin, o.regions
		o.wants(o.a.ChangeStaff(o.ctx, from, disabled), staff.ErrLastOperator)
		o.wants(o.a.ChangeStaff(o.ctx, from, demoted), staff.ErrLastOperator)
		o.wants(o.a.RemoveStaff(o.ctx, id), staff.ErrLastOperator)
		renamed := from
		renamed.Name = "Anna"
		o.ok(o.a.ChangeStaff(o.ctx, from, renamed))

		invited, err := o.a.StaffByLogin(o.ctx, "invited")
		o.ok(err)
		o.ok(o.a.LinkSubject(o.ctx, invited.ID, "https://id.example.org|1"))
		o.ok(o.a.RemoveStaff(o.ctx, id))
		o.wants(o.a.LinkSubject(o.ctx, invited.ID, ""), staff.ErrLastOperator)
	})
}

func TestOperatorsWhoTakeEachOthersRoleAtOnce(t *testing.T) {
	eachOffice(t, func(o *office) {
		for round := range 5 {
			ids := []staff.ID{o.add(fmt.Sprint("a", round), staff.Operator), o.add(fmt.Sprint("b", round), staff.Operator), o.add(fmt.Sprint("c", round), staff.Operator)}
			var group sync.WaitGroup
			errs := make([]error, len(ids))
			for i, id := range ids {
				s := []*storage.Store{o.a, o.b}[i%2]
				from := o.of(id).Person
				to := from
				to.Disabled = true
				group.Go(func() {
					if i == 2 {
						errs[i] = s.RemoveStaff(o.ctx, id)
						return
					}
					errs[i] = s.ChangeStaff(o.ctx, from, to)
				})
			}
			group.Wait()
			refused := 0
			for _, err := range errs {
				if err != nil {
					o.wants(err, staff.ErrLastOperator)
					refused++
				}
			}
			equal(o, "refused", refused, 1)
			for _, id := range ids { // make room for the next three
				if c, err := o.a.StaffByID(o.ctx, id); err == nil {
					o.ok(o.a.Rehash(o.ctx, id, c.Password, ""))
				}
			}
		}
	})
}

func TestTriesAreCountedBeforeTheyAreMade(t *testing.T) {
	eachOffice(t, func(o *office) {
		id := o.add("anna", staff.Viewer, o.regions[0])
		lock := time.Minute
		for n := 1; n <= 14; n++ {
			try, err := o.a.TakeTry(o.ctx, id)
			o.ok(err)
			equal(o, "failures", try.Failures, n)
			if n < staff.LockAfter {
				equal(o, "locked", try.Until, time.Time{})
				continue
			}
			equal(o, fmt.Sprint("lock of failure ", n), try.Until.Sub(o.clock()), lock)
			o.later(lock - time.Millisecond)
			_, err = o.b.TakeTry(o.ctx, id)
			o.wants(err, staff.ErrLocked)
			o.later(time.Millisecond)
			lock = min(2*lock, staff.LockLongest)
		}
		o.ok(o.a.SignedIn(o.ctx, id, 0))
		try, err := o.b.TakeTry(o.ctx, id)
		o.ok(err)
		equal(o, "failures after a sign-in", try.Failures, 1)
		_, err = o.b.TakeTry(o.ctx, 4711)
		o.wants(err, staff.ErrNobody)
	})
}

func TestManyTriesAtOnceAreNoWayAroundTheLock(t *testing.T) {
	eachOffice(t, func(o *office) {
		id := o.add("anna", staff.Viewer, o.regions[0])
		var (
			group sync.WaitGroup
			mu    sync.Mutex
			taken int
		)
		for i := range 40 {
			group.Go(func() {
				_, err := []*storage.Store{o.a, o.b}[i%2].TakeTry(o.ctx, id)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					taken++
				} else if !errors.Is(err, staff.ErrLocked) {
					o.Error(err)
				}
			})
		}
		group.Wait()
		equal(o, "tries that were looked at", taken, staff.LockAfter)
	})
}

func TestATryIsTakenBackOnlyIfItWasTheLast(t *testing.T) {
	eachOffice(t, func(o *office) {
		id := o.add("anna", staff.Viewer, o.regions[0])
		var tries []staff.Try
		for range staff.LockAfter {
			try, err := o.a.TakeTry(o.ctx, id)
			o.ok(err)
			tries = append(tries, try)
		}
		o.ok(o.a.UndoTry(o.ctx, id, tries[1])) // others failed since
		_, err := o.a.TakeTry(o.ctx, id)
		o.wants(err, staff.ErrLocked)
		o.ok(o.a.UndoTry(o.ctx, id, tries[4]))
		try, err := o.a.TakeTry(o.ctx, id)
		o.ok(err)
		equal(o, "failures", try.Failures, staff.LockAfter)
	})
}

func TestAPasswordEndsSessionsLocksAndLinks(t *testing.T) {
	eachOffice(t, func(o *office) {
		id := o.add("anna", staff.Viewer, o.regions[0])
		hash := sha256.Sum256([]byte("link"))
		o.ok(o.a.AddLink(o.ctx, id, hash, start.Add(time.Hour)))
		equal(o, "audit", o.audit(1), "boss staff.link anna")
		for range staff.LockAfter {
			_, err := o.a.TakeTry(o.ctx, id)
			o.ok(err)
		}
		epoch, err := o.b.SetPassword(o.ctx, id, "new hash")
		o.ok(err)
		c := o.of(id)
		equal(o, "password", c.Password, "new hash")
		equal(o, "epoch", c.Epoch, epoch)
		equal(o, "epoch has risen", epoch, 2)
		equal(o, "audit", o.audit(1), "boss staff.password anna")
		_, err = o.a.TakeTry(o.ctx, id)
		o.ok(err)
		_, err = o.a.LinkOwner(o.ctx, hash)
		o.wants(err, staff.ErrLink)

		o.ok(o.a.Rehash(o.ctx, id, "old hash", "rehashed"))
		equal(o, "password of another", o.of(id).Password, "new hash")
		o.ok(o.a.Rehash(o.ctx, id, "new hash", "rehashed"))
		equal(o, "password", o.of(id).Password, "rehashed")
		equal(o, "epoch after rehash", o.of(id).Epoch, 2)
		epoch, err = o.a.EndSessions(o.ctx, id)
		o.ok(err)
		equal(o, "epoch", epoch, 3)
		equal(o, "epoch", o.of(id).Epoch, 3)
		_, err = o.a.SetPassword(o.ctx, 4711, "x")
		o.wants(err, staff.ErrNobody)
	})
}

func TestALinkIsUsedOnceInARace(t *testing.T) {
	eachOffice(t, func(o *office) {
		id := o.add("anna", staff.Viewer, o.regions[0])
		old, hash := sha256.Sum256([]byte("old")), sha256.Sum256([]byte("new"))
		o.ok(o.a.AddLink(o.ctx, id, old, start.Add(time.Hour)))
		o.ok(o.a.AddLink(o.ctx, id, hash, start.Add(time.Hour)))
		_, err := o.a.UseLink(o.ctx, old, "hash")
		o.wants(err, staff.ErrLink)
		owner, err := o.b.LinkOwner(o.ctx, hash)
		o.ok(err)
		equal(o, "owner", owner, id)
		var (
			group sync.WaitGroup
			mu    sync.Mutex
			used  []int
		)
		for i := range 12 {
			group.Go(func() {
				_, err := []*storage.Store{o.a, o.b}[i%2].UseLink(o.ctx, hash, fmt.Sprint("hash ", i))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					used = append(used, i)
				} else if !errors.Is(err, staff.ErrLink) {
					o.Error(err)
				}
			})
		}
		group.Wait()
		equal(o, "uses", len(used), 1)
		equal(o, "password", o.of(id).Password, fmt.Sprint("hash ", used[0]))
		equal(o, "audit", o.audit(1), "anna staff.password anna")

		o.ok(o.a.AddLink(o.ctx, id, hash, start.Add(time.Hour)))
		o.later(time.Hour)
		_, err = o.a.LinkOwner(o.ctx, hash)
		o.wants(err, staff.ErrLink)
		_, err = o.a.UseLink(o.ctx, hash, "late")
		o.wants(err, staff.ErrLink)
		o.wants(o.a.AddLink(o.ctx, 4711, hash, start), staff.ErrNobody)
	})
}

func TestTheFirstAccountIsMadeOnceInARace(t *testing.T) {
	eachOffice(t, func(o *office) {
		var hashes [][32]byte
		for i := range 4 {
			hash := sha256.Sum256([]byte{byte(i)})
			hashes = append(hashes, hash)
			o.ok(o.a.AddLink(o.ctx, 0, hash, start.Add(time.Hour)))
		}
		_, err := o.a.UseLink(o.ctx, hashes[0], "hash") // it has no person
		o.wants(err, staff.ErrLink)
		first := func(i int) staff.Person {
			return staff.Person{Login: fmt.Sprint("first", i), Name: "F", Role: staff.Operator}
		}
		_, err = o.a.UseFirstLink(o.ctx, sha256.Sum256([]byte("guess")), first(0), "hash")
		o.wants(err, staff.ErrLink)
		var (
			group sync.WaitGroup
			mu    sync.Mutex
			made  int
		)
		for i, hash := range slices.Concat(hashes, hashes) {
			group.Go(func() {
				_, err := []*storage.Store{o.a, o.b}[i%2].UseFirstLink(o.ctx, hash, first(i), "hash")
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					made++
				} else if !errors.Is(err, staff.ErrLink) && !errors.Is(err, staff.ErrHasAccounts) {
					o.Error(err)
				}
			})
		}
		group.Wait()
		equal(o, "made", made, 1)
		all, err := o.a.Staff(o.ctx)
		o.ok(err)
		equal(o, "accounts", len(all), 1)
		// One that another instance told just before is worth nothing.
		o.ok(o.a.AddLink(o.ctx, 0, hashes[0], start.Add(time.Hour)))
		_, err = o.a.UseFirstLink(o.ctx, hashes[0], first(9), "hash")
		o.wants(err, staff.ErrHasAccounts)
	})
}

func TestACodeIsTakenOnceInARace(t *testing.T) {
	eachOffice(t, func(o *office) {
		id := o.add("anna", staff.Viewer, o.regions[0])
		before := o.of(id).Epoch
		epoch, err := o.a.SetTOTP(o.ctx, id, "SECRET", 100)
		o.ok(err)
		c := o.of(id)
		equal(o, "epoch", epoch, before+1)
		equal(o, "stored epoch", c.Epoch, epoch)
		equal(o, "secret", string(c.TOTP), "SECRET")
		equal(o, "step", c.TOTPStep, 100)
		equal(o, "audit", o.audit(1), "boss staff.second-factor anna second factor:>set")
		o.wants(o.a.SignedIn(o.ctx, id, 100), staff.ErrCode)
		var (
			group sync.WaitGroup
			mu    sync.Mutex
			taken int
		)
		for i := range 12 {
			group.Go(func() {
				err := []*storage.Store{o.a, o.b}[i%2].SignedIn(o.ctx, id, 101)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					taken++
				} else if !errors.Is(err, staff.ErrCode) {
					o.Error(err)
				}
			})
		}
		group.Wait()
		equal(o, "taken", taken, 1)
		o.wants(o.a.SignedIn(o.ctx, id, 99), staff.ErrCode)
		equal(o, "signed in", o.of(id).SignedInAt, start)
		o.ok(o.a.SignedIn(o.ctx, id, 0)) // by another way than a code
		o.wants(o.a.SignedIn(o.ctx, id, 101), staff.ErrCode)
		_, err = o.a.SetTOTP(o.ctx, id, "", 0)
		o.ok(err)
		equal(o, "second factor", o.of(id).HasTOTP, false)
		equal(o, "audit", o.audit(1), "boss staff.second-factor anna second factor:set>")
	})
}

func TestASecretOpensOnlyForItsPerson(t *testing.T) {
	eachOffice(t, func(o *office) {
		anna, ben := o.add("anna", staff.Viewer, o.regions[0]), o.add("ben", staff.Viewer, o.regions[0])
		_, err := o.a.SetTOTP(o.ctx, anna, "SECRET", 1)
		o.ok(err)
		// Whoever can write the database gives his own secret to somebody else.
		_, err = raw(o.T, o.url).Exec(fmt.Sprintf("UPDATE staff SET totp_secret = (SELECT x.s FROM (SELECT totp_secret AS s FROM staff WHERE id = %d) AS x) WHERE id = %d", anna, ben))
		o.ok(err)
		_, err = o.a.StaffByID(o.ctx, ben)
		o.wants(err, storage.ErrWrongKey)
	})
}

func TestAnIdentityIsLinkedOnceInARace(t *testing.T) {
	eachOffice(t, func(o *office) {
		ids := []staff.ID{o.add("anna", staff.Viewer, o.regions[0]), o.add("ben", staff.Viewer, o.regions[0])}
		var (
			group  sync.WaitGroup
			mu     sync.Mutex
			linked int
		)
		for i := range 8 {
			group.Go(func() {
				err := []*storage.Store{o.a, o.b}[i%2].LinkSubject(o.ctx, ids[i/4], "https://id.example.org|1")
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					linked++
				} else if !errors.Is(err, staff.ErrLinked) {
					o.Error(err)
				}
			})
		}
		group.Wait()
		equal(o, "one person's tries", linked, 4)
		c, err := o.a.StaffBySubject(o.ctx, "https://id.example.org|1")
		o.ok(err)
		o.wants(o.a.LinkSubject(o.ctx, c.ID, "https://id.example.org|2"), staff.ErrLinked)
		o.ok(o.a.LinkSubject(o.ctx, c.ID, ""))
		equal(o, "audit", o.audit(1), "boss staff.identity "+c.Login+" identity:set>")
		for _, id := range ids { // none is unique where there is none
			equal(o, "subject", o.of(id).Subject, "")
		}
		_, err = o.a.StaffBySubject(o.ctx, "https://id.example.org|1")
		o.wants(err, staff.ErrNobody)
	})
}

func TestWhoHasWrittenIsNotRemoved(t *testing.T) {
	eachWorld(t, func(w *world) {
		ann, bob, eve := w.person("ann"), w.person("bob"), w.person("eve")
		room := w.roomOf(ann, author.KindRegion)
		w.write(room.ID, ann, "one")
		_, err := w.Author().MarkRead(w.ctx, room.ID, eve.ID, 1)
		w.ok(err)
		w.thread(ann, bob)
		w.wants(w.RemoveStaff(w.ctx, ann.ID), staff.ErrHasHistory)
		w.wants(w.RemoveStaff(w.ctx, bob.ID), staff.ErrHasHistory) // of a thread, without a word
		w.ok(w.RemoveStaff(w.ctx, eve.ID))                         // has only read
		c, err := w.StaffByID(w.ctx, ann.ID)
		w.ok(err)
		equal(w, "regions of who stays", len(c.Regions), 1)
	})
}

// TestStaffIsFoundByIndex: what every page of the console asks reads no table
// through.
func TestStaffIsFoundByIndex(t *testing.T) {
	database := storagetest.SQLite(t)
	storagetest.OpenURL(t, database)
	for _, query := range []string{
		"SELECT data FROM sessions WHERE token = 'x' AND expires > 1",
		"SELECT x.t FROM (SELECT expires AS t FROM sessions WHERE expires < 5 ORDER BY expires LIMIT 500) AS x",
		"SELECT id FROM staff WHERE id = 1", "SELECT id FROM staff WHERE login = 'x'", "SELECT id FROM staff WHERE subject = 'x'",
		"SELECT region_id FROM staff_regions WHERE staff_id = 1 ORDER BY region_id",
		"SELECT staff_id FROM staff_links WHERE token_hash = x'00' AND expires > 1",
	} {
		var plan string
		rows, err := raw(t, database).Query("EXPLAIN QUERY PLAN " + query)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var id, parent, unused int
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				t.Fatal(err)
			}
			plan += step + "\n"
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(plan, "SCAN sessions") || strings.Contains(plan, "SCAN staff") {
			t.Errorf("%s:\n%s", query, plan)
		}
	}
}

// TestTimesOfAnAccount: when what proves a person was renewed, and when the person
// signed in, is stored with the change itself.
func TestTimesOfAnAccount(t *testing.T) {
	eachOffice(t, func(o *office) {
		id := o.add("anna", staff.Viewer, o.regions[0])
		if all := o.of(id).Renewals(); len(all) != 0 {
			t.Fatalf("renewed at the beginning: %v", all)
		}
		for proof, renew := range map[staff.Proof]func() error{
			staff.ProofPassword: func() error { _, err := o.a.SetPassword(o.ctx, id, "another"); return err },
			staff.ProofFactor:   func() error { _, err := o.a.SetTOTP(o.ctx, id, "SECRET", 1); return err },
			staff.ProofIdentity: func() error { return o.a.LinkSubject(o.ctx, id, "issuer|anna") },
		} {
			o.later(time.Minute)
			o.ok(renew())
			equal(o, "the latest", o.of(id).Renewals()[0], staff.Renewal{Proof: proof, At: o.clock()})
		}
		o.ok(o.a.Rehash(o.ctx, id, "another", "the same anew"))
		before := o.of(id).PasswordAt
		o.later(time.Minute)
		first := o.clock()
		o.ok(o.a.SignedIn(o.ctx, id, 0))
		equal(o, "sign-in before the first", o.of(id).SignedInBefore, time.Time{})
		o.later(time.Minute)
		o.ok(o.a.SignedIn(o.ctx, id, 0))
		c := o.of(id)
		equal(o, "sign-in before", c.SignedInBefore, first)
		equal(o, "sign-in", c.SignedInAt, o.clock())
		equal(o, "password", c.PasswordAt, before)
	})
}
