package app

import (
	"reflect"
	"testing"
	"time"

	"deskbridge/bridge"
)

// The invented year is the same each time, another one for each region, and
// holds together.
func TestTheInventedYear(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 14, 20, 0, 0, time.UTC)
	year := invented("testland", now)
	if !reflect.DeepEqual(year, invented("testland", now)) {
		t.Error("it is another year the second time")
	}
	if reflect.DeepEqual(year, invented("neustadt", now)) {
		t.Error("two regions have the same year")
	}
	later := invented("testland", now.Add(2*time.Hour))
	if last := later[len(later)-1].Hour; last != bridge.HourOf(now)+1 {
		t.Errorf("the last hour is %v", last)
	}
	var sum bridge.Statistics
	for i, h := range year {
		counted := 0
		for _, n := range h.FirstAnswers {
			counted += n
		}
		if !h.Invented || counted != h.Answered || h.ChatsOpened > h.MessagesUser || h.Answered > h.ChatsOpened || i > 0 && h.Hour <= year[i-1].Hour {
			t.Fatalf("%+v", h)
		}
		sum.Add(h.Statistics)
	}
	median, _ := sum.FirstAnswers.Median()
	if sum.ChatsOpened < 2000 || sum.AskedServed == 0 || sum.AskedUnserved == 0 || sum.Failed == 0 || median < 10*time.Minute || median > time.Hour {
		t.Errorf("%+v, median %v", sum, median)
	}
}
