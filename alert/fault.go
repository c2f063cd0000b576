package alert

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/wneessen/go-mail"

	"deskbridge/bridge"
	"deskbridge/egress"
)

// errMailServer says that the installation's mail server was not reached, or did
// not let us in.
var errMailServer = errors.New("connect to the mail server")

// statusError is what a receiver answers that has not taken a notice.
type statusError int

func (e statusError) Error() string {
	return fmt.Sprintf("the receiver answers with status %d %s", int(e), strings.ToLower(http.StatusText(int(e))))
}

// tell notes at a channel why a try has failed.
func tell(c *bridge.AlertChannel, err error) { c.Fault, c.Reason = faultOf(err), reason(err) }

// faultOf gives the name of what went wrong.
func faultOf(err error) bridge.AlertFault {
	if sending, is := errors.AsType[*mail.SendError](err); is {
		if sending.IsTemp() {
			return bridge.AlertFaultBusy
		}
		return bridge.AlertFaultMailRefused
	}
	if status, is := errors.AsType[statusError](err); is {
		return faultOfStatus(int(status))
	}
	for _, known := range []struct {
		err   error
		fault bridge.AlertFault
	}{
		{ErrNoMail, bridge.AlertFaultNoMail}, {errMailServer, bridge.AlertFaultMailServer},
		{egress.ErrPrivate, bridge.AlertFaultPrivate}, {egress.ErrPort, bridge.AlertFaultPort}, {egress.ErrUnresolved, bridge.AlertFaultUnknown},
		{egress.ErrURL, bridge.AlertFaultForm}, {egress.ErrScheme, bridge.AlertFaultForm}, {egress.ErrUserinfo, bridge.AlertFaultForm},
		{egress.ErrHost, bridge.AlertFaultForm}, {egress.ErrRedirect, bridge.AlertFaultRedirect}, {context.DeadlineExceeded, bridge.AlertFaultTimeout},
	} {
		if errors.Is(err, known.err) {
			return known.fault
		}
	}
	if _, is := errors.AsType[*tls.CertificateVerificationError](err); is {
		return bridge.AlertFaultCertificate
	}
	if network, is := errors.AsType[net.Error](err); is && network.Timeout() {
		return bridge.AlertFaultTimeout
	}
	if _, is := errors.AsType[*net.OpError](err); is {
		return bridge.AlertFaultUnreachable
	}
	return bridge.AlertFaultOther
}

func faultOfStatus(status int) bridge.AlertFault {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return bridge.AlertFaultDenied
	case status == http.StatusNotFound || status == http.StatusGone:
		return bridge.AlertFaultGone
	case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		return bridge.AlertFaultBusy
	}
	return bridge.AlertFaultStatus
}

// reason says why a try has failed, without the address, which may be secret.
func reason(err error) string {
	if wrapped, is := errors.AsType[*url.Error](err); is {
		err = wrapped.Err
	}
	text, _, _ := strings.Cut(strings.ToValidUTF8(err.Error(), ""), ", affected recipient") // of the mail library: known here
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if runes := []rune(text); len(runes) > maxReason {
		text = string(runes[:maxReason])
	}
	return text
}
