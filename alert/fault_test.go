package alert_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"deskbridge/alert"
	"deskbridge/bridge"
	"deskbridge/storage/storagetest"
)

// silent listens and never answers; its end is the test's.
func silent(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return "http://" + ln.Addr().String()
}

// TestFaultsHaveNames: whatever keeps a real receiver from taking a notice has the
// name that consoles say in their languages, and its detail holds no address.
func TestFaultsHaveNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.Open(t), nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	w.ok(err)
	closed := "http://" + ln.Addr().String()
	w.ok(ln.Close())
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(untrusted.Close)
	web := func(path string, status int) string {
		w.web.answer(path, status)
		return w.web.URL + path
	}
	open, guarded := w.alerts(w.store, "127.0.0.1"), w.alerts(w.store)
	for _, c := range []struct {
		url   string
		fault bridge.AlertFault
	}{
		{web("/401", http.StatusUnauthorized), bridge.AlertFaultDenied},
		{web("/403", http.StatusForbidden), bridge.AlertFaultDenied},
		{web("/404", http.StatusNotFound), bridge.AlertFaultGone},
		{web("/410", http.StatusGone), bridge.AlertFaultGone},
		{web("/400", http.StatusBadRequest), bridge.AlertFaultStatus},
		{web("/429", http.StatusTooManyRequests), bridge.AlertFaultBusy},
		{web("/502", http.StatusBadGateway), bridge.AlertFaultBusy},
		{web("/307", http.StatusTemporaryRedirect), bridge.AlertFaultRedirect},
		{closed + "/secret", bridge.AlertFaultUnreachable},
		{untrusted.URL + "/secret", bridge.AlertFaultCertificate},
		{silent(t) + "/secret", bridge.AlertFaultTimeout},
		{"https://nobody.invalid/secret", bridge.AlertFaultUnknown},
		{"http://user:secret@127.0.0.1/", bridge.AlertFaultForm},
		{"ftp://127.0.0.1/secret", bridge.AlertFaultForm},
	} {
		region := *w.region
		region.Settings.Alert = bridge.AlertSettings{Minutes: 1, WebhookURL: c.url}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		got := open.Test(ctx, &region)
		cancel()
		if len(got) != 1 || got[0].State != bridge.AlertFailed || got[0].Fault != c.fault || got[0].Reason == "" || strings.Contains(got[0].Reason, "secret") {
			t.Errorf("%s: %+v, want %s", c.url, got, c.fault)
		}
	}
	w.mail.set(func() { w.mail.refuses["boss@town.example"] = true })
	region := *w.region
	region.Settings.Alert = bridge.AlertSettings{Minutes: 1, Emails: []string{"boss@town.example"}}
	without, wrong := *open, *open
	without.Mail.Host, wrong.Mail.Password = "", "wrong"
	for _, c := range []struct {
		alerts *alert.Alerts
		fault  bridge.AlertFault
	}{{open, bridge.AlertFaultMailRefused}, {&without, bridge.AlertFaultNoMail}, {&wrong, bridge.AlertFaultMailServer}} {
		if got := c.alerts.Test(t.Context(), &region)[0]; got.Fault != c.fault || got.State != bridge.AlertFailed {
			t.Errorf("%+v, want %s", got, c.fault)
		}
	}
	for url, want := range map[string]bridge.AlertFault{w.web.URL + "/hook": bridge.AlertFaultPrivate, "http://93.184.216.34:25/": bridge.AlertFaultPort} {
		region.Settings.Alert = bridge.AlertSettings{Minutes: 1, WebhookURL: url}
		if got := guarded.Test(t.Context(), &region)[0]; got.Fault != want {
			t.Errorf("%s: %+v", url, got)
		}
	}
}
