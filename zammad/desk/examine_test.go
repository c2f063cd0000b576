package desk

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

// codes gives the codes of findings, the faults with a mark.
func codes(t *testing.T, found []bridge.Finding) string {
	t.Helper()
	var all []string
	for _, f := range found {
		if f.Sentence == "" || strings.Contains(f.Sentence, "%!") || (f.Mend == "") != f.OK {
			t.Errorf("a finding says nothing: %+v", f)
		}
		if strings.Contains(f.Sentence+f.Mend, "hunter2") {
			t.Errorf("a finding tells a secret: %+v", f)
		}
		code := f.Code
		if !f.OK {
			code = "!" + code
		}
		all = append(all, code)
	}
	return strings.Join(all, " ")
}

func TestExamine(t *testing.T) {
	w := newWorld(t)
	examine := func(change func(*bridge.Region)) string {
		r := *w.region
		change(&r)
		return codes(t, w.desk.Examine(w.ctx, &r))
	}
	elsewhere := httptest.NewServer(jsonAnswer(http.StatusNotFound, `{"error":"no route"}`))
	t.Cleanup(elsewhere.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for want, change := range map[string]func(*bridge.Region){
		"answers rights":          func(*bridge.Region) {},
		"!no_zammad":              func(r *bridge.Region) { r.ZammadToken = "" },
		"!bad_address":            func(r *bridge.Region) { r.Settings.ZammadURL = "file:///etc/passwd" },
		"!token_refused":          func(r *bridge.Region) { r.ZammadToken = "hunter2" },
		"!no_such_zammad":         func(r *bridge.Region) { r.Settings.ZammadURL = elsewhere.URL },
		"!unreachable":            func(r *bridge.Region) { r.Settings.ZammadURL = gone.URL },
		"answers !rights_missing": func(r *bridge.Region) { r.Settings.ZammadGroup = otherGroup },
		"answers rights !privacy_refused": func(r *bridge.Region) {
			r.Settings.Erasure, r.PrivacyToken = bridge.EraseDelete, r.ZammadToken
		},
		"answers rights privacy": func(r *bridge.Region) {
			r.Settings.Erasure, r.PrivacyToken = bridge.EraseDelete, "admin-token"
		},
	} {
		if got := examine(change); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := examine(func(r *bridge.Region) { r.ZammadToken, r.Settings.ZammadGroup = "admin-token", "Nobody's" }); got != "answers !group_unknown" {
		t.Error(got)
	}
	group, err := w.admin.Groups.Create(w.ctx, zammad.Group{Name: "Asleep", FollowUpPossible: zammad.FollowUpYes})
	w.must(err)
	if got := examine(func(r *bridge.Region) { r.ZammadToken, r.Settings.ZammadGroup = "admin-token", group.Name }); got != "answers !group_off" {
		t.Error(got)
	}
	w.answering("GET /users/me", jsonAnswer(http.StatusForbidden, `{"error":"hunter2"}`))
	if got := examine(func(*bridge.Region) {}); got != "!token_forbidden" {
		t.Error(got)
	}
	// A Zammad that says nothing does not keep whoever asked.
	done := make(chan struct{})
	w.answering("GET /users/me", func(_ http.ResponseWriter, in *http.Request) {
		select {
		case <-in.Context().Done():
		case <-done:
		}
	})
	ctx, cancel := context.WithTimeout(w.ctx, 100*time.Millisecond)
	defer cancel()
	if got := codes(t, w.desk.Examine(ctx, w.region)); got != "!unreachable" {
		t.Error(got)
	}
	close(done)
}
