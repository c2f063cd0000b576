package cli_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"deskbridge/app"
	"deskbridge/bridge"
	"deskbridge/cli"
	"deskbridge/config"
)

// store opens the home's installation beside the command line.
func (h *home) store() *app.App {
	h.t.Helper()
	cfg, err := config.Load("", []string{"DESKBRIDGE_DATA_DIR=" + h.dir + "/data"})
	if err != nil {
		h.t.Fatal(err)
	}
	a, err := app.Open(context.Background(), cfg, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if err := a.Close(); err != nil {
			h.t.Error(err)
		}
	})
	return a
}

// refused stores messages of one device and lets Zammad refuse them all.
func refused(t *testing.T, a *app.App, texts ...string) {
	t.Helper()
	ctx := t.Context()
	region, ok := a.Regions.BySlug("testland")
	if !ok {
		t.Fatal("no region")
	}
	for _, text := range texts {
		_, err := a.Store.Accept(ctx, bridge.Submission{
			Region: region, Device: bridge.DeviceHash{1}, Language: "de", UUID: bridge.MessageUUID(uuid.NewString()), Text: text,
			Admit: func(bridge.Standing) bool { return true }, Alias: "0123456789abcdef", Now: time.Now().Add(-3 * time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	claims, err := a.Store.ClaimLanes(ctx, region.Desk, time.Now(), time.Now().Add(time.Minute), 1)
	if err != nil || len(claims) != 1 {
		t.Fatal(claims, err)
	}
	for {
		work, err := a.Store.Start(ctx, claims[0], time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if work == nil {
			return
		}
		o := bridge.Outcome{Work: work.ID}
		if work.Kind == bridge.WorkMessage {
			o.Failed = &bridge.Failed{Code: bridge.FailRefused, Reason: "no\x1b[2J\nmercy", ErrorID: "4F2A99"}
		}
		if _, err := a.Store.Finish(ctx, claims[0], o, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLetters(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	if out := h.want(cli.ExitOK, "letters", "list"); !strings.Contains(out, "There are no dead letters") {
		t.Error(out)
	}
	if letters := decode[[]bridge.Letter](h, "letters", "list"); letters == nil || len(letters) != 0 {
		t.Errorf("%+v", letters)
	}
	h.want(cli.ExitOK, "letters", "retry", "--all")
	a := h.store()
	refused(t, a, "first secret", "second secret", "third secret")

	letters := decode[[]bridge.Letter](h, "letters", "list", "--region", "testland")
	if len(letters) != 3 || letters[0].ErrorID != "4F2A99" || letters[0].Code != "refused" || letters[0].Attempts != 1 {
		t.Fatalf("%+v", letters)
	}
	id := func(i int) string {
		text, err := json.Marshal(letters[i].ID)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	list, show := h.want(cli.ExitOK, "letters", "list"), h.want(cli.ExitOK, "letters", "show", id(0))
	for _, out := range []string{list, show, h.want(cli.ExitOK, "letters", "show", id(0), "--json")} {
		if !strings.Contains(out, "4F2A99") || !strings.Contains(out, "testland") || strings.Contains(out, "secret") || strings.Contains(out, "\x1b") {
			t.Errorf("%s", out)
		}
	}
	if !strings.Contains(list, " 3 h ") || len(strings.Split(strings.TrimSpace(list), "\n")) != 4 {
		t.Errorf("%s", list)
	}

	if out := h.want(cli.ExitOK, "letters", "drop", id(0)); !strings.Contains(out, "1 message dropped") {
		t.Error(out)
	}
	if out := h.want(cli.ExitOK, "letters", "retry", id(1)); !strings.Contains(out, "1 message queued again") {
		t.Error(out)
	}
	for _, gone := range [][]string{{"show", id(0)}, {"retry", id(0)}, {"drop", id(1)}, {"list", "--region", "nowhere"}, {"retry", "--all", "--region", "nowhere"}} {
		h.want(cli.ExitNotFound, append([]string{"letters"}, gone...)...)
	}
	for _, wrong := range [][]string{{"retry"}, {"retry", id(2), "--all"}, {"retry", id(2), "--region", "testland"}, {"show"}, {"drop"}, {"show", "x"}} {
		h.want(cli.ExitUsage, append([]string{"letters"}, wrong...)...)
	}
	if out := h.want(cli.ExitOK, "letters", "retry", "--all", "--region", "testland"); !strings.Contains(out, "1 message queued again") {
		t.Error(out)
	}
	region, _ := a.Regions.BySlug("testland")
	history, err := a.Store.History(t.Context(), region, bridge.DeviceHash{1}, 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bridge.Status{bridge.StatusFailed, bridge.StatusQueued, bridge.StatusQueued} {
		if history.Messages[i].Status != want {
			t.Errorf("message %d is %s, want %s", i, history.Messages[i].Status, want)
		}
	}
}
