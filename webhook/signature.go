package webhook

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"

	"deskbridge/bridge"
)

// signaturePrefix names the only algorithm that Zammad signs with (contract 4.1).
const signaturePrefix = "sha1="

// parseSignature reads the value of X-Hub-Signature: the prefix "sha1=" and
// exactly 40 hexadecimal digits. Zammad writes small ones; both cases say the
// same bytes. A cut value, another algorithm and anything around it is refused.
func parseSignature(value string) (sum [sha1.Size]byte, ok bool) {
	digits, found := strings.CutPrefix(value, signaturePrefix)
	if !found || len(digits) != hex.EncodedLen(sha1.Size) {
		return sum, false
	}
	_, err := hex.Decode(sum[:], []byte(digits))
	return sum, err == nil
}

// verify tells whether the one value of X-Hub-Signature was made with the
// secret over exactly these bytes. No secret verifies nothing, and two values
// neither: it would not be clear which of them a proxy had looked at. The
// comparison takes the same time wherever the sums differ.
func verify(secret bridge.Secret, values []string, body []byte) bool {
	if secret == "" || len(values) != 1 {
		return false
	}
	given, ok := parseSignature(values[0])
	if !ok {
		return false
	}
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write(body)
	return hmac.Equal(given[:], mac.Sum(nil))
}

// regionOfToken finds the region whose webhook token this is. Every region is
// compared, by digests of equal length, so that the time tells neither how
// much of a token was right nor whose. An empty token is nobody's. Should two
// regions share a token, it is the older one's: the other's chats are then
// brought up to date by reconciliation only.
func regionOfToken(regions []*bridge.Region, token string) *bridge.Region {
	given := sha256.Sum256([]byte(token))
	var found *bridge.Region
	for _, region := range regions {
		own := sha256.Sum256([]byte(region.WebhookToken))
		same := subtle.ConstantTimeCompare(given[:], own[:]) == 1
		if same && region.WebhookToken != "" && (found == nil || region.ID < found.ID) {
			found = region
		}
	}
	return found
}
