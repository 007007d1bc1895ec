// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// firewallTries is the number of packets that are sent. firewallWait is the time in which each of them must come back, also on a machine
// that is busy.
const firewallTries, firewallWait = 3, 250 * time.Millisecond

// tryFirewall sends a packet of a flow to this machine itself, and reports whether the firewall drops it; nil if it does
// not. With TTL or hop limit 0 the packet does not leave the machine, and still passes the firewall's rules for output
// and input. Its content is neither a VRRP packet nor a sync message, so that receivers of these discard it.
func tryFirewall(ctx context.Context, f Flow) (*FilteredFlow, error) {
	ifi, err := net.InterfaceByName(f.Interface)
	if err != nil {
		return nil, fmt.Errorf("failed to read interface %s: %w", f.Interface, err)
	}
	conn, to, err := f.open(ctx, ifi)
	if err != nil {
		return nil, fmt.Errorf("failed to test the firewall for %s: %w", f, err)
	}
	defer conn.Close()
	message := append([]byte("tandem doctor "), rand.Text()...)
	in := make([]byte, 2048)
	for range firewallTries {
		if _, err := conn.WriteTo(message, to); errors.Is(err, unix.EPERM) {
			return &FilteredFlow{Flow: f, Out: true}, nil
		} else if err != nil {
			return nil, fmt.Errorf("failed to test the firewall for %s: %w", f, err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(firewallWait)); err != nil {
			return nil, fmt.Errorf("failed to test the firewall for %s: %w", f, err)
		}
		for {
			n, _, err := conn.ReadFrom(in)
			if err != nil {
				break // timeout
			}
			if bytes.Equal(in[:n], message) {
				return nil, nil
			}
		}
	}
	return &FilteredFlow{Flow: f}, nil
}

// open returns a socket that receives what it sends to the flow's group, and the group's address.
func (f Flow) open(ctx context.Context, ifi *net.Interface) (net.PacketConn, net.Addr, error) {
	family := "4"
	if f.Group.Is6() {
		family = "6"
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error { return bindTo(raw, f.Interface) }}
	group := &net.IPAddr{IP: f.Group.AsSlice()}
	network, local, to := "ip"+family+":"+strconv.Itoa(vrrp.Protocol), "", net.Addr(group)
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

// bindTo restricts a socket to one interface, and lets it share its port with connection sync.
func bindTo(raw syscall.RawConn, iface string) (err error) {
	if e := raw.Control(func(fd uintptr) {
		err = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.BindToDevice(int(fd), iface))
	}); e != nil {
		return e
	}
	return err
}
