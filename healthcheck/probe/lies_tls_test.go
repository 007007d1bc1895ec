// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/words"
)

// A certLie is a chain of certificates, and the reason for which it is refused.
type certLie struct {
	rule, name string
	chain      func(*forger) tls.Certificate
	want       string
}

// A forger signs certificates with one key.
type forger struct {
	*authority
	key *ecdsa.PrivateKey
}

// sign makes a certificate for www.example.org, after a change; by nil it signs itself.
func (f *forger) sign(by *x509.Certificate, change func(*x509.Certificate)) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "www.example.org"}, DNSNames: []string{"www.example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	change(c)
	signer := f.key
	switch by {
	case nil:
		by = c
	case f.cert:
		signer = f.authority.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, &f.key.PublicKey, signer)
	if err != nil {
		panic(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return made
}

func (f *forger) chain(all ...*x509.Certificate) tls.Certificate {
	pair := tls.Certificate{PrivateKey: f.key}
	for _, c := range all {
		pair.Certificate = append(pair.Certificate, c.Raw)
	}
	return pair
}

// leaf returns a chain of one certificate that the authority signs.
func leaf(change func(*x509.Certificate)) func(*forger) tls.Certificate {
	return func(f *forger) tls.Certificate { return f.chain(f.sign(f.cert, change)) }
}

// below returns a chain of a certificate and the authority between it and the one that is trusted.
func below(change func(between, leaf *x509.Certificate)) func(*forger) tls.Certificate {
	return func(f *forger) tls.Certificate {
		var plan x509.Certificate
		between := f.sign(f.cert, func(c *x509.Certificate) {
			c.Subject.CommonName, c.DNSNames, c.IsCA, c.KeyUsage, c.ExtKeyUsage = "between", nil, true, x509.KeyUsageCertSign, nil
			change(c, &plan)
		})
		return f.chain(f.sign(between, func(c *x509.Certificate) { change(&plan, c) }), between)
	}
}

// certLies returns chains that break a rule of RFC 5280 or RFC 9525.
func certLies() (all []certLie) {
	add := func(rule, name, want string, chain func(*forger) tls.Certificate) {
		if want != "" {
			want = "TLS: the certificate " + want
		}
		all = append(all, certLie{rule, name, chain, want})
	}
	const other, nobody, nameless = "is not for www.example.org", "is signed by nobody trusted", "has no subject alternative names"
	for _, name := range []string{"www.example.org", "WWW.EXAMPLE.ORG", "*.example.org"} {
		add("RFC 9525, 6.3", name, "", leaf(func(c *x509.Certificate) { c.DNSNames = []string{name} }))
	}
	for _, name := range []string{
		"example.org", "org", "ww.example.org", "wwww.example.org", "www.example.com", "www.example.or",
		"www.example.org.example.org", "mail.example.org", "*.org", "*", "*.www.example.org", "*.*.org", "*.*.example.org",
		"w*.example.org",
		"*w.example.org", "www.*.org", "www.example.*", "ww*.example.org", "xn--www.example.org", "www-example.org",
		"wwwexample.org", "a.www.example.org", "www.examp1e.org", "localhost", "*.example.com", "*.xample.org", "www.example.net",
	} {
		add("RFC 9525, 6.3", "for "+name, other, leaf(func(c *x509.Certificate) { c.DNSNames = []string{name} }))
	}
	add("RFC 9525, 6.2", "for an address only", other, leaf(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, []net.IP{net.IPv4(192, 0, 2, 1)} }))
	add("RFC 9525, 6.2", "for a mail address only", other, leaf(func(c *x509.Certificate) { c.DNSNames, c.EmailAddresses = nil, []string{"www@example.org"} }))
	add("RFC 9525, 6.2", "by its common name only", nameless, leaf(func(c *x509.Certificate) { c.DNSNames = nil }))
	for _, days := range []int{1, 2, 7, 30, 31, 60, 90, 180, 365, 366, 730, 3650} {
		then := time.Now().AddDate(0, 0, -days)
		add("RFC 5280, 4.1.2.5", fmt.Sprintf("expired %d days ago", days), "expired on "+then.UTC().Format(time.DateOnly), leaf(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = then.AddDate(0, 0, -1), then }))
		later := time.Now().AddDate(0, 0, days)
		add("RFC 5280, 4.1.2.5", fmt.Sprintf("valid in %d days", days), "is not valid before "+later.UTC().Format(time.DateOnly), leaf(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = later, later.AddDate(0, 0, 1) }))
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageCodeSigning, x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageTimeStamping, x509.ExtKeyUsageOCSPSigning, x509.ExtKeyUsageIPSECUser} {
		add("RFC 5280, 4.2.1.12", fmt.Sprintf("for usage %d", usage), "is not for servers", leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{usage} }))
	}
	add("RFC 5280, 4.2.1.12", "for every usage", "", leaf(func(c *x509.Certificate) { c.ExtKeyUsage = nil }))
	add("RFC 5280, 6.1", "signed by itself", nobody, func(f *forger) tls.Certificate { return f.chain(f.sign(nil, func(*x509.Certificate) {})) })
	add("RFC 5280, 6.1", "an authority signed by itself", nobody, func(f *forger) tls.Certificate {
		return f.chain(f.sign(nil, func(c *x509.Certificate) { c.IsCA = true }))
	})
	nothing := func(_, _ *x509.Certificate) {}
	add("RFC 5280, 6.1", "below another authority", "", below(nothing))
	add("RFC 5280, 6.1", "without the authority between", nobody, func(f *forger) tls.Certificate { c := below(nothing)(f); c.Certificate = c.Certificate[:1]; return c })
	yesterday := time.Now().AddDate(0, 0, -1)
	add("RFC 5280, 6.1", "below an authority that has expired", "of an authority expired on "+yesterday.UTC().Format(time.DateOnly), below(func(between, _ *x509.Certificate) {
		if between.IsCA {
			between.NotBefore, between.NotAfter = yesterday.AddDate(0, 0, -1), yesterday
		}
	}))
	add("RFC 5280, 4.2.1.9", "below one that is no authority", nobody, below(func(between, _ *x509.Certificate) { between.IsCA, between.KeyUsage = false, 0 }))
	return all
}

// recordLies returns first bytes that no TLS server sends (RFC 8446, sections 5.1 and 6).
func recordLies() (all []lie) {
	const none, broken, closed = "TLS: the server does not speak TLS", "TLS: the handshake failed", "connection closed during the TLS handshake"
	for first := range 256 {
		if first == 21 || first == 22 {
			continue
		}
		says, want := string([]byte{byte(first)})+"\x03\x03\x00\x05hello", none
		if p := words.Protocol([]byte(says)); p != "" {
			want = "TLS: the server speaks " + p + ", not TLS"
		}
		all = append(all, lie{"RFC 8446, 5.1", fmt.Sprintf("a record of type %d", first), says, want})
	}
	for says, speaks := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n\r\n": "HTTP/1.1", "HTTP/1.0 400 Bad Request\r\n\r\n": "HTTP/1.0",
		"SSH-2.0-OpenSSH_9.2\r\n": "SSH", "220 mx ESMTP\r\n": "SMTP or FTP", "* OK IMAP4rev1\r\n": "IMAP",
		"+OK POP3 ready\r\n":       "POP3",
		"-ERR unknown command\r\n": "Redis", "<html></html>": "HTML or XML, without a header", "RFB 003.008\n": "VNC",
		"\x4a\x00\x00\x00\x0a8.0.36\x00abcdefgh": "MySQL", "\x00\x00\x00\x04\x00\x00\x00\x00\x00": "HTTP/2",
		"AMQP\x00\x00\x09\x01": "AMQP",
	} {
		all = append(all, lie{"RFC 8446, 5.1", "speaks " + speaks, says, "TLS: the server speaks " + speaks + ", not TLS"})
	}
	for _, alert := range []byte{10, 20, 21, 22, 30, 40, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 60, 70, 71, 80, 86, 90, 109, 110, 112, 113, 115, 116, 120, 255} {
		all = append(all, lie{"RFC 8446, 6", fmt.Sprintf("alert %d", alert), "\x15\x03\x03\x00\x02\x02" + string([]byte{alert}), "TLS: the server refused: " + strings.TrimPrefix(tls.AlertError(alert).Error(), "tls: ")})
	}
	all = append(all, lie{"RFC 8446, 6.1", "close_notify", "\x15\x03\x03\x00\x02\x01\x00", closed}, lie{"RFC 8446, 5.1", "nothing", "", closed})
	hello := "\x02\x00\x00\x26\x03\x03" + strings.Repeat("r", 32) + "\x00\x13\x01\x00"
	for _, message := range []string{
		"\x00\x00\x00\x00", "\x01\x00\x00\x00", "\x02\x00\x00\x00", "\x0b\x00\x00\x00", "\x0e\x00\x00\x00", "\x14\x00\x00\x00",
		"\xff\x00\x00\x00", hello, strings.Replace(hello, "\x13\x01", "\x00\x00", 1),
		strings.Replace(hello, "\x13\x01", "\x00\x2f", 1),
		strings.Replace(hello, "\x03\x03r", "\x03\x00r", 1), strings.Replace(hello, "\x13\x01\x00", "\x13\x01\x01", 1), "\x02\x00\x00\x05hello", "\x08\x00\x00\x02\x00\x00",
	} {
		all = append(all, lie{"RFC 8446, 4", fmt.Sprintf("message %q", message), fmt.Sprintf("\x16\x03\x03\x00%c%s", len(message), message), broken})
	}
	for n := 1; n < 9; n++ {
		all = append(all, lie{"RFC 8446, 5.1", fmt.Sprintf("the first %d bytes of a record", n), "\x16\x03\x03\x00\x2a\x02\x00\x00\x26"[:n], closed})
	}
	return all
}

func TestLiesOfTLS(t *testing.T) {
	ca := newAuthority(t)
	f := &forger{ca, newKey(t)}
	keys := newKeyring()
	target := httpsTarget(probetest.Addr, func(c *healthcheck.Config) { c.TLS.CAFile, c.TLS.Name = ca.file("ca.pem"), "www.example.org" })
	ask := func(serve func(net.Conn)) healthcheck.Result {
		p := pipe(serve)
		p.keys = keys
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return p.Probe(ctx, &target)
	}
	lies, certs := recordLies(), certLies()
	for _, l := range lies {
		if err := judged(l, ask(answering(l.says, false))); err != nil {
			t.Error(err)
		}
	}
	var chain atomic.Pointer[tls.Certificate]
	target.Addr = probetest.Serve(t, func(conn *net.TCPConn) { // both sides write at the same time, for which a pipe has no room
		secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*chain.Load()}})
		if secured.Handshake() == nil {
			_, _ = secured.Read(make([]byte, 1024))
			_, _ = io.WriteString(secured, "HTTP/1.1 200 OK\r\n\r\n")
		}
	})
	for _, c := range certs {
		l, pair := lie{c.rule, c.name, "", c.want}, c.chain(f)
		chain.Store(&pair)
		lies = append(lies, l)
		if got, _ := probeOnce(target); judged(l, got) != nil {
			t.Error(judged(l, got))
		}
	}
	enough(t, lies)
}
