package admin_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"deskbridge/bridge"
	"deskbridge/staff"
)

const northAlerts = "/admin/regions/north/alerts/"

// hooks is a receiver of notices on loopback that counts what it gets.
func hooks(t *testing.T) (address string, got *atomic.Int64) {
	t.Helper()
	got = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.Add(1)
		if body, err := io.ReadAll(r.Body); err != nil || r.URL.Path == "/down" || !strings.Contains(string(body), "North") {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, got
}

func TestAlertsAreSavedAndTried(t *testing.T) {
	w := oneWorld(t, "DESKBRIDGE_EGRESS_ALLOW=127.0.0.1")
	address, got := hooks(t)
	admin := w.person("admin", staff.RegionAdmin, w.north)
	page := admin.get(northAlerts).is(http.StatusOK).says("There was no notice yet", "sends no e-mails yet").lacks("alerts/test/", "secret_gone")
	form := url.Values{
		"version": {page.hidden("version")}, "minutes": {" 30 "}, "language": {"de"}, "emails": {"a@town.example\r\n\r\n b@town.example, a@town.example"},
		"webhook_url": {address + "/hook"}, "webhook_secret": {"hunter2-secret"}, "ntfy_url": {address + "/down"}, "ntfy_token": {"hunter2-token"},
	}
	admin.post(northAlerts, form).leads(northAlerts + "?done=saved")
	stored := w.stored("north")
	want := bridge.AlertSettings{Minutes: 30, Language: "de", Emails: []string{"a@town.example", "b@town.example"}, WebhookURL: address + "/hook", NtfyURL: address + "/down"}
	if d := cmp.Diff(want, stored.Settings.Alert); d != "" || stored.AlertSecret != "hunter2-secret" || stored.AlertToken != "hunter2-token" {
		t.Fatalf("%s, secrets %q %q", d, string(stored.AlertSecret), string(stored.AlertToken))
	}
	page = admin.get(northAlerts+"?done=saved").is(http.StatusOK).says("Saved.", "One is stored; it is never shown").lacks("hunter2")

	tested := admin.post(northAlerts+"test/", url.Values{}).is(http.StatusOK).
		says("What became of the test", "a@town.example: has not arrived This installation has no mail server", "smtp.host", "Webhook: has arrived", "ntfy: has not arrived The receiver can take nothing at the moment", "503").lacks("hunter2")
	if got.Load() != 2 || strings.Contains(tested.text(), "/hook") {
		t.Errorf("%d requests; %s", got.Load(), tested.text())
	}

	id, err := w.app.Store.AddStaff(t.Context(), staff.Person{Login: "gerda", Name: "Gerda", Role: staff.RegionAdmin, Language: "de", Regions: []bridge.RegionID{w.north.ID}}, "")
	if err != nil {
		t.Fatal(err)
	}
	german := w.stranger()
	german.signIn(id)
	german.post(northAlerts+"test/", url.Values{}).is(http.StatusOK).says("a@town.example: nicht angekommen Diese Installation hat keinen Mailserver", "ntfy: nicht angekommen Der Empfänger kann gerade nichts annehmen")

	noted, err := w.app.Store.Audit(t.Context(), bridge.AuditQuery{Action: "region.change", Limit: 1})
	if err != nil || len(noted) != 1 || noted[0].Actor.Name != "admin" {
		t.Fatalf("%+v, %v", noted, err)
	}
	host := strings.TrimPrefix(address, "http://")
	if d := cmp.Diff([]bridge.FieldChange{
		{Field: "alert.emails", To: "a@town.example, b@town.example"}, {Field: "alert.language", To: "de"}, {Field: "alert.minutes", To: "30"},
		{Field: "alert.ntfy_url", To: host}, {Field: "alert.webhook_url", To: host},
		{Field: "alert_secret", From: "not set", To: "set"}, {Field: "alert_token", From: "not set", To: "set"},
	}, noted[0].Changes); d != "" {
		t.Error(d)
	}

	// Secrets stay while their fields are empty, and go when they are told to.
	form["version"], form["webhook_secret"], form["ntfy_token"] = []string{page.hidden("version")}, nil, nil
	form.Set("ntfy_token_gone", "on")
	admin.post(northAlerts, form).leads(northAlerts + "?done=saved")
	if r := w.stored("north"); r.AlertSecret != "hunter2-secret" || r.AlertToken != "" {
		t.Errorf("secrets %q %q", string(r.AlertSecret), string(r.AlertToken))
	}
	// What is not seen in the audit is stored all the same: another secret, another path.
	for _, one := range []struct{ name, value string }{{"webhook_secret", "hunter3-secret"}, {"webhook_url", address + "/other"}} {
		form.Set("version", admin.get(northAlerts).hidden("version"))
		form.Set(one.name, one.value)
		admin.post(northAlerts, form).leads(northAlerts + "?done=saved")
		form.Del("webhook_secret")
	}
	if r := w.stored("north"); r.AlertSecret != "hunter3-secret" || r.Settings.Alert.WebhookURL != address+"/other" {
		t.Errorf("%q, %+v", string(r.AlertSecret), r.Settings.Alert)
	}
	off := url.Values{"version": {admin.get(northAlerts).hidden("version")}, "minutes": {"0"}}
	admin.post(northAlerts, off).leads(northAlerts + "?done=saved")
	if set := w.stored("north").Settings.Alert; !cmp.Equal(set, bridge.AlertSettings{}) {
		t.Errorf("%+v", set)
	}
}

func TestAlertsSayWhatIsWrongBesideTheField(t *testing.T) {
	w := oneWorld(t)
	admin := w.person("admin", staff.RegionAdmin, w.north)
	version := admin.get(northAlerts).hidden("version")
	for want, fields := range map[string]url.Values{
		"a whole number from 0 to 10,080":  {"minutes": {"soon"}},
		"a whole number from 0":            {"minutes": {"-1"}},
		"where the notice shall go to":     {"minutes": {"5"}},
		"choose one of the languages":      {"minutes": {"0"}, "language": {"tlh"}},
		`"<b>nobody</b>" is not an e-mail`: {"minutes": {"5"}, "emails": {"<b>nobody</b>"}},
		"At most 10 addresses":             {"minutes": {"5"}, "emails": {"a@b.c1 a@b.c2 a@b.c3 a@b.c4 a@b.c5 a@b.c6 a@b.c7 a@b.c8 a@b.c9 a@b.c10 a@b.c11"}},
		"is in an internal network":        {"minutes": {"5"}, "webhook_url": {"http://127.0.0.1:8080/admin/"}},
		"in an internal network":           {"minutes": {"5"}, "ntfy_url": {"http://[::ffff:169.254.169.254]/latest"}},
		"does not connect to this port":    {"minutes": {"5"}, "webhook_url": {"http://93.184.216.34:25/"}},
		"has no user name in it":           {"minutes": {"5"}, "webhook_url": {"https://user:word@93.184.216.34/"}},
		"This is not a whole address":      {"minutes": {"5"}, "webhook_url": {"javascript:alert(1)"}},
		"has more than 1":                  {"minutes": {"5"}, "webhook_url": {"https://93.184.216.34/" + strings.Repeat("x", 1000)}},
		"without spaces, umlauts":          {"minutes": {"0"}, "webhook_secret": {"größe 10"}},
	} {
		fields.Set("version", version)
		a := admin.post(northAlerts, fields).is(http.StatusUnprocessableEntity).says(want).lacks("<b>nobody", "größe")
		if !strings.Contains(a.body, `aria-invalid="true"`) {
			t.Errorf("%q: the mistake is not at its field", want)
		}
	}
	if r := w.stored("north"); r.Version != 1 || r.AlertSecret != "" {
		t.Errorf("something was saved: version %d", r.Version)
	}
}

// TestATokenStaysWithItsServer: whoever may type another address of ntfy does not
// get the stored token sent to it.
func TestATokenStaysWithItsServer(t *testing.T) {
	w := oneWorld(t, "DESKBRIDGE_EGRESS_ALLOW=127.0.0.1")
	address, _ := hooks(t)
	admin := w.person("admin", staff.RegionAdmin, w.north)
	save := func(more url.Values) answer {
		form := url.Values{"version": {admin.get(northAlerts).hidden("version")}, "minutes": {"30"}}
		for name, values := range more {
			form[name] = values
		}
		return admin.post(northAlerts, form)
	}
	save(url.Values{"ntfy_url": {address + "/one"}, "ntfy_token": {"first-token"}}).leads(northAlerts + "?done=saved")
	save(url.Values{"ntfy_url": {address + "/two"}}).is(http.StatusUnprocessableEntity).says("Type the token again")
	if r := w.stored("north"); r.AlertToken != "first-token" || r.Settings.Alert.NtfyURL != address+"/one" {
		t.Fatalf("token %q for %s", string(r.AlertToken), r.Settings.Alert.NtfyURL)
	}
	save(url.Values{"ntfy_url": {address + "/two"}, "ntfy_token": {"second-token"}}).leads(northAlerts + "?done=saved")
	save(url.Values{"ntfy_url": {address + "/three"}, "ntfy_token_gone": {"on"}}).leads(northAlerts + "?done=saved")
	if r := w.stored("north"); r.AlertToken != "" || r.Settings.Alert.NtfyURL != address+"/three" {
		t.Fatalf("token %q for %s", string(r.AlertToken), r.Settings.Alert.NtfyURL)
	}
}

func TestTwoAdminsChangeAlerts(t *testing.T) {
	eachWorld(t, func(w *world) {
		anna, bert := w.person("anna", staff.RegionAdmin, w.north), w.person("bert", staff.RegionAdmin, w.north)
		version := anna.get(northAlerts).hidden("version")
		anna.post(northAlerts, url.Values{"version": {version}, "minutes": {"60"}, "emails": {"anna@town.example"}}).leads(northAlerts + "?done=saved")
		told := bert.post(northAlerts, url.Values{"version": {version}, "minutes": {"70"}, "emails": {"bert@town.example"}}).is(http.StatusConflict).
			says("Somebody else has changed the region meanwhile", "60", "anna@town.example")
		if !strings.Contains(told.body, `value="70"`) || !strings.Contains(told.body, "bert@town.example") {
			t.Error("what was typed is gone")
		}
		if set := w.stored("north").Settings.Alert; set.Minutes != 60 {
			t.Fatalf("%+v", set)
		}
		bert.post(northAlerts, url.Values{"version": {told.hidden("version")}, "minutes": {"70"}, "emails": {"bert@town.example"}}).leads(northAlerts + "?done=saved")
	})
}

func TestAlertRights(t *testing.T) {
	w := oneWorld(t, "DESKBRIDGE_EGRESS_ALLOW=127.0.0.1")
	address, got := hooks(t)
	w.north.Settings.Alert = bridge.AlertSettings{Minutes: 30, Emails: []string{"team@town.example"}, WebhookURL: address + "/path-that-is-secret"}
	w.north.AlertSecret = "hunter2"
	if err := w.app.Store.SaveRegion(t.Context(), w.north); err != nil {
		t.Fatal(err)
	}
	if err := w.app.Regions.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	viewer, foreign := w.person("viewer", staff.Viewer, w.north), w.person("foreign", staff.RegionAdmin, w.south)
	viewer.get(northAlerts).is(http.StatusOK).says("30", "team@town.example", strings.TrimPrefix(address, "http://")).lacks("path-that-is-secret", "hunter2", "alerts/test/")
	change := url.Values{"version": {"2"}, "minutes": {"0"}}
	for _, path := range []string{northAlerts, northAlerts + "test/"} {
		viewer.post(path, change).is(http.StatusForbidden)
		foreign.post(path, change).is(http.StatusNotFound)
		w.stranger().post(path, change).is(http.StatusSeeOther)
	}
	foreign.get(northAlerts).is(http.StatusNotFound)
	if got.Load() != 0 || w.stored("north").Settings.Alert.Minutes != 30 {
		t.Error("somebody did what they may not")
	}
}

// TestLastAlertsAreListed: with their state and ticket, and only those of the
// region.
func TestLastAlertsAreListed(t *testing.T) {
	eachWorld(t, func(w *world) {
		now := time.Now().Truncate(time.Millisecond)
		_, err := w.app.Store.Accept(t.Context(), bridge.Submission{
			Region: w.north, Device: w.app.Hasher.Hash("phone-1"), Language: "de", UUID: bridge.MessageUUID(uuid.NewString()), Text: "a secret message",
			Admit: func(bridge.Standing) bool { return true }, Alias: "alias", Now: now,
		})
		if err != nil {
			t.Fatal(err)
		}
		waits, err := w.app.Store.Waits(t.Context(), w.north.ID, time.Time{}, now, 5)
		if err != nil || len(waits) != 1 {
			t.Fatalf("%v, %v", waits, err)
		}
		added, err := w.app.Store.AddAlert(t.Context(), bridge.Alert{Region: w.north.ID, Chat: waits[0].Chat, Since: waits[0].Since, Key: "key", CreatedAt: now, Channels: []bridge.AlertChannel{
			{Kind: bridge.AlertEmail, To: "<i>team</i>@town.example", State: bridge.AlertSent}, {Kind: bridge.AlertNtfy, State: bridge.AlertFailed, Reason: "<b>no</b>"},
		}})
		if err != nil || !added {
			t.Fatalf("%v, %v", added, err)
		}
		viewer := w.person("viewer", staff.Viewer, w.north, w.south)
		viewer.get(northAlerts).is(http.StatusOK).says("still waiting", "<i>team</i>@town.example: has arrived", "ntfy: has not arrived", "<b>no</b>").lacks("<i>team", "<b>no", "secret message", "phone-1")
		viewer.get("/admin/regions/south/alerts/").is(http.StatusOK).says("There was no notice yet")
	})
}
