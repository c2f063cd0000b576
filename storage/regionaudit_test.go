package storage_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
	"deskbridge/reception"
)

// regionNotes gives the entries of the audit, the oldest first, without id and time.
func (w *world) regionNotes(regions ...bridge.RegionID) []bridge.AuditEntry {
	w.Helper()
	all, err := w.Audit(w.ctx, bridge.AuditQuery{Regions: regions, Action: "region.", Limit: 100})
	w.ok(err)
	out := make([]bridge.AuditEntry, len(all))
	for i, e := range all {
		if e.ID == 0 || e.At.IsZero() {
			w.Fatalf("an entry has no id or time: %+v", e)
		}
		e.ID = 0
		out[len(all)-1-i] = e
	}
	return out
}

// TestRegionsAreAudited: who changed what from what to what, and no secret.
func TestRegionsAreAudited(t *testing.T) {
	eachWorld(t, func(w *world) {
		who := bridge.Actor{Kind: bridge.ActorPerson, ID: 7, Name: "anna@example.org"}
		w.ctx = bridge.WithActor(w.ctx, who)
		r := &bridge.Region{Slug: "berlin", Name: "Berlin", ZammadToken: "first secret"}
		w.ok(w.AddRegion(w.ctx, r))
		next := *r
		next.Enabled, next.Name = true, "Berlin & <b>Umland</b>"
		next.ZammadToken, next.WebhookSecret = "second secret", "third secret"
		next.Settings.Percentage, next.Settings.Languages = 12.5, []bridge.Language{{Code: "de", NativeName: "Deutsch"}}
		next.Settings.Reception.Texts = map[string]reception.Texts{"de": {Away: "Morgen."}}
		next.Settings.Document.Aliases = map[string]any{"a.b": "c"}
		w.ok(w.SaveRegion(w.ctx, &next))
		w.ok(w.SaveRegion(w.ctx, &next)) // nothing changes
		equal(w, "version after the same twice", next.Version, 2)
		stale := *r
		w.wants(w.SaveRegion(w.ctx, &stale), bridge.ErrRegionChanged)
		off := next
		off.Enabled, off.WebhookSecret, off.Settings.Percentage = false, "", 0
		w.ok(w.SaveRegion(w.ctx, &off))
		w.ok(w.RemoveRegion(w.ctx, r.ID))
		w.ok(w.RemoveRegion(w.ctx, r.ID)) // again, as after an error
		got := w.regionNotes(r.ID)
		entry := func(action string, changes ...bridge.FieldChange) bridge.AuditEntry {
			return bridge.AuditEntry{Actor: who, Region: r.ID, Action: action, Subject: "berlin", Changes: changes}
		}
		want := []bridge.AuditEntry{
			entry("region.add",
				bridge.FieldChange{Field: "name", To: "Berlin"}, bridge.FieldChange{Field: "slug", To: "berlin"},
				bridge.FieldChange{Field: "zammad_token", From: "not set", To: "set"}),
			entry("region.change",
				bridge.FieldChange{Field: "document.aliases", To: `{"a.b":"c"}`},
				bridge.FieldChange{Field: "enabled", From: "false", To: "true"},
				bridge.FieldChange{Field: "languages", To: `{"code":"de","native_name":"Deutsch"}`},
				bridge.FieldChange{Field: "name", From: "Berlin", To: "Berlin & <b>Umland</b>"},
				bridge.FieldChange{Field: "percentage", From: "0", To: "12.5"},
				bridge.FieldChange{Field: "reception.texts.de.away", To: "Morgen."},
				bridge.FieldChange{Field: "webhook_secret", From: "not set", To: "set"},
				bridge.FieldChange{Field: "zammad_token", From: "set", To: "changed"}),
			entry("region.change",
				bridge.FieldChange{Field: "enabled", From: "true", To: "false"},
				bridge.FieldChange{Field: "percentage", From: "12.5", To: "0"},
				bridge.FieldChange{Field: "webhook_secret", From: "set", To: "not set"}),
			entry("region.remove",
				bridge.FieldChange{Field: "document.aliases", From: `{"a.b":"c"}`},
				bridge.FieldChange{Field: "languages", From: `{"code":"de","native_name":"Deutsch"}`},
				bridge.FieldChange{Field: "name", From: "Berlin & <b>Umland</b>"},
				bridge.FieldChange{Field: "reception.texts.de.away", From: "Morgen."},
				bridge.FieldChange{Field: "slug", From: "berlin"},
				bridge.FieldChange{Field: "zammad_token", From: "set", To: "not set"}),
		}
		for i := range got {
			got[i].At = want[0].At
		}
		if d := cmp.Diff(want, got); d != "" {
			w.Fatal(d)
		}
	})
}

// TestLongValuesAreCutWhereTheyDiffer: two long texts that begin alike are told
// apart, and no entry grows with what somebody pasted.
func TestLongValuesAreCutWhereTheyDiffer(t *testing.T) {
	eachWorld(t, func(w *world) {
		next := *w.region
		next.Settings.Document.PrivacyPolicy = strings.Repeat("ä", 1000) + "old" + strings.Repeat("x", 1<<20)
		w.ok(w.SaveRegion(w.ctx, &next))
		next.Settings.Document.PrivacyPolicy = strings.Repeat("ä", 1000) + "new" + strings.Repeat("x", 1<<20)
		w.ok(w.SaveRegion(w.ctx, &next))
		all := w.regionNotes(w.region.ID)
		changes := all[len(all)-1].Changes
		equal(w, "changes", len(changes), 1)
		for value, want := range map[string]string{changes[0].From: "ääoldxx", changes[0].To: "äänewxx"} {
			if !strings.Contains(value, want) || len([]rune(value)) > 200 {
				w.Errorf("%d characters: %s", len([]rune(value)), value)
			}
		}
	})
}

// TestOneSaveOfManyIsTakenAndNoted: of those who save one version at once, one is
// taken, the others are told, and the audit knows exactly that one.
func TestOneSaveOfManyIsTakenAndNoted(t *testing.T) {
	eachWorld(t, func(w *world) {
		before := len(w.regionNotes(w.region.ID))
		const many = 8
		errs := make([]error, many)
		var wait sync.WaitGroup
		for i := range many {
			wait.Go(func() {
				mine := *w.region
				mine.Settings.Percentage = float64(i + 1)
				errs[i] = w.SaveRegion(w.ctx, &mine)
			})
		}
		wait.Wait()
		taken := 0
		for _, err := range errs {
			if err == nil {
				taken++
				continue
			}
			w.wants(err, bridge.ErrRegionChanged)
		}
		equal(w, "taken", taken, 1)
		equal(w, "entries", len(w.regionNotes(w.region.ID))-before, 1)
		now, err := w.Region(w.ctx, w.region.ID)
		w.ok(err)
		equal(w, "version", now.Version, w.region.Version+1)
		_, err = w.Region(w.ctx, 1<<40)
		w.wants(err, bridge.ErrRegionNotFound)
	})
}
