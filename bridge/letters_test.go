package bridge_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
)

// refused is a chat with a ticket in which the message "secret" is refused for
// good; its note comes next.
func refused(t *testing.T) *lanes {
	t.Helper()
	l := newLanes(t)
	l.send("fine")
	l.step(0)
	l.desk.post = func(p bridge.Post) error {
		if p.Text == "secret" {
			return failing(bridge.DeskRefused)
		}
		return nil
	}
	l.send("secret")
	return l
}

// pass lets time go by in small steps.
func (l *lanes) pass(span time.Duration) {
	for end := l.now.Add(span); l.now.Before(end); {
		l.step(5 * time.Second)
	}
}

func (l *lanes) letters() []bridge.Letter {
	l.t.Helper()
	letters, err := l.store.Letters(l.t.Context(), bridge.LetterQuery{})
	if err != nil {
		l.t.Fatal(err)
	}
	return letters
}

// After an outage a desk may answer with errors for a while: the tries of the
// outage must not have used up the message's patience.
func TestAnOutageDoesNotCountTowardsGivingUp(t *testing.T) {
	l := newLanes(t)
	refusals := 0
	l.desk.open = func(bridge.Opening) error { return failing(bridge.DeskUnavailable) }
	l.send("one")
	l.pass(3 * time.Hour)
	l.desk.open = func(bridge.Opening) error { refusals++; return failing(bridge.DeskMasked) }
	for tries := 0; refusals < 9; tries++ { // the tenth refusal sets a message aside
		if tries > 1000 {
			t.Fatalf("%d refusals in more than an hour", refusals)
		}
		l.step(5 * time.Second)
	}
	l.wantStatus(bridge.StatusQueued)
	l.desk.open = nil
	l.pass(10 * time.Minute)
	l.wantStatus(bridge.StatusSent)
}

func TestAMessageThatIsCutOffEachTimeIsSetAside(t *testing.T) {
	l := newLanes(t)
	l.send("cut off")
	l.send("fine")
	l.desk.open = func(o bridge.Opening) error {
		if o.Text == "cut off" {
			return &bridge.DeskError{Kind: bridge.DeskAmbiguous, Reason: "connection reset"}
		}
		return nil
	}
	began := l.now
	for l.now.Sub(began) < 50*time.Minute {
		l.step(20 * time.Second)
	}
	l.wantStatus(bridge.StatusQueued, bridge.StatusQueued)
	for l.now.Sub(began) < 70*time.Minute {
		l.step(20 * time.Second)
	}
	l.wantStatus(bridge.StatusFailed, bridge.StatusSent)
	l.wantTexts("fine")
}

func TestTheAgentsAreToldOnceOfARefusedMessage(t *testing.T) {
	l := refused(t)
	l.pass(3 * time.Minute)
	l.wantStatus(bridge.StatusSent, bridge.StatusFailed)
	if len(l.desk.notes) != 1 {
		t.Fatalf("%d notes", len(l.desk.notes))
	}
	note := l.desk.notes[0]
	if !strings.Contains(note, "Error ID x7") || strings.Contains(note, "secret") {
		t.Errorf("the note says %q", note)
	}
	letters := l.letters()
	if len(letters) != 1 || letters[0].Attempts != 6 || letters[0].Code != bridge.FailRefused || letters[0].ErrorID != "x7" {
		t.Fatalf("letters %+v", letters)
	}

	// Tried again and refused again: the note is there already.
	if _, err := l.store.RetryLetters(t.Context(), 0, []bridge.WorkID{letters[0].ID}, l.now); err != nil {
		t.Fatal(err)
	}
	l.wantStatus(bridge.StatusSent, bridge.StatusQueued)
	l.pass(3 * time.Minute)
	l.wantStatus(bridge.StatusSent, bridge.StatusFailed)
	if len(l.desk.notes) != 1 {
		t.Fatalf("%d notes about one message", len(l.desk.notes))
	}

	// And in the end it fits.
	l.desk.post = nil
	if _, err := l.store.RetryLetters(t.Context(), 0, []bridge.WorkID{l.letters()[0].ID}, l.now); err != nil {
		t.Fatal(err)
	}
	l.step(time.Second)
	l.wantStatus(bridge.StatusSent, bridge.StatusSent)
	l.wantTexts("fine", "secret")
	if letters := l.letters(); len(letters) != 0 {
		t.Errorf("letters %+v", letters)
	}
}

func TestANoteInDoubtIsLookedForBeforeItIsWrittenAgain(t *testing.T) {
	for name, arrives := range map[string]bool{"it arrived": true, "it did not": false} {
		t.Run(name, func(t *testing.T) {
			l := refused(t)
			tries := 0
			l.desk.note = func(n bridge.Note) error {
				tries++
				if tries > 1 {
					return nil
				}
				if arrives {
					l.desk.writeNote(n)
				}
				return failing(bridge.DeskAmbiguous)
			}
			l.pass(2 * time.Minute)
			if tries != 1 {
				t.Fatalf("%d tries", tries)
			}
			l.pass(bridge.DefaultWriteHorizon)
			if len(l.desk.notes) != 1 {
				t.Fatalf("%d notes after %d tries", len(l.desk.notes), tries)
			}
		})
	}
}

// A note that cannot be written is not worth holding messages up for.
func TestMessagesDoNotWaitForANoteThatIsRefused(t *testing.T) {
	for _, kind := range []bridge.DeskErrorKind{bridge.DeskGone, bridge.DeskRefused, bridge.DeskMasked} {
		t.Run(string(kind), func(t *testing.T) {
			l := refused(t)
			l.desk.note = func(bridge.Note) error { return failing(kind) }
			l.pass(2 * time.Minute)
			l.send("another")
			l.pass(3 * time.Minute)
			l.wantStatus(bridge.StatusSent, bridge.StatusFailed, bridge.StatusSent)
			if len(l.letters()) != 1 {
				t.Errorf("letters %+v", l.letters())
			}
		})
	}
}

// If the first message is refused there is no ticket for a note, and the next
// message opens it.
func TestARefusedFirstMessageLeavesTheTicketToTheNext(t *testing.T) {
	l := newLanes(t)
	l.desk.open = func(o bridge.Opening) error {
		if o.Text == "bad" {
			return failing(bridge.DeskMasked)
		}
		return nil
	}
	l.send("bad")
	l.pass(45 * time.Minute)
	l.wantStatus(bridge.StatusFailed)
	l.send("good")
	l.step(time.Second)
	l.wantStatus(bridge.StatusFailed, bridge.StatusSent)
	if l.desk.opened != 1 || len(l.desk.notes) != 0 {
		t.Errorf("%d tickets, notes %q", l.desk.opened, l.desk.notes)
	}
}

// The agent closes the ticket while a message is on its way, and then the desk
// goes away: the message does not rest in the closed ticket.
func TestAMessageThatMetAClosedTicketIsNotForgotten(t *testing.T) {
	l := newLanes(t)
	l.send("one")
	l.step(0)
	l.desk.closed = true
	l.desk.reopen = func() error { return failing(bridge.DeskUnavailable) }
	l.send("two")
	l.pass(10 * time.Minute)
	if l.desk.reopened != 0 {
		t.Fatal("it cannot have been reopened")
	}
	l.desk.reopen = nil
	l.pass(10 * time.Minute)
	l.wantStatus(bridge.StatusSent, bridge.StatusSent)
	l.wantTexts("one", "two")
	if l.desk.reopened != 1 {
		t.Errorf("reopened %d times", l.desk.reopened)
	}
}

// A desk that refuses to reopen it has the message all the same.
func TestAMessageIsSentThoughItsTicketStaysClosed(t *testing.T) {
	for _, kind := range []bridge.DeskErrorKind{bridge.DeskRefused, bridge.DeskMasked} {
		t.Run(string(kind), func(t *testing.T) {
			l := newLanes(t)
			l.send("one")
			l.step(0)
			l.desk.closed = true
			l.desk.reopen = func() error { return failing(kind) }
			l.send("two")
			l.pass(45 * time.Minute)
			l.wantStatus(bridge.StatusSent, bridge.StatusSent)
			l.wantTexts("one", "two")
		})
	}
}

// Somebody has to mend it, so somebody is told: at once, and then about once an hour.
func TestTheOperatorIsToldThatMessagesWaitForAccess(t *testing.T) {
	for _, kind := range []bridge.DeskErrorKind{bridge.DeskDenied, bridge.DeskHidden} {
		t.Run(string(kind), func(t *testing.T) {
			l := newLanes(t)
			var out bytes.Buffer
			l.pump.Log = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))
			l.desk.open = func(bridge.Opening) error { return failing(kind) }
			l.send("one")
			l.step(0)
			if n := strings.Count(out.String(), "gives Deskbridge access again"); n != 1 {
				t.Fatalf("%d warnings at once:\n%s", n, out.String())
			}
			l.pass(6 * time.Hour)
			if n := strings.Count(out.String(), "gives Deskbridge access again"); n < 4 || n > 9 {
				t.Errorf("%d warnings in six hours", n)
			}
			if strings.Contains(out.String(), "text=one") || l.desk.opened != 0 {
				t.Errorf("%s", out.String())
			}
		})
	}
}

// A message that is refused for its files says so, and the files go with a retry.
func TestARefusalOfFilesIsTold(t *testing.T) {
	l := newLanes(t)
	l.send("one")
	l.step(0)
	var carried []bridge.File
	l.desk.post = func(p bridge.Post) error {
		if len(p.Files) == 0 {
			return nil
		}
		err := failing(bridge.DeskRefused)
		err.Files = true
		return err
	}
	file := bridge.File{Attachment: bridge.Attachment{ID: bridge.NewAttachmentID(), Name: "a.txt", Type: "text/plain", Size: 5}, Content: strings.NewReader("hello")}
	if _, err := l.chats.Send(t.Context(), l.region, bridge.Sending{Device: device, Language: "de", Files: []bridge.File{file}}); err != nil {
		t.Fatal(err)
	}
	l.pass(10 * time.Minute)
	m := l.wantStatus(bridge.StatusSent, bridge.StatusFailed)
	if m[1].FailCode != bridge.FailAttachment || len(m[1].Attachments) != 1 {
		t.Errorf("%+v", m[1])
	}
	l.desk.post = func(p bridge.Post) error { carried = p.Files; return nil }
	if _, err := l.store.RetryLetters(t.Context(), 0, []bridge.WorkID{l.letters()[0].ID}, l.now); err != nil {
		t.Fatal(err)
	}
	l.pass(time.Minute)
	l.wantStatus(bridge.StatusSent, bridge.StatusSent)
	content := make([]byte, 5)
	if len(carried) != 1 || carried[0].Name != "a.txt" {
		t.Fatalf("carried %+v", carried)
	}
	if _, err := carried[0].Content.ReadAt(content, 0); err != nil || string(content) != "hello" {
		t.Errorf("carried %q, %v", content, err)
	}
}
