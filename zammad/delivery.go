package zammad

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
)

// The headers of a delivery that matter.
const (
	HeaderSignature = "X-Hub-Signature"   // see VerifySignature
	HeaderDelivery  = "X-Zammad-Delivery" // the same for all attempts of one delivery
	HeaderTrigger   = "X-Zammad-Trigger"  // name of the trigger or job
)

// Delivery is the default payload of a webhook. It shows the records as they
// were when it was sent, not when the event happened, and deliveries repeat,
// overtake each other and may be spurious (contract 4.2, 4.3, 00.6).
type Delivery struct {
	// Ticket has no Attributes: whoever needs them asks for the ticket.
	Ticket Ticket
	// Article that caused the event; nil if none did.
	Article *Article
	// Group of the ticket, with its follow-up rule.
	Group Group
	// Customer of the ticket.
	Customer User
}

// ParseDelivery reads the body of a webhook request. A body without a ticket id
// is an error; what else is missing is zero. The errors do not repeat the body.
func ParseDelivery(body []byte) (Delivery, error) {
	var read struct {
		Ticket struct {
			plainTicket
			Group    Group `json:"group"` // hides the ticket's, and Customer likewise
			Customer User  `json:"customer"`
		} `json:"ticket"`
		Article Article `json:"article"`
	}
	if err := json.Unmarshal(body, &read); err != nil {
		return Delivery{}, errors.New("zammad: the delivery is not a JSON object with a readable ticket and article")
	}
	if read.Ticket.ID <= 0 {
		return Delivery{}, errors.New("zammad: the delivery has no ticket id")
	}
	delivery := Delivery{Ticket: Ticket(read.Ticket.plainTicket), Group: read.Ticket.Group, Customer: read.Ticket.Customer}
	delivery.Ticket.Group = Name(delivery.Group.Name)
	delivery.Ticket.Customer = Name(delivery.Customer.Login)
	if read.Article.ID > 0 { // {} when the event had no article
		delivery.Article = &read.Article
	}
	return delivery, nil
}

// CheckDelivery says whether a body is JSON with a ticket id, in one pass: what
// the sender has to be told before it gets its answer. What ParseDelivery reads
// passes; the errors do not repeat the body.
func CheckDelivery(body []byte) error {
	var delivery struct {
		Ticket struct {
			ID TicketID `json:"id"`
		} `json:"ticket"`
	}
	if err := json.Unmarshal(body, &delivery); err != nil {
		return errors.New("zammad: the delivery is not a JSON object with a ticket")
	}
	if delivery.Ticket.ID <= 0 {
		return errors.New("zammad: the delivery has no ticket id")
	}
	return nil
}

// Sign makes the value of HeaderSignature for a body: "sha1=" and the HMAC-SHA1
// of the raw bytes in lower-case hexadecimal (contract 4.1).
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write(body)
	return "sha1=" + hex.EncodeToString(mac.Sum(nil))
}

// VerifySignature tells whether the header was made with the secret over
// exactly these bytes. An empty secret verifies nothing. The comparison takes
// the same time wherever they differ.
func VerifySignature(secret, header string, body []byte) bool {
	if secret == "" {
		return false
	}
	return hmac.Equal([]byte(strings.TrimSpace(header)), []byte(Sign(secret, body)))
}
