// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// An authority signs certificates for tests.
type authority struct {
	t    *testing.T
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir(), cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	a.key = a.write("ca", a.cert, nil)
	return a
}

// write makes a key and its certificate, and writes both.
func (a *authority) write(name string, template *x509.Certificate, by *ecdsa.PrivateKey) *ecdsa.PrivateKey {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if by == nil {
		by = key
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), by)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for suffix, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: cert}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(a.dir, name+suffix), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return key
}

// issue makes the certificate of a director, and returns the settings of one that wants the other name.
func (a *authority) issue(name, other string) configs.PeerTLS {
	a.write(name, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a.key)
	path := func(file string) string { return filepath.Join(a.dir, file) }
	return configs.PeerTLS{CertFile: path(name + ".pem"), KeyFile: path(name + ".key"), CAFile: path("ca.pem"), Name: other}
}

// TestCertificates: with certificates, both names must fit; with a key too, both keys must.
func TestCertificates(t *testing.T) {
	ca := newAuthority(t)
	for _, tt := range []struct {
		name       string
		of1, of2   configs.PeerTLS
		key1, key2 string
		why        string // empty: they meet
	}{
		{"names", ca.issue("lb1", "lb2"), ca.issue("lb2", "lb1"), "", "", ""},
		{"addresses", ca.issue("lb1", "127.0.0.1"), ca.issue("lb2", "127.0.0.1"), "", "", ""},
		{"and a key", ca.issue("lb1", "lb2"), ca.issue("lb2", "lb1"), "k", "k", ""},
		{"another machine of the same authority", ca.issue("lb1", "lb2"), ca.issue("web7", "lb1"), "", "", "certificate is valid for web7, not lb2"},
		{"another authority", ca.issue("lb1", "lb2"), newAuthority(t).issue("lb2", "lb1"), "", "", "certificate"},
		{"and another key", ca.issue("lb1", "lb2"), ca.issue("lb2", "lb1"), "k", "q", "it has another key"},
		{"and no key", ca.issue("lb1", "lb2"), ca.issue("lb2", "lb1"), "k", "", "it has another key"},
		{"no file", ca.issue("lb1", "lb2"), configs.PeerTLS{CertFile: "/none", KeyFile: "/none", CAFile: "/none"}, "", "", "it closed the connection"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x, y := addresses(t)
			a, b := newSide(t, "lb1", x, y), newSide(t, "lb2", y, x)
			a.Config.TLS, b.Config.TLS = tt.of1, tt.of2
			secret := func(s string) (none vrrp.Secret) {
				if s == "" {
					return none
				}
				return vrrp.NewSecret([]byte(strings.Repeat(s, 32)))
			}
			a.Config.Key, b.Config.Key = secret(tt.key1), secret(tt.key2)
			a.start()
			b.start()
			if tt.why == "" {
				a.awaitUp()
				b.awaitUp()
				return
			}
			a.await("refused", func(s *side) bool { return strings.Contains(s.channel.To.Problem, tt.why) })
			for _, s := range []*side{a, b} {
				if channel, heard := s.now(); heard > 0 {
					t.Errorf("%s: %d messages heard, %+v", s.Name, heard, channel)
				}
			}
		})
	}
}

// TestKeyIsDerived: the key of the channel is not the secret itself, and is the same on both sides.
func TestKeyIsDerived(t *testing.T) {
	a, err1 := fromKey(testKey.Octets())
	b, err2 := fromKey(testKey.Octets())
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	x, err1 := x509.ParseCertificate(a.Certificates[0].Certificate[0])
	y, err2 := x509.ParseCertificate(b.Certificates[0].Certificate[0])
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if k, ok := x.PublicKey.(interface{ Equal(any) bool }); ok && !k.Equal(y.PublicKey) {
		t.Error("both sides have different keys")
	}
	if strings.Contains(string(a.Certificates[0].Certificate[0]), strings.Repeat("k", 32)) || a.MinVersion != 0x304 || !a.SessionTicketsDisabled {
		t.Errorf("%+v", a)
	}
}
