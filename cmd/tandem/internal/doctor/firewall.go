// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// A Flow is multicast traffic between the directors.
type Flow struct {
	Interface string
	Group     netip.Addr
	Port      uint16 // of UDP; 0: VRRP
}

// String names the flow.
func (f Flow) String() string {
	if f.Port == 0 {
		return fmt.Sprintf("VRRP (IP protocol %d to %s) on %s", protocolVRRP, f.Group, f.Interface)
	}
	return fmt.Sprintf("connection sync (UDP port %d to %s) on %s", f.Port, f.Group, f.Interface)
}

// A Hindrance is what this machine's firewall does to a Flow.
type Hindrance struct {
	Flow
	Out bool // what leaves is dropped; otherwise what comes in
}

var (
	groupVRRP4 = netip.AddrFrom4([4]byte{224, 0, 0, 18}) // RFC 9568, section 5.1.1.2
	groupVRRP6 = netip.MustParseAddr("ff02::12")         // RFC 9568, section 5.1.2.2
)

// flows are those that a configuration needs.
func flows(c *configs.Config) (all []Flow) {
	seen := make(map[Flow]bool)
	add := func(f Flow) {
		if !seen[f] {
			seen[f] = true
			all = append(all, f)
		}
	}
	for _, r := range c.Routers {
		switch {
		case len(r.UnicastPeers) > 0:
		case r.VIPs[0].Addr().Is4():
			add(Flow{r.Interface, groupVRRP4, 0})
		default:
			add(Flow{r.Interface, groupVRRP6, 0})
		}
	}
	if s := c.LVS.Sync; s != (lvs.Sync{}) {
		add(Flow{s.Interface, s.Group, s.Port})
	}
	return all
}

const (
	// firewallTries is how often a packet is sent, firewallWait how long it has to come back each time.
	firewallTries, firewallWait = 3, 100 * time.Millisecond
)

// tryFirewall sends a packet of a flow to this machine itself, and tells what becomes of it. With TTL or hop limit 0 the
// packet does not leave, but goes through the rules for what leaves and, as one that came in on the interface, through
// those for what arrives. It is no VRRP and no sync message, so that whoever receives those drops it unread.
func tryFirewall(ctx context.Context, f Flow) (hindered *Hindrance, err error) {
	ifi, err := net.InterfaceByName(f.Interface)
	if err != nil {
		return nil, fmt.Errorf("read interface %s: %w", f.Interface, err)
	}
	conn, to, err := f.open(ctx, ifi)
	if err != nil {
		return nil, fmt.Errorf("try %s: %w", f, err)
	}
	defer conn.Close()
	message := append([]byte("tandem doctor "), rand.Text()...)
	in := make([]byte, 2048)
	for range firewallTries {
		if _, err := conn.WriteTo(message, to); errors.Is(err, unix.EPERM) {
			return &Hindrance{f, true}, nil
		} else if err != nil {
			return nil, fmt.Errorf("try %s: %w", f, err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(firewallWait)); err != nil {
			return nil, fmt.Errorf("try %s: %w", f, err)
		}
		for {
			n, _, err := conn.ReadFrom(in)
			if err != nil {
				break // the time is over
			}
			if bytes.Equal(in[:n], message) {
				return nil, nil
			}
		}
	}
	return &Hindrance{f, false}, nil
}

// open returns a socket that sends to the flow's group and hears itself, and where to send.
func (f Flow) open(ctx context.Context, ifi *net.Interface) (net.PacketConn, net.Addr, error) {
	family := "4"
	if f.Group.Is6() {
		family = "6"
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error { return bindTo(raw, f.Interface) }}
	group := &net.IPAddr{IP: f.Group.AsSlice()}
	network, local, to := "ip"+family+":"+strconv.Itoa(protocolVRRP), "", net.Addr(group)
	if f.Port != 0 {
		network, local = "udp"+family, ":"+strconv.Itoa(int(f.Port))
		to = &net.UDPAddr{IP: group.IP, Port: int(f.Port), Zone: f.Interface}
	} else if f.Group.Is6() {
		group.Zone = f.Interface
	}
	conn, err := config.ListenPacket(ctx, network, local)
	if err != nil {
		return nil, nil, err
	}
	if f.Group.Is4() {
		p := ipv4.NewPacketConn(conn)
		err = errors.Join(p.JoinGroup(ifi, group), p.SetMulticastInterface(ifi), p.SetMulticastTTL(0), p.SetMulticastLoopback(true))
	} else {
		p := ipv6.NewPacketConn(conn)
		err = errors.Join(p.JoinGroup(ifi, group), p.SetMulticastInterface(ifi), p.SetMulticastHopLimit(0), p.SetMulticastLoopback(true))
	}
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, to, nil
}

// bindTo lets a socket share its port, which connection sync has too, and hear one interface only.
func bindTo(raw syscall.RawConn, iface string) (err error) {
	if e := raw.Control(func(fd uintptr) {
		err = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.BindToDevice(int(fd), iface))
	}); e != nil {
		return e
	}
	return err
}
