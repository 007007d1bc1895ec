// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// minListen and maxListen are the limits of the time for which the doctor listens for advertisements.
const minListen, maxListen = time.Second, 5 * time.Second

// listen listens on each interface for the given time for advertisements, each sender and virtual router id once.
func (s *Snapshot) listen(ctx context.Context) error {
	listeners := make(map[string]*listener)
	defer func() {
		for _, l := range listeners {
			_ = l.conn.Close()
		}
	}()
	for iface := range s.Listened {
		l, err := newListener(iface, vrrp.Protocol, 0)
		if err != nil {
			return fmt.Errorf("failed to listen for advertisements: %w", err)
		}
		listeners[iface] = l
	}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	for iface, l := range listeners {
		ctx, cancel := context.WithTimeout(ctx, s.Listened[iface])
		defer cancel()
		g.Go(func() error {
			return l.read(ctx, func(frame []byte, hardware string) {
				mu.Lock()
				defer mu.Unlock()
				if a, ok := parseAdvert(frame); ok && !a.in(s.Adverts) {
					a.Interface, a.Hardware, a.At = iface, hardware, time.Now()
					s.Adverts = append(s.Adverts, a)
				}
			})
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("failed to listen for advertisements: %w", err)
	}
	return nil
}

// A listener receives the packets of a protocol that arrive at an interface, before any firewall.
type listener struct {
	iface *net.Interface
	conn  *packet.Conn
}

// filterOf lets Ethernet frames of a protocol of IP pass, to a port if there is one.
func filterOf(protocol byte, port uint16) []bpf.Instruction {
	accept, refuse := bpf.Instruction(bpf.RetConstant{Val: 0xffff}), bpf.Instruction(bpf.RetConstant{Val: 0})
	family := func(next uint32, toPort ...bpf.Instruction) (all []bpf.Instruction) {
		all = append(all, bpf.LoadAbsolute{Off: ethernetLen + next, Size: 1},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(protocol), SkipTrue: 1}, refuse)
		if port != 0 {
			all = append(append(all, toPort...), bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(port), SkipTrue: 1}, refuse)
		}
		return append(all, accept)
	}
	six := family(6, bpf.LoadAbsolute{Off: ethernetLen + ipv6HeaderLen + 2, Size: 2})
	four := family(9, bpf.LoadMemShift{Off: ethernetLen}, bpf.LoadIndirect{Off: ethernetLen + 2, Size: 2})
	return append(append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: ethernetLen, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 6, SkipTrue: uint8(len(six))},
	}, six...), four...)
}

// newListener opens a packet socket in the network namespace of the calling thread.
func newListener(iface string, protocol byte, port uint16) (*listener, error) {
	ifi, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, fmt.Errorf("read interface %s: %w", iface, err)
	}
	filter, err := bpf.Assemble(filterOf(protocol, port))
	if err != nil {
		return nil, fmt.Errorf("assemble the filter: %w", err)
	}
	conn, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, &packet.Config{Filter: filter})
	if err != nil {
		return nil, fmt.Errorf("open packet socket on %s: %w", iface, err)
	}
	return &listener{ifi, conn}, nil
}

// read passes on the packets that other machines send, until ctx ends.
func (l *listener) read(ctx context.Context, hear func(frame []byte, hardware string)) error {
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetReadDeadline(time.Now()) })
	defer stop()
	for b := make([]byte, 1<<16); ; {
		n, from, err := l.conn.ReadFrom(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listen on %s: %w", l.iface.Name, err)
		}
		hardware := ""
		if hw, ok := from.(*packet.Addr); ok {
			if slices.Equal(hw.HardwareAddr, l.iface.HardwareAddr) {
				continue // packet sockets also receive what this machine sends
			}
			hardware = hw.HardwareAddr.String()
		}
		hear(b[:n], hardware)
	}
}
