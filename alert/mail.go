package alert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	netmail "net/mail"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// How the connection to the mail server is encrypted.
const (
	StartTLS = "starttls" // plain at first, then TLS or nothing
	TLS      = "tls"      // from the first byte, mostly port 465
	NoTLS    = "none"     // never: for a server on the same machine
)

// Mail is the mail server that takes notices. It belongs to the installation:
// whoever may set it may reach it, so its address is not guarded.
type Mail struct {
	Host     string // empty: there is none
	Port     int
	Security string // StartTLS, TLS or NoTLS
	User     string // empty: without login
	Password string
	From     string         // an address, perhaps with a name
	Roots    *x509.CertPool // who may vouch for the server; nil: whom the machine trusts
}

// Check connects, encrypts, logs in and hangs up. It sends nothing.
func (m Mail) Check(ctx context.Context) error {
	if m.Host == "" {
		return ErrNoMail
	}
	return m.connected(ctx, func(*mail.Client, *smtp.Client) error { return nil })
}

// connected runs what is to be said to the server, and hangs up.
func (m Mail) connected(ctx context.Context, say func(*mail.Client, *smtp.Client) error) error {
	// Its end closes the connection, however far things have come: the library
	// leaves one open that fails before the login.
	ctx, cancel := context.WithTimeout(ctx, PostTimeout)
	defer cancel()
	secure := &tls.Config{ServerName: m.Host, MinVersion: tls.VersionTLS12, RootCAs: m.Roots}
	options := []mail.Option{
		mail.WithPort(m.Port), mail.WithTimeout(PostTimeout), mail.WithTLSConfig(secure), mail.WithoutNoop(),
		mail.WithDialContextFunc(func(dialling context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(dialling, network, address)
			if err != nil {
				return nil, err
			}
			context.AfterFunc(ctx, func() { _ = conn.Close() })
			if m.Security == TLS {
				return tls.Client(conn, secure), nil
			}
			return conn, nil
		}),
	}
	switch m.Security {
	case TLS:
		options = append(options, mail.WithSSL())
	case NoTLS:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if m.User != "" {
		options = append(options, mail.WithUsername(m.User), mail.WithPassword(m.Password),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	}
	client, err := mail.NewClient(m.Host, options...)
	if err != nil {
		return fmt.Errorf("set up the mail client: %w", err)
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errMailServer, err)
	}
	if err := say(client, session); err != nil {
		return err
	}
	_ = client.CloseWithSMTPClient(session) // what was said is said
	return nil
}

// Send sends a text to one address. The Message-ID is made of key, so that it stays
// the same when the text is sent again.
func (m Mail) Send(ctx context.Context, to, key, subject, text string, now time.Time) error {
	return m.send(ctx, to, notice{Key: key, Subject: subject, Text: text}, 0, now)
}

// send sends a notice to one address. place makes the Message-ID another one for
// each address of a notice; it stays the same when it is repeated.
func (m Mail) send(ctx context.Context, to string, n notice, place int, now time.Time) error {
	if m.Host == "" {
		return ErrNoMail
	}
	message, err := m.message(to, n, place, now)
	if err != nil {
		return err
	}
	return m.connected(ctx, func(client *mail.Client, session *smtp.Client) error {
		if err := client.SendWithSMTPClient(session, message); err != nil {
			return fmt.Errorf("hand over the mail: %w", err)
		}
		return nil
	})
}

func (m Mail) message(to string, n notice, place int, now time.Time) (*mail.Msg, error) {
	from, err := netmail.ParseAddress(m.From)
	if err != nil {
		return nil, fmt.Errorf("smtp.from: %w", err)
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	message := mail.NewMsg(mail.WithNoDefaultUserAgent())
	message.FromMailAddress(from)
	if err := message.To(to); err != nil {
		return nil, fmt.Errorf("the address of the receiver: %w", err)
	}
	message.Subject(n.Subject)
	message.SetDateWithValue(now)
	message.SetMessageIDWithValue(fmt.Sprintf("%s.%d@%s", n.Key, place, domain))
	message.SetGenHeader(KeyHeader, n.Key)
	message.SetGenHeader("Auto-Submitted", "auto-generated") // no "out of office" comes back (RFC 3834)
	message.SetBodyString(mail.TypeTextPlain, n.Text+"\n")
	return message, nil
}
