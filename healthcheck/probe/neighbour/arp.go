// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// An arpLink asks by ARP (RFC 826).
type arpLink struct {
	conn     *packet.Conn
	own      net.HardwareAddr
	addr     netip.Addr
	question []byte
}

var _ link = (*arpLink)(nil)

func openARP(ifi *net.Interface, source, addr netip.Addr) (*arpLink, error) {
	question, err := arpQuestion(ifi.HardwareAddr, source, addr)
	if err != nil {
		return nil, err
	}
	conn, err := packet.Listen(ifi, packet.Datagram, unix.ETH_P_ARP, nil)
	if err != nil {
		return nil, fmt.Errorf("failed to open a packet socket on %s: %w", ifi.Name, err)
	}
	return &arpLink{conn, ifi.HardwareAddr, addr, question}, nil
}

// arpQuestion returns the packet that asks who has an address.
func arpQuestion(own net.HardwareAddr, source, addr netip.Addr) ([]byte, error) {
	p, err := arp.NewPacket(arp.OperationRequest, own, source, make(net.HardwareAddr, 6), addr)
	if err != nil {
		return nil, fmt.Errorf("failed to ask for %s: %w", addr, err)
	}
	b, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("failed to ask for %s: %w", addr, err)
	}
	return b, nil
}

// arpAnswer returns the hardware address of a packet in which another machine says that it has the address; nil: it does not.
func arpAnswer(b []byte, own net.HardwareAddr, addr netip.Addr) net.HardwareAddr {
	var p arp.Packet
	const ipv4OverEthernet = 1<<16 | unix.ETH_P_IP
	if err := p.UnmarshalBinary(b); err != nil || uint32(p.HardwareType)<<16|uint32(p.ProtocolType) != ipv4OverEthernet {
		return nil
	}
	if p.Operation != arp.OperationReply || p.SenderIP != addr || bytes.Equal(p.SenderHardwareAddr, own) || len(p.SenderHardwareAddr) != 6 {
		return nil
	}
	return p.SenderHardwareAddr
}

func (l *arpLink) ask() error {
	_, err := l.conn.WriteTo(l.question, &packet.Addr{HardwareAddr: ethernet.Broadcast})
	return err
}

func (l *arpLink) hear() (net.HardwareAddr, error) {
	b := make([]byte, 128)
	for {
		n, _, err := l.conn.ReadFrom(b)
		if err != nil {
			return nil, err
		}
		if at := arpAnswer(b[:n], l.own, l.addr); at != nil {
			return at, nil
		}
	}
}

func (l *arpLink) expire(at time.Time) error { return l.conn.SetDeadline(at) }

func (l *arpLink) Close() error { return l.conn.Close() }
