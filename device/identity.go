package device

import (
	"context"
	"net/http"
	"strings"
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

// Identities checks the signed token of a device, and says until when it counts;
// see identity.Verifier.
type Identities interface {
	Check(ctx context.Context, r *bridge.Region, deviceID, token string) (until time.Time, err error)
}

// admit lets a request pass that proves what region and device want.
//
// Errors: ErrIdentityMissing, ErrIdentityInvalid, ErrIdentityExpired,
// ErrIdentityKeys, ErrChatToken, or the store's.
func (d *Door) admit(c *gin.Context, who *caller) error {
	return challenge(c, d.prove(c, who))
}

// challenge says how to prove who one is, where an error wants that.
func challenge(c *gin.Context, err error) error {
	if err != nil && unauthorised(err) {
		c.Writer.Header()["Www-Authenticate"] = []string{"Bearer"}
	}
	return err
}

func (d *Door) prove(c *gin.Context, who *caller) (err error) {
	bearer, mode := bearerOf(c.Request), who.region.Settings.Identity
	signed := mode != bridge.IdentityOff && mode != ""
	if signed {
		if who.until, err = d.Identities.Check(c.Request.Context(), who.region, c.Param("device"), bearer); err != nil {
			return err
		}
	}
	hash, remembered := d.tokens.remembered(who)
	shown := c.Request.Header.Get(headerChatToken) != "" || bearer != "" && !signed
	if remembered && (!shown || hash != bridge.TokenHash{}) {
		if who.token = hash; d.tokens.borne(c.Request, who, bearer) {
			return nil
		}
	}
	// The device may have been erased on another instance, or have got its token
	// there: nobody is refused because of what is only remembered.
	if who.token, err = d.tokens.read(c.Request.Context(), who); err != nil {
		return err
	}
	if !d.tokens.borne(c.Request, who, bearer) {
		return bridge.ErrChatToken
	}
	return nil
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

// streamCaller is caller for routes that browsers open without headers: a valid
// ?ticket= takes the place of everything that admit wants, for as long as that
// would have counted.
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
		return who, challenge(c, bridge.ErrTicketInvalid)
	}
	if who.expired(d.Now()) {
		return who, challenge(c, bridge.ErrIdentityExpired)
	}
	who.token, err = d.tokens.read(c.Request.Context(), &who)
	return who, err
}

// expired says whether what the caller has proved counts no more. Nor does
// nothing, once its region has begun to ask.
func (who *caller) expired(now time.Time) bool {
	return who.region.Settings.Identity == bridge.IdentityEnforce && now.After(who.until)
}

// within cuts a pause at the time at which what the caller has proved ends.
func (who *caller) within(pause time.Duration, now time.Time) time.Duration {
	if left := who.until.Sub(now); left > 0 {
		return min(left, pause)
	}
	return pause
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
