package storage_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
	"deskbridge/gate"
	"deskbridge/storage/storagetest"
)

// tally counts and gives the number of hours that are different now.
func (w *world) tally(dryRun bool) int {
	w.Helper()
	n, err := w.Tally(w.ctx, w.region.ID, w.now.AddDate(0, 0, -90), w.now, dryRun)
	w.ok(err)
	return n
}

// numbers gives what was counted, by hours after the start.
func (w *world) numbers() map[int]bridge.Statistics {
	w.Helper()
	all, err := w.Statistics(w.ctx, w.region.ID, 0, bridge.HourOf(w.now)+1)
	w.ok(err)
	numbers := make(map[int]bridge.Statistics)
	for _, h := range all {
		if h.Invented {
			w.Fatalf("hour %d is invented", h.Hour)
		}
		numbers[int(h.Hour-bridge.HourOf(start))] = h.Statistics
	}
	return numbers
}

func (w *world) wantNumbers(want map[int]bridge.Statistics) {
	w.Helper()
	if d := cmp.Diff(want, w.numbers()); d != "" {
		w.Fatal(d)
	}
}

func times(waits ...time.Duration) (t bridge.AnswerTimes) {
	for _, d := range waits {
		t.Count(d)
	}
	return t
}

// reply records an agent's answer in a ticket.
func (w *world) reply(ticket bridge.TicketID, articles ...bridge.Article) {
	w.Helper()
	w.record(bridge.Receipt{Chat: w.known(ticket).Chat.ID, State: bridge.TicketOpen, StateAt: w.now, Articles: articles})
}

// A day: two chats, answers late and at once, a machine's answer, a second
// answer, a device that was not let in.
func day(w *world) map[int]bridge.Statistics {
	w.Helper()
	article := bridge.ArticleID(0)
	w.send("a", "one")
	w.deliver(1, &article)
	w.ok(w.RecordExposures(w.ctx, []bridge.Exposure{
		{Region: w.region.ID, Device: device("a"), Day: "2026-11-23", Served: true, Reason: gate.ReasonBucket, At: w.now},
		{Region: w.region.ID, Device: device("out"), Day: "2026-11-23", Reason: gate.ReasonBucket, At: w.now},
	}))
	bot := w.agent(100, 1, "a machine says")
	bot.Automatic = true
	w.reply(1, bot)
	w.now = start.Add(90 * time.Minute)
	w.send("b", "two")
	w.deliver(2, &article)
	w.send("a", "three")
	w.deliver(1, &article)
	w.now = start.Add(125 * time.Minute)
	w.reply(1, w.agent(101, 1, "an answer"))
	w.reply(2, w.agent(102, 2, "another"))
	w.now = start.Add(130 * time.Minute)
	w.reply(2, w.agent(103, 2, "and one more"))
	return map[int]bridge.Statistics{
		0: {ChatsOpened: 1, MessagesUser: 1, AskedServed: 1, AskedUnserved: 1},
		1: {ChatsOpened: 1, MessagesUser: 2},
		2: {MessagesAgent: 3, Answered: 2, FirstAnswers: times(125*time.Minute, 35*time.Minute)},
	}
}

func TestTallyCountsADay(t *testing.T) {
	eachWorld(t, func(w *world) {
		other := w.addRegion("fulda", "https://other.example.test")
		want := day(w)
		equal(w, "dry run", w.tally(true), 3)
		equal(w, "stored by a dry run", len(w.numbers()), 0)
		equal(w, "first run", w.tally(false), 3)
		w.wantNumbers(want)
		equal(w, "second run", w.tally(false), 0)
		w.wantNumbers(want)
		n, err := w.Tally(w.ctx, other.ID, start, w.now, false)
		w.ok(err)
		equal(w, "hours of another region", n, 0)
	})
}

// Chats go, their numbers stay; and so do the numbers when the region's next
// hours are counted.
func TestStatisticsSurvivePruning(t *testing.T) {
	eachWorld(t, func(w *world) {
		want := day(w)
		w.tally(false)
		w.now = start.AddDate(0, 0, 2)
		counts, _, err := w.Prune(w.ctx, bridge.PruneCutoffs{Regions: map[bridge.RegionID]time.Time{w.region.ID: w.now}, Exposures: w.now}, false)
		w.ok(err)
		equal(w, "removed chats", counts["chats"], 2)
		kept := w.now
		w.now = w.now.Add(2 * time.Hour)
		w.send("c", "later")
		_, err = w.Tally(w.ctx, w.region.ID, kept, w.now, false)
		w.ok(err)
		want[50] = bridge.Statistics{ChatsOpened: 1, MessagesUser: 1}
		w.wantNumbers(want)
	})
}

// Answers of the time in which nothing ran come after the first count.
func TestLateMessagesAreCounted(t *testing.T) {
	eachWorld(t, func(w *world) {
		article := bridge.ArticleID(0)
		w.send("a", "one")
		w.deliver(1, &article)
		w.tally(false)
		w.now = start.Add(40 * time.Hour)
		w.tally(false)
		late := w.agent(50, 1, "written while nothing ran")
		late.CreatedAt = start.Add(20 * time.Hour)
		w.reply(1, late)
		want := map[int]bridge.Statistics{
			0:  {ChatsOpened: 1, MessagesUser: 1},
			20: {MessagesAgent: 1, Answered: 1, FirstAnswers: times(20 * time.Hour)},
		}
		equal(w, "hours", w.tally(false), 1)
		w.wantNumbers(want)
	})
}

// What may be gone already is not counted again: it would be counted as less.
func TestTallyLooksNoFurtherBackThanWhatIsKept(t *testing.T) {
	eachWorld(t, func(w *world) {
		article := bridge.ArticleID(0)
		w.send("a", "one")
		w.deliver(1, &article)
		w.tally(false)
		before := w.numbers()
		w.now = start.AddDate(0, 0, 200)
		n, err := w.Tally(w.ctx, w.region.ID, w.now.AddDate(0, 0, -180), w.now, false)
		w.ok(err)
		equal(w, "hours", n, 0)
		w.wantNumbers(before)
	})
}

// Failed messages are those of their hour; what an operator saves is one less.
func TestTallyCountsFailures(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.send("a", "one")
		w.refuse()
		w.tally(false)
		equal(w, "failed", w.numbers()[0].Failed, 1)
		letters, err := w.Letters(w.ctx, bridge.LetterQuery{Limit: 10})
		w.ok(err)
		n, err := w.RetryLetters(w.ctx, w.region.ID, []bridge.WorkID{letters[0].ID}, w.now)
		w.ok(err)
		equal(w, "tried again", n, 1)
		w.tally(false)
		equal(w, "failed after the retry", w.numbers()[0].Failed, 0)
	})
}

// Two instances, and a run that was broken off, count nothing twice.
func TestTallyIsTheSameForHoweverMany(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(t, storagetest.OpenURL(t, url))
		second := storagetest.OpenURL(t, url)
		want := day(w)
		var running sync.WaitGroup
		for i := range 8 {
			running.Go(func() {
				store := w.Store
				if i%2 == 1 {
					store = second
				}
				if _, err := store.Tally(w.ctx, w.region.ID, start, w.now, false); err != nil {
					t.Error(err)
				}
			})
		}
		running.Wait()
		// HourOf(oldest)+1 is where the count begins: the first hour is left out.
		delete(want, 0)
		w.wantNumbers(want)
	})
}

func TestInventedHoursAreReplacedAndPruned(t *testing.T) {
	eachWorld(t, func(w *world) {
		hour := bridge.HourOf(start)
		w.ok(w.Invent(w.ctx, w.region.ID, []bridge.HourStatistics{{Hour: hour, Statistics: bridge.Statistics{ChatsOpened: 7}}, {Hour: hour + 1}}))
		w.ok(w.Invent(w.ctx, w.region.ID, []bridge.HourStatistics{{Hour: hour, Statistics: bridge.Statistics{ChatsOpened: 8, Answered: 1, FirstAnswers: times(time.Hour)}}}))
		w.send("a", "one")
		w.tally(false)
		all, err := w.Statistics(w.ctx, w.region.ID, hour, hour+1)
		w.ok(err)
		want := []bridge.HourStatistics{
			{Hour: hour, Statistics: bridge.Statistics{ChatsOpened: 1, MessagesUser: 1}},
			{Hour: hour, Invented: true, Statistics: bridge.Statistics{ChatsOpened: 8, Answered: 1, FirstAnswers: times(time.Hour)}},
		}
		if d := cmp.Diff(want, all); d != "" {
			w.Fatal(d)
		}
		cutoffs := bridge.PruneCutoffs{Regions: map[bridge.RegionID]time.Time{w.region.ID: {}}, Statistics: start.Add(time.Hour)}
		for _, dryRun := range []bool{true, false} {
			counts, _, err := w.Prune(w.ctx, cutoffs, dryRun)
			w.ok(err)
			equal(w, fmt.Sprint("statistics, dry run ", dryRun), counts["statistics"], 2)
		}
		w.ok(w.RemoveRegion(w.ctx, w.region.ID))
	})
}

// waiting gives since when the only chat waits, in minutes after the start; -1:
// it doesn't.
func (w *world) waiting() int {
	w.Helper()
	all, err := w.Standings(w.ctx, map[bridge.RegionID]time.Time{w.region.ID: start})
	w.ok(err)
	if s := all[w.region.ID]; s.Waiting > 0 {
		return int(s.WaitingSince.Sub(start).Minutes())
	}
	return -1
}

func TestWhoWaitsAndSinceWhen(t *testing.T) {
	eachWorld(t, func(w *world) {
		article := bridge.ArticleID(0)
		at := func(minute int) { w.now = start.Add(time.Duration(minute) * time.Minute) }
		state := func(s bridge.TicketState) {
			w.record(bridge.Receipt{Chat: w.known(1).Chat.ID, State: s, StateAt: w.now})
		}
		equal(w, "nobody has written", w.waiting(), -1)
		w.send("a", "one")
		equal(w, "queued", w.waiting(), 0)
		at(1)
		w.send("a", "two")
		w.deliver(1, &article)
		equal(w, "sent", w.waiting(), 0)
		bot := w.agent(100, 1, "a machine says")
		bot.Automatic = true
		w.reply(1, bot)
		equal(w, "a machine has answered", w.waiting(), 0)
		at(2)
		w.reply(1, w.agent(101, 1, "an answer"))
		equal(w, "answered", w.waiting(), -1)

		at(3)
		early := w.agent(102, 1, "written before the next question")
		at(4)
		w.send("a", "three")
		w.reply(1, early)
		equal(w, "the answer was to what came before", w.waiting(), 4)
		w.deliver(1, &[]bridge.ArticleID{102}[0])
		equal(w, "and still", w.waiting(), 4)

		at(5)
		state(bridge.TicketClosed)
		equal(w, "closed", w.waiting(), -1)
		at(6)
		w.send("a", "four")
		equal(w, "written into a closed ticket", w.waiting(), 6)
		state(bridge.TicketClosed)
		equal(w, "which is read once more", w.waiting(), 6)
		at(7)
		state(bridge.TicketOpen)
		equal(w, "and opens again", w.waiting(), 6)

		at(8)
		state(bridge.TicketClosed)
		equal(w, "closed before the message arrived", w.waiting(), 6)
	})
}

func TestStandings(t *testing.T) {
	eachWorld(t, func(w *world) {
		other := w.addRegion("fulda", "https://other.example.test")
		article := bridge.ArticleID(0)
		w.send("yesterday", "one")
		w.deliver(1, &article)
		w.now = start.Add(24 * time.Hour)
		today := w.now.Add(-time.Hour)
		w.send("lost", "secret")
		w.refuse()
		w.send("today", "two")
		_, err := w.StoreDelivery(w.ctx, bridge.Delivery{Region: w.region.ID, Key: "1", Received: w.now})
		w.ok(err)
		all, err := w.Standings(w.ctx, map[bridge.RegionID]time.Time{w.region.ID: today, other.ID: today})
		w.ok(err)
		want := map[bridge.RegionID]bridge.RegionStanding{
			w.region.ID: {ChatsToday: 2, Waiting: 2, WaitingSince: start, Queued: 1, QueuedSince: w.now, Failed: 1, LastDelivery: w.now},
			other.ID:    {},
		}
		if d := cmp.Diff(want, all); d != "" {
			w.Fatal(d)
		}
	})
}
