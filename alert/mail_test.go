package alert_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"deskbridge/alert"
)

// The login that the mail server takes.
const (
	mailUser     = "deskbridge"
	mailPassword = "hunter2-of-the-mail-server"
)

// letter is a mail that the server has taken.
type letter struct {
	from, to string // of the envelope
	secure   bool
	login    string
	*netmail.Message
	body string
}

// mailServer is a mail server on loopback that speaks SMTP with STARTTLS and
// AUTH PLAIN, and keeps what it takes.
type mailServer struct {
	t     *testing.T
	ln    net.Listener
	tls   *tls.Config
	roots *x509.CertPool

	mu       sync.Mutex
	letters  []letter
	plain    bool            // offers no STARTTLS
	refuses  map[string]bool // receivers
	hangs    bool            // says nothing after DATA
	conns    int
	finished sync.WaitGroup
}

func newMailServer(t *testing.T) *mailServer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s := &mailServer{t: t, roots: x509.NewCertPool(), refuses: make(map[string]bool)}
	s.roots.AddCert(certificate)
	s.tls = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	if s.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.finished.Go(func() { s.accept(s.ln) })
	t.Cleanup(func() {
		_ = s.ln.Close()
		s.finished.Wait()
	})
	return s
}

func (s *mailServer) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns++
		s.mu.Unlock()
		s.finished.Go(func() {
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(time.Minute)); err == nil {
				(&session{server: s, conn: conn}).talk()
			}
		})
	}
}

// mail is how Deskbridge is told of the server.
func (s *mailServer) mail() alert.Mail {
	port := s.ln.Addr().(*net.TCPAddr).Port
	return alert.Mail{
		Host: "127.0.0.1", Port: port, Security: alert.StartTLS, User: mailUser, Password: mailPassword,
		From: "Chat of the town <chat@town.example>", Roots: s.roots,
	}
}

// implicit gives the port of a second listener that speaks TLS from the first byte.
func (s *mailServer) implicit() int {
	s.t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", s.tls)
	if err != nil {
		s.t.Fatal(err)
	}
	s.finished.Go(func() { s.accept(ln) })
	s.t.Cleanup(func() { _ = ln.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}

func (s *mailServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *mailServer) taken() []letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]letter(nil), s.letters...)
}

// session is one connection.
type session struct {
	server *mailServer
	conn   net.Conn
	letter
}

func (c *session) talk() {
	reader := bufio.NewReader(c.conn)
	_, c.secure = c.conn.(*tls.Conn)
	say := func(format string, args ...any) { fmt.Fprintf(c.conn, format+"\r\n", args...) }
	say("220 town.example ESMTP")
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		c.server.mu.Lock()
		plain, hangs, refused := c.server.plain, c.server.hangs, c.server.refuses[between(rest)]
		c.server.mu.Unlock()
		switch strings.ToUpper(verb) {
		case "EHLO":
			switch {
			case !c.secure && !plain:
				say("250-town.example\r\n250 STARTTLS")
			default:
				say("250-town.example\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN")
			}
		case "STARTTLS":
			say("220 go on")
			secure := tls.Server(c.conn, c.server.tls)
			if secure.Handshake() != nil {
				return
			}
			c.conn, reader, c.secure = secure, bufio.NewReader(secure), true
		case "AUTH":
			_, proof, _ := strings.Cut(rest, " ")
			decoded, _ := base64.StdEncoding.DecodeString(proof)
			if string(decoded) != "\x00"+mailUser+"\x00"+mailPassword {
				say("535 5.7.8 no")
				continue
			}
			c.login = mailUser
			say("235 welcome")
		case "MAIL":
			c.from = between(rest)
			say("250 ok")
		case "RCPT":
			if refused {
				say("550 5.1.1 nobody here has this name")
				continue
			}
			c.to = between(rest)
			say("250 ok")
		case "DATA":
			say("354 go on")
			text, err := io.ReadAll(dotted(reader))
			if err != nil || hangs {
				continue // until the other side gives up
			}
			c.keep(string(text))
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func between(text string) string {
	_, text, _ = strings.Cut(text, "<")
	text, _, _ = strings.Cut(text, ">")
	return text
}

// dotted reads up to the line that is a single dot.
func dotted(reader *bufio.Reader) io.Reader {
	var text strings.Builder
	for {
		line, err := reader.ReadString('\n')
		if err != nil || line == ".\r\n" {
			return strings.NewReader(text.String())
		}
		text.WriteString(strings.TrimPrefix(line, "."))
	}
}

func (c *session) keep(text string) {
	message, err := netmail.ReadMessage(strings.NewReader(text))
	if err != nil {
		c.server.t.Errorf("no mail: %v in %q", err, text)
		return
	}
	taken := c.letter
	taken.Message = message
	body, err := io.ReadAll(message.Body)
	if err != nil {
		c.server.t.Error(err)
	}
	taken.body = string(body)
	if message.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		taken.body = plainOf(c.server.t, taken.body)
	}
	c.server.set(func() { c.server.letters = append(c.server.letters, taken) })
}

func TestMailServerIsChecked(t *testing.T) {
	t.Parallel()
	s := newMailServer(t)
	for name, tc := range map[string]struct {
		change func(m *alert.Mail)
		want   string
	}{
		"starttls":             {func(*alert.Mail) {}, ""},
		"tls":                  {func(m *alert.Mail) { m.Security, m.Port = alert.TLS, s.implicit() }, ""},
		"wrong password":       {func(m *alert.Mail) { m.Password = "guess" }, "535"},
		"wrong one over tls":   {func(m *alert.Mail) { m.Security, m.Port, m.Password = alert.TLS, s.implicit(), "guess" }, "535"},
		"unknown authority":    {func(m *alert.Mail) { m.Roots = x509.NewCertPool() }, "certificate"},
		"another name":         {func(m *alert.Mail) { m.Host = "localhost" }, "certificate"},
		"no server":            {func(m *alert.Mail) { m.Host = "" }, "smtp.host"},
		"a server that is not": {func(m *alert.Mail) { m.Port = 1 }, "connect"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := s.mail()
			tc.change(&m)
			err := m.Check(t.Context())
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if err != nil && (strings.Contains(err.Error(), mailPassword) || strings.Contains(err.Error(), "guess")) {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
}

// A server that does not encrypt, or somebody on the way who says so, gets
// neither password nor mail.
func TestNoMailWithoutEncryption(t *testing.T) {
	t.Parallel()
	s := newMailServer(t)
	s.set(func() { s.plain = true })
	if err := s.mail().Check(t.Context()); err == nil || !strings.Contains(err.Error(), "STARTTLS") {
		t.Errorf("the check says %v", err)
	}
	open := s.mail()
	open.Security, open.User, open.Password = alert.NoTLS, "", ""
	if err := open.Check(t.Context()); err != nil {
		t.Errorf("none: %v", err)
	}
}
