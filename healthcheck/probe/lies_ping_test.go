// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// An echoLie is a packet, and the verdict on it as an answer to an echo request.
type echoLie struct {
	name   string
	packet []byte
	want   echoVerdict
}

// echoLies change the right reply in one place: the type, the code, the identifier, the sequence number, the data.
func echoLies(asked *icmp.Echo, six bool) (all []echoLie) {
	right := func() []byte {
		m := icmp.Message{Type: ipv4.ICMPTypeEchoReply, Body: &icmp.Echo{ID: asked.ID, Seq: asked.Seq, Data: append([]byte(nil), asked.Data...)}}
		if six {
			m.Type = ipv6.ICMPTypeEchoReply
		}
		b, err := m.Marshal(nil)
		if err != nil {
			panic(err)
		}
		return b
	}
	add := func(name string, want echoVerdict, b []byte) {
		if !six {
			if len(b) >= 8 { // the checksum is right unless it is the lie
				b[2], b[3] = 0, 0
				binary.BigEndian.PutUint16(b[2:], checksum(b))
			}
			b = append([]byte{0x45, 0, 0, byte(20 + len(b)), 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}, b...)
		}
		all = append(all, echoLie{name, b, want})
	}
	with := func(change func([]byte)) []byte { b := right(); change(b); return b }
	add("the reply", echoed, right())
	reply := right()[0]
	for typ := 0; typ < 256; typ += 3 {
		if byte(typ) != reply {
			add(fmt.Sprintf("type %d", typ), notOurs, with(func(b []byte) { b[0] = byte(typ) }))
		}
	}
	for _, typ := range []byte{8, 128, 3, 11, 5} {
		add(fmt.Sprintf("type %d again", typ), notOurs, with(func(b []byte) { b[0] = typ }))
	}
	for code := 1; code < 256; code += 9 {
		add(fmt.Sprintf("code %d", code), notOurs, with(func(b []byte) { b[1] = byte(code) }))
	}
	for bit := range 32 {
		add(fmt.Sprintf("bit %d of identifier and number turned", bit), notOurs, with(func(b []byte) { b[4+bit/8] ^= 1 << (bit % 8) }))
	}
	for at := range asked.Data {
		add(fmt.Sprintf("byte %d of the data altered", at), alteredEcho, with(func(b []byte) { b[8+at]++ }))
	}
	for n := range len(asked.Data) {
		add(fmt.Sprintf("%d bytes of data", n), alteredEcho, right()[:8+n])
	}
	add("a byte more of data", alteredEcho, append(right(), 0))
	for n := range 8 {
		add(fmt.Sprintf("%d bytes", n), notOurs, right()[:n])
	}
	return all
}

// RFC 792 and RFC 4443, section 4.2: a reply returns identifier, sequence number and data as they were.
func TestLiesOfPing(t *testing.T) {
	asked := &icmp.Echo{ID: 0x1234, Seq: 0x5678, Data: []byte("0123456789abcdefghijklmnopqrstuvwxyz")}
	for _, six := range []bool{false, true} {
		lies := echoLies(asked, six)
		if !six {
			whole := lies[0].packet
			for bit := range 16 { // RFC 1071
				b := append([]byte(nil), whole...)
				b[22+bit/8] ^= 1 << (bit % 8)
				lies = append(lies, echoLie{fmt.Sprintf("checksum with bit %d turned", bit), b, notOurs})
			}
			for first := range 256 { // RFC 791, section 3.1: the version, and the length of the header
				if b := append([]byte{byte(first)}, whole[1:]...); first != 0x45 {
					lies = append(lies, echoLie{fmt.Sprintf("an IP header that begins with %#x", first), b, notOurs})
				}
			}
		}
		if len(lies) <= minimumOfLies {
			t.Errorf("%d lies, want %d", len(lies)-1, minimumOfLies)
		}
		for _, l := range lies {
			if got := judgeEcho(asked, l.packet, six); got != l.want {
				t.Errorf("IPv6 %t, %s: %d, want %d", six, l.name, got, l.want)
			}
		}
	}
}

// If a router on the way reports that a server is not there, every check of it fails, and the reason names the router.
func TestWhatRoutersSay(t *testing.T) {
	director, router := probetest.NewNS(t), probetest.NewNS(t)
	probetest.Veth(t, director, "d0", router, "r0")
	const unreachable, prohibited, none = "198.51.100.1", "198.51.100.2", "203.0.113.1"
	routes := func(do func() error) {
		if err := do(); err != nil {
			t.Error(err)
		}
	}
	network := func(s string) *net.IPNet { _, n, _ := net.ParseCIDR(s); return n }
	router.Do(func() {
		probetest.Give(t, "r0", "192.0.2.1/24")
		probetest.Write(t, "/proc/sys/net/ipv4/ip_forward", "1")
		probetest.Write(t, "/proc/sys/net/ipv4/icmp_ratelimit", "0")
		routes(func() error { return netlink.RouteAdd(&netlink.Route{Dst: network(unreachable + "/32"), Type: 7}) }) // RTN_UNREACHABLE
		routes(func() error { return netlink.RouteAdd(&netlink.Route{Dst: network(prohibited + "/32"), Type: 8}) })  // RTN_PROHIBIT
	})
	director.Do(func() {
		probetest.Give(t, "d0", "192.0.2.2/24")
		routes(func() error { return netlink.RouteAdd(&netlink.Route{Gw: net.IPv4(192, 0, 2, 1)}) })
		// The router's kernel says this five times at once, and then once a second.
		for _, tt := range []struct {
			typ        healthcheck.Type
			way        string
			addr, want string
		}{
			{healthcheck.UDP, "goroutine", unreachable, "host unreachable (ICMP from 192.0.2.1)"},
			{healthcheck.UDP, "goroutine", prohibited, "prohibited by a filter (ICMP from 192.0.2.1)"},
			{healthcheck.UDP, "goroutine", none, "network unreachable (ICMP from 192.0.2.1)"},
			{healthcheck.Ping, "goroutine", unreachable, "host unreachable (ICMP from 192.0.2.1)"},
			{healthcheck.HTTP, "engine", unreachable, "host unreachable (ICMP from 192.0.2.1)"},
			{healthcheck.SMTP, "goroutine", none, "network unreachable (ICMP from 192.0.2.1)"},
		} {
			target := probetest.Target(tt.typ, netip.AddrPortFrom(netip.MustParseAddr(tt.addr), 53), 5*time.Second, func(c *healthcheck.Config) {
				if tt.typ == healthcheck.UDP {
					c.Send = "hello"
				}
			})
			if got, _ := ways[tt.way](target); got.Outcome != healthcheck.Failed || got.Reason != tt.want || !got.Silent {
				t.Errorf("%s to %s: %+v, want %q", tt.typ, tt.addr, got, tt.want)
			}
		}
	})
}

// An answer to a ping from another address does not count.
func TestPingAnsweredFromElsewhere(t *testing.T) {
	director, other := probetest.NewNS(t), probetest.NewNS(t)
	probetest.Veth(t, director, "d0", other, "o0")
	var sock net.PacketConn
	other.Do(func() {
		probetest.Give(t, "o0", "192.0.2.3/24")
		probetest.Give(t, "o0", "192.0.2.1/24")
		probetest.Write(t, "/proc/sys/net/ipv4/icmp_echo_ignore_all", "1")
		var err error
		if sock, err = net.ListenPacket("ip4:icmp", "192.0.2.3"); err != nil {
			t.Error(err)
		}
	})
	var asked net.PacketConn
	other.Do(func() {
		var err error
		if asked, err = net.ListenPacket("ip4:icmp", "192.0.2.1"); err != nil {
			t.Error(err)
		}
	})
	if sock == nil || asked == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		n, from, err := asked.ReadFrom(buf)
		if err != nil {
			return
		}
		reply := append([]byte(nil), buf[:n]...)
		reply[0], reply[2], reply[3] = 0, 0, 0
		binary.BigEndian.PutUint16(reply[2:], checksum(reply))
		_, _ = sock.WriteTo(reply, from) // from 192.0.2.3
	}()
	director.Do(func() {
		probetest.Give(t, "d0", "192.0.2.2/24")
		got, _ := probeOnce(probetest.Target(healthcheck.Ping, netip.MustParseAddrPort("192.0.2.1:0"), 300*time.Millisecond, func(*healthcheck.Config) {}))
		if got.Outcome != healthcheck.Failed || got.Reason != "timeout after 300ms while waiting for the echo reply" {
			t.Errorf("%+v", got)
		}
	})
	_ = asked.Close()
	<-done
	_ = sock.Close()
}
