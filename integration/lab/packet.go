// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Frame is a captured frame, from its Ethernet header on.
type Frame struct {
	When time.Time // when the kernel saw it
	Data []byte
}

// EtherType returns the frame's EtherType, 0 if the frame is too short.
func (f Frame) EtherType() uint16 {
	if len(f.Data) < 14 {
		return 0
	}
	return binary.BigEndian.Uint16(f.Data[12:])
}

// Source and Destination are the frame's hardware addresses; the frame has at least 14 bytes.
func (f Frame) Source() net.HardwareAddr      { return net.HardwareAddr(f.Data[6:12]) }
func (f Frame) Destination() net.HardwareAddr { return net.HardwareAddr(f.Data[:6]) }

// IsVRRP reports whether the frame carries VRRP over IPv4.
func (f Frame) IsVRRP() bool {
	return f.EtherType() == unix.ETH_P_IP && len(f.Data) >= 42 && f.Data[14+9] == 112
}

// VRRPPriority returns the priority of an advertisement, for which IsVRRP is true.
func (f Frame) VRRPPriority() int {
	header := 14 + int(f.Data[14]&0x0f)*4
	return int(f.Data[header+2])
}

// IsAnnouncement reports whether the frame is a gratuitous ARP, request or reply, for VIP: from its sender to itself.
func (f Frame) IsAnnouncement() bool {
	if f.EtherType() != unix.ETH_P_ARP || len(f.Data) < 42 {
		return false
	}
	vip := netip.MustParseAddr(VIP).As4()
	sender, target := f.Data[28:32], f.Data[38:42]
	return bytes.Equal(sender, vip[:]) && bytes.Equal(target, vip[:])
}

// Announced returns the hardware address that an announcement is of, for which IsAnnouncement is true.
func (f Frame) Announced() net.HardwareAddr { return net.HardwareAddr(f.Data[22:28]) }

// A Capture records the frames that pass an interface, both ways.
type Capture struct {
	fd   int
	keep func(Frame) bool
	done chan struct{}

	mu     sync.Mutex
	frames []Frame
}

// Capture records the frames on an interface of the host for which keep is true (nil: all), until the test ends. If the
// kernel had to drop some of them, the test fails.
func (h *Host) Capture(ifi string, keep func(Frame) bool) *Capture {
	h.lab.t.Helper()
	c := &Capture{keep: keep, done: make(chan struct{})}
	err := h.Do(func() error {
		var err error
		c.fd, err = packetSocket(ifi, unix.ETH_P_ALL)
		return err
	})
	if err != nil {
		h.lab.t.Fatalf("capture on %s %s: %v", h.Name, ifi, err)
	}
	stop := make(chan struct{})
	go c.run(stop)
	h.lab.t.Cleanup(func() {
		close(stop)
		<-c.done
		stats, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
		if err != nil || stats.Drops > 0 {
			h.lab.t.Errorf("capture on %s %s lost frames: %+v, %v", h.Name, ifi, stats, err)
		}
		_ = unix.Close(c.fd)
	})
	return c
}

// packetSocket opens a packet socket on an interface of the calling thread's namespace. Reads return after 50 ms at
// the latest, and frames come with the kernel's time.
func packetSocket(name string, protocol uint16) (int, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("packet socket: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol<<8 | protocol>>8, Ifindex: ifi.Index}),
	)
	if err != nil {
		return 0, errors.Join(fmt.Errorf("packet socket on %s: %w", name, err), unix.Close(fd))
	}
	return fd, nil
}

// receiveFrame reads a frame; ok is false when none came in time.
func receiveFrame(fd int, buf []byte) (f Frame, ok bool) {
	oob := make([]byte, 128)
	n, oobn, _, _, err := unix.Recvmsg(fd, buf, oob, 0)
	if err != nil || n < 14 {
		return Frame{}, false
	}
	f = Frame{When: time.Now(), Data: append([]byte(nil), buf[:n]...)}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return f, true
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			sec := int64(binary.NativeEndian.Uint64(m.Data))
			nsec := int64(binary.NativeEndian.Uint64(m.Data[8:]))
			f.When = time.Unix(sec, nsec)
		}
	}
	return f, true
}

func (c *Capture) run(stop <-chan struct{}) {
	defer close(c.done)
	buf := make([]byte, 64<<10)
	for {
		select {
		case <-stop:
			return
		default:
		}
		f, ok := receiveFrame(c.fd, buf)
		if !ok || (c.keep != nil && !c.keep(f)) {
			continue
		}
		c.mu.Lock()
		c.frames = append(c.frames, f)
		c.mu.Unlock()
	}
}

// Frames returns what was recorded so far.
func (c *Capture) Frames() []Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Frame(nil), c.frames...)
}

// LongestGap returns the longest time between two frames, of those times that are in a span at least in part.
func LongestGap(frames []Frame, began, ended time.Time) (longest time.Duration) {
	for i := 1; i < len(frames); i++ {
		if last, next := frames[i-1].When, frames[i].When; last.Before(ended) && next.After(began) {
			longest = max(longest, next.Sub(last))
		}
	}
	return longest
}
