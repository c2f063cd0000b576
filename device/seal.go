package device

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

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

// ticket makes a ticket: the time at which it expires (Unix seconds, base 36)
// and the keyed hash of it and of whom it is for.
func (s seal) ticket(who *caller, expires time.Time) string {
	at := strconv.FormatInt(expires.Unix(), 36)
	mac := s.mac("stream ticket", regionOf(who), string(who.device[:]), at)
	return at + "." + base64.RawURLEncoding.EncodeToString(mac[:])
}

func (s seal) checkTicket(who *caller, ticket string, now time.Time) bool {
	at, _, found := strings.Cut(ticket, ".")
	seconds, err := strconv.ParseInt(at, 36, 64)
	if !found || err != nil {
		return false
	}
	expires := time.Unix(seconds, 0)
	genuine := hmac.Equal([]byte(ticket), []byte(s.ticket(who, expires)))
	return genuine && now.Before(expires) && expires.Before(now.Add(ticketLife+clockSkew))
}
