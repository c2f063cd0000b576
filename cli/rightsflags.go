package cli

import "deskbridge/bridge"

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
