// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/configs"
)

// TestNewCertificates: with them the directors reach each other by address or by name, and nobody else can be one of them.
func TestNewCertificates(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	write := func(prefix string) {
		files, err := NewCertificates(now, []Holder{
			{"lb1", []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")}}, {"lb2", []netip.Addr{netip.MustParseAddr("10.0.0.2")}},
		})
		if err != nil || len(files) != 6 {
			t.Fatalf("%v, %d files", err, len(files))
		}
		for _, f := range files {
			if err := os.WriteFile(filepath.Join(dir, prefix+f.Name), f.Text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("")
	write("other-")
	one := func(name, ca, peer string) configs.PeerTLS {
		return configs.PeerTLS{CertFile: filepath.Join(dir, name+".pem"), KeyFile: filepath.Join(dir, name+".key"),
			CAFile: filepath.Join(dir, ca+".pem"), Name: peer}
	}
	for _, c := range []struct {
		what             string
		dials, accepts   configs.PeerTLS
		dialOK, acceptOK bool
	}{
		{"by address", one("lb1", "ca", "10.0.0.2"), one("lb2", "ca", "10.0.0.1"), true, true},
		{"by name and IPv6", one("lb1", "ca", "lb2"), one("lb2", "ca", "2001:db8::1"), true, true},
		{"one as the other", one("lb1", "ca", "10.0.0.2"), one("lb1", "ca", "10.0.0.1"), false, true},
		{"one as the other, dialing", one("lb2", "ca", "10.0.0.2"), one("lb2", "ca", "10.0.0.1"), true, false},
		{"of another authority", one("lb1", "ca", "10.0.0.2"), one("other-lb2", "ca", "10.0.0.1"), false, true},
		{"of another authority, dialing", one("other-lb1", "ca", "10.0.0.2"), one("lb2", "ca", "10.0.0.1"), true, false},
	} {
		dialed, accepted := handshake(t, c.dials, c.accepts)
		if c.dialOK && c.acceptOK && errors.Join(dialed, accepted) != nil || !c.dialOK && dialed == nil || !c.acceptOK && accepted == nil {
			t.Errorf("%s: the one that dials: %v; the one that accepts: %v", c.what, dialed, accepted)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "lb1.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	is, err := x509.ParseCertificate(block.Bytes)
	if err != nil || is.IsCA || is.NotAfter.Before(now.AddDate(9, 11, 0)) || is.NotBefore.After(now.Add(-time.Hour)) || is.PublicKeyAlgorithm != x509.Ed25519 {
		t.Errorf("%v, %+v", err, is)
	}
}

// handshake lets two directors meet, and returns what each of them says.
func handshake(t *testing.T, dials, accepts configs.PeerTLS) (dialed, accepted error) {
	t.Helper()
	a, err := fromFiles(dials, dialing)
	if err != nil {
		t.Fatal(err)
	}
	b, err := fromFiles(accepts, accepting)
	if err != nil {
		t.Fatal(err)
	}
	at, err := net.Listen("tcp", "127.0.0.1:0") // a pipe has no buffer: alerts in both directions would wait for each other
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	done := make(chan error, 1)
	go func() {
		there, err := at.Accept()
		if err == nil {
			err = tls.Server(there, b).HandshakeContext(t.Context())
			there.Close()
		}
		done <- err
	}()
	here, err := net.Dial("tcp", at.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	dialed = tls.Client(here, a).HandshakeContext(t.Context())
	here.Close()
	return dialed, <-done
}
