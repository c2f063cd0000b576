package storage_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"deskbridge/bridge"
	"deskbridge/storage/storagetest"
)

// benchWorld is a store with devices that have a chat and 50 messages each.
func benchWorld(b *testing.B, url string, devices int) (*world, []bridge.DeviceHash) {
	b.Helper()
	s := storagetest.OpenURL(b, url)
	r := &bridge.Region{Slug: "augsburg", Enabled: true}
	r.Settings.ZammadURL = "https://zammad.example.test"
	r.Settings = r.Settings.WithDefaults()
	if err := s.AddRegion(context.Background(), r); err != nil {
		b.Fatal(err)
	}
	w := &world{Store: s, ctx: context.Background(), region: r, now: start}
	hashes := make([]bridge.DeviceHash, devices)
	for i := range hashes {
		hashes[i] = device(fmt.Sprint(i))
		for range 50 {
			if _, err := s.Accept(w.ctx, w.submission(fmt.Sprint(i), "What do I need for the appointment, and where is it?")); err != nil {
				b.Fatal(err)
			}
		}
	}
	return w, hashes
}

func BenchmarkAccept(b *testing.B) {
	for _, dialect := range []string{"sqlite", "mysql"} {
		for _, parallel := range []int{1, 32} {
			b.Run(fmt.Sprint(dialect, "/", parallel), func(b *testing.B) {
				url := map[string]func(testing.TB) string{"sqlite": storagetest.SQLite, "mysql": storagetest.MySQL}[dialect](b)
				w, hashes := benchWorld(b, url, 64)
				var n atomic.Int64
				accept := func() {
					s := bridge.Submission{
						Region: w.region, Device: hashes[n.Add(1)%64], Language: "de", UUID: bridge.MessageUUID(uuid.NewString()),
						Text: "What do I need for the appointment, and where is it?", Admit: func(bridge.Standing) bool { return true }, Now: time.Now(),
					}
					if _, err := w.Accept(w.ctx, s); err != nil {
						b.Error(err)
					}
				}
				b.ReportAllocs()
				if parallel == 1 {
					for b.Loop() {
						accept()
					}
					return
				}
				b.SetParallelism(parallel / 2)
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						accept()
					}
				})
			})
		}
	}
}

// BenchmarkAcceptBare does what Accept does with nothing but database/sql.
func BenchmarkAcceptBare(b *testing.B) {
	url := storagetest.SQLite(b)
	w, hashes := benchWorld(b, url, 64)
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+url[len("sqlite:"):]+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=cache_size(-16384)&_txlock=immediate")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	var statements []*sql.Stmt
	for _, query := range []string{
		"SELECT id, seq, alias, current_chat_id, last_message_at FROM devices WHERE region_id = ? AND device_hash = ?",
		"SELECT language, consent, ticket_id, ticket_state, last_message_at, lane_due FROM chats WHERE id = ?",
		"INSERT INTO messages (device_id, chat_id, seq, uuid, author, name, html, text, automatic, status, fail_code, client_key, created_at, retracted) VALUES (?, ?, ?, ?, 'user', '', ?, ?, 0, 'queued', '', NULL, ?, 0)",
		"INSERT INTO outbox (chat_id, kind, message_id, previous, attempts, started_at, dead, reason, error_id, created_at) VALUES (?, 'message', ?, '', 0, 0, 0, '', '', ?)",
		"UPDATE chats SET last_message_at = ?, language = ?, lane_due = ? WHERE id = ?",
		"UPDATE devices SET seq = ?, changed_at = ?, current_chat_id = ?, last_message_at = ? WHERE id = ?",
	} {
		s, err := db.Prepare(query)
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		statements = append(statements, s)
	}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		bareAccept(b, db, statements, w.region.ID, hashes[n%64])
	}
}

func bareAccept(b *testing.B, db *sql.DB, statements []*sql.Stmt, region bridge.RegionID, device bridge.DeviceHash) {
	const text = "What do I need for the appointment, and where is it?"
	now := time.Now().UnixMilli()
	tx, err := db.Begin()
	if err != nil {
		b.Fatal(err)
	}
	var id, seq, chat, last, due int64
	var alias, language, state string
	var consent, ticket any
	fail := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	fail(tx.Stmt(statements[0]).QueryRow(region, device[:]).Scan(&id, &seq, &alias, &chat, &last))
	fail(tx.Stmt(statements[1]).QueryRow(chat).Scan(&language, &consent, &ticket, &state, &last, &due))
	r, err := tx.Stmt(statements[2]).Exec(id, chat, seq+1, uuid.NewString(), text, text, now)
	fail(err)
	message, err := r.LastInsertId()
	fail(err)
	_, err = tx.Stmt(statements[3]).Exec(chat, message, now)
	fail(err)
	_, err = tx.Stmt(statements[4]).Exec(now, "de", due, chat)
	fail(err)
	_, err = tx.Stmt(statements[5]).Exec(seq+1, now, chat, now, id)
	fail(err)
	fail(tx.Commit())
}

func BenchmarkHistory(b *testing.B) {
	w, hashes := benchWorld(b, storagetest.SQLite(b), 64)
	for _, since := range []bridge.Seq{0, 49, 50} {
		b.Run(fmt.Sprint(50-since, " messages"), func(b *testing.B) {
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				if _, err := w.History(w.ctx, w.region, hashes[n%64], since, w.now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHistoryBare does what History does with nothing but database/sql.
func BenchmarkHistoryBare(b *testing.B) {
	url := storagetest.SQLite(b)
	w, hashes := benchWorld(b, url, 64)
	db, err := sql.Open("sqlite", "file:"+url[len("sqlite:"):]+"?_pragma=journal_mode(WAL)&_pragma=cache_size(-4096)")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	device, err := db.Prepare("SELECT d.id, d.seq, c.id, c.language, c.last_message_at FROM devices d JOIN chats c ON c.id = d.current_chat_id WHERE d.region_id = ? AND d.device_hash = ?")
	if err != nil {
		b.Fatal(err)
	}
	defer device.Close()
	messages, err := db.Prepare("SELECT id, seq, chat_id, uuid, author, name, html, text, automatic, status, fail_code, client_key, created_at, retracted FROM messages WHERE device_id = ? AND retracted = 0 ORDER BY id")
	if err != nil {
		b.Fatal(err)
	}
	defer messages.Close()
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		var id, seq, chat, last int64
		var language string
		if err := device.QueryRow(w.region.ID, hashes[n%64][:]).Scan(&id, &seq, &chat, &language, &last); err != nil {
			b.Fatal(err)
		}
		rows, err := messages.Query(id)
		if err != nil {
			b.Fatal(err)
		}
		var all []bridge.Message
		for rows.Next() {
			var m bridge.Message
			var key sql.NullString
			var created int64
			if err := rows.Scan(&m.ID, &m.Seq, &m.Chat, &m.UUID, &m.Author, &m.Name, &m.HTML, &m.Text, &m.Automatic, &m.Status, &m.FailCode, &key, &created, &m.Retracted); err != nil {
				b.Fatal(err)
			}
			m.CreatedAt = time.UnixMilli(created)
			all = append(all, m)
		}
		if err := rows.Err(); err != nil || len(all) < 50 {
			b.Fatal(len(all), err)
		}
	}
}
