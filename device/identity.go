package device

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
)

// Everything that a request must prove beyond knowing a device id is here, and
// every chat route passes it: a region may want a signed token that names the
// device (identity), and a device may have a chat token. Streams, which browsers
// open without headers, may bring a ticket instead.

const (
	headerChatToken = "X-Chat-Token"
	newChatToken    = "new" // value of the header that asks for one
	// ticketLife is how long a stream ticket opens a stream, and clockSkew how
	// far the clock of the instance that made it may be ahead.
	ticketLife = 60 * time.Second
	clockSkew  = 60 * time.Second
)

// Identities checks the signed token of a device; see identity.Verifier.
type Identities interface {
	Check(ctx context.Context, r *bridge.Region, deviceID, token string) error
}

// admit lets a request pass that proves what region and device want.
//
// Errors: ErrIdentityMissing, ErrIdentityInvalid, ErrIdentityExpired,
// ErrIdentityKeys, ErrChatToken, or the store's.
func (d *Door) admit(c *gin.Context, who *caller) error {
	err := d.prove(c, who)
	if err != nil && unauthorised(err) {
		c.Writer.Header()["Www-Authenticate"] = []string{"Bearer"}
	}
	return err
}

func (d *Door) prove(c *gin.Context, who *caller) error {
	bearer := bearerOf(c.Request)
	if mode := who.region.Settings.Identity; mode != bridge.IdentityOff && mode != "" {
		if err := d.Identities.Check(c.Request.Context(), who.region, c.Param("device"), bearer); err != nil {
			return err
		}
	}
	hash, remembered := d.rememberedToken(who)
	if remembered {
		if who.token = hash; d.bearsToken(c.Request, who, bearer) {
			return nil
		}
		// The device may have been erased on another instance: nobody is refused
		// because of what is only remembered.
	}
	var err error
	if who.token, err = d.readToken(c.Request.Context(), who); err != nil {
		return err
	}
	if !d.bearsToken(c.Request, who, bearer) {
		return bridge.ErrChatToken
	}
	return nil
}

// bearsToken says whether a request has the device's chat token, or needs none.
func (d *Door) bearsToken(r *http.Request, who *caller, bearer string) bool {
	if who.token == (bridge.TokenHash{}) {
		return true
	}
	token := r.Header.Get(headerChatToken)
	if token == newChatToken { // a repeated wish is known by its key
		key, err := idempotencyKey(r.Header["Idempotency-Key"], nil)
		if err == nil && key != "" && d.seal.hashToken(d.seal.chatToken(who, key)) == who.token {
			return true
		}
		token = ""
	}
	// Keyed hashes are compared, so the time that it takes tells nothing.
	return d.seal.hashToken(cmp.Or(token, bearer)) == who.token
}

func unauthorised(err error) bool {
	known, ok := err.(*bridge.Error) //nolint:errorlint // the catalogue's own value
	return ok && known.Status == http.StatusUnauthorized
}

// bearerOf gives the token of the header Authorization.
func bearerOf(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// wantsToken reads the wish for a chat token, which comes with the message that
// opens the chat. The token is made from the message's key, so that a repeated
// request gets the same one.
func (d *Door) wantsToken(c *gin.Context, who caller, s *bridge.Sending) (token string, err error) {
	if c.Request.Header.Get(headerChatToken) != newChatToken {
		return "", nil
	}
	key, err := idempotencyKey(c.Request.Header["Idempotency-Key"], nil)
	switch {
	case err != nil:
		return "", err
	case key == "":
		return "", refuse(bridge.ErrKey, "A new chat token needs the header Idempotency-Key, so that it can be answered again.")
	case s.Text == "":
		return "", bridge.ErrMessageEmpty
	}
	token = d.seal.chatToken(&who, key)
	hash := d.seal.hashToken(token)
	if who.token != (bridge.TokenHash{}) && who.token != hash {
		return "", nil // it has one, and has just proved it
	}
	s.Token = hash
	return token, nil
}

// rememberedToken gives a device's chat token if it was read lately. It is
// believed as long as nothing has changed for the device: a new token raises its
// Seq.
func (d *Door) rememberedToken(who *caller) (bridge.TokenHash, bool) {
	seq, known := d.Watermarks.Seq(who.region.ID, who.device)
	if !known {
		return bridge.TokenHash{}, false
	}
	t, ok := d.tokens.get(deviceKey{who.region.ID, who.device})
	return t.hash, ok && t.seq == seq
}

// readToken reads a device's chat token; the zero value is none.
func (d *Door) readToken(ctx context.Context, who *caller) (bridge.TokenHash, error) {
	hash, seq, err := d.Chats.Token(ctx, who.region, who.device)
	if err != nil {
		return bridge.TokenHash{}, err
	}
	d.tokens.put(deviceKey{who.region.ID, who.device}, tokenAt{hash, seq})
	return hash, nil
}

type deviceKey struct {
	region bridge.RegionID
	device bridge.DeviceHash
}

// tokenAt is a device's chat token as it was at seq.
type tokenAt struct {
	hash bridge.TokenHash
	seq  bridge.Seq
}

// maxTokens bounds each of the two generations of tokens that are remembered:
// about 5 MB.
const maxTokens = 25_000

// tokens remembers what was read lately, in two generations.
type tokens struct {
	mu         sync.RWMutex
	young, old map[deviceKey]tokenAt
}

func (t *tokens) get(key deviceKey) (tokenAt, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if read, ok := t.young[key]; ok {
		return read, true
	}
	read, ok := t.old[key]
	return read, ok
}

func (t *tokens) put(key deviceKey, read tokenAt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.young == nil || len(t.young) >= maxTokens {
		t.young, t.old = make(map[deviceKey]tokenAt), t.young
	}
	t.young[key] = read
}

// streamCaller is caller for routes that browsers open without headers: a valid
// ?ticket= takes the place of everything that admit wants.
//
// Errors: those of caller, and ErrTicketInvalid.
func (d *Door) streamCaller(c *gin.Context) (caller, error) {
	ticket, given := c.GetQuery("ticket")
	if !given {
		return d.caller(c)
	}
	who, err := d.address(c)
	if err != nil {
		return who, err
	}
	if !d.seal.checkTicket(&who, ticket, d.Now()) {
		c.Writer.Header()["Www-Authenticate"] = []string{"Bearer"}
		return who, bridge.ErrTicketInvalid
	}
	who.token, err = d.readToken(c.Request.Context(), &who)
	return who, err
}

// outdated says whether a device that is still being told has got a chat token
// since the caller was let in, and remembers it otherwise.
func (d *Door) outdated(who *caller, h *bridge.History) bool {
	if h.Token != (bridge.TokenHash{}) && h.Token != who.token {
		return true
	}
	if h.Seq != 0 {
		d.tokens.put(deviceKey{who.region.ID, who.device}, tokenAt{h.Token, h.Seq})
	}
	return false
}

// issueTicket gives a ticket with which the device may open a stream soon.
func (d *Door) issueTicket(c *gin.Context) error {
	who, err := d.caller(c)
	if err != nil {
		return err
	}
	if err := d.Limits.write(c, who); err != nil {
		return err
	}
	return answerSecret(c, http.StatusOK, struct {
		Ticket    string `json:"ticket"`
		ExpiresIn int    `json:"expires_in"`
	}{d.seal.ticket(&who, d.Now().Add(ticketLife)), int(ticketLife.Seconds())})
}
