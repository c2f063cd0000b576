package storage_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/storage/storagetest"
)

// bytesOf makes a content that no two sizes share.
func bytesOf(size int) []byte {
	random, b := rand.New(rand.NewPCG(uint64(size), 7)), make([]byte, size)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// keep stores a content.
func (w *world) keep(name string, content []byte) bridge.File {
	w.Helper()
	f := bridge.File{
		Attachment: bridge.Attachment{ID: bridge.NewAttachmentID(), Name: name, Type: "text/plain", Size: int64(len(content))},
		Digest:     sha256.Sum256(content), Content: bytes.NewReader(content),
	}
	w.ok(w.KeepContent(w.ctx, &f, w.now))
	return f
}

// sendFiles stores a message with files.
func (w *world) sendFiles(d, text string, files ...bridge.File) bridge.Accepted {
	w.Helper()
	s := w.submission(d, text)
	s.Files = files
	a, err := w.Accept(w.ctx, s)
	w.ok(err)
	return a
}

func (w *world) content(r io.ReaderAt, size int64) []byte {
	w.Helper()
	b, err := io.ReadAll(io.NewSectionReader(r, 0, size))
	w.ok(err)
	return b
}

// contents counts what is stored of files.
func (w *world) contents() int {
	w.Helper()
	later := w.now.Add(time.Hour)
	counts, _, err := w.Prune(w.ctx, bridge.PruneCutoffs{Files: map[bridge.RegionID]time.Time{w.region.ID: later}, Unclaimed: later}, true)
	w.ok(err)
	return counts["files"]
}

func TestContentsComeBackWhole(t *testing.T) {
	eachWorld(t, func(w *world) {
		const piece = 256 << 10
		for _, size := range []int{1, piece - 1, piece, piece + 1, 4 * piece, 9*piece + 5} {
			want := bytesOf(size)
			a := w.sendFiles("d", "", w.keep("a.txt", want))
			found, err := w.Attachment(w.ctx, w.region, device("d"), a.Message.Attachments[0].ID, w.now)
			w.ok(err)
			if !bytes.Equal(w.content(found.Content, found.Size), want) {
				w.Errorf("%d bytes are not what was stored", size)
			}
			from := rand.IntN(size)
			part := make([]byte, min(piece+10, size-from))
			if n, err := found.Content.ReadAt(part, int64(from)); n != len(part) || err != nil || !bytes.Equal(part, want[from:from+len(part)]) {
				w.Errorf("%d bytes from %d: %d, %v", len(part), from, n, err)
			}
			if n, err := found.Content.ReadAt(make([]byte, 10), int64(size)); n != 0 || err != io.EOF { //nolint:errorlint // ReaderAt gives the bare EOF
				w.Errorf("beyond the end: %d, %v", n, err)
			}
		}
	})
}

func TestAMessageTakesItsFilesAlong(t *testing.T) {
	eachWorld(t, func(w *world) {
		one, two := bytesOf(300_000), []byte("two")
		a := w.sendFiles("d", "text", w.keep("1.txt", one), w.keep("2.txt", two))
		w.send("d", "without")
		h := w.history("d", 0)
		if !slices.Equal(h.Messages[0].Attachments, a.Message.Attachments) || len(a.Message.Attachments) != 2 || h.Messages[1].Attachments != nil {
			w.Fatalf("%+v", h.Messages)
		}
		c := w.claim()
		work := w.start(c)
		if len(work.Files) != 2 || work.Files[0].Name != "1.txt" || !bytes.Equal(w.content(work.Files[0].Content, work.Files[0].Size), one) ||
			!bytes.Equal(w.content(work.Files[1].Content, 3), two) {
			w.Fatalf("work with files %+v", work.Files)
		}
		w.finish(c, bridge.Outcome{Work: work.ID, Sent: &bridge.Sent{Ticket: 7, State: bridge.TicketOpen, Customer: 3, Article: 70}})
		equal(w, "files of a message without", len(w.start(c).Files), 0)

		all, err := w.Attachments(w.ctx, w.region.ID, device("d"))
		w.ok(err)
		equal(w, "files of the device", len(all[a.Message.ID]), 2)
	})
}

// A content goes only after the desk has shown it, with its size.
func TestContentsGoWhenTheDeskHasThem(t *testing.T) {
	eachWorld(t, func(w *world) {
		a := w.sendFiles("d", "text", w.keep("1.txt", []byte("one")), w.keep("2.txt", []byte("2")))
		name, id := a.Message.UUID, a.Message.Attachments[0].ID
		var article bridge.ArticleID = 69
		w.deliver(7, &article)
		own := bridge.Article{ID: 70, Ticket: 7, Header: name.Header(), Public: true, FromUser: true}
		shown := func(file bridge.FileID, size int64) bridge.DeskFile {
			return bridge.DeskFile{File: file, Attachment: bridge.Attachment{ID: bridge.NewAttachmentID(), Size: size}}
		}
		for what, files := range map[string][]bridge.DeskFile{
			"nothing": nil, "one of two": {shown(5, 3)}, "another size": {shown(5, 3), shown(6, 2)}, "one more": {shown(5, 3), shown(6, 1), shown(7, 1)},
		} {
			own.Files = files
			w.record(bridge.Receipt{Chat: w.known(7).Chat.ID, Articles: []bridge.Article{own}})
			equal(w, "contents that may go after "+what, w.contents(), 0)
		}
		own.Files = []bridge.DeskFile{shown(6, 1), shown(5, 3)} // in any order
		w.record(bridge.Receipt{Chat: w.known(7).Chat.ID, Articles: []bridge.Article{own}})
		equal(w, "contents that may go", w.contents(), 2)
		cut := map[bridge.RegionID]time.Time{w.region.ID: w.now}
		counts, _, err := w.Prune(w.ctx, bridge.PruneCutoffs{Files: cut}, false)
		w.ok(err)
		equal(w, "gone before their time", counts["files"], 0)
		cut[w.region.ID] = w.tick()
		counts, _, err = w.Prune(w.ctx, bridge.PruneCutoffs{Files: cut}, false)
		w.ok(err)
		equal(w, "gone", counts["files"], 2)
		found, err := w.Attachment(w.ctx, w.region, device("d"), id, w.now)
		w.ok(err)
		if found.Content != nil || found.File != 5 || found.Article != 70 || found.Ticket != 7 || found.Desk != w.region.Desk {
			w.Fatalf("%+v", found)
		}
		if h := w.history("d", 0); len(h.Messages[0].Attachments) != 2 {
			w.Fatalf("the device is told of %+v", h.Messages[0].Attachments)
		}
		// The ticket is another device's now: nobody gets the file through this one.
		w.send("x", "y")
		article = 99
		w.deliver(8, &article)
		own.Ticket = 8
		w.record(bridge.Receipt{Chat: w.known(8).Chat.ID, Articles: []bridge.Article{own}})
		found, err = w.Attachment(w.ctx, w.region, device("d"), id, w.now)
		w.ok(err)
		equal(w, "file of a ticket that is another's", found.File, 0)
	})
}

func TestContentsWithoutAMessageGo(t *testing.T) {
	eachWorld(t, func(w *world) {
		taken, left := w.keep("a", []byte("a")), w.keep("b", bytesOf(600_000))
		w.sendFiles("d", "", taken)
		w.ok(w.DropContents(w.ctx, []bridge.File{taken, left, left}))
		equal(w, "contents without a message", w.contents(), 0)
		if a, err := w.Attachments(w.ctx, w.region.ID, device("d")); err != nil || len(a) != 1 {
			w.Fatalf("%v, %v", a, err)
		}
		s := w.submission("d", "")
		s.Files = []bridge.File{left}
		if _, err := w.Accept(w.ctx, s); !errors.Is(err, bridge.ErrStorage) {
			w.Fatalf("a message with a content that is gone: %v", err)
		}
		for range 20 {
			w.keep("c", []byte("c"))
		}
		w.tick()
		counts, _, err := w.Prune(w.ctx, bridge.PruneCutoffs{Unclaimed: w.now}, false)
		w.ok(err)
		equal(w, "swept", counts["files"], 20)
	})
}

func TestFilesGoWithTheirChat(t *testing.T) {
	eachWorld(t, func(w *world) {
		var article bridge.ArticleID
		w.sendFiles("d", "x", w.keep("a", bytesOf(600_000)), w.keep("b", []byte("b")))
		w.deliver(7, &article)
		answer := w.agent(50, 7, "hello")
		answer.Files = []bridge.DeskFile{{File: 9, Attachment: bridge.Attachment{ID: bridge.NewAttachmentID(), Name: "f", Size: 3}}}
		w.record(bridge.Receipt{Chat: w.known(7).Chat.ID, Articles: []bridge.Article{answer}})
		cut := bridge.PruneCutoffs{Regions: map[bridge.RegionID]time.Time{w.region.ID: w.now.Add(time.Hour)}}
		for _, dry := range []bool{true, false} {
			counts, _, err := w.Prune(w.ctx, cut, dry)
			w.ok(err)
			equal(w, fmt.Sprint("attachments, dry ", dry), counts["attachments"], 3)
		}
		equal(w, "contents", w.contents(), 0)
		w.sendFiles("e", "x", w.keep("a", []byte("a")))
		w.ok(w.RemoveRegion(w.ctx, w.region.ID))
		equal(w, "contents of a region that is gone", w.contents(), 0)
	})
}

func TestTheKeyCoversFiles(t *testing.T) {
	eachWorld(t, func(w *world) {
		send := func(text string, contents ...string) error {
			s := w.submission("d", text)
			s.ClientKey = "k"
			for _, c := range contents {
				s.Files = append(s.Files, w.keep("f", []byte(c)))
			}
			_, err := w.Accept(w.ctx, s)
			return err
		}
		w.ok(send("t", "a", "b"))
		w.ok(send("t", "a", "b"))
		for _, other := range [][]string{{"t"}, {"t", "a"}, {"t", "b", "a"}, {"t", "a", "b", "c"}, {"", "a", "b"}} {
			w.wants(send(other[0], other[1:]...), bridge.ErrKeyReused)
		}
		equal(w, "messages", len(w.history("d", 0).Messages), 1)
	})
}

// A migration of MySQL that was killed halfway is run again.
func TestAttachmentsMigrationMayRunTwice(t *testing.T) {
	t.Parallel()
	url := storagetest.MySQL(t)
	storagetest.OpenURL(t, url)
	db := raw(t, url)
	for _, statement := range []string{"DROP TABLE attachments", "DELETE FROM goose_db_version WHERE version_id >= 6"} {
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t, storagetest.OpenURL(t, url))
	w.sendFiles("d", strings.Repeat("x", 10), w.keep("a", []byte("a")))
}
