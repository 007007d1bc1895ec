// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// minListen and maxListen bound how long the doctor listens for advertisements.
const minListen, maxListen = time.Second, 5 * time.Second

// listenForAdverts listens on each interface for the given time, and returns each sender and virtual router id once.
func listenForAdverts(ctx context.Context, spans map[string]time.Duration) ([]Advert, error) {
	listeners := make(map[string]*listener)
	defer func() {
		for _, l := range listeners {
			_ = l.conn.Close()
		}
	}()
	for iface := range spans {
		l, err := newListener(iface)
		if err != nil {
			return nil, fmt.Errorf("failed to listen for advertisements: %w", err)
		}
		listeners[iface] = l
	}
	g, ctx := errgroup.WithContext(ctx)
	heard := make(chan []Advert, len(listeners))
	for iface, l := range listeners {
		g.Go(func() error {
			all, err := l.read(ctx, spans[iface])
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
		return nil, fmt.Errorf("failed to listen for advertisements: %w", err)
	}
	return all, nil
}

// A listener receives the VRRP packets that arrive at an interface, before any firewall.
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
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: vrrp.Protocol, SkipTrue: 3},
		bpf.RetConstant{Val: 0},
		bpf.LoadAbsolute{Off: ethernetLen + 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: vrrp.Protocol, SkipTrue: 1},
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

// read returns the advertisements that arrive within the time.
func (l *listener) read(ctx context.Context, span time.Duration) (all []Advert, err error) {
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
		hw, ok := from.(*packet.Addr)
		if ok && slices.Equal(hw.HardwareAddr, l.iface.HardwareAddr) {
			continue // packet sockets also receive what this machine sends
		}
		if a, ok := parseAdvert(b[:n]); ok && !a.in(all) {
			a.Interface, a.At = l.iface.Name, time.Now()
			if hw != nil {
				a.Hardware = hw.HardwareAddr.String()
			}
			all = append(all, a)
		}
	}
}
