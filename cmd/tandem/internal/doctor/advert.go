// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

const (
	ethernetLen   = 14
	ipv4HeaderLen = 20
	ipv6HeaderLen = 40
)

// An Advert is an advertisement of another machine as it arrived at an interface, before any firewall.
type Advert struct {
	Interface string
	Hardware  string // address of the sender
	At        time.Time
	vrrp.Header
	Message []byte // the VRRP packet

	// What the message says; Leaving: the sender gives up being master (RFC 9568, section 6.4.3: priority 0).
	VRID    uint8
	VIPs    []netip.Addr
	Leaving bool
	Trailer vrrp.Trailer
}

// in reports whether the list has the same message of the same sender.
func (a Advert) in(all []Advert) bool {
	return slices.ContainsFunc(all, func(b Advert) bool { return a.Source == b.Source && bytes.Equal(a.lasting(), b.lasting()) })
}

// lasting returns the octets of the message that are the same each time. A signed message has another sequence and another hash
// each time, and so over IPv6 another checksum.
func (a Advert) lasting() []byte {
	n := len(a.Message) - vrrp.TrailerLen
	if a.Trailer == (vrrp.Trailer{}) || n < 8 {
		return a.Message
	}
	return slices.Concat(a.Message[:6], a.Message[8:n+4])
}

// parseAdvert decodes an Ethernet frame with a VRRP packet.
func parseAdvert(b []byte) (a Advert, ok bool) {
	if len(b) < ethernetLen+ipv4HeaderLen {
		return a, false
	}
	b = b[ethernetLen:]
	switch b[0] >> 4 {
	case 4:
		header, total := int(b[0]&0x0f)*4, int(b[2])<<8|int(b[3])
		if header < ipv4HeaderLen || total < header || total > len(b) || b[9] != vrrp.Protocol {
			return a, false
		}
		a.Source, a.Destination, a.TTL = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), b[8]
		b = b[header:total]
	case 6:
		if len(b) < ipv6HeaderLen || b[6] != vrrp.Protocol {
			return a, false
		}
		end := ipv6HeaderLen + int(b[4])<<8 + int(b[5])
		if end > len(b) {
			return a, false
		}
		a.Source, a.Destination, a.TTL = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), b[7]
		b = b[ipv6HeaderLen:end]
	default:
		return a, false
	}
	var p vrrp.Packet
	if drop := p.Parse(b, a.Source, a.Destination); drop != 0 {
		return a, false
	}
	a.Message = bytes.Clone(b)
	a.VRID, a.VIPs, a.Leaving = p.VRID, slices.Clone(p.VIPs), p.Priority == vrrp.PriorityLeaving
	a.Trailer = p.Trailer
	return a, true
}
