package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"deskbridge/zammad"
)

// deliverySize is the size of a delivery in bytes: a recorded one has about
// half of it, the rest is a long answer.
const deliverySize = 15 << 10

// recordedDelivery is a file with a delivery of a real Zammad.
const recordedDelivery = "zammad/testdata/recordings/04-agent-answers.json"

// longDelivery gives a recorded delivery whose article was made longer.
func longDelivery() ([]byte, error) {
	raw, err := os.ReadFile(recordedDelivery)
	if err != nil {
		return nil, fmt.Errorf("%w (run this in the root of the repository)", err)
	}
	var recording struct {
		Steps []struct {
			Delivery struct {
				Body string `json:"body_raw"`
			} `json:"delivery"`
		} `json:"steps"`
	}
	if err := json.Unmarshal(raw, &recording); err != nil {
		return nil, err
	}
	for _, step := range recording.Steps {
		var body map[string]any
		if step.Delivery.Body == "" || json.Unmarshal([]byte(step.Delivery.Body), &body) != nil {
			continue
		}
		article, _ := body["article"].(map[string]any)
		if article["id"] == nil {
			continue
		}
		article["content_type"] = "text/html"
		answer := strings.Repeat("<p>Guten Tag, bringen Sie den Brief <b>morgen</b> bitte mit.</p>", 200)
		article["body"] = answer[:deliverySize-len(step.Delivery.Body)]
		return json.Marshal(body)
	}
	return nil, errors.New("the recording has no delivery with an article")
}

// deliveries gives the requests of a Zammad, each delivery with an id of its own.
func deliveries(body []byte) func(client, n int) []byte {
	rest := fmt.Sprintf("Host: bench\r\nContent-Type: application/json; charset=utf-8\r\nX-Zammad-Trigger: answers\r\n"+
		"X-Hub-Signature: %s\r\nContent-Length: %d\r\n\r\n%s", zammad.Sign(secret, body), len(body), body)
	var sent [clients]int
	return func(client, _ int) []byte {
		sent[client]++
		return fmt.Appendf(nil, "POST /api/v3/webhook/zammad/%s/ HTTP/1.1\r\nX-Zammad-Delivery: 0b7f4c0e-6a8e-4f0e-%04d-%012d\r\n%s", slug, client, sent[client], rest)
	}
}

const insertDelivery = "INSERT INTO deliveries (region_id, delivery_key, body, hint, claim_id, claimed_until, due, attempts, outcome, reason, received_at, finished_at)" +
	" VALUES (?, ?, ?, ?, '', 0, ?, ?, '', '', ?, 0)"

// webhookSQLite measures how fast deliveries are verified and made durable.
func webhookSQLite(ctx context.Context, p *places) (contest, error) {
	body, err := longDelivery()
	if err != nil {
		return contest{}, err
	}
	first, second := p.sqlite(), p.sqlite()
	ours, err := newStack(ctx, "sqlite:"+first)
	if err != nil {
		return contest{}, err
	}
	model, err := newStack(ctx, "sqlite:"+second)
	if err != nil {
		return contest{}, err
	}
	if err := model.close(); err != nil {
		return contest{}, err
	}
	other, err := openBareSQLite(ctx, second, insertDelivery)
	if err != nil {
		return contest{}, err
	}
	return contest{
		name: "webhook-15k", want: 0.7, status: http.StatusOK,
		ours:  side{ours.handler, deliveries(body)},
		bare:  side{http.HandlerFunc(other.delivery), deliveries(body)},
		after: func() error { return errors.Join(emptyDeliveries(ctx, first), emptyDeliveries(ctx, second)) },
		close: func() error { return errors.Join(ours.close(), other.close()) },
	}, nil
}

// emptyDeliveries removes what a round has stored, as the pruning job does
// after some days, so that the files do not grow without end.
func emptyDeliveries(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", bareDSN(path))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "DELETE FROM deliveries")
	return err
}

// delivery is the bare handler: signature, one look at the JSON, one row.
func (b *bare) delivery(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		failBare(w, err)
		return
	}
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write(body)
	given, err := hex.DecodeString(strings.TrimPrefix(r.Header.Get("X-Hub-Signature"), "sha1="))
	if err != nil || !hmac.Equal(given, mac.Sum(nil)) {
		failBare(w, errors.New("wrong signature"))
		return
	}
	var parsed struct {
		Ticket struct {
			ID int64 `json:"id"`
		} `json:"ticket"`
	}
	if err := json.Unmarshal(body, &parsed); err != nil || parsed.Ticket.ID == 0 {
		failBare(w, errors.New("no delivery"))
		return
	}
	now := time.Now().UnixMilli()
	err = b.change(r.Context(), func(do doer) error {
		_, err := do(insertDelivery).Exec(1, r.Header.Get("X-Zammad-Delivery"), body, false, now, 0, now)
		return err
	})
	if err != nil {
		failBare(w, err)
		return
	}
	answerBare(w, []byte(`{"status":"stored"}`+"\n"))
}
