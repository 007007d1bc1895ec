// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/words"
)

// secure does the TLS handshake on a connection. If the handshake fails, the connection is nil and the result says why.
func (p *Prober) secure(ctx context.Context, conn net.Conn, t *healthcheck.Target) (net.Conn, healthcheck.Result) {
	c := &t.Config
	shared, err := p.keys.config(c.TLS)
	if err != nil {
		return nil, healthcheck.Result{Outcome: healthcheck.NotRun, Reason: err.Error()}
	}
	config := shared.Clone()
	config.ServerName = serverName(t)
	h2 := c.Type == healthcheck.GRPC || c.Version == healthcheck.HTTP2
	switch {
	case h2:
		config.NextProtos = []string{"h2"}
	case c.Type == healthcheck.HTTPS:
		config.NextProtos = []string{"http/1.1"}
	}
	heard := &hearing{Conn: conn}
	secured := tls.Client(heard, config)
	if err := secured.HandshakeContext(context.WithoutCancel(ctx)); err != nil {
		return nil, explainTLS(ctx, err, t, config.ServerName, &heard.first)
	}
	if h2 && secured.ConnectionState().NegotiatedProtocol != "h2" {
		return nil, healthcheck.Fail(healthcheck.TLSFailed, "the server does not offer HTTP/2")
	}
	return secured, healthcheck.Result{}
}

// serverName returns what the server's certificate must be for.
func serverName(t *healthcheck.Target) string {
	switch {
	case t.Config.TLS.Name != "":
		return t.Config.TLS.Name
	case t.Config.Host != "":
		if name, _, err := net.SplitHostPort(t.Config.Host); err == nil {
			return name
		}
		if a, err := netip.ParseAddr(trimBrackets(t.Config.Host)); err == nil {
			return a.String()
		}
		return t.Config.Host
	}
	return t.Peer().Addr().Unmap().WithZone("").String()
}

func trimBrackets(s string) string {
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		return s[1 : len(s)-1]
	}
	return s
}

// explainTLS makes a result of a failed handshake, with a reason that is the same at every probe. heard is what the server
// has sent first.
func explainTLS(ctx context.Context, err error, t *healthcheck.Target, name string, heard *words.Beginning) healthcheck.Result {
	var (
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		other   x509.HostnameError
		record  tls.RecordHeaderError
	)
	fail := func(reason string) healthcheck.Result { return healthcheck.Fail(healthcheck.TLSFailed, "TLS: "+reason) }
	switch {
	case errors.As(err, &unknown):
		return fail("the certificate is signed by nobody trusted")
	case errors.As(err, &other) && nameless(other.Certificate):
		return fail("the certificate has no subject alternative names")
	case errors.As(err, &other):
		return fail("the certificate is not for " + name)
	case errors.As(err, &invalid):
		return fail(invalidWords(invalid, time.Now()))
	case errors.As(err, &record):
		if p := heard.Protocol(); p != "" {
			return fail("the server speaks " + p + ", not TLS")
		}
		return fail("the server does not speak TLS")
	case socket.AlertTLS(err) != "":
		return healthcheck.Fail(healthcheck.TLSFailed, socket.AlertTLS(err))
	case socket.Closed(err), errors.Is(err, io.ErrUnexpectedEOF), ctx.Err() != nil,
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return socket.HungUp(ctx, err, t, "during the TLS handshake", "waiting for the TLS handshake")
	}
	return fail("the handshake failed")
}

// nameless reports whether a certificate has no name that clients look at: they ignore its common name (RFC 9525, section 2).
func nameless(c *x509.Certificate) bool {
	return c != nil && len(c.DNSNames)+len(c.IPAddresses)+len(c.EmailAddresses)+len(c.URIs) == 0
}

// invalidWords returns words about what is wrong with a certificate of the chain.
func invalidWords(err x509.CertificateInvalidError, now time.Time) string {
	what := "the certificate"
	if err.Cert != nil && err.Cert.IsCA {
		what = "the certificate of an authority"
	}
	switch day := time.DateOnly; {
	case err.Reason == x509.Expired && now.Before(err.Cert.NotBefore):
		return what + " is not valid before " + err.Cert.NotBefore.UTC().Format(day)
	case err.Reason == x509.Expired:
		return what + " expired on " + err.Cert.NotAfter.UTC().Format(day)
	case err.Reason == x509.IncompatibleUsage:
		return what + " is not for servers"
	case err.Reason == x509.NotAuthorizedToSign:
		return what + " is signed by one that may not sign"
	case err.Reason == x509.CANotAuthorizedForThisName:
		return what + " has a name for which its authority may not sign"
	case err.Reason == x509.TooManyIntermediates:
		return what + " has more authorities above it than they allow"
	}
	return what + " cannot be accepted"
}

// A hearing is a connection that keeps the first bytes that the server sends.
type hearing struct {
	net.Conn
	first words.Beginning
}

func (c *hearing) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.first.Add(b[:n])
	return n, err
}

// A keyring holds the certificates and keys that TLS checks read from files. If a file has changed, it is read again:
// certificates are renewed while the director runs.
type keyring struct {
	mu     sync.Mutex
	loaded map[healthcheck.TLS]loaded
}

type loaded struct {
	config *tls.Config
	stamp  [3]fileStamp
}

// A fileStamp changes when its file changes.
type fileStamp struct {
	size     int64
	modified time.Time
}

func newKeyring() *keyring { return &keyring{loaded: make(map[healthcheck.TLS]loaded)} }

// config returns the configuration for a TLS, without the server's name. Callers share it.
func (k *keyring) config(t healthcheck.TLS) (*tls.Config, error) {
	stamp, err := stampOf(t)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if h, ok := k.loaded[t]; ok && h.stamp == stamp {
		return h.config, nil
	}
	config, err := load(t)
	if err != nil {
		return nil, err
	}
	k.loaded[t] = loaded{config, stamp}
	return config, nil
}

func stampOf(t healthcheck.TLS) (stamp [3]fileStamp, err error) {
	for i, path := range []string{t.CAFile, t.CertFile, t.KeyFile} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return stamp, fmt.Errorf("failed to read a certificate or key: %w", err)
		}
		stamp[i] = fileStamp{info.Size(), info.ModTime()}
	}
	return stamp, nil
}

func load(t healthcheck.TLS) (*tls.Config, error) {
	config := &tls.Config{MinVersion: max(t.Minimum, tls.VersionTLS10), InsecureSkipVerify: t.Insecure}
	if t.Minimum == 0 {
		config.MinVersion = tls.VersionTLS12
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("failed to read the certificates to trust: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate to trust", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("failed to read the director's certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
