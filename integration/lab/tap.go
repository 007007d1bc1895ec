// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Tap receives the netlink requests of all programs on a host and keeps those that change something.
type Tap struct {
	fd     int
	family uint16 // of IPVS in generic netlink
	done   chan struct{}

	mu     sync.Mutex
	writes []string
}

const tapDevice = "nlmon0"

// TapNetlink listens until the test ends.
func (h *Host) TapNetlink() *Tap {
	h.lab.t.Helper()
	tap := &Tap{done: make(chan struct{})}
	err := h.Do(func() error {
		family, err := netlink.GenlFamilyGet("IPVS")
		if err != nil {
			return fmt.Errorf("find IPVS in generic netlink: %w", err)
		}
		tap.family = family.ID
		attrs := netlink.NewLinkAttrs()
		attrs.Name = tapDevice
		if err := netlink.LinkAdd(&netlink.GenericLink{LinkAttrs: attrs, LinkType: "nlmon"}); err != nil {
			return fmt.Errorf("add %s: %w", tapDevice, err)
		}
		if err := setUp(tapDevice); err != nil {
			return err
		}
		link, err := netlink.LinkByName(tapDevice)
		if err != nil {
			return err
		}
		tap.fd, err = tapSocket(link.Attrs().Index)
		return err
	})
	if err != nil {
		h.lab.t.Fatalf("tap netlink on %s: %v", h.Name, err)
	}
	stop := make(chan struct{})
	go tap.run(stop)
	h.lab.t.Cleanup(func() {
		close(stop)
		<-tap.done
		_ = unix.Close(tap.fd)
	})
	return tap
}

func tapSocket(index int) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("packet socket: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}),
		// ETH_P_ALL is 3, here in network order.
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0300, Ifindex: index}),
	)
	if err != nil {
		return 0, errors.Join(fmt.Errorf("packet socket: %w", err), unix.Close(fd))
	}
	return fd, nil
}

func (tap *Tap) run(stop <-chan struct{}) {
	defer close(tap.done)
	buf := make([]byte, 1<<20)
	for {
		select {
		case <-stop:
			return
		default:
		}
		n, from, err := unix.Recvfrom(tap.fd, buf, 0)
		if err != nil {
			continue
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if !ok {
			continue
		}
		writes := changes(buf[:n], link.Protocol>>8|link.Protocol<<8, tap.family)
		tap.mu.Lock()
		tap.writes = append(tap.writes, writes...)
		tap.mu.Unlock()
	}
}

// Writes returns the names of the requests so far that change something.
func (tap *Tap) Writes() []string {
	tap.mu.Lock()
	defer tap.mu.Unlock()
	return slices.Clone(tap.writes)
}

// changes returns the names of the requests in a netlink datagram that change something, in the table of IPVS or in the
// network.
func changes(data []byte, protocol, ipvs uint16) []string {
	var names []string
	for len(data) >= unix.SizeofNlMsghdr {
		size := int(binary.NativeEndian.Uint32(data))
		kind, flags := binary.NativeEndian.Uint16(data[4:]), binary.NativeEndian.Uint16(data[6:])
		if size < unix.SizeofNlMsghdr || size > len(data) {
			break
		}
		body := data[unix.SizeofNlMsghdr:size]
		switch {
		case flags&unix.NLM_F_REQUEST == 0 || kind < unix.NLMSG_MIN_TYPE:
		case protocol == unix.NETLINK_ROUTE && kind&3 != 2:
			// linux/rtnetlink.h numbers the requests in fours: new, delete, get, set.
			names = append(names, fmt.Sprintf("route netlink message %d", kind))
		case protocol == unix.NETLINK_GENERIC && kind == ipvs && len(body) > 0 && ipvsWrites[body[0]]:
			names = append(names, fmt.Sprintf("IPVS command %d", body[0]))
		}
		data = data[min(len(data), (size+3)&^3):]
	}
	return names
}

// ipvsWrites are the commands of linux/ip_vs.h that change something: services, servers, sync daemons, settings, zeroing,
// flushing.
var ipvsWrites = map[byte]bool{
	1: true, 2: true, 3: true, 5: true, 6: true, 7: true, 9: true, 10: true, 12: true, 16: true, 17: true,
}
