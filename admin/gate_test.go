package admin_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/gate"
	"deskbridge/reception"
	"deskbridge/staff"
)

// connect gives a region a Zammad that never answers, which is enough to be
// served, and lets change it before it is stored.
func (w *world) connect(r *bridge.Region, change func(*bridge.RegionSettings)) {
	w.Helper()
	r.ZammadToken, r.Settings.ZammadURL, r.Settings.ZammadGroup = "token", "http://127.0.0.1:1", "App"
	change(&r.Settings)
	if err := w.app.Store.SaveRegion(w.Context(), r); err != nil {
		w.Fatal(err)
	}
	if err := w.app.Regions.Reload(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// served asks the device API whether a device may chat.
func (w *world) served(region, device string) bool {
	w.Helper()
	a := w.stranger().get("/api/v3/" + region + "/" + device + "/is_chat_enabled/").is(http.StatusOK)
	var answer struct {
		Enabled bool `json:"is_chat_enabled"`
	}
	if err := json.Unmarshal([]byte(a.body), &answer); err != nil {
		w.Fatal(err)
	}
	return answer.Enabled
}

// hidden finds the value of a hidden field of a form.
func (a answer) hidden(name string) string {
	a.w.Helper()
	match := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(a.body)
	if match == nil {
		a.w.Fatalf("there is no hidden field %s", name)
	}
	return match[1]
}

// stored is a region as the database has it.
func (w *world) stored(slug string) *bridge.Region {
	w.Helper()
	all, err := w.app.Store.Regions(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	for _, r := range all {
		if r.Slug == slug {
			return r
		}
	}
	w.Fatalf("there is no region %s", slug)
	return nil
}

const northGate, northTesters, northWhy = "/admin/regions/north/gate/", "/admin/regions/north/testers/", "/admin/regions/north/why/"

func TestGateIsSavedAndObeyed(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.connect(w.north, func(s *bridge.RegionSettings) { s.Percentage = 0 })
		admin := w.person("admin", staff.RegionAdmin, w.north)
		page := admin.get(northGate).is(http.StatusOK).says("Now: 0 % of the devices", "Deutsch (de)")
		if w.served("north", "device-1") {
			t.Fatal("a device is served at 0 %")
		}
		at := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Minute)
		form := url.Values{
			"version": {page.hidden("version")}, "percentage": {"99,5"}, "gate_languages": {"de", "xx"}, "min_app_version": {" 2026.8 "}, "hide_until_full": {"on"},
			"ramp_at": {at.Format("2006-01-02T15:04"), "", at.Add(time.Hour).Format("2.1.2006 15:04")}, "ramp_percentage": {"50.25", "", "100"},
		}
		admin.post(northGate, form).leads(northGate + "?done=saved")
		admin.get(northGate+"?done=saved").is(http.StatusOK).says("Saved.", "Now: 99.5 % of the devices", "50.25 % from")
		set := w.stored("north").Settings
		if set.Percentage != 99.5 || fmt.Sprint(set.GateLanguages) != "[de]" || set.MinAppVersion != "2026.8" || !set.HideUntilFull ||
			len(set.Ramp) != 2 || !set.Ramp[0].At.Equal(at) || set.Ramp[1].Percentage != 100 {
			t.Fatalf("%+v", set)
		}
		for i := range 20 {
			if device := fmt.Sprint("device-", i); !w.served("north", device) {
				decision, _ := bridge.Decide(t.Context(), w.app.Store, w.stored("north"), w.app.Hasher.Hash(device), "", "", time.Now())
				if decision.Bucket < 9950 {
					t.Errorf("%s is not served at 99.5 %%", device)
				}
			}
		}
		// All languages at once are no rule: those that come later are served too.
		form["gate_languages"], form["version"] = []string{"de", "en"}, []string{admin.get(northGate).hidden("version")}
		admin.post(northGate, form).leads(northGate + "?done=saved")
		if set := w.stored("north").Settings; set.GateLanguages != nil {
			t.Errorf("%v", set.GateLanguages)
		}
	})
}

func TestGateSaysWhatIsWrongBesideTheField(t *testing.T) {
	w := oneWorld(t)
	admin := w.person("admin", staff.RegionAdmin, w.north)
	past, later := "2020-01-01T08:00", time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04")
	for name, c := range map[string]struct {
		fields url.Values
		says   string
	}{
		"no number":         {url.Values{"percentage": {"many"}}, "from 0 to 100"},
		"three decimals":    {url.Values{"percentage": {"1.234"}}, "two decimals"},
		"more than all":     {url.Values{"percentage": {"101"}}, "from 0 to 100"},
		"NaN":               {url.Values{"percentage": {"NaN"}}, "from 0 to 100"},
		"no version":        {url.Values{"percentage": {"1"}, "min_app_version": {"<b>new</b>"}}, "numbers with dots"},
		"a past step":       {url.Values{"percentage": {"1"}, "ramp_at": {past}, "ramp_percentage": {"5"}}, "This time is over"},
		"a step by half":    {url.Values{"percentage": {"1"}, "ramp_at": {""}, "ramp_percentage": {"5"}}, "a date and a time"},
		"steps in a tangle": {url.Values{"percentage": {"1"}, "ramp_at": {later, later}, "ramp_percentage": {"5", "6"}}, "must come after"},
		"too many steps":    {url.Values{"percentage": {"1"}, "ramp_at": make([]string, 22), "ramp_percentage": strings.Split(strings.Repeat("5,", 22), ",")[:22]}, "at most 20 lines"},
	} {
		c.fields.Set("version", "1")
		a := admin.post(northGate, c.fields).is(http.StatusUnprocessableEntity).says(c.says)
		if strings.Contains(a.body, "<b>new") || !strings.Contains(a.body, `aria-invalid="true"`) && name != "too many steps" {
			t.Errorf("%s: the mistake is not at its field", name)
		}
		admin.post(northGate+"preview/", c.fields).is(http.StatusOK).says("mend the mistakes")
	}
	if r := w.stored("north"); r.Version != 1 || r.Settings.Percentage != 50 {
		t.Errorf("something was saved: version %d, %g %%", r.Version, r.Settings.Percentage)
	}
}

// TestManagedFieldsStay: what another system sets is shown so, and not changed.
func TestManagedFieldsStay(t *testing.T) {
	w := oneWorld(t)
	w.connect(w.north, func(s *bridge.RegionSettings) {
		s.Percentage, s.MinAppVersion, s.HideUntilFull = 30, "2.0", true
		s.Managed = map[string]string{"percentage": "the <CRM>", "ramp": "the <CRM>", "gate_languages": "x", "hide_until_full": "x"}
	})
	admin := w.person("admin", staff.RegionAdmin, w.north)
	page := admin.get(northGate).is(http.StatusOK).says("Another program sets this: “the <CRM>”")
	if !strings.Contains(page.body, `type="number" readonly`) || strings.Contains(page.body, "gate-slider") {
		t.Error("the percentage can be typed")
	}
	later := time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04")
	admin.post(northGate, url.Values{
		"version": {page.hidden("version")}, "percentage": {"90"}, "min_app_version": {"3.0"}, "gate_languages": {"de"}, "ramp_at": {later}, "ramp_percentage": {"5"},
	}).leads(northGate + "?done=saved")
	if set := w.stored("north").Settings; set.Percentage != 30 || set.Ramp != nil || set.GateLanguages != nil || !set.HideUntilFull || set.MinAppVersion != "3.0" {
		t.Errorf("%+v", set)
	}
}

// TestTwoAdminsAtOnce: the second is told, keeps what they typed, and may then
// save over it.
func TestTwoAdminsAtOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		anna, bert := w.person("anna", staff.RegionAdmin, w.north), w.person("bert", staff.RegionAdmin, w.north)
		version := anna.get(northGate).hidden("version")
		anna.post(northGate, url.Values{"version": {version}, "percentage": {"60"}}).leads(northGate + "?done=saved")
		told := bert.post(northGate, url.Values{"version": {version}, "percentage": {"70"}, "min_app_version": {"3.1"}}).is(http.StatusConflict).
			says("Somebody else has changed this meanwhile", "60 %")
		if !strings.Contains(told.body, `value="70"`) || !strings.Contains(told.body, `value="3.1"`) {
			t.Error("what was typed is gone")
		}
		if got := w.stored("north").Settings.Percentage; got != 60 {
			t.Fatalf("%g %% are stored", got)
		}
		bert.post(northGate, url.Values{"version": {told.hidden("version")}, "percentage": {"70"}}).leads(northGate + "?done=saved")
		if got := w.stored("north").Settings.Percentage; got != 70 {
			t.Errorf("%g %% are stored", got)
		}
	})
}

// TestLosingTheChatIsAskedTwice: where devices would lose it, they are counted
// first and nothing is saved.
func TestLosingTheChatIsAskedTwice(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.connect(w.north, func(s *bridge.RegionSettings) { s.Percentage = 100 })
		var exposures []bridge.Exposure
		for i := range 40 {
			exposures = append(exposures, bridge.Exposure{
				Region: w.north.ID, Device: w.app.Hasher.Hash(fmt.Sprint(i)), Day: time.Now().UTC().Format(time.DateOnly), Served: true, Reason: gate.ReasonBucket, At: time.Now(),
			})
		}
		if err := w.app.Store.RecordExposures(t.Context(), exposures); err != nil {
			t.Fatal(err)
		}
		admin := w.person("admin", staff.RegionAdmin, w.north)
		form := url.Values{"version": {admin.get(northGate).hidden("version")}, "percentage": {"0"}}
		admin.post(northGate+"preview/", form).is(http.StatusOK).says("40 devices that were here", "No longer in: 40", "Newly in: 0", "Who gets the chat")
		fragment := admin.do(http.MethodPost, northGate+"preview/", form, http.Header{"HX-Request": {"true"}, "Sec-Fetch-Site": {"same-origin"}}).is(http.StatusOK).says("No longer in: 40")
		if strings.Contains(fragment.body, "<html") || !strings.HasPrefix(strings.TrimSpace(fragment.body), `<div id="preview"`) {
			t.Errorf("htmx gets more than a fragment:\n%s", fragment.body)
		}
		admin.post(northGate, form).is(http.StatusOK).says("40 devices that get the chat now would lose it", "Nothing is saved yet", "Save all the same")
		if got := w.stored("north").Settings.Percentage; got != 100 {
			t.Fatalf("%g %% are stored", got)
		}
		form.Set("sure", "39") // of fewer than it are
		admin.post(northGate, form).is(http.StatusOK).says("40 devices that get the chat now would lose it").lacks("Saved")
		form.Set("sure", "40")
		admin.post(northGate, form).leads(northGate + "?done=saved")
		form = url.Values{"version": {admin.get(northGate).hidden("version")}, "percentage": {"50"}}
		admin.post(northGate, form).leads(northGate + "?done=saved") // nobody loses anything: no question
	})
}

func TestTestersOverHTTP(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.connect(w.north, func(s *bridge.RegionSettings) { s.Percentage = 0 })
		const device = "0a5c1e4b-7a11-4f0e-9d4e-2c9d1b0f6d11"
		admin := w.person("admin", staff.RegionAdmin, w.north)
		admin.get(northTesters).is(http.StatusOK).says("Nothing is set for any device yet").lacks("<table")
		admin.post(northTesters+"find/", url.Values{"device": {" " + device + " "}}).is(http.StatusOK).says("Nothing is set for this device")
		until := time.Now().Add(72 * time.Hour).UTC().Format("2006-01-02T15:04")
		set := url.Values{"device": {device}, "way": {"in"}, "until": {until}, "note": {"<i>Öffnung</i>"}}
		admin.post(northTesters+"set/", set).leads(northTesters + "?done=set")
		if !w.served("north", device) {
			t.Error("the device was taken in and is not served")
		}
		hash := w.app.Hasher.Hash(device)
		page := admin.get(northTesters+"?done=set").is(http.StatusOK).says("It is set for the device now", "always in", "<i>Öffnung</i>", "admin").lacks(device, hash.String(), fmt.Sprintf("%x", hash[:]), "<i>")
		found := admin.post(northTesters+"find/", url.Values{"device": {device}}).is(http.StatusOK).says("always gets the chat")
		if !strings.Contains(found.body, `value="`+until+`"`) {
			t.Error("the end is not in the form")
		}
		set.Set("way", "out")
		set.Del("until")
		admin.post(northTesters+"set/", set).leads(northTesters + "?done=set")
		// The first page is out of date: its number is gone.
		admin.post(northTesters+"clear/", url.Values{"id": {page.hidden("id")}}).leads(northTesters + "?done=gone")
		admin.get(northTesters+"?done=gone").says("was not there any more", "never in", "no end")
		admin.post(northTesters+"clear/", url.Values{"id": {admin.get(northTesters).hidden("id")}}).leads(northTesters + "?done=cleared")
		admin.get(northTesters).says("Nothing is set for any device yet")
		for want, fields := range map[string]url.Values{
			"This is not a device id":     {"device": {"no id"}, "way": {"in"}},
			"Please choose what":          {"device": {device}},
			"give a date and a time":      {"device": {device}, "way": {"in"}, "until": {"soon"}},
			"This time is over already":   {"device": {device}, "way": {"in"}, "until": {"2020-01-01T00:00"}},
			"more than 200 characters":    {"device": {device}, "way": {"in"}, "note": {strings.Repeat("ä", 201)}},
			"Nothing is set for this dev": {"device": {device}, "way": {"perhaps"}},
		} {
			admin.post(northTesters+"set/", fields).is(http.StatusUnprocessableEntity).says(want)
		}
		admin.get(northTesters).says("Nothing is set for any device yet")
	})
}

// send sends a file as the form does.
func (b *browser) send(path, content string, fields map[string]string) answer {
	b.w.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range fields {
		if err := form.WriteField(name, value); err != nil {
			b.w.Fatal(err)
		}
	}
	file, err := form.CreateFormFile("file", "testers.csv")
	if err == nil {
		_, err = io.WriteString(file, content)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		b.w.Fatal(err)
	}
	request, err := http.NewRequestWithContext(b.w.Context(), http.MethodPost, b.w.origin+path, &body)
	if err != nil {
		b.w.Fatal(err)
	}
	request.Header.Set("Content-Type", form.FormDataContentType())
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	response, err := b.client.Do(request)
	if err != nil {
		b.w.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		b.w.Fatal(err)
	}
	return answer{b.w, response.StatusCode, response.Header, string(raw)}
}

func TestFilesOfTesters(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.connect(w.north, func(s *bridge.RegionSettings) { s.Percentage = 0 })
		admin := w.person("admin", staff.RegionAdmin, w.north)
		admin.send(northTesters+"import/", "a;in\nb;perhaps\nsecret device\na;out\n", map[string]string{"way": "in"}).is(http.StatusUnprocessableEntity).
			says("Nothing of the file was taken", "Line 2: The second column", "Line 3: The first column", "Line 4: This device stands in an earlier line already. (Line 1)").lacks("secret device")
		if w.served("north", "a") {
			t.Error("half of a bad file was taken")
		}
		admin.send(northTesters+"import/", strings.Repeat("?\n", 500), map[string]string{"way": "in"}).is(http.StatusUnprocessableEntity).says("and 300 more")
		admin.send(northTesters+"import/", "", map[string]string{"way": "in"}).is(http.StatusUnprocessableEntity).says("There is no device in the file")
		admin.send(northTesters+"import/", strings.Repeat("x", bridge.MaxTesterBytes+1), map[string]string{"way": "in"}).is(http.StatusUnprocessableEntity).says("larger than 1 MiB")
		admin.send(northTesters+"import/", strings.Repeat("x", 2*bridge.MaxTesterBytes), map[string]string{"way": "in"}).is(http.StatusRequestEntityTooLarge)
		admin.send(northTesters+"import/", "a", map[string]string{"way": "perhaps", "until": "soon"}).is(http.StatusUnprocessableEntity).says("Please choose what", "give a date")
		admin.post(northTesters+"import/", url.Values{"way": {"in"}}).is(http.StatusBadRequest) // no file at all
		var many strings.Builder
		for i := range 120 {
			fmt.Fprintf(&many, "device-%d\r\n", i)
		}
		admin.send(northTesters+"import/", "\xef\xbb\xbf"+many.String(), map[string]string{"way": "in", "note": "all of them"}).leads(northTesters + "?done=imported")
		if !w.served("north", "device-0") || !w.served("north", "device-119") || w.served("north", "device-120") {
			t.Error("the file is not obeyed")
		}
		first := admin.get(northTesters).is(http.StatusOK)
		pages, next := 0, regexp.MustCompile(`\?before=\d+`)
		seen := make(map[string]bool)
		for path := "?"; path != ""; pages++ {
			page := admin.get(northTesters + path).is(http.StatusOK)
			for _, id := range regexp.MustCompile(`name="id" value="(\d+)"`).FindAllStringSubmatch(page.body, -1) {
				seen[id[1]] = true
			}
			path = next.FindString(page.body)
		}
		if pages != 3 || len(seen) != 120 || !strings.Contains(first.body, "all of them") {
			t.Errorf("%d pages with %d overrides", pages, len(seen))
		}
	})
}

func TestWhyOverHTTP(t *testing.T) {
	w := oneWorld(t)
	w.connect(w.north, func(s *bridge.RegionSettings) {
		s.Percentage, s.MinAppVersion, s.GateLanguages = 0, "2026.8", []string{"de"}
	})
	admin, viewer := w.person("admin", staff.RegionAdmin, w.north), w.person("viewer", staff.Viewer, w.north)
	viewer.get(northWhy).is(http.StatusOK).says("Type a device id").lacks(`id="answer"`)
	viewer.post(northWhy, url.Values{"device": {"device-1"}}).is(http.StatusOK).
		says("This device does not get the chat.", "What does the draw say?", "now it is 0 %: out.", "See what is set")
	admin.post(northWhy, url.Values{"device": {"device-1"}, "language": {"en"}, "app_version": {"2026.9"}}).is(http.StatusOK).
		says("The language en is not one that is served (de).", "Decided already", "Set something for this device")
	admin.post(northTesters+"set/", url.Values{"device": {"device-1"}, "way": {"in"}}).leads(northTesters + "?done=set")
	viewer.post(northWhy, url.Values{"device": {"device-1"}, "language": {"xx"}}).is(http.StatusOK).says("This device gets the chat.", "admin took this device in on", "without an end")
	viewer.post(northWhy, url.Values{"device": {"<x>"}, "app_version": {"new"}}).is(http.StatusUnprocessableEntity).says("This is not a device id", "numbers with dots").lacks("<x>")
}

// TestGateInGermanAndInItsZone: pages speak German to whoever wants it, and times
// are those of the region's clocks.
func TestGateInGermanAndInItsZone(t *testing.T) {
	w := oneWorld(t)
	berlin, err := reception.ParseZone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	w.connect(w.north, func(s *bridge.RegionSettings) { s.Percentage, s.Reception.Zone = 12.5, berlin })
	id, err := w.app.Store.AddStaff(t.Context(), staff.Person{Login: "greta", Name: "Greta", Role: staff.RegionAdmin, Language: "de", Regions: []bridge.RegionID{w.north.ID}}, "")
	if err != nil {
		t.Fatal(err)
	}
	greta := w.stranger()
	greta.signIn(id)
	all := []answer{greta.get(northGate).is(http.StatusOK).says("Jetzt: 12,5 % der Geräte", "Zeitzone Europe/Berlin")}
	form := url.Values{"version": {all[0].hidden("version")}, "percentage": {"12,25"}, "ramp_at": {"2990-01-15T08:00"}, "ramp_percentage": {"20"}}
	all = append(all, greta.post(northGate+"preview/", form).is(http.StatusOK).says("noch kein Gerät gesehen"))
	greta.post(northGate, form).leads(northGate + "?done=saved")
	if at := w.stored("north").Settings.Ramp[0].At; !at.Equal(time.Date(2990, 1, 15, 7, 0, 0, 0, time.UTC)) {
		t.Errorf("8 in the morning in Berlin was stored as %s", at)
	}
	all = append(all, greta.get(northGate).says("20 % ab 15.01.2990, 08:00"))
	if !strings.Contains(all[2].body, `value="2990-01-15T08:00"`) {
		t.Error("the step is not in the form as it was typed")
	}
	set := url.Values{"device": {"device-1"}, "way": {"out"}, "until": {"2990-01-15T08:00"}, "note": {"Probe"}}
	greta.post(northTesters+"set/", set).leads(northTesters + "?done=set")
	all = append(all,
		greta.get(northTesters+"?done=set").says("Für das Gerät ist es jetzt so festgelegt", "nie dabei", "15.01.2990, 08:00"),
		greta.post(northTesters+"find/", set).says("bekommt den Chat nie", "Gilt bis 15.01.2990, 08:00"),
		greta.send(northTesters+"import/", "x y\n", map[string]string{"way": "in"}).says("Zeile 1: Die erste Spalte"),
		greta.post(northWhy, set).says("Dieses Gerät bekommt den Chat nicht.", "greta hat dieses Gerät am", "bis 15.01.2990, 08:00 CET", "Schon entschieden"))
	for _, page := range all {
		page.lacks("%!", ">gate.", ">testers.", ">why.")
	}
}

// TestGateRights: viewers read and change nothing, whatever they send, and nobody
// learns of a foreign region.
func TestGateRights(t *testing.T) {
	w := oneWorld(t)
	viewer, foreign := w.person("viewer", staff.Viewer, w.north), w.person("foreign", staff.RegionAdmin, w.south)
	viewer.get(northGate).is(http.StatusOK).says("Now: 50 %").lacks("<form method=\"post\" action=\"" + northGate)
	viewer.get(northTesters).is(http.StatusOK).lacks("testers/set/", "testers/clear/", "testers/import/")
	viewer.post(northTesters+"find/", url.Values{"device": {"device-1"}}).is(http.StatusOK).lacks("testers/set/")
	change := url.Values{"version": {"1"}, "percentage": {"100"}, "device": {"device-1"}, "way": {"in"}, "id": {"1"}}
	for _, path := range []string{northGate, northGate + "preview/", northTesters + "set/", northTesters + "clear/", northTesters + "import/"} {
		viewer.post(path, change).is(http.StatusForbidden)
		foreign.post(path, change).is(http.StatusNotFound)
		w.stranger().post(path, change).is(http.StatusSeeOther)
	}
	for path, page := range map[string]string{northGate + "preview/": northGate, northTesters + "find/": northTesters, northTesters + "set/": northTesters, northTesters + "import/": northTesters} {
		viewer.get(path).leads(page)
	}
	for _, path := range []string{northGate, northTesters, northWhy} {
		foreign.get(path).is(http.StatusNotFound)
	}
	foreign.post(northTesters+"find/", change).is(http.StatusNotFound)
	foreign.post(northWhy, change).is(http.StatusNotFound)
	// A number of another region's override does nothing here.
	if err := w.app.Store.SetTesters(t.Context(), w.north.ID, bridge.Tester{Device: bridge.DeviceHash{1}, Override: gate.OverrideIn, SetAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	foreign.post("/admin/regions/south/testers/clear/", url.Values{"id": {newestOverride(w)}}).leads("/admin/regions/south/testers/?done=gone")
	if newestOverride(w) == "" || w.stored("north").Settings.Percentage != 50 {
		t.Error("somebody without the right has changed something")
	}
}

// newestOverride is the number of the newest override of the north; empty: none.
func newestOverride(w *world) string {
	w.Helper()
	all, err := w.app.Store.Testers(w.Context(), bridge.TesterQuery{Region: w.north.ID, Now: time.Now(), Limit: 1})
	if err != nil {
		w.Fatal(err)
	}
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprint(all[0].ID)
}
