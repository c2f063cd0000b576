package device

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
)

// Rights is what the door asks of the heart for the user's own rights.
type Rights interface {
	Erase(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, receipt string) error
	Report(ctx context.Context, r *bridge.Region, receipt string) (bridge.ErasureReport, error)
	Export(ctx context.Context, r *bridge.Region, d bridge.DeviceHash) (bridge.Export, error)
	ExportMessages(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, after bridge.MessageID, limit int) ([]bridge.Message, error)
}

// rightsDoor is the part of the door for the user's own rights.
type rightsDoor struct{ *Door }

// owner is caller for the user's own rights, which a region that is switched off
// grants too. Its errors are those of caller but ErrRegionOff.
func (d rightsDoor) owner(c *gin.Context) (caller, error) {
	who, err := named(c, d.Regions, d.Hasher)
	if err == nil {
		err = d.admit(c, &who)
	}
	return who, err
}

// noStore keeps answers that say more than a chat's state out of every cache.
var noStore = []string{"no-store"}

// exportPage is how many messages of an export are read at a time.
const exportPage = 200

// erase removes a device and answers with a receipt. The receipt is made from
// the request's key, so that a repeated request gets the same one although
// nothing is left of the device.
func (d rightsDoor) erase(c *gin.Context) error {
	who, err := d.owner(c)
	if err != nil {
		return err
	}
	if err := d.Limits.write(c, who); err != nil {
		return err
	}
	key, err := idempotencyKey(c.Request.Header["Idempotency-Key"], nil)
	if err != nil {
		return err
	}
	if key == "" {
		key = rand.Text()
	}
	receipt := d.seal.receipt(&who, key)
	if err := d.Rights.Erase(c.Request.Context(), who.region, who.device, receipt); err != nil {
		return err
	}
	return answerSecret(c, http.StatusAccepted, struct {
		Receipt string `json:"receipt"`
	}{receipt})
}

// erasureState is how far an erasure has come.
type erasureState struct {
	State      string `json:"state"`
	Zammad     string `json:"zammad"` // the region's rule
	ErasedAt   string `json:"erased_at"`
	FinishedAt string `json:"finished_at,omitempty"`
}

// erasure tells the holder of a receipt how far the erasure has come. A region
// that is switched off tells too.
func (d rightsDoor) erasure(c *gin.Context) error {
	region, known := d.Regions.BySlug(c.Param("x"))
	if !known {
		return bridge.ErrRegionNotFound
	}
	report, err := d.Rights.Report(c.Request.Context(), region, c.Param("receipt"))
	if err != nil {
		return err
	}
	out := erasureState{State: string(report.State), Zammad: string(report.Rule), ErasedAt: wireTime(report.ErasedAt)}
	if !report.FinishedAt.IsZero() {
		out.FinishedAt = wireTime(report.FinishedAt)
	}
	return answerSecret(c, http.StatusOK, out)
}

// answerSecret writes a small document that nobody between may keep.
func answerSecret(c *gin.Context, status int, document any) error {
	body, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	h := c.Writer.Header()
	h["Content-Type"], h["Cache-Control"] = contentJSON, noStore
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.Status(status)
	if _, err := c.Writer.Write(body); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

func wireTime(t time.Time) string { return t.UTC().Format(timeFormat) }

// exported is the head of an export. What the desk calls its things stays out.
type exported struct {
	ExportedAt   string             `json:"exported_at"`
	Region       string             `json:"region"`
	OpenedAt     string             `json:"opened_at,omitempty"`
	HasChatToken bool               `json:"has_chat_token"`
	Read         int64              `json:"read"` // messages up to this seq were read on the device
	Chats        []exportedChat     `json:"chats"`
	Decisions    []exportedDecision `json:"decisions"`
	Override     *exportedOverride  `json:"override"`
}

type exportedChat struct {
	Chat          int    `json:"chat"` // counted from 1; messages name it
	Language      string `json:"language"`
	CreatedAt     string `json:"created_at"`
	LastMessageAt string `json:"last_message_at"`
	Consent       *bool  `json:"evaluation_consent"`
	ConsentAt     string `json:"evaluation_consent_at,omitempty"`
	InZammad      bool   `json:"in_zammad"`
}

// exportedDecision is what the gate decided on a day.
type exportedDecision struct {
	Day    string `json:"day"`
	Served bool   `json:"served"`
	Reason string `json:"reason"`
	At     string `json:"at"`

	Language   string `json:"language,omitempty"` // of the question
	AppVersion string `json:"app_version,omitempty"`
}

// exportedOverride is what an admin set for the device. Who that was is not the
// device's to know.
type exportedOverride struct {
	Decision  string `json:"decision"`
	SetAt     string `json:"set_at"`
	ExpiresAt string `json:"expires_at,omitempty"`
	Note      string `json:"note,omitempty"`
}

type exportedMessage struct {
	Chat int `json:"chat"`
	message
}

// export streams everything that is stored of a device as one JSON document. It
// is whole if it ends with its closing brace: an export that breaks off is no
// JSON.
func (d rightsDoor) export(c *gin.Context) error {
	who, err := d.owner(c)
	if err != nil {
		return err
	}
	if err := d.Limits.write(c, who); err != nil { // it costs as much
		return err
	}
	stored, err := d.Rights.Export(c.Request.Context(), who.region, who.device)
	if err != nil {
		return err
	}
	head, chats := wireExport(who.region, stored, d.Now())
	var page bytes.Buffer
	if err := encode(&page, head); err != nil {
		return err
	}
	page.Truncate(page.Len() - len("}\n"))
	page.WriteString(`,"messages":[`)
	first, err := d.Rights.ExportMessages(c.Request.Context(), who.region, who.device, 0, exportPage)
	if err != nil {
		return err
	}
	h := c.Writer.Header()
	h["Content-Type"], h["Cache-Control"] = contentJSON, noStore
	h["Content-Disposition"] = []string{`attachment; filename="chat.json"`}
	c.Status(http.StatusOK)
	if c.Request.Method == http.MethodHead {
		c.Writer.WriteHeaderNow()
		return nil
	}
	comma := ""
	for messages := first; len(messages) > 0; {
		for i := range messages {
			page.WriteString(comma)
			comma = ","
			if err := encode(&page, exportedMessage{chats[messages[i].Chat], wireMessage(who.region, who.language, &messages[i])}); err != nil {
				return err
			}
		}
		if _, err := page.WriteTo(c.Writer); err != nil {
			return fmt.Errorf("write the export: %w", err)
		}
		last := messages[len(messages)-1].ID
		if messages, err = d.Rights.ExportMessages(c.Request.Context(), who.region, who.device, last, exportPage); err != nil {
			return err
		}
	}
	page.WriteString("]}\n")
	if _, err := page.WriteTo(c.Writer); err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	return nil
}

// wireExport makes the head of an export, and gives the chats their numbers.
func wireExport(r *bridge.Region, stored bridge.Export, now time.Time) (exported, map[bridge.ChatID]int) {
	out := exported{
		ExportedAt: wireTime(now), Region: r.Slug, HasChatToken: stored.HasToken, Read: int64(stored.Read),
		Chats: make([]exportedChat, len(stored.Chats)), Decisions: make([]exportedDecision, len(stored.Exposures)),
	}
	if !stored.OpenedAt.IsZero() {
		out.OpenedAt = wireTime(stored.OpenedAt)
	}
	numbers := make(map[bridge.ChatID]int, len(stored.Chats))
	for i, chat := range stored.Chats {
		numbers[chat.ID] = i + 1
		out.Chats[i] = exportedChat{
			Chat: i + 1, Language: chat.Language, CreatedAt: wireTime(chat.CreatedAt), LastMessageAt: wireTime(chat.LastMessageAt),
			Consent: chat.Consent, InZammad: chat.Ticket != 0,
		}
		if !chat.ConsentAt.IsZero() {
			out.Chats[i].ConsentAt = wireTime(chat.ConsentAt)
		}
	}
	for i, e := range stored.Exposures {
		out.Decisions[i] = exportedDecision{e.Day, e.Served, string(e.Reason), wireTime(e.At), e.Language, e.AppVersion}
	}
	if t := stored.Tester; t != nil {
		out.Override = &exportedOverride{Decision: string(t.Override), SetAt: wireTime(t.SetAt), Note: t.Note}
		if !t.ExpiresAt.IsZero() {
			out.Override.ExpiresAt = wireTime(t.ExpiresAt)
		}
	}
	return out, numbers
}
