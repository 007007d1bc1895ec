// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"strings"
	"testing"
)

const peerKeyText = "hex:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// TestPeer: a channel has a key, or certificates, or both. The secret is never shown.
func TestPeer(t *testing.T) {
	const address, key = "address = \"10.0.0.2:8474\"\n", "key = \"" + peerKeyText + "\"\n"
	const files = "tls_cert = \"/c\"\ntls_key = \"/k\"\ntls_ca = \"/a\"\n"
	for _, tt := range []struct{ name, text, want string }{
		{"a key", address + key, "10.0.0.2:8474 :8474 32 {   }"},
		{"its own port", address + key + "listen = \"10.0.0.1:99\"", "10.0.0.2:8474 10.0.0.1:99 32 {   }"},
		{"version 6", "address = \"[fd00::2]:99\"\n" + key, "[fd00::2]:99 :99 32 {   }"},
		{"certificates", address + files, "10.0.0.2:8474 :8474 0 {/c /k /a 10.0.0.2}"},
		{"both, and a name", address + key + files + "tls_name = \"lb2\"", "10.0.0.2:8474 :8474 32 {/c /k /a lb2}"},
		{"a configuration", address + key + "accept_config = 1", "4: peer.accept_config: "},
		{"no address", key, "1: peer.address: is missing: want a string; for example: address = \"10.0.0.2:8474\""},
		{"no port", "address = \"10.0.0.2\"\n" + key, `2: peer.address: "10.0.0.2" is not address:port; write "10.0.0.2:8474"`},
		{"a name", "address = \"lb2:8474\"\n" + key, `2: peer.address: "lb2:8474" is not address:port; write`},
		{"port 0", "address = \"10.0.0.2:0\"\n" + key, "2: peer.address: 0 is not a port: want 1 to 65535"},
		{"any address", "address = \"0.0.0.0:8474\"\n" + key, "2: peer.address: 0.0.0.0 is not the address of a machine; write the other director's own address"},
		{"a VIP", "address = \"192.0.2.100:8474\"\n" + key, "2: peer.address: 192.0.2.100 is a virtual address, of [[vrrp]] \"web\"; write the other director's own address"},
		{"nowhere to listen", address + key + "listen = \"\"", `4: peer.listen: is empty; write ":8474", or leave it out`},
		{"a wrong port to listen", address + key + "listen = \":0\"", `4: peer.listen: "0" is not a port`},
		{"neither", address, "1: peer: has neither key nor certificates: anybody could give orders; run tandem peer init on one director"},
		{"a password", address + "key = \"Geheimnis\"", "3: peer.key: is not hex: and pairs of hexadecimal digits; make a key with tandem peer init"},
		{"a short key", address + "key = \"hex:0011\"", "3: peer.key: has 2 octets: want 32 to 64; make a key with tandem peer init"},
		{"half of the certificates", address + "tls_cert = \"/c\"", "3: peer.tls_cert: is given without tls_key and tls_ca; give all of tls_cert, tls_key, tls_ca, or none"},
		{"a name without certificates", address + key + "tls_name = \"lb2\"", "4: peer.tls_name: has no meaning without certificates; remove it, or"},
		{"an unknown key", address + key + "adress = 1", "4: peer.adress: unknown key; did you mean `address`?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := "[peer]\n" + tt.text + "\n[[vrrp]]\nname = \"web\"\ninterface = \"eth0\"\nvrid = 51\nvips = [\"192.0.2.100\"]\n"
			c, err := Parse("t.toml", []byte(text))
			said := ""
			if err != nil {
				said = err.Error()
			} else {
				said = fmt.Sprintln(c.Peer.Address, c.Peer.Listen, c.Peer.Key.Len(), c.Peer.TLS)
			}
			if !strings.HasPrefix(strings.TrimPrefix(said, "t.toml:"), tt.want) {
				t.Errorf("%s\nwant %s", said, tt.want)
			}
			if all := fmt.Sprintf("%s %+v", said, c); strings.Contains(all, "Geheimnis") || strings.Contains(all, "001122") {
				t.Errorf("the key is shown: %s", all)
			}
		})
	}
}
