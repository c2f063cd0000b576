package device

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
)

// seal is the server's key for what it makes itself: chat tokens, stream tickets
// and receipts. All are keyed hashes of what they are for, so that nothing of
// them needs to be stored.
type seal []byte

// chatToken makes a chat token. Who knows the device id and the key of the
// message cannot make it: that takes the server's key.
func (s seal) chatToken(who *caller, key string) string {
	mac := s.mac("chat token", regionOf(who), string(who.device[:]), key)
	return base64.RawURLEncoding.EncodeToString(mac[:])
}

// hashToken gives what is stored of a chat token.
func (s seal) hashToken(token string) bridge.TokenHash {
	return s.mac("stored chat token", token)
}

func regionOf(who *caller) string { return strconv.FormatInt(int64(who.region.ID), 36) }

// mac is the keyed hash of a purpose and its parts, each with its length, so
// that no two lists of parts are the same bytes.
func (s seal) mac(purpose string, parts ...string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, s)
	for _, part := range append([]string{purpose}, parts...) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write([]byte(part))
	}
	mac.Sum(sum[:0])
	return sum
}

// receipt makes the receipt of an erasure from the key of its request.
func (s seal) receipt(who *caller, key string) string {
	mac := s.mac("receipt", regionOf(who), string(who.device[:]), key)
	return base64.RawURLEncoding.EncodeToString(mac[:])
}

// ticket makes a ticket: the time at which it expires, that until which the
// caller's signed token counts (both Unix seconds, base 36; no token: nothing),
// and the keyed hash of them and of whom it is for.
func (s seal) ticket(who *caller, expires time.Time) string {
	times := strconv.FormatInt(expires.Unix(), 36) + "."
	if !who.until.IsZero() {
		times += strconv.FormatInt(who.until.Unix(), 36)
	}
	mac := s.mac("stream ticket", regionOf(who), string(who.device[:]), times)
	return times + "." + base64.RawURLEncoding.EncodeToString(mac[:])
}

// checkTicket says whether a ticket is the caller's and opens a stream now, and
// sets until when the stream may last.
func (s seal) checkTicket(who *caller, ticket string, now time.Time) bool {
	parts := strings.SplitN(ticket, ".", 3)
	if len(parts) != 3 {
		return false
	}
	seconds, err := strconv.ParseInt(parts[0], 36, 64)
	if err != nil {
		return false
	}
	expires := time.Unix(seconds, 0)
	if parts[1] != "" {
		if seconds, err = strconv.ParseInt(parts[1], 36, 64); err != nil {
			return false
		}
		who.until = time.Unix(seconds, 0)
	}
	genuine := hmac.Equal([]byte(ticket), []byte(s.ticket(who, expires)))
	return genuine && now.Before(expires) && expires.Before(now.Add(ticketLife+clockSkew))
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

// tokens are the chat tokens of devices. It remembers what was read lately, in
// two generations.
type tokens struct {
	seal  seal
	store Chats
	marks Watermarks

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

// remembered gives a device's chat token if it was read lately. It is
// believed as long as nothing has changed for the device: a new token raises its
// Seq.
func (t *tokens) remembered(who *caller) (bridge.TokenHash, bool) {
	seq, watched := t.marks.Seq(who.region.ID, who.device)
	if !watched {
		return bridge.TokenHash{}, false
	}
	known, ok := t.get(deviceKey{who.region.ID, who.device})
	return known.hash, ok && known.seq == seq
}

// read reads a device's chat token; the zero value is none.
func (t *tokens) read(ctx context.Context, who *caller) (bridge.TokenHash, error) {
	hash, seq, err := t.store.Token(ctx, who.region, who.device)
	if err != nil {
		return bridge.TokenHash{}, err
	}
	t.put(deviceKey{who.region.ID, who.device}, tokenAt{hash, seq})
	return hash, nil
}

// borne says whether a request has the device's chat token, or needs none.
func (t *tokens) borne(r *http.Request, who *caller, bearer string) bool {
	if who.token == (bridge.TokenHash{}) {
		return true
	}
	token := r.Header.Get(headerChatToken)
	if token == newChatToken { // a repeated wish is known by its key
		key, err := idempotencyKey(r.Header["Idempotency-Key"], nil)
		if err == nil && key != "" && t.seal.hashToken(t.seal.chatToken(who, key)) == who.token {
			return true
		}
		token = ""
	}
	// Keyed hashes are compared, so the time that it takes tells nothing.
	return t.seal.hashToken(cmp.Or(token, bearer)) == who.token
}

// wanted reads the wish for a chat token, which comes with the message that
// opens the chat. The token is made from the message's key, so that a repeated
// request gets the same one.
func (t *tokens) wanted(c *gin.Context, who caller, s *bridge.Sending) (token string, err error) {
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
	token = t.seal.chatToken(&who, key)
	hash := t.seal.hashToken(token)
	if who.token != (bridge.TokenHash{}) && who.token != hash {
		return "", nil // it has one, and has just proved it
	}
	s.Token = hash
	return token, nil
}

// outdated says whether a device that is still being told has got a chat token
// since the caller was let in, and remembers it otherwise.
func (t *tokens) outdated(who *caller, h *bridge.History) bool {
	if h.Token != (bridge.TokenHash{}) && h.Token != who.token {
		return true
	}
	if h.Seq != 0 {
		t.put(deviceKey{who.region.ID, who.device}, tokenAt{h.Token, h.Seq})
	}
	return false
}
