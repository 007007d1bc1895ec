// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"container/heap"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// connected finds out what became of connecting; where there is more to do, the request is ready to be sent. A connection
// that is over without an error has never stood: nobody has answered, and nothing will come but the deadline.
func (f *flight) connected(over bool) result {
	code, err := unix.GetsockoptInt(f.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = syscall.Errno(code)
	}
	t := f.entry.target
	switch {
	case err == nil && over:
		return result{}
	case closed(err) && !t.Config.OnlyConnects():
		return fail(hungUpEarly)
	case err != nil && !closed(err):
		return f.explain(os.NewSyscallError("connect", err))
	case t.Config.OnlyConnects(): // and perhaps reset since, which must not make a difference
		return pass("connected")
	}
	f.phase, f.unsent = sending, request(t)
	return result{}
}

// send tells whether nothing remains to be sent. Where the server hangs up meanwhile, perhaps after an answer, nothing
// does: reading will tell.
func (f *flight) send() bool {
	for len(f.unsent) > 0 {
		n, err := unix.Write(f.fd, f.unsent)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return !errors.Is(err, unix.EAGAIN)
		}
		f.unsent = f.unsent[n:]
	}
	return true
}

// receive reads what there is of the response.
func (f *flight) receive(buf []byte) result {
	for {
		n, err := unix.Read(f.fd, buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return result{}
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return f.explain(os.NewSyscallError("read", err))
		case n == 0:
			return f.explain(io.EOF)
		}
		done, malformed := f.head.feed(buf[:n])
		switch {
		case malformed != nil:
			return fail("malformed response: " + malformed.Error())
		case done:
			return judge(f.head.status, f.entry.target.Config.Status)
		}
	}
}

// explain puts into words why a flight ended in the phase that it was in.
func (f *flight) explain(err error) result {
	ctx, t := context.Background(), f.entry.target
	switch f.phase {
	case connecting:
		res := explain(ctx, err, t.Config.Timeout, "connecting")
		res.silent = res.outcome == failed && silence(err)
		return res
	case sending:
		return explain(ctx, err, t.Config.Timeout, "sending the request")
	}
	return f.head.broken(ctx, err, t)
}

// sockaddr is an address as system calls want it.
func sockaddr(a netip.Addr, port uint16) unix.Sockaddr {
	if a = a.Unmap(); a.Is4() {
		return &unix.SockaddrInet4{Port: int(port), Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Port: int(port), Addr: a.As16(), ZoneId: zoneID(a.Zone())}
}

// zoneID is the number of the interface that a zone names, or 0.
func zoneID(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if ifi, err := net.InterfaceByName(zone); err == nil {
		return uint32(ifi.Index)
	}
	n, err := strconv.ParseUint(zone, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// deadlines are flights in the order in which their time is over.
type deadlines []*flight

var _ heap.Interface = (*deadlines)(nil)

func (q deadlines) Len() int           { return len(q) }
func (q deadlines) Less(i, j int) bool { return q[i].deadline.Before(q[j].deadline) }

func (q deadlines) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push adds a *flight.
func (q *deadlines) Push(x any) {
	f := x.(*flight)
	f.index = len(*q)
	*q = append(*q, f)
}

// Pop removes the last flight.
func (q *deadlines) Pop() any {
	last := len(*q) - 1
	f := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	f.index = idle
	return f
}
