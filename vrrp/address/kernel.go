// SPDX-License-Identifier: Apache-2.0

package address

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp/internal/rtnl"
)

// listAttempts is the maximum number of times that a list is read, if it changes while it is read.
const listAttempts = 10

// A kernel reads and writes the interfaces, addresses, routes and rules of the kernel; it belongs to one goroutine.
type kernel struct {
	handle *netlink.Handle
	// strict lets the kernel filter lists: a table may hold a million routes of others.
	strict *netlink.Handle
	batch  *nl.NetlinkSocket
	writes *atomic.Uint64
}

// openKernel opens the sockets in the network namespace of the calling thread.
func openKernel(writes *atomic.Uint64) (_ *kernel, err error) {
	k := &kernel{writes: writes}
	defer func() {
		if err != nil {
			k.close()
		}
	}()
	if k.handle, err = rtnl.Open(); err != nil {
		return nil, err
	}
	if k.strict, err = rtnl.Open(); err != nil {
		return nil, err
	}
	if err = k.strict.SetStrictCheck(true); err != nil {
		return nil, fmt.Errorf("failed to let the kernel filter lists: %w", err)
	}
	if k.batch, err = nl.Subscribe(unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("failed to open netlink socket: %w", err)
	}
	timeout := unix.NsecToTimeval(rtnl.Timeout.Nanoseconds())
	if err = k.batch.SetReceiveTimeout(&timeout); err != nil {
		return nil, fmt.Errorf("failed to set the timeout of a netlink socket: %w", err)
	}
	return k, nil
}

func (k *kernel) close() {
	for _, handle := range []*netlink.Handle{k.handle, k.strict} {
		if handle != nil {
			handle.Close()
		}
	}
	if k.batch != nil {
		k.batch.Close()
	}
}

// link returns the interface, nil if it is missing.
func (k *kernel) link(name string) (netlink.Link, error) {
	dev, err := k.handle.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("failed to read interface %s: %w", name, err)
	}
	return dev, nil
}

// write sends requests in one message and returns the kernel's answer to each, nil for success. Only the last request asks
// for an acknowledgement; the kernel always sends errors.
func (k *kernel) write(requests []*nl.NetlinkRequest) ([]error, error) {
	if len(requests) == 0 {
		return nil, nil
	}
	last := requests[len(requests)-1]
	last.Flags |= unix.NLM_F_ACK
	index := make(map[uint32]int, len(requests)) // of the requests, by sequence number
	var b []byte
	for i, r := range requests {
		index[r.Seq] = i
		b = append(b, r.Serialize()...)
		b = append(b, make([]byte, -len(b)&(unix.NLMSG_ALIGNTO-1))...)
	}
	k.writes.Add(uint64(len(requests)))
	if err := unix.Sendto(k.batch.GetFd(), b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("failed to send to the kernel: %w", err)
	}
	answers := make([]error, len(requests))
	for {
		messages, from, err := k.batch.Receive()
		if err != nil {
			return nil, fmt.Errorf("failed to read the kernel's answer: %w", err)
		}
		for _, m := range messages {
			i, known := index[m.Header.Seq]
			if from.Pid != nl.PidKernel || !known || m.Header.Type != unix.NLMSG_ERROR || len(m.Data) < 4 {
				continue
			}
			if errno := -int32(binary.NativeEndian.Uint32(m.Data)); errno != 0 {
				answers[i] = unix.Errno(errno)
			}
			if m.Header.Seq == last.Seq {
				return answers, nil
			}
		}
	}
}

// again reads a list until it does not change during the reading.
func again(read func() error) error {
	for attempt := 1; ; attempt++ {
		err := read()
		if attempt == listAttempts || !errors.Is(err, netlink.ErrDumpInterrupted) {
			return err
		}
	}
}

func describe(dev netlink.Link) string {
	if name := dev.Attrs().Name; name != "" {
		return name
	}
	return fmt.Sprintf("number %d", dev.Attrs().Index)
}

// A failures has the first of several errors, and their number.
type failures struct {
	first error
	count int
}

func (f *failures) add(err error) {
	if err == nil {
		return
	}
	if f.count++; f.first == nil {
		f.first = err
	}
}

func (f *failures) err() error {
	if f.count <= 1 {
		return f.first
	}
	return fmt.Errorf("%w (and %d more)", f.first, f.count-1)
}
