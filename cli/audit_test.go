package cli_test

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/cli"
)

func TestDeliveries(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	a := h.store()
	region, _ := a.Regions.BySlug("testland")
	for i := range 3 {
		if _, err := a.Store.StoreDelivery(t.Context(), bridge.Delivery{Region: region.ID, Key: fmt.Sprint(i), Body: []byte("my secret"), Received: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	claimed, err := a.Store.ClaimDeliveries(t.Context(), "c", time.Now(), time.Now().Add(time.Minute), 1)
	if err != nil || len(claimed) != 1 {
		t.Fatal(claimed, err)
	}
	if err := a.Store.RetryDelivery(t.Context(), "c", claimed[0].ID, time.Now().Add(time.Hour), "no\x1b[2Jmercy"); err != nil {
		t.Fatal(err)
	}
	list := decode[[]bridge.DeliveryRecord](h, "deliveries", "list", "--state", "waiting", "--region", "testland")
	if len(list) != 3 || list[2].Attempts != 1 || list[0].Region != "testland" {
		t.Fatalf("%+v", list)
	}
	out := h.want(cli.ExitOK, "deliveries", "list")
	if strings.Count(out, "waiting") != 3 || strings.Contains(out, "secret") || strings.Contains(out, "\x1b") {
		t.Error(out)
	}
	id := func(i int) string { return fmt.Sprint(list[i].ID) }
	if out := h.want(cli.ExitOK, "deliveries", "retry", id(2)); !strings.Contains(out, "1 of 1 due now") {
		t.Error(out)
	}
	if out := h.want(cli.ExitNotFound, "deliveries", "drop", id(1), "4711"); !strings.Contains(out, "1 of 2 dropped") {
		t.Error(out)
	}
	for _, gone := range [][]string{{"retry", id(1)}, {"drop", id(1)}, {"list", "--region", "nowhere"}} {
		h.want(cli.ExitNotFound, append([]string{"deliveries"}, gone...)...)
	}
	for _, wrong := range [][]string{{"retry"}, {"drop"}, {"list", "--state", "lost"}, {"drop", "x"}} {
		h.want(cli.ExitUsage, append([]string{"deliveries"}, wrong...)...)
	}
	if list := decode[[]bridge.DeliveryRecord](h, "deliveries", "list", "--state", "failed"); list == nil || len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	a := h.store()
	refused(t, a, "my secret")
	letters, err := a.Store.Letters(t.Context(), bridge.LetterQuery{})
	if err != nil || len(letters) != 1 {
		t.Fatal(letters, err)
	}
	h.want(cli.ExitOK, "letters", "retry", fmt.Sprint(letters[0].ID))
	h.want(cli.ExitOK, "jobs", "run", "prune", "--dry-run")
	hostile := bridge.WithActor(t.Context(), bridge.Actor{Kind: bridge.ActorPerson, ID: 9, Name: "=cmd()\x1b[2J"})
	if _, err := a.Store.LeaseRun(hostile, "prune", "h", false, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}

	out := h.want(cli.ExitOK, "audit", "list", "--action", "letter", "--region", "testland")
	if !strings.Contains(out, "letter.retry") || !strings.Contains(out, "count: 1; reason: refused") || strings.Contains(out, "job.run") || strings.Contains(out, "secret") {
		t.Error(out)
	}
	if out := h.want(cli.ExitOK, "audit", "list"); strings.Contains(out, "\x1b") || !strings.Contains(out, "dry_run: true") {
		t.Error(out)
	}
	plain, marked := strings.CutPrefix(h.want(cli.ExitOK, "audit", "export", "--action", "job."), "\ufeff") // for spreadsheets
	table, err := csv.NewReader(strings.NewReader(plain)).ReadAll()
	if err != nil || !marked || len(table) != 3 || table[0][1] != "at" || table[1][4] != "'=cmd()\x1b[2J" || table[2][2] != "command" || table[2][8] != "dry_run: true" {
		t.Errorf("%v, %q", err, table)
	}
	lines := 0
	for scan := bufio.NewScanner(strings.NewReader(h.want(cli.ExitOK, "audit", "export", "--format", "jsonl", "--action", "letter"))); scan.Scan(); lines++ {
		var e struct {
			At      time.Time            `json:"at"`
			Region  string               `json:"region"`
			Changes []bridge.FieldChange `json:"changes"`
		}
		if err := json.Unmarshal(scan.Bytes(), &e); err != nil || e.Region != "testland" || time.Since(e.At) > time.Hour || len(e.Changes) != 2 {
			t.Errorf("%s: %+v, %v", scan.Text(), e, err)
		}
	}
	if lines != 1 {
		t.Errorf("%d lines", lines)
	}
	if out := h.want(cli.ExitOK, "audit", "list", "--until", "2020-01-01T00:00:00Z"); strings.Contains(out, "job.run") {
		t.Error(out)
	}
	h.want(cli.ExitNotFound, "audit", "list", "--region", "nowhere")
	for _, wrong := range [][]string{{"list", "--since", "yesterday"}, {"export", "--format", "pdf"}} {
		h.want(cli.ExitUsage, append([]string{"audit"}, wrong...)...)
	}
}
