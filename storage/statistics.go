package storage

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"deskbridge/bridge"
)

// statistics implements bridge.StatisticsStore.
type statistics struct{ *database }

const (
	// tallyAgain is how many hours before the running one are counted anew each
	// time: messages fail, and articles come, some time after they were written.
	tallyAgain = 3
	// tallyStep is how many hours are counted and stored in one step, so that
	// the first count of an old installation is many short ones.
	tallyStep = 7 * 24
)

// Parts of queries about a region's messages in a span of time. A chat whose
// last message is older has none in the span; the index messages_story alone
// answers the rest.
const (
	ofChats = " FROM chats c JOIN messages m ON m.chat_id = c.id WHERE c.region_id = ? AND c.last_message_at >= ? AND m.created_at >= ? AND m.created_at < ?"
	person  = "author = 'agent' AND automatic = 0 AND retracted = 0" // wrote it, and it was not taken back
)

// Tally counts anew; see bridge.StatisticsStore. The mark is stored with the
// hours that it speaks of, so what one of two instances stores is consistent,
// whichever is last.
func (s statistics) Tally(ctx context.Context, r bridge.RegionID, oldest, now time.Time, dryRun bool) (int, error) {
	from, newest, err := s.tallied(ctx, r, bridge.HourOf(now))
	if err != nil {
		return 0, failure(fmt.Errorf("find what is to be counted: %w", err))
	}
	changed := 0
	for from = max(from, bridge.HourOf(oldest)+1); from <= bridge.HourOf(now); from += tallyStep {
		to := min(from+tallyStep, bridge.HourOf(now)+1)
		n, err := s.tally(ctx, r, from, to, newest, dryRun)
		changed += n
		if err != nil {
			return changed, failure(fmt.Errorf("count: %w", err))
		}
	}
	return changed, nil
}

// tallied gives the first hour that is to be counted, and the newest message.
// A message with a lower number may still be on its way into the database; its
// hour is counted again all the same, unless it comes with an old time.
func (s statistics) tallied(ctx context.Context, r bridge.RegionID, now bridge.Hour) (from bridge.Hour, newest bridge.MessageID, err error) {
	tx := s.read.WithContext(ctx)
	err = one(tx, "SELECT hour, message_id FROM tallies WHERE region_id = ?", []any{r}, &from, &newest)
	if none(err) {
		return 0, 0, s.newest(tx, &newest)
	}
	if err != nil {
		return 0, 0, err
	}
	from = min(from, now-tallyAgain)
	var late int64
	// The messages come first: by number they are few, by region many.
	err = one(tx, "SELECT COALESCE(MIN(m.created_at), 0) FROM messages m CROSS JOIN chats c ON c.id = m.chat_id WHERE m.id > ? AND c.region_id = ?", []any{newest, r}, &late)
	if err == nil && late > 0 {
		from = min(from, bridge.HourOf(moment(late)))
	}
	if err != nil {
		return 0, 0, err
	}
	return from, newest, s.newest(tx, &newest)
}

func (s statistics) newest(tx *gorm.DB, id *bridge.MessageID) error {
	return one(tx, "SELECT COALESCE(MAX(id), 0) FROM messages", nil, id)
}

// tally counts one step, and stores what is different. The mark moves up to its
// end.
func (s statistics) tally(ctx context.Context, r bridge.RegionID, from, to bridge.Hour, newest bridge.MessageID, dryRun bool) (int, error) {
	counted, err := hourly{s.read.WithContext(ctx), r, from, to, make(map[bridge.Hour]*bridge.Statistics)}.all()
	if err != nil {
		return 0, err
	}
	stored, err := s.Statistics(ctx, r, from, to)
	if err != nil {
		return 0, err
	}
	differ := make(map[bridge.Hour]bool)
	for hour := range counted {
		differ[hour] = true
	}
	for _, old := range stored {
		if old.Invented {
			continue
		}
		if fresh := counted[old.Hour]; fresh != nil && *fresh == old.Statistics {
			delete(differ, old.Hour)
		} else {
			differ[old.Hour] = true
		}
	}
	if dryRun {
		return len(differ), nil
	}
	return len(differ), s.write(ctx, func(tx *gorm.DB) error {
		for _, hour := range slices.Sorted(maps.Keys(differ)) {
			if _, err := exec(tx, "DELETE FROM statistics WHERE region_id = ? AND hour = ? AND invented = 0", r, hour); err != nil {
				return err
			}
			if fresh := counted[hour]; fresh != nil {
				if err := insertHour(tx, r, bridge.HourStatistics{Hour: hour, Statistics: *fresh}); err != nil {
					return err
				}
			}
		}
		return setTally(tx, r, to-1, newest)
	})
}

// setTally stores how far a region was counted.
func setTally(tx *gorm.DB, r bridge.RegionID, hour bridge.Hour, newest bridge.MessageID) error {
	n, err := exec(tx, "UPDATE tallies SET hour = ?, message_id = ? WHERE region_id = ?", hour, newest, r)
	if err == nil && n == 0 {
		_, err = exec(tx, "INSERT INTO tallies (region_id, hour, message_id) VALUES (?, ?, ?)", r, hour, newest)
	}
	return err
}

// hourly counts a region's hours from one (included) to another (excluded).
type hourly struct {
	tx       *gorm.DB
	region   bridge.RegionID
	from, to bridge.Hour
	hours    map[bridge.Hour]*bridge.Statistics
}

// all counts everything. Hours in which nothing happened are left out.
func (h hourly) all() (map[bridge.Hour]*bridge.Statistics, error) {
	begin, end := milli(h.from.Start()), milli(h.to.Start())
	span, story := []any{h.region, begin, end}, []any{h.region, begin, begin, end}
	// Both dialects divide whole numbers differently, but agree about the rest.
	const hour = "created_at - m.created_at % 3600000"
	for _, q := range []struct {
		query string
		args  []any
		count func(s *bridge.Statistics, kind string, n int)
	}{
		{"SELECT m." + hour + " AS hour, '', COUNT(*) FROM chats m WHERE m.region_id = ? AND m.created_at >= ? AND m.created_at < ? GROUP BY hour", span,
			func(s *bridge.Statistics, _ string, n int) { s.ChatsOpened += n }},
		{"SELECT m." + hour + " AS hour, m.author, COUNT(*)" + ofChats + " AND m.automatic = 0 AND m.retracted = 0 GROUP BY hour, m.author", story,
			func(s *bridge.Statistics, author string, n int) {
				switch bridge.Author(author) {
				case bridge.AuthorUser:
					s.MessagesUser += n
				case bridge.AuthorAgent:
					s.MessagesAgent += n
				}
			}},
		{"SELECT m." + hour + " AS hour, '', COUNT(*)" + ofChats + " AND m.status = 'failed' GROUP BY hour", story,
			func(s *bridge.Statistics, _ string, n int) { s.Failed += n }},
		{"SELECT told_at - told_at % 3600000 AS hour, CASE WHEN served = 1 THEN 'served' ELSE '' END AS decision, COUNT(*) FROM exposures" +
			" WHERE region_id = ? AND told_at >= ? AND told_at < ? GROUP BY hour, decision", span,
			func(s *bridge.Statistics, decision string, n int) {
				if decision == "served" {
					s.AskedServed += n
				} else {
					s.AskedUnserved += n
				}
			}},
	} {
		err := each(h.tx, q.query, q.args, func(scan func(...any) error) error {
			var (
				at   int64
				kind string
				n    int
			)
			err := scan(&at, &kind, &n)
			q.count(h.at(at), kind, n)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return h.hours, h.firstAnswers(begin, end)
}

// at gives the numbers of the hour in which a stored time lies.
func (h hourly) at(ms int64) *bridge.Statistics {
	hour := bridge.HourOf(moment(ms))
	if h.hours[hour] == nil {
		h.hours[hour] = &bridge.Statistics{}
	}
	return h.hours[hour]
}

// firstAnswers counts the chats to which a person wrote for the first time, and
// how long each had waited. Subqueries for each chat, and not joins: so MariaDB
// cannot choose to read all messages instead.
func (h hourly) firstAnswers(begin, end int64) error {
	query := "SELECT x.answered, (SELECT MIN(u.created_at) FROM messages u WHERE u.chat_id = x.id AND u.author = 'user') FROM" +
		" (SELECT c.id, (SELECT MIN(m.created_at) FROM messages m WHERE m.chat_id = c.id AND m." + person + ") AS answered" +
		" FROM chats c WHERE c.region_id = ? AND c.last_message_at >= ?) AS x WHERE x.answered >= ? AND x.answered < ?"
	return each(h.tx, query, []any{h.region, begin, begin, end}, func(scan func(...any) error) error {
		var (
			answered int64
			asked    sql.Null[int64]
		)
		if err := scan(&answered, &asked); err != nil {
			return err
		}
		if !asked.Valid || asked.V > answered {
			return nil // nobody had asked here
		}
		s := h.at(answered)
		s.Answered++
		s.FirstAnswers.Count(time.Duration(answered-asked.V) * time.Millisecond)
		return nil
	})
}

// insertHour stores the numbers of an hour.
func insertHour(tx *gorm.DB, r bridge.RegionID, h bridge.HourStatistics) error {
	_, err := exec(tx, "INSERT INTO statistics (region_id, hour, invented, chats_opened, messages_user, messages_agent, failed, answered, answer_times, asked_served, asked_unserved)"+
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		r, h.Hour, h.Invented, h.ChatsOpened, h.MessagesUser, h.MessagesAgent, h.Failed, h.Answered, writeTimes(h.FirstAnswers), h.AskedServed, h.AskedUnserved)
	return err
}

// writeTimes gives counts as they are stored: separated by commas, up to the last
// one that is not zero. A year's page reads thousands of them.
func writeTimes(times bridge.AnswerTimes) string {
	n := len(times)
	for n > 0 && times[n-1] == 0 {
		n--
	}
	var text []byte
	for i, count := range times[:n] {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, int64(count), 10)
	}
	return string(text)
}

func readTimes(text string, times *bridge.AnswerTimes) error {
	i := 0
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || i == len(times) {
			return fmt.Errorf("answer times %q", text)
		}
		times[i] = n
		i++
	}
	return nil
}

// Statistics reads hours; see bridge.StatisticsStore.
func (s statistics) Statistics(ctx context.Context, r bridge.RegionID, from, to bridge.Hour) ([]bridge.HourStatistics, error) {
	var hours []bridge.HourStatistics
	err := each(s.read.WithContext(ctx), "SELECT hour, invented, chats_opened, messages_user, messages_agent, failed, answered, answer_times, asked_served, asked_unserved"+
		" FROM statistics WHERE region_id = ? AND hour >= ? AND hour < ? ORDER BY hour, invented", []any{r, from, to}, func(scan func(...any) error) error {
		var (
			h     bridge.HourStatistics
			times string
		)
		if err := scan(&h.Hour, &h.Invented, &h.ChatsOpened, &h.MessagesUser, &h.MessagesAgent, &h.Failed, &h.Answered, &times, &h.AskedServed, &h.AskedUnserved); err != nil {
			return err
		}
		if h.Answered > 0 {
			if err := readTimes(times, &h.FirstAnswers); err != nil {
				return fmt.Errorf("decode answer times of hour %d: %w", h.Hour, err)
			}
		}
		hours = append(hours, h)
		return nil
	})
	return hours, failure(err)
}

// Invent stores hours that were made up; see bridge.StatisticsStore.
func (s statistics) Invent(ctx context.Context, r bridge.RegionID, hours []bridge.HourStatistics) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		if _, err := exec(tx, "DELETE FROM statistics WHERE region_id = ? AND invented = 1", r); err != nil {
			return err
		}
		for _, h := range hours {
			h.Invented = true
			if err := insertHour(tx, r, h); err != nil {
				return err
			}
		}
		return nil
	})
}

// pruneStatistics removes hours that are older than the cut-off, or counts them.
func (s jobs) pruneStatistics(ctx context.Context, c bridge.PruneCutoffs, dryRun bool) (int, error) {
	total, before := 0, bridge.HourOf(c.Statistics)
	for _, region := range slices.Sorted(maps.Keys(c.Regions)) {
		var n int64
		if dryRun {
			if err := one(s.read.WithContext(ctx), "SELECT COUNT(*) FROM statistics WHERE region_id = ? AND hour < ?", []any{region, before}, &n); err != nil {
				return total, failure(err)
			}
			total += int(n)
			continue
		}
		err := s.write(ctx, func(tx *gorm.DB) (err error) {
			n, err = exec(tx, "DELETE FROM statistics WHERE region_id = ? AND hour < ?", region, before)
			return err
		})
		if err != nil {
			return total, err
		}
		total += int(n)
	}
	return total, nil
}

// Standings tells how regions stand; see bridge.StatisticsStore.
func (s statistics) Standings(ctx context.Context, days map[bridge.RegionID]time.Time) (map[bridge.RegionID]bridge.RegionStanding, error) {
	tx := s.read.WithContext(ctx)
	all := make(map[bridge.RegionID]bridge.RegionStanding, len(days))
	for region, day := range days {
		var (
			now            bridge.RegionStanding
			since, arrived int64
		)
		err := one(tx, "SELECT (SELECT COUNT(*) FROM chats WHERE region_id = ? AND created_at >= ?),"+
			" (SELECT COUNT(*) FROM chats WHERE region_id = ? AND waiting_since > 0),"+
			" (SELECT COALESCE(MIN(waiting_since), 0) FROM chats WHERE region_id = ? AND waiting_since > 0),"+
			" (SELECT COALESCE(MAX(received_at), 0) FROM deliveries WHERE region_id = ?)",
			[]any{region, milli(day), region, region, region}, &now.ChatsToday, &now.Waiting, &since, &arrived)
		if err != nil {
			return nil, failure(fmt.Errorf("read how region %d stands: %w", region, err))
		}
		now.WaitingSince, now.LastDelivery = moment(since), moment(arrived)
		all[region] = now
	}
	err := each(tx, "SELECT c.region_id, o.dead, COUNT(*), MIN(o.created_at) FROM outbox o JOIN chats c ON c.id = o.chat_id WHERE o.kind = 'message' GROUP BY c.region_id, o.dead", nil,
		func(scan func(...any) error) error {
			var (
				region bridge.RegionID
				dead   bool
				n      int
				oldest int64
			)
			if err := scan(&region, &dead, &n, &oldest); err != nil {
				return err
			}
			now, asked := all[region]
			if !asked {
				return nil
			}
			if dead {
				now.Failed = n
			} else {
				now.Queued, now.QueuedSince = n, moment(oldest)
			}
			all[region] = now
			return nil
		})
	return all, failure(err)
}
