// SPDX-License-Identifier: Apache-2.0

package native

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const channelKey = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// A channelCard is the card of two directors with a channel.
type channelCard struct{ duoCard }

func newChannelCard(t *testing.T) channelCard {
	d := lab.NewDuo(t, cardPair)
	c := channelCard{duoCard{newCard(t, d), d, make(map[*lab.Director]string)}}
	for x, of := range map[*lab.Director]struct {
		priority int
		other    string
	}{d.A: {lab.PriorityA, "192.0.2.3"}, d.B: {lab.PriorityB, "192.0.2.2"}} {
		c.right[x] = cardPair.Config(x.Name, of.priority) + fmt.Sprintf("[peer]\naddress = \"%s:8474\"\nkey = \"hex:%s\"\n", of.other, channelKey)
		x.Configure(c.right[x])
		c.Args[x.Host] = second(x, "card.toml", "")
	}
	d.Launch()
	return c
}

// scoreOfChannel: faults of the channel between the directors, and of what is told over it.
func scoreOfChannel(t *testing.T) {
	t.Parallel()
	c := newChannelCard(t)
	c.Run([]breakage{
		{Name: "the other director has no channel", On: c.A.Host, Want: "channel-lost", Says: "nobody listens there", Advises: "systemctl start tandem",
			Works: c.connected, Hurts: true, Fail: c.write(withoutChannel, c.B), Heal: c.write(right, c.B)},
		{Name: "another key", On: c.A.Host, Want: "channel-key", Says: "another key", Works: c.connected, Hurts: true,
			Fail: c.write(func(right string, _ *lab.Director) string { return strings.Replace(right, "hex:0011", "hex:1100", 1) }, c.B),
			Heal: c.write(right, c.B)},
		{Name: "a certificate that ends in 5 days", On: c.A.Host, Want: "channel-certificate", Says: "in 4 days", Works: c.connected,
			Fail: c.write(c.certified(t), c.A, c.B), Heal: c.write(right, c.A, c.B)},
		c.differs("an address that only the peer has beside the VIPs", c.A, c.B, ownVRID, ownVRID+"\nexcluded_vips = [\"192.0.2.150/24\"]",
			"configurations-differ", "virtual router web: director-b has excluded_vips"),
		c.meets("a director of an older version", "channel-version", "other runs tandem v0.1.0", &otherPeer{old: true}),
		c.meets("a director with another time", "channel-clock", "the clock of other is 3.0 s ahead of", &otherPeer{ahead: 3 * time.Second}),
	})
}

// withoutChannel is a file without [peer], which comes last.
func withoutChannel(right string, _ *lab.Director) string {
	text, _, _ := strings.Cut(right, "[peer]")
	return text
}

// connected checks that the channel works in both directions.
func (c channelCard) connected() error {
	out, err := tandem(c.A, "status", "--pair")
	if err == nil && !strings.Contains(out, " · connected for ") {
		err = fmt.Errorf("%s", out)
	}
	return err
}

// meets is a row in which somebody else is at the other end of the channel, who has the key.
func (c channelCard) meets(name, want, says string, who *otherPeer) breakage {
	var leave func()
	return breakage{Name: name, On: c.A.Host, Want: want, Says: says, Works: c.connected,
		Fail: func() {
			c.write(withoutChannel, c.B)()
			key, err := hex.DecodeString(channelKey)
			if err != nil {
				c.T.Fatal(err)
			}
			leave = newOtherPeer(c.T, c.B.Host, "192.0.2.3:8474", "192.0.2.2:8474", key, who)
		},
		Heal: func() { leave(); c.write(right, c.B)() }}
}

// certified returns files in which both directors have certificates. That of the first one ends soon.
func (c channelCard) certified(t *testing.T) func(string, *lab.Director) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	octets, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: octets}))
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	issue := func(what *x509.Certificate) string {
		made, err := x509.CreateCertificate(rand.Reader, what, authority, &private.PublicKey, private)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made}))
	}
	ca := issue(authority)
	more := make(map[*lab.Director]string)
	for d, own := range map[*lab.Director]*x509.Certificate{
		c.A: {SerialNumber: big.NewInt(2), NotAfter: time.Now().AddDate(0, 0, 5), IPAddresses: []net.IP{net.IPv4(192, 0, 2, 2)}},
		c.B: {SerialNumber: big.NewInt(3), NotAfter: time.Now().AddDate(0, 6, 0), IPAddresses: []net.IP{net.IPv4(192, 0, 2, 3)}},
	} {
		more[d] = fmt.Sprintf("tls_cert = %q\ntls_key = %q\ntls_ca = %q\n", d.WriteFile("own.pem", issue(own)), d.WriteFile("own.key", key), d.WriteFile("ca.pem", ca))
	}
	return func(right string, d *lab.Director) string { return right + more[d] }
}
