// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/json"
	"fmt"
	"iter"
)

// A Drop is the reason for discarding a received packet; the zero Drop means that it was good.
type Drop uint8

// The reasons for discarding a packet: the checks of RFC 9568 and RFC 3768, section 7.1 of each, and of the format.
const (
	DropTruncated        Drop = iota + 1 // shorter than its header says
	DropWrongFamily                      // not the address family of the socket
	DropWrongDestination                 // multicast where unicast is configured, or the other way round
	DropWrongTTL                         // multicast with a TTL other than 255: it comes from another link
	DropWrongVersion                     // another protocol version
	DropWrongType                        // not an advertisement
	DropBadLength                        // longer than its addresses need
	DropBadChecksum                      // matches no checksum form of the version
	DropNoAddresses                      // an address count of 0 (RFC 9568, section 5.2.5), and we have VIPs
	DropZeroInterval                     // an advertisement interval of 0
	DropUnknownVRID                      // no virtual router here has its VRID
	DropOwnPacket                        // its source is our own primary address
	DropAddressOwner                     // we are master with priority 255, which no advertisement overrules
	DropUnknownPeer                      // unicast, and the sender is not a configured peer
	DropLowTTL                           // unicast, over more routers than unicast_ttl_min allows
	DropWrongAuthType                    // version 2: only one side has a password
	DropAuthHeader                       // version 2: the IP authentication header, which is not supported
	DropWrongPassword                    // version 2: another password
	DropWrongInterval                    // version 2: another advertisement interval (RFC 3768, section 7.1)
	DropAuthTrailer                      // signed, as with keepalived's auth_hmac, and there is no key here
	DropForeignVIPs                      // multicast, and none of its addresses is a VIP here: another pair uses the same VRID
	DropUnsigned                         // not signed, and the mode is enforce
	DropUnknownScheme                    // signed in another way than by HMAC-SHA256
	DropUnknownKey                       // signed with a key that is not here
	DropStaleTime                        // signed at a time that is too far from our clock
	DropReplayed                         // signed, and not newer than the last one of its sender; or a farewell from before we began
	DropWrongHMAC                        // the signature does not fit: another key, or forged

	drops = int(DropWrongHMAC) + 1
)

var dropNames = [drops]string{
	"none", "truncated", "wrong_family", "wrong_destination", "wrong_ttl", "wrong_version", "wrong_type", "bad_length",
	"bad_checksum", "no_addresses", "zero_interval", "unknown_vrid", "own_packet", "address_owner", "unknown_peer", "low_ttl",
	"wrong_auth_type", "auth_header", "wrong_password", "wrong_interval", "auth_trailer", "foreign_vips",
	"unsigned", "unknown_scheme", "unknown_key", "stale_time", "replayed", "wrong_hmac",
}

// String returns the reason in snake case, fit to label a counter.
func (d Drop) String() string {
	if int(d) < drops {
		return dropNames[d]
	}
	return fmt.Sprintf("drop(%d)", uint8(d))
}

// IsHMAC reports whether the reason is about the signature.
func (d Drop) IsHMAC() bool {
	return d == DropAuthTrailer || d >= DropUnsigned && d <= DropWrongHMAC
}

// Drops counts discarded packets by reason. It travels as a JSON object of the reasons that occurred.
type Drops [drops]uint64

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

// UnmarshalJSON implements json.Unmarshaler. It ignores unknown reasons: a newer process may send them.
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
