package storage_test

import (
	"database/sql"
	"errors"
	"fmt"
	"regexp"
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

// never is before every message.
var never = time.UnixMilli(1)

func (w *world) person(login string) author.Colleague {
	w.Helper()
	id, err := w.AddStaff(w.ctx, staff.Person{Login: login, Name: strings.ToUpper(login), Role: staff.Viewer, Regions: []bridge.RegionID{w.region.ID}}, "")
	w.ok(err)
	return author.Colleague{ID: id, Name: strings.ToUpper(login)}
}

func (w *world) disable(who author.Colleague) {
	w.Helper()
	c, err := w.StaffByID(w.ctx, who.ID)
	w.ok(err)
	to := c.Person
	to.Disabled = true
	w.ok(w.ChangeStaff(w.ctx, c.Person, to))
}

func (w *world) views(who author.Colleague) []author.View {
	w.Helper()
	views, err := w.Author().Views(w.ctx, who.ID, []bridge.RegionID{w.region.ID}, never, w.now)
	w.ok(err)
	return views
}

// roomOf gives the view of the one room of a kind.
func (w *world) roomOf(who author.Colleague, kind author.Kind) author.View {
	w.Helper()
	views := w.views(who)
	i := slices.IndexFunc(views, func(v author.View) bool { return v.Kind == kind })
	if i < 0 {
		w.Fatalf("no room %s in %v", kind, views)
	}
	return views[i]
}

func (w *world) thread(a, b author.Colleague) author.Room {
	w.Helper()
	pair, err := author.NewThread(a.ID, b.ID)
	w.ok(err)
	room, err := w.Author().OpenThread(w.ctx, pair, w.now)
	w.ok(err)
	return room
}

func (w *world) write(room author.RoomID, by author.Colleague, text string) author.Message {
	w.Helper()
	m, _, err := w.Author().Add(w.ctx, author.Draft{Room: room, By: by, Text: text, Now: w.tick()})
	w.ok(err)
	return m
}

func (w *world) texts(room author.RoomID) []string {
	w.Helper()
	all, err := w.Author().History(w.ctx, room, 0, never, 1000)
	w.ok(err)
	texts := []string{}
	for _, m := range all {
		texts = append(texts, m.Text)
	}
	return texts
}

func TestRoomsAreMadeOnceAndMessagesCounted(t *testing.T) {
	eachWorld(t, func(w *world) {
		ann, bob := w.person("ann"), w.person("bob")
		var racing sync.WaitGroup
		for range 8 {
			racing.Go(func() {
				if _, err := w.Author().Views(w.ctx, ann.ID, []bridge.RegionID{w.region.ID, 99}, never, w.now); err != nil {
					t.Error(err)
				}
			})
		}
		racing.Wait()
		equal(w, "rooms", len(w.views(ann)), 2) // none for a region that is not there
		room := w.roomOf(ann, author.KindRegion)
		first := w.write(room.ID, bob, "one")
		w.write(room.ID, bob, "two")
		w.write(room.ID, ann, "mine")
		v := w.roomOf(ann, author.KindRegion)
		equal(w, "unread", v.Unread, 2)
		equal(w, "last", v.LastMessageAt, w.now)
		moved, err := w.Author().MarkRead(w.ctx, room.ID, ann.ID, first.Seq)
		w.ok(err)
		equal(w, "moved", moved, true)
		equal(w, "unread", w.roomOf(ann, author.KindRegion).Unread, 1)
		_, err = w.Author().MarkRead(w.ctx, room.ID, ann.ID, 999)
		w.ok(err)
		equal(w, "read", w.roomOf(ann, author.KindRegion).Read, 3) // not what is still to come
		moved, err = w.Author().MarkRead(w.ctx, room.ID, ann.ID, first.Seq)
		w.ok(err)
		equal(w, "moved back", moved, false)
		equal(w, "unread", w.roomOf(ann, author.KindRegion).Unread, 0)
		equal(w, "unread of the other", w.roomOf(bob, author.KindRegion).Unread, 1)
		if d := cmp.Diff([]string{"mine", "two", "one"}, w.texts(room.ID)); d != "" {
			t.Fatal(d)
		}
		page, err := w.Author().History(w.ctx, room.ID, 3, never, 1)
		w.ok(err)
		equal(w, "page", page[0].Text, "two")
		for range author.MaxUnread + 5 {
			w.write(room.ID, bob, "more")
		}
		equal(w, "unread", w.roomOf(ann, author.KindRegion).Unread, author.MaxUnread)
	})
}

func TestAThreadIsOneWhateverRaces(t *testing.T) {
	eachWorld(t, func(w *world) {
		ann, bob, cleo := w.person("ann"), w.person("bob"), w.person("cleo")
		ids := make([]author.RoomID, 16)
		var racing sync.WaitGroup
		for i := range ids {
			racing.Go(func() {
				pair, err := author.NewThread(ann.ID, bob.ID)
				if i%2 == 0 {
					pair, err = author.NewThread(bob.ID, ann.ID)
				}
				if err != nil {
					t.Error(err)
				}
				room, err := w.Author().OpenThread(w.ctx, pair, w.now)
				if err != nil {
					t.Error(err)
				}
				ids[i] = room.ID
			})
		}
		racing.Wait()
		equal(w, "threads", len(slices.Compact(ids)), 1)
		w.write(ids[0], ann, "hello")
		v := w.roomOf(bob, author.KindThread)
		equal(w, "other", v.Other, ann)
		equal(w, "unread", v.Unread, 1)
		equal(w, "unread of the author", w.roomOf(ann, author.KindThread).Unread, 0)
		equal(w, "rooms of a third", len(w.views(cleo)), 2)
		if _, err := author.NewThread(ann.ID, ann.ID); !errors.Is(err, author.ErrThreadSelf) {
			t.Fatal(err)
		}

		w.disable(bob)
		v = w.roomOf(ann, author.KindThread)
		equal(w, "read-only", v.ReadOnly(), true)
		equal(w, "same thread", w.thread(ann, bob).ID, ids[0]) // still there to read
		_, _, err := w.Author().Add(w.ctx, author.Draft{Room: ids[0], By: ann, Text: "x", Now: w.now})
		w.wants(err, author.ErrReadOnly)
		pair, err := author.NewThread(cleo.ID, bob.ID)
		w.ok(err)
		_, err = w.Author().OpenThread(w.ctx, pair, w.now)
		w.wants(err, author.ErrPersonNotFound)
		all, err := w.Author().Colleagues(w.ctx)
		w.ok(err)
		if d := cmp.Diff([]author.Colleague{ann, cleo}, all); d != "" {
			t.Fatal(d)
		}
		w.wants(w.RemoveStaff(w.ctx, ann.ID), staff.ErrHasHistory)
		w.wants(w.RemoveStaff(w.ctx, bob.ID), staff.ErrHasHistory) // has written nothing, but others refer to it
	})
}

func TestARepeatedMessageIsOne(t *testing.T) {
	eachWorld(t, func(w *world) {
		ann, bob := w.person("ann"), w.person("bob")
		room := w.roomOf(ann, author.KindAll)
		draft := author.Draft{Room: room.ID, By: ann, Text: "once", Key: "k", Now: w.now}
		ids := make([]author.MessageID, 12)
		var racing sync.WaitGroup
		for i := range ids {
			racing.Go(func() {
				m, _, err := w.Author().Add(w.ctx, draft)
				if err != nil {
					t.Error(err)
				}
				ids[i] = m.ID
			})
		}
		racing.Wait()
		equal(w, "messages", len(slices.Compact(ids)), 1)
		draft.By = bob // the same key of somebody else is another
		m, r, err := w.Author().Add(w.ctx, draft)
		w.ok(err)
		equal(w, "seq", m.Seq, 2)
		equal(w, "seq of the room", r.Seq, 2)
		draft.Text = "other"
		_, _, err = w.Author().Add(w.ctx, draft)
		w.wants(err, bridge.ErrKeyReused)
		draft.Room = 77
		_, _, err = w.Author().Add(w.ctx, draft)
		w.wants(err, author.ErrRoomNotFound)
	})
}

// TestEachChangeHasASeqOfItsOwn, whatever races, and a reader in the middle sees
// all that the room's Seq counts.
func TestEachChangeHasASeqOfItsOwn(t *testing.T) {
	eachWorld(t, func(w *world) {
		ann, bob := w.person("ann"), w.person("bob")
		room := w.thread(ann, bob)
		const writers, each = 6, 12
		var racing sync.WaitGroup
		for n := range writers {
			racing.Go(func() {
				by := []author.Colleague{ann, bob}[n%2]
				for i := range each {
					m, r, err := w.Author().Add(w.ctx, author.Draft{Room: room.ID, By: by, Text: "x", Now: w.now})
					if err == nil && m.Seq != r.Seq {
						err = fmt.Errorf("the message has %d, the room %d", m.Seq, r.Seq)
					}
					if err == nil && i%3 == 0 {
						_, err = w.Author().Delete(w.ctx, author.Deletion{Room: room.ID, Message: m.ID, By: by.ID, Now: w.now})
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		told := map[author.MessageID]bool{} // and whether it is deleted
		for cursor, last := bridge.Seq(0), bridge.Seq(writers*each*4/3); cursor < last; {
			changes, err := w.Author().Changes(w.ctx, room.ID, cursor, 7)
			w.ok(err)
			for _, m := range changes.Messages {
				if m.Seq <= cursor || m.Seq > changes.Seq {
					t.Fatalf("after %d up to %d came %d", cursor, changes.Seq, m.Seq)
				}
				cursor, told[m.ID] = m.Seq, m.Deleted
			}
			cursor = changes.Seq
		}
		racing.Wait()
		deleted := 0
		for _, gone := range told {
			if gone {
				deleted++
			}
		}
		equal(w, "messages", len(told)-deleted, len(w.texts(room.ID)))
		equal(w, "left", len(w.texts(room.ID)), writers*each*2/3)
	})
}

func TestDeletingEmptiesAndIsAudited(t *testing.T) {
	eachWorld(t, func(w *world) {
		ann, bob := w.person("ann"), w.person("bob")
		room := w.roomOf(ann, author.KindRegion)
		one, two := w.write(room.ID, ann, "secret one"), w.write(room.ID, ann, "secret two")
		w.ctx = bridge.WithActor(w.ctx, bridge.Actor{Kind: bridge.ActorPerson, ID: int64(bob.ID), Name: "bob"})
		deletion := author.Deletion{Room: room.ID, Message: one.ID, By: bob.ID, Now: w.tick()}
		_, err := w.Author().Delete(w.ctx, deletion)
		w.wants(err, author.ErrNotYours)
		deletion.Others = true
		r, err := w.Author().Delete(w.ctx, deletion)
		w.ok(err)
		equal(w, "seq", r.Seq, 3)
		r, err = w.Author().Delete(w.ctx, deletion) // again
		w.ok(err)
		equal(w, "seq", r.Seq, 3)
		_, err = w.Author().Delete(w.ctx, author.Deletion{Room: room.ID, Message: two.ID, By: ann.ID, Now: w.tick()})
		w.ok(err)
		deletion.Message = 999
		_, err = w.Author().Delete(w.ctx, deletion)
		w.wants(err, author.ErrMessageNotFound)
		other := w.roomOf(ann, author.KindAll)
		_, err = w.Author().Delete(w.ctx, author.Deletion{Room: other.ID, Message: two.ID, By: ann.ID, Now: w.now})
		w.wants(err, author.ErrMessageNotFound) // by way of another room

		equal(w, "left", len(w.texts(room.ID)), 0)
		changes, err := w.Author().Changes(w.ctx, room.ID, 1, 10)
		w.ok(err)
		want := author.Changes{Seq: 4, Messages: []author.Message{
			{ID: one.ID, Room: room.ID, Seq: 3, Author: ann.ID, AuthorName: "ANN", CreatedAt: one.CreatedAt, Deleted: true},
			{ID: two.ID, Room: room.ID, Seq: 4, Author: ann.ID, AuthorName: "ANN", CreatedAt: two.CreatedAt, Deleted: true},
		}}
		if d := cmp.Diff(want, changes); d != "" {
			t.Fatal(d)
		}
		entries, err := w.Audit(w.ctx, bridge.AuditQuery{Action: "author.", Limit: 10})
		w.ok(err)
		equal(w, "entries", len(entries), 1)
		e := entries[0]
		equal(w, "region", e.Region, w.region.ID)
		equal(w, "entry", fmt.Sprint(e.Actor.Name, " ", e.Action, " ", e.Subject, " ", e.Changes), fmt.Sprintf("bob author.delete message %d [{author ANN }]", one.ID))
	})
}

func TestPruneOfRoomsRemovesWhatTheDryRunCounted(t *testing.T) {
	eachWorld(t, func(w *world) {
		ann, bob, cleo := w.person("ann"), w.person("bob"), w.person("cleo")
		old, young := w.thread(ann, bob), w.thread(ann, cleo)
		room := w.roomOf(ann, author.KindAll)
		last := w.write(old.ID, ann, "old")
		for i := range 601 { // more than a step
			last = w.write(room.ID, bob, fmt.Sprint(i))
		}
		_, err := w.Author().MarkRead(w.ctx, old.ID, bob.ID, 1)
		w.ok(err)
		cut := w.tick()
		w.write(room.ID, bob, "young")
		w.write(young.ID, ann, "young")
		empty := w.thread(bob, cleo) // just opened
		for _, dry := range []bool{true, true, false} {
			messages, threads, err := w.Author().Prune(w.ctx, cut, dry)
			w.ok(err)
			equal(w, "messages", messages, 602)
			equal(w, "threads", threads, 1)
		}
		messages, threads, err := w.Author().Prune(w.ctx, cut, false)
		w.ok(err)
		equal(w, "again", messages+threads, 0)
		if d := cmp.Diff([]string{"young"}, w.texts(room.ID)); d != "" {
			t.Fatal(d)
		}
		_, err = w.Author().Room(w.ctx, old.ID)
		w.wants(err, author.ErrRoomNotFound)
		_, err = w.Author().Room(w.ctx, empty.ID)
		w.ok(err)
		r, err := w.Author().Room(w.ctx, room.ID)
		w.ok(err)
		equal(w, "pruned", r.Pruned, last.Seq)
		if again := w.thread(bob, ann); again.ID == old.ID {
			t.Fatal("the number of a room that is gone was used again")
		}
	})
}

func TestARemovedRegionTakesItsRoom(t *testing.T) {
	eachWorld(t, func(w *world) {
		ann := w.person("ann")
		other := w.addRegion("ulm", "https://zammad.example.test")
		_, err := w.Author().Views(w.ctx, ann.ID, []bridge.RegionID{other.ID}, never, w.now)
		w.ok(err)
		views, err := w.Author().Views(w.ctx, ann.ID, []bridge.RegionID{other.ID}, never, w.now)
		w.ok(err)
		room := views[slices.IndexFunc(views, func(v author.View) bool { return v.Region == other.ID })]
		for i := range 505 {
			w.write(room.ID, ann, fmt.Sprint(i))
		}
		_, err = w.Author().MarkRead(w.ctx, room.ID, ann.ID, 3)
		w.ok(err)
		w.ok(w.RemoveRegion(w.ctx, other.ID))
		_, err = w.Author().Room(w.ctx, room.ID)
		w.wants(err, author.ErrRoomNotFound)
		equal(w, "messages", len(w.texts(room.ID)), 0)
	})
}

func TestChangesOfRoomsAreSeenByOtherInstances(t *testing.T) {
	eachWorld(t, func(w *world) {
		ann, bob := w.person("ann"), w.person("bob")
		room, thread := w.roomOf(ann, author.KindRegion), w.thread(ann, bob)
		w.write(room.ID, ann, "x")
		since := w.tick()
		w.write(thread.ID, ann, "x")
		r, err := w.Author().Room(w.ctx, thread.ID)
		w.ok(err)
		changes, err := w.ChangedSince(w.ctx, since)
		w.ok(err)
		if d := cmp.Diff(r.News(), changes); d != "" || len(changes) != 2 {
			t.Fatal(d, changes)
		}
	})
}

// TestUnreadIsCountedInManyRooms, more than one query counts.
func TestUnreadIsCountedInManyRooms(t *testing.T) {
	eachWorld(t, func(w *world) {
		ann := w.person("ann")
		for i := range 37 {
			other := w.person(fmt.Sprint("other", i))
			room := w.thread(ann, other)
			for range i % 4 {
				w.write(room.ID, other, "x")
			}
		}
		got := map[string]int{}
		for _, v := range w.views(ann) {
			if v.Kind == author.KindThread {
				got[v.Other.Name] = v.Unread
			}
		}
		for i := range 37 {
			equal(w, fmt.Sprint("unread of ", i), got[fmt.Sprint("OTHER", i)], i%4)
		}
	})
}

// TestRoomsAreReadByIndex: no query of the chat looks at all messages.
func TestRoomsAreReadByIndex(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		s := storagetest.OpenURL(t, url)
		w := newWorld(t, s)
		ann := w.person("ann")
		for i := range 30 { // MySQL reads small tables whole
			room := w.thread(ann, w.person(fmt.Sprint("other", i)))
			for range 20 {
				w.write(room.ID, ann, "x")
			}
		}
		db := raw(t, url)
		defer db.Close()
		explain := "EXPLAIN "
		if strings.HasPrefix(url, "sqlite") {
			explain = "EXPLAIN QUERY PLAN "
		} else if _, err := db.Exec("ANALYZE TABLE author_messages, author_rooms"); err != nil {
			t.Fatal(err)
		}
		for _, query := range []string{
			"SELECT m.text FROM author_messages m WHERE m.room_id = 3 AND m.seq < 9 AND m.deleted = 0 AND m.created_at >= 5 ORDER BY m.seq DESC LIMIT 51",
			"SELECT m.text FROM author_messages m WHERE m.room_id = 3 AND m.seq > 18 AND m.seq <= 20 ORDER BY m.seq LIMIT 100",
			"SELECT COUNT(*) FROM (SELECT 1 FROM author_messages WHERE room_id = 3 AND seq > 18 AND author_id <> 7 AND deleted = 0 AND created_at >= 5 LIMIT 100) x",
			"SELECT room_id FROM author_messages WHERE created_at < 5 ORDER BY created_at LIMIT 1",
			"SELECT id FROM author_rooms WHERE changed_at >= 9999999999999",
		} {
			if found := plan(t, db, explain+query); strings.Contains(found, "SCAN author") || strings.Contains(found, "SCAN m") || wholeTable.MatchString(found) {
				t.Errorf("%s:\n%s", query, found)
			}
		}
		query, args := storage.ViewsQuery(ann.ID, []bridge.RegionID{w.region.ID}, never)
		if found := plan(t, db, explain+query, args...); strings.Contains(found, "SCAN m") || strings.Contains(found, "SCAN r\n") || wholeTable.MatchString(found) {
			t.Errorf("rooms of a person:\n%s", found)
		}
	})
}

// wholeTable is a table that MySQL reads whole; <derived2> is none.
var wholeTable = regexp.MustCompile(`(?m) (m|author_\w+) ALL `)

// plan gives how a database would answer a query, a line for each row.
func plan(t *testing.T, db *sql.DB, explain string, args ...any) string {
	t.Helper()
	rows, err := db.Query(explain, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			out.WriteString(v.String + " ")
		}
		out.WriteString("\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
