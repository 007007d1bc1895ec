// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A Peer configures the channel to the other director of the pair. The zero value: there is none.
type Peer struct {
	Address netip.AddrPort // where the other director listens
	Listen  string         // host:port, where the host may be empty
	Key     vrrp.Secret    // that both directors share; empty: certificates alone
	TLS     PeerTLS        // the zero value: the key alone
	// AcceptConfig lets the other director send a configuration.
	AcceptConfig bool
}

// PeerTLS has the files of certificates, all PEM.
type PeerTLS struct {
	CertFile, KeyFile, CAFile string
	Name                      string // that the other director's certificate must be for
}

// On reports whether there is a channel.
func (p Peer) On() bool { return p.Address.IsValid() }

// keyPrefix is what the key of a channel begins with. The hexadecimal digits of the octets follow.
const keyPrefix = "hex:"

// noPeerKey counts for a key that cannot be read on this machine.
var noPeerKey = PeerKeyText(make([]byte, vrrp.MinSecret))

// PeerKeyText returns a key as its file has it.
func PeerKeyText(octets []byte) string { return keyPrefix + hex.EncodeToString(octets) }

func channelTable() toml.SchemaType[Peer] {
	path := toml.String("an absolute path", absolutePath)
	return toml.Table(checkPeer,
		toml.Required("address", toml.Text("address:port", peerAddress, netip.AddrPort.String), `"10.0.0.2:8474"`,
			"Where the other director listens: its own address, which it always has, so no VIP.",
			func(p *Peer, v netip.AddrPort) { p.Address = v }),
		toml.Derived("listen", toml.String("host:port, or :port for all addresses", validPeerListen), "Where this director listens for the other one.",
			func(p *Peer, v string) { p.Listen = v }).Unset("all addresses, with the port of address").Example(`":8474"`),
		toml.Derived("key", toml.Secret(toml.String(fmt.Sprintf("%s and %d to %d hexadecimal digits", keyPrefix, 2*vrrp.MinSecret, 2*vrrp.MaxSecret),
			validPeerKey), noPeerKey),
			"The key that both directors share. `tandem peer init` makes it, and the owner must be the user of the director. Who has the key can read this director's status and history, give orders "+
				"about all real servers, put this director's own file or one of its former configurations into force, and confirm or roll back what waits for "+
				"confirmation. It cannot bring in a configuration that this director never had. "+
				"A channel needs a key or the certificates below. With both, both must be right.",
			func(p *Peer, v string) { p.Key = peerKey(v) }).Unset("certificates alone").Example(`{ file = "/etc/tandem/peer.key" }`),
		toml.Derived("tls_cert", path, "A PEM file with the certificate of this director, for servers and for clients. It is read again for each connection. "+
			"`tandem peer init --certificates` makes the files of both directors.",
			func(p *Peer, v string) { p.TLS.CertFile = v }).Unset("the key alone").Example(`"/etc/tandem/peer.pem"`),
		toml.Derived("tls_key", path, "A PEM file with the key of tls_cert.",
			func(p *Peer, v string) { p.TLS.KeyFile = v }).Unset("the key alone").Example(`"/etc/tandem/peer-tls.key"`),
		toml.Derived("tls_ca", path, "A PEM file with the certificates that must have signed that of the other director.",
			func(p *Peer, v string) { p.TLS.CAFile = v }).Unset("the key alone").Example(`"/etc/tandem/peer-ca.pem"`),
		toml.Derived("tls_name", toml.String("a host name or address", validName1123),
			"The name that the certificate of the other director must be for. Otherwise any machine with a certificate of tls_ca could give orders.",
			func(p *Peer, v string) { p.TLS.Name = v }).OnlyFor("tls_cert").Unset("the address of the other director").Example(`"lb2.example.org"`),
		toml.Optional("accept_config", toml.Boolean(), false,
			"Whether the other director may send a configuration: `tandem apply FILE --pair` there. Who has the key of the channel can then run any "+
				"program on this machine, as the director's user or, where it may run programs of other users, as root: a configuration names scripts "+
				"and their users, and files with secrets, and nothing is refused that `tandem check` accepts. What is sent is logged, and is in the history. Without it, `tandem apply --pair` puts this director's own file into force.",
			func(p *Peer, v bool) { p.AcceptConfig = v }),
	)
}

func peerAddress(s string) (netip.AddrPort, *toml.Refusal) {
	a, err := netip.ParseAddrPort(s)
	switch {
	case err != nil:
		return a, toml.Refuse(`write "10.0.0.2:8474" or "[fd00::2]:8474"`, "%q is not address:port", toml.Abbreviate(s))
	case a.Port() == 0:
		return netip.AddrPort{}, toml.Refuse(`write "10.0.0.2:8474"`, "0 is not a port: want 1 to 65535")
	case a.Addr().IsUnspecified() || a.Addr().IsMulticast():
		return netip.AddrPort{}, toml.Refuse("write the other director's own address", "%s is not the address of a machine", a.Addr())
	}
	return a, nil
}

func validPeerListen(s string) *toml.Refusal {
	if s == "" {
		return toml.Refuse(`write ":8474", or leave it out`, "is empty")
	}
	return validListen("8474")(s)
}

func validPeerKey(s string) *toml.Refusal {
	const hint = "make a key with tandem peer init"
	digits, found := strings.CutPrefix(s, keyPrefix)
	octets, err := hex.DecodeString(digits)
	switch {
	case !found || err != nil:
		return toml.Refuse(hint, "is not %s and pairs of hexadecimal digits", keyPrefix)
	case len(octets) < vrrp.MinSecret || len(octets) > vrrp.MaxSecret:
		return toml.Refuse(hint, "has %d octets: want %d to %d", len(octets), vrrp.MinSecret, vrrp.MaxSecret)
	}
	return nil
}

func peerKey(s string) vrrp.Secret {
	octets, err := hex.DecodeString(strings.TrimPrefix(s, keyPrefix))
	if err != nil || len(octets) == 0 {
		return vrrp.Secret{} // refused already
	}
	return vrrp.NewSecret(octets)
}

// checkPeer works out the defaults, and refuses a channel that anybody could use.
func checkPeer(at toml.Node, p *Peer) {
	if !at.Sound("address", "listen", "key", "tls_cert", "tls_key", "tls_ca", "tls_name") {
		return
	}
	if !at.Has("listen") {
		p.Listen = fmt.Sprintf(":%d", p.Address.Port())
	}
	files := []string{"tls_cert", "tls_key", "tls_ca"}
	var given, missing []string
	for _, name := range files {
		if at.Has(name) {
			given = append(given, name)
		} else {
			missing = append(missing, name)
		}
	}
	switch {
	case len(given) == 0 && !at.Has("key"):
		at.Mistake(`run tandem peer init on one director, copy the file to the other, and write key = { file = "/etc/tandem/peer.key" }`,
			"has neither key nor certificates: anybody could give orders")
	case len(given) > 0 && len(missing) > 0:
		at.Key(given[0]).Mistake("give all of "+strings.Join(files, ", ")+", or none", "is given without %s", strings.Join(missing, " and "))
	case at.Has("tls_name") && len(given) == 0:
		at.Key("tls_name").Mistake("remove it, or add tls_cert, tls_key and tls_ca", "has no meaning without certificates")
	case len(given) > 0 && !at.Has("tls_name"):
		p.TLS.Name = p.Address.Addr().WithZone("").String()
	}
}

// refusePeerVIP refuses a VIP as the address of the other director: it leads to this one while this one is master.
func refusePeerVIP(at toml.Node, c *Config) {
	if who, is := c.vips()[c.Peer.Address.Addr()]; is && at.Sound("address") {
		at.Key("address").Mistake("write the other director's own address", "%s is a virtual address, of %s", c.Peer.Address.Addr(), who)
	}
}
