package author_test

import (
	"testing"
	"time"

	"deskbridge/author"
	"deskbridge/bridge"
	"deskbridge/staff"
)

// TestWhoMayDoWhat is the table of rights: r reads and writes, m deletes what
// others wrote too, - does not know of the room.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	const north, south bridge.RegionID = 1, 2
	people := map[string]*staff.Person{
		"operator":       {ID: 1, Role: staff.Operator},
		"admin of north": {ID: 2, Role: staff.RegionAdmin, Regions: []bridge.RegionID{north}},
		"viewer of both": {ID: 3, Role: staff.Viewer, Regions: []bridge.RegionID{north, south}},
		"disabled":       {ID: 4, Role: staff.Operator, Disabled: true},
		"strange role":   {ID: 5, Role: "x", Regions: []bridge.RegionID{north, south}},
		"nobody":         nil,
	}
	rooms := map[string]author.Room{
		"all": {Kind: author.KindAll}, "north": {Kind: author.KindRegion, Region: north}, "south": {Kind: author.KindRegion, Region: south},
		"2 and 3": {Kind: author.KindThread, Thread: author.Thread{First: 2, Second: 3}}, "3 and 4": {Kind: author.KindThread, Thread: author.Thread{First: 3, Second: 4}},
		"strange": {Kind: "x"},
	}
	for who, want := range map[string]map[string]string{
		"operator":       {"all": "m", "north": "m", "south": "m", "2 and 3": "-", "3 and 4": "-", "strange": "-"},
		"admin of north": {"all": "r", "north": "m", "south": "-", "2 and 3": "r", "3 and 4": "-", "strange": "-"},
		"viewer of both": {"all": "r", "north": "r", "south": "r", "2 and 3": "r", "3 and 4": "r", "strange": "-"},
		"disabled":       {"all": "-", "north": "-", "south": "-", "2 and 3": "-", "3 and 4": "-", "strange": "-"},
		"strange role":   {"all": "r", "north": "-", "south": "-", "2 and 3": "-", "3 and 4": "-", "strange": "-"},
		"nobody":         {"all": "-", "north": "-", "south": "-", "2 and 3": "-", "3 and 4": "-", "strange": "-"},
	} {
		for name, room := range rooms {
			got := "-"
			if room.Readable(people[who]) {
				got = "r"
			}
			if room.Moderates(people[who]) {
				got += "m"
			}
			if got != want[name] && got != "r"+want[name] {
				t.Errorf("%s in %s: %s, want %s", who, name, got, want[name])
			}
		}
	}
}

// TestSignedOutIsNoticedWithinAMinute holds the times against the promise.
func TestSignedOutIsNoticedWithinAMinute(t *testing.T) {
	t.Parallel()
	if author.MaxBehind > time.Minute {
		t.Errorf("%s", author.MaxBehind)
	}
}

func TestThreadsAreUnordered(t *testing.T) {
	t.Parallel()
	one, err := author.NewThread(7, 3)
	two, err2 := author.NewThread(3, 7)
	if err != nil || err2 != nil || one != two || one.First != 3 || one.Second != 7 || !one.Has(7) || one.Has(5) {
		t.Errorf("%v %v %v %v", one, two, err, err2)
	}
}

// TestNews: each change of a room has a number of its own on each of its feeds,
// also where a person has several threads.
func TestNews(t *testing.T) {
	t.Parallel()
	seen := map[bridge.Change]bool{}
	for id := range author.RoomID(3) {
		for seq := range bridge.Seq(3) {
			room := author.Room{ID: id + 1, Kind: author.KindThread, Thread: author.Thread{First: 1, Second: staff.ID(id) + 2}, Seq: seq + 1}
			for _, c := range room.News() {
				if seen[c] || c.Region != 0 || c.Seq == 0 {
					t.Errorf("%v is told twice, or as another's", c)
				}
				seen[c] = true
			}
		}
	}
	all, region := author.Room{ID: 1, Kind: author.KindAll}, author.Room{ID: 2, Kind: author.KindRegion, Region: 1}
	thread := author.Room{ID: 3, Kind: author.KindThread, Thread: author.Thread{First: 1, Second: 2}}
	if all.News()[0].Device == region.News()[0].Device || region.News()[0].Device == thread.News()[0].Device {
		t.Error("feeds of different kinds are one")
	}
}
