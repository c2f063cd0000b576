package bridge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strings"
	"sync"
)

// RegionID names a region (a tenant) inside this installation.
type RegionID int64

// DeskID names a helpdesk installation. Regions whose Zammad has the same
// normalised address share one DeskID, and with it one limiter.
type DeskID int64

// ChatID names one conversation of a device in a region.
type ChatID int64

// MessageID names a message. It is the stable number that devices see, unique
// in this installation, and says nothing about Zammad.
type MessageID int64

// WorkID names one piece of durable work in a chat's lane.
type WorkID int64

// DeliveryID names a stored webhook delivery inside this installation.
type DeliveryID int64

// TicketID and ArticleID are the helpdesk's own numbers; each is unique in one
// desk only. They never leave for a device.
type TicketID int64

// ArticleID is the helpdesk's number of an article; unique in one desk only.
type ArticleID int64

// CustomerID is the helpdesk's number of the ticket's customer.
type CustomerID int64

// Seq is the position of a change in one device's history in one region. It
// rises with every change (a new message, a status, a retraction), over all
// chats of the device, and is what a device hands back as `since`.
type Seq int64

// MessageUUID is the name under which a message travels to the desk: the
// article's message_id is "<uuid@deskbridge>", and it settles whether a write
// had arrived (contract 00.3).
type MessageUUID string

// Header gives the article's message_id for this message.
func (u MessageUUID) Header() string { return "<" + string(u) + "@deskbridge>" }

// ParseHeader finds the message's UUID in an article's message_id. It says
// false for every article that Deskbridge did not write.
func ParseHeader(header string) (MessageUUID, bool) {
	uuid, found := strings.CutSuffix(strings.TrimPrefix(header, "<"), "@deskbridge>")
	if !found || uuid == "" || !strings.HasPrefix(header, "<") {
		return "", false
	}
	return MessageUUID(uuid), true
}

// DeviceHash stands for a device everywhere behind the door: the keyed hash of
// the device id, from which the id cannot be found without the key.
type DeviceHash [sha256.Size]byte

// String gives a short form that is safe to print: eight hex digits tell two
// devices apart in a log and name neither.
func (h DeviceHash) String() string { return hex.EncodeToString(h[:4]) }

// TokenHash stands for a device's chat token behind the door; the zero value is
// none.
type TokenHash [sha256.Size]byte

// Hasher turns device ids into DeviceHash values. The zero value is unusable;
// copies share their key. It is safe for concurrent use.
type Hasher struct{ macs *sync.Pool }

// NewHasher takes the secret key for device ids. The same key must be used for
// ever: with another one every device is a stranger.
func NewHasher(key []byte) Hasher {
	// Keyed once and reused, since every request of a device hashes.
	return Hasher{macs: &sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// Hash gives the keyed hash (HMAC-SHA256) of a device id.
func (h Hasher) Hash(deviceID string) DeviceHash {
	mac := h.macs.Get().(hash.Hash)
	defer h.macs.Put(mac)
	mac.Reset()
	mac.Write([]byte(deviceID))
	var out DeviceHash
	mac.Sum(out[:0])
	return out
}

// MaxDeviceID is the longest device id in bytes; the app's are UUIDs of 36.
const MaxDeviceID = 200

// CheckDeviceID says whether a device id is acceptable: 1 to MaxDeviceID ASCII
// letters, digits and the marks of RFC 3986 unreserved plus ":@+=". The error
// is ErrDeviceID.
func CheckDeviceID(id string) error {
	if id == "" || len(id) > MaxDeviceID {
		return ErrDeviceID
	}
	for _, c := range []byte(id) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("-_.~:@+=", c) < 0 {
			return ErrDeviceID
		}
	}
	return nil
}
