package app

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"deskbridge/staff"
)

// TestTheDemosAccountsOpenTheConsole: each account signs in at the form and sees
// its regions; in a later demo in the same folder it has another password.
func TestTheDemosAccountsOpenTheConsole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, running := startDemo(t, dir)
	names := map[string]string{"testland": "Testland", "neustadt": "Neustadt"}
	for i, account := range first.Console.Accounts {
		page := openConsole(t, first.Console.URL, account)
		for slug, name := range names {
			sees := account.Role == staff.Operator || account.Regions[0] == slug
			if strings.Contains(page, name) != sees {
				t.Errorf("%s sees %s: %v", account.User, name, !sees)
			}
		}
		if want := []staff.Role{staff.Operator, staff.RegionAdmin, staff.RegionAdmin}[i]; account.Role != want {
			t.Errorf("account %d is %s", i, account.Role)
		}
	}
	running.stop()
	second, _ := startDemo(t, dir)
	for i, account := range second.Console.Accounts {
		if openConsole(t, second.Console.URL, account) == "" {
			t.Errorf("%s cannot sign in to the second demo", account.User)
		}
		if old := first.Console.Accounts[i]; openConsole(t, second.Console.URL, old) != "" {
			t.Errorf("the password that %s had in the first demo is still good", old.User)
		}
	}
}

// openConsole signs in and gives the first page; empty if the door stays shut.
func openConsole(t *testing.T, address string, account demoAccount) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Jar: jar, Transport: transport}
	answer, err := client.PostForm(address+"sign-in/", url.Values{"login": {account.User}, "password": {account.Password}})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Request.URL.Path != "/admin/" {
		return ""
	}
	return string(body)
}
