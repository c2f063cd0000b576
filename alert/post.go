package alert

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"deskbridge/bridge"
)

// Headers of what is posted.
const (
	// SignatureHeader holds "sha256=" and the HMAC-SHA256 of the body by the
	// region's secret, in hex.
	SignatureHeader = "X-Deskbridge-Signature"
	// KeyHeader holds the notice's key: the same for a repeated one.
	KeyHeader = "X-Deskbridge-Id"
)

// hook is the body of a webhook; docs/alerts.md describes it. Text is what chat
// programs show of a body that they don't know.
type hook struct {
	ID           string          `json:"id"`
	Event        string          `json:"event"`
	Region       string          `json:"region"`
	RegionName   string          `json:"region_name"`
	WaitingSince *time.Time      `json:"waiting_since,omitempty"`
	OpenMinutes  int             `json:"open_minutes"`
	TicketID     bridge.TicketID `json:"ticket_id,omitempty"`
	TicketURL    string          `json:"ticket_url,omitempty"`
	Text         string          `json:"text"`
}

func (a *Alerts) postWebhook(ctx context.Context, r *bridge.Region, n notice) error {
	body := hook{
		ID: n.Key, Event: "test", Region: r.Slug, RegionName: line(r.Name), OpenMinutes: int(n.Open / time.Minute),
		TicketID: n.Ticket, TicketURL: n.URL, Text: n.Subject + "\n\n" + n.Text,
	}
	if !n.Test {
		since := n.Since.UTC()
		body.Event, body.WaitingSince = "waiting", &since
	}
	content, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the body: %w", err)
	}
	header := http.Header{"Content-Type": {"application/json"}, KeyHeader: {n.Key}}
	if r.AlertSecret != "" {
		mac := hmac.New(sha256.New, []byte(r.AlertSecret))
		mac.Write(content)
		header.Set(SignatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	return a.post(ctx, r.Settings.Alert.WebhookURL, header, content)
}

// postNtfy publishes to a topic. Titles that are not ASCII are encoded as ntfy
// wants it (RFC 2047).
func (a *Alerts) postNtfy(ctx context.Context, r *bridge.Region, n notice) error {
	header := http.Header{
		"Content-Type": {"text/plain; charset=utf-8"}, KeyHeader: {n.Key},
		"Title": {mime.BEncoding.Encode("utf-8", n.Subject)}, "Priority": {"high"}, "Tags": {"hourglass"},
	}
	if n.URL != "" {
		header.Set("Click", n.URL)
	}
	if r.AlertToken != "" {
		header.Set("Authorization", "Bearer "+string(r.AlertToken))
	}
	return a.post(ctx, r.Settings.Alert.NtfyURL, header, []byte(n.Text))
}

// drained is how much of an answer is read, in bytes, so that its connection can
// be used again.
const drained = 16 << 10

// post sends once. Any 2xx says that the receiver has taken it.
func (a *Alerts) post(ctx context.Context, url string, header http.Header, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	header.Set("User-Agent", "deskbridge")
	request.Header = header
	answer, err := a.Client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, drained) // what it says does not matter
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return statusError(answer.StatusCode)
	}
	return nil
}
