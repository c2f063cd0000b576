package app

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// The derivation may never change: with other keys every stored token is
// unreadable and every device is a stranger.
func TestKeysStayWhatTheyAre(t *testing.T) {
	k, err := deriveKeys(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"storage":   {k.storage, "528737f83ba5f289b309e56e81d08997d59fd4210839bd4977ef1ef42ef6a2e3"},
		"devices":   {k.devices, "7b9c554f82e76997478c6e50afeaafc5662a3e64c6bcbaf4bbda5fda3f6813ee"},
		"tokens":    {k.tokens, "2af0581b33c1758711a5a1e05bcb0518b21c32e5f1b976d439c96c4e112dd08d"},
		"passwords": {k.passwords, "0403d034fbe633a9f84f1c42516f7b3c67c9bc501374789505ffaff9ddbc0966"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("key %s is %s, it was %s", name, got, c.want)
		}
	}
	other, err := deriveKeys(bytes.Repeat([]byte{8}, 32))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(other.storage, k.storage) || bytes.Equal(k.storage, k.devices) || bytes.Equal(k.limits, k.devices) || bytes.Equal(k.passwords, k.tokens) {
		t.Error("keys do not depend on the secret and the purpose")
	}
}
