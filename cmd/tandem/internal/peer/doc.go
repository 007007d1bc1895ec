// SPDX-License-Identifier: Apache-2.0

// Package peer is the channel between the two directors of a pair.
//
// Each director connects to the other one and tells it what package message defines; it hears on the connection that the other
// one makes. So there are two connections, each with one sender, and a firewall that blocks one of them takes away one half. A
// newer connection replaces the older one, which may be half-open.
//
// The connections use TLS 1.3. Both sides must have the same key, or certificates that fit. Of the ways that others take:
// Syncthing pins the sums of self-signed certificates, which needs two copies in two directions; etcd wants certificates of an
// authority, which most pairs do not have, and which expire; Nomad's gossip encrypts datagrams by a key of its own protocol. Here
// one file is copied once. crypto/tls has no keys that both sides share (RFC 8446, section 4.2.11), so an Ed25519 key is derived
// from the file by HKDF (RFC 5869), and each side wants exactly that key from the other. The certificates around it are never
// looked at, so no clock and no name can make them invalid. A third machine that relays a director's connection to that director
// itself is recognised by the random number of the process, which each side tells first.
//
// Nothing here waits for the director, and the director waits for nothing here. Who has no key can use two handshakes at a time, a
// few a second; connections from the configured address have a limit of their own, so that others cannot keep the peer out.
package peer
