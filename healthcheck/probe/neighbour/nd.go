// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// An ndLink asks by neighbour discovery (RFC 4861, section 7.2).
type ndLink struct {
	conn     *ndp.Conn
	own      net.HardwareAddr
	addr, to netip.Addr
}

var _ link = (*ndLink)(nil)

// openND opens a socket at the link-local address. down says why nobody can be asked: the interface has none that is valid.
func openND(ifi *net.Interface, addr netip.Addr) (l link, down string, err error) {
	to, err := ndp.SolicitedNodeMulticast(addr)
	if err != nil {
		return nil, "", fmt.Errorf("failed to ask for %s: %w", addr, err)
	}
	conn, _, err := ndp.Listen(ifi, ndp.LinkLocal)
	var errno unix.Errno
	switch {
	case err != nil && (!errors.As(err, &errno) || errno == unix.EADDRNOTAVAIL):
		return nil, ifi.Name + " has no link-local address that can be used", nil
	case err != nil:
		return nil, "", fmt.Errorf("failed to open a socket for neighbour discovery on %s: %w", ifi.Name, err)
	}
	var only ipv6.ICMPFilter
	only.SetAll(true)
	only.Accept(ipv6.ICMPTypeNeighborAdvertisement)
	if err := errors.Join(conn.SetICMPFilter(&only), conn.SetControlMessage(ipv6.FlagHopLimit, true)); err != nil {
		_ = conn.Close()
		return nil, "", fmt.Errorf("failed to prepare a socket for neighbour discovery on %s: %w", ifi.Name, err)
	}
	return &ndLink{conn, ifi.HardwareAddr, addr, to.WithZone(ifi.Name)}, "", nil
}

// ndAnswer returns the hardware address of a message in which another machine says that it has the address; nil: it does not. A
// machine may leave it out when it was asked by unicast, which this package never does.
func ndAnswer(m ndp.Message, own net.HardwareAddr, addr netip.Addr) net.HardwareAddr {
	is, ok := m.(*ndp.NeighborAdvertisement)
	if !ok || is.TargetAddress.WithZone("") != addr {
		return nil
	}
	for _, o := range is.Options {
		at, ok := o.(*ndp.LinkLayerAddress)
		if ok && at.Direction == ndp.Target && len(at.Addr) == 6 && !bytes.Equal(at.Addr, own) {
			return at.Addr
		}
	}
	return nil
}

func (l *ndLink) ask() error {
	return l.conn.WriteTo(&ndp.NeighborSolicitation{
		TargetAddress: l.addr, Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: l.own}},
	}, nil, l.to)
}

func (l *ndLink) hear() (net.HardwareAddr, error) {
	for {
		m, control, _, err := l.conn.ReadFrom()
		var network net.Error
		switch {
		case errors.As(err, &network):
			return nil, err
		case err != nil, control == nil || control.HopLimit != ndp.HopLimit:
			continue // a message that is not valid (RFC 4861, section 7.1.2)
		}
		if at := ndAnswer(m, l.own, l.addr); at != nil {
			return at, nil
		}
	}
}

func (l *ndLink) expire(at time.Time) error { return l.conn.SetDeadline(at) }

func (l *ndLink) Close() error { return l.conn.Close() }
