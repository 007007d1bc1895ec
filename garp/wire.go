// SPDX-License-Identifier: Apache-2.0

package garp

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
	// lookInterval is how long the interface is taken to be what it was when looked at.
	lookInterval = 20 * time.Millisecond
	// netlinkTimeout is how long the kernel may take to answer what the interface is.
	netlinkTimeout = time.Second
	// writeTimeout bounds the wait for room in the socket's buffer, and with it that of Withdraw.
	writeTimeout = 10 * time.Millisecond
)

// A wire is the interface on which frames leave; it belongs to one goroutine.
type wire struct {
	iface    string
	handle   *netlink.Handle
	conn     *packet.Conn
	index    int
	hardware net.HardwareAddr
	looked   time.Time

	forwarding bool // of IPv6
}

func (w *wire) close() {
	w.hangUp()
	if w.handle != nil {
		w.handle.Close()
	}
}

// hangUp closes the socket; ready opens another.
func (w *wire) hangUp() {
	if w.conn != nil {
		_ = w.conn.Close()
	}
	w.conn = nil
	w.forget()
}

// forget makes ready look at the interface again.
func (w *wire) forget() { w.looked = time.Time{} }

// ready makes the socket and the hardware address those of the interface as it is now. Its error says what is wrong
// with the interface.
func (w *wire) ready(now time.Time) error {
	if w.conn != nil && now.Sub(w.looked) < lookInterval {
		return nil
	}
	if w.handle == nil {
		handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open netlink socket: %w", err)
		}
		if err := handle.SetSocketTimeout(netlinkTimeout); err != nil {
			handle.Close()
			return fmt.Errorf("set timeout of netlink socket: %w", err)
		}
		w.handle = handle
	}
	attrs, err := w.look()
	if err != nil {
		return err
	}
	w.forwarding = forwardsIPv6(w.iface)
	if w.conn != nil && attrs.Index == w.index && bytes.Equal(attrs.HardwareAddr, w.hardware) {
		w.looked = now
		return nil
	}
	w.hangUp()
	// Protocol 0: the socket sends only and receives nothing.
	conn, err := packet.Listen(&net.Interface{Index: attrs.Index}, packet.Raw, 0, nil)
	if err != nil {
		return fmt.Errorf("open packet socket on %s: %w", w.iface, err)
	}
	w.conn, w.index, w.hardware, w.looked = conn, attrs.Index, attrs.HardwareAddr, now
	return nil
}

func (w *wire) look() (*netlink.LinkAttrs, error) {
	dev, err := w.handle.LinkByName(w.iface)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, fmt.Errorf("interface %s is missing", w.iface)
	}
	if err != nil {
		return nil, fmt.Errorf("read interface %s: %w", w.iface, err)
	}
	attrs := dev.Attrs()
	switch {
	case attrs.RawFlags&unix.IFF_UP == 0:
		return nil, fmt.Errorf("interface %s is down", w.iface)
	case attrs.RawFlags&unix.IFF_RUNNING == 0:
		return nil, fmt.Errorf("interface %s has no carrier", w.iface)
	case len(attrs.HardwareAddr) != 6:
		return nil, fmt.Errorf("interface %s has no Ethernet address", w.iface)
	}
	return attrs, nil
}

// forwardsIPv6 tells whether the machine is a router of IPv6 to the neighbours on the interface.
func forwardsIPv6(iface string) bool {
	b, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv6/conf", iface, "forwarding"))
	return err == nil && len(b) > 0 && b[0] != '0'
}

func (w *wire) write(frame []byte) error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("send on %s: %w", w.iface, err)
	}
	if _, err := w.conn.WriteTo(frame, &packet.Addr{HardwareAddr: net.HardwareAddr(frame[:6])}); err != nil {
		return fmt.Errorf("send on %s: %w", w.iface, err)
	}
	return nil
}

// congested tells whether only this frame was lost, for want of room, and the socket is fine.
func congested(err error) bool {
	return errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EAGAIN) || errors.Is(err, os.ErrDeadlineExceeded)
}
