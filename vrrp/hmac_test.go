// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// testKey returns a key whose octets depend on its number.
func testKey(id uint8) Key {
	octets := make([]byte, MinSecret)
	for i := range octets {
		octets[i] = id*16 + byte(i)
	}
	return Key{id, NewSecret(octets)}
}

func testHMAC(mode HMACMode, active uint8, ids ...uint8) HMAC {
	c := HMAC{Mode: mode, AntiReplay: AntiReplayTime, Window: 5 * time.Second, ActiveKey: active}
	for _, id := range ids {
		c.Keys = append(c.Keys, testKey(id))
	}
	return c
}

// TestVector is one hash by its parts. TestKeepalivedImages has whole packets.
func TestVector(t *testing.T) {
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i)
	}
	s := newSigner(Key{1, NewSecret(key)})
	pdu := unhex(t, "31339601 00640000 c0000264")
	trailer := unhex(t, "01020000 6553f100 8000 0007")
	want := unhex(t, "10ac7c1fa5df2c3d0bb9681de5062573")
	if got := s.hash(addrB, pdu, trailer); !bytes.Equal(got, want) {
		t.Fatalf("hash %x, want %x", got, want)
	}
	s.id = 2
	at := time.Unix(0x6553f100, int64(time.Second/2))
	got := s.appendTrailer(slices.Clone(pdu), 0, addrB, stamp(at)+7)
	if !bytes.Equal(got, slices.Concat(pdu, trailer, want)) {
		t.Fatalf("signed %x", got)
	}
	pdu[6], pdu[7] = 0x12, 0x34 // the checksum is read as 0
	if !s.verify(addrB, slices.Concat(pdu, trailer, want)) || s.verify(addrA, slices.Concat(pdu, trailer, want)) {
		t.Error("verified wrongly")
	}
}

// A pair of routers of which one sends to the other.
type signedPair struct {
	from, to *Router
	src, dst netip.Addr
	h        Header
}

func newSignedPair(change func(*Config)) *signedPair {
	c := testConfig(100)
	change(&c)
	p := &signedPair{from: NewRouter(c), to: NewRouter(c), src: addrA, dst: Group4}
	own := addrB
	if c.Family() == 6 {
		p.src, p.dst, own = linkLocalA, Group6, linkLocalB
	}
	if len(c.UnicastPeers) > 0 {
		p.dst = own
	}
	p.to.Machine.Step(epoch, Event{Kind: EventUp, Source: own})
	p.h = Header{Source: p.src, Destination: p.dst, TTL: TTL}
	return p
}

// sign returns the next advertisement on the wire.
func (p *signedPair) sign(wall time.Time) []byte {
	p.from.Packet.Priority = 150
	p.from.Sign(wall)
	return p.from.Packet.AppendTo(nil, p.src, p.dst)
}

func (p *signedPair) hear(wall time.Time, msg []byte) Drop {
	var q Packet
	return p.to.Examine(wall, p.h, msg, &q)
}

// TestSignedEverywhere: version 2 and 3, IPv4 and IPv6, multicast and unicast. Each octet but the checksum's is protected.
func TestSignedEverywhere(t *testing.T) {
	on := func(c *Config) { c.HMAC = testHMAC(HMACEnforce, 1, 1) }
	for name, change := range map[string]func(*Config){
		"version 2":               func(c *Config) { c.Version, c.Checksum = 2, 0 },
		"version 3":               func(*Config) {},
		"version 3, packet alone": func(c *Config) { c.Checksum = ChecksumPacket },
		"IPv6":                    func(c *Config) { c.VIPs = []netip.Prefix{netip.MustParsePrefix("fe80::100/64")} },
		"unicast":                 func(c *Config) { c.UnicastPeers = []netip.Addr{addrA, addrB} },
	} {
		p := newSignedPair(func(c *Config) { on(c); change(c) })
		if why := p.to.Config.Problem(); why != "" {
			t.Fatal(why)
		}
		good := p.sign(epoch)
		if len(good) != p.from.Packet.Len() {
			t.Errorf("%s: %d octets, want %d", name, len(good), p.from.Packet.Len())
		}
		pdu := len(good) - TrailerLen
		for i := range good {
			bad := slices.Clone(good)
			bad[i] ^= 0x10
			covered := bad[:pdu]
			if p.src.Is6() {
				covered = bad
			}
			bad[6], bad[7] = 0, 0
			acc := sum(0, covered)
			if p.to.Config.Version == Version3 && p.to.Config.Checksum != ChecksumPacket {
				acc += pseudoSum(p.src, p.dst, len(covered))
			}
			s := ^fold(acc)
			bad[6], bad[7] = byte(s>>8), byte(s)
			if i == 6 || i == 7 {
				continue
			}
			if d := p.hear(epoch, bad); d == 0 {
				t.Errorf("%s: accepted with another octet %d", name, i)
			}
		}
		if d := p.hear(epoch, good); d != 0 {
			t.Errorf("%s: %s", name, d)
		}
		if d := p.hear(epoch, good); d != DropReplayed {
			t.Errorf("%s, again: %s", name, d)
		}
	}
}

// TestRefusals are the reasons, each by name.
func TestRefusals(t *testing.T) {
	p := newSignedPair(func(c *Config) { c.HMAC = testHMAC(HMACEnforce, 1, 1) })
	other := newSignedPair(func(c *Config) {
		c.HMAC = testHMAC(HMACEnforce, 1, 1)
		c.HMAC.Keys[0].Secret = testKey(9).Secret
	})
	unknown := newSignedPair(func(c *Config) { c.HMAC = testHMAC(HMACEnforce, 2, 2) })
	plain := newSignedPair(func(*Config) {})
	scheme := p.sign(epoch)
	scheme[len(scheme)-TrailerLen] = 2
	if d := p.hear(epoch, p.sign(epoch)); d != 0 {
		t.Fatal(d)
	}
	for _, tt := range []struct {
		name string
		msg  []byte
		wall time.Time // of the receiver
		want Drop
	}{
		{"unsigned", plain.sign(epoch), epoch, DropUnsigned},
		{"another scheme", scheme, epoch, DropUnknownScheme},
		{"a key that is not here", unknown.sign(epoch), epoch, DropUnknownKey},
		{"another key of the same number", other.sign(epoch.Add(time.Second)), epoch, DropWrongHMAC},
		{"6 s old", p.sign(epoch), epoch.Add(6 * time.Second), DropStaleTime},
		{"6 s ahead", p.sign(epoch.Add(6 * time.Second)), epoch, DropStaleTime},
	} {
		if d := p.hear(tt.wall, tt.msg); d != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, d, tt.want)
		}
	}
	if d := plain.hear(epoch, p.sign(epoch)); d != DropAuthTrailer {
		t.Errorf("without a key: %s", d)
	}
}

// TestModes: who accepts and sends what.
func TestModes(t *testing.T) {
	for _, tt := range []struct {
		from, to HMACMode // 0: no key
		want     Drop
	}{
		{0, 0, 0}, {0, HMACReceiveOnly, 0}, {0, HMACPermissive, 0}, {0, HMACEnforce, DropUnsigned},
		{HMACReceiveOnly, 0, 0}, {HMACReceiveOnly, HMACReceiveOnly, 0}, {HMACReceiveOnly, HMACPermissive, 0}, {HMACReceiveOnly, HMACEnforce, DropUnsigned},
		{HMACPermissive, 0, DropAuthTrailer}, {HMACPermissive, HMACReceiveOnly, 0}, {HMACPermissive, HMACEnforce, 0},
		{HMACEnforce, 0, DropAuthTrailer}, {HMACEnforce, HMACReceiveOnly, 0}, {HMACEnforce, HMACPermissive, 0},
	} {
		p := newSignedPair(func(*Config) {})
		set := func(r *Router, m HMACMode) {
			c := r.Config
			if m != 0 {
				c.HMAC = testHMAC(m, 1, 1)
			}
			r.SetConfig(c)
		}
		set(p.from, tt.from)
		set(p.to, tt.to)
		if d := p.hear(epoch, p.sign(epoch)); d != tt.want {
			t.Errorf("%s to %s: %s, want %s", tt.from, tt.to, d, tt.want)
		}
	}
}

// TestWrongSignatureIsRefusedInAllModes: accepting unsigned packets does not mean accepting forged ones.
func TestWrongSignatureIsRefusedInAllModes(t *testing.T) {
	for m := HMACReceiveOnly; m <= HMACEnforce; m++ {
		p := newSignedPair(func(c *Config) { c.HMAC = testHMAC(m, 1, 1) })
		p.from.SetConfig(func() Config { c := p.from.Config; c.HMAC = testHMAC(HMACEnforce, 1, 1); return c }())
		msg := p.sign(epoch)
		msg[len(msg)-1] ^= 1
		if d := p.hear(epoch, msg); d != DropWrongHMAC {
			t.Errorf("%s: %s", m, d)
		}
	}
}

// TestMissingSecret: a key whose secret did not arrive accepts nothing. An empty key would be known to everybody.
func TestMissingSecret(t *testing.T) {
	p := newSignedPair(func(c *Config) { c.HMAC = testHMAC(HMACEnforce, 1, 1) })
	c := p.to.Config
	c.HMAC = c.HMAC.Public()
	p.to.SetConfig(c)
	p.from.guard.active = newSigner(Key{ID: 1})
	if d := p.hear(epoch, p.sign(epoch)); d != DropUnknownKey {
		t.Errorf("signed with an empty key: %s", d)
	}
	if p.to.Sign(epoch); p.to.Packet.signer != nil {
		t.Error("it signs with an empty key")
	}
}

// TestSecretsAreNotShown: no text form of a configuration has the octets.
func TestSecretsAreNotShown(t *testing.T) {
	c := testConfig(100)
	c.HMAC = testHMAC(HMACEnforce, 1, 1)
	c.HMAC.Keys[0].Secret = NewSecret([]byte(strings.Repeat("Geheimnis", 4)))
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{string(text), fmt.Sprint(c), fmt.Sprintf("%+v %v %v", c, &c, c.HMAC.Keys[0]), fmt.Sprintf("%#v", c), fmt.Sprintf("%#v", c.HMAC.Keys[0])} {
		if strings.Contains(s, "Geheimnis") {
			t.Errorf("shown: %s", s)
		}
	}
	if c.HMAC.Public().Keys[0].Secret.Len() != 0 || c.HMAC.Keys[0].Secret.Len() == 0 {
		t.Error("Public keeps the secret, or changes the original")
	}
	if back := c.HMAC.Public().WithSecrets(c.HMAC.Secrets()); back.Keys[0] != c.HMAC.Keys[0] {
		t.Error("the secret was lost")
	}
}

func TestHMACProblem(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"there is no hmac key 2":                      func(c *Config) { c.HMAC.ActiveKey = 2 },
		"hmac key 0 is not valid":                     func(c *Config) { c.HMAC.Keys[0].ID = 0 },
		"there are two hmac keys 1":                   func(c *Config) { c.HMAC.Keys = append(c.HMAC.Keys, testKey(1)) },
		"hmac key 1 has 0 octets: 32 to 64 are valid": func(c *Config) { c.HMAC = c.HMAC.Public() },
		"hmac mode 9 is not valid":                    func(c *Config) { c.HMAC.Mode = 9 },
		"hmac keys without a mode are not valid":      func(c *Config) { c.HMAC.Mode = 0 },
		"hmac time window 1.5s is not valid":          func(c *Config) { c.HMAC.Window = 1500 * time.Millisecond },
		"hmac anti-replay way 0 is not valid":         func(c *Config) { c.HMAC.AntiReplay = 0 },
		"a password beside hmac is not valid":         func(c *Config) { c.Version, c.Password = 2, "x" },
		"":                                            func(*Config) {},
	} {
		c := testConfig(100)
		c.HMAC = testHMAC(HMACEnforce, 1, 1)
		change(&c)
		if got := c.Problem(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for interval, want := range map[time.Duration]time.Duration{10 * time.Millisecond: 5 * time.Second, time.Second: 5 * time.Second, 1700 * time.Millisecond: 6 * time.Second, 40950 * time.Millisecond: 123 * time.Second} {
		if got := DefaultTimeWindow(interval); got != want {
			t.Errorf("window for %s: %s, want %s", interval, got, want)
		}
	}
}

func TestSigningDoesNotAllocate(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		p := newSignedPair(func(c *Config) {
			c.HMAC = testHMAC(HMACEnforce, 1, 1)
			if v6 {
				c.VIPs = []netip.Prefix{netip.MustParsePrefix("fe80::100/64")}
			}
		})
		var q Packet
		buf := make([]byte, 0, maxMessage)
		p.hear(epoch, p.sign(epoch))
		p.to.Examine(epoch, p.h, p.sign(epoch), &q)
		if n := testing.AllocsPerRun(100, func() {
			p.from.Sign(epoch)
			msg := p.from.Packet.AppendTo(buf, p.src, p.dst)
			if d := p.to.Examine(epoch, p.h, msg, &q); d != 0 {
				t.Error(d)
			}
			if d := p.to.Examine(epoch, p.h, msg, &q); d != DropReplayed {
				t.Error(d)
			}
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

// FuzzSigned: nobody without the key gets a message accepted, whatever it is.
func FuzzSigned(f *testing.F) {
	p := newSignedPair(func(c *Config) { c.HMAC = testHMAC(HMACEnforce, 1, 1) })
	good := p.sign(epoch)
	f.Add(good)
	f.Add(good[:len(good)-TrailerLen])
	f.Fuzz(func(t *testing.T, msg []byte) {
		to := newSignedPair(func(c *Config) { c.HMAC = testHMAC(HMACEnforce, 1, 1) })
		d := to.hear(epoch, msg)
		if d == 0 && !bytes.Equal(msg, good) {
			plain := slices.Clone(msg) // both forms of the checksum are accepted
			copy(plain[6:8], good[6:8])
			if !bytes.Equal(plain, good) {
				t.Fatalf("accepted %x", msg)
			}
		}
		if d != 0 && len(to.to.Sequences().Heard) != 0 {
			t.Fatalf("%s, and remembered", d)
		}
	})
}

// BenchmarkHMAC is the cost of an advertisement with one VIP.
func BenchmarkHMAC(b *testing.B) {
	p := newSignedPair(func(c *Config) { c.HMAC = testHMAC(HMACEnforce, 1, 1) })
	buf := make([]byte, 0, maxMessage)
	var q Packet
	b.Run("sign", func(b *testing.B) {
		for b.Loop() {
			p.from.Sign(epoch)
			p.from.Packet.AppendTo(buf, p.src, p.dst)
		}
	})
	good := p.sign(epoch)
	forged := slices.Clone(good)
	forged[len(forged)-1] ^= 1
	b.Run("accept", func(b *testing.B) {
		for b.Loop() {
			p.to.guard.heard = p.to.guard.heard[:0]
			if p.to.Examine(epoch, p.h, good, &q) != 0 {
				b.Fatal("refused")
			}
		}
	})
	for _, tt := range []struct {
		name string
		msg  []byte
		wall time.Time
		want Drop
	}{{"forged", forged, epoch, DropWrongHMAC}, {"stale", forged, epoch.Add(time.Hour), DropStaleTime}, {"replayed", good, epoch, DropReplayed}, {"unsigned", good[:len(good)-TrailerLen], epoch, DropUnsigned}} {
		p.to.guard.heard = p.to.guard.heard[:0]
		if tt.want == DropReplayed {
			p.hear(epoch, good)
		}
		b.Run(tt.name, func(b *testing.B) {
			for b.Loop() {
				if d := p.to.Examine(tt.wall, p.h, tt.msg, &q); d != tt.want {
					b.Fatal(d)
				}
			}
		})
	}
}
