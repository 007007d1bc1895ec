// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

const (
	protocolVRRP  = 112
	ethernetLen   = 14
	ipv4HeaderLen = 20
	ipv6HeaderLen = 40
	// leastHearing and mostHearing bound how long the doctor listens for advertisements.
	leastHearing, mostHearing = time.Second, 5 * time.Second
)

// An Advert is an advertisement of another machine as it arrived at an interface, ahead of every firewall.
type Advert struct {
	Interface string
	Source    netip.Addr
	VRID      uint8
	VIPs      []netip.Addr
	// Leaving is that of a master that gives way (RFC 9568, section 6.4.3: priority 0).
	Leaving bool
}

// hear listens on interfaces for as long as is given for each, and returns each sender and virtual router id once.
func hear(ctx context.Context, spans map[string]time.Duration) ([]Advert, error) {
	listeners := make(map[string]*listener)
	defer func() {
		for _, l := range listeners {
			_ = l.conn.Close()
		}
	}()
	for iface := range spans {
		l, err := newListener(iface)
		if err != nil {
			return nil, fmt.Errorf("listen for advertisements: %w", err)
		}
		listeners[iface] = l
	}
	g, ctx := errgroup.WithContext(ctx)
	heard := make(chan []Advert, len(listeners))
	for iface, l := range listeners {
		g.Go(func() error {
			all, err := l.hear(ctx, spans[iface])
			heard <- all
			return err
		})
	}
	err := g.Wait()
	close(heard)
	var all []Advert
	for some := range heard {
		all = append(all, some...)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for advertisements: %w", err)
	}
	return all, nil
}

// A listener takes the VRRP packets that arrive at an interface.
type listener struct {
	iface *net.Interface
	conn  *packet.Conn
}

// newListener opens a packet socket in the network namespace of the calling thread.
func newListener(iface string) (*listener, error) {
	ifi, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, fmt.Errorf("read interface %s: %w", iface, err)
	}
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: ethernetLen, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6, SkipTrue: 3},
		bpf.LoadAbsolute{Off: ethernetLen + 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocolVRRP, SkipTrue: 3},
		bpf.RetConstant{Val: 0},
		bpf.LoadAbsolute{Off: ethernetLen + 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolVRRP, SkipTrue: 1},
		bpf.RetConstant{Val: 0xffff},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return nil, fmt.Errorf("assemble the filter: %w", err)
	}
	conn, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, &packet.Config{Filter: filter})
	if err != nil {
		return nil, fmt.Errorf("open packet socket on %s: %w", iface, err)
	}
	return &listener{ifi, conn}, nil
}

func (l *listener) hear(ctx context.Context, span time.Duration) (all []Advert, err error) {
	if err := l.conn.SetReadDeadline(time.Now().Add(span)); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", l.iface.Name, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetReadDeadline(time.Now()) })
	defer stop()
	for b := make([]byte, 2048); ; {
		n, from, err := l.conn.ReadFrom(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", l.iface.Name, err)
		}
		if hw, ok := from.(*packet.Addr); ok && slices.Equal(hw.HardwareAddr, l.iface.HardwareAddr) {
			continue // what leaves is heard too
		}
		if a, ok := parseAdvert(b[:n]); ok && !a.in(all) {
			a.Interface = l.iface.Name
			all = append(all, a)
		}
	}
}

// in tells whether the same was heard before.
func (a Advert) in(all []Advert) bool {
	return slices.ContainsFunc(all, func(b Advert) bool {
		return a.Source == b.Source && a.VRID == b.VRID && a.Leaving == b.Leaving && slices.Equal(a.VIPs, b.VIPs)
	})
}

// parseAdvert reads a frame with a VRRP packet.
func parseAdvert(b []byte) (a Advert, ok bool) {
	if len(b) < ethernetLen+ipv4HeaderLen {
		return a, false
	}
	b = b[ethernetLen:]
	var dst netip.Addr
	var payload []byte
	switch b[0] >> 4 {
	case 4:
		header, total := int(b[0]&0x0f)*4, int(b[2])<<8|int(b[3])
		if header < ipv4HeaderLen || total < header || total > len(b) || b[9] != protocolVRRP {
			return a, false
		}
		a.Source, dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		payload = b[header:total]
	case 6:
		if len(b) < ipv6HeaderLen || b[6] != protocolVRRP {
			return a, false
		}
		end := ipv6HeaderLen + int(b[4])<<8 + int(b[5])
		if end > len(b) {
			return a, false
		}
		a.Source, dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		payload = b[ipv6HeaderLen:end]
	default:
		return a, false
	}
	var p vrrp.Packet
	if drop := p.Parse(payload, a.Source, dst); drop != 0 {
		return a, false
	}
	a.VRID, a.VIPs, a.Leaving = p.VRID, slices.Clone(p.VIPs), p.Priority == 0
	return a, true
}
