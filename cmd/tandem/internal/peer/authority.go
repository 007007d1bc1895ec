// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"time"
)

const (
	// certificateYears is how long new certificates are valid. tandem doctor warns 30 days before their end.
	certificateYears = 10
	// clockTolerance is how far back they are valid already, for a director whose clock is behind.
	clockTolerance = 24 * time.Hour
)

// A Holder is a director that gets a certificate: for its name, and for the addresses at which the other one reaches it.
type Holder struct {
	Name      string
	Addresses []netip.Addr
}

// A CertificateFile is a new PEM file: ca.pem, ca.key, and NAME.pem and NAME.key of each director.
type CertificateFile struct {
	Name string
	Text []byte
}

// NewCertificates makes an authority, and a certificate for each director that is signed by it. All keys are Ed25519.
func NewCertificates(now time.Time, directors []Holder) ([]CertificateFile, error) {
	ca, caKey, err := newCertificate(now, "tandem peer CA", nil, nil)
	if err != nil {
		return nil, err
	}
	files, err := pemFiles("ca", ca, caKey)
	if err != nil {
		return nil, err
	}
	for i := range directors {
		d := &directors[i]
		certificate, key, err := newCertificate(now, d.Name, d, &signer{ca, caKey})
		if err != nil {
			return nil, err
		}
		pair, err := pemFiles(d.Name, certificate, key)
		if err != nil {
			return nil, err
		}
		files = append(files, pair...)
	}
	return files, nil
}

// A signer signs certificates.
type signer struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// newCertificate makes a key and its certificate: that of a director, or, without one, that of an authority, which signs itself.
func newCertificate(now time.Time, name string, d *Holder, by *signer) (*x509.Certificate, crypto.Signer, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("failed to make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, fmt.Errorf("failed to choose a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true,
		NotBefore: now.Add(-clockTolerance), NotAfter: now.AddDate(certificateYears, 0, 0),
	}
	if d == nil {
		template.IsCA, template.MaxPathLenZero, template.KeyUsage = true, true, x509.KeyUsageCertSign
		by = &signer{template, private}
	} else {
		template.KeyUsage = x509.KeyUsageDigitalSignature // each side of the channel is a client of the other one
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		template.DNSNames = []string{d.Name}
		for _, a := range d.Addresses {
			template.IPAddresses = append(template.IPAddresses, net.IP(a.AsSlice()))
		}
	}
	octets, err := x509.CreateCertificate(rand.Reader, template, by.certificate, public, by.key)
	if err != nil {
		return nil, nil, fmt.Errorf("failed to make the certificate of %s: %w", name, err)
	}
	certificate, err := x509.ParseCertificate(octets)
	return certificate, private, err
}

// pemFiles returns NAME.pem and NAME.key.
func pemFiles(name string, certificate *x509.Certificate, key crypto.Signer) ([]CertificateFile, error) {
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("failed to write the key of %s: %w", name, err)
	}
	return []CertificateFile{
		{name + ".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})},
		{name + ".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})},
	}, nil
}
