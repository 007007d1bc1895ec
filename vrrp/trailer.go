// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net/netip"
)

// TrailerLen is how many octets a signed advertisement has after the unsigned one.
const TrailerLen = 28

// The trailer of a signed advertisement (draft-cassen-vrrp-auth-hmac; auth_hmac of keepalived 2.4.2): the scheme, the number of
// the key, two octets of zero, the sequence and the hash.
const (
	sequenceAt       = 4
	hashAt           = 12
	schemeHMACSHA256 = 1 // truncated to 16 octets
)

// isTrailer reports whether b, which follows a packet, can be a trailer.
func isTrailer(b []byte) bool {
	return len(b) == TrailerLen && b[0] != 0 && b[2] == 0 && b[3] == 0
}

// A Trailer is what a signed advertisement says about its signature. The zero Trailer is none.
type Trailer struct {
	Scheme uint8
	KeyID  uint8
	// Sequence grows with each advertisement of a sender: seconds since 1970 in UTC (32 bits), the fraction of the second in
	// 2^-16 s (16 bits), and a counter (16 bits). It is compared by serial arithmetic.
	Sequence uint64
}

// parseTrailer reads a trailer for which isTrailer is true.
func parseTrailer(b []byte) Trailer {
	return Trailer{Scheme: b[0], KeyID: b[1], Sequence: binary.BigEndian.Uint64(b[sequenceAt:])}
}

// A signer computes the hashes of one key. It allocates nothing once it is made. Only one goroutine may use it.
type signer struct {
	id   uint8
	mac  hash.Hash
	head [20]byte // the start of what is hashed: what the packet itself does not say about its sender
	sum  [sha256.Size]byte
}

var zeros [TrailerLen - hashAt]byte

func newSigner(k Key) *signer {
	return &signer{id: k.ID, mac: hmac.New(sha256.New, k.Secret.Octets())}
}

// hash returns the hash of a PDU from src with the octets of its trailer before the hash. It is valid until the next call.
func (s *signer) hash(src netip.Addr, pdu, trailer []byte) []byte {
	s.head = [20]byte{4, pdu[0] >> 4, pdu[1]}
	if src.Is4() {
		a := src.As4()
		copy(s.head[4:], a[:])
	} else {
		s.head[0] = 6
		a := src.As16()
		copy(s.head[4:], a[:])
	}
	s.mac.Reset()
	_, _ = s.mac.Write(s.head[:]) // a hash never fails
	_, _ = s.mac.Write(pdu[:checksumAt])
	_, _ = s.mac.Write(zeros[:2]) // the checksum
	_, _ = s.mac.Write(pdu[checksumAt+2:])
	_, _ = s.mac.Write(trailer[:hashAt])
	_, _ = s.mac.Write(zeros[:])
	return s.mac.Sum(s.sum[:0])[:len(zeros)]
}

// appendTrailer appends the trailer to a PDU from src, which begins at b[start].
func (s *signer) appendTrailer(b []byte, start int, src netip.Addr, sequence uint64) []byte {
	end := len(b)
	b = append(b, schemeHMACSHA256, s.id, 0, 0)
	b = binary.BigEndian.AppendUint64(b, sequence)
	return append(b, s.hash(src, b[start:end], b[end:])...)
}

// verify reports whether the message, which ends with a trailer, was signed with the key by src.
func (s *signer) verify(src netip.Addr, msg []byte) bool {
	pdu, trailer := msg[:len(msg)-TrailerLen], msg[len(msg)-TrailerLen:]
	return hmac.Equal(s.hash(src, pdu, trailer), trailer[hashAt:])
}
