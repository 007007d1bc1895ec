// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// lookInterval is how long the result of a look at the interface is used.
	lookInterval = 20 * time.Millisecond
	// netlinkTimeout is how long the kernel may take to answer.
	netlinkTimeout = time.Second
	// writeTimeout is the maximum wait for room in the socket's buffer, and so the maximum wait of Withdraw.
	writeTimeout = 10 * time.Millisecond
)

// A sender sends frames on an interface. It belongs to one goroutine.
type sender struct {
	iface    string
	handle   *netlink.Handle
	conn     *packet.Conn
	index    int
	hardware net.HardwareAddr
	looked   time.Time

	forwarding bool // of IPv6
}

func (s *sender) close() {
	s.disconnect()
	if s.handle != nil {
		s.handle.Close()
	}
}

// disconnect closes the socket; ready opens another.
func (s *sender) disconnect() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	s.conn = nil
	s.expire()
}

// expire makes ready look at the interface again.
func (s *sender) expire() { s.looked = time.Time{} }

// ready opens the socket, and updates it to the interface as it is now. Its error says what is wrong with the interface.
func (s *sender) ready(now time.Time) error {
	if s.conn != nil && now.Sub(s.looked) < lookInterval {
		return nil
	}
	if s.handle == nil {
		handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("failed to open a netlink socket: %w", err)
		}
		if err := handle.SetSocketTimeout(netlinkTimeout); err != nil {
			handle.Close()
			return fmt.Errorf("failed to set the timeout of a netlink socket: %w", err)
		}
		s.handle = handle
	}
	attrs, err := s.look()
	if err != nil {
		return err
	}
	s.forwarding = forwardsIPv6(s.iface)
	if s.conn != nil && attrs.Index == s.index && bytes.Equal(attrs.HardwareAddr, s.hardware) {
		s.looked = now
		return nil
	}
	s.disconnect()
	// Protocol 0: the socket receives nothing.
	conn, err := packet.Listen(&net.Interface{Index: attrs.Index}, packet.Raw, 0, nil)
	if err != nil {
		return fmt.Errorf("failed to open a packet socket on %s: %w", s.iface, err)
	}
	s.conn, s.index, s.hardware, s.looked = conn, attrs.Index, attrs.HardwareAddr, now
	return nil
}

func (s *sender) look() (*netlink.LinkAttrs, error) {
	dev, err := s.handle.LinkByName(s.iface)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, fmt.Errorf("interface %s is missing", s.iface)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to read interface %s: %w", s.iface, err)
	}
	attrs := dev.Attrs()
	switch {
	case attrs.RawFlags&unix.IFF_UP == 0:
		return nil, fmt.Errorf("interface %s is down", s.iface)
	case attrs.RawFlags&unix.IFF_RUNNING == 0:
		return nil, fmt.Errorf("interface %s has no carrier", s.iface)
	case len(attrs.HardwareAddr) != 6:
		return nil, fmt.Errorf("interface %s has no Ethernet address", s.iface)
	}
	return attrs, nil
}

// forwardsIPv6 reports whether the machine is an IPv6 router on the interface.
func forwardsIPv6(iface string) bool {
	b, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv6/conf", iface, "forwarding"))
	return err == nil && len(b) > 0 && b[0] != '0'
}

func (s *sender) write(frame []byte) error {
	if err := write(s.conn, frame); err != nil {
		return fmt.Errorf("failed to send on %s: %w", s.iface, err)
	}
	return nil
}

func write(conn *packet.Conn, frame []byte) error { return writeWithin(conn, frame, writeTimeout) }

// writeWithin sends a frame. If there is no room in the socket's buffer, it waits for room, but only so long. A deadline alone
// would not do: when a busy machine stops this thread for longer, the frame would be lost without a single try.
func writeWithin(conn *packet.Conn, frame []byte, wait time.Duration) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var full error
	if err := raw.Control(func(fd uintptr) { full = unix.Send(int(fd), frame, unix.MSG_DONTWAIT) }); err != nil {
		return err
	}
	if !errors.Is(full, unix.EAGAIN) {
		return full
	}
	if err := conn.SetWriteDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	_, err = conn.WriteTo(frame, &packet.Addr{HardwareAddr: net.HardwareAddr(frame[:6])})
	return err
}

// congested reports whether only this frame was lost for lack of buffer room, while the socket still works.
func congested(err error) bool {
	return errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EAGAIN) || errors.Is(err, os.ErrDeadlineExceeded)
}
