// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
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
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(context.WithoutCancel(ctx)); err != nil {
		return nil, explainTLS(ctx, err, t, config.ServerName)
	}
	if h2 && secured.ConnectionState().NegotiatedProtocol != "h2" {
		return nil, healthcheck.Fail(healthcheck.TLSFailed, "the server does not offer HTTP/2")
	}
	return secured, healthcheck.Result{}
}

// serverName is what the server's certificate must be for.
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

// explainTLS makes a result of a failed handshake, with a reason that is the same at every probe.
func explainTLS(ctx context.Context, err error, t *healthcheck.Target, name string) healthcheck.Result {
	var (
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		other   x509.HostnameError
		record  tls.RecordHeaderError
	)
	const bad = "TLS: the certificate "
	switch {
	case errors.As(err, &unknown):
		return healthcheck.Fail(healthcheck.TLSFailed, bad+"is signed by nobody trusted")
	case errors.As(err, &other):
		return healthcheck.Fail(healthcheck.TLSFailed, bad+"is not for "+name)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return healthcheck.Fail(healthcheck.TLSFailed, bad+"has expired or is not valid yet")
	case errors.As(err, &invalid):
		return healthcheck.Fail(healthcheck.TLSFailed, bad+"cannot be accepted")
	case errors.As(err, &record):
		return healthcheck.Fail(healthcheck.TLSFailed, "TLS: the server speaks something else")
	case socket.AlertTLS(err) != "":
		return healthcheck.Fail(healthcheck.TLSFailed, socket.AlertTLS(err))
	case socket.Closed(err), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), ctx.Err() != nil:
		return socket.HungUp(ctx, err, t, "connection closed during the TLS handshake", "waiting for the TLS handshake")
	}
	return healthcheck.Fail(healthcheck.TLSFailed, "TLS: the handshake failed")
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
