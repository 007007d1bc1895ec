// SPDX-License-Identifier: Apache-2.0

package healthcheck

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

// The ports that SYNs come from: the kernel gives them to no connection of its own by default.
const (
	firstKnockPort = 61000
	knockPorts     = 1<<16 - firstKnockPort
)

// errNoPort is of more SYNs under way on an interface than there are ports for.
var errNoPort = errors.New("every port for probes through the VIP is taken")

// ears are open for as long as the prober is: opening and closing a packet socket makes the kernel wait for all its
// CPUs, which takes milliseconds.
type ears struct {
	mu   sync.Mutex
	open map[earID]*ear
}

type earID struct {
	link int
	six  bool
}

// An ear hears the answers to the SYNs that leave by one interface. It has no goroutine of its own: of the probes that
// wait for something, one reads for all of them.
type ear struct {
	earID
	conn *packet.Conn
	turn chan struct{} // held by the one that reads

	mu      sync.Mutex
	callers map[uint16]*caller // by port
}

// A caller is a SYN that waits for its answer.
type caller struct {
	segment
	heard chan answer // has room for the one that counts
}

func newEars() *ears { return &ears{open: make(map[earID]*ear)} }

// on gives the ear at an interface, which is opened first if need be.
func (all *ears) on(link *net.Interface, six bool) (*ear, error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	id := earID{link.Index, six}
	if e := all.open[id]; e != nil {
		return e, nil
	}
	conn, err := listen(link, six)
	if err != nil {
		return nil, err
	}
	e := &ear{earID: id, conn: conn, turn: make(chan struct{}, 1), callers: make(map[uint16]*caller)}
	all.open[id] = e
	return e, nil
}

// leave closes an ear if the error of sending says that its interface is gone.
func (all *ears) leave(e *ear, err error) {
	if !errors.Is(err, unix.ENXIO) && !errors.Is(err, unix.ENODEV) {
		return
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.open[e.earID] == e {
		delete(all.open, e.earID)
		_ = e.conn.Close()
	}
}

// close closes all of them. No probe may be under way.
func (all *ears) close() {
	all.mu.Lock()
	defer all.mu.Unlock()
	for id, e := range all.open {
		delete(all.open, id)
		_ = e.conn.Close()
	}
}

// listen hears the beginnings and refusals of TCP connections for the ports that SYNs come from; nothing else reaches
// the director.
func listen(link *net.Interface, six bool) (*packet.Conn, error) {
	protocol, header, next := unix.ETH_P_IP, uint32(ipv4Header), uint32(9)
	if six {
		protocol, header, next = unix.ETH_P_IPV6, ipv6Header, 6
	}
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: next, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_TCP, SkipTrue: 5},
		bpf.LoadAbsolute{Off: header + 2, Size: 2}, // destination port
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: firstKnockPort, SkipTrue: 3},
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

// expect has answers to a SYN heard, for which it finds a free port and a sequence number, until forget.
func (e *ear) expect(from netip.Addr, to netip.AddrPort) (*caller, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.callers) == knockPorts {
		return nil, errNoPort
	}
	port := rand.N[uint16](knockPorts)
	for e.callers[firstKnockPort+port] != nil {
		port = (port + 1) % knockPorts
	}
	port += firstKnockPort
	c := &caller{segment: segment{netip.AddrPortFrom(from, port), to, rand.Uint32()}, heard: make(chan answer, 1)}
	e.callers[port] = c
	return c, nil
}

func (e *ear) forget(c *caller) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.callers, c.from.Port())
}

// await waits for the answer to a SYN, and meanwhile hears those to others if nobody else does. The errors are those
// of ctx and of reading.
func (e *ear) await(ctx context.Context, c *caller) (answer, error) {
	select {
	case a := <-c.heard:
		return a, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	case e.turn <- struct{}{}:
	}
	defer func() { <-e.turn }()
	_ = e.conn.SetReadDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { _ = e.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 128)
	for {
		select {
		case a := <-c.heard:
			return a, nil
		default:
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		n, _, err := e.conn.ReadFrom(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			// Perhaps the end of one that read before, come late. Whether it is ours is asked only after this.
			_ = e.conn.SetReadDeadline(time.Time{})
		case err != nil:
			return 0, err
		default:
			e.hear(buf[:n])
		}
	}
}

// hear takes a packet to the caller that it answers, if there is one.
func (e *ear) hear(b []byte) {
	_, _, tcp, ok := splitIP(b)
	if !ok || len(tcp) < tcpHeader {
		return
	}
	e.mu.Lock()
	c := e.callers[binary.BigEndian.Uint16(tcp[2:])]
	e.mu.Unlock()
	if c == nil {
		return
	}
	if a := c.judge(b); a != nothing {
		select {
		case c.heard <- a:
		default: // the first one counts
		}
	}
}
