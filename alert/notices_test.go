package alert_test

import (
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"deskbridge/staff"
	"deskbridge/storage"
	"deskbridge/storage/storagetest"
)

// TestPeopleAreToldOfChangesOfTheirAccounts: by a real mail server, once for each
// change, whoever made it, and nobody who has no address.
func TestPeopleAreToldOfChangesOfTheirAccounts(t *testing.T) {
	t.Parallel()
	storagetest.EachURL(t, func(t *testing.T, url string) {
		const first, second = "correct horse battery", "staple in the morning"
		ctx, now, log := t.Context(), monday, new(strings.Builder)
		clock := func() time.Time { return now }
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		store, err := storage.Open(ctx, storage.Config{URL: url, Key: storagetest.Key, Now: clock})
		ok(err)
		t.Cleanup(func() { _ = store.Close() })
		server := newMailServer(t)
		logger := slog.New(slog.NewTextHandler(log, nil))
		accounts := staff.NewAccounts(staff.Deps{Store: store, Pepper: []byte("pepper"), Now: clock, Log: logger})
		notices := staff.Notices{Store: store, Mail: server.mail(), Now: clock, Log: logger}
		run := func(dry bool, want map[string]int) {
			t.Helper()
			counts, err := notices.Run(ctx, dry)
			if ok(err); !maps.Equal(counts, want) {
				t.Fatalf("counts: %v, want %v\n%s", counts, want, log)
			}
		}
		ids := map[string]staff.ID{}
		for login, language := range map[string]string{"anna@example.org": "", "ben@example.org": "en", "cleo": "", "gone@example.org": ""} {
			ids[login], err = accounts.Add(ctx, staff.Person{Login: login, Name: "N. N.", Role: staff.Operator, Language: language}, first)
			ok(err)
		}
		run(false, map[string]int{}) // to be made is no change

		now = now.Add(time.Minute)
		for _, id := range ids {
			_, err := accounts.ChangePassword(ctx, id, first, second)
			ok(err)
		}
		gone, err := accounts.ByID(ctx, ids["gone@example.org"])
		ok(err)
		to := gone.Person
		to.Disabled = true
		ok(accounts.Change(ctx, gone.Person, to))
		run(true, map[string]int{"told": 2})
		if n := len(server.taken()); n != 0 {
			t.Fatalf("a dry run has sent %d mails", n)
		}
		server.set(func() { server.refuses["ben@example.org"] = true })
		run(false, map[string]int{"told": 1, "untold": 1})
		server.set(func() { server.refuses["ben@example.org"] = false })
		run(false, map[string]int{"told": 1})
		run(false, map[string]int{})
		letters := server.taken()
		if len(letters) != 2 || letters[0].to != "anna@example.org" || letters[1].to != "ben@example.org" {
			t.Fatalf("letters: %+v", letters)
		}
		both, english := plainOf(t, letters[0].body), plainOf(t, letters[1].body)
		for _, want := range []string{"das Passwort: 23.11.2026, 08:01 Uhr (UTC)", "the password: 23 November 2026, 08:01 (UTC)", "there is nothing to do"} {
			if !strings.Contains(both, want) {
				t.Errorf("the mail lacks %q:\n%s", want, both)
			}
		}
		if strings.Contains(english, "Passwort") || strings.Contains(english, second) || strings.Contains(both, "http") || letters[1].Header.Get("Subject") != "Deskbridge: your sign-in was changed" {
			t.Errorf("subject %q, mail:\n%s", letters[1].Header.Get("Subject"), english)
		}

		// What somebody else does is told too, and only what is new.
		now = now.Add(2 * time.Hour)
		_, err = store.SetTOTP(ctx, ids["ben@example.org"], "", 0)
		ok(err)
		ok(store.LinkSubject(ctx, ids["ben@example.org"], "issuer|ben"))
		run(false, map[string]int{"told": 1})
		if text := plainOf(t, server.taken()[2].body); !strings.Contains(text, "the code at sign-in") || !strings.Contains(text, "the link with the sign-in service") || strings.Contains(text, "the password") {
			t.Errorf("the mail of the second change:\n%s", text)
		}

		// After an hour it is left to the console.
		now = now.Add(time.Minute)
		server.set(func() { server.refuses["ben@example.org"] = true })
		_, err = store.SetTOTP(ctx, ids["ben@example.org"], "SECRET", 1)
		ok(err)
		now = now.Add(time.Hour)
		run(false, map[string]int{"untold": 1})
		now = now.Add(time.Second)
		run(false, map[string]int{})
		if strings.Contains(log.String(), "example.org") || !strings.Contains(log.String(), "could not be told") {
			t.Errorf("log:\n%s", log)
		}
		notices.Mail = nil
		_, err = store.SetTOTP(ctx, ids["anna@example.org"], "SECRET", 1)
		ok(err)
		run(false, map[string]int{})
	})
}
