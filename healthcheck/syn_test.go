// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/nstest"
	"github.com/vishvananda/netlink"
)

// give adds an address to an interface of the present namespace.
func give(t *testing.T, name, addr string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Error(err)
		return
	}
	a, err := netlink.ParseAddr(addr)
	if err == nil {
		if a.IP.To4() == nil {
			a.Flags = 0x02 // IFA_F_NODAD
		}
		err = netlink.AddrAdd(link, a)
	}
	if err != nil {
		t.Errorf("%s on %s: %v", addr, name, err)
	}
}

// keepSilent makes a real server say nothing about the addresses of lo.
func keepSilent(t *testing.T) {
	t.Helper()
	for key, value := range map[string]string{"arp_ignore": "1", "arp_announce": "2"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/all/"+key, []byte(value), 0); err != nil {
			t.Error(err)
		}
	}
}

// noDetection makes the link-local addresses of interfaces to come usable at once: without them IPv6 resolves nobody.
func noDetection(t *testing.T) {
	t.Helper()
	for _, conf := range []string{"all", "default"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+conf+"/accept_dad", []byte("0"), 0); err != nil {
			t.Error(err)
		}
	}
}

// awaitNeighbour waits until a server answers at all: IPv6 takes its time on a new link.
func awaitNeighbour(t *testing.T, target Target) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		got, _ := probeOnce(target)
		if !got.silent {
			return
		}
		if time.Now().After(end) {
			t.Errorf("no answer: %+v", got)
			return
		}
	}
}

// Three real servers, one without the VIP, one that listens on its own address only: a plain check passes on all of
// them, and one through the VIP fails exactly those two; on a backup as on a master, which has the VIP itself.
func TestThroughTheVIP(t *testing.T) {
	noLeftovers(t)
	for _, tt := range []struct{ family, director, vip, bits, prefix, server string }{
		{"IPv4", "192.0.2.2", "192.0.2.100", "32", "24", "192.0.2.11"},
		{"IPv6", "2001:db8::2", "2001:db8::100", "128", "64", "2001:db8::11"},
	} {
		for _, c := range []struct {
			name   string
			vip    bool   // the server has it
			listen string // address
			want   result
		}{
			{"as it should be", true, "", pass(throughVIP)},
			{"without the VIP", false, "", fail("timeout after 500ms while connecting through the VIP")},
			{"listens on its own address only", true, tt.server, fail("connection through the VIP refused")},
			{"is off", true, "off", result{outcome: failed, reason: noNeighbour, silent: true}},
		} {
			t.Run(tt.family+", "+c.name, func(t *testing.T) {
				director, web := nstest.New(t), nstest.New(t)
				director.Do(func() { noDetection(t) })
				web.Do(func() { noDetection(t) })
				nstest.Veth(t, director, "d0", web, "w0")
				director.Do(func() { give(t, "d0", tt.director+"/"+tt.prefix) })
				var listener net.Listener
				web.Do(func() {
					keepSilent(t)
					if c.listen != "off" {
						give(t, "w0", tt.server+"/"+tt.prefix)
					}
					if c.vip {
						give(t, "lo", tt.vip+"/"+tt.bits)
					}
					if c.listen == "off" {
						return
					}
					var err error
					if listener, err = net.Listen("tcp", net.JoinHostPort(c.listen, "80")); err != nil {
						t.Error(err)
					}
				})
				if listener != nil {
					defer func() { _ = listener.Close() }()
				}
				timeout := 5 * time.Second
				if !c.vip || c.listen == "off" {
					timeout = 500 * time.Millisecond
				}
				target := typed(TCP, netip.AddrPortFrom(netip.MustParseAddr(tt.server), 80), timeout, func(c *Config) {
					c.Via = netip.MustParseAddr(tt.vip)
				})
				if err := target.validate(); err != nil {
					t.Error(err)
				}
				plain := target
				plain.Config.Via = netip.Addr{}
				plain.Config.Source = netip.MustParseAddr(tt.director) // over IPv6 a master's kernel would take the VIP
				if listener != nil {
					plain.Config.Timeout = 5 * time.Second
					director.Do(func() { awaitNeighbour(t, plain) })
				}
				for _, role := range []string{"backup", "master"} {
					director.Do(func() {
						if role == "master" {
							give(t, "d0", tt.vip+"/"+tt.bits)
						}
						if got, _ := probeOnce(target); got != c.want {
							t.Errorf("%s: %+v, want %+v", role, got, c.want)
						}
						if got, _ := probeOnce(plain); got.outcome != passed && listener != nil {
							t.Errorf("%s, a plain check: %+v", role, got)
						}
					})
				}
			})
		}
	}
}

func TestNoWayToTheVIP(t *testing.T) {
	ns := nstest.New(t)
	other := nstest.New(t)
	nstest.Veth(t, ns, "d0", other, "o0")
	ns.Do(func() {
		give(t, "d0", "192.0.2.2/24")
		for _, server := range []string{"198.51.100.1", "127.0.0.1"} {
			target := typed(TCP, netip.AddrPortFrom(netip.MustParseAddr(server), 80), 500*time.Millisecond, func(c *Config) {
				c.Via = netip.MustParseAddr("192.0.2.100")
			})
			want := result{outcome: failed, reason: notNear, silent: true}
			if got, _ := probeOnce(target); got != want {
				t.Errorf("%s: %+v, want %+v", server, got, want)
			}
		}
	})
}

func TestSegments(t *testing.T) {
	four := segment{netip.MustParseAddrPort("192.0.2.2:61000"), netip.MustParseAddrPort("192.0.2.100:80"), 7}
	six := segment{netip.MustParseAddrPort("[2001:db8::2]:61000"), netip.MustParseAddrPort("[2001:db8::100]:80"), 7}
	for _, s := range []segment{four, six} {
		// answer is a packet from an address with the flags that acknowledges a sequence number.
		answer := func(from netip.Addr, flags byte, acknowledged uint32) []byte {
			back := segment{from: netip.AddrPortFrom(from, s.to.Port()), to: s.from}
			b := back.bytes(flags, 99)
			binary.BigEndian.PutUint32(b[len(b)-tcpHeader+8:], acknowledged)
			return b
		}
		vip, stranger := s.to.Addr(), s.to.Addr().Next()
		other := answer(vip, flagSYN|flagACK, 8)
		other[len(other)-tcpHeader+1]++ // from another port
		for name, tt := range map[string]struct {
			packet []byte
			want   any
		}{
			"SYN and ACK":          {answer(vip, flagSYN|flagACK, 8), accepted},
			"RST and ACK":          {answer(vip, flagRST|flagACK, 8), refused},
			"from another address": {answer(stranger, flagSYN|flagACK, 8), strayed},
			"to an earlier SYN":    {answer(vip, flagSYN|flagACK, 7), nothing},
			"RST out of the blue":  {answer(vip, flagRST, 0), nothing},
			"ACK only":             {answer(vip, flagACK, 8), nothing},
			"our own SYN":          {s.bytes(flagSYN, 7), nothing},
			"from another port":    {other, nothing},
			"nothing":              {nil, nothing},
			"cut short":            {answer(vip, flagSYN|flagACK, 8)[:30], nothing},
		} {
			if got := s.judge(tt.packet); got != tt.want {
				t.Errorf("%s to %s: %v, want %v", name, s.to, got, tt.want)
			}
		}
		b := s.bytes(flagSYN, 7)
		if s.to.Addr().Is4() && checksum(b[:ipv4Header]) != 0 {
			t.Errorf("checksum of the IP header: % x", b)
		}
		pseudo := append(append(s.from.Addr().AsSlice(), s.to.Addr().AsSlice()...), 0, 6, 0, tcpHeader)
		if checksum(append(pseudo, b[len(b)-tcpHeader:]...)) != 0 {
			t.Errorf("checksum of the TCP header: % x", b)
		}
	}
}

// FuzzSegment: whatever is on the wire, only an acknowledgement of the SYN is an answer.
func FuzzSegment(f *testing.F) {
	s := segment{netip.MustParseAddrPort("192.0.2.2:61000"), netip.MustParseAddrPort("192.0.2.100:80"), 7}
	back := segment{from: s.to, to: s.from}
	seed := back.bytes(flagSYN|flagACK, 1)
	binary.BigEndian.PutUint32(seed[ipv4Header+8:], 8)
	f.Add(seed)
	f.Add([]byte(nil))
	f.Add(segment{from: netip.MustParseAddrPort("[2001:db8::2]:1"), to: netip.MustParseAddrPort("[2001:db8::3]:2")}.bytes(flagRST, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := s.judge(b)
		if got < nothing || got > strayed {
			t.Errorf("%d", got)
		}
		if _, _, tcp, ok := splitIP(b); got != nothing && (!ok || binary.BigEndian.Uint32(tcp[8:]) != 8) {
			t.Errorf("% x is %d", b, got)
		}
	})
}
