// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"os"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
)

// errOtherKey says that the other side has another key.
var errOtherKey = faulty(message.FaultKey, "it has another key: copy the key file of one director to the other, and reload both")

// A role is a side of a connection.
type role string

const (
	dialing   role = "dial"
	accepting role = "accept"
)

// credentials returns the TLS settings of one side of a connection. Files are read each time, so that they can be replaced.
func credentials(p configs.Peer, as role) (*tls.Config, error) {
	if p.TLS.CertFile != "" {
		return fromFiles(p.TLS, as)
	}
	return fromKey(p.Key.Octets())
}

// fromKey returns the settings of a shared key.
func fromKey(key []byte) (*tls.Config, error) { return SharedKey(key, "tandem peer ed25519 1") }

// SharedKey returns settings by which both sides show, and want, the key that follows from a shared one and from its use: a key
// file that serves two uses has different keys for them.
func SharedKey(key []byte, use string) (*tls.Config, error) {
	seed, err := hkdf.Key(sha256.New, key, nil, use, ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("failed to derive the key of the channel: %w", err)
	}
	private := ed25519.NewKeyFromSeed(seed)
	public := private.Public().(ed25519.PublicKey)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return nil, fmt.Errorf("failed to make the certificate of the channel: %w", err)
	}
	c := secure()
	c.Certificates = []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: private}}
	c.ClientAuth, c.InsecureSkipVerify = tls.RequireAnyClientCert, true // VerifyConnection is stricter
	c.VerifyConnection = func(is tls.ConnectionState) error {
		if len(is.PeerCertificates) == 0 || !public.Equal(is.PeerCertificates[0].PublicKey) {
			return errOtherKey
		}
		return nil
	}
	return c, nil
}

func fromFiles(f configs.PeerTLS, as role) (*tls.Config, error) {
	own, err := tls.LoadX509KeyPair(f.CertFile, f.KeyFile)
	if err != nil {
		return nil, faulty(message.FaultCertificate, "failed to read the certificate of this director: %v", err)
	}
	text, err := os.ReadFile(f.CAFile)
	if err != nil {
		return nil, faulty(message.FaultCertificate, "failed to read tls_ca: %v", err)
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(text) {
		return nil, faulty(message.FaultCertificate, "%s has no certificate in PEM", f.CAFile)
	}
	c := secure()
	c.Certificates, c.RootCAs, c.ClientCAs = []tls.Certificate{own}, trusted, trusted
	c.ServerName, c.ClientAuth = f.Name, tls.RequireAndVerifyClientCert
	if as == accepting {
		c.VerifyConnection = func(is tls.ConnectionState) error { return is.PeerCertificates[0].VerifyHostname(f.Name) }
	}
	return c, nil
}

// secure returns settings without resumption: each connection shows the keys anew.
func secure() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true, NextProtos: []string{"tandem-peer"}}
}

// proof shows on a connection that a side has the shared key. It is needed if certificates make the connection.
func proof(p configs.Peer, is tls.ConnectionState, of role) ([]byte, error) {
	if p.Key.Len() == 0 || p.TLS.CertFile == "" {
		return nil, nil
	}
	material, err := is.ExportKeyingMaterial("EXPORTER-tandem-peer", []byte(of), sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("failed to bind the key to the connection: %w", err)
	}
	sum := hmac.New(sha256.New, p.Key.Octets())
	sum.Write(material)
	return sum.Sum(nil), nil
}

// prove checks the proof of the other side.
func prove(p configs.Peer, is tls.ConnectionState, of role, shown []byte) error {
	want, err := proof(p, is, of)
	if err == nil && !hmac.Equal(want, shown) {
		err = errOtherKey
	}
	return err
}
