// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"time"

	"github.com/tandem-lvs/tandem/configs"
)

// readCertificates reads the certificates of the channel to the other director.
func (s *Snapshot) readCertificates(p configs.Peer) {
	if !p.On() || p.TLS.CertFile == "" {
		return
	}
	own := Certificate{Key: "tls_cert", File: p.TLS.CertFile}
	if pair, err := tls.LoadX509KeyPair(p.TLS.CertFile, p.TLS.KeyFile); err != nil {
		own.Problem = err.Error()
	} else {
		own.Ends = pair.Leaf.NotAfter
	}
	ca := Certificate{Key: "tls_ca", File: p.TLS.CAFile}
	var err error
	if ca.Ends, err = lastEnd(p.TLS.CAFile); err != nil {
		ca.Problem = err.Error()
	}
	s.Certificates = []Certificate{own, ca}
}

// lastEnd returns when the last certificate of a file ends: as long as one of an authority is good, others may have ended.
func lastEnd(file string) (last time.Time, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return last, err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return last, err
		}
		if c.NotAfter.After(last) {
			last = c.NotAfter
		}
	}
	if last.IsZero() {
		return last, errors.New("it has no certificate in PEM")
	}
	return last, nil
}
