package staff

import (
	"bytes"
	"encoding/base32"
	"fmt"
	"image/png"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"deskbridge/bridge"
)

// totpPeriod is how long a code is shown (RFC 6238). The one before and the one
// after are taken too, since clocks of phones are a little off.
const totpPeriod = 30 * time.Second

// FactorDuty says who must have a second factor beside the password.
type FactorDuty string

// The duties: nobody's, that of operators, everybody's.
const (
	DutyNone      FactorDuty = "none"
	DutyOperators FactorDuty = "operators"
	DutyAll       FactorDuty = "all"
)

// Missing says whether an account must set up a second factor before anything
// else. Who has no password has none to protect: the provider asks for what it
// wants. Who has both must, since the password alone would be a way around.
func (d FactorDuty) Missing(a *Account) bool {
	return a.HasPassword && !a.HasTOTP && (d == DutyAll || d == DutyOperators && a.Role == Operator)
}

// Factor is a second factor that is being set up: an authenticator app reads the
// address as a QR code, or its owner types the secret.
type Factor struct {
	Secret  bridge.Secret // base32
	Address bridge.Secret // otpauth://…, which holds the secret
}

// NewFactor makes a second factor for a person, or with a secret that it gave
// before the same again. Nothing is stored before Accounts.ConfirmTOTP.
func NewFactor(p *Person, secret bridge.Secret) (Factor, error) {
	known, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(secret))
	if err != nil {
		return Factor{}, fmt.Errorf("make second factor: %w", err)
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: "Deskbridge", AccountName: p.Login, Secret: known})
	if err != nil {
		return Factor{}, fmt.Errorf("make second factor: %w", err)
	}
	return Factor{bridge.Secret(key.Secret()), bridge.Secret(key.String())}, nil
}

// Picture gives the address as a QR code, a PNG.
func (f Factor) Picture() ([]byte, error) {
	key, err := otp.NewKeyFromURL(string(f.Address))
	if err != nil {
		return nil, fmt.Errorf("draw second factor: %w", err)
	}
	const side = 264 // pixels
	code, err := key.Image(side, side)
	if err != nil {
		return nil, fmt.Errorf("draw second factor: %w", err)
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, code); err != nil {
		return nil, fmt.Errorf("draw second factor: %w", err)
	}
	return picture.Bytes(), nil
}

// codeStep gives the step of a code that is valid now and newer than the last
// one that was taken; ErrCode if it is none.
func codeStep(secret bridge.Secret, code string, last int64, now time.Time) (int64, error) {
	code = strings.Join(strings.Fields(code), "") // apps show it in two groups
	current := now.Unix() / int64(totpPeriod/time.Second)
	for step := current - 1; step <= current+1; step++ {
		ok, err := hotp.ValidateCustom(code, uint64(step), string(secret), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err == nil && ok && step > last {
			return step, nil
		}
	}
	return 0, ErrCode
}
