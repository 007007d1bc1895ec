// SPDX-License-Identifier: Apache-2.0

package via

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The source ports of SYNs: by default the kernel gives them to none of its own connections.
const (
	firstProbePort = 61000
	probePorts     = 1<<16 - firstProbePort
)

// errNoPort is the error when all source ports of an interface are in use by SYNs.
var errNoPort = errors.New("every port for probes through the VIP is taken")

// synListeners stay open as long as their prober. Opening or closing a packet socket makes the kernel wait for all CPUs,
// which takes milliseconds.
type synListeners struct {
	mu   sync.Mutex
	open map[listenerKey]*synListener
}

type listenerKey struct {
	link int
	six  bool
}

// A synListener reads the answers to the SYNs that leave by one interface. It has no goroutine of its own: one of the waiting
// probes reads for all of them.
type synListener struct {
	listenerKey
	conn *packet.Conn
	turn chan struct{} // held by the probe that reads

	mu     sync.Mutex
	probes map[uint16]*synProbe // by port
}

// A synProbe is a SYN that waits for its answer.
type synProbe struct {
	segment
	heard chan answer // has room for the first answer, the only one that counts
}

// on returns the listener on an interface. If there is none, it opens one.
func (all *synListeners) on(link *net.Interface, six bool) (*synListener, error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	key := listenerKey{link.Index, six}
	if l := all.open[key]; l != nil {
		return l, nil
	}
	conn, err := listen(link, six)
	if err != nil {
		return nil, err
	}
	l := &synListener{listenerKey: key, conn: conn, turn: make(chan struct{}, 1), probes: make(map[uint16]*synProbe)}
	all.open[key] = l
	return l, nil
}

// closeIfGone closes a listener if the error of sending says that its interface is gone.
func (all *synListeners) closeIfGone(l *synListener, err error) {
	if !errors.Is(err, unix.ENXIO) && !errors.Is(err, unix.ENODEV) {
		return
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.open[l.listenerKey] == l {
		delete(all.open, l.listenerKey)
		_ = l.conn.Close()
	}
}

// close closes all listeners. No probe may be under way.
func (all *synListeners) close() {
	all.mu.Lock()
	defer all.mu.Unlock()
	for key, l := range all.open {
		delete(all.open, key)
		_ = l.conn.Close()
	}
}

// listen receives acceptances and refusals of TCP connections for the source ports of SYNs. A filter in the kernel drops
// everything else.
func listen(link *net.Interface, six bool) (*packet.Conn, error) {
	protocol, header, next := unix.ETH_P_IP, uint32(ipv4Header), uint32(9)
	if six {
		protocol, header, next = unix.ETH_P_IPV6, ipv6Header, 6
	}
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: next, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_TCP, SkipTrue: 5},
		bpf.LoadAbsolute{Off: header + 2, Size: 2}, // destination port
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: firstProbePort, SkipTrue: 3},
		bpf.LoadAbsolute{Off: header + 13, Size: 1}, // flags
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: flagSYN | flagRST, SkipTrue: 1},
		bpf.RetConstant{Val: 128},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return nil, err
	}
	return packet.Listen(link, packet.Datagram, protocol, &packet.Config{Filter: filter})
}

// expect chooses a free port and a sequence number for a SYN. The answers to it are read until drop.
func (l *synListener) expect(from netip.Addr, to netip.AddrPort) (*synProbe, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.probes) == probePorts {
		return nil, errNoPort
	}
	port := rand.N[uint16](probePorts)
	for l.probes[firstProbePort+port] != nil {
		port = (port + 1) % probePorts
	}
	port += firstProbePort
	p := &synProbe{segment: segment{netip.AddrPortFrom(from, port), to, rand.Uint32()}, heard: make(chan answer, 1)}
	l.probes[port] = p
	return p, nil
}

// drop ends a SYN's wait, and frees its port.
func (l *synListener) drop(p *synProbe) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.probes, p.from.Port())
}

// await waits for the answer to a SYN. Meanwhile it reads the answers to other SYNs, if no other probe does. It returns
// the errors of ctx and of reading.
func (l *synListener) await(ctx context.Context, p *synProbe) (answer, error) {
	select {
	case a := <-p.heard:
		return a, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	case l.turn <- struct{}{}:
	}
	defer func() { <-l.turn }()
	_ = l.conn.SetReadDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 128)
	for {
		select {
		case a := <-p.heard:
			return a, nil
		default:
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		n, _, err := l.conn.ReadFrom(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			// This may be the late deadline of the probe that read before. The loop then asks ctx whether ours is over.
			_ = l.conn.SetReadDeadline(time.Time{})
		case err != nil:
			return 0, err
		default:
			l.receive(buf[:n])
		}
	}
}

// receive passes a packet to the probe that it answers, if there is one.
func (l *synListener) receive(b []byte) {
	_, _, tcp, ok := splitIP(b)
	if !ok || len(tcp) < tcpHeader {
		return
	}
	l.mu.Lock()
	p := l.probes[binary.BigEndian.Uint16(tcp[2:])]
	l.mu.Unlock()
	if p == nil {
		return
	}
	if a := p.answerIn(b); a != nothing {
		select {
		case p.heard <- a:
		default: // only the first answer counts
		}
	}
}
