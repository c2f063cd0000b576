package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
)

// An instance whose Zammad is away takes messages: it stays ready, and says so.
func TestReadinessReportsZammadAndTheOutbox(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		type report struct {
			Status string
			Checks map[string]struct {
				OK     bool
				Queued int
				Silent int
			}
		}
		ready := func() (int, report) {
			answer, err := http.Get(w.bridge.origin + "/readyz")
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			var got report
			if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			return answer.StatusCode, got
		}
		w.line.set(func(*http.Request) fault { return cutBefore })
		w.phone("phone-1").send("waits")
		waitFor(t, func() error {
			status, got := ready()
			if status != http.StatusOK || got.Status != "ready" {
				return fmt.Errorf("not ready (%d) although the outbox takes messages", status)
			}
			if got.Checks["zammad"].OK || got.Checks["zammad"].Silent != 1 || got.Checks["outbox"].Queued != 1 || !got.Checks["database"].OK {
				return fmt.Errorf("report %+v", got)
			}
			return nil
		})
		w.line.set(nil)
		waitFor(t, func() error {
			if _, got := ready(); !got.Checks["zammad"].OK || got.Checks["outbox"].Queued != 0 {
				return fmt.Errorf("report %+v", got)
			}
			return nil
		})
	})
}
