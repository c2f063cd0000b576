package cli

import (
	"strings"
	"unicode/utf8"

	"deskbridge/bridge"
	"deskbridge/identity"
)

// rightsFlags are the settings of a region about who a device is and what its
// user may have erased; nil means not given.
type rightsFlags struct {
	Erasure                *string `help:"What an erasure asks of Zammad: anonymise (default), note, or delete, which needs --zammad-privacy-token-file." placeholder:"RULE"`
	ZammadPrivacyTokenFile *string `help:"File with an API token that has admin.data_privacy, for --erasure delete; an empty file removes it." placeholder:"FILE"`

	Identity           *string `help:"Signed tokens of devices: off (default), log, or enforce." placeholder:"MODE"`
	IdentitySecretFile *string `help:"File with the secret that signs them (HS256); takes the place of keys." placeholder:"FILE"`
	IdentityKeysFile   *string `help:"File with the public keys (JWKS) that sign them (RS256, ES256, EdDSA); takes the place of a secret or an address." placeholder:"FILE"`
	IdentityKeysURL    *string `name:"identity-keys-url" help:"The https address of these keys; takes the place of a secret or a file." placeholder:"URL"`
	IdentityIssuer     *string `help:"Issuer (iss) that a token must name; empty: any." placeholder:"TEXT"`
	IdentityAudience   *string `help:"Audience (aud) that a token must name; empty: any." placeholder:"TEXT"`
}

// apply takes over what stands in no file.
func (f *rightsFlags) apply(set *bridge.RegionSettings) {
	if f.Erasure != nil {
		set.Erasure = bridge.ErasureRule(*f.Erasure)
	}
	if f.Identity != nil {
		set.Identity = bridge.IdentityMode(*f.Identity)
	}
	assign(&set.IdentityIssuer, f.IdentityIssuer)
	assign(&set.IdentityAudience, f.IdentityAudience)
}

// signer makes a region take tokens of one kind of signer, and no other's.
func signer(r *bridge.Region, secret bridge.Secret, keys, url string) {
	r.IdentitySecret, r.Settings.IdentityKeys, r.Settings.IdentityKeysURL = secret, keys, url
}

// minIdentitySecret is the shortest secret, in bytes: as long as what it signs
// with (RFC 7518, 3.2).
const minIdentitySecret = 32

// checkRights holds these settings against each other.
func checkRights(r *bridge.Region, want func(ok bool, format string, args ...any)) {
	set := r.Settings
	switch set.Erasure {
	case "", bridge.EraseAnonymise, bridge.EraseNote:
	case bridge.EraseDelete:
		want(r.PrivacyToken != "", "--erasure delete needs --zammad-privacy-token-file")
		want(!set.SharesCustomer(), "--erasure delete needs {alias} in --customer-login: all devices share one customer, and erasing one would erase all")
	default:
		want(false, "--erasure must be anonymise, note or delete")
	}
	switch set.Identity {
	case "", bridge.IdentityOff:
	case bridge.IdentityLog, bridge.IdentityEnforce:
		want(r.IdentitySecret != "" || set.IdentityKeys != "" || set.IdentityKeysURL != "",
			"--identity %s needs --identity-secret-file, --identity-keys-file or --identity-keys-url", set.Identity)
	default:
		want(false, "--identity must be off, log or enforce")
	}
	want(r.IdentitySecret == "" || len(r.IdentitySecret) >= minIdentitySecret, "the secret of --identity-secret-file has fewer than %d characters", minIdentitySecret)
	want(set.IdentityKeysURL == "" || strings.HasPrefix(set.IdentityKeysURL, "https://") && len(set.IdentityKeysURL) <= 500, "--identity-keys-url must begin with https://")
	if set.IdentityKeys != "" {
		err := identity.CheckKeys(set.IdentityKeys)
		want(err == nil, "--identity-keys-file: %w", err)
	}
	want(utf8.RuneCountInString(set.IdentityIssuer) <= 500 && utf8.RuneCountInString(set.IdentityAudience) <= 500, "issuer and audience must have at most 500 characters")
}
