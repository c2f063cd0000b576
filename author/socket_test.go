package author_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"deskbridge/author"
	"deskbridge/bridge"
	"deskbridge/staff"
	"deskbridge/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func redisURL(t *testing.T) string {
	t.Helper()
	url := os.Getenv("DESKBRIDGE_TEST_REDIS")
	if url == "" && os.Getenv("DESKBRIDGE_TEST_REQUIRED") != "" {
		t.Fatal("DESKBRIDGE_TEST_REDIS is not set, but the full suite is required")
	}
	return url
}

// TestTwoInstances: what is written at one is told at the other, over Redis and
// without it; a new thread finds whom it concerns; nobody else hears of it.
func TestTwoInstances(t *testing.T) {
	t.Parallel()
	for name, redis := range map[string]string{"redis": redisURL(t), "look": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "redis" && redis == "" {
				t.Skip("DESKBRIDGE_TEST_REDIS does not name a Redis")
			}
			w := newWorld(t, storagetest.MySQL(t), redis, 2, 0)
			one, two := w.instances[0], w.instances[1]
			ann, bob := w.person("ann", staff.RegionAdmin, w.regions[0]), w.person("bob", staff.Viewer, w.regions...)
			boss := w.person("boss", staff.Operator)
			north := one.room(ann, "north")
			atTwo, third := w.window(bob), w.window(boss)
			w.ok(atTwo.open(two, nil))
			w.ok(third.open(two, nil))
			defer atTwo.close()
			defer third.close()
			eventually(t, "both know the room", func() bool { return atTwo.unread(north.ID) == 0 && third.unread(north.ID) == 0 })
			sent := one.send(ann, north.ID, "hello https://a.example")
			eventually(t, "both are told", func() bool { return len(atTwo.shows(north.ID)) == 1 && len(third.shows(north.ID)) == 1 })
			eventually(t, "it is unread", func() bool { return atTwo.unread(north.ID) == 1 })
			thread, err := one.chat.OpenThread(t.Context(), ann, bob.ID)
			w.ok(err)
			one.send(ann, thread, "psst")
			eventually(t, "the other of the two is told", func() bool { return len(atTwo.shows(thread)) == 1 })
			w.ok(one.chat.Delete(t.Context(), ann, north.ID, sent.ID))
			eventually(t, "it is deleted", func() bool { return len(atTwo.shows(north.ID)) == 0 && atTwo.unread(north.ID) == 0 })
			one.send(ann, one.room(ann, "all").ID, "last")
			all := one.room(ann, "all").ID
			eventually(t, "the third is up to date", func() bool { return len(third.shows(all)) == 1 })
			if third.unread(thread) >= 0 || len(third.shows(thread)) > 0 {
				t.Error("a third person was told of a thread")
			}
			if _, _, err := one.chat.History(t.Context(), boss, thread, 0); !errors.Is(err, author.ErrRoomNotFound) {
				t.Errorf("an operator reads a thread of others: %v", err)
			}
		})
	}
}

// TestReadMarksReachOtherWindows of the same person, and of nobody else.
func TestReadMarksReachOtherWindows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t), "", 1, 0)
	i := w.instances[0]
	ann, bob := w.person("ann", staff.Viewer), w.person("bob", staff.Viewer)
	room := i.room(ann, "all")
	one, two := w.window(bob), w.window(bob)
	w.ok(one.open(i, nil))
	w.ok(two.open(i, nil))
	defer one.close()
	defer two.close()
	m := i.send(ann, room.ID, "hello")
	eventually(t, "unread in both", func() bool { return one.unread(room.ID) == 1 && two.unread(room.ID) == 1 })
	w.ok(i.chat.MarkRead(t.Context(), bob, room.ID, m.Seq))
	eventually(t, "read in both", func() bool { return one.unread(room.ID) == 0 && two.unread(room.ID) == 0 })
	views, err := i.chat.Rooms(t.Context(), ann)
	w.ok(err)
	for _, v := range views {
		if v.Unread != 0 {
			t.Errorf("%d unread for the author", v.Unread)
		}
	}
}

// TestWhoMayOpenASocket: only pages of the console itself, only clients that
// upgrade, and so many for each person.
func TestWhoMayOpenASocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t), "", 1, 0)
	i := w.instances[0]
	ann := w.person("ann", staff.Viewer)
	for origin, want := range map[string]string{
		"https://evil.example": "403", "null": "403", "": "403", "http://evil.example/" + i.host: "403", "file://" + i.host: "403",
		"http://" + i.host: "", "https://" + i.host: "", "https://console.example": "", // behind proxies
		"http://console.example": "403",
	} {
		b := w.window(ann)
		err := b.open(i, http.Header{"Origin": {origin}})
		b.close()
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("origin %q: %v, want %q", origin, err, want)
		}
	}
	var windows []*window
	eventually(t, "the last ones are gone", func() bool { return i.marks.Watched() == 0 })
	for range 4 {
		b := w.window(ann)
		w.ok(b.open(i, nil))
		windows = append(windows, b)
	}
	if err := w.window(ann).open(i, nil); err == nil || !strings.HasPrefix(err.Error(), "429") {
		t.Errorf("a fifth window: %v", err)
	}
	for _, b := range windows {
		b.close()
	}
	for query, want := range map[string]int{"": http.StatusUpgradeRequired, "?since=1.x": http.StatusBadRequest} {
		request, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+i.host+"/socket/"+query, nil)
		w.ok(err)
		request.Header.Set("X-Person", fmt.Sprint(ann.ID))
		response, err := http.DefaultClient.Do(request)
		w.ok(err)
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%q: %d", query, response.StatusCode)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestSignedOutPeopleLoseTheSocket, and rights that are taken take rooms.
func TestSignedOutPeopleLoseTheSocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t), "", 1, 0)
	i := w.instances[0]
	author.Hasten(i.sockets, 200*time.Millisecond, 10*time.Second)
	ann, bob := w.person("ann", staff.Viewer, w.regions...), w.person("bob", staff.Viewer, w.regions...)
	boss := w.person("boss", staff.Operator)
	north, south := i.room(boss, "north").ID, i.room(boss, "south").ID
	b, other := w.window(ann), w.window(bob)
	w.ok(b.open(i, nil))
	w.ok(other.open(i, nil))
	defer other.close()
	eventually(t, "the rooms are known", func() bool { return b.unread(north) == 0 && b.unread(south) == 0 })
	w.change(ann, func(p *staff.Person) { p.Regions = p.Regions[:1] })
	eventually(t, "one room is gone", func() bool { return b.unread(north) == 0 && b.unread(south) == -1 })
	i.send(boss, south, "not for ann")
	i.send(boss, north, "for ann")
	eventually(t, "the room that is left is told of", func() bool { return len(b.shows(north)) == 1 })
	if got := b.shows(south); len(got) > 0 {
		t.Errorf("told of a region that is not theirs any more: %q", got)
	}
	ann.Regions = ann.Regions[:1]
	w.change(ann, func(p *staff.Person) { p.Disabled = true })
	select {
	case <-b.ended:
	case <-time.After(30 * time.Second):
		t.Fatal("a disabled person keeps the socket")
	}
	if b.code != 4001 {
		t.Errorf("closed with %d", b.code)
	}
	if err := b.open(i, nil); err == nil || !strings.HasPrefix(err.Error(), "401") {
		t.Errorf("a disabled person opens a socket: %v", err)
	}
	i.send(boss, north, "still there")
	eventually(t, "others are still told", func() bool { return len(other.shows(north)) == 2 })
}

// TestASlowWindowCostsOnlyItself: it is cut, while another is told at once.
func TestASlowWindowCostsOnlyItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t), "", 1, 0)
	i := w.instances[0]
	author.Hasten(i.sockets, time.Minute, 500*time.Millisecond)
	ann, bob, cleo := w.person("ann", staff.Viewer), w.person("bob", staff.Viewer), w.person("cleo", staff.Viewer)
	room := i.room(ann, "all").ID
	b := w.window(bob)
	w.ok(b.open(i, nil))
	defer b.close()
	eventually(t, "one window", func() bool { return b.unread(room) == 0 })
	conn, err := net.Dial("tcp", i.host)
	w.ok(err)
	defer conn.Close()
	w.ok(conn.(*net.TCPConn).SetReadBuffer(4 << 10))
	_, err = io.WriteString(conn, "GET /socket/ HTTP/1.1\r\nHost: "+i.host+"\r\nOrigin: http://"+i.host+"\r\nX-Person: "+fmt.Sprint(cleo.ID)+
		"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n")
	w.ok(err)
	eventually(t, "the slow one is there", func() bool { return i.marks.Watched() == 3 })
	sent := 0
	eventually(t, "the slow one was cut", func() bool {
		i.send(ann, room, strings.Repeat("x", author.MaxText))
		sent++
		eventually(t, "the other is told", func() bool { return len(b.shows(room)) == sent })
		return i.marks.Watched() == 2 // the feed of all, and the one of who reads
	})
}

// TestStopTellsWindowsToComeBack, and they go on where they were at another
// instance.
func TestStopTellsWindowsToComeBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.MySQL(t), "", 2, 0)
	one, two := w.instances[0], w.instances[1]
	ann, bob := w.person("ann", staff.Viewer), w.person("bob", staff.Viewer)
	room := one.room(ann, "all").ID
	b := w.window(bob)
	b.heard = make(chan wireFrame, 100)
	w.ok(b.open(one, nil))
	eventually(t, "there", func() bool { return b.unread(room) == 0 }) // what is older than its first look is not told
	two.send(ann, room, "1")
	eventually(t, "told", func() bool { return len(b.shows(room)) == 1 })
	one.stop()
	<-b.ended
	var last wireFrame
	for len(b.heard) > 0 {
		last = <-b.heard
	}
	if last.Type != "bye" || last.RetryMS < 1000 || b.code != 1001 {
		t.Errorf("the last word is %v, closed with %d", last, b.code)
	}
	two.send(ann, room, "2")
	w.ok(b.open(two, nil))
	defer b.close()
	eventually(t, "goes on", func() bool { return slices.Equal(b.shows(room), []string{"1", "2"}) })
}

// TestResetWhereMessagesAreGone: a window from before a removal forgets what it
// shows.
func TestResetWhereMessagesAreGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t), "", 1, 0)
	i := w.instances[0]
	ann, bob := w.person("ann", staff.Viewer), w.person("bob", staff.Viewer)
	room := i.room(ann, "all").ID
	b := w.window(bob)
	w.ok(b.open(i, nil))
	eventually(t, "there", func() bool { return b.unread(room) == 0 })
	i.send(ann, room, "old")
	eventually(t, "told", func() bool { return len(b.shows(room)) == 1 })
	b.close()
	i.send(ann, room, "older than a month, too")
	w.ahead.Store(int64(31 * 24 * time.Hour))
	counts, err := i.chat.Prune(t.Context(), false)
	w.ok(err)
	if counts["author_messages"] != 2 {
		t.Errorf("%v", counts)
	}
	i.send(ann, room, "new")
	w.ok(b.open(i, nil))
	defer b.close()
	eventually(t, "only the new one is shown", func() bool { return slices.Equal(b.shows(room), []string{"new"}) && b.resets == 1 })
}

// TestWritingHasLimits: of text, keys and speed.
func TestWritingHasLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t), "", 1, 3)
	i := w.instances[0]
	ann, bob := w.person("ann", staff.Viewer), w.person("bob", staff.Viewer)
	room := i.room(ann, "all").ID
	for _, tc := range []struct {
		text, key string
		want      error
	}{
		{"", "", bridge.ErrMessageEmpty}, {" \u200b\n", "", bridge.ErrMessageEmpty}, {strings.Repeat("ä", author.MaxText+1), "", bridge.ErrMessageTooLong},
		{"\x00", "", bridge.ErrMessageText}, {"\xff", "", bridge.ErrMessageText}, {"x", "a b", bridge.ErrKey}, {"x", strings.Repeat("k", 201), bridge.ErrKey},
	} {
		if _, err := i.chat.Send(t.Context(), ann, room, tc.text, tc.key); !errors.Is(err, tc.want) {
			t.Errorf("%.10q, %.10q: %v", tc.text, tc.key, err)
		}
	}
	m, err := i.chat.Send(t.Context(), ann, room, strings.Repeat("ä", author.MaxText-1)+"\x07\r\n", "k")
	if err != nil || m.Text != strings.Repeat("ä", author.MaxText-1)+"\n" {
		t.Errorf("%.10q %v", m.Text, err)
	}
	again, err := i.chat.Send(t.Context(), ann, room, strings.Repeat("ä", author.MaxText-1)+"\n", "k")
	if err != nil || again.ID != m.ID {
		t.Errorf("a repeated message is %v, %v", again.ID, err)
	}
	i.send(ann, room, "third")
	if _, err := i.chat.Send(t.Context(), ann, room, "fourth", ""); !errors.Is(err, bridge.ErrRateLimited) {
		t.Errorf("a fourth: %v", err)
	}
	i.send(bob, room, "of somebody else")
}

// TestNothingIsLostDoubledOrOutOfOrder, however people write, delete, lose their
// connection and come back, at whichever instance.
func TestNothingIsLostDoubledOrOutOfOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.MySQL(t), "", 2, 0)
	people := []*staff.Person{w.person("ann", staff.Operator), w.person("bob", staff.Viewer, w.regions...), w.person("cleo", staff.RegionAdmin, w.regions[0])}
	thread, err := w.instances[0].chat.OpenThread(t.Context(), people[0], people[1].ID)
	w.ok(err)
	rooms := []author.RoomID{w.instances[0].room(people[0], "all").ID, w.instances[0].room(people[0], "north").ID, thread}
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		windows := make([]*window, 4)
		for k := range windows {
			windows[k] = w.window(people[k%len(people)])
			if err := windows[k].open(w.instances[k%2], nil); err != nil {
				r.Fatal(err)
			}
			defer windows[k].close()
			for at, room := range rooms {
				if at == 2 && k%3 == 2 {
					continue // not theirs
				}
				eventually(t, "the rooms are known", func() bool { return windows[k].unread(room) >= 0 })
			}
		}
		want := map[author.RoomID][]string{}
		var sent []author.Message
		pick := func(of int, label string) int { return rapid.IntRange(0, of-1).Draw(r, label) }
		r.Repeat(map[string]func(*rapid.T){
			"send": func(*rapid.T) {
				room, i := rooms[pick(3, "room")], w.instances[pick(2, "instance")]
				n++
				m, err := i.chat.Send(t.Context(), people[pick(2, "who")], room, fmt.Sprint(n), fmt.Sprint("key", n))
				if err != nil {
					r.Fatal(err)
				}
				sent = append(sent, m)
				want[room] = append(want[room], m.Text)
			},
			"delete": func(r *rapid.T) {
				if len(sent) == 0 {
					r.Skip("nothing to delete")
				}
				m := sent[pick(len(sent), "message")]
				for _, p := range people {
					if p.ID == m.Author {
						if err := w.instances[pick(2, "instance")].chat.Delete(t.Context(), p, m.Room, m.ID); err != nil {
							r.Fatal(err)
						}
					}
				}
				want[m.Room] = slices.DeleteFunc(want[m.Room], func(text string) bool { return text == m.Text })
			},
			"cut": func(*rapid.T) { windows[pick(4, "window")].close() },
			"resume": func(r *rapid.T) {
				b := windows[pick(4, "window")]
				if b.conn != nil {
					r.Skip("is there")
				}
				if err := b.open(w.instances[pick(2, "instance")], nil); err != nil {
					r.Fatal(err)
				}
			},
		})
		for k, b := range windows {
			if b.conn == nil {
				if err := b.open(w.instances[k%2], nil); err != nil {
					r.Fatal(err)
				}
			}
			for at, room := range rooms {
				if at == 2 && k%3 == 2 {
					continue // not theirs
				}
				eventually(t, fmt.Sprint("window ", k, " shows ", want[room]), func() bool { return slices.Equal(b.shows(room), want[room]) })
			}
		}
		if got := windows[2].shows(thread); len(got) > 0 {
			r.Fatalf("a third person was told %q of a thread", got)
		}
	})
}
