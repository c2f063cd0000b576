package admin

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"deskbridge/staff"
	"deskbridge/storage/storagetest"
)

// TestStillSignedIn: what a socket is told of its session is how it is now, not
// how it was when the request came.
func TestStillSignedIn(t *testing.T) {
	storagetest.EachURL(t, func(t *testing.T, url string) {
		store, ctx := storagetest.OpenURL(t, url), t.Context()
		accounts := staff.NewAccounts(staff.Deps{Store: store, Now: time.Now})
		sessions := NewSessions(store.Sessions(), time.Hour, time.Hour)
		if _, err := store.AddStaff(ctx, staff.Person{Login: "boss", Role: staff.Operator}, ""); err != nil {
			t.Fatal(err)
		}
		for name, end := range map[string]func(p staff.Person, token string) error{
			"disabled": func(p staff.Person, _ string) error {
				to := p
				to.Disabled = true
				return store.ChangeStaff(ctx, p, to)
			},
			"all sessions ended": func(p staff.Person, _ string) error {
				_, err := store.EndSessions(ctx, p.ID)
				return err
			},
			"signed out": func(_ staff.Person, token string) error {
				there, err := sessions.plain.Load(ctx, token)
				if err != nil {
					return err
				}
				return sessions.plain.Destroy(there)
			},
			"removed": func(p staff.Person, _ string) error { return store.RemoveStaff(ctx, p.ID) },
		} {
			id, err := store.AddStaff(ctx, staff.Person{Login: name, Name: name, Role: staff.Viewer}, "")
			if err != nil {
				t.Fatal(err)
			}
			cookie, err := sessions.Token(ctx, id, epochOf(t, store, id))
			if err != nil {
				t.Fatal(err)
			}
			request := httptest.NewRequest("GET", "http://127.0.0.1/admin/team/socket/", nil)
			request.AddCookie(cookie)
			asked, err := sessions.plain.Load(ctx, cookie.Value) // as the frame has loaded it
			if err != nil {
				t.Fatal(err)
			}
			who, err := sessions.still(asked, request, accounts)
			if err != nil || who == nil || who.ID != id {
				t.Fatalf("%s: before, %v, %v", name, who, err)
			}
			if err := end(*who, cookie.Value); err != nil {
				t.Fatal(err)
			}
			if who, err := sessions.still(asked, request, accounts); err != nil || who != nil {
				t.Errorf("%s: after, %v, %v", name, who, err)
			}
		}
		for name, cookie := range map[string]string{"none": "", "planted": cookiePlain + "=x", "of TLS": cookieSecure + "=x"} {
			request := httptest.NewRequest("GET", "http://127.0.0.1/admin/team/socket/", nil)
			request.Header.Set("Cookie", cookie)
			if who, err := sessions.still(ctx, request, accounts); err != nil || who != nil {
				t.Errorf("cookie %s: %v, %v", name, who, err)
			}
		}
		over, cancel := context.WithCancel(ctx)
		cancel()
		request := httptest.NewRequest("GET", "http://127.0.0.1/admin/team/socket/", nil)
		request.Header.Set("Cookie", cookiePlain+"=x")
		if who, err := sessions.still(over, request, accounts); who != nil {
			t.Errorf("after the request: %v, %v", who, err)
		}
	})
}

func epochOf(t *testing.T, store staff.Store, id staff.ID) int64 {
	t.Helper()
	c, err := store.StaffByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c.Epoch
}
