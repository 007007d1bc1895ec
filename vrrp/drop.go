// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/json"
	"fmt"
	"iter"
)

// A Drop is the reason for discarding a received packet; the zero Drop means that it was good.
type Drop uint8

// The reasons for discarding a packet: RFC 9568 and RFC 3768, section 7.1 of each, and what a packet must be to be read
// at all.
const (
	DropTruncated        Drop = iota + 1 // ends before its own header says
	DropWrongFamily                      // not the address family of the socket
	DropWrongDestination                 // not sent where this virtual router listens: to the group, or to one address
	DropWrongTTL                         // multicast with a TTL other than 255: forwarded, hence not of this link
	DropWrongVersion                     // another protocol version
	DropWrongType                        // not an advertisement
	DropBadLength                        // longer than its addresses need
	DropBadChecksum                      // matches no form that the version has
	DropNoAddresses                      // an address count of 0 (RFC 9568, section 5.2.5)
	DropZeroInterval                     // an advertisement interval of 0, from which no timer follows
	DropUnknownVRID                      // no virtual router here has its VRID
	DropOwnPacket                        // bears our own primary address
	DropAddressOwner                     // we are master with priority 255, whom nobody may overrule
	DropUnknownPeer                      // unicast, and the sender is no configured peer
	DropLowTTL                           // unicast from beyond more routers than unicast_ttl_min allows
	DropWrongAuthType                    // version 2: authenticated where we are not, or the other way round
	DropAuthHeader                       // version 2: the IP authentication header, which is not supported
	DropWrongPassword                    // version 2: another password
	DropWrongInterval                    // version 2: another advertisement interval (RFC 3768, section 7.1)

	drops = int(DropWrongInterval) + 1
)

var dropNames = [drops]string{
	"none", "truncated", "wrong_family", "wrong_destination", "wrong_ttl", "wrong_version", "wrong_type", "bad_length",
	"bad_checksum", "no_addresses", "zero_interval", "unknown_vrid", "own_packet", "address_owner", "unknown_peer", "low_ttl",
	"wrong_auth_type", "auth_header", "wrong_password", "wrong_interval",
}

// String returns the reason in snake case, fit to label a counter.
func (d Drop) String() string {
	if int(d) < drops {
		return dropNames[d]
	}
	return fmt.Sprintf("drop(%d)", uint8(d))
}

// Drops counts discarded packets by reason. It travels as a JSON object of the reasons that occurred.
type Drops [drops]uint64

// Of returns how many packets were dropped for the reason d.
func (c *Drops) Of(d Drop) uint64 {
	if int(d) < drops {
		return c[d]
	}
	return 0
}

// All yields every reason with its count, those that never occurred included, in a fixed order.
func (c *Drops) All() iter.Seq2[Drop, uint64] {
	return func(yield func(Drop, uint64) bool) {
		for d := 1; d < drops; d++ {
			if !yield(Drop(d), c[d]) {
				return
			}
		}
	}
}

// MarshalJSON implements json.Marshaler.
func (c Drops) MarshalJSON() ([]byte, error) {
	m := make(map[string]uint64)
	for d, n := range c.All() {
		if n > 0 {
			m[d.String()] = n
		}
	}
	return json.Marshal(m)
}

// UnmarshalJSON implements json.Unmarshaler. It passes over reasons that it does not know, which a newer
// process may send.
func (c *Drops) UnmarshalJSON(b []byte) error {
	var m map[string]uint64
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("drops by reason: %w", err)
	}
	*c = Drops{}
	for d := 1; d < drops; d++ {
		c[d] = m[dropNames[d]]
	}
	return nil
}
