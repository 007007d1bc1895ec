// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// images are whole advertisements of keepalived 2.4.2 as they are on the wire: the octets that its own test of auth_hmac checks,
// which are those of the appendix of draft-cassen-vrrp-auth-hmac. VRID 51, priority 200, 1 s, key 1 with the octets 00 to 1f.
// In each, the checksum on the wire is not 0, and the hash must be computed as if it were. keepalived 2.4.0 and 2.4.1 did not do
// that: their hashes differ.
var images = []struct {
	name     string
	wire     string
	src, dst netip.Addr
	vip      netip.Prefix
	checksum Checksum
}{
	{
		"IPv4", "3133c801 00644402 c0000264 01010000 68000000 8000 0000 1b84bc4e8e43892dc6d98448f8ee2265",
		netip.MustParseAddr("198.51.100.10"), Group4, netip.MustParsePrefix("192.0.2.100/24"), ChecksumPacket,
	},
	{
		"IPv6, unicast", "3133c801 0064a2e9 fe800000000000000000000000000100 01010000 68000000 8000 0000 c8c56146ebfd66ee10ec4d8186461b78",
		netip.MustParseAddr("fe80::10"), netip.MustParseAddr("fe80::20"), netip.MustParsePrefix("fe80::100/64"), 0,
	},
}

// imagesSent is when the images say that they were sent.
var imagesSent = time.Unix(0x68000000, int64(time.Second/2))

// imageRouters returns a router that sends as the image says and one that hears it, each as a file would configure it.
func imageRouters(t *testing.T, i int, change func(*Config)) (from, to *Router) {
	t.Helper()
	c := testConfig(200)
	c.VIPs, c.Checksum = []netip.Prefix{images[i].vip}, images[i].checksum
	key := make([]byte, MinSecret)
	for j := range key {
		key[j] = byte(j)
	}
	c.HMAC = HMAC{Mode: HMACEnforce, AntiReplay: AntiReplayTime, Window: 5 * time.Second, ActiveKey: 1, Keys: []Key{{1, NewSecret(key)}}}
	if !images[i].dst.IsMulticast() {
		c.UnicastPeers = []netip.Addr{images[i].src, images[i].dst}
	}
	change(&c)
	if why := c.Problem(); why != "" {
		t.Fatal(why)
	}
	from, to = NewRouter(c), NewRouter(c)
	to.Machine.Step(imagesSent, Event{Kind: EventUp, Source: linkLocalB})
	return from, to
}

// TestKeepalivedImages: tandem accepts the octets of keepalived, once, and sends the same octets itself.
func TestKeepalivedImages(t *testing.T) {
	for i, image := range images {
		t.Run(image.name, func(t *testing.T) {
			wire := unhex(t, image.wire)
			h := Header{Source: image.src, Destination: image.dst, TTL: TTL}
			from, to := imageRouters(t, i, func(*Config) {})
			hear := func(wall time.Time, h Header, msg []byte) Drop {
				var p Packet
				return to.Examine(wall, h, msg, &p)
			}

			from.Packet.Priority = 200
			from.Sign(imagesSent)
			if sent := from.Packet.AppendTo(nil, image.src, image.dst); !bytes.Equal(sent, wire) {
				t.Errorf("sent %x\nwant %x", sent, wire)
			}
			for _, wall := range []time.Time{imagesSent.Add(-6 * time.Second), imagesSent.Add(6 * time.Second)} {
				if d := hear(wall, h, wire); d != DropStaleTime {
					t.Errorf("at %s: %s", wall.Sub(imagesSent), d)
				}
			}
			if d := hear(imagesSent, h, wire); d != 0 {
				t.Errorf("refused: %s", d)
			}
			if d := hear(imagesSent, h, wire); d != DropReplayed {
				t.Errorf("again: %s", d)
			}
		})
	}
}

// TestKeepalivedImagesAreBound: the hash covers the sender and the virtual router, which the octets that are sent do not show.
func TestKeepalivedImagesAreBound(t *testing.T) {
	for i, image := range images {
		for name, tt := range map[string]struct {
			change func(*Config)
			edit   func(h *Header, msg []byte)
			want   Drop
		}{
			"another sender": {func(*Config) {}, func(h *Header, msg []byte) {
				a := h.Source.AsSlice()
				a[len(a)-1]++
				h.Source, _ = netip.AddrFromSlice(a)
			}, DropWrongHMAC},
			"another VRID":        {func(c *Config) { c.VRID = 52 }, func(_ *Header, msg []byte) { msg[1] = 52 }, DropWrongHMAC},
			"another key":         {func(c *Config) { c.HMAC.Keys = []Key{{1, testKey(2).Secret}} }, func(*Header, []byte) {}, DropWrongHMAC},
			"its trailer cut off": {func(*Config) {}, func(*Header, []byte) {}, DropUnsigned},
		} {
			_, to := imageRouters(t, i, func(c *Config) {
				if len(c.UnicastPeers) > 0 {
					c.UnicastPeers = append(c.UnicastPeers, netip.MustParseAddr("fe80::11"))
				}
				tt.change(c)
			})
			h, wire := Header{Source: image.src, Destination: image.dst, TTL: TTL}, unhex(t, image.wire)
			tt.edit(&h, wire)
			if tt.want == DropUnsigned {
				wire = wire[:len(wire)-TrailerLen]
			}
			seal(h, wire)
			var p Packet
			if d := to.Examine(imagesSent, h, wire, &p); d != tt.want {
				t.Errorf("%s, %s: %s, want %s", image.name, name, d, tt.want)
			}
		}
	}
}

// seal writes the checksum that an attacker would write, too: over IPv4 that of the packet alone.
func seal(h Header, msg []byte) {
	covered, acc := msg, uint32(0)
	msg[6], msg[7] = 0, 0
	if h.Source.Is4() {
		covered = msg[:min(len(msg), 12)]
	} else {
		acc = pseudoSum(h.Source, h.Destination, len(msg))
	}
	s := ^fold(acc + sum(0, slices.Clone(covered)))
	msg[6], msg[7] = byte(s>>8), byte(s)
}
