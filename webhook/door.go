// Package webhook is the door at which Zammad knocks: it verifies a delivery
// over its raw bytes, stores it once and acknowledges it at once; then its
// relay hands what is stored to the heart.
//
// Zammad waits 30 s for the answer with a worker that all its background work
// shares, tries five times within about two minutes and then forgets (contract
// 4.3). So nothing slow happens before the answer, and nothing is
// acknowledged that is not durable.
package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
	"deskbridge/server"
)

// The headers of a delivery that the door reads (contract 4.1).
const (
	headerSignature = "X-Hub-Signature"
	headerDelivery  = "X-Zammad-Delivery" // the same for all repeats of one delivery
)

const (
	// DefaultMaxBody is the largest delivery that is read, in bytes. An article
	// may have 1.5 million characters (contract 0.7), each of at most six bytes
	// in JSON: 9 MB, and what is around it.
	// Failure policy: a larger one gets 413 and is repeated in vain;
	// reconciliation brings its article.
	DefaultMaxBody = 10 << 20

	// firstRead is how much memory a request gets before it has sent anything,
	// in bytes, whatever its Content-Length claims: whom the signature proves
	// a liar has cost little. Most deliveries fit.
	firstRead = 32 << 10

	// maxKey is the longest delivery id that is kept as it is, in bytes;
	// Zammad's are UUIDs of 36.
	maxKey = 100
)

// Regions is what the door must know of regions.
type Regions interface {
	BySlug(slug string) (*bridge.Region, bool)
	All() []*bridge.Region
}

// Receiver is where deliveries go. It must be safe for concurrent calls, also
// with deliveries of one ticket, and for repeated ones.
type Receiver interface {
	// Expect tells of a delivery whose origin is proven and that is about to be
	// stored, so that it may be prepared. It must not wait. Deliver may follow
	// soon, late, twice or never.
	Expect(body []byte)
	// Deliver takes a stored delivery; an error means that it is to be tried
	// again later.
	Deliver(ctx context.Context, d bridge.Delivery) (bridge.DeliveryOutcome, error)
}

// Deps is what the door and its relay work with. Zero values mean what the
// comments say; what has none is required.
type Deps struct {
	Inbox    bridge.InboxStore
	Regions  Regions
	Receiver Receiver
	// Check says whether a body is a delivery of Zammad. It runs before the
	// answer, after the signature, so it must be cheap; its error must not
	// repeat the body.
	Check func(body []byte) error

	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: slog.Default()
	MaxBody int64            // bytes; 0: DefaultMaxBody
}

// Door takes webhook deliveries, and relays them while Run runs.
type Door struct {
	deps Deps
	wake chan struct{} // holds one: something was stored, or a lane has room again
}

// New makes a door. Nothing runs before Run, but deliveries may be taken.
func New(deps Deps) *Door {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	if deps.MaxBody == 0 {
		deps.MaxBody = DefaultMaxBody
	}
	return &Door{deps: deps, wake: make(chan struct{}, 1)}
}

// Routes mounts the door: the signed form, which needs the region's webhook
// secret, and the older form with ?token=, which needs its webhook token.
func (d *Door) Routes(r gin.IRouter) {
	r.POST("/api/v3/webhook/zammad/:region/", server.H(d.signed))
	r.POST("/api/v3/webhook/zammad/", server.H(d.withToken))
}

// signed takes a delivery whose signature proves that the region's Zammad sent
// exactly these bytes. A region that is switched off still takes them: the
// chats that run in it must not lose what agents wrote.
func (d *Door) signed(c *gin.Context) error {
	region, known := d.deps.Regions.BySlug(c.Param("region"))
	if !known {
		return bridge.ErrRegionNotFound
	}
	body, err := d.read(c)
	if err != nil {
		return err
	}
	if !verify(region.WebhookSecret, c.Request.Header.Values(headerSignature), body) {
		d.deps.Log.Warn("a webhook with a missing or wrong signature was refused", "region", region.Slug)
		return bridge.ErrSignature
	}
	return d.take(c, region, body, false)
}

// withToken takes the form of older installations. The token is in the address,
// where logs of proxies see it, and it says nothing about the body: so such a
// delivery is only a hint that a ticket changed.
func (d *Door) withToken(c *gin.Context) error {
	region := regionOfToken(d.deps.Regions.All(), c.Query("token"))
	if region == nil {
		return bridge.ErrWebhookToken
	}
	body, err := d.read(c)
	if err != nil {
		return err
	}
	return d.take(c, region, body, true)
}

// read gives the raw body, as it was signed. The errors are ErrBodyTooLarge
// over the limit and ErrBody where the client breaks off.
func (d *Door) read(c *gin.Context) ([]byte, error) {
	length := c.Request.ContentLength
	if length > d.deps.MaxBody {
		return nil, bridge.ErrBodyTooLarge
	}
	var body bytes.Buffer
	body.Grow(int(min(max(length, 0), firstRead)) + bytes.MinRead)
	// One byte over the limit tells a body that is too large from one that
	// just fits.
	n, err := body.ReadFrom(io.LimitReader(c.Request.Body, d.deps.MaxBody+1))
	switch {
	case n > d.deps.MaxBody:
		return nil, bridge.ErrBodyTooLarge
	case err != nil:
		return nil, fmt.Errorf("%w (%w)", bridge.ErrBody, err)
	}
	return body.Bytes(), nil
}

// answer is what Zammad gets, and keeps in its log for a month.
type answer struct {
	Region string `json:"region"`
	Status string `json:"status"` // "stored", or "duplicate" for a repeat
}

// take stores a delivery whose origin is proven, and acknowledges it.
func (d *Door) take(c *gin.Context, region *bridge.Region, body []byte, hint bool) error {
	if err := d.deps.Check(body); err != nil {
		return fmt.Errorf("%w (%w)", bridge.ErrWebhookBody, err)
	}
	d.deps.Receiver.Expect(body)
	stored, err := d.deps.Inbox.StoreDelivery(c.Request.Context(), bridge.Delivery{
		Region:   region.ID,
		Key:      deliveryKey(c.Request.Header.Get(headerDelivery), body),
		Body:     body,
		Hint:     hint,
		Received: d.deps.Now(),
	})
	if err != nil {
		// 503, so that Zammad repeats it.
		return fmt.Errorf("%w (delivery of region %s: %w)", bridge.ErrStorage, region.Slug, err)
	}
	status := "duplicate"
	if stored {
		status = "stored"
		d.wakeRelay()
	}
	c.JSON(http.StatusOK, answer{Region: region.Slug, Status: status})
	return nil
}

// deliveryKey gives the key by which a delivery is stored once: Zammad's own
// id, or the digest of the body where there is no usable one, as from a sender
// that is not Zammad itself.
func deliveryKey(header string, body []byte) string {
	if len(header) > maxKey || !visible(header) {
		header = ""
	}
	if header != "" {
		return header
	}
	sum := sha256.Sum256(body)
	return "sha256-" + hex.EncodeToString(sum[:])
}

// visible says whether a text has only visible ASCII characters.
func visible(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// wakeRelay tells the relay, which may be busy or not running at all, that
// there may be work. It never waits.
func (d *Door) wakeRelay() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}
