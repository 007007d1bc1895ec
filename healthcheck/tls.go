// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// secure does the TLS handshake on a connection. Where that fails, the connection is nil and the result says why.
func (p prober) secure(ctx context.Context, conn net.Conn, t Target) (net.Conn, result) {
	c := t.Config
	shared, err := p.keys.config(c.TLS)
	if err != nil {
		return nil, result{outcome: notRun, reason: err.Error()}
	}
	config := shared.Clone()
	config.ServerName = serverName(t)
	h2 := c.Type == GRPC || c.Version == HTTP2
	switch {
	case h2:
		config.NextProtos = []string{"h2"}
	case c.Type == HTTPS:
		config.NextProtos = []string{"http/1.1"}
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, explainTLS(ctx, err, t, config.ServerName)
	}
	if h2 && secured.ConnectionState().NegotiatedProtocol != "h2" {
		return nil, fail("the server does not offer HTTP/2")
	}
	return secured, result{}
}

// serverName is what the server's certificate must be for.
func serverName(t Target) string {
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
	return t.peer().Addr().Unmap().WithZone("").String()
}

func trimBrackets(s string) string {
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		return s[1 : len(s)-1]
	}
	return s
}

// explainTLS puts a failed handshake into words that do not change from one probe to the next.
func explainTLS(ctx context.Context, err error, t Target, name string) result {
	var (
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		other   x509.HostnameError
		record  tls.RecordHeaderError
	)
	const bad = "TLS: the certificate "
	switch {
	case errors.As(err, &unknown):
		return fail(bad + "is signed by nobody trusted")
	case errors.As(err, &other):
		return fail(bad + "is not for " + name)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fail(bad + "has expired or is not valid yet")
	case errors.As(err, &invalid):
		return fail(bad + "cannot be accepted")
	case errors.As(err, &record):
		return fail("TLS: the server speaks something else")
	case refusedTLS(err) != "":
		return fail(refusedTLS(err))
	case closed(err), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), ctx.Err() != nil:
		return hungUp(ctx, err, t, "connection closed during the TLS handshake", "waiting for the TLS handshake")
	}
	return fail("TLS: the handshake failed")
}

// refusedTLS gives the words of an alert that the server sent; empty: it is something else. A server that wants a
// certificate says so only when the client takes the handshake to be done (RFC 8446, section 4.4.2.4).
func refusedTLS(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return "TLS: the server refused: " + strings.TrimPrefix(op.Err.Error(), "tls: ")
	}
	return ""
}

// A keyring holds what TLS checks read from files, and reads a file again when it has changed: certificates are renewed
// while the director runs.
type keyring struct {
	mu   sync.Mutex
	held map[TLS]held
}

type held struct {
	config *tls.Config
	stamp  [3]fileStamp
}

// A fileStamp tells whether a file has changed.
type fileStamp struct {
	size     int64
	modified time.Time
}

func newKeyring() *keyring { return &keyring{held: make(map[TLS]held)} }

// config is what a TLS says, without the name of the server. It is shared.
func (k *keyring) config(t TLS) (*tls.Config, error) {
	stamp, err := t.stamp()
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if h, ok := k.held[t]; ok && h.stamp == stamp {
		return h.config, nil
	}
	config, err := t.load()
	if err != nil {
		return nil, err
	}
	k.held[t] = held{config, stamp}
	return config, nil
}

func (t TLS) stamp() (stamp [3]fileStamp, err error) {
	for i, path := range []string{t.CAFile, t.CertFile, t.KeyFile} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return stamp, fmt.Errorf("read a certificate or key: %w", err)
		}
		stamp[i] = fileStamp{info.Size(), info.ModTime()}
	}
	return stamp, nil
}

func (t TLS) load() (*tls.Config, error) {
	config := &tls.Config{MinVersion: max(t.Minimum, tls.VersionTLS10), InsecureSkipVerify: t.Insecure}
	if t.Minimum == 0 {
		config.MinVersion = tls.VersionTLS12
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the certificates to trust: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate to trust", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read the director's certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
