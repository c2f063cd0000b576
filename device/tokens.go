package device

import (
	"cmp"
	"context"
	"net/http"
	"sync"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
)

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
